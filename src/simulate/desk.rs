//! What a simulated service knows: prompts and what came of them, scenarios, and a log of what was asked.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::factor::native::client::unix_now;
use crate::simulate::prompt::{Asked, Asking, Counts, Prompt, State};
use crate::simulate::scenario::{Decision, Fault, Scenario, ScenarioFile, ServerScenario, Step};

/// Requests kept in the log.
const LOG: usize = 4096;

/// How long a prompt that is over is remembered.
const REMEMBERED: Duration = Duration::from_secs(180);

/// Prompts remembered at most; the oldest is forgotten first.
const PROMPTS: usize = 300_000;

/// Decisions remembered for those who follow them; the oldest is forgotten first.
const DECISIONS: usize = 131_072;

/// Used codes remembered; when there are more, no code is right any more.
const CODES: usize = 100_000;

/// What a typed code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    /// Right, and used up now.
    Right,
    /// Wrong.
    Wrong,
    /// Right, and used before.
    Used,
}

/// What a simulated service knows. Its handlers share it.
#[derive(Debug)]
pub struct Desk {
    table: Mutex<Table>,
    decided: Notify,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    prompts: HashMap<u64, Prompt>,
    by_id: HashMap<String, u64>,
    /// In the order of their beginning.
    order: VecDeque<u64>,
    /// When a prompt changes by itself.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Prompts in the order of their decisions, and how many of them are forgotten.
    decided: VecDeque<u64>,
    forgotten: u64,
    /// Codes that were right once: person and code.
    codes: HashSet<(String, String)>,
    scenarios: ScenarioFile,
    /// How often each fault has happened, by section and place; an empty name is everybody.
    happened: HashMap<(String, usize), u32>,
    log: VecDeque<Asked>,
    counts: Counts,
}

impl Desk {
    /// A desk with scenarios, and nothing asked yet.
    pub fn new(scenarios: ScenarioFile) -> Self {
        Desk { table: Mutex::new(Table { scenarios, ..Table::default() }), decided: Notify::new() }
    }

    /// A poisoned table is still of use in a simulator.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service's clock, in seconds since 1970.
    pub fn clock(&self) -> u64 {
        unix_now().saturating_add_signed(self.table().scenarios.server.clock_skew)
    }

    /// What is the same for all requests.
    pub fn server(&self) -> ServerScenario {
        self.table().scenarios.server
    }

    /// Sets what is the same for all requests.
    pub fn set_server(&self, server: ServerScenario) {
        self.table().scenarios.server = server;
    }

    /// What happens to a person.
    pub fn scenario(&self, person: &str) -> Scenario {
        let table = self.table();
        table.scenarios.person.get(person).unwrap_or(&table.scenarios.everybody).clone()
    }

    /// Whether a person has a section of their own: everybody else exists, too, but only these are known by name.
    pub fn is_named(&self, person: &str) -> bool {
        self.table().scenarios.person.contains_key(person)
    }

    /// Sets what happens to one person, or to everybody who has no section of their own. Codes that were used are good
    /// again.
    pub fn set(&self, person: Option<&str>, scenario: Scenario) {
        let mut table = self.table();
        let name = person.unwrap_or_default();
        table.happened.retain(|(section, _), _| section != name);
        table.codes.retain(|(owner, _)| person.is_some_and(|person| person != owner));
        match person {
            Some(person) => {
                table.scenarios.person.insert(person.to_owned(), scenario);
            }
            None => table.scenarios.everybody = scenario,
        }
    }

    /// The fault that a request meets now, if any. Counts it.
    pub fn fault(&self, step: Step, person: Option<&str>) -> Option<Fault> {
        let mut table = self.table();
        let table = &mut *table;
        let own = person.and_then(|person| Some((person, table.scenarios.person.get(person)?)));
        let (section, scenario) = own.unwrap_or(("", &table.scenarios.everybody));
        for (place, fault) in scenario.fault.iter().enumerate() {
            if fault.at != Step::Any && fault.at != step {
                continue;
            }
            let happened = table.happened.entry((section.to_owned(), place)).or_default();
            if *happened < fault.times {
                *happened = happened.saturating_add(1);
                table.counts.faults = table.counts.faults.saturating_add(1);
                return Some(fault.clone());
            }
        }
        None
    }

