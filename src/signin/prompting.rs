//! A prompt that is out while its person reads a challenge: they may answer it, or type a code instead. Where they refuse it
//! that counts at once: whoever has their password may never answer the challenge.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::config::Challenges;
use crate::factor::{Factor, FactorApproved, Refusal, Tell};
use crate::primary::Identity;
use crate::signin::attempt::SignInId;
use crate::signin::challenge::Ask;
use crate::signin::flow::{Told, Trail};
use crate::signin::measure::About;
use crate::signin::pending::lock;
use crate::signin::reception::{SignIns, now};
use crate::signin::rounds::Asked;
use crate::signin::route::{self, Asking, Failed, Step};
use crate::signin::settling;
use crate::users::model::Method;

/// How long a prompt that a code can be typed beside has to fail or to be answered before the challenge is shown.
const MOMENT: Duration = Duration::from_secs(1);

/// A prompt that is out while its person reads a challenge. Dropped, it is taken back.
pub(super) struct Prompting {
    task: JoinHandle<Result<FactorApproved, Failed>>,
    pub(super) began: Instant,
}

impl Drop for Prompting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Prompting {
    /// What the person has said, where nobody has answered the challenge meanwhile.
    pub(super) async fn said(&mut self) -> Option<Result<(), Refusal>> {
        if !self.task.is_finished() {
            return None;
        }
        Some(self.answer(now()).await?.map(|_| ()).map_err(|failed| failed.refusal))
    }

    /// The answer, if it comes until then.
    pub(super) async fn answer(&mut self, until: Instant) -> Option<Result<FactorApproved, Failed>> {
        let answer = tokio::time::timeout_at(until.into(), &mut self.task).await.ok()?;
        Some(answer.unwrap_or_else(|_| Err(Failed { refusal: Refusal::Lost, ..Failed::nobody() })))
    }
}

/// Whose prompt it is, and of which sign-in.
pub(super) struct Whose {
    pub(super) sign_ins: Arc<SignIns>,
    pub(super) who: Arc<Identity>,
    pub(super) sign_in: SignInId,
}

/// Asks, through a client that shows challenges: the answer, or a prompt that is out and what is to be shown beside it.
pub(super) async fn ask_openly(
    rule: Challenges,
    steps: Vec<Step>,
    asking: Box<Asking>,
    trail: &mut Trail,
    (tell, language): (Tell, &str),
    of: Whose,
) -> Result<Result<FactorApproved, Failed>, Box<Asked>> {
    let (deadline, began, typed) = (asking.deadline, now(), asking.code.is_some());
    let step = steps.first();
    trail.provider = step.map(|step| step.provider.name().into());
    trail.method = step.and_then(|step| step.methods.first().copied());
    let last = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&last);
    // The prompt may last as long as the challenge that is shown beside it.
    let lasting = began.checked_add(rule.within).unwrap_or(deadline).max(deadline);
    let asking = Box::new(Asking { deadline: lasting, ..*asking });
    let mut answer = Box::pin(async move {
        let note = move |provider: &dyn Factor, method| {
            *lock(&noted) = Some((Box::<str>::from(provider.name()), method));
        };
        route::ask_in_turn(steps, asking, note).await
    });
    let is_prompt = matches!(trail.method, Some(Method::Push | Method::Call | Method::SmsReply));
    let beside = rule.beside_prompt && is_prompt && !typed;
    let shown = tokio::select! {
        biased;
        answer = &mut answer => Some(Ok(answer)),
        () = tell.heard() => None,
        () = tokio::time::sleep(MOMENT), if beside => None,
        () = tokio::time::sleep_until(deadline.into()) => {
            Some(Ok(Err(Failed { refusal: Refusal::Expired, ..Failed::nobody() })))
        }
    };
    if let Some((provider, method)) = lock(&last).take() {
        (trail.provider, trail.method) = (Some(provider), Some(method));
    }
    match shown {
        Some(answer) => {
            trail.text = tell.take().map(Told::new);
            answer
        }
        None => {
            let text = tell.take();
            let task = tokio::spawn(async move {
                let mut answer = answer.await;
                if let Err(failed) = &mut answer {
                    let Whose { sign_ins, who, sign_in } = &of;
                    let about = About { unique_id: &who.unique_id, name: &who.name, sign_in: *sign_in };
                    settling::refused_meanwhile(sign_ins, about, began, failed).await;
                }
                answer
            });
            let prompting = Prompting { task, began };
            Err(Box::new(Asked { text, prompting: Some(prompting), ..Asked::new(Ask::Prompt, language) }))
        }
    }
}
