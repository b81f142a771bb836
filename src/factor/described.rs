//! What a provider's section says of it: whom it can ask how, and what leaves the house. The provider that asks and
//! `anteroom explain` look at the same. Pure.

use std::net::IpAddr;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::config::codes::CodesProvider;
use crate::config::{
    CloudName, Common, DuoProvider, EntraProvider, LocalProvider, NativeProvider, OktaProvider, PrivacyIdeaProvider,
    Provider, SendFields, UnreachableClass,
};
use crate::factor::{Answer, Factor, Refusal, Request, entra, okta, privacyidea};
use crate::users::model::{Method, Person};

/// Something about a person or a sign-in that a provider may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Login name.
    UserName,
    /// The name with an `@`.
    Upn,
    /// E-mail address.
    Email,
    /// What never changes about them.
    UniqueId,
    /// First and last name.
    Names,
    /// Phone number and extension.
    Phone,
    /// The app's token for pushes.
    DeviceToken,
    /// Language of prompts.
    Language,
    /// Address of their device.
    PersonAddress,
    /// The realm that they are looked for in.
    Realm,
    /// Name of the application.
    Application,
    /// This server's name.
    Server,
    /// The code that they typed.
    Code,
}

impl Field {
    /// Every one.
    pub const ALL: [Field; 13] = [
        Field::UserName,
        Field::Upn,
        Field::Email,
        Field::UniqueId,
        Field::Names,
        Field::Phone,
        Field::DeviceToken,
        Field::Language,
        Field::PersonAddress,
        Field::Realm,
        Field::Application,
        Field::Server,
        Field::Code,
    ];

    /// The word in what `anteroom explain` shows.
    pub fn word(self) -> &'static str {
        match self {
            Field::UserName => "user_name",
            Field::Upn => "upn",
            Field::Email => "email",
            Field::UniqueId => "unique_id",
            Field::Names => "names",
            Field::Phone => "phone",
            Field::DeviceToken => "device_token",
            Field::Language => "language",
            Field::PersonAddress => "person_address",
            Field::Realm => "realm",
            Field::Application => "application",
            Field::Server => "server",
            Field::Code => "code",
        }
    }
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It leaves the house.
    Sent,
    /// It would, but `send` of the provider's section keeps it here.
    SwitchedOff,
    /// It would, but it is not known.
    Absent,
    /// This type of provider is never told, or not with this way of asking.
    Never,
}

/// A field and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaves {
    /// Which.
    pub field: Field,
    /// What becomes of it.
    pub fate: Fate,
}

/// A provider as its section describes it.
#[derive(Debug, Clone)]
pub struct Described {
    name: String,
    kind: Kind,
    send: SendFields,
    failover: Vec<UnreachableClass>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Native { pin_on_phone: bool },
    Entra(CloudName),
    Duo(CloudName),
    PrivacyIdea { user: CloudName, realm: bool },
    Okta(CloudName),
    Local,
    Codes(Method),
}

impl Described {
    fn new(common: &Common, kind: Kind) -> Self {
        Described { name: common.name.clone(), kind, send: common.send, failover: common.failover.clone() }
    }

    /// Of any type.
    pub fn of(provider: &Provider) -> Self {
        match provider {
            Provider::Native(native) => Described::native(native),
            Provider::Entra(entra) => Described::entra(entra),
            Provider::Duo(duo) => Described::duo(duo),
            Provider::PrivacyIdea(privacyidea) => Described::privacyidea(privacyidea),
            Provider::Okta(okta) => Described::okta(okta),
            Provider::Local(local) => Described::local(local),
            Provider::Codes(codes) => Described::codes(codes),
        }
    }

    /// Of `type = "native"`.
    pub fn native(section: &NativeProvider) -> Self {
        Described::new(&section.common, Kind::Native { pin_on_phone: section.pin_on_phone })
    }

    /// Of `type = "entra"`.
    pub fn entra(section: &EntraProvider) -> Self {
        Described::new(&section.common, Kind::Entra(section.user))
    }

    /// Of `type = "duo"`.
    pub fn duo(section: &DuoProvider) -> Self {
        Described::new(&section.common, Kind::Duo(section.user))
    }

    /// Of `type = "privacyidea"`.
    pub fn privacyidea(section: &PrivacyIdeaProvider) -> Self {
        let realm = section.realm.is_some() || !section.realms.is_empty();
        Described::new(&section.common, Kind::PrivacyIdea { user: section.user, realm })
    }

