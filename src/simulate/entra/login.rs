//! The token endpoint of the simulated Entra: secrets, and assertions verified with the registered certificate.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use sha1::Digest as _;

use super::{Credential, Entra, REMEMBERED};
use crate::simulate::desk::Desk;
use crate::simulate::jwt::{self, Assertion};
use crate::simulate::service::{Call, Reply};

/// How long a token is good for, in seconds.
const TOKEN_LIVES: u64 = 3600;

impl Entra {
    /// Gives out a token.
    pub(super) fn token(&self, call: &Call, desk: &Desk) -> Reply {
        let field = |name: &str| call.field(name).unwrap_or_default();
        let refused = |code: u32, word: &str, text: &str| {
            desk.refused();
            refusal(if code == 7_000_215 { 401 } else { 400 }, code, word, text)
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
        if call.field("client_assertion_type").as_deref() != Some(jwt::ASSERTION_TYPE) {
            return Err((7_000_218, "The request body must contain client_assertion or client_secret."));
        }
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| WRONG)?;
        let key = jwt::certified_key(&certificate).ok_or(WRONG)?;
        let text = call.field("client_assertion").unwrap_or_default();
        let assertion = Assertion::verified(&text, &key).ok_or(WRONG)?;
        // Microsoft's own libraries write the thumbprint with its padding, RFC 7515 without.
        let thumbprint = URL_SAFE_NO_PAD.encode(sha1::Sha1::digest(&certificate));
        if assertion.header("typ") != "JWT" || assertion.header("x5t").trim_end_matches('=') != thumbprint {
            return Err((700_027, "The certificate with the thumbprint is not registered."));
        }
        if assertion.text("iss") != self.client_id || assertion.text("sub") != self.client_id {
            return Err((700_030, "Invalid issuer or subject of the assertion."));
        }
        if !assertion.text("aud").ends_with(&format!("/{}/oauth2/token", self.tenant)) {
            return Err((700_023, "Client assertion audience claim does not match."));
        }
        if assertion.number("nbf") > call.now.saturating_add(300) || assertion.number("exp") < call.now {
            return Err((700_024, "Client assertion is not within its valid time range."));
        }
        let (id, mut memory) = (assertion.text("jti").to_owned(), self.memory());
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

/// An error in the words of the token endpoint.
pub(super) fn refusal(status: u16, code: u32, word: &str, text: &str) -> Reply {
    let text = format!("AADSTS{code}: {text} Trace ID: 0 Correlation ID: 0");
    Reply::json(status, &json!({ "error": word, "error_description": text, "error_codes": [code] }))
}
