//! The real binary under fire: what it accepted is handed over until it is acknowledged, and what it took the word for never again,
//! however often answers and acknowledgements are lost and the server is killed.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use signet::engine::clock::Clock;
use tokio::task::LocalSet;

use super::Mailbox;
use crate::support::installation::{Installation, an_unforeseen_instant};
use crate::support::{send, with_json, within};

/// How often the server is killed; `SIGNET_CRASH_KILLS` says otherwise.
const KILLS_STANDARD: u32 = 3;
const LIVES_FOR: Duration = Duration::from_secs(2);
const RECOVERED_WITHIN: Duration = Duration::from_mins(1);
/// One in so many answers is not read, and one in as many acknowledgements is never sent.
const LOST_ONE_IN: u8 = 4;
const PUBLISHERS: usize = 4;

/// One receiver's side of it.
struct Desk {
    mailbox: Mailbox,
    lease_seconds: u64,
    handed: Mutex<BTreeSet<String>>,
    /// What was acknowledged in a request whose answer was read.
    settled: Mutex<BTreeSet<String>>,
    repetitions: AtomicU32,
    faults: Mutex<Vec<String>>,
}

struct Post {
    installation: Installation,
    desks: Vec<Desk>,
    accepted: Mutex<BTreeSet<String>>,
    is_closing: AtomicBool,
}

fn is_lost() -> bool {
    Clock::system().secret_bytes::<1>().unwrap()[0].is_multiple_of(LOST_ONE_IN)
}

impl Desk {
    fn of(made: &Value, lease_seconds: u64) -> Self {
        let (handed, settled, faults) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { mailbox: Mailbox::of(made), lease_seconds, handed, settled, repetitions: AtomicU32::new(0), faults }
    }

    /// One poll; `None` when its answer is lost, whatever the server has made of it.
    async fn poll(&self, installation: &Installation, acknowledged: &[String]) -> Option<Vec<String>> {
        let wish = json!({"ack": acknowledged, "maxEvents": 100, "lease_seconds": self.lease_seconds, "returnImmediately": true});
        let request = installation.anonymous(Method::POST, &self.mailbox.path()).bearer_auth(&self.mailbox.key);
        let response = with_json(request, &wish.to_string()).timeout(Duration::from_secs(10)).send().await.ok()?;
        let (status, text) = (response.status(), response.text().await.ok()?);
        assert!(status == 200 || status == 503, "{status}: {text}");
        if status != 200 || is_lost() {
            return None;
        }
        let answer: Value = serde_json::from_str(&text).unwrap();
        let deliveries = answer["deliveries"].as_array();
        let of_deliveries = deliveries.into_iter().flatten().map(|one| one["id"].as_str().unwrap().to_owned());
        let sets = answer["sets"].as_object().into_iter().flat_map(|sets| sets.keys().cloned());
        Some(of_deliveries.chain(sets).collect())
    }

    /// Notes what was handed over; answers what will be acknowledged of it.
    fn note(&self, ids: Vec<String>) -> Vec<String> {
        let (mut handed, settled) = (self.handed.lock().unwrap(), self.settled.lock().unwrap());
        for id in &ids {
            if settled.contains(id) {
                self.faults.lock().unwrap().push(format!("{id} came again after it was acknowledged"));
            }
            if !handed.insert(id.clone()) {
                self.repetitions.fetch_add(1, Ordering::SeqCst);
            }
        }
        ids.into_iter().filter(|_| !is_lost()).collect()
    }

    async fn has_nothing_left(&self, installation: &Installation) -> bool {
        let path = format!("/v1/webhooks/{}/deliveries?status=pending,failed", self.mailbox.id);
        let Ok(response) = installation.request(Method::GET, &path).send().await else { return false };
        let list: Option<Value> = response.text().await.ok().and_then(|text| serde_json::from_str(&text).ok());
        list.is_some_and(|list| list["data"].as_array().is_some_and(Vec::is_empty))
    }
}

