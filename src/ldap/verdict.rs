//! What an application hears of a refused bind. Pure.
//!
//! Everything that is about the person is invalidCredentials with the same text, octet for octet: a wrong password,
//! an unknown name, a denied prompt, one that nobody answered. Only what is known before the password was found
//! right has codes of its own, so that no code tells a guesser that it was.

use super::result::code;
use crate::signin::outcome::Reason;

/// Result code of a refused bind, and its text where the client's section does not say that refusals are explained.
/// `passed`: the directory has found the password right.
pub fn refusal(reason: Reason, passed: bool) -> (u32, &'static str) {
    let (code, text) = before_the_password(reason);
    if passed { (code::INVALID_CREDENTIALS, "") } else { (code, text) }
}

/// As [`refusal`], with the reason, and before it what the provider has for the person to read: for clients whose
/// section has `explain_refusals`.
pub fn explained(reason: Reason, passed: bool, text: Option<&str>) -> (u32, String) {
    let text = text.map(|text| format!("{text} (")).unwrap_or_default();
    let end = if text.is_empty() { "" } else { ")" };
    (refusal(reason, passed).0, format!("{text}{reason}: {}{end}", reason.advice()))
}

#[expect(clippy::too_many_lines, reason = "a table: every reason is named")]
fn before_the_password(reason: Reason) -> (u32, &'static str) {
    match reason {
        // RFC 4513 section 5.1.2.
        Reason::EmptyPassword => (code::UNWILLING_TO_PERFORM, "a bind with a name and without a password is refused"),
        Reason::DirectoryUnreachable
        | Reason::DirectoryRefused
        | Reason::DirectoryGarbled
        | Reason::StoreUnavailable
        | Reason::Deadline
        | Reason::ShuttingDown
        | Reason::ClientGone
        | Reason::Internal => (code::UNAVAILABLE, "the directory cannot be asked at the moment"),
        Reason::Overloaded | Reason::OverHeld | Reason::OverHeldClient | Reason::OverHeldPerson => {
            (code::BUSY, "too many sign-ins at once")
        }
        Reason::Approved
        | Reason::ExemptUser
        | Reason::ExemptGroup
        | Reason::ExemptNetwork
        | Reason::NotEnrolledExempt
        | Reason::UserDisabledExempt
        | Reason::ProviderUnreachableExempt
        | Reason::ServiceAccount
        | Reason::RememberedApproval
        | Reason::CachedApproval
        | Reason::RuleSkipped
        | Reason::OneTimeBypass
        | Reason::SaslRelayed
        | Reason::RuleRefused
        | Reason::RuleUndecided
        | Reason::ReplyUndecided
        | Reason::ReplyUnfit
        | Reason::NoPassword
        | Reason::UnwantedPassword
        | Reason::ConnectionDenied
        | Reason::NoConnectionPolicy
        | Reason::BadName
        | Reason::BadPassword
        | Reason::UnknownUser
        | Reason::AmbiguousUser
        | Reason::WrongPassword
        | Reason::LogonHours
        | Reason::Workstation
        | Reason::PasswordExpired
        | Reason::AccountDisabled
        | Reason::AccountExpired
        | Reason::MustChangePassword
        | Reason::NewPasswordRefused
        | Reason::AccountLocked
        | Reason::AccountRestricted
        | Reason::OtherPerson
        | Reason::UnnamedPerson
        | Reason::TargetAsksMore
        | Reason::BrokenEap
        | Reason::RequestLoop
        | Reason::NotEnrolled
        | Reason::UserDisabled
        | Reason::Blocked
        | Reason::NoMethod
        | Reason::ThrottledPerson
        | Reason::ThrottledSource
        | Reason::PromptLimited
        | Reason::Denied
        | Reason::Fraud
        | Reason::Expired
        | Reason::Undeliverable
        | Reason::NeedsCode
        | Reason::WrongCode
        | Reason::WrongPin
        | Reason::PinDue
        | Reason::NoPin
        | Reason::PinLocked
        | Reason::NeedsPin
        | Reason::ProviderUnreachable
        | Reason::ProviderLost
        | Reason::ProviderRefused
        | Reason::ProviderGarbled
        | Reason::ProviderBypassExempt
        | Reason::ProviderUnknownPerson
        | Reason::ProviderNoMethod
        | Reason::ProviderLocked
        // Nobody is asked for more by this door.
        | Reason::Challenged
        | Reason::ChallengeExpired
        | Reason::StateForeign
        | Reason::StateUsed
        | Reason::StateElsewhere
        | Reason::ProviderBypassed => (code::INVALID_CREDENTIALS, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_tells_that_the_password_was_right() {
        for reason in Reason::ALL {
            assert_eq!(refusal(*reason, true), (code::INVALID_CREDENTIALS, ""), "{reason}");
        }
    }

    #[test]
    fn what_is_about_the_person_sounds_the_same() {
        for reason in [Reason::WrongPassword, Reason::UnknownUser, Reason::Denied, Reason::Expired, Reason::Blocked] {
            assert_eq!(refusal(reason, false), (code::INVALID_CREDENTIALS, ""), "{reason}");
        }
    }

    #[test]
    fn a_directory_that_is_away_is_no_wrong_password() {
        assert_eq!(refusal(Reason::DirectoryUnreachable, false).0, code::UNAVAILABLE);
        assert_eq!(refusal(Reason::EmptyPassword, false).0, code::UNWILLING_TO_PERFORM);
    }

    #[test]
    fn an_explained_refusal_names_its_reason() {
        let (code, text) = explained(Reason::Denied, true, None);
        assert_eq!(code, code::INVALID_CREDENTIALS);
        assert!(text.starts_with("denied: "), "{text}");
        let (_, text) = explained(Reason::ProviderUnknownPerson, true, Some("Enrol at https://enrol.example/x"));
        assert!(text.starts_with("Enrol at https://enrol.example/x (provider_unknown_person: "), "{text}");
    }
}
