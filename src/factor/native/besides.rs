//! What a person types on their phone besides approving: their PIN, and the number that their client shows. Pure.

use std::fmt;

use crate::factor::native::wire::TypedPin;
use crate::secret::Secret;

/// What has to come with an approval.
#[derive(Default)]
pub struct Besides {
    wants_pin: bool,
    pin: Option<Secret>,
    number: Option<Box<str>>,
}

impl fmt::Debug for Besides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Besides").field("wants_pin", &self.wants_pin).finish_non_exhaustive()
    }
}

impl Besides {
    /// The person's PIN, where it is wanted, and the number that they read. `None` where there is nothing of either.
    pub fn new(wants_pin: bool, number: Option<String>) -> Option<Box<Besides>> {
        let wanted = wants_pin || number.is_some();
        wanted.then(|| Box::new(Besides { wants_pin, pin: None, number: number.map(Into::into) }))
    }

    /// Whether the PIN is to be typed.
    pub fn wants_pin(&self) -> bool {
        self.wants_pin
    }

    /// The number that is to be typed.
    pub fn number(&self) -> Option<&str> {
        self.number.as_deref()
    }

    /// Whether this is the number that is shown, where one is.
    pub(super) fn is_number(&self, typed: Option<&str>) -> bool {
        self.number.as_deref().is_none_or(|number| typed == Some(number))
    }

    /// Keeps the PIN that came, where one is wanted.
    pub(super) fn typed(&mut self, pin: &TypedPin<'_>) {
        self.pin = self.wants_pin.then(|| pin.secret());
    }

    /// Whether this is the PIN that came before.
    pub(super) fn has_typed(&self, pin: Option<&TypedPin<'_>>) -> bool {
        match (&self.pin, pin) {
            (Some(before), Some(pin)) => before.matches(pin.secret().open()),
            // It was taken to be checked, or none is wanted.
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    /// The PIN that came, once.
    pub(super) fn take_pin(&mut self) -> Option<Secret> {
        self.pin.take()
    }
}

/// A number of two digits out of random octets: 10 to 99, each about as likely.
pub fn number(random: [u8; 4]) -> String {
    (10 + u32::from_be_bytes(random) % 90).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_two_digits() {
        for random in [[0; 4], [0, 0, 0, 89], [0, 0, 0, 90], [255; 4]] {
            let number = number(random);
            assert!(number.len() == 2 && !number.starts_with('0'), "{number}");
        }
        assert_eq!((number([0; 4]).as_str(), number([0, 0, 0, 89]).as_str()), ("10", "99"));
    }

    #[test]
    fn nothing_of_it_is_shown_and_nothing_is_made_of_nothing() {
        assert!(Besides::new(false, None).is_none());
        let mut besides = Besides::new(true, Some("42".into())).unwrap();
        assert!(besides.is_number(Some("42")) && !besides.is_number(Some("24")) && !besides.is_number(None));
        let pin: TypedPin<'_> = serde_json::from_str("\"40927\"").unwrap();
        besides.typed(&pin);
        assert!(besides.has_typed(Some(&pin)) && !besides.has_typed(None));
        let shown = format!("{besides:?} {pin:?}");
        assert!(!shown.contains("40927") && !shown.contains("42"), "{shown}");
        assert!(besides.take_pin().unwrap().matches(b"40927") && besides.take_pin().is_none());
    }
}
