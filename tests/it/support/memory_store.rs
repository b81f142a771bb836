//! A user store in memory: the second implementation of the trait, for scenarios and for checking that the
//! conformance suite asks for behaviour and not for SQLite.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::SystemTime;

use anteroom::audit::{Accounted, Event};
use anteroom::users::model::Person;
use anteroom::users::store::{Store, StoreError, StoreResult, folded};
use futures_util::future::{BoxFuture, ready};

#[derive(Default)]
pub(crate) struct MemoryStore {
    people: Mutex<BTreeMap<String, Person>>,
    events: Mutex<Vec<Event>>,
    accounted: Mutex<Vec<Accounted>>,
    broken: Mutex<Option<String>>,
}

impl MemoryStore {
    /// A store that knows `people`.
    pub(crate) fn with(people: impl IntoIterator<Item = Person>) -> Self {
        let people = people.into_iter().map(|person| (person.unique_id.clone(), person)).collect();
        MemoryStore { people: Mutex::new(people), ..MemoryStore::default() }
    }

    /// Everything recorded so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Every accounting record so far.
    pub(crate) fn accounted(&self) -> Vec<Accounted> {
        self.accounted.lock().unwrap().clone()
    }

    /// From now on every question fails with this text, or works again.
    pub(crate) fn set_broken(&self, why: Option<&str>) {
        *self.broken.lock().unwrap() = why.map(str::to_owned);
    }

    fn run<'a, T: Send + 'a>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Person>) -> StoreResult<T>,
    ) -> BoxFuture<'a, StoreResult<T>> {
        let result = match self.broken.lock().unwrap().clone() {
            Some(why) => Err(StoreError::Unavailable(why)),
            None => change(&mut self.people.lock().unwrap()),
        };
        Box::pin(ready(result))
    }
}

fn names(person: &Person) -> impl Iterator<Item = String> {
    [Some(folded(&person.name)), person.upn.as_deref().map(folded)].into_iter().flatten()
}

fn free(people: &BTreeMap<String, Person>, person: &Person) -> StoreResult<()> {
    let others = || people.values().filter(|other| other.unique_id != person.unique_id);
    if names(person).any(|name| others().any(|other| names(other).any(|taken| taken == name))) {
        return Err(StoreError::Conflict("the login name or UPN belongs to another enrolled person".into()));
    }
    Ok(())
}

impl Store for MemoryStore {
    fn person<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        self.run(|people| Ok(people.get(unique_id).cloned()))
    }

    fn person_named<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        self.run(|people| Ok(people.values().find(|person| names(person).any(|own| own == folded(name))).cloned()))
    }

    fn people<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<Person>>> {
        self.run(|people| {
            let mut rest: Vec<Person> =
                people.values().filter(|person| folded(&person.name) > folded(after)).cloned().collect();
            rest.sort_by_key(|person| folded(&person.name));
            rest.truncate(limit as usize);
            Ok(rest)
        })
    }

    fn add<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, StoreResult<()>> {
        self.run(|people| {
            if people.contains_key(&person.unique_id) {
                return Err(StoreError::Conflict("the unique id belongs to an enrolled person already".into()));
            }
            free(people, person)?;
            people.insert(person.unique_id.clone(), person.clone());
            Ok(())
        })
    }

    fn replace<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, StoreResult<bool>> {
        self.run(|people| {
            let Some(before) = people.get(&person.unique_id) else { return Ok(false) };
            let blocked_until = before.blocked_until;
            free(people, person)?;
            people.insert(person.unique_id.clone(), Person { blocked_until, ..person.clone() });
            Ok(true)
        })
    }

    fn remove<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        self.run(|people| Ok(people.remove(unique_id).is_some()))
    }

    fn block<'a>(&'a self, unique_id: &'a str, until: Option<SystemTime>) -> BoxFuture<'a, StoreResult<bool>> {
        self.run(|people| Ok(people.get_mut(unique_id).map(|person| person.blocked_until = until).is_some()))
    }

    fn record<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        self.run(|_| {
            self.events.lock().unwrap().extend_from_slice(events);
            Ok(())
        })
    }

    fn record_accounting<'a>(&'a self, accounted: &'a [Accounted]) -> BoxFuture<'a, StoreResult<()>> {
        self.run(|_| {
            self.accounted.lock().unwrap().extend_from_slice(accounted);
            Ok(())
        })
    }
}
