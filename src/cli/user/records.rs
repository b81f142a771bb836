//! Everything that is known of people, written out: the history, the export, one person's own data; and its end.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::show::{self, Shown, ShownWhole, Whole};
use super::{PAGE, Place, Who, advised, find, say, unwritten};
use crate::users::changes::{ChangeRecord, time_text};
use crate::users::profile::Profile;
use crate::users::roster::Roster;

#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// Login name, UPN or unique id; a unique id also of one who is gone. Without it: of everybody.
    person: Option<String>,
    /// How many changes.
    #[arg(long, default_value_t = 50, value_name = "NUMBER")]
    limit: u32,
    /// JSON instead of text for people.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Where to; `-` or nothing is standard output. A name that ends in `.json` means JSON.
    file: Option<PathBuf>,
    /// JSON instead of CSV.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Erase {
    #[command(flatten)]
    who: Who,
    /// Yes, for good.
    #[arg(long)]
    yes: bool,
}

/// Everything that is known of a person, as far as it may be shown.
pub(super) async fn whole(store: &dyn Roster, profile: Profile) -> Result<Whole, String> {
    let id = profile.person.unique_id.clone();
    Ok(Whole {
        devices: store.devices(&id).await.map_err(|error| advised(&error))?,
        tokens: store.tokens_of(&id).await.map_err(|error| advised(&error))?,
        codes: store.kept_codes(&id).await.map_err(|error| advised(&error))?,
        pin: store.pin(&id).await.map_err(|error| advised(&error))?,
        last_sign_in: store.last_sign_in(&id).await.map_err(|error| advised(&error))?,
        profile,
    })
}

/// A change as JSON.
#[derive(Serialize)]
struct ShownChange<'a> {
    time: String,
    by: &'a str,
    unique_id: &'a str,
    name: &'a str,
    change: &'a str,
    fields: Vec<ShownField<'a>>,
}

#[derive(Serialize)]
struct ShownField<'a> {
    field: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

impl<'a> ShownChange<'a> {
    fn of(change: &'a ChangeRecord) -> Self {
        let fields = change.fields.iter();
        ShownChange {
            time: time_text(change.time),
            by: &change.by,
            unique_id: &change.unique_id,
            name: &change.name,
            change: &change.kind,
            fields: fields
                .map(|field| ShownField { field: field.field(), before: field.before(), after: field.after() })
                .collect(),
        }
    }
}

/// Up to `limit` changes, newest first.
async fn changes(store: &dyn Roster, unique_id: Option<&str>, limit: u32) -> Result<Vec<ChangeRecord>, String> {
    let mut found: Vec<ChangeRecord> = Vec::new();
    let (mut before, mut left) = (i64::MAX, limit);
    while left > 0 {
        let page = store.changes(unique_id, before, left.min(PAGE)).await.map_err(|error| advised(&error))?;
        let Some(last) = page.last() else { break };
        before = last.id;
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        found.extend(page);
    }
    Ok(found)
}

/// `anteroom user history`.
pub(super) async fn history(
    history: History,
    store: &dyn Roster,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let unique_id = match &history.person {
        Some(person) => match find(store, &Who { person: person.clone() }).await {
            Ok(profile) => Some(profile.person.unique_id),
            // One who is gone still has a history.
            Err(why) if changes(store, Some(person), 1).await?.is_empty() => return Err(why),
            Err(_) => Some(person.clone()),
        },
        None => None,
    };
    let found = changes(store, unique_id.as_deref(), history.limit).await?;
    if history.json {
        let shown: Vec<ShownChange<'_>> = found.iter().map(ShownChange::of).collect();
        serde_json::to_writer_pretty(&mut *out, &shown).map_err(std::io::Error::from).map_err(unwritten)?;
        return say(out, format_args!(""));
    }
    for change in &found {
        let (time, who) = (time_text(change.time), if change.name.is_empty() { "-" } else { &change.name });
        say(out, format_args!("{time}  {}  {}  by {}", show::plain(who), change.kind, show::plain(&change.by)))?;
        show::changes(&change.fields, out).map_err(unwritten)?;
    }
    say(out, format_args!("{} {}", found.len(), if found.len() == 1 { "change" } else { "changes" }))
}

