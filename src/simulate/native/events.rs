//! The event streams of a simulated native service: what the desk decides is written into the log of the server that
//! asked, and from there every open stream is served.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures_util::stream;

use super::{House, Table, batch_header, error, reply, word};
use crate::demo::phone::answers;
use crate::simulate::desk::Desk;
use crate::simulate::service::{Call, Reply};

/// Longest silence of a stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Decisions taken from the desk at once.
const BATCH: usize = 1024;

impl Table {
    /// Writes what was decided into the logs.
    fn follow_desk(&mut self, desk: &Desk) {
        loop {
            let (decided, seen) = desk.decided_after(self.seen, BATCH);
            if seen == self.seen {
                return;
            }
            self.seen = seen;
            let now = desk.clock();
            for prompt in decided {
                let Some(known) = self.register.get_mut(&prompt.id).filter(|known| !known.told) else { continue };
                known.told = true;
                let server = known.server.clone();
                // Whoever answers twice does so at once here.
                for state in std::iter::once(prompt.state).chain(prompt.then) {
                    let message = known.message(&prompt.id, word(state), now);
                    self.events.log(&server, |cursor| answers::event(cursor, &message));
                }
            }
        }
    }
}

/// Opens a stream.
pub(super) fn open(house: &Arc<House>, call: &Call, desk: &Arc<Desk>) -> Reply {
    let Some(server) = call.query("server").filter(|server| !server.is_empty()) else {
        desk.refused();
        return reply(error(StatusCode::UNPROCESSABLE_ENTITY, "unfit_field"));
    };
    let mut table = house.table();
    table.follow_desk(desk);
    let Some((after, resumed, _)) = table.events.follow(&server, &call.query("after").unwrap_or_default()) else {
        return reply(error(StatusCode::TOO_MANY_REQUESTS, "too_many_servers"));
    };
    let hello = answers::hello(&table.events.cursor(after), resumed);
    drop(table);
    let follower = Follower { house: Arc::clone(house), desk: Arc::clone(desk), server, after, spoken: Instant::now() };
    let lines = stream::unfold(follower, async |mut follower| {
        let text = follower.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), follower))
    });
    let (name, most) = batch_header();
    let mut stream = Reply::new(200, "application/x-ndjson", hello).header(name, most);
    stream.more = Some(Body::from_stream(lines));
    stream
}

/// One open stream.
struct Follower {
    house: Arc<House>,
    desk: Arc<Desk>,
    server: String,
    after: u64,
    /// When something was said last.
    spoken: Instant,
}

impl Follower {
    /// The next piece; `None` when the stream must end.
    async fn next(&mut self) -> Option<String> {
        let text = loop {
            let seen = {
                let mut table = self.house.table();
                table.follow_desk(&self.desk);
                // Without the events that are no longer kept the stream would have a hole: end it.
                let (text, last) = table.events.after(&self.server, self.after)?;
                if !text.is_empty() {
                    self.after = last;
                    break text;
                }
                if self.spoken.elapsed() >= HEARTBEAT {
                    break answers::heartbeat(&table.events.cursor(self.after));
                }
                table.seen
            };
            let quiet = HEARTBEAT.saturating_sub(self.spoken.elapsed()).max(Duration::from_millis(1));
            // Time over or news: look again either way.
            let _ = tokio::time::timeout(quiet, self.desk.news(seen)).await;
        };
        self.spoken = Instant::now();
        Some(text)
    }
}
