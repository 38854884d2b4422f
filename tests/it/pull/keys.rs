//! Who may collect: the holder of this webhook's pull key, and nobody else.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use signet::api::ROUTES;

use super::{Mailbox, made, of_format};
use crate::support::{ADMIN_KEY, Answer, Receiver, Service, send, with_json};

async fn as_key(service: &Service, mailbox: &Mailbox, key: &str) -> Answer {
    send(mailbox.request_as(service, key, &json!({"returnImmediately": true}))).await
}

async fn rotated(service: &Service, mailbox: &Mailbox, overlap: u64) -> Mailbox {
    let path = format!("/v1/webhooks/{}/pull-key/rotate", mailbox.id);
    let answer = service.post(&path, &json!({"overlap_seconds": overlap})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    Mailbox { key: answer.json()["pull_key"].as_str().unwrap().to_owned(), ..mailbox.clone() }
}

#[tokio::test]
async fn what_is_no_live_pull_key_collects_nothing() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    service.event("user.created").await;
    let key = &mailbox.key;
    let swap = |at: usize| {
        let other = if key.as_bytes()[at] == b'a' { "b" } else { "a" };
        format!("{}{other}{}", &key[..at], &key[at + 1..])
    };

    for forged in [
        String::new(),
        swap(10),
        swap(20),
        swap(45),
        format!("{key}0"),
        key[..45].to_owned(),
        key.to_uppercase(),
        key.replace("pull_live_", "sk_live_"),
        // Well formed, and nobody's.
        signet::domain::access::PullKey::from_random(&[7; 32]).reveal().to_owned(),
        signet::domain::access::ApiKeySecret::from_random(&[7; 32]).reveal().to_owned(),
    ] {
        let answer = as_key(&service, &mailbox, &forged).await;
        assert_eq!((answer.status, &answer.problem()["code"]), (401, &json!("unauthenticated")), "{forged}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let nobody = send(with_json(service.anonymous(Method::POST, &mailbox.path()), "{}")).await;
    let twice = mailbox.request_as(&service, key, &json!({})).header("authorization", "Bearer x");
    let basic = service.anonymous(Method::POST, &mailbox.path()).header("authorization", format!("Basic {key}"));
    assert_eq!((nobody.status, send(twice).await.status, send(basic).await.status), (401, 400, 401));
    let all = mailbox.now(&service).await;
    assert_eq!(all.len(), 1, "and nothing was acknowledged");
}

#[tokio::test]
async fn an_api_key_collects_nothing_and_is_told_what_does() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let api_key = service.api_key(&["admin"]).await;

    for key in [ADMIN_KEY, &api_key] {
        let answer = as_key(&service, &mailbox, key).await;
        assert_eq!((answer.status, &answer.problem()["code"]), (403, &json!("forbidden")), "{}", answer.text);
        assert!(answer.text.contains("pull key"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_pull_key_opens_no_other_route_and_no_other_webhook() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let (mailbox, other) = (of_format(&service, "set").await, of_format(&service, "set").await);
    let pushed = service.webhook(&receiver, &["user"]).await;
    let tenant = service.tenant("other").await;
    let wish = json!({"delivery": "pull", "events": ["user"]}).to_string();
    let theirs = service.request(Method::POST, "/v1/webhooks").header("x-tenant-id", &tenant);
    let theirs = Mailbox::of(&send(with_json(theirs, &wish)).await.json());
    let event = service.event("user.created").await;

    for route in ROUTES.iter().filter(|route| route.scope.is_some()) {
        let path = route.path.replace("{id}", &mailbox.id).replace("{event_id}", &event);
        let request = service.anonymous(route.method.clone(), &path).bearer_auth(&mailbox.key);
        let answer = send(with_json(request, "{}")).await;
        assert_eq!(answer.status, 401, "{} {path}: {}", route.method, answer.text);
    }
    let nobodys = Mailbox { id: "wh_01HZZZZZZZZZZZZZZZZZZZZZZZ".to_owned(), ..mailbox.clone() };
    let malformed = Mailbox { id: "x".to_owned(), ..mailbox.clone() };
    let missing = as_key(&service, &nobodys, &mailbox.key).await.told();
    assert_eq!(missing.0, 404);
    for id in [&other.id, &theirs.id, &pushed, &malformed.id] {
        let at = Mailbox { id: id.clone(), ..mailbox.clone() };
        assert_eq!(as_key(&service, &at, &mailbox.key).await.told(), missing, "{id}");
        let acknowledging = json!({"ack": [event], "maxEvents": 0});
        assert_eq!(send(at.request_as(&service, &mailbox.key, &acknowledging)).await.status, 404);
    }
    assert_eq!(
        as_key(&service, &theirs, &theirs.key).await.json()["deliveries"],
        json!([]),
        "no event of the neighbour's"
    );
    assert_eq!(other.now(&service).await, [event]);
}

#[tokio::test]
async fn anothers_event_cannot_be_acknowledged() {
    let service = Service::start().await;
    let (mailbox, other) = (of_format(&service, "set").await, of_format(&service, "token").await);
    let event = service.event("user.created").await;

    mailbox.acknowledge(&service, std::slice::from_ref(&event)).await;

    assert!(mailbox.now(&service).await.is_empty());
    assert_eq!(other.now(&service).await, [event], "the same event, for somebody else");
}

#[tokio::test]
async fn both_keys_collect_until_the_overlap_ends_and_then_the_latest_alone() {
    let service = Service::start().await;
    let first = of_format(&service, "set").await;
    let status = async |mailbox: &Mailbox| as_key(&service, mailbox, &mailbox.key).await.status;

    let second = rotated(&service, &first, 3_600).await;
    assert_eq!((status(&first).await, status(&second).await), (200, 200));
    service.after(Duration::from_secs(3_599));
    assert_eq!(status(&first).await, 200);
    service.after(Duration::from_secs(1));
    assert_eq!((status(&first).await, status(&second).await), (401, 200));

    let third = rotated(&service, &second, 0).await;
    assert_eq!((status(&second).await, status(&third).await), (401, 200), "at once");
    for _ in 0..7 {
        rotated(&service, &third, 60).await;
    }
    let path = format!("/v1/webhooks/{}/pull-key/rotate", first.id);
    let one_too_many = service.post(&path, &json!({"overlap_seconds": 60})).await;
    assert_eq!((one_too_many.status, &one_too_many.problem()["code"]), (409, &json!("too_many_secrets")));
    rotated(&service, &third, 0).await;
    assert_eq!(status(&third).await, 401);
}

#[tokio::test]
async fn a_rotation_is_bounded_written_down_and_for_webhooks_that_pull() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let mailbox = Mailbox::of(&made(&service, json!({})).await);
    let pushed = service.webhook(&receiver, &["user"]).await;
    let rotate = async |id: &str, overlap: u64| {
        service.post(&format!("/v1/webhooks/{id}/pull-key/rotate"), &json!({"overlap_seconds": overlap})).await
    };

    let too_long = rotate(&mailbox.id, 604_801).await;
    let nothing_to_rotate = rotate(&pushed, 60).await;
    let reader = service.api_key(&["webhooks:read"]).await;
    let route = format!("POST /v1/webhooks/{}/pull-key/rotate", mailbox.id);
    let unable = send(with_json(service.request_with(&reader, &route), "{}")).await;
    let done = rotate(&mailbox.id, 60).await;

    assert_eq!((too_long.status, too_long.pointers()), (422, vec!["/overlap_seconds".to_owned()]));
    assert_eq!((nothing_to_rotate.status, &nothing_to_rotate.problem()["code"]), (409, &json!("webhook_pushes")));
    assert_eq!(unable.status, 403);
    assert_eq!(done.json()["previous_expires_at"], "2026-03-01T12:01:00Z");
    let log = service.get("/v1/admin/audit-log").await;
    let last = &log.json()["data"][0];
    assert_eq!((&last["action"], &last["detail"]["members"]), (&json!("webhook.changed"), &json!(["pull_key"])));
    assert!(!log.text.contains("pull_live_"), "{}", log.text);
    let bytes = service.database_bytes().await;
    let stands_there = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(stands_there("pull_key") && !stands_there(&mailbox.key[10..]), "only its digest is kept");
}

#[tokio::test]
async fn a_deleted_webhook_is_collected_from_no_more() {
    let service = Service::start().await;
    let mailbox = of_format(&service, "set").await;
    let event = service.event("user.created").await;
    assert_eq!(mailbox.now(&service).await.len(), 1);

    assert_eq!(service.delete(&format!("/v1/webhooks/{}", mailbox.id)).await.status, 204);

    assert_eq!(as_key(&service, &mailbox, &mailbox.key).await.status, 401);
    let deliveries = service.get(&format!("/v1/events/{event}")).await.json()["deliveries"].clone();
    assert_eq!(
        (&deliveries[0]["status"], &deliveries[0]["attempts"]),
        (&json!("cancelled"), &json!(1)),
        "{deliveries}"
    );
}

#[tokio::test]
async fn polls_are_counted_like_the_requests_of_api_keys() {
    let service = Service::start_with(&[("SIGNET_API_RATE_LIMIT", "2")]).await;
    let mailbox = of_format(&service, "set").await;

    let statuses = [0, 1, 2].map(|_| as_key(&service, &mailbox, &mailbox.key));
    let [one, two, three] = statuses;
    let statuses = [one.await.status, two.await.status];
    let refused = three.await;

    assert_eq!((statuses, refused.status), ([200, 200], 429), "{}", refused.text);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(service.get("/v1/webhooks").await.status, 200, "others are not held to it");
}
