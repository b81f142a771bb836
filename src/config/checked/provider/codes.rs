//! `type = "codes"`: codes of our own making, by an HTTP gateway, by Twilio or by mail.

use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use super::super::super::codes::{CodesProvider, HttpGateway, TwilioGateway, Via};
use super::super::super::mail::Mail;
use super::super::super::place::Path;
use super::super::super::values::{Count, Word};
use super::super::super::written::{self, HttpMethod, ViaKind};
use super::super::super::{Provider, UnreachableClass};
use super::super::secrets::Spellings;
use super::super::{Checker, word};
use crate::factor::codes::template::{Escape, Place, Template};
use crate::users::typed::Sending;

/// Where Twilio is, unless something else is said.
const TWILIO: &str = "https://api.twilio.com";

/// Longest text, in characters: what three parts of a text message carry.
const LONGEST_TEXT: usize = 450;

const ADDRESS: &str = "allowed: \"https://HOST/PATH\", with {phone}, {code} and {text} in path or query where wanted";

impl Checker<'_> {
    pub(super) fn codes(
        &self,
        at: &Path,
        name: String,
        written: &mut written::Provider,
        mail: Option<&Arc<Mail>>,
    ) -> Option<Provider> {
        let failover = Self::failover_of(written);
        let digits = self.count(&at.key("digits"), written.digits.take(), 6, 6, 8);
        let sending = Sending {
            lives: self.duration(&at.key("lives"), written.lives.take(), "5m", "30s", "1h"),
            tries: self.count(&at.key("tries"), written.tries.take(), 3, 1, 10),
            most: self.count(&at.key("most"), written.most.take(), 5, 1, 100),
            per: self.duration(&at.key("per"), written.per.take(), "15m", "1m", "1d"),
        };
        let text = written.text.take().unwrap_or_else(|| "{code} is your code for {application}.".to_owned());
        if !text.contains("{code}") || text.chars().count() > LONGEST_TEXT {
            let allowed = format!("a text with {{code}} in it, of up to {LONGEST_TEXT} characters");
            self.wrong(&at.key("text"), format!("found {text:?}"), allowed);
        }
        let Some(Word(via)) = written.via.take() else {
            self.wrong(&at.key("via"), "missing", "\"http\", \"twilio\" or \"smtp\": how the codes go out");
            return None;
        };
        let via = match via {
            ViaKind::Http => Via::Http(self.http_gateway(at, &name, written)?),
            ViaKind::Twilio => Via::Twilio(self.twilio_gateway(at, &name, written)?),
            ViaKind::Smtp => {
                let subject = written.subject.take().unwrap_or_else(|| "Your code".to_owned());
                let Some(mail) = mail else {
                    self.wrong(
                        &at.key("via"),
                        "found \"smtp\", and there is no [mail]",
                        "add [mail] with server and from",
                    );
                    return None;
                };
                Via::Smtp { mail: Arc::clone(mail), subject }
            }
        };
        Some(Provider::Codes(Arc::new(CodesProvider { name, failover, via, digits, sending, text })))
    }

    /// As of every type, and left there for what is common to those over HTTP.
    fn failover_of(written: &mut written::Provider) -> Vec<UnreachableClass> {
        let classes = written.failover.as_ref().map(|classes| classes.iter().map(|Word(class)| *class).collect());
        if written.via.as_ref().is_some_and(|Word(via)| *via == ViaKind::Smtp) {
            written.failover = None;
        }
        classes.unwrap_or_else(|| UnreachableClass::ALL.to_vec())
    }

    fn http_gateway(&self, at: &Path, name: &str, written: &mut written::Provider) -> Option<HttpGateway> {
        let text = self.required(&at.key("url"), written.url.take(), ADDRESS)?;
        let url = Template::new(&text, Escape::Percent);
        let origin = |value: &str| Url::parse(&url.filled(|_| value)).ok().map(|url| url.origin());
        match (origin("1"), origin("2")) {
            (Some(one), Some(other)) if one == other && one.is_tuple() => {
                written.url = Some(one.ascii_serialization());
            }
            _ => {
                self.wrong(&at.key("url"), "is no address, or its host is not fixed", ADDRESS);
                return None;
            }
        }
        let common = self.common(at, name.to_owned(), None, written);
        let spellings = Spellings {
            literal: written.token.take(),
            file: written.token_file.take(),
            credential: written.token_credential.take(),
            variable: written.token_env.take(),
        };
        let token = if spellings.used() > 0 { Some(self.secret(at, "token", spellings)?) } else { None };
        let headers = self.headers(&at.key("headers"), written)?;
        let kind = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let kind = kind.map(|(_, value)| value.filled(|_| "").to_string()).unwrap_or_default();
        let body = written.body.take().map(|body| Template::new(&body, Escape::of_media_type(&kind)));
        let everywhere = || std::iter::once(&url).chain(&body).chain(headers.iter().map(|(_, value)| value));
        for (places, what) in [
            (&[Place::Phone][..], "{phone}: whom it is for"),
            (&[Place::Code, Place::Text][..], "{code} or {text}: what they are to read"),
        ] {
            if !places.iter().any(|place| everywhere().any(|template| template.has(*place))) {
                self.wrong(&at.key("body"), "nothing of the request has it", what);
            }
        }
        if token.is_none() && everywhere().any(|template| template.has(Place::Token)) {
            self.wrong(
                &at.key("token"),
                "missing",
                "what {token} stands for: token, token_file, token_credential or token_env",
            );
        }
        let expect = match written.expect.take() {
            None => vec![200, 201, 202],
            Some(given) => {
                let status = |Count(status)| u16::try_from(status).ok().filter(|status| (200..300).contains(status));
                let found: Option<Vec<u16>> = given.into_iter().map(status).collect();
                let Some(found) = found.filter(|found| !found.is_empty()) else {
                    self.wrong(&at.key("expect"), "found another number", "allowed: statuses from 200 to 299");
                    return None;
                };
                found
            }
        };
        let method = match word(written.method.take(), HttpMethod::Post) {
            HttpMethod::Get => reqwest::Method::GET,
            HttpMethod::Post => reqwest::Method::POST,
            HttpMethod::Put => reqwest::Method::PUT,
        };
        Some(HttpGateway { common: common?, method, url, headers, body, expect, token })
    }

    /// Headers as `Name: value`.
    fn headers(&self, at: &Path, written: &mut written::Provider) -> Option<Vec<(String, Template)>> {
        let mut headers = Vec::new();
        for (position, line) in self.list(at, written.headers.take()).unwrap_or_default().into_iter().enumerate() {
            let header = line.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
            let fit = header
                .filter(|(name, value)| HeaderName::try_from(*name).is_ok() && HeaderValue::from_str(value).is_ok());
            let Some((name, value)) = fit else {
                self.wrong(&at.index(position), "is no header (not shown)", "\"Name: value\"");
                return None;
            };
            headers.push((name.to_owned(), Template::new(value, Escape::Plain)));
        }
        Some(headers)
    }

    fn twilio_gateway(&self, at: &Path, name: &str, written: &mut written::Provider) -> Option<TwilioGateway> {
        let common = self.common(at, name.to_owned(), Some(TWILIO), written);
        let account = self.token(&at.key("account"), written.account.take(), "the account's SID, which begins with AC");
        if let Some(account) = &account
            && !(account.starts_with("AC") && account.chars().all(|c| c.is_ascii_alphanumeric()))
        {
            self.wrong(&at.key("account"), format!("found {account:?}"), "the account's SID, which begins with AC");
        }
        let spellings = Spellings {
            literal: written.token.take(),
            file: written.token_file.take(),
            credential: written.token_credential.take(),
            variable: written.token_env.take(),
        };
        let token = self.secret(at, "token", spellings);
        let from = self.token(&at.key("from"), written.from.take(), "the number that texts come from, or MG and more");
        Some(TwilioGateway { common: common?, account: account?, token: token?, from: from? })
    }
}
