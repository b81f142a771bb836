//! Who waits for which answer: one small entry for each held prompt.
//!
//! An entry is registered before the prompt is asked for, so that an event which overtakes the answer of
//! its own request is not lost. Messages come from the event stream, from `POST` and from `GET`; the first
//! final one counts, and a later one that differs while nobody has read the first makes both void.

use std::collections::HashMap;
use std::collections::hash_map::{self, RandomState};
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::factor::native::wire::{self, Expected, Message, Said};
use crate::factor::{Answer, Refusal};
use crate::signin::attempt::SignInId;
use crate::users::model::Method;

/// Parts of the table with a lock each.
const SHARDS: usize = 16;

/// One held prompt.
#[derive(Debug)]
struct Entry {
    /// The service's id, once it has told it.
    id: Option<Box<str>>,
    asked_at: u64,
    method: Method,
    answer: Option<Answer>,
    /// The task to wake when there is an answer.
    waker: Option<Waker>,
}

/// What one entry takes in its table, in octets.
#[cfg(test)]
pub(super) const ENTRY: usize = size_of::<(SignInId, Entry)>();

type Shard = HashMap<SignInId, Entry>;

/// The table of held prompts. Its size is bounded by whoever admits sign-ins.
#[derive(Debug)]
pub struct Waiting {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// What became of a message.
#[derive(Debug)]
pub enum Delivery {
    /// Nothing yet, or the same once more.
    Nothing,
    /// An answer is there; this task waits for it. Wake it when the lot is delivered.
    Answered(Option<Waker>),
    /// Nobody waits for it: late, cancelled, or of another process.
    Unknown,
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting::new()
    }
}

impl Waiting {
    /// An empty table.
    pub fn new() -> Self {
        Waiting { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    /// Registers a prompt that is about to be asked for; false when this sign-in is being asked already.
    pub fn register(&self, sign_in: SignInId, method: Method, asked_at: u64) -> bool {
        match self.shard(sign_in).entry(sign_in) {
            hash_map::Entry::Occupied(_) => false,
            hash_map::Entry::Vacant(place) => {
                place.insert(Entry { id: None, asked_at, method, answer: None, waker: None });
                true
            }
        }
    }

    /// Takes a message about `sign_in` from this server's point of view. `now` in seconds since 1970.
    pub fn deliver(&self, sign_in: SignInId, message: &Message<'_>, server: &str, now: u64) -> Delivery {
        let mut shard = self.shard(sign_in);
        let Some(entry) = shard.get_mut(&sign_in) else { return Delivery::Unknown };
        let expected =
            Expected { sign_in, server, id: entry.id.as_deref(), method: entry.method, asked_at: entry.asked_at, now };
        let said = wire::judge(message, expected);
        if entry.id.is_none() && said != Said::Refused(Refusal::Garbled) {
            entry.id = Some(message.id.as_ref().into());
        }
        match (said.answer(), &entry.answer) {
            (None, _) => Delivery::Nothing,
            (Some(said), Some(before)) if said == *before => Delivery::Nothing,
            (Some(_), Some(_)) => {
                entry.answer = Some(Answer::Refused(Refusal::Garbled));
                Delivery::Answered(entry.waker.take())
            }
            (Some(said), None) => {
                entry.answer = Some(said);
                Delivery::Answered(entry.waker.take())
            }
        }
    }

    /// The answer, when there is one.
    pub fn answer(&self, sign_in: SignInId) -> Option<Answer> {
        self.shard(sign_in).get(&sign_in).and_then(|entry| entry.answer.clone())
    }

    /// Whether somebody waits for it, and it has no answer yet.
    pub fn is_open(&self, sign_in: SignInId) -> bool {
        self.shard(sign_in).get(&sign_in).is_some_and(|entry| entry.answer.is_none())
    }

    /// Waits for the answer. The entry stays until [`Waiting::remove`].
    pub fn answered(&self, sign_in: SignInId) -> Answered<'_> {
        Answered { waiting: self, sign_in }
    }

    /// Forgets a prompt; the service's id of it, where known.
    pub fn remove(&self, sign_in: SignInId) -> Option<Box<str>> {
        self.shard(sign_in).remove(&sign_in)?.id
    }

    /// How many prompts are held.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| lock(shard).is_empty())
    }

