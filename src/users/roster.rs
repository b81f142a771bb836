//! What administrators, imports and enrolment ask of the user database, beyond what a sign-in asks
//! ([`Store`]).

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::users::changes::{ChangeRecord, Difference};
use crate::users::details::{Device, Pin};
use crate::users::events::{After, EventRecord, InARow, Wanted};
use crate::users::letters::{Letter, LetterKind};
use crate::users::measures::Measure;
use crate::users::profile::{Fields, NameKind, Profile};
use crate::users::sealed::Sealed;
use crate::users::store::{Store, StoreResult};
use crate::users::token::Token;
use crate::users::typed::TypedCodes;

/// The user database with everything that is known of people. `by` says who does something: `cli:root`,
/// `import:staff`, `person`. Every change leaves a [`ChangeRecord`].
pub trait Roster: Store + TypedCodes {
    /// The profile with this unique id.
    fn profile<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Profile>>>;

    /// The profile with this login name, UPN or alias, compared without case.
    fn profile_named<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Profile>>>;

    /// Up to `limit` profiles in order of name, after the name `after`.
    fn profiles<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<Profile>>>;

    /// Those of these people that exist, in any order.
    fn profiles_of<'a>(&'a self, unique_ids: &'a [String]) -> BoxFuture<'a, StoreResult<Vec<Profile>>>;

    /// How many people there are.
    fn count(&self) -> BoxFuture<'_, StoreResult<u64>>;

