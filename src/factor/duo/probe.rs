//! Whether Duo answers and takes our keys: for the breaker and for `anteroom check`.

use reqwest::Method as Verb;
use tokio::time::Instant;

use crate::factor::duo::wire::{Fault, Time};
use crate::factor::duo::{Duo, Lack, Params};
use crate::factor::{Health, Trouble, http};

impl Duo {
    /// `ping`, then `check`.
    pub(super) async fn look(&self) -> Result<Health, Trouble> {
        let begun = Instant::now();
        let (skew, reply) = self.ping().await.map_err(trouble)?;
        let round_trip = begun.elapsed();
        if http::is_page(&reply) {
            return Err(Trouble(http::PAGE.into()));
        }
        let until = begun + self.http.timeout();
        let params = Params::new();
        let _: Time = self.signed(&self.http, Verb::GET, "auth/v2/check", &params, until).await.map_err(trouble)?;
        Ok(Health { round_trip, clock_skew: Some(skew), certificate_expires: reply.certificate_expires, lacks: None })
    }
}

/// What is wrong, and what to do.
fn trouble(lack: Lack) -> Trouble {
    let text = match lack {
        Lack::Failure(failure) => failure.to_string(),
        Lack::Fault(Fault::Garbled) => format!("the answer is not Duo's: check url; or {}", http::PAGE),
        Lack::Fault(Fault::Code(code)) => match code {
            40102 => "Duo does not know the ikey (40102): take the integration key of an Auth API application".into(),
            40103 => "the signature is wrong (40103): the skey is not that of this ikey, or signature is wrong".into(),
            40104 | 40105 => {
                format!(
                    "Duo refuses the date ({code}): set this server's clock (NTP), or let the Date header pass a proxy"
                )
            }
            40301 => "the keys are not those of an Auth API application (40301): add one in Duo's panel".into(),
            other => format!("Duo: {}", http::status_trouble(u16::try_from(other / 100).unwrap_or_default())),
        },
    };
    Trouble(text)
}
