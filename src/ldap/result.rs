//! What an operation came to: LDAPResult (RFC 4511 section 4.1.9) and the sub-codes that Active Directory
//! hides in its text. Pure.

use super::ber::{BerError, ENUMERATED, OCTET_STRING, Reader, Writer};
use super::message::{op, write_message};
use crate::primary::Refusal;

/// Result codes (RFC 4511 appendix A) that we act on.
pub mod code {
    /// success
    pub const SUCCESS: u32 = 0;
    /// operationsError
    pub const OPERATIONS_ERROR: u32 = 1;
    /// protocolError
    pub const PROTOCOL_ERROR: u32 = 2;
    /// timeLimitExceeded
    pub const TIME_LIMIT_EXCEEDED: u32 = 3;
    /// sizeLimitExceeded
    pub const SIZE_LIMIT_EXCEEDED: u32 = 4;
    /// authMethodNotSupported
    pub const AUTH_METHOD_NOT_SUPPORTED: u32 = 7;
    /// strongerAuthRequired
    pub const STRONGER_AUTH_REQUIRED: u32 = 8;
    /// confidentialityRequired
    pub const CONFIDENTIALITY_REQUIRED: u32 = 13;
    /// saslBindInProgress
    pub const SASL_BIND_IN_PROGRESS: u32 = 14;
    /// referral
    pub const REFERRAL: u32 = 10;
    /// adminLimitExceeded
    pub const ADMIN_LIMIT_EXCEEDED: u32 = 11;
    /// unavailableCriticalExtension
    pub const UNAVAILABLE_CRITICAL_EXTENSION: u32 = 12;
    /// noSuchObject
    pub const NO_SUCH_OBJECT: u32 = 32;
    /// invalidDNSyntax
    pub const INVALID_DN_SYNTAX: u32 = 34;
    /// inappropriateAuthentication
    pub const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    /// invalidCredentials
    pub const INVALID_CREDENTIALS: u32 = 49;
    /// insufficientAccessRights
    pub const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
    /// busy
    pub const BUSY: u32 = 51;
    /// unavailable
    pub const UNAVAILABLE: u32 = 52;
    /// unwillingToPerform
    pub const UNWILLING_TO_PERFORM: u32 = 53;
}

/// The name of a result code for messages to admins.
pub fn code_name(code: u32) -> &'static str {
    match code {
        code::SUCCESS => "success",
        code::OPERATIONS_ERROR => "operationsError",
        code::PROTOCOL_ERROR => "protocolError",
        code::TIME_LIMIT_EXCEEDED => "timeLimitExceeded",
        code::SIZE_LIMIT_EXCEEDED => "sizeLimitExceeded",
        code::AUTH_METHOD_NOT_SUPPORTED => "authMethodNotSupported",
        code::STRONGER_AUTH_REQUIRED => "strongerAuthRequired",
        code::CONFIDENTIALITY_REQUIRED => "confidentialityRequired",
        code::SASL_BIND_IN_PROGRESS => "saslBindInProgress",
        code::REFERRAL => "referral",
        code::ADMIN_LIMIT_EXCEEDED => "adminLimitExceeded",
        code::UNAVAILABLE_CRITICAL_EXTENSION => "unavailableCriticalExtension",
        code::NO_SUCH_OBJECT => "noSuchObject",
        code::INVALID_DN_SYNTAX => "invalidDNSyntax",
        code::INAPPROPRIATE_AUTHENTICATION => "inappropriateAuthentication",
        code::INVALID_CREDENTIALS => "invalidCredentials",
        code::INSUFFICIENT_ACCESS_RIGHTS => "insufficientAccessRights",
        code::BUSY => "busy",
        code::UNAVAILABLE => "unavailable",
        code::UNWILLING_TO_PERFORM => "unwillingToPerform",
        _ => "another code",
    }
}

/// What a server says an operation came to.
#[derive(Debug, Clone, Copy)]
pub struct LdapResult<'a> {
    /// Result code, see [`code`].
    pub code: u32,
    /// The last entry that was found on the way to one that is not there.
    pub matched_dn: &'a [u8],
    /// Text for people. May hold names, so it is for admins only.
    pub diagnostic: &'a [u8],
}

impl<'a> LdapResult<'a> {
    /// Reads the three parts that every response starts with; what follows (referral, SASL credentials,
    /// response name and value) stays in `response`.
    ///
    /// # Errors
    /// When they are not there.
    pub fn read(response: &mut Reader<'a>) -> Result<Self, BerError> {
        Ok(LdapResult {
            code: response.number(ENUMERATED)?,
            matched_dn: response.value(OCTET_STRING)?,
            diagnostic: response.value(OCTET_STRING)?,
        })
    }

