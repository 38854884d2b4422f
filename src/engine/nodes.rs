//! The other nodes on the same database: showing them that this one lives, and taking over from those that do not.
//!
//! A claim holds for as long as its lease, whoever made it. Taking over earlier only shortens the wait: a node that was
//! merely paused is fenced off like one whose lease ended.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::job::{self, Woken};
use crate::domain::id::NodeId;
use crate::domain::key_ring::CLOCK_OFFSET_NOTED;
use crate::domain::time::Timestamp;
use crate::store::nodes::{self, Beat, Node};
use crate::store::{Conn, StoreError, queue, service_time, signing_keys, tenants};

/// How often a node raises its count and looks at the others'.
const EVERY: Duration = Duration::from_secs(1);
/// How many looks in a row must find a count unchanged before its node is taken for dead. Looks are counted and not
/// seconds: neither clocks that differ nor a database that stood still make anybody dead.
const LOOKS: u32 = 5;

/// What one node has seen of the others.
#[derive(Default)]
struct Watch {
    seen: HashMap<NodeId, Seen>,
}

struct Seen {
    beats: i64,
    unchanged: u32,
}

impl Watch {
    /// Takes note of everybody's counts; answers who is dead.
    fn look(&mut self, nodes: &[Node]) -> Vec<Node> {
        self.seen.retain(|id, _| nodes.iter().any(|node| node.id == *id));
        let mut dead = Vec::new();
        for node in nodes {
            let seen = self.seen.entry(node.id).or_insert(Seen { beats: node.beats, unchanged: 0 });
            if seen.beats == node.beats {
                seen.unchanged += 1;
            } else {
                *seen = Seen { beats: node.beats, unchanged: 1 };
            }
            if seen.unchanged > LOOKS {
                dead.push(*node);
            }
        }
        dead
    }
}

/// The job. Not for a database that only one server can open.
pub async fn run(engine: Arc<Engine>, end: CancellationToken) {
    let started_at = engine.clock.now();
    let mut watch = Watch::default();
    loop {
        if let Err(error) = engine.watch_once(&mut watch, started_at).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "other nodes cannot be watched; trying again");
        }
        // In real time, whatever the clock says: what dies, dies in real time.
        if job::pause(EVERY, &end).await == Woken::ToEnd {
            return;
        }
    }
}

impl Engine {
    /// The name under which this node claims.
    pub(super) fn node_id(&self) -> NodeId {
        *self.names()
    }

    /// Claims under another name from now on, if something may be claimed under the present one without this node's
    /// knowing: the database went away before it said whether it had written a claim. The name that is given up is
    /// counted on no more, so before long somebody, perhaps this node, takes over what it still holds.
    pub(super) fn doubt_claims(&self, error: &StoreError) {
        if self.store.is_shared() && matches!(error, StoreError::Unavailable(_)) {
            let name = NodeId::from_bytes(self.clock.id());
            let given_up = std::mem::replace(&mut *self.names(), name);
            self.given_up.lock().unwrap_or_else(PoisonError::into_inner).push(given_up);
        }
    }

