//! Sending one parcel, once.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::Extensions;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lru::LruCache;
use url::Url;

use super::address::AddressPolicy;
use super::connect::{Connector, Unconnected};
use super::link::{HEAD_BYTES_MAX, Meter, TooMuch};
use super::names::Names;
use super::reply::{self, Answer, EXCERPT_BYTES_MAX, Reply};
use super::target;
use super::tls::{self, Identity};
use super::ways::{EgressError, Ways};
use crate::domain::delivery::{ATTEMPT_WITHIN, FailureKind};
use crate::domain::time::Timestamp;
use crate::domain::webhook::CustomHeaders;

/// Connections kept open to one receiver; more than its share of work in flight would lie idle.
const IDLE_PER_HOST_MAX: usize = 64;
/// How long an idle connection is kept. Many servers close theirs after 60 s or more.
const IDLE_FOR: Duration = Duration::from_secs(50);
/// The same where a connection that closes costs an answer. Node closes its own after 5 s.
const IDLE_ONCE_FOR: Duration = Duration::from_secs(4);
/// Certificates whose connections are kept.
const IDENTITIES_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("sixty-four is not zero");
/// What is to be sent.
pub struct Parcel<'a> {
    pub url: &'a Url,
    pub content_type: &'static str,
    pub headers: &'a [(&'static str, String)],
    /// What else its format has.
    pub own_headers: &'a [(String, String)],
    /// The webhook's own headers. None of them takes the place of one of ours.
    pub custom: &'a CustomHeaders,
    pub body: Bytes,
    /// How long the attempt may take, from the name's resolution to the answer's last byte; no longer than the usual.
    pub timeout: Option<Duration>,
}

/// Whether deliveries from an origin are welcome.
pub struct Question<'a> {
    pub url: &'a Url,
    pub origin: &'a str,
    pub custom: &'a CustomHeaders,
    pub timeout: Option<Duration>,
}

/// What a receiver says of an origin.
pub struct Leave {
    pub status_code: u16,
    pub allowed_origin: Option<String>,
}

/// Sends parcels to addresses that the policy allows. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    connector: Connector,
    name_servers: Arc<[SocketAddr]>,
    clients: Clients,
    agent: HeaderValue,
    /// Those that show a certificate, by it. No connection that was opened with one is used with another.
    presenting: Arc<Mutex<LruCache<[u8; 32], Clients>>>,
    /// How much of an answer is kept.
    excerpt_bytes_max: usize,
    /// Whether what may have been received already is never sent again.
    asks_once: bool,
}

#[derive(Clone)]
struct Clients {
    pooled: HttpClient,
    /// Never reuses a connection: for the second try after a kept one turned out to be closed, and for what is tried only once.
    fresh: HttpClient,
}

type HttpClient = Client<Connector, Full<Bytes>>;

impl Egress {
    pub fn new(policy: AddressPolicy) -> Result<Self, EgressError> {
        Self::by(policy, Ways::default())
    }

    pub fn by(policy: AddressPolicy, ways: Ways) -> Result<Self, EgressError> {
        let agent = ways.agent()?;
        let name_servers: Arc<[SocketAddr]> = ways.name_servers.clone().into();
        let excerpt_bytes_max = if ways.forgets_answers { 0 } else { EXCERPT_BYTES_MAX };
        let connector = ways.connector(policy)?;
        let presenting = Arc::new(Mutex::new(LruCache::new(IDENTITIES_MAX)));
        let clients = Clients::connecting(&connector, IDLE_FOR);
        Ok(Self { connector, name_servers, agent, clients, presenting, excerpt_bytes_max, asks_once: false })
    }

    /// The same, with kept connections of its own: a connection lives on the executor that opened it.
    pub fn with_own_connections(&self) -> Result<Self, EgressError> {
        self.keeping_for(IDLE_FOR)
    }

    /// The same, for what must not arrive twice. Connections of its own are given up before most servers close theirs, so
    /// that hardly any closes at the moment it is used.
    pub fn asking_once(&self) -> Result<Self, EgressError> {
        Ok(Self { asks_once: true, ..self.keeping_for(IDLE_ONCE_FOR)? })
    }

    fn keeping_for(&self, idle_for: Duration) -> Result<Self, EgressError> {
        let names = Names::asking(&self.name_servers).map_err(|error| EgressError::Names(error.into()))?;
        let connector = Connector { names: Arc::new(names), ..self.connector.clone() };
        Ok(Self {
            clients: Clients::connecting(&connector, idle_for),
            presenting: Arc::new(Mutex::new(LruCache::new(IDENTITIES_MAX))),
            connector,
            asks_once: false,
            ..self.clone()
        })
    }

