//! The catalogue of event types: describing them, and what is refused because of it.

mod import;
mod presets;
mod rules;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Receiver, Service, send, with_json};

const PATH: &str = "/v1/event-types/user.created";

impl Service {
    async fn put(&self, path: &str, body: &Value) -> Answer {
        send(with_json(self.request(Method::PUT, path), &body.to_string())).await
    }

    /// The same as the operator for one tenant.
    async fn ask_as(&self, tenant: &str, route: &str, body: &Value) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        let request = self.request(method.parse().unwrap(), path).header("x-tenant-id", tenant);
        send(if body.is_null() { request } else { with_json(request, &body.to_string()) }).await
    }
}

fn user_created() -> Value {
    json!({
        "description": "Somebody signed up.",
        "group": false,
        "schema": {
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "string"}, "age": {"type": "integer"}},
        },
        "sample": {"id": "usr_1", "age": 30},
    })
}

#[tokio::test]
async fn an_event_type_is_shown_as_it_was_described() {
    let service = Service::start().await;

    let made = service.put(PATH, &user_created()).await;
    let replaced = service.put(PATH, &json!({"group": true})).await;

    assert_eq!((made.status, replaced.status), (201, 200), "{}", made.text);
    let mut expected = user_created();
    expected["name"] = json!("user.created");
    expected["preset"] = Value::Null;
    expected["created_at"] = json!("2026-03-01T12:00:00Z");
    expected["updated_at"] = json!("2026-03-01T12:00:00Z");
    assert_eq!(made.json(), expected);
    let now = json!({"description": "", "group": true, "schema": null, "sample": null});
    expected.as_object_mut().unwrap().extend(now.as_object().unwrap().clone());
    assert_eq!(replaced.json(), expected);
    assert_eq!(service.get(PATH).await.json(), expected);
    assert_eq!(service.get("/v1/event-types").await.json()["data"], json!([expected]));
}

