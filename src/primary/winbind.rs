//! MS-CHAP of people of an Active Directory, without a RADIUS server behind: Samba's winbind on this machine asks a domain
//! controller, and is asked by its program `ntlm_auth` ([`pool`], [`spoken`]).
//!
//! Only its clear "yes" to the account that the directory has named, with the key that makes the answer to the client, is
//! [`Finding::Right`].

use std::time::Instant;

use super::directory::Directory;
use super::{Answered, Fault, Finding, Handed, IdentifyError, Identity, Primary, Refusal};
use crate::config::Winbind;
use crate::ldap::result::code;
use crate::radius::onward::ProofKind;

use pool::{NoAnswer, Pool};
use spoken::{Answer, Question};

mod pool;
mod spoken;

/// The account that [`Helpers::probe`] asks about: nobody has that name.
const NOBODY: &str = "anteroom-check";

/// Winbind, ready to be asked.
#[derive(Debug)]
pub struct Helpers {
    target: String,
    domain: Option<String>,
    pool: Pool,
}

impl Helpers {
    /// Starts nothing yet.
    pub fn new(target: &str, winbind: &Winbind) -> Self {
        Helpers { target: target.to_owned(), domain: winbind.domain.clone(), pool: Pool::new(winbind) }
    }

    /// What it says of a request's proof, for `who` as the directory knows them.
    pub(super) async fn hand_on(
        &self,
        directory: &Directory,
        who: Option<&Identity>,
        handed: Handed<'_>,
        deadline: Instant,
    ) -> Answered {
        let proof = handed.request.ms_chap().ok().filter(|_| handed.request.kind() == ProofKind::MsChap);
        let (Some(proof), Some(who)) = (proof, who) else {
            return super::unwilling().into();
        };
        if let Err(finding) = still_theirs(directory, who, deadline).await {
            return finding.into();
        }
        let domain = self.domain.as_deref();
        let question = Question { name: &who.name, domain, challenge: proof.challenge(), response: proof.response() };
        match self.pool.ask(question, deadline).await {
            Ok(Answer::Right(hashed)) => {
                let said = proof.answer(&hashed);
                if said.length() > handed.request.room() {
                    tracing::warn!(target_name = self.target, "the client's Proxy-States leave no room for the keys");
                    return Finding::Fault(Fault::Garbled).into();
                }
                Answered { finding: Finding::Right, said: Some(Box::new(said)), server: 0 }
            }
            Ok(Answer::Wrong(refusal)) => {
                if refusal == Refusal::NoSuchUser {
                    tracing::warn!(
                        target_name = self.target, account = who.name, domain = ?self.domain,
                        "winbind does not know an account that the directory has; is mschap_domain right?"
                    );
                }
                Finding::Wrong(refusal).into()
            }
            Ok(Answer::Fault(text)) => {
                tracing::warn!(target_name = self.target, ?text, "winbind cannot check what was given as proof");
                Finding::Fault(Fault::Refused { code: code::UNAVAILABLE }).into()
            }
            Err(none) => {
                tracing::warn!(target_name = self.target, why = %none, "winbind does not answer");
                Finding::Fault(none.into()).into()
            }
        }
    }

    /// Asks about somebody who is not there.
    ///
    /// # Errors
    /// Why it does not say that nobody is, in words.
    pub async fn probe(&self, deadline: Instant) -> Result<(), String> {
        let domain = self.domain.as_deref();
        let question = Question { name: NOBODY, domain, challenge: &[0; 8], response: &[0; 24] };
        match self.pool.ask(question, deadline).await {
            Ok(Answer::Wrong(_)) => Ok(()),
            Ok(Answer::Right(_)) => Err(format!("it lets {NOBODY:?} in, whom nobody has")),
            Ok(Answer::Fault(text)) => Err(text),
            Err(none) => Err(none.to_string()),
        }
    }
}

/// Whether a name that the user store remembers is still that person's: winbind knows people by nothing else.
async fn still_theirs(directory: &Directory, who: &Identity, deadline: Instant) -> Result<(), Finding> {
    if !who.remembered {
        return Ok(());
    }
    match directory.identify(&who.name, deadline).await {
        Ok(found) if found.unique_id == who.unique_id && found.name == who.name => Ok(()),
        Ok(_) | Err(IdentifyError::Unknown | IdentifyError::Ambiguous) => Err(Finding::Wrong(Refusal::NoSuchUser)),
        Err(IdentifyError::Fault(fault)) => Err(Finding::Fault(fault)),
    }
}

impl From<NoAnswer> for Fault {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Unstartable(_) => Fault::Unreachable,
            NoAnswer::Busy => Fault::Full,
            NoAnswer::Late | NoAnswer::Ended => Fault::Unanswered,
            NoAnswer::Garbled => Fault::Garbled,
        }
    }
}
