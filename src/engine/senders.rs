//! Where deliveries are under way: a thread per core, each with an executor and kept connections of its own.
//!
//! A delivery is a dozen short steps with waits in between. On an executor that threads share, many of those steps begin
//! by waking another thread, which costs more than the step. Here a delivery, its connection and its timer stay on one
//! thread; only its beginning and its verdict cross over, and those travel in batches.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Engine;
use super::dispatch::Shipment;
use crate::domain::id::WebhookId;

/// How many more deliveries than the idlest a thread may have before it is not given those of its own webhooks any more.
const AHEAD_MAX: usize = 8;
/// Shipments that are taken over at a time.
const BATCH: usize = 64;
/// How long the end waits for deliveries that are under way before it gives them back.
const FINISH_FOR: Duration = Duration::from_secs(25);

/// The desks of all sender threads.
pub(super) struct Senders(Vec<Desk>);

/// Where one sender thread is handed its shipments. They need no bound of their own: the lanes count them.
struct Desk {
    shipments: mpsc::UnboundedSender<Ticketed>,
    ticket: Ticket,
}

/// Every shipment at a desk holds a copy of its ticket, so the copies tell how many there are.
type Ticket = Arc<()>;
type Ticketed = (Shipment, Ticket);

/// What one sender thread is handed.
pub struct Outbox(mpsc::UnboundedReceiver<Ticketed>);

impl Senders {
    pub(super) fn new(count: NonZeroUsize) -> (Self, Vec<Outbox>) {
        let desk = |_| {
            let (shipments, outbox) = mpsc::unbounded_channel();
            (Desk { shipments, ticket: Ticket::default() }, Outbox(outbox))
        };
        let (desks, outboxes) = (0..count.get()).map(desk).unzip();
        (Self(desks), outboxes)
    }

    /// Hands a shipment over. Leave for it was taken from the lanes and is given back when it is done.
    pub(super) fn send(&self, shipment: Shipment) {
        let desk = self.desk_for(shipment.claim.key.webhook_id);
        // A thread that takes no more is ending, and this node with it: the delivery is given back.
        let _ = desk.shipments.send((shipment, desk.ticket.clone()));
    }

    /// A webhook has a desk of its own, whose thread keeps a connection to its receiver, and is served at the idlest when
    /// that one is busier: a quiet webhook needs one connection, a busy one gets every core.
    fn desk_for(&self, webhook_id: WebhookId) -> &Desk {
        let load = |desk: &Desk| Arc::strong_count(&desk.ticket);
        let (first, others) = self.0.split_first().expect("there is a sender for each of a non-zero count");
        let idlest = others.iter().fold(first, |idlest, desk| if load(desk) < load(idlest) { desk } else { idlest });
        // The end of an id is random.
        let own = usize::from(webhook_id.as_bytes()[15]) % self.0.len();
        self.0.get(own).filter(|own| load(own) <= load(idlest) + AHEAD_MAX).unwrap_or(idlest)
    }
}

/// The job of one sender thread: sends what it is handed until the end, then finishes what is under way or gives it back.
pub async fn run(engine: Arc<Engine>, Outbox(mut shipments): Outbox, end: CancellationToken) {
    let egress = match engine.egress.with_own_connections() {
        Ok(egress) => egress,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "nothing can be sent");
            return;
        }
    };
    let under_way = TaskTracker::new();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            received = shipments.recv_many(&mut batch, BATCH) => received,
            () = end.cancelled() => {
                shipments.close();
                shipments.recv_many(&mut batch, BATCH).await
            }
        };
        if received == 0 {
            break;
        }
        for (shipment, ticket) in batch.drain(..) {
            let (engine, egress) = (engine.clone(), egress.clone());
            // In a task of its own, so that one that panics takes no other with it.
            under_way.spawn(async move {
                engine.deliver(&egress, shipment).await;
                drop(ticket);
            });
        }
    }
    under_way.close();
    if tokio::time::timeout(FINISH_FOR, under_way.wait()).await.is_err() {
        tracing::warn!(deliveries.count = under_way.len(), "deliveries still under way are given back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::{Claim, DeliveryKey};
    use crate::domain::id::EventId;

    /// How many of so many shipments to one webhook each of two desks got.
    fn split(shipments: usize) -> [usize; 2] {
        let (senders, mut outboxes) = Senders::new(NonZeroUsize::new(2).unwrap());
        for _ in 0..shipments {
            let key =
                DeliveryKey { webhook_id: WebhookId::from_bytes([1; 16]), event_id: EventId::from_bytes([1; 16]) };
            let claim = Claim { key, fence: 1, attempt: 1 };
            senders.send(Shipment { claim, event: None, addressee: None, load: 1 });
        }
        let mut count = |desk: usize| std::iter::from_fn(|| outboxes[desk].0.try_recv().ok()).collect::<Vec<_>>().len();
        [count(0), count(1)]
    }

    #[test]
    fn a_quiet_webhook_keeps_to_one_thread() {
        assert_eq!(split(AHEAD_MAX), [0, AHEAD_MAX]);
    }

    #[test]
    fn a_busy_webhook_gets_every_thread() {
        let [least, most] = split(100);

        assert!(least.abs_diff(most) <= AHEAD_MAX + 1, "{least} and {most}");
    }
}
