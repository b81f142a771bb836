//! Whom to ask, and how: the providers in order, each with the first way that the person has, the provider offers and
//! the client can carry. And asking them: the next one only where nobody can have been prompted yet.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Client, NumberMatching, Route, UnreachableClass};
use crate::factor::{self, Factor, FactorApproved, Refusal, Request};
use crate::secret::Secret;
use crate::signin::attempt::SignInId;
use crate::users::model::{Method, Person};

/// One provider, and how it is to ask.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) provider: Arc<dyn Factor>,
    pub(super) method: Method,
}

/// The ways that may be tried, in order: what the person typed, else what the configuration lists, else their own.
/// A way that needs a typed code is only one where a code was typed.
pub fn wishes(typed: Option<Method>, own: Method, listed: &[Method]) -> Vec<Method> {
    match typed {
        Some(method) => vec![method],
        None if listed.is_empty() => [own].into_iter().filter(|method| !is_typed(*method)).collect(),
        None => listed.iter().copied().filter(|method| !is_typed(*method)).collect(),
    }
}

/// Whether the person answers by typing a code.
pub fn is_typed(method: Method) -> bool {
    match method {
        Method::Oath | Method::SmsCode | Method::EmailCode | Method::BackupCode => true,
        Method::Push | Method::Call | Method::SmsReply => false,
    }
}

/// Whom to ask, by name: what the route says, else what the client says.
pub fn providers<'a>(client: &'a Client, route: Option<&'a Route>) -> &'a [String] {
    route.map(|route| route.providers.as_slice()).filter(|names| !names.is_empty()).unwrap_or(&client.providers)
}

/// How to ask: what the route says, else what the client says.
pub fn methods<'a>(client: &'a Client, route: Option<&'a Route>) -> &'a [Method] {
    route.map(|route| route.methods.as_slice()).filter(|methods| !methods.is_empty()).unwrap_or(&client.methods)
}

/// The providers that can ask this person, each with its first way.
pub(super) fn steps(
    providers: impl IntoIterator<Item = Arc<dyn Factor>>,
    person: &Person,
    wishes: &[Method],
) -> Vec<Step> {
    let step = |provider: Arc<dyn Factor>| {
        let method = wishes.iter().copied().find(|method| provider.offers(person, *method))?;
        Some(Step { provider, method })
    };
    providers.into_iter().filter_map(step).collect()
}

/// What is asked, whoever asks it.
pub(super) struct Asking {
    pub(super) sign_in: SignInId,
    pub(super) person: Arc<Person>,
    pub(super) code: Option<Secret>,
    pub(super) application: Arc<str>,
    pub(super) person_address: Option<IpAddr>,
    pub(super) deadline: Instant,
    pub(super) number_matching: NumberMatching,
}

impl Asking {
    fn request(self, method: Method) -> Request {
        Request {
            sign_in: self.sign_in,
            person: self.person,
            method,
            code: self.code,
            application: self.application,
            person_address: self.person_address,
            deadline: self.deadline,
            device: None,
            number_matching: self.number_matching,
            tell: None,
        }
    }

    fn again(&self) -> Asking {
        Asking {
            sign_in: self.sign_in,
            person: Arc::clone(&self.person),
            code: self.code.as_ref().map(Secret::duplicate),
            application: Arc::clone(&self.application),
            ..*self
        }
    }
}

/// Why nobody approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What the last one that was asked said.
    pub refusal: Refusal,
    /// The class of each that could not be reached, in order.
    pub classes: Vec<UnreachableClass>,
    /// How long the one that is away longest has been so.
    pub lasted: Duration,
}

/// Asks one after the other, as long as nobody can have been prompted and the failure is one after which the next is
/// to be asked. `asked` is told who is.
pub(super) async fn ask_in_turn(
    steps: Vec<Step>,
    asking: Asking,
    mut asked: impl FnMut(&Step),
) -> Result<FactorApproved, Failed> {
    let mut failed = Failed { refusal: Refusal::Misconfigured, classes: Vec::new(), lasted: Duration::ZERO };
    let last = steps.len().saturating_sub(1);
    let mut asking = Some(asking);
    for (position, step) in steps.into_iter().enumerate() {
        // What is known of the person is not kept while the last one waits for them to find their phone.
        let next = if position < last { asking.as_ref().map(Asking::again) } else { asking.take() };
        let Some(next) = next else { break };
        asked(&step);
        match factor::ask(step.provider.as_ref(), next.request(step.method)).await {
            Ok(approved) => return Ok(approved),
            Err(refusal) => {
                failed.refusal = refusal;
                let Refusal::Unreachable(class) = refusal else { break };
                failed.classes.push(class);
                failed.lasted = failed.lasted.max(step.provider.down_for());
                if !step.provider.fails_over(class) {
                    break;
                }
                if position < last {
                    tracing::warn!(provider = step.provider.name(), class = class.word(), "the next provider is asked");
                }
            }
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_comes_before_what_is_listed_and_that_before_the_persons_own() {
        let listed = [Method::Call, Method::Oath, Method::Push];
        assert_eq!(wishes(Some(Method::Oath), Method::Push, &listed), [Method::Oath]);
        assert_eq!(wishes(Some(Method::Push), Method::Call, &[]), [Method::Push]);
        assert_eq!(wishes(None, Method::Push, &listed), [Method::Call, Method::Push]);
        assert_eq!(wishes(None, Method::SmsReply, &[]), [Method::SmsReply]);
        assert!(wishes(None, Method::Oath, &[]).is_empty(), "no code was typed");
    }
}
