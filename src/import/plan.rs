//! What an import would do, person by person, as values. Pure: nothing is asked here and nothing is done.
//!
//! ```text
//! entry ─ meet ─┬ unchanged, met before ─▶ nothing
//!               └ changed, stranger ─ candidate ─ decide ─┬ add, change, touch
//!                                                         ├ skip, with the reason
//!                                                         └ conflict, with the name
//! not met ─────────────────────────────── leave ─────────── disable, quarantine
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::SystemTime;

use crate::config::import::{DisabledAccounts, EnabledRule, ImportItem, Leavers};
use crate::import::entry::{Candidate, Unfit};
use crate::import::known::{ACCOUNT_DISABLED, Hashes, LEFT, Marks, NORMAL, STATES};
use crate::users::profile::{Fields, Profile};

/// People whose names wait for somebody else to give them up, at most. Beyond, each is a conflict at once.
const MOST_WAITING: usize = 10_000;

/// What is to be done with one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// They come into the store.
    Add(Box<Profile>),
    /// These fields change.
    Change(Box<Change>),
    /// Nobody would see a difference; only what the directory said last is remembered.
    Touch(Box<Profile>),
    /// Nothing is to be done.
    Keep,
    /// They are left alone, for this reason.
    Skip(Skipped),
}

/// A change of somebody who is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// As they stand.
    pub before: Profile,
    /// As the directory wants them; local fields are kept already.
    pub after: Profile,
    /// The fields that differ.
    pub fields: Fields,
    /// Whether they go from enabled to disabled: the safety stop counts them.
    pub disables: bool,
}

/// Why somebody is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skipped {
    /// The item adds nobody.
    NotAdded,
    /// The item updates nobody.
    NotUpdated,
    /// The directory has disabled the account.
    AccountDisabled,
    /// The entry is nobody.
    Unfit(Unfit),
    /// An item that is not part of this run has brought them, and comes first.
    EarlierItem,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skipped::NotAdded => f.write_str("new, and the item does not add (add = false)"),
            Skipped::NotUpdated => f.write_str("changed, and the item does not update (update = false)"),
            Skipped::AccountDisabled => f.write_str("the account is disabled (disabled_accounts = \"skip\")"),
            Skipped::Unfit(unfit) => unfit.fmt(f),
            Skipped::EarlierItem => f.write_str("belongs to an earlier item, which this run does not read"),
        }
    }
}

/// What a pass came to, or would come to, in numbers of people.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Entries that were read.
    pub read: u64,
    /// As they were.
    pub unchanged: u64,
    /// New.
    pub added: u64,
    /// Changed.
    pub changed: u64,
    /// Disabled, because they left or the directory has disabled the account. They are not in `changed`.
    pub disabled: u64,
    /// Disabled because they left, to be erased after the quarantine. They are not in `disabled`.
    pub quarantined: u64,
    /// Erased, because their quarantine is over.
    pub erased: u64,
    /// Left alone, because somebody else has one of their names.
    pub conflicts: u64,
    /// Left alone for another reason.
    pub skipped: u64,
    /// Shown by the directory more than once; the first item counts.
    pub again: u64,
    /// Who will be written to.
    pub mails: u64,
}

impl Counts {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.added + self.changed + self.disabled + self.quarantined + self.erased == 0
    }
}

/// Two people claim one name. Whoever has it keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Who is left alone: their login name.
    pub who: String,
    /// Their unique id.
    pub unique_id: String,
    /// The name that is taken, in lower case.
    pub name: String,
    /// Unique id of the one who has it; `None`: somebody whom this very import brings.
    pub holder: Option<String>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot have the name {}: ", self.who, self.name)?;
        match &self.holder {
            Some(holder) => write!(f, "the person with the unique id {holder} has it"),
            None => f.write_str("somebody else has claimed it earlier in this import"),
        }
    }
}

