//! Rows that somebody moved between tenants in the database: nobody who did not know the tenants before serves them.

use reqwest::Method;
use serde_json::json;
use signet::signing::{Expected, verify};

use crate::support::{Receiver, Service, database, send, with_json};

/// The keys in this state of two tenants exchange what stands in these columns.
async fn swapped(service: &Service, state: &str, columns: &[&str]) -> [String; 2] {
    let tenants = [service.tenant("acme").await, service.tenant("globex").await];
    let theirs = format!(
        "select kid from signing_keys
         where state = '{state}' and tenant_id <> (select id from tenants where is_default = 1)"
    );
    let set = |column: &&str| {
        format!(
            "{column} = (select o.{column} from signing_keys o where o.kid <> signing_keys.kid and o.kid in ({theirs}))"
        )
    };
    let sets: Vec<String> = columns.iter().map(set).collect();
    let swap = format!("update signing_keys set {} where kid in ({theirs})", sets.join(", "));
    assert_eq!(service.tamper_rows(&swap).await, 2);
    service.tamper("update tenants set keys_version = keys_version + 1000 where is_default = 0").await;
    tenants
}

async fn set_of(service: &Service, tenant: &str) -> (u16, String) {
    let answer = send(service.anonymous(Method::GET, &format!("/{tenant}/.well-known/jwks.json"))).await;
    (answer.status, answer.text)
}

/// What was swapped is served by nobody who did not know the tenants before.
async fn check_not_served(state: &str, columns: &[&str]) {
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let tenants = swapped(&service, state, columns).await;

    let newcomer = service.beside().await;

    for tenant in &tenants {
        let (status, text) = set_of(&newcomer, tenant).await;
        assert!(status >= 400 && !text.contains("kty"), "{columns:?}: {status} {text}");
    }
}

#[tokio::test]
async fn keys_that_were_swapped_between_tenants_are_not_served() {
    check_not_served("active", &["private_half"]).await;
    check_not_served("active", &["public_jwk"]).await;
    check_not_served("active", &["public_jwk", "private_half"]).await;
    check_not_served("pending", &["tenant_id"]).await;
}

#[tokio::test]
async fn a_server_goes_on_with_the_keys_it_knew_when_those_in_its_database_were_swapped() {
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let receiver = Receiver::start().await;
    let tenants = swapped(&service, "active", &["private_half"]).await;

    let key = service.api_key_of(&tenants[0], &["admin"]).await;
    let webhook = json!({"url": receiver.url(), "events": ["*"]}).to_string();
    let made = send(with_json(service.request_with(&key, "POST /v1/webhooks"), &webhook)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    // The tenant goes on with the keys that it had in memory, and those were its own.
    let event = json!({"type": "user.created", "data": {}}).to_string();
    send(with_json(service.request_with(&key, "POST /v1/events"), &event)).await;
    let received = receiver.received_when(1).await;

    let (_, set) = set_of(&service, &tenants[0]).await;
    let expected = Expected { issuer: None, audience: None, now: service.now() };
    verify(&received[0].token(), set.as_bytes(), &expected).unwrap();
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_tenant_cannot_be_loaded_signs_nothing_any_more() {
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let [tenant, other] = swapped(&service, "pending", &["private_half"]).await;
    let engine = service.server().engine();
    engine.refresh_keys().await.unwrap();
    let kid = |set: &str| {
        let set: serde_json::Value = serde_json::from_str(set).unwrap();
        set["keys"][0]["kid"].as_str().unwrap().to_owned()
    };
    let active = kid(&set_of(&service, &tenant).await.1);

    let revoke = service.request(Method::POST, &format!("/v1/admin/keys/{active}/revoke"));
    let revoked = send(with_json(revoke.header("x-tenant-id", &tenant), "{}")).await;

    assert_eq!(revoked.status, 200, "{}", revoked.text);
    let (_, set) = set_of(&service, &tenant).await;
    assert!(!set.contains(&active), "{set}");
    assert_eq!(set_of(&service, &other).await.0, 200);
    service.event("user.created").await;
    engine.step_all_rings().await.unwrap();
}

#[tokio::test]
async fn a_tenant_whose_record_is_damaged_stops_nobody_else() {
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let receiver = Receiver::start().await;
    service.webhook(&receiver, &["*"]).await;
    service.tenant("acme").await;
    service
        .tamper(
            "update tenants set token_ttl_seconds = 61, key_profile = 'standard', key_period_seconds = 1,
                 key_publish_ahead_seconds = 1, key_grace_seconds = -1, keys_version = keys_version + 1000
                 where is_default = 0",
        )
        .await;

    service.after(std::time::Duration::from_mins(2));
    service.server().engine().step_all_rings().await.unwrap();
    service.event("user.created").await;

    receiver.received_when(1).await;
    assert!(service.server().engine().may_sign());
    let newcomer = service.beside().await;
    assert!(newcomer.server().engine().may_sign(), "a node that starts is not stopped either");
}
