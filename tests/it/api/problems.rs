//! Whatever is not a success is a problem that says what the caller can do, of one shape.

use axum::Router;
use axum::routing::get;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;
use signet::api;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::NO_WEBHOOK;
use crate::support::{ADMIN_KEY, Answer, Service, send, with_json};

/// What every problem has, and how it is sent.
fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let problem = answer.problem();
    assert_eq!(problem["code"], code, "{problem}");
    let known = ["type", "code", "title", "status", "detail", "errors", "request_id"];
    let members = problem.as_object().unwrap();
    assert!(members.keys().all(|name| known.contains(&name.as_str())), "{problem}");
    for fault in members.get("errors").into_iter().flat_map(|faults| faults.as_array().unwrap()) {
        assert!(fault["pointer"].is_string() && fault["detail"].is_string(), "{problem}");
    }
}

#[tokio::test]
async fn whatever_is_refused_is_refused_by_a_problem_of_one_shape() {
    let service = Service::start().await;
    let reader = service.api_key(&["webhooks:read"]).await;
    let event = r#"{"type":"user.created","data":1}"#;
    let post = |path: &str| service.request(Method::POST, path);
    let missing = format!("/v1/webhooks/{NO_WEBHOOK}");
    let kid = service.get("/v1/admin/keys").await.json()["data"][0]["kid"].as_str().unwrap().to_owned();
    let revoke = format!("/v1/admin/keys/{kid}/revoke");
    assert_eq!(send(post(&revoke)).await.status, 200);
    let large = json!({"label": "x".repeat(128 * 1024), "scopes": ["admin"]}).to_string();

    let asked: [(RequestBuilder, u16, &str); 11] = [
        (with_json(post("/v1/events"), "{"), 400, "malformed"),
        (service.request(Method::GET, "/v1/events?page=2"), 400, "malformed"),
        (service.anonymous(Method::GET, "/v1/events"), 401, "unauthenticated"),
        (with_json(service.request_with(&reader, "POST /v1/events"), event), 403, "forbidden"),
        (service.request(Method::GET, "/v1/nothing"), 404, "no_route"),
        (service.request(Method::GET, &missing), 404, "not_found"),
        (service.request(Method::PUT, &missing), 405, "method_not_allowed"),
        (post(&revoke), 409, "not_published"),
        (with_json(post("/v1/admin/api-keys"), &large), 413, "too_large"),
        (post("/v1/events").header("content-type", "text/plain").body(event), 415, "unsupported_media_type"),
        (with_json(post("/v1/events"), "{}"), 422, "invalid"),
    ];

    for (request, status, code) in asked {
        let answer = send(request).await;

        check(&answer, status, code);
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{code}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401, "{code}");
        assert_eq!(answer.problem().get("errors").is_some(), status == 422, "{code}");
    }
}

#[tokio::test]
async fn what_there_is_no_room_for_is_refused_by_a_problem_that_says_when_to_come_back() {
    let service = Service::start().await;
    // As much memory for bodies as there is: somebody else's are being read.
    let taken = service.server().engine().reserve(u64::MAX).ok().unwrap();

    let answer = service.post("/v1/events", &json!({"type": "user.created", "data": 1})).await;

    check(&answer, 503, "overloaded");
    assert_eq!(answer.header("retry-after"), "1");
    drop(taken);
    service.event("user.created").await;
}

#[tokio::test]
async fn a_body_that_claims_to_be_endless_is_refused_before_memory_is_set_aside_for_it() {
    let service = Service::start().await;
    let address = service.url().trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-type: application/json\r\ncontent-length: 9999999999999999999\r\n\r\n{{"
    );

    connection.write_all(head.as_bytes()).await.unwrap();
    let mut said = [0; 12];
    connection.read_exact(&mut said).await.unwrap();

    assert_eq!(std::str::from_utf8(&said).unwrap(), "HTTP/1.1 413");
    service.event("user.created").await;
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing_of_its_cause() {
    let service = Service::start().await;
    let panics = async || -> &'static str { panic!("the secret of the house") };
    let routes = Router::new().route("/panics", get(panics)).route("/goes", get(async || "on"));
    let router = api::whole(routes, service.server().engine().clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::builder().no_proxy().build().unwrap();

    let answer = send(client.get(format!("{url}/panics"))).await;
    let after = send(client.get(format!("{url}/goes"))).await;

    check(&answer, 500, "internal");
    assert!(!answer.text.contains("secret of the house"), "{}", answer.text);
    assert_eq!((after.status, after.text.as_str()), (200, "on"));
    check(&send(client.get(format!("{url}/elsewhere"))).await, 404, "no_route");
    check(&send(client.delete(format!("{url}/panics"))).await, 405, "method_not_allowed");
}
