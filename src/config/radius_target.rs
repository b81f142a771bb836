//! `[target.NAME]` with `type = "radius"`, as checked. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use super::{PersonAddress, ReplyAttribute, TlsTarget};
use crate::secret::Secret;

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Active Directory, over LDAP.
    Ad,
    /// Any other LDAP directory.
    Ldap,
    /// RADIUS servers.
    Radius,
    /// Nothing checks a password: a gateway has done so.
    None,
}

/// RADIUS servers as a target: they check the credential, Anteroom asks for the factor.
#[derive(Debug)]
pub struct RadiusTarget {
    /// Its name in the configuration.
    pub name: String,
    /// Its servers, in order of preference.
    pub servers: RadiusServers,
    /// Where accounting goes, in order of preference.
    pub accounting: RadiusServers,
    /// The secret that it shares with all of them (RFC 2865 section 3).
    pub secret: Secret,
    /// Which server is asked first.
    pub balance: Balance,
    /// From one sending of a request to the next.
    pub timeout: Duration,
    /// How often a request is sent to one server, at least once.
    pub tries: u32,
    /// Whether replies without Message-Authenticator are dropped (CVE-2024-3596).
    pub requires_signature: bool,
    /// How often a server that is thought dead is asked by Status-Server (RFC 5997); none: never.
    pub probe: Option<Duration>,
    /// After this long a server that is thought dead gets a sign-in again, probed or not.
    pub dead_for: Duration,
    /// Sockets or connections to one server at most, each good for 256 requests at once.
    pub sockets: usize,
    /// Whether the client's request is passed on, or one of our own is made of it.
    pub forward_as: ForwardAs,
    /// What a request of our own calls us (NAS-Identifier).
    pub nas_identifier: String,
    /// Domains that may stand before a backslash and mean nothing for who it is.
    pub domains: Vec<String>,
    /// Realms that may stand behind an `@` and mean nothing for who it is.
    pub realms: Vec<String>,
    /// Which name a password is sent with.
    pub send_name: SendName,
    /// What tells who came in by EAP.
    pub eap_identity: EapIdentity,
    /// What becomes of the attributes of its replies.
    pub reply: ReplyRules,
}

/// RADIUS servers, by how they are reached.
#[derive(Debug, Clone)]
pub enum RadiusServers {
    /// By UDP.
    Udp(Vec<SocketAddr>),
    /// By TLS.
    Tls(TlsTarget),
}

/// Which server is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// The first that is alive, in the order of the file.
    Ordered,
    /// Each in its turn.
    Spread,
}

/// Whose request the target sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardAs {
    /// The client's own, with its Proxy-States and one of ours behind them.
    Proxy,
    /// One of Anteroom's own: without Proxy-State, with Anteroom as the NAS.
    Client,
}

/// Which name a password is sent with. CHAP, MS-CHAP and EAP always go with the name as typed, as the person's
/// device has made their proof with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendName {
    /// As typed.
    Typed,
    /// The login name in the user store.
    Name,
    /// The name with an `@` in the user store.
    Upn,
}

/// What tells who came in by EAP, whose outer name anybody can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EapIdentity {
    /// User-Name in the target's Access-Accept, alone: without one nobody comes in.
    Reply,
    /// The same, and where there is none the request's name, for targets that see to it that it is the inner one.
    Request,
}

/// What becomes of the attributes of a target's replies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyRules {
    /// Only these are passed, where there are any.
    pub only: Vec<PersonAddress>,
    /// These are not.
    pub drop: Vec<PersonAddress>,
    /// The first is passed as the second.
    pub rename: Vec<(PersonAddress, PersonAddress)>,
    /// These are added.
    pub add: Vec<ReplyAttribute>,
}
