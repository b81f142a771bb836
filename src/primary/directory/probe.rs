//! Tries everything that a sign-in will need of a directory, server by server, for `anteroom check`. What does
//! not work is said in words, with what to do about it.

use std::time::{Duration, Instant, SystemTime};

use super::Directory;
use crate::config::{Security, ServerUrl};
use crate::ldap::filter::Filter;
use crate::ldap::pool::Connection;
use crate::ldap::result::{code, code_name};
use crate::ldap::search::{Entry, Scope, SearchRequest};
use crate::primary::Refusal;

/// What a server that works told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// Time for connection, TLS and service bind.
    pub took: Duration,
    /// When the server's certificate ends; `None` without TLS.
    pub certificate_expires: Option<SystemTime>,
    /// How far the server's clock is from ours, and whether it is ahead; `None` if it does not tell.
    pub clock: Option<ClockSkew>,
    /// When the domain locks accounts; `None` if it does not tell, or never locks.
    pub lockout: Option<Lockout>,
}

/// The difference between two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSkew {
    /// How far they are apart.
    pub apart: Duration,
    /// Whether the server's is ahead of ours.
    pub server_ahead: bool,
}

/// An Active Directory domain's lockout policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// Wrong passwords that lock an account. Our own throttle must trip below it.
    pub threshold: u32,
    /// Over how long they are counted.
    pub window: Duration,
}

impl Directory {
    /// Tries each server: connection, TLS, service bind, search base; and reads its clock, the end of its
    /// certificate and the domain's lockout policy. An error says what to do.
    pub async fn probe(&self) -> Vec<(String, Result<ProbeReport, String>)> {
        let settings = self.pool.settings();
        let within = settings.connect_timeout + settings.timeout;
        if self.located.is_some() && self.locate(Instant::now() + within).await.is_err() {
            return vec![(
                "DNS".to_owned(),
                Err(format!("no answer from the DNS within {within:?}; check the resolver")),
            )];
        }
        let servers = self.pool.urls();
        if servers.is_empty() {
            let why = "the DNS names no domain controllers; check the domain and that its DNS is asked";
            return vec![("DNS".to_owned(), Err(why.to_owned()))];
        }
        let mut reports = Vec::with_capacity(servers.len());
        let mut refused = false;
        // One after the other: a wrong service password tried on all of them at once could lock the account.
        for url in servers {
            let report = self.probe_server(&url, &mut refused).await;
            reports.push((shown(&url), report));
        }
        reports
    }

    async fn probe_server(&self, url: &ServerUrl, refused: &mut bool) -> Result<ProbeReport, String> {
        let started = Instant::now();
        let mut connection = self.pool.open(url).await?;
        let certificate_expires = connection.certificate().and_then(|der| {
            let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
            let end = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(end))
        });
        if *refused {
            return Err("the service account was not tried here, because another server has refused it".to_owned());
        }
        let limit = self.pool.settings().timeout * 4;
        let asked = self.ask(&mut connection, refused);
        let (clock, lockout, took) = tokio::time::timeout(limit, asked)
            .await
            .map_err(|_| format!("no answer within {limit:?}; the server may be overloaded"))??;
        Ok(ProbeReport { took: took.saturating_duration_since(started), certificate_expires, clock, lockout })
    }

    async fn ask(
        &self,
        connection: &mut Connection,
        refused: &mut bool,
    ) -> Result<(Option<ClockSkew>, Option<Lockout>, Instant), String> {
        let settings = self.pool.settings();
        let bound = connection.bind(settings.service_name.as_bytes(), settings.service_password.open()).await;
        let bound = bound.map_err(|trouble| format!("service bind: {trouble}"))?;
        *refused = bound.code == code::INVALID_CREDENTIALS;
        service_bind(bound.code, bound.refusal)?;
        let took = Instant::now();
        let root = |entry: &Entry<'_>| {
            let text = |attribute| entry.first_text(attribute).map(str::to_owned);
            (text("currentTime"), text("defaultNamingContext"))
        };
        let (_, root) = read(connection, "", &["currentTime", "defaultNamingContext"], root).await?;
        let (time, domain) = root.unwrap_or_default();
        let clock = time.as_deref().and_then(generalized_time).map(|server| skew(server, SystemTime::now()));
        match read(connection, &self.base, &["1.1"], |_| ()).await? {
            (code::SUCCESS, Some(())) => {}
            (code::SUCCESS | code::NO_SUCH_OBJECT, _) => {
                return Err(format!("base {:?} does not exist or may not be read; check base", self.base));
            }
            (code, _) => return Err(format!("search in {:?}: {code} {}", self.base, code_name(code))),
        }
        let mut lockout = None;
        if let Some(domain) = domain {
            let wanted = ["lockoutThreshold", "lockOutObservationWindow"];
            lockout = read(connection, &domain, &wanted, read_lockout).await?.1.flatten();
        }
        Ok((clock, lockout, took))
    }
}

