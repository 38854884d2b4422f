//! What receivers read to verify: the key set and the discovery document, byte by byte.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Answer, Receiver, Service, database, send};

const JWKS: &str = "/.well-known/jwks.json";
const CACHE: &str = "public, max-age=300, stale-while-revalidate=60, stale-if-error=3600";

fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// A request as a receiver makes it: without any key.
async fn ask(service: &Service, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let plain = service.anonymous(method, path);
    send(headers.iter().fold(plain, |request, (name, value)| request.header(*name, *value))).await
}

/// A tenant with this algorithm, by its id.
async fn tenant_with(service: &Service, algorithm: &str) -> String {
    let made = service.post("/v1/admin/tenants", &json!({"name": algorithm, "algorithm": algorithm})).await;
    made.json()["id"].as_str().unwrap().to_owned()
}

/// The thumbprint of RFC 7638: the digest of the required members in the order of their names.
fn thumbprint(key: &Value) -> String {
    let required: &[&str] = match key["kty"].as_str().unwrap() {
        "EC" => &["crv", "kty", "x", "y"],
        "RSA" => &["e", "kty", "n"],
        _ => &["crv", "kty", "x"],
    };
    let members: Vec<String> = required.iter().map(|name| format!("\"{name}\":{}", key[name])).collect();
    sha256(&format!("{{{}}}", members.join(",")))
}

#[tokio::test]
async fn a_key_set_holds_exactly_the_members_that_verify() {
    let service = Service::start().await;

    for (algorithm, fixed, variable) in [
        ("ES256", json!({"kty": "EC", "crv": "P-256"}), vec!["x", "y"]),
        ("ES384", json!({"kty": "EC", "crv": "P-384"}), vec!["x", "y"]),
        ("RS256", json!({"kty": "RSA", "e": "AQAB"}), vec!["n"]),
        ("PS256", json!({"kty": "RSA", "e": "AQAB"}), vec!["n"]),
        ("EdDSA", json!({"kty": "OKP", "crv": "Ed25519"}), vec!["x"]),
    ] {
        let tenant = tenant_with(&service, algorithm).await;

        let answer = ask(&service, Method::GET, &format!("/{tenant}{JWKS}"), &[]).await;

        let set = answer.json();
        assert_eq!(set.as_object().unwrap().len(), 1);
        let keys = set["keys"].as_array().unwrap();
        assert!((2..=4).contains(&keys.len()), "{}", answer.text);
        for key in keys {
            let mut expected = fixed.clone();
            for (name, value) in [("kid", thumbprint(key)), ("use", "sig".to_owned()), ("alg", algorithm.to_owned())] {
                expected[name] = json!(value);
            }
            for name in &variable {
                assert!(key[name].is_string(), "{key}");
                expected[*name] = key[name].clone();
            }
            assert_eq!(*key, expected, "{algorithm}");
        }
        assert_ne!(keys[0], keys[1]);
    }
}

#[tokio::test]
async fn the_bytes_of_a_key_set_are_the_same_each_time() {
    let service = Service::start().await;

    let (one, other) = (ask(&service, Method::GET, JWKS, &[]).await, ask(&service, Method::GET, JWKS, &[]).await);

    let shown: Vec<String> = one.json()["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            let (kid, x, y) = (&key["kid"], &key["x"], &key["y"]);
            format!(r#"{{"kty":"EC","kid":{kid},"use":"sig","alg":"ES256","crv":"P-256","x":{x},"y":{y}}}"#)
        })
        .collect();
    assert_eq!(one.text, format!(r#"{{"keys":[{}]}}"#, shown.join(",")));
    assert_eq!(one.text, other.text);
    assert_eq!(one.header("etag"), other.header("etag"));
}

#[tokio::test]
async fn the_key_that_signs_comes_first() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.webhook(&receiver, &["*"]).await;

    service.event("user.created").await;

    let kid = receiver.received_when(1).await[0].kid();
    assert_eq!(ask(&service, Method::GET, JWKS, &[]).await.json()["keys"][0]["kid"], kid);
}

#[tokio::test]
async fn a_key_set_may_be_cached_and_read_from_anywhere() {
    let service = Service::start().await;

    let answer = ask(&service, Method::GET, JWKS, &[("origin", "https://shop.example")]).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), CACHE);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("etag"), format!("\"{}\"", sha256(&answer.text)));
    // Either would tell the callers of a cache something about somebody else.
    assert!(["set-cookie", "x-request-id"].iter().all(|name| !answer.headers.contains_key(*name)));
}

#[tokio::test]
async fn a_key_set_that_the_caller_has_is_not_sent_again() {
    let service = Service::start().await;
    let held = ask(&service, Method::GET, JWKS, &[]).await.header("etag").to_owned();

    for tags in [held.clone(), format!("W/{held}"), format!("\"other\", {held}"), "*".to_owned()] {
        let answer = ask(&service, Method::GET, JWKS, &[("if-none-match", &tags)]).await;

        assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{tags}");
        assert_eq!(answer.header("etag"), held);
        assert_eq!(answer.header("cache-control"), CACHE);
        assert_eq!(answer.header("vary"), "accept");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        // They would be taken for those of the key set.
        assert!(["content-length", "content-type"].iter().all(|name| !answer.headers.contains_key(*name)));
    }
    let head = ask(&service, Method::HEAD, JWKS, &[("if-none-match", &held)]).await;
    assert_eq!((head.status, head.header("etag")), (304, held.as_str()));
    for tags in ["\"other\"", held.trim_matches('"')] {
        assert_eq!(ask(&service, Method::GET, JWKS, &[("if-none-match", tags)]).await.status, 200, "{tags}");
    }
}

