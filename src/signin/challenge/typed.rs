//! What somebody typed into a challenge. Pure.

use crate::secret::Secret;
use crate::signin::challenge::Ask;
use crate::signin::passcode::{self, Word};

/// What somebody typed into a challenge.
#[derive(Debug)]
pub enum Typed {
    /// Nothing, or that they have read it.
    Nothing,
    /// A code, or whatever else is asked for.
    Text(Secret),
    /// Another way, by its word.
    Word(Word),
    /// One of the menu, counted from 0; or none of it.
    Choice(usize),
    /// That a new code be sent.
    Refresh,
}

/// Reads what was typed into a challenge.
pub fn read(ask: &Ask, text: &[u8]) -> Typed {
    let text = text.trim_ascii();
    if text.is_empty() || text.eq_ignore_ascii_case(b"ok") {
        return Typed::Nothing;
    }
    let whole = || Typed::Text(Secret::new(text.to_vec()));
    match ask {
        Ask::Menu(_) => match text {
            // A single digit is no code: one that stands for no way is asked about again, and no provider hears of it.
            [digit] if digit.is_ascii_digit() => Typed::Choice(usize::from(*digit).wrapping_sub(usize::from(b'1'))),
            _ => passcode::word(text).map_or_else(whole, Typed::Word),
        },
        Ask::Code { sent: Some(_), .. } if text.eq_ignore_ascii_case(b"r") => Typed::Refresh,
        Ask::Code { .. } | Ask::Prompt | Ask::Pin | Ask::NextCode => {
            passcode::word(text).map_or_else(whole, Typed::Word)
        }
        Ask::NewPin | Ask::RepeatPin => whole(),
    }
}
