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

/// Shortest and longest code behind a delimiter, in digits: RFC 4226 has six to eight, hardware and lists up to ten, and a
/// PIN of up to sixteen may stand before or after.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=24;

/// What the person typed behind the password.
#[derive(Debug)]
pub enum Typed {
    /// A one-time code.
    Code(Secret),
    /// The code that was sent in this very sign-in, this way.
    Sent(Secret, Method),
    /// How they want to be asked.
    Word(Word),
}

/// A word for how somebody wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The ways that it stands for, the best first.
    pub methods: &'static [Method],
    /// Which of several devices, counted from 1 (`push2`).
    pub device: Option<u8>,
}

impl Word {
    /// One that was taken apart: its ways and its device.
    pub fn again(methods: &[Method], device: Option<u8>) -> Option<Word> {
        let one = Word::of(*methods.first()?);
        let both: &[Method] = &[Method::SmsReply, Method::SmsCode];
        let methods = if methods == both { &[Method::SmsReply, Method::SmsCode] } else { one.methods };
        Some(Word { methods, device })
    }

    /// One way, as if its word had been typed.
    pub fn of(method: Method) -> Word {
        let methods: &[Method] = match method {
            Method::Push => &[Method::Push],
            Method::Call => &[Method::Call],
            Method::SmsReply => &[Method::SmsReply],
            Method::Oath => &[Method::Oath],
            Method::SmsCode => &[Method::SmsCode],
            Method::EmailCode => &[Method::EmailCode],
            Method::BackupCode => &[Method::BackupCode],
            Method::TemporaryCode => &[Method::TemporaryCode],
        };
        Word { methods, device: None }
    }
}

impl Typed {
    /// The code, where it is one.
    pub fn code(&self) -> Option<&Secret> {
        match self {
            Typed::Code(code) | Typed::Sent(code, _) => Some(code),
            Typed::Word(_) => None,
        }
    }

    /// The code itself, where it is one.
    pub fn into_code(self) -> Option<Secret> {
        match self {
            Typed::Code(code) | Typed::Sent(code, _) => Some(code),
            Typed::Word(_) => None,
        }
    }

    /// How the person may be asked, the best way first.
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Typed::Code(_) | Typed::Sent(..) => &[Method::Oath],
            Typed::Word(word) => word.methods,
        }
    }

    /// Which device they named.
    pub fn device(&self) -> Option<u8> {
        match self {
            Typed::Code(_) | Typed::Sent(..) => None,
            Typed::Word(word) => word.device,
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
        Typed::Word(word(behind)?)
    } else {
        return None;
    };
    Some(Cut { password: Secret::new(password.to_vec()), typed })
}

/// The words that people type, in any case; a digit behind one names a device.
pub fn word(text: &[u8]) -> Option<Word> {
    let (name, device) = match text.split_last()? {
        (digit @ b'1'..=b'9', name) => (name, Some(digit - b'0')),
        _ => (text, None),
    };
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let methods: &[Method] = if is("push") {
        &[Method::Push]
    } else if is("call") || is("phone") {
        &[Method::Call]
    } else if is("sms") {
        &[Method::SmsReply, Method::SmsCode]
    } else if is("email") {
        &[Method::EmailCode]
    } else {
        return None;
    };
    Some(Word { methods, device })
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
            Typed::Code(code) | Typed::Sent(code, _) => String::from_utf8(code.open().to_vec()).unwrap(),
            Typed::Word(word) => {
                let device = word.device.map(|device| device.to_string()).unwrap_or_default();
                format!("{}{device}", word.methods[0])
            }
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
            ("secret,push2", both("secret", "push2")),
            ("secret,Phone9", both("secret", "call9")),
            ("secret,email", both("secret", "email_code")),
            ("secret,push0", None),
            ("secret,push12", None),
            ("secret,2", None),
            ("abc,123456,push", both("abc,123456", "push")),
            ("secret, 123456", None),
            ("secret,123", None),
            ("secret,12345678901", both("secret", "12345678901")),
            ("secret,1234567890123456789012345", None),
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
    fn a_text_may_be_one_that_is_answered_or_one_with_a_code() {
        assert_eq!(word(b"sms").unwrap().methods, [Method::SmsReply, Method::SmsCode]);
        assert_eq!(word(b""), None);
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
