//! What a code is, and a token that is found again by two of them.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::{known, line_of_standard_input, opened};
use crate::cli::user::place::Place;
use crate::cli::user::show::plain;
use crate::cli::user::{advised, say};
use crate::config::{Config, Provider};
use crate::factor::local::code::{Judged, Patience, judge, resync};
use crate::secret::Secret;
use crate::users::token::{self, Moving};

/// How far tokens may be off, as the server takes it.
pub(super) fn patience(config: Option<&Config>) -> Patience {
    let local = config.and_then(|config| {
        config.providers.values().find_map(|provider| match provider {
            Provider::Local(local) => Some(local),
            _ => None,
        })
    });
    let usual = Patience { window: 30, look_ahead: 10 };
    local.map_or(usual, |local| Patience { window: local.window.as_secs(), look_ahead: local.look_ahead.into() })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether a text can be a code of this token.
fn typed(token: &token::Token) -> Result<Secret, String> {
    let text = Zeroizing::new(line_of_standard_input("the code")?);
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let code = Secret::from_text(plain);
    let digits = usize::try_from(token.digits).unwrap_or_default();
    if code.len() != digits || !code.open().iter().all(u8::is_ascii_digit) {
        return Err(format!("that is no code of this token, which has {digits} digits"));
    }
    Ok(code)
}

pub(super) async fn test(
    serial: &str,
    patience: Patience,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let token = known(serial, place).await?;
    let seed = opened(&place.key_file()?, &token)?;
    let code = typed(&token)?;
    let steps =
        |steps: i64| if steps.abs() == 1 { "1 step".to_owned() } else { format!("{} steps", steps.unsigned_abs()) };
    match judge(&token, seed.open(), code.open(), now(), patience) {
        Judged::Good(found) if found.drift == 0 => say(out, format_args!("right, and it would be taken")),
        Judged::Good(found) => {
            let way = if found.drift > 0 { "ahead" } else { "behind" };
            say(out, format_args!("right, and it would be taken; the token's clock is {} {way}", steps(found.drift)))
        }
        Judged::Used => Err("right once, but it or a later one was used before: wait for the next".into()),
        Judged::Off(off) => {
            let way = if off > 0 { "ahead" } else { "behind" };
            Err(format!("a code of this token, but {} {way}: `anteroom token resync {serial}`", steps(off)))
        }
        Judged::Wrong => Err("no code of this token".into()),
    }
}

pub(super) async fn find_again(serial: &str, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let token = known(serial, place).await?;
    let Some(owner) = &token.unique_id else {
        return Err(format!("nobody has the token {serial:?}; assign it first"));
    };
    let seed = opened(&place.key_file()?, &token)?;
    let (first, second) = (typed(&token)?, typed(&token)?);
    let Some(found) = resync(&token, seed.open(), (first.open(), second.open()), now()) else {
        return Err(
            "no two codes of this token in a row, the earlier one first, that are later than any used one".into()
        );
    };
    let used = place.store.use_code(owner, serial, found.step, found.drift).await.map_err(|error| advised(&error))?;
    if !used {
        return Err("somebody used a later code just now; try again with the next two".into());
    }
    let clock = match token.moving {
        Moving::Time { period } => format!("its clock is {} s off", i64::from(period).saturating_mul(found.drift)),
        Moving::Counter { .. } => format!("its next counter is {}", found.step.saturating_add(1)),
    };
    say(out, format_args!("{} is found again: {clock}; both codes are used up", plain(serial)))
}
