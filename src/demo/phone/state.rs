//! The states of a prompt, as in the protocol. Pure.

use crate::demo::phone::behaviour::Decision;

/// The state of a prompt, as in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has answered yet.
    Pending,
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// It was not them.
    Fraud,
    /// Too late, or cancelled.
    Expired,
    /// No device.
    Undeliverable,
    /// A typed code is wanted.
    NeedsCode,
    /// The typed code is not right.
    WrongCode,
}

impl State {
    /// The word in the protocol.
    pub fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Denied => "denied",
            State::Fraud => "fraud",
            State::Expired => "expired",
            State::Undeliverable => "undeliverable",
            State::NeedsCode => "needs_code",
            State::WrongCode => "wrong_code",
        }
    }
}

impl From<Decision> for State {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Approve => State::Approved,
            Decision::Deny => State::Denied,
            Decision::Fraud => State::Fraud,
            Decision::Undeliverable => State::Undeliverable,
            Decision::NeedsCode => State::NeedsCode,
            Decision::WrongCode => State::WrongCode,
        }
    }
}
