//! What belongs to one tenant does not exist for another.

use reqwest::Method;
use serde_json::{Value, json};
use signet::api::{ROUTES, Route};

use super::{Ids, NO_EVENT, body};
use crate::support::{ADMIN_KEY, Answer, Receiver, Service, send, with_json};

/// A default tenant with a webhook and a delivered event, and another tenant.
struct Neighbours {
    service: Service,
    receiver: Receiver,
    webhook: String,
    event: String,
    other: String,
    others_key: String,
}

async fn neighbours() -> Neighbours {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["user"]).await;
    let event = service.event("user.created").await;
    service.delivery_when(&webhook, &event, "delivered").await;
    let other = service.tenant("other").await;
    let others_key = service.api_key_of(&other, &["admin"]).await;
    Neighbours { service, receiver, webhook, event, other, others_key }
}

impl Neighbours {
    /// Asks as the other tenant: with its own key, or as the operator on its behalf.
    async fn ask(&self, key: &str, route: &str) -> Answer {
        self.tell(key, route, "{}").await
    }

    async fn tell(&self, key: &str, route: &str, body: &str) -> Answer {
        let request = self.service.request_with(key, route).header("x-tenant-id", &self.other);
        send(if route.starts_with('P') { with_json(request, body) } else { request }).await
    }
}

