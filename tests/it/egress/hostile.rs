//! Servers that do not mean well: each ends in the failure that it is, within its time, having been told once, and with
//! no more of it read than there is room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use signet::domain::delivery::FailureKind;
use signet::domain::time::Timestamp;
use signet::domain::webhook::CustomHeaders;
use signet::egress::{AddressPolicy, Answer, EXCERPT_BYTES_MAX, Egress, Parcel, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::support::PATIENCE;

/// What an attempt may take here. Servers that only wait use all of it.
const WITHIN: Duration = Duration::from_secs(2);
/// What fits into the buffers of a connection between two processes of one machine, and is therefore written without
/// being read. Who reads without a bound is sent more than this in no time.
const IN_FLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a server does with a connection once it has a request.
#[derive(Clone)]
enum Act {
    Says(Vec<u8>),
    /// The same, and leaves the connection open.
    SaysAndStays(Vec<u8>),
    /// Says the first, and then the second again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// The same, a little at a time.
    Trickles(Vec<u8>, Vec<u8>),
    /// Ends the connection without a word, the hard way.
    Resets,
    /// Does not even read.
    Ignores,
    /// Answers before it reads anything.
    Blurts(Vec<u8>),
}

use Act::{Blurts, Endless, Ignores, Resets, Says, SaysAndStays, Trickles};

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Answered(u16),
    Failed(FailureKind),
}

use End::{Answered, Failed};

const BROKEN: End = Failed(FailureKind::Protocol);
const LATE: End = Failed(FailureKind::Timeout);
const LARGE: End = Failed(FailureKind::TooLarge);

/// A server, how often it was connected to, and how much it got rid of.
struct Server {
    url: Url,
    connections: Arc<AtomicUsize>,
    written_bytes: Arc<AtomicUsize>,
}

impl Server {
    async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let (connections, written_bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counts, bytes) = (connections.clone(), written_bytes.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counts.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, act.clone(), bytes.clone()));
            }
        });
        Self { url, connections, written_bytes }
    }
}

async fn serve(mut stream: TcpStream, act: Act, written_bytes: Arc<AtomicUsize>) {
    let say = async |stream: &mut TcpStream, bytes: &[u8]| {
        let said = stream.write_all(bytes).await.is_ok();
        written_bytes.fetch_add(bytes.len(), Ordering::SeqCst);
        said
    };
    if let Ignores = act {
        return std::future::pending().await;
    }
    if let Blurts(bytes) = &act {
        say(&mut stream, bytes).await;
    }
    let mut request = vec![0; 64 * 1024];
    let _ = stream.read(&mut request).await;
    match act {
        Says(bytes) => {
            say(&mut stream, &bytes).await;
        }
        SaysAndStays(bytes) => {
            say(&mut stream, &bytes).await;
            let _ = stream.read(&mut request).await;
        }
        Endless(first, again) => {
            let again = again.repeat(16 * 1024 / again.len() + 1);
            say(&mut stream, &first).await;
            while say(&mut stream, &again).await {}
        }
        Trickles(first, again) => {
            say(&mut stream, &first).await;
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            while say(&mut stream, &again).await {
                beat.tick().await;
            }
        }
        Resets => stream.set_zero_linger().unwrap(),
        Ignores | Blurts(_) => {}
    }
}

fn egress() -> Egress {
    Egress::new(AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()])).unwrap()
}

fn parcel<'a>(url: &'a Url, custom: &'a CustomHeaders, body: Bytes) -> Parcel<'a> {
    let (content_type, timeout) = ("application/json", Some(WITHIN));
    Parcel { url, content_type, headers: &[], own_headers: &[], custom, body, timeout }
}

async fn post(server: &Server, body: Bytes) -> Result<Reply, FailureKind> {
    let custom = CustomHeaders::default();
    let posted = egress();
    let posted = posted.post(parcel(&server.url, &custom, body), Timestamp::from_micros(0));
    tokio::time::timeout(WITHIN + Duration::from_secs(8), posted).await.expect("it ends within its time")
}

