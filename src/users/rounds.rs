//! Rounds of sign-ins that wait for an answer, where the next request may reach another node: kept in the user database,
//! sealed, for as long as their time lasts, and taken once over all nodes.

use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::users::sealed::Sealed;
use crate::users::store::StoreResult;

/// Largest round that is kept, sealed, in octets.
pub const LARGEST: usize = 16 * 1024;

/// What a secret that all nodes share is sealed as.
pub const SHARED_SECRET: &str = "shared secret";

/// A round that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRound {
    /// What it is found by: hexadecimal digits.
    pub reference: String,
    /// Stands for client and name, through which and under which alone it is taken: hexadecimal digits.
    pub holder: String,
    /// Whose sign-in it is.
    pub unique_id: String,
    /// The sign-in.
    pub sealed: Sealed,
    /// When its time is over.
    pub until: SystemTime,
}

/// What came of taking a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is ours, and nobody else's any more.
    Ours(Sealed),
    /// It belongs to another client or name, and waits on.
    Foreign,
    /// It was taken before, its time is over, or it never was.
    Gone,
}

/// The part of the user database that keeps rounds.
pub trait SharedRounds: Send + Sync {
    /// Keeps a round. `false`: `most` of this person wait already.
    fn keep_round<'a>(
        &'a self,
        round: &'a WaitingRound,
        most: u32,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// Takes a round, by one statement: of many who try together one gets it.
    fn take_round<'a>(
        &'a self,
        reference: &'a str,
        holder: &'a str,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Taken>>;

    /// Whether a round still waits.
    fn round_waits<'a>(&'a self, reference: &'a str, now: SystemTime) -> BoxFuture<'a, StoreResult<bool>>;

    /// Takes up to `most` rounds whose time is over: reference and sign-in of each.
    fn rounds_over(&self, now: SystemTime, most: u32) -> BoxFuture<'_, StoreResult<Vec<(String, Sealed)>>>;

    /// The secret of this name that all nodes share, if there is one.
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Sealed>>>;

    /// Every secret that all nodes share, by its name.
    fn secrets(&self) -> BoxFuture<'_, StoreResult<Vec<(String, Sealed)>>>;

    /// Seals a secret anew; `false` if it is another by now.
    fn reseal_secret<'a>(
        &'a self,
        name: &'a str,
        sealed: &'a Sealed,
        anew: &'a Sealed,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// Makes this the secret of this name, unless there is one by now; which it is.
    fn offer_secret<'a>(&'a self, name: &'a str, ours: &'a Sealed) -> BoxFuture<'a, StoreResult<Sealed>>;
}
