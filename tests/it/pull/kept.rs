//! What waits for its receiver is kept through whatever happens to the webhook, is shown, and is given up in time and not silently.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Mailbox, events, ids, made, of_format};
use crate::support::{Receiver, Service};

const DAY: Duration = Duration::from_hours(24);

async fn enable(service: &Service, mailbox: &Mailbox, enabled: bool) {
    let answer = service.patch(&format!("/v1/webhooks/{}", mailbox.id), &json!({"enabled": enabled})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn sweep(service: &Service) {
    service.server().engine().sweep(&CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn a_disabled_webhook_keeps_what_it_has_and_takes_acknowledgements_and_goes_on_in_order() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let before = events(&service, 3).await;
    assert_eq!(mailbox.now(&service).await, before);

    enable(&service, &mailbox, false).await;
    let paused = mailbox.now(&service).await;
    mailbox.acknowledge(&service, &before[..1]).await;
    let missed = events(&service, 1).await;
    enable(&service, &mailbox, true).await;
    let after = events(&service, 1).await;

    assert_eq!(paused, [""; 0]);
    assert_eq!(mailbox.now(&service).await, [&before[1..], &after].concat());
    let path = format!("/v1/webhooks/{}/replay", mailbox.id);
    let replayed = service.post(&path, &json!({"from": "2026-03-01T00:00:00Z"})).await;
    assert_eq!(replayed.json()["scheduled"], 4, "{}", replayed.text);
    assert_eq!(mailbox.now(&service).await, [&before[1..], &missed, &after].concat(), "in the order of the events");
}

#[tokio::test]
async fn the_delivery_log_shows_what_waits_and_what_became_of_it() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "token").await;
    let told = events(&service, 2).await;
    let path = format!("/v1/webhooks/{}/deliveries", mailbox.id);

    let fresh = service.get(&format!("{path}/{}", told[0])).await.json();
    mailbox.now(&service).await;
    let handed = service.get(&format!("{path}/{}", told[0])).await.json();
    mailbox.acknowledge(&service, &told[..1]).await;

    assert_eq!(
        (&fresh["status"], &fresh["attempts"], fresh.get("last_attempt_at")),
        (&json!("pending"), &json!(0), None)
    );
    assert_eq!((&handed["status"], &handed["attempts"]), (&json!("pending"), &json!(1)));
    assert_eq!(handed["last_attempt_at"], "2026-03-01T12:00:00Z");
    assert_eq!((&handed["next_attempt_at"], &handed["log"]), (&json!("2026-03-01T12:01:00Z"), &json!([])));
    assert_eq!(
        (service.deliveries(&mailbox.id, "pending").await, service.deliveries(&mailbox.id, "delivered").await),
        (1, 1)
    );
    let of_event = service.get(&format!("/v1/events/{}", told[1])).await.json();
    assert_eq!(of_event["deliveries"][0]["webhook_id"], mailbox.id.as_str(), "{of_event}");
}

#[tokio::test]
async fn what_was_refused_or_collected_comes_again_when_somebody_asks_for_it() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let told = events(&service, 2).await;
    mailbox.now(&service).await;
    let words = json!({"maxEvents": 0, "ack": [told[0]], "setErrs": {told[1].clone(): {"err": "jws"}}});
    mailbox.poll(&service, &words).await;
    let retry = async |event: &str| {
        service.post(&format!("/v1/webhooks/{}/deliveries/{event}/retry", mailbox.id), &json!({})).await
    };

    let (collected, refused) = (retry(&told[0]).await, retry(&told[1]).await);

    assert_eq!((collected.status, &collected.json()["status"]), (202, &json!("pending")), "{}", collected.text);
    assert_eq!((refused.status, &refused.json()["status"]), (202, &json!("failed")), "{}", refused.text);
    assert_eq!(mailbox.now(&service).await, told);
    mailbox.acknowledge(&service, &told).await;
    let delivery = service.delivery_when(&mailbox.id, &told[1], "delivered").await;
    let log: Vec<(&Value, &Value)> =
        delivery["log"].as_array().unwrap().iter().map(|one| (&one["number"], &one["status_code"])).collect();
    assert_eq!(log, [(&json!(1), &json!(400)), (&json!(2), &json!(200))]);
    let nobodys = retry("evt_01HZZZZZZZZZZZZZZZZZZZZZZZ").await;
    assert_eq!(nobodys.status, 404);
}

