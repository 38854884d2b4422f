//! Who may send now, and to whom: one lane per webhook with work, each with a bounded number of deliveries under way.
//!
//! Lanes are a memory of the queue, not the queue: they say where to look, and a wrong lane costs a look or a wait, never
//! a delivery. Tenants with due work take turns, and the lanes of each, so a webhook with a million waiting and one with a
//! single delivery are served alike. A lane widens with every quick acknowledgement and narrows with everything else, and
//! all narrow lanes together may use only half of the room: receivers that are slow, dead or unknown cannot crowd out
//! those that are known to answer. Of both, no tenant gets all.

mod room;
mod row;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

pub use room::load_of;

use self::room::Room;
use self::row::{Place, Row};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::time::Timestamp;

/// Deliveries in hand for one receiver that answers well: more than it is sent at a time, so that what comes in while
/// it answers is born claimed, and what is claimed is claimed by the dozen.
const WIDTH_MAX: u32 = 256;
/// Deliveries under way to one that does not answer.
const WIDTH_MIN: u32 = 2;
/// Deliveries under way to one of which nothing is known. A lane that is no wider is narrow.
const WIDTH_START: u32 = 16;
/// Lanes without work that are remembered for their width, about sixty bytes each.
const QUIET_MAX: usize = 50_000;
/// What one lane may claim in its turn when many have work.
const TURN_MIN: u32 = 64;
/// What is claimed in one transaction.
const GRANTS_MAX: u32 = 512;

/// Leave to claim and send up to `limit` due deliveries of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub webhook_id: WebhookId,
    pub limit: u32,
}

/// How a receiver took what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Acknowledged, and quickly.
    Well,
    Badly,
    /// It was sent nothing.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing is known to wait.
    Idle,
    /// The first delivery becomes due then.
    Timer(Timestamp),
    /// Something is due, and the lane stands in the row.
    Ready(Place),
    /// Something is due, and too much is under way.
    Full,
    /// Somebody is claiming for it; what is noted meanwhile is kept.
    Claiming { noted: Option<Timestamp> },
}

#[derive(Debug)]
struct Lane {
    tenant_id: TenantId,
    rest: Rest,
    width: u32,
    under_way: u32,
    /// What is under way, in loads.
    loads: u32,
}

impl Lane {
    /// One of whose receiver nothing is known.
    fn unknown(tenant_id: TenantId) -> Self {
        Self { tenant_id, rest: Rest::Idle, width: WIDTH_START, under_way: 0, loads: 0 }
    }

    fn is_narrow(&self) -> bool {
        self.width <= WIDTH_START
    }

    /// How much may be claimed for it now. Half of it at a time or nothing, as every claim costs a transaction.
    fn free(&self) -> u32 {
        let free = self.width.saturating_sub(self.under_way);
        if free >= self.width / 2 { free } else { 0 }
    }

    fn stand_in(&mut self, row: &mut Row, webhook_id: WebhookId) {
        self.rest = Rest::Ready(row.join(self.tenant_id, webhook_id, self.is_narrow()));
    }
}

#[derive(Debug, Default)]
pub struct Lanes {
    by_webhook: HashMap<WebhookId, Lane>,
    row: Row,
    timers: BTreeSet<(Timestamp, WebhookId)>,
    room: Room,
}

impl Lanes {
    /// Leave to send a delivery of this load at once, without queueing behind anything. Not while its webhook has due
    /// work: that goes first.
    pub fn admit(&mut self, tenant_id: TenantId, webhook_id: WebhookId, load: u32) -> bool {
        let lane = self.by_webhook.entry(webhook_id).or_insert_with(|| Lane::unknown(tenant_id));
        let nothing_waits = matches!(lane.rest, Rest::Idle | Rest::Timer(_));
        let room = self.room.left_for(lane.tenant_id, lane.is_narrow());
        if !nothing_waits || lane.under_way >= lane.width || load > room {
            return false;
        }
        lane.under_way += 1;
        lane.loads += load;
        self.room.take(lane.tenant_id, lane.is_narrow(), load);
        true
    }

    /// Takes note that a delivery of this webhook becomes due at an instant.
    pub fn note_due(&mut self, tenant_id: TenantId, webhook_id: WebhookId, at: Timestamp) {
        let lane = self.by_webhook.entry(webhook_id).or_insert_with(|| Lane::unknown(tenant_id));
        lane.rest = match lane.rest {
            Rest::Idle => {
                self.timers.insert((at, webhook_id));
                Rest::Timer(at)
            }
            Rest::Timer(earlier) if earlier <= at => Rest::Timer(earlier),
            Rest::Timer(later) => {
                self.timers.remove(&(later, webhook_id));
                self.timers.insert((at, webhook_id));
                Rest::Timer(at)
            }
            Rest::Claiming { noted } => Rest::Claiming { noted: Some(noted.map_or(at, |noted| noted.min(at))) },
            waiting @ (Rest::Ready(_) | Rest::Full) => waiting,
        };
    }

