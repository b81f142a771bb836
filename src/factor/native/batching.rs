//! Prompts asked for together, where the service takes that (`docs/native-protocol.md`, "POST
//! /v1/verifications/batch").
//!
//! While no request is under way a prompt goes out alone and at once. What comes while one is, is queued for a
//! handful of tasks, each of which takes what has gathered and sends it as one request: so the cost of a prompt
//! falls as the load rises. While a request is under way the next one waits until that is answered, or it is full,
//! or [`PATIENCE`] is over, and after a request for several [`PACE`] passes: so a busy service gets few and large requests.
//! A prompt that has to be asked for again goes alone, so that one that the service chokes on cannot hold up others
//! twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::Shared;
use super::client::{Failure, Reply};
use crate::factor::object;

/// Header of the event stream's answer in which a service says how many prompts it takes at once.
pub const HEADER: &str = "anteroom-batch";

/// Prompts in one request, at most, whatever the service would take.
pub const LARGEST: usize = 64;

/// Requests for gathered prompts under way at once.
pub(super) const SENDERS: usize = 6;

/// How long a request waits to be filled while another one is under way.
const PATIENCE: Duration = Duration::from_millis(20);

/// Time from one request to the next where prompts follow each other closely: nobody notices it who has yet to find
/// their phone.
const PACE: Duration = Duration::from_millis(1);

/// Prompts that may wait to be gathered. What is more goes alone.
const QUEUE: usize = 16_384;

type Answered = Result<Reply, Failure>;

/// A prompt that waits to be sent.
#[derive(Debug)]
pub(super) struct Queued {
    body: Bytes,
    answer: oneshot::Sender<Answered>,
}

/// Where prompts gather.
#[derive(Debug)]
pub(super) struct Batching {
    queue: mpsc::Sender<Queued>,
    /// How many the service takes at once; 0 until it has said so.
    limit: AtomicUsize,
    /// Requests under way, for one prompt or for several.
    under_way: AtomicUsize,
    /// Told when one of them is answered.
    answered: Notify,
    /// When the last one for several prompts left.
    last: std::sync::Mutex<Option<Instant>>,
}

/// The other end, shared by the sending tasks.
pub(super) type Gathered = Arc<Mutex<mpsc::Receiver<Queued>>>;

impl Batching {
    pub(super) fn new() -> (Self, Gathered) {
        let (queue, gathered) = mpsc::channel(QUEUE);
        let batching = Batching {
            queue,
            limit: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            answered: Notify::new(),
            last: std::sync::Mutex::new(None),
        };
        (batching, Arc::new(Mutex::new(gathered)))
    }

    /// Notes what the service says of itself: how many it takes at once, or nothing.
    pub(super) fn learn(&self, header: Option<&str>) {
        let limit = header.and_then(|text| text.trim().parse().ok()).unwrap_or(0_usize);
        self.limit.store(limit.min(LARGEST), Ordering::Relaxed);
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Counts a request that is under way from now on, and says how many others are.
    fn begin(&self) -> (UnderWay<'_>, usize) {
        let others = self.under_way.fetch_add(1, Ordering::AcqRel);
        (UnderWay(self), others)
    }

    /// From when on the next request may leave.
    fn next(&self) -> Instant {
        let now = Instant::now();
        self.last().map_or(now, |last| (last + PACE).max(now))
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // A time is whole at any moment.
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes what is there, and what comes while a request is under way or has just left.
    async fn gather(&self, gathered: &mut mpsc::Receiver<Queued>, batch: &mut Vec<Queued>, most: usize) {
        let (pace, patience) = (tokio::time::sleep_until(self.next()), tokio::time::sleep(PATIENCE));
        tokio::pin!(pace, patience);
        let mut paced = false;
        loop {
            while batch.len() < most
                && let Ok(next) = gathered.try_recv()
            {
                batch.push(next);
            }
            let answered = self.answered.notified();
            if batch.len() >= most || (paced && self.under_way.load(Ordering::Acquire) == 0) {
                return;
            }
            tokio::select! {
                () = &mut pace, if !paced => paced = true,
                () = answered => {}
                () = &mut patience => return,
                next = gathered.recv() => match next {
                    Some(next) => batch.push(next),
                    None => return,
                },
            }
        }
    }
}

/// Counts a request that is under way.
struct UnderWay<'a>(&'a Batching);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
        self.0.answered.notify_one();
    }
}

impl Shared {
    /// Sends a prompt for the first time: alone, or with others that gather meanwhile.
    pub(super) async fn send(&self, body: Bytes) -> Answered {
        let batching = &self.batching;
        let (under_way, others) = batching.begin();
        if batching.limit() < 2 || (others == 0 && batching.next() <= Instant::now()) {
            return self.transport.ask(body).await;
        }
        drop(under_way);
        let (answer, answered) = oneshot::channel();
        match batching.queue.try_send(Queued { body, answer }) {
            Ok(()) => answered.await.unwrap_or(Err(Failure::Broken)),
            Err(mpsc::error::TrySendError::Full(queued) | mpsc::error::TrySendError::Closed(queued)) => {
                self.transport.ask(queued.body).await
            }
        }
    }
}

