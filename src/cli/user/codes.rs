//! `anteroom user codes` (the list for the day when the phone is lost) and `anteroom user code` (from the help desk). Codes
//! are shown once; the store has their hashes only.

use std::io::Write;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::show;
use super::{Place, Who, advised, find, say};
use crate::secret::Secret;
use crate::users::changes::time_text;
use crate::users::codes::{self, CodeKind, KeptCode, grouped};
use crate::users::hashing::slowly;

/// Longest validity of a temporary code.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Longest reason, in characters.
const LONGEST_REASON: usize = 200;

/// How codes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// The bare codes, one a line.
    Codes,
    /// One JSON object.
    Json,
}

/// `anteroom user codes`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    who: Who,
    /// How many codes the new list has.
    #[arg(long, value_name = "NUMBER", default_value_t = codes::LIST, value_parser = clap::value_parser!(u32).range(1..=i64::from(codes::MOST)))]
    number: u32,
    /// Say how many are left, and change nothing.
    #[arg(long)]
    left: bool,
    /// Take the list away.
    #[arg(long, conflicts_with = "left")]
    withdraw: bool,
    /// How the list is written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// `anteroom user code`.
#[derive(Debug, clap::Args)]
pub(super) struct Temporary {
    #[command(flatten)]
    who: Who,
    /// How long it is good, such as `8h`; 30 days at most.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "24h")]
    lasts: Duration,
    /// How often it is good.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(codes::MOST)))]
    uses: u32,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT", required_unless_present = "withdraw")]
    reason: Option<String>,
    /// Take it away.
    #[arg(long, conflicts_with_all = ["reason", "uses", "lasts"])]
    withdraw: bool,
    /// How the code is written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

async fn withdraw(kind: CodeKind, who: &Who, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let person = find(place.store, who).await?.person;
    let done = place.store.set_kept_codes(&person.unique_id, kind, &[], &place.by).await;
    done.map_err(|error| advised(&error))?;
    say(out, format_args!("{} has no {kind} codes now", show::plain(&person.name)))
}

/// Makes codes and keeps their hashes.
async fn make(place: &Place<'_>, unique_id: &str, like: KeptCode, number: u32) -> Result<Vec<Secret>, String> {
    let kind = like.kind;
    let made = slowly(move || {
        let codes = codes::list(kind, number)?;
        let hashes = codes::hashed(&codes)?;
        Ok::<_, String>((codes, hashes))
    });
    let (codes, hashes) = made.await.ok_or("making the codes ended in a panic")??;
    let kept: Vec<KeptCode> = hashes.into_iter().map(|hash| KeptCode { hash, ..like.clone() }).collect();
    let known = place.store.set_kept_codes(unique_id, kind, &kept, &place.by).await;
    if !known.map_err(|error| advised(&error))? {
        return Err("they were removed by somebody else just now; nothing was changed".into());
    }
    Ok(codes)
}

/// Writes codes, in groups for people, bare for programs.
fn write(
    codes: &[Secret],
    output: Output,
    heading: &str,
    about: serde_json::Value,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let bare = |code: &Secret| zeroize::Zeroizing::new(String::from_utf8_lossy(code.open()).into_owned());
    match output {
        Output::Text => {
            say(out, format_args!("{heading}"))?;
            codes.iter().try_for_each(|code| say(out, format_args!("  {}", grouped(code).as_str())))
        }
        Output::Codes => codes.iter().try_for_each(|code| say(out, format_args!("{}", bare(code).as_str()))),
        Output::Json => {
            let mut about = about;
            if let Some(about) = about.as_object_mut() {
                let codes: Vec<String> = codes.iter().map(|code| bare(code).to_string()).collect();
                about.insert("codes".to_owned(), json!(codes));
            }
            say(out, format_args!("{about}"))
        }
    }
}

/// `anteroom user codes`.
pub(super) async fn list(list: List, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    if list.withdraw {
        return withdraw(CodeKind::Backup, &list.who, place, out).await;
    }
    let person = find(place.store, &list.who).await?.person;
    let name = show::plain(&person.name);
    if list.left {
        let kept = place.store.kept_codes(&person.unique_id).await.map_err(|error| advised(&error))?;
        let left = kept.iter().filter(|code| code.kind == CodeKind::Backup && code.is_good(SystemTime::now())).count();
        return match list.output {
            Output::Text => say(out, format_args!("{name} has {left} backup codes left")),
            Output::Codes => say(out, format_args!("{left}")),
            Output::Json => say(out, format_args!("{}", json!({ "person": person.name, "left": left }))),
        };
    }
    let like = KeptCode {
        kind: CodeKind::Backup,
        hash: String::new(),
        uses: 1,
        expires: None,
        reason: None,
        added: SystemTime::now(),
        added_by: place.by.clone(),
    };
    let codes = make(place, &person.unique_id, like, list.number).await?;
    let heading = format!(
        "backup codes of {name}, shown this once; each is good once, all before are void.\n\
         Behind the password, without the blank, where a code is typed:"
    );
    write(&codes, list.output, &heading, json!({ "person": person.name, "kind": "backup" }), out)
}

/// `anteroom user code`.
pub(super) async fn temporary(
    code: Temporary,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    if code.withdraw {
        return withdraw(CodeKind::Temporary, &code.who, place, out).await;
    }
    let reason = code.reason.as_deref().map(str::trim).unwrap_or_default();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return Err(format!("--reason must be a text of up to {LONGEST_REASON} characters: the history will show it"));
    }
    if code.lasts.is_zero() || code.lasts > LONGEST {
        return Err("--for must be between a second and 30 days".into());
    }
    let person = find(place.store, &code.who).await?.person;
    let now = SystemTime::now();
    let expires = now.checked_add(code.lasts).ok_or("--for is too long")?;
    let like = KeptCode {
        kind: CodeKind::Temporary,
        hash: String::new(),
        uses: code.uses,
        expires: Some(expires),
        reason: Some(reason.to_owned()),
        added: now,
        added_by: place.by.clone(),
    };
    let codes = make(place, &person.unique_id, like, 1).await?;
    let uses = if code.uses == 1 { "once".to_owned() } else { format!("{} times", code.uses) };
    let until = time_text(expires);
    let name = show::plain(&person.name);
    let heading = format!(
        "temporary code of {name}, shown this once; good {uses} until {until}.\n\
         Behind the password, without the blank, where a code is typed:"
    );
    let about =
        json!({ "person": person.name, "kind": "temporary", "uses": code.uses, "good_until": until, "reason": reason });
    write(&codes, code.output, &heading, about, out)
}
