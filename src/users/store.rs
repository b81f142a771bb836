//! What the rest of the program asks of the user database.
//!
//! [`crate::users::sql`] is the implementation, on SQLite and on PostgreSQL; the tests bring one in memory, and
//! one suite runs against all. What administrators and imports ask beyond is [`crate::users::roster`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::audit::{Accounted, Event};
use crate::signin::attempt::SignInId;
use crate::users::approvals::Approvals;
use crate::users::measures::{Measure, MeasureKind};
use crate::users::model::Person;
use crate::users::tries::SharedTries;

/// Why the store could not answer. Never carries a secret of a row.
#[derive(Debug)]
pub enum StoreError {
    /// The file or server cannot be reached, opened or written.
    Unavailable(String),
    /// Another person already has this unique id or name.
    Conflict(String),
    /// The data is of a newer program or damaged.
    Unusable(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Unavailable(why) => write!(f, "the user store cannot be used: {why}"),
            StoreError::Conflict(why) => write!(f, "conflict in the user store: {why}"),
            StoreError::Unusable(why) => write!(f, "the user store is unusable: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The result of a question to the store.
pub type StoreResult<T> = Result<T, StoreError>;

/// The user database.
pub trait Store: Send + Sync {
    /// The person with this unique id: one indexed read, never waiting for a writer.
    fn person<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>>;

    /// The person with this login name or UPN, compared without case. `Conflict` if there are several.
    fn person_named<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>>;

    /// Up to `limit` people in order of name, after the name `after`.
    fn people<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<Person>>>;

    /// Adds a person, or `Conflict`.
    fn add<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, StoreResult<()>>;

    /// Replaces all but the block of the person with the same unique id; `false` if there is none. A block is
    /// changed by [`Store::block`] alone, so that whoever edits a person cannot undo a fraud report that came
    /// in between.
    fn replace<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, StoreResult<bool>>;

    /// Removes a person; `false` if there is none.
    fn remove<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<bool>>;

    /// Blocks a person until then (or unblocks with `None`); `false` if there is none.
    fn block<'a>(&'a self, unique_id: &'a str, until: Option<SystemTime>) -> BoxFuture<'a, StoreResult<bool>>;

    /// Does what a measure says and puts it down with its reason; `false` if there is no such person. `tell`: mails are
    /// sent, so that administrators are written to where the measure is one to be told. A store without a book of
    /// measures does what it can.
    fn take_measure<'a>(&'a self, measure: &'a Measure, tell: bool) -> BoxFuture<'a, StoreResult<bool>> {
        let _ = tell;
        let unique_id = measure.unique_id.as_deref().unwrap_or_default();
        match measure.kind {
            kind if kind.blocks() => self.block(unique_id, measure.until),
            MeasureKind::Unblock => self.block(unique_id, None),
            _ => Box::pin(std::future::ready(Err(StoreError::Unusable("it keeps no measures".into())))),
        }
    }

    /// Whether the person may have a one-time bypass, as far as that is known without a trip to the database. Most
    /// people have none.
    fn may_bypass(&self, unique_id: &str) -> bool {
        let _ = unique_id;
        false
    }

    /// Uses a one-time bypass of the person for this sign-in: `true` once for each, on one node.
    fn use_bypass<'a>(
        &'a self,
        unique_id: &'a str,
        sign_in: SignInId,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let _ = (unique_id, sign_in, now);
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Whether the person has a one-time bypass that nobody has used. Uses nothing.
    fn has_bypass<'a>(&'a self, unique_id: &'a str, now: SystemTime) -> BoxFuture<'a, StoreResult<bool>> {
        let _ = (unique_id, now);
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Where approvals are kept that are good for more sign-ins; none: nowhere, and everybody is asked each time.
    fn approvals(&self) -> Option<&dyn Approvals> {
        None
    }

    /// Where several nodes count wrong passwords and refusals together; none: there is one node.
    fn shared_tries(&self) -> Option<&dyn SharedTries> {
        None
    }

    /// Whose a sign-in was that has ended since then: unique id and account name. A store that keeps no events that can
    /// be asked for knows nobody.
    fn whose<'a>(
        &'a self,
        sign_in: SignInId,
        since: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Option<(String, String)>>> {
        let _ = (sign_in, since);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Appends audit events, all or none.
    fn record<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>>;

    /// As [`Store::record`], of events that whoever writes them may look at from another thread.
    fn record_shared(&self, events: Arc<Vec<Event>>) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.record(&events).await })
    }

    /// Appends accounting records, all or none.
    fn record_accounting<'a>(&'a self, accounted: &'a [Accounted]) -> BoxFuture<'a, StoreResult<()>>;

    /// Whether an event says that this account came in from this address, for this reason, before this time. A store that
    /// keeps no events that can be asked for says no.
    fn has_come_from<'a>(
        &'a self,
        unique_id: &'a str,
        source: IpAddr,
        (reason, before): (&'static str, SystemTime),
    ) -> BoxFuture<'a, StoreResult<bool>> {
        let _ = (unique_id, source, reason, before);
        Box::pin(std::future::ready(Ok(false)))
    }
}

/// A name as it is compared: Unicode lower case. Two people cannot have names that fold to the same.
pub fn folded(name: &str) -> String {
    name.to_lowercase()
}
