//! `[[reply]]`, `reply_attributes` of clients, and the dictionary that names their attributes.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path as FilePath;
use std::sync::Arc;

use super::super::gateway::Pattern;
use super::super::place::Path;
use super::super::reply::{ClientReply, ROOM, ReplySection};
use super::super::values::OneOrMany;
use super::super::written::{self, Unfit};
use super::super::{PersonAddress, ReplyAttribute};
use super::secrets::Spellings;
use super::{Checker, sources, word};
use crate::radius::attribute::AddressForm;
use crate::radius::dictionary::Writable;
use crate::radius::template::{Filled, Made, Source, Template, Wording};

/// Room for `reply_attributes` of a client without `[[reply]]`, in octets: a packet has 4096 (RFC 2865 section 3), of
/// which header, Message-Authenticator, a Reply-Message and the client's Proxy-States need the rest.
const REPLY_ROOM: usize = 3000;

/// Octets of a dictionary's file, at most.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// What may stand there for a Tunnel-Password.
const SEALED: &str = "{ secret_file = \"…\" } (or secret_credential, secret_env), or { from = \"…\" }";

/// Attributes of directories that hold secrets.
const SECRETS: [&str; 7] = [
    "userpassword",
    "unicodepwd",
    "dbcspwd",
    "ms-mcs-admpwd",
    "mslaps-password",
    "msds-managedpassword",
    "sambantpassword",
];

/// A section, and which clients it names.
pub(super) struct Section {
    at: Path,
    clients: Vec<String>,
    section: Arc<ReplySection>,
}

impl Section {
    fn needs_directory(&self) -> bool {
        let from = |template: &Template| template.detail().is_some();
        !self.section.groups.is_empty() || self.section.attributes.iter().any(from)
    }
}

