//! Two tenants that have everything alike ask for each other's things, at random and very often. None ever sees the other's.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use signet::api::{ROUTES, Route};
use tokio::task::JoinSet;

use super::Ids;
use crate::simulation::chance::Dice;
use crate::support::{ADMIN_KEY, Answer, Received, Receiver, Service, send, with_json};

/// How many requests there are; `SIGNET_CROSS_CALLS` says otherwise.
const CALLS_STANDARD: usize = 2_000;
const CALLERS: usize = 4;
/// Names of requests, which both tenants use.
const IDEMPOTENCY_KEYS: usize = 50;
/// How many of a tenant's things are remembered to be asked for again.
const REMEMBERED_MAX: usize = 200;

struct Tenant {
    id: String,
    /// Stands in everything that the tenant says.
    mark: &'static str,
    api_key: String,
    api_key_id: String,
    known: Mutex<Known>,
}

/// What a tenant has been shown.
#[derive(Default)]
struct Known {
    webhooks: Vec<String>,
    events: Vec<String>,
    api_keys: Vec<String>,
    kids: Vec<String>,
    cursors: Vec<String>,
    /// The ids of all of it.
    all: HashSet<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Whose {
    Ours,
    Theirs,
    Nobodys,
}

/// What came of the requests.
#[derive(Default)]
struct Count {
    answered: usize,
    crossed: usize,
    replayed: usize,
}

/// Everything in an answer that may be an id.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_' && char != '-').filter(|word| word.len() > 20)
}

