//! Sends events at a pace over a fixed number of connections and keeps what was accepted when. It knows nothing of
//! deliveries: a 202 is all it waits for.

use std::iter::Cycle;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::Failure;
use crate::client::{Answer, Api, Connection};
use crate::column::exact;
use crate::ledger::{Endpoint, EventId};
use crate::pace::{Backlog, Clock, Pace};

/// In flight at most. An open loop that needs more queues, and that wait is part of its latency.
pub const CONNECTIONS: usize = 64;
/// A server that has not answered for so long after the load's end never will.
const ANSWER_FOR_MAX: Duration = Duration::from_secs(30);
/// A refused sender waits so long: a server that sheds load is not helped by a busy loop.
const REFUSED_FOR: Duration = Duration::from_millis(10);
/// Servers that have let nobody connect for so long do not come back.
const LOST_FOR_MAX: Duration = Duration::from_secs(10);

/// Which event is sent, how, and where each one must arrive.
#[derive(Clone)]
pub struct Load {
    pub event_type: &'static str,
    pub payload_bytes: usize,
    pub endpoints: Range<Endpoint>,
    pub pace: Pace,
    pub run_for: Duration,
}

/// An accepted event.
pub struct Post {
    pub event: EventId,
    pub started_at: Instant,
    pub accepted_at: Instant,
}

#[derive(Default)]
pub struct Sent {
    pub posts: Vec<Post>,
    pub refused: usize,
    /// What the first refusal said.
    pub refusal: Option<String>,
    /// Share of all connections' time for which a full backlog held them back.
    pub held_share: f64,
}

/// The connections are spread over all servers in turn.
pub async fn run(apis: &[Api], load: &Load, backlog: Arc<Backlog>) -> Result<Sent, Failure> {
    let target = |api: &Api| {
        let request = api.event_request(load.event_type, load.payload_bytes).into();
        Target { api: api.clone(), request }
    };
    let mut targets = apis.iter().map(target).collect::<Vec<Target>>().into_iter().cycle();
    let mut connected = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let target = targets.next().ok_or("there is no server to send to")?;
        connected.push((target.api.connect().await?, target, targets.clone()));
    }
    let fan_out = load.endpoints.len() as u64;
    let clock = Arc::new(Clock::start(&load.pace, load.run_for, backlog, fan_out));
    let mut senders = JoinSet::new();
    for (connection, target, others) in connected {
        let sender = Sender { connection, target, others, clock: Arc::clone(&clock) };
        senders.spawn(sender.send_all());
    }
    let mut sent = Sent::default();
    let ended = tokio::time::timeout(load.run_for + ANSWER_FOR_MAX, async {
        while let Some(part) = senders.join_next().await {
            sent.add(part??);
        }
        Ok::<(), Failure>(())
    });
    let ended = ended.await;
    ended.map_err(|_| "the server left an event without any answer")??;
    let all_connections_for = load.run_for.as_secs_f64() * exact(CONNECTIONS);
    sent.held_share = clock.held_for().as_secs_f64() / all_connections_for;
    Ok(sent)
}

impl Sent {
    fn add(&mut self, part: Self) {
        self.posts.extend(part.posts);
        self.refused += part.refused;
        self.refusal = self.refusal.take().or(part.refusal);
    }

    fn refuse(&mut self, refusal: String) {
        self.refused += 1;
        self.refusal.get_or_insert(refusal);
    }
}

/// One of the servers, and the request as it is put to it.
#[derive(Clone)]
struct Target {
    api: Api,
    request: Arc<[u8]>,
}

/// One connection and what it sends.
struct Sender {
    connection: Connection,
    target: Target,
    /// Where to turn to when the connection is lost; the present target comes last.
    others: Cycle<std::vec::IntoIter<Target>>,
    clock: Arc<Clock>,
}

impl Sender {
    /// Fails only when no server lets anybody connect any more.
    async fn send_all(mut self) -> std::io::Result<Sent> {
        let mut sent = Sent::default();
        while let Some(started_at) = self.clock.next().await {
            match self.connection.exchange(&self.target.request).await {
                Ok(answer) => match accepted(&answer) {
                    Ok(event) => {
                        self.clock.accepted();
                        sent.posts.push(Post { event, started_at, accepted_at: Instant::now() });
                    }
                    Err(refusal) => {
                        self.clock.refused();
                        sent.refuse(refusal);
                        tokio::time::sleep(REFUSED_FOR).await;
                    }
                },
                Err(error) => {
                    self.clock.refused();
                    sent.refuse(format!("no answer: {error}"));
                    self.reconnect().await?;
                }
            }
        }
        Ok(sent)
    }

    async fn reconnect(&mut self) -> std::io::Result<()> {
        let lost_at = Instant::now();
        for target in self.others.by_ref() {
            match target.api.connect().await {
                Ok(connection) => {
                    (self.connection, self.target) = (connection, target);
                    break;
                }
                Err(error) if lost_at.elapsed() > LOST_FOR_MAX => return Err(error),
                Err(_) => tokio::time::sleep(REFUSED_FOR).await,
            }
        }
        Ok(())
    }
}

/// The id of the event if it was accepted, else the answer's own words.
fn accepted(answer: &Answer<'_>) -> Result<EventId, String> {
    if answer.status != 202 {
        return Err(answer.to_string());
    }
    let body: Value = serde_json::from_slice(answer.body).map_err(|_| answer.to_string())?;
    let id = body.get("id").and_then(Value::as_str);
    id.and_then(EventId::new).ok_or_else(|| answer.to_string())
}
