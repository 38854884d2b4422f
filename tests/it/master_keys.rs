//! Several master keys at once: everything moves from one to the next while servers run, and nothing is lost on the way.

mod swapped;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::audit::{Actor, INSTALLATION};
use signet::engine::master_keys::{MasterKeysError, Records};
use signet::signing::digest::WebhookSecret;
use signet::signing::{Expected, verify};
use tokio::task::LocalSet;

use crate::support::installation::{Installation, Running, an_unforeseen_instant, replace};
use crate::support::{Received, Receiver, Service, database, send, until, with_json};

/// Requests under way while many webhooks or events are made.
const AT_A_TIME: usize = 16;
/// How often resealing is killed, and how often at most until a kill has come while records moved.
const KILLS: usize = 20;
const KILLS_MAX: usize = 200;
/// The first kill comes at any instant up to this long after the start, so that some meet a command that starts.
const KILLED_WITHIN: Duration = Duration::from_millis(500);
/// Each of the others may come this much later, until they come late enough for a machine that is busy.
const KILLED_LATER: Duration = Duration::from_millis(25);
/// Longer than anybody may have a record in hand that was sealed again.
const SETTLED_FOR: Duration = Duration::from_secs(61);

/// A tenant's webhook with an event type of its own, so that it is first spoken to when its event comes.
#[derive(Debug, Clone)]
struct Subscriber {
    tenant: Option<String>,
    event_type: String,
    secret: String,
}

/// An installation with many subscribers, all of them one receiver's.
struct House {
    installation: Installation,
    receiver: Receiver,
    subscribers: Vec<Subscriber>,
}

impl House {
    /// So many tenants with keys and a webhook of their own, and so many webhooks more of the default tenant.
    async fn with(tenants: usize, webhooks: usize) -> (Rc<Self>, Running) {
        let installation = Installation::new();
        let running = installation.serve().await;
        let mut house = Self { installation, receiver: Receiver::start().await, subscribers: Vec::new() };
        let mut tenant_ids = vec![None; webhooks];
        for number in 0..tenants {
            let tenant = json!({"name": format!("tenant {number}")});
            tenant_ids.push(Some(house.installation.make("/v1/admin/tenants", &tenant).await));
        }
        let numbered: Vec<(usize, Option<String>)> = tenant_ids.into_iter().enumerate().collect();
        for some in numbered.chunks(AT_A_TIME) {
            let made = some.iter().map(|(number, tenant)| house.subscribe(*number, tenant.as_ref()));
            let made = all_of(made).await;
            house.subscribers.extend(made);
        }
        (Rc::new(house), running)
    }

    async fn subscribe(&self, number: usize, tenant: Option<&String>) -> Subscriber {
        let event_type = format!("load.n{number}");
        let wish = json!({"url": self.receiver.url(), "events": [event_type]});
        let answer = self.post("/v1/webhooks", tenant, &wish).await;
        let secret = answer["signing_secret"].as_str().unwrap_or_else(|| panic!("no secret in {answer}")).to_owned();
        Subscriber { tenant: tenant.cloned(), event_type, secret }
    }

    async fn publish(&self, subscriber: &Subscriber) {
        let event = json!({"type": subscriber.event_type, "data": {}});
        let answer = self.post("/v1/events", subscriber.tenant.as_ref(), &event).await;
        assert!(answer["id"].is_string(), "{answer}");
    }

    async fn post(&self, path: &str, tenant: Option<&String>, body: &Value) -> Value {
        let request = self.installation.request(Method::POST, path);
        let request = match tenant {
            Some(id) => request.header("x-tenant-id", id),
            None => request,
        };
        send(with_json(request, &body.to_string())).await.json()
    }

    /// Makes a master key; answers its id.
    async fn make_master_key(&self) -> String {
        let said = self.installation.done(&["master-key", "new"]).await;
        said.lines().next().unwrap().to_owned()
    }

