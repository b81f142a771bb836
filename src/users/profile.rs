//! All that is known of a person. A sign-in needs the [`Person`] in it and reads nothing else. Pure.
//!
//! The fields of a profile come from the directory, from an administrator or from the person. What somebody
//! changed here is [*local*](Profile::local): an import leaves it alone.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use crate::users::model::Mode;
use crate::users::model::Person;
use crate::users::store::folded;

/// A field that an import fills and that can be made local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub enum Field {
    Name,
    Upn,
    Aliases,
    Dn,
    FirstName,
    LastName,
    Email,
    Group,
    Description,
    /// The number with its extension.
    Phone,
    /// The number with its extension.
    BackupPhone,
    Method,
    Mode,
    Language,
    Enabled,
}

impl Field {
    /// Every one, in the order in which people read them. A field's place is its bit in [`Fields`]: new ones
    /// are added at the end.
    pub const ALL: [Field; 15] = [
        Field::Name,
        Field::Upn,
        Field::Aliases,
        Field::Dn,
        Field::FirstName,
        Field::LastName,
        Field::Email,
        Field::Group,
        Field::Description,
        Field::Phone,
        Field::BackupPhone,
        Field::Method,
        Field::Mode,
        Field::Language,
        Field::Enabled,
    ];

    /// The word in files and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Field::Name => "name",
            Field::Upn => "upn",
            Field::Aliases => "aliases",
            Field::Dn => "dn",
            Field::FirstName => "first_name",
            Field::LastName => "last_name",
            Field::Email => "email",
            Field::Group => "group",
            Field::Description => "description",
            Field::Phone => "phone",
            Field::BackupPhone => "backup_phone",
            Field::Method => "method",
            Field::Mode => "mode",
            Field::Language => "language",
            Field::Enabled => "enabled",
        }
    }

    /// Whether `a` and `b` are alike in this field.
    pub fn same(self, a: &Profile, b: &Profile) -> bool {
        let (one, two) = (&a.person, &b.person);
        match self {
            Field::Name => one.name == two.name,
            Field::Upn => one.upn == two.upn,
            Field::Aliases => a.aliases == b.aliases,
            Field::Dn => one.dn == two.dn,
            Field::FirstName => one.first_name == two.first_name,
            Field::LastName => one.last_name == two.last_name,
            Field::Email => one.email == two.email,
            Field::Group => a.group == b.group,
            Field::Description => a.description == b.description,
            Field::Phone => (&one.phone, &one.phone_extension) == (&two.phone, &two.phone_extension),
            Field::BackupPhone => (&a.backup_phone, &a.backup_extension) == (&b.backup_phone, &b.backup_extension),
            Field::Method => one.method == two.method,
            Field::Mode => a.person.mode == b.person.mode,
            Field::Language => one.language == two.language,
            Field::Enabled => one.enabled == two.enabled,
        }
    }

    /// Gives `to` the value that `from` has.
    pub fn copy(self, from: &Profile, to: &mut Profile) {
        let (one, two) = (&from.person, &mut to.person);
        match self {
            Field::Name => two.name.clone_from(&one.name),
            Field::Upn => two.upn.clone_from(&one.upn),
            Field::Aliases => to.aliases.clone_from(&from.aliases),
            Field::Dn => two.dn.clone_from(&one.dn),
            Field::FirstName => two.first_name.clone_from(&one.first_name),
            Field::LastName => two.last_name.clone_from(&one.last_name),
            Field::Email => two.email.clone_from(&one.email),
            Field::Group => to.group.clone_from(&from.group),
            Field::Description => to.description.clone_from(&from.description),
            Field::Phone => {
                two.phone.clone_from(&one.phone);
                two.phone_extension.clone_from(&one.phone_extension);
            }
            Field::BackupPhone => {
                to.backup_phone.clone_from(&from.backup_phone);
                to.backup_extension.clone_from(&from.backup_extension);
            }
            Field::Method => two.method = one.method,
            Field::Mode => to.person.mode = from.person.mode,
            Field::Language => two.language.clone_from(&one.language),
            Field::Enabled => two.enabled = one.enabled,
        }
    }

    fn bit(self) -> u32 {
        let place = Field::ALL.iter().position(|field| *field == self).unwrap_or_default();
        1 << place
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Field::ALL
            .into_iter()
            .find(|field| field.word() == word)
            .ok_or_else(|| format!("unknown field {word:?}; one of {}", Field::ALL.map(Field::word).join(", ")))
    }
}

