//! Those who wait for something to be collected. What comes in on this node rings for them at once; for what another node took in,
//! and for leases that end, the database is asked for all of them together, once a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::PollError;
use crate::domain::id::WebhookId;
use crate::engine::Engine;
use crate::engine::job::{self, Woken};
use crate::store::{StoreError, mailbox};

/// How many wait on one node, of the connections that it has: most are left to those who come with something.
const PLACES: usize = 1_024;
/// How many wait for one webhook.
pub(super) const WAITERS_MAX: usize = 16;
/// How often the database is asked what there is for them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Everybody who waits on this node.
pub(in crate::engine) struct Mailroom {
    bells: Mutex<HashMap<WebhookId, Bell>>,
    places: Semaphore,
    /// Rung when somebody begins to wait.
    entered: Notify,
    closing: CancellationToken,
}

struct Bell {
    rung: Arc<Notify>,
    waiters: usize,
}

/// Somebody who waits. The place is given back however that ends.
pub(super) struct Waiter<'m> {
    room: &'m Mailroom,
    webhook_id: WebhookId,
    rung: Arc<Notify>,
    _place: SemaphorePermit<'m>,
}

impl Default for Mailroom {
    fn default() -> Self {
        Self {
            bells: Mutex::default(),
            places: Semaphore::new(PLACES),
            entered: Notify::new(),
            closing: CancellationToken::new(),
        }
    }
}

impl Mailroom {
    /// A place to wait in.
    pub(super) fn enter(&self, webhook_id: WebhookId) -> Result<Waiter<'_>, PollError> {
        let place = self.places.try_acquire().map_err(|_| PollError::TooMany)?;
        let mut bells = self.bells();
        let bell = bells.entry(webhook_id).or_insert_with(|| Bell { rung: Arc::default(), waiters: 0 });
        if bell.waiters >= WAITERS_MAX {
            return Err(PollError::TooManyHere);
        }
        bell.waiters += 1;
        let rung = bell.rung.clone();
        drop(bells);
        self.entered.notify_one();
        Ok(Waiter { room: self, webhook_id, rung, _place: place })
    }

    /// Has those look who wait for something of these webhooks.
    pub(in crate::engine) fn ring(&self, ids: impl IntoIterator<Item = WebhookId>) {
        let bells = self.bells();
        ids.into_iter().filter_map(|id| bells.get(&id)).for_each(|bell| bell.rung.notify_waiters());
    }

    /// Has everybody look.
    pub(in crate::engine) fn ring_all(&self) {
        self.bells().values().for_each(|bell| bell.rung.notify_waiters());
    }

    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    pub(super) async fn closed(&self) {
        self.closing.cancelled().await;
    }

    pub(super) fn waiters(&self) -> usize {
        self.bells().values().map(|bell| bell.waiters).sum()
    }

    fn waited_for(&self) -> Vec<WebhookId> {
        self.bells().keys().copied().collect()
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<WebhookId, Bell>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// The next ring from now on.
    pub(super) fn bell(&self) -> OwnedNotified {
        self.rung.clone().notified_owned()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut bells = self.room.bells();
        if let Some(bell) = bells.get_mut(&self.webhook_id) {
            bell.waiters -= 1;
            if bell.waiters == 0 {
                bells.remove(&self.webhook_id);
            }
        }
    }
}

/// The job: looks for those who wait, for as long as anybody does.
pub async fn run(engine: Arc<Engine>, end: CancellationToken) {
    loop {
        let entered = engine.mailroom.entered.notified();
        let waited_for = engine.mailroom.waited_for();
        let woken = if waited_for.is_empty() {
            tokio::select! {
                () = entered => Woken::ToWork,
                () = end.cancelled() => Woken::ToEnd,
            }
        } else {
            let until = engine.clock.now().plus(LOOK_EVERY);
            match engine.look_for(&waited_for).await {
                Ok(()) => job::rest_until(&engine.clock, until, &end).await,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "it is not known what there is to be collected; looking again"
                    );
                    job::pause(job::AFTER_FAILURE, &end).await
                }
            }
        };
        if woken == Woken::ToEnd {
            return;
        }
    }
}

impl Engine {
    async fn look_for(&self, ids: &[WebhookId]) -> Result<(), StoreError> {
        let mut reader = self.store.read().await?;
        let found = mailbox::with_available(reader.conn(), ids, self.clock.now()).await?;
        self.mailroom.ring(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WebhookId = WebhookId::from_bytes([1; 16]);
    const OTHER: WebhookId = WebhookId::from_bytes([2; 16]);

    #[test]
    fn nobody_is_remembered_who_does_not_wait_any_more() {
        let room = Mailroom::default();

        let waiters = [ONE, OTHER, ONE].map(|id| room.enter(id).unwrap_or_else(|_| unreachable!()));

        assert_eq!(room.waited_for().len(), 2);
        drop(waiters);
        assert!(room.waited_for().is_empty());
        assert_eq!(room.places.available_permits(), PLACES);
    }

    #[test]
    fn one_webhook_keeps_no_more_than_its_share_waiting() {
        let room = Mailroom::default();
        let waiters: Vec<_> = (0..WAITERS_MAX).map_while(|_| room.enter(ONE).ok()).collect();

        assert_eq!(waiters.len(), WAITERS_MAX);
        assert!(matches!(room.enter(ONE), Err(PollError::TooManyHere)));
        assert!(room.enter(OTHER).is_ok());
        drop(waiters);
        assert!(room.enter(ONE).is_ok());
    }

    #[test]
    fn a_node_keeps_no_more_waiting_than_it_has_places() {
        let room = Mailroom::default();
        let id = |number: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            WebhookId::from_bytes(bytes)
        };
        let waiters: Vec<_> = (0..PLACES).map_while(|number| room.enter(id(number)).ok()).collect();

        assert_eq!(waiters.len(), PLACES);
        assert!(matches!(room.enter(id(PLACES)), Err(PollError::TooMany)));
    }

    #[tokio::test]
    async fn a_ring_is_heard_by_all_who_asked_before_it() {
        let room = Mailroom::default();
        let waiters: Vec<_> = (0..3).map_while(|_| room.enter(ONE).ok()).collect();
        let bells: Vec<_> = waiters.iter().map(Waiter::bell).collect();

        room.ring([OTHER, ONE]);

        for bell in bells {
            bell.await;
        }
    }
}
