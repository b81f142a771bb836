//! `anteroom token`: OATH tokens, from enrolment to the bin. Seeds and codes come from standard input, never from the
//! command line, where everybody on the machine could read them; a seed that is made here is shown once.

use std::io::{IsTerminal, Write};

use serde_json::json;
use zeroize::Zeroizing;

use super::user::fields::{checked, line_of_standard_input};
use super::user::place::{At, Place};
use super::user::show::{plain, token_text};
use super::user::{PAGE, Who, advised, find, say, unwritten};
use super::{Ended, Failure, import, runtime};
use crate::config::Config;
use crate::import::otpauth;
use crate::import::tokens::base32;
use crate::secret::Secret;
use crate::users::keys::KeyFile;
use crate::users::token::{self, Algorithm, Moving};

mod checking;
mod enrolment;

use checking::{find_again, patience, test};
use enrolment::{Enrolment, Output};

/// `anteroom token`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    anteroom token add alice                            a new seed, shown once as a code to scan\n  \
    anteroom token test app-5e1f0c72                    the code comes from standard input\n  \
    anteroom token list alice\n  \
    anteroom token import vendor.pskc --passphrase-file vendor.txt\n  \
    anteroom token assign T-0001 bob\n  \
    anteroom token resync T-0001                        two codes in a row come from standard input")]
pub struct Args {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    action: Action,
}

/// `anteroom user token`, which is where this was.
#[derive(Debug, clap::Args)]
pub(super) struct Moved {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Every token, or one person's.
    List(List),
    /// Give a person a new token: a seed is made and shown once, or comes from standard input.
    Add(Add),
    /// Give a token that is known to somebody else, or to nobody.
    Assign {
        /// Its serial number.
        serial: String,
        /// Login name, UPN or unique id; without it: nobody.
        person: Option<String>,
    },
    /// Bring in a vendor's file: Microsoft's CSV, PSKC (RFC 6030), or a list of otpauth:// addresses.
    Import(Import),
    /// Say what a code is, and use nothing up.
    Test {
        /// The token's serial number.
        serial: String,
    },
    /// Find a token's clock or counter again by two codes in a row.
    Resync {
        /// The token's serial number.
        serial: String,
    },
    /// Remove a token.
    Remove {
        /// Its serial number.
        serial: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Login name, UPN or unique id.
    person: Option<String>,
    /// JSON instead of text for people: an object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    who: Who,
    /// Its serial number; without it one is made.
    serial: Option<String>,
    /// `-`: the seed, in Base32, comes from standard input; without it one is made.
    #[arg(long, value_name = "-")]
    seed: Option<String>,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// SHA1, SHA256 or SHA512. Several apps know SHA1 only.
    #[arg(long, default_value = "SHA1")]
    algorithm: Algorithm,
    /// Digits of a code. Several apps know 6 only.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(6..=8))]
    digits: u32,
    /// Seconds of a step, 30 or 60. Several apps know 30 only.
    #[arg(long, default_value_t = 30, value_parser = period)]
    period: u32,
    /// It counts instead of telling the time: the next counter.
    #[arg(long, value_name = "NUMBER", conflicts_with = "period")]
    counter: Option<u64>,
    /// Whose token it is to be called in the app; by default this server's name.
    #[arg(long, value_name = "TEXT", conflicts_with = "seed")]
    issuer: Option<String>,
    /// How the new seed is shown.
    #[arg(long, value_enum, default_value = "text", conflicts_with = "seed")]
    output: Output,
}

fn period(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(period @ (30 | 60)) => Ok(period),
        _ => Err("30 or 60".to_owned()),
    }
}

