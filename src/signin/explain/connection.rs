//! What is explained of a sign-in through an RD Gateway: whether the account may sign in, and which policy lets it.

use std::sync::Arc;

use super::{Question, Walk};
use crate::config::{Authentication, Client};
use crate::primary::none::Connection;
use crate::primary::{Finding, Identity, Refusal};
use crate::signin::attempt::Attempt;
use crate::signin::authorizing;
use crate::signin::flow;
use crate::signin::outcome::Reason;
use crate::signin::reception::SignIns;

/// Whether people come through this client without a password.
pub(super) fn is_asked(sign_ins: &SignIns, client: &Client) -> bool {
    sign_ins.deps.targets.get(&client.target).is_some_and(|target| target.primary.authorizes())
}

/// The connection that is asked about, through such a client.
pub(super) fn of(sign_ins: &SignIns, client: &Client, question: &Question) -> Option<Box<Connection>> {
    let authentication = if question.smart_card { Authentication::SmartCard } else { Authentication::Password };
    is_asked(sign_ins, client).then(|| {
        Box::new(Connection {
            authentication: Some(authentication),
            computer: question.computer.as_deref().map(Into::into),
            called: Box::default(),
            settings: None,
        })
    })
}

impl Walk<'_> {
    /// Whether the directory would refuse a right password, too: a locked account, a password that has to be changed.
    pub(super) async fn refused(&mut self, attempt: &Attempt, who: &Arc<Identity>) -> Result<(), Reason> {
        let target = flow::target(self.sign_ins, attempt)?;
        let Some(refusal) = target.primary.refuses(who, self.at, attempt.deadline()).await else { return Ok(()) };
        let reason = Reason::from_primary(refusal);
        self.judge("account", false, reason.advice());
        Err(reason)
    }

    /// What the target says of the account and the connection, where a gateway has checked the password.
    pub(super) async fn account(&mut self, attempt: &Attempt, who: &Arc<Identity>) -> Result<(), Reason> {
        let said = authorizing::ask(self.sign_ins, attempt, who, self.at).await?;
        match said {
            Ok((_, granted)) => {
                self.judge("account", true, "may sign in");
                self.judge("connection", true, format!("the policy {:?} lets them in", granted.policy));
                Ok(())
            }
            Err(finding) => {
                let (step, reason) = match &finding {
                    Finding::Wrong(refusal @ (Refusal::ConnectionDenied | Refusal::NoConnectionPolicy)) => {
                        self.judge("account", true, "may sign in");
                        ("connection", Reason::from_primary(*refusal))
                    }
                    Finding::Wrong(refusal) => ("account", Reason::from_primary(*refusal)),
                    Finding::Fault(fault) => ("account", Reason::from_fault(fault)),
                    Finding::Right | Finding::Moved(_) => ("account", Reason::Internal),
                };
                self.judge(step, false, reason.advice());
                Err(reason)
            }
        }
    }
}
