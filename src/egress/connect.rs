//! Connecting to a receiver: its name is resolved once, all answers are judged, and only a judged address is dialled.
//! The name stays what TLS verifies and what the request says.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::address::AddressPolicy;
use super::link::Link;
use super::names::Names;
use super::proxy::Proxy;
use super::target;
use super::tls::Tls;
use crate::domain::delivery::FailureKind;

/// A connection may take this long once its name is resolved, TLS included.
const WITHIN: Duration = Duration::from_secs(5);

/// No connection came about.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.sentence())]
pub(super) struct Unconnected(pub(super) FailureKind);

/// Makes connections to receivers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) policy: Arc<AddressPolicy>,
    pub(super) names: Arc<Names>,
    pub(super) tls: Tls,
    pub(super) proxy: Option<Arc<Proxy>>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unconnected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new).map_err(Unconnected) })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Link, FailureKind> {
        let host = uri.host().ok_or(FailureKind::Blocked)?;
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let addresses = match &self.proxy {
            Some(proxy) => self.proxy_addresses(proxy).await?,
            None => self.judged_addresses(host).await?,
        };
        let connecting = async {
            let stream = match &self.proxy {
                Some(proxy) => proxy.tunnel(dial(addresses, proxy.port()).await?, host, port).await?,
                None => self.not_ourselves(dial(addresses, port).await?)?,
            };
            if is_tls { Ok(Link::tls(self.tls.connect(host, stream).await?)) } else { Ok(Link::plain(stream)) }
        };
        tokio::time::timeout(WITHIN, connecting).await.unwrap_or(Err(FailureKind::Timeout))
    }

    /// The addresses of a receiver, if webhooks may reach every one of them.
    async fn judged_addresses(&self, host: &str) -> Result<Vec<IpAddr>, FailureKind> {
        let known = target::literal(host).map(|address| vec![address]);
        let addresses = match known.or_else(|| target::this_machine(host, &self.policy)) {
            Some(addresses) => addresses,
            // A search list leads inward: where nothing inward is allowed, not even that tells what there is.
            None => self.names.addresses(host, !self.policy.allows_inward()).await?,
        };
        let all_allowed = addresses.iter().all(|address| self.policy.allows(*address));
        if all_allowed && !addresses.is_empty() { Ok(addresses) } else { Err(FailureKind::Blocked) }
    }

    /// The proxy is the operator's choice, wherever it is.
    async fn proxy_addresses(&self, proxy: &Proxy) -> Result<Vec<IpAddr>, FailureKind> {
        match target::literal(proxy.host()) {
            Some(address) => Ok(vec![address]),
            None => self.names.addresses(proxy.host(), false).await.map_err(|_| FailureKind::Connect),
        }
    }

    fn not_ourselves(&self, stream: TcpStream) -> Result<TcpStream, FailureKind> {
        match (stream.local_addr(), stream.peer_addr()) {
            (Ok(here), Ok(there)) if self.policy.is_own(here, there) => Err(FailureKind::Blocked),
            (Ok(_), Ok(_)) => Ok(stream),
            _ => Err(FailureKind::Connect),
        }
    }
}

/// Connects to one of these addresses, whichever answers first (RFC 8305).
async fn dial(addresses: Vec<IpAddr>, port: u16) -> Result<TcpStream, FailureKind> {
    let mut connector = HttpConnector::new_with_resolver(Judged(addresses));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(WITHIN));
    let uri = Uri::builder().scheme("http").authority(format!("judged:{port}")).path_and_query("/").build();
    let dialled = connector.call(uri.map_err(|_| FailureKind::Internal)?).await;
    dialled.map(TokioIo::into_inner).map_err(|error| {
        let is_late = |cause: &(dyn Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        };
        let mut causes = std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
        if causes.any(is_late) { FailureKind::Timeout } else { FailureKind::Connect }
    })
}

/// Answers with what was judged, whatever is asked.
#[derive(Clone)]
struct Judged(Vec<IpAddr>);

impl Service<Name> for Judged {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        let addresses: Vec<SocketAddr> = self.0.iter().map(|address| SocketAddr::new(*address, 0)).collect();
        ready(Ok(addresses.into_iter()))
    }
}
