//! Approvals that a `[[caching]]` rule lets stand for more sign-ins.
//!
//! ```text
//! password right ── Case: what has proved the person, digested ─┐
//! policy: a factor is due ── which rule? ── key ── in the store? ── yes: let in, as a named exemption
//!                                                             └─── no: asked; an approval is kept under the key
//! ```
//!
//! The password is checked each time. Only an approval that a person gave for this very purpose is kept: no exemption, no
//! approval that was carried over or kept itself. A typed code is always checked. Nobody whom policy refuses gets here,
//! and a block removes what is kept. The store is asked only where a rule is for the client; where it cannot say in time,
//! the person is asked as ever.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::{CachingRule, Client, Likeness};
use crate::primary::Identity;
use crate::secret::Secret;
use crate::signin::attempt::Attempt;
use crate::signin::ending::Ending;
use crate::signin::flow::{Known, Trail};
use crate::signin::passcode::Typed;
use crate::signin::policy;
use crate::signin::proof::FactorApproved;
use crate::signin::reception::SignIns;
use crate::signin::rules::Chosen;
use crate::signin::{route, ruling};
use crate::users::approvals::{Approval, ApprovalKey};

/// How long the store has for finding or keeping an approval.
const PATIENCE: Duration = Duration::from_secs(1);

/// Approvals of one person that an explanation looks at.
const LOOKED_AT: u32 = 200;

/// The rules, and what digests are made with.
pub struct Caching {
    pub(super) rules: Vec<Arc<CachingRule>>,
    digest: Hmac<Sha256>,
}

impl Caching {
    /// These rules. Only digests under the same key find the same approvals.
    pub fn new(rules: Vec<Arc<CachingRule>>, key: &Secret) -> Self {
        // HMAC takes keys of any length; its block is 64 octets, and longer ones are not made here.
        let mut block = [0; 64];
        block.iter_mut().zip(key.open()).for_each(|(to, from)| *to = *from);
        Caching { rules, digest: <Hmac<Sha256> as KeyInit>::new(&block.into()) }
    }

    fn may_cover(&self, client: &Client) -> bool {
        let covers = |rule: &CachingRule| rule.is_for_client(&client.name, &client.application);
        self.rules.iter().any(|rule| !rule.then.lasts.is_zero() && covers(rule))
    }

    fn digested(&self, parts: &[&[u8]]) -> ApprovalKey {
        let mut digest = self.digest.clone();
        for part in parts {
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into_bytes().into()
    }
}

impl Default for Caching {
    /// No rule.
    fn default() -> Self {
        Caching::new(Vec::new(), &Secret::new(Vec::new()))
    }
}

impl fmt::Debug for Caching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caching").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// What has proved a person.
pub(super) enum Proved<'a> {
    /// This password was right.
    Password(&'a Secret),
    /// A gateway says so; the directory has known their password since then.
    PasswordSet(i64),
}

/// A sign-in through a client that some rule is for.
pub(super) struct Case {
    /// Digest of what has proved the person.
    proved: ApprovalKey,
    /// The rule that counts, and by what an approval for this sign-in is found.
    rule: Option<(Arc<CachingRule>, ApprovalKey)>,
    /// The approval that counted.
    used: Option<Approval>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule.as_ref().map(|(rule, _)| &rule.name);
        f.debug_struct("Case").field("rule", &rule).finish_non_exhaustive()
    }
}

impl Case {
    /// The rule's name and the earlier sign-in, of an approval that counted.
    pub(super) fn used(&self) -> Option<(Arc<str>, Box<str>)> {
        let (rule, _) = self.rule.as_ref()?;
        Some((Arc::clone(&rule.name), self.used.as_ref()?.sign_in.as_str().into()))
    }
}

