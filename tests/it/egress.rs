//! What leaves, and what nobody can make it reach.

mod addresses;
mod blocked;
mod certificates;
mod discretion;
mod hostile;
mod names;
mod properties;
mod proxy;
mod table;
mod tls;

use bytes::Bytes;
use signet::domain::delivery::FailureKind;
use signet::domain::time::Timestamp;
use signet::domain::webhook::CustomHeaders;
use signet::egress::{Egress, Parcel, Reply};
use url::Url;

/// Sends something small.
async fn post(egress: &Egress, url: &str) -> Result<Reply, FailureKind> {
    let (url, custom) = (Url::parse(url).unwrap(), CustomHeaders::default());
    let parcel = Parcel {
        url: &url,
        content_type: "application/json",
        headers: &[],
        own_headers: &[],
        custom: &custom,
        body: Bytes::from_static(b"{}"),
        timeout: None,
    };
    egress.post(parcel, Timestamp::from_micros(0)).await
}