    /// Adds a person, or `Conflict`. `created` and `changed` are set by the store.
    fn enrol<'a>(&'a self, profile: &'a Profile, by: &'a str) -> BoxFuture<'a, StoreResult<()>>;

    /// Replaces all of the profile with the same unique id but its block, `created` and what is local; what
    /// differs becomes local, too. `None` if there is no such person, else what has changed.
    fn change<'a>(&'a self, profile: &'a Profile, by: &'a str) -> BoxFuture<'a, StoreResult<Option<Vec<Difference>>>>;

    /// Makes these fields of a person no longer local: the next import fills them. `None` if there is no such
    /// person, else what has changed.
    fn release<'a>(
        &'a self,
        unique_id: &'a str,
        fields: Fields,
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<Option<Vec<Difference>>>>;

    /// Removes a person and everything of theirs; `false` if there is none.
    fn dismiss<'a>(&'a self, unique_id: &'a str, by: &'a str) -> BoxFuture<'a, StoreResult<bool>>;

    /// Takes a person, who may be gone already, out of the audit, the accounting and the changes: what stays
    /// names nobody. How many records were changed. `names` are theirs, as written.
    fn anonymise<'a>(&'a self, unique_id: &'a str, names: &'a [String]) -> BoxFuture<'a, StoreResult<u64>>;

    /// Blocks a person until then (or unblocks with `None`); `false` if there is none.
    fn set_block<'a>(
        &'a self,
        unique_id: &'a str,
        until: Option<SystemTime>,
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// A page of sign-ins, up to `limit`.
    fn events<'a>(
        &'a self,
        wanted: &'a Wanted,
        after: After,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<EventRecord>>>;

    /// Who ended with one of these reasons since then, and neither came in afterwards nor, where `password`, had the
    /// right password: some thousands at most, the latest first.
    fn in_a_row<'a>(
        &'a self,
        reasons: &'a [&'a str],
        since: SystemTime,
        password: bool,
    ) -> BoxFuture<'a, StoreResult<Vec<InARow>>>;

    /// The number of the sign-in that was written last; 0: none was.
    fn last_event(&self) -> BoxFuture<'_, StoreResult<i64>>;

    /// The measures of a period, oldest first: up to `limit` after the number `after`, each with its number.
    fn measures(
        &self,
        period: (SystemTime, SystemTime),
        after: i64,
        limit: u32,
    ) -> BoxFuture<'_, StoreResult<Vec<(i64, Measure)>>>;

    /// When a person signed in last, as far as the audit or what was kept of it knows.
    fn last_sign_in<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<SystemTime>>>;

    /// The changes of a person, or of all, newest first: up to `limit` before the number `before`.
    fn changes<'a>(
        &'a self,
        unique_id: Option<&'a str>,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ChangeRecord>>>;

    /// Removes up to `limit` audit events, accounting records and changes from before a time; how many.
    /// A person's last sign-in stays known.
    fn prune(&self, before: SystemTime, limit: u32) -> BoxFuture<'_, StoreResult<u64>>;

    /// A person's devices, the one that is asked first first.
    fn devices<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Vec<Device>>>;

    /// Makes these a person's devices, in this order; `false` if there is no such person.
    fn set_devices<'a>(
        &'a self,
        unique_id: &'a str,
        devices: &'a [Device],
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// The OATH token with this serial.
    fn token<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, StoreResult<Option<Token>>>;

    /// A person's OATH tokens in order of serial.
    fn tokens_of<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Vec<Token>>>;

    /// Up to `limit` OATH tokens in order of serial, after the serial `after`.
    fn tokens<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<Token>>>;

    /// Adds an OATH token, or `Conflict` where the serial is known or there is no such person.
    fn add_token<'a>(&'a self, token: &'a Token, by: &'a str) -> BoxFuture<'a, StoreResult<()>>;

    /// Replaces an OATH token's owner, seed, label and drift (not what was used); `false` if there is none.
    fn set_token<'a>(&'a self, token: &'a Token, by: &'a str) -> BoxFuture<'a, StoreResult<bool>>;

    /// Replaces an OATH token's seed by the same seed sealed anew; `false` if it is no longer what `token` says.
    fn reseal<'a>(&'a self, token: &'a Token, seed: &'a Sealed) -> BoxFuture<'a, StoreResult<bool>>;

    /// Removes an OATH token; `false` if there is none.
    fn remove_token<'a>(&'a self, serial: &'a str, by: &'a str) -> BoxFuture<'a, StoreResult<bool>>;

    /// Uses a code, once for all: `true` if the token is this person's and `step` (the time step, or the event
    /// counter) comes after every one that was used before. `drift` is noted with it. Two that try together
    /// get one `true`.
    fn use_code<'a>(
        &'a self,
        unique_id: &'a str,
        serial: &'a str,
        step: u64,
        drift: i64,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// A person's PIN.
    fn pin<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Option<Pin>>>;

    /// Sets a person's PIN and keeps the hashes of the `keep` before it; `false` if there is no such person.
    /// `None` takes it away.
    fn set_pin<'a>(
        &'a self,
        unique_id: &'a str,
        pin: Option<&'a Pin>,
        keep: u32,
        by: &'a str,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// Hashes of a person's earlier PINs, latest first.
    fn earlier_pins<'a>(&'a self, unique_id: &'a str) -> BoxFuture<'a, StoreResult<Vec<String>>>;

    /// What an import compares, in order of unique id: up to `limit` after `after`.
    fn states<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, StoreResult<Vec<State>>>;

    /// As [`Roster::states`], of everybody, in any order, each shown once.
    fn every_state<'a>(&'a self, show: &'a mut (dyn FnMut(State) + Send)) -> BoxFuture<'a, StoreResult<()>>;

    /// As [`Roster::states`], of those of these people who exist, in any order.
    fn states_of<'a>(&'a self, unique_ids: &'a [String]) -> BoxFuture<'a, StoreResult<Vec<State>>>;

    /// Who holds which of these names now: the name as compared, and the unique id.
    fn claims<'a>(&'a self, folded: &'a [String]) -> BoxFuture<'a, StoreResult<Vec<(String, String)>>>;

    /// Unique ids of up to `limit` people who have been in quarantine since before then, longest first.
    fn quarantined(&self, before: SystemTime, limit: u32) -> BoxFuture<'_, StoreResult<Vec<String>>>;

    /// Takes the right to import, which one holder over all nodes has for as long as the lease, and until it
    /// is renewed no longer. `None` while somebody else has it.
    fn lock_import<'a>(&'a self, node: &'a str, lease: Duration) -> BoxFuture<'a, StoreResult<Option<ImportLock>>>;

    /// Keeps the right for another lease; `false` if it is lost.
    fn renew_import<'a>(&'a self, lock: &'a ImportLock, lease: Duration) -> BoxFuture<'a, StoreResult<bool>>;

    /// Gives the right back.
    fn unlock_import<'a>(&'a self, lock: &'a ImportLock) -> BoxFuture<'a, StoreResult<()>>;

    /// Who has the right to import, and until when.
    fn import_holder(&self) -> BoxFuture<'_, StoreResult<Option<(String, SystemTime)>>>;

    /// Begins an import: removes what one that died has left, and takes the next generation.
    fn begin_import<'a>(&'a self, lock: &'a ImportLock, by: &'a str) -> BoxFuture<'a, StoreResult<Box<dyn Import>>>;

    /// Whether several connections of an import write at once: [`Import::stage_newcomers`] is quicker than
    /// [`Import::stage`] then, also for people in any order.
    fn writes_together(&self) -> bool;

    /// What an import has left for the next one.
    fn import_memory<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<Vec<u8>>>>;

    /// Leaves something for the next import, or takes it away with `None`.
    fn remember_import<'a>(&'a self, lock: &'a ImportLock, entries: &'a [Memory]) -> BoxFuture<'a, StoreResult<()>>;

    /// Notes how an import went.
    fn record_import_run<'a>(&'a self, run: &'a ImportRun) -> BoxFuture<'a, StoreResult<()>>;

    /// The latest imports, newest first.
    fn import_runs(&self, limit: u32) -> BoxFuture<'_, StoreResult<Vec<ImportRun>>>;

    /// Keeps a plan that waits for an administrator; one of the same id is replaced and no longer approved.
    fn hold_plan<'a>(&'a self, plan: &'a HeldPlan) -> BoxFuture<'a, StoreResult<()>>;

    /// The plans that wait or are approved, oldest first.
    fn held_plans(&self) -> BoxFuture<'_, StoreResult<Vec<HeldPlan>>>;

    /// Approves a plan; `false` if there is none.
    fn approve_plan<'a>(&'a self, id: &'a str, by: &'a str) -> BoxFuture<'a, StoreResult<bool>>;

    /// Forgets a plan; `false` if there is none.
    fn drop_plan<'a>(&'a self, id: &'a str) -> BoxFuture<'a, StoreResult<bool>>;

    /// Where an import may keep for a while, in files of its own, more than fits into memory.
    fn scratch(&self) -> PathBuf;

    /// The longest that the last import of this process has kept others from changing people.
    fn longest_hold(&self) -> Duration;

    /// Puts a mail down to be sent, unless one of that kind waits already.
    fn write_letter<'a>(&'a self, about: &'a str, kind: LetterKind) -> BoxFuture<'a, StoreResult<()>>;

    /// Up to `limit` mails that are due, those that have waited longest first.
    fn letters_due(&self, now: SystemTime, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Letter>>>;

    /// Takes a mail to send it: nobody else gets it before `until`, from when on it is tried again. `false` if
    /// somebody else was quicker.
    fn take_letter<'a>(&'a self, letter: &'a Letter, until: SystemTime) -> BoxFuture<'a, StoreResult<bool>>;

    /// Forgets a mail, which was sent or given up; `false` if there is none.
    fn forget_letter(&self, id: i64) -> BoxFuture<'_, StoreResult<bool>>;

    /// How many mails wait.
    fn letters_waiting(&self) -> BoxFuture<'_, StoreResult<u64>>;
}

