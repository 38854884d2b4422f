//! The real binary under fire: what it accepted is delivered, however and whenever it ends.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use signet::engine::clock::Clock;
use tokio::task::LocalSet;

use crate::support::installation::{Installation, an_unforeseen_instant, replace};
use crate::support::ledger::{Account, Ledger, Name};
use crate::support::{Receiver, with_json, within};

/// How often the server is killed; `SIGNET_CRASH_KILLS` says otherwise.
const KILLS_STANDARD: u32 = 3;
/// Each kill comes at any instant up to this long after the start before it, so that some meet a server that starts.
const LIVES_FOR: Duration = Duration::from_secs(2);
const PUBLISHERS: usize = 32;
/// The subscribers, both of them one receiver's.
const DOORS: [&str; 2] = ["near", "far"];
/// The bound on waiting for an answer or a delivery after a crash.
const RECOVERED_WITHIN: Duration = Duration::from_mins(1);
/// How many of the accepted events are asked for again at the end.
const REPEATED: usize = 100;

/// What the publishers know.
struct Newsroom {
    installation: Installation,
    /// The ids under which events were accepted, by the names that publishers gave them.
    accepted: Mutex<BTreeMap<String, String>>,
    /// Answers that said that the event had been accepted before: their first answers were cut off by a kill.
    replayed: AtomicU64,
    is_closing: AtomicBool,
}

/// A 202 that was read to its end.
struct Acceptance {
    event_id: String,
    is_replay: bool,
}

impl Newsroom {
    fn new() -> Self {
        Self {
            installation: Installation::new(),
            accepted: Mutex::default(),
            replayed: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
        }
    }

    /// Publishes one event, under its name as the idempotency key; `None` when there is no whole acceptance.
    async fn publish(&self, name: &str) -> Option<Acceptance> {
        let body = json!({"type": "user.created", "data": {"id": name}}).to_string();
        let request = with_json(self.installation.request(Method::POST, "/v1/events"), &body);
        let request = request.header("idempotency-key", name).timeout(Duration::from_secs(10));
        let response = request.send().await.ok()?;
        let (status, is_replay) = (response.status(), response.headers().contains_key("idempotent-replayed"));
        let text = response.text().await.ok()?;
        assert!(status == 202 || status == 503, "{status}: {text}");
        let receipt: serde_json::Value = serde_json::from_str(&text).ok()?;
        let event_id = receipt["id"].as_str()?.to_owned();
        (status == 202).then_some(Acceptance { event_id, is_replay })
    }

    /// Publishes one event after another, each as often as it takes.
    async fn publish_until_closing(&self, publisher: usize) {
        for number in 0_u64.. {
            if self.is_closing.load(Ordering::SeqCst) {
                return;
            }
            let name = format!("{publisher}-{number}");
            let acceptance = within(RECOVERED_WITHIN, async || self.publish(&name).await).await;
            let Acceptance { event_id, is_replay } = acceptance.expect("the server accepts again after a crash");
            self.replayed.fetch_add(u64::from(is_replay), Ordering::SeqCst);
            self.accepted.lock().unwrap().insert(name, event_id);
        }
    }

    /// Everything that was accepted so far, once for each subscriber.
    fn owed(&self) -> Vec<Name> {
        let accepted = self.accepted.lock().unwrap();
        let for_all = |name: &String| DOORS.map(|door| (door.to_owned(), name.clone()));
        accepted.keys().flat_map(for_all).collect()
    }
}

