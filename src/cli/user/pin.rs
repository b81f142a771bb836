//! `anteroom user pin`. A PIN comes from standard input, never from the command line, where everybody on the machine
//! could read it; one that is made here is shown once.

use std::io::Write;
use std::time::{Duration, SystemTime};

use super::fields::line_of_standard_input;
use super::show;
use super::{Place, Who, advised, find, say};
use crate::secret::Secret;
use crate::users::codes::fresh;
use crate::users::pin::Rules;
use crate::users::pins;
use crate::users::profile::Profile;

/// How often a PIN is made until one is not weak: nearly every fourth of four digits is.
const TRIES: u32 = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Pin {
    #[command(flatten)]
    who: Who,
    /// Make one, show it once, and have them change it at first use.
    #[arg(long, conflicts_with_all = ["clear", "expire"])]
    generate: bool,
    /// Digits of a PIN that is made; by default as many as the rules want.
    #[arg(long, value_name = "NUMBER", requires = "generate", value_parser = clap::value_parser!(u32).range(4..=16))]
    digits: Option<u32>,
    /// They must change it before it is good for anything else.
    #[arg(long, visible_alias = "change-required", conflicts_with_all = ["clear", "expire"])]
    must_change: bool,
    /// They must change it after so long, such as `90d`; by default what `[pin] expires_after` says.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with_all = ["clear", "expire"])]
    expires_in: Option<Duration>,
    /// Have them change the PIN that they have, now.
    #[arg(long, conflicts_with = "clear")]
    expire: bool,
    /// Take it away instead of setting one from standard input.
    #[arg(long)]
    clear: bool,
}

pub(super) async fn pin(pin: Pin, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let profile = find(place.store, &pin.who).await?;
    let (id, name) = (&profile.person.unique_id, show::plain(&profile.person.name));
    let (rules, now) = (&place.pins, SystemTime::now());
    if pin.clear {
        place.store.set_pin(id, None, rules.history, &place.by).await.map_err(|error| advised(&error))?;
        return say(out, format_args!("{name} has no PIN now"));
    }
    if pin.expire {
        if !place.store.expire_pin(id, &place.by).await.map_err(|error| advised(&error))? {
            return Err(format!("{name} has no PIN; `anteroom user pin {name}` sets one"));
        }
        return say(out, format_args!("{name} must change the PIN before it is good for anything else"));
    }
    let expires = pin
        .expires_in
        .or(rules.expires_after)
        .map(|after| now.checked_add(after).ok_or("--expires-in is too long; leave it out for a PIN without end"));
    let how = (pin.must_change || pin.generate, expires.transpose()?);
    if !pin.generate {
        let secret = Secret::from_text(line_of_standard_input("the PIN")?);
        set(place, &profile, &secret, how).await?;
        return say(out, format_args!("{name} has a new PIN"));
    }
    let secret = generated(pin.digits, rules, &profile)?;
    set(place, &profile, &secret, how).await?;
    let shown = zeroize::Zeroizing::new(String::from_utf8_lossy(secret.open()).into_owned());
    say(out, format_args!("the PIN of {name}, shown this once and to be changed at first use: {}", shown.as_str()))
}

async fn set(
    place: &Place<'_>,
    profile: &Profile,
    secret: &Secret,
    how: (bool, Option<SystemTime>),
) -> Result<(), String> {
    let set = pins::set(place.store, profile, secret, &place.pins, how, &place.by).await;
    set.map_err(|error| advised(&error))?.map_err(|why| format!("that PIN cannot be used: {why}"))
}

/// A random PIN that the rules take.
fn generated(digits: Option<u32>, rules: &Rules, profile: &Profile) -> Result<Secret, String> {
    let digits = digits.unwrap_or_else(|| u32::try_from(rules.shortest).unwrap_or(4));
    let phones = [profile.person.phone.as_deref(), profile.backup_phone.as_deref()];
    let phones: Vec<&str> = phones.into_iter().flatten().collect();
    for _ in 0..TRIES {
        let secret = fresh(digits)?;
        if rules.unfit(&secret, &phones).is_none() {
            return Ok(secret);
        }
    }
    Err(format!("no PIN of {digits} digits was found that the rules take; see [pin]"))
}
