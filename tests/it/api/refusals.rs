//! What is refused before anybody looks at what it means, and the one way in which refusals are written.

use reqwest::Method;
use serde_json::json;

use crate::support::{ADMIN_KEY, Service, send, with_json};

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let service = Service::start().await;

    for route in ["/v1/events", "/v1/events/batch", "/v1/webhooks", "/v1/admin/tenants", "/v1/admin/api-keys"] {
        for body in ["", "{", "nonsense", "{'a':1}", r#"{"a":1,}"#, r#"{"url":NaN}"#, r#"{"name":01}"#] {
            let answer = service.post_text(route, body).await;

            assert!(matches!(answer.status, 400 | 422), "{route} {body:?}: {}", answer.text);
            answer.problem();
        }
    }
    let trailing = service.post_text("/v1/events", r#"{"type":"user","data":1} {}"#).await;
    assert_eq!((trailing.status, &trailing.problem()["code"]), (400, &json!("malformed")));
}

#[tokio::test]
async fn a_body_that_is_not_unicode_is_refused() {
    let service = Service::start().await;
    let body = b"{\"type\":\"user.created\",\"data\":\"\xff\"}".to_vec();

    let request = service.request(Method::POST, "/v1/events").header("content-type", "application/json").body(body);
    let answer = send(request).await;

    assert_eq!((answer.status, &answer.problem()["code"]), (400, &json!("malformed")));
}

#[tokio::test]
async fn a_body_comes_as_json_and_says_so() {
    let service = Service::start().await;
    let body = r#"{"type":"user.created","data":1}"#;
    let ask = async |content_type: &str| {
        send(service.request(Method::POST, "/v1/events").header("content-type", content_type).body(body)).await
    };

    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let answer = ask(content_type).await;
        assert_eq!(
            (answer.status, &answer.problem()["code"]),
            (415, &json!("unsupported_media_type")),
            "{content_type}"
        );
    }
    assert_eq!(send(service.request(Method::POST, "/v1/events").body(body)).await.status, 415);
    for content_type in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
        assert_eq!(ask(content_type).await.status, 202, "{content_type}");
    }
}

#[tokio::test]
async fn a_path_that_nobody_serves_is_no_route() {
    let service = Service::start().await;

    for path in ["/", "/v1", "/v2/events", "/v1/event", "/v1/webhooks/", "/v1/webhooks/x/y", "/.well-known/jwks"] {
        for answer in [service.get(path).await, send(service.anonymous(Method::DELETE, path)).await] {
            assert_eq!((answer.status, &answer.problem()["code"]), (404, &json!("no_route")), "{path}");
        }
    }
}

#[tokio::test]
async fn a_path_that_is_not_unicode_leads_nowhere() {
    let service = Service::start().await;

    for path in ["/v1/webhooks/%FF", "/v1/events/%FF", "/v1/webhooks/%FF/deliveries/%FF", "/%FF/.well-known/jwks.json"]
    {
        let answer = service.get(path).await;

        assert_eq!((answer.status, &answer.problem()["code"]), (404, &json!("no_route")), "{path}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_is_not_served_with_is_told_which_are() {
    let service = Service::start().await;

    for (method, path, allowed) in [
        ("PUT", "/v1/events", "GET, HEAD, POST"),
        ("GET", "/v1/events/batch", "POST"),
        ("DELETE", "/v1/webhooks", "GET, HEAD, POST"),
        ("POST", "/v1/webhooks/x", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/v1/webhooks/x/test", "POST"),
        ("GET", "/v1/admin/keys/rotate", "POST"),
        ("POST", "/.well-known/jwks.json", "GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD"),
    ] {
        let answer = send(service.request(method.parse().unwrap(), path)).await;

        assert_eq!((answer.status, &answer.problem()["code"]), (405, &json!("method_not_allowed")), "{method} {path}");
        let mut told: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        told.sort_unstable();
        assert_eq!(told.join(", "), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_on_every_route() {
    let service = Service::start().await;
    let body = json!({"label": "x".repeat(128 * 1024), "scopes": ["admin"]}).to_string();

    for path in ["/v1/webhooks", "/v1/admin/tenants", "/v1/admin/api-keys", "/v1/webhooks/x/test"] {
        let answer = service.post_text(path, &body).await;

        assert_eq!((answer.status, &answer.problem()["code"]), (413, &json!("too_large")), "{path}");
    }
}

#[tokio::test]
async fn every_answer_that_is_made_for_one_request_carries_an_id_of_its_own() {
    let service = Service::start().await;
    let mut seen = std::collections::BTreeSet::new();

    for path in ["/healthz", "/readyz", "/x/.well-known/jwks.json", "/v1/webhooks", "/v1/nothing", "/v1/webhooks"] {
        let id = service.get(path).await.header("x-request-id").to_owned();

        assert!(id.starts_with("req_") && id.len() == 30, "{path}: {id}");
        assert!(seen.insert(id), "{path}");
    }
}

#[tokio::test]
async fn a_header_that_could_mean_two_things_means_nothing() {
    let service = Service::start().await;
    let tenant = "tnt_01J9ZW3K8Q5T7B2M4N6P8R0S1V";

    for (name, value) in [("authorization", "Bearer sk_live_another"), ("x-tenant-id", tenant)] {
        let twice = service.request(Method::GET, "/v1/events").header("x-tenant-id", tenant).header(name, value);
        let answer = send(twice).await;
        assert_eq!((answer.status, &answer.problem()["code"]), (400, &json!("malformed")), "{name}: {}", answer.text);
    }
}

#[tokio::test]
async fn parameters_are_refused_where_there_are_none() {
    let service = Service::start().await;

    let refused = service.get("/v1/admin/keys?limit=1").await;
    let ignored = service.get("/v1/admin/keys?").await;

    assert_eq!((refused.status, &refused.problem()["code"], ignored.status), (400, &json!("malformed"), 200));
}

#[tokio::test]
async fn a_refusal_never_repeats_the_key() {
    let service = Service::start().await;
    let key = service.api_key(&["events:write"]).await;

    let forbidden = send(service.request_with(&key, "GET /v1/webhooks")).await;
    let wrong = send(with_json(service.request_with(&format!("{key}x"), "POST /v1/events"), "{}")).await;
    let malformed = send(with_json(service.request_with(ADMIN_KEY, "POST /v1/events"), "{")).await;

    for (answer, secret) in [(forbidden, key.as_str()), (wrong, key.as_str()), (malformed, ADMIN_KEY)] {
        answer.problem();
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_service_that_runs_is_well_and_ready() {
    let service = Service::start().await;

    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(service.anonymous(Method::GET, path)).await.status, 200, "{path}");
    }
}
