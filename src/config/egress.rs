//! By which way webhooks go out: whom they may reach, through whom, and who resolves their names.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::Url;

use super::{some, truth};
use crate::domain::secret::Secret;
use crate::domain::webhook::PlainHttp;

/// Where name servers listen that are named without a port.
const DNS_PORT: u16 = 53;
/// The longest contact, in characters.
const CONTACT_CHARS_MAX: usize = 200;

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parse = |text: &str| {
        let network = text.parse::<IpNet>().ok();
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        network.or_else(address).ok_or_else(|| format!("{text:?} is not a network, such as 10.1.0.0/16 or fd00::/8"))
    };
    text.split(',').filter_map(some).map(parse).collect()
}

pub(super) fn name_servers(text: &str) -> Result<Vec<SocketAddr>, String> {
    let parse = |text: &str| {
        let address = || text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, DNS_PORT));
        let server = text.parse::<SocketAddr>().ok().or_else(address);
        server.ok_or_else(|| format!("{text:?} is not the address of a name server, such as 10.0.0.53"))
    };
    text.split(',').filter_map(some).map(parse).collect()
}

/// What is wrong is said without the text, which may hold a password.
pub(super) fn proxy(text: &str) -> Result<Option<Secret<String>>, String> {
    let Some(text) = some(text) else { return Ok(None) };
    let url = Url::parse(text).ok().filter(|url| {
        url.scheme() == "http"
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let wanted = "is not an http URL of a proxy without a path, such as http://proxy.example:4750";
    url.map(|_| Some(Secret::new(text.to_owned()))).ok_or_else(|| wanted.to_owned())
}

pub(super) fn plain_http(text: &str) -> Result<PlainHttp, String> {
    truth(text).map(|accepted| if accepted { PlainHttp::Accepted } else { PlainHttp::Refused })
}

/// It becomes a comment of `User-Agent`, which parentheses and backslashes would end or escape (RFC 9110 5.6.5).
pub(super) fn contact(text: &str) -> Result<Option<String>, String> {
    let Some(text) = some(text) else { return Ok(None) };
    let is_fit = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'(' | b')' | b'\\');
    match text.len() <= CONTACT_CHARS_MAX && text.bytes().all(is_fit) {
        true => Ok(Some(text.to_owned())),
        false => Err(format!(
            "{text:?} is not an address of at most {CONTACT_CHARS_MAX} visible ASCII characters without parentheses, \
             such as https://example.com/webhooks or mailto:webhooks@example.com"
        )),
    }
}