impl Tenant {
    async fn of(service: &Service, mark: &'static str) -> Self {
        let id = service.tenant("alike").await;
        let request = service.request(Method::POST, "/v1/admin/api-keys").header("x-tenant-id", &id);
        let made = send(with_json(request, r#"{"scopes": ["admin"]}"#)).await.json();
        let [api_key, api_key_id] = ["key", "id"].map(|name| made[name].as_str().unwrap().to_owned());
        Self { id, mark, api_key, api_key_id, known: Mutex::default() }
    }

    fn request(&self, service: &Service, dice: &mut Dice, route: &str) -> RequestBuilder {
        match dice.once_in(3) {
            true => service.request_with(ADMIN_KEY, route).header("x-tenant-id", &self.id),
            false => service.request_with(&self.api_key, route),
        }
    }

    /// Takes in what it was shown.
    fn learn(&self, answer: &Answer) {
        let mut known = self.known.lock().unwrap();
        let Known { webhooks, events, api_keys, kids, cursors, all } = &mut *known;
        let shown = answer.json();
        for kid in shown["data"].as_array().into_iter().flatten().filter_map(|key| key["kid"].as_str()) {
            if all.insert(kid.to_owned()) {
                kids.push(kid.to_owned());
            }
        }
        for word in words(&answer.text) {
            let pool = match word.split_once('_') {
                Some(("wh", _)) => &mut *webhooks,
                Some(("evt", _)) => &mut *events,
                Some(("key", _)) => &mut *api_keys,
                _ => continue,
            };
            if all.insert(word.to_owned()) && pool.len() < REMEMBERED_MAX {
                pool.push(word.to_owned());
            }
        }
        // It would lock itself out.
        api_keys.retain(|id| *id != self.api_key_id);
        if let Some(cursor) = shown["pagination"]["next_cursor"].as_str().filter(|_| cursors.len() < REMEMBERED_MAX) {
            cursors.push(cursor.to_owned());
        }
    }

    fn wish(&self, route: &Route, receiver_url: &str) -> Value {
        let mark = self.mark;
        let event = json!({"type": "user.created", "data": {"of": mark}});
        match (route.method.as_str(), route.path) {
            ("POST", "/v1/events") => event,
            ("POST", "/v1/events/batch") => json!({"events": [event]}),
            ("POST", "/v1/webhooks") => {
                json!({"url": receiver_url, "events": ["user"], "description": mark, "enabled": false})
            }
            ("PATCH", "/v1/webhooks/{id}") | ("PUT", _) => json!({"description": mark}),
            ("POST", "/v1/webhooks/{id}/test") => json!({"event": "user.created"}),
            ("POST", "/v1/admin/tenants") | ("PATCH", "/v1/admin/tenants/{id}") => json!({"name": mark}),
            ("POST", "/v1/admin/api-keys") => json!({"scopes": ["events:write"], "label": mark}),
            ("PATCH", "/v1/admin/config") => json!({"hooks": {"pre_sign_up": format!("{receiver_url}?of={mark}")}}),
            _ => json!({}),
        }
    }
}

/// One of these, or an id that is nobody's.
fn drawn(dice: &mut Dice, pool: &[String], missing: &str) -> String {
    if pool.is_empty() { missing.to_owned() } else { pool[dice.below(pool.len())].clone() }
}

/// Asks for something as one tenant, which may be the other's, and looks at the answer.
async fn ask(service: &Service, receiver: &Receiver, [us, them]: [&Tenant; 2], dice: &mut Dice) -> Count {
    let route = &ROUTES[dice.below(ROUTES.len())];
    let mut whose = if route.path.contains('{') {
        dice.one_of(&[Whose::Ours, Whose::Theirs, Whose::Theirs, Whose::Nobodys])
    } else {
        Whose::Ours
    };
    if route.path.contains("{name}") || route.path.contains("{kind}") {
        // Both have the same names, each for things of its own.
        whose = Whose::Ours;
    }
    if route.path.contains("{kid}") && whose == Whose::Ours {
        // Keys of its own are left to live.
        whose = Whose::Nobodys;
    }
    let [ids, cursor] = {
        let known = if whose == Whose::Theirs { &them.known } else { &us.known }.lock().unwrap();
        let none = Known::default();
        let from = if whose == Whose::Nobodys { &none } else { &*known };
        let named = Ids {
            webhook: &drawn(dice, &from.webhooks, Ids::MISSING.webhook),
            event: &drawn(dice, &from.events, Ids::MISSING.event),
            tenant: if whose == Whose::Theirs { &them.id } else { &us.id },
            api_key: &drawn(dice, &from.api_keys, Ids::MISSING.api_key),
            kid: &drawn(dice, &from.kids, Ids::MISSING.kid),
            // Both tenants have the same.
            event_type: "user.created",
        };
        [named.named_in(route), drawn(dice, &from.cursors, "")]
    };
    // Key rings are whole; one thing has no pages either.
    let is_one = route.path.ends_with('}') || route.path.ends_with("/import");
    let has_pages = !route.path.starts_with("/v1/admin/keys") && !is_one;
    let is_list = route.method == Method::GET && has_pages;
    let mut asked = if is_list { format!("{ids}?limit={}", 1 + dice.below(20)) } else { ids };
    let mut is_cross = whose == Whose::Theirs;
    if is_list && dice.once_in(2) {
        let theirs = drawn(dice, &them.known.lock().unwrap().cursors, "");
        is_cross = dice.once_in(2) && !theirs.is_empty();
        asked = format!("{asked}&cursor={}", if is_cross { theirs } else { cursor });
    }
    let mut request = us.request(service, dice, &asked);
    let is_of_installation = route.path.starts_with("/v1/admin/tenants");
    if is_of_installation {
        request = service.request_with(&us.api_key, &asked);
    }
    if route.method == Method::POST && dice.once_in(3) {
        request = request.header("idempotency-key", dice.below(IDEMPOTENCY_KEYS));
    }
    let answer = send(with_json(request, &us.wish(route, receiver.url()).to_string())).await;

    let is_success = (200..300).contains(&answer.status);
    assert!(answer.status < 500, "{asked}: {}", answer.text);
    assert!(!(is_cross || is_of_installation) || !is_success, "{asked} as {}: {}", us.mark, answer.text);
    assert!(!answer.text.contains(them.mark), "{asked} as {}: {}", us.mark, answer.text);
    let foreign = words(&answer.text).find(|word| *word == them.id || them.known.lock().unwrap().all.contains(*word));
    assert_eq!(foreign, None, "{asked} as {}: {}", us.mark, answer.text);
    if is_success && !answer.text.is_empty() {
        us.learn(&answer);
    }
    let is_replay = answer.header("idempotent-replayed") == "true";
    Count { answered: is_success.into(), crossed: is_cross.into(), replayed: is_replay.into() }
}

/// The values of a member in all of a tenant's list.
async fn all_of(service: &Service, tenant: &Tenant, list: &str, member: &str) -> Vec<Value> {
    let (mut values, mut path) = (Vec::new(), format!("GET {list}?limit=100"));
    loop {
        let page = send(service.request_with(&tenant.api_key, &path)).await.json();
        values.extend(page["data"].as_array().unwrap().iter().map(|entry| entry[member].clone()));
        let Some(cursor) = page["pagination"]["next_cursor"].as_str() else { return values };
        path = format!("GET {list}?limit=100&cursor={cursor}");
    }
}

#[expect(clippy::disallowed_methods, reason = "how often a test asks is no setting of the server")]
fn calls() -> usize {
    std::env::var("SIGNET_CROSS_CALLS").map_or(CALLS_STANDARD, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn two_tenants_with_everything_alike_never_see_each_others_things() {
    let (service, receiver) = (Arc::new(Service::start().await), Arc::new(Receiver::start().await));
    let pair = [Tenant::of(&service, "mark-of-the-one").await, Tenant::of(&service, "mark-of-the-other").await];
    for tenant in &pair {
        let wish = json!({"url": receiver.url(), "events": ["user"], "description": tenant.mark});
        let request = service.request_with(&tenant.api_key, "POST /v1/webhooks");
        tenant.learn(&send(with_json(request, &wish.to_string())).await);
    }
    let pair = Arc::new(pair);
    let mut calling = JoinSet::new();
    for caller in 0..CALLERS {
        let (service, receiver, pair) = (service.clone(), receiver.clone(), pair.clone());
        calling.spawn(async move {
            let (mut dice, mut sum) = (Dice::seeded(caller as u64), Count::default());
            for number in 0..calls() / CALLERS {
                let (us, them) = (&pair[(caller + number) % 2], &pair[(caller + number + 1) % 2]);
                let Count { answered, crossed, replayed } = ask(&service, &receiver, [us, them], &mut dice).await;
                sum.answered += answered;
                sum.crossed += crossed;
                sum.replayed += replayed;
            }
            sum
        });
    }

    let counts = calling.join_all().await;

    let sum = |of: fn(&Count) -> usize| counts.iter().map(of).sum::<usize>();
    let (answered, crossed, replayed) = (sum(|c| c.answered), sum(|c| c.crossed), sum(|c| c.replayed));
    println!("of {} requests, {answered} succeeded, {crossed} crossed over, {replayed} were replayed", calls());
    assert!(answered > calls() / 5 && crossed > calls() / 5 && replayed > 0, "{answered} {crossed} {replayed}");
    let [one, other] = &*pair;
    let [ours, theirs] = [one, other].map(|tenant| tenant.known.lock().unwrap().all.clone());
    assert_eq!(ours.intersection(&theirs).collect::<Vec<_>>(), [""; 0]);
    for tenant in &*pair {
        let descriptions = all_of(&service, tenant, "/v1/webhooks", "description").await;
        assert!(descriptions.iter().all(|description| description == tenant.mark));
        let events = all_of(&service, tenant, "/v1/events", "data").await;
        let is_own = |data: &Value| data.get("of").is_none_or(|of| of == tenant.mark);
        assert!(!events.is_empty() && events.iter().all(is_own));
    }
    let is_delivery = |received: &&Received| received.header("signet-hook").is_empty();
    for delivery in receiver.received().iter().filter(is_delivery) {
        let claims = delivery.claims();
        let to = pair.iter().find(|tenant| claims["iss"].as_str().unwrap().ends_with(&tenant.id)).unwrap();
        assert!(claims["data"].get("of").is_none_or(|of| of == to.mark), "{claims}");
    }
}
