//! What a command about people works on: the user store, the key file, the rules, and who it is that works.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::users::keys::KeyFile;
use crate::users::open::open;
use crate::users::pin::Rules;
use crate::users::place::StoreAt;
use crate::users::roster::Roster;
use crate::users::sql::SqlStore;

/// Where the store is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct At {
    /// The configuration that names the user store (and the directory, for `add`).
    #[arg(long, value_name = "FILE", global = true, env = "ANTEROOM_CONFIG")]
    config: Option<PathBuf>,
    /// The user store itself, a file; takes precedence over the configuration's.
    #[arg(long, value_name = "FILE", global = true)]
    store: Option<PathBuf>,
    /// The key file of sealed values; takes precedence over the configuration's.
    #[arg(long, value_name = "FILE", global = true)]
    keys: Option<PathBuf>,
}

/// An open store.
pub(in crate::cli) struct Opened {
    pub(in crate::cli) store: SqlStore,
    /// The configuration, where one is named.
    pub(in crate::cli) config: Option<Result<Config, String>>,
    /// What PINs must be.
    pins: Rules,
    /// Where the store is, if it was made just now.
    pub(in crate::cli) created: Option<String>,
    keys: PathBuf,
}

impl At {
    /// Opens the store; one that is not there is made if `creating`.
    pub(in crate::cli) async fn open(&self, creating: bool) -> Result<Opened, String> {
        const WHICH: &str = "which user store? Give --config FILE or --store FILE";
        let config = match (&self.config, &self.store) {
            (Some(path), _) => Some(load_config(path)),
            (None, Some(_)) => None,
            (None, None) => return Err(WHICH.into()),
        };
        let place = self.config.as_deref().map(load_place);
        let (at, keys) = match (&self.store, &place) {
            (Some(path), _) => (Arc::new(StoreAt::File(path.clone())), path.with_file_name("anteroom.keys")),
            (None, Some(place)) => {
                let server = &place.as_ref().map_err(Clone::clone)?.server;
                (Arc::clone(&server.store), server.keys.clone())
            }
            (None, None) => return Err(WHICH.into()),
        };
        let is_new = at.file().is_some_and(|path| !path.exists());
        let store = open(&at, creating).await.map_err(|error| {
            if is_new && !creating {
                format!("there is no user store at {at}; `anteroom user add` creates it")
            } else {
                super::advised(&error)
            }
        })?;
        let keys = self.keys.clone().unwrap_or(keys);
        let pins = place.and_then(Result::ok).map(|place| place.pin).unwrap_or_default();
        Ok(Opened { store, config, pins, created: is_new.then(|| at.to_string()), keys })
    }
}

impl Opened {
    /// The key file of sealed values.
    pub(in crate::cli) fn keys(&self) -> &std::path::Path {
        &self.keys
    }

    /// What the actions work on.
    pub(in crate::cli) fn place(&self) -> Place<'_> {
        Place { store: &self.store, keys: self.keys.clone(), by: actor(), pins: self.pins }
    }
}

/// What the actions work on.
pub(in crate::cli) struct Place<'a> {
    pub(in crate::cli) store: &'a dyn Roster,
    keys: PathBuf,
    /// Who does it, as the changes will tell.
    pub(in crate::cli) by: String,
    /// What PINs must be.
    pub(in crate::cli) pins: Rules,
}

impl Place<'_> {
    pub(in crate::cli) fn key_file(&self) -> Result<KeyFile, String> {
        KeyFile::open(&self.keys).map_err(|error| error.to_string())
    }
}

/// Who sits at the command line, behind sudo where that says so.
pub(in crate::cli) fn actor() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    format!("cli:{}", name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".into()))
}

/// As [`load_config`], without what needs secrets.
fn load_place(path: &Path) -> Result<Config, String> {
    crate::config::checked::load_place(path).map_err(|mistakes| mistakes.to_string())
}

/// Reads the configuration. Its mistakes come as the text that `anteroom check` prints.
fn load_config(path: &Path) -> Result<Config, String> {
    crate::config::checked::load(path).map_err(|mistakes| mistakes.to_string())
}
