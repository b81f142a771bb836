//! The configuration: as written ([`written`]), as checked (this file, filled by [`checked`]), and where
//! secrets come from ([`sources`]).
//!
//! Everybody else uses the checked types of this file. A value here is already known to be sensible:
//! durations are within their range, names refer to something that exists, secrets have been read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::radius::attribute::AddressForm;
use crate::secret::Secret;
use crate::texts::Texts;
use crate::users::pin::Rules;
use crate::users::place::StoreAt;

pub mod by_address;
pub mod caching;
pub mod changes;
pub mod checked;
mod client;
pub mod codes;
pub mod gateway;
pub mod import;
pub mod known;
mod ldap;
pub mod mail;
pub mod mistakes;
pub mod place;
pub mod profile;
pub mod provider;
mod radius_target;
mod radsec;
pub mod reading;
pub mod reply;
pub mod route;
pub mod rule;
pub mod sources;
pub mod values;
mod winbind;
pub mod written;

pub use by_address::AddressRange;
pub use caching::{Caching, CachingRule, Likeness};
pub use checked::{Checked, load, load_text};
pub use client::{Challenges, Client, ClientPolicy, Lenience, OnDeadline, Passcode, Reuse, ServiceAccounts};
pub use gateway::{Authentication, AuthorizingTarget, ConnectionPolicy, Device};
pub use ldap::{Anonymous, Certificate, Ldap, LdapClient, LdapLimits, Sasl};
pub use mistakes::{Mistake, Mistakes};
pub use profile::{Profile, Profiled};
pub use provider::{
    CloudName, Codes, Common, DuoProvider, DuoSignature, EntraAuthentication, EntraMode, EntraProvider, LocalProvider,
    NativeAuthentication, NativeProvider, OktaAuthentication, OktaProvider, Outbound, OutboundProxy,
    PrivacyIdeaAuthorisation, PrivacyIdeaProvider, Provider, SendFields, Triggers,
};
pub use radius_target::{
    Balance, EapIdentity, ForwardAs, RadiusServers, RadiusTarget, ReplyRules, SendName, TargetKind,
};
pub use radsec::{
    CertificateName, Eleven, RADSEC, RADSEC_PORT, RadiusTls, TlsClient, TlsLimits, TlsServer, TlsTarget, Transport,
};
pub use route::{NumberMatching, Route, UnreachableClass, UnreachableRule};
pub use rule::{Rule, Then};
pub use winbind::{MsChapBy, Winbind};

/// A whole configuration after all checks.
#[derive(Debug)]
pub struct Config {
    /// The file it was read from, for messages.
    pub file: PathBuf,
    /// This server's own name and folders.
    pub server: Server,
    /// The RADIUS door.
    pub radius: Radius,
    /// The LDAP door.
    pub ldap: Ldap,
    /// Bounds on held sign-ins.
    pub limits: Limits,
    /// Bounds on guessing and prompting.
    pub throttle: Throttle,
    /// Directories where primary credentials are checked, by name.
    pub targets: BTreeMap<String, DirectoryTarget>,
    /// RADIUS servers where primary credentials are checked, by name.
    pub radius_targets: BTreeMap<String, RadiusTarget>,
    /// Targets that check no password but ask a directory whether the account may sign in, by name.
    pub authorizing: BTreeMap<String, AuthorizingTarget>,
    /// How the user store is filled from directories.
    pub import: import::Import,
    /// How mails are sent, if they are.
    pub mail: Option<Arc<mail::Mail>>,
    /// What PINs must be.
    pub pin: Rules,
    /// Who carries second factors, by name.
    pub providers: BTreeMap<String, Provider>,
    /// Who is asked by other providers than their client's; the first that fits.
    pub routes: Vec<Arc<Route>>,
    /// Who needs a second factor when; the first that fits.
    pub rules: Vec<Arc<Rule>>,
    /// Whose approvals are good for how long; the first that fits.
    pub caching: Vec<Arc<CachingRule>>,
    /// Where the audit goes besides the store.
    pub audit: Audit,
    /// The program's own log.
    pub log: Log,
    /// Where `GET /metrics` and `GET /health` are served, if anywhere.
    pub metrics: Option<SocketAddr>,
}

