//! The event log of each server, from which streams are served and resumed. Pure.

use std::collections::{HashMap, VecDeque};

use tokio::sync::watch;

/// Events kept for streams that come back, per server.
const EVENTS: usize = 131_072;

/// Servers with an event log of their own.
const SERVERS: usize = 64;

/// Octets of events handed out in one piece.
const PIECE: usize = 64 * 1024;

struct Log {
    /// Number of the first event kept.
    first: u64,
    events: VecDeque<Box<str>>,
    latest: watch::Sender<u64>,
}

/// All logs.
pub(crate) struct Events {
    /// Start of every cursor; another process's cursors are not ours.
    epoch: u64,
    logs: HashMap<Box<str>, Log>,
}

impl Events {
    pub(crate) fn new(epoch: u64) -> Self {
        Events { epoch, logs: HashMap::new() }
    }

    /// Appends a line, made with its cursor. A server that never listened has no log: its first stream
    /// says that it is not resumed.
    pub(crate) fn log(&mut self, server: &str, line: impl FnOnce(&str) -> String) {
        let epoch = self.epoch;
        let Some(log) = self.logs.get_mut(server) else { return };
        let number = log.latest.borrow().saturating_add(1);
        log.events.push_back(line(&cursor(epoch, number)).into());
        if log.events.len() > EVENTS {
            log.events.pop_front();
            log.first = log.first.saturating_add(1);
        }
        log.latest.send_replace(number);
    }

    /// Opens a server's stream after a cursor: where it begins, whether nothing is missing, and what rings
    /// for news. `None` when there are too many servers.
    pub(crate) fn follow(&mut self, server: &str, after: &str) -> Option<(u64, bool, watch::Receiver<u64>)> {
        if !self.logs.contains_key(server) {
            if self.logs.len() >= SERVERS {
                return None;
            }
            let log = Log { first: 1, events: VecDeque::new(), latest: watch::Sender::new(0) };
            self.logs.insert(server.into(), log);
        }
        let log = self.logs.get(server)?;
        let latest = *log.latest.borrow();
        let after = after.split_once('-').and_then(|(epoch, number)| {
            let number: u64 = number.parse().ok()?;
            let kept = number <= latest && number.saturating_add(1) >= log.first;
            (kept && epoch.parse() == Ok(self.epoch)).then_some(number)
        });
        Some((after.unwrap_or(latest), after.is_some(), log.latest.subscribe()))
    }

    /// The events after a number: the text and the number of its last one. `None` when some of them are
    /// no longer kept.
    pub(crate) fn after(&self, server: &str, after: u64) -> Option<(String, u64)> {
        let log = self.logs.get(server)?;
        let skip = usize::try_from(after.saturating_add(1).checked_sub(log.first)?).ok()?;
        let (mut text, mut last) = (String::new(), after);
        for event in log.events.iter().skip(skip) {
            text.push_str(event);
            last = last.saturating_add(1);
            if text.len() >= PIECE {
                break;
            }
        }
        Some((text, last))
    }

    /// The text of a cursor.
    pub(crate) fn cursor(&self, number: u64) -> String {
        cursor(self.epoch, number)
    }

    /// Forgets all events, so that no cursor is known any more.
    pub(crate) fn forget(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        for log in self.logs.values_mut() {
            log.events.clear();
            log.first = log.latest.borrow().saturating_add(1);
        }
    }
}

fn cursor(epoch: u64, number: u64) -> String {
    format!("{epoch}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_resumes_only_after_a_known_cursor() {
        let mut events = Events::new(7);
        assert_eq!(events.follow("one", "").map(|(after, resumed, _)| (after, resumed)), Some((0, false)));
        for _ in 0..3 {
            events.log("one", |cursor| format!("{cursor};"));
        }
        assert_eq!(events.after("one", 1), Some(("7-2;7-3;".to_owned(), 3)));
        for (cursor, expected) in [("7-1", (1, true)), ("7-4", (3, false)), ("8-1", (3, false)), ("x", (3, false))] {
            let found = events.follow("one", cursor).map(|(after, resumed, _)| (after, resumed));
            assert_eq!(found, Some(expected), "{cursor}");
        }
        events.forget();
        assert_eq!(events.follow("one", "7-3").map(|(_, resumed, _)| resumed), Some(false));
        assert_eq!(events.after("one", 1), None, "a hole is noticed");
    }

    #[test]
    fn number_of_logs_is_bounded() {
        let mut events = Events::new(7);
        for number in 0..SERVERS {
            assert!(events.follow(&number.to_string(), "").is_some());
        }
        assert!(events.follow("one more", "").is_none());
    }
}
