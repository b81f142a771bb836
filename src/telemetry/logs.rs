//! The program's own log: `tracing` events on standard error, as text or as JSON lines.
//!
//! What is logged is decided where it is logged; nothing here sees a secret, as [`crate::secret::Secret`]
//! has no text form.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat};

/// The filter that `level` describes, if it is one: a level, or `target=level` pairs.
pub fn filter(level: &str) -> Option<EnvFilter> {
    let level = level.trim();
    let known = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    // A lone word that is no level would be taken as the name of a module, and silence everything else.
    if level.is_empty() || !level.split(',').all(|part| part.contains(['=', ':']) || known(part.trim())) {
        return None;
    }
    EnvFilter::try_new(level).ok()
}

/// Lines that may wait to be written. What is more is dropped and counted: a full pipe or a slow disk behind
/// standard error never holds up a sign-in.
const QUEUE: usize = 65_536;

/// Pause between two writes: lines that come close together are written at once.
const PAUSE: Duration = Duration::from_millis(10);

/// Octets written at once, about.
const AT_ONCE: usize = 64 * 1024;

static WRITER: OnceLock<SyncSender<Note>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// What the writing thread is told.
enum Note {
    Line(Vec<u8>),
    /// Answer when everything before this has been written.
    Flush(SyncSender<()>),
}

/// Takes one line from the subscriber and queues it.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let sent = WRITER.get().map(|writer| writer.try_send(Note::Line(line.to_vec())));
        if let Some(Err(TrySendError::Full(_))) = sent {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes what is queued, as long as the process lives.
fn write_out(notes: &Receiver<Note>) {
    let mut pending = Vec::with_capacity(AT_ONCE);
    while let Ok(first) = notes.recv() {
        let mut next = Some(first);
        let mut asked = None;
        while let Some(note) = next {
            match note {
                Note::Line(line) => pending.extend_from_slice(&line),
                Note::Flush(done) => asked = Some(done),
            }
            next = if pending.len() < AT_ONCE && asked.is_none() { notes.try_recv().ok() } else { None };
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            pending.extend_from_slice(
                format!("{dropped} log lines were lost here: standard error is too slow\n").as_bytes(),
            );
        }
        // There is nowhere to tell of an error of the log itself.
        let _ = std::io::stderr().lock().write_all(&pending);
        pending.clear();
        match asked {
            Some(done) => drop(done),
            None => std::thread::sleep(PAUSE),
        }
    }
}

/// Waits until everything logged so far has been written, a second at most. For the end of the program.
pub fn flush() {
    if let Some(writer) = WRITER.get() {
        let (done, written) = sync_channel(0);
        if writer.try_send(Note::Flush(done)).is_ok() {
            // The answer is that the sender is gone.
            let _ = written.recv_timeout(Duration::from_secs(1));
        }
    }
}

/// Starts the log. A second call in one process changes nothing.
pub fn start(log: &Log) {
    let filter = filter(&log.level).unwrap_or_else(|| EnvFilter::new("info"));
    let (writer, notes) = sync_channel(QUEUE);
    if WRITER.set(writer).is_err() {
        return;
    }
    let thread = std::thread::Builder::new().name("log".into()).spawn(move || write_out(&notes));
    if let Err(error) = thread {
        // Without its thread there is no log; the sign-ins go on.
        let _ = writeln!(std::io::stderr(), "no log: its thread cannot be started: {error}");
    }
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Line).with_span_events(FmtSpan::NONE);
    // Fails only if a log was started before, which then goes on.
    let _ = match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_pairs_are_filters() {
        for level in ["info", "WARN", "anteroom::radius=debug,info", "off", "anteroom=trace"] {
            assert!(filter(level).is_some(), "{level}");
        }
    }

    #[test]
    fn a_misspelt_level_is_no_filter() {
        for level in ["", "infos", "loud", "info,verbos", "anteroom=loud"] {
            assert!(filter(level).is_none(), "{level}");
        }
    }
}
