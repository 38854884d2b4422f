//! Addresses, each with the reason why it is refused; and what an operator may say of them.

use super::*;

fn refusal(policy: &AddressPolicy, address: &str) -> Option<&'static str> {
    policy.refusal(address.parse().unwrap())
}

/// Address, and a word of the reason.
const REFUSED: [(&str, &str); 88] = [
    ("0.0.0.0", "this network"),
    ("0.1.2.3", "this network"),
    ("0.255.255.255", "this network"),
    ("10.0.0.0", "private"),
    ("10.1.2.3", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.0", "carrier"),
    ("100.100.100.200", "carrier"),
    ("100.127.255.255", "carrier"),
    ("127.0.0.0", "this machine"),
    ("127.0.0.1", "this machine"),
    ("127.255.255.255", "this machine"),
    ("168.63.129.16", "platform"),
    ("169.254.0.1", "link-local"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "link-local"),
    ("169.254.255.255", "link-local"),
    ("172.16.0.0", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.0", "protocol"),
    ("192.0.0.8", "protocol"),
    ("192.0.0.192", "metadata"),
    ("192.0.0.255", "protocol"),
    ("192.0.2.0", "documentation"),
    ("192.0.2.255", "documentation"),
    ("192.88.99.1", "6to4"),
    ("192.168.0.0", "private"),
    ("192.168.255.255", "private"),
    ("198.18.0.0", "benchmarks"),
    ("198.19.255.255", "benchmarks"),
    ("198.51.100.7", "documentation"),
    ("203.0.113.9", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("240.0.0.1", "reserved"),
    ("250.1.2.3", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "this machine"),
    ("::2", "IPv4-compatible"),
    ("::127.0.0.1", "IPv4-compatible"),
    ("::8.8.8.8", "IPv4-compatible"),
    ("::ffff:0.0.0.0", "this network"),
    ("::ffff:127.0.0.1", "this machine"),
    ("::ffff:10.0.0.1", "private"),
    ("::ffff:a9fe:a9fe", "metadata"),
    ("::ffff:192.168.1.1", "private"),
    ("::ffff:168.63.129.16", "platform"),
    ("::ffff:255.255.255.255", "broadcast"),
    ("::ffff:0:7f00:1", "IPv4-translated"),
    ("::ffff:0:8.8.8.8", "IPv4-translated"),
    ("64:ff9b::7f00:1", "NAT64"),
    ("64:ff9b::8.8.8.8", "NAT64"),
    ("64:ff9b:1::1", "NAT64"),
    ("64:ff9b:1:ffff::a00:1", "NAT64"),
    ("64:ff9b:2::1", "not given out"),
    ("100::1", "discarded"),
    ("100:0:0:1::1", "dummy"),
    ("200::1", "not given out"),
    ("1000::1", "not given out"),
    ("1fff:ffff::1", "not given out"),
    ("2001::1", "Teredo"),
    ("2001:0:4136:e378:8000:63bf:80ff:fffe", "Teredo"),
    ("2001:2::1", "benchmarks"),
    ("2001:10::1", "ORCHID"),
    ("2001:20::1", "ORCHID"),
    ("2001:1ff:ffff::1", "protocol"),
    ("2001:db8::1", "documentation"),
    ("2001:db8:ffff:ffff::1", "documentation"),
    ("2002:7f00:1::", "6to4"),
    ("2002:c0a8:101::1", "6to4"),
    ("2002:808:808::1", "6to4"),
    ("3fff::1", "documentation"),
    ("3fff:fff::1", "documentation"),
    ("4000::1", "not given out"),
    ("5f00::1", "segment"),
    ("8000::1", "not given out"),
    ("fc00::1", "unique local"),
    ("fd00:ec2::254", "metadata"),
    ("fd20:ce::254", "metadata"),
    ("fdff::1", "unique local"),
    ("fe80::1", "link-local"),
    ("febf::1", "link-local"),
    ("fec0::1", "site-local"),
    ("feff::1", "site-local"),
    ("ff02::1", "multicast"),
    ("2606:4700::5efe:127.0.0.1", "this machine"),
    ("2606:4700::200:5efe:10.0.0.1", "private"),
];

/// Neighbours of what is refused, and addresses that people have.
const ALLOWED: [&str; 40] = [
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "::ffff:1.1.1.1",
    "::ffff:93.184.216.34",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7::1",
    "2001:db9::1",
    "2400:cb00:2048:1::c629:d7a2",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "3ffe::1",
];

#[test]
fn only_globally_reachable_addresses_are_allowed() {
    for (address, why) in REFUSED {
        let said = refusal(&AddressPolicy::default(), address).unwrap_or("allowed");
        assert!(said.contains(why), "{address}: {said}");
    }
    for address in ALLOWED {
        assert_eq!(refusal(&AddressPolicy::default(), address), None, "{address}");
    }
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_operator_may_allow_more() {
    let policy = AddressPolicy::allowing(nets(&["127.0.0.0/8", "::1/128"]));

    for address in ["127.0.0.1", "::ffff:127.0.0.1", "::1"] {
        assert_eq!(refusal(&policy, address), None, "{address}");
    }
    for address in ["10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "::2"] {
        assert!(refusal(&policy, address).is_some(), "{address}");
    }
}

#[test]
fn what_the_operator_denies_is_denied_whatever_is_allowed_and_however_it_is_reached() {
    let policy = AddressPolicy::allowing(nets(&["10.0.0.0/8", "64:ff9b::/96"]));
    let policy = policy.denying(nets(&["10.9.0.0/16", "8.8.8.0/24", "2606:4700::/32"]));

    for address in ["10.9.1.1", "::ffff:10.9.1.1", "8.8.8.8", "64:ff9b::8.8.8.8", "2606:4700::1111"] {
        assert_eq!(refusal(&policy, address), Some("denied by the operator"), "{address}");
    }
    assert_eq!(refusal(&policy, "10.8.1.1"), None);
}

#[test]
fn a_way_into_ipv4_that_is_allowed_is_judged_by_its_other_end() {
    let policy = AddressPolicy::allowing(nets(&["64:ff9b::/96", "2002::/16", "2001::/32"]));

    for address in ["64:ff9b::8.8.8.8", "2002:808:808::1"] {
        assert_eq!(refusal(&policy, address), None, "{address}");
    }
    // The last is Teredo with a public server, and 192.168.0.1 as its client.
    for address in ["64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:808:808:0:0:3f57:fffe"] {
        assert!(refusal(&policy, address).is_some(), "{address}");
    }
}

#[test]
fn where_an_own_nat64_keeps_ipv4_is_told_by_the_length_of_its_prefix() {
    // As in RFC 6052 2.4, of 8.8.8.8 and of 127.0.0.1 with a public address where another length has its own.
    for (prefix, public, loopback) in [
        ("64:ff9b:1::/48", "64:ff9b:1:808:8:800::", "64:ff9b:1:7f00:0:100:808:808"),
        ("64:ff9b:1:3c00::/56", "64:ff9b:1:3c08:8:808::", "64:ff9b:1:3c7f:0:1:808:808"),
        ("64:ff9b:1:344::/64", "64:ff9b:1:344:8:808:800:0", "64:ff9b:1:344:7f:0:108:808"),
        ("64:ff9b:1:344::/96", "64:ff9b:1:344::8.8.8.8", "64:ff9b:1:344::127.0.0.1"),
    ] {
        let policy = AddressPolicy::allowing(nets(&[prefix]));

        assert_eq!(refusal(&policy, public), None, "{public}");
        assert_eq!(refusal(&policy, loopback), Some("this machine, RFC 1122 3.2.1.3"), "{loopback}");
        assert_eq!(refusal(&policy.denying(nets(&["8.8.8.0/24"])), public), Some("denied by the operator"), "{public}");
    }
}

#[test]
fn we_do_not_speak_to_ourselves() {
    let own = |own: &str, here: &str, there: &str| {
        let policy = AddressPolicy::default().listening_at(own.parse().unwrap());
        policy.is_own(here.parse().unwrap(), there.parse().unwrap())
    };

    assert!(own("127.0.0.1:8080", "127.0.0.1:40000", "127.0.0.1:8080"));
    assert!(own("127.0.0.1:8080", "[::1]:40000", "[::ffff:127.0.0.1]:8080"));
    assert!(own("0.0.0.0:8080", "127.0.0.1:40000", "127.0.0.2:8080"), "all of this machine's loopback");
    assert!(own("[::]:8080", "10.0.0.5:40000", "10.0.0.5:8080"), "an address of this machine");
    assert!(!own("0.0.0.0:8080", "10.0.0.5:40000", "10.0.0.6:8080"), "another machine");
    assert!(!own("127.0.0.1:8080", "127.0.0.1:40000", "127.0.0.1:8081"), "another port");
}
