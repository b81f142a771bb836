//! What each `[[rule]]` says of a sign-in, down to the one that counts.

use std::time::SystemTime;

use super::Line;
use crate::config::{Rule, Then};
use crate::signin::attempt::Attempt;
use crate::signin::flow::Known;
use crate::signin::reception::SignIns;
use crate::signin::rules::{self, Chosen, Fit};
use crate::signin::ruling;

/// Every rule down to the one that counts, and why those before it do not.
pub(super) fn steps(sign_ins: &SignIns, attempt: &Attempt, known: &Known, at: SystemTime) -> Vec<Line> {
    let seen = ruling::seen(attempt, &known.who, at);
    let counts = known.rule.place();
    let upto = counts.map_or(usize::MAX, |place| place.saturating_add(1));
    let line = |(place, rule): (usize, &std::sync::Arc<Rule>)| {
        let (mark, text) = match (counts == Some(place), known.rule) {
            (true, Chosen::Undecided(_)) => (
                "no",
                "may count, and the directory cannot say whether the person is in its groups: refused".to_owned(),
            ),
            (true, _) => ("yes", says(&rule.then)),
            (false, _) => ("no", passes(rules::fit(rule, seen)).to_owned()),
        };
        Line { step: format!("rule {}", rule.name), mark: mark.into(), text }
    };
    sign_ins.deps.rules.iter().enumerate().take(upto).map(line).collect()
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
