//! What a simulated service knows: prompts and what came of them, scenarios, and a log of what was asked.

use std::collections::{HashMap, VecDeque};
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

    /// Sets what happens to one person, or to everybody who has no section of their own.
    pub fn set(&self, person: Option<&str>, scenario: Scenario) {
        let mut table = self.table();
        let name = person.unwrap_or_default();
        table.happened.retain(|(section, _), _| section != name);
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
        table.last = table.last.saturating_add(1);
        let number = table.last;
        let state = State::of(scenario.answer);
        let expires = now + scenario.expires;
        let mut prompt = Prompt {
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
        prompt.settle(now);
        table.by_id.insert(prompt.id.clone(), number);
        table.prompts.insert(number, prompt.clone());
        table.order.push_back(number);
        table.counts.prompts = table.counts.prompts.saturating_add(1);
        prompt
    }

    /// A prompt as it is now.
    pub fn prompt(&self, id: &str) -> Option<Prompt> {
        let mut table = self.table();
        let number = *table.by_id.get(id)?;
        let prompt = table.prompts.get_mut(&number)?;
        prompt.settle(Instant::now());
        Some(prompt.clone())
    }

    /// Fetches a prompt as it is now. Whoever answers twice has answered the other way when it is fetched again.
    pub fn fetch(&self, id: &str) -> Option<Prompt> {
        let mut table = self.table();
        let number = *table.by_id.get(id)?;
        let prompt = table.prompts.get_mut(&number)?;
        prompt.settle(Instant::now());
        prompt.polls = prompt.polls.saturating_add(1);
        let told = prompt.clone();
        if prompt.state != State::Pending
            && let Some(then) = prompt.then.take()
        {
            prompt.state = then;
        }
        Some(told)
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
        let now = Instant::now();
        let mut table = self.table();
        let mut count = 0_usize;
        for prompt in table.prompts.values_mut().filter(|prompt| prompt.person == person) {
            prompt.settle(now);
            if prompt.state == State::Pending {
                prompt.state = State::of(decision);
                count = count.saturating_add(1);
            }
        }
        drop(table);
        self.decided.notify_waiters();
        count
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
        let ended = match self.table().prompts.get_mut(&number) {
            None => false,
            Some(prompt) => {
                prompt.settle(Instant::now());
                let pending = prompt.state == State::Pending;
                if pending {
                    prompt.state = state;
                }
                pending
            }
        };
        self.decided.notify_waiters();
        ended
    }

    /// Every prompt that is remembered, oldest first.
    pub fn prompts(&self) -> Vec<Prompt> {
        let now = Instant::now();
        let mut table = self.table();
        let table = &mut *table;
        let mut all = Vec::with_capacity(table.order.len());
        for number in &table.order {
            if let Some(prompt) = table.prompts.get_mut(number) {
                prompt.settle(now);
                all.push(prompt.clone());
            }
        }
        all
    }

    /// How many prompts are pending.
    pub fn pending(&self) -> usize {
        let now = Instant::now();
        let mut table = self.table();
        let prompts = table.prompts.values_mut();
        prompts
            .filter_map(|prompt| {
                prompt.settle(now);
                (prompt.state == State::Pending).then_some(())
            })
            .count()
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
            Step::Any | Step::Look | Step::Begin | Step::Finish | Step::Ping | Step::Other => None,
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
mod tests {
    use super::*;
    use crate::simulate::scenario::Kind;

    fn desk(scenario: Scenario) -> Desk {
        let desk = Desk::new(ScenarioFile::default());
        desk.set(None, scenario);
        desk
    }

    fn begin(desk: &Desk, person: &str) -> Prompt {
        desk.begin(Asking { person: person.into(), ..Asking::default() })
    }

    #[test]
    fn prompts_end_as_their_scenario_says() {
        for (answer, state) in [
            (Decision::Approve, State::Approved),
            (Decision::Deny, State::Denied),
            (Decision::Fraud, State::Fraud),
            (Decision::Lockout, State::Lockout),
            (Decision::Never, State::Pending),
        ] {
            assert_eq!(begin(&desk(Scenario::answering(answer)), "alice").state, state);
        }
        let late = Scenario { after: Duration::from_secs(9), ..Scenario::answering(Decision::Approve) };
        assert_eq!(begin(&desk(late.clone()), "alice").state, State::Pending);
        let expired = desk(Scenario { expires: Duration::ZERO, ..late });
        assert_eq!(begin(&expired, "alice").state, State::Expired);
    }

    #[test]
    fn second_answer_comes_after_the_first_was_fetched() {
        let desk = desk(Scenario { then: Some(Decision::Deny), ..Scenario::answering(Decision::Approve) });
        let id = begin(&desk, "alice").id;
        assert_eq!(desk.prompt(&id).map(|prompt| prompt.state), Some(State::Approved));
        assert_eq!(desk.fetch(&id).map(|prompt| prompt.state), Some(State::Approved));
        assert_eq!(desk.fetch(&id).map(|prompt| prompt.state), Some(State::Denied));
    }

    #[test]
    fn decision_and_cancellation_count_once() {
        let desk = desk(Scenario::default());
        let (one, two) = (begin(&desk, "alice"), begin(&desk, "bob"));
        assert_eq!((desk.pending(), desk.decide("alice", Decision::Approve)), (2, 1));
        assert!(!desk.cancel(&one.id) && desk.cancel(&two.id) && !desk.cancel("nobody"));
        let states: Vec<State> = desk.prompts().iter().map(|prompt| prompt.state).collect();
        assert_eq!(states, [State::Approved, State::Cancelled]);
    }

    #[test]
    fn faults_happen_where_and_as_often_as_said() {
        let desk = desk(Scenario::with(Fault::status(401).at(Step::Token).times(1)));
        assert!(desk.fault(Step::Begin, Some("alice")).is_none());
        assert!(desk.fault(Step::Token, None).is_some() && desk.fault(Step::Token, None).is_none());
        desk.set(Some("bob"), Scenario::with(Fault::new(Kind::Reset)));
        assert!(desk.fault(Step::Poll, Some("bob")).is_some() && desk.fault(Step::Poll, Some("alice")).is_none());
    }

    #[tokio::test]
    async fn waiting_ends_with_the_decision() {
        let desk = desk(Scenario::default());
        let id = begin(&desk, "alice").id;
        let (waited, decided) = tokio::join!(desk.wait(&id, Duration::from_secs(30)), async {
            tokio::task::yield_now().await;
            desk.decide("alice", Decision::Deny)
        });
        assert_eq!((waited.map(|prompt| prompt.state), decided), (Some(State::Denied), 1));
        assert_eq!(desk.wait("nobody", Duration::ZERO).await.map(|prompt| prompt.id), None);
    }
}
