//! A client's own directory connection as the place where its bind is checked.
//!
//! The password is tried by a bind on the very connection that the client is to have afterwards, so that what the
//! directory thinks of that connection is true. The proof is made by [`crate::primary::check`] as everywhere; this
//! is only where it asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::Behind;
use crate::config::LdapClient;
use crate::ldap::bind::{AnswerError, read_bind_response, write_bind_with_controls};
use crate::ldap::message::{Envelope, SMALL_FRAME, frame_length};
use crate::ldap::pool::{BindAnswer, Wire, elsewhere};
use crate::ldap::result::code;
use crate::primary::directory::finding;
use crate::primary::{Fault, Finding, IdentifyError, Identity, Primary};
use crate::secret::Secret;
use crate::signin::policy;

/// A client's own connection during its bind.
pub(super) struct Own {
    behind: Arc<dyn Behind>,
    client: Arc<LdapClient>,
    /// Message id and controls of the client's request, which go to the directory as they came.
    id: u32,
    controls: Box<[u8]>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wire: Option<Box<dyn Wire>>,
    /// The directory's last answer.
    answer: Option<Box<[u8]>>,
    /// Whether it says more than its code: a text, or a control such as a password policy's.
    speaks: bool,
    /// Its result code.
    code: u32,
    passed: bool,
    /// Needed again only by a request that joins another one's hold.
    password: Option<Secret>,
}

/// A connection that is bound, and the directory's own words on it.
pub(super) type Bound = (Box<dyn Wire>, Box<[u8]>);

