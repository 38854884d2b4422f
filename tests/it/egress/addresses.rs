//! The whole table, where a webhook is registered and where it is spoken to.

use std::net::IpAddr;

use serde_json::json;
use signet::domain::delivery::FailureKind;
use signet::egress::{AddressPolicy, Egress, Ways};
use url::{Host, Url};

use super::post;
use super::table::{ACCEPTED, REFUSED, long};
use crate::support::name_server::NameServer;
use crate::support::{Receiver, Service};

/// As an installation is that nobody has told otherwise.
async fn strict() -> Service {
    Service::start_with(&[("SIGNET_ALLOW_HTTP", "false"), ("SIGNET_EGRESS_ALLOW", "")]).await
}

#[test]
fn the_table_is_as_long_as_it_must_be() {
    let mut all: Vec<&str> = REFUSED.iter().chain(ACCEPTED).map(|(url, _)| *url).collect();
    all.sort_unstable();
    all.dedup();

    assert_eq!(all.len(), REFUSED.len() + ACCEPTED.len(), "none is there twice");
    assert!(all.len() >= 280, "{}", all.len());
}

#[tokio::test]
async fn what_leads_inward_or_hides_where_it_leads_is_not_registered() {
    let service = strict().await;
    let long = long().1;

    let named = REFUSED.iter().copied().chain(long.iter().map(|url| (url.as_str(), "too long")));
    for (url, why) in named {
        let answer = service.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await;

        assert_eq!((answer.status, answer.pointers()), (422, vec!["/url".to_owned()]), "{url:?}, {why}");
    }
    assert_eq!(service.get("/v1/webhooks").await.json()["data"], json!([]));
}

#[tokio::test]
async fn what_people_have_is_registered_and_shown_as_it_travels() {
    let service = strict().await;
    let long = long().0;

    let named = ACCEPTED.iter().copied().chain(long.iter().map(|url| (url.as_str(), "as long as it may be")));
    for (url, why) in named {
        let answer = service.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await;

        assert_eq!(answer.status, 201, "{url:?}, {why}: {}", answer.text);
        let shown = answer.json()["url"].as_str().unwrap().to_owned();
        assert!(shown.is_ascii(), "{url:?} is shown as {shown}");
    }
}

#[tokio::test]
async fn nothing_of_it_is_connected_to_whatever_was_registered() {
    let inward: IpAddr = [127, 0, 0, 1].into();
    let names = NameServer::answering(move |_, _| vec![inward]).await;
    let ways = Ways { name_servers: vec![names.address], ..Ways::default() };
    let egress = Egress::by(AddressPolicy::default(), ways).unwrap();

    // A public address that is only written oddly leads where it says once it is read.
    let leads_in = |url: &Url| match url.host() {
        Some(Host::Ipv4(address)) => !AddressPolicy::default().allows(address.into()),
        _ => true,
    };
    for (url, why) in REFUSED.iter().filter(|(url, _)| Url::parse(url).is_ok_and(|url| leads_in(&url))) {
        assert_eq!(post(&egress, url).await.unwrap_err(), FailureKind::Blocked, "{url:?}, {why}");
    }
    for (url, why) in ACCEPTED {
        assert!(egress.may_reach(&Url::parse(url).unwrap()), "{url:?}, {why}");
        let is_name = Url::parse(url).unwrap().domain().is_some();
        if is_name {
            assert_eq!(post(&egress, url).await.unwrap_err(), FailureKind::Blocked, "{url:?} leads inward");
        }
    }
}

#[tokio::test]
async fn plain_http_that_was_allowed_once_is_not_spoken_any_more() {
    let receiver = Receiver::start().await;
    let policy = || AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
    let (allowing, refusing) = (Egress::new(policy()).unwrap(), Egress::new(policy().refusing_plain_http()).unwrap());

    assert_eq!(post(&allowing, receiver.url()).await.unwrap().status_code, 200);
    assert_eq!(post(&refusing, receiver.url()).await, Err(FailureKind::Blocked));
    assert_eq!(receiver.received().len(), 1);
}
