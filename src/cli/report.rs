//! `anteroom report`: what happened over a period, as a table, CSV or JSON, with the fields that the old server's reports
//! had and its result codes beside ours. Read from the user store, with or without a running server.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Ended, Failure, output};
use crate::config::checked;
use crate::signin::outcome::Reason;
use crate::users::changes::time_text;
use crate::users::events::{After, EventRecord, Wanted};
use crate::users::measures::{Measure, MeasureKind};
use crate::users::open::open;
use crate::users::place::StoreAt;
use crate::users::roster::Roster;
use crate::users::sql::SqlStore;

use codes::old_code;
use period::Moment;
use table::{Form, Rows};

pub mod codes;
pub mod period;
pub mod table;

const EXAMPLES: &str = "\
Examples:
  anteroom report usage --since 30d                      who came in how, in numbers
  anteroom report usage --detail --since 2026-11-01 --until 2026-12-01 --format csv
  anteroom report denials --since 7d --client vpn
  anteroom report bypasses --since 90d                   who gave whom a bypass, why, and whether it was used
  anteroom report blocks --since 90d --format json
  anteroom report fraud --since 365d
  anteroom report cache --since 1d                       who came in by an earlier approval

Times are UTC; a date is midnight here. docs/reports.md explains the columns.";

/// Rows read at once.
const PAGE: u32 = 1000;

/// Which user store.
#[derive(Debug, clap::Args)]
pub struct StorePlace {
    /// The configuration that names the user store
    #[arg(long, short, value_name = "FILE", default_value = super::CONFIG, env = "ANTEROOM_CONFIG")]
    config: PathBuf,
    /// The user store itself, a file; takes precedence over the configuration's
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

impl StorePlace {
    /// That of a configuration.
    pub(super) fn of(config: &std::path::Path) -> StorePlace {
        StorePlace { config: config.to_owned(), store: None }
    }

    /// Opens it.
    ///
    /// # Errors
    /// What is wrong with the configuration, or why the store cannot be opened.
    pub(super) async fn open(&self) -> Result<SqlStore, Failure> {
        let at = match &self.store {
            Some(path) => Arc::new(StoreAt::File(path.clone())),
            None => {
                let checked = checked::read_file(&self.config);
                checked.map_err(|mistakes| Failure::usage(mistakes.to_string()))?.config.server.store
            }
        };
        if at.file().is_some_and(|path| !path.exists()) {
            return Err(Failure::refused(format!("there is no user store at {at}")));
        }
        Ok(open(&at, false).await?)
    }
}

/// Options of `anteroom report`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which
    #[arg(value_name = "REPORT")]
    what: What,
    /// Which user store.
    #[command(flatten)]
    place: StorePlace,
    /// Not before: a time, a date, or how long ago (2h, 30d)
    #[arg(long, value_name = "WHEN", default_value = "30d", value_parser = period::moment)]
    since: Moment,
    /// Before; now if left out
    #[arg(long, value_name = "WHEN", value_parser = period::moment)]
    until: Option<Moment>,
    /// Through this client only
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Of this person only: account name, name as typed, or unique id
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Of usage: each sign-in, not the numbers
    #[arg(long)]
    detail: bool,
    /// table, csv or json
    #[arg(long, value_name = "FORM", value_enum, default_value = "table")]
    format: Form,
}

/// Which report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Who came in how, and who did not.
    Usage,
    /// Whom the second factor or a rule kept out.
    Denials,
    /// One-time bypasses.
    Bypasses,
    /// Blocks and their ends.
    Blocks,
    /// Fraud reports.
    Fraud,
    /// Sign-ins by an earlier approval.
    Cache,
}

