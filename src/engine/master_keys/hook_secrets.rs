//! The secrets that sign the questions to authentication hooks: one for each tenant that has hooks, moved like all others.

use std::collections::BTreeMap;

use super::rewrap::{RACES_MAX, Rewrapped};
use super::{MasterKeysError, PAGE, Records};
use crate::engine::Engine;
use crate::signing::{Purpose, master_key_of};
use crate::store::hooks::{self, HookSecret};
use crate::store::{Conn, StoreError};

/// Counts the secrets that name each master key.
pub(super) async fn count(conn: &mut Conn, records: &mut BTreeMap<String, Records>) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = hooks::secrets(conn, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.tenant_id);
        for id in page.iter().filter_map(|secret| master_key_of(&secret.text)) {
            records.entry(id).or_default().secrets += 1;
        }
    }
}

impl Engine {
    pub(super) async fn rewrap_hook_secrets(
        &self,
        id: &str,
        all: &mut Rewrapped,
        told: &mut impl FnMut(Records),
    ) -> Result<(), MasterKeysError> {
        let mut after = None;
        loop {
            let page = hooks::secrets(self.store.read().await?.conn(), after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.tenant_id);
            let again = page.into_iter().filter_map(|secret| {
                let purpose = Purpose::HookSecret { tenant_id: secret.tenant_id };
                let again = self.again(&purpose, &secret.text, &mut all.stuck)?;
                Some((secret, again))
            });
            let again: Vec<(HookSecret, String)> = again.collect();
            if again.is_empty() {
                continue;
            }
            let mut races = 0;
            all.records.secrets += loop {
                match self.put_hook_secrets(id, &again).await {
                    Err(MasterKeysError::Store(StoreError::Contended(_))) if races < RACES_MAX => races += 1,
                    put => break put?,
                }
            };
            told(all.records);
        }
    }

    async fn put_hook_secrets(&self, id: &str, again: &[(HookSecret, String)]) -> Result<u64, MasterKeysError> {
        let mut tx = self.store.write().await?;
        self.hold_target(tx.conn(), id).await?;
        let mut changed = 0;
        for (secret, text) in again {
            changed += u64::from(hooks::exchange_secret(tx.conn(), secret, text).await?);
        }
        tx.commit().await?;
        Ok(changed)
    }
}
