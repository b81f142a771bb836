//! What the old server (Azure Multi-Factor Authentication Server) would have called the end of a sign-in, for scripts and
//! people who know its reports. Its `SUCCESS_` means that the call or message worked, not that the person came in. Pure.

use crate::users::events::EventRecord;

/// The old server's result code; empty where it had none, such as for a wrong password, of which it knew nothing.
pub fn old_code(event: &EventRecord) -> &'static str {
    let method = event.method.as_deref().unwrap_or_default();
    let factor = event.factor.as_deref().unwrap_or_default();
    match event.reason.as_str() {
        "approved" if factor == "carried_over" => "SUCCESS_USED_CACHE",
        "approved" => approved(method),
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
        "wrong_code" if method.starts_with("sms") => "FAILED_SMS_OTP_INCORRECT",
        "wrong_code" => "FAILED_OATH_CODE_INCORRECT",
        "needs_code" => "SUCCESS_OATH_CODE_PENDING",
        "deadline" | "client_gone" if !method.is_empty() => "FAILED_AUTH_RESULT_TIMEOUT",
        "prompt_limited" => "FAILED_AUTHENTICATION_THROTTLED",
        "over_held_person" => "FAILED_PHONE_BUSY",
        "no_method" => "FAILED_INVALID_PHONENUMBER",
        "provider_unreachable" | "provider_lost" | "provider_refused" | "provider_garbled" => "FAILED_SERVER_ERROR",
        _ => "",
    }
}

fn approved(method: &str) -> &'static str {
    match method {
        "push" => "SUCCESS_PHONE_APP_AUTHENTICATED",
        "call" => "SUCCESS_NO_PIN",
        "sms_reply" | "sms_code" => "SUCCESS_SMS_AUTHENTICATED",
        "oath" => "SUCCESS_OATH_CODE_VERIFIED",
        _ => "",
    }
}