#[tokio::test]
async fn polls_that_nothing_comes_of_leave_no_more_than_a_count() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let told = events(&service, 1).await;

    for _ in 0..50 {
        assert_eq!(mailbox.now(&service).await, told);
    }

    let delivery = service.get(&format!("/v1/webhooks/{}/deliveries/{}", mailbox.id, told[0])).await.json();
    assert_eq!((&delivery["attempts"], &delivery["log"]), (&json!(50), &json!([])));
    mailbox.acknowledge(&service, &told).await;
    let delivery = service.delivery_when(&mailbox.id, &told[0], "delivered").await;
    assert_eq!((&delivery["attempts"], delivery["log"].as_array().unwrap().len()), (&json!(50), 1));
}

#[tokio::test]
async fn what_nobody_collects_is_given_up_a_day_before_it_is_forgotten_and_that_is_told() {
    let (service, receiver) = (Service::start_with(&[("SIGNET_RETENTION", "4d")]).await, Receiver::start().await);
    let mailbox = of_format(&service, "set").await;
    service.webhook(&receiver, &["signet.delivery.exhausted"]).await;
    let told = events(&service, 2).await;
    ids(&mailbox.poll(&service, &json!({"maxEvents": 1})).await);

    service.after(Duration::from_mins(3 * 24 * 60 - 1));
    sweep(&service).await;
    assert_eq!(mailbox.now(&service).await, told, "not yet");
    service.after(Duration::from_mins(2));
    sweep(&service).await;

    assert!(mailbox.now(&service).await.is_empty());
    let handed = service.delivery_when(&mailbox.id, &told[0], "exhausted").await;
    assert_eq!((&handed["log"][0]["failure"], &handed["attempts"]), (&json!("timeout"), &json!(2)), "{handed}");
    let news = receiver.received_when(2).await;
    let about: Vec<Value> = news.iter().map(|news| news.claims()["data"]["event_id"].clone()).collect();
    assert!(told.iter().all(|id| about.contains(&json!(id))), "{about:?}");
    let again = service.post(&format!("/v1/webhooks/{}/deliveries/{}/retry", mailbox.id, told[0]), &json!({})).await;
    assert_eq!(again.status, 202);
    sweep(&service).await;
    assert_eq!(mailbox.now(&service).await, told[..1], "who asks for it again has a day");
}

#[tokio::test]
async fn nothing_is_forgotten_that_still_waits() {
    let service = Service::start_with(&[("SIGNET_RETENTION", "4d")]).await;
    let mailbox = of_format(&service, "set").await;
    let told = events(&service, 1).await;
    service.after(DAY * 3 + Duration::from_hours(1));
    sweep(&service).await;
    service.post(&format!("/v1/webhooks/{}/deliveries/{}/retry", mailbox.id, told[0]), &json!({})).await;

    service.after(Duration::from_hours(23));
    sweep(&service).await;
    assert_eq!(mailbox.now(&service).await, told);
    service.after(DAY * 2);
    sweep(&service).await;

    assert!(mailbox.now(&service).await.is_empty());
    assert_eq!(service.get(&format!("/v1/events/{}", told[0])).await.status, 404);
}

#[tokio::test]
async fn what_waits_for_a_deleted_webhook_ends_however_much_it_is() {
    let service = Service::start().await;
    let mailbox = Mailbox::of(&made(&service, json!({"events": ["user"]})).await);
    let batch: Vec<Value> = (0..1_000).map(|number| json!({"type": "user.created", "data": number})).collect();
    for _ in 0..6 {
        service.post("/v1/events/batch", &json!({"events": batch})).await;
    }

    assert_eq!(service.delete(&format!("/v1/webhooks/{}", mailbox.id)).await.status, 204);
    sweep(&service).await;

    let left = service.tamper_rows("delete from mailbox where 1 = 1").await;
    let cancelled = service.tamper_rows("delete from deliveries where ending = 'cancelled'").await;
    assert_eq!((left, cancelled), (0, 6_000));
}

#[tokio::test]
async fn a_delivery_whose_event_cannot_be_read_is_in_nobodys_way() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let told = events(&service, 2).await;
    service
        .tamper(
            "update events set type = 'No Type' where id = (select event_id from mailbox order by event_id limit 1)",
        )
        .await;

    let seen = [
        mailbox.poll(&service, &json!({"maxEvents": 1, "returnImmediately": true})).await,
        mailbox.poll(&service, &json!({"maxEvents": 1, "returnImmediately": true})).await,
    ];

    assert_eq!(ids(&seen[1]), told[1..]);
    assert_eq!(service.tamper_rows("delete from deliveries where ending = 'cancelled'").await, 1);
}
