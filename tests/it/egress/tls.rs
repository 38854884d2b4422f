//! Receivers that speak TLS: verified in full, and what is wrong with them said in particular.

use openssl::ssl::SslVersion;
use signet::domain::delivery::{FailureKind, TlsFault};
use signet::egress::{AddressPolicy, Egress, Identity, Ways};

use super::post;
use crate::support::name_server::NameServer;
use crate::support::tls::{Certificate, TlsReceiver, Wish};

const HOST: &str = "receiver.test";

/// Trusts this authority, and finds every name on this machine.
async fn trusting(root: &Certificate) -> Egress {
    let names = NameServer::answering(|_, _| vec![[127, 0, 0, 1].into()]).await;
    let policy = AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
    let roots_pem = Some(root.pem().into_bytes());
    Egress::by(policy, Ways { name_servers: vec![names.address], roots_pem, ..Ways::default() }).unwrap()
}

async fn reach(egress: &Egress, receiver: &TlsReceiver) -> Result<u16, FailureKind> {
    post(egress, &format!("https://{HOST}:{}/hooks", receiver.port)).await.map(|reply| reply.status_code)
}

async fn check(egress: &Egress, receiver: &TlsReceiver, fault: TlsFault) {
    assert_eq!(reach(egress, receiver).await, Err(FailureKind::Tls(fault)));
    assert_eq!(receiver.visits(), [], "{fault:?}: nothing was sent");
}

fn identity(certificate: &Certificate) -> Identity {
    let key = certificate.key.private_key_to_pkcs8().unwrap();
    let id = certificate.x509.digest(openssl::hash::MessageDigest::sha256()).unwrap();
    Identity::new(id[..].try_into().unwrap(), vec![certificate.x509.to_der().unwrap()], key).unwrap()
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_the_operator_says_so() {
    let root = Certificate::root("root");
    let intermediate = root.intermediate("intermediate");
    let egress = trusting(&root).await;
    let direct = TlsReceiver::showing(&root.issue(Wish::server(HOST)), &[]);
    let chained = TlsReceiver::showing(&intermediate.issue(Wish::server(HOST)), &[&intermediate]);

    assert_eq!(reach(&egress, &direct).await, Ok(200));
    assert_eq!(reach(&egress, &chained).await, Ok(200));

    let visit = chained.visits().remove(0);
    assert_eq!((visit.sni.as_deref(), visit.client), (Some(HOST), None));
    let elsewhere = trusting(&Certificate::root("another")).await;
    assert!(matches!(reach(&elsewhere, &chained).await, Err(FailureKind::Tls(TlsFault::UnknownIssuer))));
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_in_particular() {
    let root = Certificate::root("root");
    let intermediate = root.intermediate("intermediate");
    let (egress, server) = (trusting(&root).await, Wish::server(HOST));
    let show = |wish: Wish<'_>| TlsReceiver::showing(&root.issue(wish), &[]);
    let unknown = Certificate::root("unknown").intermediate("unknown intermediate");

    check(&egress, &show(Wish::server("other.test")), TlsFault::WrongName).await;
    check(&egress, &show(Wish { days: (-30, -1), ..server }), TlsFault::Expired).await;
    check(&egress, &show(Wish { days: (1, 30), ..server }), TlsFault::NotYetValid).await;
    check(&egress, &show(Wish::client(HOST)), TlsFault::Unusable).await;
    check(&egress, &TlsReceiver::showing(&Certificate::self_signed(HOST), &[]), TlsFault::SelfSigned).await;
    check(&egress, &TlsReceiver::showing(&Certificate::root(HOST), &[]), TlsFault::SelfSigned).await;
    check(&egress, &TlsReceiver::showing(&unknown.issue(server), &[&unknown]), TlsFault::UnknownIssuer).await;
    check(&egress, &TlsReceiver::showing(&intermediate.issue(server), &[]), TlsFault::IncompleteChain).await;
}

#[tokio::test]
async fn a_server_that_knows_only_what_is_broken_is_too_old() {
    let root = Certificate::root("root");
    let receiver = TlsReceiver::with(&root.issue(Wish::server(HOST)), &[], |builder| {
        // Also what OpenSSL itself would not do any more.
        builder.set_security_level(0);
        builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        builder.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
        builder.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
    });

    check(&trusting(&root).await, &receiver, TlsFault::TooOld).await;
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_the_one_that_is_shown_and_no_other() {
    let (root, clients) = (Certificate::root("root"), Certificate::root("clients"));
    let egress = trusting(&root).await;
    let (one, other) = (clients.issue(Wish::client("one")), clients.issue(Wish::client("other")));
    let stranger = Certificate::root("strangers").issue(Wish::client("stranger"));

    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let receiver = TlsReceiver::wanting(&root.issue(Wish::server(HOST)), &clients, version);

        check(&egress, &receiver, TlsFault::CertificateWanted).await;
        check(&egress.presenting(&identity(&stranger)), &receiver, TlsFault::CertificateRefused).await;
        for certificate in [&one, &other, &one] {
            assert_eq!(reach(&egress.presenting(&identity(certificate)), &receiver).await, Ok(200));
        }
        assert!(reach(&egress, &receiver).await.is_err(), "no kept connection lends its certificate");

        let came: Vec<String> = receiver.visits().into_iter().filter_map(|visit| visit.client).collect();
        assert_eq!(came, ["one", "other", "one"]);
    }
}

#[tokio::test]
async fn what_does_not_speak_tls_is_said_to() {
    let plain = crate::support::Receiver::start().await;
    let egress = trusting(&Certificate::root("root")).await;

    let posted = post(&egress, &plain.url().replace("http://", "https://")).await;

    assert_eq!(posted.unwrap_err(), FailureKind::Tls(TlsFault::Handshake));
}

#[test]
fn a_file_without_certificates_is_refused() {
    let open = |pem: &str| {
        let roots_pem = Some(pem.as_bytes().to_vec());
        Egress::by(AddressPolicy::default(), Ways { roots_pem, ..Ways::default() }).is_ok()
    };

    assert!(open(&Certificate::root("root").pem()));
    assert!(!open(""));
    assert!(!open("no certificate"));
    assert!(!open("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
}
