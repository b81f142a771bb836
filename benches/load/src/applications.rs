//! The load of applications that speak LDAP: many connections, one thread, no task each.
//!
//! ```text
//! search    one bind, then searches, `depth` under way on each connection
//! rebind    the same bind again and again on each connection
//! session   connect, bind, search, unbind: a new connection for each
//! paged     everybody in pages, entries counted
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::{Value, json};

use crate::histogram::Histogram;
use crate::ldap::{self, tag};
use crate::usage::Meter;

/// Room for one read.
const ROOM: usize = 256 * 1024;

/// What each connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Searches for one person each
    Search,
    /// Binds on one connection
    Rebind,
    /// Connect, bind, search, unbind
    Session,
    /// Everybody in pages
    Paged,
}

/// What to do.
pub struct Plan {
    /// Whom to ask.
    pub server: SocketAddr,
    /// What each connection does.
    pub mode: Mode,
    /// How many connections at a time.
    pub connections: usize,
    /// Requests under way on each; for searches only.
    pub depth: usize,
    /// People are `u000000` up to one less than this.
    pub people: u32,
    /// Where they are.
    pub base: String,
    /// Who binds.
    pub name: String,
    /// With which password.
    pub password: String,
    /// Entries of one page.
    pub page: u32,
    /// For how long, and how much of it is not measured.
    pub seconds: f64,
    /// Not measured at the beginning.
    pub warmup: f64,
}

/// One connection.
struct Lane {
    stream: TcpStream,
    input: Vec<u8>,
    /// Message id and start of what is under way.
    under_way: Vec<(u32, Instant)>,
    last_id: u32,
    /// Start of the session.
    began: Instant,
}

impl Lane {
    fn open(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        Ok(Lane { stream, input: Vec::new(), under_way: Vec::new(), last_id: 0, began: Instant::now() })
    }

    fn send(&mut self, write: impl FnOnce(u32) -> Vec<u8>) -> io::Result<()> {
        self.last_id = if self.last_id >= 0x7fff_ffff { 1 } else { self.last_id + 1 };
        self.under_way.push((self.last_id, Instant::now()));
        // requests are small: what does not fit into an empty socket buffer is an error worth knowing
        self.stream.write_all(&write(self.last_id))
    }

