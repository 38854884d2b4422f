//! Collecting: what is handed over, in which order and how often, and what receivers say of it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Jws, Mailbox, events, ids, made, of_format};
use crate::support::{Receiver, Service, send, with_json};

#[tokio::test]
async fn sets_are_handed_over_by_their_jti_until_they_are_acknowledged() {
    let service = Service::start().await;
    let mailbox = Mailbox::of(&made(&service, json!({"format": "set", "audience": "urn:shop"})).await);
    let told = events(&service, 3).await;

    let first = mailbox.poll(&service, &json!({})).await;
    let again = mailbox.poll(&service, &json!({"ack": [told[1]], "returnImmediately": true})).await;
    let last = mailbox.poll(&service, &json!({"ack": [told[0], told[2], told[1]], "returnImmediately": true})).await;

    assert_eq!(ids(&first), told, "the oldest first");
    assert_eq!(ids(&again), [told[0].clone(), told[2].clone()]);
    assert_eq!(last.json(), json!({"sets": {}}));
    for (jti, token) in first.json()["sets"].as_object().unwrap() {
        let token = Jws::read(token.as_str().unwrap());
        assert_eq!((token.claims["jti"].as_str(), &token.claims["aud"]), (Some(jti.as_str()), &json!(["urn:shop"])));
        assert_eq!(token.header["typ"], "secevent+jwt");
        assert!(token.claims.get("exp").is_none() && token.claims.get("sub").is_none());
    }
    let members = first.json().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members, ["sets"], "RFC 8936 knows no others, and leaves moreAvailable out where it is false");
}

#[tokio::test]
async fn no_more_come_than_are_wanted_and_it_is_said_that_there_are_more() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let told = events(&service, 4).await;

    let two = mailbox.poll(&service, &json!({"maxEvents": 2})).await;
    let rest = mailbox.poll(&service, &json!({"maxEvents": 2.0, "ack": told[..2]})).await;
    let huge = mailbox.poll(&service, &json!({"maxEvents": 18_446_744_073_709_551_615_u64})).await;
    let none = mailbox.poll(&service, &json!({"maxEvents": 0})).await;

    assert_eq!((ids(&two), &two.json()["moreAvailable"]), (told[..2].to_vec(), &json!(true)));
    assert_eq!((ids(&rest), rest.json().get("moreAvailable")), (told[2..].to_vec(), None));
    assert_eq!(ids(&huge), told[2..]);
    assert_eq!((ids(&none), none.json().get("moreAvailable")), (vec![], None), "nothing but acknowledging");
}

#[tokio::test]
async fn an_answer_is_bounded_in_number_and_in_bytes() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let batch: Vec<Value> = (0..120).map(|number| json!({"type": "user.created", "data": number})).collect();
    service.post("/v1/events/batch", &json!({"events": batch})).await;

    let usual = mailbox.poll(&service, &json!({})).await;
    let many = mailbox.poll(&service, &json!({"maxEvents": 1_000})).await;
    assert_eq!((ids(&usual).len(), ids(&many).len(), &many.json()["moreAvailable"]), (50, 100, &json!(true)));

    let mailbox = Mailbox::of(&made(&service, json!({"events": ["file"]})).await);
    let large = json!({"type": "file.made", "data": "x".repeat(250 * 1024)});
    for _ in 0..12 {
        assert_eq!(service.post("/v1/events", &large).await.status, 202);
    }
    let mut seen = Vec::new();
    loop {
        let part = mailbox.poll(&service, &json!({"maxEvents": 100, "returnImmediately": true})).await;
        assert!(part.text.len() < 4 * 1024 * 1024, "{}", part.text.len());
        seen.extend(ids(&part));
        if part.json().get("moreAvailable").is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 12);
}

#[tokio::test]
async fn other_formats_are_handed_over_as_they_would_have_been_sent() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    for format in ["token", "signed", "standard", "action"] {
        let mailbox = of_format(&service, format).await;
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let alike = json!({"format": format, "secret": secret, "audience": "urn:shop"});
        let collected = Mailbox::of(&made(&service, alike.clone()).await);
        let mut wish = json!({"url": receiver.url(), "events": ["user"]});
        wish.as_object_mut().unwrap().extend(alike.as_object().unwrap().clone());
        let pushed = service.post("/v1/webhooks", &wish).await.json()["id"].as_str().unwrap().to_owned();
        let count = receiver.received().len();
        let event = service.event("user.created").await;
        let sent = receiver.received_when(count + 1).await.remove(count);

        let answer = collected.poll(&service, &json!({})).await.json();

        let handed = &answer["deliveries"][0];
        assert_eq!((&handed["id"], &handed["attempt"]), (&json!(event), &json!(1)), "{format}");
        assert_eq!(handed["content_type"], sent.header("content-type"), "{format}");
        for (name, value) in handed["headers"].as_object().unwrap() {
            // Delivery ids are a webhook's own, and signatures of tokens come out differently each time.
            let is_own = name.ends_with("delivery-id") || (format == "token" && name == "webhook-signature");
            let is_alike = !is_own;
            assert!(!is_alike || sent.header(name) == value.as_str().unwrap(), "{format} {name}: {value}");
        }
        let body = handed["body"].as_str().unwrap();
        if format == "token" {
            let token: Value = serde_json::from_str(body).unwrap();
            assert_eq!(Jws::read(token["token"].as_str().unwrap()).claims, sent.claims());
        } else {
            assert_eq!(body.as_bytes(), &sent.body[..], "{format}");
        }
        mailbox.acknowledge(&service, &[event]).await;
        service.delete(&format!("/v1/webhooks/{pushed}")).await;
        service.delete(&format!("/v1/webhooks/{}", collected.id)).await;
    }
}

