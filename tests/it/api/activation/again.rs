//! A receiver shows again and again that it wants deliveries, where that is wished.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use signet::domain::delivery::ATTEMPT_WITHIN;

use super::{Mood, Willing, activate, listeners, made, path_of};
use crate::support::{Receiver, Service, until, within};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_receiver_is_asked_again_and_again_where_that_is_wished() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "challenge", "every_seconds": 86_400})).await;
    activate(&service, &webhook).await;
    let shown = async || service.get(&path_of(&webhook)).await.json();
    assert_eq!(shown().await["activation"]["due_at"], "2026-03-02T12:00:00Z");

    service.after(DAY);
    until(async || (shown().await["activation"]["due_at"] == "2026-03-03T12:00:00Z").then_some(())).await;
    willing.is_willing(false);
    service.after(DAY);
    until(async || (shown().await["status"] == "failing").then_some(())).await;
    willing.is_willing(true);
    service.after(Duration::from_hours(1));
    until(async || (shown().await["status"] == "active").then_some(())).await;
}

#[tokio::test]
async fn who_does_not_show_it_again_is_warned_of_and_hears_of_nothing_however_much_it_acknowledges() {
    let (service, willing, watcher) = (Service::start().await, Willing::start().await, Receiver::start().await);
    service.webhook(&watcher, &["signet"]).await;
    let webhook = made(&service, &willing.url, json!({"method": "challenge", "every_seconds": 86_400})).await;
    activate(&service, &webhook).await;
    let shown = async || service.get(&path_of(&webhook)).await.json();
    willing.is_willing(false);
    service.after(DAY);
    let failing = until(async || Some(shown().await).filter(|shown| shown["status"] == "failing")).await;
    assert_eq!(failing["failing_since"], "2026-03-02T12:00:00Z");
    assert_eq!(failing["activation"]["unproven_since"], "2026-03-02T12:00:00Z");

    let mut half_days = 0;
    loop {
        let event = service.post("/v1/events", &json!({"type": "user.created", "data": 1})).await.json();
        if event["deliveries"] == 0 {
            break;
        }
        // It is acknowledged, unless the webhook is pending by now.
        let delivery = format!("{}/deliveries/{}", path_of(&webhook), event["id"].as_str().unwrap());
        let ended =
            until(async || Some(service.get(&delivery).await).filter(|it| it.json()["status"] != "pending")).await;
        assert!(["delivered", "cancelled"].contains(&ended.json()["status"].as_str().unwrap()), "{}", ended.text);
        half_days += 1;
        assert!(half_days < 20, "it is never given up");
        service.after(DAY / 2);
        let due_at = service.now().plus(Duration::from_hours(1)).to_string();
        until(async || {
            let shown = shown().await;
            (shown["status"] == "pending" || shown["activation"]["due_at"] == due_at.as_str()).then_some(())
        })
        .await;
    }

    assert_eq!(shown().await["status"], "pending");
    assert!(half_days >= 10, "given up after {half_days} half days");
    assert_eq!(listeners(&service).await, 0);
    for (name, member, value) in [
        ("signet.webhook.failing", "unproven_since", "2026-03-02T12:00:00Z"),
        ("signet.webhook.disabled", "status", "pending"),
    ] {
        let heard = until(async || watcher.received().into_iter().find(|told| told.event() == name)).await;
        assert_eq!(heard.claims()["data"][member], value, "{name}");
    }
    willing.is_willing(true);
    assert_eq!(activate(&service, &webhook).await["status"], "active");
    assert_eq!(listeners(&service).await, 1);
}

#[tokio::test]
async fn a_change_of_its_interval_leaves_due_what_is_due() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "challenge"})).await;
    let due = async |change: Value| service.patch(&path_of(&webhook), &change).await.json()["activation"].clone();
    let every = |seconds: u64| json!({"activation": {"method": "challenge", "every_seconds": seconds}});
    assert_eq!(due(every(7_200)).await.get("due_at"), None, "nobody has shown anything yet");
    due(json!({"activation": {"method": "challenge"}})).await;
    activate(&service, &webhook).await;

    assert_eq!(due(every(7_200)).await["due_at"], "2026-03-01T14:00:00Z");
    assert_eq!(due(every(7_200)).await["due_at"], "2026-03-01T14:00:00Z");
    assert_eq!(due(every(86_400)).await["due_at"], "2026-03-01T14:00:00Z");
    assert_eq!(due(every(3_600)).await["due_at"], "2026-03-01T13:00:00Z");
    assert_eq!(due(json!({"description": "the same"})).await["due_at"], "2026-03-01T13:00:00Z");
    assert_eq!(due(json!({"activation": {"method": "challenge"}})).await.get("due_at"), None);
}

#[tokio::test]
async fn who_need_not_show_it_again_any_more_fails_no_more_for_not_having_done_so() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "challenge", "every_seconds": 3_600})).await;
    activate(&service, &webhook).await;
    willing.is_willing(false);
    service.after(Duration::from_hours(1));
    until(async || (service.get(&path_of(&webhook)).await.json()["status"] == "failing").then_some(())).await;

    let changed = service.patch(&path_of(&webhook), &json!({"activation": {"method": "challenge"}})).await.json();

    assert_eq!(changed["status"], "active");
}

#[tokio::test]
async fn receivers_that_do_not_answer_hold_up_nobody_who_is_asked_again() {
    let (service, dead, alive) = (Service::start().await, Willing::start().await, Willing::start().await);
    let every = json!({"method": "challenge", "every_seconds": 3_600});
    for _ in 0..3 {
        activate(&service, &made(&service, &dead.url, every.clone()).await).await;
    }
    let webhook = made(&service, &alive.url, every).await;
    activate(&service, &webhook).await;
    dead.is(Mood::Silent);

    service.after(Duration::from_hours(1));

    let asked = async || alive.asked.load(Ordering::SeqCst) >= 2;
    let in_time = within(ATTEMPT_WITHIN / 2, async || asked().await.then_some(())).await;
    assert!(in_time.is_some());
}

#[tokio::test]
async fn a_receiver_that_is_gone_when_it_is_asked_again_hears_of_nothing_more() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "challenge", "every_seconds": 3_600})).await;
    activate(&service, &webhook).await;
    willing.is(Mood::Gone);

    service.after(Duration::from_hours(1));

    let shown = async || service.get(&path_of(&webhook)).await.json();
    let after = until(async || Some(shown().await).filter(|shown| shown["status"] != "active")).await;
    assert_eq!((&after["status"], &after["disabled_reason"]), (&json!("disabled"), &json!("gone")));
}
