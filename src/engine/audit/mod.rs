//! Writing down who did what, and finding out whether what was written down still stands.
//!
//! Whoever changes keys calls [`record`] in the transaction of the change: both happen, or neither. An [`Audit`] follows a
//! log from its first entry to its last, and then compares the last word about every key with the database. What it
//! cannot see by itself is a log whose end was cut off together with what it told of, and one that was written anew as a
//! whole: for that, somebody notes its head elsewhere.

mod chain;
mod detail;

use std::collections::BTreeMap;

use super::Engine;
use crate::domain::audit::{Action, Actor, Entry, Head, INSTALLATION};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::signing::PublicJwk;
use crate::store::signing_keys::StoredKey;
use crate::store::{Conn, Reader, StoreError, audit, signing_keys, tenants};

pub use chain::Fault;
use chain::Walk;

/// Keeps a log for a transaction that will add to it, before anything else is held.
pub(super) use crate::store::audit::hold;

/// Entries that are read at a time: a log may be longer than memory.
const ENTRIES: u32 = 500;
/// Tenants that are read at a time when the log is begun.
const TENANTS: u32 = 500;

/// Adds what was done to the log of a tenant, or to that of the installation, in the transaction in which it is done.
pub(super) async fn record(
    conn: &mut Conn,
    tenant_id: TenantId,
    (actor, at): (Actor, Timestamp),
    actions: &[Action],
) -> Result<(), StoreError> {
    // Most callers hold it already. The number and the hash of the last entry must stay the last until the commit.
    audit::hold(conn, tenant_id).await?;
    let mut head = audit::head(conn, tenant_id).await?;
    for action in actions {
        let draft = Entry {
            number: head.number.saturating_add(1),
            at,
            actor: actor.to_string(),
            action: action.as_str().to_owned(),
            subject: action.subject().to_owned(),
            detail: detail::write(action, at),
            hash: [0; 32],
        };
        let entry = Entry { hash: chain::hash(tenant_id, &head.hash, &draft), ..draft };
        audit::append(conn, tenant_id, &entry).await?;
        head = Head { number: entry.number, hash: entry.hash };
    }
    Ok(())
}

/// What an audit found.
#[derive(Debug)]
pub struct Verdict {
    /// The last entry that can be trusted.
    pub head: Head,
    /// Empty when the log is whole and the database agrees with it.
    pub faults: Vec<Fault>,
}

/// An audit under way. It sees one moment of the database, however long it takes.
pub struct Audit {
    reader: Reader,
    tenant_id: TenantId,
    walk: Walk,
    read_to: u32,
    /// The last word about each key.
    told: BTreeMap<String, String>,
    fault: Option<Fault>,
}

impl Engine {
    /// Begins to audit the log of a tenant or of the installation. An entry that was noted elsewhere must still be in it.
    pub async fn audit(&self, tenant_id: TenantId, noted: Option<Head>) -> Result<Audit, StoreError> {
        let reader = self.store.read().await?;
        let walk = Walk::new(tenant_id, noted);
        Ok(Audit { reader, tenant_id, walk, read_to: 0, told: BTreeMap::new(), fault: None })
    }

    /// Begins the log of an installation that has none yet. Keys that are older than the log are entered as they are
    /// found: this once, so that nobody can later have a key of theirs found by emptying a log.
    pub async fn begin_audit_log(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let mut reader = self.store.read().await?;
            if audit::head(reader.conn(), INSTALLATION).await? != Head::NONE {
                return Ok(());
            }
            let page = tenants::list(reader.conn(), after, TENANTS).await?;
            drop(reader);
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for tenant in &page {
                self.record_found_keys(tenant.id).await?;
            }
        }
        let mut tx = self.store.write().await?;
        audit::hold(tx.conn(), INSTALLATION).await?;
        if audit::head(tx.conn(), INSTALLATION).await? == Head::NONE {
            record(tx.conn(), INSTALLATION, (Actor::Signet, self.clock.now()), &[Action::LogBegun]).await?;
        }
        tx.commit().await
    }

    async fn record_found_keys(&self, tenant_id: TenantId) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        audit::hold(tx.conn(), tenant_id).await?;
        // An earlier attempt, or another node, may have been here.
        if audit::head(tx.conn(), tenant_id).await? != Head::NONE {
            return Ok(());
        }
        let stored = signing_keys::of_tenant(tx.conn(), tenant_id).await?;
        let found = |stored: StoredKey| Action::KeyFound { kid: stored.key.kid, state: stored.key.state };
        let found: Vec<Action> = stored.into_iter().map(found).collect();
        record(tx.conn(), tenant_id, (Actor::Signet, self.clock.now()), &found).await?;
        tx.commit().await
    }
}

impl Audit {
    /// The next entries; `None` after the last one, or after the first that cannot be trusted.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Entry>>, StoreError> {
        if self.fault.is_some() {
            return Ok(None);
        }
        let mut page = audit::list(self.reader.conn(), self.tenant_id, self.read_to, ENTRIES).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.read_to = last.number;
        let broken = page.iter().enumerate().find_map(|(at, entry)| Some((at, self.follow(entry).err()?)));
        if let Some((at, fault)) = broken {
            page.truncate(at + 1);
            self.fault = Some(fault);
        }
        Ok(Some(page))
    }

    /// Follows the rest of the log, and compares it with the keys as they are.
    pub async fn verdict(mut self) -> Result<Verdict, StoreError> {
        while self.next_page().await?.is_some() {}
        let ended = self.fault.take().map_or_else(|| self.walk.end(), Err);
        let faults = match ended {
            Ok(()) => compare(&self.told, &signing_keys::of_tenant(self.reader.conn(), self.tenant_id).await?),
            Err(fault) => vec![fault],
        };
        Ok(Verdict { head: self.walk.head(), faults })
    }

    fn follow(&mut self, entry: &Entry) -> Result<(), Fault> {
        self.walk.follow(entry)?;
        let states = detail::states(entry).ok_or(Fault::Unreadable { number: entry.number })?;
        self.told.extend(states);
        Ok(())
    }
}

/// Where the keys of the database are not those that the log tells of.
fn compare(told: &BTreeMap<String, String>, stored: &[StoredKey]) -> Vec<Fault> {
    let mut lost = told.clone();
    let mut faults = Vec::new();
    for StoredKey { key, public_jwk, .. } in stored {
        let (kid, is) = (key.kid.clone(), key.state.as_str());
        match lost.remove(kid.as_str()) {
            None => faults.push(Fault::UnknownKey { kid, is }),
            Some(told) if told != is => faults.push(Fault::ChangedKey { kid, is, told }),
            Some(_) if PublicJwk::from_record(public_jwk, &kid, key.algorithm).is_err() => {
                faults.push(Fault::ExchangedKey { kid });
            }
            Some(_) => {}
        }
    }
    faults.extend(lost.into_iter().map(|(kid, told)| Fault::LostKey { kid, told }));
    faults
}
