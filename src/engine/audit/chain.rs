//! How entries hang together, and where they do not. Pure.

use crate::domain::audit::{Entry, Head};
use crate::domain::id::TenantId;
use crate::domain::key_ring::Kid;
use crate::signing::digest::sha256_of_parts;

/// Keeps these digests apart from all others that are made of parts.
const PURPOSE: &[u8] = b"signet audit log 1";

/// Why a log cannot be trusted, and what may have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("entry {number} is missing: what follows is entry {next}; somebody deleted it from the database")]
    Missing { number: u32, next: u32 },
    #[error(
        "entry {number} is not what was written: somebody changed it in the database, or wrote the entries before it anew"
    )]
    Changed { number: u32 },
    #[error(
        "entry {number} is not what was written, and those after it do not continue it: from there on, entries were \
         inserted, removed or put into another order"
    )]
    Displaced { number: u32 },
    #[error("entry {number} has a detail that Signet does not write: somebody put it into the database")]
    Unreadable { number: u32 },
    #[error(
        "entry {noted} was noted, but the log ends with entry {last}: its end was cut off, or the database was restored \
         from an older backup"
    )]
    CutOff { noted: u32, last: u32 },
    #[error("entry {number} is not the one that was noted: the log was written anew, from there or from before")]
    Rewritten { number: u32 },
    #[error("the key {kid} is {is} in the database, and the log has never heard of it: somebody else put it there")]
    UnknownKey { kid: Kid, is: &'static str },
    #[error(
        "the key {kid} is {is} in the database, and {told} in the log: somebody changed it there, or the end of the log \
         was cut off"
    )]
    ChangedKey { kid: Kid, is: &'static str, told: String },
    #[error("the key {kid} in the database is not the one that its name stands for: somebody exchanged it there")]
    ExchangedKey { kid: Kid },
    #[error("the key {kid} is {told} in the log, and not in the database: somebody deleted it there")]
    LostKey { kid: String, told: String },
}

/// The hash of an entry, which binds it to its log, its place and everything before it.
pub(super) fn hash(tenant_id: TenantId, previous: &[u8; 32], entry: &Entry) -> [u8; 32] {
    let number = entry.number.to_be_bytes();
    let at = entry.at.as_micros().to_be_bytes();
    let words = [&entry.actor, &entry.action, &entry.subject, &entry.detail].map(|word| word.as_bytes());
    let [actor, action, subject, detail] = words;
    sha256_of_parts(&[PURPOSE, tenant_id.as_bytes(), previous, &number, &at, actor, action, subject, detail])
}

/// A walk along a log, entry by entry.
pub(super) struct Walk {
    tenant_id: TenantId,
    noted: Option<Head>,
    head: Head,
    suspect: Option<Suspect>,
}

/// An entry that is not what was written. What happened to it shows in the one after it.
struct Suspect {
    number: u32,
    /// What it says is its hash, and what would be: the next entry continues one of them if only this one was changed.
    hashes: [[u8; 32]; 2],
}

impl Walk {
    pub(super) fn new(tenant_id: TenantId, noted: Option<Head>) -> Self {
        Self { tenant_id, noted, head: Head::NONE, suspect: None }
    }

    /// The last entry that can be trusted.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Takes the next entry. An entry that is not what was written is named when the next one is seen, or at the end.
    pub(super) fn follow(&mut self, entry: &Entry) -> Result<(), Fault> {
        if let Some(Suspect { number, hashes }) = &self.suspect {
            let continues = |hash: &[u8; 32]| self.hash_after(hash, entry) == entry.hash;
            let is_alone = entry.number == number.saturating_add(1) && hashes.iter().any(continues);
            let number = *number;
            return Err(if is_alone { Fault::Changed { number } } else { Fault::Displaced { number } });
        }
        let number = self.head.number.saturating_add(1);
        if entry.number != number {
            return Err(Fault::Missing { number, next: entry.number });
        }
        let due = self.hash_after(&self.head.hash, entry);
        if due != entry.hash {
            self.suspect = Some(Suspect { number, hashes: [entry.hash, due] });
            return Ok(());
        }
        if self.noted.is_some_and(|noted| noted.number == number && noted.hash != entry.hash) {
            return Err(Fault::Rewritten { number });
        }
        self.head = Head { number, hash: entry.hash };
        Ok(())
    }

    /// Whether the log is whole now that no more entries come.
    pub(super) fn end(&self) -> Result<(), Fault> {
        let last = self.head.number;
        match (&self.suspect, self.noted) {
            (Some(suspect), _) => Err(Fault::Changed { number: suspect.number }),
            (None, Some(noted)) if noted.number > last => Err(Fault::CutOff { noted: noted.number, last }),
            (None, _) => Ok(()),
        }
    }