/// The fields of an attempt, in the words of the audit; `code` is the old server's.
const ATTEMPT: [&str; 17] = [
    "time",
    "user",
    "name",
    "client",
    "application",
    "door",
    "method",
    "provider",
    "verdict",
    "reason",
    "code",
    "rule",
    "source",
    "person_address",
    "server",
    "sign_in",
    "earlier",
];
const NUMBERS: [&str; 8] = ["client", "application", "method", "verdict", "reason", "code", "sign_ins", "people"];
const BYPASS: [&str; 8] = ["time", "user", "by", "reason", "until", "used", "sign_in", "code"];
const BLOCK: [&str; 7] = ["time", "user", "kind", "by", "reason", "until", "sign_in"];

/// Reasons of [`What::Denials`]: everything that ends a sign-in after the password was right, or keeps a guesser off.
const DENIALS: [Reason; 19] = [
    Reason::Denied,
    Reason::Fraud,
    Reason::Expired,
    Reason::Undeliverable,
    Reason::WrongCode,
    Reason::NeedsCode,
    Reason::Blocked,
    Reason::NotEnrolled,
    Reason::UserDisabled,
    Reason::NoMethod,
    Reason::RuleRefused,
    Reason::RuleUndecided,
    Reason::ReplyUndecided,
    Reason::ReplyUnfit,
    Reason::PromptLimited,
    Reason::ThrottledPerson,
    Reason::ThrottledSource,
    Reason::ProviderLocked,
    Reason::Deadline,
];

