//! The gateways that bring a code to a person: an HTTP request as the configuration writes it, Twilio's REST API, or a mail.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;
use zeroize::Zeroizing;

use crate::config::UnreachableClass;
use crate::config::codes::{CodesProvider, HttpGateway, TwilioGateway, Via};
use crate::factor::codes::template::Place;
use crate::factor::http::{BuildError, Call, Failure, Http, Reply, json, secret_value, status_trouble};
use crate::factor::{Health, Refusal, Trouble};
use crate::mail::client::{Client, MailError};
use crate::secret::Secret;

/// What is sent to whom.
pub(super) struct Message<'a> {
    /// A phone number or an e-mail address.
    pub(super) to: &'a str,
    pub(super) code: &'a str,
    pub(super) text: &'a str,
    pub(super) application: &'a str,
}

/// A way to people.
pub(super) struct Gateway {
    config: Arc<CodesProvider>,
    out: Out,
}

enum Out {
    /// With the headers of every request.
    Http(Http, HeaderMap),
    Smtp(Client),
}

impl Gateway {
    pub(super) fn new(config: &Arc<CodesProvider>) -> Result<Gateway, BuildError> {
        let out = match &config.via {
            Via::Http(gateway) => Out::Http(Http::new(&gateway.common.outbound, None)?, HeaderMap::new()),
            Via::Twilio(gateway) => {
                let headers = basic(&gateway.account, &gateway.token)?;
                Out::Http(Http::new(&gateway.common.outbound, None)?, headers)
            }
            Via::Smtp { mail, .. } => Out::Smtp(Client::new(mail).map_err(BuildError::Client)?),
        };
        Ok(Gateway { config: Arc::clone(config), out })
    }

    /// Sends one message. `Undeliverable`: it was refused for this address, another may do.
    pub(super) async fn send(&self, message: &Message<'_>, within: Duration) -> Result<(), Refusal> {
        let (call, expect) = match (&self.config.via, &self.out) {
            (Via::Smtp { subject, .. }, Out::Smtp(client)) => return mail(client, subject, message, within).await,
            (Via::Http(gateway), Out::Http(..)) => (call(gateway, message), Some(&gateway.expect)),
            (Via::Twilio(gateway), Out::Http(http, headers)) => (twilio(http, gateway, headers, message), None),
            _ => return Err(Refusal::Misconfigured),
        };
        let Out::Http(http, _) = &self.out else { return Err(Refusal::Misconfigured) };
        let reply = http.send(call.ok_or(Refusal::Misconfigured)?, within).await;
        let reply = reply.map_err(|failure: Failure| failure.refusal(true))?;
        if expect.map_or_else(|| taken(&reply), |expect| expect.contains(&reply.status)) {
            return Ok(());
        }
        tracing::warn!(provider = self.config.name, status = reply.status, "the text gateway does not take a text");
        Err(refused(&reply))
    }

    /// Whether it answers, without sending anybody anything.
    pub(super) async fn probe(&self) -> Result<Health, Trouble> {
        let begun = tokio::time::Instant::now();
        let reply = match (&self.config.via, &self.out) {
            (Via::Twilio(gateway), Out::Http(http, headers)) => {
                let url = http.url(&format!("2010-04-01/Accounts/{}.json", gateway.account));
                let url = url.ok_or_else(|| Trouble("the account is no SID".to_owned()))?;
                let call = Call { method: Method::GET, url, headers: headers.clone(), body: None };
                active(ask(http, call).await?)?
            }
            (_, Out::Http(http, _)) => {
                // RFC 9110 section 9.3.7: asks what could be done, and does nothing.
                let url = http.base().join("/").map_err(|error| Trouble(error.to_string()))?;
                ask(http, Call { method: Method::OPTIONS, url, headers: HeaderMap::new(), body: None }).await?
            }
            (_, Out::Smtp(client)) => {
                client.probe().await.map_err(|error| Trouble(error.to_string()))?;
                Reply::default()
            }
        };
        let (clock_skew, certificate_expires) = (reply.clock_skew(), reply.certificate_expires);
        Ok(Health { round_trip: begun.elapsed(), clock_skew, certificate_expires, lacks: None })
    }

    pub(super) fn connections(&self) -> u64 {
        match &self.out {
            Out::Http(http, _) => http.connections(),
            Out::Smtp(_) => 0,
        }
    }
}

async fn mail(client: &Client, subject: &str, message: &Message<'_>, within: Duration) -> Result<(), Refusal> {
    let sent = client.send(None, message.to, subject, message.text.to_owned());
    match tokio::time::timeout(within, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a code cannot be mailed");
            Err(match error {
                MailError::Refused(_) => Refusal::Undeliverable,
                MailError::Away(_) => Refusal::Unreachable(UnreachableClass::Connect),
            })
        }
        Err(_) => Err(Refusal::Lost),
    }
}

