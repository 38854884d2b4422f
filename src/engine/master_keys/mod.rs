//! Which master key seals, and moving every record from one to another while servers run.
//!
//! The current one is named by a record of the database. Whoever seals holds that record until what was sealed is
//! committed, so once another key is named, nothing new can come to lie under the one before, and a pass over all records
//! finds every one that does. No waiting and no clock is part of that.

mod answers;
mod hook_secrets;
mod rewrap;

use std::collections::BTreeMap;
use std::time::Duration;

use super::keys::KeysError;
use super::rotate::Made;
use super::{Engine, audit};
use crate::domain::audit::{Action, Actor, INSTALLATION};
use crate::domain::id::{NodeId, TenantId};
use crate::domain::time::Timestamp;
use crate::signing::{self, KeyProvider as _, MasterKeyError, Providers, Purpose, SigningError};
use crate::store::nodes::Node;
use crate::store::signing_keys::StoredKey;
use crate::store::{Conn, StoreError, nodes, sealed, settings};

pub use rewrap::Rewrapped;

/// Records that are read at a time, and sealed again in one transaction: a few milliseconds in which others wait.
const PAGE: u32 = 64;
/// How long after a switch the key before may not be dropped: whoever read a record just before it was sealed again still
/// has to open it.
const IN_HAND_FOR: Duration = Duration::from_mins(1);
/// How long a node is watched before it is taken for dead, in real time. It counts every second.
const WATCHED_FOR: Duration = Duration::from_secs(7);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was asked of the master keys did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeysError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    File(#[from] MasterKeyError),
    #[error(
        "the node {node} does not hold the master key {id}. Copy the file with the master keys to its machine; it reads it \
         within seconds. If it takes its master keys from SIGNET_MASTER_KEY, change that and start it again"
    )]
    NodeLacks { node: NodeId, id: String },
    #[error("somebody else has made {0} the current master key meanwhile")]
    Overtaken(String),
    #[error("the master key {0} is the current one; make another one current first: signet master-key rewrap")]
    IsCurrent(String),
    #[error(
        "the master key {id} still seals {keys} private halves of signing keys and {secrets} secrets and answers; move them \
         first: signet master-key rewrap"
    )]
    IsUsed { id: String, keys: u64, secrets: u64 },
    #[error(
        "the current master key is that only since {since}; somebody may still have a record of the one before in hand. Try again at {safe_at}"
    )]
    TooSoon { since: Timestamp, safe_at: Timestamp },
}

impl From<KeysError> for MasterKeysError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Store(error) => Self::Store(error),
            KeysError::Signing(error) => Self::Signing(error),
            // No ring takes a step here.
            KeysError::Stuck => Self::Signing(SigningError::Unopenable),
        }
    }
}

/// How many records name a master key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Records {
    pub keys: u64,
    /// Secrets of webhooks and hooks, and answers that are kept for whoever asks again.
    pub secrets: u64,
}

impl Engine {
    /// Seals a record under the key that is current until this transaction ends.
    pub(super) async fn seal(&self, conn: &mut Conn, purpose: &Purpose<'_>, plain: &[u8]) -> Result<String, KeysError> {
        self.hold_current(conn).await?;
        Ok(self.master_keys.seal(purpose, plain)?)
    }

    /// Seals again, where that is necessary, what was sealed before this transaction began.
    pub(super) async fn seal_again(
        &self,
        conn: &mut Conn,
        tenant_id: TenantId,
        mut made: Vec<Made>,
    ) -> Result<Vec<Made>, KeysError> {
        self.hold_current(conn).await?;
        for Made { sealed, .. } in &mut made {
            let purpose = Purpose::SigningKey { tenant_id, kid: &sealed.kid };
            if !Providers::stands_beside_row(&sealed.private_half)
                && let Some(again) = self.master_keys.rewrapped(&purpose, &sealed.private_half)?
            {
                sealed.private_half = again;
            }
        }
        Ok(made)
    }

    /// Has the current key stay the current one until this transaction ends.
    async fn hold_current(&self, conn: &mut Conn) -> Result<(), KeysError> {
        if let Some(check) = settings::get_held(conn, settings::MASTER_KEY_CHECK).await? {
            self.adopt(&check)?;
        }
        Ok(())
    }

    /// Refuses private halves that were made for another tenant or another key, before their public ones are served.
    pub(super) fn refuse_foreign(&self, tenant_id: TenantId, keys: &[StoredKey]) -> Result<(), SigningError> {
        let halves = keys.iter().filter_map(|stored| super::keys::sealed(tenant_id, stored));
        let checked = halves.map(|half| self.providers.check(&half));
        // Without its master key a key can be served and checked, only not be signed with.
        let is_worse = |checked: &Result<(), SigningError>| !matches!(checked, Err(SigningError::MasterKeyMissing(_)));
        checked.filter(is_worse).collect()
    }

