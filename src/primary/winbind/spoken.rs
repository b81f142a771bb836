//! What is said to `ntlm_auth`, and what it says: for a proof by `--helper-protocol=ntlm-server-1`, for a change of password by
//! `ntlm-change-password-1`. Pure.
//!
//! A question is lines of `Key: value` and a line with a full stop. Of an answer nothing but its own words tells which
//! question it belongs to, and Samba ends a refusal with one full stop more than it begins: who counts those gives one
//! person's answer to the next. So behind each question stands a word that is no key, made for it alone. What the
//! program says about that word ("Unknown request") closes the answer; all that came before it, and nothing else, is it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::primary::Refusal;
use crate::radius::mschap::Sealed;

/// What can be asked of a helper.
pub(super) trait Spoken {
    /// What it answers.
    type Answer;

    /// The lines to be written, and `word` behind them.
    fn lines(&self, word: &str) -> Zeroizing<String>;

    /// Reads an answer. Nothing where it is none, or is not clear.
    fn read(answer: &[u8]) -> Option<Self::Answer>;
}

/// One proof to be judged.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    /// The account name (sAMAccountName).
    pub(super) name: &'a str,
    /// NetBIOS name of its domain; none: the program's own.
    pub(super) domain: Option<&'a str>,
    /// What the response was made of.
    pub(super) challenge: &'a [u8; 8],
    /// The response.
    pub(super) response: &'a [u8; 24],
}

impl Spoken for Question<'_> {
    type Answer = Answer;

    fn lines(&self, word: &str) -> Zeroizing<String> {
        let names = [("Username", Some(self.name)), ("NT-Domain", self.domain)];
        let proof = [("LANMAN-Challenge", &self.challenge[..]), ("NT-Response", &self.response[..])];
        asked(names, proof, "Request-User-Session-Key: Yes\n", word)
    }

    fn read(answer: &[u8]) -> Option<Answer> {
        read(answer)
    }
}

/// A change of password.
pub(super) struct Changing<'a> {
    /// The account name (sAMAccountName).
    pub(super) name: &'a str,
    /// NetBIOS name of its domain. Samba 4.17 does not know the account without it.
    pub(super) domain: &'a str,
    /// Both passwords.
    pub(super) sealed: &'a Sealed,
}

impl Spoken for Changing<'_> {
    type Answer = Changed;

    fn lines(&self, word: &str) -> Zeroizing<String> {
        let names = [("username", Some(self.name)), ("nt-domain", Some(self.domain))];
        let (new, old) = (self.sealed.new_password(), self.sealed.old_hash());
        asked(names, [("new-nt-password-blob", new), ("old-nt-hash-blob", old)], "", word)
    }

    fn read(answer: &[u8]) -> Option<Changed> {
        let text = std::str::from_utf8(answer).ok()?;
        let error = || only(text, "Password-Change-Error").ok()?.or(only(text, "Error").ok()?);
        match only(text, "Password-Change").ok()? {
            Some("Yes") if !text.lines().any(|line| line.contains("Error: ")) => Some(Changed::Yes),
            Some("No") => {
                let error = error()?;
                Some(refusal(error).map_or_else(|| Changed::Fault(error.to_owned()), Changed::No))
            }
            Some(_) => None,
            None => error().map(|error| Changed::Fault(error.to_owned())),
        }
    }
}

/// What becomes of a change.
pub(super) enum Changed {
    /// The password is the new one.
    Yes,
    /// It stays what it was.
    No(Refusal),
    /// It could not be tried, for this reason.
    Fault(String),
}

/// A question's lines. The names are in Base64, which the second colon says: no name can be more than a name.
fn asked(names: [(&str, Option<&str>); 2], blobs: [(&str, &[u8]); 2], more: &str, word: &str) -> Zeroizing<String> {
    // Never grows: nothing is left behind in memory.
    let mut lines = Zeroizing::new(String::with_capacity(4096));
    for (key, value) in names {
        if let Some(value) = value {
            lines.extend([key, ":: ", &STANDARD.encode(value), "\n"]);
        }
    }
    for (key, octets) in blobs {
        lines.extend([key, ": "]);
        lines.extend(octets.iter().flat_map(|octet| [octet >> 4, octet & 0xf]).filter_map(digit));
        lines.push('\n');
    }
    lines.extend([more, ".\n", word, ": x\n"]);
    lines
}

fn digit(nibble: u8) -> Option<char> {
    char::from_digit(u32::from(nibble), 16)
}

/// An answer.
pub(super) enum Answer {
    /// The response is right. The hash of the hash of the password.
    Right(Zeroizing<[u8; 16]>),
    /// It is not, or the account may not sign in.
    Wrong(Refusal),
    /// It could not be judged, for this reason.
    Fault(String),
}

/// Where the answer to the question before `word` ends in what was `said`; nothing while it is not all there.
pub(super) fn end(said: &[u8], word: &str) -> Option<usize> {
    let closing = format!("Error: Unknown request {word}\n.\n");
    said.ends_with(closing.as_bytes()).then(|| said.len() - closing.len())
}

