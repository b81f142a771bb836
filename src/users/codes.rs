//! Codes that are typed when nothing else is at hand: from a list that was printed once, or given by the help desk.
//!
//! Only hashes are kept (Argon2id, RFC 9106). The codes of one list share their salt, so that looking for a typed code
//! costs one hash however long the list is. Hashing takes 19 MiB and some 20 ms: [`which`] and [`hashed`] are for a
//! thread that may be busy.
//!
//! ```text
//! digits     6 to 8      9           10         PIN and code together, 10 to 24
//! kind       OATH, sent  temporary   backup     OATH of a person in PIN mode
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Codes of a list, unless another number is asked for.
pub const LIST: u32 = 10;

/// Most codes of a list, and most uses of a temporary code.
pub const MOST: u32 = 50;

/// Where a code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CodeKind {
    /// From the person's own list, each good once.
    Backup,
    /// From the help desk, good for a while.
    Temporary,
}

impl CodeKind {
    /// Every one.
    pub const ALL: [CodeKind; 2] = [CodeKind::Backup, CodeKind::Temporary];

    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            CodeKind::Backup => "backup",
            CodeKind::Temporary => "temporary",
        }
    }

    /// How many digits such a code has. None has as few as an OATH code, so that a wrong one of these costs no hash.
    pub fn digits(self) -> u32 {
        match self {
            CodeKind::Backup => 10,
            CodeKind::Temporary => 9,
        }
    }

    /// Which a typed code can be, by its length.
    pub fn of_length(length: usize) -> Option<CodeKind> {
        CodeKind::ALL.into_iter().find(|kind| usize::try_from(kind.digits()) == Ok(length))
    }
}

impl fmt::Display for CodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for CodeKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = CodeKind::ALL.into_iter().find(|kind| kind.word() == word);
        known.ok_or_else(|| format!("unknown kind of code {word:?}"))
    }
}

/// A code as it is kept.
///
/// `Debug` does not show the hash: codes are short enough to be guessed from it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptCode {
    /// Where it comes from.
    pub kind: CodeKind,
    /// Argon2id as a PHC string.
    pub hash: String,
    /// How often it is still good.
    pub uses: u32,
    /// Until when it is good; none: for ever.
    pub expires: Option<SystemTime>,
    /// Why it was given.
    pub reason: Option<String>,
    /// When it was made.
    pub added: SystemTime,
    /// By whom.
    pub added_by: String,
}

impl KeptCode {
    /// Whether it may still be used.
    pub fn is_good(&self, now: SystemTime) -> bool {
        self.uses > 0 && self.expires.is_none_or(|expires| now < expires)
    }
}

impl fmt::Debug for KeptCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptCode")
            .field("kind", &self.kind)
            .field("uses", &self.uses)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A number of so many digits out of random octets, every one as likely; none for the few octets that would make some
/// likelier than others.
pub fn numeral(random: [u8; 8], digits: u32) -> Option<Secret> {
    let random = u64::from_be_bytes(random);
    let many = 10_u64.checked_pow(digits)?;
    let fair = (u64::MAX / many).checked_mul(many)?;
    let width = usize::try_from(digits).ok()?;
    (random < fair).then(|| Secret::from_text(format!("{:0width$}", random % many)))
}

/// A random code of so many digits.
///
/// # Errors
/// When the kernel has no random octets.
pub fn fresh(digits: u32) -> Result<Secret, String> {
    for _ in 0..64 {
        let mut random = Zeroizing::new([0; 8]);
        getrandom::fill(&mut *random).map_err(|error| format!("no random octets from the kernel: {error}"))?;
        if let Some(code) = numeral(*random, digits) {
            return Ok(code);
        }
    }
    Err("the kernel's random octets are none".into())
}

/// So many different codes.
///
/// # Errors
/// As [`fresh`].
pub fn list(kind: CodeKind, number: u32) -> Result<Vec<Secret>, String> {
    let mut codes: Vec<Secret> = Vec::new();
    while codes.len() < usize::try_from(number.min(MOST)).unwrap_or_default() {
        let code = fresh(kind.digits())?;
        if !codes.iter().any(|known| known.matches(code.open())) {
            codes.push(code);
        }
    }
    Ok(codes)
}

/// Hashes codes of one list, with one salt.
///
/// # Errors
/// Why there is no hash: no memory, no random octets.
pub fn hashed(codes: &[Secret]) -> Result<Vec<String>, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| format!("no random octets from the kernel: {error}"))?;
    let hash = |code: &Secret| {
        let hashed: Result<PasswordHash, _> = Argon2::default().hash_password_with_salt(code.open(), &salt);
        hashed.map(|hash| hash.to_string()).map_err(|error| format!("the code cannot be hashed: {error}"))
    };
    codes.iter().map(hash).collect()
}

