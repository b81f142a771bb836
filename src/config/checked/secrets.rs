//! The four spellings of a secret, of which exactly one is used.

use super::super::mistakes::Origin;
use super::super::place::Path;
use super::super::sources::{SourceError, credential_path, from_file, from_variable, readable_by_others};
use super::super::values::Hidden;
use super::{Checker, relative_note};
use crate::secret::Secret;

/// A secret as the file spells it.
pub(super) struct Spellings {
    pub(super) literal: Option<Hidden>,
    pub(super) file: Option<String>,
    pub(super) credential: Option<String>,
    pub(super) variable: Option<String>,
}

impl Spellings {
    /// How many of the four are used.
    pub(super) fn used(&self) -> usize {
        [self.literal.is_some(), self.file.is_some(), self.credential.is_some(), self.variable.is_some()]
            .into_iter()
            .filter(|used| *used)
            .count()
    }
}

impl Checker<'_> {
    /// The secret `name` of the section `at`. `None` after a mistake.
    pub(super) fn secret(&self, at: &Path, name: &str, spellings: Spellings) -> Option<Secret> {
        let keys = ["", "_file", "_credential", "_env"].map(|suffix| at.key(&format!("{name}{suffix}")));
        if keys.iter().any(|key| self.is_spoiled(key)) {
            return None;
        }
        let [literal_key, file_key, credential_key, variable_key] = &keys;
        let one = format!("exactly one of {name}, {name}_file, {name}_credential, {name}_env");
        match spellings.used() {
            0 => {
                self.wrong(literal_key, "missing", one);
                return None;
            }
            1 => {}
            _ => {
                self.wrong(literal_key, format!("found {} spellings of {name}", spellings.used()), one);
                return None;
            }
        }
        let used = match &spellings {
            Spellings { file: Some(_), .. } => file_key,
            Spellings { credential: Some(_), .. } => credential_key,
            _ => variable_key,
        };
        let result = match spellings {
            Spellings { literal: Some(Hidden(secret)), .. } => {
                return self.literal(literal_key, name, secret);
            }
            Spellings { file: Some(path), .. } => {
                let path = self.path(&path);
                if readable_by_others(&path) == Some(true) {
                    self.warn(file_key, "others than its owner may read that file", "chmod 600 it");
                }
                from_file(&path).map_err(|error| (file_key, error))
            }
            Spellings { credential: Some(credential), .. } => credential_path(self.environment, &credential)
                .and_then(|path| from_file(&path))
                .map_err(|error| (credential_key, error)),
            Spellings { variable, .. } => {
                from_variable(self.environment, &variable.unwrap_or_default()).map_err(|error| (variable_key, error))
            }
        };
        match result {
            Ok(secret) => {
                let octets = secret.open();
                let odd = |end: Option<&u8>| end.is_some_and(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
                if octets.starts_with(b"\xef\xbb\xbf") || odd(octets.first()) || odd(octets.last()) {
                    let found = "has a blank, a line end or an editor's mark at its beginning or end, which counts";
                    self.warn(used, found, "write the secret alone, unless the other side has the same");
                }
                Some(secret)
            }
            Err((key, error)) => {
                let advice = match error {
                    SourceError::Unreadable(_) => relative_note(&self.folder),
                    SourceError::NoCredentials => "give them with LoadCredential= in the service unit; by hand: run it \
                                                   as root while the service anteroom runs, or set CREDENTIALS_DIRECTORY"
                        .to_owned(),
                    _ => String::new(),
                };
                if error.is_not_given() {
                    self.not_given.borrow_mut().push(self.note(key, error.to_string(), advice));
                } else {
                    self.wrong(key, error.to_string(), advice);
                }
                None
            }
        }
    }

    fn literal(&self, at: &Path, name: &str, secret: Secret) -> Option<Secret> {
        if secret.is_empty() {
            self.wrong(at, "found an empty secret", format!("a secret, or better {name}_file"));
            return None;
        }
        let in_file = matches!(self.places.origin(at), Origin::File { .. });
        if in_file && readable_by_others(&self.file) == Some(true) {
            self.warn(
                at,
                "stands in a file that others than its owner may read",
                format!("use {name}_file, or chmod 600 {}", self.file.display()),
            );
        }
        Some(secret)
    }
}
