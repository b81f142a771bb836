//! A sign of life of a privacyIDEA server, for the breaker and for `anteroom check`: reachability, credentials, rights,
//! clock.

use std::time::Instant;

use crate::config::UnreachableClass;
use crate::factor::http::{self, unix_now};
use crate::factor::privacyidea::{Authorisation, PrivacyIdea, wire};
use crate::factor::{Health, Refusal, Trouble};

/// Nobody has this name, and nobody is prompted: the answer tells the server, the token and the realm apart.
pub const NOBODY: &str = "anteroom-check-nobody";

/// Fetches a token anew where there is an account, and triggers for a user that does not exist.
pub(super) async fn probe(provider: &PrivacyIdea) -> Result<Health, Trouble> {
    let begun = Instant::now();
    let within = provider.http.timeout();
    let trouble = |refusal| Trouble(text(refusal, matches!(provider.authorisation, Authorisation::Token(_))));
    let token = provider.token(within).await.map_err(trouble)?;
    let header = http::secret_value("", &token).ok_or_else(|| Trouble("the token is no text".to_owned()))?;
    let mut form = vec![("user", NOBODY)];
    form.extend(provider.realm.as_deref().map(|realm| ("realm", realm)));
    let reply = provider.post("validate/triggerchallenge", &form, Some(header), false, within).await;
    let reply = reply.map_err(trouble)?;
    let (round_trip, clock_skew) = (begun.elapsed(), reply.clock_skew());
    match (reply.status, wire::triggered(reply.status, &reply.body)) {
        (401 | 403, _) => {
            if let Authorisation::Account { tokens, .. } = &provider.authorisation {
                tokens.spoiled(&token);
            }
            let said = wire::error(&reply.body).unwrap_or_default();
            Err(Trouble(format!(
                "triggering refused (status {}, error {said}): the account needs the administrator's right \
                 triggerchallenge (Config > Policies, scope admin), and this server's clock must be right: it is {} here",
                reply.status,
                unix_now()
            )))
        }
        (200 | 400, Ok(_) | Err(Refusal::NotEnrolledThere | Refusal::NotThisWay)) => {
            Ok(Health { round_trip, clock_skew, certificate_expires: reply.certificate_expires, lacks: None })
        }
        (_, found) => {
            let refusal = reply.trouble(false).or(found.err()).unwrap_or(Refusal::Garbled);
            Err(trouble(refusal))
        }
    }
}

fn text(refusal: Refusal, token: bool) -> String {
    match refusal {
        Refusal::Unreachable(UnreachableClass::Tls) => {
            "TLS handshake failed: the certificate must be valid for the host in the url; name its authority in ca_file \
             if it is a private one"
        }
        Refusal::Unreachable(UnreachableClass::Connect) => {
            "no connection: check the url, DNS, the firewall and the proxy settings"
        }
        Refusal::Unreachable(UnreachableClass::Timeout) => {
            "no answer in time: check that the service runs and has workers to spare, or raise timeout"
        }
        Refusal::Unreachable(UnreachableClass::Refused) if token => {
            "the token is refused: it is wrong or has ended; make a new one with pi-manage api createtoken"
        }
        Refusal::Unreachable(UnreachableClass::Refused) => "credentials refused: check account and password",
        Refusal::Unreachable(UnreachableClass::RateLimited) => "rate limited (status 429): look at what stands before it",
        Refusal::Unreachable(UnreachableClass::ServerError) => {
            "the service is in trouble (status 5xx): look into privacyidea.log"
        }
        Refusal::Misconfigured => "the request is refused: check realm, and the policies of the server",
        _ => "the answer is not privacyIDEA's: check the url (its path, too); a proxy or a portal may stand in the way",
    }
    .to_owned()
}
