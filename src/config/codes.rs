//! `type = "codes"` after all checks: codes of our own making, and by which gateway they go out.

use std::sync::Arc;

use super::provider::Common;
use super::{UnreachableClass, mail};
use crate::factor::codes::template::Template;
use crate::secret::Secret;
use crate::users::model::Method;
use crate::users::typed::Sending;

/// Codes that this house makes, sends and checks.
#[derive(Debug)]
pub struct CodesProvider {
    /// Its name in the configuration.
    pub name: String,
    /// The failures after which the next provider of a list is asked.
    pub failover: Vec<UnreachableClass>,
    /// How they go out.
    pub via: Via,
    /// Digits of a code.
    pub digits: u32,
    /// How long one is good, and how many may be sent and tried.
    pub sending: Sending,
    /// What the person reads; `{code}` stands for the code.
    pub text: String,
}

/// The gateway.
#[derive(Debug)]
pub enum Via {
    /// Any text gateway that takes an HTTP request.
    Http(HttpGateway),
    /// Twilio's REST API.
    Twilio(TwilioGateway),
    /// The mail server of `[mail]`.
    Smtp {
        /// How it is reached.
        mail: Arc<mail::Mail>,
        /// The subject of the mails.
        subject: String,
    },
}

impl Via {
    /// What the person gets.
    pub fn method(&self) -> Method {
        match self {
            Via::Http(_) | Via::Twilio(_) => Method::SmsCode,
            Via::Smtp { .. } => Method::EmailCode,
        }
    }

    /// How it is reached, where that is over HTTP.
    pub fn common(&self) -> Option<&Common> {
        match self {
            Via::Http(gateway) => Some(&gateway.common),
            Via::Twilio(gateway) => Some(&gateway.common),
            Via::Smtp { .. } => None,
        }
    }
}

/// Any text gateway that takes an HTTP request.
#[derive(Debug)]
pub struct HttpGateway {
    /// How it is reached. Its address is the part of `url` before the first template.
    pub common: Common,
    /// The method: GET, POST or PUT.
    pub method: reqwest::Method,
    /// The address with its templates.
    pub url: Template,
    /// Headers by name, with `{token}` where the secret stands.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: Option<Template>,
    /// The statuses that say that the text was taken.
    pub expect: Vec<u16>,
    /// The gateway's secret.
    pub token: Option<Secret>,
}

/// Twilio's REST API.
#[derive(Debug)]
pub struct TwilioGateway {
    /// How it is reached.
    pub common: Common,
    /// The account's SID.
    pub account: String,
    /// Its auth token.
    pub token: Secret,
    /// The number that texts come from, or the SID of a messaging service.
    pub from: String,
}