/// Something that an import leaves for the next: a key, and the value or nothing.
pub type Memory = (String, Option<Vec<u8>>);

/// What an import compares of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What never changes about them.
    pub unique_id: String,
    /// Login name.
    pub name: String,
    /// The importer's digest of what the directory said last.
    pub content: i64,
    /// The sync item that brought them.
    pub item: Option<String>,
    /// Whether they take part.
    pub enabled: bool,
    /// Since when they are in quarantine.
    pub quarantined: Option<SystemTime>,
    /// What an import leaves alone.
    pub local: Fields,
}

/// The right to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportLock {
    pub(in crate::users) token: i64,
    pub(in crate::users) lease: Duration,
}

/// An import under way. Nothing of it counts before [`Import::finish`]; dropped, it never has, and what it wrote
/// is removed by [`Import::abandon`] or the next [`Roster::begin_import`].
pub trait Import: Send {
    /// Writes steps under the import's generation, in transactions of a few hundred rows.
    ///
    /// An error may leave part of them written, which counts as little as the rest: abandon the import.
    /// `Conflict` names the two people where a name is claimed twice.
    fn stage(&mut self, steps: Vec<Step>) -> BoxFuture<'_, StoreResult<()>>;

    /// As [`Import::stage`] of all of `people`, which are [`Step::Bare`] and nothing else, and then of all of `names`,
    /// but at the same time. It ends when both channels do.
    fn stage_newcomers(&mut self, people: Handfuls, names: Handfuls) -> BoxFuture<'_, StoreResult<()>>;

