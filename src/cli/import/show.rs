//! What an import would do or has done: a table and a summary for people, lines of JSON for machines.

use serde_json::{Value, json};

use crate::cli::output;
use crate::import::mark::Pass;
use crate::import::pass::{Event, Outcome};
use crate::import::plan::{Counts, Decision};
use crate::users::changes::{differences, time_text};
use crate::users::profile::Profile;
use crate::users::roster::{HeldPlan, ImportRun};

/// People who are shown one by one.
const SHOWN: u64 = 50;

/// How the command talks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) dry_run: bool,
}

/// A text with its control characters escaped: a name from a directory must not move the cursor of a terminal.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect::<String>() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Shows people as they come.
pub(super) struct Report {
    form: Form,
    shown: u64,
    rows: u64,
}

impl Report {
    pub(super) fn new(form: Form) -> Self {
        Report { form, shown: 0, rows: 0 }
    }

    /// Takes note of what is done with one person.
    pub(super) fn take(&mut self, event: &Event<'_>) {
        if self.form.json {
            if let Some(value) = event_json(event) {
                output::line(value);
            }
            return;
        }
        if self.form.quiet || !self.form.dry_run {
            return;
        }
        let Some((what, name, details)) = row(event) else { return };
        self.rows += 1;
        if self.shown < SHOWN {
            self.shown += 1;
            output::line(format_args!("{what:<10} {:<30} {details}", plain(&name)));
        }
    }

    /// Ends with counts and what to do next.
    pub(super) fn end(&self, outcome: &Outcome) {
        if self.form.json {
            output::line(json!({ "summary": outcome.summary(), "dry_run": self.form.dry_run }));
            return;
        }
        for warning in &outcome.warnings {
            output::error(format_args!("warning: {}", plain(warning)));
        }
        if self.rows > self.shown {
            output::line(format_args!("… and {} more; --json shows all", self.rows - self.shown));
        }
        if !self.form.dry_run {
            for conflict in &outcome.conflicts {
                output::error(format_args!("conflict: {}", plain(&conflict.to_string())));
            }
        }
        if self.form.quiet {
            if let Some((reason, plan)) = &outcome.held {
                output::error(format_args!("{reason}: `anteroom import approve {plan}`"));
            }
            return;
        }
        for (target, pass) in &outcome.passes {
            let how = match pass {
                Pass::Full(why) => format!("everybody, because {}", why.text()),
                Pass::Changes(_) => "what has changed since the last pass".to_owned(),
            };
            output::line(format_args!("{target}: read {how}"));
        }
        output::line(counts_text(&outcome.counts, self.form.dry_run || outcome.held.is_some()));
        output::line(next(outcome, self.form.dry_run));
    }
}

/// The counts as one sentence; `nothing_done`: of what would be, not of what was.
pub(super) fn counts_text(counts: &Counts, nothing_done: bool) -> String {
    let would = if nothing_done { "would be " } else { "" };
    let parts = [
        (counts.added, "added"),
        (counts.changed, "changed"),
        (counts.disabled, "disabled"),
        (counts.quarantined, "removed (quarantine)"),
        (counts.erased, "erased"),
    ];
    let mut text = format!("{} read, {} as they were", counts.read, counts.unchanged);
    for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
        text = format!("{text}, {count} {would}{what}");
    }
    for (count, what) in [
        (counts.mails, if nothing_done { "would be written to" } else { "are written to" }),
        (counts.conflicts, "left alone for a conflict of names"),
        (counts.skipped, "skipped"),
        (counts.again, "found twice"),
    ] {
        if count > 0 {
            text = format!("{text}, {count} {what}");
        }
    }
    text
}

fn next(outcome: &Outcome, dry_run: bool) -> String {
    match &outcome.held {
        Some((reason, _)) if dry_run => {
            format!("{reason}: `anteroom import` would wait for `anteroom import approve`")
        }
        Some((reason, plan)) => format!(
            "NOTHING was changed: {reason}. Look at who with `anteroom import --dry-run`; then \
             `anteroom import approve {plan}` and `anteroom import`, or mend the directory or the item"
        ),
        None if dry_run && outcome.counts.is_empty() => "Nothing is to be done.".to_owned(),
        None if dry_run => "Nothing was changed. `anteroom import` does it.".to_owned(),
        None if outcome.counts.conflicts > 0 => {
            "Done. Resolve the conflicts above in the directory or with `anteroom user`; the next pass tries again."
                .to_owned()
        }
        None => "Done. `anteroom user list` shows everybody.".to_owned(),
    }
}

