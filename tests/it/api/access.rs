//! Who may ask for what.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::json;
use signet::api::ROUTES;

use super::Ids;
use crate::support::{ADMIN_KEY, Answer, Service, send, with_json};

/// Every route that wants an API key, asked for what is nobody's, and the scope that it wants.
fn routes() -> impl Iterator<Item = (String, &'static str)> {
    ROUTES.iter().filter_map(|route| Some((Ids::MISSING.named_in(route), route.scope?.as_str())))
}

const SCOPES: [&str; 8] = [
    "events:write",
    "webhooks:read",
    "webhooks:write",
    "deliveries:replay",
    "hooks:invoke",
    "keys:read",
    "keys:rotate",
    "admin",
];

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![(path.clone(), std::fs::read_to_string(&path).unwrap())],
    };
    entries.flat_map(read).collect()
}

#[test]
fn what_wants_a_key_is_served_from_the_table_and_from_nowhere_else() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api"));
    let lines = files.iter().flat_map(|(path, text)| text.lines().map(move |line| (path, line.trim())));
    let routed: Vec<_> =
        lines.filter(|(_, line)| line.starts_with(".route(") || line.contains("router.route(")).collect();

    let open = |line: &str| line.starts_with(".route(\"/") && !line.starts_with(".route(\"/v1");
    let others: Vec<_> = routed.iter().filter(|(_, line)| !open(line)).map(|(_, line)| *line).collect();

    // Those of the pages stand in a file of their own, and no documents below /v1 are for everybody: `tests/it/openapi.rs`.
    let loops = |name: &str| others.iter().filter(|line| line.contains(&format!("router.route({name}.path"))).count();
    assert_eq!((loops("route"), loops("public"), others.len()), (1, 1, 2), "only the tables' own loops: {others:?}");
    assert!(ROUTES.iter().all(|route| route.path.starts_with("/v1/")));
}

#[tokio::test]
async fn nobody_gets_anywhere_without_a_key() {
    let service = Service::start().await;

    for (route, _) in routes() {
        let (method, path) = route.split_once(' ').unwrap();
        let answer = send(with_json(service.anonymous(method.parse().unwrap(), path), "{}")).await;

        check_unauthenticated(&answer, &route);
    }
}

#[tokio::test]
async fn what_is_not_a_live_key_is_refused() {
    let service = Service::start().await;
    let key = service.api_key(&["admin"]).await;
    let other_first = if key.as_bytes()[8] == b'a' { 'b' } else { 'a' };
    let other_last = if key.ends_with('0') { '1' } else { '0' };

    for presented in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer sk_live_".to_owned(),
        format!("Bearer {}", &key[..key.len() - 1]),
        format!("Bearer {key}0"),
        format!("Bearer {}{other_last}", &key[..key.len() - 1]),
        format!("Bearer sk_live_{other_first}{}", &key[9..]),
        format!("Bearer {}", key.replace("sk_live_", "sk_test_")),
        format!("Basic {key}"),
        key.clone(),
        format!("Bearer {}", &ADMIN_KEY[..ADMIN_KEY.len() - 1]),
        format!("Bearer {ADMIN_KEY}0"),
    ] {
        let request = service.anonymous(Method::GET, "/v1/webhooks").header("authorization", &presented);

        check_unauthenticated(&send(request).await, &presented);
    }
    assert_eq!(send(service.request_with(&key, "GET /v1/webhooks")).await.status, 200);
}

fn check_unauthenticated(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text);
    assert_eq!(answer.problem()["code"], "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn the_operators_own_key_may_do_everything() {
    let service = Service::start().await;

    for (route, _) in routes() {
        let answer = send(with_json(service.request_with(ADMIN_KEY, &route), "{}")).await;

        assert!(!matches!(answer.status, 401 | 403), "{route}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say_and_nothing_else() {
    let service = Service::start().await;
    for scope in SCOPES {
        let key = service.api_key(&[scope]).await;

        for (route, wanted) in routes() {
            let answer = send(with_json(service.request_with(&key, &route), "{}")).await;

            if scope == wanted || scope == "admin" {
                assert!(!matches!(answer.status, 401 | 403), "{scope} at {route}: {}", answer.text);
                continue;
            }
            assert_eq!(answer.status, 403, "{scope} at {route}: {}", answer.text);
            let problem = answer.problem();
            assert_eq!(problem["code"], "forbidden");
            assert!(problem["detail"].as_str().unwrap().contains(wanted), "{problem}");
        }
    }
}

#[tokio::test]
async fn scopes_add_up() {
    let service = Service::start().await;

    let key = service.api_key(&["webhooks:read", "keys:read"]).await;

    assert_eq!(send(service.request_with(&key, "GET /v1/webhooks")).await.status, 200);
    assert_eq!(send(service.request_with(&key, "GET /v1/admin/keys")).await.status, 200);
    assert_eq!(send(service.request_with(&key, "GET /v1/admin/api-keys")).await.status, 403);
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let service = Service::start().await;
    let made = service.post("/v1/admin/api-keys", &json!({"scopes": ["webhooks:read"]})).await.json();
    let key = made["key"].as_str().unwrap();
    let path = format!("/v1/admin/api-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(send(service.request_with(key, "GET /v1/webhooks")).await.status, 200);

    let revoked = service.delete(&path).await;

    assert_eq!((revoked.status, revoked.text.as_str()), (204, ""));
    assert_eq!(send(service.request_with(key, "GET /v1/webhooks")).await.status, 401);
    assert_eq!(service.delete(&path).await.problem()["code"], "not_found");
    let listed = service.get("/v1/admin/api-keys").await.json();
    assert_eq!(listed["data"][0]["revoked_at"], "2026-03-01T12:00:00Z");
}

#[tokio::test]
async fn an_api_key_is_shown_once_and_kept_nowhere() {
    let service = Service::start().await;

    let made = service.post("/v1/admin/api-keys", &json!({"label": "ci", "scopes": ["events:write"]})).await;
    let listed = service.get("/v1/admin/api-keys").await;

    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert!(!listed.text.contains(&key) && listed.json()["data"][0].get("key").is_none(), "{}", listed.text);
    assert_eq!(listed.json()["data"][0]["tail"], key[key.len() - 4..]);
    assert_eq!(listed.json()["data"][0]["label"], "ci");
    let bytes = service.database_bytes().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(made.json()["tail"].as_str().unwrap()), "the database was not read");
    assert!(!holds(&key) && !holds(&key["sk_live_".len()..]));
}

#[tokio::test]
async fn a_key_is_made_with_scopes_that_exist() {
    let service = Service::start().await;

    for (wish, pointers) in [
        (json!({"scopes": []}), vec!["/scopes"]),
        (json!({"scopes": ["events:write", "events:read"]}), vec!["/scopes/1"]),
        (json!({"scopes": ["everything"], "label": "x".repeat(101)}), vec!["/label", "/scopes/0"]),
        (json!({"scopes": "admin"}), vec!["/scopes"]),
    ] {
        let answer = service.post("/v1/admin/api-keys", &wish).await;

        assert_eq!(answer.status, 422, "{wish}: {}", answer.text);
        assert_eq!(answer.pointers(), pointers, "{wish}");
    }
}
