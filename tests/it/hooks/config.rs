//! Which hooks a tenant has: a merge patch, its faults, and a secret that is shown once.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::audit::Actor;

use super::hooked;
use crate::support::{Answer, Receiver, Service, database, send, with_json};

const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
const PRIVATE_NUMBER: &str = "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE";

fn public_jwk() -> Value {
    serde_json::from_str(P256).unwrap()
}

async fn patch(service: &Service, hooks: Value) -> Answer {
    service.patch("/v1/admin/config", &json!({"hooks": hooks})).await
}

#[tokio::test]
async fn only_what_is_named_changes_and_null_takes_a_hook_away() {
    let service = Service::start().await;
    let hook = |url: &str, on_failure: &str, signed: Value| json!({"url": url, "on_failure": on_failure, "signed_answer": signed});
    let signed = json!({"keys": [public_jwk()]});
    let (one, two) = ("https://example.com/one", "https://example.com/two?key=1");

    let steps = [
        (json!({"jwt": one}), json!({"jwt": hook(one, "allow", Value::Null)})),
        (json!({"jwt": {"on_failure": "block"}}), json!({"jwt": hook(one, "block", Value::Null)})),
        (json!({"jwt": {"signed_answer": signed}}), json!({"jwt": hook(one, "block", signed.clone())})),
        (json!({"jwt": two}), json!({"jwt": hook(two, "block", signed.clone())})),
        (json!({"jwt": {"on_failure": null}}), json!({"jwt": hook(two, "allow", signed.clone())})),
        (json!({"jwt": {"signed_answer": null}}), json!({"jwt": hook(two, "allow", Value::Null)})),
        (json!({}), json!({"jwt": hook(two, "allow", Value::Null)})),
        (json!({"pre_sign_up": one, "jwt": null}), json!({"pre_sign_up": hook(one, "allow", Value::Null)})),
        (json!({"pre_sign_in": null}), json!({"pre_sign_up": hook(one, "allow", Value::Null)})),
    ];
    for (wish, expected) in steps {
        let answer = patch(&service, wish.clone()).await;

        assert_eq!(answer.status, 200, "{}", answer.text);
        for kind in ["pre_sign_up", "post_sign_up", "pre_sign_in", "post_sign_in", "pre_password_reset", "jwt"] {
            assert_eq!(answer.json()["hooks"][kind], expected[kind], "{kind} after {wish}");
        }
        assert_eq!(service.get("/v1/admin/config").await.json()["hooks"], answer.json()["hooks"]);
    }
    assert_eq!(service.patch("/v1/admin/config", &json!({})).await.status, 200);
}

