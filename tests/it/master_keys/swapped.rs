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
