//! A fake directory with a whole tree in it, which evaluates filters and does what of Active Directory no other peer
//! does: it cuts long lists of members into ranges, points to other domains, and deletes without a trace.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use anteroom::ldap::control::{Control, find_control, oid, read_paged_request, write_controls};
use anteroom::ldap::filter::Filter;
use anteroom::ldap::message::{Envelope, op, write_message};
use anteroom::ldap::result::write_result;
use anteroom::ldap::search::{ReceivedSearch, Scope, write_entry};

use super::fake_directory::{Act, Asked, FakeDirectory, Request, bind, done};

/// Everything that is known of an entry.
pub(crate) type Attributes = BTreeMap<String, Vec<Vec<u8>>>;

/// The tree, and how it answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    /// By DN, as written.
    pub(crate) entries: BTreeMap<String, Attributes>,
    /// Members that are given at once; 0: all.
    pub(crate) range: usize,
    /// The range that is given from this member on begins this much too late.
    pub(crate) gap: usize,
    /// Where else searches of a subtree are said to go on.
    pub(crate) references: Vec<String>,
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

impl Tree {
    /// Adds an entry.
    pub(crate) fn add(&mut self, dn: &str, attributes: &[(&str, &str)]) {
        let entry = self.entries.entry(dn.to_owned()).or_default();
        for (name, value) in attributes {
            entry.entry(lower(name)).or_default().push(value.as_bytes().to_vec());
        }
    }

    /// Takes an entry and everything that points to it away, as Active Directory does: nobody else's counter moves.
    pub(crate) fn delete(&mut self, dn: &str) {
        self.entries.remove(dn);
        for entry in self.entries.values_mut() {
            if let Some(members) = entry.get_mut("member") {
                members.retain(|member| lower(&String::from_utf8_lossy(member)) != lower(dn));
            }
        }
    }

    fn members(&self, group: &str) -> BTreeSet<String> {
        let found = self.entries.iter().find(|(dn, _)| lower(dn) == lower(group)).map(|(_, entry)| entry);
        let members = found.and_then(|entry| entry.get("member")).into_iter().flatten();
        members.map(|member| lower(&String::from_utf8_lossy(member))).collect()
    }

    /// Whether `dn` lies, at any depth, within the group.
    fn is_within(&self, dn: &str, group: &str, seen: &mut BTreeSet<String>) -> bool {
        if !seen.insert(lower(group)) {
            return false;
        }
        let members = self.members(group);
        members.contains(&lower(dn)) || members.iter().any(|member| self.is_within(dn, member, seen))
    }

    fn matches(&self, dn: &str, entry: &Attributes, filter: &Filter) -> bool {
        let values = |name: &str| entry.get(&lower(name)).cloned().unwrap_or_default();
        let same = |name: &str, value: &[u8]| {
            let wanted = lower(&String::from_utf8_lossy(value));
            match lower(name).as_str() {
                "memberof" => self.members(&wanted).contains(&lower(dn)),
                _ => values(name).iter().any(|one| lower(&String::from_utf8_lossy(one)) == wanted || one == value),
            }
        };
        match filter {
            Filter::And(all) => all.iter().all(|one| self.matches(dn, entry, one)),
            Filter::Or(any) => any.iter().any(|one| self.matches(dn, entry, one)),
            Filter::Not(one) => !self.matches(dn, entry, one),
            Filter::Equality(name, value) | Filter::Approx(name, value) => same(name, value),
            Filter::Present(name) => lower(name) == "objectclass" || !values(name).is_empty(),
            Filter::GreaterOrEqual(name, value) => {
                // Numbers, or times in one form: the longer number is the larger.
                values(name).iter().any(|one| (one.len(), one) >= (value.len(), value))
            }
            Filter::Extensible { rule, attribute, value, .. } => match rule.as_deref() {
                Some("1.2.840.113556.1.4.1941") => {
                    self.is_within(dn, &String::from_utf8_lossy(value), &mut BTreeSet::new())
                }
                // The bit of a security group.
                Some("1.2.840.113556.1.4.804") => !values(attribute.as_deref().unwrap_or_default()).is_empty(),
                other => panic!("the rule {other:?} is not known here"),
            },
            other => panic!("the filter {other:?} is not known here"),
        }
    }

