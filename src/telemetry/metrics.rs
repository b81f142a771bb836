//! The numbers at `GET /metrics`.
//!
//! Every label has a bounded set of values: clients, providers and servers of the configuration, reasons and
//! verdicts of this program. What a stranger sends never becomes a label. Counting a sign-in costs one look
//! into a small map and one atomic addition; series appear when they are first counted.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::signin::outcome::{Reason, Verdict};

/// Upper ends of the buckets for a directory's answer, in seconds.
const PRIMARY_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// Upper ends of the buckets for whatever waits for a person, in seconds.
const PERSON_BUCKETS: [f64; 10] = [0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0];

/// Directory servers that are told apart, at most: DNS may name as many as it likes.
const SERVERS: usize = 256;

/// What the series of a client whose name is not in the configuration are counted under.
const OTHER: &str = "(other)";

type Labels<const N: usize> = [(&'static str, Box<str>); N];

/// Where an audit event was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LostAt {
    /// The queue to the writer was full or closed: it is in neither place.
    Queue,
    /// The file of JSON lines could not be written.
    File,
    /// The store could not be written.
    Store,
}

/// Every number of this server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sign_ins: Family<Labels<3>, Counter>,
    rules: Family<Labels<2>, Counter>,
    clients: HashMap<Box<str>, Cells>,
    other: Cells,
    discards: Family<Labels<1>, Counter>,
    requests: Family<Labels<2>, Counter>,
    lost: [Counter; 3],
    providers: Family<Labels<1>, Gauge>,
    servers: Family<Labels<2>, Gauge>,
    target_drops: Family<Labels<2>, Counter>,
    known_servers: Mutex<HashSet<Labels<2>>>,
    ldap_refused: Family<Labels<1>, Counter>,
    radius_tls_ended: Family<Labels<1>, Counter>,
    accounting_waiting: Family<Labels<1>, Gauge>,
    radius_changes: Family<Labels<4>, Counter>,
    /// Addresses that a service account had not used before.
    pub service_addresses: Counter,
    /// Connections to the LDAP door that are open now.
    pub ldap_connections: Gauge,
    /// Connections to the RADIUS door for TLS.
    pub radius_tls_connections: Gauge,
    /// Sign-ins that are held now.
    pub held: Gauge,
    /// How long the directory took to check a password.
    pub primary: Histogram,
    /// How long people took to answer.
    pub factor: Histogram,
    /// From a request's arrival to the end of the sign-in.
    pub total: Histogram,
    /// RADIUS requests that were received again (RFC 5080 section 2.2.2).
    pub retransmissions: Counter,
    /// Retries of a client that joined a running hold.
    pub joins: Counter,
    /// Approvals that came too late and were used by the client's retry.
    pub carry_overs: Counter,
    /// Fraud reports that came after their sign-in had ended.
    pub late_frauds: Counter,
}

/// The counters of one client by reason and verdict, resolved when first used.
#[derive(Debug)]
struct Cells {
    name: Box<str>,
    cells: Vec<[OnceLock<Counter>; 3]>,
}

impl Cells {
    fn new(name: &str) -> Self {
        Cells { name: name.into(), cells: Reason::ALL.iter().map(|_| Default::default()).collect() }
    }
}

