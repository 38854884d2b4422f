//! What a webhook may not be: every fault is named by the member that has it, all of them at once.

use serde_json::{Value, json};

use crate::support::Service;

/// As an installation is that nobody has told otherwise: https to public addresses.
async fn strict() -> Service {
    Service::start_with(&[("SIGNET_ALLOW_HTTP", "false"), ("SIGNET_EGRESS_ALLOW", "")]).await
}

async fn check(service: &Service, wish: Value, pointers: &[&str]) {
    let answer = service.post("/v1/webhooks", &wish).await;

    assert_eq!(answer.status, 422, "{wish}: {}", answer.text);
    assert_eq!(answer.problem()["code"], "invalid");
    assert_eq!(answer.pointers(), pointers, "{wish}: {}", answer.text);
    assert_eq!(service.get("/v1/webhooks").await.json()["data"], json!([]), "{wish}");
}

#[tokio::test]
async fn a_url_that_a_webhook_may_not_have_is_refused() {
    let service = strict().await;

    for url in [
        "",
        "example.com/hooks",
        "/hooks",
        "ftp://example.com/",
        "https://",
        "https:/example.com/",
        "https:\\\\example.com",
        "https://exa\tmple.com/",
        " https://example.com/",
        "https://example.com:0/",
        "http://example.com/",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://example.com/#top",
        "https://example.com/#",
    ] {
        check(&service, json!({"url": url, "events": ["*"]}), &["/url"]).await;
    }
    check(&service, json!({"url": format!("https://example.com/{}", "x".repeat(2_048)), "events": ["*"]}), &["/url"])
        .await;
    let taken = service.post("/v1/webhooks", &json!({"url": "https://example.com/hooks?a=b", "events": ["*"]})).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_refused_however_it_is_written() {
    let service = strict().await;

    for host in [
        "10.0.0.1",
        "127.0.0.1",
        "192.168.1.1:8443",
        "169.254.169.254",
        "0.0.0.0",
        "127.1",
        "0x7f.1",
        "2130706433",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "localhost",
        "LOCALHOST:8443",
        "localhost.",
        "api.localhost",
    ] {
        check(&service, json!({"url": format!("https://{host}/"), "events": ["*"]}), &["/url"]).await;
    }
    let taken = service.post("/v1/webhooks", &json!({"url": "https://1.1.1.1/", "events": ["*"]})).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
}

#[tokio::test]
async fn all_blocked_addresses_have_one_answer() {
    let service = strict().await;
    let ask = async |url: &str| service.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await.told();

    let metadata = ask("https://169.254.169.254/").await;

    for url in ["https://10.0.0.1:8443/", "https://[::1]/", "https://localhost/"] {
        assert_eq!(ask(url).await, metadata, "{url}");
    }
}

#[tokio::test]
async fn what_the_operator_allows_is_allowed() {
    let service = Service::start_with(&[("SIGNET_EGRESS_ALLOW", "10.0.0.0/8, 127.0.0.0/8")]).await;

    for (host, status) in
        [("10.0.0.1", 201), ("127.0.0.1", 201), ("localhost", 201), ("[::1]", 422), ("169.254.169.254", 422)]
    {
        let answer = service.post("/v1/webhooks", &json!({"url": format!("http://{host}/"), "events": ["*"]})).await;

        assert_eq!(answer.status, status, "{host}: {}", answer.text);
    }
}

#[tokio::test]
async fn events_that_nobody_can_subscribe_to_are_named_by_their_place() {
    let service = strict().await;
    let of = |events: Value| json!({"url": "https://example.com/", "events": events});

    check(&service, of(json!([])), &["/events"]).await;
    check(&service, of(json!(["user", "User"])), &["/events/1"]).await;
    check(
        &service,
        of(json!(["", "user", "user..created", "user.*", ".user", "user-created"])),
        &["/events/0", "/events/2", "/events/3", "/events/4", "/events/5"],
    )
    .await;
    check(&service, of(json!(["a".repeat(129)])), &["/events/0"]).await;
    check(&service, of(json!(["a.b.c.d.e.f.g.h.i"])), &["/events/0"]).await;
    check(&service, of(json!(vec!["user"; 101])), &["/events"]).await;
}

#[tokio::test]
async fn several_faults_are_told_at_once() {
    let service = strict().await;

    let wish = json!({
        "url": "http://example.com/",
        "events": ["user", "*.*"],
        "description": "x".repeat(501),
        "format": "carrier-pigeon",
        "audience": "a\nb",
    });

    check(&service, wish, &["/url", "/events/1", "/description", "/format", "/audience"]).await;
}

#[tokio::test]
async fn a_member_of_the_wrong_type_is_named() {
    let service = strict().await;

    for (wish, pointer) in [
        (json!({"url": 1, "events": ["*"]}), "/url"),
        (json!({"url": "https://example.com/", "events": "user"}), "/events"),
        (json!({"url": "https://example.com/", "events": ["user", 7]}), "/events/1"),
        (json!({"url": "https://example.com/", "events": ["*"], "enabled": "yes"}), "/enabled"),
        (json!({"url": "https://example.com/", "events": ["*"], "description": {}}), "/description"),
        (json!({"url": "https://example.com/", "events": ["*"], "audience": 5}), "/audience"),
    ] {
        check(&service, wish, &[pointer]).await;
    }
}

#[tokio::test]
async fn a_list_is_no_object_and_a_fraction_no_count() {
    let service = strict().await;
    let with = |name: &str, value: Value| json!({"url": "https://example.com/", "events": ["*"], name: value});

    check(&service, with("retry", json!([[1, 2]])), &["/retry"]).await;
    check(&service, with("activation", json!(["challenge", 3600])), &["/activation"]).await;
    check(&service, with("timeout_seconds", json!(1.5)), &["/timeout_seconds"]).await;
    check(&service, with("rate_limit", json!(1e300)), &["/rate_limit"]).await;
    let whole = service.post("/v1/webhooks", &with("timeout_seconds", json!(18.0))).await;
    assert_eq!((whole.status, &whole.json()["timeout_seconds"]), (201, &json!(18)), "{}", whole.text);
}

#[tokio::test]
async fn a_member_that_nobody_knows_is_refused() {
    let service = strict().await;

    check(&service, json!({"url": "https://example.com/", "events": ["*"], "evnets": []}), &["/evnets"]).await;
}

#[tokio::test]
async fn a_member_that_is_missing_is_named_in_words() {
    let service = strict().await;

    for (wish, member) in [(json!({"events": ["*"]}), "url"), (json!({"url": "https://example.com/"}), "events")] {
        let answer = service.post("/v1/webhooks", &wish).await;

        assert_eq!((answer.status, answer.pointers()), (422, vec![format!("/{member}")]));
        let detail = answer.problem()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(&format!("/{member}: is required")), "{detail}");
    }
}
