//! The master keys that this process holds: one seals, each opens what names it.
//!
//! Which one seals is not decided here: the database says it, by a record that is sealed under that key, and whoever
//! reads the record has it adopted. The file is read again when a record names a key that is not held.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use zeroize::Zeroizing;

use super::master_key::{MasterKey, Purpose, master_key_of};
use super::master_key_file::{self, MasterKeyError, Stamp};
use super::{SigningError, digest};

/// What the record says that names the current key.
const CHECK: &[u8] = b"signet";

pub struct MasterKeys {
    /// `None` when they came from the environment, which says what it says until the next start.
    file: Option<PathBuf>,
    held: RwLock<Held>,
}

struct Held {
    /// Oldest first. Never empty.
    keys: Vec<Arc<MasterKey>>,
    current: Arc<MasterKey>,
    stamp: Option<Stamp>,
}

impl Held {
    fn key(&self, id: &str) -> Option<Arc<MasterKey>> {
        self.keys.iter().find(|key| key.id() == id).cloned()
    }
}

impl MasterKeys {
    /// Makes a key and writes it to a new file. Never overwrites.
    pub fn create(path: &Path) -> Result<Self, MasterKeyError> {
        master_key_file::create(path, &MasterKey::generate()?)?;
        Self::load(path)
    }

    /// Reads the keys from their file.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let (keys, stamp) = master_key_file::read(path)?;
        Self::holding(keys, Some(path.to_owned()), stamp)
    }

    /// Reads the keys from the text that the file would hold.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        Self::holding(master_key_file::parse(text)?, None, None)
    }

    fn holding(keys: Vec<MasterKey>, file: Option<PathBuf>, stamp: Option<Stamp>) -> Result<Self, MasterKeyError> {
        let keys: Vec<Arc<MasterKey>> = keys.into_iter().map(Arc::new).collect();
        let current = keys.last().cloned().ok_or(MasterKeyError::Empty)?;
        Ok(Self { file, held: RwLock::new(Held { keys, current, stamp }) })
    }

    /// The file that they are read from, if they are.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The ids of all that are held, oldest first.
    pub fn ids(&self) -> Vec<String> {
        self.held().keys.iter().map(|key| key.id().to_owned()).collect()
    }

    /// The id of the one that seals.
    pub fn current_id(&self) -> String {
        self.held().current.id().to_owned()
    }

    /// Seals a record for one purpose, under the current key.
    pub fn seal(&self, purpose: &Purpose<'_>, plain: &[u8]) -> Result<String, SigningError> {
        let current = self.held().current.clone();
        current.seal(purpose, plain)
    }

    /// Opens a record that was sealed for exactly this purpose, with the key that it names.
    pub fn open(&self, purpose: &Purpose<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SigningError> {
        self.key(&master_key_of(sealed).ok_or(SigningError::Unopenable)?)?.open(purpose, sealed)
    }

    /// A code for these parts by which they are known again, here, on other nodes and after a restart: nobody can make it
    /// who holds no master key.
    pub fn code(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.held().current.code(parts)
    }

    /// Whether a code was made for these parts, by the current key or by one that is still held.
    pub fn is_code(&self, code: &[u8; 32], parts: &[&[u8]]) -> bool {
        self.held().keys.iter().any(|key| digest::equal(&key.code(parts), code))
    }

    /// The same record under the current key; `None` when it is sealed under that one already.
    pub fn rewrapped(&self, purpose: &Purpose<'_>, sealed: &str) -> Result<Option<String>, SigningError> {
        if master_key_of(sealed).is_some_and(|id| id == self.held().current.id()) {
            return Ok(None);
        }
        self.seal(purpose, &self.open(purpose, sealed)?).map(Some)
    }

    /// A record that names this key as the current one.
    pub fn check(&self, id: &str) -> Result<String, SigningError> {
        self.key(id)?.seal(&Purpose::Check, CHECK)
    }

    /// Seals from now on under the key that such a record names; answers whether that is another one than before.
    pub fn adopt(&self, check: &str) -> Result<bool, SigningError> {
        let id = master_key_of(check).ok_or(SigningError::Unopenable)?;
        if self.held().current.id() == id {
            return Ok(false);
        }
        self.confirm(check)?;
        let key = self.key(&id)?;
        self.held_mut().current = key;
        Ok(true)
    }

    /// Opens such a record: whoever can do that holds the right keys.
    pub fn confirm(&self, check: &str) -> Result<(), SigningError> {
        let plain = self.open(&Purpose::Check, check)?;
        if plain.as_slice() == CHECK { Ok(()) } else { Err(SigningError::Unopenable) }
    }

    /// Reads the file again if it changed; answers whether it did. When it cannot be used, what is held stays, and it is
    /// not read again before it changes again.
    pub fn reread(&self) -> Result<bool, MasterKeyError> {
        let Some(path) = &self.file else { return Ok(false) };
        let stamp = master_key_file::stamp(path);
        if self.held().stamp == stamp {
            return Ok(false);
        }
        let read = master_key_file::read(path);
        let mut held = self.held_mut();
        held.stamp = stamp;
        let (keys, stamp) = read?;
        held.stamp = stamp;
        held.keys = keys.into_iter().map(Arc::new).collect();
        // The current one is needed even when somebody took it out of the file.
        if held.key(held.current.id()).is_none() {
            let current = held.current.clone();
            held.keys.push(current);
        }
        Ok(true)
    }

    /// Makes a key and adds it to the file; answers its id. It does not seal yet.
    pub fn add(&self) -> Result<String, MasterKeyError> {
        let path = self.file.as_ref().ok_or(MasterKeyError::InEnvironment)?;
        let key = MasterKey::generate()?;
        let id = key.id().to_owned();
        master_key_file::change(path, |keys| {
            keys.push(key);
            Ok(())
        })?;
        self.reread()?;
        Ok(id)
    }

    /// Takes a key out of the file. Whoever calls this knows that nothing is sealed under it.
    pub fn remove(&self, id: &str) -> Result<(), MasterKeyError> {
        let path = self.file.as_ref().ok_or(MasterKeyError::InEnvironment)?;
        master_key_file::change(path, |keys| {
            let at =
                keys.iter().position(|key| key.id() == id).ok_or_else(|| MasterKeyError::NotHeld(id.to_owned()))?;
            if keys.len() == 1 {
                return Err(MasterKeyError::Last(id.to_owned()));
            }
            keys.remove(at);
            Ok(())
        })?;
        self.reread().map(drop)
    }

    fn key(&self, id: &str) -> Result<Arc<MasterKey>, SigningError> {
        if let Some(key) = self.held().key(id) {
            return Ok(key);
        }
        // Why it cannot be read is said by whoever reads it for its own sake.
        let _ = self.reread();
        self.held().key(id).ok_or_else(|| SigningError::MasterKeyMissing(id.to_owned()))
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "master_keys_tests.rs"]
mod tests;