/// Sends what has gathered, as long as the provider lives.
pub(super) async fn run(shared: Arc<Shared>, gathered: Gathered) {
    let mut batch = Vec::with_capacity(LARGEST);
    loop {
        let most = shared.batching.limit().clamp(1, LARGEST);
        {
            let mut gathered = gathered.lock().await;
            let Some(first) = gathered.recv().await else { return };
            batch.push(first);
            // Whoever is ready to ask, too, does so in this turn.
            tokio::task::yield_now().await;
            shared.batching.gather(&mut gathered, &mut batch, most).await;
        }
        let _under_way = shared.batching.begin();
        // Nobody waits for those any more: nothing of them leaves.
        batch.retain(|queued| !queued.answer.is_closed());
        send_all(&shared, &mut batch).await;
    }
}

async fn send_all(shared: &Shared, batch: &mut Vec<Queued>) {
    let within = shared.transport.timeout();
    if batch.len() < 2 {
        for queued in batch.drain(..) {
            let answer = tokio::time::timeout(within, shared.transport.ask(queued.body)).await;
            // Whoever has gone away does not hear it.
            let _ = queued.answer.send(answer.unwrap_or(Err(Failure::Broken)));
        }
        return;
    }
    *shared.batching.last() = Some(Instant::now());
    let mut body = BytesMut::with_capacity(batch.iter().map(|queued| queued.body.len() + 1).sum());
    for queued in batch.iter() {
        body.put_slice(&queued.body);
        body.put_u8(b'\n');
    }
    let answer = tokio::time::timeout(within, shared.transport.ask_all(body.freeze())).await;
    let answers = match answer.unwrap_or(Err(Failure::Broken)) {
        Ok(reply) if reply.status == 200 => read_answers(&reply.body, batch.len()),
        // The service refuses the request as a whole, and so each of them.
        Ok(reply) => Err(Ok(reply)),
        Err(failure) => Err(Err(failure)),
    };
    match answers {
        Ok(answers) => {
            for (queued, answer) in batch.drain(..).zip(answers) {
                let _ = queued.answer.send(Ok(answer));
            }
        }
        Err(all) => {
            for queued in batch.drain(..) {
                let _ = queued.answer.send(all.clone());
            }
        }
    }
}

/// One line of the answer.
#[derive(Deserialize)]
struct Line<'a> {
    status: u16,
    #[serde(borrow)]
    answer: &'a RawValue,
}

/// The answers to `count` prompts, one line each, in the order of the request. An answer to a wrong number of
/// prompts answers none of them: nobody knows which is whose.
fn read_answers(body: &Bytes, count: usize) -> Result<Vec<Reply>, Answered> {
    let garbled = || Ok(Reply { status: 200, body: Bytes::from_static(b"?"), ..Reply::default() });
    let mut replies = Vec::with_capacity(count);
    for line in body.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
        let reply = match object::read::<Line<'_>>(line) {
            Ok(Line { status, answer }) => {
                Reply { status, body: body.slice_ref(answer.get().as_bytes()), ..Reply::default() }
            }
            Err(_) => return Err(garbled()),
        };
        replies.push(reply);
    }
    if replies.len() == count { Ok(replies) } else { Err(garbled()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_request() {
        let body =
            Bytes::from_static(b"{\"status\":201,\"answer\":{\"a\":1}}\n{\"status\":429,\"answer\":{\"b\":2}}\n");
        let replies = read_answers(&body, 2).unwrap();
        assert_eq!((replies[0].status, &replies[0].body[..]), (201, &b"{\"a\":1}"[..]));
        assert_eq!((replies[1].status, &replies[1].body[..]), (429, &b"{\"b\":2}"[..]));
    }

    #[test]
    fn answers_of_another_number_answer_nobody() {
        let one = Bytes::from_static(b"{\"status\":201,\"answer\":{\"a\":1}}\n");
        for count in [0, 2] {
            let all = read_answers(&one, count).unwrap_err().unwrap();
            assert!(object::read::<super::super::wire::Message<'_>>(&all.body).is_err());
        }
        assert!(read_answers(&Bytes::from_static(b"\xff\n"), 1).is_err());
    }

    async fn gathered_in(batching: &Batching, gathered: &Gathered) -> Duration {
        let began = Instant::now();
        batching.gather(&mut *gathered.lock().await, &mut Vec::new(), LARGEST).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_after_a_request_for_several_the_next_one_waits_for_the_pace() {
        let (batching, gathered) = Batching::new();
        // The clock of tests ticks in milliseconds.
        let tick = Duration::from_millis(1);
        assert!(gathered_in(&batching, &gathered).await <= tick);
        *batching.last() = Some(Instant::now());
        let waited = gathered_in(&batching, &gathered).await;
        assert!(waited >= PACE && waited <= PACE + tick, "{waited:?}");
        tokio::time::advance(PACE).await;
        assert!(gathered_in(&batching, &gathered).await <= tick);
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_request_is_under_way_the_next_one_waits_for_its_answer_or_its_patience() {
        let (batching, gathered) = Batching::new();
        let (under_way, others) = batching.begin();
        assert_eq!(others, 0);
        assert!(gathered_in(&batching, &gathered).await >= PATIENCE);
        let answer = async {
            tokio::time::sleep(PATIENCE / 4).await;
            drop(under_way);
        };
        let (waited, ()) = tokio::join!(gathered_in(&batching, &gathered), answer);
        assert!(waited < PATIENCE / 2, "{waited:?}");
    }

    #[test]
    fn only_a_number_is_learned_and_only_up_to_our_own_bound() {
        let (batching, _) = Batching::new();
        for (header, limit) in [(Some("32"), 32), (Some(" 1000 "), LARGEST), (Some("many"), 0), (None, 0)] {
            batching.learn(header);
            assert_eq!(batching.limit(), limit);
        }
    }
}