impl Checker<'_> {
    /// Adds what files say to the dictionary that ships.
    pub(super) fn dictionary(&self, given: Option<OneOrMany>) {
        let at = Path::top("radius").key("dictionary");
        for (position, name) in self.list(&at, given).unwrap_or_default().iter().enumerate() {
            let at = at.index(position);
            let file = self.path(name);
            let mut include = |from: &str, named: &str| {
                let beside = FilePath::new(from).parent().unwrap_or(FilePath::new(""));
                dictionary_file(&beside.join(named))
            };
            let read = match dictionary_file(&file) {
                Ok(Some((name, text))) => self.dictionary.borrow_mut().to_mut().read(&name, &text, &mut include),
                Ok(None) => {
                    self.wrong(&at, format!("there is no file {}", file.display()), super::relative_note(&self.folder));
                    continue;
                }
                Err(why) => {
                    self.wrong(&at, why, super::relative_note(&self.folder));
                    continue;
                }
            };
            if let Err(error) = read {
                self.wrong(
                    &at,
                    error.to_string(),
                    "a dictionary in the format of FreeRADIUS: docs/reply-attributes.md",
                );
            }
        }
    }

    /// Every `[[reply]]`.
    pub(super) fn replies(&self, written: Vec<written::Reply>, clients: &[written::Client]) -> Vec<Section> {
        let known: BTreeSet<String> = clients.iter().filter_map(|client| client.name.clone()).collect();
        let at = Path::top("reply");
        let mut names = BTreeSet::new();
        let sections = written.into_iter().enumerate().filter_map(|(position, written)| {
            let at = at.index(position);
            if let Some(name) = &written.name
                && !names.insert(name.to_lowercase())
            {
                self.wrong(&at.key("name"), format!("found {name:?} a second time"), "a name of its own");
            }
            self.reply_section(&at, written, &known)
        });
        sections.collect()
    }

    fn reply_section(&self, at: &Path, written: written::Reply, known: &BTreeSet<String>) -> Option<Section> {
        let name = self.required(&at.key("name"), written.name, "a name for the log and for explanations");
        if let Some(name) = &name {
            self.name(&at.key("name"), name);
        }
        let clients = self.known_names(&at.key("clients"), written.clients, known, "RADIUS client");
        let groups = self.groups(&at.key("groups"), self.narrowing(&at.key("groups"), written.groups));
        let people = self.list(&at.key("people"), self.narrowing(&at.key("people"), written.people));
        let people = people.unwrap_or_default();
        let attributes_at = at.key("attributes");
        if written.attributes.is_empty() && !self.is_spoiled(&attributes_at) {
            self.wrong(&attributes_at, "missing", "at least one, such as attributes = { \"Filter-Id\" = \"staff\" }");
        }
        let mut attributes = Vec::new();
        for (name, values) in written.attributes {
            let at = attributes_at.key(&name);
            match self.dictionary.borrow().replied(&name) {
                Ok(attribute) => {
                    let values = values.0.into_iter();
                    attributes.extend(values.filter_map(|value| self.template(&at, &attribute, value, &groups)));
                }
                Err(why) => self.wrong(&at, why.to_string(), "the name of an attribute, such as \"Filter-Id\""),
            }
        }
        let section = ReplySection {
            name: name?.into(),
            people,
            groups,
            replaces: written.replace.unwrap_or(false),
            last: written.last.unwrap_or(false),
            cuts: word(written.unfit, Unfit::Refuse) == Unfit::Cut,
            attributes,
        };
        let size: usize = section.attributes.iter().map(fixed_size).sum();
        if size > ROOM {
            self.wrong(&attributes_at, format!("{size} octets in all"), format!("allowed: up to {ROOM}"));
        }
        Some(Section { at: at.clone(), clients, section: Arc::new(section) })
    }

    fn template(&self, at: &Path, attribute: &Writable, value: written::Value, groups: &[String]) -> Option<Template> {
        let wording = |at: &Path, text: &str, sourced| match Wording::parse(text, sourced) {
            Ok(wording) => Some(wording),
            Err(why) => {
                self.wrong(at, why, "a text with fields, such as \"OU={cn};\"");
                None
            }
        };
        let source = match value {
            written::Value::Text(_) if attribute.is_sealed() => {
                self.wrong(at, "found a secret that stands open", SEALED);
                return None;
            }
            written::Value::Text(text) => {
                let wording = wording(at, &text, false)?;
                match wording.literal() {
                    None => Source::Worded(wording),
                    Some(literal) => match attribute.value(literal) {
                        Ok(encoded) => Source::Fixed(encoded),
                        Err(why) => {
                            self.wrong(at, why.to_string(), "a value of the attribute's type");
                            return None;
                        }
                    },
                }
            }
            written::Value::From(written) => {
                let (secret, from) = spelt(*written);
                if secret.used() > 0 {
                    return self.sealed(at, attribute, secret, &from);
                }
                let from_at = at.key("from");
                let what = "the attribute of the person's entry, such as \"memberOf\"";
                let name = self.required(&from_at, from.from, what)?.to_lowercase();
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
                if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(plain) || name.len() > 64 {
                    self.wrong(&from_at, format!("found {name:?}"), what);
                } else if SECRETS.contains(&name.as_str()) {
                    self.wrong(&from_at, format!("found {name:?}, which holds a secret"), what);
                }
                let only = self.list(&at.key("only"), from.only).unwrap_or_default();
                let only = only.iter().map(|text| Pattern::new(text)).collect();
                let wording = wording(&at.key("template"), from.template.as_deref().unwrap_or("{value}"), true)?;
                Source::Directory { name, only, wording }
            }
        };
        let template = Template { attribute: attribute.clone(), source };
        if template.tells_groups() && (groups.is_empty() || groups.iter().any(|group| group.starts_with('<'))) {
            let allowed = "groups of this section, by distinguished name, for {group} to name";
            self.wrong(at, "found {group}", allowed);
        }
        Some(template)
    }

    /// A value that stands in a file of its own or the like, as nobody but the client may read it.
    fn sealed(&self, at: &Path, attribute: &Writable, spellings: Spellings, from: &written::From) -> Option<Template> {
        let secret = self.secret(at, "secret", spellings)?;
        if !attribute.is_sealed() {
            self.wrong(at, format!("found a secret for {}, which hides nothing", attribute.name()), "a text in quotes");
            return None;
        }
        if from.from.is_some() || from.only.is_some() || from.template.is_some() {
            self.wrong(at, "found a secret beside from, only or template", SEALED);
            return None;
        }
        match Made::sealed(secret) {
            Ok(Made::Sealed(secret)) => Some(Template { attribute: attribute.clone(), source: Source::Sealed(secret) }),
            Ok(Made::Open(_)) => None,
            Err(why) => {
                self.wrong(at, why.to_string(), "a shorter one");
                None
            }
        }
    }

    /// What the sections have for a client; none: nothing.
    pub(super) fn client_reply(
        &self,
        (name, target): (&str, &str),
        always: &[(Writable, ReplyAttribute)],
        sections: &[Section],
    ) -> Option<Arc<ClientReply>> {
        let mut mine = Vec::new();
        for Section { at, clients, section } in sections {
            let named = clients.iter().any(|client| client == name);
            let needs = Section { at: at.clone(), clients: Vec::new(), section: Arc::clone(section) }.needs_directory();
            match (named || clients.is_empty(), needs && self.is_radius(target)) {
                (false, _) => {}
                (true, false) => mine.push(Arc::clone(section)),
                (true, true) if named => {
                    let found = format!(
                        "found {name:?}, whose target is RADIUS servers, which know no groups and no attributes"
                    );
                    self.wrong(&at.key("clients"), found, "leave it out, or name people");
                }
                (true, true) => {
                    let found =
                        format!("is not for client {name}, whose target is RADIUS servers, which know no groups");
                    self.warn(at, found, "name its clients, or its people");
                }
            }
        }
        if mine.is_empty() {
            return None;
        }
        let of_client: usize = always.iter().map(|(_, attribute)| attribute.value.len() + 2).sum();
        let fixed = |template: &Template| matches!(template.source, Source::Fixed(_) | Source::Sealed(_));
        let all = || mine.iter().flat_map(|section| &section.attributes);
        let room = if all().all(fixed) { ROOM.min(of_client + all().map(fixed_size).sum::<usize>()) } else { ROOM };
        Some(Arc::new(ClientReply { always: always.to_vec(), sections: mine, room }))
    }

    /// The attribute that holds the address of the person's device.
    pub(super) fn person(&self, at: &Path, text: &str) -> Option<(PersonAddress, AddressForm)> {
        match self.dictionary.borrow().person_address(text) {
            Ok(attribute) => Some(attribute),
            Err(why) => {
                self.wrong(at, why.to_string(), "the name of an attribute, such as \"Calling-Station-Id\"");
                None
            }
        }
    }

    /// `reply_attributes` of a client.
    pub(super) fn reply_attributes(&self, at: &Path, written: &mut written::Client) -> Vec<(Writable, ReplyAttribute)> {
        let at = at.key("reply_attributes");
        let mut attributes = Vec::new();
        for (position, text) in self.list(&at, written.reply_attributes.take()).unwrap_or_default().iter().enumerate() {
            match self.dictionary.borrow().parse_reply_attribute(text) {
                Ok(attribute) => attributes.push(attribute),
                Err(why) => {
                    self.wrong(&at.index(position), why.to_string(), "write 'Name = value', such as 'Class = \"vpn\"'");
                }
            }
        }
        let size: usize = attributes.iter().map(|(_, attribute)| attribute.value.len() + 2).sum();
        if size > REPLY_ROOM {
            self.wrong(&at, format!("{size} octets in all"), format!("allowed: up to {REPLY_ROOM}"));
        }
        attributes
    }
}