    /// Reads what has arrived; false at the end of the stream.
    fn receive(&mut self, room: &mut [u8]) -> io::Result<bool> {
        match self.stream.read(room) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.input.extend_from_slice(room.get(..length).unwrap_or_default());
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// When the request of this id was sent; it is under way no more.
    fn finish(&mut self, id: u32) -> Option<Instant> {
        let at = self.under_way.iter().position(|(other, _)| *other == id)?;
        Some(self.under_way.swap_remove(at).1)
    }
}

/// A finished request, as seen by the loop.
struct Finished {
    tag: u8,
    code: u8,
    started: Instant,
    cookie: Option<Vec<u8>>,
}

/// A run under way.
pub struct Load {
    plan: Plan,
    meter: Meter,
    next_person: u32,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    done: u64,
    entries: u64,
    errors: u64,
    lost: u64,
}

impl Load {
    /// Runs it to its end and reports.
    pub fn run(plan: Plan, meter: Meter) -> io::Result<Value> {
        let mut load = Load { plan, meter, next_person: 0, tally: Tally::default() };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut lanes = Vec::new();
        for at in 0..load.plan.connections {
            let lane = load.open()?;
            epoll.add(&lane.stream, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
            lanes.push(lane);
        }
        for lane in &mut lanes {
            load.begin(lane)?;
        }
        load.turn(&epoll, &mut lanes)
    }

    /// A new connection, bound where the mode wants it so.
    fn open(&mut self) -> io::Result<Lane> {
        let mut lane = Lane::open(self.plan.server)?;
        if matches!(self.plan.mode, Mode::Search | Mode::Paged) {
            lane.send(|id| ldap::bind(id, &self.plan.name, &self.plan.password))?;
            let mut room = vec![0; 4096];
            let bound = loop {
                if !lane.receive(&mut room)? {
                    return Err(io::Error::other("closed instead of an answer to the first bind"));
                }
                if let Some(answer) = ldap::answer(&lane.input) {
                    break answer.code;
                }
            };
            if bound != 0 {
                return Err(io::Error::other(format!("the first bind: result {bound}")));
            }
            lane.input.clear();
            lane.under_way.clear();
        }
        lane.stream.set_nonblocking(true)?;
        Ok(lane)
    }

    /// Sends what starts a connection's work.
    fn begin(&mut self, lane: &mut Lane) -> io::Result<()> {
        match self.plan.mode {
            Mode::Search => {
                for _ in 0..self.plan.depth {
                    self.search(lane)?;
                }
                Ok(())
            }
            Mode::Rebind | Mode::Session => lane.send(|id| ldap::bind(id, &self.plan.name, &self.plan.password)),
            Mode::Paged => self.page(lane, &[]),
        }
    }

    fn search(&mut self, lane: &mut Lane) -> io::Result<()> {
        let uid = format!("u{:06}", self.next_person);
        // neighbours in turn would all be in one place of the directory's cache
        self.next_person = (self.next_person + 7919) % self.plan.people;
        lane.send(|id| ldap::search(id, &self.plan.base, &uid))
    }

    fn page(&mut self, lane: &mut Lane, cookie: &[u8]) -> io::Result<()> {
        lane.send(|id| ldap::page(id, &self.plan.base, self.plan.page, cookie))
    }

    /// The loop.
    fn turn(&mut self, epoll: &Epoll, lanes: &mut [Lane]) -> io::Result<Value> {
        let start = Instant::now();
        let (warm, end) = (Duration::from_secs_f64(self.plan.warmup), Duration::from_secs_f64(self.plan.seconds));
        let mut window = Instant::now();
        let (mut latency, mut measuring) = (Histogram::new(), false);
        let (mut events, mut room) = (vec![EpollEvent::empty(); 256], vec![0; ROOM]);
        while start.elapsed() < end {
            if !measuring && start.elapsed() >= warm {
                measuring = true;
                (self.tally, latency, window) = (Tally::default(), Histogram::new(), Instant::now());
                self.meter.begin();
            }
            let count = epoll.wait(&mut events, EpollTimeout::from(100_u16))?;
            for event in events.iter().take(count) {
                let Some(lane) = usize::try_from(event.data()).ok().and_then(|at| lanes.get_mut(at)) else { continue };
                if !self.serve(lane, &mut room, &mut latency)? {
                    self.tally.lost += 1;
                    self.renew(epoll, lane, event.data())?;
                }
                // a session that has ended has said so
                if self.plan.mode == Mode::Session && lane.under_way.is_empty() {
                    self.renew(epoll, lane, event.data())?;
                }
            }
        }
        let seconds = window.elapsed().as_secs_f64();
        self.meter.end();
        let units = if self.plan.mode == Mode::Paged { self.tally.entries } else { self.tally.done };
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let rate = (units as f64 / seconds * 10.0).round() / 10.0;
        Ok(json!({
            "done": self.tally.done, "entries": self.tally.entries, "errors": self.tally.errors,
            "lost": self.tally.lost, "window_seconds": seconds, "per_second": rate,
            "latency_ms": latency.json(), "processes": self.meter.json(units),
        }))
    }

    /// Puts a new connection in the place of one that has ended.
    fn renew(&mut self, epoll: &Epoll, lane: &mut Lane, data: u64) -> io::Result<()> {
        *lane = self.open()?;
        epoll.add(&lane.stream, EpollEvent::new(EpollFlags::EPOLLIN, data))?;
        self.begin(lane)
    }

    /// Takes in what has arrived on a connection and sends what comes next; false when it has ended.
    fn serve(&mut self, lane: &mut Lane, room: &mut [u8], latency: &mut Histogram) -> io::Result<bool> {
        if !lane.receive(room).unwrap_or(false) {
            return Ok(false);
        }
        let mut taken = 0;
        let mut finished = Vec::new();
        while let Some(answer) = ldap::answer(lane.input.get(taken..).unwrap_or_default()) {
            taken += answer.length;
            if answer.tag == tag::ENTRY {
                self.tally.entries += 1;
                continue;
            }
            let (id, tag, code) = (answer.id, answer.tag, answer.code);
            let cookie = answer.cookie();
            let Some(started) = lane.finish(id) else {
                self.tally.errors += 1;
                continue;
            };
            finished.push(Finished { tag, code, started, cookie });
        }
        lane.input.drain(..taken);
        for one in finished {
            self.after(lane, &one, latency)?;
        }
        Ok(true)
    }

    /// What follows a finished request.
    fn after(&mut self, lane: &mut Lane, one: &Finished, latency: &mut Histogram) -> io::Result<()> {
        if one.code != 0 {
            self.tally.errors += 1;
        }
        let mut count = |since: Instant| {
            self.tally.done += 1;
            latency.add(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
        };
        match (self.plan.mode, one.tag) {
            (Mode::Search, _) => {
                count(one.started);
                self.search(lane)
            }
            (Mode::Rebind, _) => {
                count(one.started);
                lane.send(|id| ldap::bind(id, &self.plan.name, &self.plan.password))
            }
            (Mode::Session, tag::BOUND) => self.search(lane),
            (Mode::Session, tag::DONE) => {
                count(lane.began);
                lane.stream.write_all(&ldap::unbind(lane.last_id + 1))
            }
            (Mode::Session, found) => Err(io::Error::other(format!("an answer with the tag {found:#x}"))),
            (Mode::Paged, _) => {
                count(one.started);
                let cookie = one.cookie.clone().unwrap_or_default();
                self.page(lane, &cookie)
            }
        }
    }
}