#[tokio::test]
async fn the_secret_is_shown_once_and_lies_nowhere_in_the_open() {
    let service = Service::start().await;

    let first = patch(&service, json!({"jwt": "https://example.com/"})).await.json();
    let second = patch(&service, json!({"pre_sign_up": "https://example.com/"})).await;
    let shown = service.get("/v1/admin/config").await;
    patch(&service, json!({"jwt": null, "pre_sign_up": null})).await;
    let again = patch(&service, json!({"jwt": "https://example.com/"})).await;
    let rotated = service.post("/v1/admin/hooks/secret/rotate", &json!({})).await.json();

    let secret = first["signing_secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    for later in [&second, &shown, &again] {
        assert!(later.json().get("signing_secret").is_none(), "{}", later.text);
    }
    let bytes = service.database_bytes().await;
    for secret in [secret, rotated["signing_secret"].as_str().unwrap()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    assert_ne!(rotated["signing_secret"], first["signing_secret"]);
}

#[tokio::test]
async fn a_secret_can_be_brought_along_and_must_be_one() {
    let service = Service::start().await;
    let rotate = async |body: Value| service.post("/v1/admin/hooks/secret/rotate", &body).await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

    let made = rotate(json!({"secret": secret})).await;
    let refused = rotate(json!({"secret": "whsec_short-and-secret"})).await;
    let too_long = rotate(json!({"overlap_seconds": 604_801})).await;

    assert_eq!(made.json(), json!({"signing_secret": secret}), "there was none before that could overlap");
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/secret".to_owned()]));
    assert!(!refused.text.contains("short-and-secret"), "{}", refused.text);
    assert_eq!(too_long.pointers(), ["/overlap_seconds"]);
    for _ in 0..7 {
        assert_eq!(rotate(json!({})).await.status, 200);
    }
    assert_eq!(rotate(json!({})).await.problem()["code"], "too_many_secrets");
    assert_eq!(rotate(json!({"overlap_seconds": 0})).await.status, 200);
    assert!(patch(&service, json!({"jwt": "https://example.com/"})).await.json().get("signing_secret").is_none());
}

#[tokio::test]
async fn what_is_no_hook_is_refused_with_its_place_and_changes_nothing() {
    let service = Service::start_with(&[("SIGNET_ALLOW_HTTP", "false"), ("SIGNET_EGRESS_ALLOW", "")]).await;
    let of = |member: &str, value: Value| json!({"jwt": {"url": "https://example.com/", member: value}});
    let cases = [
        (json!({"jwt": "http://example.com/"}), "/hooks/jwt"),
        (json!({"jwt": "nonsense"}), "/hooks/jwt"),
        (json!({"jwt": "https://127.0.0.1/"}), "/hooks/jwt"),
        (json!({"jwt": "https://169.254.169.254/latest"}), "/hooks/jwt"),
        (json!({"jwt": "https://localhost/"}), "/hooks/jwt"),
        (json!({"jwt": {"url": "https://u:p@example.com/"}}), "/hooks/jwt/url"),
        (json!({"jwt": {"url": null}}), "/hooks/jwt/url"),
        (json!({"jwt": {"on_failure": "block"}}), "/hooks/jwt/url"),
        (json!({"jwt": 7}), "/hooks/jwt"),
        (json!({"jwt": ["https://example.com/"]}), "/hooks/jwt"),
        (json!({"jwt": {"uri": "https://example.com/"}}), "/hooks/jwt/uri"),
        (json!({"sign_up": "https://example.com/"}), "/hooks/sign_up"),
        (of("on_failure", json!("open")), "/hooks/jwt/on_failure"),
        (of("signed_answer", json!([])), "/hooks/jwt/signed_answer"),
        (of("signed_answer", json!({"keys": []})), "/hooks/jwt/signed_answer/keys"),
        (of("signed_answer", json!({"keys": [public_jwk(), {}]})), "/hooks/jwt/signed_answer/keys/1"),
        (of("signed_answer", json!({"keys": [public_jwk()], "alg": "ES256"})), "/hooks/jwt/signed_answer"),
        (
            json!({"post_sign_up": {"url": "https://example.com/", "on_failure": "block"}}),
            "/hooks/post_sign_up/on_failure",
        ),
        (
            json!({"post_sign_in": {"url": "https://example.com/", "signed_answer": {"keys": [public_jwk()]}}}),
            "/hooks/post_sign_in/signed_answer",
        ),
    ];

    for (hooks, pointer) in cases {
        let mut hooks = hooks;
        hooks["pre_sign_in"] = json!("https://example.com/good");
        let answer = patch(&service, hooks.clone()).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{hooks}: {}", answer.text);
    }
    let inward = ["https://127.0.0.1/", "https://10.1.2.3:8443/", "https://[::1]/"];
    let mut told = Vec::new();
    for url in inward {
        told.push(patch(&service, json!({"jwt": url})).await.told());
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "whoever asks learns nothing of the network: {told:?}");
    assert_eq!(service.patch("/v1/admin/config", &json!({"hooks": null})).await.pointers(), ["/hooks"]);
    assert_eq!(service.patch("/v1/admin/config", &json!({"webhooks": {}})).await.pointers(), ["/webhooks"]);
    let hooks = service.get("/v1/admin/config").await.json()["hooks"].clone();
    assert!(hooks.as_object().unwrap().values().all(Value::is_null), "{hooks}");
}

#[tokio::test]
async fn a_private_key_is_refused_and_neither_kept_nor_repeated() {
    let service = Service::start().await;
    let mut private = public_jwk();
    private["d"] = json!(PRIVATE_NUMBER);
    let keys = [
        json!([private]),
        json!([public_jwk(), {"kty": "oct", "k": PRIVATE_NUMBER}]),
        json!([private.to_string()]),
        private.clone(),
        json!(PRIVATE_NUMBER),
    ];

    for keys in keys {
        let wish = json!({"jwt": {"url": "https://example.com/", "signed_answer": {"keys": keys}}});
        let answer = patch(&service, wish).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert!(answer.pointers()[0].starts_with("/hooks/jwt/signed_answer"), "{}", answer.text);
        assert!(!answer.text.contains(&PRIVATE_NUMBER[..8]), "{}", answer.text);
    }
    let whole =
        patch(&service, json!({"jwt": {"url": "https://example.com/", "signed_answer": private.to_string()}})).await;
    assert!(whole.status == 422 && !whole.text.contains(&PRIVATE_NUMBER[..8]), "{}", whole.text);
    let bytes = service.database_bytes().await;
    assert!(!bytes.windows(PRIVATE_NUMBER.len()).any(|window| window == PRIVATE_NUMBER.as_bytes()));
}

#[tokio::test]
async fn changes_are_in_the_audit_log_without_their_values() {
    let (service, receiver) = hooked("pre_sign_up").await;
    let url = format!("{}?key=quiet", receiver.url());
    patch(&service, json!({"jwt": {"url": url, "signed_answer": {"keys": [public_jwk()]}}})).await;
    patch(&service, json!({"jwt": url})).await;
    service.post("/v1/admin/hooks/secret/rotate", &json!({})).await;
    patch(&service, json!({"jwt": null, "post_sign_in": null})).await;
    service.asks("pre_sign_up").await;

    let log = service.get("/v1/admin/audit-log?limit=100").await;

    let told = |entry: &Value| [&entry["action"], &entry["subject"], &entry["detail"]].map(Value::clone);
    let log: Vec<[Value; 3]> = log.json()["data"].as_array().unwrap().iter().map(told).collect();
    let hook = |kind: &str, members: Value, url: Value| {
        [json!("hook.changed"), json!(kind), json!({"members": members, "url": url})]
    };
    let secret = [json!("hook_secret.changed"), Value::Null, json!({})];
    let expected = [
        hook("jwt", json!([]), Value::Null),
        secret.clone(),
        hook("jwt", json!(["url", "on_failure", "signed_answer"]), json!(receiver.url())),
        secret,
        hook("pre_sign_up", json!(["url", "on_failure"]), json!(receiver.url())),
    ];
    assert_eq!(log[..5], expected, "an execution is none of them, and neither is what changed nothing");
    assert!(!json!(log).to_string().contains("quiet"));
}

#[tokio::test]
async fn a_change_counts_at_once_here_and_within_a_second_on_the_other_node() {
    let url = database::fresh_postgres();
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &url)]).await;
    let (other, receiver) = (one.beside().await, Receiver::start().await);
    receiver.saying(r#"{"allow": false}"#);
    assert_eq!(other.asked("pre_sign_up").await["outcome"], "not_configured");

    one.configured(json!({"pre_sign_up": receiver.url()})).await;
    let here = one.asked("pre_sign_up").await;
    let at_once = other.asked("pre_sign_up").await;
    other.after(Duration::from_secs(1));
    let there = other.asked("pre_sign_up").await;

    assert_eq!([&here["outcome"], &at_once["outcome"], &there["outcome"]], ["blocked", "not_configured", "blocked"]);
    let [first, second] = receiver.received().try_into().unwrap();
    assert_eq!(first.header("signet-hook-signature"), second.header("signet-hook-signature"));
}

