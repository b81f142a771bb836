//! Binds that nobody is held for, for the audit: those of programs whose sign-in stands, and those that only the directory
//! judges, as the client's section says that SASL is passed on.

use std::net::IpAddr;
use std::time::SystemTime;

use crate::audit::{Event, Steps};
use crate::config::Client;
use crate::primary::{Identity, Refusal};
use crate::signin::attempt::{Door, SignInId};
use crate::signin::outcome::{Reason, Verdict};
use crate::signin::reception::SignIns;

/// What such a sign-in brought.
pub(super) struct Brought<'a> {
    pub(super) client: &'a Client,
    pub(super) name: String,
    pub(super) who: Option<&'a Identity>,
    pub(super) source: IpAddr,
}

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
        let name = format!("sasl:{mechanism}");
        let brought = Brought { client, name, who: None, source };
        self.leave_unheld(brought, (verdict, reason), primary, 1);
    }

    /// Leaves the event of sign-ins at the LDAP door that nobody was held for. `requests`: how many there were.
    pub(super) fn leave_unheld(
        &self,
        brought: Brought<'_>,
        (verdict, reason): (Verdict, Reason),
        primary: &'static str,
        requests: u32,
    ) {
        let Brought { client, name, who, source } = brought;
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
            name,
            unique_id: who.map(|who| who.unique_id.clone()),
            account: who.map(|who| who.name.clone()),
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
            requests,
            steps: Steps::default(),
            server: self.deps.server.clone(),
        });
    }
}