    fn names(&self) -> MutexGuard<'_, NodeId> {
        self.node_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters this node, so that others notice when it dies. Before it claims anything.
    pub async fn join(&self) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        let beat = self.beat(self.node_id(), self.clock.now());
        nodes::beat(tx.conn(), &beat).await?;
        let counts_anew = self.count_anew(tx.conn(), beat.jwks_version).await?;
        tx.commit().await?;
        self.note_reported(beat.jwks_version, counts_anew).await
    }

    /// Lets the others know which version of the keys this node serves, before its next beat does: keys wait for it.
    pub(super) async fn report_served_version(&self) {
        let version = self.served_version();
        let report = async {
            let mut tx = self.store.write().await?;
            nodes::report(tx.conn(), self.node_id(), version).await?;
            let counts_anew = self.count_anew(tx.conn(), version).await?;
            tx.commit().await?;
            self.note_reported(version, counts_anew).await
        };
        if let Err(error) = report.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the next beat reports which keys are served");
        }
    }

    /// Until a node reports a newer version, it may have served no key of that one. A key is published when the last node
    /// serves it, whatever kept that one from loading it: an outage that began right after the key was made, for example.
    async fn count_anew(&self, conn: &mut Conn, version: i64) -> Result<bool, StoreError> {
        let reported = *self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = reported.filter(|known| *known < version) else { return Ok(false) };
        let is_missed = signing_keys::any_announced_after(conn, known).await?;
        if is_missed {
            let at = service_time::mark(conn).await?;
            signing_keys::count_anew(conn, known, at).await?;
        }
        Ok(is_missed)
    }

    /// The others know now. A node that has not loaded anything yet serves nothing.
    async fn note_reported(&self, version: i64, counts_anew: bool) -> Result<(), StoreError> {
        if self.lease().has_loaded() {
            *self.reported.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        }
        if counts_anew {
            self.measure().await?;
        }
        Ok(())
    }

    fn beat(&self, id: NodeId, started_at: Timestamp) -> Beat {
        let master_key_ids = self.master_key_ids().join(" ");
        Beat { id, started_at, jwks_version: self.served_version(), master_key_ids }
    }

    async fn watch_once(&self, watch: &mut Watch, started_at: Timestamp) -> Result<(), StoreError> {
        let given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut tx = self.store.write().await?;
        let beat = self.beat(self.node_id(), started_at);
        nodes::beat(tx.conn(), &beat).await?;
        // Whether or not it was ever entered, its count stands still from here on.
        for name in &given_up {
            nodes::beat(tx.conn(), &self.beat(*name, started_at)).await?;
        }
        let all = nodes::list(tx.conn()).await?;
        let asked_at = self.clock.now();
        let said_at = nodes::clock(tx.conn()).await?;
        said_at.and_then(|said_at| self.clock.offset(asked_at, said_at)).inspect(|offset| self.compare_clocks(*offset));
        let counts_anew = self.count_anew(tx.conn(), beat.jwks_version).await?;
        tx.commit().await?;
        self.note_reported(beat.jwks_version, counts_anew).await?;
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).retain(|name| !given_up.contains(name));
        self.live_nodes.store(u32::try_from(all.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        for dead in watch.look(&all) {
            self.take_over(dead).await?;
        }
        Ok(())
    }

    /// Tokens carry this node's time, and receivers refuse those that are not valid yet or any more.
    fn compare_clocks(&self, offset: Duration) {
        if offset > CLOCK_OFFSET_NOTED {
            tracing::warn!(clock.offset_ms = offset.as_millis(), "this machine's clock and the database's differ");
        }
        self.renew_lease(|lease| lease.compare(offset));
    }

    /// Makes due what a dead node had claimed. Of several nodes that notice, one does it. A node that is only cut off goes
    /// on serving the keys that it knows, so those that it does not know count as published only after that.
    async fn take_over(&self, dead: Node) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        if nodes::remove(tx.conn(), dead).await? {
            let service_time = service_time::mark(tx.conn()).await?;
            tenants::hold_versions(tx.conn()).await?;
            service_time::note_node_lost(tx.conn(), service_time).await?;
            let missed = signing_keys::miss(tx.conn(), dead.jwks_version, service_time).await?;
            if missed > 0 {
                // What every node has in memory of them is not true any more.
                tenants::touch_missed(tx.conn(), service_time).await?;
            }
            let released = queue::release(tx.conn(), dead.id, self.clock.now()).await?;
            tx.commit().await?;
            // A new count of service time begins with the loss.
            self.measure().await?;
            tracing::warn!(node.id = %dead.id, deliveries.count = released, keys.missed = missed, "a node died; what it had in hand is due at once");
            self.look_again();
        }
        Ok(())
    }

    /// Strikes this node off, and makes due what it claimed and will not settle any more.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        queue::release(tx.conn(), self.node_id(), self.clock.now()).await?;
        nodes::leave(tx.conn(), self.node_id()).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8, beats: i64) -> Node {
        Node { id: NodeId::from_bytes([number; 16]), beats, jwks_version: 0 }
    }

    #[test]
    fn a_node_is_dead_when_its_count_has_stood_still_for_five_looks() {
        let mut watch = Watch::default();

        let looks: Vec<Vec<Node>> = (0..6).map(|beats| watch.look(&[node(1, 7), node(2, beats)])).collect();

        assert_eq!(looks[..5], vec![Vec::new(); 5]);
        assert_eq!(looks[5], [node(1, 7)]);
    }

    #[test]
    fn a_node_that_moves_once_in_five_looks_lives() {
        let mut watch = Watch::default();

        let dead: usize = (0..100).map(|look| watch.look(&[node(1, look / 5)]).len()).sum();

        assert_eq!(dead, 0);
    }

    #[test]
    fn a_node_that_was_struck_off_and_came_back_is_seen_with_new_eyes() {
        let mut watch = Watch::default();
        (0..5).for_each(|_| drop(watch.look(&[node(1, 7)])));

        watch.look(&[]);

        assert_eq!(watch.look(&[node(1, 7)]), []);
    }
}
