//! What a conversation came to, octet for octet, and the player that has it.

use std::collections::BTreeMap;

use crate::peers::ldap::{Frame, Wire, message};

/// Octets that differ between two runs whoever answers, and are blanked in both. Each has its reason.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask {
    pub(crate) why: &'static str,
    pub(crate) blank: fn(&mut Frame),
}

/// The change number of the whole directory: each run changes the directory, so it grows.
pub(crate) const CHANGE_NUMBER: Mask = Mask {
    why: "every change that an earlier run made counts",
    blank: |frame| {
        const MARK: &[u8] = b"csn=";
        // YYYYmmddHHMMSS.uuuuuuZ#cccccc#rrr#mmmmmm
        const LENGTH: usize = 40;
        let marks = frame.0.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
        let starts: Vec<usize> = marks.map(|(at, _)| at + MARK.len()).collect();
        starts.into_iter().for_each(|start| frame.0[start..start + LENGTH].fill(b'0'));
    },
};

/// The context of a virtual list: OpenLDAP makes it of an address in its memory.
pub(crate) const LIST_CONTEXT: Mask = Mask {
    why: "it is an address in the server's memory",
    blank: |frame| {
        if let Some(parts) = frame.control_parts("2.16.840.1.113730.3.4.10")
            && let Some(context) = parts.get(3)
        {
            frame.0[context.start..context.end].fill(0);
        }
    },
};

/// The cookie of a search in pages that is sorted, too: OpenLDAP makes it of an address in its memory.
pub(crate) const SORTED_PAGES: Mask = Mask {
    why: "it is an address in the server's memory",
    blank: |frame| {
        if let Some(parts) = frame.control_parts("1.2.840.113556.1.4.319") {
            let cookie = parts[1];
            frame.0[cookie.start..cookie.end].fill(0);
        }
    },
};

/// One exchange: what arrived, by message id, each in the order of its arrival.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    name: String,
    answers: BTreeMap<u32, Vec<Frame>>,
}

/// All exchanges of a conversation.
pub(crate) type Record = Vec<Exchange>;

/// Plays a conversation on one connection.
pub(crate) struct Player {
    pub(crate) wire: Wire,
    record: Record,
    /// Codes that were not as expected.
    wrong: Vec<String>,
}

impl Player {
    /// On this connection.
    pub(crate) fn new(wire: Wire) -> Self {
        Player { wire, record: Vec::new(), wrong: Vec::new() }
    }

    /// What it came to.
    pub(crate) fn record(self) -> Record {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        self.record
    }

    /// Notes what arrived, without what the mask blanks.
    pub(crate) fn note(&mut self, name: &str, mut frames: Vec<Frame>, mask: Option<Mask>) {
        if let Some(mask) = mask {
            assert!(!mask.why.is_empty());
            frames.iter_mut().for_each(mask.blank);
        }
        let mut answers: BTreeMap<u32, Vec<Frame>> = BTreeMap::new();
        frames.into_iter().for_each(|frame| answers.entry(frame.id()).or_default().push(frame));
        self.record.push(Exchange { name: name.to_owned(), answers });
    }

    /// Asks, waits for all answers and notes them; gives them as they are.
    pub(crate) fn ask(&mut self, name: &str, operation: &[u8], controls: &[Vec<u8>]) -> Vec<Frame> {
        let frames = self.wire.ask(operation, controls);
        self.note(name, frames.clone(), None);
        frames
    }

    /// The same for a sorted search. OpenLDAP sorts for one request of a connection at a time, and says that it
    /// has done so a moment before it takes the next: where it is busy (51), the same request is sent again.
    pub(crate) fn ask_sorted(&mut self, name: &str, operation: &[u8], controls: &[Vec<u8>], mask: Option<Mask>) {
        let id = self.wire.next_id();
        for _ in 0..100 {
            self.wire.send_raw(&message(id, operation, controls));
            let frames = self.wire.answer(id);
            if frames.last().is_some_and(|last| last.code() != 51) {
                return self.note(name, frames, mask);
            }
        }
        panic!("{name}: always busy");
    }

