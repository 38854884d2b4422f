//! What a URL itself tells of where it leads, before any name is resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::address::AddressPolicy;
use crate::domain::webhook::{is_host_name, may_use_port};

/// Names that lead to nothing on the Internet: this machine (RFC 6761 6.3), the local link (RFC 6762), networks of one's
/// own (RFC 6762 appendix G, RFC 8375, ICANN's `internal`), and what must not be asked of a name server (RFC 7686).
const INWARD: [&str; 12] = [
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "home.arpa",
    "svc",
    "onion",
];

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Whether a request may be made of this URL as far as it tells. Names are judged when they are resolved; addresses, and
/// names that only lead inward, here.
pub(super) fn is_fit(url: &Url, policy: &AddressPolicy) -> bool {
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let is_open = url.port_or_known_default().is_some_and(may_use_port);
    policy.speaks(url.scheme()) && is_open && !has_credentials && url.host().is_some_and(|host| may_lead(&host, policy))
}

fn may_lead(host: &Host<&str>, policy: &AddressPolicy) -> bool {
    match host {
        Host::Ipv4(address) => policy.allows(IpAddr::V4(*address)),
        Host::Ipv6(address) => policy.allows(IpAddr::V6(*address)),
        Host::Domain(name) if !is_host_name(name) => false,
        Host::Domain(name) => {
            if is_in(name, "localhost") {
                return LOOPBACK.iter().any(|address| policy.allows(*address));
            }
            // Where something inward is allowed, such a name may mean it: the resolver tells.
            let is_inward = !name.trim_end_matches('.').contains('.') || INWARD.iter().any(|zone| is_in(name, zone));
            policy.allows_inward() || !is_inward
        }
    }
}

fn is_in(name: &str, zone: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// What this machine is called by everybody means this machine (RFC 6761 6.3), by whichever of its addresses may be
/// reached. Nobody is asked.
pub(super) fn this_machine(host: &str, policy: &AddressPolicy) -> Option<Vec<IpAddr>> {
    let allowed = || LOOPBACK.into_iter().filter(|address| policy.allows(*address)).collect();
    is_in(host, "localhost").then(allowed)
}

/// The address in the URL itself.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
