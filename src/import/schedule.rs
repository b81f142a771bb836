//! Passes on a schedule: from start to start, on exactly one node.
//!
//! Every node has this loop; whoever takes the right to import runs the pass, and the others find the time of the
//! last start in the store's record of runs. A node that dies loses the right with its lease, and another goes on.

use std::time::{Duration, SystemTime};

use crate::import::pass::{Ask, ImportError, Importer, Outcome};
use crate::import::progress::Progress;
use crate::users::roster::ImportRun;

/// Item of the scheduled runs' records.
const ALL: &str = "all";
/// How often it is looked whether a pass is due, at most: another node may have run it meanwhile.
const LOOK: Duration = Duration::from_secs(15);

/// How long until the next pass begins: `interval` after the begin of the last, at once when that is over. A last
/// begin in the future (a clock that went back) does not count.
pub fn wait(interval: Duration, last_began: Option<SystemTime>, now: SystemTime) -> Duration {
    let Some(age) = last_began.and_then(|began| now.duration_since(began).ok()) else { return Duration::ZERO };
    interval.saturating_sub(age)
}

/// When the last scheduled pass began, whichever node ran it and however it ended.
fn last_began(runs: &[ImportRun]) -> Option<SystemTime> {
    runs.iter().filter(|run| run.item == ALL).map(|run| run.began).max()
}

/// Runs passes for ever. Ends only when it is aborted; a pass that is under way then has changed nothing.
pub async fn run(importer: Importer) {
    let Some(interval) = importer.import.interval else { return };
    if importer.import.items.is_empty() {
        return;
    }
    loop {
        let runs = match importer.roster.import_runs(50).await {
            Ok(runs) => runs,
            Err(error) => {
                tracing::warn!(%error, "the record of imports cannot be read");
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        let wait = wait(interval, last_began(&runs), SystemTime::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait.min(LOOK)).await;
            continue;
        }
        match importer.run(&Ask::default(), &Progress::default(), &mut |_| ()).await {
            Ok(outcome) => told(&outcome),
            Err(ImportError::Locked { node }) => {
                tracing::debug!(node, "an import runs already");
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => tracing::error!(%error, "the import failed; people stay as they are"),
        }
    }
}

fn told(outcome: &Outcome) {
    let counts = &outcome.counts;
    outcome.warnings.iter().for_each(|warning| tracing::warn!(warning, "import"));
    for conflict in &outcome.conflicts {
        tracing::warn!(%conflict, "import");
    }
    match &outcome.held {
        Some((reason, plan)) => tracing::error!(
            reason,
            "the import waits for an approval and has changed nothing: `anteroom import approve {plan}`, or look first \
             with `anteroom import --dry-run`"
        ),
        None => tracing::info!(
            read = counts.read,
            added = counts.added,
            changed = counts.changed,
            disabled = counts.disabled,
            quarantined = counts.quarantined,
            erased = counts.erased,
            conflicts = counts.conflicts,
            skipped = counts.skipped,
            "imported"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_interval_is_from_start_to_start() {
        let hour = Duration::from_secs(3600);
        assert_eq!(wait(hour, None, at(0)), Duration::ZERO, "the first begins at once");
        assert_eq!(wait(hour, Some(at(1000)), at(1600)), Duration::from_secs(3000));
        assert_eq!(wait(hour, Some(at(1000)), at(4600)), Duration::ZERO);
        assert_eq!(wait(hour, Some(at(1000)), at(99_000)), Duration::ZERO, "an overrun begins again at once");
        assert_eq!(wait(hour, Some(at(99_000)), at(1000)), Duration::ZERO, "a begin in the future is none");
    }

    #[test]
    fn only_whole_passes_count_for_the_schedule() {
        let run = |item: &str, began| ImportRun {
            began: at(began),
            ended: at(began),
            node: String::new(),
            item: item.into(),
            result: "done".into(),
            summary: String::new(),
        };
        assert_eq!(last_began(&[run("staff", 9), run("all", 7), run("all", 5)]), Some(at(7)));
        assert_eq!(last_began(&[run("staff", 9)]), None);
    }
}