/// What becomes of a person whom the directory shows. `content` digests what it shows, `existing` is how the store
/// has them.
pub fn decide(item: &ImportItem, candidate: Candidate, content: i64, existing: Option<Profile>) -> Decision {
    if candidate.disabled && item.disabled_accounts == DisabledAccounts::Skip {
        return Decision::Skip(Skipped::AccountDisabled);
    }
    let disable = candidate.disabled && item.disabled_accounts == DisabledAccounts::Disable;
    let state = if disable { ACCOUNT_DISABLED } else { NORMAL };
    let wanted = &candidate.profile;
    let by_rule = match item.enabled {
        EnabledRule::All => true,
        EnabledRule::None => false,
        EnabledRule::NewWithPhone => wanted.person.phone.is_some(),
    };
    let Some(before) = existing else {
        if !item.add {
            return Decision::Skip(Skipped::NotAdded);
        }
        let mut profile = candidate.profile;
        profile.person.enabled = by_rule && !disable;
        profile.content = content | state;
        return Decision::Add(Box::new(profile));
    };
    let stands = before.content & STATES;
    let is_back = stands == LEFT || before.quarantined.is_some();
    let is_welcome = item.update || is_back && item.add;
    if !is_welcome {
        return Decision::Skip(Skipped::NotUpdated);
    }
    let mut after = if item.update { candidate.profile } else { before.clone() };
    after.person.method = before.person.method;
    after.person.mode = before.person.mode;
    if !candidate.has_language {
        after.person.language.clone_from(&before.person.language);
    }
    after.person.enabled = match (disable, is_back || stands == ACCOUNT_DISABLED) {
        (true, _) => false,
        (false, true) => by_rule,
        (false, false) => before.person.enabled,
    };
    after.content = content | state;
    after.quarantined = None;
    changed(before, after)
}

/// What becomes of a person whom their item does not find any more.
pub fn leave(rule: Leavers, before: Profile, now: SystemTime) -> Decision {
    let mut after = before.clone();
    after.person.enabled = false;
    after.content = (before.content & !STATES) | LEFT;
    match rule {
        Leavers::Keep => return Decision::Keep,
        Leavers::Disable if !before.person.enabled => return Decision::Keep,
        Leavers::Remove if before.quarantined.is_some() => return Decision::Keep,
        Leavers::Disable => {}
        Leavers::Remove => after.quarantined = Some(now),
    }
    changed(before, after)
}

/// Takes the names of somebody who has left, or leaves now, for a newcomer who bears one of them: an account that was
/// deleted and made anew has the old names and another unique id. What else `after` says is kept.
pub fn vacate(before: Profile, mut after: Profile) -> Decision {
    let mark: String = before.person.unique_id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    after.person.name = format!("{}~{mark}", before.person.name);
    after.person.upn = None;
    after.aliases.clear();
    after.person.enabled = false;
    let fields = after.differing(&before);
    let disables = before.person.enabled;
    Decision::Change(Box::new(Change { before, after, fields, disables }))
}

fn changed(before: Profile, after: Profile) -> Decision {
    let after = after.imported_over(&before);
    let fields = after.differing(&before);
    let moves = after.item != before.item || after.quarantined != before.quarantined;
    if fields.is_empty() && !moves && after.content == before.content {
        return Decision::Keep;
    }
    if fields.is_empty() {
        return Decision::Touch(Box::new(after));
    }
    let disables = before.person.enabled && !after.person.enabled;
    Decision::Change(Box::new(Change { before, after, fields, disables }))
}

/// Keeps the names of one import apart.
#[derive(Debug, Default)]
pub struct Names {
    /// Names that people of this import take and did not have.
    taken: Marks,
    /// Names that people of this import give up.
    given_up: Marks,
    waiting: Vec<Waiting>,
}

/// Somebody who wants a name that another still has.
#[derive(Debug)]
struct Waiting {
    decision: Decision,
    wants: Vec<(String, String)>,
}

impl Decision {
    /// The names that this decision takes for somebody who did not have them, as they are compared.
    pub fn claims(&self) -> Vec<String> {
        match self {
            Decision::Add(profile) => profile.names().into_iter().map(|(name, _)| name).collect(),
            Decision::Change(change) => missing(&change.after, &change.before),
            Decision::Touch(_) | Decision::Keep | Decision::Skip(_) => Vec::new(),
        }
    }