fn row(event: &Event<'_>) -> Option<(&'static str, String, String)> {
    Some(match event {
        Event::Decided(Decision::Add(profile)) => ("add", profile.person.name.clone(), facts(profile)),
        Event::Decided(Decision::Change(change)) => {
            let what = match (change.after.quarantined.is_some(), change.disables) {
                (true, _) => "remove",
                (false, true) => "disable",
                (false, false) => "change",
            };
            let text = |value: Option<&str>| value.map_or_else(|| "(none)".to_owned(), plain);
            let parts: Vec<String> = differences(Some(&change.before), Some(&change.after))
                .iter()
                .map(|one| format!("{}: {} -> {}", one.field(), text(one.before()), text(one.after())))
                .collect();
            (what, change.before.person.name.clone(), parts.join(", "))
        }
        Event::Decided(_) => return None,
        Event::Skipped(who, why) => ("skip", (*who).to_owned(), why.to_string()),
        Event::Conflict(conflict) => ("conflict", conflict.who.clone(), plain(&conflict.to_string())),
        Event::Erased(id) => ("erase", (*id).to_owned(), "the quarantine is over".to_owned()),
    })
}

/// What is shown of somebody new.
fn facts(profile: &Profile) -> String {
    let person = &profile.person;
    let parts = [
        person.first_name.as_deref(),
        person.last_name.as_deref(),
        person.email.as_deref(),
        person.phone.as_deref(),
        Some(person.method.word()),
        (!person.enabled).then_some("disabled"),
    ];
    parts.into_iter().flatten().map(plain).collect::<Vec<_>>().join(" ")
}

fn event_json(event: &Event<'_>) -> Option<Value> {
    let (what, name, details) = row(event)?;
    let mut value = json!({ "action": what, "name": name });
    let fields = value.as_object_mut()?;
    match event {
        Event::Decided(decision) => {
            let person = decision.profile().map(|profile| &profile.person);
            fields.insert("unique_id".into(), person.map(|person| person.unique_id.clone()).into());
            let before = if let Decision::Change(change) = decision { Some(&change.before) } else { None };
            let changes: Vec<Value> = differences(before, decision.profile())
                .iter()
                .map(|one| json!({ "field": one.field(), "before": one.before(), "after": one.after() }))
                .collect();
            fields.insert("fields".into(), changes.into());
        }
        Event::Conflict(conflict) => {
            fields.insert("unique_id".into(), conflict.unique_id.clone().into());
            fields.insert("taken".into(), conflict.name.clone().into());
            fields.insert("holder".into(), conflict.holder.clone().into());
        }
        Event::Erased(id) => {
            fields.insert("unique_id".into(), (*id).into());
        }
        Event::Skipped(..) => {
            fields.insert("reason".into(), details.into());
        }
    }
    Some(value)
}

/// What one earlier run came to, behind its first words.
pub(super) fn run_text(run: &ImportRun) -> String {
    let Ok(summary) = serde_json::from_str::<Value>(&run.summary) else { return String::new() };
    if let Some(error) = summary.get("error").and_then(Value::as_str) {
        return format!(": {}", plain(error));
    }
    let counts = summary.get("counts").cloned().and_then(|counts| serde_json::from_value::<Counts>(counts).ok());
    counts.map_or_else(String::new, |counts| format!(": {}", counts_text(&counts, run.result == "held")))
}

/// The state of imports for machines.
pub(super) fn status_json(
    runs: &[ImportRun],
    plans: &[HeldPlan],
    holder: Option<&(String, std::time::SystemTime)>,
    mails: u64,
) -> Value {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    json!({
        "running": holder.map(|(node, until)| json!({ "node": node, "until": time_text(*until) })),
        "mails": mails,
        "plans": plans.iter().map(|plan| json!({
            "plan": plan.id,
            "made": time_text(plan.made),
            "reason": plan.reason,
            "people": parsed(&plan.summary).get("people"),
            "approved_by": plan.approved.as_ref().map(|(_, by)| by),
        })).collect::<Vec<_>>(),
        "runs": runs.iter().map(|run| json!({
            "began": time_text(run.began),
            "ended": time_text(run.ended),
            "node": run.node,
            "item": run.item,
            "result": run.result,
            "summary": parsed(&run.summary),
        })).collect::<Vec<_>>(),
    })
}
