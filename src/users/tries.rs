//! Wrong passwords and refusals of people, as nodes that share a database count them together. What one node has to know of
//! the others is little, and asked for at most twice a second: who was wrong lately.

use std::net::IpAddr;
use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::users::store::StoreResult;
use crate::users::typed::{Tried, TypedCodes};

/// Somebody who was wrong lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongLately {
    /// Who.
    pub unique_id: String,
    /// With what.
    pub what: Tried,
    /// How often in a row.
    pub wrong: u32,
}

/// From where somebody has come in before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComeFrom {
    /// From any place that is known.
    pub anywhere: bool,
    /// From the place that was asked about.
    pub here: bool,
}

/// What nodes count together. Only databases that several nodes use have it.
pub trait SharedTries: TypedCodes + Send + Sync {
    /// Who was wrong since then, with a password or an answer: some thousands at most, the latest first.
    fn wrong_lately(&self, since: SystemTime) -> BoxFuture<'_, StoreResult<Vec<WrongLately>>>;

    /// Takes back that many tries: so many have been forgiven.
    fn forgive_tries<'a>(&'a self, unique_id: &'a str, what: Tried, many: u32) -> BoxFuture<'a, StoreResult<()>>;

    /// From where the person has come in since then, as the audit has it.
    fn come_from<'a>(
        &'a self,
        unique_id: &'a str,
        place: Option<IpAddr>,
        since: SystemTime,
    ) -> BoxFuture<'a, StoreResult<ComeFrom>>;
}