#[tokio::test]
async fn what_is_leased_is_handed_to_nobody_else_until_the_lease_ends() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "token").await;
    let told = events(&service, 3).await;

    let one = mailbox.poll(&service, &json!({"maxEvents": 2, "returnImmediately": true})).await;
    let other =
        mailbox.poll(&service, &json!({"maxEvents": 2, "lease_seconds": 3_600, "returnImmediately": true})).await;
    let none = mailbox.now(&service).await;
    service.after(Duration::from_mins(1));
    let again = mailbox.poll(&service, &json!({"lease_seconds": 0, "returnImmediately": true})).await;
    let at_once = mailbox.now(&service).await;

    assert_eq!((ids(&one), ids(&other), none), (told[..2].to_vec(), told[2..].to_vec(), vec![]));
    assert_eq!(one.json()["deliveries"][0]["lease_until"], "2026-03-01T12:01:00Z");
    assert_eq!(other.json()["deliveries"][0]["lease_until"], "2026-03-01T13:00:00Z");
    let second = &again.json()["deliveries"][0];
    assert_eq!((&second["attempt"], second.get("lease_until")), (&json!(2), None));
    assert_eq!(second["headers"]["webhook-attempt"], "2");
    assert_eq!((ids(&again), at_once), (told[..2].to_vec(), told[..2].to_vec()));
}

#[tokio::test]
async fn sets_are_leased_when_somebody_asks_for_that() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let told = events(&service, 2).await;

    let leased = mailbox.poll(&service, &json!({"maxEvents": 1, "lease_seconds": 5})).await;

    assert_eq!((ids(&leased), mailbox.now(&service).await), (told[..1].to_vec(), told[1..].to_vec()));
    service.after(Duration::from_secs(5));
    assert_eq!(mailbox.now(&service).await, told);
}

#[tokio::test]
async fn an_acknowledgement_counts_after_the_lease_too_and_is_never_undone() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "token").await;
    let told = events(&service, 1).await;
    mailbox.now(&service).await;
    service.after(Duration::from_mins(2));
    mailbox.now(&service).await;

    mailbox.acknowledge(&service, &told).await;
    mailbox.acknowledge(&service, &told).await;

    service.after(Duration::from_hours(2));
    assert!(mailbox.now(&service).await.is_empty());
    let delivery = service.delivery_when(&mailbox.id, &told[0], "delivered").await;
    assert_eq!((&delivery["attempts"], delivery["log"].as_array().unwrap().len()), (&json!(2), 1), "{delivery}");
    let attempt = &delivery["log"][0];
    assert_eq!((&attempt["number"], &attempt["status_code"]), (&json!(2), &json!(200)), "{delivery}");
    assert_eq!((&attempt["at"], &attempt["kid"].is_string()), (&json!("2026-03-01T12:02:00Z"), &true), "{delivery}");
    let webhook = service.get(&format!("/v1/webhooks/{}", mailbox.id)).await.json();
    assert_eq!(webhook["last_delivery_at"], "2026-03-01T12:02:00Z");
}

#[tokio::test]
async fn what_a_receiver_will_not_have_ends_with_its_reason_and_is_told() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let mailbox = of_format(&service, "set").await;
    service.webhook(&receiver, &["signet.delivery.exhausted"]).await;
    let told = events(&service, 3).await;
    mailbox.now(&service).await;

    let refusals = json!({"maxEvents": 0, "ack": [told[2]], "setErrs": {
        told[0].clone(): {"err": "invalid_key", "description": "kid ä unknown", "more": 1},
        told[1].clone(): {"err": "jws"},
        told[2].clone(): {"err": "too late, it is acknowledged"},
        "evt_01HZZZZZZZZZZZZZZZZZZZZZZZ": {"err": "nobody's"},
        "no id": {"err": "nothing"},
    }});
    assert_eq!(mailbox.poll(&service, &refusals).await.status, 200);

    assert!(mailbox.now(&service).await.is_empty());
    let refused = service.delivery_when(&mailbox.id, &told[0], "exhausted").await;
    let attempt = &refused["log"][0];
    assert_eq!(attempt["refusal"], json!({"err": "invalid_key", "description": "kid ä unknown"}), "{refused}");
    assert_eq!((&attempt["status_code"], &refused["last_status_code"]), (&json!(400), &json!(400)));
    let plain = service.delivery_when(&mailbox.id, &told[1], "exhausted").await;
    assert_eq!(plain["log"][0]["refusal"], json!({"err": "jws"}));
    service.delivery_when(&mailbox.id, &told[2], "delivered").await;
    let news = receiver.received_when(2).await;
    let claims = news[0].claims()["data"].clone();
    assert_eq!((&claims["webhook_id"], &claims["attempts"]), (&json!(mailbox.id), &json!(1)), "{claims}");
}

