//! Signed assertions: a JSON Web Token that says who we are, in place of a secret (RFC 7523, RFC 7515, RS256).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use serde_json::{Map, Value};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::factor::http::BuildError;

/// A key that signs assertions, with the thumbprints of its certificate where it has one.
pub struct Assertion {
    key: Arc<dyn SigningKey>,
    /// `x5t` (SHA-1) and `x5t#S256`, RFC 7515 sections 4.1.7 and 4.1.8.
    thumbprints: Option<(String, String)>,
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion")
            .field("x5t", &self.thumbprints.as_ref().map(|(sha1, _)| sha1))
            .finish_non_exhaustive()
    }
}

impl Assertion {
    /// Takes an RSA key (PKCS#8 or PKCS#1) and, where the service finds the key by it, its certificate, all in PEM.
    ///
    /// # Errors
    /// When the key is none, or no RSA key, or the certificate is none.
    pub fn from_pem(key: &[u8], certificate: Option<&[u8]>) -> Result<Self, BuildError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| BuildError::AssertionKey)?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|_| BuildError::AssertionKey)?;
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(BuildError::AssertionKey)?;
        let thumbprints = certificate.map(|pem| {
            let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| BuildError::AssertionKey)?;
            Ok((BASE64.encode(Sha1::digest(&certificate)), BASE64.encode(Sha256::digest(&certificate))))
        });
        Ok(Assertion { key, thumbprints: thumbprints.transpose()? })
    }

    /// Signs claims. `header` holds what the header has besides the algorithm and the thumbprints. `None` when the
    /// library cannot sign.
    pub fn sign(&self, header: &Map<String, Value>, claims: &Value) -> Option<String> {
        let mut header = header.clone();
        header.insert("alg".to_owned(), "RS256".into());
        header.insert("typ".to_owned(), "JWT".into());
        if let Some((sha1, sha256)) = &self.thumbprints {
            header.insert("x5t".to_owned(), sha1.as_str().into());
            header.insert("x5t#S256".to_owned(), sha256.as_str().into());
        }
        let mut token = BASE64.encode(serde_json::to_vec(&header).ok()?);
        token.push('.');
        token.push_str(&BASE64.encode(serde_json::to_vec(claims).ok()?));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?;
        let signature = signer.sign(token.as_bytes()).ok()?;
        token.push('.');
        token.push_str(&BASE64.encode(signature));
        Some(token)
    }
}
