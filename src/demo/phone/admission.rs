//! Who may speak: signatures and replay protection for the protocol, and the rules that keep other web
//! pages from pressing the simulator's buttons.

use std::collections::HashSet;

use axum::http::{HeaderMap, StatusCode, Uri, header};

use crate::factor::native::signing::{Claim, Signed, Signer};

/// How far a request's time may lie from ours, in seconds. Short, because each nonce is kept for twice as
/// long, and this is a benchmark's prompt service, too.
pub(crate) const SKEW: u64 = 60;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No signature, or not of the form.
    Unsigned,
    /// Another key than ours.
    UnknownKey,
    /// Its time is too far from ours.
    Clock,
    /// The signature is not that of the request.
    Signature,
    /// Seen before.
    Replayed,
}

impl Refused {
    /// The word in the answer.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Refused::Unsigned => "unsigned",
            Refused::UnknownKey => "unknown_key",
            Refused::Clock => "clock",
            Refused::Signature => "signature",
            Refused::Replayed => "replayed",
        }
    }
}

/// The nonces of the last while, in two generations.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    young: HashSet<u128>,
    old: HashSet<u128>,
    /// When the young ones become the old ones, in seconds since 1970.
    turn: u64,
}

impl Nonces {
    /// Takes a nonce; false when it was taken before.
    fn take(&mut self, nonce: [u8; 16], now: u64) -> bool {
        if now >= self.turn {
            // A request is valid from SKEW before its time until SKEW after it: no longer than a generation.
            let young = std::mem::take(&mut self.young);
            let idle = now.saturating_sub(self.turn) > SKEW.saturating_mul(2);
            self.old = if idle { HashSet::new() } else { young };
            self.turn = now.saturating_add(SKEW.saturating_mul(2));
        }
        let nonce = u128::from_be_bytes(nonce);
        !self.old.contains(&nonce) && self.young.insert(nonce)
    }
}

/// Checks the signature first and takes the nonce only then, so that nobody without the key can fill the
/// table.
pub(crate) fn verify(
    signer: &Signer,
    nonces: &std::sync::Mutex<Nonces>,
    header: Option<&str>,
    request: (&str, &str, &[u8]),
    now: u64,
) -> Result<(), Refused> {
    let (method, target, body) = request;
    let claim = header.and_then(Claim::parse).ok_or(Refused::Unsigned)?;
    if claim.key != signer.id() {
        return Err(Refused::UnknownKey);
    }
    if claim.time.abs_diff(now) > SKEW {
        return Err(Refused::Clock);
    }
    let signed = Signed { method, target, time: claim.time, nonce: claim.nonce, body };
    if !signer.verifies(signed, &claim.signature) {
        return Err(Refused::Signature);
    }
    let mut nonces = nonces.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if nonces.take(claim.nonce, now) { Ok(()) } else { Err(Refused::Replayed) }
}

/// The path with its query, exactly as sent.
pub(crate) fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

/// Refuses requests that a foreign web page may have caused: a Host that is not this machine (DNS
/// rebinding), and for changes an Origin or Sec-Fetch-Site that is not our own.
///
/// # Errors
/// The status to answer with.
pub(crate) fn own_page(headers: &HeaderMap, changes: bool) -> Result<(), StatusCode> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !is_loopback(host) {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    if !changes {
        return Ok(());
    }
    let same_site =
        headers.get("sec-fetch-site").is_none_or(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let same_origin = headers.get(header::ORIGIN).is_none_or(|origin| {
        let place = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        place.is_some_and(|(scheme, place)| matches!(scheme, "http" | "https") && place == host)
    });
    if same_site && same_origin { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
}

/// Whether a Host header names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn nonce_is_taken_once_within_its_time() {
        let mut nonces = Nonces::default();
        assert!(nonces.take([1; 16], 1000));
        assert!(!nonces.take([1; 16], 1000));
        assert!(!nonces.take([1; 16], 1000 + 2 * SKEW));
        assert!(nonces.take([1; 16], 1000 + 7 * SKEW));
    }

    #[test]
    fn foreign_pages_are_refused() {
        let own = [("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")];
        assert_eq!(own_page(&headers(&own), true), Ok(()));
        assert_eq!(own_page(&headers(&[("host", "localhost:1")]), true), Ok(()));
        assert_eq!(own_page(&headers(&[("host", "[::1]:1")]), true), Ok(()));
        for foreign in [
            [("host", "127.0.0.1:8080"), ("origin", "http://evil.test")],
            [("host", "127.0.0.1:8080"), ("origin", "null")],
            [("host", "127.0.0.1:8080"), ("sec-fetch-site", "cross-site")],
            [("host", "127.0.0.1:8080"), ("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(own_page(&headers(&foreign), true), Err(StatusCode::FORBIDDEN), "{foreign:?}");
        }
        for host in ["evil.test", "evil.test:8080", "", "127.0.0.1.evil.test"] {
            let mut map = HeaderMap::new();
            map.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(own_page(&map, false), Err(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
    }
}
