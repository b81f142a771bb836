//! What the rest of the program asks of the user database.
//!
//! [`crate::users::sqlite`] is the embedded implementation; the tests bring one in memory, and one suite
//! runs against every implementation.

use std::net::IpAddr;
use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::audit::{Accounted, Event};
use crate::users::model::Person;

/// Why the store could not answer. Never carries a value of a row.
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

    /// Appends audit events, all or none.
    fn record<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>>;

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

/// Every statement that a store of people and events runs, in SQL that SQLite and PostgreSQL share.
///
/// The insertions of events and accounting records have as many rows as there are; [`insert`](statement::insert)
/// writes their text.
pub mod statement {
    /// A person by `SELECT` from `people p`, in the order that is read back.
    macro_rules! select_person {
        ($rest:literal) => {
            concat!(
                "SELECT p.unique_id, p.name, p.upn, p.dn, p.first_name, p.last_name, p.email, p.phone, ",
                "p.phone_extension, p.device_token, p.method, p.language, p.enabled, p.blocked_until ",
                $rest
            )
        };
    }

    /// The person with a unique id.
    pub const PERSON: &str = select_person!("FROM people p WHERE p.unique_id = $1");
    /// The person with a folded name.
    pub const PERSON_NAMED: &str =
        select_person!("FROM names n JOIN people p ON p.unique_id = n.unique_id WHERE n.folded = $1");
    /// People in order of their folded login name.
    pub const PEOPLE: &str = select_person!(
        "FROM names n JOIN people p ON p.unique_id = n.unique_id \
         WHERE n.folded > $1 AND n.kind = 'name' ORDER BY n.folded LIMIT $2"
    );
    /// Adds a person.
    pub const ADD: &str = "INSERT INTO people (unique_id, name, upn, dn, first_name, last_name, email, phone, \
         phone_extension, device_token, method, language, enabled, blocked_until) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    /// Replaces all but the unique id and the block.
    pub const REPLACE: &str = "UPDATE people SET name = $2, upn = $3, dn = $4, first_name = $5, last_name = $6, \
         email = $7, phone = $8, phone_extension = $9, device_token = $10, method = $11, language = $12, \
         enabled = $13 WHERE unique_id = $1";
    /// Removes a person; their names go with them.
    pub const REMOVE: &str = "DELETE FROM people WHERE unique_id = $1";
    /// Sets or clears the end of a block.
    pub const BLOCK: &str = "UPDATE people SET blocked_until = $2 WHERE unique_id = $1";
    /// Whether an account came in from an address, for a reason, before a time.
    pub const HAS_COME_FROM: &str = "SELECT 1 FROM events WHERE unique_id = $1 AND source = $2 AND reason = $3 \
         AND verdict = 'accept' AND time < $4 ORDER BY time DESC LIMIT 1";
    /// Claims a name.
    pub const ADD_NAME: &str = "INSERT INTO names (folded, kind, unique_id) VALUES ($1, $2, $3)";
    /// Gives up the names that come from the person's own row.
    pub const REMOVE_NAMES: &str = "DELETE FROM names WHERE unique_id = $1 AND kind IN ('name', 'upn')";
    /// A number that goes up with every change of a person.
    pub const PEOPLE_VERSION: &str = "SELECT version FROM people_version WHERE one = 1";

    /// Every fixed statement, for the test that prepares each.
    pub const ALL: [&str; 10] =
        [PERSON, PERSON_NAMED, PEOPLE, ADD, REPLACE, REMOVE, BLOCK, ADD_NAME, REMOVE_NAMES, PEOPLE_VERSION];

    /// Columns of an event, in the order in which they are bound.
    pub const EVENT_COLUMNS: [&str; 23] = [
        "time",
        "sign_in",
        "door",
        "client",
        "application",
        "name",
        "unique_id",
        "account",
        "source",
        "person_address",
        "method",
        "provider",
        "primary_result",
        "factor_result",
        "verdict",
        "reason",
        "requests",
        "identify_us",
        "primary_us",
        "policy_us",
        "factor_us",
        "total_us",
        "server",
    ];

    /// Columns of an accounting record, in the order in which they are bound.
    pub const ACCOUNTING_COLUMNS: [&str; 9] =
        ["time", "client", "source", "status", "session", "name", "octets_in", "octets_out", "session_seconds"];

    /// The insertion of `rows` rows into `table`. Its parameters are bare question marks, as SQLite binds those
    /// fastest.
    pub fn insert(table: &str, columns: &[&str], rows: usize) -> String {
        let row = format!("({})", vec!["?"; columns.len()].join(","));
        format!("INSERT INTO {table} ({}) VALUES {}", columns.join(", "), vec![row.as_str(); rows].join(","))
    }
}
