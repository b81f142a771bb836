//! `anteroom events`: sign-ins as they ended, on the terminal; live, filtered, as text or JSON. Read from the user store,
//! with or without a running server.

use std::collections::{HashSet, VecDeque};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use super::report::period::{self, Moment};
use super::user::plain;
use super::{Ended, Failure};
use crate::signin::outcome::Reason;
use crate::users::events::{After, EventRecord, Wanted};
use crate::users::roster::Roster;

const EXAMPLES: &str = "\
Examples:
  anteroom events                                the last twenty sign-ins
  anteroom events --follow                       those that end from now on, as they end
  anteroom events --follow --client vpn --verdict reject
  anteroom events --user alice --since 2h
  anteroom events --reason denied --reason fraud --since 2026-11-01 --json

--follow ends with Ctrl-C. The newest line is the last. With --json a line is an object with the fields of docs/audit.md.";

/// How often it is looked for more.
const LOOK: Duration = Duration::from_millis(300);
/// Events read at once.
const PAGE: u32 = 500;
/// How far back it is looked for events that were written together with newer ones: of several nodes, one may take
/// longer than the other.
const OVERLAP: i64 = 1000;

/// Options of `anteroom events`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which user store.
    #[command(flatten)]
    place: super::report::StorePlace,
    /// Through this client only
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Of this person only: account name, name as typed, or unique id
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For this reason only, as in docs/audit.md; may be given again
    #[arg(long, value_name = "REASON", value_parser = known_reason)]
    reason: Vec<String>,
    /// With this verdict only
    #[arg(long, value_name = "VERDICT", value_parser = ["accept", "reject", "discard"])]
    verdict: Option<String>,
    /// By this [[rule]] only
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Not before: a time, a date, or how long ago (2h, 7d)
    #[arg(long, value_name = "WHEN", value_parser = period::moment)]
    since: Option<Moment>,
    /// How many of the latest
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    last: u32,
    /// Go on with those that end from now on
    #[arg(long, short)]
    follow: bool,
    /// JSON instead of text for people
    #[arg(long)]
    json: bool,
}

fn known_reason(text: &str) -> Result<String, String> {
    let known = Reason::ALL.iter().any(|reason| reason.code() == text);
    if known { Ok(text.to_owned()) } else { Err("no such reason; docs/audit.md has them all".into()) }
}

/// Shows sign-ins.
///
/// # Errors
/// When the store cannot be read.
pub fn run(args: Args) -> Ended {
    super::runtime()?.block_on(async {
        let store = args.place.open().await?;
        let mut out = std::io::BufWriter::new(std::io::stdout());
        let shown = show(&args, &store, &mut out).await;
        store.close().await;
        shown.map(|()| ExitCode::SUCCESS)
    })
}

async fn show(args: &Args, store: &dyn Roster, out: &mut impl Write) -> Result<(), Failure> {
    let wanted = Wanted {
        since: args.since.map(Moment::time),
        client: args.client.clone(),
        user: args.user.clone(),
        reasons: args.reason.clone(),
        verdict: args.verdict.clone(),
        rule: args.rule.clone(),
        ..Wanted::default()
    };
    // First, so that none is missed that is written while the latest are read.
    let newest = store.last_event().await?;
    // With --since all of that time, unless a number was asked for as well.
    let limit = if args.since.is_some() && args.last == 20 { PAGE * 20 } else { args.last };
    let mut latest = if limit == 0 { Vec::new() } else { latest(store, &wanted, newest, limit).await? };
    latest.reverse();
    let mut seen = Seen::default();
    for event in &latest {
        seen.is_new(event.id);
        if !line(event, args.json, out)? {
            return Ok(());
        }
    }
    if !flushed(out)? || !args.follow {
        return Ok(());
    }
    let mut highest = newest;
    loop {
        tokio::time::sleep(LOOK).await;
        let mut after = (highest - OVERLAP).max(newest);
        loop {
            let page = store.events(&wanted, After::Written(after), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            highest = highest.max(after);
            for event in page.iter().filter(|event| seen.is_new(event.id)) {
                if !line(event, args.json, out)? {
                    return Ok(());
                }
            }
        }
        if !flushed(out)? {
            return Ok(());
        }
    }
}

/// The latest, newest first.
async fn latest(store: &dyn Roster, wanted: &Wanted, newest: i64, limit: u32) -> Result<Vec<EventRecord>, Failure> {
    let mut found: Vec<EventRecord> = Vec::new();
    let mut before = newest.saturating_add(1);
    loop {
        let missing = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok(found);
        }
        let page = store.events(wanted, After::Latest(before), missing.min(PAGE)).await?;
        let Some(last) = page.last() else { return Ok(found) };
        before = last.id;
        found.extend(page);
    }
}

/// Which were shown already, of the latest few.
#[derive(Default)]
struct Seen {
    numbers: HashSet<i64>,
    order: VecDeque<i64>,
}

impl Seen {
    fn is_new(&mut self, id: i64) -> bool {
        if !self.numbers.insert(id) {
            return false;
        }
        self.order.push_back(id);
        // Twice the overlap: what falls out is never asked for again.
        while i64::try_from(self.order.len()).unwrap_or(i64::MAX) > 2 * OVERLAP {
            if let Some(oldest) = self.order.pop_front() {
                self.numbers.remove(&oldest);
            }
        }
        true
    }
}

/// Writes one; `false` when nobody reads any more.
fn line(event: &EventRecord, json: bool, out: &mut impl Write) -> Result<bool, Failure> {
    let text = if json { serde_json::to_string(event)? } else { text(event) };
    read(writeln!(out, "{text}"))
}

fn flushed(out: &mut impl Write) -> Result<bool, Failure> {
    read(out.flush())
}

/// A reader that went away (`anteroom events | head`) is the end, and no failure.
fn read(written: std::io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A sign-in in one line for people. Control characters of names never reach the terminal.
fn text(event: &EventRecord) -> String {
    let who = event.account.as_deref().unwrap_or(&event.name);
    let time = event.time_text();
    let (day, clock) = time.split_once('T').unwrap_or((&time, ""));
    let clock = clock.get(..8).unwrap_or(clock);
    let from = event.person_address.as_deref().map(|address| format!(" from {}", plain(address))).unwrap_or_default();
    let by = match (&event.method, &event.provider) {
        (Some(method), Some(provider)) => format!(" by {method} ({})", plain(provider)),
        (Some(method), None) => format!(" by {method}"),
        (None, _) => String::new(),
    };
    let rule = event.rule.as_deref().map(|rule| format!(" rule {}", plain(rule))).unwrap_or_default();
    format!(
        "{day} {clock}Z  {:<7}  {:<22}  {} through {}{from}{by}{rule}  {:.1} s  {}",
        event.verdict,
        event.reason,
        plain(who),
        plain(&event.client),
        event.total_ms / 1000.0,
        event.sign_in
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shown_is_not_shown_again_and_the_memory_stays_small() {
        let mut seen = Seen::default();
        assert!((0..10_000).all(|id| seen.is_new(id)));
        assert!((9_000..10_000).all(|id| !seen.is_new(id)));
        assert_eq!((seen.numbers.len(), seen.order.len()), (2000, 2000));
    }
}
