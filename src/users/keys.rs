//! The key file of sealed values: read, made and rotated. See [`crate::users::sealed`] for what is in it.

use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::users::sealed::{KEY, KeyId, Keys, NONCE, SealError, Sealed};

/// Longest key file that is read, in octets.
const LONGEST: u64 = 64 * 1024;

/// Why the key file or a value in the database cannot be used.
#[derive(Debug)]
pub enum KeyError {
    /// The file.
    File(PathBuf, Error),
    /// What is in it, or a sealed value.
    Seal(PathBuf, SealError),
    /// The kernel has no random octets.
    Random(String),
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyError::File(path, error) => write!(f, "the key file {} cannot be used: {error}", path.display()),
            KeyError::Seal(path, error) => write!(f, "{error} (key file {})", path.display()),
            KeyError::Random(why) => write!(f, "no random octets from the kernel: {why}"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The key file and what is in it. A value that a key of a newer file has sealed makes it read the file again.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    keys: Mutex<Keys>,
}

impl KeyFile {
    /// Reads the file; a missing one has no keys.
    ///
    /// # Errors
    /// A file that cannot be read, or is none.
    pub fn open(path: impl Into<PathBuf>) -> Result<KeyFile, KeyError> {
        let path = path.into();
        let keys = Mutex::new(read(&path)?);
        Ok(KeyFile { path, keys })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ids of the keys, oldest first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.with(|keys| keys.ids().collect())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Keys) -> T) -> T {
        look(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn named(&self, error: SealError) -> KeyError {
        KeyError::Seal(self.path.clone(), error)
    }

    /// Makes a key, which seals from now on, and writes the file, readable by its owner only.
    ///
    /// # Errors
    /// What went wrong; the file is then as it was.
    pub fn add(&self) -> Result<KeyId, KeyError> {
        let mut key = Zeroizing::new([0; KEY]);
        random(&mut *key)?;
        let mut id = [0; 4];
        random(&mut id)?;
        // Another program may have added one since.
        let mut keys = read(&self.path)?;
        let id = keys.add(id, Secret::new(key.to_vec())).map_err(|error| self.named(error))?;
        self.replace(keys)?;
        Ok(id)
    }

    /// Takes out the keys but the newest that seal nothing any more; which.
    ///
    /// # Errors
    /// What went wrong; the file is then as it was.
    pub fn forget_unused(&self, used: &[KeyId]) -> Result<Vec<KeyId>, KeyError> {
        let mut keys = read(&self.path)?;
        let gone = keys.forget_unused(used);
        if !gone.is_empty() {
            self.replace(keys)?;
        }
        Ok(gone)
    }

    fn replace(&self, keys: Keys) -> Result<(), KeyError> {
        write(&self.path, &keys.text()).map_err(|error| KeyError::File(self.path.clone(), error))?;
        self.with(|known| *known = keys);
        Ok(())
    }

    /// Seals the seed of an OATH token; makes the first key where there is none.
    ///
    /// # Errors
    /// What went wrong.
    pub fn seal_seed(&self, serial: &str, unique_id: Option<&str>, seed: &Secret) -> Result<Sealed, KeyError> {
        self.sealing(|keys, nonce| keys.seal_seed(serial, unique_id, seed, nonce))
    }

    /// Seals anything else, for one row: `what` it is and the row's own `identity`.
    ///
    /// # Errors
    /// What went wrong.
    pub fn seal(&self, what: &str, identity: &[&str], secret: &Secret) -> Result<Sealed, KeyError> {
        self.sealing(|keys, nonce| keys.seal(what, identity, secret, nonce))
    }

    /// A key for one purpose, made from the newest key; makes the first where there is none.
    ///
    /// # Errors
    /// What went wrong.
    pub fn derived(&self, purpose: &str) -> Result<Secret, KeyError> {
        if self.with(|keys| keys.newest()).is_none() {
            self.add()?;
        }
        self.with(|keys| keys.derived(purpose)).ok_or_else(|| self.named(SealError::NoKey))
    }

    fn sealing(&self, seal: impl FnOnce(&Keys, [u8; NONCE]) -> Result<Sealed, SealError>) -> Result<Sealed, KeyError> {
        if self.with(|keys| keys.newest()).is_none() {
            self.add()?;
        }
        let mut nonce = [0; NONCE];
        random(&mut nonce)?;
        self.with(|keys| seal(keys, nonce)).map_err(|error| self.named(error))
    }

    /// Opens the seed of an OATH token.
    ///
    /// # Errors
    /// What went wrong: a lost key by its name.
    pub fn open_seed(&self, serial: &str, unique_id: Option<&str>, sealed: &Sealed) -> Result<Secret, KeyError> {
        self.opening(sealed, |keys| keys.open_seed(serial, unique_id, sealed))
    }

    /// Opens what [`KeyFile::seal`] has sealed for the same row.
    ///
    /// # Errors
    /// What went wrong.
    pub fn open_sealed(&self, what: &str, identity: &[&str], sealed: &Sealed) -> Result<Secret, KeyError> {
        self.opening(sealed, |keys| keys.open(what, identity, sealed))
    }

    fn opening(
        &self,
        sealed: &Sealed,
        open: impl FnOnce(&Keys) -> Result<Secret, SealError>,
    ) -> Result<Secret, KeyError> {
        if sealed.key_id().is_some_and(|id| self.with(|keys| !keys.has(id))) {
            let newer = read(&self.path)?;
            self.with(|keys| *keys = newer);
        }
        self.with(|keys| open(keys)).map_err(|error| self.named(error))
    }
}

fn random(octets: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(octets).map_err(|error| KeyError::Random(error.to_string()))
}

fn read(path: &Path) -> Result<Keys, KeyError> {
    let failed = |error| KeyError::File(path.to_owned(), error);
    let size = match std::fs::metadata(path) {
        Ok(about) => about.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Keys::default()),
        Err(error) => return Err(failed(error)),
    };
    if size > LONGEST {
        return Err(failed(Error::other(format!("it has {size} octets, a key file has at most {LONGEST}"))));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    Keys::parse(&text).map_err(|error| KeyError::Seal(path.to_owned(), error))
}

/// Writes a file beside and puts it in place, so that a crash leaves the one or the other.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let placed = written.and_then(|()| std::fs::rename(&beside, path));
    if placed.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
    }
    placed?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seed_makes_the_first_key_and_a_private_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let file = KeyFile::open(&path).unwrap();
        assert_eq!(file.ids(), []);
        let seed = Secret::from_text("seed".into());
        let sealed = file.seal_seed("S", None, &seed).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let other = KeyFile::open(&path).unwrap();
        assert!(other.open_seed("S", None, &sealed).unwrap().matches(b"seed"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a file was left beside");
    }

    #[test]
    fn a_key_that_was_added_meanwhile_is_found_and_a_lost_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let seed = Secret::from_text("seed".into());
        let running = KeyFile::open(&path).unwrap();
        let command = KeyFile::open(&path).unwrap();
        let first = command.add().unwrap();
        let second = command.add().unwrap();
        let sealed = command.seal_seed("S", None, &seed).unwrap();
        assert_eq!(sealed.key_id(), Some(second));
        assert!(running.open_seed("S", None, &sealed).unwrap().matches(b"seed"));
        assert_eq!(command.forget_unused(&[second]).unwrap(), [first]);
        std::fs::remove_file(&path).unwrap();
        let error = KeyFile::open(&path).unwrap().open_seed("S", None, &sealed).unwrap_err().to_string();
        assert!(error.contains(&second.to_string()) && error.contains("Nothing else"), "{error}");
    }

    #[test]
    fn what_is_no_key_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "a note").unwrap();
        assert!(KeyFile::open(&path).unwrap_err().to_string().contains("line 1"));
        std::fs::write(&path, vec![b'#'; 100_000]).unwrap();
        assert!(KeyFile::open(&path).unwrap_err().to_string().contains("100000 octets"));
        assert!(KeyFile::open(folder.path()).is_err());
    }
}