impl Config {
    /// The attributes of people's entries that replies through a target's clients need, each once, in lower case.
    pub fn details(&self, directory: &str) -> Vec<String> {
        let asks = |target: &str| {
            target == directory || self.authorizing.get(target).is_some_and(|target| target.directory == directory)
        };
        let clients = self.radius.clients.iter().map(|client| &client.client).filter(|client| asks(&client.target));
        let mut names: Vec<String> =
            clients.filter_map(|client| client.reply.as_ref()).flat_map(|reply| reply.details()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// This server's own name and folders.
#[derive(Debug, Clone)]
pub struct Server {
    /// Name told to the cloud and written to the audit.
    pub name: String,
    /// The database of enrolled people and audit events.
    pub store: Arc<StoreAt>,
    /// The file with the keys of sealed values.
    pub keys: PathBuf,
    /// The socket by which commands of this machine reach the running server.
    pub control: PathBuf,
    /// What people read while they sign in.
    pub texts: Arc<Texts>,
    /// How long a stopping server waits for holds that are under way.
    pub drain: Duration,
}

/// The RADIUS door.
#[derive(Debug)]
pub struct Radius {
    /// Where Access-Requests and Status-Server are received.
    pub listen: Vec<SocketAddr>,
    /// Where Accounting-Requests and Status-Server are received.
    pub accounting: Vec<SocketAddr>,
    /// Where RADIUS is spoken over TCP without TLS: loopback addresses, if any.
    pub tcp: Vec<SocketAddr>,
    /// Where accounting records wait for targets that are to have them: a folder.
    pub spool: PathBuf,
    /// Octets that they may take there for each target.
    pub spool_size: u64,
    /// Where RADIUS over TLS is spoken, if anywhere.
    pub tls: Option<RadiusTls>,
    /// Where targets may change sessions, and of which clients, if any.
    pub changes: Option<changes::Changes>,
    /// The configured clients.
    pub clients: Vec<Arc<RadiusClient>>,
}

/// A RADIUS client: who it is on the wire, and its [`Client`] part.
#[derive(Debug)]
pub struct RadiusClient {
    /// What the sign-in needs to know of it.
    pub client: Arc<Client>,
    /// Where its packets come from; the most specific range of all clients wins.
    pub addresses: Vec<AddressRange>,
    /// The shared secret (RFC 2865 section 3).
    pub secret: Secret,
    /// How it is known where it comes over TLS, and in no other way.
    pub tls: Option<TlsClient>,
    /// Whether its Access-Requests must carry a Message-Authenticator (CVE-2024-3596).
    pub require_message_authenticator: Requirement,
    /// Whether an unsigned Access-Request with Proxy-State is dropped, as FreeRADIUS does it.
    pub limit_proxy_state: Requirement,
    /// How long the reply to a request is kept for its retransmissions.
    pub duplicate_window: Duration,
    /// The attribute that holds the person's own address, if any (Calling-Station-Id, …), and how it is written there.
    pub person_address: Option<(PersonAddress, AddressForm)>,
    /// Whether its target is RADIUS servers, which get its requests with all their attributes.
    pub hands_on: bool,
    /// Whether its target is a directory that checks MS-CHAP, too.
    pub checks_ms_chap: bool,
    /// Whether people may change their passwords there by MS-CHAPv2.
    pub changes_passwords: bool,
    /// Attributes added to each Access-Accept, already encoded, in order.
    pub reply_attributes: Vec<ReplyAttribute>,
    /// Text shown to a refused person; the same for every reason.
    pub reject_message: Option<String>,
    /// Packets per second from one source address, and the same again as a burst.
    pub packets_per_second: u32,
    /// The RADIUS target that its accounting is forwarded to.
    pub accounting_target: Option<Arc<str>>,
    /// Whether it is a gateway whose requests carry no credential, as it has checked one itself.
    pub authorize_only: bool,
    /// What appliance it is, and what that has set.
    pub profile: Option<Box<Profiled>>,
}

/// A three-way requirement: always, once it has been seen, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// Required of each packet.
    Yes,
    /// Required from the first packet on that fulfilled it.
    Auto,
    /// Not required.
    No,
}

/// One of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YesNo {
    /// It is so.
    Yes,
    /// It is not.
    No,
}

/// Which attribute holds the address of the person's device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonAddress {
    /// Vendor number, or `None` for a standard attribute.
    pub vendor: Option<u32>,
    /// Attribute number.
    pub number: u8,
}

/// An attribute of a reply, ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyAttribute {
    /// Attribute number; 26 for a vendor's, whose value then starts with the vendor number.
    pub number: u8,
    /// Its value, 1 to 253 octets.
    pub value: Vec<u8>,
}

/// Bounds on held sign-ins. What is over a bound is refused with a reason of its own.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Held sign-ins in all.
    pub held: usize,
    /// Held sign-ins of one person through all clients.
    pub held_per_person: usize,
    /// Sign-ins that wait for a directory at once, at most. What is over it gets no answer, so that clients ask their
    /// next server. Where they wait for long it is fewer, so that the backlog stays within what a directory does in about
    /// a second.
    pub at_directory: usize,
}

