//! Format `set`: security event tokens over HTTP push.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{made, next, path_of, speaking};
use crate::support::{Received, Receiver, Service};

/// A SET's header and claims, verified with the published key of its kid.
async fn verified(service: &Service, received: &Received) -> (Value, Value) {
    let token = std::str::from_utf8(&received.body).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let set = service.get("/.well-known/jwks.json").await.json();
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == read(header)["kid"]).unwrap();
    let verifier = jws::ES256.verifier_from_jwk(&Jwk::from_bytes(key.to_string()).unwrap()).unwrap();
    jws::JwsVerifier::verify(&verifier, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    (read(header), read(claims))
}

#[tokio::test]
async fn a_set_is_the_whole_body_and_says_what_happened_to_whom() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    receiver.answering(202);
    let webhook = made(&service, &receiver, json!({"format": "set", "audience": "urn:shop"})).await;

    let (event, received) = next(&service, &receiver, "user.created", r#"{"user":{"id":"usr_1"}}"#).await;

    let (header, claims) = verified(&service, &received).await;
    assert_eq!(header, json!({"alg": "ES256", "kid": header["kid"], "typ": "secevent+jwt"}));
    let now = service.now().as_seconds();
    let uri = format!("{}/events/user.created", service.url());
    let expected = json!({
        "iss": service.url(), "iat": now - 5, "jti": event["id"], "aud": ["urn:shop"], "toe": now,
        "sub_id": {"format": "opaque", "id": "usr_1"}, "events": {uri: {"user": {"id": "usr_1"}}},
    });
    assert_eq!(claims, expected);
    assert_eq!(received.header("content-type"), "application/secevent+jwt");
    assert_eq!(
        (received.header("accept"), received.header("webhook-id")),
        ("application/json", event["id"].as_str().unwrap())
    );
    let logged =
        service.delivery_when(webhook["id"].as_str().unwrap(), event["id"].as_str().unwrap(), "delivered").await;
    assert_eq!((&logged["log"][0]["status_code"], &logged["log"][0]["kid"]), (&json!(202), &header["kid"]));
}

#[tokio::test]
async fn webhooks_of_one_audience_are_each_sent_what_their_format_says() {
    let (service, one, other, plain) =
        (Service::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let shared = "urn:shop";
    made(&service, &one, json!({"format": "set", "audience": shared})).await;
    made(&service, &other, json!({"format": "set", "audience": shared})).await;
    made(&service, &plain, json!({"audience": shared})).await;

    let (_, first) = next(&service, &one, "user.created", "{}").await;

    let second = other.received_when(1).await.remove(0);
    assert_eq!(first.body, second.body, "signed once for both");
    let token = plain.received_when(1).await.remove(0);
    assert_eq!(token.claims()["aud"], json!([shared]));
    assert_eq!(token.event(), "user.created");
}

#[tokio::test]
async fn a_tenant_says_what_its_event_types_uris_begin_with() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    made(&service, &receiver, json!({"format": "set"})).await;

    speaking(&service, json!({"event_base": "https://schemas.example.com/events/"})).await;
    let (_, own) = next(&service, &receiver, "user.created", "{}").await;
    let back = speaking(&service, json!({"event_base": null})).await.json();
    let (_, issuers) = next(&service, &receiver, "user.created", "{}").await;

    let uris = async |received: &Received| {
        let events = verified(&service, received).await.1["events"].clone();
        events.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(uris(&own).await, ["https://schemas.example.com/events/user.created"]);
    assert_eq!(uris(&issuers).await, [format!("{}/events/user.created", service.url())]);
    assert_eq!(back["dialect"]["event_base"], format!("{}/events/", service.url()));
}

/// A receiver that refuses everything with this body.
async fn refusing(words: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let router = Router::new().route("/hooks", post(refuse)).with_state(Arc::from(words));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn refuse(State(words): State<Arc<str>>) -> Response {
    (StatusCode::BAD_REQUEST, words.to_string()).into_response()
}

#[tokio::test]
async fn the_delivery_log_shows_why_a_receiver_refused_a_set() {
    let service = Service::start().await;
    let refusal = async |words: &str| {
        let wish = json!({"url": refusing(words).await, "events": ["*"], "format": "set"});
        let webhook = service.post("/v1/webhooks", &wish).await.json();
        let event = service.event("user.created").await;
        let failed = service.delivery_when(webhook["id"].as_str().unwrap(), &event, "failed").await;
        service.delete(&path_of(&webhook)).await;
        failed["log"][0].get("refusal").cloned()
    };

    let told = json!({"err": "invalid_key", "description": "key ä unknown"});
    assert_eq!(refusal(&told.to_string()).await, Some(told));
    assert_eq!(refusal(r#"{"err":"access_denied"}"#).await, Some(json!({"err": "access_denied"})));
    for words in ["", "no", r#"["invalid_key"]"#, r#"{"error":"invalid_key"}"#, r#"{"err":1}"#] {
        assert_eq!(refusal(words).await, None, "{words}");
    }
}

#[tokio::test]
async fn a_set_is_rehearsed_like_a_token_and_what_carries_none_is_left_out() {
    let (service, set, signed) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    let webhook = made(&service, &set, json!({"format": "set"})).await;
    made(&service, &signed, json!({"format": "signed"})).await;

    let rehearsed = service.post("/v1/admin/keys/rehearse", &json!({"wrong_signature": true})).await.json();

    let data = rehearsed["data"].as_array().unwrap();
    assert_eq!((data.len(), &data[0]["webhook_id"]), (1, &webhook["id"]));
    let received = set.received();
    assert_eq!((received.len(), signed.received().len()), (2, 0));
    verified(&service, &received[0]).await;
    let ends = [0, 1].map(|at: usize| received[at].body.clone());
    assert_ne!(ends[0], ends[1]);
}

#[tokio::test]
async fn a_receiver_is_told_the_dialect_and_the_formats_of_its_issuer() {
    let service = Service::start().await;
    speaking(&service, json!({"header_prefix": "HelloJohn", "event_base": "urn:shop:"})).await;

    let told = service.get("/.well-known/webhook-issuer").await.json();

    let dialect = json!({"header_prefix": "HelloJohn", "signature_scheme": "sha256", "event_base": "urn:shop:"});
    assert_eq!(told["dialect"], dialect);
    assert_eq!(told["formats_supported"], json!(["token", "signed", "standard", "action", "set"]));
    assert_eq!(told["token"]["typ_values_supported"], json!(["JWT", "webhook+jwt"]));
}