    /// AD's sub-code: the hexadecimal number after `data ` in the text of a code 49.
    pub fn sub_code(&self) -> Option<u32> {
        const MARK: &[u8] = b"data ";
        let at = self.diagnostic.windows(MARK.len()).position(|window| window == MARK)?;
        let digits = self.diagnostic.get(at + MARK.len()..)?;
        let count = digits.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let digits = std::str::from_utf8(digits.get(..count)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    }

    /// Why a bind with code 49 was refused.
    pub fn refusal(&self) -> Refusal {
        match self.sub_code() {
            None | Some(0x52e) => Refusal::WrongPassword,
            Some(0x525) => Refusal::NoSuchUser,
            Some(0x530) => Refusal::LogonHours,
            Some(0x531) => Refusal::Workstation,
            Some(0x532) => Refusal::PasswordExpired,
            Some(0x533) => Refusal::Disabled,
            Some(0x701) => Refusal::AccountExpired,
            Some(0x773) => Refusal::MustChangePassword,
            Some(0x775) => Refusal::LockedOut,
            Some(_) => Refusal::Restricted,
        }
    }
}

/// Writes the three parts that every response starts with.
pub fn write_result(response: &mut Writer<'_>, code: u32, matched_dn: &str, diagnostic: &str) {
    response.number(ENUMERATED, code);
    response.octets(matched_dn.as_bytes());
    response.octets(diagnostic.as_bytes());
}

/// Appends a response that is nothing but a result: BindResponse, SearchResultDone, ModifyResponse, and so on.
pub fn write_response(out: &mut Vec<u8>, message_id: u32, op_tag: u8, code: u32, matched_dn: &str, diagnostic: &str) {
    write_message(out, message_id, |message| {
        message.constructed(op_tag, |response| write_result(response, code, matched_dn, diagnostic));
    });
}

/// Object identifiers of extended operations.
pub mod oid {
    /// StartTLS (RFC 4511 section 4.14).
    pub const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
    /// Notice of Disconnection (RFC 4511 section 4.4.1).
    pub const DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";
    /// Who am I? (RFC 4532).
    pub const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
    /// Cancel (RFC 3909).
    pub const CANCEL: &str = "1.3.6.1.1.8";
    /// Fast concurrent bind (MS-ADTS section 3.1.1.3.4.2.1): from now on binds only check passwords. .NET asks for it
    /// before its first bind.
    pub const FAST_BIND: &str = "1.2.840.113556.1.4.1781";
}

/// Appends an ExtendedRequest (RFC 4511 section 4.12).
pub fn write_extended_request(out: &mut Vec<u8>, message_id: u32, name: &str, value: Option<&[u8]>) {
    write_message(out, message_id, |message| {
        message.constructed(op::EXTENDED_REQUEST, |request| {
            request.value(0x80, name.as_bytes());
            if let Some(value) = value {
                request.value(0x81, value);
            }
        });
    });
}

/// Reads an ExtendedRequest's name and value.
///
/// # Errors
/// When it is malformed.
pub fn read_extended_request<'a>(mut operation: Reader<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), BerError> {
    let name = operation.value(0x80)?;
    let value = operation.optional(0x81)?;
    operation.end()?;
    Ok((name, value))
}

/// Appends an ExtendedResponse.
pub fn write_extended_response(
    out: &mut Vec<u8>,
    message_id: u32,
    (code, diagnostic): (u32, &str),
    name: Option<&str>,
    value: Option<&[u8]>,
) {
    write_message(out, message_id, |message| {
        message.constructed(op::EXTENDED_RESPONSE, |response| {
            write_result(response, code, "", diagnostic);
            if let Some(name) = name {
                response.value(0x8a, name.as_bytes());
            }
            if let Some(value) = value {
                response.value(0x8b, value);
            }
        });
    });
}

/// Appends an UnbindRequest (RFC 4511 section 4.3).
pub fn write_unbind(out: &mut Vec<u8>, message_id: u32) {
    write_message(out, message_id, |message| message.value(op::UNBIND_REQUEST, &[]));
}

/// Appends an AbandonRequest (RFC 4511 section 4.11) for the operation `abandoned`.
pub fn write_abandon(out: &mut Vec<u8>, message_id: u32, abandoned: u32) {
    write_message(out, message_id, |message| message.number(op::ABANDON_REQUEST, abandoned));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(diagnostic: &str) -> LdapResult<'_> {
        LdapResult { code: code::INVALID_CREDENTIALS, matched_dn: b"", diagnostic: diagnostic.as_bytes() }
    }

    #[test]
    fn each_sub_code_of_active_directory_has_its_own_refusal() {
        let table = [
            ("525", Refusal::NoSuchUser),
            ("52e", Refusal::WrongPassword),
            ("52E", Refusal::WrongPassword),
            ("52f", Refusal::Restricted),
            ("530", Refusal::LogonHours),
            ("531", Refusal::Workstation),
            ("532", Refusal::PasswordExpired),
            ("533", Refusal::Disabled),
            ("701", Refusal::AccountExpired),
            ("773", Refusal::MustChangePassword),
            ("775", Refusal::LockedOut),
            ("568", Refusal::Restricted),
        ];
        for (digits, refusal) in table {
            let text = format!(
                "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {digits}, v4563\0"
            );
            assert_eq!(result(&text).refusal(), refusal, "{digits}");
        }
    }

    #[test]
    fn code_49_without_a_sub_code_is_a_wrong_password() {
        for text in ["", "data", "data ", "data x", "Invalid credentials", "data fffffffff, v1"] {
            assert_eq!(result(text).sub_code(), None, "{text}");
            assert_eq!(result(text).refusal(), Refusal::WrongPassword, "{text}");
        }
    }
}
