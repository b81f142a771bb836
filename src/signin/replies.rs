//! What a client's `[[reply]]` sections have for the very person: asked and written once the first proof is there, before
//! anybody is prompted, so that who cannot be told what is theirs is not prompted either.

use std::sync::Arc;

use crate::config::reply::{ClientReply, ReplySection};
use crate::primary::{Fault, Identity, PrimaryPassed};
use crate::radius::template::{self, Filled, Made, Person};
use crate::signin::attempt::Attempt;
use crate::signin::ending::Ending;
use crate::signin::outcome::Reason;
use crate::signin::reception::SignIns;
use crate::signin::ruling::{is_member, unsaid};

/// What is for a person.
pub(super) struct Resolved {
    /// The attributes, in their order.
    pub(super) attributes: Vec<Filled>,
    /// Each section that was looked at, and whether it is for them.
    pub(super) sections: Vec<(Arc<ReplySection>, bool)>,
}

/// Whether the client's sections have to be looked at.
pub(super) fn are_due(ending: &Ending) -> bool {
    ending.attempt().is_some_and(|attempt| attempt.client.reply.is_some())
}

/// Adds to the first proof what the client's sections have for whose it is.
pub(super) async fn add(
    sign_ins: &SignIns,
    ending: &mut Ending,
    primary: PrimaryPassed,
) -> Result<PrimaryPassed, Reason> {
    let attempt = ending.attempt().ok_or(Reason::Internal)?;
    let Some(reply) = attempt.client.reply.clone() else { return Ok(primary) };
    let resolved = resolve(sign_ins, attempt, primary.who(), &reply).await?;
    let own = template::said(resolved.attributes).ok_or(Reason::Internal)?;
    let primary = primary.with_attributes(own);
    if let Some(identified) = &mut ending.identified
        && identified.who.unique_id == primary.who().unique_id
    {
        // What the directory has of them is needed no more, and a hold may be long.
        identified.who = Arc::clone(primary.who());
    }
    Ok(primary)
}

/// Which sections are for a person, and what they make.
///
/// # Errors
/// [`Reason::ReplyUndecided`] where the directory cannot say who is in a group; [`Reason::ReplyUnfit`] where a value does
/// not fit and its section does not cut; [`Reason::Deadline`].
pub(super) async fn resolve(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Identity,
    reply: &ClientReply,
) -> Result<Resolved, Reason> {
    let always = reply
        .always
        .iter()
        .map(|(attribute, encoded)| Filled { attribute: attribute.clone(), made: Made::Open(encoded.clone()) });
    let mut resolved = Resolved { attributes: always.collect(), sections: Vec::new() };
    for section in &reply.sections {
        let groups = groups_of(sign_ins, attempt, who, section).await?;
        resolved.sections.push((Arc::clone(section), groups.is_some()));
        let Some(groups) = groups else { continue };
        let person = Person {
            user: &who.name,
            upn: who.upn.as_deref(),
            dn: &who.dn,
            details: who.details.as_deref(),
            groups: &groups,
        };
        apply(attempt, section, person, &mut resolved.attributes, reply.room)?;
        if section.last {
            break;
        }
    }
    Ok(resolved)
}

/// Whether a section is for a person: the groups of it that they are in, as far as it tells them. Nothing where it is for
/// others.
async fn groups_of<'a>(
    sign_ins: &SignIns,
    attempt: &Attempt,
    who: &Identity,
    section: &'a ReplySection,
) -> Result<Option<Vec<&'a str>>, Reason> {
    let undecided = |fault: Fault| match unsaid(attempt, &fault) {
        Reason::Deadline => Reason::Deadline,
        _ => Reason::ReplyUndecided,
    };
    let named = section.is_for_everybody() || section.names(&who.name, who.upn.as_deref());
    if !named && !is_member(sign_ins, attempt, who, &section.groups).await.map_err(undecided)? {
        return Ok(None);
    }
    let mut groups = Vec::new();
    if section.tells_groups() {
        for group in &section.groups {
            if is_member(sign_ins, attempt, who, std::slice::from_ref(group)).await.map_err(undecided)? {
                groups.push(group.as_str());
            }
        }
    }
    Ok(Some(groups))
}

/// Adds what a section has for a person whom it is for.
fn apply(
    attempt: &Attempt,
    section: &ReplySection,
    person: Person<'_>,
    attributes: &mut Vec<Filled>,
    room: usize,
) -> Result<(), Reason> {
    let misfit = |attribute: &str, why: &dyn std::fmt::Display| {
        let (sign_in, reply) = (attempt.id, &section.name);
        if section.cuts {
            tracing::warn!(%sign_in, reply, attribute, %why, "a value of a [[reply]] is left out");
            return Ok(());
        }
        tracing::warn!(%sign_in, reply, attribute, %why, "a value of a [[reply]] does not fit: refused");
        Err(Reason::ReplyUnfit)
    };
    if section.attributes.iter().any(|template| template.detail().is_some())
        && person.details.is_some_and(|details| details.is_cut())
    {
        misfit("", &"the directory has more values of the person than are kept")?;
    }
    let mut made: Vec<Filled> = Vec::new();
    for template in &section.attributes {
        let (filled, misfits) = template.fill(person, section.cuts);
        for why in misfits {
            misfit(template.attribute.name(), &why)?;
        }
        made.extend(filled);
    }
    if section.replaces {
        attributes.retain(|earlier| !made.iter().any(|filled| filled.attribute.is_like(&earlier.attribute)));
    }
    let mut size: usize = attributes.iter().map(Filled::size).sum();
    for filled in made {
        if size + filled.size() > room {
            misfit(filled.attribute.name(), &format_args!("all attributes together have more than {room} octets"))?;
            continue;
        }
        size += filled.size();
        attributes.push(filled);
    }
    Ok(())
}