    /// One attribute as it is sent: its description and its values.
    fn sent(&self, wanted: &str, entry: &Attributes) -> Option<(String, Vec<Vec<u8>>)> {
        let (name, options) = wanted.split_once(';').unwrap_or((wanted, ""));
        let values = entry.get(&lower(name)).filter(|values| !values.is_empty())?;
        let first = options.strip_prefix("range=").and_then(|range| range.split_once('-')?.0.parse::<usize>().ok());
        if self.range == 0 || lower(name) != "member" || (first.is_none() && values.len() <= self.range) {
            return Some((name.to_owned(), values.clone()));
        }
        let first = first.unwrap_or_default();
        let first = if first > 0 { first + self.gap } else { first };
        let part: Vec<Vec<u8>> = values.iter().skip(first).take(self.range).cloned().collect();
        let end = first + part.len();
        let end = if end >= values.len() { "*".to_owned() } else { (end - 1).to_string() };
        Some((format!("{name};range={first}-{end}"), part))
    }

    fn answer(&self, request: &Request) -> Vec<Act> {
        let envelope = Envelope::read(&request.frame).unwrap();
        let search = ReceivedSearch::read(envelope.operation(&request.frame)).unwrap();
        let mut filter = search.filter;
        let filter = Filter::read(&mut filter).unwrap();
        let base = lower(search.base);
        // Deleted entries, and DirSync, are for accounts with more rights.
        if find_control(&request.frame, &envelope, oid::DIRSYNC).unwrap().is_some() {
            return vec![done(request.id, 50)];
        }
        let in_scope = |dn: &str| match search.scope {
            Scope::Base => lower(dn) == base,
            Scope::One => lower(dn).strip_suffix(&format!(",{base}")).is_some_and(|rest| !rest.contains(',')),
            Scope::Subtree => lower(dn) == base || lower(dn).ends_with(&format!(",{base}")),
        };
        if !base.is_empty() && !self.entries.keys().any(|dn| lower(dn) == base) {
            return vec![done(request.id, 32)];
        }
        let hits: Vec<_> =
            self.entries.iter().filter(|(dn, entry)| in_scope(dn) && self.matches(dn, entry, &filter)).collect();
        let page = find_control(&request.frame, &envelope, oid::PAGED).unwrap();
        let (size, cookie) = page.map_or((u32::MAX, &b""[..]), |value| read_paged_request(value).unwrap());
        let first: usize = std::str::from_utf8(cookie).unwrap().parse().unwrap_or(0);
        let mut out = Vec::new();
        let here: Vec<_> = hits.iter().skip(first).take(usize::try_from(size).unwrap()).collect();
        for (dn, entry) in &here {
            let given: Vec<(String, Vec<Vec<u8>>)> =
                search.attributes().filter_map(|wanted| self.sent(wanted, entry)).collect();
            write_entry(
                &mut out,
                request.id,
                dn,
                given.iter().map(|(name, values)| (name.as_str(), values.as_slice())),
            );
        }
        let next = first + here.len();
        let more = next < hits.len();
        if !more && search.scope == Scope::Subtree {
            for reference in &self.references {
                write_message(&mut out, request.id, |message| {
                    message.constructed(op::SEARCH_REFERENCE, |list| list.octets(reference.as_bytes()));
                });
            }
        }
        let cookie = if more { next.to_string() } else { String::new() };
        write_message(&mut out, request.id, |message| {
            message.constructed(op::SEARCH_DONE, |response| write_result(response, 0, "", ""));
            if page.is_some() {
                write_controls(message, &[Control::paged(0, cookie.as_bytes())]);
            }
        });
        vec![Act::Send(out)]
    }
}

/// The fake and its tree.
pub(crate) struct TreeDirectory {
    pub(crate) fake: FakeDirectory,
    pub(crate) tree: Arc<Mutex<Tree>>,
}

impl TreeDirectory {
    pub(crate) async fn start(tree: Tree) -> Self {
        let tree = Arc::new(Mutex::new(tree));
        let script = {
            let tree = Arc::clone(&tree);
            move |request: &Request| match &request.asked {
                Asked::Bind { .. } => vec![bind(request.id, 0, "")],
                Asked::Search => tree.lock().unwrap().answer(request),
                _ => vec![Act::Close],
            }
        };
        TreeDirectory { fake: FakeDirectory::start(script).await, tree }
    }

    pub(crate) fn port(&self) -> u16 {
        self.fake.address.port()
    }

    /// Changes the tree.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Tree)) {
        edit(&mut self.tree.lock().unwrap());
    }
}
