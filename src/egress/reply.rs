//! What a stranger answered, cut to size.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderValue, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::Sleep;

use super::client::kind_of;
use super::link::Meter;
use crate::domain::delivery::FailureKind;
use crate::domain::shown::escaped;
use crate::domain::time::Timestamp;

/// How much of an answer's body is read before the connection is given up.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How much of it is kept for the log.
pub const EXCERPT_BYTES_MAX: usize = 4 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status_code: u16,
    pub retry_after: Option<Duration>,
    /// The beginning of the body as text; what is not UTF-8 is replaced, and what would be obeyed is escaped.
    pub excerpt: String,
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status_code: u16,
    pub body: Bytes,
    /// As it came: what it means depends on when it is read.
    retry_after: Option<HeaderValue>,
}

impl Answer {
    /// When whoever answered wants to be asked again.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        retry_after(self.retry_after.as_ref()?.to_str().ok()?, now)
    }
}

/// Reads an answer to its end.
pub(super) async fn read_whole(response: Response<Incoming>, bytes_max: usize) -> Result<Answer, FailureKind> {
    let status_code = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).cloned();
    let meter = response.extensions().get::<Meter>().cloned();
    if let Some(meter) = &meter {
        meter.awaits(bytes_max);
    }
    let mut stream = response.into_body();
    let announced = stream.size_hint().exact().unwrap_or(0);
    if usize::try_from(announced).map_or(true, |announced| announced > bytes_max) {
        return Err(FailureKind::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(frame) = stream.frame().await {
        let Ok(chunk) = frame.map_err(|error| kind_of(&error))?.into_data() else { continue };
        if chunk.len() > bytes_max - body.len() {
            return Err(FailureKind::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    if let Some(meter) = meter {
        meter.rest();
    }
    Ok(Answer { status_code, body: body.freeze(), retry_after })
}

/// Reads an answer to its end so that its connection can serve again, or to a bound. What was answered is decided by its
/// head: a body that breaks off, or does not end before the deadline, changes nothing.
pub(super) async fn read(
    response: Response<Incoming>,
    now: Timestamp,
    mut deadline: Pin<&mut Sleep>,
    excerpt_bytes_max: usize,
) -> Reply {
    let status_code = response.status().as_u16();
    let header = response.headers().get(RETRY_AFTER);
    let retry_after = header.and_then(|value| value.to_str().ok()).and_then(|text| retry_after(text, now));
    let meter = response.extensions().get::<Meter>().cloned();
    let mut stream = response.into_body();
    let mut kept = Vec::new();
    let mut read_bytes = 0;
    while read_bytes < BODY_BYTES_MAX {
        let frame = tokio::select! {
            frame = stream.frame() => frame,
            () = &mut deadline => break,
        };
        let Some(frame) = frame else {
            if let Some(meter) = meter {
                meter.rest();
            }
            break;
        };
        let Ok(frame) = frame else { break };
        let Ok(chunk) = frame.into_data() else { continue };
        let room = excerpt_bytes_max - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        read_bytes += chunk.len();
    }
    Reply { status_code, retry_after, excerpt: escaped(&String::from_utf8_lossy(&kept), excerpt_bytes_max) }
}

/// `Retry-After` as seconds or as a date (RFC 9110 10.2.3); `None` when it is neither.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse::<u32>().unwrap_or(u32::MAX).into()));
    }
    // IMF-fixdate is RFC 2822 with an obsolete zone name.
    let date = OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()?;
    let micros = i64::try_from(date.unix_timestamp_nanos() / 1_000).ok()?;
    Some(Timestamp::from_micros(micros).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        };

        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 01 Mar 2026 12:02:00 GMT", Some(120));
        check("Sun, 01 Mar 2026 11:00:00 GMT", Some(0));
        check("-5", None);
        check("soon", None);
        check("99999999999", Some(u32::MAX.into()));
        check("", None);
    }
}
