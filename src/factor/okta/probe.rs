//! A sign of life of Okta, for the breaker and for `anteroom check`: reachability, credentials, rights, clock.

use std::time::Instant;

use reqwest::Method;

use crate::config::UnreachableClass;
use crate::factor::http::json;
use crate::factor::okta::admission::Admission;
use crate::factor::okta::{Shared, wire};
use crate::factor::{Health, Refusal, Trouble};

/// Reads one person, which prompts nobody and needs the credentials.
pub(super) async fn probe(shared: &Shared) -> Result<Health, Trouble> {
    let begun = Instant::now();
    let mut url = shared.address(&["users"]).ok_or_else(|| Trouble("the url cannot be used".to_owned()))?;
    url.set_query(Some("limit=1"));
    let reply = shared.request(Method::GET, url, None, None, false, shared.http.timeout()).await;
    let reply = reply.map_err(|refusal| Trouble(unreachable(shared, refusal)))?;
    let round_trip = begun.elapsed();
    let json = json::<serde_json::Value>(&reply.body);
    let code = wire::error_code(&reply.body).unwrap_or_default();
    let text = match (reply.status, &*code) {
        (200, _) if json.is_some_and(|json| json.is_array()) => {
            let (clock_skew, certificate_expires) = (reply.clock_skew(), reply.certificate_expires);
            return Ok(Health { round_trip, clock_skew, certificate_expires, lacks: None });
        }
        (401, _) => {
            "credentials refused (status 401, E0000011): the API token is wrong, revoked, or has not been used \
                     for 30 days"
                .to_owned()
        }
        (403, _) => "no permission (status 403, E0000006): the token's owner needs the rights to read people and \
                     verify factors; an app needs the scopes okta.users.read and okta.users.manage and an admin role"
            .to_owned(),
        (429, _) => "rate limited (status 429): wait, or ask Okta for more".to_owned(),
        (500..=599, _) => format!("the service is in trouble (status {}): see status.okta.com", reply.status),
        (404, "E0000022" | "") => "status 404: the url does not lead to an Okta organisation; it is \
                                   https://NAME.okta.com, without a path and without -admin"
            .to_owned(),
        (status, _) => format!("status {status}: the answer is not Okta's; a proxy or a portal may stand in the way"),
    };
    Err(Trouble(text))
}

fn unreachable(shared: &Shared, refusal: Refusal) -> String {
    let oauth = matches!(shared.admission, Admission::OAuth(_));
    match refusal {
        Refusal::Unreachable(UnreachableClass::Tls) => {
            "TLS handshake failed: check the host in the url, and name its authority in ca_file if a proxy on the way \
             opens TLS"
        }
        Refusal::Unreachable(UnreachableClass::Connect) => {
            "no connection: check the url, DNS, the firewall and the proxy settings"
        }
        Refusal::Unreachable(UnreachableClass::Timeout) | Refusal::Lost => {
            "no answer in time: check the firewall, or raise timeout"
        }
        Refusal::Unreachable(UnreachableClass::Refused) if oauth => {
            "the token service refused the signed assertion: check client_id, that the public key of key_id is \
             registered with the app and active, this server's clock (NTP), and that the app does not require DPoP"
        }
        Refusal::Unreachable(UnreachableClass::Refused) => "credentials refused",
        Refusal::Unreachable(UnreachableClass::RateLimited) => "rate limited: wait, or ask Okta for more",
        Refusal::Unreachable(UnreachableClass::ServerError) => "the service is in trouble: see status.okta.com",
        _ => "the answer is not Okta's: check the url; a proxy or a portal may stand in the way",
    }
    .to_owned()
}
