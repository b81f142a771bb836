//! What is in the demo directory, as Active Directory would show it, and which entries match a filter. Pure.

use std::collections::HashSet;

use crate::ldap::filter::{Filter, IN_CHAIN};
use crate::primary::names::{escape_dn_value, same};
use crate::secret::Secret;

/// Where everything of the demo directory lies.
pub const DEMO_BASE: &str = "DC=demo,DC=anteroom,DC=test";
/// The domain's DNS name, also behind the `@` of the people's UPNs.
pub const DEMO_DOMAIN: &str = "demo.anteroom.test";
/// The domain's NetBIOS name, before the backslash.
pub const DEMO_NETBIOS: &str = "DEMO";
/// The account that may search.
pub const DEMO_SERVICE_NAME: &str = "CN=svc-anteroom,OU=Service,DC=demo,DC=anteroom,DC=test";
/// Its password.
pub const DEMO_SERVICE_PASSWORD: &str = "Demo-Service-1";
/// The password of all demo people.
pub const DEMO_PASSWORD: &str = "Demo-Passw0rd!";

/// AD's bitwise-and rule.
const BIT_AND: &str = "1.2.840.113556.1.4.803";

/// What a right password leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// In.
    Good,
    /// 533.
    Disabled,
    /// 775, with a wrong password, too.
    Locked,
    /// 773.
    MustChange,
    /// 532.
    PasswordExpired,
    /// 701.
    Expired,
    /// 530.
    LogonHours,
    /// 531.
    Workstation,
    /// 52f.
    Restricted,
}

impl AccountState {
    /// AD's sub-code for it, where there is one.
    pub fn sub_code(self) -> Option<u32> {
        match self {
            AccountState::Good => None,
            AccountState::Disabled => Some(0x533),
            AccountState::Locked => Some(0x775),
            AccountState::MustChange => Some(0x773),
            AccountState::PasswordExpired => Some(0x532),
            AccountState::Expired => Some(0x701),
            AccountState::LogonHours => Some(0x530),
            AccountState::Workstation => Some(0x531),
            AccountState::Restricted => Some(0x52f),
        }
    }
}

/// A person of the demo directory.
#[derive(Debug)]
pub struct DemoPerson {
    /// sAMAccountName.
    pub name: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Common name, the first part of the DN.
    pub common_name: String,
    /// Organisational unit below the base.
    pub unit: String,
    /// userPrincipalName.
    pub upn: Option<String>,
    /// Phone.
    pub phone: Option<String>,
    /// Password.
    pub password: Secret,
    /// What it leads to.
    pub state: AccountState,
    /// Names of the groups that the person is in directly.
    pub groups: Vec<String>,
}

impl DemoPerson {
    /// A person with the usual name, UPN and password.
    pub fn new(name: &str, first_name: &str, last_name: &str) -> Self {
        DemoPerson {
            name: name.to_owned(),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            common_name: format!("{first_name} {last_name}"),
            unit: "People".to_owned(),
            upn: Some(format!("{name}@{DEMO_DOMAIN}")),
            phone: None,
            password: Secret::new(DEMO_PASSWORD.as_bytes().to_vec()),
            state: AccountState::Good,
            groups: vec!["VPN-Users".to_owned()],
        }
    }

    fn with(mut self, state: AccountState) -> Self {
        self.state = state;
        self
    }

    fn phone(mut self, phone: &str) -> Self {
        self.phone = Some(phone.to_owned());
        self
    }

    fn groups(mut self, groups: &[&str]) -> Self {
        self.groups = groups.iter().map(|&group| group.to_owned()).collect();
        self
    }

    /// Distinguished name.
    pub fn dn(&self) -> String {
        format!("CN={},OU={},{DEMO_BASE}", escape_dn_value(&self.common_name), escape_dn_value(&self.unit))
    }

    /// objectGUID: always the same for the same account name.
    pub fn guid(&self) -> [u8; 16] {
        guid_of(&self.name)
    }
}

/// The people of `anteroom demo`: five who can come in, one with a difficult name, one for each state.
pub fn demo_people() -> Vec<DemoPerson> {
    let mut ada = DemoPerson::new("ada", "Ada", "Lovelace").phone("+1 202 555 0106");
    ada.common_name = "Lovelace, Ada".to_owned();
    vec![
        DemoPerson::new("alice", "Alice", "Anderson").phone("+1 202 555 0101"),
        DemoPerson::new("bob", "Bob", "Brown").phone("+1 202 555 0102").groups(&["Engineering"]),
        DemoPerson::new("carol", "Carol", "Clark").phone("+1 202 555 0103"),
        DemoPerson::new("dave", "Dave", "Davis").phone("+1 202 555 0104"),
        DemoPerson::new("erin", "Erin", "Evans").phone("+1 202 555 0105").groups(&["MFA-Exempt"]),
        ada,
        DemoPerson::new("paula", "Paula", "Park").phone("+1 202 555 0107"),
        DemoPerson::new("disabled", "Dora", "Disabled").with(AccountState::Disabled),
        DemoPerson::new("locked", "Lars", "Locked").with(AccountState::Locked),
        DemoPerson::new("mustchange", "Mona", "Mustchange").with(AccountState::MustChange),
        DemoPerson::new("pwexpired", "Pia", "Pwexpired").with(AccountState::PasswordExpired),
        DemoPerson::new("expired", "Egon", "Expired").with(AccountState::Expired),
        DemoPerson::new("nohours", "Nils", "Nohours").with(AccountState::LogonHours),
        DemoPerson::new("workstation", "Wilma", "Workstation").with(AccountState::Workstation),
        DemoPerson::new("restricted", "Rita", "Restricted").with(AccountState::Restricted),
    ]
}

