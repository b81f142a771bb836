//! The safety stop: what would disable or remove too many people waits for an administrator. Pure.
//!
//! What is approved is a set of people, not a number: after an approval the directory is read again, and the pass
//! goes on only if everybody whom it would now disable or remove is among the approved.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::import::Import;
use crate::import::plan::Counts;

/// People who are shown by name to whoever is to approve.
const SHOWN: usize = 50;

/// Those whom a pass would disable or remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Eight octets of a hash of each unique id.
    people: Vec<u64>,
    /// Names of the first.
    shown: Vec<String>,
}

/// What is kept of a plan that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// How many people it would disable or remove.
    pub people: usize,
    /// Names of the first of them.
    pub shown: Vec<String>,
    /// All of them, as hashes in base64.
    leavers: String,
    /// What the whole pass would do.
    pub counts: Counts,
    /// Whether that pass read everybody: one that reads only what has changed may not meet these people.
    #[serde(default = "everybody")]
    pub full: bool,
}

/// A plan of before this was kept is taken for one that more has to be read for.
fn everybody() -> bool {
    true
}

impl Leaving {
    /// Adds a person.
    pub fn add(&mut self, unique_id: &str, name: &str) {
        let digest = Sha256::digest(unique_id.as_bytes());
        self.people.push(digest.first_chunk::<8>().copied().map_or(0, u64::from_be_bytes));
        if self.shown.len() < SHOWN {
            self.shown.push(name.to_owned());
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Why so many must wait, of `all` people whom the items have brought; `None`: they need not.
    pub fn stop(&self, import: &Import, all: usize) -> Option<String> {
        let count = self.len();
        if u32::try_from(count).is_ok_and(|count| count <= import.stop_above) {
            let percent = import.stop_above_percent?;
            let share = count.saturating_mul(100);
            let bound = usize::try_from(percent).unwrap_or(usize::MAX).saturating_mul(all);
            return (share > bound)
                .then(|| format!("{count} of {all} people would be disabled or removed, more than {percent} percent"));
        }
        Some(format!("{count} people would be disabled or removed, more than {}", import.stop_above))
    }

    /// What is to be kept until somebody approves, of a pass that read everybody or only what has changed.
    pub fn waiting(&self, counts: &Counts, full: bool) -> Waiting {
        let mut people = self.people.clone();
        people.sort_unstable();
        let octets: Vec<u8> = people.iter().flat_map(|hash| hash.to_be_bytes()).collect();
        Waiting {
            people: self.len(),
            shown: self.shown.clone(),
            leavers: STANDARD.encode(octets),
            counts: counts.clone(),
            full,
        }
    }

    /// Whether everybody is among those of `approved`.
    pub fn is_within(&self, approved: &Waiting) -> bool {
        let Ok(octets) = STANDARD.decode(&approved.leavers) else { return false };
        let approved: Vec<u64> = octets.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
        self.people.iter().all(|hash| approved.binary_search(hash).is_ok())
    }
}

impl Waiting {
    /// Whether it is about the same people as `other`.
    pub fn is_for_the_same(&self, other: &Waiting) -> bool {
        self.leavers == other.leavers
    }

    /// Whether a pass that found nothing to be stopped shows that nobody has to wait any more.
    pub fn is_settled_by(&self, full: bool) -> bool {
        full || !self.full
    }

    /// Reads what was kept; what cannot be read approves nobody.
    pub fn read(text: &str) -> Option<Waiting> {
        serde_json::from_str(text).ok()
    }

    /// As it is kept.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::import;

    fn leaving(names: &[&str]) -> Leaving {
        let mut leaving = Leaving::default();
        names.iter().for_each(|name| leaving.add(name, name));
        leaving
    }

    #[test]
    fn more_than_the_bound_stops_and_exactly_the_bound_does_not() {
        let import = import(Vec::new());
        assert_eq!(leaving(&["a", "b", "c", "d", "e"]).stop(&import, 10), None);
        assert!(leaving(&["a", "b", "c", "d", "e", "f"]).stop(&import, 1_000_000).unwrap().contains("6 people"));
    }

    #[test]
    fn a_share_stops_even_where_the_number_does_not() {
        let mut import = import(Vec::new());
        import.stop_above_percent = Some(20);
        assert_eq!(leaving(&["a", "b"]).stop(&import, 10), None);
        assert!(leaving(&["a", "b", "c"]).stop(&import, 10).unwrap().contains("20 percent"));
    }

    #[test]
    fn an_approval_is_for_those_people_and_nobody_else() {
        let approved = leaving(&["a", "b", "c", "d", "e", "f"]).waiting(&Counts::default(), true);
        let kept = Waiting::read(&approved.write()).unwrap();
        assert_eq!(kept, approved);
        assert!(leaving(&["f", "a", "b", "c", "d", "e"]).is_within(&kept));
        assert!(leaving(&["c"]).is_within(&kept), "who has come back in the meantime need not leave");
        assert!(!leaving(&["a", "b", "c", "d", "e", "g"]).is_within(&kept));
        assert_eq!(Waiting::read("{}"), None);
        assert!(kept.is_settled_by(true) && !kept.is_settled_by(false));
    }
}
