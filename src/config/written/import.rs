//! `[import]` and `[[import.item]]` as written.

use serde::Deserialize;

use crate::config::import::{DisabledAccounts, EnabledRule, IdKind, Incremental, Leavers, MailRule, Preset};
use crate::config::values::{Count, OneOrMany, Span, Word, Words};

/// `[import]`: people out of directories.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Import {
    pub interval: Option<Span>,
    pub incremental: Option<Word<Incremental>>,
    pub full_every: Option<Span>,
    pub stop_above: Option<Count>,
    pub stop_above_percent: Option<Count>,
    pub quarantine: Option<Span>,
    pub region: Option<String>,
    pub patience: Option<Span>,
    pub page: Option<Count>,
    pub item: Vec<ImportItem>,
}

/// `[[import.item]]`: one part of one directory.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct ImportItem {
    pub name: Option<String>,
    pub target: Option<String>,
    pub ou: Option<String>,
    pub sub_ous: Option<bool>,
    pub group: Option<String>,
    pub nested: Option<bool>,
    pub search: Option<String>,
    pub base: Option<String>,
    pub people: Option<OneOrMany>,
    pub filter: Option<String>,
    pub preset: Option<Word<Preset>>,
    pub add: Option<bool>,
    pub update: Option<bool>,
    pub leavers: Option<Word<Leavers>>,
    pub disabled_accounts: Option<Word<DisabledAccounts>>,
    pub method: Option<String>,
    pub mode: Option<String>,
    pub language: Option<String>,
    pub enabled: Option<Word<EnabledRule>>,
    pub mail: Option<Word<MailRule>>,
    pub follow_referrals: Option<bool>,
    pub attributes: Attributes,
}

/// `attributes = { … }` of an item.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Attributes {
    pub people: Option<String>,
    pub groups: Option<String>,
    pub unique_id: Option<String>,
    pub unique_id_kind: Option<Word<IdKind>>,
    pub user_name: Option<OneOrMany>,
    pub aliases: Option<OneOrMany>,
    pub first_name: Option<OneOrMany>,
    pub last_name: Option<OneOrMany>,
    pub email: Option<OneOrMany>,
    pub phone: Option<OneOrMany>,
    pub backup_phone: Option<OneOrMany>,
    pub extension: Option<OneOrMany>,
    pub language: Option<OneOrMany>,
    pub group: Option<OneOrMany>,
    pub description: Option<OneOrMany>,
}

impl Words for Incremental {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Incremental::Auto),
        ("dirsync", Incremental::DirSync),
        ("changes", Incremental::Changes),
        ("never", Incremental::Never),
    ];
}

impl Words for Preset {
    const WORDS: &'static [(&'static str, Self)] =
        &[("ad", Preset::Ad), ("openldap", Preset::OpenLdap), ("389", Preset::Ds389)];
}

impl Words for IdKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("guid", IdKind::Guid), ("text", IdKind::Text), ("octets", IdKind::Octets)];
}

impl Words for Leavers {
    const WORDS: &'static [(&'static str, Self)] =
        &[("keep", Leavers::Keep), ("disable", Leavers::Disable), ("remove", Leavers::Remove)];
}

impl Words for DisabledAccounts {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("skip", DisabledAccounts::Skip),
        ("disable", DisabledAccounts::Disable),
        ("import", DisabledAccounts::Import),
    ];
}

impl Words for EnabledRule {
    const WORDS: &'static [(&'static str, Self)] =
        &[("all", EnabledRule::All), ("none", EnabledRule::None), ("new_with_phone", EnabledRule::NewWithPhone)];
}

impl Words for MailRule {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", MailRule::None), ("new", MailRule::New), ("new_and_updated", MailRule::NewAndUpdated)];
}
