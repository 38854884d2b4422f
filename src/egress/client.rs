//! Sending one parcel, once.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Request, Response, retry};
use url::{Host, Url};

use super::address::AddressPolicy;
use super::reply::{self, Answer, Reply};
use crate::domain::delivery::{ATTEMPT_WITHIN, FailureKind};
use crate::domain::time::Timestamp;
use crate::domain::webhook::CustomHeaders;

/// Of the time for an attempt, the connection, TLS included, may take this long.
const CONNECT_BUDGET: Duration = Duration::from_secs(5);
/// A name that resolves to more addresses than this is not judged but refused.
const ADDRESSES_MAX: usize = 32;
/// Connections kept open to one receiver; more than its share of work in flight would lie idle.
const IDLE_PER_HOST_MAX: usize = 64;
/// How long an idle connection is kept. Many servers close theirs after 60 s or more.
const IDLE_FOR: Duration = Duration::from_secs(50);
/// The same where a connection that closes costs an answer. Node closes its own after 5 s.
const IDLE_ONCE_FOR: Duration = Duration::from_secs(4);
/// How we introduce ourselves.
pub(super) const AGENT: &str = concat!("Signet/", env!("CARGO_PKG_VERSION"));

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

/// No client could be made.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up; on Debian, install the package ca-certificates")]
pub struct EgressError(#[source] reqwest::Error);

impl EgressError {
    pub(super) fn from_reqwest(error: reqwest::Error) -> Self {
        Self(error)
    }
}

/// Sends parcels to addresses that the policy allows. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    policy: Arc<AddressPolicy>,
    pooled: Client,
    /// Never reuses a connection: for the second try after a kept one turned out to be closed, and for what is tried only once.
    pub(super) fresh: Client,
    /// How much of an answer is kept.
    excerpt_bytes_max: usize,
    /// Whether what may have been received already is never sent again.
    asks_once: bool,
}

impl Egress {
    pub fn new(policy: AddressPolicy) -> Result<Self, EgressError> {
        let policy = Arc::new(policy);
        let fresh = guarded(&policy).pool_max_idle_per_host(0).build().map_err(EgressError)?;
        Ok(Self {
            pooled: pooled(&policy, IDLE_FOR)?,
            fresh,
            policy,
            excerpt_bytes_max: reply::EXCERPT_BYTES_MAX,
            asks_once: false,
        })
    }

    /// The same, with kept connections of its own: a connection lives on the executor that opened it.
    pub fn with_own_connections(&self) -> Result<Self, EgressError> {
        Ok(Self { pooled: pooled(&self.policy, IDLE_FOR)?, ..self.clone() })
    }

    /// The same, for what must not arrive twice. Connections of its own are given up before most servers close theirs, so
    /// that hardly any closes at the moment it is used.
    pub fn asking_once(&self) -> Result<Self, EgressError> {
        Ok(Self { pooled: pooled(&self.policy, IDLE_ONCE_FOR)?, asks_once: true, ..self.clone() })
    }

    /// The same, for answers that say more than whether something was acknowledged: all of them is kept that is read.
    #[must_use]
    pub fn reading_whole_answers(&self) -> Self {
        Self { excerpt_bytes_max: reply::BODY_BYTES_MAX, ..self.clone() }
    }

