//! How a tenant's keys rotate: margins of its own, and a change of algorithm at a date.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{DAY, delivered, jwks, rotate, verified};
use crate::support::{Answer, Receiver, Service, until};

/// The path of the default tenant.
async fn path(service: &Service) -> String {
    let tenants = service.get("/v1/admin/tenants").await.json();
    format!("/v1/admin/tenants/{}", tenants["data"][0]["id"].as_str().unwrap())
}

async fn change(service: &Service, body: Value) -> Answer {
    service.patch(&path(service).await, &body).await
}

async fn algorithms(service: &Service) -> Vec<String> {
    let set = jwks(service).await.json();
    set["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_tenant_rotates_by_margins_of_its_own_until_they_are_taken_back() {
    let service = Service::start().await;
    let plan = async || service.get("/v1/admin/keys/plan").await.json()["data"][0]["at"].clone();
    let inherited = plan().await;

    let own = change(&service, json!({"key_policy": {"period_seconds": 30 * 86_400, "grace_seconds": 86_400}})).await;
    let planned = plan().await;
    let back = change(&service, json!({"key_policy": null})).await;

    assert_eq!((own.status, back.status), (200, 200), "{} {}", own.text, back.text);
    assert_eq!(
        own.json()["key_policy"],
        json!({
            "inherited": false, "profile": "standard", "period_seconds": 2_592_000,
            "publish_ahead_seconds": 604_800, "grace_seconds": 86_400
        })
    );
    assert_eq!((planned, &plan().await), (json!("2026-03-31T12:00:00Z"), &inherited));
    assert_eq!(back.json()["key_policy"]["inherited"], true);
}

#[tokio::test]
async fn margins_that_would_break_a_receiver_are_refused_each_under_its_own_name() {
    let service = Service::start().await;
    let wish = json!({"period_seconds": 86_400, "publish_ahead_seconds": 3_600, "grace_seconds": 60});

    let refused = change(&service, json!({"key_policy": wish})).await;
    let in_development = change(
        &service,
        json!({"key_policy": {"profile": "development", "grace_seconds": 60,
        "period_seconds": 20, "publish_ahead_seconds": 10}}),
    );

    let errors = refused.json()["errors"].clone();
    assert_eq!(refused.status, 422);
    assert_eq!(errors[1]["pointer"], "/key_policy/publish_ahead_seconds");
    assert!(errors[1]["detail"].as_str().unwrap().contains("24 h too short"), "{errors}");
    assert_eq!(
        (&errors[0]["pointer"], &errors[2]["pointer"]),
        (&json!("/key_policy/period_seconds"), &json!("/key_policy/grace_seconds"))
    );
    assert_eq!(in_development.await.status, 200);
    let served = jwks(&service).await;
    assert!(served.header("cache-control").contains("max-age=1,"), "{}", served.header("cache-control"));
}

#[tokio::test]
async fn a_change_of_algorithm_is_announced_first_and_verified_by_whoever_cached_the_announcement() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    service.webhook(&receiver, &["*"]).await;

    let planned = change(&service, json!({"cut_over": {"algorithm": "RS256"}})).await;
    let cached = jwks(&service).await.text;
    let steps = service.get("/v1/admin/keys/plan").await.json()["data"].clone();
    let warnings = service.get("/v1/admin/keys").await.json()["warnings"].clone();
    let announced = algorithms(&service).await;
    let before = delivered(&service, &receiver).await;
    verified(&service, &before, service.url(), &cached);
    service.pass(7 * DAY).await;
    until(async || (algorithms(&service).await == ["RS256", "RS256", "ES256"]).then_some(())).await;
    let after = delivered(&service, &receiver).await;

    assert_eq!(planned.json()["cut_over"], json!({"algorithm": "RS256", "at": "2026-03-08T12:00:00Z"}));
    assert_eq!(announced, ["ES256", "ES256", "RS256"], "the algorithm in use comes first");
    assert_eq!((&steps[0]["action"], &steps[0]["at"]), (&json!("promote"), &json!("2026-03-08T12:00:00Z")));
    assert!(warnings[0].as_str().unwrap().contains("several algorithms"), "{warnings}");
    assert_eq!(verified(&service, &after, service.url(), &cached).algorithm.as_str(), "RS256");
    service.pass(7 * DAY).await;
    let left = until(async || {
        let kinds: BTreeSet<String> = algorithms(&service).await.into_iter().collect();
        (kinds.len() == 1).then_some(kinds)
    });
    assert_eq!(left.await, BTreeSet::from(["RS256".to_owned()]), "the old algorithm leaves after its grace");
    assert_eq!(service.get(&path(&service).await).await.json()["algorithm"], "RS256");
}

#[tokio::test]
async fn a_change_of_algorithm_that_comes_too_early_is_refused_and_one_that_is_called_off_leaves_no_key() {
    let service = Service::start().await;
    let before = jwks(&service).await.text;

    let early = change(&service, json!({"cut_over": {"algorithm": "EdDSA", "at": "2026-03-02T12:00:00Z"}})).await;
    let unknown = change(&service, json!({"cut_over": {"algorithm": "HS256"}})).await;
    let planned = change(&service, json!({"cut_over": {"algorithm": "EdDSA", "at": "2026-04-01T00:00:00Z"}})).await;
    let announced = algorithms(&service).await;
    let called_off = change(&service, json!({"cut_over": null})).await;

    assert_eq!((early.status, unknown.status), (422, 422));
    let detail = early.json()["errors"][0]["detail"].clone();
    assert!(detail.as_str().unwrap().contains("6 days too early: cut over at 2026-03-08T12:00:00Z"), "{detail}");
    assert_eq!((planned.status, announced.len(), called_off.status), (200, 3, 200));
    assert_eq!(jwks(&service).await.text, before);
}

#[tokio::test]
async fn a_clock_that_is_set_forward_makes_no_standby_sign() {
    let service = Service::start().await;
    rotate(&service, json!({})).await;
    let clock = &service.server().engine().clock;

    clock.set(clock.now().plus(400 * DAY));
    let requested = rotate(&service, json!({})).await;
    service.server().engine().step_all_rings().await.unwrap();
    let states = service.get("/v1/admin/keys").await.json();
    clock.advance(7 * DAY);
    let later = until(async || {
        let keys = service.get("/v1/admin/keys").await.json();
        let archived = keys["data"].as_array().unwrap().iter().filter(|key| key["state"] == "archived").count();
        (archived > 0).then_some(keys)
    });

    assert_eq!((requested.status, &requested.json()["code"]), (409, &json!("too_soon")));
    assert_eq!(states["data"].as_array().unwrap().len(), 3, "nothing has moved: {states}");
    let later = later.await;
    let active = later["data"].as_array().unwrap().iter().find(|key| key["state"] == "active").unwrap();
    assert_eq!(active["kid"], states["data"][2]["kid"], "what really took a week has: {later}");
}
