//! Where signing keys are made, and the token that they may be made in.

use std::path::PathBuf;

use super::{Given, some};
use crate::domain::secret::Secret;

/// Where keys are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyProvider {
    Local,
    Pkcs11,
}

/// A token and how to log in to it.
#[derive(Debug, Clone)]
pub struct Pkcs11 {
    pub module: PathBuf,
    pub token: String,
    pub pin: Secret<String>,
}

impl KeyProvider {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "local" => Ok(Self::Local),
            "pkcs11" => Ok(Self::Pkcs11),
            _ => Err(format!("{text:?} is neither local nor pkcs11")),
        }
    }
}

impl Given {
    /// The token, when it is named or needed. `None` when something about it was wrong.
    #[expect(clippy::option_option, reason = "outside: whether it could be read; inside: whether there is one")]
    pub(super) fn pkcs11(&mut self, key_provider: Option<KeyProvider>) -> Option<Option<Pkcs11>> {
        let module = self.read("pkcs11_module", |text| Ok(some(text).map(PathBuf::from)))?;
        let token = self.read("pkcs11_token", |text| Ok(some(text).map(str::to_owned)))?;
        let pin = self.read("pkcs11_pin", |text| Ok(some(text).map(|pin| Secret::new(pin.to_owned()))))?;
        let is_needed = key_provider == Some(KeyProvider::Pkcs11);
        match (module, token, pin) {
            (Some(module), Some(token), Some(pin)) => Some(Some(Pkcs11 { module, token, pin })),
            (None, None, None) if !is_needed => Some(None),
            (module, token, pin) => {
                let given = [
                    ("SIGNET_PKCS11_MODULE", module.is_some()),
                    ("SIGNET_PKCS11_TOKEN", token.is_some()),
                    ("SIGNET_PKCS11_PIN", pin.is_some()),
                ];
                let missing: Vec<&str> =
                    given.iter().filter(|(_, is_given)| !is_given).map(|(name, _)| *name).collect();
                self.faults
                    .push(format!("{}: is missing; a token needs all three of its settings", missing.join(", ")));
                None
            }
        }
    }
}
