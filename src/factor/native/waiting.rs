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

use crate::factor::native::besides::Besides;
use crate::factor::native::wire::{self, Expected, Message, Said};
use crate::factor::{Answer, Refusal};
use crate::secret::Secret;
use crate::signin::attempt::SignInId;
use crate::users::model::Method;

/// Seconds after which every part of a service knows what one of them has accepted.
const SETTLED: u64 = 5;

/// Parts of the table with a lock each.
const SHARDS: usize = 16;

/// One held prompt.
#[derive(Debug)]
struct Entry {
    /// The service's id, once it has told it.
    id: Option<Box<str>>,
    asked_at: u64,
    method: Method,
    /// What the service has said so far, small.
    said: Said,
    /// What they are to type on the phone, where there is something.
    besides: Option<Box<Besides>>,
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
        self.register_with(sign_in, method, asked_at, None)
    }

    /// [`Waiting::register`] with what the person is to type on the phone.
    pub fn register_with(
        &self,
        sign_in: SignInId,
        method: Method,
        asked_at: u64,
        besides: Option<Box<Besides>>,
    ) -> bool {
        match self.shard(sign_in).entry(sign_in) {
            hash_map::Entry::Occupied(_) => false,
            hash_map::Entry::Vacant(place) => {
                place.insert(Entry { id: None, asked_at, method, said: Said::Pending, besides, waker: None });
                true
            }
        }
    }

    /// Takes a message about `sign_in` from this server's point of view. `now` in seconds since 1970.
    pub fn deliver(&self, sign_in: SignInId, message: &Message<'_>, server: &str, now: u64) -> Delivery {
        let mut shard = self.shard(sign_in);
        let Some(entry) = shard.get_mut(&sign_in) else { return Delivery::Unknown };
        let Entry { method, asked_at, .. } = *entry;
        let (id, besides) = (entry.id.as_deref(), entry.besides.as_deref());
        let said = wire::judge(message, Expected { sign_in, server, id, method, besides, asked_at, now });
        let pin = match (said, &message.result) {
            (Said::Approved, Some(result)) => result.pin.as_ref(),
            _ => None,
        };
        if entry.id.is_none() && said != Said::Refused(Refusal::Garbled) {
            entry.id = Some(message.id.as_ref().into());
        }
        let besides = entry.besides.as_deref();
        match (said, entry.said) {
            (Said::Pending, _) => Delivery::Nothing,
            (said, before) if said == before && besides.is_none_or(|besides| besides.has_typed(pin)) => {
                Delivery::Nothing
            }
            (said, Said::Pending) => {
                if let (Some(besides), Some(pin)) = (&mut entry.besides, pin) {
                    besides.typed(pin);
                }
                entry.said = said;
                Delivery::Answered(entry.waker.take())
            }
            _ => {
                entry.said = Said::Refused(Refusal::Garbled);
                Delivery::Answered(entry.waker.take())
            }
        }
    }

    /// The service does not know a prompt that it has accepted before: it was started anew, and nobody can answer that one
    /// any more. One that was asked for a moment ago may not have reached all of the service yet.
    pub fn lose(&self, sign_in: SignInId, now: u64) -> Delivery {
        let mut shard = self.shard(sign_in);
        let Some(entry) = shard.get_mut(&sign_in) else { return Delivery::Unknown };
        let is_old = now.saturating_sub(entry.asked_at) >= SETTLED;
        if entry.said != Said::Pending || entry.id.is_none() || !is_old {
            return Delivery::Nothing;
        }
        entry.said = Said::Refused(Refusal::Lost);
        Delivery::Answered(entry.waker.take())
    }

    /// The answer, when there is one.
    pub fn answer(&self, sign_in: SignInId) -> Option<Answer> {
        self.shard(sign_in).get(&sign_in)?.said.answer()
    }

    /// The PIN that came with the answer, once.
    pub(super) fn take_pin(&self, sign_in: SignInId) -> Option<Secret> {
        self.shard(sign_in).get_mut(&sign_in)?.besides.as_mut()?.take_pin()
    }

    /// Whether somebody waits for it, and it has no answer yet.
    pub fn is_open(&self, sign_in: SignInId) -> bool {
        self.shard(sign_in).get(&sign_in).is_some_and(|entry| entry.said == Said::Pending)
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
            let open = shard.iter().filter(|(_, entry)| entry.said == Said::Pending);
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
        if let Some(answer) = entry.said.answer() {
            return Poll::Ready(answer);
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
    fn what_the_service_has_accepted_and_knows_no_more_is_lost() {
        let waiting = waiting();
        assert!(matches!(waiting.lose(sign_in(), NOW + 60), Delivery::Nothing), "it has not told its id");
        deliver(&waiting, "v1", PENDING);
        assert!(matches!(waiting.lose(sign_in(), NOW + SETTLED - 1), Delivery::Nothing), "a moment ago");
        assert!(matches!(waiting.lose(sign_in(), NOW + SETTLED), Delivery::Answered(None)));
        assert_eq!(waiting.answer(sign_in()), Some(Answer::Refused(Refusal::Lost)));
        let answered = self::waiting();
        deliver(&answered, "v1", APPROVED);
        assert!(matches!(answered.lose(sign_in(), NOW + 60), Delivery::Nothing));
        assert_eq!(answered.answer(sign_in()), Some(Answer::Approved));
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
    fn a_pin_comes_once_and_another_one_voids_both() {
        let approved = |pin: &str| APPROVED.replace("}", &format!(r#","pin":"{pin}"}}"#));
        let table = Waiting::new();
        assert!(table.register_with(sign_in(), Method::Push, NOW, Besides::new(true, None)));
        assert!(matches!(deliver(&table, "v1", &approved("40927")), Delivery::Answered(None)));
        assert!(matches!(deliver(&table, "v1", &approved("40927")), Delivery::Nothing));
        assert_eq!(table.answer(sign_in()), Some(Answer::Approved));
        deliver(&table, "v1", &approved("40928"));
        assert_eq!(table.answer(sign_in()), Some(Answer::Refused(Refusal::Garbled)));
        assert!(table.take_pin(sign_in()).unwrap().matches(b"40927"));
        assert!(table.take_pin(sign_in()).is_none());
        // where none is wanted, none is kept
        let plain = waiting();
        deliver(&plain, "v1", &approved("40927"));
        assert!(plain.answer(sign_in()) == Some(Answer::Approved) && plain.take_pin(sign_in()).is_none());
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
