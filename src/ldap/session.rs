//! One connection of an LDAP client: message in, step out. Pure.
//!
//! ```text
//! request ─ unbind                      ─▶ End
//!         ─ StartTLS                    ─▶ StartTls | Answer
//!         ─ bind: who needs no password ─▶ RelayBind | Refuse
//!                 a name and a password ─▶ Bind … bound(…)
//!         ─ while a bind is under way   ─▶ Later, Supersede, End
//!         ─ everything else             ─▶ Forward, untouched
//! response ─ of the rootDSE, of a relayed bind ─▶ Whole
//!          ─ everything else                   ─▶ Pass
//! ```
//!
//! [`Session::request`] only judges; [`Session::forwarded`], [`Session::begin_bind`] and the like say what became of
//! it. So a request that cannot be served yet is simply judged again later.

use super::bind::{Authentication, BindRequest, VERSION, write_bind_response};
use super::message::{Envelope, Head, op};
use super::result::{code, oid, write_extended_response, write_response};
use crate::config::{Anonymous, LdapLimits, Sasl};

pub(super) use look::is_clear;
use look::{abandoned, is_bare, is_harmless, is_root_search, is_start_tls, response_tag, wants_extensions};

mod look;

/// What a connection may do, by its client and how it came.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Passwords are taken without TLS.
    pub plaintext: bool,
    /// What is allowed to nobody in particular.
    pub anonymous: Anonymous,
    /// What becomes of SASL binds.
    pub sasl: Sasl,
    /// Whether StartTLS is offered.
    pub start_tls: bool,
    /// Bounds.
    pub limits: LdapLimits,
}

/// What is to be done about a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Pass it on as it is.
    Forward,
    /// Nothing: it has no effect and no answer.
    Drop,
    /// Answer with this.
    Answer(Vec<u8>),
    /// Answer with this, and throw away the directory connection: nobody is bound any more.
    Refuse(Vec<u8>),
    /// A bind with a name and a password.
    Bind,
    /// Pass a bind on, and nothing more before its answer.
    RelayBind(Relayed),
    /// Wait until the directory has answered what is outstanding, then judge again.
    Drain,
    /// Wait until the bind under way is done, then judge again.
    Later,
    /// Another bind comes while one is held: end the held one, then judge again.
    Supersede,
    /// Answer with this; then the handshake begins.
    StartTls(Vec<u8>),
    /// Send this, if anything, and close.
    End(Option<Vec<u8>>),
}

/// A bind that carries no password of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relayed {
    /// Without a name.
    Anonymous,
    /// SASL.
    Sasl,
    /// A program's account, whose last full sign-in still stands.
    Service,
}

/// What is to be done about a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Pass it on as it comes, in pieces if it is large.
    Pass,
    /// An entry of the rootDSE: needed whole, to be edited.
    Root,
    /// The answer to a relayed bind: needed whole.
    BindAnswer(Relayed),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    No,
    /// A relayed bind of this message id.
    Relayed(u32, Relayed),
    /// A sign-in for the bind of this message id.
    Held(u32),
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    rules: Rules,
    tls: bool,
    bound: bool,
    busy: Busy,
    /// Message ids that the directory has yet to answer.
    outstanding: Vec<u32>,
    /// Searches of the rootDSE among them.
    roots: Vec<Root>,
    /// Whether a whole request has come.
    begun: bool,
    /// Octets may follow that are no LDAP: a SASL mechanism may have put a layer of its own in between.
    layered: bool,
}

impl Session {
    /// A new connection; `tls`: protected from the first octet.
    pub fn new(rules: Rules, tls: bool) -> Self {
        Session {
            rules,
            tls,
            bound: false,
            busy: Busy::No,
            outstanding: Vec::new(),
            roots: Vec::new(),
            begun: false,
            layered: false,
        }
    }

