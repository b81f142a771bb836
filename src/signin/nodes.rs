//! Prompts of nodes that share a database: one for each sign-in, whichever node its requests reach, and one count of them
//! for each person.
//!
//! ```text
//! node 1: begin ─ ours ─▶ prompt ─▶ approved ─▶ answer in the database ─▶ Accept
//! node 2:   begin ─ out at node 1 ─ waits, without a prompt ─▶ the same answer ─▶ Accept
//! later:      begin ─ approved when the client had given up? ─▶ used once, at whichever node ─▶ Accept
//! ```
//!
//! A sign-in is found by the key of its hold, which nodes with the same key file make alike: client, person, password and
//! device. An approval of another node counts only with a tag under a key of that file; it is of a person whose password
//! this node has checked, and whom its policy does not refuse. What a node had out that has died is asked anew. Clients
//! that show challenges, and EAP, are answered by each node for itself: their people are asked by whichever node shows
//! them something; but they are counted together, too.
//!
//! Where the database does not answer, each node asks within its own bounds: a prompt lets nobody in.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Throttle;
use crate::factor::{self, FactorApproved};
use crate::signin::attempt::{Attempt, SignInId};
use crate::signin::ending::Ending;
use crate::signin::flow::{Known, prompt_end};
use crate::signin::outcome::Reason;
use crate::signin::pending::{HoldKey, lock};
use crate::signin::proof::SecondPassed;
use crate::signin::reception::{SignIns, now};
use crate::users::model::Method;
use crate::users::prompts::{Answered, Begun, Effect, Intended, Node, Out, SharedPrompts, Standing};
use crate::users::store::StoreResult;

/// How often it is looked for the answer to a prompt of another node.
const LOOK: Duration = Duration::from_millis(400);

/// After so many looks it is asked whether that node is still there.
const LOOKS: u32 = 10;

/// How long the database has.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer stays for those who wait for it at other nodes.
const LINGERS: Duration = Duration::from_secs(10);

/// The word of an approval in the database.
const APPROVED: &str = "approved";

/// What the person said, or typed, that whoever waits elsewhere is told as well.
const TOLD: [Reason; 5] = [Reason::Denied, Reason::Fraud, Reason::Expired, Reason::WrongCode, Reason::WrongPin];

/// This node among those that share a database.
pub struct Nodes {
    store: Arc<dyn SharedPrompts>,
    me: Node,
    /// What the keys of holds are made with.
    pub(super) secret: [u8; 32],
    tags: Hmac<Sha256>,
    /// Prompts of this node that are out.
    out: Mutex<HashMap<SignInId, Intended>>,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Nodes {
    /// `me.node` stands for this very process. `secret`: octets that all nodes have, and nobody else.
    pub fn new(store: Arc<dyn SharedPrompts>, me: Node, secret: [u8; 32]) -> Self {
        // A key shorter than a block is padded (RFC 2104 section 2). The tail keeps it apart from the key of holds.
        let mut block = [b't'; 64];
        block.iter_mut().zip(&secret).for_each(|(to, from)| *to = *from);
        let tags = <Hmac<Sha256> as KeyInit>::new(&block.into());
        Nodes { store, me, secret, tags, out: Mutex::default() }
    }

    /// Says that this node is alive. To be called every few seconds.
    ///
    /// # Errors
    /// The database cannot be told.
    pub async fn alive(&self, bounds: &Throttle) -> StoreResult<()> {
        self.store.alive(&self.me, bounds, SystemTime::now()).await
    }

    /// Says that this node ends.
    pub async fn ends(&self) {
        // Others find out by themselves, later.
        let _ = in_time(self.store.ends(&self.me.node)).await;
    }

    fn tagged(&self, intended: &Intended, method: Option<Method>, carried: bool) -> Hmac<Sha256> {
        let mut digest = self.tags.clone();
        let key = intended.key.as_deref().unwrap_or_default();
        let parts = [key, &intended.claim, &intended.unique_id, method.map_or("", Method::word)];
        for part in parts {
            digest.update(&part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        digest.update(&[u8::from(carried)]);
        digest
    }

    /// How a prompt was approved, if a node says so that has our key.
    fn approved(&self, ours: &Intended, claim: &str, answer: &Answered) -> Option<Method> {
        let theirs = Intended { claim: claim.to_owned(), ..ours.clone() };
        let is_right = |carried| self.tagged(&theirs, answer.method, carried).verify_slice(&answer.tag).is_ok();
        // One that was used since is no longer carried.
        let is_right = is_right(answer.carried) || (!answer.carried && is_right(true));
        answer.method.filter(|_| answer.outcome == APPROVED && is_right)
    }

    /// The prompt of this sign-in is no longer out; nobody waits for it here any more.
    pub(super) fn left(self: &Arc<Self>, sign_ins: &Arc<SignIns>, sign_in: SignInId, unanswered: bool) {
        let Some(intended) = lock(&self.out).remove(&sign_in) else { return };
        let (nodes, sign_ins) = (Arc::clone(self), Arc::clone(sign_ins));
        // Without a runtime the process is ending, which the others will see.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let effect = if unanswered { Effect::Unanswered } else { Effect::None };
            let now = SystemTime::now();
            let effect = (&effect, &sign_ins.deps.throttle);
            let _ = in_time(nodes.store.end_prompt(&intended, (None, now), effect, now)).await;
        });
    }
}

async fn in_time<T>(asked: impl Future<Output = StoreResult<T>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(said)) => Some(said),
        Ok(Err(error)) => {
            tracing::warn!(%error, "prompts cannot be counted for all nodes");
            None
        }
        Err(_) => {
            tracing::warn!("the database does not count prompts in time");
            None
        }
    }
}

