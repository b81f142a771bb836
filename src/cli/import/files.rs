//! `anteroom import csv` and `anteroom import tokens`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::show::{Form, counts_text, plain};
use super::{Ended, Failure, read_file, who};
use crate::cli::output;
use crate::config::Config;
use crate::import::applying::{self, FilePlan};
use crate::import::csv::{self, Defaults};
use crate::import::files::BadLine;
use crate::import::tokens::{self, Opener};
use crate::primary::directory::Directory;
use crate::secret::Secret;
use crate::users::keys::KeyFile;
use crate::users::model::Method;
use crate::users::roster::{Roster, Step};

/// People who are shown one by one.
const SHOWN: usize = 50;

/// `anteroom import csv`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    anteroom import csv people.csv --dry-run\n  \
    anteroom import csv old-server.csv --target corp --method call\n\n\
    The first line names the columns, in any order: unique_id, name, upn, aliases, dn, first_name, last_name, email,\n\
    group, description, country_code, phone, extension, backup_phone, backup_extension, method, mode, language,\n\
    enabled; or those of the old server's export. Fields without a column stay as they are.")]
pub(super) struct Csv {
    /// The file: UTF-8 or UTF-16, with commas, semicolons or tabs.
    file: PathBuf,
    /// The directory that says who people without a unique id are.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// How people are asked of whom the file does not say it: push, call or sms_reply.
    #[arg(long, value_name = "METHOD", default_value = "push")]
    method: Method,
    /// Language of people of whom the file does not say it.
    #[arg(long, value_name = "TAG", default_value = "en")]
    language: String,
    /// Import the good lines although others are bad.
    #[arg(long)]
    skip_bad: bool,
}

/// `anteroom import tokens`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    anteroom import tokens tokens.csv --dry-run\n  \
    anteroom import tokens vendor.pskc --passphrase-file vendor.txt\n  \
    anteroom import tokens apps.txt                lines of otpauth://\n\n\
    A CSV has the columns that Microsoft documents: upn, serial number, secret key, time interval, manufacturer,\n\
    model. Owners must be enrolled.")]
pub(in crate::cli) struct Tokens {
    /// The file. Keep it safe: whoever has it can make every code.
    file: PathBuf,
    /// The vendor's key of an encrypted PSKC file: hexadecimal digits in a file.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The vendor's passphrase of an encrypted PSKC file, in a file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Import the good tokens although others are bad.
    #[arg(long)]
    skip_bad: bool,
}

/// Whether to go on with bad lines; tells about them.
fn judge(bad: &[BadLine], file: &Path, skip: bool) -> Result<(), Failure> {
    for bad in bad {
        output::error(format_args!("{}: {}", file.display(), plain(&bad.to_string())));
    }
    if bad.is_empty() || skip {
        return Ok(());
    }
    let lines = if bad.len() == 1 { "one line is bad".to_owned() } else { format!("{} lines are bad", bad.len()) };
    Err(Failure::refused(format!("{lines}; nothing was changed. Mend the file, or give --skip-bad")))
}

pub(super) async fn csv(args: Csv, config: &Config, roster: &dyn Roster, form: Form) -> Ended {
    let text = read_file(&args.file)?;
    let region = config.import.region.clone();
    let defaults = Defaults { method: args.method, language: args.language, region };
    let shown = args.file.display();
    let sheet = csv::read(&text, &defaults).map_err(|why| Failure::refused(format!("{shown}: {why}")))?;
    let directory = match &args.target {
        None => None,
        Some(name) => {
            let target = config.targets.get(name);
            let target = target.ok_or_else(|| Failure::usage(format!("there is no [target.{name}]")))?;
            Some(Directory::new(target).map_err(Failure::refused)?)
        }
    };
    let mut plan = applying::plan(roster, sheet.rows, directory.as_ref()).await?;
    plan.bad.extend(sheet.bad);
    plan.bad.sort_by_key(|bad| bad.line);
    let judged = judge(&plan.bad, &args.file, args.skip_bad);
    show(&plan, form);
    judged?;
    if !form.dry_run {
        let steps = std::mem::take(&mut plan.steps);
        applying::apply(roster, &config.server.name, &who(), steps).await.map_err(Failure::refused)?;
    }
    finish(&counts_text(&plan.counts, form.dry_run), &json!(plan.counts), form);
    Ok(ExitCode::SUCCESS)
}