    /// Prompts, as the person's scenario says.
    pub fn begin(&self, asking: Asking) -> Prompt {
        let scenario = self.scenario(&asking.person);
        let mut table = self.table();
        let now = Instant::now();
        table.forget(now);
        // As many as can have come since: the schedule does not grow where nobody follows it.
        table.run_due(now, 2);
        table.last = table.last.saturating_add(1);
        let number = table.last;
        let state = State::of(scenario.answer);
        let expires = now + asking.lives.map_or(scenario.expires, |lives| lives.min(scenario.expires));
        let prompt = Prompt {
            number,
            id: if asking.id.is_empty() { format!("p{number}") } else { asking.id },
            person: asking.person,
            application: asking.application,
            method: asking.method,
            address: asking.address,
            shown: asking.shown.or(scenario.number),
            state: State::Pending,
            polls: 0,
            created: now,
            expires,
            due: (state != State::Pending).then(|| (now + scenario.after, state)),
            then: scenario.then.map(State::of),
        };
        if table.due.peek().is_none_or(|Reverse((soonest, _))| prompt.next() < *soonest) {
            self.decided.notify_waiters(); // whoever waits for news has not reckoned with it
        }
        table.due.push(Reverse((prompt.next(), number)));
        table.by_id.insert(prompt.id.clone(), number);
        table.prompts.insert(number, prompt.clone());
        table.order.push_back(number);
        table.counts.prompts = table.counts.prompts.saturating_add(1);
        table.settled(number, now).cloned().unwrap_or(prompt)
    }

    /// A prompt as it is now.
    pub fn prompt(&self, id: &str) -> Option<Prompt> {
        let mut table = self.table();
        let number = *table.by_id.get(id)?;
        table.settled(number, Instant::now()).cloned()
    }

    /// Fetches a prompt as it is now. Whoever answers twice has answered the other way when it is fetched again.
    pub fn fetch(&self, id: &str) -> Option<Prompt> {
        let mut table = self.table();
        let number = *table.by_id.get(id)?;
        let prompt = table.settled(number, Instant::now())?;
        prompt.polls = prompt.polls.saturating_add(1);
        let told = prompt.clone();
        if prompt.state != State::Pending
            && let Some(then) = prompt.then.take()
        {
            prompt.state = then;
        }
        Some(told)
    }

    /// The prompts of the decisions after the first `seen`, `most` of them, and how many decisions have been seen
    /// with those.
    pub fn decided_after(&self, seen: u64, most: usize) -> (Vec<Prompt>, u64) {
        let mut table = self.table();
        table.run_due(Instant::now(), most);
        let skip = seen.saturating_sub(table.forgotten);
        let numbers = table.decided.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(most);
        let prompts = numbers.map(|number| table.prompts.get(number).cloned()).collect::<Vec<_>>();
        let count = u64::try_from(prompts.len()).unwrap_or(u64::MAX);
        (prompts.into_iter().flatten().collect(), seen.max(table.forgotten).saturating_add(count))
    }

    /// Waits until there are more decisions than `seen`, or one of the prompts is due.
    pub async fn news(&self, seen: u64) {
        let decided = self.decided.notified();
        tokio::pin!(decided);
        decided.as_mut().enable();
        let next = {
            let table = self.table();
            let decisions = table.forgotten.saturating_add(u64::try_from(table.decided.len()).unwrap_or(u64::MAX));
            if decisions > seen {
                return;
            }
            table.due.peek().map(|Reverse((when, _))| *when)
        };
        let wait = next.map_or(Duration::from_secs(60), |next| next.saturating_duration_since(Instant::now()));
        // Time over or something was decided: look again either way.
        let _ = tokio::time::timeout(wait.max(Duration::from_millis(1)), decided).await;
    }

    /// Waits until a prompt is decided, `at_most` this long, and fetches it.
    pub async fn wait(&self, id: &str, at_most: Duration) -> Option<Prompt> {
        let end = Instant::now() + at_most;
        loop {
            let decided = self.decided.notified();
            tokio::pin!(decided);
            decided.as_mut().enable();
            let prompt = self.prompt(id)?;
            let now = Instant::now();
            if prompt.state != State::Pending || now >= end {
                return self.fetch(id);
            }
            let next = prompt.next().min(end).saturating_duration_since(now);
            // Time over or something was decided: look again either way.
            let _ = tokio::time::timeout(next.max(Duration::from_millis(1)), decided).await;
        }
    }

    /// Decides every pending prompt of a person; how many there were.
    pub fn decide(&self, person: &str, decision: Decision) -> usize {
        let theirs = |prompt: &&Prompt| prompt.person == person && prompt.state == State::Pending;
        let mut numbers: Vec<u64> = self.table().prompts.values().filter(theirs).map(|prompt| prompt.number).collect();
        numbers.sort_unstable();
        numbers.into_iter().filter(|number| self.end(*number, State::of(decision))).count()
    }

