//! Texts of a provider for the person: where to enrol, a number to compare. Only for clients that show text.

use std::sync::{Arc, Mutex, PoisonError};

/// Longest text, in octets: a Reply-Message is one attribute (RFC 2865 section 5.18).
const LONGEST: usize = 253;

/// What is told where a code was sent that the next sign-in brings.
pub const CODE_SENT: &str = "A code is on its way to you. Sign in again with your password and the code.";

/// Where a text for the person can be put. Clones speak of the same text.
#[derive(Debug, Clone)]
pub struct Tell {
    text: Arc<Mutex<Option<String>>>,
    /// Whether the text is shown while the prompt is open, and not only with the answer.
    while_open: bool,
}

impl Tell {
    /// For a client that shows a text with its answer; `while_open`: also while the prompt is open.
    pub fn new(while_open: bool) -> Self {
        Tell { text: Arc::default(), while_open }
    }

    /// Whether the person reads the text while the prompt is open.
    pub fn while_open(&self) -> bool {
        self.while_open
    }

    /// Puts a text, without control characters and cut to what fits; a later one replaces it.
    pub fn say(&self, text: &str) {
        let mut plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let end = plain.floor_char_boundary(LONGEST);
        plain.truncate(end);
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = Some(plain);
    }

    /// Takes the text, if there is one.
    pub fn take(&self) -> Option<String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_fits_one_attribute_and_moves_no_cursor() {
        let tell = Tell::new(false);
        tell.clone().say(&format!("a\r\n\u{1b}[2Jb{}", "é".repeat(300)));
        let told = tell.take().unwrap();
        assert!(told.starts_with("a   [2Jb") && told.len() <= LONGEST, "{told}");
        assert_eq!(tell.take(), None);
    }
}