/// Twilio's word on the account.
fn active(reply: Reply) -> Result<Reply, Trouble> {
    if reply.status != 200 {
        return Err(Trouble(status_trouble(reply.status)));
    }
    match json::<Account>(&reply.body).map(|account| account.status).as_deref() {
        Some("active") => Ok(reply),
        Some(other) => Err(Trouble(format!("the account is {other}"))),
        None => Err(Trouble("the answer is none of Twilio's".to_owned())),
    }
}

#[derive(serde::Deserialize)]
struct Account {
    status: String,
}

async fn ask(http: &Http, call: Call) -> Result<Reply, Trouble> {
    http.send(call, http.timeout()).await.map_err(|failure| Trouble(failure.to_string()))
}

/// What an answer means that does not say that the text was taken.
fn refused(reply: &Reply) -> Refusal {
    reply.trouble(true).unwrap_or(match reply.status {
        400..=499 => Refusal::Undeliverable,
        _ => Refusal::Garbled,
    })
}

/// The request that the configuration writes.
fn call(gateway: &HttpGateway, message: &Message<'_>) -> Option<Call> {
    let token = gateway.token.as_ref().map(Secret::open).unwrap_or_default();
    let token = std::str::from_utf8(token).ok()?;
    let value = |place| match place {
        Place::Code => message.code,
        Place::Phone => message.to,
        Place::Text => message.text,
        Place::Token => token,
        Place::Application => message.application,
    };
    let url = Url::parse(&gateway.url.filled(value)).ok()?;
    let mut headers = HeaderMap::new();
    for (name, template) in &gateway.headers {
        let mut header = HeaderValue::from_str(&template.filled(value)).ok()?;
        header.set_sensitive(true);
        headers.append(HeaderName::try_from(name.as_str()).ok()?, header);
    }
    let body = gateway.body.as_ref().map(|body| Bytes::copy_from_slice(body.filled(value).as_bytes()));
    Some(Call { method: gateway.method.clone(), url, headers, body })
}

/// The header of RFC 7617.
fn basic(name: &str, password: &Secret) -> Result<HeaderMap, BuildError> {
    use base64::Engine as _;
    let mut both = Zeroizing::new(Vec::with_capacity(name.len() + 1 + password.len()));
    both.extend_from_slice(name.as_bytes());
    both.push(b':');
    both.extend_from_slice(password.open());
    let encoded = Secret::from_text(base64::engine::general_purpose::STANDARD.encode(&*both));
    let value = secret_value("Basic ", &encoded).ok_or(BuildError::NoText("token"))?;
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// Twilio's request for one text.
fn twilio(http: &Http, gateway: &TwilioGateway, headers: &HeaderMap, message: &Message<'_>) -> Option<Call> {
    let url = http.url(&format!("2010-04-01/Accounts/{}/Messages.json", gateway.account))?;
    let from = if gateway.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("To", message.to).append_pair(from, &gateway.from).append_pair("Body", message.text);
    let body = Zeroizing::new(form.finish());
    let mut headers = headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    Some(Call { method: Method::POST, url, headers, body: Some(Bytes::copy_from_slice(body.as_bytes())) })
}

#[derive(serde::Deserialize)]
struct Taken {
    sid: String,
    status: String,
    error_code: Option<serde_json::Value>,
}

/// Whether Twilio says in every field that it took the text.
fn taken(reply: &Reply) -> bool {
    reply.status == 201
        && json::<Taken>(&reply.body).is_some_and(|taken| {
            let under_way = ["accepted", "scheduled", "queued", "sending", "sent", "delivered"];
            !taken.sid.is_empty()
                && under_way.contains(&taken.status.as_str())
                && taken.error_code.is_none_or(|code| code.is_null())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: Bytes::copy_from_slice(body.as_bytes()), ..Reply::default() }
    }

    #[test]
    fn twilio_has_taken_a_text_only_where_every_field_says_so() {
        assert!(taken(&reply(201, r#"{"sid":"SM1","status":"queued","error_code":null}"#)));
        for (status, body) in [
            (200, r#"{"sid":"SM1","status":"queued","error_code":null}"#),
            (201, r#"{"sid":"SM1","status":"failed","error_code":null}"#),
            (201, r#"{"sid":"SM1","status":"queued","error_code":30003}"#),
            (201, r#"{"sid":"","status":"queued"}"#),
            (201, "<html>"),
        ] {
            assert!(!taken(&reply(status, body)), "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_is_for_the_number_for_us_or_for_nobody_to_know() {
        for (status, refusal) in [
            (400, Refusal::Undeliverable),
            (401, Refusal::Unreachable(UnreachableClass::Refused)),
            (429, Refusal::Unreachable(UnreachableClass::RateLimited)),
            (500, Refusal::Lost),
            (503, Refusal::Unreachable(UnreachableClass::ServerError)),
            (302, Refusal::Garbled),
        ] {
            assert_eq!(refused(&reply(status, "")), refusal, "{status}");
        }
    }
}
