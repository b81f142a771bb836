//! A held prompt: taken back when nobody waits for it any more, and waited for together with what its person types.

use std::future::ready;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::Either;
use tokio::time::Instant;

use super::Native;
use super::cancel::Cancel;
use super::client;
use super::{Besides, Shared};
use crate::factor::{Answer, Refusal, Tell};
use crate::secret::Secret;
use crate::signin::attempt::SignInId;
use crate::users::model::Method;
use crate::users::pins::{self, PinVerdict, Pins};
use crate::users::store::StoreError;

/// A held prompt. Dropped before it is settled, it cancels the prompt.
#[derive(Debug)]
pub(super) struct Held<'a> {
    shared: &'a Shared,
    key: SignInId,
    cancel: bool,
    /// Whether anything can have left: one that waited for its turn needs no cancelling.
    pub(super) sent: AtomicBool,
}

impl<'a> Held<'a> {
    /// One that is registered among those that wait.
    pub(super) fn new(shared: &'a Shared, key: SignInId) -> Self {
        Held { shared, key, cancel: true, sent: AtomicBool::new(false) }
    }

    /// Asks and waits for the answer. `begin`: what is sent, and until when; on the heap, as it is needed for a moment
    /// only.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps each argument twice")]
    pub(super) fn asked(self, begin: Box<(Bytes, Instant)>) -> impl Future<Output = Answer> + Send + use<'a> {
        async move {
            // The large future of the request is gone before the wait begins.
            let asked = Box::pin(self.shared.ask(self.key, *begin, &self.sent)).await;
            let answer = self.answer(asked).await;
            self.settle(&answer);
            answer
        }
    }

    /// Waits for the answer, now that it has been asked for.
    pub(super) fn answer(&self, asked: Result<(), Refusal>) -> impl Future<Output = Answer> + Send + use<'a> {
        let waiting = &self.shared.waiting;
        match asked {
            Ok(()) => Either::Left(waiting.answered(self.key)),
            // The answer of the request is lost, but the stream may have brought it.
            Err(refusal) => Either::Right(ready(waiting.answer(self.key).unwrap_or(Answer::Refused(refusal)))),
        }
    }

    /// The answer is known. A prompt that may still be on a phone is cancelled.
    pub(super) fn settle(mut self, answer: &Answer) {
        self.cancel = matches!(answer, Answer::Refused(Refusal::Lost | Refusal::Garbled));
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let id = self.shared.waiting.remove(self.key);
        if self.cancel && *self.sent.get_mut() {
            self.shared.cancels.push(Cancel { key: self.key, id });
        }
    }
}

/// A prompt that goes with something to be typed on the phone.
pub(super) struct Besided {
    pub(super) key: SignInId,
    pub(super) method: Method,
    pub(super) unique_id: String,
    pub(super) besides: Box<Besides>,
    /// Where the number is shown.
    pub(super) tell: Option<Tell>,
    pub(super) body: Bytes,
    pub(super) deadline: Instant,
}

impl Native {
    /// Asks for one prompt and waits for its answer, and for what was to be typed.
    pub(super) async fn hold_besides(&self, asked: Besided) -> Answer {
        let shared = &*self.shared;
        let Besided { key, method, unique_id, besides, tell, body, deadline } = asked;
        let pins = match besides.wants_pin() {
            true => match self.pins_of(&unique_id).await {
                Ok(pins) => Some(pins),
                Err(refusal) => return Answer::Refused(refusal),
            },
            false => None,
        };
        let shown = tell.zip(besides.number().map(str::to_owned));
        if !shared.waiting.register_with(key, method, client::unix_now(), Some(besides)) {
            return self.twice(key);
        }
        let held = Held::new(shared, key);
        let asked = Box::pin(shared.ask(key, (body, deadline), &held.sent)).await;
        if let (Ok(()), true, Some((tell, number))) = (&asked, shared.waiting.is_open(key), shown) {
            tell.number(&number);
        }
        let answer = held.answer(asked).await;
        let typed = shared.waiting.take_pin(key);
        held.settle(&answer);
        match (answer, pins) {
            (Answer::Approved, Some(pins)) => self.check(pins, &unique_id, typed).await,
            (answer, _) => answer,
        }
    }

    /// Where the person's PIN is. Nobody is asked for one that they do not have.
    async fn pins_of(&self, unique_id: &str) -> Result<&Pins, Refusal> {
        let pins = self.pins.as_ref().ok_or(Refusal::NoPin)?;
        match pins.roster.pin(unique_id).await {
            Ok(Some(_)) => Ok(pins),
            Ok(None) => Err(Refusal::NoPin),
            Err(error) => Err(self.away(&error)),
        }
    }

    /// Checks the PIN of somebody who has approved.
    async fn check(&self, pins: &Pins, unique_id: &str, typed: Option<Secret>) -> Answer {
        // The judge lets no approval pass without one.
        let Some(typed) = typed else { return Answer::Refused(Refusal::Garbled) };
        let checked = pins::check(&*pins.roster, unique_id, &typed, &pins.rules, SystemTime::now()).await;
        Answer::Refused(match checked {
            Ok(Ok(passed)) => return Answer::ApprovedWithPin(Box::new(passed)),
            Ok(Err(PinVerdict::MustChange)) => Refusal::PinDue,
            Ok(Err(PinVerdict::NoPin)) => Refusal::NoPin,
            Ok(Err(PinVerdict::Locked)) => Refusal::PinLocked,
            Ok(Err(PinVerdict::Wrong | PinVerdict::Right)) => Refusal::WrongPin,
            Err(error) => self.away(&error),
        })
    }

    /// The same sign-in is being asked already.
    pub(super) fn twice(&self, key: SignInId) -> Answer {
        tracing::error!(sign_in = %key, provider = self.shared.name, "the same sign-in was asked twice at once");
        Answer::Refused(Refusal::Lost)
    }

    fn away(&self, error: &StoreError) -> Refusal {
        tracing::error!(provider = self.shared.name, %error, "a PIN cannot be read");
        Refusal::Lost
    }
}
