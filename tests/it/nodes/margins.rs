//! What margins are counted from, with several nodes: nothing that passed before counts, and no node is forgotten.

use std::time::Duration;

use serde_json::{Value, json};

use super::DAY;
use crate::support::road::Road;
use crate::support::{Answer, Service, database, until};

const HOUR: Duration = Duration::from_hours(1);
/// The shortest publish-ahead that there is. With what HTTP caches add, ten minutes more.
const SHORTEST: (&str, &str) = ("SIGNET_KEY_PUBLISH_AHEAD", "25h");

async fn rotate(service: &Service) -> Answer {
    service.post("/v1/admin/keys/rotate", &json!({})).await
}

/// A request to rotate once the span that just passed is counted.
async fn rotate_now(service: &Service) -> Value {
    let answer = until(async || Some(rotate(service).await).filter(|answer| answer.status != 503)).await;
    json!({"status": answer.status, "detail": answer.json()["detail"]})
}

#[tokio::test]
async fn a_key_counts_as_published_when_the_last_node_serves_it() {
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres()), SHORTEST]).await;
    let other = one.beside().await;
    assert_eq!(rotate(&one).await.status, 200);

    // By its own clock, the other one has not looked for keys since; it still shows that it lives.
    one.pass(20 * HOUR).await;
    let before = rotate_now(&one).await;
    other.after(Duration::from_secs(2));
    let waits_for_all = async || {
        let answer = rotate_now(&one).await;
        (answer != before).then_some(answer)
    };
    let known_to_all = until(waits_for_all).await;
    one.pass(10 * HOUR).await;
    let half_a_day_later = rotate_now(&one).await;
    one.pass(16 * HOUR).await;
    let at_last = rotate_now(&one).await;

    assert!(before["detail"].as_str().unwrap().contains("2026-03-02T13:10:00Z"), "{before}");
    assert!(known_to_all["detail"].as_str().unwrap().contains("2026-03-03T09:10:00Z"), "{known_to_all}");
    assert_eq!((&half_a_day_later["status"], &at_last["status"]), (&json!(409), &json!(200)));
}

#[tokio::test]
async fn what_a_node_measured_before_a_key_was_published_does_not_count_for_it() {
    let url = database::fresh_postgres();
    let road = Road::to(&url).await;
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", road.url()), SHORTEST]).await;
    let other = one.beside_with(&[("SIGNET_DATABASE_URL", &url)]).await;

    // Longer than a lost node is waited for, and than a key is published ahead.
    road.cut();
    one.after(100 * HOUR);
    assert_eq!(rotate(&other).await.status, 200);
    road.open();
    until(async || one.server().engine().step_all_rings().await.ok()).await;
    one.after(Duration::from_secs(1));
    until(async || one.server().engine().step_all_rings().await.ok()).await;

    assert_eq!(rotate_now(&other).await["status"], 409);
}

#[tokio::test]
async fn what_is_noted_of_a_key_reaches_nodes_that_would_promote_it() {
    let margins = [("SIGNET_KEY_PERIOD", "7d"), ("SIGNET_KEY_GRACE", "1d")];
    let url = database::fresh_postgres();
    let one = Service::start_with(&[&[("SIGNET_DATABASE_URL", url.as_str())][..], &margins[..]].concat()).await;
    let other = one.beside().await;
    assert_eq!(rotate(&one).await.status, 200);

    one.pass(6 * DAY).await;
    until(async || one.server().engine().step_all_rings().await.ok()).await;
    other.after(Duration::from_secs(2));
    for node in [&other, &one] {
        until(async || node.server().engine().step_all_rings().await.ok()).await;
    }
    // By what this node has in memory, the key is due.
    one.after(25 * HOUR);
    until(async || one.server().engine().step_all_rings().await.ok()).await;

    let promotes_at = async || {
        let plan = one.get("/v1/admin/keys/plan").await.json();
        let promotion = plan["data"].as_array()?.iter().find(|step| step["action"] == "promote")?;
        (promotion["at"] == "2026-03-14T12:00:00Z").then_some(())
    };
    until(promotes_at).await;
}
