//! Tokens for the connector: client credentials by secret, or by an assertion signed with a certificate's key.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::config::{EntraAuthentication, EntraProvider, UnreachableClass};
use crate::factor::Refusal;
use crate::factor::assertion::Assertion;
use crate::factor::http::{self, BuildError, Call, Failure, Http, Reply, unix_now};
use crate::factor::token::Fresh;
use crate::secret::Secret;

/// How long an assertion is good for, in seconds.
const ASSERTION_LIVES: u64 = 300;

/// What a token's life is taken for where the service does not say.
const USUAL_LIFE: Duration = Duration::from_secs(600);

/// Where tokens come from.
#[derive(Debug)]
pub(super) struct Login {
    url: Url,
    client_id: String,
    resource: String,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    Secret(Secret),
    Assertion(Assertion),
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum LoginError {
    /// No answer.
    Failure(Failure),
    /// An answer that is none.
    Trouble(Refusal, u16),
    /// The service refuses our credentials: its own code, where it gives one.
    Refused(Option<String>),
    /// A page, as of something that stands in the way.
    Page,
    /// A mistake of ours, or an answer that makes no sense.
    Garbled,
}

impl LoginError {
    /// What it means for a sign-in: nobody can have been prompted yet.
    pub(super) fn refusal(&self) -> Refusal {
        match self {
            LoginError::Failure(failure) => failure.refusal(false),
            LoginError::Trouble(refusal, _) => *refusal,
            LoginError::Refused(_) => Refusal::Unreachable(UnreachableClass::Refused),
            LoginError::Page | LoginError::Garbled => http::garbled(false),
        }
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: serde_json::Value,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Login {
    pub(super) fn new(config: &EntraProvider) -> Result<Self, BuildError> {
        let base = http::base_url(&config.login)?;
        let url = base.join(&format!("{}/oauth2/token", config.tenant)).map_err(BuildError::BadUrl)?;
        let proof = match &config.authentication {
            EntraAuthentication::Secret(secret) if std::str::from_utf8(secret.open()).is_err() => {
                return Err(BuildError::NoText("client_secret"));
            }
            EntraAuthentication::Secret(secret) => Proof::Secret(secret.duplicate()),
            EntraAuthentication::Certificate { certificate, key } => {
                let pem = Zeroizing::new(http::file(key)?);
                let assertion = Assertion::from_pem(&pem, Some(&http::file(certificate)?));
                Proof::Assertion(assertion.map_err(|_| BuildError::Pem(key.clone()))?)
            }
        };
        Ok(Login { url, client_id: config.client_id.clone(), resource: config.resource.clone(), proof })
    }

    /// Fetches a token.
    pub(super) async fn fetch(&self, http: &Http) -> Result<Fresh, LoginError> {
        self.fetch_with_reply(http).await.map(|(fresh, _)| fresh)
    }

    /// As [`Login::fetch`], with the answer that brought it.
    pub(super) async fn fetch_with_reply(&self, http: &Http) -> Result<(Fresh, Reply), LoginError> {
        let body = self.form().ok_or(LoginError::Garbled)?;
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
        let call = Call { method: Method::POST, url: self.url.clone(), headers, body: Some(body) };
        let reply = http.send(call, http.timeout()).await.map_err(LoginError::Failure)?;
        if reply.status == 200 && http::is_page(&reply) {
            return Err(LoginError::Page);
        }
        match reply.status {
            200 => {
                let granted: Granted = http::json_object(&reply.body).ok_or(LoginError::Garbled)?;
                let seconds = match &granted.expires_in {
                    serde_json::Value::String(text) => text.parse().ok(),
                    other => other.as_u64(),
                };
                if granted.access_token.is_empty() {
                    return Err(LoginError::Garbled);
                }
                let lives = seconds.map_or(USUAL_LIFE, Duration::from_secs);
                Ok((Fresh { token: Secret::from_text(granted.access_token), lives }, reply))
            }
            400 | 401 | 403 => {
                let denied: Denied = http::json_object(&reply.body).ok_or(LoginError::Garbled)?;
                let code = code_of(&denied);
                tracing::warn!(code = ?code, "Entra refuses to give a token");
                Err(LoginError::Refused(code))
            }
            status => Err(LoginError::Trouble(reply.trouble(false).unwrap_or(http::garbled(false)), status)),
        }
    }

    fn form(&self) -> Option<bytes::Bytes> {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.client_id)
            .append_pair("resource", &self.resource);
        match &self.proof {
            Proof::Secret(secret) => {
                form.append_pair("client_secret", std::str::from_utf8(secret.open()).ok()?);
            }
            Proof::Assertion(assertion) => {
                let now = unix_now();
                let claims = json!({
                    "aud": self.url.as_str(), "iss": self.client_id, "sub": self.client_id,
                    "jti": uuid::Uuid::new_v4().to_string(), "nbf": now, "exp": now.saturating_add(ASSERTION_LIVES),
                });
                form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                    .append_pair("client_assertion", &assertion.sign(&claims).ok()?);
            }
        }
        Some(form.finish().into())
    }
}

/// The service's own code (`AADSTS…`), else the word of the standard. Never more of the text than that.
fn code_of(denied: &Denied) -> Option<String> {
    let starts = denied.error_description.find("AADSTS");
    let digits = |start: usize| {
        let rest = denied.error_description.get(start..)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        rest.get(..end.min(16))
    };
    let word = || Some(denied.error.as_str()).filter(|word| word.len() <= 40 && word.is_ascii());
    starts.and_then(digits).or_else(word).map(str::to_owned)
}
