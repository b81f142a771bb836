//! From the written form to [`Config`]: what is missing, out of range or does not fit together.
//!
//! All mistakes are collected and told at once. Nothing here gives up early: a section that is wrong
//! yields a stand-in, and [`read`] hands out a [`Config`] only when not one mistake was found.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::mistakes::Mistake;
use super::place::Path;
use super::reading::Places;
use super::sources::{self, Environment};
use super::values::{Count, OneOrMany, Span, Word};
use crate::radius::dictionary::Dictionary;
use crate::texts::Texts;

use super::{Config, Lockout, Log, LogFormat, Radius, Throttle, Transport, written};

mod address;
mod caching;
mod challenge;
mod changes;
mod client;
mod gateway;
mod import;
mod ldap;
mod load;
mod mail;
mod pin;
mod provider;
mod radius_target;
mod radsec;
mod reply;
mod route;
mod rule;
mod secrets;
mod server;
mod target;

pub use address::is_loopback;
pub use load::{Checked, load, load_place, load_text, read, read_file};

/// Collects mistakes and warnings while the sections are checked.
struct Checker<'a> {
    places: Places<'a>,
    environment: &'a Environment,
    folder: PathBuf,
    file: PathBuf,
    now: SystemTime,
    spoiled: Vec<Path>,
    mistakes: RefCell<Vec<Mistake>>,
    not_given: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<Mistake>>,
    /// The targets that are RADIUS servers, once they are known.
    radius_targets: RefCell<BTreeSet<String>>,
    /// The names of attributes, once they are known.
    dictionary: RefCell<Cow<'static, Dictionary>>,
    /// What people read, once it is known.
    texts: RefCell<Arc<Texts>>,
}

