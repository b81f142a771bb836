//! A prompt of the phone simulator, what was asked for it, and how often things happened. Pure.

use std::time::{Duration, Instant};

use crate::demo::phone::behaviour::{Behaviours, Typed};
use crate::demo::phone::state::State;

/// A prompt.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Counts up from 1; the number in its id.
    pub number: u64,
    /// Idempotency key.
    pub key: Box<str>,
    /// Name of the asking server.
    pub server: Box<str>,
    /// Login name of the person.
    pub person: Box<str>,
    /// Application name.
    pub application: Box<str>,
    /// Method.
    pub method: Box<str>,
    /// Address of the person's device.
    pub address: Option<Box<str>>,
    /// When it was asked for.
    pub created: Instant,
    /// When it expires.
    pub expires: Instant,
    /// What has come of it.
    pub state: State,
    /// When it was decided, in seconds since 1970; 0 while it is not.
    pub decided_at: u64,
    /// Requests with its key.
    pub posts: u32,
    /// Whether its server cancelled it.
    pub cancelled: bool,
    /// Whether the person's PIN goes with an approval.
    pub wants_pin: bool,
    /// The number that their client shows, which goes with an approval.
    pub shown: Option<Box<str>>,
    /// The PIN and the number that the person has typed.
    pub(super) typed: (Option<Typed>, Option<Box<str>>),
}

impl Prompt {
    /// Its id in the protocol.
    pub fn id(&self) -> String {
        format!("v{}", self.number)
    }

    /// The PIN and the number that were typed.
    pub(super) fn typed(&self) -> (Option<&str>, Option<&str>) {
        let (pin, number) = &self.typed;
        (pin.as_ref().map(|typed| &*typed.0), number.as_deref())
    }

    /// Notes what the person has typed; whether that is all that goes with an approval.
    pub(super) fn types(&mut self, pin: &str, number: &str) -> bool {
        let pin = (self.wants_pin && !pin.is_empty()).then(|| Typed(pin.into()));
        let number = (self.shown.is_some() && !number.is_empty()).then(|| number.into());
        self.typed = (pin, number);
        self.typed.0.is_some() == self.wants_pin && self.typed.1.is_some() == self.shown.is_some()
    }

    /// An approval that nobody has typed anything for comes with what the person types by themselves.
    pub(super) fn types_by_itself(&mut self, behaviours: &Behaviours) {
        let (pin, number) = &mut self.typed;
        if self.wants_pin && pin.is_none() {
            *pin = Some(behaviours.pin(&self.person));
        }
        if let (Some(shown), None) = (&self.shown, &number) {
            *number = Some(behaviours.number(&self.person, shown));
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) key: Box<str>,
    pub(super) server: Box<str>,
    pub(super) person: Box<str>,
    pub(super) application: Box<str>,
    pub(super) method: Box<str>,
    pub(super) address: Option<Box<str>>,
    pub(super) wants_pin: bool,
    pub(super) number: Option<Box<str>>,
    pub(super) lives: Duration,
}

/// How often things happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Requests for a prompt.
    pub posts: u64,
    /// Requests that asked for several prompts at once. Each of those is counted in `posts`, too.
    pub batches: u64,
    /// Prompts that went out.
    pub prompts: u64,
    /// Approvals.
    pub approved: u64,
    /// Other final states.
    pub refused: u64,
    /// Cancellations by id or key.
    pub cancels: u64,
    /// Requests for one state.
    pub polls: u64,
    /// Event streams opened.
    pub streams: u64,
    /// Requests without a valid signature.
    pub unsigned: u64,
    /// Requests whose signature had been seen before.
    pub replayed: u64,
}
