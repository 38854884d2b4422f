//! Names are resolved once, all answers are judged, and only what was judged is dialled.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use signet::domain::delivery::FailureKind;
use signet::egress::{AddressPolicy, Egress, Ways};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::post;
use crate::support::name_server::NameServer;

const PUBLIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const PRIVATE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// One address of this machine stands for the Internet.
fn egress(names: &NameServer) -> Egress {
    let policy = AddressPolicy::allowing(vec!["127.0.0.2/32".parse().unwrap()]);
    Egress::by(policy, Ways { name_servers: vec![names.address], ..Ways::default() }).unwrap()
}

/// Listens, answers everybody once, and counts.
async fn listen(address: IpAddr, port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counts = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counts.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            });
        }
    });
    (port, count)
}

#[tokio::test]
async fn a_name_that_points_inward_every_other_time_never_leads_there() {
    let (port, public) = listen(PUBLIC, 0).await;
    let (_, private) = listen(PRIVATE, port).await;
    let names = NameServer::answering(|_, nth| match nth % 4 {
        0 => vec![PUBLIC],
        1 => vec![PRIVATE],
        2 => vec![PUBLIC, PRIVATE],
        _ => vec![[10, 0, 0, 1].into(), PUBLIC],
    })
    .await;
    let egress = egress(&names);

    let (mut reached, mut blocked) = (0, 0);
    for _ in 0..1_000 {
        match post(&egress, &format!("http://rebinding.test:{port}/")).await {
            Ok(reply) => reached += usize::from(reply.status_code == 200),
            Err(kind) => {
                assert_eq!(kind, FailureKind::Blocked);
                blocked += 1;
            }
        }
    }

    assert_eq!((reached, blocked), (250, 750));
    assert_eq!(private.load(Ordering::SeqCst), 0);
    assert_eq!(public.load(Ordering::SeqCst), 250);
    assert_eq!(names.asked(), 1_000, "each connection asks once");
}

#[tokio::test]
async fn an_ipv6_address_that_leads_inward_refuses_the_ipv4_address_beside_it() {
    let (port, public) = listen(PUBLIC, 0).await;
    for inward in ["::1", "::ffff:127.0.0.1", "fd00:ec2::254", "64:ff9b::7f00:1"] {
        let inward: IpAddr = inward.parse().unwrap();
        let names = NameServer::answering(move |_, _| vec![PUBLIC, inward]).await;

        let refused = post(&egress(&names), &format!("http://both.test:{port}/")).await;

        assert_eq!(refused.unwrap_err(), FailureKind::Blocked, "{inward}");
    }
    assert_eq!(public.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_kept_connection_leads_where_it_was_judged_to_lead() {
    let receiver = crate::support::Receiver::start().await;
    let port = receiver.url().split(':').nth(2).unwrap().split('/').next().unwrap().to_owned();
    let names = NameServer::answering(|_, nth| if nth == 0 { vec![PRIVATE] } else { vec![PUBLIC] }).await;
    let policy = AddressPolicy::allowing(vec!["127.0.0.1/32".parse().unwrap()]);
    let egress = Egress::by(policy, Ways { name_servers: vec![names.address], ..Ways::default() }).unwrap();

    for _ in 0..3 {
        assert_eq!(post(&egress, &format!("http://moving.test:{port}/hooks")).await.unwrap().status_code, 200);
    }

    assert_eq!(names.asked(), 1);
    assert_eq!(receiver.received()[2].header("host"), format!("moving.test:{port}"));
}

#[tokio::test]
async fn a_name_with_too_many_addresses_is_not_judged_but_refused() {
    let (port, public) = listen(PUBLIC, 0).await;
    let names = NameServer::answering(|name, _| vec![PUBLIC; usize::from(name.starts_with("few"))]).await;
    let few = post(&egress(&names), &format!("http://few.test:{port}/")).await;
    let many = NameServer::answering(|_, _| (0..33).map(|last| IpAddr::from([127, 0, 1, last])).collect()).await;

    let refused = post(&egress(&many), &format!("http://many.test:{port}/")).await;
    let none = post(&egress(&names), &format!("http://none.test:{port}/")).await;

    assert_eq!(few.unwrap().status_code, 200);
    assert_eq!(refused.unwrap_err(), FailureKind::Blocked);
    assert_eq!(none.unwrap_err(), FailureKind::Dns);
    assert_eq!(public.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_server_that_never_answers_is_not_waited_for_long() {
    let (names, _socket) = NameServer::silent().await;

    let asked = tokio::time::timeout(Duration::from_secs(8), post(&egress(&names), "http://silent.test/")).await;

    assert_eq!(asked.unwrap().unwrap_err(), FailureKind::Dns);
}

#[tokio::test]
async fn an_outage_of_one_name_server_is_bridged_by_another() {
    let (port, _) = listen(PUBLIC, 0).await;
    let (silent, _socket) = NameServer::silent().await;
    let names = NameServer::answering(|_, _| vec![PUBLIC]).await;
    let policy = AddressPolicy::allowing(vec!["127.0.0.2/32".parse().unwrap()]);
    let name_servers = vec![silent.address, names.address];
    let egress = Egress::by(policy, Ways { name_servers, ..Ways::default() }).unwrap();

    let reply = post(&egress, &format!("http://example.test:{port}/")).await;

    assert_eq!(reply.unwrap().status_code, 200);
}

#[tokio::test]
async fn what_is_allowed_is_reached_by_the_name_of_this_machine() {
    let (port, _) = listen(PRIVATE, 0).await;
    let egress = Egress::new(AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()])).unwrap();

    assert_eq!(post(&egress, &format!("http://localhost:{port}/")).await.unwrap().status_code, 200);
}

#[tokio::test]
async fn we_do_not_deliver_to_ourselves() {
    let (port, own) = listen(PRIVATE, 0).await;
    let policy = AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
    let egress = Egress::new(policy.listening_at(([0, 0, 0, 0], port).into())).unwrap();

    let refused = post(&egress, &format!("http://127.0.0.1:{port}/")).await;

    assert_eq!(refused.unwrap_err(), FailureKind::Blocked);
    assert!(own.load(Ordering::SeqCst) <= 1, "a connection may have begun; nothing was sent on it");
}
