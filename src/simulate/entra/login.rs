//! The token endpoint of the simulated Entra: secrets, and assertions verified with the registered certificate.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha1::Digest as _;

use super::{Credential, Entra, REMEMBERED};
use crate::simulate::desk::Desk;
use crate::simulate::service::{Call, Reply};

/// How long a token is good for, in seconds.
const TOKEN_LIVES: u64 = 3600;

impl Entra {
    /// Gives out a token.
    pub(super) fn token(&self, call: &Call, desk: &Desk) -> Reply {
        let field = |name: &str| call.field(name).unwrap_or_default();
        let refused = |code: u32, word: &str, text: &str| {
            desk.refused();
            let text = format!("AADSTS{code}: {text} Trace ID: 0 Correlation ID: 0");
            Reply::json(
                if code == 7_000_215 { 401 } else { 400 },
                &json!({ "error": word, "error_description": text, "error_codes": [code] }),
            )
        };
        if call.media_type() != "application/x-www-form-urlencoded" {
            return refused(
                900_144,
                "invalid_request",
                "The request body must contain the following parameter: 'grant_type'.",
            );
        }
        if call.path() != format!("/{}/oauth2/token", self.tenant) {
            return refused(90_002, "invalid_request", "Tenant not found.");
        }
        if field("grant_type") != "client_credentials" {
            return refused(70_003, "unsupported_grant_type", "The app requested an unsupported grant type.");
        }
        if field("client_id") != self.client_id {
            return refused(700_016, "unauthorized_client", "Application was not found in the directory.");
        }
        if field("resource") != self.resource {
            return refused(500_011, "invalid_resource", "The resource principal was not found in the tenant.");
        }
        let proven = match &self.credential {
            Credential::Secret(secret) => secret
                .matches(field("client_secret").as_bytes())
                .then_some(())
                .ok_or((7_000_215, "Invalid client secret provided.")),
            Credential::Certificate(pem) => self.assertion(call, pem),
        };
        if let Err((code, text)) = proven {
            return refused(code, "invalid_client", text);
        }
        let mut memory = self.memory();
        memory.last += 1;
        if memory.tokens.len() >= REMEMBERED {
            memory.tokens.clear();
        }
        let token = format!("eyJ0eXAi.simulated.{}", memory.last);
        memory.tokens.insert(token.clone(), call.now.saturating_add(TOKEN_LIVES));
        // The first version of the endpoint says numbers as text.
        Reply::json(
            200,
            &json!({ "token_type": "Bearer", "expires_in": TOKEN_LIVES.to_string(), "resource": self.resource, "access_token": token }),
        )
    }

    /// Checks a signed assertion as the real endpoint does.
    fn assertion(&self, call: &Call, pem: &[u8]) -> Result<(), (u32, &'static str)> {
        const WRONG: (u32, &str) = (700_027, "Client assertion failed signature validation.");
        if call.field("client_assertion_type").as_deref()
            != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        {
            return Err((7_000_218, "The request body must contain client_assertion or client_secret."));
        }
        let token = call.field("client_assertion").unwrap_or_default();
        let (signed, signature) = token.rsplit_once('.').ok_or(WRONG)?;
        let (head, claims) = signed.split_once('.').ok_or(WRONG)?;
        let part = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
        let (head, claims) = (part(head).ok_or(WRONG)?, part(claims).ok_or(WRONG)?);
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| WRONG)?;
        let thumbprint = URL_SAFE_NO_PAD.encode(sha1::Sha1::digest(&certificate));
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
        if text(&head, "alg") != "RS256" || text(&head, "typ") != "JWT" || text(&head, "x5t") != thumbprint {
            return Err((700_027, "The certificate with the thumbprint is not registered."));
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).map_err(|_| WRONG)?;
        let key = &parsed.public_key().subject_public_key.data;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| WRONG)?;
        let known = aws_lc_rs::default_provider().signature_verification_algorithms.mapping;
        let rs256 = known.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256).ok_or(WRONG)?;
        let right =
            rs256.1.iter().any(|algorithm| algorithm.verify_signature(key, signed.as_bytes(), &signature).is_ok());
        if !right {
            return Err(WRONG);
        }
        if text(&claims, "iss") != self.client_id || text(&claims, "sub") != self.client_id {
            return Err((700_030, "Invalid issuer or subject of the assertion."));
        }
        if !text(&claims, "aud").ends_with(&format!("/{}/oauth2/token", self.tenant)) {
            return Err((700_023, "Client assertion audience claim does not match."));
        }
        if number("nbf") > call.now.saturating_add(300) || number("exp") < call.now {
            return Err((700_024, "Client assertion is not within its valid time range."));
        }
        let (id, mut memory) = (text(&claims, "jti"), self.memory());
        if id.is_empty() || memory.assertions.contains(&id) {
            return Err((700_026, "Client assertion was used before."));
        }
        if memory.assertions.len() >= 1000 {
            memory.assertions.remove(0);
        }
        memory.assertions.push(id);
        Ok(())
    }
}