fn read(answer: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(answer).ok()?;
    let only = |key: &str| only(text, key);
    let error = || only("Authentication-Error").ok()?.or_else(|| only("Error").ok()?);
    match only("Authenticated").ok()? {
        Some("Yes") if only("Authentication-Error").ok()?.is_none() && only("Error").ok()?.is_none() => {
            let key = key(only("User-Session-Key").ok()??)?;
            // A key of zeros is that of nobody: a guest, or a session without a password.
            (*key != [0; 16]).then_some(Answer::Right(key))
        }
        Some("No") => {
            let error = error()?;
            Some(refusal(error).map_or_else(|| Answer::Fault(error.to_owned()), Answer::Wrong))
        }
        Some(_) => None,
        None => error().map(|error| Answer::Fault(error.to_owned())),
    }
}

/// The value of a line, of which there may be one.
fn only<'a>(text: &'a str, key: &str) -> Result<Option<&'a str>, ()> {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(()),
    }
}

fn key(digits: &str) -> Option<Zeroizing<[u8; 16]>> {
    let mut key = Zeroizing::new([0; 16]);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != key.len() || !rest.is_empty() {
        return None;
    }
    for (octet, pair) in key.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        *octet = high? << 4 | low?;
    }
    Some(key)
}

/// What is said of an account, by a part of the text of Samba 4.16 and later, of that of those before, or by its name
/// (MS-ERREF section 2.3). Whatever is not here is a fault: nobody's password is called wrong for it.
const REFUSALS: [(&[&str], Refusal); 11] = [
    (
        &["value provided as the current password is not correct", "wrong password", "nt_status_wrong_password"],
        Refusal::WrongPassword,
    ),
    (&["the attempted logon is invalid", "logon failure", "nt_status_logon_failure"], Refusal::WrongPassword),
    (&["specified account does not exist", "no such user", "nt_status_no_such_user"], Refusal::NoSuchUser),
    (
        &["time restrictions and cannot be logged", "invalid logon hours", "nt_status_invalid_logon_hours"],
        Refusal::LogonHours,
    ),
    (
        &["log on from the source workstation", "invalid workstation", "nt_status_invalid_workstation"],
        Refusal::Workstation,
    ),
    (&["account password has expired", "password expired", "nt_status_password_expired"], Refusal::PasswordExpired),
    (
        &["password must be changed before", "must change password", "nt_status_password_must_change"],
        Refusal::MustChangePassword,
    ),
    (&["account is currently disabled", "account disabled", "nt_status_account_disabled"], Refusal::Disabled),
    (&["user account has expired", "account expired", "nt_status_account_expired"], Refusal::AccountExpired),
    (&["some password update rule has been violated", "nt_status_password_restriction"], Refusal::NewPassword),
    (&["automatically locked", "account locked out", "nt_status_account_locked_out"], Refusal::LockedOut),
];

/// Restrictions without a reason of their own (MS-ERREF section 2.3).
const RESTRICTED: [&str; 4] = [
    "some user account restriction",
    "nt_status_account_restriction",
    "nt_status_smartcard_logon_required",
    "smart card must be used",
];