/// Which of these hashes is that of a typed code: one hash for each salt. A hash that cannot be read belongs to no code.
pub fn which(typed: &Secret, hashes: &[&str]) -> Option<usize> {
    let mut known: Option<(PasswordHash, Zeroizing<Vec<u8>>)> = None;
    let mut found = None;
    for (place, hash) in hashes.iter().enumerate() {
        let Ok(hash) = PasswordHash::new(hash) else { continue };
        let Some(output) = hash.hash else { continue };
        let alike = known.as_ref().is_some_and(|(before, octets)| {
            before.salt == hash.salt && before.params == hash.params && octets.len() == output.len()
        });
        if !alike {
            let Some(octets) = hashed_like(typed, &hash, output.len()) else { continue };
            known = Some((hash, octets));
        }
        // Every one is compared, so that the time says nothing of the place.
        let same = known.as_ref().is_some_and(|(_, octets)| octets.as_slice().ct_eq(output.as_bytes()).into());
        found = found.or(same.then_some(place));
    }
    found
}

fn hashed_like(typed: &Secret, hash: &PasswordHash, length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.and_then(|version| Version::try_from(version).ok()).unwrap_or_default();
    let params = Params::try_from(hash).ok()?;
    let mut octets = Zeroizing::new(vec![0; length]);
    let argon2 = Argon2::new(algorithm, version, params);
    argon2.hash_password_into(typed.open(), hash.salt.as_ref()?.as_ref(), &mut octets).ok()?;
    Some(octets)
}

/// A code as it is printed: in groups, the first the longer one. Blanks are not typed.
pub fn grouped(code: &Secret) -> Zeroizing<String> {
    let digits = Zeroizing::new(String::from_utf8_lossy(code.open()).into_owned());
    let middle = digits.len().div_ceil(2);
    let (front, back) = digits.split_at_checked(middle).unwrap_or((&digits, ""));
    Zeroizing::new(format!("{front} {back}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_typed_code_is_found_by_one_hash_and_no_other_is() {
        let codes = list(CodeKind::Backup, 3).unwrap();
        let hashes = hashed(&codes).unwrap();
        assert!(hashes.iter().all(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")), "{hashes:?}");
        let mut all: Vec<&str> = hashes.iter().map(String::as_str).collect();
        for (place, code) in codes.iter().enumerate() {
            assert_eq!(which(code, &all), Some(place));
        }
        let other = hashed(&[Secret::from_text("123456789".into())]).unwrap();
        all.insert(0, "no hash");
        all.push(&other[0]);
        assert_eq!(which(&Secret::from_text("123456789".into()), &all), Some(4), "of another list, too");
        assert_eq!(which(&Secret::from_text("0000000000".into()), &all), None);
        assert_eq!(which(&codes[0], &[]), None);
    }

    #[test]
    fn kinds_are_told_by_their_length() {
        for kind in CodeKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(CodeKind::of_length(list(kind, 1).unwrap()[0].len()), Some(kind));
        }
        assert_eq!(CodeKind::of_length(8), None);
        assert!("magic".parse::<CodeKind>().is_err());
    }

    #[test]
    fn a_list_has_no_code_twice_and_no_more_than_may_be() {
        let codes = list(CodeKind::Temporary, 1000).unwrap();
        assert_eq!(codes.len(), 50);
        assert_eq!(grouped(&Secret::from_text("1234567890".into())).as_str(), "12345 67890");
        assert_eq!(grouped(&Secret::from_text("123456789".into())).as_str(), "12345 6789");
    }

    #[test]
    fn a_code_is_good_until_it_expires_or_is_used_up_and_debug_shows_no_hash() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let code = KeptCode {
            kind: CodeKind::Temporary,
            hash: "planted".into(),
            uses: 1,
            expires: Some(now),
            reason: None,
            added: now,
            added_by: "cli:ada".into(),
        };
        assert!(!code.is_good(now) && code.is_good(now - Duration::from_secs(1)));
        assert!(!KeptCode { uses: 0, expires: None, ..code.clone() }.is_good(now));
        assert!(!format!("{code:?}").contains("planted"));
    }

    proptest! {
        #[test]
        fn a_numeral_has_all_its_digits_and_nothing_else(random in any::<[u8; 8]>(), digits in 0..25_u32) {
            if let Some(code) = numeral(random, digits) {
                prop_assert_eq!(code.len(), digits.max(1) as usize);
                prop_assert!(code.open().iter().all(u8::is_ascii_digit));
            }
        }

        #[test]
        fn no_text_that_was_stored_panics(text in "\\PC{0,80}", rest in "[a-zA-Z0-9$=,+/]{0,60}") {
            let typed = Secret::from_text("1".into());
            prop_assert_eq!(which(&typed, &[&text, &format!("$argon2id${rest}")]), None);
        }
    }
}
