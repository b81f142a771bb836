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
    /// A one-time code that the person types with the password (RFC 4226, RFC 6238); whoever carries it checks it.
    Oath,
    /// A text message with a code, which is typed.
    SmsCode,
    /// An e-mail with a code, which is typed.
    EmailCode,
    /// A code from a list that was printed once.
    BackupCode,
    /// A code that the help desk has given.
    TemporaryCode,
}

impl Method {
    /// Every one.
    pub const ALL: [Method; 8] = [
        Method::Push,
        Method::Call,
        Method::SmsReply,
        Method::Oath,
        Method::SmsCode,
        Method::EmailCode,
        Method::BackupCode,
        Method::TemporaryCode,
    ];

    /// The word in configuration, logs and the native protocol.
    pub fn word(self) -> &'static str {
        match self {
            Method::Push => "push",
            Method::Call => "call",
            Method::SmsReply => "sms_reply",
            Method::Oath => "oath",
            Method::SmsCode => "sms_code",
            Method::EmailCode => "email_code",
            Method::BackupCode => "backup_code",
            Method::TemporaryCode => "temporary_code",
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
            .ok_or_else(|| format!("unknown method {word:?}; one of {}", Method::ALL.map(Method::word).join(", ")))
    }
}

/// Whether a PIN goes with the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The method alone.
    #[default]
    Standard,
    /// The method and the person's PIN.
    Pin,
}

impl Mode {
    /// Every one.
    pub const ALL: [Mode; 2] = [Mode::Standard, Mode::Pin];

    /// The word in files, the database and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Standard => "standard",
            Mode::Pin => "pin",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Mode::ALL.into_iter().find(|mode| mode.word() == word);
        known.ok_or_else(|| format!("unknown mode {word:?}; one of standard, pin"))
    }
}

/// An enrolled person. Devices and tokens come with later capabilities.
///
/// `Debug` masks the device token: whoever has it can send prompts that look like ours.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether their PIN goes with it.
    pub mode: Mode,
    /// BCP 47 tag of the language of prompts.
    pub language: String,
    /// Whether they take part. What happens to a disabled person is the client's policy.
    pub enabled: bool,
    /// Until when they are blocked (after a fraud report, by an admin).
    pub blocked_until: Option<SystemTime>,
}

impl Person {
    /// Somebody of whom nothing else is known, as enrolment begins: enabled, asked by a push, in English.
    pub fn bare(unique_id: impl Into<String>, name: impl Into<String>) -> Person {
        Person {
            unique_id: unique_id.into(),
            name: name.into(),
            upn: None,
            dn: None,
            first_name: None,
            last_name: None,
            email: None,
            phone: None,
            phone_extension: None,
            device_token: None,
            method: Method::Push,
            mode: Mode::Standard,
            language: "en".into(),
            enabled: true,
            blocked_until: None,
        }
    }

    /// Whether they are blocked at `now`.
    pub fn is_blocked(&self, now: SystemTime) -> bool {
        self.blocked_until.is_some_and(|until| now < until)
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("unique_id", &self.unique_id)
            .field("name", &self.name)
            .field("upn", &self.upn)
            .field("dn", &self.dn)
            .field("first_name", &self.first_name)
            .field("last_name", &self.last_name)
            .field("email", &self.email)
            .field("phone", &self.phone)
            .field("phone_extension", &self.phone_extension)
            .field("device_token", &self.device_token.as_deref().map(masked))
            .field("method", &self.method)
            .field("mode", &self.mode)
            .field("language", &self.language)
            .field("enabled", &self.enabled)
            .field("blocked_until", &self.blocked_until)
            .finish()
    }
}

/// What may be shown of a device token: its last four characters, or none of a short one.
pub fn masked(token: &str) -> String {
    let characters = token.chars().count();
    let shown = if characters > 8 { characters - 4 } else { characters };
    token.chars().skip(shown).fold(String::from("…"), |mut text, character| {
        text.push(character);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_token_is_shown_by_its_end_only() {
        assert_eq!(masked("0123456789abcdef"), "…cdef");
        assert_eq!(masked("12345678"), "…");
        assert_eq!(masked(""), "…");
    }

    #[test]
    fn methods_are_read_back_from_their_words() {
        for method in Method::ALL {
            assert_eq!(method.word().parse::<Method>(), Ok(method));
        }
        assert!("carrier_pigeon".parse::<Method>().is_err());
    }
}
