//! The key that seals all others at rest, and the file it lives in.
//!
//! A record is sealed as a JWE (`dir`, A256GCM) whose protected header names the master key and what the record is for.
//! GCM authenticates that header, so a record moved to another tenant, key or webhook does not open.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use josekit::jwe::{self, Dir, JweHeader};
use josekit::jwk::Jwk;
use serde_json::Value;
use zeroize::Zeroizing;

use super::SigningError;
use super::digest::{base64url, sha256_of_parts};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::key_ring::Kid;

const KEY_BYTES: usize = 32;
/// The protected header's member that says what a record is for.
const PURPOSE: &str = "sgn";

/// What a record is sealed for. It opens for nothing else.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    SigningKey {
        tenant_id: TenantId,
        kid: &'a Kid,
    },
    WebhookSecret {
        webhook_id: WebhookId,
    },
    /// The known text by which the right master key is recognised.
    Check,
}

impl Purpose<'_> {
    fn text(&self) -> String {
        match self {
            Self::SigningKey { tenant_id, kid } => format!("signing-key {tenant_id} {kid}"),
            Self::WebhookSecret { webhook_id } => format!("webhook-secret {webhook_id}"),
            Self::Check => "check".to_owned(),
        }
    }
}

/// Why there is no master key to work with.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("there is no master key at {0}")]
    Missing(PathBuf),
    #[error("the master key at {path} cannot be read or written")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the master key is not a JWK of kty \"oct\" with 32 bytes in \"k\"")]
    Malformed,
    #[error("the file {path} may be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
}

/// 256 bits that seal every private key and webhook secret.
pub struct MasterKey {
    id: String,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl MasterKey {
    /// Makes a key and writes it to a new file that only its owner may read. Never overwrites.
    pub fn create(path: &Path) -> Result<Self, MasterKeyError> {
        let file_error = |source| MasterKeyError::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder).map_err(file_error)?;
        }
        let bytes = u8::try_from(KEY_BYTES).map_err(|_| MasterKeyError::Malformed)?;
        let jwk = Jwk::generate_oct_key(bytes).map_err(|_| MasterKeyError::Malformed)?;
        let text = Zeroizing::new(format!("{jwk}\n"));
        // Written whole beside its place and linked into it: there is never half a key, and never another one's place taken.
        let draft = path.with_added_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft).map_err(file_error)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(file_error)?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft).and(linked).map_err(file_error)?;
        // The name must survive a power cut as surely as the records that the key will seal.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error)?;
        Self::parse(&text)
    }

    /// Reads the key from its file.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(MasterKeyError::Missing(path.to_owned())),
            Err(source) => return Err(MasterKeyError::File { path: path.to_owned(), source }),
        };
        refuse_exposed(path)?;
        Self::parse(&text)
    }

    /// Reads the key from its text, as the file or the environment holds it.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let jwk = Jwk::from_bytes(text.trim()).map_err(|_| MasterKeyError::Malformed)?;
        let bytes = Zeroizing::new(jwk.key_value().ok_or(MasterKeyError::Malformed)?);
        let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| MasterKeyError::Malformed)?;
        let id = base64url(&sha256_of_parts(&[b"signet master key id", &key])[..9]);
        Ok(Self { id, key: Zeroizing::new(key) })
    }

    /// Tells master keys apart; reveals nothing of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a record for one purpose.
    pub fn seal(&self, purpose: &Purpose<'_>, plain: &[u8]) -> Result<String, SigningError> {
        let mut header = JweHeader::new();
        header.set_content_encryption("A256GCM");
        header.set_key_id(&self.id);
        header.set_claim(PURPOSE, Some(Value::String(purpose.text()))).map_err(|_| SigningError::Sealing)?;
        let encrypter = Dir.encrypter_from_bytes(self.key.as_slice()).map_err(|_| SigningError::Sealing)?;
        jwe::serialize_compact(plain, &header, &encrypter).map_err(|_| SigningError::Sealing)
    }

    /// Opens a record that was sealed for exactly this purpose.
    pub fn open(&self, purpose: &Purpose<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SigningError> {
        let decrypter = Dir.decrypter_from_bytes(self.key.as_slice()).map_err(|_| SigningError::Unopenable)?;
        let (plain, header) = jwe::deserialize_compact(sealed, &decrypter).map_err(|_| SigningError::Unopenable)?;
        let plain = Zeroizing::new(plain);
        let sealed_for = header.claim(PURPOSE).and_then(Value::as_str);
        if sealed_for == Some(purpose.text().as_str()) { Ok(plain) } else { Err(SigningError::Unopenable) }
    }
}

#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), MasterKeyError> {
    use std::os::unix::fs::PermissionsExt as _;

    let metadata = std::fs::metadata(path).map_err(|source| MasterKeyError::File { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 == 0 { Ok(()) } else { Err(MasterKeyError::Exposed { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path) -> Result<(), MasterKeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master_key(fill: u8) -> MasterKey {
        MasterKey::parse(&format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url(&[fill; KEY_BYTES]))).unwrap()
    }

    #[test]
    fn a_record_opens_for_its_purpose_and_master_key_alone() {
        let ours = Purpose::WebhookSecret { webhook_id: WebhookId::from_bytes([1; 16]) };
        let theirs = Purpose::WebhookSecret { webhook_id: WebhookId::from_bytes([2; 16]) };
        let sealed = master_key(1).seal(&ours, b"whsec_x").unwrap();

        assert_eq!(master_key(1).open(&ours, &sealed).unwrap().as_slice(), b"whsec_x");
        assert!(master_key(1).open(&theirs, &sealed).is_err());
        assert!(master_key(2).open(&ours, &sealed).is_err());
    }

    #[test]
    fn a_master_key_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/master.key");

        let made = MasterKey::create(&path).unwrap();

        assert_eq!(MasterKey::load(&path).unwrap().id(), made.id());
        assert!(MasterKey::create(&path).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(MasterKey::load(&path), Err(MasterKeyError::Exposed { mode: 0o644, .. })));
        }
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        assert!(matches!(MasterKey::parse(r#"{"kty":"oct","k":"AAAA"}"#), Err(MasterKeyError::Malformed)));
        assert!(matches!(MasterKey::parse("hunter2"), Err(MasterKeyError::Malformed)));
    }
}
