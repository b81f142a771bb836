//! The words of the Entra connector: requests in XML, whose children have a fixed order, and what an answer means. Pure.
//!
//! [`judge`] is the one place that turns an answer into a result. It says approved only when the authentication result
//! is exactly `true` **and** the result's value is `Success`; a challenge, a missing field, a contradiction is not.

use std::fmt::Write as _;
use std::net::IpAddr;

use quick_xml::Reader;
use quick_xml::events::Event;
use zeroize::Zeroizing;

use crate::factor::Refusal;
use crate::users::model::Method;

/// Deepest nesting of elements that is read.
const DEEPEST: usize = 8;

/// Longest text of one element that is kept, in octets.
const LONGEST_TEXT: usize = 4096;

/// What asks for a prompt, or for a code.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    /// Whom.
    pub user: &'a str,
    /// How.
    pub method: Method,
    /// Our id of the question.
    pub context: &'a str,
    /// Whether a typed code stands in for comparing a number.
    pub code_for_number: bool,
    /// Whether the answer comes when the person has answered.
    pub sync: bool,
    /// Where the person is, where that is told.
    pub caller: Option<IpAddr>,
    /// Language of the prompt, as the service names it.
    pub language: &'a str,
}

/// The service's word for a way of asking; `None` where it has none.
pub fn method_id(method: Method) -> Option<&'static str> {
    match method {
        Method::Push => Some("PhoneAppNotification"),
        Method::Oath => Some("PhoneAppOTP"),
        Method::Call => Some("TwoWayVoiceMobile"),
        Method::SmsReply => Some("TwoWaySMS"),
        Method::SmsCode => Some("OneWaySMS"),
        Method::EmailCode | Method::BackupCode | Method::TemporaryCode => None,
    }
}

/// The body of `BeginTwoWayAuthentication`.
pub fn begin(asked: &Begin<'_>) -> String {
    let mut body = String::with_capacity(1024);
    body.push_str("<BeginTwoWayAuthenticationRequest>");
    element(&mut body, "Version", "1.0");
    element(&mut body, "UserPrincipalName", asked.user);
    element(&mut body, "Lcid", asked.language);
    if let Some(id) = method_id(asked.method) {
        element(&mut body, "AuthenticationMethodId", id);
    }
    body.push_str(
        "<AuthenticationMethodProperties xmlns:a=\"http://schemas.microsoft.com/2003/10/Serialization/Arrays\">",
    );
    for (key, value) in [("OverrideVoiceOtp", false), ("OverrideNumberMatchingWithOTP", asked.code_for_number)] {
        // Writing to a String does not fail.
        let _ = write!(
            body,
            "<a:KeyValueOfstringstring><a:Key>{key}</a:Key><a:Value>{value}</a:Value></a:KeyValueOfstringstring>"
        );
    }
    body.push_str("</AuthenticationMethodProperties>");
    element(&mut body, "ContextId", asked.context);
    element(&mut body, "SyncCall", if asked.sync { "true" } else { "false" });
    // Whoever the service does not know must never pass.
    element(&mut body, "RequireUserMatch", "true");
    element(&mut body, "CallerName", "radius");
    match asked.caller {
        Some(address) => element(&mut body, "CallerIP", &address.to_string()),
        None => element(&mut body, "CallerIP", "UNKNOWN:"),
    }
    body.push_str("</BeginTwoWayAuthenticationRequest>");
    body
}

/// The body of `EndTwoWayAuthentication`: asks for the state, or hands in a code.
pub fn end(session: &str, context: &str, code: Option<&str>, user: &str) -> Zeroizing<String> {
    let mut body = Zeroizing::new(String::with_capacity(512));
    body.push_str("<EndTwoWayAuthenticationRequest>");
    element(&mut body, "Version", "1.0");
    element(&mut body, "SessionId", session);
    element(&mut body, "ContextId", context);
    element(&mut body, "AdditionalAuthData", code.unwrap_or_default());
    element(&mut body, "UserPrincipalName", user);
    body.push_str("</EndTwoWayAuthenticationRequest>");
    body
}

/// The body of `GetAvailableAuthenticationMethods`, which prompts nobody.
pub fn methods(user: &str, context: &str) -> String {
    let mut body = String::from("<GetAvailableAuthenticationMethodsRequest>");
    element(&mut body, "Version", "1.0");
    element(&mut body, "UserPrincipalName", user);
    element(&mut body, "ContextId", context);
    body.push_str("</GetAvailableAuthenticationMethodsRequest>");
    body
}

