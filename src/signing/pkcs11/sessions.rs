//! Sessions with a token: opened when they are needed, logged in, kept, and opened again after the token was away.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use super::TokenError;
use crate::domain::secret::Secret;

/// Where a token is and how to log in to it.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    pub pin: Secret<String>,
}

pub(super) struct Sessions {
    settings: TokenSettings,
    /// Read-held by whoever is speaking to the module, so that it is finalised while nobody is.
    calls: RwLock<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connected: Option<(Pkcs11, Slot)>,
    idle: Vec<Session>,
    /// How often everything was opened again. What a token said before, such as the handle of a key, is void after.
    generation: u64,
    /// Why logging in must not be tried again: a token locks itself after a few wrong PINs.
    refused: Option<TokenError>,
}

impl Sessions {
    pub(super) fn new(settings: TokenSettings) -> Self {
        Self { settings, calls: RwLock::default(), state: Mutex::default() }
    }

    pub(super) fn token(&self) -> &str {
        &self.settings.token
    }

    /// Does something with a session, and with a second one when the first turns out to be void. `what` is that, for
    /// people.
    pub(super) fn with<T>(
        &self,
        what: &'static str,
        act: impl Fn(&Session, u64) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        match self.once(&act) {
            Err((generation, failure)) if failure.is_lost() => {
                self.forget(generation);
                self.once(&act)
            }
            tried => tried,
        }
        .map_err(|(_, failure)| match failure {
            Failure::Known(error) => error,
            Failure::Said(error) => TokenError::Failed { what, why: error.to_string() },
            Failure::Empty(key) => TokenError::Missing(key),
        })
    }

    fn once<T>(&self, act: &impl Fn(&Session, u64) -> Result<T, Failure>) -> Result<T, (u64, Failure)> {
        let _speaking = self.calls.read().unwrap_or_else(PoisonError::into_inner);
        let (session, generation) = self.session()?;
        // What was going on in a session when something failed is unknown: it is closed and not kept.
        let done = act(&session, generation).map_err(|failure| (generation, failure))?;
        self.state().idle.push(session);
        Ok(done)
    }

    fn session(&self) -> Result<(Session, u64), (u64, Failure)> {
        let mut state = self.state();
        let generation = state.generation;
        if let Some(refused) = &state.refused {
            return Err((generation, refused.clone().into()));
        }
        if let Some(session) = state.idle.pop() {
            return Ok((session, generation));
        }
        let opened = self.opened(&mut state);
        if let Err(Failure::Known(error @ (TokenError::WrongPin(_) | TokenError::PinLocked(_)))) = &opened {
            state.refused = Some(error.clone());
        }
        opened.map(|session| (session, generation)).map_err(|failure| (generation, failure))
    }

    fn opened(&self, state: &mut State) -> Result<Session, Failure> {
        let (pkcs11, slot) = match &state.connected {
            Some(connected) => connected,
            None => state.connected.insert(self.connected()?),
        };
        let session = pkcs11.open_rw_session(*slot)?;
        let pin = AuthPin::from(self.settings.pin.reveal().clone());
        let token = self.settings.token.clone();
        match session.login(UserType::User, Some(&pin)) {
            // Whoever is logged in is so in every session.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                Err(TokenError::WrongPin(token).into())
            }
            Err(Error::Pkcs11(RvError::PinLocked | RvError::PinExpired, _)) => Err(TokenError::PinLocked(token).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Loads the module and finds the token.
    fn connected(&self) -> Result<(Pkcs11, Slot), TokenError> {
        let module_error =
            |error: Error| TokenError::Module { module: self.settings.module.clone(), why: error.to_string() };
        let pkcs11 = Pkcs11::new(&self.settings.module).map_err(module_error)?;
        match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another part of this process was first.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(module_error(error)),
        }
        let mut labels = Vec::new();
        for slot in pkcs11.get_slots_with_initialized_token().map_err(module_error)? {
            let label = pkcs11.get_token_info(slot).map_err(module_error)?.label().to_owned();
            if label == self.settings.token {
                return Ok((pkcs11, slot));
            }
            labels.push(label);
        }
        // The module may not look again before it is initialised again. Nobody is speaking to it: there is no session.
        let _ = pkcs11.finalize();
        Err(TokenError::NoSuchToken { token: self.settings.token.clone(), there: labels })
    }

    /// Opens everything again from here on, the module too, unless somebody else has already: some modules never see a
    /// token again that was away.
    fn forget(&self, generation: u64) {
        let _alone = self.calls.write().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        if state.generation == generation {
            state.generation += 1;
            state.idle.clear();
            if let Some((pkcs11, _)) = state.connected.take() {
                // Whether it could be or not, it is initialised next.
                let _ = pkcs11.finalize();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why something did not work within a session.
pub(super) enum Failure {
    /// What the module said.
    Said(Error),
    /// What was found out with its help.
    Known(TokenError),
    /// The key is not to be seen, and neither is any other.
    Empty(String),
}

impl Failure {
    /// Whether the session, the login or the token went away, so that it is worth beginning again.
    fn is_lost(&self) -> bool {
        match self {
            Self::Said(Error::Pkcs11(said, _)) => is_lost(*said),
            Self::Said(_) | Self::Known(_) => false,
            Self::Empty(_) => true,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Known(error)
    }
}

fn is_lost(said: RvError) -> bool {
    matches!(
        said,
        RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::UserNotLoggedIn
            | RvError::DeviceError
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::CryptokiNotInitialized
            | RvError::GeneralError
            | RvError::FunctionFailed
    )
}