/// A set of fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Fields(u32);

impl Fields {
    /// Whether `field` is in it.
    pub fn contains(self, field: Field) -> bool {
        self.0 & field.bit() != 0
    }

    /// With `field`, too.
    #[must_use]
    pub fn with(self, field: Field) -> Fields {
        Fields(self.0 | field.bit())
    }

    /// Without `field`.
    #[must_use]
    pub fn without(self, field: Field) -> Fields {
        Fields(self.0 & !field.bit())
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in it, in the order of [`Field::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |field| self.contains(*field))
    }

    /// As a number for the database.
    pub fn bits(self) -> i64 {
        i64::from(self.0)
    }

    /// Out of the database. Bits that no field has are left out.
    pub fn from_bits(bits: i64) -> Fields {
        Field::ALL.into_iter().filter(|field| bits & i64::from(field.bit()) != 0).fold(Fields::default(), Fields::with)
    }
}

impl FromIterator<Field> for Fields {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        fields.into_iter().fold(Fields::default(), Fields::with)
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Field::word)).finish()
    }
}

/// When something was done, and by whom: `cli:root`, `import:staff`, `person`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// When.
    pub time: SystemTime,
    /// By whom.
    pub by: String,
}

impl Default for Stamp {
    fn default() -> Self {
        Stamp { time: SystemTime::UNIX_EPOCH, by: String::new() }
    }
}

/// What a name of a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NameKind {
    /// The login name.
    Name,
    /// The name with an `@`.
    Upn,
    /// Another accepted name.
    Alias,
}

impl NameKind {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            NameKind::Name => "name",
            NameKind::Upn => "upn",
            NameKind::Alias => "alias",
        }
    }
}

/// An enrolled person with everything that belongs to them but devices beyond the first, tokens and the PIN.
///
/// `Debug` masks the device token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What a sign-in needs.
    pub person: Person,
    /// Further names that lead to them, such as `CORP\alice` or a second UPN, as written.
    pub aliases: Vec<String>,
    /// Their group, for reports.
    pub group: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Phone that is called when the first cannot be reached.
    pub backup_phone: Option<String>,
    /// Extension that a call dials after the backup phone answered.
    pub backup_extension: Option<String>,
    /// What was changed here: an import leaves it alone.
    pub local: Fields,
    /// The sync item that brought them.
    pub item: Option<String>,
    /// The importer's digest of what the directory said last; 0 when it never said anything.
    pub content: i64,
    /// Since when they are gone from the directory, disabled until they are erased.
    pub quarantined: Option<SystemTime>,
    /// When they came, and who brought them. Set by the store.
    pub created: Stamp,
    /// The last change. Set by the store.
    pub changed: Stamp,
}

impl Profile {
    /// A person of whom nothing else is known.
    pub fn new(person: Person) -> Self {
        Profile {
            person,
            aliases: Vec::new(),
            group: None,
            description: None,
            backup_phone: None,
            backup_extension: None,
            local: Fields::default(),
            item: None,
            content: 0,
            quarantined: None,
            created: Stamp::default(),
            changed: Stamp::default(),
        }
    }

    /// Every name that leads to them, as it is compared, each once.
    pub fn names(&self) -> Vec<(String, NameKind)> {
        let own = [(Some(&self.person.name), NameKind::Name), (self.person.upn.as_ref(), NameKind::Upn)];
        let aliases = self.aliases.iter().map(|alias| (Some(alias), NameKind::Alias));
        let mut names: Vec<(String, NameKind)> = Vec::with_capacity(2 + self.aliases.len());
        for (name, kind) in own.into_iter().chain(aliases).filter_map(|(name, kind)| Some((folded(name?), kind))) {
            if !name.is_empty() && !names.iter().any(|(known, _)| *known == name) {
                names.push((name, kind));
            }
        }
        names
    }

    /// The fields in which this differs from `other`.
    pub fn differing(&self, other: &Profile) -> Fields {
        Field::ALL.into_iter().filter(|field| !field.same(self, other)).collect()
    }

    /// What an import wants (`self`) of a person who stands as `now`: local fields, what an import does not
    /// know and the beginning stay as they are.
    #[must_use]
    pub fn imported_over(mut self, now: &Profile) -> Profile {
        let enabled = self.person.enabled;
        now.local.iter().for_each(|field| field.copy(now, &mut self));
        // What was enabled here may not keep somebody in who has left: a local mark keeps people out only.
        self.person.enabled &= enabled;
        self.local = now.local;
        self.person.device_token.clone_from(&now.person.device_token);
        self.person.blocked_until = now.person.blocked_until;
        self.created = now.created.clone();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::model::Method;

    fn person(name: &str) -> Person {
        Person { upn: Some(format!("{name}@example.com")), ..Person::bare(format!("id-{name}"), name) }
    }

    /// Two profiles that differ in every field.
    fn opposites() -> (Profile, Profile) {
        let mut one = Profile::new(person("alice"));
        let mut two = Profile::new(person("bob"));
        (one.aliases, two.aliases) = (vec!["CORP\\alice".into()], Vec::new());
        (one.person.dn, one.person.first_name) = (Some("CN=alice".into()), Some("Alice".into()));
        (one.person.last_name, one.person.email) = (Some("A".into()), Some("a@example.com".into()));
        (one.group, one.description) = (Some("staff".into()), Some("text".into()));
        (one.person.phone, two.person.phone_extension) = (Some("+12025550111".into()), Some("7".into()));
        (one.backup_phone, two.backup_extension) = (Some("+12025550112".into()), Some("8".into()));
        (one.person.method, one.person.mode) = (Method::Call, Mode::Pin);
        (one.person.language, one.person.enabled) = ("fr".into(), false);
        (one, two)
    }

    #[test]
    fn every_field_is_compared_and_copied_by_itself() {
        let (one, two) = opposites();
        assert_eq!(one.differing(&two).iter().collect::<Vec<_>>(), Field::ALL);
        for field in Field::ALL {
            let mut changed = two.clone();
            field.copy(&one, &mut changed);
            assert_eq!(changed.differing(&two).iter().collect::<Vec<_>>(), [field]);
            assert!(field.same(&one, &changed), "{field}");
        }
    }

    #[test]
    fn sets_survive_the_database_and_words_are_read_back() {
        for field in Field::ALL {
            let set = Fields::default().with(field);
            assert_eq!(Fields::from_bits(set.bits()), set);
            assert!(set.contains(field) && !set.is_empty() && set.without(field).is_empty());
            assert_eq!(field.word().parse(), Ok(field));
        }
        assert_eq!(Fields::from_bits(-1), Field::ALL.into_iter().collect());
        assert!("shoe_size".parse::<Field>().unwrap_err().contains("backup_phone"));
        assert_eq!("pin".parse(), Ok(Mode::Pin));
        assert!("half".parse::<Mode>().is_err());
    }

    #[test]
    fn an_import_keeps_what_is_local_and_what_it_does_not_know() {
        let (mut now, wanted) = opposites();
        now.local = Fields::default().with(Field::Phone).with(Field::Enabled);
        now.person.device_token = Some("token-0123456789".into());
        now.person.blocked_until = Some(SystemTime::UNIX_EPOCH);
        now.created.by = "cli:root".into();
        let after = wanted.clone().imported_over(&now);
        let differing: Vec<_> = after.differing(&wanted).iter().collect();
        assert_eq!(differing, [Field::Phone, Field::Enabled]);
        assert_eq!((after.person.phone, after.person.enabled), (now.person.phone, false));
        assert_eq!(after.person.device_token, now.person.device_token);
        assert_eq!(after.person.blocked_until, now.person.blocked_until);
        assert_eq!((after.created, after.local), (now.created, now.local));
    }

    #[test]
    fn each_name_counts_once_without_case() {
        let mut profile = Profile::new(person("alice"));
        profile.aliases = vec!["ALICE@example.com".into(), "CORP\\Alice".into(), String::new(), "Alice".into()];
        let names = profile.names();
        let expected =
            [("alice", NameKind::Name), ("alice@example.com", NameKind::Upn), ("corp\\alice", NameKind::Alias)];
        assert_eq!(names, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }
}
