//! Password and code in one field: where to cut. Pure.
//!
//! A login form with two fields has no place for a code, so people type it behind the password:
//! `password,123456`, or the way they want to be asked: `password,push`. What is cut off is something only when it
//! looks like a code or is one of the words; everything else is a password that happens to hold the delimiter.
//!
//! A password may end in the delimiter and six digits itself. So what [`cut`] finds is tried first, the whole text
//! only after the directory has refused that; never the other way round, as each try counts at the directory.

use crate::config::Passcode;
use crate::secret::Secret;
use crate::users::model::Method;

/// Shortest and longest code behind a delimiter, in digits: RFC 4226 has six to eight, hardware up to ten.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=10;

/// What the person typed behind the password.
#[derive(Debug)]
pub enum Typed {
    /// A one-time code.
    Code(Secret),
    /// A word: how they want to be asked.
    Method(Method),
}

impl Typed {
    /// How the person is to be asked.
    pub fn method(&self) -> Method {
        match self {
            Typed::Code(_) => Method::Oath,
            Typed::Method(method) => *method,
        }
    }
}

/// A text in two parts.
#[derive(Debug)]
pub struct Cut {
    /// What stands before.
    pub password: Secret,
    /// What stands behind.
    pub typed: Typed,
}

/// Cuts a text as the client's rule says. `None`: all of it is the password.
pub fn cut(rule: &Passcode, whole: &Secret) -> Option<Cut> {
    let whole = whole.open();
    let (password, behind) = match rule {
        Passcode::Delimiter(delimiter) => {
            let delimiter = delimiter.as_bytes();
            let starts = whole.len().checked_sub(delimiter.len())?;
            let at = (0..=starts).rev().find(|&at| whole.get(at..at + delimiter.len()) == Some(delimiter))?;
            (whole.get(..at)?, whole.get(at + delimiter.len()..)?)
        }
        Passcode::Length(digits) => whole.split_at_checked(whole.len().checked_sub(*digits)?)?,
    };
    if password.is_empty() {
        return None;
    }
    let is_code = behind.iter().all(u8::is_ascii_digit)
        && match rule {
            Passcode::Delimiter(_) => DIGITS.contains(&behind.len()),
            Passcode::Length(digits) => behind.len() == *digits,
        };
    let typed = if is_code {
        Typed::Code(Secret::new(behind.to_vec()))
    } else if matches!(rule, Passcode::Delimiter(_)) {
        Typed::Method(method(behind)?)
    } else {
        return None;
    };
    Some(Cut { password: Secret::new(password.to_vec()), typed })
}

/// The words that people type, in any case.
fn method(word: &[u8]) -> Option<Method> {
    let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    if is("push") {
        Some(Method::Push)
    } else if is("call") || is("phone") {
        Some(Method::Call)
    } else if is("sms") {
        Some(Method::SmsReply)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn comma() -> Passcode {
        Passcode::Delimiter(",".into())
    }

    fn parts(rule: &Passcode, whole: &str) -> Option<(String, String)> {
        let cut = cut(rule, &Secret::from_text(whole.into()))?;
        let typed = match &cut.typed {
            Typed::Code(code) => String::from_utf8(code.open().to_vec()).unwrap(),
            Typed::Method(method) => method.word().to_owned(),
        };
        Some((String::from_utf8(cut.password.open().to_vec()).unwrap(), typed))
    }

    fn both(password: &str, typed: &str) -> Option<(String, String)> {
        Some((password.into(), typed.into()))
    }

    #[test]
    fn a_code_or_a_word_behind_the_last_delimiter_is_cut_off() {
        for (whole, expected) in [
            ("secret,123456", both("secret", "123456")),
            ("se,cret,123456", both("se,cret", "123456")),
            ("secret,PUSH", both("secret", "push")),
            ("secret,phone", both("secret", "call")),
            ("secret,sms", both("secret", "sms_reply")),
            ("abc,123456,push", both("abc,123456", "push")),
            ("secret, 123456", None),
            ("secret,123", None),
            ("secret,12345678901", None),
            ("secret,12345a", None),
            ("secret,", None),
            ("pass,word", None),
            (",123456", None),
            ("secret123456", None),
            ("", None),
        ] {
            assert_eq!(parts(&comma(), whole), expected, "{whole:?}");
        }
    }

    #[test]
    fn a_delimiter_may_be_longer_than_one_character() {
        assert_eq!(parts(&Passcode::Delimiter("::".into()), "a:b::654321"), both("a:b", "654321"));
    }

    #[test]
    fn a_code_of_fixed_length_is_cut_off_if_it_is_all_digits() {
        let six = Passcode::Length(6);
        assert_eq!(parts(&six, "secret123456"), both("secret", "123456"));
        assert_eq!(parts(&six, "secret12345"), None);
        assert_eq!(parts(&six, "123456"), None);
        assert_eq!(parts(&six, "secretpush"), None);
    }

    proptest! {
        #[test]
        fn what_is_cut_makes_the_whole_again(password in "[ -~]{1,20}", code in "[0-9]{6}") {
            prop_assert_eq!(parts(&comma(), &format!("{password},{code}")), both(&password, &code));
            prop_assert_eq!(parts(&Passcode::Length(6), &format!("{password}{code}")), both(&password, &code));
        }

        #[test]
        fn no_octets_panic(whole in proptest::collection::vec(any::<u8>(), 0..40), length in 0..50_usize) {
            let whole = Secret::new(whole);
            let _ = (cut(&comma(), &whole), cut(&Passcode::Length(length), &whole));
        }
    }
}
