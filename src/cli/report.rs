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
use crate::users::changes::time_text;
use crate::users::events::EventRecord;
use crate::users::measures::{Measure, MeasureKind};
use crate::users::open::open;
use crate::users::place::StoreAt;
use crate::users::roster::Roster;
use crate::users::sql::SqlStore;

use attempts::PAGE;
use codes::old_code;
use people::{PERSON, People};
use period::Moment;
use table::{Form, Rows};

mod attempts;
pub mod codes;
mod people;
pub mod period;
pub mod table;

const EXAMPLES: &str = "\
Examples:
  anteroom report usage --since 30d                      who came in how, in numbers
  anteroom report denials --since 7d --person            with names, e-mail, phones and devices of today
  anteroom report usage --detail --since 2026-11-01 --until 2026-12-01 --format csv
  anteroom report denials --since 7d --client vpn
  anteroom report bypasses --since 90d                   who gave whom a bypass, why, and whether it was used
  anteroom report blocks --since 90d --format json
  anteroom report fraud --since 365d
  anteroom report cache --since 1d                       who came in by an earlier approval

Times are UTC; a date is midnight here. docs/reports.md explains the columns.";

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
                let config = checked::load_place(&self.config);
                config.map_err(|mistakes| Failure::usage(mistakes.to_string()))?.server.store
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
    /// Also what the user store has of the person today: names, e-mail, group, mode, language, phones, devices
    #[arg(long)]
    person: bool,
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

const NUMBERS: [&str; 8] = ["client", "application", "method", "verdict", "reason", "code", "sign_ins", "people"];
const BYPASS: [&str; 9] = ["time", "user", "by", "reason", "until", "seconds", "used", "sign_in", "code"];
const BLOCK: [&str; 7] = ["time", "user", "kind", "by", "reason", "until", "sign_in"];

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
    if args.detail && args.what != What::Usage || args.person && args.what == What::Usage && !args.detail {
        return Err(Failure::usage("--detail is for usage; --person is for reports whose rows are of one person"));
    }
    let until = args.until.map_or_else(|| SystemTime::now() + Duration::from_secs(1), Moment::time);
    let period = (args.since.time(), until);
    match args.what {
        What::Usage if !args.detail => numbers(args, store, period, out).await,
        What::Usage | What::Denials | What::Cache => attempts::write(args, store, period, out).await,
        What::Bypasses => measures(args, store, period, &BYPASS, out).await,
        What::Blocks | What::Fraud => measures(args, store, period, &BLOCK, out).await,
    }
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
    let mut count = |event: &EventRecord| {
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
    };
    attempts::pages(args, store, period, async |page| {
        page.iter().for_each(&mut count);
        Ok(())
    })
    .await?;
    let mut rows = Rows::new(out, args.format, NUMBERS.to_vec());
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
    if args.client.is_some() {
        return Err(Failure::usage("--client is for reports of sign-ins"));
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
    let columns: Vec<&'static str> = columns.iter().chain(PERSON.iter().filter(|_| args.person)).copied().collect();
    let mut rows = Rows::new(out, args.format, columns);
    let mut after = 0;
    loop {
        let mut page = store.measures(period, after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        page.retain(|(_, measure)| wanted(measure));
        let people = if args.person {
            Some(People::of(store, page.iter().map(|(_, measure)| measure.unique_id.as_ref())).await?)
        } else {
            None
        };
        for (_, measure) in &page {
            let mut cells = of_measure(measure);
            cells.extend(people.iter().flat_map(|people| people.cells(measure.unique_id.as_ref())));
            rows.row(cells)?;
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
        let seconds = measure.until.and_then(|until| until.duration_since(measure.time).ok());
        let seconds = seconds.map(|lasts| (lasts + Duration::from_millis(500)).as_secs().to_string());
        return vec![
            time,
            user,
            by,
            reason,
            until,
            seconds,
            measure.used.map(time_text),
            measure.sign_in.clone(),
            code,
        ];
    }
    vec![time, user, Some(measure.kind.word().to_owned()), by, reason, until, measure.sign_in.clone()]
}
