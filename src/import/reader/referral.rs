//! Pointers to other servers, as URLs (RFC 4511 section 4.5.3, RFC 4516). Pure.

use crate::config::{Security, ServerUrl};

/// Server and base of an LDAP URL (RFC 4516), spoken to at least as safely as the server that named it.
pub(super) fn referral(text: &str, security: Security) -> Option<(ServerUrl, String)> {
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let (security, usual) = match (url.scheme(), security) {
        ("ldaps", _) => (Security::Ldaps, 636),
        // ldap:// says nothing of TLS; a directory that is spoken to in the clear is on this machine only.
        ("ldap", Security::Plaintext) if crate::config::checked::is_loopback(&host) => (Security::Plaintext, 389),
        ("ldap", Security::Ldaps) if url.port().is_none() => (Security::Ldaps, 636),
        ("ldap", _) => (Security::StartTls, 389),
        _ => return None,
    };
    let base = percent_decoded(url.path().strip_prefix('/').unwrap_or_default())?;
    if base.is_empty() {
        return None;
    }
    Some((ServerUrl { host, port: url.port().unwrap_or(usual), security }, base))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            octets.push(first);
            continue;
        }
        let (&[high, low], after) = rest.split_first_chunk::<2>()?;
        let digit = |octet: u8| char::from(octet).to_digit(16);
        octets.push(u8::try_from(digit(high)? << 4 | digit(low)?).ok()?);
        rest = after;
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referral_is_never_spoken_to_less_safely_than_its_source() {
        let followed = |text, security| referral(text, security).map(|(url, base)| (url.port, url.security, base));
        let base = "CN=Configuration,DC=corp,DC=example".to_owned();
        let url = "ldap://corp.example/CN=Configuration,DC=corp,DC=example";
        assert_eq!(followed(url, Security::StartTls), Some((389, Security::StartTls, base.clone())));
        assert_eq!(followed(url, Security::Ldaps), Some((636, Security::Ldaps, base.clone())));
        assert_eq!(followed(url, Security::Plaintext), Some((389, Security::StartTls, base)));
        assert_eq!(
            followed("ldap://127.0.0.1:1389/dc=x%2Cdc=%C3%A9", Security::Plaintext),
            Some((1389, Security::Plaintext, "dc=x,dc=é".into()))
        );
        assert_eq!(followed("http://corp.example/x", Security::Ldaps), None);
        assert_eq!(followed("ldap://corp.example", Security::Ldaps), None, "no base");
        assert_eq!(followed("ldap://corp.example/%zz", Security::Ldaps), None);
    }
}
