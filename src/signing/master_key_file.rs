//! The file that master keys live in: a JWK (RFC 7517) with one, or a JWK Set with several, oldest first.
//!
//! It is never written in place: there is always a whole file under its name, with every key that was in it before or will
//! be.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::SigningError;
use super::master_key::{KEY_BYTES, MasterKey};

/// Why there is no master key to work with.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("there is no master key at {0}")]
    Missing(PathBuf),
    #[error("the master key at {path} cannot be read or written")]
    File { path: PathBuf, source: std::io::Error },
    #[error(
        "a master key is a JWK of kty \"oct\" with 32 bytes in \"k\", and several are {{\"keys\": [...]}} with such JWKs"
    )]
    Malformed,
    #[error("the set of master keys is empty; a set holds one key at least")]
    Empty,
    #[error("the master key {0} stands twice in its set; take one of them out")]
    Duplicate(String),
    #[error("the file {path} may be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the file {0} belongs to somebody else; run this as its owner, so that the server can still read it")]
    Foreign(PathBuf),
    #[error(
        "the master keys of this installation stand in SIGNET_MASTER_KEY, which no command can change. Change it there, and \
         start every server again"
    )]
    InEnvironment,
    #[error("there is no master key {0} here")]
    NotHeld(String),
    #[error("the master key {0} is the only one here")]
    Last(String),
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// By which one sees that a file has changed, or who may read it: when it was written, its length, and when anything was
/// last changed about it.
pub(super) type Stamp = (SystemTime, u64, (i64, i64));

/// What a file may hold. The key's own characters are read where they stand: no copy of them is left behind.
#[derive(Deserialize)]
struct Text<'t> {
    #[serde(borrow)]
    keys: Option<Vec<Jwk<'t>>>,
    #[serde(borrow)]
    kty: Option<&'t str>,
    #[serde(borrow)]
    k: Option<&'t str>,
}

#[derive(Deserialize)]
struct Jwk<'t> {
    #[serde(borrow)]
    kty: &'t str,
    #[serde(borrow)]
    k: &'t str,
}

/// Reads a JWK or a JWK Set, as the file or the environment holds it.
pub(super) fn parse(text: &str) -> Result<Vec<MasterKey>, MasterKeyError> {
    let jwks = match serde_json::from_str::<Text<'_>>(text.trim()) {
        Ok(Text { keys: Some(keys), kty: None, k: None }) => keys,
        Ok(Text { keys: None, kty: Some(kty), k: Some(k) }) => vec![Jwk { kty, k }],
        // The cause may quote the key.
        _ => return Err(MasterKeyError::Malformed),
    };
    let mut keys: Vec<MasterKey> = Vec::with_capacity(jwks.len());
    for jwk in jwks {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        // What is longer does not fit, what is shorter does not fill it.
        let decoded = URL_SAFE_NO_PAD.decode_slice(jwk.k, bytes.as_mut_slice());
        if jwk.kty != "oct" || decoded != Ok(KEY_BYTES) {
            return Err(MasterKeyError::Malformed);
        }
        let key = MasterKey::of(bytes);
        if keys.iter().any(|other| other.id() == key.id()) {
            return Err(MasterKeyError::Duplicate(key.id().to_owned()));
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(MasterKeyError::Empty) } else { Ok(keys) }
}

/// The keys in a file, and by what one sees that it changed since.
pub(super) fn read(path: &Path) -> Result<(Vec<MasterKey>, Option<Stamp>), MasterKeyError> {
    let stamp = stamp(path);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(MasterKeyError::Missing(path.to_owned())),
        Err(source) => return Err(MasterKeyError::File { path: path.to_owned(), source }),
    };
    refuse_exposed(path)?;
    Ok((parse(&text)?, stamp))
}

pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), changed_at(&metadata)))
}

#[cfg(unix)]
fn changed_at(metadata: &Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn changed_at(_: &Metadata) -> (i64, i64) {
    (0, 0)
}

/// Writes the first key to a file that only its owner may read. Never overwrites.
pub(super) fn create(path: &Path, key: &MasterKey) -> Result<(), MasterKeyError> {
    let file_error = |source| MasterKeyError::File { path: path.to_owned(), source };
    let folder = folder_of(path);
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(file_error)?;
    let _alone = lock(folder).map_err(file_error)?;
    let (draft, _) = draft(path, &key.jwk()).map_err(file_error)?;
    // Linked into its place and not moved there: never is another one's place taken.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft).and(linked).map_err(file_error)?;
    sync(folder).map_err(file_error)
}

/// Writes other keys in the place of those in a file, while nobody else does. It keeps its owner and its mode.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&mut Vec<MasterKey>) -> Result<(), MasterKeyError>,
) -> Result<(), MasterKeyError> {
    let file_error = |source| MasterKeyError::File { path: path.to_owned(), source };
    let folder = folder_of(path);
    let _alone = lock(folder).map_err(file_error)?;
    let (mut keys, _) = read(path)?;
    change(&mut keys)?;
    let mut text = Zeroizing::new(String::with_capacity(keys.len() * 128 + 32));
    text.push_str("{\"keys\":[");
    for (at, key) in keys.iter().enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&key.jwk());
    }
    text.push_str("\n]}");
    let (draft, file) = draft(path, &text).map_err(file_error)?;
    let placed = keep_owner(path, &file).and_then(|()| std::fs::rename(&draft, path).map_err(file_error));
    if placed.is_err() {
        // Nothing was changed; what is left of the attempt is a key that nobody uses.
        let _ = std::fs::remove_file(&draft);
    }
    placed?;
    sync(folder).map_err(file_error)
}

/// Writes a text whole beside the place that it is meant for.
fn draft(path: &Path, text: &str) -> std::io::Result<(PathBuf, File)> {
    let draft = path.with_added_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all())?;
    Ok((draft, file))
}

/// Keeps every other command that writes master keys into this folder waiting, for as long as it is held.
fn lock(folder: &Path) -> std::io::Result<File> {
    let folder = File::open(folder)?;
    folder.lock()?;
    Ok(folder)
}

/// A name must survive a power cut as surely as the records that its key will seal.
fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives a draft the owner and the mode of the file that it will replace: the server must still be able to read it.
#[cfg(unix)]
fn keep_owner(path: &Path, draft: &File) -> Result<(), MasterKeyError> {
    use std::os::unix::fs::MetadataExt as _;

    let file_error = |source| MasterKeyError::File { path: path.to_owned(), source };
    let (present, ours) = (std::fs::metadata(path).map_err(file_error)?, draft.metadata().map_err(file_error)?);
    if (present.uid(), present.gid()) != (ours.uid(), ours.gid()) {
        std::os::unix::fs::fchown(draft, Some(present.uid()), Some(present.gid()))
            .map_err(|_| MasterKeyError::Foreign(path.to_owned()))?;
    }
    draft.set_permissions(present.permissions()).map_err(file_error)
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &File) -> Result<(), MasterKeyError> {
    Ok(())
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