    /// The same, showing receivers that want to know who comes this certificate.
    #[must_use]
    pub fn presenting(&self, identity: &Identity) -> Self {
        let mut kept = self.presenting.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = kept.get_or_insert(identity.id, || {
            let tls = self.connector.tls.presenting(identity);
            Clients::connecting(&Connector { tls, ..self.connector.clone() }, IDLE_FOR)
        });
        Self { clients: clients.clone(), ..self.clone() }
    }

    /// The same, for answers that say more than whether something was acknowledged: all of them is kept that is read.
    #[must_use]
    pub fn reading_whole_answers(&self) -> Self {
        Self { excerpt_bytes_max: reply::BODY_BYTES_MAX, ..self.clone() }
    }

    /// How much of an answer's body is kept for the log, in bytes.
    pub fn excerpt_bytes_max(&self) -> usize {
        self.excerpt_bytes_max
    }

    /// Whether a URL may be registered, as far as it tells: names are judged when they are resolved.
    pub fn may_reach(&self, url: &Url) -> bool {
        target::is_fit(url, &self.connector.policy)
    }

    /// Sends a parcel and reads the answer, within the budget of one attempt.
    pub async fn post(&self, parcel: Parcel<'_>, now: Timestamp) -> Result<Reply, FailureKind> {
        let mut deadline = pin!(tokio::time::sleep(budget(parcel.timeout)));
        let answered = tokio::select! {
            answered = self.exchange(&parcel) => answered,
            () = &mut deadline => return Err(FailureKind::Timeout),
        };
        Ok(reply::read(answered?, now, deadline, self.excerpt_bytes_max).await)
    }

    /// Sends a parcel whose answer is the point of it: all of it is read, or none of it counts. What is larger than
    /// `bytes_max`, breaks off or does not end within the time is no answer.
    pub async fn ask(&self, parcel: Parcel<'_>, bytes_max: usize) -> Result<Answer, FailureKind> {
        let asking = async { reply::read_whole(self.exchange(&parcel).await?, bytes_max).await };
        tokio::time::timeout(budget(parcel.timeout), asking).await.unwrap_or(Err(FailureKind::Timeout))
    }

    /// The same, for what must not be done twice: on a new connection, since nobody knows what was done with what went over a
    /// kept one that turned out to be closed.
    pub async fn ask_once(&self, parcel: Parcel<'_>, bytes_max: usize) -> Result<Answer, FailureKind> {
        let request = self.request(Method::POST, parcel.url, headers(&parcel), parcel.body.clone())?;
        let asking = async { reply::read_whole(self.fresh(request).await?, bytes_max).await };
        tokio::time::timeout(budget(parcel.timeout), asking).await.unwrap_or(Err(FailureKind::Timeout))
    }

    /// Asks whether deliveries from an origin are welcome (CloudEvents 1.0, HTTP webhooks 4.1).
    pub async fn ask_leave(&self, question: Question<'_>) -> Result<Leave, FailureKind> {
        let mut headers = custom_headers(question.custom);
        let origin = HeaderValue::from_str(question.origin).map_err(|_| FailureKind::Internal)?;
        headers.insert("webhook-request-origin", origin);
        let request = self.request(Method::OPTIONS, question.url, headers, Bytes::new())?;
        let asked = tokio::time::timeout(budget(question.timeout), self.fresh(request)).await;
        let response = asked.unwrap_or(Err(FailureKind::Timeout))?;
        let allowed = response.headers().get("webhook-allowed-origin").and_then(|value| value.to_str().ok());
        Ok(Leave {
            status_code: response.status().as_u16(),
            allowed_origin: allowed.map(|text| text.trim().to_owned()),
        })
    }

    async fn exchange(&self, parcel: &Parcel<'_>) -> Result<Response<Incoming>, FailureKind> {
        let request = || self.request(Method::POST, parcel.url, headers(parcel), parcel.body.clone());
        let answered = match self.clients.pooled.request(request()?).await {
            // The receiver closed a kept connection at the moment we used it. That race is ours, not its failure, so
            // the same attempt goes again on a new connection; at least once allows it.
            Err(error) if !self.asks_once && is_stale_connection(&error) => return self.fresh(request()?).await,
            answered => answered,
        };
        begun(answered)
    }

