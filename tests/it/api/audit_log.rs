//! Who did what is written down, and shown to whoever may administer.

use reqwest::Method;
use serde_json::{Value, json};
use signet::api::{ROUTES, Route};

use super::{Ids, body, is_of_pulling, pulled};
use crate::support::{Receiver, Service, send, with_json};

/// What changes nothing here that anybody would ask about later: it makes deliveries, and those have a log of their own, or it
/// asks a receiver, which is in the server's log. A webhook that is activated is written down, but not one whose receiver did
/// not want to be.
const NOT_WRITTEN_DOWN: [&str; 6] = [
    "/v1/webhooks/{id}/actions/{action}",
    "/v1/webhooks/{id}/poll",
    "/v1/webhooks/{id}/test",
    "/v1/webhooks/{id}/activate",
    "/v1/webhooks/{id}/replay",
    "/v1/webhooks/{id}/deliveries/{event_id}/retry",
];

async fn entries(service: &Service, log: &str) -> Vec<Value> {
    let answer = service.get(&format!("/v1/admin/audit-log?limit=100&log={log}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["data"].as_array().unwrap().clone()
}

/// What somebody did, the latest first, in the logs of the default tenant and of the installation.
async fn done_by(service: &Service, actor: &str) -> Vec<Value> {
    let mut all = entries(service, "tenant").await;
    all.extend(entries(service, "installation").await);
    all.into_iter().filter(|entry| entry["actor"] == actor).collect()
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_change_through_the_api_is_written_down_with_the_key_that_made_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let is_change = |route: &&Route| {
        let is_covered = route.path.starts_with("/v1/admin/")
            || route.path.starts_with("/v1/webhooks")
            || route.path.starts_with("/v1/event-types");
        route.method != Method::GET && is_covered && !NOT_WRITTEN_DOWN.contains(&route.path)
    };
    let mut seen = 0;

    for route in ROUTES.iter().filter(is_change) {
        // Things of its own for each route: some are gone or of no use afterwards.
        let webhook = match is_of_pulling(route) {
            true => pulled(&service).await,
            false => service.webhook(&receiver, &["user"]).await,
        };
        let api_key = id(&service.post("/v1/admin/api-keys", &json!({"scopes": ["admin"]})).await.json());
        let tenant = id(&service.get("/v1/admin/tenants").await.json()["data"][0]);
        let put = service.request(Method::PUT, &format!("/v1/event-types/{}", Ids::MISSING.event_type));
        assert_eq!(send(with_json(put, "{}")).await.status / 100, 2);
        let kid = service.get("/v1/admin/keys").await.json()["data"][0]["kid"].as_str().unwrap().to_owned();
        let ids = Ids { webhook: &webhook, tenant: &tenant, api_key: &api_key, kid: &kid, ..Ids::MISSING };
        let wish = json!({"scopes": ["admin"], "instance_wide": true});
        let asker = service.post("/v1/admin/api-keys", &wish).await.json();

        let request = service.request_with(asker["key"].as_str().unwrap(), &ids.named_in(route));
        let answer = send(with_json(request, &body(route, receiver.url()))).await;

        assert!((200..300).contains(&answer.status), "{} {}: {}", route.method, route.path, answer.text);
        let done = done_by(&service, asker["id"].as_str().unwrap()).await;
        assert!(!done.is_empty(), "{} {} left no trace", route.method, route.path);
        seen += 1;
    }
    assert!(seen >= 10, "{seen} routes that change something");
}

#[tokio::test]
async fn what_was_done_is_told_without_what_is_secret_in_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let url = format!("{}?token=quiet", receiver.url());
    let made = service.post("/v1/webhooks", &json!({"url": url, "events": ["user"]})).await.json();
    let path = format!("/v1/webhooks/{}", id(&made));
    service
        .patch(&path, &json!({"url": format!("{}/elsewhere?token=quieter", receiver.url()), "enabled": false}))
        .await;
    service.delete(&path).await;
    let wish = json!({"label": "ci", "scopes": ["keys:read", "events:write"]});
    let key = service.post("/v1/admin/api-keys", &wish).await.json();
    service.delete(&format!("/v1/admin/api-keys/{}", id(&key))).await;
    let tenant = id(&service.get("/v1/admin/tenants").await.json()["data"][0]);
    service
        .patch(
            &format!("/v1/admin/tenants/{tenant}"),
            &json!({"name": "ours", "token_ttl": 60, "catalogue": {"closed": true}}),
        )
        .await;

    let log = entries(&service, "tenant").await;

    let told = |entry: &Value| {
        assert_eq!((&entry["actor"], &entry["at"]), (&json!("admin-key"), &json!("2026-03-01T12:00:00Z")));
        [&entry["action"], &entry["subject"], &entry["detail"]].map(Value::clone)
    };
    let (tokens, none) = ("tokens of \"signet webhooks\" that live", json!({}));
    let rules = |closed: &str| format!("catalogue {closed}, schemas not enforced");
    let sentences = json!({
        "before": format!("\"default\", {tokens} 300 s, {}", rules("open")),
        "after": format!("\"ours\", {tokens} 60 s, {}", rules("closed")),
    });
    let (there, elsewhere) = (receiver.url(), format!("{}/elsewhere", receiver.url()));
    let moved = json!({
        "members": ["url", "enabled"],
        "url": {"before": there, "after": elsewhere},
        "enabled": {"before": "true", "after": "false"},
    });
    let expected = [
        [json!("tenant.changed"), Value::Null, sentences],
        [json!("api_key.revoked"), key["id"].clone(), none.clone()],
        [json!("api_key.made"), key["id"].clone(), json!({"label": "ci", "scopes": ["events:write", "keys:read"]})],
        [json!("webhook.deleted"), made["id"].clone(), none],
        [json!("webhook.changed"), made["id"].clone(), moved],
        [json!("webhook.made"), made["id"].clone(), json!({"url": receiver.url()})],
    ];
    assert_eq!(log[..6].iter().map(told).collect::<Vec<_>>(), expected);
    let secrets = [&made["signing_secret"], &key["key"]].map(|secret| secret.as_str().unwrap());
    let said = json!(log).to_string();
    assert!(!said.contains("quiet") && secrets.iter().all(|secret| !said.contains(secret)), "{said}");
}

#[tokio::test]
async fn the_log_is_read_in_pages_from_its_end_and_ends_with_its_head() {
    let service = Service::start().await;
    for _ in 0..5 {
        service.post("/v1/admin/api-keys", &json!({"scopes": ["admin"]})).await;
    }
    let engine = service.server().engine();
    let tenant_id = engine.default_keys().unwrap().tenant.id;
    let verdict = engine.audit(tenant_id, None).await.unwrap().verdict().await.unwrap();

    let (mut pages, mut path) = (Vec::new(), "/v1/admin/audit-log?limit=3".to_owned());
    loop {
        let page = service.get(&path).await.json();
        pages.push(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["pagination"]["next_cursor"].as_str() else { break };
        path = format!("/v1/admin/audit-log?limit=3&cursor={cursor}");
    }

    let numbers: Vec<u64> = pages.iter().flatten().map(|entry| entry["number"].as_u64().unwrap()).collect();
    let last = u64::from(verdict.head.number);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(numbers, (1..=last).rev().collect::<Vec<_>>());
    assert_eq!((pages[0][0]["head"].clone(), verdict.faults), (json!(verdict.head.to_string()), vec![]));
}

#[tokio::test]
async fn a_log_is_shown_to_its_own_tenant_and_the_installations_to_instance_wide_keys() {
    let service = Service::start().await;
    let other = service.tenant("other").await;
    let bound = service.api_key_of(&other, &["admin"]).await;
    let ask = async |path: &str| send(service.request_with(&bound, &format!("GET {path}"))).await;

    let own = ask("/v1/admin/audit-log").await;
    let installation = ask("/v1/admin/audit-log?log=installation").await;
    let unknown = ask("/v1/admin/audit-log?log=all").await;

    let actions: Vec<Value> =
        own.json()["data"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["api_key.made", "key.published", "key.opened"]);
    assert_eq!((installation.status, &installation.problem()["code"]), (403, &json!("forbidden")));
    assert_eq!((unknown.status, unknown.pointers()), (422, vec!["log".to_owned()]));
    let made = entries(&service, "installation").await;
    assert_eq!((&made[0]["action"], &made[0]["subject"]), (&json!("tenant.made"), &json!(other)));
}
