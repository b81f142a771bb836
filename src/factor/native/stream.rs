//! The event stream: one connection per server, lines of JSON, resumed by cursor.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use bytes::Bytes;
use reqwest::{Method, Response};
use tokio::time::Instant;

use crate::factor::native::batching;
use crate::factor::native::client::Failure;
use crate::factor::native::wire::{Event, LONGEST_MESSAGE};
use crate::factor::native::{Delivery, Shared};
use crate::factor::object;

/// Longest cursor that is kept, in octets.
const LONGEST_CURSOR: usize = 128;

/// Keeps the stream open, for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut cursor = String::new();
    let mut pause = shared.timing.reconnect;
    let longest = shared.timing.reconnect.saturating_mul(64);
    loop {
        let opened = Instant::now();
        let end = match open(&shared, &cursor).await {
            Ok(response) => follow(&shared, response, &mut cursor).await,
            Err(end) => end,
        };
        if matches!(end, End::LineTooLong) {
            // Resumed here, the same line would come again for ever.
            cursor.clear();
        }
        if shared.stream_up.swap(false, Ordering::AcqRel) {
            shared.nudge.notify_one();
            tracing::warn!(provider = shared.name, ?end, "event stream lost; asking for states until it is back");
        } else {
            tracing::debug!(provider = shared.name, ?end, "event stream not opened");
        }
        // One that has lived for a while ended for a reason of its own: start over with short pauses.
        if opened.elapsed() > longest {
            pause = shared.timing.reconnect;
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(longest);
    }
}

/// Why a stream is over.
#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug, in the log")]
enum End {
    /// It could not be opened.
    NotOpened(Failure),
    /// The service answered something else than 200.
    Status(u16),
    /// Neither event nor heartbeat for too long.
    Silent,
    /// The connection broke.
    Broken,
    /// The service closed it.
    Closed,
    /// A line is longer than any real one.
    LineTooLong,
}

async fn open(shared: &Shared, cursor: &str) -> Result<Response, End> {
    let mut path = String::from("v1/events?server=");
    path.extend(url::form_urlencoded::byte_serialize(shared.server.name.as_bytes()));
    if !cursor.is_empty() {
        path.push_str("&after=");
        path.extend(url::form_urlencoded::byte_serialize(cursor.as_bytes()));
    }
    let opening = shared.transport.open(Method::GET, &path);
    match tokio::time::timeout(shared.transport.timeout(), opening).await {
        Ok(Ok(response)) if response.status().as_u16() == 200 => {
            let header = response.headers().get(batching::HEADER).and_then(|value| value.to_str().ok());
            shared.batching.learn(header);
            Ok(response)
        }
        Ok(Ok(response)) => Err(End::Status(response.status().as_u16())),
        Ok(Err(failure)) => Err(End::NotOpened(failure)),
        Err(_) => Err(End::NotOpened(Failure::Broken)),
    }
}

async fn follow(shared: &Shared, mut response: Response, cursor: &mut String) -> End {
    let mut lines = Lines::default();
    let mut wakers = Vec::new();
    loop {
        let chunk = match tokio::time::timeout(shared.timing.silence, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return End::Closed,
            Ok(Err(_)) => return End::Broken,
            Err(_) => return End::Silent,
        };
        let whole = lines.feed(&chunk, |line| take(shared, line, cursor, &mut wakers));
        // Woken when all lines of the chunk are delivered, so that a contradiction is seen before the
        // first of its two lines is acted upon.
        wakers.drain(..).for_each(Waker::wake);
        if !whole {
            return End::LineTooLong;
        }
    }
}

/// Takes one line.
fn take(shared: &Shared, line: &[u8], cursor: &mut String, wakers: &mut Vec<Waker>) {
    let Ok(event) = object::read::<Event<'_>>(line) else {
        let before = shared.garbled.fetch_add(1, Ordering::Relaxed);
        if before.is_power_of_two() || before == 0 {
            tracing::warn!(provider = shared.name, octets = line.len(), count = before, "event makes no sense");
        }
        // Whom it was about cannot be known: ask for all.
        shared.ask_for_states();
        return;
    };
    match &*event.event {
        "verification" => match &event.verification {
            Some(message) => {
                if let Delivery::Answered(Some(waker)) = shared.deliver(message) {
                    wakers.push(waker);
                }
            }
            None => shared.ask_for_states(),
        },
        "hello" => {
            shared.stream_up.store(true, Ordering::Release);
            tracing::debug!(provider = shared.name, resumed = event.resumed, "event stream open");
            // A prompt that is registered after this line gets its event through this stream.
            if event.resumed || shared.waiting.is_empty() {
                shared.nudge.notify_one();
            } else {
                shared.ask_for_states();
            }
        }
        _ => {}
    }
    if (1..=LONGEST_CURSOR).contains(&event.cursor.len()) && event.cursor != *cursor {
        cursor.clear();
        cursor.push_str(&event.cursor);
    }
}

/// Cuts chunks into lines; keeps at most one unfinished line.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Calls `each` for each whole line that is not empty; false when a line is too long.
    fn feed(&mut self, chunk: &Bytes, mut each: impl FnMut(&[u8])) -> bool {
        let mut pieces = chunk.split(|octet| *octet == b'\n');
        // `split` gives one piece more than there are line feeds: the last is unfinished.
        let unfinished = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            if self.rest.is_empty() {
                line(piece, &mut each);
            } else {
                self.rest.extend_from_slice(piece);
                line(&self.rest, &mut each);
                self.rest.clear();
            }
        }
        self.rest.extend_from_slice(unfinished);
        self.rest.len() <= LONGEST_MESSAGE
    }
}

fn line(line: &[u8], each: &mut impl FnMut(&[u8])) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.is_empty() {
        each(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&str]) -> (Vec<String>, bool) {
        let (mut found, mut lines, mut whole) = (Vec::new(), Lines::default(), true);
        for chunk in chunks {
            let chunk = Bytes::copy_from_slice(chunk.as_bytes());
            whole &= lines.feed(&chunk, |line| found.push(String::from_utf8_lossy(line).into_owned()));
        }
        (found, whole)
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let text = "one\ntwo\r\n\n\nthree\nfour";
        for cut in 0..=text.len() {
            let (first, second) = text.split_at(cut);
            assert_eq!(lines(&[first, second]), (vec!["one".into(), "two".into(), "three".into()], true), "{cut}");
        }
    }

    #[test]
    fn endless_line_is_noticed() {
        let long = "x".repeat(LONGEST_MESSAGE);
        assert!(lines(&[&long]).1);
        assert!(!lines(&[&long, "x"]).1);
    }
}
