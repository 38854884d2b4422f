//! What the servers of one stage share: a database, a master key, a folder and the addresses they listen on. It is fresh
//! for every stage, so that none inherits from another, and is gone with it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::Failure;
use crate::cluster::Cluster;
use crate::server::free_addresses;

/// The kinds of databases that Signet runs on, as words of the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// Where databases are made.
#[derive(Clone)]
pub enum Place {
    /// In the home's folder.
    Sqlite,
    Postgres(Arc<Cluster>),
}

impl Place {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

pub struct Home {
    folder: TempDir,
    pub database_url: String,
    lent: Option<Lent>,
    /// One for each server; the first is also what the outside calls all of them.
    pub addresses: Vec<SocketAddr>,
}

/// A database of a cluster, which gets it back.
struct Lent {
    cluster: Arc<Cluster>,
    name: String,
}

impl Home {
    pub fn make(place: &Place, nodes: usize) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("signet-load-").tempdir()?;
        let lent = match place {
            Place::Sqlite => None,
            Place::Postgres(cluster) => Some(Lent::borrow_from(cluster)?),
        };
        let database_url = match &lent {
            None => format!("sqlite://{}", folder.path().join("signet.db").display()),
            Some(lent) => lent.cluster.url(&lent.name),
        };
        Ok(Self { folder, database_url, lent, addresses: free_addresses(nodes)? })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Nothing when the database is part of the server.
    pub fn database_pid(&self) -> Option<u32> {
        self.lent.as_ref().map(|lent| lent.cluster.pid())
    }
}

impl Lent {
    fn borrow_from(cluster: &Arc<Cluster>) -> Result<Self, Failure> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("load_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        cluster.create(&name)?;
        Ok(Self { cluster: Arc::clone(cluster), name })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // One that stays takes room and nothing else, and goes with the cluster.
        let _ = self.cluster.remove(&self.name);
    }
}
