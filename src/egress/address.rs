//! Which addresses webhooks may reach: those that the IANA special-purpose registries call globally reachable, and what
//! the operator allows besides. What the operator denies is denied first. Pure: no name is resolved here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// IPv4 that is not globally reachable (IANA IPv4 Special-Purpose Address Registry), and a cloud's own address.
const REFUSED_V4: [(Ipv4Net, &str); 16] = [
    (v4(0, 0, 0, 0, 8), "this network, RFC 791 3.2"),
    (v4(10, 0, 0, 0, 8), "private use, RFC 1918"),
    (v4(100, 64, 0, 0, 10), "shared by a carrier's customers, RFC 6598; a cloud's metadata at 100.100.100.200"),
    (v4(127, 0, 0, 0, 8), "this machine, RFC 1122 3.2.1.3"),
    (v4(168, 63, 129, 16, 32), "a cloud's platform, on a public address"),
    (v4(169, 254, 0, 0, 16), "link-local, RFC 3927; clouds' metadata at 169.254.169.254"),
    (v4(172, 16, 0, 0, 12), "private use, RFC 1918"),
    (v4(192, 0, 0, 0, 24), "protocol assignments, RFC 6890 2.1; a cloud's metadata at 192.0.0.192"),
    (v4(192, 0, 2, 0, 24), "documentation, RFC 5737"),
    (v4(192, 88, 99, 0, 24), "6to4 relays that are no more, RFC 7526"),
    (v4(192, 168, 0, 0, 16), "private use, RFC 1918"),
    (v4(198, 18, 0, 0, 15), "benchmarks, RFC 2544"),
    (v4(198, 51, 100, 0, 24), "documentation, RFC 5737"),
    (v4(203, 0, 113, 0, 24), "documentation, RFC 5737"),
    (v4(224, 0, 0, 0, 4), "multicast, RFC 5771"),
    (v4(240, 0, 0, 0, 4), "reserved, RFC 1112 4; and broadcast, RFC 919 7"),
];

/// All IPv6 that is given out for unicast (IANA IPv6 Address Space).
const UNICAST_V6: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

/// IPv6 that is not globally reachable (IANA IPv6 Special-Purpose Address Registry), or that leads to an IPv4 address
/// which nobody here can judge. Some of it lies outside of what is given out, and is here for its reason.
const REFUSED_V6: [(Ipv6Net, &str); 15] = [
    (v6(0, 0, 0, 0, 96), "unspecified, this machine, and IPv4-compatible, RFC 4291 2.5"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96), "IPv4-translated, RFC 2765 2.1"),
    (v6(0x64, 0xff9b, 0, 0, 96), "IPv4 behind NAT64, RFC 6052"),
    (v6(0x64, 0xff9b, 1, 0, 48), "IPv4 behind a network's own NAT64, RFC 8215"),
    (v6(0x100, 0, 0, 0, 64), "discarded, RFC 6666"),
    (v6(0x100, 0, 0, 1, 64), "dummy prefix, RFC 9780"),
    (v6(0x2001, 0, 0, 0, 23), "protocol assignments, RFC 2928: Teredo, benchmarks, ORCHID"),
    (v6(0x2001, 0xdb8, 0, 0, 32), "documentation, RFC 3849"),
    (v6(0x2002, 0, 0, 0, 16), "IPv4 by 6to4, RFC 3056"),
    (v6(0x3fff, 0, 0, 0, 20), "documentation, RFC 9637"),
    (v6(0x5f00, 0, 0, 0, 16), "segment routing, RFC 9602"),
    (v6(0xfc00, 0, 0, 0, 7), "unique local, RFC 4193; clouds' metadata at fd00:ec2::254 and fd20:ce::254"),
    (v6(0xfe80, 0, 0, 0, 10), "link-local, RFC 4291 2.5.6"),
    (v6(0xfec0, 0, 0, 0, 10), "site-local, RFC 3879"),
    (v6(0xff00, 0, 0, 0, 8), "multicast, RFC 4291 2.7"),
];

/// The rule, with what the operator allows and denies besides, and where we listen ourselves.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
    /// Where we listen. Nobody has us speak to ourselves.
    own: Vec<SocketAddr>,
    refuses_plain_http: bool,
}

impl AddressPolicy {
    /// Allows public addresses and these.
    pub fn allowing(allowed: Vec<IpNet>) -> Self {
        Self { allowed, ..Self::default() }
    }

    /// The same, without these, whatever is allowed.
    #[must_use]
    pub fn denying(self, denied: Vec<IpNet>) -> Self {
        Self { denied, ..self }
    }