/// DN of a demo group.
pub fn group_dn(name: &str) -> String {
    format!("CN={},OU=Groups,{DEMO_BASE}", escape_dn_value(name))
}

/// The groups and the groups that each is a member of. The last two are members of each other.
const GROUPS: [(&str, &[&str]); 5] = [
    ("VPN-Users", &[]),
    ("Engineering", &["VPN-Users"]),
    ("MFA-Exempt", &["VPN-Users"]),
    ("Loop-A", &["Loop-B"]),
    ("Loop-B", &["Loop-A"]),
];

/// One entry.
#[derive(Debug)]
pub(super) struct DemoEntry {
    pub(super) dn: String,
    pub(super) attributes: Vec<(&'static str, Vec<Vec<u8>>)>,
    /// Password and state, for people.
    pub(super) account: Option<(Secret, AccountState)>,
}

impl DemoEntry {
    fn new(dn: String, classes: &[&str]) -> Self {
        let classes = classes.iter().map(|class| class.as_bytes().to_vec()).collect();
        DemoEntry { dn, attributes: vec![("objectClass", classes)], account: None }
    }

    fn add(&mut self, attribute: &'static str, value: impl Into<Vec<u8>>) {
        self.attributes.push((attribute, vec![value.into()]));
    }

    fn member_of<'a>(&mut self, groups: impl IntoIterator<Item = &'a str>) {
        let groups: Vec<Vec<u8>> = groups.into_iter().map(|group| group_dn(group).into_bytes()).collect();
        if !groups.is_empty() {
            self.attributes.push(("memberOf", groups));
        }
    }

    /// Values of an attribute.
    pub(super) fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map_or(&[], |(_, values)| values.as_slice())
    }
}

/// All entries of a directory with these people.
pub(super) fn entries(people: Vec<DemoPerson>) -> Vec<DemoEntry> {
    let mut entries = Vec::with_capacity(people.len() + 8);
    let mut root = DemoEntry::new(DEMO_BASE.to_owned(), &["top", "domain", "domainDNS"]);
    // More forgiving than the default throttle, as the rule of the throttle asks for.
    root.add("lockoutThreshold", "10");
    root.add("lockOutObservationWindow", "-18000000000");
    entries.push(root);
    for (name, above) in GROUPS {
        let mut group = DemoEntry::new(group_dn(name), &["top", "group"]);
        group.add("sAMAccountName", name);
        group.add("objectGUID", guid_of(name));
        group.member_of(above.iter().copied());
        entries.push(group);
    }
    let mut service = DemoEntry::new(DEMO_SERVICE_NAME.to_owned(), &["top", "person", "user"]);
    service.add("sAMAccountName", "svc-anteroom");
    service.account = Some((Secret::new(DEMO_SERVICE_PASSWORD.as_bytes().to_vec()), AccountState::Good));
    entries.push(service);
    entries.extend(people.into_iter().map(entry_of));
    entries
}

fn entry_of(person: DemoPerson) -> DemoEntry {
    let mut entry = DemoEntry::new(person.dn(), &["top", "person", "organizationalPerson", "user"]);
    entry.add("objectCategory", "person");
    entry.add("sAMAccountType", "805306368");
    entry.add("userAccountControl", if person.state == AccountState::Disabled { "514" } else { "512" });
    of_state(&mut entry, person.state);
    entry.add("objectGUID", person.guid());
    entry.add("cn", person.common_name);
    entry.add("givenName", person.first_name);
    entry.add("sn", person.last_name);
    entry.member_of(person.groups.iter().map(String::as_str));
    if let Some(upn) = person.upn {
        entry.add("mail", upn.clone());
        entry.add("userPrincipalName", upn);
    }
    if let Some(phone) = person.phone {
        entry.add("telephoneNumber", phone);
    }
    entry.add("sAMAccountName", person.name);
    entry.account = Some((person.password, person.state));
    entry
}

/// What Active Directory tells of an account in this state to whoever asks without its password.
fn of_state(entry: &mut DemoEntry, state: AccountState) {
    let computed = match state {
        AccountState::Locked => "16",
        AccountState::PasswordExpired => "8388608",
        _ => "0",
    };
    entry.add("msDS-User-Account-Control-Computed", computed);
    entry.add("accountExpires", if state == AccountState::Expired { "1" } else { "0" });
    entry.add("pwdLastSet", if state == AccountState::MustChange { "0" } else { "133000000000000000" });
    if state == AccountState::LogonHours {
        entry.add("logonHours", vec![0; 21]);
    }
}