/// Begins a case where some rule is for the client.
pub(super) fn begin(sign_ins: &SignIns, attempt: &Attempt, who: &Identity, proved: Proved<'_>) -> Option<Box<Case>> {
    let caching = &sign_ins.deps.caching;
    if !caching.may_cover(&attempt.client) {
        return None;
    }
    let whose = who.unique_id.as_bytes();
    let proved = match proved {
        Proved::Password(password) => caching.digested(&[b"password", whose, password.open()]),
        Proved::PasswordSet(time) => caching.digested(&[b"password set", whose, &time.to_be_bytes()]),
    };
    Some(Box::new(Case { proved, rule: None, used: None }))
}

/// What a sign-in has besides its person.
pub(super) struct Setting<'a> {
    kind: &'static str,
    application: &'a str,
    /// The address of the person's device, or their computer's name.
    place: Option<String>,
}

impl<'a> Setting<'a> {
    fn of(attempt: &'a Attempt) -> Setting<'a> {
        let application = attempt.client.application.as_str();
        match &attempt.connection {
            Some(connection) => {
                let place = connection.computer.as_deref().map(str::to_lowercase);
                Setting { kind: "rd_gateway", application, place }
            }
            None => {
                let place = ruling::person_address(attempt).as_ref().map(IpAddr::to_canonical);
                Setting { kind: attempt.door.word(), application, place: place.map(|place| place.to_string()) }
            }
        }
    }

    /// By what an approval for it is found; nothing where the rule looks at a device and nobody knows it.
    fn key(&self, caching: &Caching, rule: &CachingRule, unique_id: &str, proved: &ApprovalKey) -> Option<ApprovalKey> {
        let kind = rule.then.kind;
        let (mut alike, nowhere): (Vec<&[u8]>, _) = match (kind, &self.place) {
            (Likeness::Person, _) => (vec![], false),
            (Likeness::Application, _) => (vec![self.kind.as_bytes(), self.application.as_bytes()], false),
            (Likeness::Address, Some(place)) => {
                (vec![self.kind.as_bytes(), self.application.as_bytes(), place.as_bytes()], false)
            }
            (Likeness::Address, None) => (vec![], true),
        };
        let mut parts: Vec<&[u8]> =
            vec![b"approval", kind.word().as_bytes(), rule.name.as_bytes(), unique_id.as_bytes(), proved];
        parts.append(&mut alike);
        (!nowhere).then(|| caching.digested(&parts))
    }

    /// Whether an approval was given for one like this.
    fn is_like(&self, rule: &CachingRule, approval: &Approval) -> bool {
        let same = approval.kind == self.kind && approval.application == self.application;
        *rule.name == *approval.rule
            && match rule.then.kind {
                Likeness::Person => true,
                Likeness::Application => same,
                Likeness::Address => same && self.place.is_some() && approval.place == self.place,
            }
    }
}

/// Which rule counts; nothing where the directory cannot say, or the rule is for never.
pub(super) async fn chosen(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Identity,
    now: SystemTime,
) -> Option<Arc<CachingRule>> {
    let rules = &sign_ins.deps.caching.rules;
    let Ok(Chosen::Rule(place)) = ruling::chosen(sign_ins, rules, attempt, who, now).await else { return None };
    rules.get(usize::from(place)).filter(|rule| !rule.then.lasts.is_zero()).cloned()
}

/// Whether an approval that was kept lets this person in, who would be asked. Notes by which rule one is to be kept if not.
pub(super) async fn look(
    sign_ins: &SignIns,
    attempt: &Attempt,
    known: &Known,
    case: &mut Case,
    typed: Option<&Typed>,
    now: SystemTime,
) -> bool {
    let Some(rule) = chosen(sign_ins, attempt, &known.who, now).await else { return false };
    let caching = &sign_ins.deps.caching;
    let Some(key) = Setting::of(attempt).key(caching, &rule, &known.who.unique_id, &case.proved) else { return false };
    let (rule, key) = case.rule.insert((rule, key));
    let Some(store) = sign_ins.deps.store.approvals().filter(|_| !matches!(typed, Some(Typed::Code(_)))) else {
        return false;
    };
    let found = match tokio::time::timeout(PATIENCE, store.approval(key)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(sign_in = %attempt.id, %error, "it cannot be said whether an approval is kept: the person is asked");
            None
        }
        Err(_) => {
            tracing::warn!(sign_in = %attempt.id, "the store does not say in time whether an approval is kept: the person is asked");
            None
        }
    };
    case.used = found.filter(|approval| is_good(sign_ins, attempt, known, rule, approval, now));
    case.used.is_some()
}

