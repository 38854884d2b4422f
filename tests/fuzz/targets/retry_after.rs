//! Whatever a receiver asks for, it is a span or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signet::domain::time::Timestamp;
use signet::egress::retry_after;

fuzz_target!(|text: &str| {
    let _ = retry_after(text, Timestamp::from_micros(1_772_366_400_000_000));
});
