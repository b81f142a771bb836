//! The import as checked: what is read from which directory, how often, and what becomes of those who leave.

use std::time::Duration;

use crate::users::model::{Method, Mode};

/// `[import]`.
#[derive(Debug, Clone)]
pub struct Import {
    /// From the start of one pass to the start of the next; `None`: only by hand.
    pub interval: Option<Duration>,
    /// How changes are found between two full passes.
    pub incremental: Incremental,
    /// From one full pass to the next.
    pub full_every: Duration,
    /// More people than this to be disabled or removed wait for an approval.
    pub stop_above: u32,
    /// The same as a share of the people that the items brought, in percent; `None`: no such bound.
    pub stop_above_percent: Option<u32>,
    /// How long a removed person is kept, disabled, before everything about them is erased.
    pub quarantine: Duration,
    /// Country of numbers without a country code (ISO 3166), such as `CH`.
    pub region: Option<String>,
    /// The longest silence of a directory while it is read.
    pub patience: Duration,
    /// Entries of one page.
    pub page: u32,
    /// What is read, in order: the first item that finds a person wins.
    pub items: Vec<ImportItem>,
}

/// How changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incremental {
    /// The best that the directory lets us.
    Auto,
    /// Active Directory's DirSync control, else in full.
    DirSync,
    /// The change counter or the time of change of each entry, else in full.
    Changes,
    /// Always in full.
    Never,
}

/// `[[import.item]]`.
#[derive(Debug, Clone)]
pub struct ImportItem {
    /// Its name: people remember which item brought them.
    pub name: String,
    /// The directory.
    pub target: String,
    /// Which part of it.
    pub scope: ImportScope,
    /// A further filter that each person must match, in parentheses.
    pub filter: Option<String>,
    /// What kind of directory it is.
    pub preset: Preset,
    /// Where a person's facts are.
    pub attributes: AttributeMap,
    /// Whether new people are added.
    pub add: bool,
    /// Whether known people are updated.
    pub update: bool,
    /// What becomes of people who are no longer found.
    pub leavers: Leavers,
    /// What becomes of people whose account the directory has disabled.
    pub disabled_accounts: DisabledAccounts,
    /// How new people are asked.
    pub method: Method,
    /// Whether a PIN goes with the method of new people.
    pub mode: Mode,
    /// Language of new people for whom the directory names none.
    pub language: String,
    /// Which new people are enabled.
    pub enabled: EnabledRule,
    /// Who is written to.
    pub mail: MailRule,
    /// Whether the directory's pointers to other servers are followed.
    pub follow_referrals: bool,
}

/// The part of a directory that an item reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportScope {
    /// An organizational unit or container.
    Ou {
        /// Its DN.
        dn: String,
        /// Whether what lies in its sub-units belongs to it.
        subtree: bool,
    },
    /// The members of a group.
    Group {
        /// Its DN, or its name.
        group: String,
        /// Whether members of member groups belong to it.
        nested: bool,
    },
    /// Whoever matches a filter.
    Search {
        /// Where to search; `None`: the whole directory.
        base: Option<String>,
        /// The filter, in parentheses.
        filter: String,
    },
    /// People by name: login name, UPN or DN.
    People(Vec<String>),
}

/// What kind of directory an item reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Active Directory.
    Ad,
    /// OpenLDAP.
    OpenLdap,
    /// 389 Directory Server and its relatives (FreeIPA).
    Ds389,
}

/// How a unique id is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// An objectGUID: sixteen octets in Microsoft's order.
    Guid,
    /// Text, such as entryUUID.
    Text,
    /// Octets, written in hexadecimal digits.
    Octets,
}

/// Which attribute holds what. The first that has a value counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeMap {
    /// What every person matches and nobody else.
    pub people: String,
    /// What every group matches.
    pub groups: String,
    /// What never changes.
    pub unique_id: String,
    /// How it is written.
    pub unique_id_kind: IdKind,
    /// Login names: the first is the person's name, the others lead to them, too.
    pub user_name: Vec<String>,
    /// Further names that lead to the person; all values of each.
    pub aliases: Vec<String>,
    /// First name.
    pub first_name: Vec<String>,
    /// Last name.
    pub last_name: Vec<String>,
    /// E-mail address.
    pub email: Vec<String>,
    /// Phone for calls and texts.
    pub phone: Vec<String>,
    /// Phone for when the first does not answer.
    pub backup_phone: Vec<String>,
    /// What a call dials after the phone answered.
    pub extension: Vec<String>,
    /// Language, as a BCP 47 tag.
    pub language: Vec<String>,
    /// User group, for reports.
    pub group: Vec<String>,
    /// Description.
    pub description: Vec<String>,
}

/// What becomes of people whom their item no longer finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leavers {
    /// Nothing.
    Keep,
    /// They are disabled.
    Disable,
    /// They are disabled at once and erased after `quarantine`.
    Remove,
}

/// What becomes of people whose account the directory has disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledAccounts {
    /// They count as not found.
    Skip,
    /// They are kept, disabled.
    Disable,
    /// Like everybody else.
    Import,
}

/// Which new people are enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnabledRule {
    /// Every one.
    All,
    /// Nobody: an admin enables them.
    None,
    /// New people who have a phone.
    NewWithPhone,
}

/// Who is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailRule {
    /// Nobody.
    None,
    /// New people.
    New,
    /// New people, and those whose entry changed.
    NewAndUpdated,
}