/// What was owed when the server was killed, and when it was started again.
struct Crash {
    owed: Vec<Name>,
    restarted_at: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_event_reaches_every_subscriber_whenever_the_server_is_killed() {
    let newsroom = Rc::new(Newsroom::new());
    let ledger = Ledger::start().await;
    let mut running = newsroom.installation.serve().await;
    ledger.trust(&newsroom.installation.get("/.well-known/jwks.json").await.text);
    for door in DOORS {
        let webhook = json!({"url": ledger.url(door), "events": ["user"]});
        newsroom.installation.make("/v1/webhooks", &webhook).await;
    }

    let local = LocalSet::new();
    let publisher = |number| {
        let newsroom = newsroom.clone();
        local.spawn_local(async move { newsroom.publish_until_closing(number).await })
    };
    let publishers: Vec<_> = (0..PUBLISHERS).map(publisher).collect();
    let mut crashes = Vec::new();
    for _ in 0..kills() {
        local.run_until(an_unforeseen_instant(LIVES_FOR)).await;
        running.kill();
        crashes.push(Crash { owed: ledger.missing(newsroom.owed().into_iter()), restarted_at: ledger.elapsed() });
        running = newsroom.installation.spawn();
    }
    newsroom.is_closing.store(true, Ordering::SeqCst);
    local.await;
    for publisher in publishers {
        publisher.await.unwrap();
    }
    within(RECOVERED_WITHIN, async || ledger.missing(newsroom.owed().into_iter()).is_empty().then_some(())).await;

    summarise(&newsroom, &ledger, &crashes);
    assert_eq!(ledger.missing(newsroom.owed().into_iter()), [], "accepted events were lost");
    assert_eq!(ledger.faults(), [""; 0]);
    check_ids(&newsroom, &ledger);
    check_repeats(&newsroom).await;
    running.kill();
}

/// Each event has one id, in its answer and in all of its deliveries, and none was delivered that nobody published.
fn check_ids(newsroom: &Newsroom, ledger: &Ledger) {
    let accepted = newsroom.accepted.lock().unwrap();
    for ((door, name), account) in ledger.accounts() {
        let event_ids: Vec<&String> = account.event_ids.iter().collect();
        assert_eq!(event_ids, accepted.get(&name).into_iter().collect::<Vec<_>>(), "{name} at {door}");
    }
}

/// Who asks again after every crash is told what they were told at first.
async fn check_repeats(newsroom: &Newsroom) {
    let accepted = newsroom.accepted.lock().unwrap().clone();
    let step = (accepted.len() / REPEATED).max(1);
    for (name, event_id) in accepted.iter().step_by(step) {
        let again = newsroom.publish(name).await.unwrap();
        assert_eq!((&again.event_id, again.is_replay), (event_id, true), "{name}");
    }
}

fn summarise(newsroom: &Newsroom, ledger: &Ledger, crashes: &[Crash]) {
    let accounts = ledger.accounts();
    let sum = |of: fn(&Account) -> u32| accounts.values().map(|account| u64::from(of(account))).sum::<u64>();
    let (acknowledged, refused) = (sum(|account| account.acknowledged), sum(|account| account.refused));
    let delivered = accounts.values().filter(|account| account.acknowledged > 0).count();
    let duplicates = sum(|account| account.acknowledged.saturating_sub(1));
    // What was refused waits for its retry on purpose.
    let recovery = |crash: &Crash| {
        let arrived = crash.owed.iter().filter_map(|name| accounts.get(name)).filter(|account| account.refused == 0);
        arrived.map(|account| account.acknowledged_at.saturating_sub(crash.restarted_at)).max()
    };
    let slowest = crashes.iter().filter_map(recovery).max().unwrap_or_default();
    let owed: usize = crashes.iter().map(|crash| crash.owed.len()).sum();
    println!(
        "crash: {} kills, {} events accepted for {} subscribers, {delivered} deliveries, {acknowledged} acknowledged \
         requests, {duplicates} duplicates, {refused} refused at first; {} answers were cut off and replayed; {owed} \
         deliveries were owed at a kill, the slowest arrived {} ms after the restart; {} s in all",
        crashes.len(),
        newsroom.accepted.lock().unwrap().len(),
        DOORS.len(),
        newsroom.replayed.load(Ordering::SeqCst),
        slowest.as_millis(),
        ledger.elapsed().as_secs(),
    );
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the server")]
fn kills() -> u32 {
    std::env::var("SIGNET_CRASH_KILLS").map_or(KILLS_STANDARD, |kills| kills.parse().unwrap())
}

#[tokio::test]
async fn a_server_that_is_asked_to_end_finishes_the_delivery_in_its_hands() {
    let installation = Installation::new();
    let receiver = Receiver::start().await;
    receiver.answering_after(Duration::from_secs(3));
    let running = installation.serve().await;
    let webhook = installation.make("/v1/webhooks", &json!({"url": receiver.url(), "events": ["*"]})).await;
    let event = installation.make("/v1/events", &json!({"type": "user.created", "data": {}})).await;
    receiver.received_when(1).await;

    let stopwatch = Clock::system().stopwatch();
    running.terminate();
    let ended = running.ended().await;
    let took_for = stopwatch.elapsed();

    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(took_for < Duration::from_secs(35), "{took_for:?}");
    let _again = installation.serve().await;
    let delivery = installation.get(&format!("/v1/webhooks/{webhook}/deliveries/{event}")).await.json();
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("delivered"), &json!(1)), "{delivery}");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_server_that_starts_takes_over_at_once_what_a_killed_one_had_in_hand() {
    let installation = Installation::new();
    let receiver = Receiver::start().await;
    receiver.answering_after(Duration::from_hours(1));
    let running = installation.serve().await;
    installation.make("/v1/webhooks", &json!({"url": receiver.url(), "events": ["*"]})).await;
    let event = installation.make("/v1/events", &json!({"type": "user.created", "data": {}})).await;
    receiver.received_when(1).await;

    running.kill();
    receiver.answering_after(Duration::ZERO);
    let _again = installation.serve().await;

    let requests = receiver.received_when(2).await;
    assert_eq!(requests.iter().map(|request| request.header("webhook-id")).collect::<Vec<_>>(), [&event; 2]);
    assert_eq!(requests[1].header("webhook-attempt"), "1", "an attempt that nobody saw the end of does not count");
}

#[tokio::test]
async fn a_second_server_on_the_same_sqlite_database_is_refused() {
    let installation = Installation::on_sqlite();
    let _first = installation.serve().await;

    let ended = installation.beside().spawn().ended().await;

    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains("another server works on"), "{}", ended.said);
    assert!(ended.said.contains("SIGNET_DATABASE_URL"), "{}", ended.said);
}