    /// The same, without a place where this very server listens.
    #[must_use]
    pub fn listening_at(mut self, own: SocketAddr) -> Self {
        self.own.push(own);
        self
    }

    /// The same, with TLS or not at all.
    #[must_use]
    pub fn refusing_plain_http(self) -> Self {
        Self { refuses_plain_http: true, ..self }
    }

    /// Whether requests of this scheme may be made.
    pub(super) fn speaks(&self, scheme: &str) -> bool {
        scheme == "https" || (scheme == "http" && !self.refuses_plain_http)
    }

    /// Whether names that only lead inward may mean anything here.
    pub(super) fn allows_inward(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether webhooks may reach this address.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.refusal(address).is_none()
    }

    /// Why webhooks may not reach an address; for whoever reads the rule, never for whoever asks, who could map a network
    /// by the answers. IPv4 in IPv6 clothes (`::ffff:127.0.0.1`) is judged as IPv4.
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let address = address.to_canonical();
        let inside = inside(address);
        let is_denied = |address: &IpAddr| self.denied.iter().any(|net| net.contains(address));
        if is_denied(&address) || inside.iter().any(is_denied) {
            return Some("denied by the operator");
        }
        let mut allowed = self.allowed.iter().filter(|net| net.contains(&address)).peekable();
        if allowed.peek().is_some() {
            // A way into the IPv4 Internet that is allowed is allowed for what lies at its other end.
            let behind = allowed.filter_map(|net| behind_own_nat64(address, net.prefix_len()));
            return inside.into_iter().chain(behind).find_map(|inside| self.refusal(inside));
        }
        match address {
            IpAddr::V4(address) => REFUSED_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why),
            IpAddr::V6(address) => {
                let refused = REFUSED_V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why);
                let is_given_out = UNICAST_V6.contains(&address);
                let why = refused.or((!is_given_out).then_some("not given out, RFC 4291 2.4"));
                why.or_else(|| inside.iter().find_map(|inside| self.refusal(*inside)))
            }
        }
    }

    /// Whether a connection that came about leads to ourselves. One to an address of this machine, whichever it is, comes
    /// from that address.
    pub(super) fn is_own(&self, here: SocketAddr, there: SocketAddr) -> bool {
        let (here, there) = (canonical(here), canonical(there));
        let is_here = here.ip() == there.ip();
        self.own.iter().map(|own| canonical(*own)).any(|own| {
            let meets = own.ip() == there.ip() || (own.ip().is_unspecified() && (is_here || there.ip().is_loopback()));
            own.port() == there.port() && meets
        })
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// IPv4 addresses to which an IPv6 address leads.
fn inside(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(address) = address else { return Vec::new() };
    let bits = address.to_bits();
    let at = |lowest: u32| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from((bits >> lowest) & 0xffff_ffff).unwrap_or(0)));
    let inverted = || IpAddr::V4(Ipv4Addr::from_bits(!u32::try_from(bits & 0xffff_ffff).unwrap_or(0)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] | [0x64, 0xff9b, 1, ..] => Vec::new(),
        // NAT64, IPv4-translated, IPv4-compatible, and ISATAP, whose prefix may be any (RFC 5214 6.1).
        [0x64, 0xff9b, ..] | [0, 0, 0, 0, 0xffff | 0, 0, ..] | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![at(0)],
        [0x2002, ..] => vec![at(80)],
        // Teredo: its server, and its client, whose bits are turned over (RFC 4380 4).
        [0x2001, 0, ..] => vec![at(64), inverted()],
        _ => Vec::new(),
    }
}

/// The IPv4 address to which an address of a network's own NAT64 (RFC 8215) leads when its prefix is so long: where the
/// IPv4 address stands depends on that alone (RFC 6052 2.2), and bits 64 to 71 belong to neither.
fn behind_own_nat64(address: IpAddr, prefix_len: u8) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    if !matches!(address.segments(), [0x64, 0xff9b, 1, ..]) {
        return None;
    }
    let bits = address.to_bits();
    let (above, below) = (bits >> 64, (bits >> 24) & 0xffff_ffff);
    let found = match prefix_len {
        ..=48 => (above & 0xffff) << 16 | below >> 16,
        49..=56 => (above & 0xff) << 24 | below >> 8,
        57..=64 => below,
        65.. => bits,
    };
    Some(Ipv4Addr::from_bits(u32::try_from(found & 0xffff_ffff).ok()?).into())
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
