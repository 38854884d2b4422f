//! Fetching what a receiver publishes, such as its keys: a plain `GET` under the rules of deliveries.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue};
use url::Url;

use super::client::Egress;
use super::reply;
use crate::domain::delivery::FailureKind;

/// How a JWK Set says what it is (RFC 7517 8.5.1), and how most servers do.
const KEY_SET: &str = "application/jwk-set+json, application/json";

/// What stands at a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub status_code: u16,
    /// For how long it says that it may be kept, if it says so.
    pub max_age: Option<Duration>,
    pub body: Bytes,
}

impl Egress {
    /// Fetches a JWK Set, whole, on a connection of its own. Redirects are answers like any others.
    pub async fn fetch_keys(&self, url: &Url, bytes_max: usize, within: Duration) -> Result<Document, FailureKind> {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(ACCEPT, HeaderValue::from_static(KEY_SET));
        let request = self.request(Method::GET, url, headers, Bytes::new())?;
        let fetching = async {
            let response = self.fresh(request).await?;
            let max_age = max_age(response.headers());
            let answer = reply::read_whole(response, bytes_max).await?;
            Ok(Document { status_code: answer.status_code, max_age, body: answer.body })
        };
        tokio::time::timeout(within, fetching).await.unwrap_or(Err(FailureKind::Timeout))
    }
}

/// What `Cache-Control` allows (RFC 9111 5.2.2); nothing at all where it asks that nothing be kept.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<String> =
        values.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect();
    if directives.iter().any(|word| word == "no-store" || word == "no-cache") {
        return Some(Duration::ZERO);
    }
    let seconds = directives.iter().find_map(|word| word.strip_prefix("max-age="))?.trim_matches('"');
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(seconds.parse::<u32>().unwrap_or(u32::MAX).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_says_how_long_it_may_be_kept_in_seconds() {
        let check = |values: &[&'static str], seconds: Option<u64>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
            }
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{values:?}");
        };

        check(&[], None);
        check(&["public, max-age=300"], Some(300));
        check(&["public", "Max-Age=\"300\", must-revalidate"], Some(300));
        check(&["max-age=99999999999"], Some(u32::MAX.into()));
        check(&["max-age=300, no-cache"], Some(0));
        check(&["no-store"], Some(0));
        check(&["max-age=-1"], None);
        check(&["max-age="], None);
        check(&["s-maxage=300"], None);
        check(&["max-age=soon"], None);
    }
}
