//! What the old server (Azure Multi-Factor Authentication Server) would have called the end of a sign-in, for scripts and
//! people who know its reports. Its `SUCCESS_` means that the call or message worked, not that the person came in. Pure.
//!
//! What only its cloud could know of a call is not told apart: an answering machine, a fax, digits without a #.

use crate::users::events::EventRecord;

/// The old server's result code; empty where it had none, such as for a wrong password, of which it knew nothing.
pub fn old_code(event: &EventRecord) -> &'static str {
    let method = event.method.as_deref().unwrap_or_default();
    let factor = event.factor.as_deref().unwrap_or_default();
    match event.reason.as_str() {
        "approved" if factor == "carried_over" => "SUCCESS_USED_CACHE",
        "approved" => approved(method, factor),
        "remembered_approval" => "SUCCESS_USED_IP_BASED_CACHE",
        "cached_approval" => match factor {
            "cached_person" => "SUCCESS_USED_CACHE",
            "cached_application" => "SUCCESS_USED_APP_BASED_CACHE",
            _ => "SUCCESS_USED_IP_BASED_CACHE",
        },
        "one_time_bypass" => "SUCCESS_BYPASSED_AUTH",
        "blocked" => "SUCCESS_USER_BLOCKED",
        "denied" => match method {
            "call" => "FAILED_USER_HUNGUP_ON_US",
            "sms_reply" => "FAILED_SMS_OTP_INCORRECT",
            _ => "FAILED_PHONE_APP_DENIED",
        },
        "fraud" if method == "call" => "FAILED_FRAUD_CODE_ENTERED",
        "fraud" => "FAILED_FRAUD_REPORTED",
        "expired" => match method {
            "push" => "FAILED_PHONE_APP_NO_RESPONSE",
            "call" => "CONFIG_ISSUE",
            "oath" => "FAILED_OATH_TOKEN_TIMEOUT",
            _ => "FAILED_AUTH_RESULT_TIMEOUT",
        },
        "undeliverable" => match method {
            "push" => "FAILED_PHONE_APP_NOTIFICATION_FAILED",
            "sms_reply" | "sms_code" => "FAILED_SMS_NOT_SENT",
            _ => "CONFIG_ISSUE",
        },
        // Of a call it said so of any PIN, and that the sign-in may have been refused all the same.
        "wrong_pin" if method == "call" => "SUCCESS_WITH_PIN",
        "wrong_pin" if method.starts_with("sms") => "FAILED_SMS_OTP_PIN_INCORRECT",
        "wrong_pin" if method == "oath" => "FAILED_OATH_CODE_PIN_INCORRECT",
        "wrong_pin" if method == "push" => "FAILED_PHONE_APP_INVALID_PIN",
        "pin_due" if method == "push" => "FAILED_PHONE_APP_PIN_NOT_CHANGED",
        "pin_due" => "SUCCESS_PIN_EXPIRED",
        "provider_locked" => match method {
            "sms_reply" | "sms_code" => "FAILED_SMS_MAX_OTP_RETRY_REACHED",
            "push" => "FAILED_PHONE_APP_ALL_DEVICES_BLOCKED",
            "call" => "SUCCESS_USER_BLOCKED",
            _ => "FAILED_AUTHENTICATION_THROTTLED",
        },
        "pin_locked" => "FAILED_AUTHENTICATION_THROTTLED",
        "wrong_code" if method.starts_with("sms") => "FAILED_SMS_OTP_INCORRECT",
        "wrong_code" => match factor {
            "used_code" => "FAILED_OATH_CODE_DUPLICATE",
            "old_code" => "FAILED_OATH_CODE_OLD",
            _ => "FAILED_OATH_CODE_INCORRECT",
        },
        "needs_code" if method.starts_with("sms") => "SUCCESS_SMS_SENT",
        "needs_code" => "SUCCESS_OATH_CODE_PENDING",
        "challenge_expired" if method == "oath" => "FAILED_OATH_TOKEN_TIMEOUT",
        "challenge_expired" => "FAILED_AUTH_RESULT_TIMEOUT",
        "deadline" | "client_gone" if !method.is_empty() => "FAILED_AUTH_RESULT_TIMEOUT",
        "prompt_limited" => "FAILED_AUTHENTICATION_THROTTLED",
        "over_held_person" => "FAILED_PHONE_BUSY",
        "no_method" => "FAILED_INVALID_PHONENUMBER",
        "provider_garbled" if method == "push" => "FAILED_PHONE_APP_INVALID_RESULT",
        "provider_unreachable" | "provider_lost" | "provider_refused" | "provider_garbled" => "FAILED_SERVER_ERROR",
        _ => "",
    }
}