/// Whether it is good for this person, here and now.
fn is_good(
    sign_ins: &SignIns,
    attempt: &Attempt,
    known: &Known,
    rule: &CachingRule,
    approval: &Approval,
    now: SystemTime,
) -> bool {
    let place = known.route.map(usize::from);
    let route = place.and_then(|place| sign_ins.deps.routes.get(place)).map(|route| &**route);
    let client = &attempt.client;
    let can_type = client.passcode.is_some() || client.challenge.is_some();
    let required = ruling::required_methods(sign_ins, known.rule);
    approval.unique_id == known.who.unique_id
        && approval.is_good(rule.then.lasts, now)
        && policy::counts_here(approval.method, required, route::methods(client, route), can_type)
}

/// Notes in the trail that an approval counted, and how it was given.
pub(super) fn note(trail: &mut Trail) {
    let Some((rule, approval)) = trail.case.as_ref().and_then(|case| case.rule.as_ref().zip(case.used.as_ref())) else {
        return;
    };
    trail.factor = Some(rule.0.then.kind.audited());
    trail.method = Some(approval.method);
    trail.provider = approval.provider.as_deref().map(Into::into);
}

/// Keeps an approval that was just given, where a rule says so. That it cannot be kept is nobody's trouble: they are asked
/// again.
pub(super) async fn keep(sign_ins: &SignIns, ending: &Ending, who: &Identity, approval: &FactorApproved) {
    let (Some(attempt), Some(case)) = (ending.attempt(), ending.trail.case.as_deref()) else { return };
    let (Some((rule, key)), Some(store)) = (&case.rule, sign_ins.deps.store.approvals()) else { return };
    let now = SystemTime::now();
    let Some(until) = now.checked_add(rule.then.lasts).filter(|_| approval.unique_id() == who.unique_id) else {
        return;
    };
    let Setting { kind, application, place } = Setting::of(attempt);
    let kept = Approval {
        key: *key,
        unique_id: who.unique_id.clone(),
        name: who.name.clone(),
        rule: rule.name.to_string(),
        kind: kind.to_owned(),
        client: attempt.client.name.clone(),
        application: application.to_owned(),
        place,
        method: approval.method(),
        provider: ending.trail.provider.as_deref().map(str::to_owned),
        approved: now,
        until,
        sign_in: attempt.id.to_string(),
    };
    match tokio::time::timeout(PATIENCE, store.keep(&kept, now)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(sign_in = %attempt.id, %error, "an approval could not be kept"),
        Err(_) => tracing::warn!(sign_in = %attempt.id, "the store does not keep an approval in time"),
    }
}

/// The youngest approval of this person that the rule would let stand for a sign-in like this, if it is for the same
/// password; for an explanation, which has none.
pub(super) async fn standing(
    sign_ins: &SignIns,
    attempt: &Attempt,
    known: &Known,
    rule: &CachingRule,
    now: SystemTime,
) -> Option<Approval> {
    let store = sign_ins.deps.store.approvals()?;
    let setting = Setting::of(attempt);
    let all = store.approvals(Some(&known.who.unique_id), &[], LOOKED_AT, now).await.ok()?;
    let good = all.into_iter().filter(|one| setting.is_like(rule, one));
    good.filter(|one| is_good(sign_ins, attempt, known, rule, one, now)).max_by_key(|one| one.approved)
}