impl Post {
    async fn publish_until_closing(&self, publisher: usize) {
        for number in 0_u64.. {
            if self.is_closing.load(Ordering::SeqCst) {
                return;
            }
            let name = format!("{publisher}-{number}");
            let accepted = within(RECOVERED_WITHIN, async || {
                let body = json!({"type": "user.created", "data": {"id": name}}).to_string();
                let request = with_json(self.installation.request(Method::POST, "/v1/events"), &body);
                let response = request.header("idempotency-key", &name).send().await.ok()?;
                let receipt: Value = serde_json::from_str(&response.text().await.ok()?).ok()?;
                receipt["id"].as_str().map(str::to_owned)
            });
            let event_id = accepted.await.expect("the server accepts again after a crash");
            self.accepted.lock().unwrap().insert(event_id);
            // As many as two desks that lose a quarter of everything can keep up with.
            an_unforeseen_instant(Duration::from_millis(20)).await;
        }
    }

    /// Acknowledges with each poll what the one before handed over, until nothing is left.
    async fn poll_until_closing(&self, at: usize) {
        let (desk, mut words) = (&self.desks[at], Vec::new());
        loop {
            match desk.poll(&self.installation, &words).await {
                Some(ids) => {
                    desk.settled.lock().unwrap().extend(words);
                    words = desk.note(ids);
                }
                // Who does not know whether it was heard may say it again, or not.
                None if is_lost() => words.clear(),
                None => an_unforeseen_instant(Duration::from_millis(20)).await,
            }
            let is_over = words.is_empty() && self.is_closing.load(Ordering::SeqCst);
            if is_over && desk.has_nothing_left(&self.installation).await {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_collected_and_what_was_acknowledged_never_comes_again_whenever_the_server_is_killed() {
    let installation = Installation::new();
    let mut running = installation.serve().await;
    let mut desks = Vec::new();
    for (format, lease_seconds) in [("set", 0), ("standard", 1)] {
        let wish = json!({"delivery": "pull", "events": ["user"], "format": format});
        let made = send(with_json(installation.request(Method::POST, "/v1/webhooks"), &wish.to_string())).await;
        desks.push(Desk::of(&made.json(), lease_seconds));
    }
    let (accepted, is_closing) = (Mutex::default(), AtomicBool::new(false));
    let post = Rc::new(Post { installation, desks, accepted, is_closing });

    let local = LocalSet::new();
    let mut both_sides = Vec::new();
    for publisher in 0..PUBLISHERS {
        let post = post.clone();
        both_sides.push(local.spawn_local(async move { post.publish_until_closing(publisher).await }));
    }
    for at in 0..post.desks.len() {
        let post = post.clone();
        both_sides.push(local.spawn_local(async move { post.poll_until_closing(at).await }));
    }
    for _ in 0..kills() {
        local.run_until(an_unforeseen_instant(LIVES_FOR)).await;
        running.kill();
        running = post.installation.spawn();
    }
    post.is_closing.store(true, Ordering::SeqCst);
    tokio::time::timeout(2 * RECOVERED_WITHIN, local).await.expect("everything is collected after the last crash");
    for side in both_sides {
        side.await.unwrap();
    }

    let accepted = post.accepted.lock().unwrap().clone();
    for Desk { mailbox, handed, settled, repetitions, faults, .. } in &post.desks {
        let (handed, settled) = (handed.lock().unwrap().clone(), settled.lock().unwrap().clone());
        println!(
            "pull: {} events accepted, {} handed over, {} known to be settled, {} came again",
            accepted.len(),
            handed.len(),
            settled.len(),
            repetitions.load(Ordering::SeqCst)
        );
        assert_eq!(accepted.difference(&handed).collect::<Vec<_>>(), [""; 0], "accepted events were lost");
        assert_eq!(*faults.lock().unwrap(), [""; 0]);
        assert!(!settled.is_empty() && repetitions.load(Ordering::SeqCst) > 0, "answers and words were lost");
        let log = post.installation.get(&format!("/v1/webhooks/{}/deliveries?limit=100", mailbox.id)).await.json();
        assert!(log["data"].as_array().unwrap().iter().all(|delivery| delivery["status"] == "delivered"), "{log}");
    }
    running.kill();
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the server")]
fn kills() -> u32 {
    std::env::var("SIGNET_CRASH_KILLS").map_or(KILLS_STANDARD, |kills| kills.parse().unwrap())
}