    /// Of `type = "okta"`.
    pub fn okta(section: &OktaProvider) -> Self {
        Described::new(&section.common, Kind::Okta(section.user))
    }

    /// Of `type = "local"`.
    pub fn local(section: &LocalProvider) -> Self {
        let send = SendFields { names: false, email: false, phone: false, person_address: false };
        Described { name: section.name.clone(), kind: Kind::Local, send, failover: section.failover.clone() }
    }

    /// Of `type = "codes"`.
    pub fn codes(section: &CodesProvider) -> Self {
        let send = SendFields { names: false, email: true, phone: true, person_address: false };
        let kind = Kind::Codes(section.via.method());
        Described { name: section.name.clone(), kind, send, failover: section.failover.clone() }
    }

    /// Whether it checks codes in this house.
    pub fn is_of_the_house(&self) -> bool {
        matches!(self.kind, Kind::Local | Kind::Codes(_))
    }

    /// Whether it calls and texts the number that it is given.
    pub fn takes_number(&self) -> bool {
        matches!(self.kind, Kind::Native { .. }) && self.send.phone
    }

    /// Whether it can ask this person this way, as far as can be said without asking it.
    pub fn can_ask(&self, person: &Person, method: Method) -> bool {
        let known = |user: CloudName| user.of(person).is_some_and(|name| !name.is_empty());
        match self.kind {
            Kind::Native { .. } => match method {
                Method::Push => person.device_token.is_some(),
                Method::Call | Method::SmsReply => person.phone.is_some() && self.send.phone,
                Method::Oath => true,
                Method::SmsCode | Method::EmailCode | Method::BackupCode | Method::TemporaryCode => false,
            },
            Kind::Entra(user) => known(user) && entra::wire::method_id(method).is_some(),
            Kind::Duo(user) => {
                let serves =
                    matches!(method, Method::Push | Method::Call | Method::SmsCode | Method::Oath | Method::BackupCode);
                known(user) && serves
            }
            // What the person has there is known there only.
            Kind::PrivacyIdea { user, .. } => {
                known(user) && (privacyidea::wire::kind(method).is_some() || method == Method::Oath)
            }
            Kind::Okta(user) => known(user) && !okta::wire::kinds(method).is_empty(),
            // A code that was sent before is typed.
            Kind::Codes(_) if method == Method::Oath => true,
            Kind::Codes(Method::EmailCode) => method == Method::EmailCode && person.email.is_some(),
            Kind::Codes(by) => method == by && person.phone.is_some(),
            Kind::Local => matches!(method, Method::Oath | Method::BackupCode | Method::TemporaryCode),
        }
    }

    /// Whether it answers this way of asking with a code on its way to the person.
    pub fn answers_with_code(&self, method: Method) -> bool {
        match method {
            Method::SmsCode | Method::EmailCode => true,
            // Okta's calls tell a code; everybody else's ask for a key.
            Method::Call => matches!(self.kind, Kind::Okta(_)),
            Method::Push | Method::SmsReply | Method::Oath | Method::BackupCode | Method::TemporaryCode => false,
        }
    }

    /// Whether it asks people in PIN mode for their PIN on the phone, with this way of asking.
    pub fn carries_pin(&self, method: Method) -> bool {
        let is_prompt = matches!(method, Method::Push | Method::Call | Method::SmsReply);
        is_prompt && matches!(self.kind, Kind::Native { pin_on_phone: true })
    }

    /// What leaves the house when it asks this person this way, field by field.
    pub fn tells(&self, person: &Person, method: Method, code: bool, address: Option<IpAddr>) -> Vec<Leaves> {
        let told = |field| Leaves { field, fate: self.fate(field, person, method, code, address.is_some()) };
        Field::ALL.into_iter().map(told).collect()
    }