    /// Judges a request. `frame` is all of it, or its beginning where it is too large to be kept.
    pub fn request(&self, frame: &[u8], head: &Head) -> Step {
        let (id, tag) = (head.message_id, head.op_tag);
        match (tag, self.busy) {
            (op::UNBIND_REQUEST, _) => return Step::End(None),
            (op::BIND_REQUEST, Busy::Held(_)) => return Step::Supersede,
            // RFC 4511 section 4.11: a bind cannot be abandoned.
            (op::ABANDON_REQUEST, Busy::Relayed(bind, _) | Busy::Held(bind)) if abandoned(frame) == Some(bind) => {
                return Step::Drop;
            }
            (_, Busy::Relayed(..) | Busy::Held(_)) => return Step::Later,
            (_, Busy::No) => {}
        }
        if id == 0 {
            return Step::End(Some(notice(code::PROTOCOL_ERROR, "message id 0 is the server's")));
        }
        match tag {
            op::BIND_REQUEST => self.bind(frame, head),
            op::ABANDON_REQUEST => Step::Forward,
            op::EXTENDED_REQUEST if is_start_tls(frame) => self.start_tls(frame, id),
            _ => self.operation(frame, head),
        }
    }

    fn operation(&self, frame: &[u8], head: &Head) -> Step {
        let Some(response) = response_tag(head.op_tag) else {
            return Step::End(Some(notice(code::PROTOCOL_ERROR, "that is no request")));
        };
        let answer = |code, text: &str| {
            let mut out = Vec::new();
            write_response(&mut out, head.message_id, response, code, "", text);
            Step::Answer(out)
        };
        if self.outstanding.len() >= self.rules.limits.outstanding {
            return answer(code::BUSY, "too many operations are outstanding on this connection");
        }
        // Of a large request only the beginning can be seen, and then it is not known to be harmless.
        let harmless = match head.op_tag {
            op::EXTENDED_REQUEST => is_harmless(frame),
            _ => is_root_search(frame, head),
        };
        if self.rules.anonymous == Anonymous::Refuse && !self.bound && !harmless {
            return answer(code::STRONGER_AUTH_REQUIRED, "a bind is required");
        }
        Step::Forward
    }

    fn bind(&self, frame: &[u8], head: &Head) -> Step {
        let id = head.message_id;
        let request = Envelope::read(frame).and_then(|envelope| BindRequest::read(envelope.operation(frame)));
        let Ok(request) = request else {
            return Step::End(Some(notice(code::PROTOCOL_ERROR, "a malformed bind")));
        };
        let refuse = |code, text: &str| {
            let mut out = Vec::new();
            write_bind_response(&mut out, id, code, text);
            Step::Refuse(out)
        };
        let protected = self.tls || self.rules.plaintext;
        let step = match request.authentication {
            _ if request.version != VERSION => return refuse(code::PROTOCOL_ERROR, "LDAP version 3 only"),
            Authentication::Other => return refuse(code::AUTH_METHOD_NOT_SUPPORTED, OTHER_REFUSED),
            Authentication::Sasl { .. } if self.rules.sasl == Sasl::Refuse => {
                return refuse(code::AUTH_METHOD_NOT_SUPPORTED, SASL_REFUSED);
            }
            // It would be Anteroom's own connection that speaks for the client.
            Authentication::Sasl { mechanism, .. } if mechanism.eq_ignore_ascii_case(b"EXTERNAL") => {
                return refuse(code::AUTH_METHOD_NOT_SUPPORTED, "EXTERNAL cannot pass a proxy");
            }
            Authentication::Sasl { mechanism, .. } if !protected && is_clear(mechanism) => {
                return refuse(code::CONFIDENTIALITY_REQUIRED, TLS_FIRST);
            }
            Authentication::Sasl { .. } => Step::RelayBind(Relayed::Sasl),
            Authentication::Simple([]) if request.name.is_empty() => match self.rules.anonymous {
                Anonymous::Allow => Step::RelayBind(Relayed::Anonymous),
                Anonymous::Refuse => return refuse(code::INAPPROPRIATE_AUTHENTICATION, "anonymous binds are refused"),
            },
            // It has no password that could be overheard; the sign-in refuses it and leaves its trace.
            Authentication::Simple([]) => Step::Bind,
            Authentication::Simple(_) if !protected => return refuse(code::CONFIDENTIALITY_REQUIRED, TLS_FIRST),
            Authentication::Simple(_) => Step::Bind,
        };
        // RFC 4511 section 4.2.1: what is outstanding completes, or is abandoned, before a bind.
        if self.outstanding.is_empty() { step } else { Step::Drain }
    }

