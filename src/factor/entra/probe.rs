//! Whether Entra answers, gives us a token and takes it: for the breaker and for `anteroom check`.

use std::time::Instant;

use bytes::Bytes;

use crate::factor::entra::login::LoginError;
use crate::factor::entra::{CONNECTOR, Entra, wire};
use crate::factor::http;
use crate::factor::{Health, Trouble};

/// Nobody's name, in a domain that nobody can have (RFC 2606): asked for, it prompts nobody.
const NOBODY: &str = "anteroom-check@nobody.invalid";

impl Entra {
    /// Fetches a token and asks what nobody has.
    pub(super) async fn look(&self) -> Result<Health, Trouble> {
        let begun = Instant::now();
        let (fresh, granted) =
            self.login.fetch_with_reply(&self.http).await.map_err(|error| Trouble(login_trouble(&error)))?;
        let skew = granted.clock_skew();
        let round_trip = begun.elapsed();
        let token = std::sync::Arc::new(fresh.token);
        let url = self.http.url(&format!("{CONNECTOR}/GetAvailableAuthenticationMethods"));
        let url = url.ok_or_else(|| Trouble("the url cannot be used".into()))?;
        let body = Bytes::from(wire::methods(NOBODY, &uuid::Uuid::new_v4().to_string()));
        let call = self.call(url, &token, None, body);
        let call = call.map_err(|_| Trouble("the token is not one that can be sent".into()))?;
        let reply = self.http.send(call, self.http.timeout()).await.map_err(|failure| Trouble(failure.to_string()))?;
        if reply.status == 200 && http::is_page(&reply) {
            return Err(Trouble(http::PAGE.into()));
        }
        match reply.status {
            200 => {}
            401 | 403 => {
                let text = format!(
                    "a token was given, and the connector refuses it (status {}): check resource, and that client_id is \
                     the Azure Multi-Factor Auth Client of this tenant",
                    reply.status
                );
                return Err(Trouble(text));
            }
            status => return Err(Trouble(http::status_trouble(status))),
        }
        if wire::read("GetAvailableAuthenticationMethodsResponse", &reply.body).is_none() {
            return Err(Trouble("the answer is not that of the connector: check url".into()));
        }
        Ok(Health { round_trip, clock_skew: skew, certificate_expires: reply.certificate_expires, lacks: None })
    }
}

/// What is wrong with a login, and what to do.
fn login_trouble(error: &LoginError) -> String {
    match error {
        LoginError::Failure(failure) => format!("the login service does not answer: {failure}"),
        LoginError::Page => http::PAGE.into(),
        LoginError::Garbled => "the login service's answer makes no sense: check login".into(),
        LoginError::Trouble(_, status) => format!("the login service: {}", http::status_trouble(*status)),
        LoginError::Refused(code) => {
            let code = code.as_deref().unwrap_or("no code");
            let advice = match code {
                "AADSTS7000215" | "invalid_client" => "the client_secret is wrong: take its value, not its id",
                "AADSTS7000222" => "the client_secret has expired: add a new one to the application",
                "AADSTS700016" => "the tenant does not know client_id: is the Azure Multi-Factor Auth Client there?",
                "AADSTS90002" => "there is no such tenant: check tenant and login",
                "AADSTS700027" => "the certificate is not one of the application's: add it there",
                "AADSTS700024" => "the assertion is out of its time: set this server's clock (NTP)",
                "AADSTS500011" | "AADSTS650052" => "the tenant does not know the resource: check resource",
                "AADSTS7000112" => "the application is disabled in the tenant: enable it there",
                "AADSTS53003" => "a conditional access policy blocks the application: exempt it there",
                _ => "look the code up at Microsoft",
            };
            format!("no token was given ({code}): {advice}")
        }
    }
}