fn text(key: HoldKey) -> String {
    key.octets().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// When that will be, by the clock on the wall.
fn on_the_wall(time: Instant) -> SystemTime {
    let wall = SystemTime::now();
    wall.checked_add(time.saturating_duration_since(now())).unwrap_or(wall)
}

/// Asks the other nodes for leave to prompt, once this node would. What another one has been told is an answer here, too.
///
/// # Errors
/// The person is not to be asked now; or what they said to the prompt of another node.
pub(super) async fn begin(
    nodes: &Arc<Nodes>,
    sign_ins: &Arc<SignIns>,
    ending: &mut Ending,
    known: &Known,
) -> Result<Option<SecondPassed>, Reason> {
    let unique_id = known.who.unique_id.as_str();
    let is_code = ending.trail.typed.as_deref().is_some_and(|typed| typed.code().is_some());
    lock(&sign_ins.throttle).would_prompt(unique_id, is_code, now())?;
    let key = ending.identified.as_ref().ok_or(Reason::Internal)?.key;
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let sign_in = attempt.id;
    let key = (ending.trail.round == 0).then_some(key);
    let intended = Intended { is_code, ..intended(nodes, attempt, unique_id, key) };
    let (bounds, mut has_joined) = (&sign_ins.deps.throttle, false);
    loop {
        // Whatever becomes of this request meanwhile, what it has claimed is given back.
        lock(&nodes.out).insert(sign_in, intended.clone());
        let begun = in_time(nodes.store.begin_prompt(&intended, bounds, SystemTime::now())).await;
        if begun != Some(Begun::Ours) {
            lock(&nodes.out).remove(&sign_in);
        }
        let out = match begun {
            Some(Begun::Ours) | None => return Ok(None),
            Some(Begun::Limited) => return Err(Reason::PromptLimited),
            Some(Begun::Theirs(out)) => out,
        };
        let (claim, carried) = (out.claim.clone(), out.answer.is_some());
        let answer = if carried {
            take_carried(nodes, &intended, out).await
        } else {
            if !std::mem::replace(&mut has_joined, true) {
                sign_ins.deps.metrics.joins.inc();
            }
            wait(nodes, &intended, &out).await
        };
        let Some(answer) = answer else { continue };
        if let Some(method) = nodes.approved(&intended, &claim, &answer) {
            if carried {
                sign_ins.deps.metrics.carry_overs.inc();
            }
            ending.trail.factor = Some("carried_over");
            ending.trail.method = Some(method);
            ending.trail.provider = answer.provider.map(Into::into);
            return Ok(Some(SecondPassed::Approved(Arc::new(FactorApproved::again(sign_in, unique_id, method)))));
        }
        if let Some(reason) = TOLD.into_iter().find(|reason| reason.code() == answer.outcome) {
            ending.trail.factor = Some(reason.code());
            ending.trail.method = answer.method;
            ending.trail.provider = answer.provider.map(Into::into);
            return Err(reason);
        }
        // What no node of ours has written says nothing. It is looked at again in a moment, and not as fast as can be.
        tokio::time::sleep(LOOK).await;
    }
}

/// What all nodes have counted of somebody's prompts. Nothing: the database does not say.
pub(super) async fn standing(nodes: &Nodes, unique_id: &str, bounds: &Throttle) -> Option<Standing> {
    in_time(nodes.store.may_prompt(unique_id, bounds, SystemTime::now())).await
}

fn intended(nodes: &Nodes, attempt: &Attempt, unique_id: &str, key: Option<HoldKey>) -> Intended {
    Intended {
        key: key.filter(|_| attempt.challenges().is_none() && !attempt.is_eap()).map(text),
        claim: attempt.id.to_string(),
        unique_id: unique_id.to_owned(),
        node: nodes.me.node.clone(),
        is_code: false,
        until: on_the_wall(prompt_end(attempt.deadline())),
    }
}

/// An approval that came when its client had given up, if this is the first that asks for it.
async fn take_carried(nodes: &Nodes, intended: &Intended, out: Out) -> Option<Answered> {
    let key = intended.key.as_deref()?;
    let is_ours = in_time(nodes.store.use_carried(key, &out.claim, SystemTime::now())).await?;
    out.answer.filter(|_| is_ours)
}

/// Waits for the answer to another node's prompt. Nothing: it is to be asked for leave again.
async fn wait(nodes: &Nodes, intended: &Intended, out: &Out) -> Option<Answered> {
    let key = intended.key.as_deref()?;
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK).await;
        let found = in_time(nodes.store.prompt_out(key)).await??;
        if found.claim != out.claim || found.answer.is_some() {
            return found.answer.filter(|_| found.claim == out.claim);
        }
    }
    None
}

