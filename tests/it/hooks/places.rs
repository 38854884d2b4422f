//! Receivers that do not answer take up their own tenant's places and nobody else's.

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{PAYLOAD, hooked};
use crate::support::{Answer, Receiver, send, with_json};

#[tokio::test]
async fn a_receiver_that_does_not_answer_uses_up_its_own_tenants_places_alone() {
    let (service, dead) = hooked("pre_sign_up").await;
    dead.holding();
    let (other, alive) = (service.tenant("other").await, Receiver::start().await);
    alive.saying(r#"{"allow": true}"#);
    let ask_other = |method: Method, path: &str, body: &str| {
        send(with_json(service.request(method, path), body).header("x-tenant-id", &other))
    };
    let wish = json!({"hooks": {"pre_sign_up": alive.url()}}).to_string();
    assert_eq!(ask_other(Method::PATCH, "/v1/admin/config", &wish).await.status, 200);
    let mut asking: JoinSet<Answer> = JoinSet::new();
    for _ in 0..200 {
        asking.spawn(send(with_json(service.request(Method::POST, "/v1/hooks/pre_sign_up"), PAYLOAD)));
    }
    dead.received_when(100).await;

    let others = ask_other(Method::POST, "/v1/hooks/pre_sign_up", PAYLOAD).await;

    assert_eq!((others.status, &others.json()["outcome"]), (200, &json!("allowed")));
    dead.letting_go();
    let answers = asking.join_all().await;
    let (asked, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(asked.len() >= 100 && !refused.is_empty(), "{} and {}", asked.len(), refused.len());
    for answer in refused {
        assert_eq!((&answer.problem()["code"], answer.header("retry-after")), (&json!("overloaded"), "1"));
    }
    let counts = service.get("/metrics").await.text;
    assert!(counts.contains(r#"signet_hook_refused_total{hook="pre_sign_up"}"#), "{counts}");
    dead.saying(r#"{"allow": true}"#);
    assert_eq!(service.asked("pre_sign_up").await["outcome"], "allowed");
}
