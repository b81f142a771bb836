//! PIN and code in one text, as people in PIN mode type them. Pure.

use crate::secret::Secret;

/// On which side of the code the PIN stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PinSide {
    /// PIN, then code.
    #[default]
    Before,
    /// Code, then PIN.
    After,
}

/// Takes PIN and code apart; `digits` are those of the code. `None`: there is nothing left for a PIN.
pub fn split(typed: &Secret, digits: u32, side: PinSide) -> Option<(Secret, Secret)> {
    let typed = typed.open();
    let digits = usize::try_from(digits).ok()?;
    let rest = typed.len().checked_sub(digits).filter(|rest| *rest > 0)?;
    let (front, back) = typed.split_at_checked(if side == PinSide::Before { rest } else { digits })?;
    let (pin, code) = if side == PinSide::Before { (front, back) } else { (back, front) };
    Some((Secret::new(pin.to_vec()), Secret::new(code.to_vec())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_together_is_taken_apart(pin in "[0-9]{1,16}", code in "[0-9]{6,8}") {
            let digits = u32::try_from(code.len()).unwrap();
            for (typed, side) in [(format!("{pin}{code}"), PinSide::Before), (format!("{code}{pin}"), PinSide::After)] {
                let (one, other) = split(&Secret::from_text(typed), digits, side).unwrap();
                prop_assert!(one.matches(pin.as_bytes()) && other.matches(code.as_bytes()));
            }
        }

        #[test]
        fn nothing_panics_and_no_pin_is_empty(typed in proptest::collection::vec(any::<u8>(), 0..30), digits in any::<u32>()) {
            for side in [PinSide::Before, PinSide::After] {
                if let Some((pin, code)) = split(&Secret::new(typed.clone()), digits, side) {
                    prop_assert!(!pin.is_empty());
                    prop_assert_eq!(pin.len() + code.len(), typed.len());
                }
            }
        }
    }
}
