//! Trials of challenge rounds: what is asked after the password, and what becomes of what is typed.

use super::{Behaviour, Decision, From, Heard, Row, answer, answers, heard, last_reason};
use crate::demo::directory::DEMO_PASSWORD;
use crate::demo::{DEMO_PIN, Demo};
use crate::radius::attribute::STATE;
use crate::radius::client::Request;
use crate::radius::packet::Code;
use crate::secret::Secret;
use crate::signin::attempt::Door;
use crate::signin::outcome::Reason;

/// Who takes part.
pub(super) const PEOPLE: [&str; 9] =
    ["asked", "second", "thrice", "again", "altered", "chooses", "beside", "pinned", "forgets"];

/// Who of them has a PIN.
pub(super) const IN_PIN_MODE: [&str; 2] = ["pinned", "forgets"];

/// A State as it comes back.
type Change = fn(&mut Vec<u8>);

/// One sign-in in several rounds.
struct Conversation {
    what: &'static str,
    person: &'static str,
    from: From,
    phone: Behaviour,
    /// What is typed into each challenge.
    typed: &'static [&'static str],
    /// What becomes of the last State on its way.
    state: Change,
    /// Whether the last round is sent once more, as a new request.
    again: bool,
    expected: (Heard, Reason),
}

fn conversations() -> [Conversation; 9] {
    use Heard::{Accept, Reject};
    let new = |what, person, typed, expected| Conversation {
        what,
        person,
        from: From::Portal,
        phone: answers(Decision::NeedsCode),
        typed,
        state: |_| (),
        again: false,
        expected,
    };
    let menu = |what, person, typed, phone| Conversation {
        from: From::Menu,
        phone,
        ..new(what, person, typed, (Accept, Reason::Approved))
    };
    [
        new("challenge: the code that is asked for", "asked", &["123456"], (Accept, Reason::Approved)),
        new("challenge: a wrong code, then the right", "second", &["654321", "123456"], (Accept, Reason::Approved)),
        new("challenge: three wrong codes", "thrice", &["654321"; 3], (Reject, Reason::WrongCode)),
        Conversation {
            again: true,
            ..new("challenge: an answer twice", "again", &["123456"], (Reject, Reason::StateUsed))
        },
        Conversation {
            state: |state| state.iter_mut().rev().take(1).for_each(|octet| *octet ^= 1),
            ..new("challenge: an altered State", "altered", &["123456"], (Reject, Reason::StateForeign))
        },
        menu("challenge: a menu, the app is chosen", "chooses", &["1"], answers(Decision::Approve)),
        menu("challenge: a code beside a prompt", "beside", &["push", "123456"], Behaviour::Manual),
        Conversation {
            phone: answers(Decision::Approve),
            ..new("challenge: the PIN, then the prompt", "pinned", &[DEMO_PIN], (Accept, Reason::Approved))
        },
        new("challenge: three wrong PINs", "forgets", &["7205"; 3], (Reject, Reason::WrongPin)),
    ]
}

pub(super) async fn run(demo: &Demo) -> Vec<Row> {
    let mut rows = Vec::new();
    for conversation in conversations() {
        demo.phone.set_behaviour(Some(conversation.person), conversation.phone);
        rows.push(Row {
            door: Door::Radius,
            what: conversation.what.into(),
            expected: conversation.expected.0,
            heard: conversation.held(demo).await,
            expected_reason: Some(conversation.expected.1.code()),
            reason: last_reason(demo, conversation.person).await,
        });
    }
    rows
}

impl Conversation {
    /// What the client hears in the end; something else where a round is not the challenge that it should be.
    async fn held(&self, demo: &Demo) -> Heard {
        let source = self.from.address();
        let password = Secret::from_text(DEMO_PASSWORD.into());
        let mut said = answer(demo, source, &Request::access(self.person, &password)).await;
        for (round, typed) in self.typed.iter().enumerate() {
            let Ok(challenge) = said.as_ref().map_err(|_| ()).and_then(|said| match said.code {
                Code::ACCESS_CHALLENGE if said.message().is_some() => Ok(said),
                _ => Err(()),
            }) else {
                return Heard::Other;
            };
            let mut states: Vec<_> =
                challenge.attributes.iter().filter(|(number, _)| *number == STATE).cloned().collect();
            let is_last = round + 1 == self.typed.len();
            if is_last {
                states.iter_mut().for_each(|(_, state)| (self.state)(state));
            }
            let typed = Secret::from_text((*typed).into());
            let request = Request { attributes: &states, ..Request::access(self.person, &typed) };
            said = answer(demo, source, &request).await;
            if is_last && self.again {
                if heard(&said) != Heard::Accept {
                    return Heard::Other;
                }
                said = answer(demo, source, &request).await;
            }
        }
        heard(&said)
    }
}