    fn hash_after(&self, previous: &[u8; 32], entry: &Entry) -> [u8; 32] {
        hash(self.tenant_id, previous, entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use proptest::prelude::*;
    use proptest::sample::Index;

    const TENANT: TenantId = TenantId::from_bytes([1; 16]);
    const OTHER: TenantId = TenantId::from_bytes([2; 16]);

    fn chained(mut entries: Vec<Entry>) -> Vec<Entry> {
        let mut previous = [0; 32];
        for (number, entry) in (1..).zip(&mut entries) {
            entry.number = number;
            entry.hash = hash(TENANT, &previous, entry);
            previous = entry.hash;
        }
        entries
    }

    fn log(length: usize) -> Vec<Entry> {
        let entry = |at: usize| Entry {
            number: 0,
            at: Timestamp::from_micros(i64::try_from(at).unwrap()),
            actor: "signet".to_owned(),
            action: "key.published".to_owned(),
            subject: format!("kid {at}"),
            detail: "{}".to_owned(),
            hash: [0; 32],
        };
        chained((0..length).map(entry).collect())
    }

    fn walk(tenant_id: TenantId, noted: Option<Head>, entries: &[Entry]) -> Result<Head, Fault> {
        let mut walk = Walk::new(tenant_id, noted);
        entries.iter().try_for_each(|entry| walk.follow(entry))?;
        walk.end().map(|()| walk.head())
    }

    fn check(change: impl FnOnce(&mut Vec<Entry>), fault: Fault) {
        let mut entries = log(6);
        change(&mut entries);
        assert_eq!(walk(TENANT, None, &entries), Err(fault));
    }

    /// The numbers that an editor who covers the traces would give.
    fn renumber(entries: &mut [Entry]) {
        for (number, entry) in (1..).zip(entries) {
            entry.number = number;
        }
    }

    fn head_of(entry: &Entry) -> Head {
        Head { number: entry.number, hash: entry.hash }
    }

    #[test]
    fn a_log_that_nobody_touched_is_whole() {
        let entries = log(6);

        assert_eq!(walk(TENANT, None, &entries), Ok(head_of(&entries[5])));
        assert_eq!(walk(TENANT, Some(head_of(&entries[3])), &entries), Ok(head_of(&entries[5])));
        assert_eq!(walk(TENANT, None, &[]), Ok(Head::NONE));
    }

    #[test]
    fn a_changed_entry_is_named_whatever_was_changed() {
        let changes: [fn(&mut Entry); 6] = [
            |entry| entry.at = Timestamp::from_micros(99),
            |entry| entry.actor = "command-line".to_owned(),
            |entry| entry.action.push('x'),
            |entry| entry.subject.push('x'),
            |entry| entry.detail.push(' '),
            |entry| entry.hash[31] ^= 1,
        ];
        for change in changes {
            check(|entries| change(&mut entries[2]), Fault::Changed { number: 3 });
            check(|entries| change(&mut entries[5]), Fault::Changed { number: 6 });
        }
    }

    #[test]
    fn words_that_move_from_one_column_to_the_next_are_noticed() {
        let shift = |entries: &mut Vec<Entry>| {
            let last = entries[2].actor.pop().unwrap();
            entries[2].action.insert(0, last);
        };

        check(shift, Fault::Changed { number: 3 });
    }

    #[test]
    fn an_entry_that_was_changed_and_hashed_again_shows_in_the_next_one() {
        let forge = |entries: &mut Vec<Entry>| {
            entries[2].actor = "nobody".to_owned();
            entries[2].hash = hash(TENANT, &entries[1].hash, &entries[2]);
        };

        check(forge, Fault::Changed { number: 4 });
    }

    #[test]
    fn a_missing_entry_is_named() {
        check(|entries| drop(entries.remove(0)), Fault::Missing { number: 1, next: 2 });
        check(|entries| drop(entries.drain(2..4)), Fault::Missing { number: 3, next: 5 });
    }

    #[test]
    fn a_removed_an_inserted_and_a_moved_entry_are_named_although_numbers_were_mended() {
        let remove = |entries: &mut Vec<Entry>| {
            entries.remove(2);
            renumber(entries);
        };
        let insert = |entries: &mut Vec<Entry>| {
            entries.insert(2, entries[4].clone());
            renumber(entries);
        };
        let swap = |entries: &mut Vec<Entry>| {
            entries.swap(2, 4);
            renumber(entries);
        };

        check(remove, Fault::Displaced { number: 3 });
        check(insert, Fault::Displaced { number: 3 });
        check(swap, Fault::Displaced { number: 3 });
    }

    #[test]
    fn a_log_of_another_tenant_is_refused() {
        assert_eq!(walk(OTHER, None, &log(6)), Err(Fault::Displaced { number: 1 }));
    }

    #[test]
    fn a_noted_head_shows_an_end_that_was_cut_off_and_a_log_that_was_written_anew() {
        let entries = log(6);
        let noted = Some(head_of(&entries[4]));
        let mut anew = entries.clone();
        anew[1].actor = "nobody".to_owned();
        let anew = chained(anew);

        assert_eq!(walk(TENANT, None, &entries[..4]).map(|head| head.number), Ok(4), "it does not show by itself");
        assert_eq!(walk(TENANT, noted, &entries[..4]), Err(Fault::CutOff { noted: 5, last: 4 }));
        assert_eq!(walk(TENANT, None, &anew).map(|head| head.number), Ok(6), "nor does this");
        assert_eq!(walk(TENANT, noted, &anew), Err(Fault::Rewritten { number: 5 }));
    }

    proptest! {
        #[test]
        fn no_other_order_of_the_same_entries_is_whole(one in any::<Index>(), other in any::<Index>()) {
            let mut entries = log(12);
            let (one, other) = (one.index(12), other.index(12));
            entries.swap(one, other);
            renumber(&mut entries);

            prop_assert_eq!(walk(TENANT, None, &entries).is_ok(), one == other);
        }
    }
}