    /// Decides one pending prompt; false when there is none.
    pub fn decide_number(&self, number: u64, decision: Decision) -> bool {
        self.end(number, State::of(decision))
    }

    /// Takes a prompt back; false when it was over before, or there is none.
    pub fn cancel(&self, id: &str) -> bool {
        let number = self.table().by_id.get(id).copied();
        number.is_some_and(|number| self.end(number, State::Cancelled))
    }

    fn end(&self, number: u64, state: State) -> bool {
        let mut table = self.table();
        let pending = table.settled(number, Instant::now()).filter(|prompt| prompt.state == State::Pending);
        let ended = match pending {
            Some(prompt) => {
                prompt.state = state;
                state != State::Pending
            }
            None => false,
        };
        if ended {
            table.note(number);
        }
        drop(table);
        self.decided.notify_waiters();
        ended
    }

    /// What a typed code is. Each is good for one time.
    pub fn check_code(&self, person: &str, typed: &str) -> Typed {
        let right = self.scenario(person).code == typed;
        let mut table = self.table();
        if !right || table.codes.len() >= CODES {
            return Typed::Wrong;
        }
        if table.codes.insert((person.to_owned(), typed.to_owned())) { Typed::Right } else { Typed::Used }
    }

    /// Every prompt that is remembered, oldest first.
    pub fn prompts(&self) -> Vec<Prompt> {
        let mut table = self.table();
        table.run_due(Instant::now(), usize::MAX);
        table.order.iter().filter_map(|number| table.prompts.get(number).cloned()).collect()
    }

    /// How many prompts are pending.
    pub fn pending(&self) -> usize {
        let mut table = self.table();
        table.run_due(Instant::now(), usize::MAX);
        table.prompts.values().filter(|prompt| prompt.state == State::Pending).count()
    }

    /// What was asked, oldest first: the last few thousand requests.
    pub fn asked(&self) -> Vec<Asked> {
        self.table().log.iter().cloned().collect()
    }

    /// Writes a request into the log.
    pub(super) fn log(&self, asked: Asked) {
        let mut table = self.table();
        let counts = &mut table.counts;
        let count = match asked.step {
            Step::Token => Some(&mut counts.tokens),
            Step::Poll => Some(&mut counts.polls),
            Step::Code => Some(&mut counts.codes),
            Step::Cancel => Some(&mut counts.cancels),
            Step::Any | Step::Look | Step::Begin | Step::Finish | Step::Events | Step::Ping | Step::Other => None,
        };
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }
        counts.requests = counts.requests.saturating_add(1);
        if table.log.len() >= LOG {
            table.log.pop_front();
        }
        table.log.push_back(asked);
    }

    /// Counts a request whose signature, token or form is wrong.
    pub fn refused(&self) {
        self.count(|counts| counts.refused = counts.refused.saturating_add(1));
    }

    /// Counts something.
    pub(super) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.table().counts);
    }

    /// How often things happened.
    pub fn counts(&self) -> Counts {
        self.table().counts
    }
}

impl Table {
    /// A prompt as it is at `now`. Its decision is noted.
    fn settled(&mut self, number: u64, now: Instant) -> Option<&mut Prompt> {
        let prompt = self.prompts.get_mut(&number)?;
        let before = prompt.state;
        prompt.settle(now);
        if before != prompt.state {
            self.note(number);
        }
        self.prompts.get_mut(&number)
    }

    /// Has every prompt decided that decides itself by `now`, at most `most` of them.
    fn run_due(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            let Some(Reverse((when, number))) = self.due.peek().copied() else { return };
            if when > now {
                return;
            }
            self.due.pop();
            self.settled(number, now);
        }
    }

    fn note(&mut self, number: u64) {
        if self.decided.len() >= DECISIONS {
            self.decided.pop_front();
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.decided.push_back(number);
    }

    /// Forgets what was over long ago; a few at a time, so that no single prompt takes long.
    fn forget(&mut self, now: Instant) {
        for _ in 0..2 {
            let Some(number) = self.order.front() else { return };
            let old = self.prompts.get(number).is_none_or(|prompt| prompt.expires + REMEMBERED <= now);
            if !old && self.order.len() < PROMPTS {
                return;
            }
            let Some(number) = self.order.pop_front() else { return };
            if let Some(prompt) = self.prompts.remove(&number) {
                self.by_id.remove(&prompt.id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