/// An element with text. What XML 1.0 has no way to write is left out.
pub fn element(body: &mut String, name: &str, text: &str) {
    let _ = write!(body, "<{name}>");
    for character in text.chars() {
        match character {
            '<' => body.push_str("&lt;"),
            '>' => body.push_str("&gt;"),
            '&' => body.push_str("&amp;"),
            '"' => body.push_str("&quot;"),
            '\'' => body.push_str("&apos;"),
            '\t' | '\n' | '\r' => body.push(character),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => body.push(c),
        }
    }
    let _ = write!(body, "</{name}>");
}

/// What an answer says, field by field.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `Result/Value`.
    pub value: Option<String>,
    /// `AuthenticationResult`; `None` where it is missing or nil.
    pub result: Option<String>,
    /// `SessionId`.
    pub session: Option<String>,
    /// `AffinityUrl`.
    pub affinity: Option<String>,
    /// `UserPrincipalName`, repeated.
    pub user: Option<String>,
    /// `ValidEntropyNumber`: the number that the app asks the person for.
    pub number: Option<String>,
}

impl Answer {
    /// The number that the app asks for, where it does.
    pub fn shown_number(&self) -> Option<&str> {
        let is_number = |text: &&str| {
            (1..=3).contains(&text.len())
                && text.bytes().all(|octet| octet.is_ascii_digit())
                && text.bytes().any(|octet| octet != b'0')
        };
        self.number.as_deref().map(str::trim).filter(is_number)
    }
}

/// Reads an answer whose root element is `root`. `None` when it is not well-formed, is something else, says a field
/// twice, or is nested too deep.
pub fn read(root: &str, body: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut answer = Answer::default();
    let (mut path, mut content, mut ended): (Vec<String>, String, bool) = (Vec::new(), String::new(), false);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let name = std::str::from_utf8(start.local_name().into_inner()).ok()?.to_owned();
                if ended || path.len() >= DEEPEST || (path.is_empty() && name != root) {
                    return None;
                }
                path.push(name);
                content.clear();
            }
            Event::Empty(empty) if path.is_empty() || ended => {
                let _ = empty;
                return None;
            }
            // An element without text says nothing.
            Event::Empty(_) => {}
            Event::End(_) => {
                if let Some(place) = place(&mut answer, &path)
                    && !content.is_empty()
                    && place.replace(std::mem::take(&mut content)).is_some()
                {
                    return None;
                }
                path.pop();
                content.clear();
                ended = path.is_empty();
            }
            Event::Text(more) => add(&mut content, &more.decode().ok()?, path.is_empty())?,
            Event::CData(more) => add(&mut content, std::str::from_utf8(&more).ok()?, path.is_empty())?,
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => match &*reference.decode().ok()? {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return None,
                    },
                };
                add(&mut content, character.encode_utf8(&mut [0; 4]), path.is_empty())?;
            }
            // Entities of one's own belong to a document type, and no answer has one.
            Event::DocType(_) => return None,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return ended.then_some(answer),
        }
    }
}

/// Adds text to an element's content; outside of all elements there must be none but blanks.
fn add(content: &mut String, text: &str, outside: bool) -> Option<()> {
    if outside {
        return text.trim().is_empty().then_some(());
    }
    content.push_str(text);
    (content.len() <= LONGEST_TEXT).then_some(())
}

/// Where the text of the element at `path` belongs.
fn place<'a>(answer: &'a mut Answer, path: &[String]) -> Option<&'a mut Option<String>> {
    match path {
        [_, one] => match one.as_str() {
            "AuthenticationResult" => Some(&mut answer.result),
            "SessionId" => Some(&mut answer.session),
            "AffinityUrl" => Some(&mut answer.affinity),
            "UserPrincipalName" => Some(&mut answer.user),
            "ValidEntropyNumber" => Some(&mut answer.number),
            _ => None,
        },
        [_, one, two] if one == "Result" && two == "Value" => Some(&mut answer.value),
        _ => None,
    }
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nobody has answered yet.
    Pending,
    /// A code is to be handed in.
    Challenge,
    /// It is over: yes.
    Approved,
    /// It is over, and not approved.
    Refused(Refusal),
}

