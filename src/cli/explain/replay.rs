//! `anteroom explain --replay`: what did become of a sign-in, from what the audit recorded.

use std::process::ExitCode;

use super::super::report::{StorePlace, codes::old_code};
use super::super::{Ended, Failure, output};
use crate::signin::explain::{Explanation, Line};
use crate::signin::outcome::Reason;
use crate::users::events::{After, EventRecord, Wanted};
use crate::users::measures::Measure;
use crate::users::roster::Roster;

/// How long before and after a sign-in what it brought about may have been put down.
const AROUND: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Measures read at once.
const PAGE: u32 = 1000;

/// Explains a sign-in that has ended.
pub(super) fn run(place: &StorePlace, sign_in: &str, json: bool) -> Ended {
    super::super::runtime()?.block_on(async {
        let store = place.open().await?;
        let told = told(&store, sign_in).await;
        store.close().await;
        let told = told?;
        if json {
            output::line(serde_json::to_string(&told)?);
        } else {
            super::lines(&told, "as the audit recorded it").into_iter().for_each(output::line);
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn told(store: &dyn Roster, sign_in: &str) -> Result<Explanation, Failure> {
    let wanted = Wanted { sign_in: Some(sign_in.trim().to_lowercase()), ..Wanted::default() };
    let found = store.events(&wanted, After::Latest(i64::MAX), 1).await?.pop();
    let Some(event) = found else {
        return Err(Failure::refused(format!(
            "the audit in the user store knows no sign-in {sign_in:?}; it may be too old (audit.keep), or go on still"
        )));
    };
    let measures = measures_of(store, &event).await?;
    Ok(explanation(&event, &measures))
}

async fn measures_of(store: &dyn Roster, event: &EventRecord) -> Result<Vec<Measure>, Failure> {
    let period =
        (event.time.checked_sub(AROUND).unwrap_or(event.time), event.time.checked_add(AROUND).unwrap_or(event.time));
    // A bypass was given before it was used, up to a week before.
    let period = (period.0.checked_sub(7 * AROUND).unwrap_or(period.0), period.1);
    let (mut after, mut theirs) = (0, Vec::new());
    loop {
        let page = store.measures(period, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(theirs) };
        after = *last;
        let is_theirs = |measure: &Measure| measure.sign_in.as_deref() == Some(&event.sign_in);
        theirs.extend(page.into_iter().map(|(_, measure)| measure).filter(is_theirs));
    }
}

fn explanation(event: &EventRecord, measures: &[Measure]) -> Explanation {
    let mut steps = Vec::new();
    let mut say = |step: &str, mark: &str, text: String| {
        steps.push(Line { step: step.into(), mark: mark.into(), text });
    };
    let took = |time: Option<f64>| time.map(|time| format!(" in {time:.1} ms")).unwrap_or_default();
    let from = event.person_address.as_deref().map(|address| format!(", the person at {address}")).unwrap_or_default();
    let client = format!(
        "{} ({}): application {:?}, from {}{from}; {} of its requests were answered by this",
        event.client, event.door, event.application, event.source, event.requests
    );
    say("client", "yes", client);
    match (&event.unique_id, &event.account) {
        (Some(unique_id), account) => {
            let account = account.as_deref().unwrap_or("?");
            let text = format!("{:?} was {account:?}, unique id {unique_id}{}", event.name, took(event.identify_ms));
            say("name", "yes", text);
        }
        (None, _) => say("name", "no", format!("{:?} was not found out{}", event.name, took(event.identify_ms))),
    }
    match event.primary.as_deref() {
        Some("passed") => say("password", "yes", format!("was right{}", took(event.primary_ms))),
        Some(reason) => say("password", "no", format!("{reason}: {}{}", advice(reason), took(event.primary_ms))),
        None => say("password", "note", "was not tried".into()),
    }
    if let Some(rule) = &event.rule {
        say("rule", "note", format!("{rule} counted"));
    }
    match (event.factor.as_deref(), &event.method) {
        (None, None) => say("factor", "note", "nobody was asked".into()),
        (factor, method) => {
            let by = method.as_deref().unwrap_or("?");
            let provider = event.provider.as_deref().map(|name| format!(" by {name}")).unwrap_or_default();
            let factor = factor.unwrap_or("unanswered");
            let approved =
                factor == "carried_over" || factor.starts_with("approved") || factor.starts_with("remembered");
            let text = format!("asked{provider} for {by}: {factor}{}", took(event.factor_ms));
            say("factor", if approved { "yes" } else { "no" }, text);
        }
    }
    for measure in measures {
        let (by, reason) = (&measure.by, &measure.reason);
        say(measure.kind.word(), "note", format!("by {by}: {reason}"));
    }
    say("time", "note", format!("{:.1} ms from the request to the end", event.total_ms));
    let code = old_code(event);
    let code = if code.is_empty() { String::new() } else { format!(" (the old server: {code})") };
    Explanation {
        server: event.server.clone(),
        at: event.time_text(),
        steps,
        providers: Vec::new(),
        end: event.verdict.clone(),
        reason: Some(event.reason.clone()),
        text: format!("{}: {}: {}{code}", event.verdict, event.reason, advice(&event.reason)),
    }
}

fn advice(code: &str) -> &'static str {
    let known = Reason::ALL.iter().find(|reason| reason.code() == code);
    known.map_or("a reason of another version", |reason| reason.advice())
}
