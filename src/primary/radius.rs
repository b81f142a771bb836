//! RADIUS servers as a primary: they check the credential, and only their verified Access-Accept is a proof.
//!
//! Who it is, the user store says: the typed name, without a domain or realm that the target's section names, is the
//! login name or UPN of a person there. A name that fits two people is nobody's. A name that fits nobody is somebody
//! unknown, if it is plain: letters, digits, `.`, `-`, `_` of ASCII, in lower case. What a server behind may take for
//! the same as another spelling (blanks around it, accents, wide letters) is refused before it is sent, so that
//! nobody passes under a spelling of which we do not know whose it is.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::names::{BadName, MAX_NAME, TypedName, same};
use super::{Answered, Fault, Finding, Handed, IdentifyError, Identity, Primary, Refusal};
use crate::config::{EapIdentity, ForwardAs, RadiusTarget, ReplyRules, SendName};
use crate::ldap::result::code;
use crate::radius::authenticator::ClientKey;
use crate::radius::mschap;
use crate::radius::onward::{Filling, Form, Onward, ProofKind};
use crate::radius::packet::{Code, Packet};
use crate::radius::pool::{NoReply, Pool, Probed, Replied};
use crate::radius::said::Said;
use crate::secret::Secret;
use crate::users::model::Person;
use crate::users::store::{Store, StoreError};

/// RADIUS servers, ready to be asked.
pub struct Radius {
    name: String,
    pool: Pool,
    key: Arc<ClientKey>,
    form: Form,
    rules: ReplyRules,
    domains: Vec<String>,
    realms: Vec<String>,
    send_name: SendName,
    eap_identity: EapIdentity,
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for Radius {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Radius").field("name", &self.name).field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl Radius {
    /// Makes ready what the configuration describes; asks nobody yet. `random` tells this process from others behind the
    /// same target.
    ///
    /// # Errors
    /// What is wrong with a certificate, in words.
    pub fn new(target: &RadiusTarget, store: Arc<dyn Store>, random: [u8; 4]) -> Result<Self, String> {
        let key = Arc::new(ClientKey::new(target.secret.duplicate()));
        let mut proxy_state = *b"anteroom\0\0\0\0";
        proxy_state.iter_mut().skip(8).zip(random).for_each(|(to, from)| *to = from);
        let own = target.forward_as == ForwardAs::Client;
        Ok(Radius {
            name: target.name.clone(),
            pool: Pool::of(target, &key)?,
            key,
            form: Form { nas_identifier: own.then(|| target.nas_identifier.as_str().into()), proxy_state },
            rules: target.reply.clone(),
            domains: target.domains.clone(),
            realms: target.realms.clone(),
            send_name: target.send_name,
            eap_identity: target.eap_identity,
            store,
        })
    }

    /// Its servers' sockets.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The names in the user store that a typed name may be, and whether it may be somebody who is not there.
    fn candidates(&self, typed: &str) -> Option<(Vec<String>, bool)> {
        let bare = |user: &str| {
            let by_realm = self.realms.iter().map(|realm| format!("{user}@{realm}"));
            std::iter::once(user.to_owned()).chain(by_realm).collect::<Vec<_>>()
        };
        if typed.trim() != typed {
            return None;
        }
        let candidates = match TypedName::read(typed, &self.domains) {
            // No domain is named: then one that is typed is part of the name.
            Ok(TypedName::InDomain(_)) if self.domains.is_empty() => (vec![typed.to_owned()], false),
            Ok(TypedName::Bare(user) | TypedName::InDomain(user)) => (bare(user), is_plain(user)),
            Ok(TypedName::At { whole, left, right }) if self.realms.iter().any(|realm| same(realm, right)) => {
                let mut names = bare(left);
                names.push(whole.to_owned());
                (names, is_plain(left))
            }
            Ok(TypedName::At { whole, .. }) => (vec![whole.to_owned()], false),
            Err(BadName::OtherDomain) => (vec![typed.to_owned()], false),
            Err(BadName::Empty | BadName::TooLong | BadName::Control) => return None,
        };
        Some(candidates)
    }

    async fn identify_typed(&self, typed: &str) -> Result<Identity, IdentifyError> {
        let (names, may_be_unknown) = self.candidates(typed).ok_or(IdentifyError::Unknown)?;
        let mut found: Option<Person> = None;
        for name in &names {
            match self.store.person_named(name).await {
                Ok(Some(person)) => match &found {
                    Some(other) if other.unique_id != person.unique_id => return Err(IdentifyError::Ambiguous),
                    _ => found = Some(person),
                },
                Ok(None) => {}
                Err(StoreError::Conflict(_)) => return Err(IdentifyError::Ambiguous),
                Err(error) => {
                    tracing::error!(target_name = self.name, %error, "user store cannot be read");
                    return Err(IdentifyError::Fault(Fault::Refused { code: code::BUSY }));
                }
            }
        }
        match (found, names.first()) {
            (Some(Person { unique_id, name, upn, dn, .. }), _) => {
                Ok(Identity { unique_id, name, upn, dn: dn.unwrap_or_default(), remembered: false, details: None })
            }
            (None, Some(name)) if may_be_unknown => {
                let name = name.to_lowercase();
                // No directory has ids of this form.
                let unique_id = format!("radius:{}:{name}", self.name);
                Ok(Identity { unique_id, name, upn: None, dn: String::new(), remembered: false, details: None })
            }
            _ => Err(IdentifyError::Unknown),
        }
    }

    fn ask<'a>(
        &'a self,
        who: Option<&'a Identity>,
        handed: Handed<'a>,
        deadline: Instant,
    ) -> impl Future<Output = Answered> + Send + use<'a> {
        let request = handed.request;
        let name = match (self.send_name, who) {
            _ if request.kind() != ProofKind::Pap => None,
            (SendName::Typed, _) | (_, None) => None,
            (SendName::Name, Some(who)) => Some(who.name.as_str()),
            (SendName::Upn, Some(who)) => Some(who.upn.as_deref().unwrap_or(&who.name)),
        };
        let filling = Filling { name, password: handed.password, state: handed.round.and_then(|(_, state)| state) };
        // A password that one server may have changed is wrong at the next.
        let alone = || if request.changes_password() { self.pool.first() } else { None };
        let only = handed.round.map(|(server, _)| server).or_else(alone);
        async move {
            let make = |identifier: u8, authenticator: &_| {
                request.encode(filling, &self.form, (identifier, authenticator), &self.key)
            };
            match self.pool.ask(only, &make, deadline).await {
                Ok(replied) => self.answered(&replied, request),
                Err(NoReply::Unanswered) => Finding::Fault(Fault::Unanswered).into(),
                Err(NoReply::Unreachable) => Finding::Fault(Fault::Unreachable).into(),
                Err(NoReply::Full) => Finding::Fault(Fault::Full).into(),
                Err(NoReply::TooLong) => {
                    tracing::warn!(
                        target_name = self.name,
                        "a request cannot be handed on: with what belongs to the target it has more than 4096 octets"
                    );
                    Finding::Fault(Fault::Garbled).into()
                }
            }
        }
    }

    /// What a reply that the pool has verified comes to.
    fn answered(&self, replied: &Replied, request: &Onward) -> Answered {
        let Some(verified) = replied.packet.verified(&self.key) else { return Finding::Fault(Fault::Garbled).into() };
        let said = match Said::read(&verified, &replied.request, &self.key, &self.rules, request.room()) {
            Ok(said) => Some(Box::new(said)),
            Err(error) => {
                tracing::warn!(target_name = self.name, ?error, "a RADIUS target's reply cannot be passed on");
                return Finding::Fault(Fault::Garbled).into();
            }
        };
        let finding = match verified.packet().code() {
            Code::ACCESS_ACCEPT => Finding::Right,
            Code::ACCESS_REJECT => Finding::Wrong(refused(&verified.packet(), request.kind())),
            Code::ACCESS_CHALLENGE => Finding::Wrong(Refusal::AsksMore),
            _ => return Finding::Fault(Fault::Garbled).into(),
        };
        let changed = finding == Finding::Right && request.changes_password();
        Answered { finding, said, server: replied.server, changed }
    }

    /// Asks each server for its status.
    pub async fn probe(&self) -> Vec<Probed> {
        self.pool.probe().await
    }
}

