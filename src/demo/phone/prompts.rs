//! The simulator's table of prompts: begin, decide, expire, cancel.
//! Pure: time comes in as an argument.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::demo::phone::answers;
use crate::demo::phone::behaviour::{Behaviour, Behaviours, Decision, Garbage};
use crate::demo::phone::events::Events;
pub(super) use crate::demo::phone::prompt::Asked;
pub use crate::demo::phone::prompt::{Counts, Prompt};
pub use crate::demo::phone::state::State;

/// How long a finished prompt and a cancelled key are remembered.
const REMEMBERED: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Answer(u8),
    Again(u8),
    Garbage,
    Expire,
}

const DECISIONS: [Decision; 6] = [
    Decision::Approve,
    Decision::Deny,
    Decision::Fraud,
    Decision::Undeliverable,
    Decision::NeedsCode,
    Decision::WrongCode,
];

/// The table.
pub(super) struct Prompts {
    next: u64,
    prompts: HashMap<u64, Prompt>,
    by_key: HashMap<Box<str>, u64>,
    waiters: HashMap<u64, Vec<oneshot::Sender<State>>>,
    garbage: HashMap<u64, Garbage>,
    /// Keys cancelled or failed before they were prompted, with the requests seen.
    early: HashMap<Box<str>, Early>,
    schedule: BinaryHeap<Reverse<(Instant, u64, Act)>>,
    finished: VecDeque<(Instant, Finished)>,
    pub(super) events: Events,
    pub(super) behaviours: Behaviours,
    pub(super) counts: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Early {
    posts: u32,
    cancelled: bool,
}

enum Finished {
    Prompt(u64),
    Key(Box<str>),
}

impl Prompts {
    pub(super) fn new(epoch: u64) -> Self {
        Prompts {
            next: 1,
            prompts: HashMap::new(),
            by_key: HashMap::new(),
            waiters: HashMap::new(),
            garbage: HashMap::new(),
            early: HashMap::new(),
            schedule: BinaryHeap::new(),
            finished: VecDeque::new(),
            events: Events::new(epoch),
            behaviours: Behaviours::default(),
            counts: Counts::default(),
        }
    }

