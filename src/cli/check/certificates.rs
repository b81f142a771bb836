//! Certificates and keys in files: do they belong together, and how long are they good?

use std::path::Path;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::Finding;
use crate::config::{Config, RadiusServers};

/// A certificate that ends sooner than this many days from now is worth a warning.
const SOON: i64 = 30;

/// Looks at every certificate that the configuration names.
pub fn check(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(files) = &config.ldap.certificate {
        findings.extend(pair("ldap certificate", &files.chain, &files.key, now));
    }
    if let Some(door) = &config.radius.tls {
        findings.extend(pair("radius.tls certificate", &door.certificate.chain, &door.certificate.key, now));
        findings.extend(authorities("radius.tls client_ca_file", &door.client_ca, now));
        findings.extend(door.client_crl.iter().map(|file| revocations("radius.tls client_crl_file", file, now)));
    }
    for target in config.radius_targets.values() {
        let RadiusServers::Tls(over_tls) = &target.servers else { continue };
        if let Some(files) = &over_tls.certificate {
            findings.extend(pair(&format!("target {} certificate", target.name), &files.chain, &files.key, now));
        }
        if let Some(file) = &over_tls.ca {
            findings.extend(authorities(&format!("target {} ca_file", target.name), file, now));
        }
    }
    for provider in config.providers.values() {
        let what = format!("provider {}", provider.name());
        if let Some((certificate, key)) = provider.certificate() {
            findings.extend(pair(&format!("{what} certificate"), certificate, key, now));
        }
        if let Some(file) = provider.common().and_then(|common| common.outbound.ca_file.as_deref()) {
            findings.extend(authorities(&format!("{what} ca_file"), file, now));
        }
    }
    for target in config.targets.values() {
        if let Some(file) = &target.ca_file {
            findings.extend(authorities(&format!("target {} ca_file", target.name), file, now));
        }
    }
    findings
}

/// A certificate chain with its private key.
fn pair(what: &str, certificate: &Path, key: &Path, now: Timestamp) -> Vec<Finding> {
    let chain = match read_chain(certificate) {
        Ok(chain) => chain,
        Err(finding) => return vec![finding.of(what, certificate)],
    };
    let Ok(private) = PrivateKeyDer::from_pem_file(key) else {
        return vec![Unreadable("no private key in PEM").of(what, key)];
    };
    let mut findings = vec![match CertifiedKey::from_der(chain.clone(), private, &aws_lc_rs::default_provider()) {
        Ok(_) => Finding::ok(what, "certificate and key belong together"),
        Err(rustls::Error::InconsistentKeys(_)) => Finding::fail(
            what,
            "certificate and key do not belong together",
            format!("take the key that {} was made with", certificate.display()),
        ),
        Err(error) => Finding::fail(what, error.to_string(), "take an EC or RSA key that is not encrypted"),
    }];
    findings.extend(chain.iter().map(|certificate| validity(what, certificate, now)));
    findings
}

/// Extra certificate authorities.
fn authorities(what: &str, file: &Path, now: Timestamp) -> Vec<Finding> {
    match read_chain(file) {
        Ok(chain) => chain.iter().map(|certificate| validity(what, certificate, now)).collect(),
        Err(finding) => vec![finding.of(what, file)],
    }
}

/// Lists of revoked certificates: the server refuses to start with one that it cannot read.
fn revocations(what: &str, file: &Path, now: Timestamp) -> Finding {
    let advice = "write it in PEM (-----BEGIN X509 CRL-----)";
    let lists = CertificateRevocationListDer::pem_file_iter(file).map(|lists| lists.collect::<Result<Vec<_>, _>>());
    let lists = match lists {
        Ok(Ok(lists)) if !lists.is_empty() => lists,
        Ok(_) => return Finding::fail(what, format!("{}: no list in PEM", file.display()), advice),
        Err(_) => return Finding::fail(what, format!("{}: cannot be read", file.display()), advice),
    };
    let mut ends = Vec::new();
    for list in &lists {
        let Ok((_, parsed)) = x509_parser::parse_x509_crl(list) else {
            return Finding::fail(what, format!("{}: a list is damaged", file.display()), advice);
        };
        ends.extend(parsed.next_update().map(|end| end.timestamp()));
    }
    match ends.into_iter().min().filter(|end| *end < now.as_second()) {
        Some(end) => {
            let detail = format!("a newer list should have come by {}", day(end));
            Finding::warn(what, detail, "fetch it: who was revoked since then still comes in")
        }
        None => Finding::ok(what, "certificates on it are refused"),
    }
}

