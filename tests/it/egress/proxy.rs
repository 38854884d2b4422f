//! Through the operator's proxy, which opens tunnels and judges for itself.

use std::sync::{Arc, Mutex};

use signet::domain::delivery::FailureKind;
use signet::egress::{AddressPolicy, Egress, Proxy, Ways};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::post;
use crate::support::Receiver;
use crate::support::tls::{Certificate, TlsReceiver, Wish};

/// A proxy that opens tunnels to this machine's ports, whatever they are asked for, or says what it is told to.
struct Tunnels {
    address: String,
    wishes: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, wishes) = (listener.local_addr().unwrap().to_string(), Arc::new(Mutex::new(Vec::new())));
        let kept = wishes.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, answer, kept.clone()));
            }
        });
        Self { address, wishes }
    }

    fn wishes(&self) -> Vec<String> {
        self.wishes.lock().unwrap().clone()
    }

    fn egress(&self, credentials: &str, roots_pem: Option<Vec<u8>>) -> Egress {
        let proxy = Proxy::parse(&format!("http://{credentials}{}", self.address));
        Egress::by(AddressPolicy::default(), Ways { proxy, roots_pem, ..Ways::default() }).unwrap()
    }
}

async fn tunnel(mut stream: TcpStream, answer: &str, wishes: Arc<Mutex<Vec<String>>>) {
    let mut bytes = vec![0; 4_096];
    let count = stream.read(&mut bytes).await.unwrap();
    let wish = String::from_utf8(bytes[..count].to_vec()).unwrap();
    let port = wish.lines().next().unwrap().split([':', ' ']).nth(2).unwrap().to_owned();
    wishes.lock().unwrap().push(wish);
    let _ = stream.write_all(answer.as_bytes()).await;
    if answer.contains(" 200 ") {
        let mut receiver = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut receiver).await;
    }
}

const OPEN: &str = "HTTP/1.1 200 Connection established\r\nproxy-agent: test\r\n\r\n";

#[tokio::test]
async fn everything_goes_through_a_tunnel_that_the_proxy_opens_by_name() {
    let root = Certificate::root("root");
    let receiver = TlsReceiver::showing(&root.issue(Wish::server("receiver.test")), &[]);
    let proxy = Tunnels::start(OPEN).await;
    let egress = proxy.egress("user:secret@", Some(root.pem().into_bytes()));

    for _ in 0..2 {
        let reply = post(&egress, &format!("https://receiver.test:{}/hooks?a=b", receiver.port)).await.unwrap();
        assert_eq!(reply.status_code, 200);
    }

    let visit = receiver.visits().remove(0);
    assert_eq!((visit.sni.as_deref(), &*visit.request), (Some("receiver.test"), "POST /hooks?a=b HTTP/1.1"));
    let wishes = proxy.wishes();
    assert_eq!(wishes.len(), 1, "the tunnel is kept");
    assert!(wishes[0].starts_with(&format!("CONNECT receiver.test:{} HTTP/1.1\r\n", receiver.port)), "{}", wishes[0]);
    assert!(wishes[0].contains("proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{}", wishes[0]);
}

#[tokio::test]
async fn what_is_not_encrypted_goes_through_a_tunnel_too_and_the_proxy_is_not_told_more() {
    let receiver = Receiver::start().await;
    let proxy = Tunnels::start(OPEN).await;
    let port = receiver.url().split(':').nth(2).unwrap().to_owned();

    let reply = post(&proxy.egress("user:secret@", None), &format!("http://receiver.test:{port}")).await;

    assert_eq!(reply.unwrap().status_code, 200);
    let received = receiver.received().remove(0);
    assert_eq!(received.header("host").split(':').next(), Some("receiver.test"));
    assert!(!received.headers.contains_key("proxy-authorization"));
}

#[tokio::test]
async fn what_the_proxy_refuses_is_blocked_and_what_it_cannot_reach_is_not_connected() {
    let cases = [
        ("HTTP/1.1 407 Request rejected by proxy\r\n\r\n", FailureKind::Blocked),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", FailureKind::Blocked),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", FailureKind::Connect),
        ("HTTP/1.1 504 Gateway Timeout\r\n\r\n", FailureKind::Connect),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", FailureKind::Connect),
        ("", FailureKind::Connect),
    ];
    for (answer, kind) in cases {
        let proxy = Tunnels::start(answer).await;
        assert_eq!(post(&proxy.egress("", None), "https://receiver.test/").await.unwrap_err(), kind, "{answer:?}");
    }
}

#[tokio::test]
async fn what_can_be_judged_without_a_name_server_is_judged_before_the_proxy_hears_of_it() {
    let proxy = Tunnels::start(OPEN).await;
    let egress = proxy.egress("", None);

    for url in [
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://metadata.google.internal/",
        "https://db/",
    ] {
        assert_eq!(post(&egress, url).await.unwrap_err(), FailureKind::Blocked, "{url}");
    }

    assert_eq!(proxy.wishes(), [] as [String; 0]);
}
