//! Signed requests to Duo: what is signed, to the byte, and by which digest. Pure; the simulator verifies with it what
//! Duo's own client proves against.
//!
//! ```text
//! version 2          version 5
//! date               date
//! METHOD             METHOD
//! host               host
//! path               path
//! parameters         query parameters (an empty line where there are none)
//!                    SHA-512 of the body, in hexadecimal
//!                    SHA-512 of the X-Duo-… headers: name NUL value NUL …, sorted by name
//! ```
//!
//! Lines are joined by one line feed, without one at the end.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::config::DuoSignature;

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The `Date` header, as sent.
    pub date: &'a str,
    /// In capitals.
    pub method: &'a str,
    /// Host name without the port, in lower case.
    pub host: &'a str,
    /// Path without the query.
    pub path: &'a str,
    /// Parameters of the query (version 5), or of query and form (version 2), in their canonical form.
    pub params: &'a str,
    /// The body as sent.
    pub body: &'a [u8],
    /// `X-Duo-…` headers: names in lower case, sorted.
    pub headers: &'a [(String, String)],
}

/// Parameters in their canonical form: encoded, sorted by encoded name, then by encoded value.
pub fn canonical_params<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = params.into_iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Percent encoding that leaves only letters, digits and `_ . ~ -` bare.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'.' | b'~' | b'-') {
            out.push(char::from(octet));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

/// What is signed, as text.
pub fn canonical(version: DuoSignature, signed: &Signed<'_>) -> Zeroizing<String> {
    let Signed { date, method, host, path, params, .. } = signed;
    let mut text = format!("{date}\n{method}\n{host}\n{path}\n{params}");
    if version == DuoSignature::V5 {
        let headers: Vec<String> = signed.headers.iter().map(|(name, value)| format!("{name}\0{value}")).collect();
        let _ = write!(text, "\n{}\n{}", sha512(signed.body), sha512(headers.join("\0").as_bytes()));
    }
    Zeroizing::new(text)
}

fn sha512(octets: &[u8]) -> String {
    hex(&Sha512::digest(octets))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// The signature of a canonical text: HMAC-SHA512, in hexadecimal.
pub fn signature(skey: &[u8], canonical: &str) -> String {
    mac::<Hmac<Sha512>>(skey, canonical)
}

fn mac<M: Mac + KeyInit>(skey: &[u8], canonical: &str) -> String {
    // A key of any length is one for HMAC (RFC 2104 section 2).
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(skey) else { return String::new() };
    mac.update(canonical.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// The `Authorization` header of a signature.
pub fn authorization(ikey: &str, signature: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{ikey}:{signature}")))
}

/// Key and signature of an `Authorization` header.
pub fn opened(header: &str) -> Option<(String, String)> {
    let pair = STANDARD.decode(header.strip_prefix("Basic ")?.trim()).ok()?;
    let (ikey, signature) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((ikey.to_owned(), signature.to_owned()))
}

/// Whether a signature is right. Old clients sign version 2 with SHA-1, newer ones with SHA-512.
pub fn verify(version: DuoSignature, skey: &[u8], canonical: &str, given: &str) -> bool {
    let right = |expected: String| bool::from(expected.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()));
    right(signature(skey, canonical)) || (version == DuoSignature::V2 && right(mac::<Hmac<Sha1>>(skey, canonical)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation's own test data (duo_client, BSD-3-Clause: key, parameters and results).
    #[test]
    fn parameters_are_sorted_and_encoded() {
        let params = [("realname", "First Last"), ("username", "root"), ("a", "~-._ é"), ("a", "")];
        assert_eq!(canonical_params(params), "a=&a=~-._%20%C3%A9&realname=First%20Last&username=root");
        assert_eq!(canonical_params([]), "");
    }

    fn example<'a>() -> Signed<'a> {
        Signed {
            date: "Tue, 21 Aug 2012 17:29:18 -0000",
            method: "POST",
            host: "api-xxxxxxxx.duosecurity.com",
            path: "/auth/v2/auth",
            params: "factor=push&username=alice",
            body: b"{}",
            headers: &[],
        }
    }

    #[test]
    fn version_five_signs_body_and_headers_too() {
        let empty = sha512(b"");
        assert!(empty.starts_with("cf83e135") && empty.ends_with("27da3e"));
        let text = canonical(DuoSignature::V5, &Signed { params: "", body: b"", ..example() });
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines.len(), 7);
        assert_eq!((lines[4], lines[5], lines[6]), ("", &*empty, &*empty));
        assert_eq!(canonical(DuoSignature::V2, &example()).split('\n').count(), 5);
        let headers = [("x-duo-a".to_owned(), "1".to_owned()), ("x-duo-b".to_owned(), "2".to_owned())];
        let text = canonical(DuoSignature::V5, &Signed { headers: &headers, ..example() });
        assert!(text.ends_with(&sha512(b"x-duo-a\x001\x00x-duo-b\x002")));
    }

    #[test]
    fn any_change_breaks_the_signature() {
        let skey = b"a-secret-key";
        for version in [DuoSignature::V2, DuoSignature::V5] {
            let text = canonical(version, &example());
            let good = signature(skey, &text);
            assert!(verify(version, skey, &text, &good));
            assert!(!verify(version, b"another-key", &text, &good));
            for changed in [
                Signed { date: "x", ..example() },
                Signed { method: "GET", ..example() },
                Signed { host: "x", ..example() },
                Signed { path: "/auth/v2/preauth", ..example() },
                Signed { params: "factor=push&username=mallory", ..example() },
            ] {
                assert!(!verify(version, skey, &canonical(version, &changed), &good));
            }
        }
        let text = canonical(DuoSignature::V5, &example());
        let good = signature(skey, &text);
        let other = canonical(DuoSignature::V5, &Signed { body: b"{ }", ..example() });
        assert!(!verify(DuoSignature::V5, skey, &other, &good));
        // SHA-1 is good for version 2 only
        assert!(verify(DuoSignature::V2, skey, &text, &mac::<Hmac<Sha1>>(skey, &text)));
        assert!(!verify(DuoSignature::V5, skey, &text, &mac::<Hmac<Sha1>>(skey, &text)));
    }

    #[test]
    fn header_is_opened_as_it_was_made() {
        let header = authorization("DIXXX", "abc");
        assert_eq!(opened(&header), Some(("DIXXX".into(), "abc".into())));
        assert_eq!(opened("Bearer x"), None);
        assert_eq!(opened("Basic !!!"), None);
    }
}