    fn start_tls(&self, frame: &[u8], id: u32) -> Step {
        let mut out = Vec::new();
        let mut answer =
            |result: (u32, &str)| write_extended_response(&mut out, id, result, Some(oid::START_TLS), None);
        if !is_bare(frame) {
            answer((code::PROTOCOL_ERROR, "StartTLS has no value"));
        } else if self.tls {
            answer((code::OPERATIONS_ERROR, "TLS is established already"));
        } else if !self.rules.start_tls {
            answer((code::PROTOCOL_ERROR, "StartTLS is not offered here"));
        } else if !self.outstanding.is_empty() {
            answer((code::OPERATIONS_ERROR, "operations are outstanding"));
        } else {
            answer((code::SUCCESS, ""));
            return Step::StartTls(out);
        }
        Step::Answer(out)
    }

    /// A request has been passed on.
    pub fn forwarded(&mut self, frame: &[u8], head: &Head) {
        self.begun = true;
        match head.op_tag {
            op::ABANDON_REQUEST => {
                if let Some(id) = abandoned(frame) {
                    self.settle(id);
                }
            }
            op::SEARCH_REQUEST => {
                self.outstanding.push(head.message_id);
                if is_root_search(frame, head) {
                    let extensions = wants_extensions(frame, head);
                    self.roots.push(Root { id: head.message_id, extensions });
                }
            }
            _ => self.outstanding.push(head.message_id),
        }
    }

    /// A whole request has come, whatever became of it.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// A sign-in has begun for the bind of this message id.
    pub fn begin_bind(&mut self, id: u32) {
        (self.begun, self.bound, self.busy) = (true, false, Busy::Held(id));
    }

    /// A bind has been passed on.
    pub fn begin_relayed(&mut self, id: u32, what: Relayed) {
        (self.begun, self.bound, self.busy) = (true, false, Busy::Relayed(id, what));
    }

    /// The bind under way is over.
    pub fn bound(&mut self, bound: bool) {
        (self.bound, self.busy) = (bound, Busy::No);
    }

    /// The answer to a relayed bind has come. After a SASL success octets may follow that are no LDAP.
    pub fn relayed(&mut self, what: Relayed, result: u32) {
        let success = result == code::SUCCESS;
        self.layered |= success && what == Relayed::Sasl;
        self.bound(success && what != Relayed::Anonymous);
    }

    /// The directory connection is gone: nobody is bound, and nothing of what was asked will be answered.
    pub fn lost_directory(&mut self) {
        self.bound = false;
        self.outstanding.clear();
        self.roots.clear();
    }

    /// TLS is established.
    pub fn protected(&mut self) {
        self.tls = true;
    }

    /// The message id of the bind under way.
    pub fn binding(&self) -> Option<u32> {
        match self.busy {
            Busy::No => None,
            Busy::Relayed(id, _) | Busy::Held(id) => Some(id),
        }
    }

    /// Whether somebody is bound.
    pub fn is_bound(&self) -> bool {
        self.bound
    }

    /// Whether a bind is held.
    pub fn is_held(&self) -> bool {
        matches!(self.busy, Busy::Held(_))
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.busy == Busy::No && self.outstanding.is_empty()
    }

