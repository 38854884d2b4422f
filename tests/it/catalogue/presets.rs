//! The catalogues that come with Signet.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Service, send};
use crate::support::Receiver;
use crate::support::installation::Installation;

const HANKO: [&str; 28] = [
    "user",
    "user.login",
    "user.create",
    "user.delete",
    "user.update",
    "user.update.email",
    "user.update.email.create",
    "user.update.email.delete",
    "user.update.email.primary",
    "user.update.username",
    "user.update.username.create",
    "user.update.username.delete",
    "user.update.username.update",
    "user.update.password.update",
    "email.send",
    "session",
    "session.create",
    "session.create.flow",
    "session.create.admin",
    "session.delete",
    "session.delete.explicit",
    "session.delete.explicit.logout",
    "session.delete.explicit.revoke",
    "session.delete.admin",
    "session.delete.admin.revoke",
    "session.delete.passive",
    "session.delete.passive.expire",
    "session.delete.passive.limit",
];

async fn load(service: &Service, preset: &str) -> Answer {
    send(service.request(Method::POST, &format!("/v1/event-types/presets/{preset}"))).await
}

async fn types(service: &Service) -> Vec<Value> {
    service.get("/v1/event-types?limit=100").await.json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_preset_hanko_has_its_28_names_with_groups_and_samples() {
    let service = Service::start().await;

    let loaded = load(&service, "hanko").await;
    let again = load(&service, "hanko").await;

    assert_eq!(loaded.status, 200, "{}", loaded.text);
    assert_eq!(loaded.json(), json!({"made": HANKO, "replaced": []}));
    assert_eq!(again.json(), json!({"made": [], "replaced": HANKO}));
    let types = types(&service).await;
    for event_type in &types {
        let name = event_type["name"].as_str().unwrap();
        let has_beneath = HANKO.iter().any(|other| other.starts_with(&format!("{name}.")));
        assert_eq!(event_type["group"], has_beneath, "{name}");
        assert_eq!(event_type["preset"], "hanko");
        assert!(event_type["sample"].is_object() && event_type["schema"].is_object(), "{name}");
        assert!(!event_type["description"].as_str().unwrap().is_empty(), "{name}");
    }
    assert_eq!(types.len(), 28);
}

#[tokio::test]
async fn the_preset_hellojohn_has_samples_of_what_its_events_are_about() {
    let service = Service::start().await;

    let loaded = load(&service, "hellojohn").await;

    assert_eq!(loaded.json()["made"].as_array().unwrap().len(), 18, "{}", loaded.text);
    let types = types(&service).await;
    let created = types.iter().find(|it| it["name"] == "user.created").unwrap();
    assert!(created["sample"]["user"]["roles"].is_array(), "{created}");
    assert!(types.iter().any(|it| it["name"] == "org.invitation.accepted"));
}

/// Describing refuses a sample that does not satisfy its schema, so whatever was loaded does; this sees that the schemas
/// say something.
#[tokio::test]
async fn the_samples_of_presets_are_published_and_other_data_is_not() {
    for preset in ["hanko", "hellojohn"] {
        let (service, receiver) = (Service::start().await, Receiver::start().await);
        let webhook = service.webhook(&receiver, &["*"]).await;
        load(&service, preset).await;
        let id = service.server().engine().default_keys().unwrap().tenant.id;
        let rules = json!({"catalogue": {"closed": true, "enforce_schema": true}});
        service.patch(&format!("/v1/admin/tenants/{id}"), &rules).await;

        for event_type in types(&service).await {
            let event = |data: &Value| json!({"type": event_type["name"], "data": data});
            let good = service.post("/v1/events", &event(&event_type["sample"])).await;
            let bad = service.post("/v1/events", &event(&json!({"other": 1}))).await;

            assert_eq!((good.status, bad.status), (202, 422), "{event_type}: {}", good.text);
        }
        let tested = service.post(&format!("/v1/webhooks/{webhook}/test"), &json!({"event": "user"})).await;
        assert_eq!(tested.status, 200);
    }
}

#[tokio::test]
async fn a_preset_that_is_changed_is_none_any_more() {
    let service = Service::start().await;
    load(&service, "hanko").await;

    service.put("/v1/event-types/user.login", &json!({"description": "ours"})).await;

    assert_eq!(service.get("/v1/event-types/user.login").await.json()["preset"], Value::Null);
    assert_eq!(service.get("/v1/event-types/user.create").await.json()["preset"], "hanko");
}

#[tokio::test]
async fn an_unknown_preset_is_not_found() {
    let service = Service::start().await;

    let answer = load(&service, "svix").await;

    assert_eq!(answer.status, 404);
    assert!(answer.problem()["detail"].as_str().unwrap().contains("hanko and hellojohn"), "{}", answer.text);
}

#[tokio::test]
async fn a_preset_is_loaded_from_the_command_line_too() {
    let installation = Installation::new();
    let running = installation.serve().await;

    let said = installation.done(&["event-types", "import", "--preset", "hanko"]).await;
    let again = installation.done(&["event-types", "import", "--preset", "hanko"]).await;
    let refused = installation.run(&["event-types", "import", "--preset", "nobody"]);

    assert_eq!(said.lines().filter(|line| line.starts_with("made")).count(), 28, "{said}");
    assert!(again.contains("replaced  user.update.email.create"), "{again}");
    assert_eq!(refused.code, Some(1), "{}", refused.said);
    assert_eq!(installation.get("/v1/event-types/session.delete").await.json()["group"], true);
    running.kill();
}
