//! What whoever asks is told when a receiver refuses, fails or is not there.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{asked, made, path_of, told};
use crate::support::installation::Installation;
use crate::support::{Answer, Receiver, Service, send, until, with_json};

async fn get(service: &Service, path: &str) -> Answer {
    service.post(&format!("{path}/users.get"), &json!({"id": "usr_1"})).await
}

#[tokio::test]
async fn what_a_receiver_refuses_keeps_its_meaning_and_is_not_taken_for_what_we_say_of_ourselves() {
    let (service, receiver, _, path) = asked().await;

    for (status, code, expected) in [
        (404, "NOT_FOUND", (404, "receiver_not_found")),
        (400, "ALREADY_EXISTS", (409, "receiver_already_exists")),
        (400, "INVALID_ARGUMENT", (422, "receiver_invalid_argument")),
        (400, "FAILED_PRECONDITION", (409, "receiver_failed_precondition")),
        (429, "RESOURCE_EXHAUSTED", (429, "receiver_resource_exhausted")),
        (501, "UNIMPLEMENTED", (501, "receiver_unimplemented")),
        (500, "PERMISSION_DENIED", (403, "receiver_permission_denied")),
        (500, "UNAUTHENTICATED", (502, "receiver_unauthenticated")),
        (500, "DEADLINE_EXCEEDED", (504, "receiver_deadline_exceeded")),
        (500, "UNAVAILABLE", (503, "receiver_unavailable")),
        (500, "INTERNAL", (502, "receiver_internal")),
        (500, "UNKNOWN", (502, "receiver_unknown")),
    ] {
        receiver.answering(status);
        receiver.saying(&json!({"message": "words\r\n of its own", "code": code}).to_string());

        let refused = get(&service, &path).await;

        let (status, word) = expected;
        let detail = format!("the receiver answered {code}: words of its own");
        assert_eq!(told(&refused), (status, json!(word), json!(detail)));
        assert!(!refused.headers.contains_key("www-authenticate"), "{code}");
        assert!(refused.pointers().is_empty(), "{code}");
    }
    receiver.answering(500);
    receiver.saying(r#"{"message":"Signatures do not match","code":"UNKNOWN"}"#);
    let (status, code, detail) = told(&get(&service, &path).await);
    assert_eq!((status, code), (502, json!("receiver_unverified")));
    assert!(detail.as_str().unwrap().contains("Signatures do not match"), "{detail}");
}

#[tokio::test]
async fn a_receiver_that_is_exhausted_says_when_to_come_back() {
    let (service, receiver, _, path) = asked().await;
    receiver.answering(429);
    receiver.asking_to_wait(7);
    let bare = get(&service, &path).await;
    receiver.saying(r#"{"message":"slow down","code":"RESOURCE_EXHAUSTED"}"#);
    let exhausted = get(&service, &path).await;
    receiver.asking_to_wait(1_000_000);
    let for_long = get(&service, &path).await;
    receiver.saying(r#"{"message":"back soon","code":"UNAVAILABLE"}"#);
    receiver.asking_to_wait(9);
    let away = get(&service, &path).await;
    receiver.saying(r#"{"message":"no","code":"NOT_FOUND"}"#);
    let missing = get(&service, &path).await;

    let waits = [&bare, &exhausted, &for_long, &away, &missing].map(|answer| answer.header("retry-after"));
    assert_eq!(waits, ["7", "7", "86400", "9", ""]);
    assert_eq!([bare.status, away.status, missing.status], [429, 503, 404]);
}

#[tokio::test]
async fn an_answer_of_another_shape_is_refused_with_the_member_that_is_wrong() {
    let (service, receiver, _, path) = asked().await;
    let large = format!(r#"{{"id":"usr_1","x":"{}"}}"#, "x".repeat(1024 * 1024));

    for (action, status, answer, words) in [
        ("users.get", 200, r#"{"email":"a@b.c"}"#, "/id is missing"),
        ("users.get", 200, r#"{"id":"1","disabled":"no"}"#, "/disabled is neither true nor false"),
        ("users.list", 200, r#"{"users":[{"id":"1"},{"id":2}]}"#, "/users/1/id is not a text that names the user"),
        ("users.delete", 200, r#"{"deleted":true}"#, "/deleted is in an answer that is to be {}"),
        ("users.get", 200, "<html>", "its body is not JSON"),
        ("users.get", 404, r#"{"error":"no such page"}"#, "it answered 404 without"),
        ("users.get", 302, "", "it answered 302 without"),
        ("users.get", 410, r#"{"message":"gone","code":"OK"}"#, "it answered 410 without"),
        ("users.get", 200, &large, "the receiver did not answer (too_large)"),
    ] {
        receiver.answering(status);
        receiver.saying(answer);
        let body = if action == "users.list" { json!({"pageSize": 2}) } else { json!({"id": "usr_1"}) };

        let (status, code, detail) = told(&service.post(&format!("{path}/{action}"), &body).await);

        assert_eq!((status, code), (502, json!("receiver_malformed")));
        let detail = detail.as_str().unwrap();
        assert!(detail.contains(words) && detail.ends_with("whether it was done is not known"), "{detail}");
    }
    let id = path.split('/').nth(3).unwrap();
    let webhook = service.get(&format!("/v1/webhooks/{id}")).await.json();
    assert_eq!(webhook["status"], "active", "nothing that is answered to a call disables a webhook");
    assert_eq!(receiver.received().len(), 9, "nothing is asked twice, and no redirect is followed");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_is_given_up() {
    let (service, receiver, ..) = asked().await;
    let path = path_of(&made(&service, &receiver, json!({"timeout_seconds": 1})).await);
    receiver.holding();

    let (status, code, detail) = told(&get(&service, &path).await);

    receiver.letting_go();
    assert_eq!((status, code), (504, json!("receiver_timeout")));
    assert_eq!(detail, "the receiver did not answer (timeout); whether it was done is not known");
    assert_eq!(receiver.received().len(), 1);
}

/// A receiver that answers the first request of each connection like this and then closes it, and the bytes that it was sent.
async fn breaking(answer: &'static str) -> (String, mpsc::UnboundedReceiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let (told, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16 * 1024];
            let read = stream.read(&mut request).await.unwrap_or_default();
            let _ = (stream.write_all(answer.as_bytes()).await, told.send(read));
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_receiver_that_breaks_off_is_asked_once_and_it_is_said_that_nobody_knows_what_it_did() {
    let (service, receiver, ..) = asked().await;
    for (answer, words) in [
        ("", "the receiver did not answer (protocol); whether it was done is not known"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":", "(protocol); whether it was done is not known"),
        ("220 ready\r\n", "(protocol); whether it was done is not known"),
    ] {
        let (url, mut connections) = breaking(answer).await;
        let path = path_of(&made(&service, &receiver, json!({"url": url})).await);

        let (status, code, detail) = told(&get(&service, &path).await);

        assert_eq!((status, code), (502, json!("receiver_unreachable")));
        assert!(detail.as_str().unwrap().ends_with(words), "{detail}");
        assert!(connections.recv().await.unwrap() > 0);
        assert!(connections.try_recv().is_err(), "it was asked again");
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_was_not_asked() {
    let (service, receiver, ..) = asked().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    for (url, words) in [
        (format!("http://{address}/hooks"), "the receiver did not answer (connect)"),
        (receiver.url().replace("http:", "https:"), "the receiver did not answer (tls)"),
        ("http://no-such-host.invalid/hooks".to_owned(), "the receiver did not answer (dns)"),
    ] {
        let path = path_of(&made(&service, &receiver, json!({"url": url})).await);
        assert_eq!(told(&get(&service, &path).await), (502, json!("receiver_unreachable"), json!(words)));
    }
}

#[tokio::test]
async fn an_address_that_may_not_be_reached_is_answered_alike_whatever_is_there() {
    let (service, receiver, _, path) = asked().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/hooks", listener.local_addr().unwrap());
    drop(listener);
    let nobodys = path_of(&made(&service, &receiver, json!({"url": closed})).await);

    let service = service.restarted_with(&[("SIGNET_EGRESS_ALLOW", "192.0.2.0/24")]).await;
    let (open, closed) = (told(&get(&service, &path).await), told(&get(&service, &nobodys).await));

    assert_eq!((open.0, &open.1), (502, &json!("receiver_unreachable")));
    assert!(open.2.as_str().unwrap().contains("webhooks may not reach"), "{}", open.2);
    assert_eq!(open, closed);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_caller_that_hangs_up_gives_its_place_back() {
    let (service, receiver, _, path) = asked().await;
    receiver.saying(r#"{"id":"usr_1"}"#);
    receiver.holding();
    let ask = || {
        let request = service.request(Method::POST, &format!("{path}/users.get"));
        with_json(request, r#"{"id":"usr_1"}"#)
    };
    let asking: Vec<_> = (0..16).map(|_| tokio::spawn(ask().send())).collect();
    receiver.received_when(16).await;

    let refused = send(ask()).await;
    asking.iter().for_each(|one| one.abort());
    // The receiver still answers nobody: whoever gets to it has the place of somebody who hung up.
    until(async || {
        let _ = tokio::time::timeout(Duration::from_millis(300), send(ask())).await;
        (receiver.received().len() > 16).then_some(())
    })
    .await;
    receiver.letting_go();

    assert_eq!((refused.status, &refused.problem()["code"]), (503, &json!("too_many_calls")));
}

#[tokio::test]
async fn the_log_tells_who_asked_what_of_whom_and_what_came_of_it_and_nothing_of_users() {
    let (installation, receiver) = (Installation::new(), Receiver::start().await);
    let running = installation.serve().await;
    let wish = json!({"url": format!("{}?key=hunter2", receiver.url()), "events": ["none"], "format": "action"});
    let id = installation.make("/v1/webhooks", &wish).await;
    let path = format!("/v1/webhooks/{id}/actions/users.update");
    let ask = |answer: &str| {
        receiver.saying(answer);
        with_json(installation.request(Method::POST, &path), r#"{"id":"usr_1","email":"ada@example.com"}"#)
    };

    let answered = send(ask(r#"{"id":"usr_1","email":"ada@example.com"}"#)).await;
    let malformed = send(ask(r#"{"email":"ada@example.com"}"#)).await;
    receiver.holding();
    let held = tokio::spawn(ask("{}").send());
    receiver.received_when(3).await;
    held.abort();
    let said = until(async || Some(running.said()).filter(|said| said.contains("abandoned"))).await;
    receiver.letting_go();

    let lines: Vec<&str> = said.lines().filter(|line| line.contains("a receiver was called")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, outcome) in lines.iter().zip(["answered", "receiver_malformed", "abandoned"]) {
        for word in [&*id, "users.update", "admin-key", outcome, "duration_ms"] {
            assert!(line.contains(word), "{word}: {line}");
        }
    }
    for (line, answer) in lines.iter().zip([&answered, &malformed]) {
        assert!(line.contains(answer.header("x-request-id")), "{line}");
    }
    assert!(!["ada@", "usr_1", "hunter2"].iter().any(|secret| said.contains(secret)), "{said}");
}
