//! How a webhook that pulls is made, shown and changed, and what makes no sense for one.

use serde_json::{Value, json};

use super::{Jws, Mailbox, made};
use crate::support::{Receiver, Service};

#[tokio::test]
async fn a_receiver_is_told_where_it_collects_and_with_what_once() {
    let service = Service::start().await;

    let webhook = made(&service, json!({"format": "set"})).await;

    let mailbox = Mailbox::of(&webhook);
    let url = format!("{}{}", service.url(), mailbox.path());
    assert_eq!(
        (&webhook["delivery"], &webhook["url"], &webhook["audience"]),
        (&json!("pull"), &json!(url), &json!(url))
    );
    assert!(mailbox.key.starts_with("pull_live_") && mailbox.key.len() == 46, "{}", mailbox.key);
    assert!(webhook["signing_secret"].is_string(), "{webhook}");
    let shown = service.get(&format!("/v1/webhooks/{}", mailbox.id)).await.json();
    assert_eq!((&shown["url"], shown.get("pull_key")), (&json!(url), None));
    let listed = service.get("/v1/webhooks").await.text;
    assert!(listed.contains(&url) && !listed.contains("pull_live_"), "{listed}");
}

#[tokio::test]
async fn the_place_to_collect_at_follows_the_public_url() {
    let service = Service::start().await;
    let mailbox = Mailbox::of(&made(&service, json!({})).await);

    let service = service.restarted_with(&[("SIGNET_PUBLIC_URL", "https://hooks.example.com/signet/")]).await;

    let url = format!("https://hooks.example.com/signet{}", mailbox.path());
    let shown = service.get(&format!("/v1/webhooks/{}", mailbox.id)).await.json();
    assert_eq!((&shown["url"], &shown["audience"]), (&json!(url), &json!(url)));
    let listed = service.get("/v1/webhooks").await.json();
    assert_eq!(listed["data"][0]["url"], url.as_str());
    let changed = service.patch(&format!("/v1/webhooks/{}", mailbox.id), &json!({"description": "x"})).await.json();
    assert_eq!(changed["url"], url.as_str());
    service.event("user.created").await;
    let collected = mailbox.poll(&service, &json!({})).await.json();
    let body: Value = serde_json::from_str(collected["deliveries"][0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(Jws::read(body["token"].as_str().unwrap()).claims["aud"], json!([url]));
}

#[tokio::test]
async fn what_is_only_for_sending_is_refused_member_by_member() {
    let service = Service::start().await;
    let of_sending = json!({
        "url": "https://example.com/hooks", "headers": {"x-a": "1"}, "retry": {"schedule": [5]}, "timeout_seconds": 5,
        "rate_limit": 5, "activation": {"method": "challenge"},
    });
    let pointers = ["/url", "/headers", "/retry", "/timeout_seconds", "/rate_limit", "/activation"];
    let mut wish = json!({"delivery": "pull", "events": ["user"]});
    wish.as_object_mut().unwrap().extend(of_sending.as_object().unwrap().clone());

    let refused = service.post("/v1/webhooks", &wish).await;
    let mailbox = Mailbox::of(&made(&service, json!({"headers": {}})).await);
    let change = service.patch(&format!("/v1/webhooks/{}", mailbox.id), &of_sending).await;
    let harmless = json!({"retry": null, "timeout_seconds": null, "rate_limit": null, "activation": null});
    let taken_back = service.patch(&format!("/v1/webhooks/{}", mailbox.id), &harmless).await;

    assert_eq!((refused.status, refused.pointers()), (422, pointers.map(str::to_owned).to_vec()), "{}", refused.text);
    assert_eq!((change.status, change.pointers()), (422, pointers.map(str::to_owned).to_vec()), "{}", change.text);
    assert!(change.text.contains("nothing is sent to it"), "{}", change.text);
    assert_eq!(taken_back.status, 200, "{}", taken_back.text);
}

#[tokio::test]
async fn how_deliveries_come_is_chosen_once_and_for_all() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let pulled = Mailbox::of(&made(&service, json!({})).await).id;
    let pushed = service.webhook(&receiver, &["user"]).await;

    for (id, is, other) in [(&pulled, "pull", "push"), (&pushed, "push", "pull")] {
        let path = format!("/v1/webhooks/{id}");
        let changed = service.patch(&path, &json!({"delivery": other, "description": "x"})).await;
        assert_eq!((changed.status, changed.pointers()), (422, vec!["/delivery".to_owned()]), "{}", changed.text);
        assert!(changed.text.contains("make another one"), "{}", changed.text);
        let same = service.patch(&path, &json!({"delivery": is})).await;
        assert_eq!((same.status, &same.json()["delivery"]), (200, &json!(is)));
        assert_eq!(same.json()["description"], "");
    }
    for wrong in [json!("mail"), json!(1)] {
        let refused = service.post("/v1/webhooks", &json!({"delivery": wrong, "events": ["user"]})).await;
        assert!(refused.pointers().contains(&"/delivery".to_owned()), "{}", refused.text);
    }
    let nowhere = service.post("/v1/webhooks", &json!({"delivery": "push", "events": ["user"]})).await;
    assert_eq!((nowhere.status, nowhere.pointers()), (422, vec!["/url".to_owned()]));
    assert_eq!(service.post("/v1/webhooks", &json!({"events": ["user"], "url": null})).await.pointers(), ["/url"]);
}

#[tokio::test]
async fn a_receiver_that_collects_is_not_activated_and_takes_no_part_in_rehearsals() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let mailbox = Mailbox::of(&made(&service, json!({})).await);
    let pushed = service.webhook(&receiver, &["user"]).await;

    let activated = service.post(&format!("/v1/webhooks/{}/activate", mailbox.id), &json!({})).await;
    let rehearsed = service.post("/v1/admin/keys/rehearse", &json!({})).await.json();

    assert_eq!((activated.status, &activated.problem()["code"]), (409, &json!("webhook_pulls")));
    let data = rehearsed["data"].as_array().unwrap();
    assert_eq!((data.len(), &data[0]["webhook_id"]), (1, &json!(pushed)));
    assert!(mailbox.now(&service).await.is_empty());
}

#[tokio::test]
async fn a_sample_lies_ready_for_the_receiver_and_is_logged_when_it_was_collected() {
    let service = Service::start().await;
    let mailbox = Mailbox::of(&made(&service, json!({"events": ["session"]})).await);

    let tested = service.post(&format!("/v1/webhooks/{}/test", mailbox.id), &json!({"event": "user.created"})).await;

    let (sample, event) = (tested.json(), tested.json()["event_id"].as_str().unwrap().to_owned());
    assert_eq!((&sample["delivered"], sample.get("attempt")), (&json!(false), None), "{sample}");
    assert_eq!(mailbox.now(&service).await, [event.as_str()]);
    mailbox.acknowledge(&service, std::slice::from_ref(&event)).await;
    let delivery = service.delivery_when(&mailbox.id, &event, "delivered").await;
    assert_eq!(delivery["attempts"], 1);
}
