//! `[server]` and `[audit]`: this server's own name, database, keys and folders.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use super::super::place::Path;
use super::super::sources;
use super::super::values::{Count, Span};
use super::super::written;
use super::super::{Audit, Limits, Server};
use super::Checker;
use super::secrets::Spellings;
use crate::texts::Texts;
use crate::users::place::{PostgresAt, StoreAt, Tls, is_url};

/// The folder of everything that has no place of its own.
const HOME: &str = "/var/lib/anteroom";

/// Longest path of a socket, in octets (`sockaddr_un`, without the end).
const LONGEST_SOCKET: usize = 107;

impl Checker<'_> {
    pub(super) fn server(&self, server: written::Server) -> Server {
        let at = Path::top("server");
        let name = server.name.clone().unwrap_or_else(sources::host_name);
        self.text_length(&at.key("name"), &name, 253);
        let drain = self.duration(&at.key("drain"), server.drain, "60s", "0s", "10m");
        let (control, keys) = (server.control.clone(), server.keys.clone());
        let store = self.store(&at, server);
        // What is not named stands beside the database, or in the usual folder where that is a server.
        let beside = |name: &str| match store.file() {
            Some(file) => file.with_file_name(name),
            None => PathBuf::from(HOME).join(name),
        };
        let control = control.map_or_else(|| beside("control.sock"), |path| self.path(&path));
        if control.as_os_str().len() > LONGEST_SOCKET {
            let found = format!("is a path of {} octets", control.as_os_str().len());
            self.wrong(&at.key("control"), found, format!("allowed: up to {LONGEST_SOCKET}, as the system has it"));
        }
        let keys = keys.map_or_else(|| beside("anteroom.keys"), |path| self.path(&path));
        let texts = Arc::clone(&self.texts.borrow());
        Server { name, store: Arc::new(store), keys, control, texts, drain }
    }

    /// Where accounting records wait: beside the database, or in the usual folder where that is a server.
    pub(super) fn spool(&self, given: Option<String>, store: &StoreAt) -> PathBuf {
        match (given, store.file()) {
            (Some(path), _) => self.path(&path),
            (None, Some(file)) => file.with_file_name("accounting"),
            (None, None) => PathBuf::from(HOME).join("accounting"),
        }
    }

    /// Octets that they may take for each target.
    pub(super) fn spool_size(&self, given: Option<Count>) -> u64 {
        let at = Path::top("radius").key("accounting_spool_size");
        u64::from(self.count(&at, given, 268_435_456, 1_048_576, u32::MAX))
    }

    /// What is bounded over all clients.
    pub(super) fn limits(&self, limits: &written::Limits) -> Limits {
        let at = Path::top("limits");
        Limits {
            held: self.size(&at.key("held"), limits.held, 100_000, 1, 10_000_000),
            held_per_person: self.size(&at.key("held_per_person"), limits.held_per_person, 3, 1, 1000),
            at_directory: self.size(&at.key("at_directory"), limits.at_directory, 16_384, 1, 1_000_000),
        }
    }

    /// Reads what people read everywhere.
    pub(super) fn server_texts(&self, folder: Option<String>) {
        let texts = self.texts_over(Texts::built_in(), &Path::top("server").key("texts"), folder.as_deref());
        self.texts.replace(Arc::new(texts));
    }

    /// What people read at one client, where that is something else.
    pub(super) fn client_texts(&self, at: &Path, folder: Option<String>) -> Option<Arc<Texts>> {
        let usual = Texts::clone(&self.texts.borrow());
        Some(Arc::new(self.texts_over(usual, at, Some(&folder?))))
    }

    /// These texts, and over them those of the folder.
    fn texts_over(&self, mut texts: Texts, at: &Path, folder: Option<&str>) -> Texts {
        if let Some(folder) = folder
            && let Err(why) = add_texts(&mut texts, &self.path(folder))
        {
            self.wrong(
                at,
                why,
                "a folder of files like en.toml, each with texts of the language that it is named after",
            );
        }
        texts
    }

    fn store(&self, at: &Path, server: written::Server) -> StoreAt {
        let key = at.key("store");
        let text = server.store.unwrap_or_else(|| format!("{HOME}/anteroom.db"));
        let spellings = Spellings {
            literal: server.store_password,
            file: server.store_password_file,
            credential: server.store_password_credential,
            variable: server.store_password_env,
        };
        if !is_url(&text) {
            if spellings.used() > 0 || server.store_ca_file.is_some() || server.store_plaintext.is_some() {
                let allowed = "a file needs neither password nor certificates; leave the store_ keys out";
                self.wrong(&key, "is a file", allowed);
            }
            return StoreAt::File(self.path(&text));
        }
        let server_at = match PostgresAt::parse(&text) {
            Ok(server_at) => server_at,
            Err(error) => {
                let allowed = "a file, or postgres://USER@HOST[:PORT][,HOST[:PORT]]/DATABASE";
                self.wrong(&key, error.to_string(), allowed);
                return StoreAt::File(PathBuf::new());
            }
        };
        // Without a password the server must know us by another way, which it says when asked.
        let password = if spellings.used() > 0 { self.secret(at, "store_password", spellings) } else { None };
        let ca = server.store_ca_file.and_then(|file| self.readable(&at.key("store_ca_file"), Some(file)));
        let tls = match server.store_plaintext {
            Some(true) if !server_at.is_local() => {
                let allowed = "allowed only where every server is a loopback address: passwords and people's data \
                               would cross the network unprotected";
                self.wrong(&at.key("store_plaintext"), "found true", allowed);
                Tls::Plaintext
            }
            Some(true) => Tls::Plaintext,
            _ => Tls::Verified(ca),
        };
        StoreAt::Postgres(Box::new(server_at.with_password(password).with_tls(tls)))
    }

    pub(super) fn audit(&self, audit: written::Audit) -> Audit {
        let at = Path::top("audit");
        let keep =
            audit.keep.map(|Span(keep)| self.duration(&at.key("keep"), Some(Span(keep)), "400d", "1d", "36500d"));
        Audit { file: audit.file.map(|path| self.path(&path)), keep }
    }
}

/// Adds the files of a folder, each named after its language.
fn add_texts(texts: &mut Texts, folder: &FilePath) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{}: {}", folder.display(), sources::why(&error));
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let language = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".toml"));
        let Some(language) = language else { continue };
        let said = |why: String| format!("{}: {why}", path.display());
        let file = std::fs::read_to_string(&path).map_err(|error| said(sources::why(&error)))?;
        texts.add(language, &file).map_err(|why| said(why.0))?;
    }
    Ok(())
}