/// What came of a prompt, here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// What the person said.
    pub(super) said: Result<Method, factor::Refusal>,
    /// Whether an approval counts here: not after a fraud report.
    pub(super) counts: bool,
    /// Until when an approval is good for one retry.
    pub(super) carried: Option<Instant>,
}

/// Tells the other nodes what came of a prompt of this one, which began at `began`, and how and by whom the person was
/// asked. Nothing: they cannot be told.
pub(super) async fn ended(
    sign_ins: &SignIns,
    sign_in: SignInId,
    (method, provider): (Option<Method>, Option<&str>),
    began: Instant,
    ended: Ended,
) -> Option<Told> {
    let nodes = sign_ins.deps.nodes.as_ref()?;
    let intended = lock(&nodes.out).remove(&sign_in)?;
    let wall = SystemTime::now();
    let began = wall.checked_sub(now().saturating_duration_since(began)).unwrap_or(wall);
    let (outcome, effect) = match ended.said {
        Ok(_) if !ended.counts => (None, Effect::None),
        Ok(_) => (Some(APPROVED), Effect::Approved(began)),
        Err(refusal) => {
            let reason = Reason::from_factor(refusal);
            let effect = match reason {
                _ if refusal.is_not_sent() && !intended.is_code => Effect::NotSent,
                Reason::Denied => Effect::Denied,
                Reason::Fraud => Effect::Fraud,
                Reason::Expired => Effect::Unanswered,
                _ => Effect::None,
            };
            (TOLD.contains(&reason).then(|| reason.code()), effect)
        }
    };
    let (method, carried) = (ended.said.ok().or(method), ended.carried.is_some());
    let answer = outcome.map(|outcome| Answered {
        outcome: outcome.to_owned(),
        method,
        provider: provider.map(str::to_owned),
        carried,
        tag: nodes.tagged(&intended, method, carried).finalize().into_bytes().to_vec(),
    });
    let until = ended.carried.map_or_else(|| wall.checked_add(LINGERS).unwrap_or(wall), on_the_wall);
    let effect = (&effect, &sign_ins.deps.throttle);
    let counts = in_time(nodes.store.end_prompt(&intended, (answer.as_ref(), until), effect, wall)).await?;
    Some(Told { counts, is_found: intended.key.is_some() })
}

/// What the other nodes know now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// Whether an approval counts.
    pub(super) counts: bool,
    /// Whether another request of the same sign-in finds it.
    pub(super) is_found: bool,
}