    /// Whether the directory has answered all that was passed on.
    pub fn is_drained(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Whether a whole request has come.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the next octets may be no LDAP, as a SASL bind may have put a layer of its own in between. Asked
    /// for the first octet after it: a layer's is the length of its buffer, which is never so long that it looks like
    /// the start of a message.
    pub fn is_layered(&self) -> bool {
        self.layered
    }

    /// The first octet behind a SASL bind was that of a message: there is no layer.
    pub fn no_layer(&mut self) {
        self.layered = false;
    }

    /// How long a request may be now.
    pub fn longest(&self) -> usize {
        let limits = &self.rules.limits;
        if self.bound { limits.max_message } else { limits.max_message_before_bind.min(limits.max_message) }
    }

    /// The bounds of this connection.
    pub fn limits(&self) -> &LdapLimits {
        &self.rules.limits
    }

    /// What the rootDSE is to say of StartTLS and SASL.
    pub fn offers(&self, id: u32) -> Offers {
        Offers {
            start_tls: self.rules.start_tls && !self.tls,
            sasl: self.rules.sasl == Sasl::Relay,
            sasl_clear: self.tls || self.rules.plaintext,
            extensions: self.roots.iter().any(|root| root.id == id && root.extensions),
        }
    }

    /// Judges a response, and notes what it ends.
    pub fn response(&mut self, head: &Head) -> Reply {
        match head.op_tag {
            op::SEARCH_ENTRY if self.roots.iter().any(|root| root.id == head.message_id) => Reply::Root,
            op::SEARCH_ENTRY | op::SEARCH_REFERENCE | op::INTERMEDIATE_RESPONSE => Reply::Pass,
            op::BIND_RESPONSE => match self.busy {
                Busy::Relayed(id, what) if id == head.message_id => Reply::BindAnswer(what),
                _ => Reply::Pass,
            },
            _ => {
                self.settle(head.message_id);
                Reply::Pass
            }
        }
    }

    fn settle(&mut self, id: u32) {
        // Mostly the oldest: servers answer in order where they can.
        if let Some(place) = self.outstanding.iter().position(|known| *known == id) {
            self.outstanding.remove(place);
            self.roots.retain(|root| root.id != id);
        }
        if self.outstanding.is_empty() && self.outstanding.capacity() > KEPT_IDS {
            self.outstanding = Vec::new();
        }
    }

    /// An answer for a request that cannot be served: the directory is away, or there is no room. `None` where
    /// the request has no answer.
    pub fn unserved(head: &Head, code: u32, text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        write_response(&mut out, head.message_id, response_tag(head.op_tag)?, code, "", text);
        Some(out)
    }
}

/// What the rootDSE is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    /// StartTLS.
    pub start_tls: bool,
    /// SASL mechanisms of the directory, save EXTERNAL.
    pub sasl: bool,
    /// Among them those that send a password as it is.
    pub sasl_clear: bool,
    /// Whether extensions were asked for by name: then they are told even where the directory has none.
    pub extensions: bool,
}

/// A search of the rootDSE.
#[derive(Debug, Clone, Copy)]
struct Root {
    id: u32,
    extensions: bool,
}

/// The Notice of Disconnection (RFC 4511 section 4.4.1).
pub fn notice(code: u32, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_extended_response(&mut out, 0, (code, text), Some(oid::DISCONNECTION), None);
    out
}

/// Ids that are kept room for while nothing is outstanding.
const KEPT_IDS: usize = 16;

const TLS_FIRST: &str = "passwords are taken over TLS only: use StartTLS or ldaps";

const OTHER_REFUSED: &str = "neither a simple bind nor SASL: bind with a name and a password";

const SASL_REFUSED: &str =
    "SASL binds carry no second factor: bind with a name and a password, or have sasl = \"relay\" set for this client";

#[cfg(test)]
mod tests;
