//! Sealing every record again under the current master key, beside servers that run.

use std::collections::BTreeMap;

use super::{MasterKeysError, PAGE, Records};
use crate::domain::audit::{Action, Actor};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::key_ring::Kid;
use crate::engine::Engine;
use crate::signing::{Providers, Purpose, SigningError};
use crate::store::sealed::{self, PrivateHalf, WebhookSecret};
use crate::store::{Conn, StoreError, tenants};

/// How often a page is tried again when another transaction was in the way.
pub(super) const RACES_MAX: u32 = 20;

/// What came of sealing all records again.
#[derive(Debug, Default)]
pub struct Rewrapped {
    pub records: Records,
    /// What could not be opened, and why. It stays as it is.
    pub stuck: Vec<(String, SigningError)>,
}

impl Engine {
    /// Seals every record again that is not sealed under this master key, which is the current one. May be ended at any
    /// moment and begun again: what is done is passed over. `told` hears of each page.
    pub async fn rewrap(
        &self,
        actor: Actor,
        id: &str,
        mut told: impl FnMut(Records),
    ) -> Result<Rewrapped, MasterKeysError> {
        let mut all = Rewrapped::default();
        loop {
            let before = all.records;
            all.stuck.clear();
            self.rewrap_keys(id, &mut all, &mut told).await?;
            self.rewrap_secrets(id, &mut all, &mut told).await?;
            self.rewrap_hook_secrets(id, &mut all, &mut told).await?;
            self.rewrap_answers(id, &mut all, &mut told).await?;
            if all.records == before {
                let records = all.records.keys + all.records.secrets;
                let stuck = u64::try_from(all.stuck.len()).unwrap_or(u64::MAX);
                let mut tx = self.store.write().await?;
                self.write_down(tx.conn(), actor, Action::MasterKeyRewrapped { id: id.to_owned(), records, stuck })
                    .await?;
                tx.commit().await?;
                return Ok(all);
            }
        }
    }

    async fn rewrap_keys(
        &self,
        id: &str,
        all: &mut Rewrapped,
        told: &mut impl FnMut(Records),
    ) -> Result<(), MasterKeysError> {
        let mut after: Option<(TenantId, Kid)> = None;
        loop {
            let page = self.private_halves(after.as_ref()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.tenant_id, last.kid.clone()));
            let again: Vec<(PrivateHalf, String)> = page
                .into_iter()
                .filter(|half| !Providers::stands_beside_row(&half.text))
                .filter_map(|half| {
                    let purpose = Purpose::SigningKey { tenant_id: half.tenant_id, kid: &half.kid };
                    let again = self.again(&purpose, &half.text, &mut all.stuck)?;
                    Some((half, again))
                })
                .collect();
            if again.is_empty() {
                continue;
            }
            let mut races = 0;
            all.records.keys += loop {
                match self.put_keys(id, &again).await {
                    Err(MasterKeysError::Store(StoreError::Contended(_))) if races < RACES_MAX => races += 1,
                    put => break put?,
                }
            };
            told(all.records);
        }
    }

    async fn rewrap_secrets(
        &self,
        id: &str,
        all: &mut Rewrapped,
        told: &mut impl FnMut(Records),
    ) -> Result<(), MasterKeysError> {
        let mut after: Option<WebhookId> = None;
        loop {
            let page = self.webhook_secrets(after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.webhook_id);
            let again: Vec<(WebhookSecret, String)> = page
                .into_iter()
                .filter_map(|secret| {
                    let purpose = Purpose::WebhookSecret { webhook_id: secret.webhook_id };
                    let again = self.again(&purpose, &secret.text, &mut all.stuck)?;
                    Some((secret, again))
                })
                .collect();
            if again.is_empty() {
                continue;
            }
            let mut races = 0;
            all.records.secrets += loop {
                match self.put_secrets(id, &again).await {
                    Err(MasterKeysError::Store(StoreError::Contended(_))) if races < RACES_MAX => races += 1,
                    put => break put?,
                }
            };
            told(all.records);
        }
    }

    /// A record sealed again; `None` when it need not or cannot be.
    pub(super) fn again(
        &self,
        purpose: &Purpose<'_>,
        text: &str,
        stuck: &mut Vec<(String, SigningError)>,
    ) -> Option<String> {
        match self.master_keys.rewrapped(purpose, text) {
            Ok(again) => again,
            Err(error) => {
                stuck.push((purpose.to_string(), error));
                None
            }
        }
    }

    async fn put_keys(&self, id: &str, again: &[(PrivateHalf, String)]) -> Result<u64, MasterKeysError> {
        let mut tx = self.store.write().await?;
        let mut changed = BTreeMap::new();
        // Tenants first and in one order, as whoever changes their keys holds them.
        for (half, _) in again {
            if changed.insert(half.tenant_id, 0_u64).is_none() {
                tenants::hold(tx.conn(), half.tenant_id).await?;
            }
        }
        self.hold_target(tx.conn(), id).await?;
        for (half, text) in again {
            if sealed::exchange_private_half(tx.conn(), half, text).await? {
                *changed.entry(half.tenant_id).or_default() += 1;
            }
        }
        // Every node keeps the text in memory until it hears that there is another.
        for (tenant_id, _) in changed.iter().filter(|(_, count)| **count > 0) {
            tenants::touch_keys(tx.conn(), *tenant_id).await?;
        }
        tx.commit().await?;
        Ok(changed.values().sum())
    }

    async fn put_secrets(&self, id: &str, again: &[(WebhookSecret, String)]) -> Result<u64, MasterKeysError> {
        let mut tx = self.store.write().await?;
        self.hold_target(tx.conn(), id).await?;
        let mut changed = 0;
        for (secret, text) in again {
            changed += u64::from(sealed::exchange_webhook_secret(tx.conn(), secret, text).await?);
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// What was sealed again was sealed under this key, and must not be written once another one is current.
    pub(super) async fn hold_target(&self, conn: &mut Conn, id: &str) -> Result<(), MasterKeysError> {
        self.hold_current(conn).await?;
        let current = self.master_keys.current_id();
        if current == id { Ok(()) } else { Err(MasterKeysError::Overtaken(current)) }
    }

    async fn private_halves(&self, after: Option<&(TenantId, Kid)>) -> Result<Vec<PrivateHalf>, StoreError> {
        sealed::private_halves(self.store.read().await?.conn(), after, PAGE).await
    }

    async fn webhook_secrets(&self, after: Option<WebhookId>) -> Result<Vec<WebhookSecret>, StoreError> {
        sealed::webhook_secrets(self.store.read().await?.conn(), after, PAGE).await
    }
}