#[tokio::test]
async fn a_head_request_gets_the_headers_alone() {
    let service = Service::start().await;
    let full = ask(&service, Method::GET, JWKS, &[]).await;

    let head = ask(&service, Method::HEAD, JWKS, &[]).await;

    assert_eq!((head.status, head.text.as_str()), (200, ""));
    for name in ["etag", "content-type", "cache-control", "content-length", "access-control-allow-origin"] {
        assert_eq!(head.header(name), full.header(name), "{name}");
    }
    assert_eq!(head.header("content-length"), full.text.len().to_string());
}

#[tokio::test]
async fn a_browser_may_ask_beforehand() {
    let service = Service::start().await;

    for path in [JWKS, "/.well-known/openid-configuration", "/.well-known/webhook-issuer"] {
        let answer = ask(&service, Method::OPTIONS, path, &[("access-control-request-method", "GET")]).await;

        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn the_registered_media_type_is_for_those_who_prefer_it() {
    let service = Service::start().await;

    for (accept, content_type) in [
        ("application/jwk-set+json", "application/jwk-set+json"),
        ("application/jwk-set+json, */*;q=0.1", "application/jwk-set+json"),
        ("application/json;q=0.9, Application/JWK-Set+JSON ; Q=1.0", "application/jwk-set+json"),
        ("application/json", "application/json"),
        ("application/jwk-set+json;q=0.5, */*", "application/json"),
        ("application/jwk-set+json;q=0", "application/json"),
        ("application/jwk-set+json, application/*", "application/json"),
        ("application/json, application/jwk-set+json", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ] {
        let answer = ask(&service, Method::GET, JWKS, &[("accept", accept)]).await;

        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{accept}");
        assert_eq!(answer.header("vary"), "accept");
    }
}

#[tokio::test]
async fn every_tenant_has_a_key_set_of_its_own() {
    let service = Service::start().await;
    let other = service.tenant("other").await;
    let default = service.get("/v1/admin/tenants").await.json()["data"][0]["id"].as_str().unwrap().to_owned();

    let theirs = ask(&service, Method::GET, &format!("/{other}{JWKS}"), &[]).await;

    let ours = ask(&service, Method::GET, JWKS, &[]).await;
    assert_eq!(theirs.status, 200);
    assert_ne!(theirs.text, ours.text);
    assert_eq!(ask(&service, Method::GET, &format!("/{default}{JWKS}"), &[]).await.text, ours.text);
}

#[tokio::test]
async fn a_key_set_is_the_same_however_its_path_is_written() {
    let service = Service::start().await;
    let tenant = service.tenant("other").await;

    for method in [Method::GET, Method::HEAD] {
        let plain = ask(&service, method.clone(), &format!("/{tenant}{JWKS}"), &[]).await;
        let query = ask(&service, method.clone(), &format!("/{tenant}{JWKS}?at=once"), &[]).await;
        // The short way leaves what is encoded to the router, which names requests.
        let encoded = ask(&service, method, &format!("/%74{}{JWKS}", &tenant[1..]), &[]).await;
        assert!(encoded.headers.contains_key("x-request-id") && !plain.headers.contains_key("x-request-id"));

        for other in [query, encoded] {
            assert_eq!((other.status, &other.text), (200, &plain.text));
            for name in plain.headers.keys().filter(|name| *name != "date") {
                assert_eq!(other.header(name.as_str()), plain.header(name.as_str()), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn one_connection_asks_for_key_sets_and_for_everything_else_in_turns() {
    let service = Service::start().await;
    let mut connection = TcpStream::connect(service.url().trim_start_matches("http://")).await.unwrap();

    let asked = [
        format!("GET {JWKS} HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("HEAD {JWKS} HTTP/1.1\r\nhost: a\r\n\r\n"),
        "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        format!("GET {JWKS} HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody"),
        format!("POST {JWKS} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
    ];
    connection.write_all(asked.concat().as_bytes()).await.unwrap();
    let mut answered = String::new();
    connection.read_to_string(&mut answered).await.unwrap();

    let statuses: Vec<&str> = answered.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "200", "200", "405"], "{answered}");
    assert_eq!(answered.matches(r#"{"keys":["#).count(), 2, "{answered}");
    assert_eq!(answered.matches("\r\ndate: ").count(), 5, "{answered}");
}

#[tokio::test]
async fn a_connection_that_stays_gets_each_key_set_as_it_is_now() {
    let service = Service::start().await;
    let tenant = service.tenant("other").await;
    let mut connection = TcpStream::connect(service.url().trim_start_matches("http://")).await.unwrap();
    let mut ask_again = async |path: String| {
        connection.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        let (mut answer, mut bytes) = (String::new(), [0; 4_096]);
        while !answer.ends_with("]}") {
            let count = connection.read(&mut bytes).await.unwrap();
            assert!(count > 0, "{answer}");
            answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("etag: \"{}\"", sha256(body))), "{answer}");
        body.to_owned()
    };

    let before = ask_again(JWKS.to_owned()).await;
    let others = ask_again(format!("/{tenant}{JWKS}")).await;
    assert_eq!(service.post("/v1/admin/keys/rotate", &json!({})).await.status, 200);
    let after = ask_again(JWKS.to_owned()).await;

    assert_eq!(after, ask(&service, Method::GET, JWKS, &[]).await.text);
    assert_eq!(others, ask(&service, Method::GET, &format!("/{tenant}{JWKS}"), &[]).await.text);
    assert!(before != after && before != others);
}

#[tokio::test]
async fn a_server_that_is_alone_serves_its_key_set_for_as_long_as_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_sqlite(folder.path()))]).await;
    let before = ask(&service, Method::GET, JWKS, &[]).await;

    service.server().engine().store.close().await;
    service.after(Duration::from_hours(30 * 24));

    let after = ask(&service, Method::GET, JWKS, &[]).await;
    assert_eq!((after.status, after.text), (200, before.text));
}

#[tokio::test]
async fn a_tenant_that_is_not_there_has_no_key_set() {
    let service = Service::start().await;

    for path in ["/tnt_01HZZZZZZZZZZZZZZZZZZZZZZZ", "/not-an-id", "/v1"] {
        for document in ["jwks.json", "openid-configuration", "webhook-issuer"] {
            let answer = ask(&service, Method::GET, &format!("{path}/.well-known/{document}"), &[]).await;

            assert_eq!(answer.status, 404, "{path}: {}", answer.text);
            answer.problem();
        }
    }
}

#[tokio::test]
async fn discovery_tells_the_issuer_and_where_its_keys_are() {
    let service = Service::start().await;
    let other = tenant_with(&service, "RS256").await;

    for (base, algorithm) in [(String::new(), "ES256"), (format!("/{other}"), "RS256")] {
        let answer = ask(&service, Method::GET, &format!("{base}/.well-known/openid-configuration"), &[]).await;

        let issuer = format!("{}{base}", service.url());
        let expected = json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "id_token_signing_alg_values_supported": [algorithm],
            "subject_types_supported": ["public"],
            "response_types_supported": ["id_token"],
        });
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.json(), expected);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("cache-control"), CACHE);
    }
}

#[tokio::test]
async fn an_issuer_tells_a_receiver_all_that_it_needs_to_set_itself_up() {
    let service = Service::start().await;
    let wish = json!({
        "name": "own",
        "algorithm": "RS256",
        "token_ttl": 120,
        "token_subject": "own webhooks",
        "key_policy": {"period_seconds": 2_592_000, "publish_ahead_seconds": 172_800, "grace_seconds": 259_200},
    });
    let own = service.post("/v1/admin/tenants", &wish).await.json()["id"].as_str().unwrap().to_owned();
    let days = |days: u64| days * 86_400;

    for (base, algorithm, ttl, subject, [period, ahead, grace]) in [
        (String::new(), "ES256", 300, "signet webhooks", [days(90), days(7), days(7)]),
        (format!("/{own}"), "RS256", 120, "own webhooks", [days(30), days(2), days(3)]),
    ] {
        let answer = ask(&service, Method::GET, &format!("{base}/.well-known/webhook-issuer"), &[]).await;

        let issuer = format!("{}{base}", service.url());
        let expected = json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "signing_alg_values_supported": [algorithm],
            "formats_supported": ["token", "signed", "standard", "action", "set"],
            "dialect": {"header_prefix": "Signet", "signature_scheme": "sha256", "event_base": format!("{issuer}/events/")},
            "token": {
                "typ": "JWT",
                "typ_values_supported": ["JWT", "webhook+jwt"],
                "lifetime_seconds": ttl,
                "backdated_seconds": 5,
                "leeway_seconds": 5,
                "subject": subject,
            },
            "retries": {
                "timeout_seconds": 30,
                "waits_seconds": [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400],
                "jitter_max": 0.2,
                "retry_after_max_seconds": 86_400,
            },
            "keys": {
                "profile": "standard",
                "period_seconds": period,
                "publish_ahead_seconds": ahead,
                "grace_seconds": grace,
                "jwks_max_age_seconds": 300,
            },
        });
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.json(), expected);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("cache-control"), CACHE);
    }
}

#[tokio::test]
async fn a_public_url_is_the_issuer_however_the_service_is_reached() {
    let service = Service::start_with(&[("SIGNET_PUBLIC_URL", "https://hooks.example.com/signet/")]).await;

    let discovery = ask(&service, Method::GET, "/.well-known/openid-configuration", &[]).await.json();

    assert_eq!(discovery["issuer"], "https://hooks.example.com/signet");
    assert_eq!(discovery["jwks_uri"], "https://hooks.example.com/signet/.well-known/jwks.json");
}
