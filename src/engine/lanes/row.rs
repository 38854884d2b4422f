//! Where lanes with due work stand until it is their turn. Tenants take turns, and the lanes of each among themselves:
//! who has ten thousand lanes gets no more turns than who has one.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::domain::id::{TenantId, WebhookId};

/// Where a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    number: u64,
    is_narrow: bool,
}

/// The lanes of one tenant, in the order they came. Narrow ones stand apart, as there may be no room for them when there
/// is for others; the two kinds take turns.
#[derive(Debug, Default)]
struct Line {
    wide: BTreeMap<u64, WebhookId>,
    narrow: BTreeMap<u64, WebhookId>,
    narrow_is_next: bool,
}

impl Line {
    fn lanes(&mut self, is_narrow: bool) -> &mut BTreeMap<u64, WebhookId> {
        if is_narrow { &mut self.narrow } else { &mut self.wide }
    }

    fn is_empty(&self) -> bool {
        self.wide.is_empty() && self.narrow.is_empty()
    }

    fn next(&mut self, has_room: impl Fn(bool) -> bool) -> Option<(WebhookId, bool)> {
        for is_narrow in [self.narrow_is_next, !self.narrow_is_next] {
            if has_room(is_narrow)
                && let Some((_, webhook_id)) = self.lanes(is_narrow).pop_first()
            {
                self.narrow_is_next = !is_narrow;
                return Some((webhook_id, is_narrow));
            }
        }
        None
    }
}

#[derive(Debug, Default)]
pub(super) struct Row {
    /// Everyone who has a line, once.
    turns: VecDeque<TenantId>,
    /// One that became empty is gone when its turn comes.
    lines: HashMap<TenantId, Line>,
    joined: u64,
    wide: usize,
    narrow: usize,
}

impl Row {
    pub(super) fn len(&self) -> usize {
        self.wide + self.narrow
    }

    /// Whether a lane of this kind stands in it.
    pub(super) fn has(&self, is_narrow: bool) -> bool {
        if is_narrow { self.narrow > 0 } else { self.wide > 0 }
    }

    /// Has a lane stand at the end of its tenant's line.
    pub(super) fn join(&mut self, tenant_id: TenantId, webhook_id: WebhookId, is_narrow: bool) -> Place {
        self.joined += 1;
        let line = self.lines.entry(tenant_id).or_insert_with(|| {
            self.turns.push_back(tenant_id);
            Line::default()
        });
        line.lanes(is_narrow).insert(self.joined, webhook_id);
        *self.count(is_narrow) += 1;
        Place { number: self.joined, is_narrow }
    }

    pub(super) fn leave(&mut self, tenant_id: TenantId, place: Place) {
        let line = self.lines.get_mut(&tenant_id);
        if line.and_then(|line| line.lanes(place.is_narrow).remove(&place.number)).is_some() {
            *self.count(place.is_narrow) -= 1;
        }
    }

    /// Takes the lane out whose turn it is: of the first tenant that has one for which there is room.
    pub(super) fn next(&mut self, has_room: impl Fn(TenantId, bool) -> bool) -> Option<WebhookId> {
        for _ in 0..self.turns.len() {
            let tenant_id = self.turns.pop_front()?;
            let line = self.lines.get_mut(&tenant_id)?;
            let next = line.next(|is_narrow| has_room(tenant_id, is_narrow));
            if line.is_empty() {
                self.lines.remove(&tenant_id);
            } else {
                self.turns.push_back(tenant_id);
            }
            if let Some((webhook_id, is_narrow)) = next {
                *self.count(is_narrow) -= 1;
                return Some(webhook_id);
            }
        }
        None
    }

    fn count(&mut self, is_narrow: bool) -> &mut usize {
        if is_narrow { &mut self.narrow } else { &mut self.wide }
    }
}