fn refusal(error: &str) -> Option<Refusal> {
    let error = error.to_ascii_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| error.contains(text));
    let found = REFUSALS.iter().find(|(texts, _)| says(texts)).map(|(_, refusal)| *refusal);
    found.or_else(|| says(&RESTRICTED).then_some(Refusal::Restricted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_is_lines_of_which_no_name_makes_more() {
        let question = Question {
            name: "al\nUsername: bob",
            domain: Some("CORP"),
            challenge: &[0xd0, 2, 3, 4, 5, 6, 7, 8],
            response: &[0x82; 24],
        };
        let lines = question.lines("Close-7");
        let expected = [
            "Username:: YWwKVXNlcm5hbWU6IGJvYg==",
            "NT-Domain:: Q09SUA==",
            "LANMAN-Challenge: d002030405060708",
            &format!("NT-Response: {}", "82".repeat(24)),
            "Request-User-Session-Key: Yes",
            ".",
            "Close-7: x",
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_answer_ends_with_its_own_word_and_with_no_other() {
        let said = b"Authenticated: No\n.\n.\nError: Unknown request Close-7\n.\n";
        assert_eq!(end(said, "Close-7"), Some(22));
        assert_eq!(end(&said[..said.len() - 1], "Close-7"), None);
        assert_eq!(end(said, "Close-8"), None);
        assert_eq!(end(b"Authenticated: Yes\n.\n", "Close-7"), None);
    }

    #[test]
    fn only_a_clear_yes_is_one() {
        let yes = "Authenticated: Yes\nUser-Session-Key: B921A5185A22D603467F80ACB59753B7\n.\n";
        assert!(matches!(read(yes.as_bytes()), Some(Answer::Right(key)) if key[..2] == [0xb9, 0x21]));
        for unclear in [
            "",
            ".\n",
            "Authenticated: Yes\n.\n",
            "Authenticated: yes\nUser-Session-Key: B921A5185A22D603467F80ACB59753B7\n.\n",
            "Authenticated: Yes\nUser-Session-Key: B921\n.\n",
            "Authenticated: Yes\nUser-Session-Key: G921A5185A22D603467F80ACB59753B7\n.\n",
            "Authenticated: Yes\nUser-Session-Key: 00000000000000000000000000000000\n.\n",
            "Authenticated: No\n.\n",
            &format!("Authenticated: No\nAuthentication-Error: x\n.\n{yes}"),
            &format!("{yes}{yes}"),
            &format!("{yes}Error: something\n.\n"),
        ] {
            assert!(read(unclear.as_bytes()).is_none(), "{unclear:?}");
        }
        assert!(read(&[yes.as_bytes(), &[0xff]].concat()).is_none());
    }

    /// As Samba 4.17 said it of a controller's accounts, and as its forerunners did.
    #[test]
    fn each_refusal_is_known_and_anything_else_is_a_fault() {
        let said = |error: &str| read(format!("Authenticated: No\nAuthentication-Error: {error}\n.\n.\n").as_bytes());
        for (error, refusal) in [
            (
                "When trying to update a password, this return status indicates that the value provided as the current password is not correct.",
                Refusal::WrongPassword,
            ),
            ("The specified account does not exist.", Refusal::NoSuchUser),
            ("The referenced account is currently disabled and cannot be logged on to.", Refusal::Disabled),
            (
                "The user account has been automatically locked because too many invalid logon attempts or password change attempts have been requested.",
                Refusal::LockedOut,
            ),
            ("The user password must be changed before logging on the first time.", Refusal::MustChangePassword),
            ("The user account password has expired.", Refusal::PasswordExpired),
            ("The user account has expired.", Refusal::AccountExpired),
            ("The user account has time restrictions and cannot be logged onto at this time.", Refusal::LogonHours),
            (
                "The user account is restricted so that it cannot be used to log on from the source workstation.",
                Refusal::Workstation,
            ),
            (
                "Indicates a referenced user name and authentication information are valid, but some user account restriction has prevented successful authentication (such as time-of-day restrictions).",
                Refusal::Restricted,
            ),
            (
                "The attempted logon is invalid. This is either due to a bad username or authentication information.",
                Refusal::WrongPassword,
            ),
            ("Wrong Password", Refusal::WrongPassword),
            ("Account locked out", Refusal::LockedOut),
            ("NT_STATUS_ACCOUNT_DISABLED", Refusal::Disabled),
        ] {
            assert!(matches!(said(error), Some(Answer::Wrong(found)) if found == refusal), "{error}");
        }
        for error in ["Reading winbind reply failed!", "No logon servers", "winbind client not authorized"] {
            assert!(matches!(said(error), Some(Answer::Fault(text)) if text == error));
        }
        assert!(matches!(read(b"Error: No username supplied!\n.\n"), Some(Answer::Fault(_))));
    }

    /// As Samba 4.17 says it.
    #[test]
    fn of_a_change_only_a_clear_yes_is_one() {
        let said = |text: &str| Changing::read(text.as_bytes());
        assert!(matches!(said("Password-Change: Yes\n.\n"), Some(Changed::Yes)));
        let rule = "When trying to update a password, this status indicates that some password update rule has been violated. For example, the password might not meet length criteria.";
        let wrong = "When trying to update a password, this return status indicates that the value provided as the current password is not correct.";
        for (error, refusal) in [(rule, Refusal::NewPassword), (wrong, Refusal::WrongPassword)] {
            let text = format!("Password-Change: No\nPassword-Change-Error: {error}\n.\n.\n");
            assert!(matches!(said(&text), Some(Changed::No(found)) if found == refusal), "{error}");
        }
        let away = "Password-Change: No\nPassword-Change-Error: Reading winbind reply failed!\n.\n.\n";
        assert!(matches!(said(away), Some(Changed::Fault(text)) if text.starts_with("Reading")));
        assert!(matches!(said("Error: No username supplied!\n.\n"), Some(Changed::Fault(_))));
        for unclear in [
            "",
            ".\n",
            "Password-Change: yes\n.\n",
            "Password-Change: No\n.\n",
            "Password-Change: Yes\nPassword-Change: Yes\n.\n",
            "Password-Change: Yes\nPassword-Change-Error: x\n.\n",
            "Password-Change: Yes\nError: x\n.\n",
            "Authenticated: Yes\n.\n",
        ] {
            assert!(said(unclear).is_none(), "{unclear:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_read(answer in proptest::collection::vec(any::<u8>(), 0..300), word in "[A-Z]{1,4}") {
            let _ = (read(&answer), Changing::read(&answer), end(&answer, &word));
        }
    }
}