impl Own {
    pub(super) fn new(
        behind: Arc<dyn Behind>,
        client: Arc<LdapClient>,
        wire: Option<Box<dyn Wire>>,
        (id, controls): (u32, Box<[u8]>),
        password: Option<Secret>,
    ) -> Self {
        let state = Mutex::new(State { wire, password, ..State::default() });
        Own { behind, client, id, controls, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the directory has found the password right on this connection.
    pub(super) fn passed(&self) -> bool {
        self.state().passed
    }

    /// The directory's refusal, where it gave one that says more than its code.
    pub(super) fn refusal(&self) -> Option<Box<[u8]>> {
        let mut state = self.state();
        if state.passed || !state.speaks { None } else { state.answer.take() }
    }

    /// The directory's answer, where it is about the bind and neither yes nor no: an application that knows its directory
    /// knows what to do. A referral would lead past this door, and a success is none without its proof.
    pub(super) fn other_answer(&self) -> Option<Box<[u8]>> {
        let mut state = self.state();
        let told = !matches!(
            state.code,
            code::SUCCESS | code::REFERRAL | code::SASL_BIND_IN_PROGRESS | code::INVALID_CREDENTIALS
        );
        if state.passed || !told { None } else { state.answer.take() }
    }

    /// The bound connection.
    pub(super) fn take_bound(&self) -> Option<Bound> {
        let mut state = self.state();
        if !state.passed {
            return None;
        }
        Some((state.wire.take()?, state.answer.take()?))
    }

    /// Closes the connection: whoever it is bound as does not come in.
    pub(super) fn discard(&self) {
        self.state().wire = None;
    }

    /// The password, once.
    pub(super) fn take_password(&self) -> Option<Secret> {
        self.state().password.take()
    }

    /// A bind on the connection that the client has, or on a new one. As everywhere, another server is asked only where
    /// the password cannot have been counted: the request has not left as a whole, or the server says that it has not
    /// looked at it. A connection on which a bind failed is gone.
    pub(super) async fn bind(&self, dn: &str, password: &Secret, deadline: Instant) -> Result<BindAnswer, Fault> {
        let mut kept = self.state().wire.take();
        let mut asked = Vec::new();
        let mut last = Err(Fault::Unreachable);
        loop {
            let wire = match kept.take() {
                Some(wire) => wire,
                None => match self.behind.connect(&mut asked, deadline).await {
                    Ok(wire) => wire,
                    // What the others have said stands.
                    Err(fault) => return last.map_err(|_| fault),
                },
            };
            match self.ask(wire, dn, password, deadline).await {
                Ok(answer) if elsewhere(answer.code) => last = Ok(answer),
                Err(Fault::Unreachable) => {}
                answered => return answered,
            }
        }
    }

    /// A bind on this connection. [`Fault::Unreachable`]: the request has not left as a whole.
    async fn ask(
        &self,
        mut wire: Box<dyn Wire>,
        dn: &str,
        password: &Secret,
        deadline: Instant,
    ) -> Result<BindAnswer, Fault> {
        let deadline = tokio::time::Instant::from_std(deadline);
        let patience = self.behind.patience().map(|patience| tokio::time::Instant::now() + patience);
        let until = patience.map_or(deadline, |until| until.min(deadline));
        let exchanged = tokio::time::timeout_at(until, self.exchange(&mut wire, dn, password)).await;
        let frame = exchanged.unwrap_or_else(|_| {
            self.behind.unanswered();
            Err(if until < deadline { Fault::Unanswered } else { Fault::Deadline })
        })?;
        let result = read_bind_response(&frame, self.id).map_err(|error| {
            tracing::warn!(client = self.client.client.name, %error, "an odd answer to a bind");
            if let AnswerError::Disconnection { .. } = error { Fault::Unanswered } else { Fault::Garbled }
        })?;
        let answer = BindAnswer { code: result.code, refusal: result.refusal() };
        let passed = finding(Ok(answer)) == Finding::Right;
        let speaks =
            !result.diagnostic.is_empty() || Envelope::read(&frame).is_ok_and(|answer| answer.op.end < frame.len());
        let mut state = self.state();
        (state.passed, state.speaks, state.code) = (passed, speaks, answer.code);
        state.answer = Some(frame);
        if passed {
            state.wire = Some(wire);
            state.password = None;
        }
        Ok(answer)
    }

    async fn exchange(&self, wire: &mut Box<dyn Wire>, dn: &str, password: &Secret) -> Result<Box<[u8]>, Fault> {
        let request = self.request(dn, password);
        let sent = async {
            wire.write_all(&request).await?;
            wire.flush().await
        };
        sent.await.map_err(|_| Fault::Unreachable)?;
        drop(request);
        let mut input = BytesMut::with_capacity(512);
        loop {
            if let Some(length) = frame_length(&input, SMALL_FRAME).map_err(|_| Fault::Garbled)? {
                // What lies behind the answer was not asked for.
                return if length == input.len() { Ok(input.to_vec().into()) } else { Err(Fault::Garbled) };
            }
            match wire.read_buf(&mut input).await {
                Ok(octets) if octets > 0 => {}
                _ => return Err(Fault::Unanswered),
            }
        }
    }

    /// The client's request, as the name that was found and with the password alone.
    fn request(&self, dn: &str, password: &Secret) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::default();
        write_bind_with_controls(&mut out, self.id, (dn.as_bytes(), password.open()), &self.controls);
        out
    }

    /// Whether the configuration names this distinguished name as a program's.
    fn is_service(&self, name: &str) -> bool {
        policy::is_service_dn(&self.client.client.policy.service, name)
    }
}

impl Primary for Own {
    fn identify<'a>(&'a self, typed: &'a str, deadline: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        self.behind.identify_bind(typed, self.is_service(typed), deadline)
    }

    fn try_password<'a>(
        &'a self,
        who: &'a Identity,
        password: &'a Secret,
        deadline: Instant,
    ) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            // A bind without a name or without a password proves nothing and succeeds (RFC 4513 section 5.1.2).
            if who.dn.is_empty() || password.is_empty() {
                return Finding::Wrong(crate::primary::Refusal::WrongPassword);
            }
            let first = finding(self.bind(&who.dn, password, deadline).await);
            match self.behind.judged(who, first, deadline).await {
                Ok(finding) => finding,
                Err(dn) if dn.is_empty() => Finding::Fault(Fault::Garbled),
                Err(dn) => finding(self.bind(&dn, password, deadline).await).at(dn),
            }
        })
    }

    fn member_of_any<'a>(
        &'a self,
        who: &'a Identity,
        groups: &'a [String],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        self.behind.member_of_any(who, groups, deadline)
    }

    fn matches<'a>(
        &'a self,
        who: &'a Identity,
        filter: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        self.behind.matches(who, filter, deadline)
    }
}
