//! Long polls: answered when something comes in, when it is time, when the server ends, and refused when there are too many.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use super::{Mailbox, events, ids, of_format};
use crate::support::{Answer, Service, send, until, within};

/// Longer than an answer takes on the way, and much shorter than a poll waits.
const SOON: Duration = Duration::from_secs(10);

/// Begins to wait; answers when it is known that somebody does.
async fn waiting(service: &Service, mailbox: &Mailbox) -> JoinHandle<Answer> {
    let before = service.server().engine().pollers();
    let poll = tokio::spawn(send(mailbox.request_as(service, &mailbox.key, &json!({}))));
    until(async || (service.server().engine().pollers() > before).then_some(())).await;
    poll
}

async fn soon(poll: JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(SOON, poll).await.expect("it is answered soon").unwrap()
}

#[tokio::test]
async fn a_poll_waits_for_an_event_and_is_answered_with_it_at_once() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let poll = waiting(&service, &mailbox).await;

    let told = events(&service, 1).await;

    assert_eq!(ids(&soon(poll).await), told);
}

#[tokio::test]
async fn a_poll_that_nothing_comes_in_for_ends_empty_after_half_a_minute() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "token").await;
    let poll = waiting(&service, &mailbox).await;

    service.after(Duration::from_secs(29));
    let early = within(Duration::from_millis(200), async || poll.is_finished().then_some(())).await;
    service.after(Duration::from_secs(1));

    assert_eq!(early, None);
    assert_eq!(soon(poll).await.json(), json!({"deliveries": []}));
}

#[tokio::test]
async fn a_poll_is_answered_when_a_lease_ends_and_when_somebody_asks_for_a_retry() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "token").await;
    let told = events(&service, 1).await;
    assert_eq!(mailbox.now(&service).await, told);

    let poll = waiting(&service, &mailbox).await;
    let path = format!("/v1/webhooks/{}/deliveries/{}/retry", mailbox.id, told[0]);
    assert_eq!(service.post(&path, &json!({})).await.status, 202);
    assert_eq!(ids(&soon(poll).await), told, "asked for again");

    let request = mailbox.request_as(&service, &mailbox.key, &json!({"lease_seconds": 5}));
    let leased = service.post(&path, &json!({})).await;
    assert_eq!((leased.status, ids(&send(request).await)), (202, told.clone()));
    let poll = waiting(&service, &mailbox).await;
    service.after(Duration::from_secs(5));
    assert_eq!(ids(&soon(poll).await), told, "the lease has ended");
}

#[tokio::test]
async fn of_two_that_wait_one_gets_what_is_leased_and_the_other_what_comes_next() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "token").await;
    let mut polls = [waiting(&service, &mailbox).await, waiting(&service, &mailbox).await];

    let first = events(&service, 1).await;
    let at = until(async || polls.iter().position(JoinHandle::is_finished)).await;
    let second = events(&service, 1).await;

    let other = std::mem::replace(&mut polls[1 - at], tokio::spawn(std::future::pending()));
    let one = std::mem::replace(&mut polls[at], tokio::spawn(std::future::pending()));
    assert_eq!((ids(&soon(one).await), ids(&soon(other).await)), (first, second));
}

#[tokio::test]
async fn who_has_hung_up_is_given_nothing() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "token").await;
    let poll = waiting(&service, &mailbox).await;

    poll.abort();
    until(async || (service.server().engine().pollers() == 0).then_some(())).await;
    let told = events(&service, 1).await;

    let answer = mailbox.poll(&service, &json!({})).await.json();
    assert_eq!((&answer["deliveries"][0]["id"], &answer["deliveries"][0]["attempt"]), (&json!(told[0]), &json!(1)));
}

#[tokio::test]
async fn a_server_that_ends_sends_those_home_who_wait() {
    let service = Arc::new(Service::start().await);
    let mailbox = of_format(&service, "set").await;
    let poll = waiting(&service, &mailbox).await;

    let stopwatch = signet::engine::clock::Clock::system().stopwatch();
    Arc::into_inner(service).unwrap().stop().await;

    assert_eq!(soon(poll).await.json(), json!({"sets": {}}));
    assert!(stopwatch.elapsed() < Duration::from_secs(5), "{:?}", stopwatch.elapsed());
}

#[tokio::test]
async fn a_poll_waits_no_longer_once_its_webhook_is_deleted_or_its_key_has_ended() {
    let service = Service::start().await;
    let (deleted, rotated) = (of_format(&service, "set").await, of_format(&service, "set").await);
    let polls = [waiting(&service, &deleted).await, waiting(&service, &rotated).await];

    service.delete(&format!("/v1/webhooks/{}", deleted.id)).await;
    service.post(&format!("/v1/webhooks/{}/pull-key/rotate", rotated.id), &json!({"overlap_seconds": 0})).await;
    events(&service, 1).await;

    let [deleted_answer, rotated_answer] = polls;
    assert_eq!(soon(rotated_answer).await.status, 401);
    service.after(Duration::from_secs(30));
    assert_eq!(soon(deleted_answer).await.json(), json!({"sets": {}}));
}

#[tokio::test]
async fn those_who_wait_are_bounded_and_leave_the_others_their_way() {
    let service = Service::start().await;
    let (mailbox, other) = (of_format(&service, "set").await, of_format(&service, "set").await);
    let mut waiting = JoinSet::new();
    for _ in 0..16 {
        waiting.spawn(send(mailbox.request_as(&service, &mailbox.key, &json!({}))));
    }
    until(async || (service.server().engine().pollers() == 16).then_some(())).await;

    let refused = mailbox.poll(&service, &json!({})).await;
    let short = mailbox.poll(&service, &json!({"returnImmediately": true})).await;
    let told = events(&service, 1).await;

    assert_eq!((refused.status, &refused.problem()["code"]), (429, &json!("too_many_polls")));
    assert_eq!((refused.header("retry-after"), short.status), ("1", 200));
    assert_eq!(other.now(&service).await, told);
    for answer in waiting.join_all().await {
        assert_eq!(ids(&answer), told, "sets are leased to nobody, so all are given them");
    }
}