/// Counters by labels, registered.
fn family<const LABELS: usize>(registry: &mut Registry, name: &str, help: &str) -> Family<Labels<LABELS>, Counter> {
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

impl Metrics {
    /// The numbers of a server with these clients.
    pub fn new<'a>(clients: impl IntoIterator<Item = &'a str>) -> Self {
        let mut registry = Registry::with_prefix("anteroom");
        let sign_ins = family(&mut registry, "sign_ins", "Sign-ins that ended, by client, verdict and reason");
        let rules = family(&mut registry, "rules", "Sign-ins that ended by a rule of the configuration, by verdict");
        let held = Gauge::default();
        registry.register("held_sign_ins", "Sign-ins held now", held.clone());
        let ldap_connections = Gauge::default();
        registry.register("ldap_connections", "Connections to the LDAP door", ldap_connections.clone());
        let ldap_refused = family(&mut registry, "ldap_refused", "LDAP connections refused or ended, by cause");
        let radius_tls_connections = Gauge::default();
        registry.register("radius_tls_connections", "RADIUS connections over TLS", radius_tls_connections.clone());
        let help = "RADIUS connections over TLS that were not served or were cut off, by cause";
        let radius_tls_ended = family(&mut registry, "radius_tls_ended", help);
        let accounting_waiting = Family::default();
        registry.register("accounting_waiting", "Accounting records for targets", accounting_waiting.clone());
        let radius_changes = family(
            &mut registry,
            "radius_changes",
            "CoA and Disconnect requests that were relayed, by target, client, kind and answer",
        );
        let mut histogram = |name: &str, help: &str, buckets: [f64; 10]| {
            let histogram = Histogram::new(buckets);
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
            histogram
        };
        let primary = histogram("primary_duration", "Time to check a password", PRIMARY_BUCKETS);
        let factor = histogram("factor_duration", "Time until a prompt was answered", PERSON_BUCKETS);
        let total = histogram("sign_in_duration", "Time from request to verdict", PERSON_BUCKETS);
        let discards = Family::default();
        registry.register("radius_discards", "RADIUS packets dropped without an answer, by cause", discards.clone());
        let help = "Access-Requests by client and whether they carried a Message-Authenticator";
        let requests = family(&mut registry, "radius_requests", help);
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let retransmissions = counter("radius_retransmissions", "RADIUS requests received again");
        let joins = counter("joins", "Retries that joined a running hold");
        let carry_overs = counter("carry_overs", "Late approvals that were used by a retry");
        let late_frauds = counter("late_fraud_reports", "Fraud reports that came after their sign-in had ended");
        let service_addresses = counter("service_addresses", "New addresses that service accounts came from");
        let lost_family = Family::<Labels<1>, Counter>::default();
        registry.register("audit_lost", "Audit events that could not be written, by place", lost_family.clone());
        let lost = ["queue", "file", "store"].map(|place| lost_family.get_or_create_owned(&[("place", place.into())]));
        let providers = Family::default();
        registry.register("provider_up", "Whether a provider of second factors answers", providers.clone());
        let servers = Family::default();
        registry.register("directory_server_up", "Whether a directory server answers", servers.clone());
        let help = "Datagrams from RADIUS targets dropped, by target and cause";
        let target_drops = family(&mut registry, "radius_target_drops", help);
        let clients = clients.into_iter().map(|name| (Box::from(name), Cells::new(name))).collect();
        Metrics {
            registry,
            sign_ins,
            rules,
            clients,
            other: Cells::new(OTHER),
            discards,
            requests,
            lost,
            providers,
            servers,
            target_drops,
            known_servers: Mutex::default(),
            ldap_refused,
            ldap_connections,
            radius_tls_ended,
            radius_tls_connections,
            accounting_waiting,
            radius_changes,
            service_addresses,
            held,
            primary,
            factor,
            total,
            retransmissions,
            joins,
            carry_overs,
            late_frauds,
        }
    }

    /// Counts the end of a sign-in.
    pub fn count_sign_in(&self, client: &str, verdict: Verdict, reason: Reason) {
        let client = self.clients.get(client).unwrap_or(&self.other);
        let column = match verdict {
            Verdict::Accept => 0,
            Verdict::Reject => 1,
            Verdict::Discard => 2,
            // No end: the sign-in is counted with its last round.
            Verdict::Challenge => return,
        };
        // The order of Reason::ALL is the order of declaration, so the discriminant is the row.
        if let Some(cell) = client.cells.get(reason as usize).and_then(|row| row.get(column)) {
            cell.get_or_init(|| {
                self.sign_ins.get_or_create_owned(&[
                    ("client", client.name.clone()),
                    ("verdict", verdict.word().into()),
                    ("reason", reason.code().into()),
                ])
            })
            .inc();
        }
    }

    /// Counts the end of a sign-in for which a rule of the configuration counted.
    pub fn count_rule(&self, rule: &str, verdict: Verdict) {
        self.rules.get_or_create_owned(&[("rule", rule.into()), ("verdict", verdict.word().into())]).inc();
    }

    /// The counter of dropped RADIUS packets of one cause. For keeping: taking it costs a lock and a hash.
    pub fn discards(&self, cause: &'static str) -> Counter {
        self.discards.get_or_create_owned(&[("cause", cause.into())])
    }

    /// How many datagrams of a RADIUS target were dropped for one cause since the start.
    pub fn target_drops(&self, target: &str, cause: &'static str, count: u64) {
        let counter: Counter =
            self.target_drops.get_or_create_owned(&[("target", target.into()), ("cause", cause.into())]);
        counter.inc_by(count.saturating_sub(counter.get()));
    }

    /// The counter of RADIUS connections over TLS that were not served or were cut off for one cause.
    pub fn radius_tls_ended(&self, cause: &'static str) -> Counter {
        self.radius_tls_ended.get_or_create_owned(&[("cause", cause.into())])
    }

    /// The counter of LDAP connections that were not served or were ended for this cause.
    pub fn ldap_refused(&self, cause: &'static str) -> Counter {
        self.ldap_refused.get_or_create_owned(&[("cause", cause.into())])
    }

    /// Counts audit events that could not be written.
    pub fn audit_lost(&self, at: LostAt, events: u64) {
        let [queue, file, store] = &self.lost;
        match at {
            LostAt::Queue => queue.inc_by(events),
            LostAt::File => file.inc_by(events),
            LostAt::Store => store.inc_by(events),
        };
    }

    /// Notes how many verified requests of a client carried a Message-Authenticator, and how many did not.
    pub fn radius_requests(&self, client: &str, signed: u64, unsigned: u64) {
        for (word, seen) in [("yes", signed), ("no", unsigned)] {
            let counter = self.requests.get_or_create_owned(&[("client", client.into()), ("signed", word.into())]);
            counter.inc_by(seen.saturating_sub(counter.get()));
        }
    }

    /// Notes how many accounting records wait for a target.
    pub fn accounting_waiting(&self, target: &str, records: u64) {
        let gauge = self.accounting_waiting.get_or_create(&[("target", target.into())]).clone();
        gauge.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// The counter of changes of sessions that a target asked of a client. `kind`: coa, disconnect; `answer`: ack, nak, or
    /// none where the client gave none.
    pub fn radius_changes(&self, (target, client): (&str, &str), kind: &'static str, answer: &'static str) -> Counter {
        let labels =
            [("target", target.into()), ("client", client.into()), ("kind", kind.into()), ("answer", answer.into())];
        self.radius_changes.get_or_create_owned(&labels)
    }

    /// Notes whether a provider answers.
    pub fn provider_up(&self, provider: &str, up: bool) {
        self.providers.get_or_create(&[("provider", provider.into())]).set(i64::from(up));
    }

    /// Notes whether a server of a directory answers. Servers beyond the first 256 are left out.
    pub fn directory_server_up(&self, target: &str, server: &str, up: bool) {
        let labels = [("target", target.into()), ("server", server.into())];
        let mut known = self.known_servers.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&labels) {
            if known.len() >= SERVERS {
                return;
            }
            known.insert(labels.clone());
        }
        self.servers.get_or_create(&labels).set(i64::from(up));
    }

    /// Everything in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        if encode(&mut text, &self.registry).is_err() {
            // A String takes any text, and our labels need no encoder that could fail.
            tracing::error!("the metrics could not be written as text");
        }
        text
    }
}

