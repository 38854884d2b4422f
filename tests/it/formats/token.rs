//! Format `token`, where a webhook chooses something of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{made, next, path_of};
use crate::support::{Received, Receiver, Service};

fn typ(received: &Received) -> Value {
    let header = URL_SAFE_NO_PAD.decode(received.token().split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["typ"].clone()
}

#[tokio::test]
async fn a_webhook_chooses_what_its_tokens_say_that_they_are() {
    let (service, one, other) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    let shared = "urn:shop";
    let plain = made(&service, &one, json!({"audience": shared})).await;
    let explicit = made(&service, &other, json!({"audience": shared, "typ": "webhook+jwt"})).await;

    next(&service, &one, "user.created", "{}").await;
    let first = (one.received().remove(0), other.received_when(1).await.remove(0));
    let changed = service.patch(&path_of(&plain), &json!({"typ": "webhook+jwt"})).await.json();
    next(&service, &one, "user.created", "{}").await;
    let refused = service.patch(&path_of(&plain), &json!({"typ": "at+jwt"})).await;

    assert_eq!((&plain["typ"], &explicit["typ"]), (&json!("JWT"), &json!("webhook+jwt")));
    assert_eq!((typ(&first.0), typ(&first.1)), (json!("JWT"), json!("webhook+jwt")));
    assert_eq!((&changed["typ"], typ(&one.received()[1])), (&json!("webhook+jwt"), json!("webhook+jwt")));
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/typ".to_owned()]));
}
