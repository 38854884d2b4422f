//! What goes out: the platform's bytes, once, and signatures that receivers of three kinds verify.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use signet::engine::clock::Clock;
use signet::signing::digest::sha256;
use signet::signing::{Expected, verify};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{PAYLOAD, hooked};
use crate::support::{Received, Receiver, Service, send, with_json};

fn code(secret: &str, body: &[u8]) -> String {
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    let hex: Vec<String> = code.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={}", hex.concat())
}

fn claims(received: &Received, name: &str) -> Value {
    let payload = received.header(name).split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_receiver_gets_the_platforms_bytes_and_verifies_them_in_whichever_way_it_knows() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.server().engine().clock.set(Clock::system().now());
    receiver.saying(r#"{"allow": true}"#);
    let url = format!("{}?key=of-the-receiver", receiver.url());
    let secret = service.configured(json!({"pre_sign_up": url})).await["signing_secret"].as_str().unwrap().to_owned();

    let answer = service.asks("pre_sign_up").await.json();

    let mut received = receiver.received().remove(0);
    assert_eq!((received.body.as_ref(), received.header("content-type")), (PAYLOAD.as_bytes(), "application/json"));
    assert_eq!(received.header("signet-hook"), "pre_sign_up");
    assert_eq!(received.header("signet-hook-signature"), code(&secret, PAYLOAD.as_bytes()));
    assert_eq!((json!(received.header("webhook-id")), received.header("webhook-attempt")), (answer["id"].clone(), ""));
    let library = standardwebhooks::Webhook::new(&secret).unwrap();
    assert!(library.verify(&received.body, &received.headers).is_ok());
    let jwks = service.get("/.well-known/jwks.json").await.text;
    let expected = Expected { issuer: Some(service.url()), audience: Some(receiver.url()), now: service.now() };
    let token = received.header("signet-hook-token").to_owned();
    let verified = verify(&token, jwks.as_bytes(), &expected).unwrap();
    let now = service.now().as_seconds();
    let expected = json!({
        "iss": service.url(), "aud": [receiver.url()], "iat": now - 5, "exp": now + 55, "jti": answer["id"],
        "hook": "pre_sign_up", "body_sha256": URL_SAFE_NO_PAD.encode(sha256(PAYLOAD.as_bytes())),
    });
    assert_eq!(serde_json::from_str::<Value>(&verified.claims).unwrap(), expected);
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["typ"], "hook+jwt");
    received.body = [&received.body[..], b" "].concat().into();
    assert!(library.verify(&received.body, &received.headers).is_err());
}

#[tokio::test]
async fn headers_begin_as_the_tenants_dialect_has_it() {
    let (service, receiver) = hooked("pre_sign_in").await;
    let tenant = service.get("/v1/admin/tenants").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let dialect = json!({"dialect": {"header_prefix": "HelloJohn"}});
    assert_eq!(service.patch(&format!("/v1/admin/tenants/{tenant}"), &dialect).await.status, 200);

    service.asks("pre_sign_in").await;

    let received = receiver.received().remove(0);
    assert!(received.header("hellojohn-hook-signature").starts_with("sha256="));
    assert_eq!(received.header("hellojohn-hook"), "pre_sign_in");
    assert!(!received.headers.keys().any(|name| name.as_str().starts_with("signet-")));
}

#[tokio::test]
async fn while_secrets_overlap_a_receiver_that_knows_the_one_before_is_asked_once_more_and_nobody_else_is() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let first = service.configured(json!({"pre_sign_up": receiver.url()})).await;
    let first = first["signing_secret"].as_str().unwrap().to_owned();
    let knows = |secret: &str| {
        let expected = code(secret, PAYLOAD.as_bytes());
        let knows = move |received: &Received| received.header("signet-hook-signature") == expected;
        receiver.answering_by(move |received| match knows(received) {
            true => (200, r#"{"allow": true}"#.to_owned()),
            false => (401, String::new()),
        });
    };
    let rotated = service.post("/v1/admin/hooks/secret/rotate", &json!({"overlap_seconds": 3_600})).await.json();
    assert_eq!(rotated["previous_expires_at"], "2026-03-01T13:00:00Z");

    knows(&first);
    let before = service.asked("pre_sign_up").await;
    let asked_before = receiver.received();
    knows(rotated["signing_secret"].as_str().unwrap());
    let after = service.asked("pre_sign_up").await;
    knows("whsec_nobodys");
    let unknown = service.asked("pre_sign_up").await;
    let asked = receiver.received().len();
    service.after(std::time::Duration::from_hours(1));
    knows(&first);
    let over = service.asked("pre_sign_up").await;

    let allowed = json!({"allow": true, "outcome": "allowed"});
    let refused = json!({"allow": true, "outcome": "error", "failure": "status"});
    assert_eq!([&before, &after, &unknown, &over], [&allowed, &allowed, &refused, &refused]);
    assert_eq!((asked_before.len(), asked, receiver.received().len()), (2, 5, 6));
    let same = |name: &str| asked_before[0].header(name) == asked_before[1].header(name);
    assert!(same("webhook-id") && same("signet-hook-token") && !same("signet-hook-signature"));
    assert_eq!(asked_before[0].header("webhook-signature").split(' ').count(), 2);
}

