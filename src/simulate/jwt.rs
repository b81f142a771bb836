//! Signed assertions as a service checks them (RFC 7515, RS256). Pure.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rustls::SignatureScheme;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Header and claims of an assertion whose signature is right. `public_key` is a `PUBLIC KEY` in PEM.
pub fn verified(assertion: &str, public_key: &[u8]) -> Option<(Value, Value)> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let read = |part: &str| serde_json::from_slice::<Value>(&BASE64.decode(part).ok()?).ok();
    let (header, claims) = (read(header)?, read(claims)?);
    let key = SubjectPublicKeyInfoDer::from_pem_slice(public_key).ok()?;
    let (_, key) = SubjectPublicKeyInfo::from_der(&key).ok()?;
    let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let (_, algorithms) = known.mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)?;
    let signature = BASE64.decode(signature).ok()?;
    let right = |one: &&&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
        one.verify_signature(&key.subject_public_key.data, signed.as_bytes(), &signature).is_ok()
    };
    algorithms.iter().find(|one| right(one)).map(|_| (header, claims))
}
