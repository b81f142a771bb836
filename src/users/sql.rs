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

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{BoxFuture, ready};

use crate::audit::{Accounted, Event};
use crate::users::cache::{Look, PeopleCache};
use crate::users::changes::{ChangeRecord, Difference};
use crate::users::details::{Device, Pin};
use crate::users::model::Person;
use crate::users::profile::{Fields, Profile};
use crate::users::roster::{HeldPlan, Import, ImportLock, ImportRun, Memory, Roster, State};
use crate::users::sql::driver::{Change, Dialect, Driver};
use crate::users::sql::value::{Row, Value, built, fixed, list, unreadable};
use crate::users::store::{Store, StoreError, StoreResult, folded};
use crate::users::token::Token;

mod details;
pub(in crate::users) mod driver;
mod importing;
mod people;
mod records;
mod staging;
#[cfg(test)]
pub(in crate::users) mod testing;
mod text;
pub(in crate::users) mod value;

/// The user store on a database. [`SqlStore::close`] gives its connections back.
#[derive(Debug)]
pub struct SqlStore {
    driver: Arc<dyn Driver>,
    cache: Arc<PeopleCache>,
}

/// What keeps two changes of people apart on a server where they could run together. Any number will do, as
/// long as nobody else locks it.
const PEOPLE_LOCK: &str = "SELECT 1::bigint FROM pg_advisory_xact_lock(7308332045929147)";

/// Begins a change of people: one at a time, so that names and versions are seen as they are.
async fn begin_people(driver: &dyn Driver) -> StoreResult<Box<dyn Change>> {
    let mut change = driver.begin().await?;
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
        SqlStore { driver, cache: Arc::default() }
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
        let mut look = first;
        if look == Look::Check {
            let began = Instant::now();
            let version = self.read_one(fixed(text::VERSION), vec![], |row| row.needed_int("version")).await?;
            self.cache.checked(version.ok_or_else(|| unreadable("version"))?, began);
            look = self.cache.look(unique_id, Instant::now(), true);
        }
        match look {
            Look::Known(known) => Ok(known),
            Look::Check => Err(StoreError::Unavailable("the people cache asked for two checks in a row".into())),
            Look::Read { generation } => {
                let person = self.read_one(fixed(text::PERSON), vec![unique_id.into()], people::read_person).await?;
                self.cache.keep(unique_id, person.as_ref(), generation);
                Ok(person)
            }
        }
    }

    fn among(&self, start: &str, number: usize) -> sqlx::SqlStr {
        built(format!("{start}{}", self.driver.dialect().listed(number)))
    }
}

fn read_state(row: &mut Row) -> StoreResult<State> {
    Ok(State {
        unique_id: row.needed_text("unique_id")?,
        name: row.needed_text("name")?,
        content: row.needed_int("content")?,
        item: row.text("item")?,
        enabled: row.flag("enabled")?,
        quarantined: row.time("quarantined")?,
        local: Fields::from_bits(row.needed_int("local")?),
    })
}

impl Store for SqlStore {
    fn person<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        match self.cache.look(unique_id, Instant::now(), false) {
            Look::Known(known) => Box::pin(ready(Ok(known))),
            look => Box::pin(self.read_through(unique_id, look)),
        }
    }

    fn person_named<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        Box::pin(self.read_one(fixed(text::PERSON_NAMED), vec![folded(name).into()], people::read_person))
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
        Box::pin(self.append(&records::EVENTS, events, records::event_row))
    }

    fn record_accounting<'a>(&'a self, accounted: &'a [Accounted]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.append(&records::ACCOUNTING, accounted, records::accounting_row))
    }
}

impl SqlStore {
    async fn append<T>(
        &self,
        insertion: &driver::Insertion,
        records: &[T],
        row: fn(&T) -> Vec<Value>,
    ) -> StoreResult<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut change = self.driver.begin().await?;
        insertion.run(change.as_mut(), self.driver.dialect(), records.iter().map(row).collect()).await?;
        change.commit().await
    }
}

/// Runs one change of people and commits it.
macro_rules! changing_people {
    ($store:expr, $change:ident => $done:expr) => {{
        let mut opened = begin_people($store.driver()).await?;
        let $change = opened.as_mut();
        let done = $done.await?;
        opened.commit().await?;
        Ok(done)
    }};
}

/// Runs one change of something else and commits it.
macro_rules! changing {
    ($store:expr, $change:ident => $done:expr) => {{
        let mut opened = $store.driver.begin().await?;
        let $change = opened.as_mut();
        let done = $done.await?;
        opened.commit().await?;
        Ok(done)
    }};
}

impl Roster for SqlStore {
    fn profile<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Profile>>> {
        Box::pin(self.read_one(fixed(text::PROFILE), vec![unique_id.into()], people::read_profile))
    }

