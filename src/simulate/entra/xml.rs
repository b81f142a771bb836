//! The XML of the simulated connector: requests read child by child in their order, answers written.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::factor::entra::wire::element;
use crate::simulate::service::Reply;

/// Children of `BeginTwoWayAuthenticationRequest` in their order.
pub(super) const BEGIN: [&str; 16] = [
    "Version",
    "UserPrincipalName",
    "TenantId",
    "Lcid",
    "AuthenticationMethodId",
    "AuthenticationMethodProperties",
    "AuthenticationPurpose",
    "ContextId",
    "OtpRetryCount",
    "SyncCall",
    "RequireUserMatch",
    "CallerName",
    "CallerIP",
    "ReplicationScope",
    "ObjectId",
    "CompanyName",
];

/// Children of `EndTwoWayAuthenticationRequest` in their order.
pub(super) const END: [&str; 5] = ["Version", "SessionId", "ContextId", "AdditionalAuthData", "UserPrincipalName"];

/// Children of `GetAvailableAuthenticationMethodsRequest` in their order.
pub(super) const METHODS: [&str; 3] = ["Version", "UserPrincipalName", "ContextId"];

/// What not every answer has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct More<'a> {
    pub(super) session: Option<&'a str>,
    /// Where the session is finished.
    pub(super) affinity: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    /// What the app asks for, and the sign-in page must show.
    pub(super) number: Option<&'a str>,
}

/// An answer.
pub(super) fn response(root: &str, value: &str, result: Option<&str>, more: More<'_>) -> Reply {
    let mut body = format!("<{root} xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">");
    element(&mut body, "Version", "1.0");
    body.push_str("<Result>");
    element(&mut body, "Value", value);
    body.push_str("<Message i:nil=\"true\"/>");
    element(&mut body, "Retry", if value == "AuthenticationPending" { "true" } else { "false" });
    body.push_str("<Exception i:nil=\"true\"/></Result>");
    if let Some(session) = more.session {
        element(&mut body, "SessionId", session);
    }
    match result {
        Some(result) => element(&mut body, "AuthenticationResult", result),
        None => body.push_str("<AuthenticationResult i:nil=\"true\"/>"),
    }
    for (name, text) in
        [("UserPrincipalName", more.user), ("AffinityUrl", more.affinity), ("ValidEntropyNumber", more.number)]
    {
        if let Some(text) = text {
            element(&mut body, name, text);
        }
    }
    body.push_str(&format!("</{root}>"));
    Reply::new(200, "application/xml; charset=utf-8", body)
}

/// The children of a request's root by name; those out of their order are not read. `None` where it is not that
/// request, or has a namespace.
pub(super) fn children(root: &str, order: &[&str], body: &[u8]) -> Option<HashMap<String, String>> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    let (mut found, mut depth, mut name, mut text) = (HashMap::new(), 0_usize, String::new(), String::new());
    let mut next = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let here = std::str::from_utf8(start.local_name().into_inner()).ok()?.to_owned();
                match depth {
                    0 if here != root || start.attributes().count() > 0 => return None,
                    1 => (name, text) = (here, String::new()),
                    _ => {}
                }
                depth += 1;
            }
            Event::End(_) => {
                depth = depth.checked_sub(1)?;
                let place = order.iter().position(|known| *known == name).filter(|place| *place >= next);
                if depth == 1
                    && let Some(place) = place
                {
                    found.insert(std::mem::take(&mut name), std::mem::take(&mut text));
                    next = place + 1;
                }
            }
            Event::Text(more) => text.push_str(&more.decode().ok()?),
            Event::GeneralRef(reference) => text.push_str(match &*reference.decode().ok()? {
                "lt" => "<",
                "gt" => ">",
                "amp" => "&",
                "quot" => "\"",
                "apos" => "'",
                _ => return None,
            }),
            Event::Eof => return (depth == 0 && !found.is_empty()).then_some(found),
            _ => {}
        }
    }
}
