//! Binds that only the directory judges: SASL, where the client's section says that it is passed on. No hold, no factor;
//! the audit knows of each all the same.

use std::net::IpAddr;
use std::time::SystemTime;

use crate::audit::{Event, Steps};
use crate::config::Client;
use crate::primary::Refusal;
use crate::signin::attempt::{Door, SignInId};
use crate::signin::outcome::{Reason, Verdict};
use crate::signin::reception::SignIns;

impl SignIns {
    /// Leaves the event of a SASL bind that was passed on. `mechanism`: what the client named; who it was stands in what
    /// only the directory reads. `said`: the directory's verdict, where it gave one on the credential.
    pub fn passed_on(&self, client: &Client, source: IpAddr, mechanism: &str, said: Result<(), Option<Refusal>>) {
        let (verdict, reason, primary) = match said {
            Ok(()) => (Verdict::Accept, Reason::SaslRelayed, "passed"),
            Err(refusal) => {
                let reason = refusal.map_or(Reason::DirectoryRefused, Reason::from_primary);
                (Verdict::Reject, reason, reason.code())
            }
        };
        let mut random = [0; 12];
        if let Err(error) = getrandom::fill(&mut random) {
            tracing::error!(%error, "no random octets from the kernel");
        }
        self.deps.ledger.finish(Event {
            time: SystemTime::now(),
            sign_in: SignInId::new(random),
            door: Door::Ldap,
            client: client.name.clone(),
            application: client.application.clone(),
            name: format!("sasl:{mechanism}"),
            unique_id: None,
            account: None,
            source,
            person_address: None,
            method: None,
            provider: None,
            primary: Some(primary),
            factor: None,
            verdict,
            reason,
            rule: None,
            earlier: None,
            requests: 1,
            steps: Steps::default(),
            server: self.deps.server.clone(),
        });
    }
}
