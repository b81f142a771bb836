//! Signed assertions (RFC 7523): a JSON web token that proves possession of a certificate's or a registered key,
//! RS256 (RFC 7518 section 3.3) by the TLS library's own signer.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use serde_json::{Map, Value, json};
use sha2::Digest as _;

/// What may be wrong with the key or its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionError {
    /// No private key in PEM.
    NoKey,
    /// Not an RSA key.
    NotRsa,
    /// No certificate in PEM.
    NoCertificate,
    /// The library cannot sign.
    Unsigned,
}

impl fmt::Display for AssertionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AssertionError::NoKey => "no private key in PEM",
            AssertionError::NotRsa => "the private key is not an RSA key",
            AssertionError::NoCertificate => "no certificate in PEM",
            AssertionError::Unsigned => "the key cannot sign",
        })
    }
}

impl std::error::Error for AssertionError {}

/// A key that signs assertions.
pub struct Assertion {
    key: Arc<dyn SigningKey>,
    header: Map<String, Value>,
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion").field("header", &self.header).finish_non_exhaustive()
    }
}

impl Assertion {
    /// A key in PEM, and the certificate that names it to the other side by its thumbprints.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn from_pem(key: &[u8], certificate: Option<&[u8]>) -> Result<Self, AssertionError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| AssertionError::NoKey)?;
        let key = any_supported_type(&key).map_err(|_| AssertionError::NoKey)?;
        if key.algorithm() != SignatureAlgorithm::RSA {
            return Err(AssertionError::NotRsa);
        }
        let mut header = Map::from_iter([("alg".to_owned(), json!("RS256")), ("typ".to_owned(), json!("JWT"))]);
        if let Some(certificate) = certificate {
            let certificate = CertificateDer::from_pem_slice(certificate).map_err(|_| AssertionError::NoCertificate)?;
            let sha1 = URL_SAFE_NO_PAD.encode(sha1::Sha1::digest(&certificate));
            let sha256 = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&certificate));
            header.insert("x5t".to_owned(), sha1.into());
            header.insert("x5t#S256".to_owned(), sha256.into());
        }
        Ok(Assertion { key, header })
    }

    /// Names the key by an id of the other side's.
    #[must_use]
    pub fn with_key_id(mut self, id: &str) -> Self {
        self.header.insert("kid".to_owned(), id.into());
        self
    }

    /// Signs claims.
    ///
    /// # Errors
    /// When the library cannot.
    pub fn sign(&self, claims: &Value) -> Result<String, AssertionError> {
        let part = |value: &[u8]| URL_SAFE_NO_PAD.encode(value);
        let header = serde_json::to_vec(&self.header).map_err(|_| AssertionError::Unsigned)?;
        let mut token = format!("{}.{}", part(&header), part(claims.to_string().as_bytes()));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(AssertionError::NotRsa)?;
        let signature = signer.sign(token.as_bytes()).map_err(|_| AssertionError::Unsigned)?;
        token.push('.');
        token.push_str(&part(&signature));
        Ok(token)
    }
}
