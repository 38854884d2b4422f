//! What a closed catalogue and enforced schemas refuse, and that open ones refuse nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{PATH, user_created};
use crate::support::installation::Installation;
use crate::support::{Answer, Receiver, Service, database, send, with_json};

/// Within this time, a node notices what another has changed.
const NOTICED_WITHIN: Duration = Duration::from_secs(3);

async fn keep(service: &Service, rules: &Value) {
    let id = service.server().engine().default_keys().unwrap().tenant.id;
    let changed = service.patch(&format!("/v1/admin/tenants/{id}"), &json!({"catalogue": rules})).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
}

async fn closed() -> Service {
    let service = Service::start().await;
    for name in ["user.created", "user.deleted", "order.item.added"] {
        assert_eq!(service.put(&format!("/v1/event-types/{name}"), &json!({})).await.status, 201);
    }
    keep(&service, &json!({"closed": true})).await;
    service
}

async fn enforced() -> Service {
    let service = Service::start().await;
    service.put(PATH, &user_created()).await;
    keep(&service, &json!({"enforce_schema": true})).await;
    service
}

async fn publish(service: &Service, event_type: &str, data: &Value) -> Answer {
    service.post("/v1/events", &json!({"type": event_type, "data": data})).await
}

async fn publish_named(service: &Service, path: &str, body: &Value) -> Answer {
    let request = with_json(service.request(Method::POST, path), &body.to_string());
    send(request.header("idempotency-key", "a name")).await
}

fn detail(answer: &Answer) -> String {
    answer.problem()["errors"][0]["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_open_catalogue_refuses_nothing() {
    let service = Service::start().await;
    service.put(PATH, &user_created()).await;
    let wish = json!({"url": "https://example.com/", "events": ["nobody.knows"]});

    assert_eq!(service.post("/v1/webhooks", &wish).await.status, 201);
    assert_eq!(publish(&service, "nobody.knows", &json!(1)).await.status, 202);
    assert_eq!(publish(&service, "user.created", &json!("no object")).await.status, 202);
}

#[tokio::test]
async fn the_rules_are_shown_and_changed_one_by_one() {
    let service = Service::start().await;
    let id = service.server().engine().default_keys().unwrap().tenant.id;
    let path = format!("/v1/admin/tenants/{id}");
    let shown = async || service.get(&path).await.json()["catalogue"].clone();

    assert_eq!(shown().await, json!({"closed": false, "enforce_schema": false}));
    keep(&service, &json!({"closed": true})).await;
    assert_eq!(shown().await, json!({"closed": true, "enforce_schema": false}));
    keep(&service, &json!({"enforce_schema": true})).await;
    assert_eq!(shown().await, json!({"closed": true, "enforce_schema": true}));
    keep(&service, &json!({"closed": false})).await;
    assert_eq!(shown().await, json!({"closed": false, "enforce_schema": true}));
    let refused = service.patch(&path, &json!({"catalogue": {"closed": "yes"}})).await;
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/catalogue/closed".to_owned()]));
}

#[tokio::test]
async fn the_rules_are_changed_from_the_command_line_beside_a_running_server() {
    let installation = Installation::new();
    let running = installation.serve().await;

    let changed = ["tenant", "change", "--catalogue-closed", "true", "--enforce-schema", "true"];
    let said = installation.done(&changed).await;

    assert!(said.contains("its catalogue is closed, and the schemas in it are enforced"), "{said}");
    let rules = async || installation.get("/v1/admin/tenants").await.json()["data"][0]["catalogue"].clone();
    assert_eq!(rules().await, json!({"closed": true, "enforce_schema": true}));
    running.kill();
}

#[tokio::test]
async fn a_closed_catalogue_refuses_subscriptions_to_what_it_does_not_know() {
    let service = closed().await;
    let wish = |events: Value| json!({"url": "https://example.com/", "events": events});

    let known = ["*", "user", "user.created", "order", "order.item", "signet.key.revoked"];
    let made = service.post("/v1/webhooks", &wish(json!(known))).await;
    let refused = service.post("/v1/webhooks", &wish(json!(["user", "user.craeted", "order.items", "zzz"]))).await;
    let path = format!("/v1/webhooks/{}", made.json()["id"].as_str().unwrap());
    let changed = service.patch(&path, &json!({"events": ["users"]})).await;
    let untouched = service.patch(&path, &json!({"description": "as before"})).await;

    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        (refused.status, refused.pointers()),
        (422, vec!["/events/1".into(), "/events/2".into(), "/events/3".into()])
    );
    let problem = refused.problem();
    let said = |at: usize| problem["errors"][at]["detail"].as_str().unwrap();
    assert!(said(0).contains("did you mean user.created"), "{problem}");
    assert!(said(1).contains("did you mean order.item"), "{problem}");
    assert!(said(2).contains("GET /v1/event-types"), "{problem}");
    assert_eq!((changed.status, changed.pointers()), (422, vec!["/events/0".to_owned()]));
    assert!(detail(&changed).contains("did you mean user"), "{}", changed.text);
    assert_eq!(untouched.status, 200);
}