    /// Whether a URL with this host may be registered. Names are judged when they are resolved; literals, and the name
    /// that always means this machine (RFC 6761 6.3), here.
    pub fn may_reach(&self, url: &Url) -> bool {
        let address = if is_localhost(url) { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { literal(url) };
        address.is_none_or(|address| self.policy.allows(address))
    }

    /// Sends a parcel and reads the answer, within the budget of one attempt.
    pub async fn post(&self, parcel: Parcel<'_>, now: Timestamp) -> Result<Reply, FailureKind> {
        if !self.may_reach(parcel.url) {
            return Err(FailureKind::Blocked);
        }
        let mut deadline = pin!(tokio::time::sleep(budget(parcel.timeout)));
        let answered = tokio::select! {
            answered = self.exchange(&parcel) => answered,
            () = &mut deadline => return Err(FailureKind::Timeout),
        };
        match answered {
            Ok(response) => Ok(reply::read(response, now, deadline, self.excerpt_bytes_max).await),
            Err(error) => Err(kind_of(&error)),
        }
    }

    /// Sends a parcel whose answer is the point of it: all of it is read, or none of it counts. What is larger than
    /// `bytes_max`, breaks off or does not end within the time is no answer.
    pub async fn ask(&self, parcel: Parcel<'_>, bytes_max: usize) -> Result<Answer, FailureKind> {
        self.whole(&parcel, self.exchange(&parcel), bytes_max).await
    }

    /// The same, for what must not be done twice: on a new connection, since nobody knows what was done with what went over a
    /// kept one that turned out to be closed.
    pub async fn ask_once(&self, parcel: Parcel<'_>, bytes_max: usize) -> Result<Answer, FailureKind> {
        self.whole(&parcel, self.send(&self.fresh, &parcel), bytes_max).await
    }

    async fn whole(
        &self,
        parcel: &Parcel<'_>,
        exchange: impl Future<Output = Result<Response, reqwest::Error>>,
        bytes_max: usize,
    ) -> Result<Answer, FailureKind> {
        if !self.may_reach(parcel.url) {
            return Err(FailureKind::Blocked);
        }
        let asking = async {
            let response = exchange.await.map_err(|error| kind_of(&error))?;
            reply::read_whole(response, bytes_max).await
        };
        tokio::time::timeout(budget(parcel.timeout), asking).await.unwrap_or(Err(FailureKind::Timeout))
    }

    /// Asks whether deliveries from an origin are welcome (CloudEvents 1.0, HTTP webhooks 4.1).
    pub async fn ask_leave(&self, question: Question<'_>) -> Result<Leave, FailureKind> {
        if !self.may_reach(question.url) {
            return Err(FailureKind::Blocked);
        }
        let mut request = Request::new(Method::OPTIONS, question.url.clone());
        *request.headers_mut() = custom_headers(question.custom);
        let origin = HeaderValue::from_str(question.origin).map_err(|_| FailureKind::Internal)?;
        request.headers_mut().insert("webhook-request-origin", origin);
        let asked = tokio::time::timeout(budget(question.timeout), self.fresh.execute(request)).await;
        let response = asked.map_err(|_| FailureKind::Timeout)?.map_err(|error| kind_of(&error))?;
        let allowed = response.headers().get("webhook-allowed-origin").and_then(|value| value.to_str().ok());
        Ok(Leave {
            status_code: response.status().as_u16(),
            allowed_origin: allowed.map(|text| text.trim().to_owned()),
        })
    }

    async fn exchange(&self, parcel: &Parcel<'_>) -> Result<Response, reqwest::Error> {
        match self.send(&self.pooled, parcel).await {
            // The receiver closed a kept connection at the moment we used it. That race is ours, not its failure, so
            // the same attempt goes again on a new connection; at least once allows it.
            Err(error) if !self.asks_once && is_stale_connection(&error) => self.send(&self.fresh, parcel).await,
            answered => answered,
        }
    }

    async fn send(&self, client: &Client, parcel: &Parcel<'_>) -> Result<Response, reqwest::Error> {
        let mut request = Request::new(Method::POST, parcel.url.clone());
        *request.headers_mut() = headers(parcel);
        *request.body_mut() = Some(parcel.body.clone().into());
        client.execute(request).await
    }
}

fn pooled(policy: &Arc<AddressPolicy>, idle_for: Duration) -> Result<Client, EgressError> {
    let builder = guarded(policy).pool_max_idle_per_host(IDLE_PER_HOST_MAX).pool_idle_timeout(idle_for);
    builder.build().map_err(EgressError)
}

fn guarded(policy: &Arc<AddressPolicy>) -> ClientBuilder {
    Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(Policy::none())
        .retry(retry::never().max_retries_per_request(0))
        .referer(false)
        .connect_timeout(CONNECT_BUDGET)
        .dns_resolver(Arc::new(Resolver { policy: policy.clone() }))
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

/// The webhook's own headers, and who we are.
fn custom_headers(custom: &CustomHeaders) -> HeaderMap {
    // Room for those of a delivery, too.
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in custom.iter() {
        if let (Ok(name), Ok(mut value)) =
            (HeaderName::from_bytes(name.as_str().as_bytes()), HeaderValue::from_str(value))
        {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers
}

/// How long a request may take that was given this time.
fn budget(timeout: Option<Duration>) -> Duration {
    timeout.unwrap_or(ATTEMPT_WITHIN).min(ATTEMPT_WITHIN)
}

fn is_localhost(url: &Url) -> bool {
    let name = url.domain().unwrap_or_default().trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// The address in the URL itself. An HTTP client does not ask its resolver about these.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    }
}

struct Resolver {
    policy: Arc<AddressPolicy>,
}

/// A name resolved to an address that webhooks may not reach.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that may not be reached")]
struct Blocked;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let all_allowed = addresses.iter().all(|address| policy.allows(address.ip()));
            if addresses.len() > ADDRESSES_MAX || !all_allowed {
                return Err(Blocked.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn is_stale_connection(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout() && !error.is_dns()
}

pub(super) fn kind_of(error: &reqwest::Error) -> FailureKind {
    if causes(error).any(|cause| cause.is::<Blocked>()) {
        FailureKind::Blocked
    } else if error.is_timeout() {
        FailureKind::Timeout
    } else if error.is_dns() {
        FailureKind::Dns
    } else if causes(error).any(is_tls) {
        FailureKind::Tls
    } else if error.is_connect() {
        FailureKind::Connect
    } else {
        FailureKind::Protocol
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// TLS trouble travels inside I/O errors, one in the other, which do not name what they hold among their sources.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let inside = |error: &std::io::Error| error.get_ref().is_some_and(|inside| is_tls(inside));
    cause.is::<rustls::Error>() || cause.downcast_ref::<std::io::Error>().is_some_and(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(allowed: &[&str]) -> Resolver {
        let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Resolver { policy: Arc::new(AddressPolicy::allowing(allowed)) }
    }

    #[tokio::test]
    async fn a_name_that_leads_inward_is_refused_when_it_is_resolved() {
        let refused = resolver(&[]).resolve("localhost".parse().unwrap()).await.err().unwrap();
        let allowed = resolver(&["127.0.0.0/8", "::1/128"]).resolve("localhost".parse().unwrap()).await;

        assert!(refused.is::<Blocked>());
        assert!(allowed.is_ok());
    }

    #[test]
    fn an_address_in_the_url_is_judged_however_it_is_spelled() {
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
        ] {
            assert!(!may_reach(url), "{url}");
        }
        assert!(may_reach("https://example.com/"));
        assert!(may_reach("https://1.1.1.1/"));
    }
}
