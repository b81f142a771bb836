//! Which reason stands for what a step of a sign-in found out.

use crate::config::UnreachableClass;
use crate::factor::{self, FactorApproved};
use crate::primary;
use crate::signin::attempt::Unusable;
use crate::signin::outcome::Reason;
use crate::signin::policy::Exemption;
use crate::users::model::Method;

impl Reason {
    /// The reason of an exempted Accept.
    pub fn from_exemption(rule: Exemption) -> Self {
        match rule {
            Exemption::ExemptUser => Reason::ExemptUser,
            Exemption::ExemptGroup => Reason::ExemptGroup,
            Exemption::ExemptNetwork => Reason::ExemptNetwork,
            Exemption::NotEnrolled => Reason::NotEnrolledExempt,
            Exemption::UserDisabled => Reason::UserDisabledExempt,
            Exemption::ProviderUnreachable => Reason::ProviderUnreachableExempt,
            Exemption::ProviderBypass => Reason::ProviderBypassExempt,
            Exemption::ServiceAccount => Reason::ServiceAccount,
            Exemption::RememberedApproval => Reason::RememberedApproval,
            Exemption::CachedApproval => Reason::CachedApproval,
            Exemption::Rule => Reason::RuleSkipped,
            Exemption::OneTimeBypass => Reason::OneTimeBypass,
        }
    }

    /// The reason for a request with nothing to try.
    pub fn from_unusable(unusable: Unusable) -> Self {
        match unusable {
            Unusable::NoPassword => Reason::NoPassword,
            Unusable::BrokenEap => Reason::BrokenEap,
            Unusable::EmptyPassword => Reason::EmptyPassword,
            Unusable::UnwantedPassword => Reason::UnwantedPassword,
            Unusable::BadName => Reason::BadName,
            Unusable::BadPassword => Reason::BadPassword,
        }
    }

    /// The reason for a name that is nobody's.
    pub fn from_identify(error: &primary::IdentifyError) -> Self {
        match error {
            primary::IdentifyError::Unknown => Reason::UnknownUser,
            primary::IdentifyError::Ambiguous => Reason::AmbiguousUser,
            primary::IdentifyError::Fault(fault) => Reason::from_fault(fault),
        }
    }

    /// The reason for a directory that cannot say.
    pub fn from_fault(fault: &primary::Fault) -> Self {
        match fault {
            primary::Fault::Unreachable | primary::Fault::Unanswered => Reason::DirectoryUnreachable,
            primary::Fault::Refused { .. } => Reason::DirectoryRefused,
            primary::Fault::Garbled => Reason::DirectoryGarbled,
            primary::Fault::Deadline => Reason::Deadline,
            primary::Fault::Full => Reason::Overloaded,
        }
    }

    /// The reason for a credential that the target refused.
    pub fn from_primary(refusal: primary::Refusal) -> Self {
        match refusal {
            primary::Refusal::WrongPassword => Reason::WrongPassword,
            primary::Refusal::NoSuchUser => Reason::UnknownUser,
            primary::Refusal::LogonHours => Reason::LogonHours,
            primary::Refusal::Workstation => Reason::Workstation,
            primary::Refusal::PasswordExpired => Reason::PasswordExpired,
            primary::Refusal::Disabled => Reason::AccountDisabled,
            primary::Refusal::AccountExpired => Reason::AccountExpired,
            primary::Refusal::MustChangePassword => Reason::MustChangePassword,
            primary::Refusal::NewPassword => Reason::NewPasswordRefused,
            primary::Refusal::LockedOut => Reason::AccountLocked,
            primary::Refusal::Restricted => Reason::AccountRestricted,
            primary::Refusal::OtherPerson => Reason::OtherPerson,
            primary::Refusal::Unnamed => Reason::UnnamedPerson,
            primary::Refusal::AsksMore => Reason::TargetAsksMore,
            primary::Refusal::ConnectionDenied => Reason::ConnectionDenied,
            primary::Refusal::NoConnectionPolicy => Reason::NoConnectionPolicy,
        }
    }

    /// The reason for a factor that was not approved.
    pub fn from_factor(refusal: factor::Refusal) -> Self {
        match refusal {
            factor::Refusal::Denied => Reason::Denied,
            factor::Refusal::Fraud => Reason::Fraud,
            factor::Refusal::Expired => Reason::Expired,
            factor::Refusal::Undeliverable => Reason::Undeliverable,
            factor::Refusal::NeedsCode => Reason::NeedsCode,
            factor::Refusal::Unreachable(UnreachableClass::Refused) => Reason::ProviderRefused,
            factor::Refusal::Unreachable(UnreachableClass::Malformed) => Reason::ProviderGarbled,
            factor::Refusal::WrongCode | factor::Refusal::UsedCode | factor::Refusal::OldCode => Reason::WrongCode,
            factor::Refusal::WrongPin => Reason::WrongPin,
            factor::Refusal::PinDue => Reason::PinDue,
            factor::Refusal::NoPin => Reason::NoPin,
            factor::Refusal::NeedsPin => Reason::NeedsPin,
            factor::Refusal::NextCode => Reason::WrongCode,
            factor::Refusal::TooOften => Reason::PromptLimited,
            factor::Refusal::Unreachable(_) => Reason::ProviderUnreachable,
            factor::Refusal::Lost => Reason::ProviderLost,
            factor::Refusal::Misconfigured => Reason::ProviderRefused,
            factor::Refusal::Garbled => Reason::ProviderGarbled,
            factor::Refusal::NotEnrolledThere => Reason::ProviderUnknownPerson,
            factor::Refusal::PinLocked => Reason::PinLocked,
            factor::Refusal::LockedThere => Reason::ProviderLocked,
            factor::Refusal::Bypassed => Reason::ProviderBypassed,
            factor::Refusal::NotThisWay => Reason::ProviderNoMethod,
        }
    }

    /// What the audit says of a factor that did not let somebody in: the reason, or more than that where more is known.
    pub fn refused_how(refusal: factor::Refusal) -> &'static str {
        match refusal {
            factor::Refusal::UsedCode => "used_code",
            factor::Refusal::OldCode => "old_code",
            refusal => Reason::from_factor(refusal).code(),
        }
    }

    /// What the audit says of a factor that let somebody in; `fell_back`: a code that was typed after the phone did not
    /// answer.
    pub fn approved_how(approval: &FactorApproved, fell_back: bool) -> &'static str {
        match approval.method() {
            Method::Push | Method::Call | Method::SmsReply => {}
            _ if fell_back => return "approved_fallback",
            _ => {}
        }
        if approval.with_pin() { "approved_with_pin" } else { "approved" }
    }
}
