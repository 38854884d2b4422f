//! Speaking TLS to strangers: version 1.2 or later, the chain and the name verified in full, and what was wrong said in
//! particular. Nothing here can be told to look away.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::EndEntityCert;

use crate::domain::delivery::{FailureKind, TlsFault};

/// What a webhook shows to receivers that want to know who comes: a certificate chain, its own certificate first, and
/// the private key of that.
#[derive(Clone)]
pub struct Identity {
    /// Tells one from another.
    pub id: [u8; 32],
    key: Arc<CertifiedKey>,
}

impl Identity {
    /// From DER: certificates, and a key in PKCS #8. `None` when they are not what they should be.
    pub fn new(id: [u8; 32], chain: Vec<Vec<u8>>, key: Vec<u8>) -> Option<Self> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key).ok()?;
        let key = CertifiedKey::from_der(chain, key, &provider()).ok()?;
        Some(Self { id, key: Arc::new(key) })
    }
}

/// How TLS is spoken, to whomever.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    identity: Option<Arc<CertifiedKey>>,
}

impl Tls {
    /// Trusts the roots of the platform and these.
    pub(super) fn trusting(roots: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let provider = Arc::new(provider());
        let platform = Verifier::new_with_extra_roots(roots, provider.clone())?;
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let verifier = Arc::new(Explaining(platform));
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), identity: None })
    }

    /// The same, showing who we are. No session of one identity is taken up again by another.
    pub(super) fn presenting(&self, identity: &Identity) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = rustls::client::Resumption::default();
        Self { config: Arc::new(config), identity: Some(identity.key.clone()) }
    }

    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, FailureKind> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| FailureKind::Tls(TlsFault::WrongName))?;
        let asked = Arc::new(Asked { was: AtomicBool::new(false), identity: self.identity.clone() });
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = asked.clone();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        connected.map_err(|error| {
            let fault = fault_in(&error).unwrap_or(TlsFault::Handshake);
            let was_asked = asked.was.load(Ordering::Relaxed);
            FailureKind::Tls(match (fault, was_asked, self.identity.is_some()) {
                // TLS 1.2 has no words of its own for a certificate that is missing.
                (TlsFault::Handshake, true, false) => TlsFault::CertificateWanted,
                (TlsFault::Handshake, true, true) => TlsFault::CertificateRefused,
                _ => fault,
            })
        })
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// What a failed read or write says of TLS, if it does. Its trouble travels inside I/O errors, one in the other.
pub(super) fn fault_in(error: &io::Error) -> Option<TlsFault> {
    let inner = error.get_ref()?;
    if let Some(error) = inner.downcast_ref::<Error>() {
        return Some(fault(error));
    }
    inner.downcast_ref::<io::Error>().and_then(fault_in)
}

fn fault(error: &Error) -> TlsFault {
    match error {
        Error::InvalidCertificate(error) => certificate_fault(error),
        Error::PeerIncompatible(_) | Error::AlertReceived(AlertDescription::ProtocolVersion) => TlsFault::TooOld,
        Error::AlertReceived(AlertDescription::CertificateRequired) => TlsFault::CertificateWanted,
        // What a server says of a certificate can only concern ours.
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => TlsFault::CertificateRefused,
        _ => TlsFault::Handshake,
    }
}

fn certificate_fault(error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsFault::WrongName,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotYetValid,
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
        CertificateError::Revoked => TlsFault::Revoked,
        CertificateError::Other(other) => {
            let untrusted = other.source().and_then(|error| error.downcast_ref::<Untrusted>());
            untrusted.map_or(TlsFault::Unusable, |untrusted| untrusted.0)
        }
        _ => TlsFault::Unusable,
    }
}

/// Notes that a server asked for a certificate.
#[derive(Debug)]
struct Asked {
    was: AtomicBool,
    identity: Option<Arc<CertifiedKey>>,
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was.store(true, Ordering::Relaxed);
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}

/// No root that is trusted vouches for a certificate, and why.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is not trusted")]
struct Untrusted(TlsFault);

/// The platform's verifier, which refuses what it refuses; this says why in particular.
#[derive(Debug)]
struct Explaining(Verifier);

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match (&error, trust_fault(end_entity, intermediates)) {
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), Some(fault))
            // An authority's own certificate in the place of a server's, or one that is called as a root is.
            | (
                Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::BadSignature),
                Some(fault @ TlsFault::SelfSigned),
            ) => {
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Untrusted(fault)))))
            }
            _ => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// What keeps a chain from a root, as far as it shows in the chain. Where a server sends its own certificate alone, its
/// intermediate is what is missing nearly always: authorities issue nothing from their roots.
fn trust_fault(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Option<TlsFault> {
    let leaf = EndEntityCert::try_from(end_entity).ok()?;
    if leaf.issuer() == leaf.subject() {
        return Some(TlsFault::SelfSigned);
    }
    let is_issuer = |der: &CertificateDer<'_>| {
        EndEntityCert::try_from(der).is_ok_and(|certificate| certificate.subject() == leaf.issuer())
    };
    let is_there = intermediates.iter().any(is_issuer);
    Some(if is_there { TlsFault::UnknownIssuer } else { TlsFault::IncompleteChain })
}
