//! From the client to the directory: each request is judged; what is no bind leaves as it came.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;
use zeroize::{Zeroize, Zeroizing};

use super::binding::{Asking, Binding, response};
use super::outbox::Outbox;
use super::wiped::take_out;
use super::{CONNECT, Event, Link, Moved, PEEK, SCRATCH, WHOLE, Work};
use crate::config::ServiceAccounts;
use crate::ldap::ber::SEQUENCE;
use crate::ldap::bind::{Authentication, BindRequest, write_bind_with_controls};
use crate::ldap::message::{Envelope, FrameError, Head, Nesting, check, op};
use crate::ldap::result::code;
use crate::ldap::session::{Relayed, Session, Step, notice};
use crate::ldap::shed::Cause;
use crate::signin::standing::StandKey;

impl Link {
    /// From the client to the directory.
    pub(super) fn poll_up(&mut self, context: &mut Context<'_>) -> Moved {
        if let Some(directory) = &mut self.directory
            && self.to_directory.flush(directory.as_mut(), context).is_err()
        {
            return Err(self.directory_closed());
        }
        let full = self.from_client.len() >= self.session.limits().buffered.max(WHOLE);
        let halted = self.stopping && !self.session.is_held() || self.start_tls;
        if !self.to_directory.is_empty() || !self.to_client.has_room() || halted || (full && !self.session.is_held()) {
            return Ok(false);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut room = ReadBuf::new(scratch);
            match Pin::new(&mut self.client).poll_read(context, &mut room) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {}
                Poll::Ready(_) => return Err(Event::End(None)),
            }
            let octets = room.filled().len();
            self.last = Instant::now();
            let kept = self.from_client.len();
            let moved = self.take(scratch.get(..octets).unwrap_or_default(), context);
            // The same request still, if nothing was served.
            self.note_owed(kept > 0 && self.from_client.len() == kept + octets);
            if !self.session.is_bound() || !self.from_client.is_empty() {
                // A password may have been in it.
                scratch.get_mut(..octets).unwrap_or_default().zeroize();
            }
            moved
        })
    }

    /// Notes whether the client has begun a request and owes the rest of it: an octet now and then is no reason to wait for
    /// ever. What passes on as it comes is not counted, nor what waits for its turn.
    fn note_owed(&mut self, is_the_same: bool) {
        if !self.session.has_begun() {
            return;
        }
        let is_owed = !self.from_client.is_empty()
            && !self.stalled()
            && !self.opaque
            && matches!(self.next_request(&self.from_client), Ok(None));
        self.owed = is_owed.then(|| self.owed.filter(|_| is_the_same).unwrap_or_else(Instant::now));
    }

    /// Takes what has just come from the client.
    fn take(&mut self, octets: &[u8], context: &mut Context<'_>) -> Moved {
        if self.opaque {
            self.send_up(octets, context)?;
            return Ok(true);
        }
        if !self.from_client.is_empty() || self.stalled() {
            self.keep(octets);
            return if self.stalled() { self.scan_waiting().map(|()| true) } else { self.serve_waiting(context) };
        }
        let consumed = self.serve(octets, context)?;
        self.keep(octets.get(consumed..).unwrap_or_default());
        self.scan_waiting()?;
        Ok(true)
    }

    /// Keeps octets for later. There may be a password in them: what is outgrown is wiped.
    fn keep(&mut self, octets: &[u8]) {
        let needed = self.from_client.len() + octets.len();
        if needed > self.from_client.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.from_client);
            self.from_client = larger;
        }
        self.from_client.extend_from_slice(octets);
    }

    /// Whether requests wait for something.
    fn stalled(&self) -> bool {
        self.work.is_some() || self.draining.is_some() || self.session.binding().is_some()
    }

    /// Serves whole requests, and the beginnings of large ones. Returns how many octets need no more attention.
    pub(super) fn serve(&mut self, input: &[u8], context: &mut Context<'_>) -> Result<usize, Event> {
        let (mut at, mut run) = (0, 0);
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            if self.passing_up > 0 {
                let passing = self.passing_up.min(rest.len());
                self.look_inside(rest.get(..passing).unwrap_or_default())?;
                self.passing_up -= passing;
                at += passing;
                continue;
            }
            if self.session.is_layered() {
                if rest.first() == Some(&SEQUENCE) {
                    self.session.no_layer();
                } else {
                    self.opaque = true;
                    at = input.len();
                    break;
                }
            }
            let Some((head, frame)) = self.next_request(rest)? else { break };
            let length = frame.len();
            match self.session.request(frame, &head) {
                Step::Forward if self.directory.is_some() => {
                    self.session.forwarded(frame, &head);
                    self.passing_up = head.length - length;
                    if self.passing_up > 0 {
                        let deepest = self.session.limits().max_depth;
                        self.nesting = Some(Box::new(Nesting::new(head.length, head.start, deepest)));
                        self.look_inside(frame)?;
                    }
                    at += length;
                    continue;
                }
                step => {
                    self.send_up(input.get(run..at).unwrap_or_default(), context)?;
                    if !self.act(step, (frame, &head), context)? {
                        return Ok(at);
                    }
                    at += length;
                    run = at;
                    if self.start_tls {
                        // What is behind it must not be taken for a request.
                        return Ok(at);
                    }
                }
            }
        }
        self.send_up(input.get(run..at).unwrap_or_default(), context)?;
        Ok(at)
    }

    /// Looks at a piece of a large request, which is bound like a small one. The directory sees a broken connection
    /// where it is not.
    fn look_inside(&mut self, piece: &[u8]) -> Result<(), Event> {
        let looked = self.nesting.as_mut().map_or(Ok(()), |nesting| nesting.look(piece));
        looked.map_err(|error| Event::Shed(self.overstepped(&error)))
    }

    /// Which bound a message does not keep, if it is one at all.
    fn overstepped(&self, error: &FrameError) -> Cause {
        match error {
            FrameError::TooLong { limit, .. } if *limit < self.session.limits().max_message => {
                Cause::MaxMessageBeforeBind
            }
            FrameError::TooLong { .. } => Cause::MaxMessage,
            FrameError::TooDeep => Cause::MaxDepth,
            FrameError::NotAMessage { .. } | FrameError::Malformed(_) => Cause::NotLdap,
        }
    }

    /// The request that `rest` starts with, or its beginning where it is large; `None` while too little of it is there.
    fn next_request<'a>(&self, rest: &'a [u8]) -> Result<Option<(Head, &'a [u8])>, Event> {
        let refuse = |error: FrameError| {
            tracing::debug!(client = self.config.client.name, source = %self.source, %error, "refused a request");
            Event::Shed(self.overstepped(&error))
        };
        let Some(head) = Head::read(rest, self.session.longest()).map_err(refuse)? else { return Ok(None) };
        if let Some(frame) = rest.get(..head.length) {
            let bind = head.op_tag == op::BIND_REQUEST;
            if bind && head.length > self.session.limits().max_message_before_bind {
                return Err(Event::Shed(Cause::MaxMessageBeforeBind));
            }
            check(frame, &head, self.session.limits().max_depth).map_err(refuse)?;
            return Ok(Some((head, frame)));
        }
        let large = head.length > WHOLE && head.op_tag != op::BIND_REQUEST && head.op_tag != op::ABANDON_REQUEST;
        if !large && head.length > self.session.limits().max_message_before_bind.max(WHOLE) {
            return Err(Event::Shed(Cause::MaxMessageBeforeBind));
        }
        Ok((large && rest.len() >= PEEK && self.session.binding().is_none()).then_some((head, rest)))
    }

    /// Does what the session says. False: the request waits where it is.
    fn act(&mut self, step: Step, (frame, head): (&[u8], &Head), context: &mut Context<'_>) -> Result<bool, Event> {
        match step {
            Step::Forward => {
                self.connect();
                return Ok(false);
            }
            Step::Drop => {}
            Step::Answer(_) if frame.len() < head.length => {
                return Err(Event::End(Some(notice(code::BUSY, "a large request cannot be served now"))));
            }
            Step::Answer(answer) => {
                self.session.begin();
                self.to_client.push(&answer);
            }
            Step::Refuse(answer) => {
                self.drop_directory();
                self.session.begin();
                self.to_client.push(&answer);
            }
            Step::Bind => return self.begin_bind(frame, head, context),
            Step::RelayBind(what) => {
                if self.directory.is_none() {
                    self.connect();
                    return Ok(false);
                }
                self.session.begin_relayed(head.message_id, what);
                self.mechanism = (what == Relayed::Sasl).then(|| mechanism(frame));
                self.send_up(frame, context)?;
            }
            Step::Drain => {
                self.draining.get_or_insert_with(Instant::now);
                return Ok(false);
            }
            Step::Later | Step::Supersede => return Ok(false),
            Step::StartTls(answer) => {
                self.session.begin();
                self.to_client.push(&answer);
                self.start_tls = true;
            }
            Step::End(last_words) => {
                if head.op_tag == op::UNBIND_REQUEST {
                    // The directory hears of it where that needs no waiting.
                    let _ = self.send_up(frame, context);
                }
                return Err(Event::End(last_words));
            }
        }
        Ok(true)
    }

    fn connect(&mut self) {
        if self.work.is_none() {
            let behind = Arc::clone(&self.behind);
            let deadline = (Instant::now() + CONNECT).into_std();
            self.work = Some(Work::Connect(Box::pin(async move { behind.connect(&mut Vec::new(), deadline).await })));
        }
    }

    /// A bind with a name and a password. False: it waits for a connection.
    fn begin_bind(&mut self, frame: &[u8], head: &Head, context: &mut Context<'_>) -> Result<bool, Event> {
        let key = self.stand_key(frame);
        let standing = key.and_then(|key| self.surroundings.sign_ins.stands(&key));
        if let (Some(key), Some(standing)) = (key, standing) {
            if self.directory.is_none() {
                self.connect();
                return Ok(false);
            }
            self.session.begin_relayed(head.message_id, Relayed::Service);
            self.standing = Some(key);
            let renamed = renamed(frame, standing.dn());
            self.send_up(renamed.as_ref().map_or(frame, |renamed| renamed), context)?;
            return Ok(true);
        }
        let wire = self.directory.take();
        self.to_directory = Outbox::wiping();
        self.session.lost_directory();
        let asking = Asking { client: &self.config, behind: &self.behind, source: self.source, key };
        match Binding::read(&asking, frame, wire) {
            Some(binding) => {
                self.session.begin_bind(head.message_id);
                self.work = Some(Work::Bind(Box::pin(binding.run(Arc::clone(&self.surroundings)))));
            }
            None => {
                self.session.begin();
                self.to_client.push(&response(head.message_id, code::UNAVAILABLE, ""));
            }
        }
        Ok(true)
    }

    /// What an earlier sign-in of a program is found by; `None` where the client has no such accounts.
    fn stand_key(&self, frame: &[u8]) -> Option<StandKey> {
        let client = &self.config.client;
        if client.policy.service == ServiceAccounts::default() {
            return None;
        }
        let envelope = Envelope::read(frame).ok()?;
        let request = BindRequest::read(envelope.operation(frame)).ok()?;
        let Authentication::Simple(password) = request.authentication else { return None };
        Some(self.surroundings.sign_ins.stand_key(client, self.source, request.name, password))
    }

    /// Looks through what waits behind a bind that is under way: an unbind ends it, another bind takes its place.
    pub(super) fn scan_waiting(&mut self) -> Result<(), Event> {
        let Some(bind) = self.session.binding() else { return Ok(()) };
        let most = self.session.limits().buffered;
        while let Some(rest) = self.from_client.get(self.waiting..).filter(|rest| !rest.is_empty()) {
            let Some((head, frame)) = self.next_request(rest)? else { break };
            let (length, step) = (frame.len(), self.session.request(frame, &head));
            match step {
                Step::End(last_words) => return Err(Event::End(last_words)),
                Step::Supersede => {
                    self.work = None;
                    self.session.bound(false);
                    self.to_client.push(&response(bind, code::OPERATIONS_ERROR, "another bind took its place"));
                    // What waits is served as if the held bind had failed; see `poll_work`.
                    self.draining = Some(self.last);
                    return Ok(());
                }
                _ if self.waiting + length > most => {
                    if let Some(answer) = Session::unserved(&head, code::BUSY, "a bind is under way") {
                        self.to_client.push(&answer);
                    }
                    take_out(&mut self.from_client, self.waiting..self.waiting + length);
                }
                _ => self.waiting += length,
            }
        }
        if self.from_client.len() > most.saturating_add(self.session.limits().max_message_before_bind) {
            return Err(Event::Shed(Cause::Buffered));
        }
        Ok(())
    }

    fn send_up(&mut self, octets: &[u8], context: &mut Context<'_>) -> Result<(), Event> {
        match &mut self.directory {
            Some(directory) if !octets.is_empty() => {
                let sent = self.to_directory.send(directory.as_mut(), octets, context);
                sent.map_err(|_| self.directory_closed())
            }
            _ => Ok(()),
        }
    }
}

