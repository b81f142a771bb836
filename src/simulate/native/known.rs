//! The verifications that a simulated native service knows. Pure.

use std::collections::{HashMap, VecDeque};

use crate::demo::phone::State;
use crate::demo::phone::answers::{About, verification};
use crate::demo::phone::behaviour::Typed;

/// Verifications remembered at most; the oldest is forgotten first.
const MOST: usize = 300_000;

/// One of them.
#[derive(Debug)]
pub(super) struct Known {
    key: String,
    pub(super) server: String,
    method: String,
    /// What the person types with an approval: their PIN, and the number that they read.
    typed: (Option<Typed>, Option<String>),
    /// What came of it at once, where nobody is prompted.
    pub(super) settled: Option<State>,
    /// When its end was told first, in seconds since 1970: afterwards it stays the same.
    at: Option<u64>,
    /// Whether its server has heard of its end.
    pub(super) told: bool,
}

impl Known {
    pub(super) fn new(key: String, server: String, method: String, settled: Option<State>) -> Self {
        Known { key, server, method, typed: (None, None), settled, at: None, told: false }
    }

    /// With what the person types with an approval.
    pub(super) fn typing(self, pin: Option<&str>, number: Option<String>) -> Self {
        Known { typed: (pin.map(|pin| Typed(pin.into())), number), ..self }
    }

    /// The message about it.
    pub(super) fn message(&mut self, id: &str, state: State, now: u64) -> String {
        let at = if state == State::Pending { now } else { *self.at.get_or_insert(now) };
        let (pin, number) = (self.typed.0.as_ref().map(|typed| &*typed.0), self.typed.1.as_deref());
        verification(About { id, key: &self.key, server: &self.server, method: &self.method, pin, number }, state, at)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Register {
    last: u64,
    by_id: HashMap<String, Known>,
    by_key: HashMap<String, String>,
    order: VecDeque<String>,
}

impl Register {
    pub(super) fn by_key(&self, key: &str) -> Option<&str> {
        self.by_key.get(key).map(String::as_str)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Known> {
        self.by_id.get_mut(id)
    }

    /// Takes one in; its id.
    pub(super) fn insert(&mut self, known: Known) -> String {
        if self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
            && let Some(known) = self.by_id.remove(&oldest)
        {
            self.by_key.remove(&known.key);
        }
        self.last = self.last.saturating_add(1);
        let id = format!("v{}", self.last);
        self.by_key.insert(known.key.clone(), id.clone());
        self.by_id.insert(id.clone(), known);
        self.order.push_back(id.clone());
        id
    }
}