#[tokio::test]
async fn a_closed_catalogue_refuses_events_of_types_that_it_does_not_know() {
    let service = closed().await;
    let batch = json!({"events": [
        {"type": "user.created", "data": 1}, {"type": "user", "data": 2}, {"type": "order.item.added", "data": 3},
    ]});

    let known = publish(&service, "user.created", &json!(1)).await;
    let unknown = publish(&service, "user.craeted", &json!(1)).await;
    let batch = service.post("/v1/events/batch", &batch).await;

    assert_eq!((known.status, unknown.status, batch.status), (202, 422, 207), "{}", batch.text);
    assert_eq!(unknown.pointers(), ["/type"]);
    assert!(detail(&unknown).contains("did you mean user.created"), "{}", unknown.text);
    let entries = batch.json()["data"].clone();
    assert_eq!((&entries[0]["type"], &entries[2]["type"]), (&json!("user.created"), &json!("order.item.added")));
    assert_eq!((&entries[1]["status"], &entries[1]["errors"][0]["pointer"]), (&json!(422), &json!("/type")));
}

#[tokio::test]
async fn an_event_that_breaks_its_schema_is_refused_with_every_violation() {
    let service = enforced().await;

    let good = publish(&service, "user.created", &json!({"id": "usr_1"})).await;
    let bad = publish(&service, "user.created", &json!({"age": "thirty"})).await;
    let without_schema = publish(&service, "user.deleted", &json!({"age": "thirty"})).await;

    assert_eq!((good.status, bad.status, without_schema.status), (202, 422, 202), "{}", good.text);
    let mut pointers = bad.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/data/age", "/data/id"]);
}

