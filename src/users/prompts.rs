//! Prompts, as nodes that share a database count them together, and the one prompt that is out for a sign-in, whichever
//! node its requests reach.
//!
//! ```text
//! node 1: begin ─ ours ─▶ prompt ─▶ answer ─ end ─▶ row: approved
//! node 2:   begin ─ out at node 1 ─ look, look, look ─▶ approved: lets in, too, without a second prompt
//! ```

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::config::Throttle;
use crate::users::model::Method;
use crate::users::store::StoreResult;

/// After that long without a sign of life a node is gone, and what it had out counts no more.
pub const GONE_AFTER: Duration = Duration::from_secs(15);

/// A prompt that is to go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    /// What another request of the same sign-in finds it by: hexadecimal digits. None: nobody shall.
    pub key: Option<String>,
    /// The sign-in that asks.
    pub claim: String,
    /// Whom.
    pub unique_id: String,
    /// This node's process.
    pub node: String,
    /// Whether it is no prompt but the look at a code that was typed, which rings no phone: not counted here, and no quiet
    /// holds it. Others of the same sign-in find it all the same, so that no code is used up twice.
    pub is_code: bool,
    /// When the prompt ends at the latest.
    pub until: SystemTime,
}

/// A prompt that is out, or was a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Out {
    /// The sign-in that asks.
    pub claim: String,
    /// When it ends at the latest, or until when its answer counts.
    pub until: SystemTime,
    /// Its answer, once there is one.
    pub answer: Option<Answered>,
}

/// What came of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// `approved`, or why not: a reason of the audit.
    pub outcome: String,
    /// How they were asked.
    pub method: Option<Method>,
    /// By whom.
    pub provider: Option<String>,
    /// Whether an approval is good for one retry that comes later.
    pub carried: bool,
    /// Of an approval: shows that a node wrote it.
    pub tag: Vec<u8>,
}

/// What all nodes together have counted of somebody's prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How many went out within the window without an approval.
    pub sent: u32,
    /// Until when nobody asks them, after denials or prompts that nobody answered.
    pub quiet_until: Option<SystemTime>,
}

/// What came of asking for leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It may go out, and is counted.
    Ours,
    /// The person is not to be asked now.
    Limited,
    /// One is out for the same sign-in at another node, or its answer is there.
    Theirs(Out),
}

/// What a prompt's end means for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Approved; the sign-in began then.
    Approved(SystemTime),
    /// Denied.
    Denied,
    /// A fraud report.
    Fraud,
    /// Nobody answered.
    Unanswered,
    /// It never left, as the provider is away: it is no prompt, and is not counted.
    NotSent,
    /// Nothing: it never reached the person, or a typed code was wrong.
    None,
}

/// A node that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// This very process.
    pub node: String,
    /// Its `server.name`.
    pub name: String,
}

/// The part of the user database by which nodes ask people together. Only databases that several nodes use have it.
pub trait SharedPrompts: Send + Sync {
    /// Asks for leave to prompt, and counts the prompt, in one change.
    fn begin_prompt<'a>(
        &'a self,
        prompt: &'a Intended,
        bounds: &'a Throttle,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Begun>>;

    /// Whether somebody may be prompted now, as far as all nodes have counted: one indexed read, which counts nothing.
    fn may_prompt<'a>(
        &'a self,
        unique_id: &'a str,
        bounds: &'a Throttle,
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<Standing>>;

    /// The prompt that is found by this key: one indexed read.
    fn prompt_out<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<Out>>>;

    /// Notes what came of a prompt: the answer for others of the same sign-in, until that time, and the effect on the
    /// person's next prompts. `false` where an approval does not count, as they have reported fraud since: nobody is told
    /// of that one.
    fn end_prompt<'a>(
        &'a self,
        prompt: &'a Intended,
        answer: (Option<&'a Answered>, SystemTime),
        effect: (&'a Effect, &'a Throttle),
        now: SystemTime,
    ) -> BoxFuture<'a, StoreResult<bool>>;

    /// Uses an approval for the one retry that it is good for; `false`: it was used.
    fn use_carried<'a>(&'a self, key: &'a str, claim: &'a str, now: SystemTime) -> BoxFuture<'a, StoreResult<bool>>;

    /// Says that this node is alive, and forgets what is over.
    fn alive<'a>(&'a self, node: &'a Node, bounds: &'a Throttle, now: SystemTime) -> BoxFuture<'a, StoreResult<()>>;

    /// Says that this node ends.
    fn ends<'a>(&'a self, node: &'a str) -> BoxFuture<'a, StoreResult<()>>;

    /// The nodes that are alive.
    fn nodes(&self, now: SystemTime) -> BoxFuture<'_, StoreResult<Vec<Node>>>;
}