/// Bounds on guessing and prompting (rule 7 of the verdict).
#[derive(Debug, Clone, Copy)]
pub struct Throttle {
    /// Wrong passwords for one person within `window`, before Anteroom stops asking the directory.
    /// Must be below the directory's own lockout threshold.
    pub failures_per_person: u32,
    /// Wrong passwords from one address within `window`, whoever they were for.
    pub failures_per_source: u32,
    /// Over how long failures are counted.
    pub window: Duration,
    /// Prompts for one person within `prompt_window`.
    pub prompts_per_person: u32,
    /// Over how long prompts are counted.
    pub prompt_window: Duration,
    /// How long nobody is prompted again after a first denial, and after the second prompt in a row that nobody
    /// answered; doubled with each further one.
    pub denial_backoff: Duration,
    /// How long a person is blocked after a fraud report.
    pub fraud_block: Duration,
    /// When too many denials or wrong codes lock a person out; none: never.
    pub lockout: Option<Lockout>,
}

/// When a person is locked out of everything: the password and somebody else's phone, or nobody's, are not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// Denials and wrong codes in a row, without an approval between them.
    pub after: u32,
    /// How long after the last one they are forgotten.
    pub reset: Duration,
    /// How long it lasts.
    pub release: Duration,
}

/// What kind of directory a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryKind {
    /// Active Directory: sub-codes, `objectGUID`, rule-in-chain groups.
    Ad,
    /// Any other LDAP directory: `entryUUID`, `memberOf`.
    Ldap,
}

/// An Active Directory or LDAP directory as a target.
#[derive(Debug)]
pub struct DirectoryTarget {
    /// Its name in the configuration.
    pub name: String,
    /// What kind it is.
    pub kind: DirectoryKind,
    /// Its servers in order of preference, or how to find them.
    pub servers: Servers,
    /// Extra certificate authorities in PEM; the system's own are used when there are none.
    pub ca_file: Option<PathBuf>,
    /// Where searches for people start.
    pub base: String,
    /// The service account: a DN, or for AD also a UPN or `DOMAIN\name`.
    pub bind_name: String,
    /// Its password.
    pub bind_password: Secret,
    /// NetBIOS domain names that may stand before a backslash; empty: any is taken as this directory's.
    pub domains: Vec<String>,
    /// Attributes that hold the bare login name. AD: `sAMAccountName`; else `uid`.
    pub name_attributes: Vec<String>,
    /// Attributes that hold a name with an `@`. AD: `userPrincipalName`; else `mail`.
    pub at_attributes: Vec<String>,
    /// The attribute that never changes. AD: `objectGUID`; else `entryUUID`.
    pub unique_id: String,
    /// A filter that every person must match, in parentheses, or none.
    pub filter: Option<String>,
    /// Time for one connection to be made, TLS included.
    pub connect_timeout: Duration,
    /// Time for one operation.
    pub timeout: Duration,
    /// Connections to one server for user binds, at most; as many again for searches.
    pub connections: usize,
    /// Bind people whose DN the store knows without searching for them first.
    pub dn_from_store: bool,
    /// Who checks MS-CHAP, if anybody does.
    pub ms_chap: Option<Winbind>,
}

/// Which servers a directory has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// Named one by one.
    Listed(Vec<ServerUrl>),
    /// Found by DNS SRV `_ldap._tcp.dc._msdcs.DOMAIN`, with LDAPS or StartTLS as given.
    Dns {
        /// The AD domain's DNS name.
        domain: String,
        /// How the found servers are spoken to.
        security: Security,
    },
}

/// One directory server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    /// Host name or address without brackets: also the name its certificate must carry.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
}

/// How a directory connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// TLS from the first octet (`ldaps://`).
    Ldaps,
    /// TLS after the StartTLS operation (`ldap://`, the default for it).
    StartTls,
    /// No protection; only for a loopback address (`ldap://` with `plaintext = true`).
    Plaintext,
}

/// Where audit events go besides the store.
#[derive(Debug, Clone)]
pub struct Audit {
    /// A file of JSON lines, if wanted.
    pub file: Option<PathBuf>,
    /// How long events, accounting records and changes stay in the store; for ever where there is none.
    pub keep: Option<Duration>,
}

/// The program's own log, on standard error.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// A `tracing` filter such as `info` or `anteroom::radius=debug,info`.
    pub level: String,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}
