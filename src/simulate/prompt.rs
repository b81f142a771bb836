//! A prompt of a simulated service, and what its log and its counters keep. Pure.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::simulate::scenario::{Decision, Kind, Step};

/// What has come of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has answered yet.
    Pending,
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// It was not them.
    Fraud,
    /// The service has locked the person out.
    Lockout,
    /// No device.
    Undeliverable,
    /// Too late.
    Expired,
    /// Taken back.
    Cancelled,
}

impl State {
    /// The word on the page.
    pub fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Denied => "denied",
            State::Fraud => "fraud",
            State::Lockout => "lockout",
            State::Undeliverable => "undeliverable",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
        }
    }

    pub(super) fn of(decision: Decision) -> Self {
        match decision {
            Decision::Manual | Decision::Never => State::Pending,
            Decision::Approve => State::Approved,
            Decision::Deny => State::Denied,
            Decision::Fraud => State::Fraud,
            Decision::Lockout => State::Lockout,
            Decision::Undeliverable => State::Undeliverable,
        }
    }
}

/// A prompt that is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asking {
    /// The id in the service's protocol. Empty: `p` and a number.
    pub id: String,
    /// Whom.
    pub person: String,
    /// For what.
    pub application: String,
    /// How.
    pub method: String,
    /// Address of the person's device.
    pub address: Option<String>,
    /// Number that the sign-in page must show.
    pub shown: Option<String>,
    /// How long the asker wants it to live; the scenario's time where that is shorter, or nothing is said.
    pub lives: Option<Duration>,
}

/// A prompt.
#[derive(Debug, Clone, Serialize)]
pub struct Prompt {
    /// Counts up from 1.
    pub number: u64,
    /// Its id in the service's protocol.
    pub id: String,
    /// Whom.
    pub person: String,
    /// For what.
    pub application: String,
    /// How.
    pub method: String,
    /// Address of the person's device.
    pub address: Option<String>,
    /// Number that the sign-in page must show.
    pub shown: Option<String>,
    /// What has come of it.
    pub state: State,
    /// How often its state was fetched.
    pub polls: u32,
    /// When it was asked for.
    #[serde(skip)]
    pub created: Instant,
    /// When it expires.
    #[serde(skip)]
    pub expires: Instant,
    #[serde(skip)]
    pub(super) due: Option<(Instant, State)>,
    #[serde(skip)]
    pub(super) then: Option<State>,
}

impl Prompt {
    /// Makes the answer that is due by now count.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.state != State::Pending {
            return;
        }
        match self.due {
            Some((due, state)) if due <= now && due < self.expires => self.state = state,
            _ if self.expires <= now => self.state = State::Expired,
            _ => {}
        }
    }

    /// When its state changes by itself.
    pub(super) fn next(&self) -> Instant {
        self.due.map_or(self.expires, |(due, _)| due.min(self.expires))
    }
}

/// A request, as the log keeps it.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Which step.
    pub step: Step,
    /// Whom it was about.
    pub person: Option<String>,
    /// Method and path.
    pub line: String,
    /// What of it may be shown.
    pub fields: Vec<(&'static str, String)>,
    /// HTTP status of the answer; 0 where there was none.
    pub status: u16,
    /// What went wrong on purpose.
    pub fault: Option<Kind>,
    /// The whole request, where the simulator was told to keep it (in tests).
    #[serde(skip)]
    pub raw: Option<String>,
}

/// How often things happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Tokens fetched.
    pub tokens: u64,
    /// Prompts and codes that went out.
    pub prompts: u64,
    /// Requests for a prompt's state.
    pub polls: u64,
    /// Codes checked.
    pub codes: u64,
    /// Cancellations.
    pub cancels: u64,
    /// Requests refused for their signature, token or form.
    pub refused: u64,
    /// Requests that something was done to on purpose.
    pub faults: u64,
    /// Connections.
    pub connections: u64,
    /// TLS handshakes, full ones.
    pub handshakes: u64,
    /// TLS handshakes that resumed an earlier session.
    pub resumed: u64,
}
