//! Request Authenticators, which nobody may foretell (RFC 2865 section 3): asked of the kernel for many at a time.

use zeroize::Zeroizing;

use crate::radius::packet::Authenticator;

/// How many are asked for at once.
const AT_ONCE: usize = 64;

/// Random octets in store, each given out once.
#[derive(Default)]
pub(super) struct Random(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(..)")
    }
}

impl Random {
    /// The next one.
    ///
    /// # Errors
    /// When the kernel has none: without randomness a reply could be foretold.
    pub(super) fn authenticator(&mut self) -> Result<Authenticator, getrandom::Error> {
        if self.0.is_empty() {
            let mut fresh = Zeroizing::new(vec![0; AT_ONCE * size_of::<Authenticator>()]);
            getrandom::fill(&mut fresh)?;
            self.0 = fresh;
        }
        let rest = self.0.len().saturating_sub(size_of::<Authenticator>());
        let taken = self.0.get(rest..).and_then(|octets| Authenticator::try_from(octets).ok());
        self.0.truncate(rest);
        taken.ok_or(getrandom::Error::UNEXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn none_is_given_out_twice() {
        let mut random = Random::default();
        let given: HashSet<Authenticator> = (0..3 * AT_ONCE).map(|_| random.authenticator().unwrap()).collect();
        assert_eq!(given.len(), 3 * AT_ONCE);
        assert!(!given.contains(&[0; 16]));
    }
}
