//! Seeing before a rotation who would notice it.

use std::collections::BTreeMap;

use serde_json::json;
use signet::signing::{Expected, Rejection, verify};

use super::{jwks, kids};
use crate::support::{Receiver, Service};

#[tokio::test]
async fn a_rehearsal_tells_who_cannot_verify_the_standby_and_who_verifies_nothing() {
    let service = Service::start().await;
    let (careless, refusing, off) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    refusing.answering(401);
    let careless_id = service.webhook(&careless, &["user"]).await;
    let refusing_id = service.webhook(&refusing, &["*"]).await;
    let off_id = service.webhook(&off, &["*"]).await;
    service.patch(&format!("/v1/webhooks/{off_id}"), &json!({"enabled": false})).await;
    let before = kids(&service).await;

    let rehearsed = service.post("/v1/admin/keys/rehearse", &json!({"wrong_signature": true})).await;

    assert_eq!(rehearsed.status, 200, "{}", rehearsed.text);
    let rehearsed = rehearsed.json();
    assert_eq!(
        (&rehearsed["kid"], &rehearsed["could_not_verify"], &rehearsed["accepted_wrong_signature"]),
        (&json!(before[1]), &json!(1), &json!(1))
    );
    let verdicts: BTreeMap<_, _> = rehearsed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["webhook_id"].as_str().unwrap(), (one["verified"].clone(), one["accepted_wrong_signature"].clone()))
        })
        .collect();
    let wanted =
        [(careless_id.as_str(), (json!(true), json!(true))), (refusing_id.as_str(), (json!(false), json!(false)))];
    assert_eq!(verdicts, BTreeMap::from(wanted));
    assert_eq!(kids(&service).await, before, "a rehearsal changes nothing");
    assert_eq!(off.received().len(), 0);
}

#[tokio::test]
async fn what_a_rehearsal_sends_is_signed_by_the_standby_and_its_forgery_is_refused_by_whoever_verifies() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    let webhook = service.webhook(&receiver, &["user"]).await;
    let (set, before) = (jwks(&service).await.text, kids(&service).await);

    service.post("/v1/admin/keys/rehearse", &json!({"wrong_signature": true})).await;

    let received = receiver.received();
    let verified = |at: usize| {
        let claims = received[at].claims();
        let expected =
            Expected { issuer: Some(service.url()), audience: claims["aud"][0].as_str(), now: service.now() };
        verify(&received[at].token(), set.as_bytes(), &expected)
    };
    assert_eq!(
        (received.len(), received[0].kid(), received[0].event()),
        (2, before[1].clone(), "signet.key.rehearsal".to_owned())
    );
    assert!(verified(0).is_ok());
    assert!(matches!(verified(1), Err(Rejection::Signature)), "{:?}", verified(1).err());
    let log = service.get(&format!("/v1/webhooks/{webhook}/deliveries")).await.json();
    assert_eq!(log["data"].as_array().unwrap().len(), 1, "what nobody signed is not in the log");
}

#[tokio::test]
async fn a_rehearsal_goes_through_all_webhooks_page_by_page() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    for _ in 0..5 {
        service.webhook(&receiver, &["*"]).await;
    }

    let (mut cursor, mut pages, mut seen) = (String::new(), 0, 0);
    loop {
        let page = service.post(&format!("/v1/admin/keys/rehearse?limit=2{cursor}"), &json!({})).await.json();
        (pages, seen) = (pages + 1, seen + page["data"].as_array().unwrap().len());
        let Some(next) = page["pagination"]["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }

    assert_eq!((pages, seen, receiver.received().len()), (3, 5, 5));
}
