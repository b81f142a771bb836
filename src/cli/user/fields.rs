//! The fields of a person as options, checked before they reach the store, and what a change changes.

use std::time::SystemTime;

use crate::cli::user::show::time_text;
use crate::users::model::{Method, Person, masked};

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
    /// Phone for calls and texts, with country code: "+1 202 555 0111".
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Extension that a call dials after the phone answered.
    #[arg(long, value_name = "DIGITS")]
    extension: Option<String>,
    /// The app's token for pushes; `-` reads it from standard input, so that no process list shows it.
    #[arg(long, value_name = "TOKEN")]
    device_token: Option<String>,
    /// How they are asked: push, call, sms_reply or oath. A new person is asked by push.
    #[arg(long)]
    method: Option<Method>,
    /// Language of prompts, as a BCP 47 tag such as `en` or `pt-BR`.
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
}

impl Change {
    /// `person` with the given fields changed.
    pub(super) fn applied(self, mut person: Person) -> Result<Person, String> {
        let set = |field: &mut Option<String>, what: &str, given: Option<String>| -> Result<(), String> {
            match given {
                None => Ok(()),
                Some(text) if text.is_empty() => {
                    *field = None;
                    Ok(())
                }
                Some(text) => {
                    *field = Some(checked(what, &text)?);
                    Ok(())
                }
            }
        };
        let device_token = match self.device_token.as_deref() {
            Some("-") => Some(line_of_standard_input()?),
            _ => self.device_token,
        };
        set(&mut person.upn, "upn", self.upn)?;
        set(&mut person.dn, "dn", self.dn)?;
        set(&mut person.first_name, "first name", self.first_name)?;
        set(&mut person.last_name, "last name", self.last_name)?;
        set(&mut person.email, "email", self.email)?;
        set(&mut person.phone, "phone", self.phone)?;
        set(&mut person.phone_extension, "extension", self.extension)?;
        set(&mut person.device_token, "device token", device_token)?;
        if let Some(method) = self.method {
            person.method = method;
        }
        if let Some(language) = self.language {
            person.language = checked("language", &language)?;
        }
        Ok(person)
    }
}

fn line_of_standard_input() -> Result<String, String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    match line.trim() {
        "" => Err("the device token was to come from standard input, which had none".into()),
        token => Ok(token.to_owned()),
    }
}

/// A value of the field `what`, trimmed, or why it cannot be one. The error never repeats a device token.
pub(super) fn checked(what: &str, value: &str) -> Result<String, String> {
    let value = value.trim();
    let characters = value.chars().count();
    let fits = characters >= 1
        && characters <= if matches!(what, "device token" | "dn") { LONGEST_TOKEN } else { LONGEST }
        && !value.chars().any(char::is_control);
    let expected = match what {
        "phone" if !is_phone(value) => "a number with country code, such as \"+1 202 555 0111\"",
        "extension" if !value.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | ',')) => {
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

fn is_phone(value: &str) -> bool {
    // ITU-T E.164: at most 15 digits after the plus sign.
    let digits = value.chars().filter(char::is_ascii_digit).count();
    value.strip_prefix('+').is_some_and(|rest| {
        (5..=15).contains(&digits)
            && rest.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')'))
    })
}

fn is_address(value: &str) -> bool {
    value.rsplit_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty())
        && !value.contains(char::is_whitespace)
}

fn is_language(value: &str) -> bool {
    value.len() <= 35
        && value.split('-').all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// One field of a change: its name, its text before and after.
pub(super) type Difference = (&'static str, Option<String>, Option<String>);

/// What differs between two states of a person, of whom one may not exist. Device tokens are masked.
pub(super) fn differences(before: Option<&Person>, after: Option<&Person>) -> Vec<Difference> {
    let before = before.map(texts);
    let after = after.map(texts);
    let fields = before.as_ref().or(after.as_ref()).map(|texts| texts.each_ref().map(|(field, _)| *field));
    let text = |texts: &Option<[(&'static str, Option<String>); FIELDS]>, index: usize| {
        texts.as_ref().and_then(|texts| texts.get(index)).and_then(|(_, text)| text.clone())
    };
    fields
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, field)| (field, text(&before, index), text(&after, index)))
        .filter(|(_, before, after)| before != after)
        .map(|(field, before, after)| match field {
            TOKEN => (field, before.as_deref().map(masked), after.as_deref().map(masked)),
            _ => (field, before, after),
        })
        .collect()
}

const FIELDS: usize = 14;
const TOKEN: &str = "device token";

/// Every field with its text, the device token in full: it is compared before it is masked.
fn texts(person: &Person) -> [(&'static str, Option<String>); FIELDS] {
    let state = if person.enabled { "enabled" } else { "disabled" };
    [
        ("unique id", Some(person.unique_id.clone())),
        ("name", Some(person.name.clone())),
        ("upn", person.upn.clone()),
        ("dn", person.dn.clone()),
        ("first name", person.first_name.clone()),
        ("last name", person.last_name.clone()),
        ("email", person.email.clone()),
        ("phone", person.phone.clone()),
        ("extension", person.phone_extension.clone()),
        (TOKEN, person.device_token.clone()),
        ("method", Some(person.method.to_string())),
        ("language", Some(person.language.clone())),
        ("state", Some(state.into())),
        ("blocked until", person.blocked_until.map(time_text)),
    ]
}

/// Every field as it may be shown.
pub(super) fn shown_fields(person: &Person) -> Vec<(&'static str, Option<String>)> {
    let mask = |(field, text): (&'static str, Option<String>)| {
        (field, if field == TOKEN { text.as_deref().map(masked) } else { text })
    };
    texts(person).into_iter().map(mask).collect()
}

/// `enabled`, `disabled`, or until when they are blocked.
pub(super) fn state(person: &Person, now: SystemTime) -> String {
    match person.blocked_until {
        _ if !person.enabled => "disabled".into(),
        Some(until) if now < until => format!("blocked until {}", time_text(until)),
        _ => "enabled".into(),
    }
}
