//! What names mean: asked once for each connection, within a bound, and answered in addresses that nobody has judged yet.
//!
//! A thread is not held up by a server that never answers, as it would be by the system's own resolver, and tenants
//! choose whose servers are asked. The system's configuration and its hosts file are honoured.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{Resolver, TokioResolver};

use crate::domain::delivery::FailureKind;

/// All questions about a name together may take this long.
const WITHIN: Duration = Duration::from_secs(5);
/// A name that resolves to more addresses than this is not judged but refused.
const ADDRESSES_MAX: usize = 32;
/// Answers that are kept until they expire. They are judged anew whenever they are used.
const KEPT_MAX: u64 = 1_024;
/// However long an answer says that it holds: a receiver that moves is found again within a few minutes, and one that
/// was not there is asked for again soon.
const KEPT_FOR_MAX: Duration = Duration::from_mins(5);
const ABSENCE_KEPT_FOR_MAX: Duration = Duration::from_secs(10);
/// Questions under way at one server. Those that a tenant's silent servers leave open are not to use them up.
const QUESTIONS_MAX: usize = 8_192;

/// Asks name servers. What it keeps open belongs to the executor that it is first used on.
pub(super) struct Names {
    resolver: TokioResolver,
}

impl Names {
    /// Asks these servers, or, when none are named, those of the system.
    pub(super) fn asking(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = match Resolver::builder(provider.clone()) {
            Ok(builder) if servers.is_empty() => builder,
            // As the system's own resolver does where nothing is configured.
            _ if servers.is_empty() => Resolver::builder_with_config(at(&[(Ipv4Addr::LOCALHOST, 53).into()]), provider),
            _ => Resolver::builder_with_config(at(servers), provider),
        };
        set(builder.options_mut());
        Ok(Self { resolver: builder.build()? })
    }

    /// All addresses of a name. A whole one is asked for as it is; any other also with what the system's search
    /// list adds to it.
    pub(super) async fn addresses(&self, name: &str, is_whole: bool) -> Result<Vec<IpAddr>, FailureKind> {
        let asked = tokio::time::timeout(WITHIN, self.resolver.lookup_ip(asked_for(name, is_whole)?)).await;
        let found = asked.map_err(|_| FailureKind::Dns)?.map_err(|_| FailureKind::Dns)?;
        let addresses: Vec<IpAddr> = found.iter().take(ADDRESSES_MAX + 1).collect();
        match addresses.len() {
            0 => Err(FailureKind::Dns),
            1..=ADDRESSES_MAX => Ok(addresses),
            _ => Err(FailureKind::Blocked),
        }
    }
}

/// A name as it is asked for.
fn asked_for(name: &str, is_whole: bool) -> Result<Name, FailureKind> {
    // As it stands in the URL: parts of names may have underscores, which a stricter reading refuses.
    let mut name = Name::from_ascii(name).map_err(|_| FailureKind::Dns)?;
    name.set_fqdn(is_whole || name.is_fqdn());
    Ok(name)
}

fn at(servers: &[SocketAddr]) -> ResolverConfig {
    let server = |address: &SocketAddr| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.into())
    };
    ResolverConfig::from_name_servers(servers.iter().map(server).collect())
}

fn set(options: &mut ResolverOpts) {
    // Both kinds, because all of them are judged.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = KEPT_MAX;
    options.positive_max_ttl = Some(KEPT_FOR_MAX);
    options.negative_max_ttl = Some(ABSENCE_KEPT_FOR_MAX);
    options.max_active_requests = QUESTIONS_MAX;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_list_adds_nothing_to_a_whole_name() {
        let is_whole = |name: &str, is_whole: bool| asked_for(name, is_whole).unwrap().is_fqdn();

        assert!(
            is_whole("payments.billing", true),
            "or Kubernetes would be asked for payments.billing.svc.cluster.local"
        );
        assert!(is_whole("payments.billing.", false));
        assert!(!is_whole("payments.billing", false));
    }
}