    /// Makes all of it count at once, and remembers `memory` with it. A name that was claimed before its holder
    /// gave it up in the same import is settled here; where it never does: `Conflict`, and nothing counts.
    fn finish<'a>(self: Box<Self>, memory: &'a [Memory]) -> BoxFuture<'a, StoreResult<Staged>>;

    /// Removes what was written.
    fn abandon(self: Box<Self>) -> BoxFuture<'static, StoreResult<()>>;
}

/// Steps that come while others are written.
pub type Handfuls = tokio::sync::mpsc::Receiver<Vec<Step>>;

/// A step of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A person who is believed to be new; one who exists is changed.
    Add(Profile),
    /// As [`Step::Add`], but without the names, each of which comes later as a [`Step::Claim`] of the same import. So
    /// many people can be written in the order of their unique ids, and their names in the order of the names.
    Bare(Profile),
    /// A name of a person who came with [`Step::Bare`]. It is left out where the person has not got it:
    /// one who was in the store already may keep another.
    Claim(Claim),
    /// A person as the directory wants them. What is local, the block, the devices, the tokens, the PIN and
    /// `created` stay.
    Change(Profile),
    /// The person with this unique id goes, with everything of theirs.
    Remove(String),
    /// An OATH token comes, whose owner is enrolled already. `Conflict` where its serial number is known.
    Token(Box<Token>),
    /// A mail about the person with this unique id is to be sent once the import counts.
    Write(String, LetterKind),
}

/// A name of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// As names are compared, see [`crate::users::store::folded`].
    pub folded: String,
    /// What it is to the person.
    pub kind: NameKind,
    /// Whose it is.
    pub unique_id: String,
}

/// What an import has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Staged {
    /// People who came.
    pub added: u64,
    /// People who changed.
    pub changed: u64,
    /// People who went.
    pub removed: u64,
}

/// How an import went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRun {
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Which node ran it.
    pub node: String,
    /// What was imported: a sync item, a file.
    pub item: String,
    /// One word: `done`, `failed`, `held`.
    pub result: String,
    /// Counts and causes, as JSON.
    pub summary: String,
}

/// A plan that waits for an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPlan {
    /// Its name, by which it is approved.
    pub id: String,
    /// When it was made.
    pub made: SystemTime,
    /// What was to be imported.
    pub item: String,
    /// Why it waits.
    pub reason: String,
    /// What it would do, as JSON.
    pub summary: String,
    /// When it was approved, and by whom.
    pub approved: Option<(SystemTime, String)>,
}
