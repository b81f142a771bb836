//! Signed assertions as a service checks them (RFC 7515, RS256). Pure.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde_json::Value;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The type of a client's assertion, as the form names it (RFC 7523 section 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The key in a `PUBLIC KEY` in PEM.
pub fn public_key(pem: &[u8]) -> Option<Vec<u8>> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    let (_, key) = SubjectPublicKeyInfo::from_der(&key).ok()?;
    Some(key.subject_public_key.data.to_vec())
}

/// The key of a certificate.
pub fn certified_key(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.public_key().subject_public_key.data.to_vec())
}

/// An assertion whose signature is right.
#[derive(Debug)]
pub struct Assertion {
    header: Value,
    claims: Value,
}

impl Assertion {
    /// Verifies and reads an assertion.
    pub fn verified(text: &str, key: &[u8]) -> Option<Assertion> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let read = |part: &str| serde_json::from_slice::<Value>(&BASE64.decode(part).ok()?).ok();
        let (header, claims) = (read(header)?, read(claims)?);
        let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let (_, algorithms) = known.mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)?;
        let signature = BASE64.decode(signature).ok()?;
        let right = |one: &&&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            one.verify_signature(key, signed.as_bytes(), &signature).is_ok()
        };
        let named = header.get("alg").and_then(Value::as_str) == Some("RS256");
        algorithms.iter().find(|one| named && right(one)).map(|_| Assertion { header, claims })
    }

    /// A text of the header; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.header.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A text of the claims; empty where it is missing.
    pub fn text(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number of the claims; 0 where it is missing.
    pub fn number(&self, name: &str) -> u64 {
        self.claims.get(name).and_then(Value::as_u64).unwrap_or_default()
    }
}
