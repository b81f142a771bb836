//! An enrolled person.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// How a person gives the second proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A prompt in an app.
    Push,
    /// A phone call.
    Call,
    /// A text message that is answered by a text message.
    SmsReply,
}

impl Method {
    /// Every one.
    pub const ALL: [Method; 3] = [Method::Push, Method::Call, Method::SmsReply];

    /// The word in configuration, logs and the native protocol.
    pub fn word(self) -> &'static str {
        match self {
            Method::Push => "push",
            Method::Call => "call",
            Method::SmsReply => "sms_reply",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Method::ALL
            .into_iter()
            .find(|method| method.word() == word)
            .ok_or_else(|| format!("unknown method {word:?}; one of push, call, sms_reply"))
    }
}

/// An enrolled person. Devices and tokens come with later capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// objectGUID in text form, lower case, or another attribute that never changes.
    pub unique_id: String,
    /// Login name (sAMAccountName, uid).
    pub name: String,
    /// The name with an `@`.
    pub upn: Option<String>,
    /// Distinguished name at the last look.
    pub dn: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone for calls and texts, as `+1 555…`.
    pub phone: Option<String>,
    /// Extension that a call dials after the phone answered.
    pub phone_extension: Option<String>,
    /// The app's token for pushes.
    pub device_token: Option<String>,
    /// How they are asked.
    pub method: Method,
    /// BCP 47 tag of the language of prompts.
    pub language: String,
    /// Whether they take part. What happens to a disabled person is the client's policy.
    pub enabled: bool,
    /// Until when they are blocked (after a fraud report, by an admin).
    pub blocked_until: Option<SystemTime>,
}
