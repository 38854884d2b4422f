//! Authorities, certificates, and a receiver that speaks TLS: OpenSSL's, where what is tested is rustls.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{NameType, SslAcceptor, SslAcceptorBuilder, SslMethod, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Name};

/// A certificate and its private key.
#[derive(Clone)]
pub struct Certificate {
    pub x509: X509,
    pub key: PKey<Private>,
}

/// What a certificate is to say.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    pub name: &'a str,
    /// Days from now, from and until.
    pub days: (i64, i64),
    pub is_authority: bool,
    pub is_for_clients: bool,
}

impl<'a> Wish<'a> {
    pub fn server(name: &'a str) -> Self {
        Self { name, days: (-1, 30), is_authority: false, is_for_clients: false }
    }

    pub fn client(name: &'a str) -> Self {
        Self { is_for_clients: true, ..Self::server(name) }
    }
}

impl Certificate {
    /// An authority that vouches for itself.
    pub fn root(name: &str) -> Self {
        make(Wish { is_authority: true, ..Wish::server(name) }, None)
    }

    /// A certificate that nobody vouches for.
    pub fn self_signed(name: &str) -> Self {
        make(Wish::server(name), None)
    }

    pub fn issue(&self, wish: Wish<'_>) -> Self {
        make(wish, Some(self))
    }

    pub fn intermediate(&self, name: &str) -> Self {
        self.issue(Wish { is_authority: true, ..Wish::server(name) })
    }

    pub fn pem(&self) -> String {
        String::from_utf8(self.x509.to_pem().unwrap()).unwrap()
    }

    pub fn key_pem(&self) -> String {
        String::from_utf8(self.key.private_key_to_pem_pkcs8().unwrap()).unwrap()
    }
}

fn make(wish: Wish<'_>, issuer: Option<&Certificate>) -> Certificate {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", wish.name).unwrap();
    let name = name.build();
    let at = |days: i64| {
        let now = Asn1Time::days_from_now(0).unwrap();
        let since = Asn1Time::from_unix(0).unwrap().diff(&now).unwrap();
        Asn1Time::from_unix(i64::from(since.days) * 86_400 + i64::from(since.secs) + days * 86_400).unwrap()
    };
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(64, openssl::bn::MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(issuer.map_or(&name, |issuer| issuer.x509.subject_name())).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&at(wish.days.0)).unwrap();
    builder.set_not_after(&at(wish.days.1)).unwrap();
    let mut constraints = BasicConstraints::new();
    constraints.critical();
    if wish.is_authority {
        constraints.ca();
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
    } else {
        let mut usage = ExtendedKeyUsage::new();
        let usage = if wish.is_for_clients { usage.client_auth() } else { usage.server_auth() };
        builder.append_extension(usage.build().unwrap()).unwrap();
        let context = builder.x509v3_context(issuer.map(|issuer| &*issuer.x509), None);
        let names = SubjectAlternativeName::new().dns(wish.name).build(&context).unwrap();
        builder.append_extension(names).unwrap();
    }
    builder.append_extension(constraints.build().unwrap()).unwrap();
    builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
    Certificate { x509: builder.build(), key }
}

/// What a receiver saw of whoever came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    pub sni: Option<String>,
    /// Whom the client's certificate names.
    pub client: Option<String>,
    /// The request line.
    pub request: String,
}

/// A receiver that speaks TLS, on a port of its own.
pub struct TlsReceiver {
    pub port: u16,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl TlsReceiver {
    /// Shows a certificate and these that vouch for it.
    pub fn showing(certificate: &Certificate, chain: &[&Certificate]) -> Self {
        Self::with(certificate, chain, |_| {})
    }

    /// The same, and wants a certificate of clients, issued by this authority.
    pub fn wanting(certificate: &Certificate, authority: &Certificate, version: SslVersion) -> Self {
        Self::with(certificate, &[], |builder| {
            builder.set_max_proto_version(Some(version)).unwrap();
            let mut store = X509StoreBuilder::new().unwrap();
            store.add_cert(authority.x509.clone()).unwrap();
            builder.set_verify_cert_store(store.build()).unwrap();
            builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
            builder.set_session_id_context(b"tests").unwrap();
        })
    }

    /// The same, with its own idea of TLS.
    pub fn with(certificate: &Certificate, chain: &[&Certificate], set: impl FnOnce(&mut SslAcceptorBuilder)) -> Self {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        builder.set_certificate(&certificate.x509).unwrap();
        builder.set_private_key(&certificate.key).unwrap();
        for issuer in chain {
            builder.add_extra_chain_cert(issuer.x509.clone()).unwrap();
        }
        set(&mut builder);
        let acceptor = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, visits) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let seen = visits.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (acceptor, seen) = (acceptor.clone(), seen.clone());
                thread::spawn(move || {
                    if let Ok(mut stream) = acceptor.accept(stream) {
                        serve(&mut stream, &seen);
                    }
                });
            }
        });
        Self { port, visits }
    }

    pub fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }
}

fn serve<S: Read + Write>(stream: &mut SslStream<S>, seen: &Mutex<Vec<Visit>>) {
    let client = stream.ssl().peer_certificate();
    let client = client.and_then(|client| {
        let entry = client.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
        entry.data().to_string().ok()
    });
    let sni = stream.ssl().servername(NameType::HOST_NAME).map(str::to_owned);
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        // What follows the head is the rest of a body that is not of interest here.
        let Some(request) = text.lines().next().filter(|line| line.ends_with("HTTP/1.1")) else { continue };
        let visit = Visit { sni: sni.clone(), client: client.clone(), request: request.to_owned() };
        seen.lock().unwrap().push(visit);
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}
