//! The provider whose private halves never leave a PKCS #11 token: it makes them, it signs with them, and nobody can read
//! them.
//!
//! A key is made with the tenant's id in its label, which the token keeps and no row can change, and with an id of its own.
//! A row names both, in a URI. It opens if the label is its tenant's, and if the token's public key of that id and label
//! has the row's kid. So a row that was moved between tenants, or points at another key, signs nothing.

mod objects;
mod public;
mod sessions;
mod uri;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use tokio::sync::Semaphore;

pub use sessions::TokenSettings;
use sessions::{Failure, Sessions};
use uri::KeyUri;

use super::provider::{KeptKey, KeyProvider, MadeKey};
use super::signer::Elsewhere;
use super::{PublicJwk, SealedKey, Signer, SigningError};
use crate::domain::id::TenantId;
use crate::domain::key_ring::Kid;
use crate::domain::token::Algorithm;

/// Signatures that a token is asked for at a time, each in a session of its own.
const TURNS: usize = 16;
/// As many as every token takes.
const ID_BYTES: usize = 16;

/// Why a token did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error(
        "a key stands in a PKCS #11 token, and none is named; set SIGNET_PKCS11_MODULE, SIGNET_PKCS11_TOKEN and SIGNET_PKCS11_PIN"
    )]
    NotConfigured,
    #[error("the PKCS #11 module {module} (SIGNET_PKCS11_MODULE) cannot be used: {why}")]
    Module { module: PathBuf, why: String },
    #[error("there is no token {token:?} (SIGNET_PKCS11_TOKEN); those that are there: {there:?}")]
    NoSuchToken { token: String, there: Vec<String> },
    #[error(
        "the token {0:?} refuses the PIN (SIGNET_PKCS11_PIN). It is not tried again before the next start, because tokens \
         lock themselves after a few"
    )]
    WrongPin(String),
    #[error("the token {0:?} has locked its PIN; its security officer can set another")]
    PinLocked(String),
    #[error("a key stands in the token {there:?}, and SIGNET_PKCS11_TOKEN names {here:?}")]
    OtherToken { there: String, here: String },
    #[error("the key {0} in the token does not belong to its row")]
    Foreign(String),
    #[error("the token has no key {0}")]
    Missing(String),
    #[error("the token has several keys {0}")]
    Ambiguous(String),
    #[error("the token makes no {0} keys")]
    Unsupported(&'static str),
    #[error("the token did not {what}: {why}")]
    Failed { what: &'static str, why: String },
}

/// A token, or the lack of one.
pub(super) struct Token(Option<Arc<Device>>);

struct Device {
    sessions: Sessions,
    turns: Arc<Semaphore>,
}

impl Token {
    pub(super) fn new(settings: Option<TokenSettings>) -> Self {
        let device = |settings| Device { sessions: Sessions::new(settings), turns: Arc::new(Semaphore::new(TURNS)) };
        Self(settings.map(device).map(Arc::new))
    }

    pub(super) fn owns(private_half: &str) -> bool {
        uri::is_uri(private_half)
    }

    pub(super) fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    /// Logs in.
    pub(super) fn confirm(&self) -> Result<(), TokenError> {
        self.device()?.sessions.with("log in", |session, _| Ok(session.get_session_info().map(drop)?))
    }

    fn device(&self) -> Result<&Arc<Device>, TokenError> {
        self.0.as_ref().ok_or(TokenError::NotConfigured)
    }
}

/// What a row says, if it can be a key of its tenant.
fn uri_of(key: &SealedKey) -> Result<KeyUri, SigningError> {
    let unreadable = || SigningError::Unreadable(key.kid.to_string());
    let uri = KeyUri::parse(&key.private_half).ok_or_else(unreadable)?;
    match uri.object == objects::label(key.tenant_id) {
        true => Ok(uri),
        false => Err(TokenError::Foreign(key.kid.to_string()).into()),
    }
}

impl KeyProvider for Token {
    fn make(&self, tenant_id: TenantId, algorithm: Algorithm) -> Result<MadeKey, SigningError> {
        let sessions = &self.device()?.sessions;
        let mut id = vec![0; ID_BYTES];
        SystemRandom::new().fill(&mut id).map_err(|_| SigningError::Generation(algorithm.as_str()))?;
        let uri = KeyUri { token: sessions.token().to_owned(), id, object: objects::label(tenant_id) };
        let public = sessions.with("make a key", |session, _| {
            // What an attempt before this one may have left behind has the same id.
            objects::destroy(session, &uri)?;
            let public = objects::generate(session, &uri, algorithm)?;
            let jwk = public::jwk(session, public, algorithm)?;
            jwk.ok_or(Failure::Known(TokenError::Unsupported(algorithm.as_str())))
        })?;
        let kid = public.kid().clone();
        Ok(MadeKey { public, sealed: SealedKey { tenant_id, kid, algorithm, private_half: uri.text() } })
    }

    fn open(&self, key: &SealedKey) -> Result<Signer, SigningError> {
        let device = self.device()?.clone();
        let uri = uri_of(key)?;
        if uri.token != device.sessions.token() {
            return Err(TokenError::OtherToken { there: uri.token, here: device.sessions.token().to_owned() }.into());
        }
        let signature_len = match key.algorithm {
            Algorithm::Es256 | Algorithm::EdDsa => 64,
            Algorithm::Es384 => 96,
            Algorithm::Rs256 | Algorithm::Ps256 => objects::RSA_BYTES,
        };
        let (kid, algorithm) = (key.kid.clone(), key.algorithm);
        let token_key = TokenKey { device, uri, kid: kid.clone(), algorithm, found: Mutex::default() };
        Ok(Signer::elsewhere(kid, algorithm, signature_len, Arc::new(token_key)))
    }

    fn check(&self, key: &SealedKey) -> Result<(), SigningError> {
        uri_of(key).map(drop)
    }

    fn destroy(&self, kept: &KeptKey) -> Result<(), SigningError> {
        let Some(uri) = KeyUri::parse(&kept.private_half) else { return Ok(()) };
        Ok(self.device()?.sessions.with("destroy a key", |session, _| objects::destroy(session, &uri))?)
    }

    fn list(&self) -> Result<Vec<KeptKey>, SigningError> {
        let sessions = &self.device()?.sessions;
        Ok(sessions.with("list its keys", |session, _| objects::list(session, sessions.token()))?)
    }

    fn kid_of(&self, kept: &KeptKey) -> Result<Option<Kid>, SigningError> {
        let Some(uri) = KeyUri::parse(&kept.private_half) else { return Ok(None) };
        Ok(self.device()?.sessions.with("show a key", |session, _| {
            let Some(public) = objects::find(session, &uri, ObjectClass::PUBLIC_KEY)? else { return Ok(None) };
            let Some(algorithm) = public::algorithm_of(session, public)? else { return Ok(None) };
            Ok(public::jwk(session, public, algorithm)?.map(|jwk| jwk.kid().clone()))
        })?)
    }
}

/// A key of a token that signs.
struct TokenKey {
    device: Arc<Device>,
    uri: KeyUri,
    kid: Kid,
    algorithm: Algorithm,
    /// Its handle, and since when it is valid.
    found: Mutex<Option<(u64, ObjectHandle)>>,
}

impl TokenKey {
    fn found(&self) -> MutexGuard<'_, Option<(u64, ObjectHandle)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key's handle: found once, and then known to belong to this kid.
    fn in_token(&self, session: &Session, generation: u64) -> Result<ObjectHandle, Failure> {
        let found = *self.found();
        if let Some((_, handle)) = found.filter(|(since, _)| *since == generation) {
            return Ok(handle);
        }
        let missing = || Failure::Known(TokenError::Missing(self.uri.text()));
        let Some(private) = objects::find(session, &self.uri, ObjectClass::PRIVATE_KEY)? else {
            // Private keys are seen by whoever is logged in to a token that is there.
            let sees_any = objects::any_private(session)?;
            return Err(if sees_any { missing() } else { Failure::Empty(self.uri.text()) });
        };
        let public = objects::find(session, &self.uri, ObjectClass::PUBLIC_KEY)?.ok_or_else(missing)?;
        let jwk = public::jwk(session, public, self.algorithm)?;
        if jwk.as_ref().map(PublicJwk::kid) != Some(&self.kid) {
            return Err(TokenError::Foreign(self.kid.to_string()).into());
        }
        *self.found() = Some((generation, private));
        Ok(private)
    }
}

impl Elsewhere for TokenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let hash;
        let message = match self.algorithm {
            Algorithm::Es256 => {
                hash = digest::digest(&digest::SHA256, message);
                hash.as_ref()
            }
            Algorithm::Es384 => {
                hash = digest::digest(&digest::SHA384, message);
                hash.as_ref()
            }
            Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::EdDsa => message,
        };
        let mechanism = objects::mechanism(self.algorithm);
        Ok(self.device.sessions.with("sign", |session, generation| {
            let key = self.in_token(session, generation)?;
            match session.sign(&mechanism, key, message) {
                // It may have another handle since the token was away.
                Err(Error::Pkcs11(RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid, _)) => {
                    *self.found() = None;
                    let key = self.in_token(session, generation)?;
                    Ok(session.sign(&mechanism, key, message)?)
                }
                signed => Ok(signed?),
            }
        })?)
    }

    fn turns(&self) -> &Arc<Semaphore> {
        &self.device.turns
    }
}
