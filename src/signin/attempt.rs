//! One request to come in, as a value that knows no protocol: who, with which credential, from where,
//! through which client.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Challenges, Client, Reuse};
use crate::primary::Primary;
use crate::primary::none::Connection;
use crate::radius::onward::{Onward, ProofKind};
use crate::secret::Secret;
use crate::texts::Texts;

/// The identifier of one sign-in. Every log line, the audit row and the cloud carry it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignInId([u8; 12]);

impl SignInId {
    /// Made from 12 random octets.
    pub fn new(random: [u8; 12]) -> Self {
        SignInId(random)
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8; 12] {
        &self.0
    }

    /// Its text: hexadecimal digits.
    pub fn digits(&self) -> [u8; 24] {
        // Written in several places of each sign-in: a table is four times as quick as twelve `{:02x}`.
        let digit = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or_default();
        let mut digits = [0; 24];
        for (pair, octet) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(octet >> 4), digit(octet & 0xf)];
        }
        digits
    }

    /// The identifier under which a provider is asked in a further round of the same sign-in, so that it does not
    /// take it for the first one again. Round 0 is the sign-in's own.
    #[must_use]
    pub fn of_round(mut self, round: u8) -> Self {
        if let Some(last) = self.0.last_mut() {
            *last ^= round;
        }
        self
    }
}

impl fmt::Display for SignInId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Debug for SignInId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Through which door a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// An Access-Request.
    Radius,
    /// A bind.
    Ldap,
}

impl Door {
    /// The word in logs and audit events.
    pub fn word(self) -> &'static str {
        match self {
            Door::Radius => "radius",
            Door::Ldap => "ldap",
        }
    }
}

/// Why a request that was admitted can not even be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// There is no password in it that we can check.
    NoPassword,
    /// Its EAP packet is broken, or speaks of another name than the request.
    BrokenEap,
    /// The password is empty (RFC 4513 section 5.1.2: an empty password is no proof).
    EmptyPassword,
    /// The name is missing, empty, too long, or not UTF-8, or has control characters.
    BadName,
    /// There is one although the client is a gateway that has checked it, so that nobody would look at it.
    UnwantedPassword,
    /// The password is longer than the protocol allows, or its hiding is broken.
    BadPassword,
}

/// One request to come in.
#[derive(Debug)]
pub struct Attempt {
    /// Identifier of this sign-in.
    pub id: SignInId,
    /// Through which door.
    pub door: Door,
    /// Through which client, with its policy.
    pub client: Arc<Client>,
    /// The name as the person typed it (lossy where it was not UTF-8, and then `credential` says so).
    pub name: Box<str>,
    /// What was given as proof, or why there is nothing to try.
    pub credential: Result<Secret, Unusable>,
    /// The whole request, where it goes to a target of RADIUS servers. What it brings as proof may be no password.
    pub onward: Option<Box<Onward>>,
    /// Address of the client itself.
    pub source: IpAddr,
    /// Address of the person's device, where the client told it.
    pub person_address: Option<IpAddr>,
    /// What the client calls the person's device (Calling-Station-Id), as it came. Only ever compared: a retry
    /// names the same one.
    pub station: Option<Box<[u8]>>,
    /// What brings the answer to a challenge back to its round (RADIUS State); none: a sign-in begins.
    pub state: Option<Box<[u8]>>,
    /// What a gateway asks that has made sure of the person itself: then, and only where `credential` is
    /// [`Unusable::NoPassword`], the client's target is asked about the account instead, or gets the request.
    pub connection: Option<Box<Connection>>,
    /// Where the password is checked instead of by the client's target: a door's own connection to it.
    pub through: Option<Box<Through>>,
    /// When the request arrived.
    pub received: Instant,
}

/// A door's own connection to the directory, which is to be the bound person's if all goes well.
pub struct Through(pub Arc<dyn Primary>);

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Through(..)")
    }
}

/// What stands for a person in an attempt.
#[derive(Debug)]
pub enum Proof<'a> {
    /// A password.
    Password(&'a Secret),
    /// What a request brings instead: only a RADIUS target can judge it.
    Handed(Secret),
}

impl Proof<'_> {
    /// Its octets: equal for a repetition of the same proof.
    pub fn secret(&self) -> &Secret {
        match self {
            Proof::Password(password) => password,
            Proof::Handed(proof) => proof,
        }
    }

    /// Whether it can be read as a password.
    pub fn is_password(&self) -> bool {
        matches!(self, Proof::Password(_))
    }
}

impl Attempt {
    /// What there is to try.
    ///
    /// # Errors
    /// Why there is nothing.
    pub fn proof(&self) -> Result<Proof<'_>, Unusable> {
        match (&self.credential, &self.onward) {
            (Ok(password), _) => Ok(Proof::Password(password)),
            (Err(Unusable::NoPassword), Some(request)) if request.kind() != ProofKind::Pap => {
                Ok(Proof::Handed(request.proof()))
            }
            (Err(unusable), _) => Err(*unusable),
        }
    }

    /// Whether it is a round of EAP, for a target to judge.
    pub fn is_eap(&self) -> bool {
        self.onward.as_ref().is_some_and(|request| request.kind() == ProofKind::Eap)
    }

    /// What the person reads: of their client, where that has texts of its own.
    pub fn texts<'a>(&'a self, usual: &'a Arc<Texts>) -> &'a Arc<Texts> {
        self.client.texts.as_ref().unwrap_or(usual)
    }

    /// How more is asked of the person; nothing within EAP, which has no place for it.
    pub fn challenges(&self) -> Option<Challenges> {
        self.client.challenge.filter(|_| !self.is_eap())
    }

    /// Drops what was given as proof. Of what was EAP stays that it was.
    pub fn forget_credential(&mut self) {
        self.station = None;
        self.onward = self.onward.take().and_then(|request| request.emptied()).map(Box::new);
        self.credential = Err(Unusable::NoPassword);
    }

    /// Takes over what a further request of the same sign-in brings as proof.
    pub fn renew(&mut self, next: Attempt) {
        (self.station, self.onward, self.credential) = (next.station, next.onward, next.credential);
    }

    /// What a gateway asks, where there is no credential.
    pub fn authorize_only(&self) -> Option<&Connection> {
        match self.credential {
            Err(Unusable::NoPassword) => self.connection.as_deref(),
            Ok(_) | Err(_) => None,
        }
    }

    /// What tells this attempt's proof from others of the same person: the password or what stands for it, or
    /// the gateway's connection.
    ///
    /// # Errors
    /// There is nothing to try.
    pub fn mark(&self) -> Result<Cow<'_, [u8]>, Unusable> {
        if let Some(connection) = self.authorize_only() {
            return Ok(connection.key().into());
        }
        match self.proof()? {
            Proof::Password(secret) if secret.is_empty() => Err(Unusable::EmptyPassword),
            Proof::Password(secret) => Ok(secret.open().into()),
            Proof::Handed(proof) => Ok(proof.open().to_vec().into()),
        }
    }

    /// How long and how often an approval is good for more sign-ins like this one. A connection whose computer is not
    /// known is like no other.
    pub fn reuse(&self) -> Option<Reuse> {
        self.client.reuse.filter(|_| self.connection.as_ref().is_none_or(|connection| connection.computer.is_some()))
    }

    /// When the answer must be on its way.
    pub fn deadline(&self) -> Instant {
        self.received.checked_add(self.client.answer_within).unwrap_or_else(|| self.received + Duration::from_secs(60))
    }
}