#[tokio::test]
async fn a_receiver_that_answers_anything_but_401_is_asked_once_though_secrets_overlap() {
    let (service, receiver) = hooked("pre_sign_up").await;
    service.post("/v1/admin/hooks/secret/rotate", &json!({})).await;

    for (count, status) in [(1, 200), (2, 500), (3, 403)] {
        receiver.answering(status);
        service.asks("pre_sign_up").await;
        assert_eq!(receiver.received().len(), count);
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_up_instead_of_answering_was_asked_once() {
    let (service, listener) = (Service::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    service.configured(json!({"pre_sign_up": {"url": url, "on_failure": "block"}})).await;
    // It answers the first question on a connection, and hangs up on the second.
    let serving = tokio::spawn(async move {
        let mut heard = 0;
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return heard };
            let mut buffer = vec![0; 16_384];
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"allow\":true}";
            while stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                heard += 1;
                if heard >= 2 {
                    break;
                }
                stream.write_all(answer).await.unwrap();
            }
            if heard >= 3 {
                return heard;
            }
        }
    });

    let answered = service.asked("pre_sign_up").await;
    let hung_up = service.asked("pre_sign_up").await;
    let again = service.asked("pre_sign_up").await;

    assert_eq!(answered["outcome"], "allowed");
    let protocol = json!({"allow": false, "outcome": "error", "failure": "protocol"});
    assert_eq!((&hung_up, &again), (&protocol, &protocol));
    assert_eq!(serving.await.unwrap(), 3, "three questions, three requests");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_and_nobody_hears_of_it() {
    let (service, receiver) = hooked("pre_sign_up").await;
    let ask = async |body: &str| service.post_text("/v1/hooks/pre_sign_up", body).await;

    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("{} {}", 400),
        (r#"{"a": 1, "a": 2}"#, 400),
        ("[]", 422),
        ("\"text\"", 422),
        ("null", 422),
        (&format!(r#"{{"a": "{}"}}"#, "b".repeat(64 * 1024)), 413),
        (&format!(r#"{{"a": {}1{}}}"#, "[".repeat(80), "]".repeat(80)), 400),
    ] {
        let answer = ask(body).await;
        assert_eq!(answer.status, status, "{body:.40}: {}", answer.text);
        answer.problem();
    }
    let text = service.request(Method::POST, "/v1/hooks/pre_sign_up").body("{}");
    assert_eq!(send(text).await.problem()["code"], "unsupported_media_type");
    let unknown = service.asks("pre_sign_out").await.problem();
    assert_eq!(unknown["code"], "not_found");
    assert!(unknown["detail"].as_str().unwrap().ends_with("post_sign_in, pre_password_reset, jwt"), "{unknown}");
    assert_eq!(service.asks("pre_sign_up?a=1").await.status, 400);
    assert_eq!(receiver.received().len(), 0);
    let whole = format!(r#"{{"a":"{}"}}"#, "b".repeat(64 * 1024 - 8));
    assert_eq!((ask(&whole).await.status, receiver.received()[0].body.len()), (200, 64 * 1024));
}

#[tokio::test]
async fn asking_takes_its_own_scope_and_asks_the_hooks_of_ones_own_tenant() {
    let (service, receiver) = hooked("pre_sign_up").await;
    receiver.saying(r#"{"allow": false}"#);
    let other = service.tenant("other").await;
    let others = service.api_key_of(&other, &["hooks:invoke"]).await;
    let lacking = service.api_key(&["events:write", "webhooks:write", "keys:read"]).await;
    let ours = service.api_key(&["hooks:invoke"]).await;
    let ask = async |key: &str, route: &str| {
        let answer = send(with_json(service.request_with(key, route), "{}")).await;
        (answer.status, answer.json()["outcome"].as_str().map(str::to_owned))
    };

    let question = "POST /v1/hooks/pre_sign_up";
    assert_eq!(ask(&lacking, question).await, (403, None));
    assert_eq!(ask(&others, question).await, (200, Some("not_configured".to_owned())));
    assert_eq!(ask(&ours, question).await, (200, Some("blocked".to_owned())));
    for route in [
        "GET /v1/admin/config",
        "PATCH /v1/admin/config",
        "POST /v1/admin/hooks/secret/rotate",
        "GET /v1/admin/hooks/logs",
    ] {
        assert_eq!(ask(&ours, route).await, (403, None), "{route}");
    }
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn each_tenant_signs_with_its_own_secret_and_key() {
    let (service, receiver) = hooked("pre_sign_up").await;
    let other = service.tenant("other").await;
    let key = service.api_key_of(&other, &["admin"]).await;
    let ask = async |route: &str, body: &str| send(with_json(service.request_with(&key, route), body)).await;
    let wish = json!({"hooks": {"pre_sign_up": receiver.url()}}).to_string();
    let theirs = ask("PATCH /v1/admin/config", &wish).await.json()["signing_secret"].as_str().unwrap().to_owned();

    service.asks("pre_sign_up").await;
    ask("POST /v1/hooks/pre_sign_up", PAYLOAD).await;

    let [ours, others] = receiver.received().try_into().unwrap();
    assert_eq!(others.header("signet-hook-signature"), code(&theirs, PAYLOAD.as_bytes()));
    assert_ne!(ours.header("signet-hook-signature"), others.header("signet-hook-signature"));
    let issuer = |received| claims(received, "signet-hook-token")["iss"].clone();
    assert_eq!([issuer(&ours), issuer(&others)], [json!(service.url()), json!(format!("{}/{other}", service.url()))]);
}