    /// Over a connection that was never used before.
    pub(super) async fn fresh(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, FailureKind> {
        begun(self.clients.fresh.request(request).await)
    }

    /// A request of a URL that may be reached as far as it tells.
    pub(super) fn request(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, FailureKind> {
        if !self.may_reach(url) {
            return Err(FailureKind::Blocked);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|_| FailureKind::Internal)?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, self.agent.clone());
        Ok(request)
    }
}

/// An answer of which the head is there.
fn begun(answered: Result<Response<Incoming>, Error>) -> Result<Response<Incoming>, FailureKind> {
    let response = answered.map_err(|error| kind_of(&error))?;
    if let Some(meter) = response.extensions().get::<Meter>() {
        meter.head_came();
    }
    // What reads it stops at the bound, and may have read a little more by then.
    if head_bytes(response.headers()) > HEAD_BYTES_MAX { Err(FailureKind::TooLarge) } else { Ok(response) }
}

impl Clients {
    fn connecting(connector: &Connector, idle_for: Duration) -> Self {
        let builder = |idle_max: usize| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new()).pool_idle_timeout(idle_for).pool_max_idle_per_host(idle_max);
            builder.http1_max_buf_size(HEAD_BYTES_MAX);
            builder.build(connector.clone())
        };
        Self { pooled: builder(IDLE_PER_HOST_MAX), fresh: builder(0) }
    }
}

fn headers(parcel: &Parcel<'_>) -> HeaderMap {
    let mut headers = custom_headers(parcel.custom);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(parcel.content_type));
    for (name, value) in parcel.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    for (name, value) in parcel.own_headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The webhook's own headers.
fn custom_headers(custom: &CustomHeaders) -> HeaderMap {
    // Room for those of a delivery, too.
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in custom.iter().filter(|(name, _)| !name.is_reserved()) {
        if let (Ok(name), Ok(mut value)) =
            (HeaderName::from_bytes(name.as_str().as_bytes()), HeaderValue::from_str(value))
        {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers
}

/// How long a request may take that was given this time.
fn budget(timeout: Option<Duration>) -> Duration {
    timeout.unwrap_or(ATTEMPT_WITHIN).min(ATTEMPT_WITHIN)
}

/// How long headers are on the wire, with the colons and the ends of their lines.
fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Whether a request failed on a connection that had served before.
fn is_stale_connection(error: &Error) -> bool {
    let Some(connected) = error.connect_info() else { return false };
    let mut extensions = Extensions::new();
    connected.get_extras(&mut extensions);
    let has_served = extensions.get::<Meter>().is_some_and(Meter::has_served);
    // What is no answer at all was sent as one.
    let is_garbage = |cause: &(dyn StdError + 'static)| cause.downcast_ref().is_some_and(hyper::Error::is_parse);
    let is_told = |cause| is_too_much(cause) || is_garbage(cause) || cause.is::<Unconnected>();
    has_served && !causes(error).any(is_told)
}

/// What a failed exchange is called. Whatever is underneath says it best.
pub(super) fn kind_of(error: &(dyn StdError + 'static)) -> FailureKind {
    let told = |cause: &(dyn StdError + 'static)| {
        if let Some(Unconnected(kind)) = cause.downcast_ref() {
            return Some(*kind);
        }
        if is_too_much(cause) {
            return Some(FailureKind::TooLarge);
        }
        cause.downcast_ref::<io::Error>().and_then(tls::fault_in).map(FailureKind::Tls)
    };
    causes(error).find_map(told).unwrap_or(FailureKind::Protocol)
}

fn is_too_much(cause: &(dyn StdError + 'static)) -> bool {
    let is_long = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large);
    let counted = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    is_long || counted.is_some_and(|inner| inner.is::<TooMuch>())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_the_url_is_judged_however_it_is_spelled() {
        let egress = Egress::new(AddressPolicy::default()).unwrap();
        let may_reach = |url: &str| egress.may_reach(&Url::parse(url).unwrap());

        for url in [
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://metadata.google.internal/",
            "https://intranet/",
            "https://1.1.1.1:25/",
            "https://user@example.com/",
            "ftp://example.com/",
        ] {
            assert!(!may_reach(url), "{url}");
        }
        assert!(may_reach("https://example.com/"));
        assert!(may_reach("https://1.1.1.1/"));
    }
}