    /// The state of each master key, and how many records it has sealed: private halves and secrets.
    async fn listed(&self) -> BTreeMap<String, (String, u64, u64)> {
        listed(&self.installation.done(&["master-key", "list"]).await)
    }

    /// What came in was sent at first try, under the secret of its webhook and signed with a key of its tenant.
    async fn check(&self, received: &[Received]) {
        let mut sets = BTreeMap::new();
        for received in received {
            let event_type = received.event();
            let subscriber = self.subscribers.iter().find(|known| known.event_type == event_type).unwrap();
            assert_eq!(received.header("webhook-attempt"), "1", "{event_type} failed at first");
            let secret = WebhookSecret::parse(&subscriber.secret).unwrap();
            let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
            let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &received.body];
            let signature = secret.authenticate(&parts);
            assert_eq!(received.header("webhook-signature"), format!("v1,{signature}"));
            let set = match subscriber.tenant.as_deref() {
                Some(id) => format!("/{id}/.well-known/jwks.json"),
                None => "/.well-known/jwks.json".to_owned(),
            };
            if !sets.contains_key(&set) {
                sets.insert(set.clone(), self.installation.get(&set).await.text);
            }
            let clock = signet::engine::clock::Clock::system();
            let expected = Expected { issuer: None, audience: None, now: clock.now() };
            verify(&received.token(), sets[&set].as_bytes(), &expected).unwrap();
        }
    }
}

/// Waits for all of them, which are under way at the same time.
async fn all_of<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, done) in &mut pinned {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pinned.into_iter().filter_map(|(_, done)| done).collect()
}

fn listed(said: &str) -> BTreeMap<String, (String, u64, u64)> {
    let rows = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = |words: Vec<&str>| match words.as_slice() {
        [id, state @ ("current" | "held" | "missing"), keys, secrets] => {
            Some(((*id).to_owned(), ((*state).to_owned(), keys.parse().unwrap(), secrets.parse().unwrap())))
        }
        _ => None,
    };
    rows.filter_map(row).collect()
}

fn sealed(state: &str, keys: u64, secrets: u64) -> (String, u64, u64) {
    (state.to_owned(), keys, secrets)
}

#[tokio::test]
async fn everything_is_sealed_again_under_load_and_no_delivery_fails() {
    const TENANTS: usize = 60;
    const WEBHOOKS: usize = 2_000;
    let (house, running) = House::with(TENANTS, WEBHOOKS).await;
    let [first] = house.listed().await.into_keys().collect::<Vec<_>>().try_into().unwrap();
    let second = house.make_master_key().await;
    let (local, is_closing) = (LocalSet::new(), Rc::new(AtomicBool::new(false)));
    let publisher = |offset: usize| {
        let (house, is_closing) = (house.clone(), is_closing.clone());
        local.spawn_local(async move {
            let mine = house.subscribers.iter().skip(offset).step_by(AT_A_TIME);
            let mut published = 0;
            for subscriber in mine.clone().cycle() {
                // Every one of them at least once, and for as long as records move.
                if is_closing.load(Ordering::SeqCst) && published >= mine.clone().count() {
                    return published;
                }
                house.publish(subscriber).await;
                published += 1;
            }
            published
        })
    };
    let publishers: Vec<_> = (0..AT_A_TIME).map(publisher).collect();

    let said = local.run_until(house.installation.done(&["master-key", "rewrap"])).await;
    is_closing.store(true, Ordering::SeqCst);
    local.await;

    let mut published = 0;
    for publisher in publishers {
        published += publisher.await.unwrap();
    }
    let received = house.receiver.received_when(published).await;
    assert_eq!(received.len(), published);
    house.check(&received).await;
    let (keys, secrets) = (2 * TENANTS as u64 + 2, (TENANTS + WEBHOOKS) as u64);
    let wanted = BTreeMap::from([(first, sealed("held", 0, 0)), (second, sealed("current", keys, secrets))]);
    assert_eq!(listed(&said), wanted, "{said}");
    println!("resealed {keys} keys and {secrets} secrets beside {published} deliveries");
    drop(running);
}