#[tokio::test]
async fn a_server_with_the_master_key_of_another_database_does_not_start() {
    let (installation, other) = (Installation::new(), Installation::new());
    for installation in [&installation, &other] {
        installation.serve().await.kill();
    }
    replace(installation.master_key_file(), other.master_key_file());

    let ended = installation.spawn().ended().await;

    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains("is not the one that sealed the keys"), "{}", ended.said);
    assert!(ended.said.contains("Put the right one in its place"), "{}", ended.said);
}

#[tokio::test]
async fn a_server_without_the_master_key_of_its_database_makes_no_other() {
    let installation = Installation::new();
    installation.serve().await.kill();
    std::fs::remove_file(installation.master_key_file()).unwrap();

    let ended = installation.spawn().ended().await;

    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains("Put it back from your backup or copy it from another node"), "{}", ended.said);
    assert!(ended.said.contains("SIGNET_MASTER_KEY_FILE"), "{}", ended.said);
    assert!(!installation.master_key_file().exists());
}

#[tokio::test]
async fn a_server_whose_first_start_was_interrupted_starts() {
    let installation = Installation::new();

    for _ in 0..5 {
        let running = installation.spawn();
        an_unforeseen_instant(Duration::from_millis(150)).await;
        running.kill();
    }

    let _again = installation.serve().await;
    let event = installation.make("/v1/events", &json!({"type": "user.created", "data": {}})).await;
    assert!(event.starts_with("evt_"), "{event}");
}