#[tokio::test]
async fn anothers_things_are_answered_like_missing_ones_and_stay_as_they_are() {
    let them = neighbours().await;
    let api_key = them.service.post("/v1/admin/api-keys", &json!({"scopes": ["admin"]})).await.json();
    let tenants = them.service.get("/v1/admin/tenants").await;
    let keys = them.service.get("/v1/admin/keys").await;
    let first = |list: &Answer, member: &str| list.json()["data"][0][member].as_str().unwrap().to_owned();
    let theirs = Ids {
        webhook: &them.webhook,
        event: &them.event,
        tenant: &first(&tenants, "id"),
        api_key: api_key["id"].as_str().unwrap(),
        kid: &first(&keys, "kid"),
        event_type: "theirs.alone",
    };
    let described = them.service.request(Method::PUT, "/v1/event-types/theirs.alone");
    assert_eq!(send(with_json(described, r#"{"description": "theirs"}"#)).await.status, 201);
    // A name that a caller makes up is its own, and every tenant has hooks of the same kinds.
    let names_own = |route: &Route| {
        route.method == Method::PUT || route.path.contains("/presets/") || route.path.contains("{kind}")
    };
    // Receivers come with keys of their own: `tests/it/pull/keys.rs`.
    let is_asked = |route: &&Route| route.path.contains('{') && !names_own(route) && route.scope.is_some();
    let before = them.service.get(&format!("/v1/webhooks/{}", them.webhook)).await.text;

    for route in ROUTES.iter().filter(is_asked) {
        // Tenants are the affair of instance-wide keys alone, which reach them all.
        let (is_of_installation, path) = (route.path.starts_with("/v1/admin/tenants/"), route.path);
        let keys: &[&str] = if is_of_installation { &[&them.others_key] } else { &[ADMIN_KEY, &them.others_key] };
        for key in keys {
            let anothers = them.tell(key, &theirs.named_in(route), &body(route, them.receiver.url())).await;
            let missing = them.tell(key, &Ids::MISSING.named_in(route), &body(route, them.receiver.url())).await;

            let expected = if is_of_installation { 403 } else { 404 };
            assert_eq!(anothers.status, expected, "{} {path}: {}", route.method, anothers.text);
            assert_eq!(anothers.told(), missing.told(), "{} {path}", route.method);
        }
    }
    assert_eq!(them.service.get(&format!("/v1/webhooks/{}", them.webhook)).await.text, before);
    assert_eq!(them.service.get("/v1/admin/tenants").await.text, tenants.text);
    assert_eq!(them.service.get("/v1/admin/keys").await.text, keys.text);
    let key = api_key["key"].as_str().unwrap();
    assert_eq!(send(them.service.request_with(key, "GET /v1/webhooks")).await.status, 200, "the key was revoked");
    let event = them.service.event("user.created").await;
    them.service.delivery_when(&them.webhook, &event, "delivered").await;
    assert_eq!(them.receiver.received().len(), 2);
}

#[tokio::test]
async fn anothers_event_has_no_delivery_at_ones_own_webhook() {
    let them = neighbours().await;
    let wish = json!({"url": them.receiver.url(), "events": ["*"]}).to_string();
    let request = them.service.request_with(&them.others_key, "POST /v1/webhooks");
    let own = send(with_json(request, &wish)).await.json()["id"].as_str().unwrap().to_owned();

    for route in ["GET /v1/webhooks/WH/deliveries/EVT", "POST /v1/webhooks/WH/deliveries/EVT/retry"] {
        let theirs = them.ask(&them.others_key, &route.replace("WH", &own).replace("EVT", &them.event)).await;
        let missing = them.ask(&them.others_key, &route.replace("WH", &own).replace("EVT", NO_EVENT)).await;

        assert_eq!(theirs.status, 404, "{route}: {}", theirs.text);
        assert_eq!(theirs.told(), missing.told(), "{route}");
    }
}

#[tokio::test]
async fn lists_show_ones_own_things_alone() {
    let them = neighbours().await;

    for route in ["GET /v1/webhooks", "GET /v1/events"] {
        assert_eq!(them.ask(ADMIN_KEY, route).await.json()["data"], json!([]), "{route}");
        assert_eq!(them.ask(&them.others_key, route).await.json()["data"], json!([]), "{route}");
    }
    let kids = |answer: Answer| -> Vec<Value> {
        answer.json()["data"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
    };
    let (theirs, own) =
        (kids(them.ask(ADMIN_KEY, "GET /v1/admin/keys").await), kids(them.service.get("/v1/admin/keys").await));
    assert!(theirs.iter().all(|kid| !own.contains(kid)), "{theirs:?} and {own:?}");
}

#[tokio::test]
async fn a_bound_key_meets_every_foreign_tenant_id_with_one_answer() {
    let them = neighbours().await;
    let default = them.service.get("/v1/admin/tenants").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let ask = async |tenant: &str| {
        send(them.service.request_with(&them.others_key, "GET /v1/webhooks").header("x-tenant-id", tenant)).await
    };

    let anothers = ask(&default).await;

    assert_eq!(anothers.status, 404, "{}", anothers.text);
    for unknown in ["tnt_01HZZZZZZZZZZZZZZZZZZZZZZZ", "not-an-id", ""] {
        assert_eq!(ask(unknown).await.told(), anothers.told(), "{unknown}");
    }
    assert_eq!(ask(&them.other).await.status, 200);
}

#[tokio::test]
async fn an_instance_wide_key_names_the_tenant_and_only_one_that_exists() {
    let them = neighbours().await;
    let ask =
        async |tenant: &str| send(them.service.request(Method::GET, "/v1/events").header("x-tenant-id", tenant)).await;

    assert_eq!(them.service.get("/v1/events").await.json()["data"].as_array().unwrap().len(), 1);
    assert_eq!(ask(&them.other).await.json()["data"], json!([]));
    for unknown in ["tnt_01HZZZZZZZZZZZZZZZZZZZZZZZ", "not-an-id"] {
        assert_eq!(ask(unknown).await.problem()["code"], "not_found", "{unknown}");
    }
}

#[tokio::test]
async fn a_bound_key_neither_sees_nor_makes_tenants() {
    let them = neighbours().await;
    let own = format!("GET /v1/admin/tenants/{}", them.other);

    for route in ["GET /v1/admin/tenants", "POST /v1/admin/tenants", &own] {
        let request = them.service.request_with(&them.others_key, route);
        let answer = send(with_json(request, r#"{"name":"a third"}"#)).await;

        assert_eq!(answer.status, 403, "{route}: {}", answer.text);
        assert_eq!(answer.problem()["code"], "forbidden");
    }
    assert_eq!(them.service.get("/v1/admin/tenants").await.json()["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_bound_key_sees_makes_and_revokes_its_tenants_keys_alone() {
    let them = neighbours().await;
    let ours = them.service.post("/v1/admin/api-keys", &json!({"scopes": ["admin"]})).await.json();
    let our_path = format!("DELETE /v1/admin/api-keys/{}", ours["id"].as_str().unwrap());
    let ask =
        async |route: &str, body: &str| send(with_json(them.service.request_with(&them.others_key, route), body)).await;

    let wide = ask("POST /v1/admin/api-keys", r#"{"scopes":["admin"],"instance_wide":true}"#).await;
    let made = ask("POST /v1/admin/api-keys", r#"{"scopes":["admin"]}"#).await;
    let listed = ask("GET /v1/admin/api-keys", "").await.json();
    let revoked = ask(&our_path, "").await;

    assert_eq!(wide.problem()["code"], "forbidden");
    assert_eq!(made.json()["tenant_id"], them.other.as_str());
    let listed = listed["data"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|key| key["tenant_id"] == them.other.as_str()), "{listed:?}");
    let missing = ask("DELETE /v1/admin/api-keys/key_01HZZZZZZZZZZZZZZZZZZZZZZZ", "").await;
    assert_eq!(revoked.told(), missing.told());
    assert_eq!(
        send(them.service.request_with(ours["key"].as_str().unwrap(), "GET /v1/webhooks")).await.status,
        200,
        "the key was revoked by a stranger"
    );
}

#[tokio::test]
async fn anothers_signing_key_cannot_be_revoked() {
    let them = neighbours().await;
    let keys = them.service.get("/v1/admin/keys").await;
    let theirs = format!("POST /v1/admin/keys/{}/revoke", keys.json()["data"][0]["kid"].as_str().unwrap());

    let answer = send(them.service.request_with(&them.others_key, &theirs)).await;

    let missing = send(them.service.request_with(&them.others_key, "POST /v1/admin/keys/no-such-key/revoke")).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    assert_eq!(answer.told(), missing.told());
    assert_eq!(them.service.get("/v1/admin/keys").await.text, keys.text);
}

#[tokio::test]
async fn an_event_reaches_its_own_tenants_webhooks_under_its_own_issuer() {
    let them = neighbours().await;
    let others = Receiver::start().await;
    let post = async |route: &str, body: Value| {
        send(with_json(them.service.request_with(&them.others_key, route), &body.to_string())).await
    };
    post("POST /v1/webhooks", json!({"url": others.url(), "events": ["*"]})).await;

    let receipt = post("POST /v1/events", json!({"type": "user.created", "data": 1})).await;

    let delivered = others.received_when(1).await;
    assert_eq!(receipt.json()["deliveries"], 1);
    assert_eq!(delivered[0].claims()["iss"], format!("{}/{}", them.service.url(), them.other));
    let jwks = them.service.get(&format!("/{}/.well-known/jwks.json", them.other)).await;
    assert_eq!(jwks.json()["keys"][0]["kid"], delivered[0].kid());
    assert_eq!(them.receiver.received()[0].claims()["iss"], them.service.url());
    assert_eq!(them.receiver.received().len(), 1);
}
