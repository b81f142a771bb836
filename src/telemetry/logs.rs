//! The program's own log: `tracing` events on standard error, as text or as JSON lines.
//!
//! What is logged is decided where it is logged; nothing here sees a secret, as [`crate::secret::Secret`]
//! has no text form.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{FmtSpan, Writer as Text, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;

use super::utc::Utc;
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

/// Octets of lines that may wait to be written. What is more is dropped and counted: a full pipe or a slow disk behind
/// standard error never holds up a sign-in.
const MOST: usize = 16 << 20;

/// Pause between two writes: lines that come close together are written at once.
const PAUSE: Duration = Duration::from_millis(10);

/// Room that is kept for the next lines.
const KEPT: usize = 1 << 20;

static WAITING: Waiting = Waiting::new();
static STARTED: AtomicBool = AtomicBool::new(false);

/// Lines that wait for the writing thread, one behind the other.
struct Waiting {
    inner: Mutex<Inner>,
    filled: Condvar,
}

struct Inner {
    text: Vec<u8>,
    /// Lines for which there was no room.
    dropped: u64,
    /// Whoever is to hear when everything so far has been written.
    asked: Vec<SyncSender<()>>,
}

impl Waiting {
    const fn new() -> Self {
        let inner = Inner { text: Vec::new(), dropped: 0, asked: Vec::new() };
        Waiting { inner: Mutex::new(inner), filled: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whole between any two of its statements.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut inner = self.inner();
        if inner.text.len() + line.len() > MOST {
            inner.dropped += 1;
            return;
        }
        let is_first = inner.text.is_empty();
        inner.text.extend_from_slice(line);
        drop(inner);
        if is_first {
            self.filled.notify_one();
        }
    }

    /// What comes back says by its end that everything so far has been written.
    fn ask(&self) -> Receiver<()> {
        let (done, written) = sync_channel(0);
        self.inner().asked.push(done);
        self.filled.notify_one();
        written
    }

    /// Waits until there is something to be done, and takes all of it: what is to be written, into the empty `text`, and
    /// who is to hear of it.
    fn take(&self, text: &mut Vec<u8>) -> Vec<SyncSender<()>> {
        let mut inner = self.inner();
        while inner.text.is_empty() && inner.asked.is_empty() {
            inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(text, &mut inner.text);
        let dropped = std::mem::take(&mut inner.dropped);
        let asked = std::mem::take(&mut inner.asked);
        drop(inner);
        if dropped > 0 {
            text.extend_from_slice(
                format!("{dropped} log lines were lost here: standard error is too slow\n").as_bytes(),
            );
        }
        asked
    }
}

/// Takes one line from the subscriber.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        WAITING.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes what waits, as long as the process lives.
fn write_out() {
    let mut text = Vec::new();
    loop {
        let asked = WAITING.take(&mut text);
        // There is nowhere to tell of an error of the log itself.
        let _ = std::io::stderr().lock().write_all(&text);
        text.clear();
        text.shrink_to(KEPT);
        if asked.is_empty() {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Waits until everything logged so far has been written, a second at most. For the end of the program.
pub fn flush() {
    if STARTED.load(Ordering::Acquire) {
        // The answer is that the sender is gone.
        let _ = WAITING.ask().recv_timeout(Duration::from_secs(1));
    }
}

/// Starts the log. A second call in one process changes nothing.
pub fn start(log: &Log) {
    let filter = filter(&log.level).unwrap_or_else(|| EnvFilter::new("info"));
    if STARTED.swap(true, Ordering::AcqRel) {
        return;
    }
    let thread = std::thread::Builder::new().name("log".into()).spawn(write_out);
    if let Err(error) = thread {
        // Without its thread there is no log; the sign-ins go on.
        let _ = writeln!(std::io::stderr(), "no log: its thread cannot be started: {error}");
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(Clock)
        .with_writer(|| Line)
        .with_span_events(FmtSpan::NONE);
    // Fails only if a log was started before, which then goes on.
    let _ = match log.format {
        LogFormat::Text if std::io::stderr().is_terminal() => builder.with_ansi(true).try_init(),
        LogFormat::Text => builder.with_ansi(false).fmt_fields(debug_fn(plainly).delimited(" ")).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
}

/// Writes the time as the subscriber would, in one piece.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, text: &mut Text<'_>) -> fmt::Result {
        text.write_str(Utc::new(SystemTime::now()).as_str())
    }
}

/// Writes a field as the subscriber would without colours, in fewer pieces: a line for each sign-in adds up.
fn plainly(text: &mut Text<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    use fmt::Write as _;
    if field.name() == "message" {
        return write!(Printable(text), "{value:?}");
    }
    text.write_str(field.name())?;
    text.write_char('=')?;
    write!(text, "{value:?}")
}

/// Messages hold texts of others here and there: what a terminal would obey is escaped.
struct Printable<'a, 'b>(&'a mut Text<'b>);

impl fmt::Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let obeyed = |sign: char| sign.is_control() && !matches!(sign, '\n' | '\t');
        if !text.contains(obeyed) {
            return self.0.write_str(text);
        }
        for sign in text.chars() {
            match (obeyed(sign), sign.is_ascii()) {
                (false, _) => self.0.write_char(sign)?,
                (true, true) => write!(self.0, "\\x{:02x}", u32::from(sign))?,
                (true, false) => write!(self.0, "{}", sign.escape_unicode())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    fn some_events() {
        let (name, missing) = ("al\"ice\u{1b}[2J\n", None::<&str>);
        tracing::info!(client = ?name, name, missing, verdict = "accept", many = 7, took = 3002.5, "sign-in");
        tracing::warn!(error = %std::io::Error::other("broken"), "a text of others: {}", "\u{1b}[31mred\u{9b}");
        tracing::info!(only = true);
        tracing::info!("nothing but a message");
    }

    /// A line from its level on: before it is the time.
    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or_default()).collect()
    }

    #[test]
    fn lines_are_what_the_subscriber_would_write() {
        let captured = Captured::default();
        let writer = captured.clone();
        let builder = || tracing_subscriber::fmt().with_ansi(false);
        let make = move || writer.clone();
        tracing::subscriber::with_default(builder().with_writer(make.clone()).finish(), some_events);
        let theirs = captured.take();
        let fields = debug_fn(plainly).delimited(" ");
        let mine = builder().with_timer(Clock).fmt_fields(fields).with_writer(make);
        tracing::subscriber::with_default(mine.finish(), some_events);
        let ours = captured.take();
        assert_eq!(lines(&ours), lines(&theirs));
        for line in ours.lines() {
            let time = line.split(' ').next().unwrap_or_default();
            assert!(time.len() == 27 && time.parse::<jiff::Timestamp>().is_ok(), "{line}");
        }
        assert!(!ours.contains('\u{1b}') && !ours.contains('\u{9b}'), "{ours}");
    }

    #[test]
    fn lines_that_wait_are_taken_together_and_in_their_order() {
        let waiting = Waiting::new();
        waiting.push(b"one\n");
        waiting.push(b"two\n");
        let written = waiting.ask();
        let mut text = Vec::new();
        let asked = waiting.take(&mut text);
        assert_eq!((text.as_slice(), asked.len()), (&b"one\ntwo\n"[..], 1));
        drop(asked);
        assert!(written.recv().is_err(), "whoever asked hears by its end");
        text.clear();
        waiting.push(b"three\n");
        assert!(waiting.take(&mut text).is_empty());
        assert_eq!(text, b"three\n");
    }

    #[test]
    fn lines_without_room_are_lost_and_counted() {
        let waiting = Waiting::new();
        let line = vec![b'x'; MOST / 4];
        (0..7).for_each(|_| waiting.push(&line));
        let mut text = Vec::new();
        assert!(waiting.take(&mut text).is_empty());
        assert_eq!(text[..MOST], line.repeat(4));
        assert_eq!(&text[MOST..], b"3 log lines were lost here: standard error is too slow\n");
        waiting.push(b"short");
        text.clear();
        waiting.take(&mut text);
        assert_eq!(text, b"short", "it goes on");
    }

    #[test]
    fn whoever_writes_waits_for_the_first_line() {
        static QUEUE: Waiting = Waiting::new();
        let writer = std::thread::spawn(|| {
            let mut text = Vec::new();
            QUEUE.take(&mut text);
            text
        });
        QUEUE.push(b"late\n");
        assert_eq!(writer.join().unwrap(), b"late\n");
    }

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
