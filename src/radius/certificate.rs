//! What a certificate that a client has shown says of it (RFC 6614 section 2.3, RFC 5280 section 4.2.1.6). Pure.
//!
//! That its authority has signed it was verified by the handshake. Wildcards name nobody in particular and fit no
//! client; a Common Name counts only where the client's section says so, and the certificate has no alternative names.

use std::net::IpAddr;

use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;

use crate::config::{CertificateName, TlsClient};

/// A certificate.
#[derive(Debug, Clone)]
pub struct Shown {
    names: Vec<CertificateName>,
    common_name: Option<String>,
    /// From when to when it is good, in seconds since 1970.
    good: (i64, i64),
}

impl Shown {
    /// Reads a certificate in DER. Nothing where it is none.
    pub fn read(der: &[u8]) -> Option<Shown> {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
        let mut names = vec![CertificateName::Fingerprint(Sha256::digest(der).into())];
        let alternative = parsed.subject_alternative_name().ok()?;
        if let Some(alternative) = &alternative {
            names.extend(alternative.value.general_names.iter().filter_map(name));
        }
        let mut common_names = parsed.subject().iter_common_name();
        let first = common_names.next().and_then(|name| name.as_str().ok());
        let only = first.filter(|_| common_names.next().is_none() && alternative.is_none());
        let validity = parsed.validity();
        Some(Shown {
            names,
            common_name: only.map(str::to_ascii_lowercase),
            good: (validity.not_before.timestamp(), validity.not_after.timestamp()),
        })
    }

    /// Whether it is good at this moment: a session that is resumed is not verified again.
    pub fn is_good(&self, seconds_since_1970: i64) -> bool {
        (self.good.0..=self.good.1).contains(&seconds_since_1970)
    }

    /// Whether it is this client's.
    pub fn fits(&self, client: &TlsClient) -> bool {
        client.certificates.iter().any(|name| {
            self.names.contains(name)
                || matches!(name, CertificateName::Dns(dns)
                    if client.common_name && self.common_name.as_deref() == Some(dns))
        })
    }
}

fn name(general: &GeneralName<'_>) -> Option<CertificateName> {
    match general {
        GeneralName::DNSName(dns) => Some(CertificateName::Dns(dns.to_ascii_lowercase())),
        GeneralName::URI(uri) => Some(CertificateName::Uri((*uri).to_owned())),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok().map(CertificateName::Ip)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn made(names: Vec<SanType>, common_name: &str) -> (Vec<u8>, Shown) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name.push(DnType::CommonName, common_name);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let shown = Shown::read(&der).unwrap();
        (der, shown)
    }

    fn client(name: CertificateName, common_name: bool) -> TlsClient {
        TlsClient { certificates: vec![name], common_name, connections: 1 }
    }

    fn dns(name: &str) -> CertificateName {
        CertificateName::Dns(name.into())
    }

    #[test]
    fn a_certificate_fits_by_any_of_its_names_and_by_no_other() {
        let names = vec![
            SanType::DnsName("NAS1.example.com".try_into().unwrap()),
            SanType::DnsName("*.branch.example.com".try_into().unwrap()),
            SanType::URI("urn:nas:1".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ];
        let (der, shown) = made(names, "other.example.com");
        let fits = |name| shown.fits(&client(name, true));
        assert!(fits(dns("nas1.example.com")));
        assert!(fits(CertificateName::Uri("urn:nas:1".into())));
        assert!(fits(CertificateName::Ip("192.0.2.1".parse().unwrap())));
        assert!(fits(CertificateName::Ip("2001:db8::1".parse().unwrap())));
        assert!(fits(CertificateName::Fingerprint(Sha256::digest(&der).into())));
        for other in [dns("nas2.example.com"), dns("a.branch.example.com"), dns("example.com"), dns("urn:nas:1")] {
            assert!(!fits(other.clone()), "{other:?}");
        }
        assert!(!fits(dns("other.example.com")), "a Common Name beside alternative names");
        assert!(!fits(CertificateName::Fingerprint([0; 32])));
    }

    #[test]
    fn a_common_name_counts_only_where_it_is_to_and_nothing_else_is_there() {
        let (_, shown) = made(Vec::new(), "NAS1.example.com");
        assert!(shown.fits(&client(dns("nas1.example.com"), true)));
        assert!(!shown.fits(&client(dns("nas1.example.com"), false)));
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        let (der, shown) = made(Vec::new(), "a");
        assert!(Shown::read(b"").is_none());
        assert!(Shown::read(&der[..der.len() - 1]).is_none());
        assert!(shown.is_good(1_800_000_000) && !shown.is_good(i64::MIN) && !shown.is_good(i64::MAX));
    }
}