    fn gives_up(&self) -> Vec<String> {
        match self {
            Decision::Change(change) => missing(&change.before, &change.after),
            _ => Vec::new(),
        }
    }

    /// The person as they will be.
    pub fn profile(&self) -> Option<&Profile> {
        match self {
            Decision::Add(profile) | Decision::Touch(profile) => Some(profile),
            Decision::Change(change) => Some(&change.after),
            Decision::Keep | Decision::Skip(_) => None,
        }
    }

    fn conflict(&self, name: String, holder: Option<String>) -> Option<Conflict> {
        let person = &self.profile()?.person;
        Some(Conflict { who: person.name.clone(), unique_id: person.unique_id.clone(), name, holder })
    }
}

/// Names that `of` has and `than` does not.
fn missing(of: &Profile, than: &Profile) -> Vec<String> {
    let others: HashSet<String> = than.names().into_iter().map(|(name, _)| name).collect();
    of.names().into_iter().map(|(name, _)| name).filter(|name| !others.contains(name)).collect()
}

impl Names {
    /// Lets a decision pass whose names are free, holds it back while another person has one of them, or gives the
    /// conflict. `holders` says who in the store has which of its names.
    ///
    /// # Errors
    /// [`Conflict`].
    pub fn admit(
        &mut self,
        hashes: &Hashes,
        decision: Decision,
        holders: &HashMap<String, String>,
    ) -> Result<Option<Decision>, Conflict> {
        let claims = decision.claims();
        let own = decision.profile().map(|profile| profile.person.unique_id.clone()).unwrap_or_default();
        let foreign = |name: &String| holders.get(name).filter(|holder| **holder != own).cloned();
        let wants: Vec<(String, String)> =
            claims.iter().filter_map(|name| Some((name.clone(), foreign(name)?))).collect();
        if let Some(name) = claims.iter().find(|name| self.taken.contains(hashes.narrow(name)))
            && let Some(conflict) = decision.conflict(name.clone(), None)
        {
            return Err(conflict);
        }
        if let Some((name, holder)) = wants.first()
            && self.waiting.len() >= MOST_WAITING
            && let Some(conflict) = decision.conflict(name.clone(), Some(holder.clone()))
        {
            return Err(conflict);
        }
        self.taken.extend(claims.iter().map(|name| hashes.narrow(name)));
        if wants.is_empty() {
            self.given_up.extend(decision.gives_up().iter().map(|name| hashes.narrow(name)));
            return Ok(Some(decision));
        }
        self.waiting.push(Waiting { decision, wants });
        Ok(None)
    }

    /// Unique ids of those in the store whose names somebody waits for.
    pub fn wanted_of(&self) -> Vec<String> {
        let mut holders: Vec<String> =
            self.waiting.iter().flat_map(|one| one.wants.iter().map(|(_, holder)| holder.clone())).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// Takes note of names that are given up by a decision that needed none.
    pub fn free(&mut self, hashes: &Hashes, decision: &Decision) {
        self.given_up.extend(decision.gives_up().iter().map(|name| hashes.narrow(name)));
    }

    /// Once everybody has been looked at: those whose names have become free, and the conflicts that remain. People
    /// who exchange their names with each other are among the first.
    pub fn settle(&mut self, hashes: &Hashes) -> (Vec<Decision>, Vec<Conflict>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut conflicts = Vec::new();
        loop {
            let mut free = self.given_up.clone();
            for one in &waiting {
                free.extend(one.decision.gives_up().iter().map(|name| hashes.narrow(name)));
            }
            let before = waiting.len();
            waiting.retain(|one| {
                let still_taken = one.wants.iter().find(|(name, _)| !free.contains(hashes.narrow(name)));
                let Some((name, holder)) = still_taken else { return true };
                conflicts.extend(one.decision.conflict(name.clone(), Some(holder.clone())));
                false
            });
            if waiting.len() == before {
                break;
            }
        }
        for one in &waiting {
            self.given_up.extend(one.decision.gives_up().iter().map(|name| hashes.narrow(name)));
        }
        (waiting.into_iter().map(|one| one.decision).collect(), conflicts)
    }
}

#[cfg(test)]
mod tests;