impl Primary for Radius {
    fn identify<'a>(&'a self, typed: &'a str, _deadline: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(self.identify_typed(typed))
    }

    /// A password without its request cannot be tried.
    fn try_password<'a>(
        &'a self,
        _who: &'a Identity,
        _password: &'a Secret,
        _deadline: Instant,
    ) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::ready(Finding::Fault(Fault::Refused { code: code::UNWILLING_TO_PERFORM })))
    }

    fn member_of_any<'a>(
        &'a self,
        _who: &'a Identity,
        _groups: &'a [String],
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(std::future::ready(Err(Fault::Refused { code: code::UNWILLING_TO_PERFORM })))
    }

    fn hand_on<'a>(
        &'a self,
        who: Option<&'a Identity>,
        handed: Handed<'a>,
        deadline: Instant,
    ) -> BoxFuture<'a, Answered> {
        Box::pin(self.ask(who, handed, deadline))
    }

    fn waits_for_people(&self) -> bool {
        true
    }

    fn has_sent(&self, request: &Onward) -> bool {
        let has_passed = request.has_passed(&self.form);
        if has_passed {
            tracing::warn!(target_name = self.name, "a request has come round: a server behind sends it back to us");
        }
        has_passed
    }

    fn names_people(&self) -> bool {
        self.eap_identity == EapIdentity::Reply
    }
}

/// Why a target refuses: as the error of MS-CHAP says (RFC 2759 section 6), where that is about the account and not about
/// what was typed.
fn refused(packet: &Packet<'_>, kind: ProofKind) -> Refusal {
    match (kind, mschap::error(packet)) {
        // There is no password to be wrong.
        (ProofKind::Gateway, _) => Refusal::ConnectionDenied,
        (ProofKind::MsChap, Some(646)) => Refusal::LogonHours,
        (ProofKind::MsChap, Some(647)) => Refusal::Disabled,
        (ProofKind::MsChap, Some(648)) => Refusal::PasswordExpired,
        (ProofKind::MsChap, Some(649)) => Refusal::Restricted,
        (ProofKind::MsChap, Some(709)) => Refusal::NewPassword,
        _ => Refusal::WrongPassword,
    }
}

/// Whether a name can be nobody else's by another spelling.
fn is_plain(name: &str) -> bool {
    name.len() <= MAX_NAME
        && !name.is_empty()
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests;
