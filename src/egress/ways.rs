//! By which way it all goes out, as whoever runs this wants it.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::header::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::address::AddressPolicy;
use super::connect::Connector;
use super::names::Names;
use super::proxy::Proxy;
use super::tls::Tls;

/// Who we are, to every receiver.
pub(super) const AGENT: &str = concat!("Signet/", env!("CARGO_PKG_VERSION"));

/// No client could be made.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    #[error("TLS cannot be set up; on Debian, install the package ca-certificates")]
    Tls(#[source] rustls::Error),
    #[error("there is no certificate that can be read; SIGNET_EGRESS_CA_FILE holds some as PEM")]
    Roots(#[source] Option<pem::Error>),
    #[error("names cannot be resolved; see SIGNET_DNS_SERVERS")]
    Names(#[source] Box<dyn StdError + Send + Sync>),
    #[error("SIGNET_CONTACT is not visible ASCII")]
    Contact,
    #[error("no client for commands can be made")]
    Operator(#[source] reqwest::Error),
}

/// By which way it goes out, and what is kept of what comes back.
#[derive(Default)]
pub struct Ways {
    /// The name servers to ask, if not the system's.
    pub name_servers: Vec<SocketAddr>,
    /// Roots that are trusted besides the platform's, as PEM.
    pub roots_pem: Option<Vec<u8>>,
    pub proxy: Option<Proxy>,
    /// Where receivers find whoever runs this, in visible ASCII.
    pub contact: Option<String>,
    /// Whether nothing of the bodies of answers is kept.
    pub forgets_answers: bool,
}

impl Ways {
    pub(super) fn connector(self, policy: AddressPolicy) -> Result<Connector, EgressError> {
        let roots = self.roots_pem.map_or(Ok(Vec::new()), |pem| roots(&pem))?;
        Ok(Connector {
            policy: Arc::new(policy),
            names: Arc::new(Names::asking(&self.name_servers).map_err(|error| EgressError::Names(error.into()))?),
            tls: Tls::trusting(roots).map_err(EgressError::Tls)?,
            proxy: self.proxy.map(Arc::new),
        })
    }

    /// How we introduce ourselves.
    pub(super) fn agent(&self) -> Result<HeaderValue, EgressError> {
        let agent = self.contact.as_ref().map_or_else(|| AGENT.to_owned(), |contact| format!("{AGENT} (+{contact})"));
        HeaderValue::try_from(agent).map_err(|_| EgressError::Contact)
    }
}

fn roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, EgressError> {
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let roots = roots.map_err(|error| EgressError::Roots(Some(error)))?;
    if roots.is_empty() { Err(EgressError::Roots(None)) } else { Ok(roots) }
}
