//! Where values come from besides the file: environment variables, files and service credentials.
//!
//! A secret has four spellings, of which exactly one is used: `x = "literal"`, `x_file = "path"`,
//! `x_credential = "name"` (a file in `$CREDENTIALS_DIRECTORY`, see systemd's `LoadCredential=`) and
//! `x_env = "VARIABLE"`. Messages of this file never repeat what the key holds: somebody will write the
//! secret itself into `x_file`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Longest secret file that is read, in octets. A key or a password is far below it.
const LONGEST_SECRET: u64 = 64 * 1024;

/// The variable that names the folder of a service's credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// That folder for the unit in conf/anteroom.service, while it runs: root may look into it.
const OF_THE_SERVICE: &str = "/run/credentials/anteroom.service";

/// What the process was given besides the file. A value of its own, so that tests need not change the
/// process's real environment.
#[derive(Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process. Variables that are not UTF-8 are left out. Credentials that it was not given are
    /// those of the service while that runs, where this user may look at them.
    pub fn of_this_process() -> Self {
        let text = |word: std::ffi::OsString| word.into_string().ok();
        let mut variables: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
        if !variables.contains_key(CREDENTIALS) && std::fs::read_dir(OF_THE_SERVICE).is_ok() {
            variables.insert(CREDENTIALS.to_owned(), OF_THE_SERVICE.to_owned());
        }
        Environment { variables }
    }

    /// An environment of these variables only.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Environment {
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The variables that start with `prefix`, and what follows it in their names.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        self.variables
            .iter()
            .filter_map(move |(name, value)| Some((name.as_str(), name.strip_prefix(prefix)?, value.as_str())))
    }
}

impl fmt::Debug for Environment {
    /// Names only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Why a secret could not be fetched. Speaks about the source, never about its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceError {
    /// `x_env` is no name of a variable, or the variable is not set.
    NoVariable,
    /// `x_credential` is used, but no `$CREDENTIALS_DIRECTORY` was given.
    NoCredentials,
    /// `x_credential` is not a plain file name.
    NoCredentialName,
    /// The file could not be read.
    Unreadable(String),
    /// The file is longer than any secret.
    TooLong,
    /// There is nothing in it.
    Empty,
}

impl SourceError {
    /// Whether another process may well have the secret: the service has its credentials, its environment and its rights.
    pub fn is_not_given(&self) -> bool {
        matches!(self, SourceError::NoVariable | SourceError::NoCredentials | SourceError::Unreadable(_))
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::NoVariable => f.write_str("the environment variable it names is not set"),
            SourceError::NoCredentials => {
                f.write_str("no service credentials were given (CREDENTIALS_DIRECTORY is not set)")
            }
            SourceError::NoCredentialName => f.write_str("not the name of a credential"),
            SourceError::Unreadable(why) => write!(f, "the file it names cannot be read: {why}"),
            SourceError::TooLong => write!(f, "the file it names has more than {LONGEST_SECRET} octets"),
            SourceError::Empty => f.write_str("the secret is empty"),
        }
    }
}

/// A secret from an environment variable.
///
/// # Errors
/// [`SourceError::NoVariable`], [`SourceError::Empty`].
pub fn from_variable(environment: &Environment, name: &str) -> Result<Secret, SourceError> {
    let value = environment.get(name).ok_or(SourceError::NoVariable)?;
    if value.is_empty() { Err(SourceError::Empty) } else { Ok(Secret::new(value.as_bytes().to_vec())) }
}

/// The file of a service credential.
///
/// # Errors
/// [`SourceError::NoCredentials`], [`SourceError::NoCredentialName`].
pub fn credential_path(environment: &Environment, name: &str) -> Result<PathBuf, SourceError> {
    let folder = environment.get(CREDENTIALS).ok_or(SourceError::NoCredentials)?;
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(SourceError::NoCredentialName);
    }
    Ok(Path::new(folder).join(name))
}

/// A secret from a file. One line end at its end, as editors leave it, is not part of the secret.
///
/// # Errors
/// [`SourceError::Unreadable`], [`SourceError::TooLong`], [`SourceError::Empty`].
pub fn from_file(path: &Path) -> Result<Secret, SourceError> {
    let unreadable = |error: std::io::Error| SourceError::Unreadable(why(&error));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(SourceError::Unreadable("it is a directory".to_owned()));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LONGEST_SECRET + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > LONGEST_SECRET {
        return Err(SourceError::TooLong);
    }
    let bytes = content.strip_suffix(b"\n").unwrap_or(&content);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.is_empty() { Err(SourceError::Empty) } else { Ok(Secret::new(bytes.to_vec())) }
}

/// Why a file could not be used, in plain words.
pub fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        other => other.to_string(),
    }
}

/// Whether people other than the owner may read the file: its group, or everybody. `None` if it is no file.
pub fn readable_by_others(path: &Path) -> Option<bool> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(metadata.permissions().mode() & 0o044 != 0)
}

/// The host's own name, or `anteroom` where it cannot be told.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "anteroom".to_owned())
}