#[tokio::test]
async fn resealing_that_is_killed_again_and_again_is_completed_by_the_next() {
    const WEBHOOKS: usize = 1_500;
    let (house, running) = House::with(10, WEBHOOKS).await;
    let [first] = house.listed().await.into_keys().collect::<Vec<_>>().try_into().unwrap();
    let second = house.make_master_key().await;

    // There and back, so that each has enough to do.
    let (mut kills, mut mixed) = (0, 0);
    for target in [&second, &first].into_iter().cycle().take(KILLS_MAX) {
        if kills >= KILLS && mixed > 0 {
            break;
        }
        let rewrap = house.installation.begin(&["master-key", "rewrap", "--to", target]);
        an_unforeseen_instant(KILLED_WITHIN + KILLED_LATER * u32::try_from(kills).unwrap()).await;
        rewrap.kill();
        kills += 1;
        let lists = house.listed().await;
        assert_eq!(lists.values().map(|(_, keys, secrets)| keys + secrets).sum::<u64>(), WEBHOOKS as u64 + 32);
        mixed += usize::from(lists.values().all(|(_, keys, secrets)| keys + secrets > 0));
    }
    let said = house.installation.done(&["master-key", "rewrap", "--to", &second]).await;

    println!("{mixed} of {kills} kills left records under both keys");
    assert!(mixed > 0, "no kill came while records moved");
    let wanted = [(first, sealed("held", 0, 0)), (second, sealed("current", 22, WEBHOOKS as u64 + 10))];
    assert_eq!(listed(&said), BTreeMap::from(wanted), "{said}");
    // A server that starts has nothing in memory yet.
    running.kill();
    let _again = house.installation.serve().await;
    let some: Vec<&Subscriber> = house.subscribers.iter().step_by(10).collect();
    for subscriber in &some {
        house.publish(subscriber).await;
    }
    house.check(&house.receiver.received_when(some.len()).await).await;
}

#[tokio::test]
async fn a_running_server_seals_under_a_master_key_that_was_made_beside_it() {
    let (house, _running) = House::with(0, 1).await;
    let [first] = house.listed().await.into_keys().collect::<Vec<_>>().try_into().unwrap();
    let second = house.make_master_key().await;
    house.installation.done(&["master-key", "rewrap"]).await;

    let tenant = house.installation.make("/v1/admin/tenants", &json!({"name": "acme"})).await;
    house.subscribe(1, Some(&tenant)).await;
    house.publish(&house.subscribers[0]).await;

    house.check(&house.receiver.received_when(1).await).await;
    let wanted = [(first.clone(), sealed("held", 0, 0)), (second, sealed("current", 4, 2))];
    assert_eq!(house.listed().await, BTreeMap::from(wanted));
    let early = house.installation.begin(&["master-key", "drop", &first]).ended().await;
    assert!(early.code == Some(1) && early.said.contains("Try again at"), "{}", early.said);
}

