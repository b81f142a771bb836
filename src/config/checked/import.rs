//! `[import]` and `[[import.item]]`: people out of directories.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::super::import::{
    AttributeMap, DisabledAccounts, EnabledRule, IdKind, Import, ImportItem, ImportScope, Incremental, Leavers,
    MailRule, Preset,
};
use super::super::place::Path;
use super::super::values::OneOrMany;
use super::super::{AuthorizingTarget, DirectoryKind, DirectoryTarget, written};
use super::{Checker, Named, word};
use crate::import::preset;
use crate::ldap::filter::Filter;
use crate::users::model::{Method, Mode};

impl Checker<'_> {
    pub(super) fn import(
        &self,
        written: written::Import,
        targets: &Named<DirectoryTarget>,
        authorizing: &BTreeMap<String, AuthorizingTarget>,
    ) -> Import {
        let at = Path::top("import");
        let mut names = BTreeSet::new();
        let items = written.item.into_iter().enumerate().filter_map(|(position, item)| {
            let at = at.key("item").index(position);
            let item = self.item(&at, item, targets)?;
            if authorizing.contains_key(&item.target) {
                let found = format!("found {:?}, which is of type \"none\"", item.target);
                self.wrong(&at.key("target"), found, "a directory");
            }
            if !names.insert(item.name.clone()) {
                self.wrong(&at.key("name"), format!("found {:?} a second time", item.name), "a name of its own");
            }
            Some(item)
        });
        let items: Vec<ImportItem> = items.collect();
        let interval_at = at.key("interval");
        let interval = written.interval.map(|span| self.duration(&interval_at, Some(span), "1h", "1m", "24h"));
        if interval.is_some() && items.is_empty() {
            self.warn(&interval_at, "there is no [[import.item]]", "without items nothing is imported");
        }
        let region = written.region.inspect(|region| {
            if region.len() != 2 || !region.chars().all(|c| c.is_ascii_alphabetic()) {
                let found = format!("found {region:?}");
                self.wrong(&at.key("region"), found, "a country in two letters (ISO 3166), such as \"US\" or \"CH\"");
            }
        });
        let percent_at = at.key("stop_above_percent");
        Import {
            interval,
            incremental: word(written.incremental, Incremental::Auto),
            full_every: self.duration(&at.key("full_every"), written.full_every, "24h", "1m", "30d"),
            stop_above: self.count(&at.key("stop_above"), written.stop_above, 5, 1, 999),
            stop_above_percent: written
                .stop_above_percent
                .map(|percent| self.count(&percent_at, Some(percent), 10, 1, 100)),
            quarantine: self.duration(&at.key("quarantine"), written.quarantine, "30d", "0s", "3650d"),
            region: region.map(|region| region.to_ascii_uppercase()),
            patience: self.duration(&at.key("patience"), written.patience, "2m", "1s", "1h"),
            page: self.count(&at.key("page"), written.page, 1000, 1, 100_000),
            items,
        }
    }

    fn item(&self, at: &Path, mut item: written::ImportItem, targets: &Named<DirectoryTarget>) -> Option<ImportItem> {
        let name = self.required(&at.key("name"), item.name.take(), "a name: people remember which item brought them");
        if let Some(name) = &name {
            self.name(&at.key("name"), name);
        }
        let scope = self.scope(at, &mut item);
        let target = self.item_target(at, item.target.take(), targets);
        self.must_be_directory(at, target.as_deref(), "people are imported from directories");
        let kind = target.as_ref().and_then(|target| targets.found.get(target)).map(|target| target.kind);
        let usual = if kind == Some(DirectoryKind::Ad) { Preset::Ad } else { Preset::OpenLdap };
        let preset = word(item.preset, usual);
        if let Some(filter) = &item.filter {
            self.whole_filter(&at.key("filter"), filter);
        }
        let attributes = self.attributes(&at.key("attributes"), std::mem::take(&mut item.attributes), preset);
        let method = self.parsed(&at.key("method"), item.method.take(), Method::Push);
        let mode = self.parsed(&at.key("mode"), item.mode.take(), Mode::Standard);
        let language = item.language.take().unwrap_or_else(|| "en".to_owned());
        self.text_length(&at.key("language"), &language, 35);
        Some(ImportItem {
            name: name?,
            target: target?,
            scope: scope?,
            filter: item.filter,
            preset,
            attributes,
            add: item.add.unwrap_or(true),
            update: item.update.unwrap_or(true),
            leavers: word(item.leavers, Leavers::Disable),
            disabled_accounts: word(item.disabled_accounts, DisabledAccounts::Disable),
            method: method?,
            mode: mode?,
            language,
            enabled: word(item.enabled, EnabledRule::All),
            mail: word(item.mail, MailRule::None),
            follow_referrals: item.follow_referrals.unwrap_or(false),
        })
    }

    /// A word, or what is usual without one.
    fn parsed<T: FromStr<Err = String>>(&self, at: &Path, given: Option<String>, usual: T) -> Option<T> {
        given.map_or(Some(usual), |given| {
            given.parse().map_err(|why| self.wrong(at, format!("found {given:?}"), why)).ok()
        })
    }

    /// The item's directory: the only one where there is but one.
    fn item_target(&self, at: &Path, given: Option<String>, targets: &Named<DirectoryTarget>) -> Option<String> {
        let at = at.key("target");
        let known = targets.written.iter().map(String::as_str).collect::<Vec<_>>();
        match (given, known.as_slice()) {
            (Some(target), _) if targets.written.contains(&target) => Some(target),
            (Some(target), _) => {
                self.wrong(&at, format!("found {target:?}"), format!("a [target.NAME]: {}", known.join(", ")));
                None
            }
            (None, [only]) => Some((*only).to_owned()),
            (None, _) => {
                self.wrong(&at, "missing", format!("which [target.NAME]: {}", known.join(", ")));
                None
            }
        }
    }

    fn scope(&self, at: &Path, item: &mut written::ImportItem) -> Option<ImportScope> {
        let (ou, group) = (item.ou.take(), item.group.take());
        let (search, people) = (item.search.take(), item.people.take());
        for (key, given, with) in [
            ("sub_ous", item.sub_ous.is_some(), ou.is_some()),
            ("nested", item.nested.is_some(), group.is_some()),
            ("base", item.base.is_some(), search.is_some()),
        ] {
            if given && !with {
                let belongs = match key {
                    "sub_ous" => "it belongs to ou",
                    "nested" => "it belongs to group",
                    _ => "it belongs to search",
                };
                self.wrong(&at.key(key), "found without its key", belongs);
            }
        }
        const ONE: &str = "exactly one of ou, group, search and people";
        match (ou, group, search, people) {
            (Some(dn), None, None, None) => {
                self.dn(&at.key("ou"), &dn);
                Some(ImportScope::Ou { dn, subtree: item.sub_ous.unwrap_or(true) })
            }
            (None, Some(group), None, None) => {
                let group = self.required(&at.key("group"), Some(group), "a group's name or DN")?;
                Some(ImportScope::Group { group, nested: item.nested.unwrap_or(true) })
            }
            (None, None, Some(filter), None) => {
                self.whole_filter(&at.key("search"), &filter);
                let base = item.base.take().inspect(|base| self.dn(&at.key("base"), base));
                Some(ImportScope::Search { base, filter })
            }
            (None, None, None, Some(people)) => {
                self.filled_list(&at.key("people"), Some(people), "at least one name").map(ImportScope::People)
            }
            (None, None, None, None) => {
                self.wrong(at, "says not what is read", ONE);
                None
            }
            _ => {
                self.wrong(at, "says in several ways what is read", ONE);
                None
            }
        }
    }

    fn dn(&self, at: &Path, dn: &str) {
        if !crate::import::scope::is_dn(dn) {
            self.wrong(at, format!("found {dn:?}"), "a distinguished name such as \"OU=People,DC=corp,DC=example\"");
        }
    }

    fn whole_filter(&self, at: &Path, filter: &str) {
        if let Err(error) = Filter::parse(filter) {
            let allowed = format!("a filter in parentheses, such as \"(l=Bern)\" (RFC 4515); {error}");
            self.wrong(at, format!("found {filter:?}"), allowed);
        }
    }

    fn attributes(&self, at: &Path, written: written::Attributes, preset: Preset) -> AttributeMap {
        let usual = preset::attributes(preset);
        let list = |key: &str, given: Option<OneOrMany>, usual: Vec<String>| {
            let at = at.key(key);
            let Some(OneOrMany(list)) = given else { return usual };
            list.iter().for_each(|attribute| self.attribute(&at, attribute));
            list
        };
        let filter = |key: &str, given: Option<String>, usual: String| {
            let given = given.inspect(|filter| self.whole_filter(&at.key(key), filter));
            given.unwrap_or(usual)
        };
        let user_name = list("user_name", written.user_name, usual.user_name);
        if user_name.is_empty() {
            self.wrong(&at.key("user_name"), "found an empty list", "at least one attribute");
        }
        let unique_id = written.unique_id.inspect(|attribute| self.attribute(&at.key("unique_id"), attribute));
        // Another attribute than the preset's is text until the file says otherwise.
        let kind = match &unique_id {
            Some(given) if given.eq_ignore_ascii_case("objectGUID") => IdKind::Guid,
            Some(given) if !given.eq_ignore_ascii_case(&usual.unique_id) => IdKind::Text,
            _ => usual.unique_id_kind,
        };
        AttributeMap {
            people: filter("people", written.people, usual.people),
            groups: filter("groups", written.groups, usual.groups),
            unique_id: unique_id.unwrap_or(usual.unique_id),
            unique_id_kind: word(written.unique_id_kind, kind),
            user_name,
            aliases: list("aliases", written.aliases, usual.aliases),
            first_name: list("first_name", written.first_name, usual.first_name),
            last_name: list("last_name", written.last_name, usual.last_name),
            email: list("email", written.email, usual.email),
            phone: list("phone", written.phone, usual.phone),
            backup_phone: list("backup_phone", written.backup_phone, usual.backup_phone),
            extension: list("extension", written.extension, usual.extension),
            language: list("language", written.language, usual.language),
            group: list("group", written.group, usual.group),
            description: list("description", written.description, usual.description),
        }
    }
}
