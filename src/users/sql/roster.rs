//! [`Roster`] on a database: each method a read, or a change that is committed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::users::changes::{ChangeRecord, Difference};
use crate::users::details::{Device, Pin};
use crate::users::events::{After, EventRecord, InARow, Wanted};
use crate::users::letters::{Letter, LetterKind};
use crate::users::measures::Measure;
use crate::users::profile::{Fields, Profile};
use crate::users::roster::{HeldPlan, Import, ImportLock, ImportRun, Memory, Roster, State};
use crate::users::sealed::Sealed;
use crate::users::sql::driver::Dialect;
use crate::users::sql::states::{every, read_state};
use crate::users::sql::value::{Row, built, fixed, list};
use crate::users::sql::{
    SqlStore, begin_people, details, events, importing, letters, measures, people, records, staging, text,
};
use crate::users::store::{StoreResult, folded};
use crate::users::token::Token;

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

    fn events<'a>(
        &'a self,
        wanted: &'a Wanted,
        after: After,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<EventRecord>>> {
        Box::pin(events::page(self.driver(), wanted, after, limit))
    }

    fn in_a_row<'a>(
        &'a self,
        reasons: &'a [&'a str],
        since: SystemTime,
        password: bool,
    ) -> BoxFuture<'a, StoreResult<Vec<InARow>>> {
        Box::pin(events::in_a_row(self.driver(), reasons, since, password))
    }

    fn last_event(&self) -> BoxFuture<'_, StoreResult<i64>> {
        Box::pin(events::last(self.driver()))
    }

    fn measures(
        &self,
        period: (SystemTime, SystemTime),
        after: i64,
        limit: u32,
    ) -> BoxFuture<'_, StoreResult<Vec<(i64, Measure)>>> {
        Box::pin(measures::between(self.driver(), period, after, limit))
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

    fn reseal<'a>(&'a self, token: &'a Token, seed: &'a Sealed) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let values = vec![
                token.serial.as_str().into(),
                token.seed.as_bytes().to_vec().into(),
                seed.as_bytes().to_vec().into(),
            ];
            let done = changing!(self, change => change.run(fixed(details::RESEAL), values));
            done.map(|rows: u64| rows == 1)
        })
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

    fn every_state<'a>(&'a self, show: &'a mut (dyn FnMut(State) + Send)) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(every(self.driver(), show))
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
            self.driver.holds().clear();
            let driver = self.driver.for_many_rows().await?;
            let import: Box<dyn Import> = Box::new(staging::begin(driver, Arc::clone(&self.cache), lock, by).await?);
            Ok(import)
        })
    }

    fn writes_together(&self) -> bool {
        self.driver.dialect() == Dialect::Postgres
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

    fn scratch(&self) -> PathBuf {
        self.driver.scratch()
    }

    fn longest_hold(&self) -> Duration {
        self.driver.holds().longest()
    }

    fn write_letter<'a>(&'a self, about: &'a str, kind: LetterKind) -> BoxFuture<'a, StoreResult<()>> {
        let dialect = self.driver.dialect();
        Box::pin(async move {
            let mut change = self.driver.begin().await?;
            let current = people::current(change.as_mut()).await?;
            letters::write(change.as_mut(), dialect, about, kind, current).await?;
            change.commit().await
        })
    }

    fn letters_due(&self, now: SystemTime, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Letter>>> {
        Box::pin(letters::due(self.driver(), now, limit))
    }

    fn take_letter<'a>(&'a self, letter: &'a Letter, until: SystemTime) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move { changing!(self, change => letters::take(change, letter, until)) })
    }

    fn forget_letter(&self, id: i64) -> BoxFuture<'_, StoreResult<bool>> {
        Box::pin(async move { changing!(self, change => letters::forget(change, id)) })
    }

    fn letters_waiting(&self) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(letters::waiting(self.driver()))
    }
}