#[tokio::test]
async fn a_schema_and_a_sample_are_kept_byte_for_byte() {
    let service = Service::start().await;
    let sample = r#"{"b":1.10,  "a":123456789012345678901234567890}"#;
    let body = format!(r#"{{"sample":{sample},"schema":{{"required": [ "b" ]}}}}"#);

    let made = send(with_json(service.request(Method::PUT, PATH), &body)).await;

    assert_eq!(made.status, 201, "{}", made.text);
    let shown = service.get(PATH).await.text;
    assert!(shown.contains(sample) && shown.contains(r#"{"required": [ "b" ]}"#), "{shown}");
}

#[tokio::test]
async fn a_catalogue_is_listed_in_pages() {
    let service = Service::start().await;
    let names: Vec<String> = (0..25).map(|number| format!("type{}", number * 7 % 25)).collect();
    for name in &names {
        assert_eq!(service.put(&format!("/v1/event-types/{name}"), &json!({})).await.status, 201);
    }

    let mut listed = Vec::new();
    let mut path = "/v1/event-types?limit=10".to_owned();
    loop {
        let page = service.get(&path).await.json();
        listed.extend(page["data"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["pagination"]["next_cursor"].as_str() else { break };
        path = format!("/v1/event-types?limit=10&cursor={cursor}");
    }

    assert_eq!(listed, names);
}

#[tokio::test]
async fn a_deleted_event_type_is_gone() {
    let service = Service::start().await;
    service.put(PATH, &user_created()).await;

    let deleted = service.delete(PATH).await;

    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    let missing = service.get("/v1/event-types/nobody.knows").await.told();
    assert_eq!(missing.0, 404);
    assert_eq!(service.get(PATH).await.told(), missing);
    assert_eq!(service.delete(PATH).await.told(), missing);
    assert_eq!(service.get("/v1/event-types").await.json()["data"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_described_is_refused_by_name() {
    let service = Service::start().await;
    let text = |chars: usize| "x".repeat(chars);

    for (path, body, pointers) in [
        ("/v1/event-types/User", json!({}), vec!["name"]),
        ("/v1/event-types/signet.key.revoked", json!({}), vec!["name"]),
        (PATH, json!({"description": text(2_001)}), vec!["/description"]),
        (PATH, json!({"title": "x"}), vec!["/title"]),
        (PATH, json!({"schema": 5}), vec!["/schema"]),
        (PATH, json!({"schema": {"$comment": text(64 * 1024)}}), vec!["/schema"]),
        (PATH, json!({"sample": text(64 * 1024)}), vec!["/sample"]),
        (PATH, json!({"schema": {"properties": {"a": {"$ref": "a.json"}}}}), vec!["/schema/properties/a/$ref"]),
        (PATH, json!({"schema": {"items": {"type": "text"}}}), vec!["/schema/items/type"]),
        (PATH, json!({"schema": {"required": ["id"]}, "sample": {"name": 1}}), vec!["/sample/id"]),
    ] {
        let answer = service.put(path, &body).await;

        assert_eq!(answer.status, 422, "{path}: {}", answer.text);
        assert_eq!(answer.pointers(), pointers, "{}", answer.text);
    }
    assert_eq!(service.put(PATH, &json!({"sample": text(256 * 1024)})).await.status, 413);
    let twice = r#"{"sample": {"a": {"b": 1, "b": 2}}}"#;
    let twice = send(with_json(service.request(Method::PUT, PATH), twice)).await;
    assert_eq!((twice.status, twice.pointers()), (422, vec!["/sample".to_owned()]));
    assert_eq!(service.get("/v1/event-types").await.json()["data"], json!([]));
}

#[tokio::test]
async fn reading_and_writing_the_catalogue_take_the_scopes_of_webhooks() {
    let service = Service::start().await;
    let routes = [
        ("GET /v1/event-types", "webhooks:read"),
        ("GET /v1/event-types/user", "webhooks:read"),
        ("PUT /v1/event-types/user", "webhooks:write"),
        ("DELETE /v1/event-types/user", "webhooks:write"),
    ];

    for (route, scope) in routes {
        let wrong = if scope == "webhooks:read" { "webhooks:write" } else { "webhooks:read" };
        let wrong = service.api_key(&[wrong, "events:write"]).await;
        let right = service.api_key(&[scope]).await;
        let (method, path) = route.split_once(' ').unwrap();
        let ask = async |key: &str| send(with_json(service.request_with(key, route), "{}")).await.status;

        assert_eq!(send(service.anonymous(method.parse().unwrap(), path)).await.status, 401, "{route}");
        assert_eq!(ask(&wrong).await, 403, "{route}");
        assert!(matches!(ask(&right).await, 200..=404), "{route}");
        assert_ne!(ask(&right).await, 403, "{route}");
    }
}

#[tokio::test]
async fn two_tenants_describe_the_same_names_apart() {
    let service = Service::start().await;
    let other = service.tenant("other").await;
    service.put(PATH, &user_created()).await;

    let missing = service.ask_as(&other, &format!("GET {PATH}"), &Value::Null).await;
    let made = service.ask_as(&other, &format!("PUT {PATH}"), &json!({"description": "theirs"})).await;
    let deleted = service.delete(PATH).await;
    let listed = service.ask_as(&other, "GET /v1/event-types", &Value::Null).await.json();

    assert_eq!((missing.status, made.status, deleted.status), (404, 201, 204));
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed["data"][0]["description"], "theirs");
}

#[tokio::test]
async fn a_catalogue_that_is_full_takes_nothing_more() {
    let service = Service::start().await;
    let schema = json!({"$comment": "x".repeat(60 * 1024)});
    for number in 0..34 {
        let made = service.put(&format!("/v1/event-types/type{number}"), &json!({"schema": schema})).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }

    let refused = service.put("/v1/event-types/one_more", &json!({"schema": schema})).await;
    let smaller = service.put("/v1/event-types/type0", &json!({})).await;
    let again = service.put("/v1/event-types/one_more", &json!({"schema": schema})).await;

    assert_eq!((refused.status, smaller.status, again.status), (409, 200, 201));
    assert_eq!(refused.problem()["code"], "catalogue_full");
}

#[tokio::test]
async fn a_test_delivers_the_sample_of_the_catalogue() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["*"]).await;
    service.put(PATH, &user_created()).await;

    for event in ["user.created", "user.deleted"] {
        let tested = service.post(&format!("/v1/webhooks/{webhook}/test"), &json!({"event": event})).await;
        assert_eq!(tested.status, 200, "{}", tested.text);
    }

    let received = receiver.received_when(2).await;
    assert_eq!(received[0].claims()["data"], user_created()["sample"]);
    assert_eq!(received[1].claims()["data"]["test"], true);
}

#[tokio::test]
async fn a_catalogue_outlives_a_restart() {
    let service = Service::start().await;
    let made = service.put(PATH, &user_created()).await.json();

    let service = service.restarted_with(&[]).await;

    assert_eq!(service.get(PATH).await.json(), made);
}