    /// The prompts without an answer, a part of the table at a time, so that a long list is never copied
    /// in one piece.
    pub fn open_parts(&self) -> impl Iterator<Item = Vec<(SignInId, Option<Box<str>>)>> + '_ {
        self.shards.iter().map(|shard| {
            let shard = lock(shard);
            let open = shard.iter().filter(|(_, entry)| entry.answer.is_none());
            open.map(|(sign_in, entry)| (*sign_in, entry.id.clone())).collect()
        })
    }

    fn shard(&self, sign_in: SignInId) -> MutexGuard<'_, Shard> {
        let count = u64::try_from(SHARDS).unwrap_or(1);
        let index = usize::try_from(self.hasher.hash_one(sign_in) % count).unwrap_or(0);
        #[expect(clippy::indexing_slicing, reason = "the remainder of a division by the length is below it")]
        lock(&self.shards[index])
    }
}

/// A poisoned table is still whole: no entry is ever half written.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ready when the answer is there.
#[derive(Debug)]
pub struct Answered<'a> {
    waiting: &'a Waiting,
    sign_in: SignInId,
}

impl Future for Answered<'_> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut shard = self.waiting.shard(self.sign_in);
        // An entry lives as long as its guard, which outlives this future.
        let Some(entry) = shard.get_mut(&self.sign_in) else { return Poll::Ready(Answer::Refused(Refusal::Lost)) };
        if let Some(answer) = &entry.answer {
            return Poll::Ready(answer.clone());
        }
        match &mut entry.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in() -> SignInId {
        SignInId::new([7; 12])
    }

    const NOW: u64 = 1_767_225_600;

    fn waiting() -> Waiting {
        let waiting = Waiting::new();
        assert!(waiting.register(sign_in(), Method::Push, NOW));
        waiting
    }

    fn deliver(waiting: &Waiting, id: &str, rest: &str) -> Delivery {
        let text = format!(r#"{{"id":"{id}","idempotency_key":"070707070707070707070707","server":"one",{rest}}}"#);
        let message: Message<'_> = serde_json::from_str(&text).expect("valid JSON");
        waiting.deliver(sign_in(), &message, "one", NOW)
    }

    const APPROVED: &str = r#""state":"approved","result":{"approved":true,"method":"push","at":1767225600}"#;
    const DENIED: &str = r#""state":"denied","result":{"approved":false,"method":"push","at":1767225600}"#;
    const PENDING: &str = r#""state":"pending""#;

    #[test]
    fn first_final_message_is_the_answer() {
        let waiting = waiting();
        assert!(matches!(deliver(&waiting, "v1", PENDING), Delivery::Nothing));
        assert_eq!(waiting.answer(sign_in()), None);
        assert!(matches!(deliver(&waiting, "v1", APPROVED), Delivery::Answered(None)));
        assert!(matches!(deliver(&waiting, "v1", APPROVED), Delivery::Nothing));
        assert_eq!(waiting.answer(sign_in()), Some(Answer::Approved));
    }

    #[test]
    fn contradicting_second_message_voids_the_first() {
        for (first, second) in [(APPROVED, DENIED), (DENIED, APPROVED)] {
            let waiting = waiting();
            deliver(&waiting, "v1", first);
            deliver(&waiting, "v1", second);
            assert_eq!(waiting.answer(sign_in()), Some(Answer::Refused(Refusal::Garbled)));
        }
    }

    #[test]
    fn other_id_than_before_is_garbled() {
        let waiting = waiting();
        deliver(&waiting, "v1", PENDING);
        deliver(&waiting, "v2", APPROVED);
        assert_eq!(waiting.answer(sign_in()), Some(Answer::Refused(Refusal::Garbled)));
    }

    #[test]
    fn message_for_nobody_is_unknown() {
        let waiting = waiting();
        deliver(&waiting, "v1", PENDING);
        assert_eq!(waiting.remove(sign_in()).as_deref(), Some("v1"));
        assert!(matches!(deliver(&waiting, "v1", APPROVED), Delivery::Unknown));
        assert!(waiting.is_empty());
    }

    #[test]
    fn sign_in_is_registered_once() {
        assert!(!waiting().register(sign_in(), Method::Push, NOW));
    }
}
