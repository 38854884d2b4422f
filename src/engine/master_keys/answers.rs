//! Answers that are kept for whoever asks again: sealed like secrets, because they may hold one, and moved like them. They
//! are kept for a day, and a master key need not be waited for that long.

use std::collections::BTreeMap;

use super::rewrap::{RACES_MAX, Rewrapped};
use super::{MasterKeysError, PAGE, Records};
use crate::domain::id::AnswerId;
use crate::engine::Engine;
use crate::signing::{Purpose, master_key_of};
use crate::store::{Conn, StoreError, answers};

/// A sealed body, and the same under another master key.
type Again = (AnswerId, String, String);

/// Counts the answers that name each master key.
pub(super) async fn count(conn: &mut Conn, records: &mut BTreeMap<String, Records>) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = answers::bodies(conn, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(*last);
        for id in page.iter().filter_map(|(_, text)| master_key_of(text)) {
            records.entry(id).or_default().secrets += 1;
        }
    }
}

impl Engine {
    pub(super) async fn rewrap_answers(
        &self,
        id: &str,
        all: &mut Rewrapped,
        told: &mut impl FnMut(Records),
    ) -> Result<(), MasterKeysError> {
        let mut after = None;
        loop {
            let page = answers::bodies(self.store.read().await?.conn(), after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            let again = page.into_iter().filter_map(|(answer, text)| {
                let again = self.again(&Purpose::Answer { id: answer }, &text, &mut all.stuck)?;
                Some((answer, text, again))
            });
            let again: Vec<Again> = again.collect();
            if again.is_empty() {
                continue;
            }
            let mut races = 0;
            all.records.secrets += loop {
                match self.put_answers(id, &again).await {
                    Err(MasterKeysError::Store(StoreError::Contended(_))) if races < RACES_MAX => races += 1,
                    put => break put?,
                }
            };
            told(all.records);
        }
    }

    async fn put_answers(&self, id: &str, again: &[Again]) -> Result<u64, MasterKeysError> {
        let mut tx = self.store.write().await?;
        self.hold_target(tx.conn(), id).await?;
        let mut changed = 0;
        for (answer, was, text) in again {
            changed += u64::from(answers::exchange_body(tx.conn(), *answer, was, text).await?);
        }
        tx.commit().await?;
        Ok(changed)
    }
}
