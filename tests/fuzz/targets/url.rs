//! Whatever is taken for a callback URL is what it looks like, and stays it when it is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signet::domain::webhook::{PlainHttp, WebhookUrl};

fuzz_target!(|text: &str| {
    let Ok(url) = WebhookUrl::parse(text, PlainHttp::Accepted) else { return };
    let shown = url.as_str();
    assert!(shown.is_ascii() && !shown.contains(['\\', '#', ' ']));
    assert_eq!(WebhookUrl::parse(shown, PlainHttp::Accepted).as_ref(), Ok(&url));
    assert!(url.as_url().username().is_empty() && url.as_url().password().is_none());
});