/// Judges an answer about `user`.
pub fn judge(answer: &Answer, user: &str) -> Said {
    let somebody_else = answer.user.as_deref().is_some_and(|name| name.to_lowercase() != user.to_lowercase());
    if somebody_else {
        return Said::Refused(Refusal::Garbled);
    }
    match (answer.value.as_deref(), answer.result.as_deref()) {
        (Some("Success"), Some("true")) => Said::Approved,
        // A yes beside anything else is a contradiction.
        (_, Some("true")) => Said::Refused(Refusal::Garbled),
        (Some("Success" | "SMSSent"), Some("challenge")) => Said::Challenge,
        (Some("Success"), None) | (Some("AuthenticationPending"), None | Some("false")) => Said::Pending,
        (Some(value), None | Some("false")) => Said::Refused(refusal_of(value)),
        _ => Said::Refused(Refusal::Garbled),
    }
}

/// Every value that is known, and what it means. Beginnings end with an asterisk.
pub const VALUES: [(&str, Refusal); 41] = [
    ("PhoneAppDenied", Refusal::Denied),
    ("PhoneAppNoResponse", Refusal::Expired),
    ("PhoneAppInvalidResult", Refusal::Undeliverable),
    ("PhoneAppTokenChanged", Refusal::Undeliverable),
    ("PhoneAppFraudReported", Refusal::Fraud),
    ("PhoneAppAllDevicesBlocked", Refusal::LockedThere),
    ("PhoneAppNotificationFailed", Refusal::Undeliverable),
    ("PhoneAppEntropyIncorrect", Refusal::Denied),
    ("FraudCodeEntered", Refusal::Fraud),
    ("UserIsBlocked", Refusal::LockedThere),
    ("UserAuthFailedDuplicateRequest", Refusal::Undeliverable),
    ("AuthenticationMethodFailed", Refusal::Undeliverable),
    ("AuthenticationThrottled", Refusal::LockedThere),
    ("UserVoiceAuthFailedCallWentToVoicemail", Refusal::Undeliverable),
    ("UserVoiceAuthFailedInvalidPhoneInput", Refusal::Denied),
    ("UserVoiceAuthFailedPhoneHungUp", Refusal::Denied),
    ("UserVoiceAuthFailedInvalidPhoneNumber", Refusal::Undeliverable),
    ("UserVoiceAuthFailedInvalidExtension", Refusal::Undeliverable),
    ("UserVoiceAuthFailedPhoneUnreachable", Refusal::Undeliverable),
    ("UserVoiceAuthFailedProviderCouldntSendCall", Refusal::Undeliverable),
    ("UserVoiceAuthFailed*", Refusal::Undeliverable),
    ("SMSSent", Refusal::NeedsCode),
    ("SMSAuthFailedProviderCouldntSendSMS", Refusal::Undeliverable),
    ("SMSAuthFailedNoResponseTimeout", Refusal::Expired),
    ("SMSAuthFailedWrongCodeEntered", Refusal::WrongCode),
    ("User2WaySMSAuthFailedProviderCouldntSendSMS", Refusal::Undeliverable),
    ("User2WaySMSAuthFailedNoResponseTimeout", Refusal::Expired),
    ("User2WaySMSAuthFailedWrongCodeEntered", Refusal::Denied),
    ("User2WaySMS*", Refusal::Undeliverable),
    ("OathCodeIncorrect", Refusal::WrongCode),
    ("OathCodeDuplicate", Refusal::UsedCode),
    ("OathCodeOld", Refusal::OldCode),
    ("OathCodeCorrectButDeviceNotAllowed", Refusal::LockedThere),
    ("OathCodeFailedMaxAllowedRetryReached", Refusal::LockedThere),
    ("VoiceOTPAuthFailedWrongCodeEntered", Refusal::WrongCode),
    ("VoiceOTP*", Refusal::LockedThere),
    ("AppLockRequiredButNotUsed", Refusal::Denied),
    ("InvalidSession", Refusal::Expired),
    ("UserNotFound", Refusal::NotEnrolledThere),
    ("ProofDataNotFound", Refusal::NotThisWay),
    ("NoDefaultAuthenticationMethodIsConfigured", Refusal::NotEnrolledThere),
];

/// What a value other than success means. One that nobody knows makes no sense.
pub fn refusal_of(value: &str) -> Refusal {
    let fits = |known: &str| match known.strip_suffix('*') {
        Some(beginning) => value.starts_with(beginning),
        None => value == known,
    };
    VALUES.iter().find(|(known, _)| fits(known)).map_or(Refusal::Garbled, |(_, refusal)| *refusal)
}

#[cfg(test)]
mod tests;