/// Writes a report.
///
/// # Errors
/// When the store cannot be read.
pub fn run(args: Args) -> Ended {
    super::runtime()?.block_on(async {
        let store = args.place.open().await?;
        let mut out = std::io::BufWriter::new(output::Patient);
        let written = write(&args, &store, &mut out).await;
        store.close().await;
        written?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn write(args: &Args, store: &dyn Roster, out: &mut impl Write) -> Result<(), Failure> {
    let until = args.until.map_or_else(|| SystemTime::now() + Duration::from_secs(1), Moment::time);
    let period = (args.since.time(), until);
    match args.what {
        What::Usage if !args.detail => numbers(args, store, period, out).await,
        What::Usage => attempts(args, store, period, Vec::new(), out).await,
        What::Denials => {
            let reasons = DENIALS.iter().map(|reason| reason.code().to_owned()).collect();
            attempts(args, store, period, reasons, out).await
        }
        What::Cache => {
            let reasons = [Reason::CachedApproval, Reason::RememberedApproval, Reason::Approved];
            let reasons = reasons.iter().map(|reason| reason.code().to_owned()).collect();
            attempts(args, store, period, reasons, out).await
        }
        What::Bypasses => measures(args, store, period, &BYPASS, out).await,
        What::Blocks | What::Fraud => measures(args, store, period, &BLOCK, out).await,
    }
}

/// Each sign-in of the period that is wanted, page by page.
async fn each(
    args: &Args,
    store: &dyn Roster,
    (since, until): (SystemTime, SystemTime),
    reasons: Vec<String>,
    mut take: impl FnMut(&EventRecord) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let wanted = Wanted {
        until: Some(until),
        client: args.client.clone(),
        user: args.user.clone(),
        reasons,
        ..Wanted::default()
    };
    let mut after = After::Time(since, -1);
    loop {
        let page = store.events(&wanted, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = After::Time(last.time, last.id);
        page.iter().try_for_each(&mut take)?;
    }
}

async fn attempts(
    args: &Args,
    store: &dyn Roster,
    period: (SystemTime, SystemTime),
    reasons: Vec<String>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut rows = Rows::new(out, args.format, &ATTEMPT);
    let only_cached = args.what == What::Cache;
    let is_cached = |event: &EventRecord| {
        event.reason != Reason::Approved.code() || event.factor.as_deref() == Some("carried_over")
    };
    each(args, store, period, reasons, |event| {
        if only_cached && !is_cached(event) {
            return Ok(());
        }
        rows.row(attempt(event))
    })
    .await?;
    rows.end()?;
    Ok(())
}

fn attempt(event: &EventRecord) -> Vec<Option<String>> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        some(&event.time_text()),
        event.account.clone(),
        some(&event.name),
        some(&event.client),
        some(&event.application),
        some(&event.door),
        event.method.clone(),
        event.provider.clone(),
        some(&event.verdict),
        some(&event.reason),
        Some(old_code(event)).filter(|code| !code.is_empty()).map(str::to_owned),
        event.rule.clone(),
        some(&event.source),
        event.person_address.clone(),
        some(&event.server),
        some(&event.sign_in),
        event.earlier.clone(),
    ]
}

/// How many sign-ins of how many people ended how.
async fn numbers(
    args: &Args,
    store: &dyn Roster,
    period: (SystemTime, SystemTime),
    out: &mut impl Write,
) -> Result<(), Failure> {
    type Key = [String; 6];
    let mut people: BTreeMap<String, u32> = BTreeMap::new();
    let mut ends: BTreeMap<Key, (u64, std::collections::BTreeSet<u32>)> = BTreeMap::new();
    each(args, store, period, Vec::new(), |event| {
        let key = [
            event.client.clone(),
            event.application.clone(),
            event.method.clone().unwrap_or_default(),
            event.verdict.clone(),
            event.reason.clone(),
            old_code(event).to_owned(),
        ];
        let number = u32::try_from(people.len()).unwrap_or(u32::MAX);
        let (sign_ins, who) = ends.entry(key).or_default();
        *sign_ins += 1;
        if let Some(unique_id) = &event.unique_id {
            who.insert(*people.entry(unique_id.clone()).or_insert(number));
        }
        Ok(())
    })
    .await?;
    let mut rows = Rows::new(out, args.format, &NUMBERS);
    for (key, (sign_ins, who)) in ends {
        let mut cells: Vec<Option<String>> =
            key.into_iter().map(|text| Some(text).filter(|text| !text.is_empty())).collect();
        cells.extend([Some(sign_ins.to_string()), Some(who.len().to_string())]);
        rows.row(cells)?;
    }
    rows.end()?;
    Ok(())
}

/// What was done about people's sign-ins.
async fn measures(
    args: &Args,
    store: &dyn Roster,
    period: (SystemTime, SystemTime),
    columns: &'static [&'static str],
    out: &mut impl Write,
) -> Result<(), Failure> {
    if args.client.is_some() || args.detail {
        return Err(Failure::usage("--client and --detail are for reports of sign-ins"));
    }
    let wanted = |measure: &Measure| {
        let kind = match args.what {
            What::Bypasses => measure.kind == MeasureKind::Bypass,
            What::Fraud => matches!(measure.kind, MeasureKind::Fraud | MeasureKind::LateFraud),
            _ => measure.kind != MeasureKind::Bypass,
        };
        let same = |user: &String| {
            measure.name.to_lowercase() == user.to_lowercase() || measure.unique_id.as_ref() == Some(user)
        };
        kind && args.user.as_ref().is_none_or(same)
    };
    let mut rows = Rows::new(out, args.format, columns);
    let mut after = 0;
    loop {
        let page = store.measures(period, after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, measure) in page.iter().filter(|(_, measure)| wanted(measure)) {
            rows.row(of_measure(measure))?;
        }
    }
    rows.end()?;
    Ok(())
}

fn of_measure(measure: &Measure) -> Vec<Option<String>> {
    let (time, until) = (Some(time_text(measure.time)), measure.until.map(time_text));
    let (user, by, reason) = (Some(measure.name.clone()), Some(measure.by.clone()), Some(measure.reason.clone()));
    if measure.kind == MeasureKind::Bypass {
        let code = measure.used.map(|_| "SUCCESS_BYPASSED_AUTH".to_owned());
        return vec![time, user, by, reason, until, measure.used.map(time_text), measure.sign_in.clone(), code];
    }
    vec![time, user, Some(measure.kind.word().to_owned()), by, reason, until, measure.sign_in.clone()]
}
