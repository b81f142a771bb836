//! A client as the sign-in sees it: who may come in through it, and how. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::reply::ClientReply;
use super::{AddressRange, NumberMatching, UnreachableRule};
use crate::texts::Texts;
use crate::users::model::Method;

/// A client as the sign-in sees it, whatever door it comes through.
#[derive(Debug)]
pub struct Client {
    /// Its name in the configuration, the log and the metrics.
    pub name: String,
    /// The name that people see on their phone and admins in reports.
    pub application: String,
    /// Name of the target that checks the primary credential.
    pub target: String,
    /// Names of the providers of second factors: the first is asked, the next ones where it cannot be reached.
    pub providers: Vec<String>,
    /// In which order ways to ask are tried; empty: the person's own only.
    pub methods: Vec<Method>,
    /// What stands in for a number that the person would have to compare.
    pub number_matching: NumberMatching,
    /// From a request's arrival to its answer, at most.
    pub answer_within: Duration,
    /// What the client gets when `answer_within` is over.
    pub on_deadline: OnDeadline,
    /// How long an approval that came too late waits for the client's retry; zero: not at all.
    pub carry_over: Duration,
    /// After this long without a packet the client may have given up, so that an approval which comes now
    /// carries over. An approval that comes sooner has been delivered and is good for nothing more.
    pub gives_up_after: Duration,
    /// Held sign-ins through this client at once, at most.
    pub held: usize,
    /// How people type a code behind their password; none: they do not.
    pub passcode: Option<Passcode>,
    /// How people are asked for more between two rounds; none: this client is never sent a challenge.
    pub challenge: Option<Challenges>,
    /// Whether the person sees a text that comes with a refusal.
    pub shows_texts: bool,
    /// What people read through this client; none: what they read everywhere.
    pub texts: Option<Arc<Texts>>,
    /// Whether one approval is good for several sign-ins of the same person from the same place.
    pub reuse: Option<Reuse>,
    /// Who may come in how.
    pub policy: ClientPolicy,
    /// What Access-Accepts have for whom; none: the same for everybody.
    pub reply: Option<Arc<ClientReply>>,
}

/// How a code stands behind the password in one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passcode {
    /// Behind the last of these: 1 to 8 octets.
    Delimiter(String),
    /// In the last so many octets, all of them digits.
    Length(usize),
}

/// How people are asked for more, through a client that shows challenges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenges {
    /// Wrong codes of one sign-in until it is refused, at least one.
    pub tries: u32,
    /// From the first challenge of a sign-in to its last answer.
    pub within: Duration,
    /// Whether a challenge is shown while a prompt is out, so that a code can be typed instead.
    pub beside_prompt: bool,
    /// Whether people choose a way themselves, where there are several.
    pub menu: bool,
}

/// How long and how often one approval is good: for applications that bind again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// From the approval on.
    pub within: Duration,
    /// Further sign-ins, at most.
    pub count: u32,
}

/// What a client gets when its `answer_within` is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeadline {
    /// An Access-Reject.
    Reject,
    /// Nothing, so that the client tries its next server.
    Silence,
}

/// Who may come in through a client without a second factor. The default everywhere is: nobody.
#[derive(Debug, Clone, Default)]
pub struct ClientPolicy {
    /// A person whom the directory knows and the store does not.
    pub unknown_users: Lenience,
    /// A person whose entry in the store is disabled.
    pub disabled_users: Lenience,
    /// Account names (sAMAccountName or UPN, compared without case) that pass on the password alone.
    pub exempt_users: Vec<String>,
    /// Distinguished names of groups whose members, nested ones too, pass on the password alone.
    pub exempt_groups: Vec<String>,
    /// Networks of the person's own address that pass on the password alone.
    pub exempt_networks: Vec<AddressRange>,
    /// Whether the password alone is enough while the provider cannot be reached.
    pub provider_unreachable: Option<UnreachableRule>,
    /// A person whom the provider itself would let in without asking.
    pub provider_bypass: Lenience,
    /// The accounts that applications themselves bind with.
    pub service: ServiceAccounts,
}

/// Accounts of programs, which have no phone: exempt through the client that names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAccounts {
    /// Distinguished names, account names or UPNs, compared without case.
    pub names: Vec<String>,
    /// Distinguished names of containers: all that is below them.
    pub ous: Vec<String>,
    /// Distinguished names of groups, nested members included.
    pub groups: Vec<String>,
    /// A filter in parentheses that an account matches.
    pub filter: Option<String>,
}

/// What happens to a person who cannot be asked for a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lenience {
    /// Refused.
    #[default]
    Reject,
    /// Let in on the password alone, as a named exemption.
    PasswordOnly,
}