    pub(super) fn by_key(&self, key: &str) -> Option<&Prompt> {
        self.prompts.get(self.by_key.get(key)?)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Prompt> {
        self.prompts.get(&id.strip_prefix('v')?.parse().ok()?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Prompt> {
        self.prompts.values()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Prompt> {
        self.prompts.get(&number)
    }

    /// Counts a request that prompts nobody; how many there have been with this key.
    pub(super) fn note_early(&mut self, key: &str, now: Instant) -> u32 {
        let early = self.early(key, now);
        early.posts = early.posts.saturating_add(1);
        early.posts
    }

    /// Requests with this key that prompted nobody.
    pub(super) fn early_posts(&self, key: &str) -> u32 {
        self.early.get(key).map_or(0, |early| early.posts)
    }

    fn early(&mut self, key: &str, now: Instant) -> &mut Early {
        if !self.early.contains_key(key) {
            self.finished.push_back((now + REMEMBERED, Finished::Key(key.into())));
        }
        self.early.entry(key.into()).or_default()
    }

    /// Counts a request for a prompt that exists; its number.
    pub(super) fn repeat(&mut self, key: &str) -> Option<u64> {
        let number = *self.by_key.get(key)?;
        if let Some(prompt) = self.prompts.get_mut(&number) {
            prompt.posts = prompt.posts.saturating_add(1);
        }
        Some(number)
    }

    /// Prompts, unless the key was cancelled before. Gives the number, and when the scheduler must look.
    pub(super) fn begin(&mut self, asked: Asked, behaviour: Behaviour, now: Instant, wall: u64) -> u64 {
        self.forget(now);
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let cancelled = self.early.get(&asked.key).is_some_and(|early| early.cancelled);
        let expires = now + asked.lives;
        let prompt = Prompt {
            number,
            key: asked.key.clone(),
            server: asked.server,
            person: asked.person,
            application: asked.application,
            method: asked.method,
            address: asked.address,
            created: now,
            expires,
            state: State::Pending,
            decided_at: 0,
            posts: 1,
            cancelled,
            wants_pin: asked.wants_pin,
            shown: asked.number,
            typed: (None, None),
        };
        self.by_key.insert(asked.key, number);
        self.prompts.insert(number, prompt);
        if cancelled {
            self.finish(number, State::Expired, now, wall);
            return number;
        }
        self.counts.prompts = self.counts.prompts.saturating_add(1);
        self.plan(number, behaviour, now, expires, wall);
        number
    }

    fn plan(&mut self, number: u64, behaviour: Behaviour, now: Instant, expires: Instant, wall: u64) {
        let after = |ms| now + Duration::from_millis(ms);
        let code = |decision| {
            let index = DECISIONS.iter().position(|known| *known == decision);
            index.and_then(|index| u8::try_from(index).ok()).unwrap_or(1)
        };
        let mut acts = Vec::new();
        match behaviour {
            Behaviour::Answer { decision, after_ms: 0 } => {
                self.finish(number, decision.into(), now, wall);
                return;
            }
            Behaviour::Answer { decision, after_ms } => acts.push((after(after_ms), Act::Answer(code(decision)))),
            Behaviour::Twice { first, second, after_ms, gap_ms } => {
                acts.push((after(after_ms), Act::Answer(code(first))));
                acts.push((after(after_ms.saturating_add(gap_ms)), Act::Again(code(second))));
            }
            Behaviour::Late { decision, after_ms } => {
                let late = expires + Duration::from_millis(after_ms.max(1));
                self.schedule.push(Reverse((late, number, Act::Again(code(decision)))));
                return;
            }
            Behaviour::Never => {
                self.finished.push_back((expires + REMEMBERED, Finished::Prompt(number)));
                return;
            }
            Behaviour::Garbage { garbage, by_event: true } => {
                self.garbage.insert(number, garbage);
                acts.push((after(5), Act::Garbage));
            }
            Behaviour::Drop { .. } | Behaviour::Silent { .. } => {
                self.finish(number, State::Approved, now, wall);
                return;
            }
            Behaviour::Manual
            | Behaviour::Fail { .. }
            | Behaviour::RateLimit { .. }
            | Behaviour::Garbage { by_event: false, .. } => {}
        }
        for (when, act) in acts.into_iter().chain([(expires, Act::Expire)]) {
            self.schedule.push(Reverse((when, number, act)));
        }
    }

    /// Notes what a person has typed; whether that is all that goes with an approval.
    pub(super) fn types(&mut self, number: u64, pin: &str, typed: &str) -> bool {
        self.prompts.get_mut(&number).is_some_and(|prompt| prompt.types(pin, typed))
    }

    /// Decides a prompt that is pending, and tells its server; false when it was not.
    pub(super) fn decide(&mut self, number: u64, state: State, now: Instant, wall: u64) -> bool {
        let decided = self.finish(number, state, now, wall);
        if decided {
            self.tell(number, state, wall);
        }
        decided
    }

    /// Cancels; whether there was such a prompt. An unknown key is remembered.
    pub(super) fn cancel_key(&mut self, key: &str, now: Instant, wall: u64) -> Option<u64> {
        let Some(number) = self.by_key.get(key).copied() else {
            self.counts.cancels = self.counts.cancels.saturating_add(1);
            self.early(key, now).cancelled = true;
            return None;
        };
        self.cancel(number, now, wall);
        Some(number)
    }

    /// Cancels a prompt.
    pub(super) fn cancel(&mut self, number: u64, now: Instant, wall: u64) {
        self.counts.cancels = self.counts.cancels.saturating_add(1);
        if let Some(prompt) = self.prompts.get_mut(&number) {
            prompt.cancelled = true;
        }
        self.finish(number, State::Expired, now, wall);
    }

    /// Whether a key was cancelled, prompted or not.
    pub(super) fn is_cancelled(&self, key: &str) -> bool {
        self.by_key(key)
            .map_or_else(|| self.early.get(key).is_some_and(|early| early.cancelled), |prompt| prompt.cancelled)
    }

    fn finish(&mut self, number: u64, state: State, now: Instant, wall: u64) -> bool {
        let Some(prompt) = self.prompts.get_mut(&number) else { return false };
        if prompt.state != State::Pending {
            return false;
        }
        prompt.state = state;
        prompt.decided_at = wall;
        if state == State::Approved {
            prompt.types_by_itself(&self.behaviours);
        }
        let count = if state == State::Approved { &mut self.counts.approved } else { &mut self.counts.refused };
        *count = count.saturating_add(1);
        self.finished.push_back((now + REMEMBERED, Finished::Prompt(number)));
        for waiter in self.waiters.remove(&number).unwrap_or_default() {
            // One that has gone away needs no answer.
            let _ = waiter.send(state);
        }
        true
    }

    /// Rings when the prompt is decided; `None` when it is already, or is not known.
    pub(super) fn wait(&mut self, number: u64) -> Option<oneshot::Receiver<State>> {
        self.prompts.get(&number).filter(|prompt| prompt.state == State::Pending)?;
        let (sender, receiver) = oneshot::channel();
        let waiters = self.waiters.entry(number).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        Some(receiver)
    }

    /// When the next planned thing is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.schedule.peek().map(|Reverse((when, ..))| *when)
    }

    /// Does what is due, at most `most` things.
    pub(super) fn run_due(&mut self, now: Instant, wall: u64, most: usize) {
        for _ in 0..most {
            match self.schedule.peek() {
                Some(Reverse((when, ..))) if *when <= now => {}
                _ => return,
            }
            let Some(Reverse((_, number, act))) = self.schedule.pop() else { return };
            self.act(number, act, now, wall);
        }
    }

    fn act(&mut self, number: u64, act: Act, now: Instant, wall: u64) {
        let decision = |index: u8| DECISIONS.get(usize::from(index)).copied().unwrap_or(Decision::Deny);
        match act {
            Act::Answer(index) => {
                self.decide(number, decision(index).into(), now, wall);
            }
            Act::Again(index) => {
                let state = decision(index).into();
                self.finish(number, state, now, wall);
                self.tell(number, state, wall);
            }
            Act::Expire => {
                self.decide(number, State::Expired, now, wall);
            }
            Act::Garbage => {
                let Some(garbage) = self.garbage.remove(&number) else { return };
                let Some(prompt) = self.prompts.get(&number) else { return };
                let (server, text) = (prompt.server.clone(), answers::garbage(prompt, garbage, wall));
                self.events.log(&server, |cursor| match garbage {
                    Garbage::NotJson | Garbage::Empty | Garbage::Html => format!("{text}\n"),
                    _ => answers::event(cursor, &text),
                });
            }
        }
    }

    /// Writes a state into the event log of its server, whatever the table says.
    fn tell(&mut self, number: u64, state: State, wall: u64) {
        let Some(prompt) = self.prompts.get(&number) else { return };
        if prompt.server.is_empty() {
            return;
        }
        let (server, message) = (prompt.server.clone(), answers::message(prompt, state, wall));
        self.events.log(&server, |cursor| answers::event(cursor, &message));
    }

    fn forget(&mut self, now: Instant) {
        // Each begin removes at most two, so that no single one takes long.
        for _ in 0..2 {
            match self.finished.front() {
                Some((when, _)) if *when <= now => {}
                _ => return,
            }
            match self.finished.pop_front() {
                Some((_, Finished::Prompt(number))) => {
                    if let Some(prompt) = self.prompts.remove(&number) {
                        self.by_key.remove(&prompt.key);
                    }
                    self.waiters.remove(&number);
                }
                Some((_, Finished::Key(key))) => {
                    self.early.remove(&key);
                }
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