/// The day of a moment, in seconds since 1970.
fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

struct Unreadable(&'static str);

impl Unreadable {
    fn of(self, what: &str, file: &Path) -> Finding {
        Finding::fail(what, format!("{}: {}", file.display(), self.0), "write it in PEM (-----BEGIN …-----)")
    }
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|_| Unreadable("cannot be read"))?;
    let chain: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|_| Unreadable("is damaged"))?;
    if chain.is_empty() { Err(Unreadable("no certificate in PEM")) } else { Ok(chain) }
}

/// From when to when a certificate is good.
fn validity(what: &str, certificate: &CertificateDer<'_>, now: Timestamp) -> Finding {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        return Finding::fail(what, "the certificate cannot be read", "write it in PEM, X.509");
    };
    let name = parsed.subject().to_string();
    let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    let now = now.as_second();
    if until < now {
        Finding::fail(what, format!("{name} has expired on {}", day(until)), "renew it")
    } else if from > now {
        Finding::fail(what, format!("{name} is good only from {}", day(from)), "look at this machine's clock")
    } else if until - now < SOON * 86_400 {
        Finding::warn(what, format!("{name} expires on {}", day(until)), "renew it soon")
    } else {
        Finding::ok(what, format!("{name} is good until {}", day(until)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    struct Made {
        folder: tempfile::TempDir,
    }

    impl Made {
        fn new() -> Self {
            let made = Made { folder: tempfile::tempdir().unwrap() };
            for name in ["one", "other"] {
                let made_here = rcgen::generate_simple_self_signed(vec![format!("{name}.example.com")]).unwrap();
                std::fs::write(made.path(&format!("{name}.pem")), made_here.cert.pem()).unwrap();
                std::fs::write(made.path(&format!("{name}.key")), made_here.signing_key.serialize_pem()).unwrap();
            }
            made
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.folder.path().join(name)
        }
    }

    #[test]
    fn certificate_and_its_key_belong_together() {
        let made = Made::new();
        let findings = pair("p", &made.path("one.pem"), &made.path("one.key"), Timestamp::now());
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:?}");
    }

    #[test]
    fn certificate_with_another_key_fails() {
        let made = Made::new();
        let findings = pair("p", &made.path("one.pem"), &made.path("other.key"), Timestamp::now());
        assert_eq!(findings[0].level, Level::Fail);
        assert!(findings[0].detail.contains("do not belong together"), "{findings:?}");
    }

    #[test]
    fn certificate_and_key_in_each_others_place_fail() {
        let made = Made::new();
        let findings = pair("p", &made.path("one.key"), &made.path("one.pem"), Timestamp::now());
        assert_eq!((findings.len(), findings[0].level), (1, Level::Fail));
    }

    #[test]
    fn lists_of_revoked_certificates_are_read_and_old_ones_told() {
        use rcgen::{CertificateParams, CertificateRevocationListParams, IsCa, KeyIdMethod, KeyPair};

        let made = Made::new();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
        let authority = rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2026, 2, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(made.path("list.pem"), list.signed_by(&authority).unwrap().pem().unwrap()).unwrap();
        let at = |file: &str, day: &str| revocations("crl", &made.path(file), day.parse().unwrap());
        assert_eq!(at("list.pem", "2026-01-15T00:00:00Z").level, Level::Ok);
        let old = at("list.pem", "2026-02-02T00:00:00Z");
        assert_eq!(old.level, Level::Warn);
        assert!(old.detail.contains("2026-02-01"), "{old}");
        for file in ["one.pem", "missing.pem"] {
            assert_eq!(at(file, "2026-01-15T00:00:00Z").level, Level::Fail, "{file}");
        }
    }

    #[test]
    fn certificate_before_and_after_its_time_fails() {
        let made = Made::new();
        for day in ["1970-01-02T00:00:00Z", "9000-01-01T00:00:00Z"] {
            let findings = authorities("ca", &made.path("one.pem"), day.parse().unwrap());
            assert_eq!(findings[0].level, Level::Fail, "{day}");
        }
    }
}
