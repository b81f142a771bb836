//! How far an import is: a bar on a terminal, plain lines elsewhere, nothing where that is wanted.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::show::Form;
use crate::cli::output;
use crate::import::progress::{Phase, Progress};

/// How often a bar moves.
const FRAME: Duration = Duration::from_millis(100);
/// How often a plain line is written.
const LINE: Duration = Duration::from_secs(10);

/// Shows until it is ended.
pub(super) struct Shown {
    task: Option<tokio::task::JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

impl Shown {
    /// Takes the bar away.
    pub(super) fn end(self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Begins to show `progress`, on standard error.
pub(super) fn show(progress: Arc<Progress>, form: Form) -> Shown {
    if form.quiet {
        return Shown { task: None, bar: None };
    }
    progress.watch();
    if !std::io::stderr().is_terminal() {
        return Shown { task: Some(tokio::spawn(lines(progress))), bar: None };
    }
    let bar = ProgressBar::no_length();
    bar.set_style(style(false, Phase::Looking));
    let task = tokio::spawn(draw(progress, bar.clone()));
    Shown { task: Some(task), bar: Some(bar) }
}

/// What is counted.
fn unit(phase: Phase) -> &'static str {
    if phase == Phase::Writing { "rows" } else { "people" }
}

fn style(known: bool, phase: Phase) -> ProgressStyle {
    let unit = unit(phase);
    let template = if known {
        format!("{{msg:<22}} {{bar:30}} {{human_pos}}/{{human_len}} {unit}  {{per_sec:0}}  {{eta}} left")
    } else {
        format!("{{msg:<22}} {{spinner}} {{human_pos}} {unit}  {{per_sec:0}}  {{elapsed}} so far")
    };
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

async fn draw(progress: Arc<Progress>, bar: ProgressBar) {
    let mut shown = (false, Phase::Looking);
    loop {
        let phase = progress.phase();
        let (done, expected) = progress.how_far();
        // More than there were the last time: from then on nobody knows how many there will be.
        let now = (expected > 0 && done <= expected, phase);
        if now != shown {
            if (phase == Phase::Writing) != (shown.1 == Phase::Writing) {
                // Rows are not as fast as people.
                bar.reset();
            }
            shown = now;
            bar.set_style(style(now.0, phase));
        }
        if now.0 {
            bar.set_length(expected);
        }
        bar.set_message(phase.text());
        bar.set_position(done);
        bar.tick();
        tokio::time::sleep(FRAME).await;
    }
}

async fn lines(progress: Arc<Progress>) {
    let (mut phase, mut said) = (None, Instant::now());
    let mut began = Instant::now();
    loop {
        let now = progress.phase();
        if phase != Some(now) && now == Phase::Writing {
            began = Instant::now();
        }
        if (phase != Some(now) || said.elapsed() >= LINE) && now != Phase::Done {
            output::error(line(&progress, began.elapsed()));
            (phase, said) = (Some(now), Instant::now());
        }
        tokio::time::sleep(FRAME).await;
    }
}

fn line(progress: &Progress, elapsed: Duration) -> String {
    let (done, expected) = progress.how_far();
    let phase = progress.phase();
    let mut text = phase.text().to_owned();
    if done > 0 {
        let per_second = done.checked_div(elapsed.as_secs().max(1)).unwrap_or_default();
        text = format!("{text}: {done} {}, {per_second} per second", unit(phase));
        if let Some(left) = expected.checked_sub(done).filter(|left| *left > 0 && per_second > 0) {
            text = format!("{text}, about {} s left", left / per_second);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_how_fast_and_how_long() {
        let progress = Progress::default();
        assert_eq!(line(&progress, Duration::ZERO), "looking for changes");
        progress.enter(Phase::Reading);
        progress.add(500);
        assert_eq!(line(&progress, Duration::from_secs(5)), "reading people: 500 people, 100 per second");
        progress.expect(2000);
        assert!(line(&progress, Duration::from_secs(5)).ends_with("about 15 s left"));
        // What is written has its own count, which is known from its beginning: also at a first import.
        progress.write(3000);
        assert_eq!(line(&progress, Duration::ZERO), "writing");
        progress.wrote(1000);
        assert_eq!(line(&progress, Duration::from_secs(2)), "writing: 1000 rows, 500 per second, about 4 s left");
        progress.enter(Phase::Finishing);
        assert!(line(&progress, Duration::from_secs(2)).starts_with("finishing: 500 people"));
    }

    #[test]
    fn both_templates_of_the_bar_are_understood() {
        for known in [false, true] {
            let _ = style(known, Phase::Writing);
        }
        assert!(ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {per_sec} {eta}").is_ok());
    }
}
