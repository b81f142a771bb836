//! Asks the directory what a `[[rule]]` needs to know, and nothing where none does.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::rule::Says;
use crate::config::{Rule, Then};
use crate::primary::{Fault, Identity};
use crate::signin::attempt::{Attempt, Door};
use crate::signin::flow;
use crate::signin::outcome::Reason;
use crate::signin::reception::SignIns;
use crate::signin::rules::{self, Chosen, Seen};
use crate::users::model::Method;

/// What rules look at.
pub(super) fn seen<'a>(attempt: &'a Attempt, who: &'a Identity, now: SystemTime) -> Seen<'a> {
    Seen { who, client: &attempt.client, person_address: person_address(attempt), now }
}

/// Which rule counts for this person here and now.
///
/// # Errors
/// When the time for the sign-in is over before the directory has answered.
pub(super) async fn chosen<T: Says>(
    sign_ins: &SignIns,
    rules: &[Arc<Rule<T>>],
    attempt: &Attempt,
    who: &Identity,
    now: SystemTime,
) -> Result<Chosen, Reason> {
    if rules.is_empty() {
        return Ok(Chosen::None);
    }
    let seen = seen(attempt, who, now);
    let open = rules::open_groups(rules, seen);
    let members = if open.is_empty() { Vec::new() } else { ask(sign_ins, attempt, who, places(rules, &open)).await? };
    Ok(rules::choose(rules, seen, |place| {
        members.iter().find(|(asked, _)| *asked == place).and_then(|(_, member)| *member)
    }))
}

/// The rules in these places, as far as the directory is asked about them.
fn places<'a, T>(rules: &'a [Arc<Rule<T>>], open: &[usize]) -> Vec<(usize, &'a [String])> {
    open.iter().filter_map(|place| Some((*place, rules.get(*place)?.groups.as_slice()))).collect()
}

/// Whether the person is a member of a group of each of these rules, down to the first that says so. One question for
/// all of them first: most people are in none.
async fn ask(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Identity,
    rules: Vec<(usize, &[String])>,
) -> Result<Vec<(usize, Option<bool>)>, Reason> {
    let all: Vec<String> = rules.iter().flat_map(|(_, groups)| groups.iter().cloned()).collect();
    let in_any = member(sign_ins, attempt, who, &all).await?;
    let same = |said| rules.iter().map(|(place, _)| (*place, said)).collect();
    if in_any != Some(true) || rules.len() == 1 {
        return Ok(same(in_any));
    }
    let mut answers = Vec::with_capacity(rules.len());
    for (place, groups) in rules {
        let said = member(sign_ins, attempt, who, groups).await?;
        answers.push((place, said));
        if said == Some(true) {
            break;
        }
    }
    Ok(answers)
}

async fn member(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Identity,
    groups: &[String],
) -> Result<Option<bool>, Reason> {
    match is_member(sign_ins, attempt, who, groups).await {
        Ok(said) => Ok(Some(said)),
        Err(fault) => {
            let reason = unsaid(attempt, &fault);
            if fault == Fault::Deadline { Err(reason) } else { Ok(None) }
        }
    }
}

/// The name of the rule in this place.
pub(super) fn name(sign_ins: &SignIns, chosen: Chosen) -> Option<Arc<str>> {
    Some(Arc::clone(&sign_ins.deps.rules.get(chosen.place()?)?.name))
}

/// The ways that a rule requires; none: any.
pub(super) fn required_methods(sign_ins: &SignIns, chosen: Chosen) -> &[Method] {
    match counting_rule(sign_ins, chosen).map(|rule| &rule.then) {
        Some(Then::Require(methods)) => methods,
        Some(Then::Skip | Then::Refuse) | None => &[],
    }
}

/// The rule that counts or may.
pub(super) fn counting_rule(sign_ins: &SignIns, chosen: Chosen) -> Option<&Rule> {
    Some(&**sign_ins.deps.rules.get(chosen.place()?)?)
}

/// Whether the directory says that the person is in one of these groups.
pub(super) async fn is_member(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Identity,
    groups: &[String],
) -> Result<bool, Fault> {
    if groups.is_empty() {
        return Ok(false);
    }
    let target = flow::target(sign_ins, attempt).map_err(|_| Fault::Unreachable)?;
    flow::primary_of(attempt, target).member_of_any(who, groups, attempt.deadline()).await
}

/// What an answer means to an exemption: where the directory cannot say, there is none, and the factor is due.
pub(super) fn exempts(attempt: &Attempt, said: Result<bool, Fault>) -> Result<bool, Reason> {
    match said {
        Ok(said) => Ok(said),
        Err(fault @ Fault::Deadline) => Err(unsaid(attempt, &fault)),
        Err(fault) => {
            unsaid(attempt, &fault);
            Ok(false)
        }
    }
}

/// Notes that the directory could not say, and what that means for a sign-in that depends on it.
pub(super) fn unsaid(attempt: &Attempt, fault: &Fault) -> Reason {
    tracing::warn!(sign_in = %attempt.id, ?fault, "directory cannot say which groups or filters the person matches");
    Reason::from_fault(fault)
}

/// Where the person's device is, as far as the door knows.
pub(super) fn person_address(attempt: &Attempt) -> Option<IpAddr> {
    attempt.person_address.or((attempt.door == Door::Ldap).then_some(attempt.source))
}