async fn check(name: &str, act: Act, end: End) -> String {
    let server = Server::start(act).await;

    let posted = post(&server, Bytes::from_static(b"{}")).await;

    let (is, excerpt) = match posted {
        Ok(reply) => (Answered(reply.status_code), reply.excerpt),
        Err(kind) => (Failed(kind), String::new()),
    };
    assert_eq!(is, end, "{name}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1, "{name}: told once");
    assert!(excerpt.len() <= EXCERPT_BYTES_MAX, "{name}: {} bytes are kept", excerpt.len());
    let written = server.written_bytes.load(Ordering::SeqCst);
    assert!(written <= IN_FLIGHT_BYTES_MAX, "{name}: {written} bytes were read");
    excerpt
}

fn says(text: &str) -> Act {
    Says(text.as_bytes().to_vec())
}

fn endless(first: &str, again: &str) -> Act {
    Endless(first.as_bytes().to_vec(), again.as_bytes().to_vec())
}

fn trickles(first: &str, again: &str) -> Act {
    Trickles(first.as_bytes().to_vec(), again.as_bytes().to_vec())
}

#[tokio::test]
async fn who_breaks_off_or_speaks_something_else_is_no_http_server() {
    let settings_frame = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
    let goaway_frame = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    let cases = [
        ("ends without a word", says("")),
        ("resets", Resets),
        ("ends in the middle of a head", says("HTTP/1.1 200 OK\r\ncontent-le")),
        ("ends after the announcement", says("HTTP/1.1 100 Continue\r\n\r\n")),
        ("speaks SSH", says("SSH-2.0-OpenSSH_9.2\r\n")),
        ("speaks SMTP", says("220 mail.example ESMTP\r\n")),
        ("speaks Redis", says("-ERR unknown command 'POST'\r\n")),
        ("speaks TLS", Says(vec![0x15, 3, 3, 0, 2, 2, 70])),
        ("speaks HTTP/2", Says(settings_frame.to_vec())),
        ("speaks HTTP/2 and goes away", Says([&settings_frame[..], &goaway_frame].concat())),
        ("says the preface of HTTP/2", says("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        ("names HTTP/2 in words", says("HTTP/2.0 200 OK\r\n\r\n")),
        ("names HTTP/3", says("HTTP/3 200 OK\r\n\r\n")),
        ("speaks HTTP/0.9", says("<html>hello</html>\r\n\r\n")),
        ("answers with a request", says("GET / HTTP/1.1\r\nhost: a\r\n\r\n")),
        ("has no status", says("HTTP/1.1\r\n\r\n")),
        ("has a status in words", says("HTTP/1.1 OK OK\r\n\r\n")),
        ("has a status of two digits", says("HTTP/1.1 20 OK\r\n\r\n")),
        ("has a status of four digits", says("HTTP/1.1 2000 OK\r\n\r\n")),
        ("has a status below all", says("HTTP/1.1 099 OK\r\n\r\n")),
        ("has zeroes in a header", says("HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n")),
        ("folds a header", says("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n")),
        ("puts a space before a colon", says("HTTP/1.1 200 OK\r\na : b\r\n\r\n")),
        ("has a header without a name", says("HTTP/1.1 200 OK\r\n: b\r\n\r\n")),
        ("has a length in words", says("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n")),
        ("has a length below nothing", says("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n")),
        ("has a length beyond numbers", says("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n")),
        ("has two lengths", says("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab")),
    ];
    for (name, act) in cases {
        check(name, act, BROKEN).await;
    }
}

#[tokio::test]
async fn a_head_is_read_up_to_its_bound() {
    let long = |bytes: usize| format!("HTTP/1.1 200 OK\r\na: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(bytes));
    let many = |count: usize| format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(count));

    check("a head that fits", Says(long(60 * 1024).into_bytes()), Answered(200)).await;
    check("as many headers as may be", Says(many(99).into_bytes()), Answered(200)).await;
    let cases = [
        ("a head that does not fit", Says(long(70 * 1024).into_bytes())),
        ("more headers than may be", Says(many(101).into_bytes())),
        ("an endless status line", endless("HTTP/1.1 200 ", "O")),
        ("an endless header name", endless("HTTP/1.1 200 OK\r\n", "a")),
        ("an endless header value", endless("HTTP/1.1 200 OK\r\na: ", "a")),
        ("endless headers", endless("HTTP/1.1 200 OK\r\n", "a: b\r\n")),
        ("endless announcements", endless("", "HTTP/1.1 100 Continue\r\n\r\n")),
        ("endless early hints", endless("", "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n")),
    ];
    for (name, act) in cases {
        check(name, act, LARGE).await;
    }
}

#[tokio::test]
async fn who_only_waits_is_waited_for_until_the_time_is_up() {
    let cases = [
        ("says nothing", SaysAndStays(Vec::new())),
        ("says the beginning", SaysAndStays(b"HTTP/1.1 2".to_vec())),
        ("says all but the last line", SaysAndStays(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_vec())),
        ("announces and says nothing", SaysAndStays(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())),
        ("trickles a status line", trickles("HTTP/1.1 200 ", "O")),
        ("trickles headers", trickles("HTTP/1.1 200 OK\r\n", "a: b\r\n")),
        ("trickles announcements", trickles("", "HTTP/1.1 102 Processing\r\n\r\n")),
        ("does not read", Ignores),
    ];
    for (name, act) in cases {
        check(name, act, LATE).await;
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound_and_changes_nothing() {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let cases = [
        ("has none", says("HTTP/1.1 200 OK\r\n\r\n")),
        ("has no reason", says("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n")),
        ("is HTTP/1.0", says("HTTP/1.0 200 OK\r\n\r\nhello")),
        ("ends lines with a line feed", says("HTTP/1.1 200 OK\ncontent-length: 5\n\nhello")),
        (
            "hints at something first",
            says("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ),
        ("is endless", endless("HTTP/1.1 200 OK\r\n\r\n", "a")),
        ("is endless in chunks", endless(chunked, "1\r\na\r\n")),
        ("is endless in a chunk", endless(&format!("{chunked}fffffff\r\n"), "a")),
        ("is as long as numbers go", endless(&format!("{head}content-length: 9223372036854775807\r\n\r\n"), "a")),
        ("trickles", trickles("HTTP/1.1 200 OK\r\n\r\n", "a")),
        ("trickles in chunks", trickles(chunked, "1\r\na\r\n")),
        ("is shorter than announced", says(&format!("{head}content-length: 100\r\n\r\nshort"))),
        ("is longer than announced", says(&format!("{head}content-length: 1\r\n\r\nlonger"))),
        ("has a chunk of no length", says(&format!("{chunked}\r\na\r\n"))),
        ("has a chunk of a length in words", says(&format!("{chunked}zz\r\na\r\n"))),
        ("has a chunk beyond numbers", says(&format!("{chunked}ffffffffffffffffff\r\na"))),
        ("has a chunk that lies", says(&format!("{chunked}5\r\nabcdefgh\r\n0\r\n\r\n"))),
        ("has an endless chunk length", endless(chunked, "0")),
        ("has an endless chunk extension", endless(&format!("{chunked}1;"), "a")),
        ("has endless trailers", endless(&format!("{chunked}0\r\n"), "a: b\r\n")),
        ("ends in the middle of a chunk", says(&format!("{chunked}5\r\nab"))),
        (
            "says how long it is in two ways",
            says(&format!("{head}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")),
        ),
    ];
    for (name, act) in cases {
        check(name, act, Answered(200)).await;
    }
}

#[tokio::test]
async fn an_answer_to_nothing_is_taken_for_the_answer_or_for_none() {
    let server = Server::start(Blurts(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())).await;

    let posted = post(&server, Bytes::from_static(b"{}")).await;

    // It depends on whether it comes before the request is begun.
    let status_code = posted.map(|reply| reply.status_code);
    assert!(matches!(status_code, Ok(200) | Err(FailureKind::Protocol)), "{status_code:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_a_status() {
    for status in [101_u16, 204, 299, 304, 418, 599, 600, 999] {
        let answer = format!("HTTP/1.1 {status} Odd\r\ncontent-length: 0\r\n\r\n");
        check("an odd status", Says(answer.into_bytes()), Answered(status)).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inside = Server::start(says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;

    for status in [301_u16, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", inside.url);
        check("a redirect", Says(answer.into_bytes()), Answered(status)).await;
    }

    assert_eq!(inside.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_packed_stays_packed() {
    // A hundred kilobytes of zeroes in gzip's clothes are a few bytes; here only the name matters.
    let answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x41".to_vec();

    let excerpt = check("a bomb", Says(answer), Answered(200)).await;

    assert_eq!(excerpt, "\\u001f\u{fffd}\\u0008A");
}

#[tokio::test]
async fn an_excerpt_moves_no_cursor_and_turns_nothing_around() {
    let body = "<script>\u{1b}[2J\u{7}\r\n\tü\u{9b}\u{202e}\u{2028}\u{feff}\0end";
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());

    let excerpt = check("signs that are obeyed", Says(answer.into_bytes()), Answered(200)).await;

    assert_eq!(excerpt, "<script>\\u001b[2J\\u0007\r\n\tü\\u009b\\u202e\\u2028\\ufeff\\u0000end");
}

#[tokio::test]
async fn an_excerpt_is_as_long_as_it_may_be_and_no_longer() {
    for again in ["a", "\u{1}", "\u{1f600}", "é"] {
        let body = again.repeat(40_000);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());

        let excerpt = check("a long answer", Says(answer.into_bytes()), Answered(200)).await;

        assert!(excerpt.len() > EXCERPT_BYTES_MAX - 8, "{again:?}: {}", excerpt.len());
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_read_does_not_hold_what_it_is_sent_for_long() {
    let server = Server::start(Ignores).await;

    let posted = post(&server, Bytes::from(vec![b'a'; 32 * 1024 * 1024])).await;

    assert_eq!(posted.unwrap_err(), FailureKind::Timeout);
}

#[tokio::test]
async fn an_answer_too_many_is_nobody_elses() {
    let one = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none";
    let server = Server::start(SaysAndStays(format!("{one}{}", one.replace("one", "two")).into_bytes())).await;
    let (egress, custom) = (egress(), CustomHeaders::default());

    for _ in 0..3 {
        let reply = egress.post(parcel(&server.url, &custom, Bytes::new()), Timestamp::from_micros(0)).await;
        assert_eq!(reply.unwrap().excerpt, "one");
    }

    assert_eq!(server.connections.load(Ordering::SeqCst), 3, "such a connection is not used again");
}

#[tokio::test]
async fn where_the_answer_is_the_point_all_of_it_counts_or_none() {
    let ask = async |act: Act| -> Result<Answer, FailureKind> {
        let server = Server::start(act).await;
        let (egress, custom) = (egress(), CustomHeaders::default());
        let asked = egress.ask(parcel(&server.url, &custom, Bytes::new()), 1_000);
        tokio::time::timeout(PATIENCE, asked).await.unwrap()
    };
    let sized = |bytes: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{}", "a".repeat(bytes));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    assert_eq!(ask(Says(sized(1_000).into_bytes())).await.unwrap().body.len(), 1_000);
    assert_eq!(ask(Says(sized(1_001).into_bytes())).await.unwrap_err(), FailureKind::TooLarge);
    assert_eq!(ask(endless(chunked, "1\r\na\r\n")).await.unwrap_err(), FailureKind::TooLarge);
    assert_eq!(ask(endless("HTTP/1.1 200 OK\r\n\r\n", "a")).await.unwrap_err(), FailureKind::TooLarge);
    assert_eq!(ask(says("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na")).await.unwrap_err(), FailureKind::Protocol);
    assert_eq!(ask(says(&format!("{chunked}zz\r\n"))).await.unwrap_err(), FailureKind::Protocol);
    assert_eq!(ask(trickles("HTTP/1.1 200 OK\r\n\r\n", "a")).await.unwrap_err(), FailureKind::Timeout);
}
