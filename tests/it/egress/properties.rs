//! What holds for anything that a stranger may write: drawn here, and over the corpus that fuzzing has found.

use std::fs;
use std::path::Path;

use proptest::prelude::{any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq};
use signet::domain::time::Timestamp;
use signet::domain::webhook::{PlainHttp, WebhookUrl};
use signet::egress::{AddressPolicy, EXCERPT_BYTES_MAX, Egress, retry_after};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::post;

const NOW: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

/// Pieces that URLs are made of, and that tricks are made of.
const PIECES: [&str; 44] = [
    "https://",
    "http://",
    "//",
    "/",
    "\\",
    ":",
    "@",
    "?",
    "#",
    "[",
    "]",
    ".",
    "..",
    "%",
    "%2e",
    "%00",
    "%0d",
    "::1",
    "::ffff:",
    "127.0.0.1",
    "0x7f",
    "2130706433",
    "localhost",
    "example",
    "com",
    "xn--",
    "mnchen-3ya",
    "münchen",
    "①",
    "１",
    "。",
    "а",
    "ß",
    "\u{ad}",
    "\u{200b}",
    "\u{202e}",
    "\t",
    "\n",
    "\0",
    " ",
    "443",
    "0",
    "99999",
    "-",
];

/// What is taken for a callback URL is what it looks like, and stays it when it is read again.
fn check_url(text: &str) -> Result<(), String> {
    let Ok(url) = WebhookUrl::parse(text, PlainHttp::Accepted) else { return Ok(()) };
    let shown = url.as_str();
    let again = WebhookUrl::parse(shown, PlainHttp::Accepted);
    let holds = shown.is_ascii()
        && !shown.contains(['\\', '#', ' '])
        && again.as_ref() == Ok(&url)
        && Url::parse(text).as_ref() == Ok(url.as_url())
        && url.as_url().username().is_empty()
        && url.as_url().password().is_none();
    if holds { Ok(()) } else { Err(format!("{text:?} was read as {shown:?}, and that as {again:?}")) }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let files = fs::read_dir(folder).unwrap();
    let read: Vec<Vec<u8>> = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!read.is_empty(), "the corpus of {name} is there");
    read
}

proptest! {
    #[test]
    fn a_url_is_what_it_looks_like_and_is_read_again_as_it_is_shown(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
        rest in any::<String>(),
    ) {
        let text = format!("https://{}{rest}", pieces.concat());
        prop_assert_eq!(check_url(&text), Ok(()));
        prop_assert_eq!(check_url(&pieces.concat()), Ok(()));
        prop_assert_eq!(check_url(&format!("https://example.com/{rest}")), Ok(()));
    }

    #[test]
    fn whatever_a_receiver_asks_for_is_a_span_or_nothing(text in any::<String>(), number in any::<u64>()) {
        let _ = retry_after(&text, NOW);
        let _ = retry_after(&format!("Sun, 01 Mar {number} 12:00:00 GMT"), NOW);
        let asked = retry_after(&number.to_string(), NOW).unwrap();
        prop_assert!(u32::try_from(asked.as_secs()).is_ok());
    }
}

#[test]
fn every_url_that_fuzzing_found_is_what_it_looks_like() {
    for bytes in corpus("url") {
        assert_eq!(check_url(&String::from_utf8_lossy(&bytes)), Ok(()));
    }
}

#[test]
fn every_wish_to_wait_that_fuzzing_found_is_a_span_or_nothing() {
    for bytes in corpus("retry_after") {
        let _ = retry_after(&String::from_utf8_lossy(&bytes), NOW);
    }
}

#[tokio::test]
async fn every_answer_that_fuzzing_found_is_an_answer_or_a_failure() {
    for bytes in corpus("answer") {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let policy = AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(&bytes).await;
        });

        if let Ok(reply) = post(&Egress::new(policy).unwrap(), &url).await {
            assert!(reply.excerpt.len() <= EXCERPT_BYTES_MAX);
        }
    }
}
