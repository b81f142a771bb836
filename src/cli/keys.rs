//! `anteroom keys`: the keys of sealed values.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::cli::{ConfigFile, Ended, Failure, output, runtime};
use crate::users::keys::KeyFile;
use crate::users::open::open;
use crate::users::roster::Roster;
use crate::users::rounds::{SHARED_SECRET, SharedRounds};
use crate::users::sealed::KeyId;
use crate::users::sql::SqlStore;
use crate::users::token::Token;

/// Tokens read from the store at once.
const PAGE: u32 = 500;

/// `anteroom keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    anteroom keys show\n  \
    anteroom keys rotate                 on one node\n  \
    anteroom keys add                    on several: add, copy the key file to every node, then\n  \
    anteroom keys rotate --no-add")]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Which keys there are, and how many values each has sealed.
    Show,
    /// Make a new key, which seals from now on; older values stay as they are.
    Add,
    /// Make a new key, and seal every value anew with it.
    Rotate {
        /// Seal with the newest key that is there.
        #[arg(long)]
        no_add: bool,
    },
    /// Take the keys out of the file that seal nothing any more. Backups may still need them.
    Forget,
}

/// Runs the command.
///
/// # Errors
/// What went wrong; no value is lost by it.
pub fn run(args: &Args) -> Ended {
    let config = crate::config::checked::load_place(&args.config.config);
    let config = config.map_err(|mistakes| Failure::usage(mistakes.to_string()))?;
    let keys = KeyFile::open(&config.server.keys)?;
    runtime()?.block_on(async {
        let store = open(&config.server.store, false).await?;
        let done = act(&args.action, &keys, &store).await;
        store.close().await;
        done
    })
}

async fn act(action: &Action, keys: &KeyFile, store: &SqlStore) -> Ended {
    match action {
        Action::Show => show(keys, store).await?,
        Action::Add => output::line(format_args!("made the key {} in {}", keys.add()?, keys.path().display())),
        Action::Rotate { no_add } => {
            if !no_add || keys.ids().is_empty() {
                output::line(format_args!("made the key {} in {}", keys.add()?, keys.path().display()));
            }
            rotate(keys, store).await?;
        }
        Action::Forget => {
            let used: Vec<KeyId> = used(store).await?.into_keys().collect();
            let gone = keys.forget_unused(&used)?;
            gone.iter().for_each(|id| output::line(format_args!("forgot the key {id}")));
            output::line(format_args!("{} keys are left", keys.ids().len()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Calls `each` with every token.
async fn every_token(store: &dyn Roster) -> Result<Vec<Token>, Failure> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = store.tokens(&after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after.clone_from(&last.serial);
        all.extend(page);
    }
}

/// How many values each key has sealed.
async fn used(store: &SqlStore) -> Result<BTreeMap<KeyId, usize>, Failure> {
    let mut used = BTreeMap::new();
    for token in every_token(store).await? {
        if let Some(id) = token.seed.key_id() {
            *used.entry(id).or_default() += 1;
        }
    }
    for id in store.secrets().await?.iter().filter_map(|(_, sealed)| sealed.key_id()) {
        *used.entry(id).or_default() += 1;
    }
    Ok(used)
}

async fn show(keys: &KeyFile, store: &SqlStore) -> Result<(), Failure> {
    let mut used = used(store).await?;
    let ids = keys.ids();
    output::line(format_args!("key file {}", keys.path().display()));
    for id in &ids {
        let note = if ids.last() == Some(id) { ", seals" } else { "" };
        output::line(format_args!("  {id}  {} values{note}", used.remove(id).unwrap_or_default()));
    }
    for (id, many) in &used {
        output::line(format_args!("  {id}  {many} values, LOST: the key is not in the file"));
    }
    Ok(())
}

/// Seals every value with the newest key. What cannot be opened stays as it is and is told.
async fn rotate(keys: &KeyFile, store: &SqlStore) -> Result<(), Failure> {
    let newest = keys.ids().last().copied();
    let (mut sealed, mut left) = (0, 0);
    for token in every_token(store).await? {
        if token.seed.key_id() == newest {
            continue;
        }
        let (serial, owner) = (&token.serial, token.unique_id.as_deref());
        match keys.open_seed(serial, owner, &token.seed) {
            Ok(seed) => {
                let seed = keys.seal_seed(serial, owner, &seed)?;
                if store.reseal(&token, &seed).await? {
                    sealed += 1;
                }
            }
            Err(error) => {
                left += 1;
                output::error(format_args!("the seed of token {serial:?} stays as it is: {error}"));
            }
        }
    }
    for (name, secret) in store.secrets().await?.iter().filter(|(_, secret)| secret.key_id() != newest) {
        match keys.open_sealed(SHARED_SECRET, &[name], secret) {
            Ok(opened) => {
                let anew = keys.seal(SHARED_SECRET, &[name], &opened)?;
                sealed += i32::from(store.reseal_secret(name, secret, &anew).await?);
            }
            Err(error) => {
                left += 1;
                output::error(format_args!("the shared secret {name:?} stays as it is: {error}"));
            }
        }
    }
    output::line(format_args!("sealed {sealed} values anew"));
    if left > 0 {
        return Err(Failure::refused(format!("{left} values could not be opened; nothing of them was changed")));
    }
    Ok(())
}