#[tokio::test]
async fn nodes_that_make_the_first_hook_at_the_same_time_share_one_secret() {
    let url = database::fresh_postgres();
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &url)]).await;
    let other = one.beside().await;
    let wish = |kind: &str| json!({"hooks": {kind: "https://example.com/"}}).to_string();
    let ask = |service: &Service, kind: &str| {
        send(with_json(service.request(Method::PATCH, "/v1/admin/config"), &wish(kind)))
    };

    let (first, second) = tokio::join!(ask(&one, "jwt"), ask(&other, "pre_sign_up"));

    let shown = [&first, &second].map(|answer| answer.json().get("signing_secret").is_some());
    assert_eq!(shown.iter().filter(|shown| **shown).count(), 1, "{} {}", first.text, second.text);
    let hooks = one.get("/v1/admin/config").await.json()["hooks"].clone();
    assert!(hooks["jwt"].is_object() && hooks["pre_sign_up"].is_object(), "{hooks}");
}

#[tokio::test]
async fn the_secret_moves_to_another_master_key_and_goes_on_signing() {
    let (service, receiver) = hooked("pre_sign_up").await;
    receiver.saying(r#"{"allow": true}"#);
    service.asked("pre_sign_up").await;
    let engine = service.server().engine();
    let id = engine.add_master_key(Actor::CommandLine).await.unwrap();
    let before = engine.current_master_key().await.unwrap();
    engine.switch_master_key(Actor::CommandLine, &id).await.unwrap();

    let rewrapped = engine.rewrap(Actor::CommandLine, &id, |_| {}).await.unwrap();

    assert!(rewrapped.stuck.is_empty() && rewrapped.records.secrets >= 1, "{rewrapped:?}");
    let records = engine.records_by_master_key().await.unwrap();
    assert!(!records.contains_key(&before), "{records:?}");
    service.after(Duration::from_secs(61));
    engine.drop_master_key(Actor::CommandLine, &before).await.unwrap();
    assert_eq!(service.asked("pre_sign_up").await["outcome"], "allowed");
    let [first, second] = receiver.received().try_into().unwrap();
    assert_eq!(first.header("signet-hook-signature"), second.header("signet-hook-signature"));
}
