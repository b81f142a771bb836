//! The store on a database: its logic, once for SQLite and PostgreSQL.
//!
//! ```text
//! person ── cache ──hit──▶ answer           (users/cache.rs: no trip to the database)
//!             │ miss
//!             ▼
//!        Driver::read ── one statement ──   users/sqlite.rs: read-only connections on the write-ahead log
//!        Driver::begin ─ several, or none ─                  one writing connection
//!                                           users/postgres.rs: a pool to the writable server of several
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_util::future::{BoxFuture, ready};

use crate::audit::{Accounted, Event};
use crate::signin::attempt::SignInId;
use crate::users::approvals::Approvals;
use crate::users::cache::{Look, PeopleCache};
use crate::users::measures::Measure;
use crate::users::model::Person;
use crate::users::profile::Profile;
use crate::users::roster::Roster;
use crate::users::sql::driver::{Change, Dialect, Driver};
use crate::users::sql::value::{Row, Value, built, fixed, unreadable};
use crate::users::store::{Store, StoreError, StoreResult, folded};
use crate::users::tries::SharedTries;

mod approvals;
mod changing;
mod claiming;
mod clearing;
mod details;
pub(in crate::users) mod driver;
mod events;
mod importing;
mod letters;
mod measures;
mod newcomers;
mod people;
pub(in crate::users) mod prompts;
mod records;
mod roster;
pub(in crate::users) mod rounds;
mod staging;
mod states;
pub(in crate::users) mod tables;
mod text;
mod tries;
mod typed;
pub(in crate::users) mod value;

/// The user store on a database. [`SqlStore::close`] gives its connections back.
#[derive(Debug)]
pub struct SqlStore {
    driver: Arc<dyn Driver>,
    cache: Arc<PeopleCache>,
    bypasses: measures::OpenBypasses,
}

/// What keeps two changes of people apart on a server where they could run together. Any number will do, as
/// long as nobody else locks it.
const PEOPLE_LOCK: &str = "SELECT 1::bigint FROM pg_advisory_xact_lock(7308332045929147)";

/// Begins a change of people: one at a time, so that names and versions are seen as they are.
async fn begin_people(driver: &dyn Driver) -> StoreResult<Box<dyn Change>> {
    alone(driver, driver.begin().await?).await
}

/// As [`begin_people`], for what an import writes before it counts.
async fn begin_staged(driver: &dyn Driver) -> StoreResult<Box<dyn Change>> {
    alone(driver, driver.begin_staged().await?).await
}

async fn alone(driver: &dyn Driver, mut change: Box<dyn Change>) -> StoreResult<Box<dyn Change>> {
    if driver.dialect() == Dialect::Postgres {
        change.rows(fixed(PEOPLE_LOCK), vec![]).await?;
    }
    Ok(change)
}

/// Forgets a person when dropped: also when the caller of a change goes away before it is done.
struct Forget<'a> {
    cache: &'a PeopleCache,
    unique_id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.cache.forget(self.unique_id);
    }
}

impl SqlStore {
    pub(in crate::users) fn new(driver: Arc<dyn Driver>) -> SqlStore {
        SqlStore { driver, cache: Arc::default(), bypasses: measures::OpenBypasses::default() }
    }

    /// Looks whether the database is sound, as far as that is quick.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where it is damaged.
    pub async fn check(&self) -> StoreResult<()> {
        self.driver.check().await
    }

    /// How much there is to look through, in octets; 0 where that is not ours to do.
    pub fn octets(&self) -> u64 {
        self.driver.octets()
    }

    /// Gives every connection back and waits until that is done.
    pub async fn close(&self) {
        self.driver.close().await;
    }

    pub(in crate::users) fn driver(&self) -> &dyn Driver {
        self.driver.as_ref()
    }

    fn forget<'a>(&'a self, unique_id: &'a str) -> Forget<'a> {
        Forget { cache: &self.cache, unique_id }
    }

    async fn read_one<T>(
        &self,
        sql: sqlx::SqlStr,
        values: Vec<Value>,
        read: impl FnOnce(&mut Row) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        self.driver.read(sql, values).await?.first_mut().map(read).transpose()
    }

    /// As [`SqlStore::read_one`], by a key, for a sign-in that waits.
    async fn look_up<T>(
        &self,
        sql: sqlx::SqlStr,
        values: Vec<Value>,
        read: impl FnOnce(&mut Row) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        self.driver.look_up(sql, values).await?.first_mut().map(read).transpose()
    }

    async fn read_all<T>(
        &self,
        sql: sqlx::SqlStr,
        values: Vec<Value>,
        read: impl FnMut(&mut Row) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        self.driver.read(sql, values).await?.iter_mut().map(read).collect()
    }

    /// The slow way of [`Store::person`]: looks whether the memory is still true, and reads the row.
    async fn read_through(&self, unique_id: &str, first: Look) -> StoreResult<Option<Person>> {
        let look = self.checked(first, |cache| cache.look(unique_id, Instant::now(), true)).await?;
        let generation = match look {
            Ok(known) => return Ok(known),
            Err(generation) => generation,
        };
        let person = self.look_up(fixed(text::PERSON), vec![unique_id.into()], people::read_person).await?;
        self.cache.keep(unique_id, person.as_ref(), generation);
        Ok(person)
    }

    /// The slow way of [`Store::person_named`].
    async fn read_named(&self, folded: String, first: Look) -> StoreResult<Option<Person>> {
        let look = self.checked(first, |cache| cache.look_named(&folded, Instant::now(), true)).await?;
        let generation = match look {
            Ok(known) => return Ok(known),
            Err(generation) => generation,
        };
        let values = vec![folded.as_str().into()];
        let person = self.look_up(fixed(text::PERSON_NAMED), values, people::read_person).await?;
        if let Some(person) = &person {
            self.cache.keep_named(&folded, person, generation);
        }
        Ok(person)
    }

