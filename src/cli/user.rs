//! `anteroom user`: the people in the user store, by hand.
//!
//! Works on the file itself, also while the server runs: the server notices a change within a second.

use std::io::Write;

use crate::config::Config;
use crate::primary::Identity;
use crate::users::changes::differences;
use crate::users::model::Person;
use crate::users::profile::{Field, Profile};
use crate::users::roster::Roster;
use crate::users::store::StoreError;

use directory::{choose_target, resolve_in_directory};
use fields::{Change, checked};
use place::{At, Place};

mod codes;
mod device;
mod directory;
pub(super) mod fields;
mod measures;
mod pin;
pub(super) mod place;
mod records;
pub(super) mod show;

pub(in crate::cli) use records::cell;
pub(in crate::cli) use show::plain;

/// People read from the store at once.
pub(super) const PAGE: u32 = 500;

/// `anteroom user`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    anteroom user --config anteroom.toml add alice --phone \"+1 202 555 0111\" --method call\n  \
    anteroom user --store people.db add bob --unique-id 6f1c7e0a-9c1b-4b54-8d43-4d2f7a9be001 --device-token -\n  \
    anteroom user --store people.db set alice --language fr --extension \"\"\n  \
    anteroom user --store people.db block alice --for 8h --reason \"laptop stolen\"\n  \
    anteroom user --store people.db bypass alice --for 300s --reason \"lost her phone\"\n  \
    anteroom user --store people.db list --json\n  \
    anteroom user history alice\n  \
    anteroom user export people.csv\n  \
    anteroom user codes alice\n  \
    anteroom user code alice --for 8h --reason \"phone forgotten\"\n  \
    anteroom user erase alice --yes")]
pub struct Args {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Enrol a person.
    Add(Add),
    /// List everybody.
    List(Form),
    /// Show one person.
    Show(Show),
    /// Change the given fields of a person.
    Set(Set),
    /// Keep a person enrolled but inactive; what happens to them is the client's `disabled_users`.
    Disable(Who),
    /// Undo `disable`.
    Enable(Who),
    /// Remove a person.
    Remove(Who),
    /// Let a person in once without a second factor, for instance when their phone is lost.
    Bypass(measures::Bypass),
    /// Refuse a person until a time, or until `unblock`.
    Block(measures::Block),
    /// Undo a block, an admin's or the one after a fraud report.
    Unblock(measures::Unblock),
    /// Give fields back to the import, which fills them the next time.
    Release(Release),
    /// Who changed what: of one person, or of all, newest first.
    History(records::History),
    /// Write everybody as CSV or JSON, without secrets.
    Export(records::Export),
    /// Everything that is known of one person, as JSON: for them to see.
    Data(Who),
    /// Remove a person and take their name out of the audit.
    Erase(records::Erase),
    /// Moved: this is `anteroom token`.
    #[command(hide = true)]
    Token(super::token::Moved),
    /// Print a new list of backup codes, each good once, for the day when the phone is lost.
    Codes(codes::List),
    /// Give a person a code that is good for a while.
    Code(codes::Temporary),
    /// Set, make, expire or clear a person's PIN.
    Pin(pin::Pin),
    /// Add and remove a person's apps.
    Device(device::Device),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Login name (sAMAccountName, uid).
    name: String,
    /// What never changes about them (objectGUID, entryUUID). Without it the directory is asked.
    #[arg(long, value_name = "ID")]
    unique_id: Option<String>,
    /// The directory to ask, where the configuration has several.
    #[arg(long, value_name = "NAME", conflicts_with = "unique_id")]
    target: Option<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// Login name, UPN or unique id.
    pub(super) person: String,
}