fn approved(method: &str, factor: &str) -> &'static str {
    match method {
        "push" => "SUCCESS_PHONE_APP_AUTHENTICATED",
        "call" if factor == "approved_with_pin" => "SUCCESS_WITH_PIN",
        "call" => "SUCCESS_NO_PIN",
        "oath" if factor == "approved_fallback" => "SUCCESS_FALLBACK_OATH_CODE_VERIFIED",
        "sms_reply" | "sms_code" => "SUCCESS_SMS_AUTHENTICATED",
        "oath" => "SUCCESS_OATH_CODE_VERIFIED",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::signin::outcome::Reason;
    use crate::users::model::Method;

    fn event(reason: &str, method: &str, factor: &str) -> EventRecord {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        EventRecord {
            id: 1,
            time: SystemTime::UNIX_EPOCH,
            sign_in: "5d0c1e77a90b4c2f88e1d3aa".into(),
            door: "radius".into(),
            client: "vpn".into(),
            application: "VPN".into(),
            name: "alice".into(),
            unique_id: None,
            account: None,
            source: "192.0.2.1".into(),
            person_address: None,
            method: some(method),
            provider: None,
            primary: some("passed"),
            factor: some(factor),
            verdict: "reject".into(),
            reason: reason.into(),
            rule: None,
            earlier: None,
            requests: 1,
            identify_ms: None,
            primary_ms: None,
            policy_ms: None,
            factor_ms: None,
            total_ms: 1.0,
            server: "one".into(),
        }
    }

    /// Section by section as the old server's documentation has them.
    #[test]
    fn what_the_old_server_told_apart_is_told_apart_as_far_as_it_can_be_known() {
        for (reason, method, factor, code) in [
            ("approved", "call", "approved", "SUCCESS_NO_PIN"),
            ("approved", "call", "approved_with_pin", "SUCCESS_WITH_PIN"),
            ("wrong_pin", "call", "wrong_pin", "SUCCESS_WITH_PIN"),
            ("approved", "push", "approved", "SUCCESS_PHONE_APP_AUTHENTICATED"),
            ("approved", "push", "approved_with_pin", "SUCCESS_PHONE_APP_AUTHENTICATED"),
            ("approved", "push", "carried_over", "SUCCESS_USED_CACHE"),
            ("approved", "sms_reply", "approved", "SUCCESS_SMS_AUTHENTICATED"),
            ("approved", "sms_code", "approved_with_pin", "SUCCESS_SMS_AUTHENTICATED"),
            ("approved", "oath", "approved", "SUCCESS_OATH_CODE_VERIFIED"),
            ("approved", "oath", "approved_with_pin", "SUCCESS_OATH_CODE_VERIFIED"),
            ("approved", "oath", "approved_fallback", "SUCCESS_FALLBACK_OATH_CODE_VERIFIED"),
            ("wrong_code", "oath", "wrong_code", "FAILED_OATH_CODE_INCORRECT"),
            ("wrong_code", "oath", "used_code", "FAILED_OATH_CODE_DUPLICATE"),
            ("wrong_code", "oath", "old_code", "FAILED_OATH_CODE_OLD"),
            ("wrong_code", "sms_code", "wrong_code", "FAILED_SMS_OTP_INCORRECT"),
            ("provider_locked", "sms_code", "provider_locked", "FAILED_SMS_MAX_OTP_RETRY_REACHED"),
            ("provider_garbled", "push", "provider_garbled", "FAILED_PHONE_APP_INVALID_RESULT"),
            ("cached_approval", "push", "cached_application", "SUCCESS_USED_APP_BASED_CACHE"),
            ("one_time_bypass", "", "", "SUCCESS_BYPASSED_AUTH"),
            ("wrong_password", "", "", ""),
        ] {
            assert_eq!(old_code(&event(reason, method, factor)), code, "{reason} {method} {factor}");
        }
    }

    /// Every code that is given is one that the old server had.
    #[test]
    fn no_code_is_invented() {
        const KNOWN: &[&str] = &[
            "SUCCESS_WITH_PIN",
            "SUCCESS_NO_PIN",
            "SUCCESS_PIN_EXPIRED",
            "SUCCESS_USED_CACHE",
            "SUCCESS_USED_IP_BASED_CACHE",
            "SUCCESS_USED_APP_BASED_CACHE",
            "SUCCESS_BYPASSED_AUTH",
            "SUCCESS_USER_BLOCKED",
            "SUCCESS_SMS_AUTHENTICATED",
            "SUCCESS_SMS_SENT",
            "SUCCESS_PHONE_APP_AUTHENTICATED",
            "SUCCESS_OATH_CODE_PENDING",
            "SUCCESS_OATH_CODE_VERIFIED",
            "SUCCESS_FALLBACK_OATH_CODE_VERIFIED",
            "FAILED_PHONE_BUSY",
            "CONFIG_ISSUE",
            "FAILED_INVALID_PHONENUMBER",
            "FAILED_USER_HUNGUP_ON_US",
            "FAILED_FRAUD_CODE_ENTERED",
            "FAILED_FRAUD_REPORTED",
            "FAILED_SERVER_ERROR",
            "FAILED_SMS_NOT_SENT",
            "FAILED_SMS_OTP_INCORRECT",
            "FAILED_SMS_OTP_PIN_INCORRECT",
            "FAILED_SMS_MAX_OTP_RETRY_REACHED",
            "FAILED_PHONE_APP_DENIED",
            "FAILED_PHONE_APP_INVALID_PIN",
            "FAILED_PHONE_APP_PIN_NOT_CHANGED",
            "FAILED_PHONE_APP_NO_RESPONSE",
            "FAILED_PHONE_APP_ALL_DEVICES_BLOCKED",
            "FAILED_PHONE_APP_NOTIFICATION_FAILED",
            "FAILED_PHONE_APP_INVALID_RESULT",
            "FAILED_OATH_CODE_INCORRECT",
            "FAILED_OATH_CODE_PIN_INCORRECT",
            "FAILED_OATH_CODE_DUPLICATE",
            "FAILED_OATH_CODE_OLD",
            "FAILED_OATH_TOKEN_TIMEOUT",
            "FAILED_AUTH_RESULT_TIMEOUT",
            "FAILED_AUTHENTICATION_THROTTLED",
        ];
        let approved = ["approved", "approved_with_pin", "approved_fallback", "carried_over", "cached_application"];
        let factors = approved.into_iter().chain(["", "used_code", "old_code"]);
        let mut given = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            for method in Method::ALL.map(Method::word).into_iter().chain([""]) {
                for factor in factors.clone() {
                    given.insert(old_code(&event(reason.code(), method, factor)));
                }
            }
        }
        given.remove("");
        let invented: Vec<_> = given.iter().filter(|code| !KNOWN.contains(code)).collect();
        assert!(invented.is_empty(), "{invented:?}");
        let never: Vec<_> = KNOWN.iter().filter(|code| !given.contains(**code)).collect();
        assert_eq!(never, Vec::<&&str>::new(), "each of these is given for something");
    }
}