    fn fate(&self, field: Field, person: &Person, method: Method, code: bool, address: bool) -> Fate {
        let optional = |switch: bool, known: bool| match (switch, known) {
            (false, _) => Fate::SwitchedOff,
            (true, false) => Fate::Absent,
            (true, true) => Fate::Sent,
        };
        let only = |sent: bool| if sent { Fate::Sent } else { Fate::Never };
        let login = |user: CloudName| match user {
            CloudName::Name => Field::UserName,
            CloudName::Upn => Field::Upn,
            CloudName::Email => Field::Email,
        };
        match (field, self.kind) {
            (_, Kind::Local) => Fate::Never,
            // The text names the application; what is typed is looked at here.
            (Field::Application, Kind::Codes(by)) => only(method == by),
            (Field::Phone, Kind::Codes(Method::SmsCode)) => optional(true, person.phone.is_some()),
            (Field::Email, Kind::Codes(Method::EmailCode)) => optional(true, person.email.is_some()),
            (_, Kind::Codes(_)) => Fate::Never,
            (Field::Code, _) => only(code),
            (Field::PersonAddress, _) => optional(self.send.person_address, address),
            (Field::UserName | Field::UniqueId | Field::Language | Field::Server, Kind::Native { .. }) => Fate::Sent,
            (Field::Application, Kind::Native { .. }) => Fate::Sent,
            (Field::Names, Kind::Native { .. }) => {
                optional(self.send.names, person.first_name.is_some() || person.last_name.is_some())
            }
            (Field::Email, Kind::Native { .. }) => optional(self.send.email, person.email.is_some()),
            (Field::Phone, Kind::Native { .. }) => optional(self.send.phone, person.phone.is_some()),
            (Field::DeviceToken, Kind::Native { .. }) if method == Method::Push => {
                optional(true, person.device_token.is_some())
            }
            (_, Kind::Native { .. }) => Fate::Never,
            (Field::Application, Kind::Duo(_)) => only(method == Method::Push),
            (Field::Realm, Kind::PrivacyIdea { realm, .. }) => only(realm),
            (field, Kind::Entra(user) | Kind::Duo(user) | Kind::Okta(user) | Kind::PrivacyIdea { user, .. }) => {
                only(field == login(user))
            }
        }
    }
}

/// On paper: it says what it would do, and asks nobody.
impl Factor for Described {
    fn name(&self) -> &str {
        &self.name
    }

    fn described(&self) -> Option<&Described> {
        Some(self)
    }

    fn fails_over(&self, class: UnreachableClass) -> bool {
        self.failover.contains(&class)
    }

    fn run(&self, _: Request) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::ready(Answer::Refused(Refusal::Misconfigured)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DuoSignature, Outbound};
    use crate::secret::Secret;
    use crate::signin::testing::person;

    fn duo(user: CloudName, person_address: bool) -> Described {
        let outbound = Outbound {
            url: "https://duo.example".into(),
            ca_file: None,
            proxy: None,
            timeout: std::time::Duration::from_secs(1),
        };
        let send = SendFields { names: true, email: true, phone: true, person_address };
        Described::duo(&DuoProvider {
            common: Common { name: "duo".into(), outbound, send, failover: vec![UnreachableClass::Tls] },
            ikey: String::new(),
            skey: Secret::from_text(String::new()),
            signature: DuoSignature::V5,
            user,
        })
    }

    fn sent(described: &Described, method: Method, address: Option<IpAddr>) -> Vec<Field> {
        let told = described.tells(&person("u1"), method, false, address);
        assert_eq!(told.len(), Field::ALL.len());
        told.into_iter().filter(|one| one.fate == Fate::Sent).map(|one| one.field).collect()
    }

    #[test]
    fn a_cloud_is_told_the_name_that_it_knows_and_nothing_else_about_the_person() {
        let here = Some("192.0.2.7".parse().unwrap());
        let by_name = duo(CloudName::Name, true);
        assert_eq!(sent(&by_name, Method::Call, here), [Field::UserName, Field::PersonAddress]);
        assert_eq!(sent(&by_name, Method::Push, None), [Field::UserName, Field::Application]);
        assert_eq!(sent(&duo(CloudName::Email, false), Method::Call, here), [Field::Email]);
    }

    #[test]
    fn whom_it_can_ask_follows_from_its_section() {
        let nameless = Person { email: None, ..person("u1") };
        assert!(!duo(CloudName::Email, true).can_ask(&nameless, Method::Push));
        assert!(duo(CloudName::Name, true).can_ask(&nameless, Method::Push));
        assert!(!duo(CloudName::Name, true).can_ask(&nameless, Method::SmsReply));
        let factor: &dyn Factor = &duo(CloudName::Name, true);
        assert!(factor.offers(&nameless, Method::Call) && factor.sends_code(Method::SmsCode));
        assert!(!factor.sends_code(Method::Call) && factor.fails_over(UnreachableClass::Tls));
        assert!(!factor.fails_over(UnreachableClass::Connect));
    }
}
