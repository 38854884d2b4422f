//! What is kept, and for how long.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Receiver, Service};

const DAY: Duration = Duration::from_hours(24);

async fn sweep(service: &Service) {
    service.server().engine().sweep(&CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn an_event_and_its_log_are_forgotten_after_the_retention() {
    let (service, receiver) = (Service::start_with(&[("SIGNET_RETENTION", "10d")]).await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["user"]).await;
    let event = service.event("user.created").await;
    service.delivery_when(&webhook, &event, "delivered").await;
    let path = format!("/v1/webhooks/{webhook}/deliveries/{event}");

    service.after(9 * DAY);
    sweep(&service).await;
    let kept = [service.get(&format!("/v1/events/{event}")).await.status, service.get(&path).await.status];
    service.after(3 * DAY);
    sweep(&service).await;
    let forgotten = [service.get(&format!("/v1/events/{event}")).await.status, service.get(&path).await.status];

    assert_eq!((kept, forgotten), ([200; 2], [404; 2]));
    assert_eq!(service.get("/v1/events").await.json()["data"], json!([]));
    service.event("user.created").await;
    receiver.received_when(2).await;
}

#[tokio::test]
async fn an_event_that_is_still_owed_is_kept_however_old_it_is() {
    let (service, receiver) = (Service::start_with(&[("SIGNET_RETENTION", "4d")]).await, Receiver::start().await);
    receiver.answering(500);
    let webhook = service.webhook(&receiver, &["user"]).await;
    let event = service.event("user.created").await;
    service.delivery_when(&webhook, &event, "failed").await;
    receiver.answering_after(Duration::from_hours(1));

    service.after(30 * DAY);
    sweep(&service).await;

    assert_eq!(service.get(&format!("/v1/events/{event}")).await.status, 200);
}