#[tokio::test]
async fn a_master_key_is_dropped_only_when_nothing_needs_it() {
    let service = Service::start().await;
    service.webhook(&Receiver::start().await, &["*"]).await;
    let engine = service.server().engine();
    let [first] = engine.master_key_ids().try_into().unwrap();
    let second = engine.add_master_key(Actor::CommandLine).await.unwrap();

    let refused = engine.drop_master_key(Actor::CommandLine, &first).await;
    assert!(matches!(refused, Err(MasterKeysError::IsCurrent(id)) if id == first));
    assert!(engine.switch_master_key(Actor::CommandLine, &second).await.unwrap());
    let refused = engine.drop_master_key(Actor::CommandLine, &first).await;
    assert!(matches!(refused, Err(MasterKeysError::IsUsed { id, keys: 2, secrets: 1 }) if id == first));
    let rewrapped = engine.rewrap(Actor::CommandLine, &second, |_| ()).await.unwrap();
    assert_eq!((rewrapped.records, rewrapped.stuck.len()), (Records { keys: 2, secrets: 1 }, 0));
    let refused = engine.drop_master_key(Actor::CommandLine, &first).await;
    assert!(matches!(refused, Err(MasterKeysError::TooSoon { .. })));
    assert_eq!(engine.master_key_ids(), [first.clone(), second.clone()]);
    service.after(SETTLED_FOR);
    engine.drop_master_key(Actor::CommandLine, &first).await.unwrap();

    assert_eq!(engine.master_key_ids(), std::slice::from_ref(&second));
    let mut log = engine.audit(INSTALLATION, None).await.unwrap();
    let entries = log.next_page().await.unwrap().unwrap();
    let told = entries.iter().map(|entry| (entry.action.as_str(), entry.subject.as_str()));
    let told: Vec<_> = told.filter(|(action, _)| action.starts_with("master_key.")).collect();
    let wanted = [
        ("master_key.added", second.as_str()),
        ("master_key.switched", &second),
        ("master_key.rewrapped", &second),
        ("master_key.dropped", &first),
    ];
    assert_eq!(told, wanted);
    assert!(matches!(engine.drop_master_key(Actor::CommandLine, &first).await, Err(MasterKeysError::File(_))));
}

#[tokio::test]
async fn nodes_move_to_another_master_key_only_when_all_of_them_hold_it() {
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("master.key");
    std::fs::copy(one.master_key_file(), &file).unwrap();
    let other = one.beside_with(&[("SIGNET_MASTER_KEY_FILE", &file.display().to_string())]).await;
    let (engine, receiver) = (one.server().engine(), Receiver::start().await);
    let second = engine.add_master_key(Actor::CommandLine).await.unwrap();

    let refused = engine.switch_master_key(Actor::CommandLine, &second).await.unwrap_err();
    assert!(matches!(&refused, MasterKeysError::NodeLacks { id, .. } if *id == second), "{refused}");
    assert!(refused.to_string().contains("node_"), "{refused}");
    replace(&file, one.master_key_file());
    // A node looks for changes of the file whenever it looks at its keys.
    until(async || {
        other.after(Duration::from_secs(1));
        engine.switch_master_key(Actor::CommandLine, &second).await.ok()
    })
    .await;

    let webhook = other.webhook(&receiver, &["*"]).await;
    engine.rewrap(Actor::CommandLine, &second, |_| ()).await.unwrap();
    let sealed = engine.records_by_master_key().await.unwrap();
    assert_eq!(sealed, BTreeMap::from([(second, Records { keys: 2, secrets: 1 })]));
    for service in [&one, &other] {
        let event = service.event("user.created").await;
        service.delivery_when(&webhook, &event, "delivered").await;
    }
}

#[tokio::test]
async fn a_node_that_has_not_heard_of_another_master_key_seals_under_it() {
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let engine = one.server().engine();
    let [first] = engine.master_key_ids().try_into().unwrap();
    let second = engine.add_master_key(Actor::CommandLine).await.unwrap();
    // It looks when its clock moves on, which it does not.
    let other = one.beside().await;

    assert!(engine.switch_master_key(Actor::CommandLine, &second).await.unwrap());
    other.webhook(&Receiver::start().await, &["*"]).await;
    other.tenant("acme").await;

    let sealed = engine.records_by_master_key().await.unwrap();
    let wanted = [(first, Records { keys: 2, secrets: 0 }), (second, Records { keys: 2, secrets: 1 })];
    assert_eq!(sealed, BTreeMap::from(wanted));
}

#[tokio::test]
async fn a_node_that_died_does_not_keep_the_others_from_another_master_key() {
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let engine = one.server().engine();
    let second = engine.add_master_key(Actor::CommandLine).await.unwrap();
    let dead = format!("insert into nodes (id, beats, started_at) values ('\\x{}', 7, 0)", "ab".repeat(16));
    assert_eq!(one.tamper_rows(&dead).await, 1);

    until(async || engine.switch_master_key(Actor::CommandLine, &second).await.ok()).await;

    assert_eq!(engine.current_master_key().await.unwrap(), second);
}
