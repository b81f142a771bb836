//! From a file, a text and an environment to a configuration, or to all mistakes at once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path as FilePath;
use std::time::SystemTime;

use super::super::Config;
use super::super::mistakes::{Mistake, Mistakes, Origin};
use super::super::reading::Reading;
use super::super::sources::Environment;
use super::Checker;
use crate::radius::dictionary::Dictionary;

/// A configuration that may be used, and what its owner should look at.
#[derive(Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// What is allowed, but dangerous or without effect.
    pub warnings: Vec<Mistake>,
}

/// Reads the file at `path` with the environment of this process laid over it, and checks it.
///
/// # Errors
/// Every mistake that was found.
pub fn load(path: &FilePath) -> Result<Config, Mistakes> {
    read_file(path).map(|checked| checked.config)
}

/// Checks `text` as if it were the file at `path`: no environment variable is laid over it, though secrets
/// may come from one.
///
/// # Errors
/// Every mistake that was found.
pub fn load_text(text: &str, path: &FilePath) -> Result<Config, Mistakes> {
    let environment = Environment::of_this_process();
    read(text, path, &Environment::default(), &environment, SystemTime::now()).map(|checked| checked.config)
}

/// As [`load`], for commands that want to know where things are, and nothing of clients, directories and providers: a
/// secret that this process was not given, as a service's credential, is no mistake, and what needs it is left out. Of
/// the section `server` nothing may be missing.
///
/// # Errors
/// Every other mistake that was found.
pub fn load_place(path: &FilePath) -> Result<Config, Mistakes> {
    let environment = Environment::of_this_process();
    let text = text_of(path)?;
    let found = look_at(&text, path, &environment, &environment, SystemTime::now());
    let mut mistakes = found.mistakes;
    mistakes.extend(found.not_given.into_iter().filter(|mistake| mistake.key.starts_with("server.")));
    match found.config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(Mistakes { mistakes, warnings: found.warnings }),
    }
}

/// As [`load`], with the warnings.
///
/// # Errors
/// Every mistake that was found.
pub fn read_file(path: &FilePath) -> Result<Checked, Mistakes> {
    let environment = Environment::of_this_process();
    read(&text_of(path)?, path, &environment, &environment, SystemTime::now())
}

fn text_of(path: &FilePath) -> Result<zeroize::Zeroizing<String>, Mistakes> {
    std::fs::read_to_string(path).map(zeroize::Zeroizing::new).map_err(|error| {
        let origin = Origin::File { file: path.to_owned(), place: None };
        let found = format!("cannot be read: {error}");
        let allowed = "name the configuration with --config FILE".to_owned();
        Mistakes { mistakes: vec![Mistake { origin, key: String::new(), found, allowed }], warnings: Vec::new() }
    })
}

/// Checks `text`, which was read from `path`, with the variables of `overrides` laid over it; secrets and
/// credentials are taken from `environment`; `now` tells what has expired.
///
/// # Errors
/// Every mistake that was found, in the order of the file.
pub fn read(
    text: &str,
    path: &FilePath,
    overrides: &Environment,
    environment: &Environment,
    now: SystemTime,
) -> Result<Checked, Mistakes> {
    let found = look_at(text, path, overrides, environment, now);
    let (mut mistakes, warnings) = (found.mistakes, found.warnings);
    mistakes.extend(found.not_given);
    mistakes.sort_by_key(|mistake| mistake.line().unwrap_or_default());
    match found.config {
        Some(config) if mistakes.is_empty() => Ok(Checked { config, warnings }),
        _ => Err(Mistakes { mistakes, warnings }),
    }
}

/// What a file says, with all that is wrong.
struct LookedAt {
    config: Option<Config>,
    mistakes: Vec<Mistake>,
    /// Secrets that this process was not given.
    not_given: Vec<Mistake>,
    warnings: Vec<Mistake>,
}

fn look_at(
    text: &str,
    path: &FilePath,
    overrides: &Environment,
    environment: &Environment,
    now: SystemTime,
) -> LookedAt {
    let reading = Reading::new(path, text, overrides);
    let is_toml = reading.is_toml;
    let (file, mistakes, spoiled, places) = reading.into_parts();
    let folder = path.parent().unwrap_or(FilePath::new("")).to_owned();
    let checker = Checker {
        places,
        environment,
        folder,
        file: path.to_owned(),
        now,
        spoiled,
        mistakes: RefCell::new(mistakes),
        not_given: RefCell::default(),
        warnings: RefCell::default(),
        radius_targets: RefCell::default(),
        dictionary: RefCell::new(Cow::Borrowed(Dictionary::shipped())),
        texts: RefCell::default(),
    };
    // A file that is not TOML says nothing about its keys.
    let config = is_toml.then(|| checker.config(file));
    let by_line = |mistake: &Mistake| mistake.line().unwrap_or_default();
    let mut warnings = checker.warnings.into_inner();
    warnings.sort_by_key(by_line);
    let mut mistakes = checker.mistakes.into_inner();
    mistakes.sort_by_key(by_line);
    LookedAt { config, mistakes, not_given: checker.not_given.into_inner(), warnings }
}
