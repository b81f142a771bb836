//! How Anteroom shows Okta who it is: an API token, or a token that a signed assertion fetches (OAuth 2.0, RFC 7523).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::json;

use crate::config::{OktaAuthentication, UnreachableClass};
use crate::factor::Refusal;
use crate::factor::assertion::Assertion;
use crate::factor::http::{self, BuildError, Call, Http};
use crate::factor::okta::wire::{self, Granted};
use crate::factor::token::{Fresh, Tokens};
use crate::secret::Secret;

/// What the API needs: to read people and their factors, and to verify one.
const SCOPES: &str = "okta.users.read okta.users.manage";

/// How long an assertion is good for, in seconds.
const ASSERTION_LIVES: u64 = 300;

/// The credentials of one provider.
#[derive(Debug)]
pub(super) enum Admission {
    /// `SSWS`: an API token.
    Token(Arc<Secret>),
    /// `Bearer`: fetched with an assertion.
    OAuth(Box<App>),
}

/// An app with a key pair, and the token that it was given last.
#[derive(Debug)]
pub(super) struct App {
    client_id: String,
    assertion: Assertion,
    tokens: Tokens,
}

/// A token as it was used for one request.
pub(super) struct Used(Arc<Secret>);

impl Admission {
    pub(super) fn new(config: &OktaAuthentication) -> Result<Self, BuildError> {
        Ok(match config {
            OktaAuthentication::Token(token) => {
                http::secret_value("SSWS ", token).ok_or(BuildError::NoText("the API token"))?;
                Admission::Token(Arc::new(token.duplicate()))
            }
            OktaAuthentication::OAuth { client_id, key_id, key } => Admission::OAuth(Box::new(App {
                client_id: client_id.clone(),
                assertion: {
                    let assertion = Assertion::from_pem(key.open(), None).map_err(|_| BuildError::AssertionKey)?;
                    match key_id {
                        None => assertion,
                        Some(id) => assertion.with_key_id(id),
                    }
                },
                tokens: Tokens::new(),
            })),
        })
    }

    /// The headers that every request has.
    pub(super) async fn headers(&self, http: &Http, within: Duration) -> Result<(HeaderMap, Used), Refusal> {
        let (scheme, token) = match self {
            Admission::Token(token) => ("SSWS ", Arc::clone(token)),
            Admission::OAuth(app) => ("Bearer ", app.tokens.get(app.fetch(http, within)).await?),
        };
        let mut headers = http::accepting_json();
        let value = http::secret_value(scheme, &token).ok_or(Refusal::Unreachable(UnreachableClass::Malformed))?;
        headers.insert(AUTHORIZATION, value);
        Ok((headers, Used(token)))
    }

    /// The service refused the token of a request. Whether another can be had.
    pub(super) fn refused(&self, used: &Used) -> bool {
        match self {
            Admission::Token(_) => false,
            Admission::OAuth(app) => {
                app.tokens.spoiled(&used.0);
                true
            }
        }
    }
}

impl App {
    async fn fetch(&self, http: &Http, within: Duration) -> Result<Fresh, Refusal> {
        let App { client_id, assertion, .. } = self;
        let ours = Refusal::Unreachable(UnreachableClass::Refused);
        let url = http.url("oauth2/v1/token").ok_or(ours)?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| ours)?;
        let (now, mut jti) = (http::unix_now(), String::with_capacity(32));
        crate::factor::native::signing::push_hex(&mut jti, &nonce);
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": url.as_str(), "iat": now,
            "exp": now.saturating_add(ASSERTION_LIVES), "jti": jti,
        });
        let signed = assertion.sign(&claims).map_err(|_| ours)?;
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", SCOPES)
            .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            .append_pair("client_assertion", &signed)
            .finish();
        let mut headers = http::accepting_json();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let call = Call { method: Method::POST, url, headers, body: Some(Bytes::from(body)) };
        let reply = http.send(call, within).await.map_err(|failure| failure.refusal(false))?;
        if let Some(refusal) = reply.trouble(false) {
            return Err(refusal);
        }
        if (400..500).contains(&reply.status) {
            let error = wire::error_code(&reply.body).or_else(|| wire::grant_error(&reply.body));
            tracing::warn!(status = reply.status, ?error, "token refused");
            return Err(ours);
        }
        let granted: Granted = match (reply.status, http::json_object(&reply.body)) {
            (200, Some(granted)) => granted,
            _ => return Err(http::garbled(false)),
        };
        if !granted.token_type.eq_ignore_ascii_case("bearer") || granted.access_token.is_empty() {
            return Err(http::garbled(false));
        }
        let lives = Duration::from_secs(granted.expires_in);
        Ok(Fresh { token: Secret::from_text(granted.access_token), lives })
    }
}