/// The entry that a bind name means: a DN, a UPN, `DEMO\name` or `name@domain`.
pub(super) fn by_bind_name<'a>(entries: &'a [DemoEntry], name: &str) -> Option<&'a DemoEntry> {
    let accounts = || entries.iter().filter(|entry| entry.account.is_some());
    let named = |attribute: &str, name: &str| {
        accounts().find(|entry| entry.values(attribute).iter().any(|value| equal(value, name.as_bytes())))
    };
    if let Some(found) = accounts().find(|entry| same(&entry.dn, name)) {
        return Some(found);
    }
    if let Some(found) = named("userPrincipalName", name) {
        return Some(found);
    }
    let account = match (name.split_once('\\'), name.rsplit_once('@')) {
        (Some((domain, account)), _) if same(domain, DEMO_NETBIOS) => account,
        (None, Some((account, domain))) if same(domain, DEMO_DOMAIN) || same(domain, DEMO_NETBIOS) => account,
        _ => return None,
    };
    named("sAMAccountName", account)
}

/// Whether an entry matches a filter. What cannot be said counts as no, as far as that goes for a demo.
pub(super) fn matches(entries: &[DemoEntry], entry: &DemoEntry, filter: &Filter) -> bool {
    let any = |attribute: &str, test: &dyn Fn(&[u8]) -> bool| entry.values(attribute).iter().any(|value| test(value));
    match filter {
        Filter::And(parts) => parts.iter().all(|part| matches(entries, entry, part)),
        Filter::Or(parts) => parts.iter().any(|part| matches(entries, entry, part)),
        Filter::Not(part) => !matches(entries, entry, part),
        Filter::Present(attribute) => !entry.values(attribute).is_empty(),
        Filter::Equality(attribute, value) | Filter::Approx(attribute, value) => {
            any(attribute, &|found| equal(found, value))
        }
        Filter::GreaterOrEqual(attribute, value) => any(attribute, &|found| found >= value.as_slice()),
        Filter::LessOrEqual(attribute, value) => any(attribute, &|found| found <= value.as_slice()),
        Filter::Substrings { attribute, initial, any: middle, last } => {
            any(attribute, &|found| has_parts(found, initial.as_deref(), middle, last.as_deref()))
        }
        Filter::Extensible { rule: Some(rule), attribute: Some(attribute), value, .. } if rule == IN_CHAIN => {
            attribute.eq_ignore_ascii_case("memberOf") && in_chain(entries, entry, value)
        }
        Filter::Extensible { rule: Some(rule), attribute: Some(attribute), value, .. } if rule == BIT_AND => {
            let number = |octets: &[u8]| std::str::from_utf8(octets).ok().and_then(|text| text.parse::<u32>().ok());
            let Some(mask) = number(value) else { return false };
            any(attribute, &|found| number(found).is_some_and(|found| found & mask == mask))
        }
        Filter::Extensible { .. } => false,
    }
}

/// Whether `entry` is in the group with this DN, each group on the way visited once.
fn in_chain(entries: &[DemoEntry], entry: &DemoEntry, group: &[u8]) -> bool {
    let mut seen = HashSet::new();
    let mut todo: Vec<&[u8]> = entry.values("memberOf").iter().map(Vec::as_slice).collect();
    while let Some(dn) = todo.pop() {
        if equal(dn, group) {
            return true;
        }
        if seen.insert(dn) {
            let above = entries.iter().filter(|other| equal(other.dn.as_bytes(), dn));
            todo.extend(above.flat_map(|other| other.values("memberOf").iter().map(Vec::as_slice)));
        }
    }
    false
}

fn has_parts(found: &[u8], initial: Option<&[u8]>, middle: &[Vec<u8>], last: Option<&[u8]>) -> bool {
    let folded = String::from_utf8_lossy(found).to_lowercase();
    let fold = |part: &[u8]| String::from_utf8_lossy(part).to_lowercase();
    let Some(mut rest) = folded.strip_prefix(&fold(initial.unwrap_or_default())) else { return false };
    for part in middle {
        let part = fold(part);
        let Some(at) = rest.find(&part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(&fold(last.unwrap_or_default()))
}

/// Equality without case where both are text.
fn equal(one: &[u8], other: &[u8]) -> bool {
    one == other
        || match (std::str::from_utf8(one), std::str::from_utf8(other)) {
            (Ok(one), Ok(other)) => same(one, other),
            _ => false,
        }
}

/// Sixteen octets that are always the same for the same name (FNV-1a, twice).
fn guid_of(name: &str) -> [u8; 16] {
    let hash = |start: u64| {
        let step = |sum: u64, octet: &u8| (sum ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        name.as_bytes().iter().fold(start, step).to_be_bytes()
    };
    let mut guid = [0; 16];
    let octets = hash(0xcbf2_9ce4_8422_2325).into_iter().chain(hash(0x8422_2325_cbf2_9ce4));
    guid.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
    guid
}