impl Checker<'_> {
    fn config(&self, mut file: written::File) -> Config {
        gateway::name_targets(&mut file);
        self.dictionary(file.radius.dictionary.take());
        self.server_texts(file.server.texts.take());
        let (targets, authorizing, radius_targets) = self.targets(file.target);
        let import = self.import(file.import, &targets, &authorizing);
        let mail_is_mentioned = file.mail.server.is_some();
        let mail = self.mail(file.mail).map(Arc::new);
        self.mail_of_items(&import, mail.as_deref(), mail_is_mentioned);
        let providers = self.providers(file.provider, mail.as_ref());
        let over_tls = |client: &written::Client| matches!(client.transport, Some(Word(Transport::Tls)));
        let wants_tls = file.radius.client.iter().any(over_tls);
        let usual = if file.radius.client.iter().all(over_tls) { "" } else { "0.0.0.0:1812" };
        let listen = self.sockets(&Path::top("radius").key("listen"), file.radius.listen, usual);
        let accounting = self.sockets(&Path::top("radius").key("accounting"), file.radius.accounting, "");
        self.apart(&Path::top("radius").key("accounting"), &accounting, (&listen, "listen"));
        let tcp = self.loopback(&Path::top("radius").key("tcp"), file.radius.tcp);
        let (radius, ldap) = (file.radius.client.len(), file.ldap.client.len());
        let radius_names: Vec<_> = file.radius.client.iter().map(|client| client.name.clone()).collect();
        let ldap_names: Vec<_> = file.ldap.client.iter().map(|client| client.name.clone()).collect();
        self.own_names([("radius", &radius_names), ("ldap", &ldap_names)]);
        let names: BTreeSet<String> = radius_names.into_iter().chain(ldap_names).flatten().collect();
        let replies = self.replies(file.reply, &file.radius.client);
        let tls = self.radius_tls(file.radius.tls, wants_tls);
        let clients = self.clients(file.radius.client, &targets, &authorizing, &providers, &replies);
        let taken = [&listen[..], &accounting];
        let changes = self.changes(file.radius.changes, (&clients, radius), &radius_targets, taken);
        let ldap_door = self.ldap(file.ldap, &targets, &providers);
        let routes = self.routes(file.route, &names, &providers.written);
        let of_rules = rule::Clients::of(&clients, &ldap_door.clients, names);
        let caching = self.caching(file.caching, &file.rule, &of_rules);
        let rules = self.rules(file.rule, &of_rules);
        if (radius, ldap) == (clients.len(), ldap_door.clients.len()) {
            self.check_together(&clients, &ldap_door.clients, &providers, &routes);
            self.used_targets(&clients, &ldap_door.clients, &targets, &authorizing);
        }
        let metrics = file.metrics.listen.and_then(|text| self.metrics(&text));
        let server = self.server(file.server);
        let spool = self.spool(file.radius.accounting_spool, &server.store);
        let spool_size = self.spool_size(file.radius.accounting_spool_size);
        Config {
            file: self.file.clone(),
            server,
            radius: Radius { listen, accounting, tcp, spool, spool_size, tls, changes, clients },
            ldap: ldap_door,
            limits: self.limits(&file.limits),
            throttle: self.throttle(&file.throttle),
            targets: targets.found,
            radius_targets,
            authorizing,
            providers: providers.found,
            import,
            mail,
            pin: self.pin(file.pin),
            routes,
            rules,
            caching,
            audit: self.audit(file.audit),
            log: self.log(file.log),
            metrics,
        }
    }

    fn throttle(&self, throttle: &written::Throttle) -> Throttle {
        let at = Path::top("throttle");
        let count = |name: &str, given, usual| self.count(&at.key(name), given, usual, 1, 1_000_000);
        let duration = |name: &str, given, usual, most| self.duration(&at.key(name), given, usual, "1s", most);
        let after = self.count(&at.key("lockout_after"), throttle.lockout_after, 10, 0, 1_000_000);
        let (reset, release) = (throttle.lockout_reset, throttle.lockout_release);
        let reset = duration("lockout_reset", reset, "1h", "7d");
        let release = duration("lockout_release", release, "1h", "3650d");
        let lockout = (after > 0).then_some(Lockout { after, reset, release });
        Throttle {
            failures_per_person: count("failures_per_person", throttle.failures_per_person, 4),
            failures_per_source: count("failures_per_source", throttle.failures_per_source, 50),
            window: duration("window", throttle.window, "30m", "7d"),
            prompts_per_person: count("prompts_per_person", throttle.prompts_per_person, 5),
            prompt_window: duration("prompt_window", throttle.prompt_window, "10m", "7d"),
            denial_backoff: duration("denial_backoff", throttle.denial_backoff, "1m", "1d"),
            fraud_block: duration("fraud_block", throttle.fraud_block, "90d", "3650d"),
            lockout,
        }
    }

    fn log(&self, log: written::Log) -> Log {
        let level = log.level.unwrap_or_else(|| "info".to_owned());
        if crate::telemetry::logs::filter(&level).is_none() {
            self.wrong(
                &Path::top("log").key("level"),
                format!("found {level:?}"),
                "allowed: error, warn, info, debug, trace, or a filter such as \"anteroom::radius=debug,info\"",
            );
        }
        Log { format: word(log.format, LogFormat::Text), level }
    }

    fn metrics(&self, text: &str) -> Option<SocketAddr> {
        let at = Path::top("metrics").key("listen");
        let address = self.socket(&at, text)?;
        if !address.ip().is_loopback() {
            self.warn(
                &at,
                format!("{address} is not a loopback address"),
                "metrics name your clients and are not protected: let only the monitoring server reach that port",
            );
        }
        Some(address)
    }

    /// Says that the value at `at` is wrong, unless its kind was wrong already.
    fn wrong(&self, at: &Path, found: impl Into<String>, allowed: impl Into<String>) {
        if !self.is_spoiled(at) {
            self.mistakes.borrow_mut().push(self.note(at, found, allowed));
        }
    }

    fn warn(&self, at: &Path, found: impl Into<String>, advice: impl Into<String>) {
        self.warnings.borrow_mut().push(self.note(at, found, advice));
    }

    fn note(&self, at: &Path, found: impl Into<String>, allowed: impl Into<String>) -> Mistake {
        let mut found = found.into();
        if let Some(profiled) = self.places.profiled(at)
            && profiled.has_set(at)
        {
            found = format!("{found} (set by profile = \"{}\")", profiled.profile.word);
        }
        Mistake { origin: self.places.origin(at), key: at.to_string(), found, allowed: allowed.into() }
    }

    fn is_spoiled(&self, at: &Path) -> bool {
        self.spoiled.iter().any(|spoiled| spoiled.covers(at))
    }

    /// A text that must be there and must not be empty.
    fn required(&self, at: &Path, given: Option<String>, what: &str) -> Option<String> {
        match given {
            Some(text) if !text.trim().is_empty() => Some(text),
            Some(_) => {
                self.wrong(at, "found an empty text", what);
                None
            }
            None => {
                self.wrong(at, "missing", what);
                None
            }
        }
    }

    fn text_length(&self, at: &Path, text: &str, most: usize) {
        if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
            let found = format!("found a text of {} octets", text.len());
            self.wrong(at, found, format!("allowed: 1 to {most} octets of UTF-8 without control characters"));
        }
    }

    /// A duration within bounds; `usual`, `least` and `most` are durations as the file writes them.
    fn duration(&self, at: &Path, given: Option<Span>, usual: &str, least: &str, most: &str) -> Duration {
        let parse = |text: &str| humantime::parse_duration(text).unwrap_or_default();
        let Some(Span(value)) = given else { return parse(usual) };
        if value < parse(least) || value > parse(most) {
            let found = format!("found {}", humantime::format_duration(value));
            self.wrong(at, found, format!("allowed: {least} to {most}, usual: {usual}"));
        }
        value
    }

    fn count(&self, at: &Path, given: Option<Count>, usual: u32, least: u32, most: u32) -> u32 {
        let Some(Count(value)) = given else { return usual };
        match u32::try_from(value) {
            Ok(value) if (least..=most).contains(&value) => value,
            _ => {
                self.wrong(at, format!("found {value}"), format!("allowed: {least} to {most}, usual: {usual}"));
                usual
            }
        }
    }

    fn size(&self, at: &Path, given: Option<Count>, usual: u32, least: u32, most: u32) -> usize {
        usize::try_from(self.count(at, given, usual, least, most)).unwrap_or(usize::MAX)
    }

    /// A list of which each element is not empty. `None` when the key is not there.
    fn list(&self, at: &Path, given: Option<OneOrMany>) -> Option<Vec<String>> {
        let OneOrMany(texts) = given?;
        for (position, text) in texts.iter().enumerate() {
            if text.trim().is_empty() {
                self.wrong(&at.index(position), "found an empty text", "leave it out");
            }
        }
        Some(texts)
    }

    /// A list that narrows whom or what something is for. Empty it would be for nobody, and left out it is for everybody:
    /// which of them is meant must be written.
    fn narrowing(&self, at: &Path, given: Option<OneOrMany>) -> Option<OneOrMany> {
        if given.as_ref().is_some_and(|OneOrMany(texts)| texts.is_empty()) {
            self.wrong(at, "found an empty list", "at least one, or leave the key out where all are meant");
        }
        given
    }

    /// As [`Self::list`], for keys where an empty list makes no sense.
    fn filled_list(&self, at: &Path, given: Option<OneOrMany>, what: &str) -> Option<Vec<String>> {
        let list = self.list(at, given)?;
        if list.is_empty() {
            self.wrong(at, "found an empty list", what);
            return None;
        }
        Some(list)
    }

    /// A path as written; relative ones start at the configuration's folder.
    fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// A file that must be readable now.
    fn readable(&self, at: &Path, written: Option<String>) -> Option<PathBuf> {
        let path = self.path(&self.required(at, written, "the path of a file")?);
        if let Err(error) = std::fs::File::open(&path) {
            self.wrong(at, format!("cannot be read: {}", sources::why(&error)), relative_note(&self.folder));
        }
        Some(path)
    }

    /// A name of a client, target or provider: it stands in logs, metrics and environment variables.
    fn name(&self, at: &Path, name: &str) {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
            self.wrong(at, format!("found the name {name:?}"), "allowed: 1 to 64 letters, digits, - and _");
        }
    }
}

/// A section's named members: those that are fine, and the names of all that were written.
struct Named<T> {
    found: std::collections::BTreeMap<String, T>,
    written: BTreeSet<String>,
}

fn word<T>(given: Option<Word<T>>, usual: T) -> T {
    given.map_or(usual, |Word(value)| value)
}

fn relative_note(folder: &FilePath) -> String {
    let folder = if folder.as_os_str().is_empty() { FilePath::new(".") } else { folder };
    format!("paths that do not start with / start at the folder of this file, {}", folder.display())
}

#[cfg(test)]
mod tests;