/// What a SASL bind names as its mechanism (RFC 4422 section 3.1: 20 letters, digits, `-` and `_` at most), for the audit.
fn mechanism(frame: &[u8]) -> Box<str> {
    let named = Envelope::read(frame).ok().and_then(|envelope| {
        match BindRequest::read(envelope.operation(frame)).ok()?.authentication {
            Authentication::Sasl { mechanism, .. } => Some(mechanism),
            _ => None,
        }
    });
    let is_known = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    named.unwrap_or_default().iter().copied().filter(is_known).take(20).map(char::from).collect::<String>().into()
}

/// The bind with the name that was found for it; `None` where it has that name already.
fn renamed(frame: &[u8], dn: &str) -> Option<Zeroizing<Vec<u8>>> {
    let envelope = Envelope::read(frame).ok()?;
    let request = BindRequest::read(envelope.operation(frame)).ok()?;
    let Authentication::Simple(password) = request.authentication else { return None };
    if request.name.eq_ignore_ascii_case(dn.as_bytes()) {
        return None;
    }
    let mut out = Zeroizing::default();
    let controls = frame.get(envelope.op.end..).unwrap_or_default();
    write_bind_with_controls(&mut out, envelope.message_id, (dn.as_bytes(), password), controls);
    Some(out)
}
