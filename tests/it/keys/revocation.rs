//! Taking a key back: at once, for good, and so that every receiver hears of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{TOLD_WITHIN, delivered, jwks, kids, verified};
use crate::support::{Receiver, Service, until};

async fn revoke(service: &Service, kid: &str) -> Value {
    let answer =
        service.post(&format!("/v1/admin/keys/{kid}/revoke"), &json!({"reason": "a \"laptop\" was stolen"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn every_webhook_that_listens_is_told_by_an_event_that_must_make_it_fetch_the_set_anew() {
    let service = Service::start().await;
    let (subscribed, other, disabled) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    service.webhook(&subscribed, &["*"]).await;
    service.webhook(&other, &["something.else"]).await;
    let off = service.webhook(&disabled, &["*"]).await;
    service.patch(&format!("/v1/webhooks/{off}"), &json!({"enabled": false})).await;
    let before = kids(&service).await;

    let revoked = revoke(&service, &before[0]).await;

    assert_eq!(revoked["webhooks_told"], 2);
    service.after(TOLD_WITHIN);
    for receiver in [&subscribed, &other] {
        let told = receiver.received_when(1).await.remove(0);
        assert_eq!(told.event(), "signet.key.revoked");
        assert!(!before.contains(&told.kid()), "nobody can have cached the key that signs it");
        let claims = told.claims();
        assert_eq!(claims["data"]["kid"], before[0].as_str());
        assert_eq!(claims["data"]["active_kid"], before[1].as_str());
        assert_eq!(claims["data"]["reason"], "a \"laptop\" was stolen");
        verified(&service, &told, service.url(), &jwks(&service).await.text);
    }
    assert_eq!(disabled.received().len(), 0);
}

#[tokio::test]
async fn what_was_pending_is_signed_by_the_new_key() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(500);
    service.webhook(&receiver, &["user"]).await;
    let first = delivered(&service, &receiver).await;
    let before = kids(&service).await;

    revoke(&service, &before[0]).await;
    receiver.answering(200);
    let retried = until(async || {
        service.after(Duration::from_secs(6));
        receiver.received().into_iter().find(|received| received.header("webhook-attempt") == "2")
    })
    .await;

    assert_eq!((first.kid(), retried.kid()), (before[0].clone(), before[1].clone()));
}

#[tokio::test]
async fn a_restored_backup_does_not_bring_a_revoked_key_back() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    service.webhook(&receiver, &["*"]).await;
    service.tamper("create table backup as select * from signing_keys").await;
    let before = kids(&service).await;
    revoke(&service, &before[0]).await;

    // The database as it was before, while the server runs; a version that it has not seen has it look.
    service
        .tamper(
            "delete from signing_keys;
             insert into signing_keys select * from backup;
             update settings set value = '1000' where name = 'keys_version';
             update tenants set keys_version = 1000",
        )
        .await;
    service.after(Duration::from_secs(2));
    let state = async || {
        let keys = service.get("/v1/admin/keys").await.json();
        let key = keys["data"].as_array().unwrap().iter().find(|key| key["kid"] == before[0].as_str()).cloned();
        key.map(|key| key["state"].clone())
    };
    until(async || {
        // What could not be signed for a moment is tried again a second later.
        service.after(Duration::from_secs(1));
        (receiver.received().len() == 2).then_some(())
    })
    .await;
    until(async || (state().await == Some(json!("revoked"))).then_some(())).await;

    let set = kids(&service).await;
    assert!(!set.contains(&before[0]));
    assert_eq!(set[0], before[1], "its standby signs again");
    assert!(receiver.received().iter().all(|told| !before.contains(&told.kid())));
    for received in &receiver.received()[1..] {
        verified(&service, received, service.url(), &jwks(&service).await.text);
    }
}
