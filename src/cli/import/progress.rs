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
    if !std::io::stderr().is_terminal() {
        return Shown { task: Some(tokio::spawn(lines(progress))), bar: None };
    }
    let bar = ProgressBar::no_length();
    bar.set_style(style(false));
    let task = tokio::spawn(draw(progress, bar.clone()));
    Shown { task: Some(task), bar: Some(bar) }
}

fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "{msg:<22} {bar:30} {human_pos}/{human_len} people  {per_sec}  {eta} left"
    } else {
        "{msg:<22} {spinner} {human_pos} people  {per_sec}  {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

async fn draw(progress: Arc<Progress>, bar: ProgressBar) {
    let mut known = false;
    loop {
        let (read, expected) = (progress.read(), progress.expected());
        // More than there were the last time: from then on nobody knows how many there will be.
        let now_known = expected > 0 && read <= expected;
        if now_known != known {
            known = now_known;
            bar.set_style(style(known));
        }
        if known {
            bar.set_length(expected);
        }
        bar.set_message(progress.phase().text());
        bar.set_position(read);
        bar.tick();
        tokio::time::sleep(FRAME).await;
    }
}

async fn lines(progress: Arc<Progress>) {
    let (mut phase, mut said) = (None, Instant::now());
    let began = Instant::now();
    loop {
        let now = progress.phase();
        if (phase != Some(now) || said.elapsed() >= LINE) && now != Phase::Done {
            output::error(line(&progress, began.elapsed()));
            (phase, said) = (Some(now), Instant::now());
        }
        tokio::time::sleep(FRAME).await;
    }
}

fn line(progress: &Progress, elapsed: Duration) -> String {
    let (read, expected) = (progress.read(), progress.expected());
    let mut text = progress.phase().text().to_owned();
    if read > 0 {
        let per_second = read.checked_div(elapsed.as_secs().max(1)).unwrap_or_default();
        text = format!("{text}: {read} people, {per_second} per second");
        if let Some(left) = expected.checked_sub(read).filter(|left| *left > 0 && per_second > 0) {
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
    }

    #[test]
    fn both_templates_of_the_bar_are_understood() {
        for known in [false, true] {
            let _ = style(known);
        }
        assert!(ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {per_sec} {eta}").is_ok());
    }
}