/// What a service bind that did not succeed means to the admin.
fn service_bind(code: u32, refusal: Refusal) -> Result<(), String> {
    let advice = match (code, refusal) {
        (code::SUCCESS, _) => return Ok(()),
        (code::INVALID_CREDENTIALS, Refusal::LockedOut) => "the service account is locked; unlock it",
        (code::INVALID_CREDENTIALS, Refusal::Disabled) => "the service account is disabled; enable it",
        (code::INVALID_CREDENTIALS, Refusal::AccountExpired) => "the service account has expired",
        (code::INVALID_CREDENTIALS, Refusal::PasswordExpired | Refusal::MustChangePassword) => {
            "the service account's password has expired; set a new one that does not"
        }
        (code::INVALID_CREDENTIALS, _) => "bind_name or bind_password is wrong",
        (code::STRONGER_AUTH_REQUIRED, _) => "the server wants protection; use ldaps:// or StartTLS",
        (code::INVALID_DN_SYNTAX, _) => "bind_name must be a DN here",
        _ => "the server does not let the service account in",
    };
    Err(format!("service bind: {code} {}: {advice}", code_name(code)))
}

/// Reads one entry.
async fn read<T>(
    connection: &mut Connection,
    base: &str,
    attributes: &[&str],
    take: impl Fn(&Entry<'_>) -> T,
) -> Result<(u32, Option<T>), String> {
    let filter = Filter::Present("objectClass".into()).encode();
    let time_limit = Duration::ZERO;
    let request = SearchRequest { base, scope: Scope::Base, size_limit: 1, time_limit, filter: &filter, attributes };
    let (code, mut found) = connection.search(&request, take).await.map_err(|trouble| format!("search: {trouble}"))?;
    Ok((code, found.pop()))
}

fn read_lockout(entry: &Entry<'_>) -> Option<Lockout> {
    let threshold = entry.first_text("lockoutThreshold")?.parse().ok().filter(|&threshold| threshold > 0)?;
    // Negative, in steps of 100 nanoseconds.
    let window: i64 = entry.first_text("lockOutObservationWindow")?.parse().ok()?;
    Some(Lockout { threshold, window: Duration::from_nanos(window.unsigned_abs().saturating_mul(100)) })
}

/// A GeneralizedTime in UTC (RFC 4517 section 3.3.13), fractions left out.
fn generalized_time(text: &str) -> Option<SystemTime> {
    if !text.ends_with('Z') {
        return None;
    }
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text.get(..14)?).ok()?;
    let zoned = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().into())
}

fn skew(server: SystemTime, ours: SystemTime) -> ClockSkew {
    match server.duration_since(ours) {
        Ok(apart) => ClockSkew { apart, server_ahead: true },
        Err(error) => ClockSkew { apart: error.duration(), server_ahead: false },
    }
}

/// A server as the configuration would have it.
fn shown(url: &ServerUrl) -> String {
    let scheme = if url.security == Security::Ldaps { "ldaps" } else { "ldap" };
    if url.host.contains(':') {
        format!("{scheme}://[{}]:{}", url.host, url.port)
    } else {
        format!("{scheme}://{}:{}", url.host, url.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generalized_times_are_understood() {
        let time =
            |text| generalized_time(text)?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs());
        assert_eq!(time("19700101000001.0Z"), Some(1));
        assert_eq!(time("20261122031728Z"), Some(1_795_317_448));
        for bad in ["", "2026", "20261322031728.0Z", "20261122031728", "é0261122031728.0Z"] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn servers_are_shown_as_urls() {
        let url = |host: &str, security| ServerUrl { host: host.into(), port: 636, security };
        assert_eq!(shown(&url("dc1.test", Security::Ldaps)), "ldaps://dc1.test:636");
        assert_eq!(shown(&url("::1", Security::StartTls)), "ldap://[::1]:636");
    }
}