#[derive(Debug, clap::Args)]
struct Form {
    /// JSON instead of text for people.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, clap::Args)]
struct Set {
    #[command(flatten)]
    who: Who,
    /// New login name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, clap::Args)]
struct Release {
    #[command(flatten)]
    who: Who,
    /// Which: name, upn, aliases, dn, first_name, last_name, email, group, description, phone, backup_phone,
    /// method, mode, language, enabled.
    #[arg(required = true, value_name = "FIELD")]
    fields: Vec<Field>,
}

/// Runs the command and prints to standard output.
///
/// # Errors
/// What went wrong and what to do next, as a text for people.
pub async fn run(args: Args) -> Result<(), String> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let result = run_into(args, &mut out).await;
    out.flush().map_err(unwritten)?;
    result
}

async fn run_into(args: Args, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let mut opened = args.at.open(matches!(args.action, Action::Add(_))).await?;
    if let Some(at) = &opened.created {
        say(out, format_args!("created the user store {at}"))?;
    }
    let config = opened.config.take();
    let result = act(args.action, config, &opened.place(), out).await;
    opened.store.close().await;
    result
}

async fn act(
    action: Action,
    config: Option<Result<Config, String>>,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let store = place.store;
    match action {
        Action::Add(add) => enrol(add, config, place, out).await,
        Action::List(form) => list(form.json, store, out).await,
        Action::Show(show) => {
            let whole = records::whole(store, find(store, &show.who).await?).await?;
            show::one(&whole, show.form.json, out).map_err(unwritten)
        }
        Action::Set(set) => {
            let mut after = set.change.applied(find(store, &set.who).await?)?;
            if let Some(name) = set.name {
                after.person.name = checked("name", &name)?;
            }
            change(place, &after, out).await
        }
        Action::Disable(who) => switch(place, &who, false, out).await,
        Action::Enable(who) => switch(place, &who, true, out).await,
        Action::Remove(who) => {
            let profile = find(store, &who).await?;
            store.dismiss(&profile.person.unique_id, &place.by).await.map_err(|error| advised(&error))?;
            say(out, format_args!("removed {}", show::plain(&profile.person.name)))?;
            show::changes(&differences(Some(&profile), None), out).map_err(unwritten)
        }
        Action::Bypass(bypass) => measures::bypass(bypass, place, out).await,
        Action::Block(block) => measures::block(block, place, out).await,
        Action::Unblock(unblock) => measures::unblock(unblock, place, out).await,
        Action::Release(release) => {
            let profile = find(store, &release.who).await?;
            let fields = release.fields.into_iter().collect();
            let changed = store.release(&profile.person.unique_id, fields, &place.by).await;
            report(&profile, changed.map_err(|error| advised(&error))?, out)
        }
        Action::History(history) => records::history(history, store, out).await,
        Action::Export(export) => records::export(export, store, out).await,
        Action::Data(who) => records::data(&who, store, out).await,
        Action::Erase(erase) => records::erase(erase, place, out).await,
        Action::Token(moved) => super::token::moved(moved, place, out).await,
        Action::Codes(list) => codes::list(list, place, out).await,
        Action::Code(code) => codes::temporary(code, place, out).await,
        Action::Pin(pin) => pin::pin(pin, place, out).await,
        Action::Device(device) => device::device(device, place, out).await,
    }
}

async fn enrol(
    add: Add,
    config: Option<Result<Config, String>>,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let who = match &add.unique_id {
        Some(unique_id) => Identity {
            unique_id: fields::unique_id(unique_id)?,
            name: checked("name", &add.name)?,
            upn: None,
            dn: String::new(),
            remembered: false,
            details: None,
        },
        None => {
            let config = config.ok_or(
                "the directory must be asked who that is: give --config FILE, or the --unique-id \
                 (objectGUID, entryUUID)",
            )??;
            resolve_in_directory(choose_target(&config, add.target.as_deref())?, &add.name).await?
        }
    };
    let bare =
        Person { upn: who.upn, dn: Some(who.dn).filter(|dn| !dn.is_empty()), ..Person::bare(who.unique_id, who.name) };
    let profile = add.change.applied(Profile::new(bare))?;
    place.store.enrol(&profile, &place.by).await.map_err(|error| match error {
        StoreError::Conflict(why) => {
            format!("{why}; see `anteroom user show`, and change them with `anteroom user set`")
        }
        other => advised(&other),
    })?;
    say(out, format_args!("added {}", show::plain(&profile.person.name)))?;
    show::changes(&differences(None, Some(&profile)), out).map_err(unwritten)?;
    fields::note(&profile.person).map_or(Ok(()), |note| say(out, format_args!("{note}")))
}

async fn list(json: bool, store: &dyn Roster, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let mut table = show::Table::new(json);
    let mut after = String::new();
    loop {
        let page = store.profiles(&after, PAGE).await.map_err(|error| advised(&error))?;
        table.page(&page, out).map_err(unwritten)?;
        match page.last() {
            Some(last) => after.clone_from(&last.person.name),
            None => return table.end(out).map_err(unwritten),
        }
    }
}

async fn switch(place: &Place<'_>, who: &Who, enabled: bool, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let mut after = find(place.store, who).await?;
    after.person.enabled = enabled;
    change(place, &after, out).await
}

/// Writes a change and tells what it was.
async fn change(place: &Place<'_>, after: &Profile, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let changed = place.store.change(after, &place.by).await.map_err(|error| advised(&error))?;
    let changed = changed.map(|mut changed| {
        // That a change by hand is kept is what everybody expects; only an import's people make it worth a line.
        changed.retain(|field| field.field() != "local" || after.item.is_some());
        changed
    });
    report(after, changed, out)?;
    fields::note(&after.person).map_or(Ok(()), |note| say(out, format_args!("{note}")))
}

/// Tells what was changed, or that the person is gone.
fn report(
    profile: &Profile,
    changed: Option<Vec<crate::users::changes::Difference>>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let name = show::plain(&profile.person.name);
    let Some(changed) = changed else {
        return Err(format!("{name} was removed by somebody else just now; nothing was changed"));
    };
    let verb = if changed.is_empty() { "nothing to change for" } else { "changed" };
    say(out, format_args!("{verb} {name}"))?;
    show::changes(&changed, out).map_err(unwritten)
}

/// The person meant by a login name, a UPN, an alias or a unique id.
pub(super) async fn find(store: &dyn Roster, who: &Who) -> Result<Profile, String> {
    let named = store.profile_named(&who.person).await.map_err(|error| advised(&error))?;
    let found = match named {
        Some(profile) => Some(profile),
        None => store.profile(&who.person).await.map_err(|error| advised(&error))?,
    };
    found.ok_or_else(|| {
        format!(
            "nobody in the user store has the login name, UPN or unique id {:?}; see `anteroom user list`, \
             or enrol them with `anteroom user add`",
            who.person
        )
    })
}

/// A store's error with what to do next.
pub(super) fn advised(error: &StoreError) -> String {
    let advice = match error {
        StoreError::Unavailable(_) => "is the path right, may this user write there, is the disk full?",
        StoreError::Conflict(_) => "names and unique ids are each one person's; see `anteroom user list`",
        StoreError::Unusable(_) => "nothing was changed",
    };
    format!("{error} ({advice})")
}

pub(super) fn say(out: &mut (impl Write + ?Sized), text: std::fmt::Arguments<'_>) -> Result<(), String> {
    writeln!(out, "{text}").map_err(unwritten)
}

pub(super) fn unwritten(error: std::io::Error) -> String {
    format!("the output could not be written: {error}")
}

#[cfg(test)]
mod tests;