/// `anteroom user export`.
pub(super) async fn export(export: Export, store: &dyn Roster, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let Some(path) = export.file.as_ref().filter(|path| path.as_os_str() != "-") else {
        return write_all(export.json, store, out).await.map(|_| ());
    };
    let json = export.json || path.extension().is_some_and(|extension| extension == "json");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
    let mut file = std::io::BufWriter::new(file);
    let people = write_all(json, store, &mut file).await?;
    file.flush().and_then(|()| file.get_ref().sync_all()).map_err(unwritten)?;
    say(out, format_args!("{people} people written to {}", path.display()))
}

async fn write_all(json: bool, store: &dyn Roster, out: &mut (impl Write + ?Sized)) -> Result<u64, String> {
    if json {
        super::list(true, store, out).await?;
        return store.count().await.map_err(|error| advised(&error));
    }
    let mut csv = csv::Writer::from_writer(&mut *out);
    let failed = |error: csv::Error| unwritten(error.into());
    csv.write_record(Shown::COLUMNS).map_err(failed)?;
    let (mut after, mut people) = (String::new(), 0);
    loop {
        let page = store.profiles(&after, PAGE).await.map_err(|error| advised(&error))?;
        for profile in &page {
            let shown = serde_json::to_value(Shown::of(profile)).map_err(|error| error.to_string())?;
            let cells = Shown::COLUMNS.map(|column| cell(shown.get(column)));
            csv.write_record(cells).map_err(failed)?;
            people += 1;
        }
        match page.last() {
            Some(last) => after.clone_from(&last.person.name),
            None => break,
        }
    }
    csv.flush().map_err(unwritten)?;
    Ok(people)
}

/// A value as a cell. One that a spreadsheet would take for a formula gets an apostrophe before it.
pub(in crate::cli) fn cell(value: Option<&serde_json::Value>) -> String {
    let text = match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(texts)) => {
            texts.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join("; ")
        }
        Some(other) => other.to_string(),
    };
    // A number in its one form begins with a plus and has nothing but digits: no formula.
    let is_number = text.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|octet| octet.is_ascii_digit()));
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number { format!("'{text}") } else { text }
}

/// What a person may ask to see.
#[derive(Serialize)]
struct Data<'a> {
    person: ShownWhole<'a>,
    changes: Vec<ShownChange<'a>>,
}

/// `anteroom user data`.
pub(super) async fn data(who: &Who, store: &dyn Roster, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let whole = whole(store, find(store, who).await?).await?;
    let found = changes(store, Some(&whole.profile.person.unique_id), u32::MAX).await?;
    let data = Data { person: whole.shown(), changes: found.iter().map(ShownChange::of).collect() };
    serde_json::to_writer_pretty(&mut *out, &data).map_err(std::io::Error::from).map_err(unwritten)?;
    say(out, format_args!(""))
}

/// `anteroom user erase`.
pub(super) async fn erase(erase: Erase, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let profile = find(place.store, &erase.who).await?;
    let name = show::plain(&profile.person.name);
    if !erase.yes {
        return Err(format!("that removes {name} and takes them out of the audit for good; say --yes if it shall"));
    }
    let unique_id = &profile.person.unique_id;
    place.store.dismiss(unique_id, &place.by).await.map_err(|error| advised(&error))?;
    let written = [Some(&profile.person.name), profile.person.upn.as_ref()].into_iter().flatten().cloned();
    let written = written.chain(profile.aliases.iter().cloned());
    let names: Vec<String> = written.chain(profile.names().into_iter().map(|(folded, _)| folded)).collect();
    let records = place.store.anonymise(unique_id, &names).await.map_err(|error| advised(&error))?;
    say(out, format_args!("erased {name}, and took them out of {records} records"))?;
    say(
        out,
        format_args!("note: the audit file and backups are not touched; the import brings them back if it finds them"),
    )
}
