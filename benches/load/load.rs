//! Sends events at a pace over a fixed number of connections and keeps what was accepted when. It knows nothing of
//! deliveries: a 202 is all it waits for.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::Failure;
use crate::client::{Answer, Api, Connection};
use crate::ledger::{Endpoint, EventId};
use crate::pace::{Backlog, Clock, Pace};
use crate::table;

/// In flight at most. An open loop that needs more queues, and that wait is part of its latency.
pub const CONNECTIONS: usize = 64;
/// A server that has not answered for so long after the load's end never will.
const ANSWER_FOR_MAX: Duration = Duration::from_secs(30);
/// A refused sender waits so long: a server that sheds load is not helped by a busy loop.
const REFUSED_FOR: Duration = Duration::from_millis(10);

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

pub async fn run(api: &Api, load: &Load, backlog: Backlog) -> Result<Sent, Failure> {
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        connections.push(api.connect().await?);
    }
    let clock = Arc::new(Clock::start(&load.pace, load.run_for, backlog));
    let request: Arc<[u8]> = api.event_request(load.event_type, load.payload_bytes).into();
    let mut senders = JoinSet::new();
    for connection in connections {
        let sender = Sender {
            api: api.clone(),
            connection,
            clock: Arc::clone(&clock),
            request: Arc::clone(&request),
            fan_out: load.endpoints.len() as u64,
        };
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
    let all_connections_for = load.run_for.as_secs_f64() * table::exact(CONNECTIONS);
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

/// One connection and what it sends.
struct Sender {
    api: Api,
    connection: Connection,
    clock: Arc<Clock>,
    request: Arc<[u8]>,
    fan_out: u64,
}

impl Sender {
    /// Fails only when the server lets nobody connect any more.
    async fn send_all(mut self) -> std::io::Result<Sent> {
        let mut sent = Sent::default();
        while let Some(started_at) = self.clock.next().await {
            match self.connection.exchange(&self.request).await {
                Ok(answer) => match accepted(&answer) {
                    Ok(event) => {
                        self.clock.accepted(self.fan_out);
                        sent.posts.push(Post { event, started_at });
                    }
                    Err(refusal) => {
                        sent.refuse(refusal);
                        tokio::time::sleep(REFUSED_FOR).await;
                    }
                },
                Err(error) => {
                    sent.refuse(format!("no answer: {error}"));
                    self.connection = self.api.connect().await?;
                }
            }
        }
        Ok(sent)
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