    /// Looks whether the file changed, and which key is the current one.
    pub(super) async fn look_at_master_keys(&self) -> Result<(), StoreError> {
        match self.master_keys.reread() {
            Ok(true) => tracing::info!(master_keys = ?self.master_keys.ids(), "the master keys were read again"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the file with the master keys cannot be used; going on with those that are held"
                );
            }
        }
        let mut reader = self.store.read().await?;
        let check = settings::get(reader.conn(), settings::MASTER_KEY_CHECK).await?;
        if let Some(error) = check.and_then(|check| self.adopt(&check).err()) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the current master key cannot be used; copy the file with the master keys from another node"
            );
        }
        Ok(())
    }

    fn adopt(&self, check: &str) -> Result<(), SigningError> {
        if self.master_keys.adopt(check)? {
            tracing::info!(master_key = self.master_keys.current_id(), "another master key seals from now on");
        }
        Ok(())
    }

    /// The master keys that are held here, by their ids, oldest first.
    pub fn master_key_ids(&self) -> Vec<String> {
        self.master_keys.ids()
    }

    /// Makes a master key and adds it to the file. It seals nothing yet.
    pub async fn add_master_key(&self, actor: Actor) -> Result<String, MasterKeysError> {
        let id = self.master_keys.add()?;
        let mut tx = self.store.write().await?;
        self.write_down(tx.conn(), actor, Action::MasterKeyAdded { id: id.clone() }).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn write_down(&self, conn: &mut Conn, actor: Actor, action: Action) -> Result<(), StoreError> {
        audit::record(conn, INSTALLATION, (actor, self.clock.now()), &[action]).await
    }

    /// The id of the current master key.
    pub async fn current_master_key(&self) -> Result<String, MasterKeysError> {
        let mut reader = self.store.read().await?;
        if let Some(check) = settings::get(reader.conn(), settings::MASTER_KEY_CHECK).await? {
            self.adopt(&check)?;
        }
        Ok(self.master_keys.current_id())
    }

    /// Has everybody seal under this master key from now on; answers whether it was not the current one already.
    pub async fn switch_master_key(&self, actor: Actor, id: &str) -> Result<bool, MasterKeysError> {
        let check = self.master_keys.check(id)?;
        self.refuse_lacking_nodes(id).await?;
        if self.current_master_key().await? == id {
            return Ok(false);
        }
        let mut tx = self.store.write().await?;
        settings::put(tx.conn(), settings::MASTER_KEY_CHECK, &check).await?;
        let now = self.clock.now().as_micros().to_string();
        settings::put(tx.conn(), settings::MASTER_KEY_SINCE, &now).await?;
        self.write_down(tx.conn(), actor, Action::MasterKeySwitched { id: id.to_owned() }).await?;
        tx.commit().await?;
        self.adopt(&check)?;
        Ok(true)
    }

    /// Refuses when a node that lives does not hold the key. What only looks alive is watched for a while.
    async fn refuse_lacking_nodes(&self, id: &str) -> Result<(), MasterKeysError> {
        let stopwatch = self.clock.stopwatch();
        let mut first = None;
        loop {
            let mut reader = self.store.read().await?;
            let lacking = nodes::lacking_master_key(reader.conn(), id).await?;
            drop(reader);
            let seen = first.get_or_insert_with(|| lacking.clone());
            // A beat that had begun before the file was changed does not tell of it.
            let is_over = stopwatch.elapsed() > WATCHED_FOR;
            let tells = if is_over { 1 } else { 2 };
            let lives = |node: &&Node| seen.iter().all(|seen| seen.id != node.id || node.beats >= seen.beats + tells);
            if let Some(node) = lacking.iter().find(lives) {
                return Err(MasterKeysError::NodeLacks { node: node.id, id: id.to_owned() });
            }
            if lacking.is_empty() || is_over {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many records name which master key. What no master key seals is not counted.
    pub async fn records_by_master_key(&self) -> Result<BTreeMap<String, Records>, StoreError> {
        let mut reader = self.store.read().await?;
        records_by_master_key(reader.conn()).await
    }

    /// Takes a master key out of the file of this machine, when nothing needs it any more.
    pub async fn drop_master_key(&self, actor: Actor, id: &str) -> Result<(), MasterKeysError> {
        if !self.master_keys.ids().iter().any(|held| held == id) {
            return Err(MasterKeyError::NotHeld(id.to_owned()).into());
        }
        let mut tx = self.store.write().await?;
        // Until it is gone, nobody makes it the current one again.
        if let Some(check) = settings::get_held(tx.conn(), settings::MASTER_KEY_CHECK).await? {
            self.adopt(&check)?;
        }
        if self.master_keys.current_id() == id {
            return Err(MasterKeysError::IsCurrent(id.to_owned()));
        }
        if let Some(Records { keys, secrets }) = records_by_master_key(tx.conn()).await?.get(id).copied() {
            return Err(MasterKeysError::IsUsed { id: id.to_owned(), keys, secrets });
        }
        let since = settings::get(tx.conn(), settings::MASTER_KEY_SINCE).await?;
        if let Some(since) = since.and_then(|since| since.parse().ok()).map(Timestamp::from_micros) {
            let safe_at = since.plus(IN_HAND_FOR);
            if self.clock.now() < safe_at {
                return Err(MasterKeysError::TooSoon { since, safe_at });
            }
        }
        self.write_down(tx.conn(), actor, Action::MasterKeyDropped { id: id.to_owned() }).await?;
        self.master_keys.remove(id)?;
        tx.commit().await?;
        Ok(())
    }
}

async fn records_by_master_key(conn: &mut Conn) -> Result<BTreeMap<String, Records>, StoreError> {
    let mut records = BTreeMap::<String, Records>::new();
    let mut after = None;
    loop {
        let page = sealed::private_halves(conn, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.tenant_id, last.kid.clone()));
        for id in page.iter().filter_map(|half| signing::master_key_of(&half.text)) {
            records.entry(id).or_default().keys += 1;
        }
    }
    let mut after = None;
    loop {
        let page = sealed::webhook_secrets(conn, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.webhook_id);
        for id in page.iter().filter_map(|secret| signing::master_key_of(&secret.text)) {
            records.entry(id).or_default().secrets += 1;
        }
    }
    hook_secrets::count(conn, &mut records).await?;
    answers::count(conn, &mut records).await?;
    Ok(records)
}
