//! What the user database keeps of typed codes and PINs: how often somebody was wrong, lists of backup codes, temporary
//! codes, and codes under way. Every bound is counted here, so that all nodes count together.

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::users::codes::{CodeKind, KeptCode};
use crate::users::sealed::Sealed;
use crate::users::store::StoreResult;

/// What is guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tried {
    /// A code of the house: of a token, of a list, of the help desk.
    Code,
    /// The PIN.
    Pin,
    /// The directory's password, where several nodes count it together.
    Password,
    /// A prompt that was denied, or a typed code that was wrong, whoever checked it.
    Refusal,
}

impl Tried {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Tried::Code => "code",
            Tried::Pin => "pin",
            Tried::Password => "password",
            Tried::Refusal => "refusal",
        }
    }
}

impl std::str::FromStr for Tried {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Tried::Code, Tried::Pin, Tried::Password, Tried::Refusal];
        all.into_iter().find(|tried| tried.word() == word).ok_or_else(|| format!("unknown guess {word:?}"))
    }
}

/// How often somebody may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Wrong ones in a row before nothing is looked at for a while.
    pub tries: u32,
    /// For how long after the last.
    pub locked_for: Duration,
}

/// A code that is on its way to somebody.
#[derive(Debug, Clone, Copy)]
pub struct Sending {
    /// How long it is good.
    pub lives: Duration,
    /// How often it may be tried.
    pub tries: u32,
    /// Codes that one person is sent in `per`, at most.
    pub most: u32,
    /// See `most`.
    pub per: Duration,
}

/// The part of the user database that typed codes need.
pub trait TypedCodes {
    /// Counts a try before it is looked at. `false`: there were too many, nothing is to be looked at. Of many at once not
    /// one more gets `true` than may be.
    fn count_try<'a>(
        &'a self,
        unique_id: &'a str,
        what: Tried,
        bound: Bound,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// Takes one try back: neither a right one nor a wrong one was seen.
    fn uncount_try<'a>(&'a self, unique_id: &'a str, what: Tried) -> BoxFuture<'a, StoreResult<()>>;

    /// Begins the count anew: a right one was seen, or the help desk says so.
    fn forget_tries<'a>(&'a self, unique_id: &'a str, what: Tried) -> BoxFuture<'a, StoreResult<()>>;

    /// A person's backup and temporary codes that are not used up, in the order in which they were made.
    fn kept_codes<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Vec<KeptCode>>>;

    /// Makes these a person's codes of that kind, in place of all before; none takes them away. Somebody who was wrong
    /// too often may try again. `false` if there is no such person.
    fn set_kept_codes<'a>(
        &'a self,
        unique_id: &'a str,
        kind: CodeKind,
        codes: &'a [KeptCode],
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// Uses a code, once for each of its uses; how many codes (or uses) of that kind are left. `None`: it is not there, has
    /// expired, or somebody else was quicker. It leaves a change, as it tells of a lost phone.
    fn use_kept_code<'a>(
        &'a self,
        unique_id: &'a str,
        code: &'a KeptCode,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Option<u32>>>;

    /// Makes a person change their PIN before it is good for anything else; `false` if they have none.
    fn expire_pin<'a>(&'a self, unique_id: &'a str, by: &'a str) -> BoxFuture<'a, StoreResult<bool>>;

    /// Keeps the code that a provider is about to send, in place of the one before. `false`: the person was sent too many.
    fn begin_sent<'a>(
        &'a self,
        unique_id: &'a str,
        provider: &'a str,
        code: &'a Sealed,
        sending: Sending,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// The code that was sent last, if it still counts; counts one try of it.
    fn try_sent<'a>(
        &'a self,
        unique_id: &'a str,
        provider: &'a str,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<SentCode>>;

    /// Uses a code that was sent, once for all.
    fn use_sent<'a>(
        &'a self,
        unique_id: &'a str,
        provider: &'a str,
        code: &'a Sealed,
    ) -> BoxFuture<'a, StoreResult<bool>>;
}

/// What there is to check a typed code by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentCode {
    /// This; the try is counted.
    Sealed(Sealed),
    /// It was tried too often.
    TriedOut,
    /// Nothing was sent, or it is too long ago.
    Nothing,
}
