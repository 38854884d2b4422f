//! Declarations that cannot be: the server says all that is wrong with them, and does not start.

use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::webhook::Format;
use signet::engine::webhooks::DeclareError;

use super::{SECRET, declare, declaring, shown, stored};
use crate::support::installation::Installation;
use crate::support::{Service, send, with_json};

/// What a list is refused with.
async fn faults(service: &Service, list: &Value) -> Vec<String> {
    match declare(service, list).await {
        Err(DeclareError::Faulty(faults)) => faults,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once_and_nothing_that_may_be_secret() {
    let list = json!([
        {"url": "ftp://example.com/?key=hunter2", "events": ["User"], "secret": SECRET.replace("whsec", "wsec")},
        {"callback": "https://example.com/", "evnts": ["user"], "headers": {"x-a": "hunter2\n"}},
        {"url": "https://example.com/a", "events": ["user"], "encryption": {"jwk": "hunter2", "jwks_url": "ftp://hunter2"}},
        {"url": "https://example.com/b", "events": ["user"], "encryption": {"jwks_url": "ftp://10.0.0.1/?key=hunter2"}},
        {"url": "https://example.com/c", "events": ["user"], "encryption": {"jwk": {}, "d": "hunter2"}},
    ]);
    let installation = Installation::new().with(&[
        ("SIGNET_WEBHOOKS", &list.to_string()),
        ("SIGNET_LISTEN", "nowhere"),
        ("SIGNET_LOG", "trace"),
    ]);

    let ended = installation.run(&["serve"]);

    assert_eq!(ended.code, Some(1), "{}", ended.said);
    for wanted in [
        "SIGNET_LISTEN: \"nowhere\" is not an address",
        "`[0].url` in SIGNET_WEBHOOKS: must begin with https://",
        "`[0].events[0]` in SIGNET_WEBHOOKS: contains 'U'",
        "`[0].secret` in SIGNET_WEBHOOKS: is whsec_ and base64",
        "`[1].events` in SIGNET_WEBHOOKS: is required",
        "`[1].headers.x-a` in SIGNET_WEBHOOKS: must be 1 to",
        "`[1]` in SIGNET_WEBHOOKS: has no member `evnts`",
        "`[2].encryption` in SIGNET_WEBHOOKS: has both `jwk` and `jwks_url`",
        "`[3].encryption.jwks_url` in SIGNET_WEBHOOKS: must begin with https://",
        "`[4].encryption.d` in SIGNET_WEBHOOKS: is of another type: `encryption` is a table with a jwk",
    ] {
        assert!(ended.said.contains(wanted), "{wanted} is missing in {}", ended.said);
    }
    assert!(!ended.said.contains("hunter2") && !ended.said.contains("MfKQ9r8GKYqr"), "{}", ended.said);
}

#[tokio::test]
async fn a_server_does_not_start_with_what_the_database_or_the_network_has_something_against() {
    let list = json!([
        {"url": "https://169.254.169.254/", "events": ["user"]},
        {"url": "https://example.com/", "events": ["user"], "tenant": "tnt_01JZ0000000000000000000000"},
        {"url": "https://example.com/a", "events": ["user"], "encryption": {"jwk": {"kty": "EC", "crv": "P-256", "d": "hunter2"}}},
        {"url": "https://example.com/b", "events": ["user"], "encryption": {"jwks_url": "https://10.0.0.1/"}},
        {"url": "https://example.com/c", "events": ["user"], "format": "action", "encryption": {"jwks_url": "https://1.1.1.1/"}},
    ]);
    let installation = Installation::new().with(&[("SIGNET_WEBHOOKS", &list.to_string())]);

    let ended = installation.run(&["serve"]);

    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains("the configuration is not usable"), "{}", ended.said);
    assert!(ended.said.contains("`[0].url` in SIGNET_WEBHOOKS: names a host that webhooks may not reach"));
    assert!(ended.said.contains("`[1].tenant` in SIGNET_WEBHOOKS: is no tenant of this installation"));
    for wanted in [
        "`[2].encryption.jwk.d` in SIGNET_WEBHOOKS: belongs to a private or secret key",
        "`[2].encryption.jwk.x` in SIGNET_WEBHOOKS: is 32 bytes in base64url",
        "`[3].encryption.jwks_url` in SIGNET_WEBHOOKS: names a host that webhooks may not reach",
        "`[4].encryption` in SIGNET_WEBHOOKS: webhooks of this format are not encrypted",
    ] {
        assert!(ended.said.contains(wanted), "{wanted} is missing in {}", ended.said);
    }
    assert!(!ended.said.contains("hunter2"), "{}", ended.said);
    // Other commands are not kept from their work.
    assert_eq!(installation.run(&["keys", "list"]).code, Some(0));
}

#[tokio::test]
async fn types_that_a_closed_catalogue_does_not_know_are_refused_with_the_nearest_names() {
    let service = Service::start().await;
    for name in ["user.created", "user.deleted"] {
        let put = service.request(Method::PUT, &format!("/v1/event-types/{name}"));
        assert_eq!(send(with_json(put, "{}")).await.status, 201);
    }
    let tenant = service.server().engine().default_keys().unwrap().tenant.id;
    let closed = json!({"catalogue": {"closed": true}});
    service.patch(&format!("/v1/admin/tenants/{tenant}"), &closed).await;
    let list = |events: &[&str]| json!([{"url": "http://127.0.0.1:1029/", "events": events}]);

    let told = faults(&service, &list(&["user", "user.craeted"])).await;
    declare(&service, &list(&["user.created", "user.deleted"])).await.unwrap();
    service.delete("/v1/event-types/user.deleted").await;
    let again = declare(&service, &list(&["user.created", "user.deleted"])).await;
    let more = faults(&service, &list(&["user.deleted", "user.updated"])).await;

    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("`[0].events[1]` in SIGNET_WEBHOOKS: ") && told[0].contains("user.created"),
        "{told:?}"
    );
    again.expect("a type that is deleted later keeps no server from starting");
    assert!(more.len() == 1 && more[0].starts_with("`[0].events[1]`"), "{more:?}");
    assert_eq!(stored(&service).await.len(), 1, "what is refused changes nothing");
}