    /// Asks, and the result code must be this one: a conversation that only met errors would prove nothing.
    pub(crate) fn expect(&mut self, code: u32, name: &str, operation: &[u8], controls: &[Vec<u8>]) -> Vec<Frame> {
        let frames = self.ask(name, operation, controls);
        let last = frames.last().unwrap();
        if last.code() != code {
            self.wrong.push(format!("{name}: {} instead of {code}: {}", last.code(), last.text()));
        }
        frames
    }

    /// Sends many requests in one write, without waiting between them; their message ids.
    pub(crate) fn send_together(&mut self, operations: &[Vec<u8>]) -> Vec<u32> {
        let (mut ids, mut bytes) = (Vec::new(), Vec::new());
        for operation in operations {
            let id = self.wire.next_id();
            bytes.extend(message(id, operation, &[]));
            ids.push(id);
        }
        self.wire.send_raw(&bytes);
        ids
    }

    /// Everything up to the last answer to each of these requests, in the order of arrival.
    pub(crate) fn gather(&mut self, ids: &[u32]) -> Vec<Frame> {
        let (mut open, mut frames) = (ids.to_vec(), Vec::new());
        while !open.is_empty() {
            let frame = self.wire.frame().expect("answers before the end of the connection");
            let id = frame.id();
            assert!(ids.contains(&id), "an answer to {id}, which was not asked: {frame:x?}");
            if frame.is_last() {
                assert!(open.contains(&id), "two last answers to {id}");
                open.retain(|other| *other != id);
            }
            frames.push(frame);
        }
        frames
    }

    /// Everything until the server closes the connection.
    pub(crate) fn rest(&mut self, name: &str) {
        let frames = std::iter::from_fn(|| self.wire.frame()).filter(|frame| !is_hang_up(frame)).collect();
        self.note(name, frames, None);
    }
}

/// Where a directory hangs up without a word, Anteroom says that it is unavailable before it does the same (RFC 4511
/// section 4.4.1). That is all it ever adds, and it is left out of the comparison.
pub(crate) fn is_hang_up(frame: &Frame) -> bool {
    const UNAVAILABLE: u32 = 52;
    frame.id() == 0 && frame.0.ends_with(b"1.3.6.1.4.1.1466.20036") && frame.code() == UNAVAILABLE
}

/// Fails where two records differ, and shows the first octets that do.
pub(crate) fn assert_same(what: &str, expected: &Record, found: &Record) {
    for (one, other) in expected.iter().zip(found) {
        assert_eq!(one.name, other.name, "{what}: another order of exchanges");
        let ids = |exchange: &Exchange| exchange.answers.keys().copied().collect::<Vec<_>>();
        assert_eq!(ids(one), ids(other), "{what}, {}: answers to other requests", one.name);
        for (id, frames) in &one.answers {
            let others = &other.answers[id];
            for (at, (frame, different)) in frames.iter().zip(others).enumerate() {
                if frame != different {
                    let differs = frame.0.iter().zip(&different.0).take_while(|(a, b)| a == b).count();
                    let shown = |frame: &Frame| {
                        let from = differs.saturating_sub(16);
                        let part = &frame.0[from..frame.0.len().min(differs + 48)];
                        format!("{} octets, from {from}: {part:x?} {:?}", frame.0.len(), String::from_utf8_lossy(part))
                    };
                    panic!(
                        "{what}, {}, answer {at} to request {id} differs at octet {differs}:\n{}\n{}",
                        one.name,
                        shown(frame),
                        shown(different)
                    );
                }
            }
            assert_eq!(frames.len(), others.len(), "{what}, {}: another number of answers to {id}", one.name);
        }
    }
    assert_eq!(expected.len(), found.len(), "{what}: another number of exchanges");
}

#[test]
fn a_single_different_octet_is_noticed() {
    let record = |octet: u8| {
        let mut player = Vec::new();
        let frame = Frame(vec![0x30, 0x05, 0x02, 0x01, octet, 0x42, 0x00]);
        player.push(Exchange { name: "unbind".to_owned(), answers: BTreeMap::from([(1, vec![frame])]) });
        player
    };
    assert_same("the same", &record(1), &record(1));
    let noticed = std::panic::catch_unwind(|| assert_same("another", &record(1), &record(2)));
    assert!(noticed.is_err());
    assert!(std::panic::catch_unwind(|| assert_same("fewer", &record(1), &Vec::new())).is_err());
}
