//! MS-CHAP of people of an Active Directory, without a RADIUS server behind: Samba's winbind on this machine asks a domain
//! controller, and is asked by its program `ntlm_auth` ([`pool`], [`spoken`]).
//!
//! Only its clear "yes" to the account that the directory has named, with the key that makes the answer to the client, is
//! [`Finding::Right`]. A change of password is asked for once, of one controller; then the response that came along, which is
//! made with the new one, is judged as any other is.

use std::time::Instant;

use super::directory::Directory;
use super::{Answered, Fault, Finding, Handed, IdentifyError, Identity, Primary, Refusal};
use crate::config::Winbind;
use crate::ldap::result::code;
use crate::radius::mschap::{Broken, Change, Proof, Sealed};
use crate::radius::onward::{Onward, ProofKind};

use pool::{NoAnswer, Pool, TO_CHANGE, TO_JUDGE};
use spoken::{Answer, Changed, Changing, Question};

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
    /// Those that change passwords, and in which domain; none: nobody may.
    changing: Option<(Pool, String)>,
}

impl Helpers {
    /// Starts nothing yet.
    pub fn new(target: &str, winbind: &Winbind) -> Self {
        let changes_in = winbind.domain.clone().filter(|_| winbind.changes);
        Helpers {
            target: target.to_owned(),
            domain: winbind.domain.clone(),
            pool: Pool::new(winbind, TO_JUDGE),
            changing: changes_in.map(|domain| (Pool::new(winbind, TO_CHANGE), domain)),
        }
    }

    /// What it says of a request's proof, for `who` as the directory knows them.
    pub(super) async fn hand_on(
        &self,
        directory: &Directory,
        who: Option<&Identity>,
        handed: Handed<'_>,
        deadline: Instant,
    ) -> Answered {
        let (Some((proof, sealed)), Some(who)) = (self.proof(handed.request), who) else {
            return super::unwilling().into();
        };
        // Whatever the key is, an answer has the same length.
        if proof.answer(&[0; 16]).length() > handed.request.room() {
            tracing::warn!(target_name = self.target, "the client's Proxy-States leave no room for the keys");
            return Finding::Fault(Fault::Garbled).into();
        }
        if let Err(finding) = still_theirs(directory, who, deadline).await {
            return finding.into();
        }
        if let Some(sealed) = &sealed
            && let Err(finding) = self.change(who, sealed, deadline).await
        {
            return finding.into();
        }
        let judged = self.judge(who, &proof, deadline).await;
        Answered { changed: sealed.is_some(), ..judged }
    }

    /// What a request brings: a proof, and both passwords where it is to change the old one and may.
    fn proof(&self, request: &Onward) -> Option<(Proof, Option<Sealed>)> {
        if request.kind() != ProofKind::MsChap {
            return None;
        }
        match request.ms_chap() {
            Ok(proof) => Some((proof, None)),
            Err(Broken::Change) if self.changing.is_some() => {
                let Change { proof, sealed } = request.ms_chap_change().ok()?;
                Some((proof, Some(sealed)))
            }
            Err(_) => None,
        }
    }

    /// Changes the password. Asked once: whoever does not answer may have done it.
    async fn change(&self, who: &Identity, sealed: &Sealed, deadline: Instant) -> Result<(), Finding> {
        let (pool, domain) = self.changing.as_ref().ok_or_else(super::unwilling)?;
        match pool.ask(Changing { name: &who.name, domain, sealed }, deadline).await {
            Ok(Changed::Yes) => {
                tracing::info!(target_name = self.target, account = who.name, "a person has changed their password");
                Ok(())
            }
            Ok(Changed::No(refusal)) => Err(Finding::Wrong(refusal)),
            Ok(Changed::Fault(text)) => {
                tracing::warn!(target_name = self.target, ?text, "winbind cannot change a password");
                Err(Finding::Fault(Fault::Refused { code: code::UNAVAILABLE }))
            }
            Err(none) => {
                tracing::warn!(target_name = self.target, why = %none, "winbind does not say whether it has changed a password");
                Err(Finding::Fault(none.into()))
            }
        }
    }

    /// What winbind says of a proof.
    async fn judge(&self, who: &Identity, proof: &Proof, deadline: Instant) -> Answered {
        let domain = self.domain.as_deref();
        let question = Question { name: &who.name, domain, challenge: proof.challenge(), response: proof.response() };
        match self.pool.ask(question, deadline).await {
            Ok(Answer::Right(hashed)) => {
                let said = Some(Box::new(proof.answer(&hashed)));
                Answered { finding: Finding::Right, said, server: 0, changed: false }
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
