//! Finds the domain controllers of an Active Directory domain by DNS SRV (RFC 2782), and puts them in the
//! order in which they are to be asked.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

use crate::config::{Security, ServerUrl};

/// An answer is used for at least this long, whatever its TTL.
const SHORTEST: Duration = Duration::from_secs(30);
/// An answer is used for at most this long.
const LONGEST: Duration = Duration::from_secs(3600);
/// Servers that are taken from one answer.
const MOST_SERVERS: usize = 32;

/// One server of an SRV answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// The lower, the earlier.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// TCP port.
    pub port: u16,
    /// Host name without the last dot.
    pub host: String,
}

/// Puts servers in order: by priority, and by chance in proportion to weight within one (RFC 2782). `random`
/// gives a number below its argument, which is never zero.
pub fn in_order(mut records: Vec<SrvRecord>, mut random: impl FnMut(u32) -> u32) -> Vec<SrvRecord> {
    records.retain(|record| !record.host.is_empty());
    // Weight 0 first within a priority, so that it has its small chance, too.
    records.sort_by(|a, b| (a.priority, a.weight, &a.host).cmp(&(b.priority, b.weight, &b.host)));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let group = records.iter().take_while(|record| record.priority == priority);
        let total: u32 = group.clone().map(|record| u32::from(record.weight)).sum();
        let mut pick = random(total + 1);
        let mut chosen = 0;
        for (index, record) in group.enumerate() {
            chosen = index;
            match pick.checked_sub(u32::from(record.weight)) {
                Some(left) if left > 0 => pick = left,
                _ => break,
            }
        }
        ordered.push(records.remove(chosen));
    }
    ordered
}

/// What the found servers are to be asked on. The DNS tells the plain port; LDAPS has its own.
pub fn url(record: &SrvRecord, security: Security) -> ServerUrl {
    let port = match (security, record.port) {
        (Security::Ldaps, 389) => 636,
        (_, port) => port,
    };
    ServerUrl { host: record.host.clone(), port, security }
}

/// Asks the DNS for domain controllers.
pub struct Locator {
    resolver: TokioResolver,
    name: String,
    security: Security,
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locator").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Locator {
    /// With the name servers of the system.
    ///
    /// # Errors
    /// What is wrong with the system's configuration, in words.
    pub fn system(domain: &str, security: Security) -> Result<Self, String> {
        let built = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        let resolver = built.map_err(|error| format!("the system's DNS configuration is of no use: {error}"))?;
        Ok(Self::with_resolver(resolver, domain, security))
    }

    /// With one name server.
    ///
    /// # Errors
    /// When no resolver can be made.
    pub fn with_name_server(server: SocketAddr, domain: &str, security: Security) -> Result<Self, String> {
        let mut udp = NameServerConfig::udp(server.ip());
        udp.connections.iter_mut().for_each(|connection| connection.port = server.port());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![udp]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Self::with_resolver(resolver, domain, security))
    }

    fn with_resolver(resolver: TokioResolver, domain: &str, security: Security) -> Self {
        // With a dot at its end, so that no search list is tried.
        let name = format!("_ldap._tcp.dc._msdcs.{}.", domain.trim_end_matches('.'));
        Locator { resolver, name, security }
    }

    /// The domain controllers in the order in which they are to be asked, and until when to believe it.
    ///
    /// # Errors
    /// Why the DNS does not say, in words.
    pub async fn find(&self, now: Instant) -> Result<(Vec<ServerUrl>, Instant), String> {
        let answer = self.resolver.srv_lookup(self.name.as_str()).await;
        let answer = answer.map_err(|error| format!("no domain controllers by {}: {error}", self.name))?;
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: srv.target.to_utf8().trim_end_matches('.').to_owned(),
            }),
            _ => None,
        });
        let ordered = in_order(records.take(MOST_SERVERS).collect(), random_below);
        if ordered.is_empty() {
            return Err(format!("no domain controllers by {}", self.name));
        }
        let believed = answer.valid_until().saturating_duration_since(now).clamp(SHORTEST, LONGEST);
        Ok((ordered.iter().map(|record| url(record, self.security)).collect(), now + believed))
    }
}

/// Good enough to spread load; no secret hangs on it.
fn random_below(bound: u32) -> u32 {
    getrandom::u32().map_or(0, |random| random % bound.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, host: &str) -> SrvRecord {
        SrvRecord { priority, weight, port: 389, host: host.into() }
    }

    fn hosts(records: &[SrvRecord]) -> Vec<&str> {
        records.iter().map(|record| record.host.as_str()).collect()
    }

    #[test]
    fn a_lower_priority_comes_first_whatever_the_weight() {
        let records = vec![record(10, 100, "b"), record(0, 0, "a"), record(20, 1, "c")];
        for pick in [0, u32::MAX] {
            let ordered = in_order(records.clone(), |bound| pick.min(bound - 1));
            assert_eq!(hosts(&ordered), ["a", "b", "c"]);
        }
    }

    #[test]
    fn within_a_priority_chance_is_in_proportion_to_weight() {
        let records = vec![record(0, 10, "light"), record(0, 90, "heavy")];
        let firsts = (0..=100).map(|pick| {
            let mut first = true;
            let ordered = in_order(records.clone(), |bound| if std::mem::take(&mut first) { pick % bound } else { 0 });
            ordered[0].host.clone()
        });
        let heavy = firsts.filter(|host| host == "heavy").count();
        assert_eq!(heavy, 90);
    }

    #[test]
    fn every_server_comes_exactly_once() {
        let records: Vec<_> = (0..20).map(|n| record(n % 3, n * 7 % 5, &format!("h{n}"))).collect();
        let mut state = 1_u32;
        let ordered = in_order(records.clone(), |bound| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state % bound
        });
        let mut sorted = hosts(&ordered);
        sorted.sort_unstable();
        let mut expected = hosts(&records);
        expected.sort_unstable();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn a_service_that_is_decidedly_not_available_is_no_server() {
        // RFC 2782: a target of "." means that there is none.
        assert!(in_order(vec![record(0, 0, "")], |_| 0).is_empty());
    }

    #[test]
    fn ldaps_gets_its_own_port() {
        assert_eq!(url(&record(0, 0, "dc1"), Security::Ldaps).port, 636);
        assert_eq!(url(&record(0, 0, "dc1"), Security::StartTls).port, 389);
        let odd = SrvRecord { port: 1389, ..record(0, 0, "dc1") };
        assert_eq!(url(&odd, Security::Ldaps).port, 1389);
    }
}