#[tokio::test]
async fn a_request_that_is_not_understood_changes_nothing_and_names_the_member() {
    let service = Service::start().await;
    let (sets, tokens) = (of_format(&service, "set").await, of_format(&service, "token").await);
    let told = events(&service, 1).await;
    let many: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();

    for (wrong, pointer) in [
        (json!({"maxEvents": -1}), "/maxEvents"),
        (json!({"maxEvents": "1"}), "/maxEvents"),
        (json!({"maxEvents": 1.5}), "/maxEvents"),
        (json!({"returnImmediately": 1}), "/returnImmediately"),
        (json!({"ack": told[0]}), "/ack"),
        (json!({"ack": [1]}), "/ack/0"),
        (json!({"ack": many}), "/ack"),
        (json!({"setErrs": []}), "/setErrs"),
        (json!({"setErrs": {"a": ["err"]}}), "/setErrs/a"),
        (json!({"setErrs": {"a/b": {}}}), "/setErrs/a~1b/err"),
        (json!({"lease_seconds": 3_601}), "/lease_seconds"),
        (json!({"lease_seconds": -1}), "/lease_seconds"),
        (json!([]), ""),
    ] {
        let mut wrong = wrong;
        if let Some(members) = wrong.as_object_mut() {
            members.entry("ack").or_insert(json!(told));
        }
        for mailbox in [&sets, &tokens] {
            let answer = mailbox.poll(&service, &wrong).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{wrong}: {}", answer.text);
        }
    }
    let unknown = json!({"maxEvent": 1, "https://example.com/x": {}, "returnImmediately": true});
    let refused = tokens.poll(&service, &unknown).await;
    assert_eq!(
        (refused.status, refused.pointers()),
        (422, vec!["/https:~1~1example.com~1x".to_owned(), "/maxEvent".to_owned()])
    );
    assert_eq!(ids(&sets.poll(&service, &unknown).await), told, "what others add to RFC 8936 is left out of account");
    assert_eq!(tokens.now(&service).await, told, "nothing was acknowledged");
    let text = send(service.anonymous(Method::POST, &sets.path()).bearer_auth(&sets.key).body("x")).await;
    let parameters = service.anonymous(Method::POST, &format!("{}?maxEvents=1", sets.path())).bearer_auth(&sets.key);
    let large = json!({"ack": ["x".repeat(70 * 1024)]});
    assert_eq!((text.status, send(with_json(parameters, "{}")).await.status), (415, 400));
    assert_eq!(sets.poll(&service, &large).await.status, 413);
    let bare = send(service.anonymous(Method::POST, &sets.path()).bearer_auth(&sets.key)).await;
    assert_eq!(ids(&bare), told, "a body that says nothing need not be there");
}

#[tokio::test]
async fn what_is_handed_over_is_signed_with_the_key_that_is_active_then() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let told = events(&service, 1).await;
    let kid = async || {
        let answer = mailbox.poll(&service, &json!({"returnImmediately": true})).await.json();
        Jws::read(answer["sets"][&told[0]].as_str().unwrap()).header["kid"].clone()
    };

    let before = kid().await;
    assert_eq!(service.post("/v1/admin/keys/rotate", &json!({"force": true})).await.status, 200);
    let after = kid().await;

    assert_ne!(before, after);
    assert_eq!(
        service.get("/v1/admin/keys").await.json()["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["state"] == "active")
            .unwrap()["kid"],
        after
    );
}

#[tokio::test]
async fn signets_own_events_and_revocations_are_collected_too() {
    let service = Service::start().await;
    let mailbox = Mailbox::of(&made(&service, json!({"events": ["signet"], "format": "set"})).await);
    let old = service.get("/v1/admin/keys").await.json()["data"].as_array().unwrap().clone();
    let active = old.iter().find(|key| key["state"] == "active").unwrap()["kid"].as_str().unwrap().to_owned();

    service.post(&format!("/v1/admin/keys/{active}/revoke"), &json!({})).await;
    // Where there may be other nodes, they are given time to hear of it first.
    service.after(Duration::from_mins(1));
    let answer = mailbox.poll(&service, &json!({"returnImmediately": true})).await.json();

    let published = service.get("/.well-known/jwks.json").await.json();
    let kids: Vec<&Value> = published["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    let sets = answer["sets"].as_object().unwrap();
    let types: Vec<String> = sets
        .values()
        .map(|token| {
            let token = Jws::read(token.as_str().unwrap());
            assert!(kids.contains(&&token.header["kid"]), "signed with a key that is published");
            token.claims["events"].as_object().unwrap().keys().next().unwrap().rsplit('/').next().unwrap().to_owned()
        })
        .collect();
    assert!(types.contains(&"signet.key.revoked".to_owned()), "{types:?}");
}