fn show(plan: &FilePlan, form: Form) {
    if form.json {
        for (name, fields) in &plan.people {
            let fields = fields.map(|fields| fields.iter().map(|field| field.word()).collect::<Vec<_>>());
            let action = if fields.is_some() { "change" } else { "add" };
            output::line(json!({ "action": action, "name": name, "fields": fields }));
        }
        return;
    }
    if !form.dry_run || form.quiet {
        return;
    }
    for (name, fields) in plan.people.iter().take(SHOWN) {
        match fields {
            None => output::line(format_args!("add        {}", plain(name))),
            Some(fields) => {
                let fields: Vec<&str> = fields.iter().map(|field| field.word()).collect();
                output::line(format_args!("change     {:<30} {}", plain(name), fields.join(", ")));
            }
        }
    }
    if plan.people.len() > SHOWN {
        output::line(format_args!("… and {} more; --json shows all", plan.people.len() - SHOWN));
    }
}

fn finish(text: &str, counts: &serde_json::Value, form: Form) {
    if form.json {
        output::line(json!({ "summary": counts, "dry_run": form.dry_run }));
    } else if !form.quiet {
        output::line(text);
        output::line(if form.dry_run { "Nothing was changed." } else { "Done." });
    }
}

/// Tokens of a file. `node` holds the import meanwhile; `keys` is the key file of sealed values.
pub(super) async fn tokens(args: Tokens, (node, keys): (&str, &Path), roster: &dyn Roster, form: Form) -> Ended {
    let text = read_file(&args.file)?;
    let key = match &args.key_file {
        None => None,
        Some(path) => {
            let text = read_file(path)?;
            let octets = hexadecimal(text.trim());
            Some(octets.ok_or_else(|| Failure::refused(format!("{}: no hexadecimal digits", path.display())))?)
        }
    };
    let passphrase = match &args.passphrase_file {
        None => None,
        Some(path) => Some(Secret::new(read_file(path)?.trim_end_matches(['\r', '\n']).as_bytes().to_vec())),
    };
    let shown = args.file.display();
    let file = tokens::read(&text, &Opener { key, passphrase });
    let file = file.map_err(|why| Failure::refused(format!("{shown}: {why}")))?;
    let keys = KeyFile::open(keys)?;
    let mut plan = applying::plan_tokens(roster, file.tokens, &keys).await?;
    plan.bad.extend(file.bad);
    plan.bad.sort_by_key(|bad| bad.line);
    judge(&plan.bad, &args.file, args.skip_bad)?;
    let steps: Vec<Step> = plan.tokens.iter().map(|token| Step::Token(Box::new(token.clone()))).collect();
    if !form.dry_run {
        applying::apply(roster, node, &who(), steps).await.map_err(Failure::refused)?;
    }
    let would = if form.dry_run { "would be " } else { "" };
    let unassigned = plan.tokens.iter().filter(|token| token.unique_id.is_none()).count();
    let counts = json!({ "added": plan.tokens.len(), "known": plan.known, "without_owner": unassigned });
    let text = format!(
        "{} tokens {would}added, {unassigned} of them without an owner; {} are known already",
        plan.tokens.len(),
        plan.known
    );
    finish(&text, &counts, form);
    Ok(ExitCode::SUCCESS)
}

fn hexadecimal(text: &str) -> Option<Secret> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let octets = pairs.iter().map(|&[high, low]| u8::try_from(digit(high)? << 4 | digit(low)?).ok());
    let octets: Option<Vec<u8>> = octets.collect();
    octets.filter(|octets| rest.is_empty() && !octets.is_empty()).map(Secret::new)
}