    fn profile_named<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Profile>>> {
        Box::pin(self.read_one(fixed(text::PROFILE_NAMED), vec![folded(name).into()], people::read_profile))
    }

    fn profiles<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<Profile>>> {
        let values = vec![folded(after).into(), limit.into()];
        Box::pin(self.read_all(fixed(text::PROFILES), values, people::read_profile))
    }

    fn profiles_of<'a>(&'a self, unique_ids: &'a [String]) -> BoxFuture<'a, StoreResult<Vec<Profile>>> {
        let sql = self.among(text::PROFILES_OF, 1);
        Box::pin(self.read_all(sql, vec![list(unique_ids)], people::read_profile))
    }

    fn count(&self) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async move {
            let count = self.read_one(fixed(text::COUNT), vec![], |row| row.needed_int("count")).await?;
            Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
        })
    }

    fn enrol<'a>(&'a self, profile: &'a Profile, by: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let _forget = self.forget(&profile.person.unique_id);
            changing_people!(self, change => people::enrol(change, self.driver.dialect(), profile, by))
        })
    }

    fn change<'a>(&'a self, profile: &'a Profile, by: &'a str) -> BoxFuture<'a, StoreResult<Option<Vec<Difference>>>> {
        Box::pin(async move {
            let _forget = self.forget(&profile.person.unique_id);
            changing_people!(self, change => people::change(change, self.driver.dialect(), profile, Fields::default(), by))
        })
    }

    fn release<'a>(
        &'a self,
        unique_id: &'a str,
        fields: Fields,
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<Option<Vec<Difference>>>> {
        Box::pin(async move {
            let _forget = self.forget(unique_id);
            changing_people!(self, change => people::release(change, self.driver.dialect(), unique_id, fields, by))
        })
    }

    fn dismiss<'a>(&'a self, unique_id: &'a str, by: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let _forget = self.forget(unique_id);
            changing_people!(self, change => people::dismiss(change, self.driver.dialect(), unique_id, by))
        })
    }

    fn anonymise<'a>(&'a self, unique_id: &'a str, names: &'a [String]) -> BoxFuture<'a, StoreResult<u64>> {
        Box::pin(async move {
            changing!(self, change => records::anonymise(change, self.driver.dialect(), unique_id, names))
        })
    }

    fn set_block<'a>(
        &'a self,
        unique_id: &'a str,
        until: Option<SystemTime>,
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let _forget = self.forget(unique_id);
            changing!(self, change => details::set_block(change, self.driver.dialect(), unique_id, until, by))
        })
    }

    fn last_sign_in<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<SystemTime>>> {
        Box::pin(async move {
            let found = self.read_one(fixed(records::LAST_SIGN_IN), vec![unique_id.into()], |row| row.time("at"));
            Ok(found.await?.flatten())
        })
    }

    fn changes<'a>(
        &'a self,
        unique_id: Option<&'a str>,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ChangeRecord>>> {
        let mut values = vec![before.into(), limit.into()];
        let sql = match unique_id {
            Some(unique_id) => {
                values.push(unique_id.into());
                records::CHANGES_OF
            }
            None => records::ALL_CHANGES,
        };
        Box::pin(self.read_all(fixed(sql), values, records::read_change))
    }

    fn prune(&self, before: SystemTime, limit: u32) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async move { changing!(self, change => records::prune(change, self.driver.dialect(), before, limit)) })
    }

    fn devices<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Vec<Device>>> {
        Box::pin(self.read_all(fixed(details::DEVICES_OF), vec![unique_id.into()], details::read_device))
    }

    fn set_devices<'a>(
        &'a self,
        unique_id: &'a str,
        devices: &'a [Device],
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let _forget = self.forget(unique_id);
            changing!(self, change => details::set_devices(change, self.driver.dialect(), unique_id, devices, by))
        })
    }

    fn token<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, StoreResult<Option<Token>>> {
        Box::pin(self.read_one(built(details::token_by_serial()), vec![serial.into()], details::read_token))
    }

    fn tokens_of<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Vec<Token>>> {
        Box::pin(self.read_all(built(details::tokens_of()), vec![unique_id.into()], details::read_token))
    }

    fn tokens<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<Token>>> {
        let values = vec![after.into(), limit.into()];
        Box::pin(self.read_all(built(details::tokens_after()), values, details::read_token))
    }

    fn add_token<'a>(&'a self, token: &'a Token, by: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { changing!(self, change => details::add_token(change, self.driver.dialect(), token, by)) })
    }

    fn set_token<'a>(&'a self, token: &'a Token, by: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move { changing!(self, change => details::set_token(change, self.driver.dialect(), token, by)) })
    }

    fn remove_token<'a>(&'a self, serial: &'a str, by: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(
            async move { changing!(self, change => details::remove_token(change, self.driver.dialect(), serial, by)) },
        )
    }

    fn use_code<'a>(
        &'a self,
        unique_id: &'a str,
        serial: &'a str,
        step: u64,
        drift: i64,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let Ok(step) = i64::try_from(step) else { return Ok(false) };
            let values = vec![unique_id.into(), serial.into(), step.into(), SystemTime::now().into(), drift.into()];
            let used = changing!(self, change => change.run(fixed(details::USE_CODE), values));
            used.map(|rows: u64| rows == 1)
        })
    }

    fn pin<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Pin>>> {
        Box::pin(self.read_one(fixed(details::PIN), vec![unique_id.into()], details::read_pin))
    }

    fn set_pin<'a>(
        &'a self,
        unique_id: &'a str,
        pin: Option<&'a Pin>,
        keep: u32,
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            changing!(self, change => details::set_pin(change, self.driver.dialect(), unique_id, pin, keep, by))
        })
    }

    fn earlier_pins<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Vec<String>>> {
        let hash = |row: &mut Row| row.needed_text("hash");
        Box::pin(self.read_all(fixed(details::EARLIER_PINS), vec![unique_id.into()], hash))
    }

    fn states<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<State>>> {
        Box::pin(self.read_all(fixed(text::STATES), vec![after.into(), limit.into()], read_state))
    }

    fn states_of<'a>(&'a self, unique_ids: &'a [String]) -> BoxFuture<'a, StoreResult<Vec<State>>> {
        Box::pin(self.read_all(self.among(text::STATES_OF, 1), vec![list(unique_ids)], read_state))
    }

    fn claims<'a>(&'a self, folded: &'a [String]) -> BoxFuture<'a, StoreResult<Vec<(String, String)>>> {
        let claim = |row: &mut Row| Ok((row.needed_text("folded")?, row.needed_text("unique_id")?));
        Box::pin(self.read_all(self.among(text::CLAIMS, 1), vec![list(folded)], claim))
    }

    fn quarantined(&self, before: SystemTime, limit: u32) -> BoxFuture<'_, StoreResult<Vec<String>>> {
        let id = |row: &mut Row| row.needed_text("unique_id");
        Box::pin(self.read_all(fixed(text::QUARANTINED), vec![before.into(), limit.into()], id))
    }

    fn lock_import<'a>(&'a self, node: &'a str, lease: Duration) -> BoxFuture<'a, StoreResult<Option<ImportLock>>> {
        Box::pin(importing::lock(self.driver(), node, lease))
    }

    fn renew_import<'a>(&'a self, lock: &'a ImportLock, lease: Duration) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move { changing!(self, change => importing::renew(change, lock, lease)) })
    }

    fn unlock_import<'a>(&'a self, lock: &'a ImportLock) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { changing!(self, change => importing::unlock(change, lock)) })
    }

    fn import_holder(&self) -> BoxFuture<'_, StoreResult<Option<(String, SystemTime)>>> {
        Box::pin(importing::holder(self.driver()))
    }

    fn begin_import<'a>(&'a self, lock: &'a ImportLock, by: &'a str) -> BoxFuture<'a, StoreResult<Box<dyn Import>>> {
        Box::pin(async move {
            let driver = self.driver.for_many_rows().await?;
            let import: Box<dyn Import> = Box::new(staging::begin(driver, Arc::clone(&self.cache), lock, by).await?);
            Ok(import)
        })
    }

    fn import_memory<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<Vec<u8>>>> {
        Box::pin(importing::memory(self.driver(), key))
    }

    fn remember_import<'a>(&'a self, lock: &'a ImportLock, entries: &'a [Memory]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let mut change = self.driver.begin().await?;
            importing::fenced(change.as_mut(), lock).await?;
            importing::remember(change.as_mut(), entries).await?;
            change.commit().await
        })
    }

    fn record_import_run<'a>(&'a self, run: &'a ImportRun) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(importing::record_run(self.driver(), run))
    }

    fn import_runs(&self, limit: u32) -> BoxFuture<'_, StoreResult<Vec<ImportRun>>> {
        Box::pin(importing::runs(self.driver(), limit))
    }

    fn hold_plan<'a>(&'a self, plan: &'a HeldPlan) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { changing!(self, change => importing::hold(change, plan)) })
    }

    fn held_plans(&self) -> BoxFuture<'_, StoreResult<Vec<HeldPlan>>> {
        Box::pin(importing::plans(self.driver()))
    }

    fn approve_plan<'a>(&'a self, id: &'a str, by: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move { changing!(self, change => importing::approve(change, id, by)) })
    }

    fn drop_plan<'a>(&'a self, id: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move { changing!(self, change => importing::drop_plan(change, id)) })
    }
}