    /// Looks whether the memory is still true, where it is time for that. `Err` is the generation to read in.
    async fn checked(
        &self,
        first: Look,
        again: impl FnOnce(&PeopleCache) -> Look,
    ) -> StoreResult<Result<Option<Person>, u64>> {
        let mut look = first;
        if look == Look::Check {
            let began = Instant::now();
            let version = self.look_up(fixed(text::VERSION), vec![], |row| row.needed_int("version")).await?;
            self.cache.checked(version.ok_or_else(|| unreadable("version"))?, began);
            look = again(&self.cache);
        }
        match look {
            Look::Known(known) => Ok(Ok(known)),
            Look::Check => Err(StoreError::Unavailable("the people cache asked for two checks in a row".into())),
            Look::Read { generation } => Ok(Err(generation)),
        }
    }

    fn among(&self, start: &str, number: usize) -> sqlx::SqlStr {
        built(format!("{start}{}", self.driver.dialect().listed(number)))
    }
}

impl Store for SqlStore {
    fn person<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        match self.cache.look(unique_id, Instant::now(), false) {
            Look::Known(known) => Box::pin(ready(Ok(known))),
            look => Box::pin(self.read_through(unique_id, look)),
        }
    }

    fn person_named<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        let folded = folded(name);
        match self.cache.look_named(&folded, Instant::now(), false) {
            Look::Known(known) => Box::pin(ready(Ok(known))),
            look => Box::pin(self.read_named(folded, look)),
        }
    }

    fn people<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<Person>>> {
        let values = vec![folded(after).into(), limit.into()];
        Box::pin(self.read_all(fixed(text::PEOPLE), values, people::read_person))
    }

    fn add<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.enrol(&Profile::new(person.clone()), "anteroom").await })
    }

    fn replace<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let Some(profile) = self.profile(&person.unique_id).await? else { return Ok(false) };
            let wanted = Profile { person: person.clone(), ..profile };
            Ok(self.change(&wanted, "anteroom").await?.is_some())
        })
    }

    fn remove<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        self.dismiss(unique_id, "anteroom")
    }

    fn block<'a>(&'a self, unique_id: &'a str, until: Option<SystemTime>) -> BoxFuture<'a, StoreResult<bool>> {
        self.set_block(unique_id, until, "anteroom")
    }

    fn record<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        self.record_shared(Arc::new(events.to_vec()))
    }

    fn record_shared(&self, events: Arc<Vec<Event>>) -> BoxFuture<'_, StoreResult<()>> {
        if events.is_empty() {
            return Box::pin(ready(Ok(())));
        }
        self.driver.append(&records::EVENTS, Box::new(events))
    }

    fn record_accounting<'a>(&'a self, accounted: &'a [Accounted]) -> BoxFuture<'a, StoreResult<()>> {
        if accounted.is_empty() {
            return Box::pin(ready(Ok(())));
        }
        let rows: Vec<_> = accounted.iter().map(records::accounting_row).collect();
        self.driver.append(&records::ACCOUNTING, Box::new(rows))
    }

    fn take_measure<'a>(&'a self, measure: &'a Measure, tell: bool) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let unique_id = measure.unique_id.as_deref().unwrap_or_default();
            let _forget = self.forget(unique_id);
            let mut change = self.driver.begin().await?;
            let taken = measures::take(change.as_mut(), self.driver.dialect(), measure, tell).await?;
            change.commit().await?;
            self.bypasses.clear();
            Ok(taken)
        })
    }

    fn may_bypass(&self, unique_id: &str) -> bool {
        self.bypasses.has(unique_id, Instant::now()).unwrap_or(true)
    }

    fn use_bypass<'a>(
        &'a self,
        unique_id: &'a str,
        sign_in: SignInId,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            if self.bypasses.has(unique_id, Instant::now()).is_none() {
                self.bypasses.look(self.driver.as_ref(), now).await?;
            }
            if self.bypasses.has(unique_id, Instant::now()) == Some(false) {
                return Ok(false);
            }
            let mut change = self.driver.begin().await?;
            let used = measures::use_bypass(change.as_mut(), unique_id, &sign_in.to_string(), now).await?;
            change.commit().await?;
            self.bypasses.clear();
            Ok(used)
        })
    }

    fn has_bypass<'a>(&'a self, unique_id: &'a str, now: SystemTime) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(measures::has_bypass(self.driver.as_ref(), unique_id, now))
    }

    fn approvals(&self) -> Option<&dyn Approvals> {
        Some(self)
    }

    fn shared_tries(&self) -> Option<&dyn SharedTries> {
        (self.driver.dialect() == Dialect::Postgres).then_some(self)
    }

    fn whose<'a>(
        &'a self,
        sign_in: SignInId,
        since: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Option<(String, String)>>> {
        Box::pin(async move { events::whose(self.driver.as_ref(), &sign_in.to_string(), since).await })
    }

    fn has_come_from<'a>(
        &'a self,
        unique_id: &'a str,
        source: IpAddr,
        (reason, before): (&'static str, SystemTime),
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let values = vec![unique_id.into(), source.to_string().into(), reason.into(), before.into()];
        Box::pin(async move { Ok(!self.driver.read(fixed(text::HAS_COME_FROM), values).await?.is_empty()) })
    }
}

#[cfg(test)]
pub(in crate::users) mod testing;
