//! What of a person's entry a `[[reply]]` makes values of. Pure.

/// Octets of values of one person, at most: a directory must not fill the memory by somebody's many groups.
const MOST: usize = 64 * 1024;

/// The values of one attribute.
type Values = Vec<Box<[u8]>>;

/// Values of some attributes of an entry. Never shown: one may be a secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Details {
    attributes: Vec<(Box<str>, Values)>,
    size: usize,
    cut: bool,
}

impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.attributes.iter().map(|(name, values)| (name, values.len()))).finish()
    }
}

impl Details {
    /// Adds the values of an attribute, in lower case. What is too much is left out, and [`Details::is_cut`] says so.
    pub fn add<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a [u8]>) {
        let mut kept = Vec::new();
        for value in values {
            // Short ones cost memory, too.
            self.size += value.len().max(32);
            if self.size > MOST {
                self.cut = true;
                break;
            }
            kept.push(value.into());
        }
        self.attributes.push((name.into(), kept));
    }

    /// Notes that the directory has more than it gave.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// The values of an attribute, named in lower case.
    pub fn values(&self, name: &str) -> &[Box<[u8]>] {
        self.attributes
            .iter()
            .find(|(known, _)| **known == *name)
            .map(|(_, values)| values.as_slice())
            .unwrap_or_default()
    }

    /// Whether there were more values than these.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_in_very_many_groups_is_cut_and_it_shows() {
        let mut details = Details::default();
        let group = [b'g'; 1000];
        details.add("memberof", (0..60).map(|_| group.as_slice()));
        assert_eq!((details.values("memberof").len(), details.is_cut()), (60, false));
        details.add("mail", [b"a@b".as_slice()].into_iter());
        assert_eq!((details.values("mail").len(), details.values("phone").len()), (1, 0));
        details.add("more", (0..60).map(|_| group.as_slice()));
        assert!(details.is_cut() && details.values("more").len() < 10);
        let mut tiny = Details::default();
        tiny.add("x", (0..1_000_000).map(|_| b"".as_slice()));
        assert!(tiny.is_cut() && tiny.values("x").len() <= 2048, "empty values are not free");
    }
}
