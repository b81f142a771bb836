//! From the directory to the client: heads are looked at, and all but a rootDSE and the answer to a relayed bind passes
//! as it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::binding::response;
use super::{Event, LONGEST_EDITED, Link, Moved, SCRATCH, garbled};
use crate::ldap::ber::SEQUENCE;
use crate::ldap::bind::read_bind_response;
use crate::ldap::message::Head;
use crate::ldap::result::{LdapResult, code};
use crate::ldap::root;
use crate::ldap::session::{Relayed, Reply};
use crate::signin::standing::StandKey;

impl Link {
    /// From the directory to the client.
    pub(super) fn poll_down(&mut self, context: &mut Context<'_>) -> Moved {
        let waited = !self.to_client.is_empty();
        self.to_client.flush(self.client.as_mut(), context).map_err(|_| Event::End(None))?;
        if !self.to_client.is_empty() {
            return Ok(false);
        }
        // There is room again: requests that waited for it are read in the next round.
        SCRATCH.with_borrow_mut(|scratch| {
            let Some(directory) = &mut self.directory else { return Ok(waited) };
            let mut room = ReadBuf::new(scratch);
            match Pin::new(directory).poll_read(context, &mut room) {
                Poll::Pending => return Ok(waited),
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {}
                Poll::Ready(_) => return Err(self.directory_closed()),
            }
            self.last = Instant::now();
            self.receive(room.filled(), context)?;
            Ok(true)
        })
    }

    /// What the directory has said has passed, a notice of its own too. None of ours comes behind it: libraries that
    /// connect again by themselves, as python-ldap's, do so after the bare end of a connection only.
    pub(super) fn directory_closed(&mut self) -> Event {
        if let Some(bind) = self.session.binding() {
            self.to_client.push(&response(bind, code::UNAVAILABLE, "the directory closed the connection"));
        }
        Event::End(None)
    }

    /// Takes what has just come from the directory.
    fn receive(&mut self, octets: &[u8], context: &mut Context<'_>) -> Result<(), Event> {
        if self.opaque {
            return self.send_down(octets, context);
        }
        if self.from_directory.is_empty() {
            let consumed = self.pass_down(octets, context)?;
            self.from_directory.extend_from_slice(octets.get(consumed..).unwrap_or_default());
            return Ok(());
        }
        let mut kept = std::mem::take(&mut self.from_directory);
        kept.extend_from_slice(octets);
        let consumed = self.pass_down(&kept, context)?;
        kept.drain(..consumed);
        if !kept.is_empty() {
            self.from_directory = kept;
        }
        Ok(())
    }

    fn pass_down(&mut self, input: &[u8], context: &mut Context<'_>) -> Result<usize, Event> {
        let (mut at, mut run) = (0, 0);
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            if self.passing_down > 0 {
                let passing = self.passing_down.min(rest.len());
                self.passing_down -= passing;
                at += passing;
                continue;
            }
            if self.session.is_layered() && rest.first() != Some(&SEQUENCE) {
                self.opaque = true;
                at = input.len();
                break;
            }
            let Some(head) = Head::read(rest, usize::MAX).map_err(|_| garbled())? else { break };
            let reply = self.session.response(&head);
            if reply == Reply::Pass {
                let there = head.length.min(rest.len());
                self.passing_down = head.length - there;
                at += there;
                continue;
            }
            if head.length > LONGEST_EDITED {
                return Err(garbled());
            }
            let Some(frame) = rest.get(..head.length) else { break };
            self.send_down(input.get(run..at).unwrap_or_default(), context)?;
            self.edit(reply, frame, &head, context)?;
            at += head.length;
            run = at;
        }
        self.send_down(input.get(run..at).unwrap_or_default(), context)?;
        Ok(at)
    }

    fn edit(&mut self, reply: Reply, frame: &[u8], head: &Head, context: &mut Context<'_>) -> Result<(), Event> {
        match reply {
            Reply::Pass => self.send_down(frame, context),
            Reply::Root => {
                let edited = root::edited(frame, self.session.offers(head.message_id)).map_err(|_| garbled())?;
                self.send_down(edited.as_deref().unwrap_or(frame), context)
            }
            Reply::BindAnswer(what) => {
                let result = read_bind_response(frame, head.message_id).map_err(|_| garbled())?;
                // What waits for this bind is served in the next round.
                self.draining = (!self.from_client.is_empty()).then_some(self.last);
                if let Some(key) = self.standing.take() {
                    return self.service_answer(&key, frame, &result, context);
                }
                if let Some(mechanism) = self.mechanism.take() {
                    self.tell_of_sasl(&mechanism, &result);
                }
                self.session.relayed(what, result.code);
                self.send_down(frame, context)
            }
        }
    }

    /// Leaves the audit's event of a SASL bind that has come to its end.
    fn tell_of_sasl(&self, mechanism: &str, result: &LdapResult<'_>) {
        let said = match result.code {
            code::SASL_BIND_IN_PROGRESS => return,
            code::SUCCESS => Ok(()),
            code::INVALID_CREDENTIALS => Err(Some(result.refusal())),
            _ => Err(None),
        };
        let (client, source) = (&self.config.client, self.source);
        if said.is_ok() {
            tracing::warn!(client = client.name, %source, mechanism, "a SASL bind was accepted without a second factor");
        }
        self.surroundings.sign_ins.passed_on(client, source, mechanism, said);
    }

    /// The directory's answer to the bind of a program whose sign-in stands.
    fn service_answer(
        &mut self,
        key: &StandKey,
        frame: &[u8],
        result: &LdapResult<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Event> {
        let sign_ins = &self.surroundings.sign_ins;
        if result.code == code::SUCCESS {
            sign_ins.stood(key);
            self.session.relayed(Relayed::Service, result.code);
            return self.send_down(frame, context);
        }
        let id = self.session.binding().unwrap_or_default();
        let wrong = result.code == code::INVALID_CREDENTIALS;
        if wrong {
            sign_ins.fell(key, result.refusal());
        } else {
            sign_ins.unsettled(key);
        }
        self.session.bound(false);
        self.drop_directory();
        match (wrong, self.config.explain_refusals) {
            (true, true) => self.send_down(frame, context),
            (true, false) => self.send_down(&response(id, code::INVALID_CREDENTIALS, ""), context),
            (false, _) => self.send_down(&response(id, code::UNAVAILABLE, ""), context),
        }
    }

    fn send_down(&mut self, octets: &[u8], context: &mut Context<'_>) -> Result<(), Event> {
        if octets.is_empty() {
            return Ok(());
        }
        self.to_client.send(self.client.as_mut(), octets, context).map_err(|_| Event::End(None))
    }
}
