//! Which keys were revoked, for good: a file apart from the database, to which lines are added and never taken away.
//!
//! A database that is restored from a backup has forgotten what was revoked since. The file has not, and whoever opens
//! that database revokes those keys again before anybody can verify with them.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Result, StoreError};
use crate::domain::id::TenantId;
use crate::domain::key_ring::Kid;
use crate::domain::time::Timestamp;

/// The open file and what stands in it.
pub struct Revocations {
    path: PathBuf,
    kids: Mutex<BTreeSet<Kid>>,
    /// How long the file was when it was read: it only ever grows.
    length: AtomicU64,
}

impl Revocations {
    /// Reads the file. One that is missing is made with the first revocation.
    pub fn open(path: &Path) -> Result<Self> {
        let kids = read(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), kids: Mutex::new(kids), length: AtomicU64::new(0) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Learns what other processes on this machine have noted.
    pub fn reread(&self) -> io::Result<()> {
        let length = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        if self.length.swap(length, Ordering::Relaxed) != length {
            let kids = read(&self.path)?;
            self.kids().extend(kids);
        }
        Ok(())
    }

    pub fn holds(&self, kid: &Kid) -> bool {
        self.kids().contains(kid)
    }

    /// Adds a line, durably, unless the key stands there already.
    pub fn note(&self, kid: &Kid, tenant_id: TenantId, at: Timestamp) -> io::Result<()> {
        let mut kids = self.kids();
        if kids.contains(kid) {
            return Ok(());
        }
        // Another process on this machine may have noted it.
        kids.extend(read(&self.path)?);
        if kids.contains(kid) {
            return Ok(());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        // One write: several processes may add lines at the same time.
        // Begun on a line of its own, even where a full disk tore the one before.
        file.write_all(format!("\n{kid} {at} {tenant_id}\n").as_bytes())?;
        file.sync_all()?;
        OpenOptions::new().read(true).open(folder)?.sync_all()?;
        kids.insert(kid.clone());
        Ok(())
    }

    fn kids(&self) -> MutexGuard<'_, BTreeSet<Kid>> {
        self.kids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> io::Result<BTreeSet<Kid>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(Kid::from_text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_to_whoever_opens_the_file_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/revoked-keys");
        let (kid, tenant_id) = (Kid::from_text("-kid"), TenantId::from_bytes([1; 16]));
        let (revocations, beside) = (Revocations::open(&path).unwrap(), Revocations::open(&path).unwrap());
        assert!(!revocations.holds(&kid));

        revocations.note(&kid, tenant_id, Timestamp::from_micros(0)).unwrap();
        revocations.note(&kid, tenant_id, Timestamp::from_micros(1)).unwrap();
        beside.note(&kid, tenant_id, Timestamp::from_micros(2)).unwrap();

        assert!(Revocations::open(&path).unwrap().holds(&kid));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("\n-kid 1970-01-01T00:00:00Z {tenant_id}\n"));
    }
}
