//! What may not be reached is answered in one way, wherever somebody asks: nobody maps a network by the answers.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::name_server::NameServer;
use crate::support::{Service, until};

/// An attempt without what differs from one to the next.
fn bare(attempt: &Value) -> Value {
    let mut attempt = attempt.clone();
    for name in ["at", "duration_ms", "kid"] {
        attempt.as_object_mut().unwrap().remove(name);
    }
    attempt
}

#[tokio::test]
async fn ports_that_are_open_closed_or_silent_are_told_alike_by_tests_and_deliveries() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap().port();
    let closed = {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        other.local_addr().unwrap().port()
    };
    let names = NameServer::answering(|name, _| match name.split('.').next().unwrap() {
        "here" => vec![[127, 0, 0, 1].into()],
        "both" => vec![[93, 184, 216, 34].into(), [127, 0, 0, 1].into()],
        _ => vec![[10, 255, 255, 1].into()],
    })
    .await;
    let servers = names.address.to_string();
    let told = [("SIGNET_EGRESS_ALLOW", ""), ("SIGNET_DNS_SERVERS", &*servers)];
    let service = Service::start_with(&told).await;

    let mut answers = Vec::new();
    for url in [
        format!("http://here.test:{open}/"),
        format!("http://here.test:{closed}/"),
        format!("http://both.test:{open}/"),
        "http://silent.test:8080/".to_owned(),
        "https://here.test/".to_owned(),
    ] {
        let made = service.post("/v1/webhooks", &json!({"url": url, "events": ["user"]})).await;
        assert_eq!(made.status, 201, "{url}: {}", made.text);
        let webhook = made.json()["id"].as_str().unwrap().to_owned();
        let test = service.post(&format!("/v1/webhooks/{webhook}/test"), &json!({"event": "order.made"})).await;
        let event = service.event("user.created").await;
        let path = format!("/v1/webhooks/{webhook}/deliveries/{event}");
        let logged = until(async || service.get(&path).await.json()["log"].get(0).cloned()).await;
        answers.push((bare(&test.json()["attempt"]), bare(&logged)));
    }

    let (test, logged) = &answers[0];
    assert_eq!(test["failure"], "blocked");
    assert_eq!(test["failure_detail"], "the URL's host may not be reached by webhooks");
    assert_eq!(test, logged);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    // Nobody knocked.
    assert!(tokio::time::timeout(std::time::Duration::from_millis(1), listener.accept()).await.is_err());
}

#[tokio::test]
async fn what_the_operator_denies_is_told_like_any_other() {
    let told = [("SIGNET_EGRESS_ALLOW", "10.0.0.0/8"), ("SIGNET_EGRESS_DENY", "10.1.0.0/16,8.8.8.8,2606:4700::/32")];
    let service = Service::start_with(&told).await;
    let ask = async |url: &str| service.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await;

    let metadata = ask("https://169.254.169.254/").await.told();
    for url in ["https://10.1.0.1/", "https://8.8.8.8/", "https://[2606:4700::1111]/", "https://[::ffff:8.8.8.8]/"] {
        assert_eq!(ask(url).await.told(), metadata, "{url}");
    }
    assert_eq!(ask("https://10.2.0.1/").await.status, 201);
}
