//! What the simulator does with a prompt, and the many ways to do it wrong.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// What a person, or the service, makes of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Deny,
    /// It was not me.
    Fraud,
    /// There is no device, or it cannot be reached.
    Undeliverable,
    /// A typed code is wanted.
    NeedsCode,
    /// The typed code is not right.
    WrongCode,
}

/// When a connection is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before anybody is prompted.
    Before,
    /// After the prompt has gone out.
    After,
}

/// Ways to answer nonsense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// Octets that are not JSON.
    NotJson,
    /// Nothing at all.
    Empty,
    /// A web page.
    Html,
    /// An approval, cut off in the middle.
    Truncated,
    /// An approval in a very long body.
    Huge,
    /// An approval inside a list.
    List,
    /// An approval under an id that is none.
    BadId,
    /// An approval of another sign-in.
    OtherKey,
    /// An approval for another server.
    OtherServer,
    /// A state that nobody knows.
    UnknownState,
    /// State `approved`, and no result.
    NoResult,
    /// State `approved`, result `approved: false`.
    NotApproved,
    /// State `denied`, result `approved: true`.
    DeniedApproved,
    /// State `pending`, result `approved: true`.
    PendingApproved,
    /// Approved by another method than asked.
    OtherMethod,
    /// Approved an hour before it was asked.
    OldTime,
    /// The state alone.
    StateOnly,
    /// The state twice: denied and approved.
    StateTwice,
}

impl Garbage {
    /// Every one, for tests.
    pub const ALL: [Garbage; 18] = [
        Garbage::NotJson,
        Garbage::Empty,
        Garbage::Html,
        Garbage::Truncated,
        Garbage::Huge,
        Garbage::List,
        Garbage::BadId,
        Garbage::OtherKey,
        Garbage::OtherServer,
        Garbage::UnknownState,
        Garbage::NoResult,
        Garbage::NotApproved,
        Garbage::DeniedApproved,
        Garbage::PendingApproved,
        Garbage::OtherMethod,
        Garbage::OldTime,
        Garbage::StateOnly,
        Garbage::StateTwice,
    ];
}

/// What the simulator does when a prompt is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Behaviour {
    /// A person decides on the web page.
    #[default]
    Manual,
    /// Decides by itself. `after_ms` 0: in the answer of the request itself.
    Answer {
        /// What.
        decision: Decision,
        /// Milliseconds after the request.
        #[serde(default)]
        after_ms: u64,
    },
    /// Decides, and `gap_ms` later once more.
    Twice {
        /// What first.
        first: Decision,
        /// What then.
        second: Decision,
        /// Milliseconds after the request.
        #[serde(default)]
        after_ms: u64,
        /// Milliseconds between the two.
        #[serde(default)]
        gap_ms: u64,
    },
    /// Decides only when the prompt has expired, and says nothing of the expiry.
    Late {
        /// What.
        decision: Decision,
        /// Milliseconds after the expiry.
        #[serde(default)]
        after_ms: u64,
    },
    /// Never answers the prompt, not even when it expires.
    Never,
    /// Answers the request with a 5xx status.
    Fail {
        /// Which.
        status: u16,
        /// Whether the prompt goes out nevertheless; also what the answer says.
        #[serde(default)]
        prompt_sent: bool,
    },
    /// Answers the request with 429.
    RateLimit {
        /// Value of Retry-After, in seconds.
        #[serde(default)]
        retry_after: u64,
    },
    /// Answers nonsense: in the answer of the request (`by_event` false) or by event.
    Garbage {
        /// Which.
        garbage: Garbage,
        /// Whether the request is answered `pending` and the nonsense comes by event.
        #[serde(default)]
        by_event: bool,
    },
    /// Drops the connection, for the first `times` requests of each prompt; then approves at once.
    Drop {
        /// When.
        moment: Moment,
        /// For how many requests.
        #[serde(default = "always")]
        times: u32,
    },
    /// Leaves the request without an answer, for the first `times` requests of each prompt; then approves
    /// at once.
    Silent {
        /// For how many requests.
        #[serde(default = "always")]
        times: u32,
    },
}

fn always() -> u32 {
    u32::MAX
}

/// The one-time code of everybody who was not given one of their own. Only a simulator takes it twice.
pub const USUAL_CODE: &str = "123456";

/// The PIN that everybody types on their phone who was not given one of their own.
pub const USUAL_PIN: &str = "40927";

/// The behaviour of each person, and of everybody else.
#[derive(Debug, Default)]
pub struct Behaviours {
    everybody: Behaviour,
    people: HashMap<Box<str>, Behaviour>,
    codes: HashMap<Box<str>, Option<Box<str>>>,
    /// What people type as their PIN.
    pins: HashMap<Box<str>, Typed>,
    /// What people type for a number, where it is not the one that is shown.
    numbers: HashMap<Box<str>, Box<str>>,
}

/// What somebody types on their phone. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Typed(pub(crate) Box<str>);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed(..)")
    }
}

impl Behaviours {
    /// What is done for this login name.
    pub fn of(&self, person: &str) -> Behaviour {
        self.people.get(person).copied().unwrap_or(self.everybody)
    }

    /// Sets it for one person, or for everybody who has none of their own.
    pub fn set(&mut self, person: Option<&str>, behaviour: Behaviour) {
        match person {
            Some(person) => {
                self.people.insert(person.into(), behaviour);
            }
            None => self.everybody = behaviour,
        }
    }

    /// Gives a person a code that is good for one time.
    pub fn give_code(&mut self, person: &str, code: &str) {
        self.codes.insert(person.into(), Some(code.into()));
    }

    /// The PIN that a person types on their phone from now on.
    pub fn give_pin(&mut self, person: &str, pin: &str) {
        self.pins.insert(person.into(), Typed(pin.into()));
    }

    /// The number that a person types on their phone from now on, whatever is shown.
    pub fn give_number(&mut self, person: &str, number: &str) {
        self.numbers.insert(person.into(), number.into());
    }

    /// What a person types as their PIN.
    pub(crate) fn pin(&self, person: &str) -> Typed {
        self.pins.get(person).cloned().unwrap_or_else(|| Typed(USUAL_PIN.into()))
    }

    /// What a person types where this number is shown.
    pub(crate) fn number(&self, person: &str, shown: &str) -> Box<str> {
        self.numbers.get(person).cloned().unwrap_or_else(|| shown.into())
    }

    /// What comes of a typed code.
    pub fn check_code(&mut self, person: &str, typed: Option<&str>) -> Decision {
        let Some(typed) = typed else { return Decision::NeedsCode };
        let own = self.codes.get_mut(person);
        let right = match &own {
            Some(code) => code.as_deref() == Some(typed),
            None => typed == USUAL_CODE,
        };
        if !right {
            return Decision::WrongCode;
        }
        if let Some(used) = own {
            *used = None;
        }
        Decision::Approve
    }
}
