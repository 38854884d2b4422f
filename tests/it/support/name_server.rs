//! A name server that answers as it is told, and counts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;

const A: u16 = 1;
const AAAA: u16 = 28;

/// A name server on a port of its own, for as long as its test runs.
pub struct NameServer {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    /// Answers with what this says of a name at the n-th time that its IPv4 addresses are asked for. Nothing may be kept.
    pub async fn answering(says: impl Fn(&str, usize) -> Vec<IpAddr> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counts = asked.clone();
        tokio::spawn(async move {
            let mut bytes = [0; 1_500];
            while let Ok((count, from)) = socket.recv_from(&mut bytes).await {
                let Some((name, kind, end)) = question(&bytes[..count]) else { continue };
                let nth = counts.fetch_add(usize::from(kind == A), Ordering::SeqCst);
                let answer = answer(&bytes[..end], kind, &says(&name, nth));
                let _ = socket.send_to(&answer, from).await;
            }
        });
        Self { address, asked }
    }

    /// One that never answers.
    pub async fn silent() -> (Self, UdpSocket) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        (Self { address: socket.local_addr().unwrap(), asked: Arc::default() }, socket)
    }

    /// How often it was asked for IPv4 addresses.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The name that is asked for, which kind of address, and where the question ends.
fn question(bytes: &[u8]) -> Option<(String, u16, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while *bytes.get(at)? != 0 {
        let end = at + 1 + usize::from(bytes[at]);
        labels.push(String::from_utf8_lossy(bytes.get(at + 1..end)?).to_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes(bytes.get(at + 1..at + 3)?.try_into().ok()?);
    Some((labels.join("."), kind, at + 5))
}

fn answer(question: &[u8], kind: u16, addresses: &[IpAddr]) -> Vec<u8> {
    let records: Vec<Vec<u8>> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) if kind == A => Some(address.octets().to_vec()),
            IpAddr::V6(address) if kind == AAAA => Some(address.octets().to_vec()),
            _ => None,
        })
        .collect();
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let mut answer = question.to_vec();
    // An answer without an error, recursion done; one question, and nothing besides the records.
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, count[0], count[1], 0, 0, 0, 0]);
    for record in records {
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 0]);
        answer.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
        answer.extend(record);
    }
    answer
}
