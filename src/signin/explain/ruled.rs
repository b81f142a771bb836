//! What each `[[rule]]` says of a sign-in, down to the one that counts.

use std::sync::Arc;
use std::time::SystemTime;

use super::Line;
use crate::config::{Rule, Then};
use crate::signin::attempt::Attempt;
use crate::signin::flow::Known;
use crate::signin::passcode::Typed;
use crate::signin::reception::SignIns;
use crate::signin::rules::{self, Chosen, Fit, Seen};
use crate::signin::{caching, ruling};

/// Every rule down to the one that counts, and why those before it do not.
pub(super) fn steps(sign_ins: &SignIns, attempt: &Attempt, known: &Known, at: SystemTime) -> Vec<Line> {
    let seen = ruling::seen(attempt, &known.who, at);
    down_to(&sign_ins.deps.rules, known.rule, seen, ("rule", "refused"), says)
}

fn down_to<T>(
    rules: &[Arc<Rule<T>>],
    chosen: Chosen,
    seen: Seen<'_>,
    (section, undecided): (&str, &str),
    says: impl Fn(&T) -> String,
) -> Vec<Line> {
    let counts = chosen.place();
    let upto = counts.map_or(usize::MAX, |place| place.saturating_add(1));
    let line = |(place, rule): (usize, &Arc<Rule<T>>)| {
        let (mark, text) = match (counts == Some(place), chosen) {
            (true, Chosen::Undecided(_)) => (
                "no",
                format!("may count, and the directory cannot say whether the person is in its groups: {undecided}"),
            ),
            (true, _) => ("yes", says(&rule.then)),
            (false, _) => ("no", passes(rules::fit(rule, seen)).to_owned()),
        };
        Line { step: format!("{section} {}", rule.name), mark: mark.into(), text }
    };
    rules.iter().enumerate().take(upto).map(line).collect()
}

/// Every `[[caching]]` rule down to the one that counts, and whether an approval is kept that would stand for this sign-in.
pub(super) async fn caching(
    sign_ins: &SignIns,
    attempt: &Attempt,
    known: &mut Known,
    typed: Option<&Typed>,
    at: SystemTime,
) -> Vec<Line> {
    let rules = &sign_ins.deps.caching.rules;
    let seen = ruling::seen(attempt, &known.who, at);
    let Ok(chosen) = ruling::chosen(sign_ins, rules, attempt, &known.who, at).await else { return Vec::new() };
    let mut lines = down_to(rules, chosen, seen, ("caching", "nothing is kept"), |says| {
        let lasts = humantime::format_duration(says.lasts);
        match says.lasts.is_zero() {
            true => "counts: no approval stands for this sign-in".to_owned(),
            false => format!("counts: an approval ({}) is good for {lasts}", says.kind.word()),
        }
    });
    let Some(rule) = caching::chosen(sign_ins, attempt, &known.who, at).await else { return lines };
    let (mark, text) = match caching::standing(sign_ins, attempt, known, &rule, at).await {
        _ if matches!(typed, Some(Typed::Code(_))) => ("note", "a typed code is checked all the same".to_owned()),
        None => ("no", "no approval is kept that would stand for this sign-in".to_owned()),
        Some(approval) => {
            known.cached = true;
            let text = format!(
                "the approval of {} by {} through {} (sign-in {}) stands for it, as long as the password is still the same",
                super::shown(approval.approved),
                approval.method,
                approval.client,
                approval.sign_in
            );
            ("yes", text)
        }
    };
    lines.push(Line { step: "approval".into(), mark: mark.into(), text });
    lines
}

fn says(then: &Then) -> String {
    match then {
        Then::Require(methods) if methods.is_empty() => {
            "counts: a second factor is required, exemptions of the client's section do not count".to_owned()
        }
        Then::Require(methods) => {
            let methods: Vec<&str> = methods.iter().map(|method| method.word()).collect();
            format!("counts: a second factor is required, by {}", methods.join(" or "))
        }
        Then::Skip => "counts: no second factor is asked for".to_owned(),
        Then::Refuse => "counts: nobody whom it is for comes in".to_owned(),
    }
}

fn passes(fit: Fit) -> &'static str {
    match fit {
        Fit::No(miss) => miss.text(),
        Fit::Yes | Fit::IfMember => "the person is in none of its groups, as far as the directory says",
    }
}
