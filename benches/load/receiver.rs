//! The receiver that the server under test delivers to. It notes the instant at which each request is complete and
//! answers; it verifies nothing, so that the figures show the server and not the receiver. It has a thread of its own,
//! so that the sending side cannot delay what it notes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::ledger::{Arrival, Endpoint, EventId};
use crate::wire::{Message, Messages};

const ACCEPTED: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
const WAITING_MAX: u32 = 1024;
const PATH: &str = "/endpoint/";
/// Room for a usual run, so that growing the list does not show up as latency.
const ARRIVALS_EXPECTED: usize = 1 << 18;

pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    released: watch::Sender<bool>,
    recovered: watch::Sender<bool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the connections write and the measuring side reads.
struct Shared {
    arrivals: Mutex<Vec<Arrival>>,
    arrived: Arc<AtomicU64>,
    complaint: Mutex<Option<String>>,
    connections: AtomicUsize,
    connections_peak: AtomicUsize,
    /// How long each endpoint waits before it answers.
    delays: Vec<Duration>,
}

impl Receiver {
    /// One endpoint for each delay, which is how long it takes to answer.
    pub fn start(delays: Vec<Duration>) -> io::Result<Self> {
        let receiver = Self::start_dead(delays)?;
        receiver.recover();
        Ok(receiver)
    }

    /// The same, but every connection is refused until it recovers. The port is taken, so that nobody else answers.
    pub fn start_dead(delays: Vec<Duration>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared {
            arrivals: Mutex::new(Vec::with_capacity(ARRIVALS_EXPECTED)),
            arrived: Arc::default(),
            complaint: Mutex::new(None),
            connections: AtomicUsize::new(0),
            connections_peak: AtomicUsize::new(0),
            delays,
        });
        let (released, release) = watch::channel(false);
        let (recovered, recovery) = watch::channel(false);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let seen = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    ended = accept(socket, recovery, seen, release) => ended,
                    _ = stopped => Ok(()),
                }
            })
        });
        Ok(Self { address, shared, released, recovered, stop: Some(stop), thread: Some(thread) })
    }

    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("http://{}{PATH}{endpoint}", self.address)
    }

    /// Everything that arrived since the last call.
    pub fn take(&self) -> Vec<Arrival> {
        let mut arrivals = self.shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *arrivals, Vec::with_capacity(ARRIVALS_EXPECTED))
    }

    /// Counts every arrival, repeated ones included.
    pub fn arrived(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.arrived)
    }

    /// Connections are let in from now on.
    pub fn recover(&self) {
        self.recovered.send_replace(true);
    }

    /// The most connections that were open at the same time: what is under way to all endpoints is never more.
    pub fn connections_peak(&self) -> usize {
        self.shared.connections_peak.load(Ordering::Relaxed)
    }

    /// From now on, and for what is waiting, every endpoint answers at once.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Why the first request that could not be counted was refused, if one was.
    pub fn complaint(&self) -> Option<String> {
        let mut complaint = self.shared.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        complaint.take()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // What it ended with no longer matters: whatever it did not receive has been reported as missing.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn complain(&self, complaint: String) {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(complaint);
    }

    /// Notes the arrival and says how long the answer takes.
    fn note(&self, request: &Message<'_>) -> Result<Duration, String> {
        let arrived_at = Instant::now();
        let path = request.word(1).unwrap_or_default();
        let endpoint: Endpoint = path
            .strip_prefix(PATH)
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("request for `{path}`, which is no endpoint"))?;
        let delay = self.delays.get(endpoint).copied();
        let delay = delay.ok_or_else(|| format!("there is no endpoint {endpoint}"))?;
        let event = request.header("webhook-id").and_then(EventId::new).ok_or("request without a usable webhook-id")?;
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(Arrival { endpoint, event, arrived_at });
        self.arrived.fetch_add(1, Ordering::Relaxed);
        Ok(delay)
    }
}

async fn accept(
    socket: TcpSocket,
    mut recovery: watch::Receiver<bool>,
    shared: Arc<Shared>,
    release: watch::Receiver<bool>,
) -> io::Result<()> {
    // The error of a receiver that is gone means the same: its thread is about to be stopped.
    let _ = recovery.wait_for(|recovered| *recovered).await;
    let listener: TcpListener = socket.listen(WAITING_MAX)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let open = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        shared.connections_peak.fetch_max(open, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        let release = release.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &shared, release).await
                && error.kind() == io::ErrorKind::InvalidData
            {
                shared.complain(error.to_string());
            }
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve(stream: TcpStream, shared: &Shared, mut release: watch::Receiver<bool>) -> io::Result<()> {
    let mut messages = Messages::new(stream)?;
    while let Some(request) = messages.next().await? {
        let answer = match shared.note(&request) {
            Ok(delay) => {
                if !delay.is_zero() {
                    // The error of a sender that is gone means the same as a release.
                    let _ = tokio::time::timeout(delay, release.wait_for(|open| *open)).await;
                }
                ACCEPTED
            }
            Err(complaint) => {
                shared.complain(complaint);
                REFUSED
            }
        };
        messages.write(answer).await?;
    }
    Ok(())
}
