//! The database goes away and comes back: what needs it is refused with a time to come back, what does not goes on, and
//! nothing that was accepted is lost.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{DAY, RETRY_IS_DUE};
use crate::support::road::Road;
use crate::support::{Answer, Receiver, Service, database, send, until, within};

/// How long after the database is back events may still be refused.
const ACCEPTED_AGAIN_WITHIN: Duration = Duration::from_secs(10);

async fn publish(service: &Service) -> Answer {
    service.post("/v1/events", &json!({"type": "user.created", "data": 1})).await
}

/// Closes the road to the database and opens it again, with one delivery that waits for its retry and one in hand.
async fn check_survives(close: fn(&Road), reopen: fn(&Road)) {
    let road = Road::to(&database::fresh_postgres()).await;
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", road.url())]).await;
    let receiver = Receiver::start().await;
    let webhook = service.webhook(&receiver, &["*"]).await;
    receiver.answering(500);
    let waits = service.event("user.created").await;
    service.delivery_when(&webhook, &waits, "failed").await;
    receiver.answering(200);
    receiver.holding();
    let in_hand = service.event("user.created").await;
    receiver.received_when(2).await;

    close(&road);
    receiver.letting_go();
    check_away(&service).await;
    reopen(&road);

    let accepted = async || Some(publish(&service).await).filter(|answer| answer.status == 202);
    let accepted = within(ACCEPTED_AGAIN_WITHIN, accepted).await.expect("events are accepted again in time");
    service.after(RETRY_IS_DUE);
    for event in [&waits, &in_hand, accepted.json()["id"].as_str().unwrap()] {
        service.delivery_when(&webhook, event, "delivered").await;
    }
    until(async || (send(service.anonymous(Method::GET, "/readyz")).await.status == 200).then_some(())).await;
}

/// What a node answers while its database is away.
async fn check_away(service: &Service) {
    let ask = |path: &str| send(service.anonymous(Method::GET, path));
    let (refused, ready) = tokio::join!(publish(service), ask("/readyz"));
    let (jwks, health) = tokio::join!(ask("/.well-known/jwks.json"), ask("/healthz"));

    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{}", refused.text);
    assert_eq!((ready.status, ready.header("retry-after")), (503, "1"), "{}", ready.text);
    assert_eq!((jwks.status, health.status), (200, 200));
    assert_eq!(jwks.json()["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_node_goes_on_when_its_database_is_cut_off_and_comes_back() {
    check_survives(Road::cut, Road::open).await;
}

#[tokio::test]
async fn a_node_goes_on_when_its_database_stands_still_and_moves_again() {
    check_survives(Road::block, Road::open).await;
}

#[tokio::test]
async fn a_node_goes_on_when_its_connections_are_lost_without_a_word() {
    check_survives(Road::block, Road::open_to_newcomers).await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_serves_its_key_set_for_two_days_and_then_says_when_to_come_back() {
    let road = Road::to(&database::fresh_postgres()).await;
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", road.url())]).await;
    let tenant = service.tenant("other").await;
    let paths = ["/.well-known/jwks.json".to_owned(), format!("/{tenant}/.well-known/jwks.json")];
    let ask = async || {
        let [default, other] = paths.each_ref().map(|path| send(service.anonymous(Method::GET, path)));
        let (default, other) = tokio::join!(default, other);
        [default, other]
    };
    let served = |answers: &[Answer; 2]| answers.each_ref().map(|answer| (answer.status, answer.text.clone()));
    let before = served(&ask().await);
    assert!(before.iter().all(|(status, _)| *status == 200));

    road.cut();

    for _ in 0..2 {
        service.after(DAY);
        assert_eq!(served(&ask().await), before);
    }
    service.after(Duration::from_secs(5));
    for refused in ask().await {
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{}", refused.text);
        assert_eq!(refused.problem()["code"], "unavailable");
        assert!(!refused.headers.contains_key("cache-control"));
    }

    road.open();
    let again = async || {
        service.after(Duration::from_secs(1));
        Some(served(&ask().await)).filter(|answers| answers.iter().all(|(status, _)| *status == 200))
    };
    assert_eq!(within(ACCEPTED_AGAIN_WITHIN, again).await, Some(before));
}

#[tokio::test]
async fn a_node_that_lost_every_connection_in_the_middle_of_a_question_makes_others() {
    let road = Road::to(&database::fresh_postgres()).await;
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", road.url())]).await;
    let ask_from_all_sides = async || {
        let mut asking = JoinSet::new();
        for _ in 0..64 {
            asking.spawn(send(service.request(Method::GET, "/v1/webhooks")));
        }
        asking.join_all().await
    };
    assert!(ask_from_all_sides().await.iter().all(|answer| answer.status == 200));

    road.block();
    let refused = ask_from_all_sides().await;
    road.open_to_newcomers();

    assert!(refused.iter().all(|answer| (answer.status, answer.header("retry-after")) == (503, "1")));
    let accepted = async || (publish(&service).await.status == 202).then_some(());
    within(ACCEPTED_AGAIN_WITHIN, accepted).await.expect("events are accepted again in time");
}
