//! The fields of a person as options, checked before they reach the store.

use std::time::SystemTime;

use crate::users::changes::time_text;
use crate::users::model::{Method, Person};
use crate::users::phone;
use crate::users::profile::{Mode, Profile};

/// Longest name, address or id, in characters. Directories allow 256 for a sAMAccountName's attribute.
const LONGEST: usize = 256;

/// Longest device token, in characters: the push services' are far below.
const LONGEST_TOKEN: usize = 4096;

/// The fields that `add` and `set` share. An empty text clears a field.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Change {
    /// The name with an `@`.
    #[arg(long, value_name = "NAME")]
    upn: Option<String>,
    /// Distinguished name in the directory.
    #[arg(long, value_name = "DN")]
    dn: Option<String>,
    /// First name.
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Last name.
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// E-mail address.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Another accepted name, such as `CORP\\alice`; several times for several, together in the place of those before.
    #[arg(long = "alias", value_name = "NAME")]
    aliases: Option<Vec<String>>,
    /// Their group, for reports.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Free text.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Phone for calls and texts, with country code: "+1 202 555 0111", or "+1 202 555 0111 x890".
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Extension that a call dials after the phone answered.
    #[arg(long, value_name = "DIGITS")]
    extension: Option<String>,
    /// Phone that is called when the first cannot be reached.
    #[arg(long, value_name = "NUMBER")]
    backup_phone: Option<String>,
    /// Extension that a call dials after the backup phone answered.
    #[arg(long, value_name = "DIGITS")]
    backup_extension: Option<String>,
    /// The app's token for pushes; `-` reads it from standard input, so that no process list shows it.
    #[arg(long, value_name = "TOKEN")]
    device_token: Option<String>,
    /// How they are asked: push, call, sms_reply or oath. A new person is asked by push.
    #[arg(long)]
    method: Option<Method>,
    /// Whether a PIN goes with the method: standard or pin.
    #[arg(long)]
    mode: Option<Mode>,
    /// Language of prompts, as a BCP 47 tag such as `en` or `pt-BR`.
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
}

impl Change {
    /// `profile` with the given fields changed.
    pub(super) fn applied(self, mut profile: Profile) -> Result<Profile, String> {
        let device_token = match self.device_token.as_deref() {
            Some("-") => Some(line_of_standard_input("the device token")?),
            _ => self.device_token,
        };
        let person = &mut profile.person;
        set(&mut person.upn, "upn", self.upn)?;
        set(&mut person.dn, "dn", self.dn)?;
        set(&mut person.first_name, "first name", self.first_name)?;
        set(&mut person.last_name, "last name", self.last_name)?;
        set(&mut person.email, "email", self.email)?;
        set_phone(&mut person.phone, &mut person.phone_extension, self.phone)?;
        set(&mut person.phone_extension, "extension", self.extension)?;
        set(&mut person.device_token, "device token", device_token)?;
        if let Some(method) = self.method {
            person.method = method;
        }
        if let Some(language) = self.language {
            person.language = checked("language", &language)?;
        }
        set(&mut profile.group, "group", self.group)?;
        set(&mut profile.description, "description", self.description)?;
        set_phone(&mut profile.backup_phone, &mut profile.backup_extension, self.backup_phone)?;
        set(&mut profile.backup_extension, "extension", self.backup_extension)?;
        if let Some(aliases) = self.aliases {
            let aliases = aliases.iter().filter(|alias| !alias.is_empty());
            profile.aliases = aliases.map(|alias| checked("alias", alias)).collect::<Result<_, _>>()?;
        }
        if let Some(mode) = self.mode {
            profile.person.mode = mode;
        }
        Ok(profile)
    }
}

/// Sets a field if it was given; an empty text clears it.
fn set(field: &mut Option<String>, what: &str, given: Option<String>) -> Result<(), String> {
    match given {
        None => {}
        Some(text) if text.is_empty() => *field = None,
        Some(text) => *field = Some(checked(what, &text)?),
    }
    Ok(())
}

/// Sets a number in its one form, and the extension behind it.
fn set_phone(number: &mut Option<String>, extension: &mut Option<String>, given: Option<String>) -> Result<(), String> {
    let Some(given) = given else { return Ok(()) };
    let Some(phone) = phone::parse(&given, None) else {
        *number = None;
        return Ok(());
    };
    if !phone.is_normal() {
        return Err(format!(
            "phone {given:?} cannot be used; expected a number with country code, such as \"+1 202 555 0111\""
        ));
    }
    *number = Some(phone.number);
    if phone.extension.is_some() {
        *extension = phone.extension;
    }
    Ok(())
}

/// A line of standard input, where no process list shows it.
pub(in crate::cli) fn line_of_standard_input(what: &str) -> Result<String, String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    match line.trim() {
        "" => Err(format!("{what} was to come from standard input, which had none")),
        token => Ok(token.to_owned()),
    }
}

/// A value of the field `what`, trimmed, or why it cannot be one. The error never repeats a device token.
pub(in crate::cli) fn checked(what: &str, value: &str) -> Result<String, String> {
    let value = value.trim();
    let characters = value.chars().count();
    let fits = characters >= 1
        && characters <= if matches!(what, "device token" | "dn") { LONGEST_TOKEN } else { LONGEST }
        && !value.chars().any(char::is_control);
    let expected = match what {
        "extension" if !value.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | ',' | '@')) => {
            "digits, *, # and commas for pauses"
        }
        "email" | "upn" if !is_address(value) => "a name and a domain with an @ between",
        "language" if !is_language(value) => "a BCP 47 tag, such as en or pt-BR",
        "device token" if value.contains(char::is_whitespace) => "one word",
        _ if fits => return Ok(value.to_owned()),
        _ => "text, not too long, without control characters",
    };
    match what {
        "device token" => Err(format!("the device token cannot be used; expected {expected}")),
        _ => Err(format!("{what} {value:?} cannot be used; expected {expected}")),
    }
}

/// A unique id; a UUID in lower case, as the directory gives it.
pub(super) fn unique_id(value: &str) -> Result<String, String> {
    let value = checked("unique id", value)?;
    Ok(if uuid::Uuid::try_parse(&value).is_ok() { value.to_lowercase() } else { value })
}

fn is_address(value: &str) -> bool {
    value.rsplit_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty())
        && !value.contains(char::is_whitespace)
}

fn is_language(value: &str) -> bool {
    value.len() <= 35
        && value.split('-').all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// `enabled`, `disabled`, or until when they are blocked.
pub(super) fn state(person: &Person, now: SystemTime) -> String {
    match person.blocked_until {
        _ if !person.enabled => "disabled".into(),
        Some(until) if now < until => format!("blocked until {}", time_text(until)),
        _ => "enabled".into(),
    }
}

/// What to say when a person's method cannot work with what is known of them.
pub(super) fn note(person: &Person) -> Option<String> {
    let (missing, option) = match person.method {
        Method::Push if person.device_token.is_none() => ("device token", "--device-token"),
        Method::Call | Method::SmsReply if person.phone.is_none() => ("phone", "--phone"),
        _ => return None,
    };
    let (name, method) = (super::show::plain(&person.name), person.method);
    Some(format!("note: {name} has no {missing}, which {method} needs; `anteroom user set {name} {option} ...`"))
}