#[tokio::test]
async fn a_webhook_is_declared_for_its_tenant_and_once_for_each() {
    let service = Service::start().await;
    let (shop, default) = (service.tenant("shop").await, service.server().engine().default_keys().unwrap().tenant.id);
    let of = |tenant: Value| json!({"url": "http://127.0.0.1:1029/", "events": ["user"], "tenant": tenant});

    let twice = faults(&service, &json!([of(Value::Null), of(json!(shop)), of(json!(default.to_string()))])).await;
    declare(&service, &json!([of(Value::Null), of(json!(shop))])).await.unwrap();

    assert_eq!(
        twice,
        ["`[2].url` in SIGNET_WEBHOOKS: is declared twice for the same tenant; put the events of both into one"]
    );
    let tenants: Vec<String> = stored(&service).await.iter().map(|it| it.tenant_id.to_string()).collect();
    assert_eq!(tenants, [default.to_string(), shop]);
    assert_eq!(shown(&service).await.len(), 1, "each tenant sees its own");
}

#[tokio::test]
async fn a_list_with_a_blocked_address_changes_nothing() {
    let list = json!([{"url": "http://127.0.0.1:1029/", "events": ["user"]}]);
    let service = declaring(&list).await;
    let told = faults(&service, &json!([{"url": "http://10.0.0.1/", "events": ["user"]}])).await;

    assert!(told[0].contains("list its network in SIGNET_EGRESS_ALLOW"), "{told:?}");
    assert_eq!(stored(&service).await[0].url.as_str(), "http://127.0.0.1:1029/");
}

#[tokio::test]
async fn a_vendor_s_secret_is_declared_for_formats_that_sign_with_its_text_and_for_no_other() {
    let service = Service::start().await;
    let wish = |format: &str, secret: Option<&str>| {
        let mut wish = json!({"url": "http://127.0.0.1:1029/", "events": ["user"], "format": format});
        if let Some(secret) = secret {
            wish["secret"] = json!(secret);
        }
        json!([wish])
    };
    let theirs = Some("hunter2-of-another-vendor");

    declare(&service, &wish("signed", theirs)).await.unwrap();
    declare(&service, &wish("action", None)).await.unwrap();
    let kept = faults(&service, &wish("token", None)).await;
    let formats: Vec<Format> = stored(&service).await.iter().map(|webhook| webhook.format).collect();
    declare(&service, &wish("token", Some(SECRET))).await.unwrap();
    let installation = Installation::new().with(&[("SIGNET_WEBHOOKS", &wish("set", theirs).to_string())]);
    let ended = installation.run(&["serve"]);

    assert_eq!(formats, [Format::Action]);
    assert!(kept.len() == 1 && kept[0].starts_with("`[0].format` in SIGNET_WEBHOOKS: goes with a secret"), "{kept:?}");
    let told =
        "`[0].secret` in SIGNET_WEBHOOKS: is whsec_ and base64 of 24 to 64 bytes, save where the format is signed";
    assert!(ended.code == Some(1) && ended.said.contains(told) && !ended.said.contains("hunter2"), "{}", ended.said);
}