#[tokio::test]
async fn of_a_batch_only_the_events_that_break_their_schema_are_refused() {
    let (service, receiver) = (enforced().await, Receiver::start().await);
    service.webhook(&receiver, &["*"]).await;
    let of = |data: Value| json!({"type": "user.created", "data": data});
    let batch = json!({"events": [of(json!({"id": "a"})), of(json!({"id": 1})), of(json!({"id": "c"}))]});

    let answer = service.post("/v1/events/batch", &batch).await;

    assert_eq!(answer.status, 207, "{}", answer.text);
    let entries = answer.json()["data"].clone();
    assert_eq!(entries[1]["errors"][0]["pointer"], "/data/id");
    let mut ids: Vec<String> =
        receiver.received_when(2).await.iter().map(|it| it.claims()["data"]["id"].to_string()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [r#""a""#, r#""c""#]);
}

#[tokio::test]
async fn what_was_published_is_answered_as_it_was_then_whatever_the_catalogue_says_now() {
    let service = enforced().await;
    let of = |data: Value| json!({"type": "user.created", "data": data});
    let batch =
        json!({"events": [of(json!({"id": "a"})), of(json!({"id": 1})), of(json!({"id": "c"})), {"type": "A"}]});
    let single = of(json!({"id": "a"}));
    let first = publish_named(&service, "/v1/events/batch", &batch).await;
    let first_single = publish_named(&service, "/v1/events", &single).await;
    assert_eq!((first.status, first_single.status), (207, 202), "{}", first.text);

    let schemas = [json!({}), json!({"properties": {"id": {"type": "integer"}}}), json!(false)];
    for schema in schemas {
        service.put(PATH, &json!({"schema": schema})).await;
        let again = publish_named(&service, "/v1/events/batch", &batch).await;
        let again_single = publish_named(&service, "/v1/events", &single).await;

        assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
        assert_eq!(again.status, 207);
        let (first, again) = (first.json(), again.json());
        assert_eq!((&first["data"][0], &first["data"][2]), (&again["data"][0], &again["data"][2]));
        assert_eq!((&again["data"][1]["status"], &again["data"][3]["status"]), (&json!(422), &json!(422)));
        assert_eq!((again_single.status, again_single.text), (202, first_single.text.clone()));
    }
}

#[tokio::test]
async fn a_changed_or_deleted_type_counts_at_once_where_it_was_changed() {
    let service = enforced().await;
    let data = json!({"name": "no id"});
    assert_eq!(publish(&service, "user.created", &data).await.status, 422);

    service.put(PATH, &json!({"schema": {"required": ["name"]}})).await;
    assert_eq!(publish(&service, "user.created", &data).await.status, 202);
    service.put(PATH, &json!({"schema": false})).await;
    assert_eq!(publish(&service, "user.created", &data).await.status, 422);
    service.delete(PATH).await;
    assert_eq!(publish(&service, "user.created", &data).await.status, 202);
    service.put(PATH, &json!({"schema": {"required": ["id"]}})).await;
    assert_eq!(publish(&service, "user.created", &data).await.status, 422);
}

#[tokio::test]
async fn rules_and_schemas_outlive_a_restart() {
    let service = enforced().await;

    let service = service.restarted_with(&[]).await;

    assert_eq!(publish(&service, "user.created", &json!({})).await.status, 422);
    assert_eq!(publish(&service, "user.created", &json!({"id": "usr_1"})).await.status, 202);
}

#[tokio::test]
async fn the_catalogue_of_one_tenant_binds_no_other() {
    let service = enforced().await;
    let other = service.tenant("other").await;
    let event = json!({"type": "user.created", "data": {}});

    let theirs = service.ask_as(&other, "POST /v1/events", &event).await;
    let ours = service.post("/v1/events", &event).await;

    assert_eq!((theirs.status, ours.status), (202, 422));
}

#[tokio::test]
async fn what_is_changed_on_one_node_counts_on_the_other_within_seconds() {
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let other = one.beside().await;
    one.put(PATH, &user_created()).await;
    keep(&one, &json!({"enforce_schema": true, "closed": true})).await;
    let at_other = async |data: &Value, status: u16| {
        other.after(NOTICED_WITHIN);
        (publish(&other, "user.created", data).await.status == status).then_some(())
    };

    crate::support::until(async || at_other(&json!({}), 422).await).await;
    assert_eq!(publish(&other, "user.created", &json!({"id": "usr_1"})).await.status, 202);
    one.put(PATH, &json!({"schema": {"required": ["name"]}})).await;
    other.after(NOTICED_WITHIN);
    let changed = publish(&other, "user.created", &json!({"id": "usr_1"})).await;
    assert_eq!((changed.status, changed.pointers()), (422, vec!["/data/name".to_owned()]));
    one.delete(PATH).await;
    other.after(NOTICED_WITHIN);
    let deleted = publish(&other, "user.created", &json!({"name": "x"})).await;
    assert_eq!((deleted.status, deleted.pointers()), (422, vec!["/type".to_owned()]));
}
