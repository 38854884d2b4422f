//! Lists, walked a page at a time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Receiver, Service};

const LISTS: [&str; 4] = ["/v1/webhooks", "/v1/events", "/v1/admin/tenants", "/v1/admin/api-keys"];

/// The pages of a list as the values of one member, page by page.
async fn walk(service: &Service, list: &str, limit: usize, member: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service.get(&format!("{list}?limit={limit}{cursor}")).await.json();
        pages.push(page["data"].as_array().unwrap().iter().map(|shown| text(&shown[member])).collect());
        assert_eq!(page["pagination"]["limit"], limit);
        if page["pagination"]["has_more"] == false {
            assert_eq!(page["pagination"]["next_cursor"], Value::Null);
            return pages;
        }
        cursor = format!("&cursor={}", text(&page["pagination"]["next_cursor"]));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn check(service: &Service, list: &str, member: &str, expected: BTreeSet<String>) {
    for (limit, sizes) in [(3, vec![3, 3, 1]), (7, vec![7]), (6, vec![6, 1]), (100, vec![7])] {
        let pages = walk(service, list, limit, member).await;

        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{list} by {limit}");
        assert_eq!(pages.into_iter().flatten().collect::<BTreeSet<_>>(), expected, "{list} by {limit}");
    }
}

#[tokio::test]
async fn a_walk_through_a_list_meets_each_entry_exactly_once() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let (mut webhooks, mut events) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..7 {
        webhooks.insert(service.webhook(&receiver, &["user"]).await);
        events.insert(service.event("user.created").await);
    }
    let deliveries = format!("/v1/webhooks/{}/deliveries", webhooks.first().unwrap());
    receiver.received_when(28).await;
    for event in &events {
        service.delivery_when(webhooks.first().unwrap(), event, "delivered").await;
    }

    check(&service, "/v1/webhooks", "id", webhooks).await;
    check(&service, "/v1/events", "id", events.clone()).await;
    check(&service, &deliveries, "event_id", events).await;
}

#[tokio::test]
async fn a_walk_through_the_installation_meets_each_entry_exactly_once() {
    let service = Service::start().await;
    let mut tenants = BTreeSet::from([text(&service.get("/v1/admin/tenants").await.json()["data"][0]["id"])]);
    let mut keys = BTreeSet::new();
    for name in 0..6 {
        tenants.insert(service.tenant(&name.to_string()).await);
    }
    for _ in 0..7 {
        keys.insert(text(&service.post("/v1/admin/api-keys", &json!({"scopes": ["admin"]})).await.json()["id"]));
    }

    check(&service, "/v1/admin/tenants", "id", tenants).await;
    check(&service, "/v1/admin/api-keys", "id", keys).await;
}

#[tokio::test]
async fn what_is_added_during_a_walk_disturbs_nothing() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(service.event("user.created").await);
    }
    let first = service.get("/v1/events?limit=2").await.json();

    service.webhook(&receiver, &["user"]).await;
    service.event("user.created").await;
    let cursor = text(&first["pagination"]["next_cursor"]);
    let second = service.get(&format!("/v1/events?limit=2&cursor={cursor}")).await.json();

    let ids =
        |page: &Value| page["data"].as_array().unwrap().iter().map(|event| text(&event["id"])).collect::<Vec<_>>();
    events.reverse();
    assert_eq!([ids(&first), ids(&second)].concat(), events);
    assert_eq!(second["pagination"]["has_more"], false);
}

#[tokio::test]
async fn a_page_has_twenty_entries_unless_somebody_says_otherwise() {
    let service = Service::start().await;
    for _ in 0..21 {
        service.event("user.created").await;
    }

    let page = service.get("/v1/events").await.json();

    assert_eq!(page["data"].as_array().unwrap().len(), 20);
    assert_eq!((&page["pagination"]["limit"], &page["pagination"]["has_more"]), (&json!(20), &json!(true)));
}

#[tokio::test]
async fn a_limit_is_from_1_to_100() {
    let service = Service::start().await;

    for list in LISTS {
        for limit in ["0", "101", "-1", "1.5", "many", ""] {
            let answer = service.get(&format!("{list}?limit={limit}")).await;

            assert_eq!((answer.status, answer.pointers()), (422, vec!["limit".to_owned()]), "{list} {limit}");
        }
        for limit in ["1", "100"] {
            assert_eq!(service.get(&format!("{list}?limit={limit}")).await.status, 200, "{list} {limit}");
        }
    }
}

#[tokio::test]
async fn a_cursor_that_no_page_gave_is_refused() {
    let service = Service::start().await;

    for list in LISTS {
        for cursor in ["x", "AAAA", "not*base64", "", "AAAAAAAAAAAAAAAAAAAAAA=="] {
            let answer = service.get(&format!("{list}?cursor={cursor}")).await;

            assert_eq!((answer.status, answer.pointers()), (422, vec!["cursor".to_owned()]), "{list} {cursor}");
        }
    }
}

#[tokio::test]
async fn a_parameter_that_nobody_knows_is_refused() {
    let service = Service::start().await;

    for list in LISTS {
        let answer = service.get(&format!("{list}?page=2")).await;

        assert_eq!(answer.status, 400, "{list}: {}", answer.text);
        assert!(answer.problem()["detail"].as_str().unwrap().contains("page"), "{}", answer.text);
    }
}
