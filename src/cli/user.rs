//! `anteroom user`: the people in the user store, by hand.
//!
//! Works on the file itself, also while the server runs: the server notices a change within a second.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::config::{Config, DirectoryTarget};
use crate::primary::directory::Directory;
use crate::primary::{IdentifyError, Identity, Primary};
use crate::users::model::{Method, Person};
use crate::users::sqlite::SqliteStore;
use crate::users::store::{Store, StoreError};

use fields::{Change, checked, differences};

mod fields;
mod show;

/// People read from the store at once.
const PAGE: u32 = 500;

/// The end of 9999: a block until somebody unblocks.
const FOREVER: Duration = Duration::from_secs(253_402_300_799);

/// `anteroom user`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    anteroom user --config anteroom.toml add alice --phone \"+1 202 555 0111\" --method call\n  \
    anteroom user --store people.db add bob --unique-id 6f1c7e0a-9c1b-4b54-8d43-4d2f7a9be001 --device-token -\n  \
    anteroom user --store people.db set alice --language fr --extension \"\"\n  \
    anteroom user --store people.db block alice --for 8h\n  \
    anteroom user --store people.db list --json")]
pub struct Args {
    /// The configuration that names the user store (and the directory, for `add`).
    #[arg(long, value_name = "FILE", global = true, env = "ANTEROOM_CONFIG")]
    config: Option<PathBuf>,
    /// The user store itself; takes precedence over the configuration's.
    #[arg(long, value_name = "FILE", global = true)]
    store: Option<PathBuf>,
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
    /// Refuse a person until a time, or until `unblock`.
    Block(Block),
    /// Undo a block, an admin's or the one after a fraud report.
    Unblock(Who),
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
struct Who {
    /// Login name, UPN or unique id.
    person: String,
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
struct Block {
    #[command(flatten)]
    who: Who,
    /// For how long, such as `30m`, `8h` or `2days`; without it, until `unblock`.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
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
    let config = match (&args.config, &args.store) {
        (Some(path), _) => Some(load_config(path)),
        (None, Some(_)) => None,
        (None, None) => return Err("which user store? Give --config FILE or --store FILE".into()),
    };
    let path = match (&args.store, &config) {
        (Some(path), _) => path.clone(),
        (None, Some(config)) => config.as_ref().map_err(Clone::clone)?.server.store.clone(),
        (None, None) => return Err("which user store? Give --config FILE or --store FILE".into()),
    };
    let adding = matches!(args.action, Action::Add(_));
    let is_new = !path.exists();
    let store = SqliteStore::open(&path, adding).await.map_err(|error| {
        if is_new && !adding {
            format!("there is no user store at {}; `anteroom user add` creates it", path.display())
        } else {
            advised(&error)
        }
    })?;
    if is_new {
        say(out, format_args!("created the user store {}", path.display()))?;
    }
    let result = act(args.action, config, &store, out).await;
    store.close().await;
    result
}

async fn act(
    action: Action,
    config: Option<Result<Config, String>>,
    store: &dyn Store,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    match action {
        Action::Add(add) => enrol(add, config, store, out).await,
        Action::List(form) => list(form.json, store, out).await,
        Action::Show(show) => {
            let person = find(store, &show.who).await?;
            show::one(&person, show.form.json, out).map_err(unwritten)
        }
        Action::Set(set) => {
            let before = find(store, &set.who).await?;
            let mut after = set.change.applied(before.clone())?;
            if let Some(name) = set.name {
                after.name = checked("name", &name)?;
            }
            change(store, &before, &after, out).await
        }
        Action::Disable(who) => switch(store, &who, false, out).await,
        Action::Enable(who) => switch(store, &who, true, out).await,
        Action::Remove(who) => {
            let person = find(store, &who).await?;
            store.remove(&person.unique_id).await.map_err(|error| advised(&error))?;
            say(out, format_args!("removed {}", show::plain(&person.name)))?;
            show::changes(&differences(Some(&person), None), out).map_err(unwritten)
        }
        Action::Block(block) => {
            let until = match block.duration {
                Some(duration) => SystemTime::now().checked_add(duration),
                None => SystemTime::UNIX_EPOCH.checked_add(FOREVER),
            };
            let until = until.ok_or("--for is too long; leave it out to block until `unblock`")?;
            set_block(store, &block.who, Some(until), out).await
        }
        Action::Unblock(who) => set_block(store, &who, None, out).await,
    }
}

async fn enrol(
    add: Add,
    config: Option<Result<Config, String>>,
    store: &dyn Store,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let who = match &add.unique_id {
        Some(unique_id) => Identity {
            unique_id: fields::unique_id(unique_id)?,
            name: checked("name", &add.name)?,
            upn: None,
            dn: String::new(),
        },
        None => {
            let config = config.ok_or(
                "the directory must be asked who that is: give --config FILE, or the --unique-id \
                 (objectGUID, entryUUID)",
            )??;
            resolve_in_directory(choose_target(&config, add.target.as_deref())?, &add.name).await?
        }
    };
    let bare = Person {
        unique_id: who.unique_id,
        name: who.name,
        upn: who.upn,
        dn: Some(who.dn).filter(|dn| !dn.is_empty()),
        first_name: None,
        last_name: None,
        email: None,
        phone: None,
        phone_extension: None,
        device_token: None,
        method: Method::Push,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
    };
    let person = add.change.applied(bare)?;
    store.add(&person).await.map_err(|error| match error {
        StoreError::Conflict(why) => {
            format!("{why}; see `anteroom user show`, and change them with `anteroom user set`")
        }
        other => advised(&other),
    })?;
    say(out, format_args!("added {}", show::plain(&person.name)))?;
    show::changes(&differences(None, Some(&person)), out).map_err(unwritten)?;
    remark(&person, out)
}

async fn list(json: bool, store: &dyn Store, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let mut table = show::Table::new(json);
    let mut after = String::new();
    loop {
        let page = store.people(&after, PAGE).await.map_err(|error| advised(&error))?;
        table.page(&page, out).map_err(unwritten)?;
        match page.last() {
            Some(last) => after.clone_from(&last.name),
            None => return table.end(out).map_err(unwritten),
        }
    }
}

async fn switch(store: &dyn Store, who: &Who, enabled: bool, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let before = find(store, who).await?;
    change(store, &before, &Person { enabled, ..before.clone() }, out).await
}

async fn set_block(
    store: &dyn Store,
    who: &Who,
    until: Option<SystemTime>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let before = find(store, who).await?;
    if !store.block(&before.unique_id, until).await.map_err(|error| advised(&error))? {
        return Err(gone(&before));
    }
    report(&before, &Person { blocked_until: until, ..before.clone() }, out)
}

/// Writes a change and tells what it was.
async fn change(
    store: &dyn Store,
    before: &Person,
    after: &Person,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    if before != after && !store.replace(after).await.map_err(|error| advised(&error))? {
        return Err(gone(before));
    }
    report(before, after, out)?;
    remark(after, out)
}

fn report(before: &Person, after: &Person, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let differences = differences(Some(before), Some(after));
    let verb = if differences.is_empty() { "nothing to change for" } else { "changed" };
    say(out, format_args!("{verb} {}", show::plain(&after.name)))?;
    show::changes(&differences, out).map_err(unwritten)
}

/// Says when a person's method cannot work with what is known of them.
fn remark(person: &Person, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let (missing, option) = match person.method {
        Method::Push if person.device_token.is_none() => ("device token", "--device-token"),
        Method::Call | Method::SmsReply if person.phone.is_none() => ("phone", "--phone"),
        _ => return Ok(()),
    };
    let (name, method) = (show::plain(&person.name), person.method);
    say(
        out,
        format_args!("note: {name} has no {missing}, which {method} needs; `anteroom user set {name} {option} ...`"),
    )
}

/// The person meant by a login name, a UPN or a unique id.
async fn find(store: &dyn Store, who: &Who) -> Result<Person, String> {
    let named = store.person_named(&who.person).await.map_err(|error| advised(&error))?;
    let found = match named {
        Some(person) => Some(person),
        None => store.person(&who.person).await.map_err(|error| advised(&error))?,
    };
    found.ok_or_else(|| {
        format!(
            "nobody in the user store has the login name, UPN or unique id {:?}; see `anteroom user list`, \
             or enrol them with `anteroom user add`",
            who.person
        )
    })
}

fn choose_target<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a DirectoryTarget, String> {
    let known = || config.targets.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => {
            config.targets.get(name).ok_or_else(|| format!("there is no target {name:?}; one of: {}", known()))
        }
        None if config.targets.len() == 1 => {
            config.targets.values().next().ok_or_else(|| "the configuration has no target".into())
        }
        None if config.targets.is_empty() => Err("the configuration has no target; give --unique-id".into()),
        None => Err(format!("which directory? Give --target, one of: {}", known())),
    }
}

/// Reads the configuration. Its mistakes come as the text that `anteroom check` prints.
fn load_config(path: &std::path::Path) -> Result<Config, String> {
    crate::config::checked::load(path).map_err(|mistakes| mistakes.to_string())
}

/// Asks the directory who `name` is.
async fn resolve_in_directory(target: &DirectoryTarget, name: &str) -> Result<Identity, String> {
    let directory = Directory::new(target).map_err(|error| format!("target {:?}: {error}", target.name))?;
    let deadline = std::time::Instant::now() + target.connect_timeout + target.timeout;
    let advice = match directory.identify(name, deadline).await {
        Ok(identity) => return Ok(identity),
        Err(IdentifyError::Unknown) => "knows nobody of that name; see its base, filter and name_attributes",
        Err(IdentifyError::Ambiguous) => "knows several of that name; give the UPN or DOMAIN\\name",
        Err(IdentifyError::Fault(_)) => "cannot be asked now; run `anteroom check`, or give --unique-id",
    };
    Err(format!("the directory of target {:?} {advice} ({:?})", target.name, name))
}

/// A store's error with what to do next.
fn advised(error: &StoreError) -> String {
    let advice = match error {
        StoreError::Unavailable(_) => "is the path right, may this user write there, is the disk full?",
        StoreError::Conflict(_) => "names and unique ids are each one person's; see `anteroom user list`",
        StoreError::Unusable(_) => "nothing was changed",
    };
    format!("{error} ({advice})")
}

fn gone(person: &Person) -> String {
    format!("{} was removed by somebody else just now; nothing was changed", show::plain(&person.name))
}

fn say(out: &mut (impl Write + ?Sized), text: std::fmt::Arguments<'_>) -> Result<(), String> {
    writeln!(out, "{text}").map_err(unwritten)
}

fn unwritten(error: std::io::Error) -> String {
    format!("the output could not be written: {error}")
}

#[cfg(test)]
mod tests;
