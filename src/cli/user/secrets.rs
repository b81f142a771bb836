//! `anteroom user token`, `pin` and `device`: what a person proves themselves with. Secrets come from standard
//! input, never from the command line, where everybody on the machine could read them.

use std::io::Write;
use std::time::{Duration, SystemTime};

use super::fields::{checked, line_of_standard_input};
use super::show::{self, token_text};
use super::{Place, Who, advised, find, say};
use crate::secret::Secret;
use crate::users::details;
use crate::users::pin::{hash, matches, weakness};
use crate::users::token::{self, Algorithm, Moving};

/// PINs that may not come back.
const HISTORY: u32 = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Token {
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Debug, clap::Subcommand)]
enum TokenAction {
    /// Every token, or one person's.
    List {
        /// Login name, UPN or unique id.
        person: Option<String>,
    },
    /// Give a person a new token.
    Add(AddToken),
    /// Give a token that is known to somebody else, or to nobody.
    Assign {
        /// Its serial number.
        serial: String,
        /// Login name, UPN or unique id; without it: nobody.
        person: Option<String>,
    },
    /// Remove a token.
    Remove {
        /// Its serial number.
        serial: String,
    },
}

#[derive(Debug, clap::Args)]
struct AddToken {
    #[command(flatten)]
    who: Who,
    /// Its serial number.
    serial: String,
    /// `-`: the seed, in Base32, comes from standard input.
    #[arg(long, value_name = "-", required = true)]
    seed: String,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// SHA1, SHA256 or SHA512.
    #[arg(long, default_value = "SHA1")]
    algorithm: Algorithm,
    /// Digits of a code.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(6..=8))]
    digits: u32,
    /// Seconds of a step.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(10..=300))]
    period: u32,
    /// It counts instead of telling the time: the next counter.
    #[arg(long, value_name = "NUMBER", conflicts_with = "period")]
    counter: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Pin {
    #[command(flatten)]
    who: Who,
    /// Take it away instead of setting one from standard input.
    #[arg(long)]
    clear: bool,
    /// They must change it before it is good for anything else.
    #[arg(long, conflicts_with = "clear")]
    change_required: bool,
    /// They must change it after so long, such as `90d`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "clear")]
    expires_in: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Device {
    #[command(subcommand)]
    action: DeviceAction,
}

#[derive(Debug, clap::Subcommand)]
enum DeviceAction {
    /// Add an app, whose token comes from standard input.
    Add {
        #[command(flatten)]
        who: Who,
        /// What the person calls it.
        name: String,
        /// What it is: app, ios, android.
        #[arg(long, default_value = "app")]
        kind: String,
        /// Ask this one first.
        #[arg(long)]
        first: bool,
    },
    /// Remove an app.
    Remove {
        #[command(flatten)]
        who: Who,
        /// What the person calls it.
        name: String,
    },
}

/// A seed as people write it: Base32 (RFC 4648 section 6), in any case, with spaces and without padding.
fn seed(text: &str) -> Option<Secret> {
    let (mut octets, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for character in text.chars().filter(|c| !matches!(c, ' ' | '-' | '=')) {
        let digit = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(character.to_ascii_uppercase())?;
        bits = (bits << 5 | u32::try_from(digit).ok()?) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    // Shorter ones are guessed, longer ones no token has.
    (10..=128).contains(&octets.len()).then(|| Secret::new(octets))
}

/// `anteroom user token`.
pub(super) async fn token(token: Token, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let (store, by) = (place.store, place.by.as_str());
    match token.action {
        TokenAction::List { person } => list_tokens(person, place, out).await,
        TokenAction::Add(add) => {
            let person = find(store, &add.who).await?.person;
            if add.seed != "-" {
                return Err("the seed must come from standard input: --seed -".into());
            }
            let text = line_of_standard_input("the seed")?;
            let seed = seed(&text).ok_or("the seed cannot be used; expected 16 to 205 letters of Base32")?;
            let serial = checked("serial", &add.serial)?;
            let keys = place.key_file()?;
            let sealed = keys.seal_seed(&serial, Some(&person.unique_id), &seed).map_err(|error| error.to_string())?;
            let token = token::Token {
                serial,
                unique_id: Some(person.unique_id),
                label: add.label,
                seed: sealed,
                algorithm: add.algorithm,
                digits: add.digits,
                moving: match add.counter {
                    Some(next) => Moving::Counter { next },
                    None => Moving::Time { period: add.period },
                },
                drift: 0,
                last_step: None,
                last_used: None,
            };
            store.add_token(&token, by).await.map_err(|error| advised(&error))?;
            say(out, format_args!("added {} to {}", token_text(&token), show::plain(&person.name)))
        }
        TokenAction::Assign { serial, person } => assign(&serial, person, place, out).await,
        TokenAction::Remove { serial } => {
            if !store.remove_token(&serial, by).await.map_err(|error| advised(&error))? {
                return Err(no_such_token(&serial));
            }
            say(out, format_args!("removed {}", show::plain(&serial)))
        }
    }
}

fn no_such_token(serial: &str) -> String {
    format!("there is no token {serial:?}; see `anteroom user token list`")
}

async fn list_tokens(person: Option<String>, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    if let Some(person) = person {
        let unique_id = find(place.store, &Who { person }).await?.person.unique_id;
        let tokens = place.store.tokens_of(&unique_id).await.map_err(|error| advised(&error))?;
        return tokens.iter().try_for_each(|token| say(out, format_args!("{}", token_text(token))));
    }
    let mut after = String::new();
    loop {
        let page = place.store.tokens(&after, super::PAGE).await.map_err(|error| advised(&error))?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.serial);
        for token in &page {
            let owner = match &token.unique_id {
                Some(unique_id) => place.store.person(unique_id).await.map_err(|error| advised(&error))?,
                None => None,
            };
            let owner = owner.map_or_else(|| "nobody's".into(), |person| format!("of {}", show::plain(&person.name)));
            say(out, format_args!("{}, {owner}", token_text(token)))?;
        }
    }
}

/// Gives a token to somebody else: its seed is bound to its owner, so that it is sealed anew.
async fn assign(
    serial: &str,
    person: Option<String>,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let found = place.store.token(serial).await.map_err(|error| advised(&error))?;
    let before = found.ok_or_else(|| no_such_token(serial))?;
    let owner = match person {
        Some(person) => Some(find(place.store, &Who { person }).await?.person),
        None => None,
    };
    let keys = place.key_file()?;
    let unique_id = owner.as_ref().map(|person| person.unique_id.clone());
    let sealed = keys
        .open_seed(serial, before.unique_id.as_deref(), &before.seed)
        .and_then(|seed| keys.seal_seed(serial, unique_id.as_deref(), &seed))
        .map_err(|error| error.to_string())?;
    let after = token::Token { unique_id, seed: sealed, ..before };
    if !place.store.set_token(&after, &place.by).await.map_err(|error| advised(&error))? {
        return Err(no_such_token(serial));
    }
    let owner = owner.map_or_else(|| "nobody".into(), |person| show::plain(&person.name));
    say(out, format_args!("{} belongs to {owner} now", show::plain(serial)))
}

/// `anteroom user pin`.
pub(super) async fn pin(pin: Pin, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let profile = find(place.store, &pin.who).await?;
    let (id, name) = (&profile.person.unique_id, show::plain(&profile.person.name));
    if pin.clear {
        place.store.set_pin(id, None, HISTORY, &place.by).await.map_err(|error| advised(&error))?;
        return say(out, format_args!("{name} has no PIN now"));
    }
    let secret = Secret::from_text(line_of_standard_input("the PIN")?);
    let phones = [profile.person.phone.as_deref(), profile.backup_phone.as_deref()];
    let phones: Vec<&str> = phones.into_iter().flatten().collect();
    if let Some(why) = weakness(&secret, &phones) {
        return Err(format!("that PIN cannot be used: {why}"));
    }
    let earlier = place.store.earlier_pins(id).await.map_err(|error| advised(&error))?;
    let now = place.store.pin(id).await.map_err(|error| advised(&error))?;
    if now.iter().map(|pin| &pin.hash).chain(&earlier).any(|hash| matches(&secret, hash)) {
        return Err("that PIN was used before".into());
    }
    let expires = pin.expires_in.map(|after| {
        SystemTime::now().checked_add(after).ok_or("--expires-in is too long; leave it out for a PIN without end")
    });
    let pin =
        details::Pin { hash: hash(&secret)?, change_required: pin.change_required, expires: expires.transpose()? };
    place.store.set_pin(id, Some(&pin), HISTORY, &place.by).await.map_err(|error| advised(&error))?;
    say(out, format_args!("{name} has a new PIN"))
}

/// `anteroom user device`.
pub(super) async fn device(device: Device, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let (who, name) = match &device.action {
        DeviceAction::Add { who, name, .. } | DeviceAction::Remove { who, name } => (who, checked("name", name)?),
    };
    let person = find(place.store, who).await?.person;
    let mut devices = place.store.devices(&person.unique_id).await.map_err(|error| advised(&error))?;
    let place_of = devices.iter().position(|device| device.name == name);
    match (&device.action, place_of) {
        (DeviceAction::Add { .. }, Some(_)) => return Err(format!("there is a device {name:?} already")),
        (DeviceAction::Add { kind, first, .. }, None) => {
            let token = checked("device token", &line_of_standard_input("the device token")?)?;
            let device = details::Device { name: name.clone(), kind: checked("kind", kind)?, token };
            devices.insert(if *first { 0 } else { devices.len() }, device);
        }
        (DeviceAction::Remove { .. }, None) => return Err(format!("there is no device {name:?}")),
        (DeviceAction::Remove { .. }, Some(index)) => {
            devices.remove(index);
        }
    }
    let done = place.store.set_devices(&person.unique_id, &devices, &place.by).await;
    done.map_err(|error| advised(&error))?;
    say(out, format_args!("{} has {} devices now", show::plain(&person.name), devices.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_as_rfc_4648_writes_it() {
        let rfc_6238 = seed("GEZD GNBV-GY3T QOJQ gezdgnbvgy3tqojq====").unwrap();
        assert_eq!(rfc_6238.open(), b"12345678901234567890");
        for text in ["", "GEZDGNBV", "GEZDGNBVGY3TQOJ1", "not base32 at all!!"] {
            assert!(seed(text).is_none(), "{text}");
        }
    }
}