#[derive(Debug, clap::Args)]
struct Import {
    #[command(flatten)]
    tokens: import::Tokens,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// JSON instead of text for people.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// What went wrong and what to do next, as a text for people.
pub fn run(args: Args) -> Ended {
    runtime()?.block_on(async {
        let opened = args.at.open(false).await.map_err(Failure::refused)?;
        let done = match args.action {
            Action::Import(import) => {
                // Without a configuration the file is all there is: nobody else imports into it by that name.
                let node = match &opened.config {
                    None => Ok("anteroom token import"),
                    Some(Ok(config)) => Ok(config.server.name.as_str()),
                    Some(Err(mistakes)) => Err(Failure::usage(mistakes.clone())),
                };
                match node {
                    Ok(node) => {
                        let (at, how) = ((node, opened.keys()), (import.dry_run, import.json));
                        import::tokens(import.tokens, at, &opened.store, how).await
                    }
                    Err(failure) => Err(failure),
                }
            }
            action => {
                let mut out = std::io::BufWriter::new(std::io::stdout());
                let config = opened.config.as_ref().and_then(|config| config.as_ref().ok());
                let done = act(action, config, &opened.place(), &mut out).await;
                let done = done.and(out.flush().map_err(unwritten));
                done.map(|()| std::process::ExitCode::SUCCESS).map_err(Failure::refused)
            }
        };
        opened.store.close().await;
        done
    })
}

/// As it was called before.
pub(super) async fn moved(moved: Moved, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    match moved.action {
        Action::Import(_) => Err("use `anteroom token import`".into()),
        action => act(action, None, place, out).await,
    }
}

async fn act(
    action: Action,
    config: Option<&Config>,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    match action {
        Action::List(list) => show_all(list, place, out).await,
        Action::Add(add) => give(add, config, place, out).await,
        Action::Assign { serial, person } => assign(&serial, person, place, out).await,
        Action::Import(_) => Err("use `anteroom token import`".into()),
        Action::Test { serial } => test(&serial, patience(config), place, out).await,
        Action::Resync { serial } => find_again(&serial, place, out).await,
        Action::Remove { serial } => {
            if !place.store.remove_token(&serial, &place.by).await.map_err(|error| advised(&error))? {
                return Err(no_such_token(&serial));
            }
            say(out, format_args!("removed {}", plain(&serial)))
        }
    }
}

fn no_such_token(serial: &str) -> String {
    format!("there is no token {serial:?}; see `anteroom token list`")
}

async fn known(serial: &str, place: &Place<'_>) -> Result<token::Token, String> {
    let found = place.store.token(serial).await.map_err(|error| advised(&error))?;
    found.ok_or_else(|| no_such_token(serial))
}

fn opened(keys: &KeyFile, token: &token::Token) -> Result<Secret, String> {
    keys.open_seed(&token.serial, token.unique_id.as_deref(), &token.seed).map_err(|error| error.to_string())
}

/// A seed as people write it, of a length that a token has.
fn seed(text: &str) -> Option<Secret> {
    // Shorter ones are guessed, longer ones no token has.
    base32(text).filter(|seed| (10..=128).contains(&seed.len()))
}

async fn give(
    add: Add,
    config: Option<&Config>,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let person = find(place.store, &add.who).await?.person;
    let (seed, made) = match add.seed.as_deref() {
        None => (enrolment::seed(add.algorithm)?, true),
        Some("-") => {
            let text = Zeroizing::new(line_of_standard_input("the seed")?);
            (seed(&text).ok_or("the seed cannot be used; expected 16 to 205 letters of Base32")?, false)
        }
        Some(_) => return Err("the seed must come from standard input: --seed -".into()),
    };
    let serial = match &add.serial {
        Some(serial) => checked("serial", serial)?,
        None => enrolment::serial()?,
    };
    let sealed = place.key_file()?.seal_seed(&serial, Some(&person.unique_id), &seed);
    let token = token::Token {
        serial,
        unique_id: Some(person.unique_id.clone()),
        label: add.label,
        seed: sealed.map_err(|error| error.to_string())?,
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
    let issuer = add.issuer.as_deref().or(config.map(|config| config.server.name.as_str())).unwrap_or("Anteroom");
    let address = otpauth::address(&token, &seed, issuer, person.upn.as_deref().unwrap_or(&person.name));
    // Before it is kept: a token whose seed could not be shown would be of no use to anybody.
    let enrolment = Enrolment::of(&address)?;
    place.store.add_token(&token, &place.by).await.map_err(|error| advised(&error))?;
    let told = format!("added {} to {}", token_text(&token), plain(&person.name));
    if !made {
        return say(out, format_args!("{told}"));
    }
    match add.output {
        Output::Text => {
            say(out, format_args!("{told}"))?;
            let colours = std::io::stdout().is_terminal();
            say(out, format_args!("scan this with an authenticator app; it is shown this once:\n"))?;
            say(out, format_args!("{}", enrolment.terminal(colours).as_str()))?;
            say(
                out,
                format_args!("{}\n\nthen see whether it fits: anteroom token test {}", address.as_str(), token.serial),
            )
        }
        Output::Uri => say(out, format_args!("{}", address.as_str())),
        Output::Svg => say(out, format_args!("{}", enrolment.svg().as_str())),
        Output::Json => {
            let shown = json!({ "serial": token.serial, "person": person.name, "uri": address.as_str() });
            say(out, format_args!("{shown}"))
        }
    }
}

async fn show_all(list: List, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    if let Some(person) = list.person {
        let person = find(place.store, &Who { person }).await?.person;
        let tokens = place.store.tokens_of(&person.unique_id).await.map_err(|error| advised(&error))?;
        return tokens.iter().try_for_each(|token| match list.json {
            true => say(out, format_args!("{}", shown(token, Some(&person.name)))),
            false => say(out, format_args!("{}", token_text(token))),
        });
    }
    let mut after = String::new();
    loop {
        let page = place.store.tokens(&after, PAGE).await.map_err(|error| advised(&error))?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.serial);
        for token in &page {
            let owner = match &token.unique_id {
                Some(unique_id) => place.store.person(unique_id).await.map_err(|error| advised(&error))?,
                None => None,
            };
            let owner = owner.map(|person| person.name);
            if list.json {
                say(out, format_args!("{}", shown(token, owner.as_deref())))?;
                continue;
            }
            let owner = owner.map_or_else(|| "nobody's".into(), |name| format!("of {}", plain(&name)));
            say(out, format_args!("{}, {owner}", token_text(token)))?;
        }
    }
}

/// A token as JSON, without its seed.
fn shown(token: &token::Token, owner: Option<&str>) -> serde_json::Value {
    let (period, counter) = match token.moving {
        Moving::Time { period } => (Some(period), None),
        Moving::Counter { next } => (None, Some(next)),
    };
    json!({
        "serial": token.serial, "person": owner, "label": token.label, "algorithm": token.algorithm.word(),
        "digits": token.digits, "period": period, "counter": counter, "drift": token.drift,
        "last_used": token.last_used.map(crate::users::changes::time_text),
    })
}

/// Gives a token to somebody else: its seed is bound to its owner, so that it is sealed anew.
async fn assign(
    serial: &str,
    person: Option<String>,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let before = known(serial, place).await?;
    let owner = match person {
        Some(person) => Some(find(place.store, &Who { person }).await?.person),
        None => None,
    };
    let keys = place.key_file()?;
    let unique_id = owner.as_ref().map(|person| person.unique_id.clone());
    let seed = opened(&keys, &before)?;
    let sealed = keys.seal_seed(serial, unique_id.as_deref(), &seed).map_err(|error| error.to_string())?;
    let after = token::Token { unique_id, seed: sealed, ..before };
    if !place.store.set_token(&after, &place.by).await.map_err(|error| advised(&error))? {
        return Err(no_such_token(serial));
    }
    let owner = owner.map_or_else(|| "nobody".into(), |person| plain(&person.name));
    say(out, format_args!("{} belongs to {owner} now", plain(serial)))
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
