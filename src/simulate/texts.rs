//! A simulated text gateway: Twilio's messages (`POST /2010-04-01/Accounts/SID/Messages.json`, basic authentication, a form)
//! and a plain one (`POST /send`, a bearer token, JSON with `to` and `text`). The page shows what people would read.

use std::sync::Arc;

use base64::Engine as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::secret::Secret;
use crate::simulate::desk::Desk;
use crate::simulate::prompt::Asking;
use crate::simulate::scenario::{Decision, Step};
use crate::simulate::service::{About, Call, Reply, Service};

/// A simulated text gateway.
#[derive(Debug)]
pub struct Texts {
    account: String,
    token: Secret,
}

impl Texts {
    /// With an account and its secret.
    pub fn new(account: &str, token: Secret) -> Self {
        Texts { account: account.to_owned(), token }
    }

    fn messages(&self) -> String {
        format!("/2010-04-01/Accounts/{}/Messages.json", self.account)
    }

    /// Whether the header of RFC 7617 names the account.
    fn knows(&self, call: &Call) -> bool {
        let encoded = call.header("authorization").strip_prefix("Basic ").unwrap_or_default();
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
        let start = format!("{}:", self.account);
        decoded.strip_prefix(start.as_bytes()).is_some_and(|token| self.token.matches(token))
    }

    fn twilio(&self, call: &Call, desk: &Desk) -> Reply {
        if !self.knows(call) {
            desk.refused();
            return error(401, 20003, "Authenticate");
        }
        if call.media_type() != "application/x-www-form-urlencoded" {
            return error(400, 21600, "a form is expected");
        }
        let field = |name: &str| call.field(name).filter(|value| !value.is_empty());
        let from = field("From").or_else(|| field("MessagingServiceSid"));
        let (Some(to), Some(body), Some(_)) = (field("To"), field("Body"), from) else {
            return error(400, 21604, "To, From and Body are required");
        };
        if !is_number(&to) || desk.scenario(&to).answer == Decision::Undeliverable {
            return error(400, 21211, "The 'To' number is not a valid phone number.");
        }
        let number = show(desk, &to, &body);
        let sid = format!("SM{number:032}");
        Reply::json(
            201,
            &json!({ "sid": sid, "status": "queued", "error_code": null, "error_message": null, "to": to }),
        )
    }

    fn plain(&self, call: &Call, desk: &Desk) -> Reply {
        let token = call.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if !self.token.matches(token.as_bytes()) {
            desk.refused();
            return Reply::json(401, &json!({ "error": "unauthorized" }));
        }
        let body = call.json();
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (to, text) = (text("to"), text("text"));
        if text.is_empty() || !is_number(&to) || desk.scenario(&to).answer == Decision::Undeliverable {
            return Reply::json(422, &json!({ "error": "undeliverable" }));
        }
        show(desk, &to, &text);
        Reply::json(202, &json!({ "accepted": true }))
    }
}

fn is_number(to: &str) -> bool {
    let digits = to.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit())
}

/// Shows a text on the page; its number.
fn show(desk: &Desk, to: &str, text: &str) -> u64 {
    let asking = Asking {
        person: to.to_owned(),
        application: text.to_owned(),
        method: "sms_code".to_owned(),
        ..Asking::default()
    };
    desk.begin(asking).number
}

fn error(status: u16, code: u32, message: &str) -> Reply {
    let more = "https://www.twilio.com/docs/errors";
    Reply::json(status, &json!({ "code": code, "message": message, "more_info": more, "status": status }))
}

impl Service for Texts {
    fn word(&self) -> &'static str {
        "texts"
    }

    fn about(&self, call: &Call, _: &Desk) -> About {
        let body = call.json();
        let to = call.field("To").or_else(|| body.get("to").and_then(Value::as_str).map(str::to_owned));
        match call.method.as_str() {
            "POST" => About::new(Step::Begin, to.filter(|to| !to.is_empty())),
            _ => About::new(Step::Ping, None),
        }
    }

    fn answer<'a>(&'a self, call: &'a Call, desk: &'a Arc<Desk>) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let account = format!("/2010-04-01/Accounts/{}.json", self.account);
            match call.route() {
                ("POST", path) if path == self.messages() => self.twilio(call, desk),
                ("GET", path) if path == account && self.knows(call) => {
                    Reply::json(200, &json!({ "sid": self.account, "status": "active" }))
                }
                ("GET", path) if path == account => error(401, 20003, "Authenticate"),
                ("POST", "/send") => self.plain(call, desk),
                ("OPTIONS", _) => Reply::new(204, "", ""),
                _ => error(404, 20404, "The requested resource was not found"),
            }
        })
    }

    fn refusal(&self, _: Step, status: u16) -> Reply {
        match status {
            401 | 403 => error(status, 20003, "Authenticate"),
            429 => error(429, 20429, "Too many requests"),
            _ => error(status, 20500, "Internal Server Error"),
        }
    }

    fn halves(&self) -> usize {
        3
    }

    fn half_success(&self, reply: Reply, which: usize) -> Reply {
        let mut half = reply.changed(|body| {
            if let Some(body) = body.as_object_mut() {
                match which {
                    0 => body.insert("status".to_owned(), json!("failed")),
                    1 => body.insert("error_code".to_owned(), json!(30003)),
                    _ => body.insert("sid".to_owned(), json!("")),
                };
            }
        });
        // The plain gateway says it by the status alone.
        if half.status == 202 {
            half.status = 299;
        }
        half
    }
}