fn fixed_size(template: &Template) -> usize {
    let made = match &template.source {
        Source::Fixed(encoded) => Made::Open(encoded.clone()),
        Source::Sealed(secret) => Made::Sealed(Arc::clone(secret)),
        Source::Worded(_) | Source::Directory { .. } => return 0,
    };
    Filled { attribute: template.attribute.clone(), made }.size()
}

/// A secret as it is spelt, and the rest.
fn spelt(mut written: written::From) -> (Spellings, written::From) {
    let spellings = Spellings {
        literal: written.secret.take(),
        file: written.secret_file.take(),
        credential: written.secret_credential.take(),
        variable: written.secret_env.take(),
    };
    (spellings, written)
}

/// A dictionary's name and text; nothing where there is no such file.
fn dictionary_file(file: &FilePath) -> Result<Option<(String, String)>, String> {
    let name = file.display().to_string();
    let why = |error: &std::io::Error| format!("{name} cannot be read: {}", sources::why(error));
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(why(&error)),
    };
    let mut octets = Vec::new();
    opened.take(LARGEST_FILE + 1).read_to_end(&mut octets).map_err(|error| why(&error))?;
    if octets.len() as u64 > LARGEST_FILE {
        return Err(format!("{name} has more than {LARGEST_FILE} octets"));
    }
    // Comments of old dictionaries are in other character sets.
    Ok(Some((name, String::from_utf8_lossy(&octets).into_owned())))
}
