//! Approvals that are kept: shown a page at a time, and forgotten.

use std::time::SystemTime;

use super::{Told, refused};
use crate::audit::Note;
use crate::signin::reception::SignIns;
use crate::users::approvals::{Approval, Shown};
use crate::users::changes::time_text;

/// Approvals of one answer: well below the longest line, whatever their texts.
const PAGE: u32 = 20;

/// Those of one person or of everybody, behind `after`.
pub(super) async fn page(sign_ins: &SignIns, user: Option<&str>, after: Option<&str>) -> Told {
    let Ok(after) = after.map_or(Ok(Vec::new()), octets) else { return refused("after is no approval".into()) };
    match sign_ins.kept_approvals(user, &after, PAGE, SystemTime::now()).await {
        Ok(approvals) => Told::Approvals { approvals: approvals.iter().map(shown).collect() },
        Err(why) => refused(why),
    }
}

/// Forgets those of one person or of everybody.
pub(super) async fn forget(sign_ins: &SignIns, user: Option<&str>) -> Told {
    match sign_ins.forget_approvals(user).await {
        Ok(number) => {
            tracing::warn!(user, number, "an operator had approvals forgotten: people are asked again");
            Told::Forgotten { number }
        }
        Err(why) => refused(why),
    }
}

/// What the audit is told of it.
pub(super) fn noted(user: Option<&str>, number: u64, by: Option<u32>, server: &str) -> Note {
    Note {
        time: SystemTime::now(),
        kind: "approvals_cleared",
        providers: Vec::new(),
        sign_in: None,
        seconds: None,
        reason: Some(format!("{number} of {}", user.map_or("everybody".to_owned(), |user| format!("{user:?}")))),
        by,
        server: server.to_owned(),
    }
}

fn shown(approval: &Approval) -> Shown {
    Shown {
        user: approval.name.clone(),
        unique_id: approval.unique_id.clone(),
        rule: approval.rule.clone(),
        kind: approval.kind.clone(),
        client: approval.client.clone(),
        application: approval.application.clone(),
        place: approval.place.clone(),
        method: approval.method.word().to_owned(),
        provider: approval.provider.clone(),
        approved: time_text(approval.approved),
        until: time_text(approval.until),
        sign_in: approval.sign_in.clone(),
        after: approval.key.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

fn octets(text: &str) -> Result<Vec<u8>, ()> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(()))
        .collect()
}