    /// Grants for lanes with due work, in turns. Each must be answered with [`Lanes::claimed`].
    pub fn take(&mut self, now: Timestamp) -> Vec<Grant> {
        self.ring_timers(now);
        let mut grants = Vec::new();
        let mut left = GRANTS_MAX;
        let lanes = u32::try_from(self.row.len()).unwrap_or(u32::MAX).max(1);
        let turn = (GRANTS_MAX / lanes).max(TURN_MIN);
        while left > 0 && self.has_ready() {
            let room = &self.room;
            let next = self.row.next(|tenant_id, is_narrow| room.left_for(tenant_id, is_narrow) > 0);
            let Some(webhook_id) = next else { break };
            let Some(lane) = self.by_webhook.get_mut(&webhook_id) else { continue };
            let free = lane.free();
            if free == 0 {
                lane.rest = Rest::Full;
                continue;
            }
            let is_narrow = lane.is_narrow();
            let limit = free.min(turn).min(left).min(self.room.left_for(lane.tenant_id, is_narrow));
            lane.under_way += limit;
            lane.loads += limit;
            lane.rest = Rest::Claiming { noted: None };
            self.room.take(lane.tenant_id, is_narrow, limit);
            left -= limit;
            grants.push(Grant { webhook_id, limit });
        }
        grants
    }

    fn ring_timers(&mut self, now: Timestamp) {
        while let Some((at, webhook_id)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(lane) = self.by_webhook.get_mut(&webhook_id) {
                lane.stand_in(&mut self.row, webhook_id);
            }
        }
    }

    /// Answers a grant: how much of it was used, and when the webhook's next delivery is due.
    pub fn claimed(&mut self, grant: Grant, used: u32, next_due_at: Option<Timestamp>, now: Timestamp) {
        let Some(lane) = self.by_webhook.get_mut(&grant.webhook_id) else { return };
        let unused = grant.limit.saturating_sub(used);
        lane.under_way = lane.under_way.saturating_sub(unused);
        lane.loads = lane.loads.saturating_sub(unused);
        self.room.give(lane.tenant_id, lane.is_narrow(), unused);
        let noted = match lane.rest {
            Rest::Claiming { noted } => noted,
            _ => None,
        };
        match [next_due_at, noted].into_iter().flatten().min() {
            Some(at) if at <= now && lane.free() == 0 => lane.rest = Rest::Full,
            Some(at) if at <= now => lane.stand_in(&mut self.row, grant.webhook_id),
            Some(at) => {
                self.timers.insert((at, grant.webhook_id));
                lane.rest = Rest::Timer(at);
            }
            None => lane.rest = Rest::Idle,
        }
        self.forget_if_quiet(grant.webhook_id);
    }

    /// Adds what a claimed delivery weighs beyond the one load it was granted with.
    pub fn weigh(&mut self, webhook_id: WebhookId, load: u32) {
        let more = load.saturating_sub(1);
        let Some(lane) = self.by_webhook.get_mut(&webhook_id) else { return };
        lane.loads += more;
        self.room.take(lane.tenant_id, lane.is_narrow(), more);
    }

    /// A delivery of this load is no longer under way. A receiver that answered well widens its lane, one that did not
    /// halves it.
    pub fn done(&mut self, webhook_id: WebhookId, load: u32, answered: Answered) {
        let Some(lane) = self.by_webhook.get_mut(&webhook_id) else { return };
        let was_narrow = lane.is_narrow();
        self.room.give(lane.tenant_id, was_narrow, load);
        lane.under_way = lane.under_way.saturating_sub(1);
        lane.loads = lane.loads.saturating_sub(load);
        lane.width = match answered {
            Answered::Well => (lane.width + 1).min(WIDTH_MAX),
            Answered::Badly => (lane.width / 2).max(WIDTH_MIN),
            Answered::Nothing => lane.width,
        };
        if lane.is_narrow() != was_narrow {
            self.room.give(lane.tenant_id, was_narrow, lane.loads);
            self.room.take(lane.tenant_id, !was_narrow, lane.loads);
            // It stands with the others of its kind.
            if let Rest::Ready(place) = lane.rest {
                self.row.leave(lane.tenant_id, place);
                lane.stand_in(&mut self.row, webhook_id);
            }
        }
        if lane.rest == Rest::Full && lane.free() > 0 {
            lane.stand_in(&mut self.row, webhook_id);
        }
        self.forget_if_quiet(webhook_id);
    }

    /// A lane that waits for nothing is kept for what is known of its receiver, while there are not too many of them.
    fn forget_if_quiet(&mut self, webhook_id: WebhookId) {
        let nothing_known = self.by_webhook.len() > QUIET_MAX;
        let quiet = |lane: &Lane| {
            lane.rest == Rest::Idle && lane.under_way == 0 && (nothing_known || lane.width == WIDTH_START)
        };
        if self.by_webhook.get(&webhook_id).is_some_and(quiet) {
            self.by_webhook.remove(&webhook_id);
        }
    }

    /// Whether [`Lanes::take`] may find something to grant at once.
    pub fn has_ready(&self) -> bool {
        [true, false].into_iter().any(|is_narrow| self.row.has(is_narrow) && self.room.is_left(is_narrow))
    }

    /// When the next timer rings.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }
}
