//! One bind with a name and a password, from the request to the words that the client hears.

use std::net::IpAddr;
use std::sync::Arc;

use super::own::{Bound, Own};
use super::{Behind, Surroundings};
use crate::config::LdapClient;
use crate::ldap::bind::{Authentication, BindRequest, write_bind_response};
use crate::ldap::message::Envelope;
use crate::ldap::pool::Wire;
use crate::ldap::result::code;
use crate::ldap::verdict;
use crate::primary::Primary;
use crate::secret::Secret;
use crate::signin::attempt::{Attempt, Door, SignInId, Through, Unusable};
use crate::signin::outcome::{Accept, Outcome, Reason};
use crate::signin::passcode;
use crate::signin::standing::StandKey;

/// What a bind came to.
pub(super) struct BindEnd {
    /// What the client hears.
    pub(super) answer: Box<[u8]>,
    /// Its directory connection, if it is bound now.
    pub(super) directory: Option<Box<dyn Wire>>,
}

/// A bind on its way.
pub(super) struct Binding {
    id: u32,
    client: Arc<LdapClient>,
    own: Arc<Own>,
    attempt: Attempt,
    key: Option<StandKey>,
}

/// Everything that a bind needs of its connection.
pub(super) struct Asking<'a> {
    pub(super) client: &'a Arc<LdapClient>,
    pub(super) behind: &'a Arc<dyn Behind>,
    pub(super) source: IpAddr,
    /// What a sign-in of a program will stand under.
    pub(super) key: Option<StandKey>,
}

impl Binding {
    /// Reads a bind that the session has judged to be one. The connection goes with it. `None` when it is none, or
    /// when there is no randomness for its id.
    pub(super) fn read(asking: &Asking<'_>, frame: &[u8], wire: Option<Box<dyn Wire>>) -> Option<Self> {
        let envelope = Envelope::read(frame).ok()?;
        let request = BindRequest::read(envelope.operation(frame)).ok()?;
        let Authentication::Simple(password) = request.authentication else { return None };
        let mut random = [0; 12];
        getrandom::fill(&mut random).ok()?;
        let name = String::from_utf8_lossy(request.name).into_owned();
        let readable = std::str::from_utf8(request.name).is_ok() && !name.is_empty();
        let credential = if password.is_empty() {
            Err(Unusable::EmptyPassword)
        } else if !readable || name.contains(char::is_control) {
            Err(Unusable::BadName)
        } else {
            Ok(Secret::new(password.to_vec()))
        };
        let controls = frame.get(envelope.op.end..).unwrap_or_default().into();
        let again = credential.as_ref().ok().map(Secret::duplicate);
        let own = Arc::new(Own::new(
            Arc::clone(asking.behind),
            Arc::clone(asking.client),
            wire,
            (envelope.message_id, controls),
            again,
        ));
        let station = match asking.source.to_canonical() {
            IpAddr::V4(address) => address.octets().as_slice().into(),
            IpAddr::V6(address) => address.octets().as_slice().into(),
        };
        let attempt = Attempt {
            id: SignInId::new(random),
            door: Door::Ldap,
            client: Arc::clone(&asking.client.client),
            name: name.into(),
            credential,
            onward: None,
            source: asking.source,
            person_address: None,
            // A retry comes from the same machine.
            station: Some(station),
            state: None,
            connection: None,
            through: Some(Box::new(Through(own.clone()))),
            received: tokio::time::Instant::now().into_std(),
        };
        Some(Binding { id: envelope.message_id, client: Arc::clone(asking.client), own, attempt, key: asking.key })
    }

    /// Signs in. Dropped before it is done, it gives the sign-in up: its prompt is cancelled.
    pub(super) async fn run(self, surroundings: Arc<Surroundings>) -> BindEnd {
        let Binding { id, client, own, attempt, key } = self;
        let (name, source) = (key.map(|_| attempt.name.clone()), attempt.source);
        let deadline = attempt.deadline();
        // On the heap, so that what is held longest is smallest.
        let waiting = Box::pin(surroundings.sign_ins.enter(attempt)).await;
        let outcome = waiting.outcome().await;
        match &*outcome {
            Outcome::Accept(accept) => {
                if let (Some(key), Some(name)) = (key, name) {
                    surroundings.sign_ins.keep_standing(key, (&client.client, &name, source), accept);
                }
                match Box::pin(bound(&own, accept, &client, deadline)).await {
                    Some((directory, answer)) => BindEnd { answer, directory: Some(directory) },
                    None => BindEnd { answer: response(id, code::UNAVAILABLE, ""), directory: None },
                }
            }
            // LDAP has no challenge: no client of this door is ever given one.
            Outcome::Reject(_) | Outcome::Explained { .. } | Outcome::Challenge(_) | Outcome::Discard(_) => {
                let (reason, passed) = (outcome.reason(), own.passed());
                own.discard();
                let other = if reason == Reason::DirectoryRefused { own.other_answer() } else { None };
                let answer = if let Some(answer) = other {
                    answer
                } else if client.explain_refusals {
                    let (code, text) = verdict::explained(reason, passed, outcome.text());
                    // The directory's own words say more, to those who read its sub-codes.
                    own.refusal()
                        .filter(|_| code == code::INVALID_CREDENTIALS)
                        .unwrap_or_else(|| response(id, code, &text))
                } else {
                    let (code, text) = verdict::refusal(reason, passed);
                    response(id, code, text)
                };
                BindEnd { answer, directory: None }
            }
        }
    }
}

/// The connection that belongs to an acceptance. The request that led the sign-in has bound it; one that joined
/// binds its own now, with the credential that has just been found right.
async fn bound(own: &Own, accept: &Accept, client: &LdapClient, deadline: std::time::Instant) -> Option<Bound> {
    if let Some(bound) = own.take_bound() {
        return Some(bound);
    }
    let whole = own.take_password()?;
    let who = accept.primary().who();
    let cut = client.client.passcode.as_ref().and_then(|rule| passcode::cut(rule, &whole));
    if let Some(cut) = cut
        && own.try_password(who, &cut.password, deadline).await.is_right()
    {
        return own.take_bound();
    }
    let whole = own.try_password(who, &whole, deadline).await;
    own.take_bound().filter(|_| whole.is_right())
}

pub(super) fn response(id: u32, code: u32, text: &str) -> Box<[u8]> {
    let mut out = Vec::new();
    write_bind_response(&mut out, id, code, text);
    out.into()
}