/// Notes a duration.
pub(crate) fn observe(histogram: &Histogram, duration: Option<Duration>) {
    if let Some(duration) = duration {
        histogram.observe(duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_cell_of_its_own() {
        let metrics = Metrics::new(["vpn"]);
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            for _ in 0..=index {
                metrics.count_sign_in("vpn", Verdict::Reject, *reason);
            }
        }
        let text = metrics.text();
        for (index, reason) in Reason::ALL.iter().enumerate() {
            let line = format!(
                "anteroom_sign_ins_total{{client=\"vpn\",verdict=\"reject\",reason=\"{reason}\"}} {}\n",
                index + 1
            );
            assert!(text.contains(&line), "{line}");
        }
        assert!(!text.contains("verdict=\"accept\""));
    }

    #[test]
    fn a_stranger_makes_no_series() {
        let metrics = Metrics::new(["vpn"]);
        for number in 0..1000 {
            metrics.count_sign_in(&format!("made-up-{number}"), Verdict::Discard, Reason::Internal);
            metrics.directory_server_up("corp", &format!("dc{number}.example.com"), true);
        }
        metrics.directory_server_up("corp", "dc3.example.com", false);
        let text = metrics.text();
        assert!(text.contains(r#"{client="(other)",verdict="discard",reason="internal_error"} 1000"#), "{text}");
        assert!(text.contains(r#"{target="corp",server="dc3.example.com"} 0"#));
        assert_eq!(text.matches("directory_server_up{").count(), SERVERS);
    }

    #[test]
    fn the_text_has_every_kind_of_number() {
        let metrics = Metrics::new([]);
        metrics.held.inc();
        metrics.discards("bad_length").inc();
        metrics.audit_lost(LostAt::Store, 3);
        metrics.provider_up("cloud", true);
        observe(&metrics.total, Some(Duration::from_millis(20)));
        observe(&metrics.primary, None);
        let text = metrics.text();
        for line in [
            "anteroom_held_sign_ins 1\n",
            "anteroom_radius_discards_total{cause=\"bad_length\"} 1\n",
            "anteroom_audit_lost_total{place=\"store\"} 3\n",
            "anteroom_audit_lost_total{place=\"queue\"} 0\n",
            "anteroom_provider_up{provider=\"cloud\"} 1\n",
            "anteroom_sign_in_duration_seconds_count 1\n",
            "anteroom_sign_in_duration_seconds_bucket{le=\"0.1\"} 1\n",
            "anteroom_primary_duration_seconds_count 0\n",
            "anteroom_joins_total 0\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
