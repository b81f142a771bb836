//! The load: many Access-Requests under way at once from a few sockets, one thread, no task each.
//!
//! ```text
//! pace ──▶ send_one ──▶ lane (a connected socket) × 256 identifiers ──▶ server
//!                          │ slot: when, who, authenticator (32 octets)
//! epoll ──▶ receive ───────┘ verified, measured, slot free again
//! expire: the oldest first, because all wait equally long
//! ```
//!
//! Nobody is asked twice at once: people are taken in turn, and who still waits is passed over.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Protocol, Socket, Type};

use crate::dice::Dice;
use crate::histogram::Histogram;
use crate::usage::Meter;
use crate::wire::{self, Keys};

/// Identifiers of one socket. RFC 2865 section 3.
const IDENTIFIERS: u32 = 256;

/// What to do.
pub struct Plan {
    /// Whom to ask.
    pub server: SocketAddr,
    /// Where requests come from; the port is the kernel's choice.
    pub source: IpAddr,
    /// How many sockets.
    pub lanes: u32,
    /// The shared secret.
    pub keys: Keys,
    /// Everybody's password.
    pub password: String,
    /// People are `u000000` up to one less than this.
    pub people: u32,
    /// The first person.
    pub first_person: u32,
    /// How fast.
    pub pace: Pace,
    /// Over how long a closed loop grows to its full size: a burst would only measure the socket's buffer.
    pub ramp: Duration,
    /// Send no more than so many.
    pub count: u64,
    /// Send no longer than this.
    pub duration: Duration,
    /// What is sent before this is not measured.
    pub warmup: Duration,
    /// After this a request is lost.
    pub timeout: Duration,
    /// Send the same bytes again after this, again and again.
    pub resend: Option<Duration>,
    /// How long the person takes; what goes beyond counts as late.
    pub expected: Duration,
    /// Look how idle the watched processes are between one and two seconds after the last request.
    pub idle_check: bool,
    /// Whether a reply without Message-Authenticator is good enough.
    pub unsigned_replies: bool,
}

/// How fast requests are sent.
pub enum Pace {
    /// So many under way at any time.
    Closed(u32),
    /// So many each second, whatever comes back.
    Open(f64),
}

/// What happened.
pub struct Tally {
    /// Requests sent, without repetitions.
    pub sent: u64,
    /// Genuine Access-Accepts, in all.
    pub accepted: u64,
    /// Genuine other replies, in all.
    pub refused: u64,
    /// Requests without a reply in time.
    pub lost: u64,
    /// Sending fell behind the wanted rate by so many, because no identifier or person was free.
    pub not_sent: u64,
    /// Repetitions sent.
    pub resent: u64,
    /// Datagrams that fit no request under way, or are not genuine.
    pub strays: u64,
    /// Accepts within the measured window, and its length in seconds.
    pub window: (u64, f64),
    /// From first to last reply of what was measured.
    pub latency: Histogram,
    /// The same beyond the expected time.
    pub late: Histogram,
    /// CPU seconds used from one to two seconds after the last request.
    pub idle: Option<Vec<f64>>,
    /// Highest number under way at once.
    pub most_under_way: u32,
    /// How long sending went on.
    pub sending: Duration,
}

/// A request under way. `sent` is 0 for a free slot; times are nanoseconds since the start.
#[derive(Clone, Copy, Default)]
struct Slot {
    sent: u64,
    authenticator: [u8; 16],
    person: u32,
}

/// A run under way.
pub struct Generator {
    plan: Plan,
    meter: Meter,
    start: Instant,
    epoll: Epoll,
    lanes: Vec<UdpSocket>,
    slots: Vec<Slot>,
    /// Free slots, the longest unused first, so that identifiers come back as late as possible.
    free: VecDeque<u32>,
    /// (time sent, slot) in order of sending.
    under_way: VecDeque<(u64, u32)>,
    /// (time sent, due, slot) in order of being due.
    resends: VecDeque<(u64, u64, u32)>,
    busy: Vec<bool>,
    next_person: u32,
    count: u32,
    dice: Dice,
    packet: Vec<u8>,
    tally: Tally,
}

impl Generator {
    /// Opens the sockets.
    pub fn new(plan: Plan, meter: Meter) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut lanes = Vec::new();
        for lane in 0..plan.lanes {
            let socket = lane_socket(plan.source, plan.server)?;
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, u64::from(lane)))?;
            lanes.push(socket);
        }
        let slots = plan.lanes * IDENTIFIERS;
        // Identifier first, lane second: few requests are spread over all sockets, too.
        let free = (0..IDENTIFIERS).flat_map(|id| (0..plan.lanes).map(move |lane| lane * IDENTIFIERS + id)).collect();
        Ok(Self {
            start: Instant::now(),
            epoll,
            lanes,
            slots: vec![Slot::default(); usize::try_from(slots).unwrap_or(0)],
            free,
            under_way: VecDeque::new(),
            resends: VecDeque::new(),
            busy: vec![false; usize::try_from(plan.people).unwrap_or(0)],
            next_person: plan.first_person % plan.people,
            count: 0,
            dice: Dice::new(),
            packet: Vec::with_capacity(wire::MAX_PACKET),
            tally: Tally::new(),
            meter,
            plan,
        })
    }

    /// Runs to the end: everything answered or lost.
    pub fn run(mut self) -> io::Result<(Tally, Meter)> {
        self.start = Instant::now();
        let end_of_sending = nanoseconds(self.plan.duration);
        let warmup = nanoseconds(self.plan.warmup);
        let by_count = self.plan.duration == Duration::MAX;
        let mut window: Option<(u64, u64)> = None;
        let mut stopped: Option<u64> = None;
        let mut next_sample = 0;
        loop {
            let now = self.now();
            if window.is_none() && now >= warmup {
                self.meter.begin();
                window = Some((self.tally.accepted, now));
            }
            if now >= next_sample {
                self.meter.sample();
                next_sample = now + 200_000_000;
            }
            if stopped.is_none() {
                self.send_due(now);
                if now >= end_of_sending || self.tally.sent >= self.plan.count {
                    stopped = Some(now);
                    self.tally.sending = Duration::from_nanos(now);
                    if !by_count {
                        self.close_window(window, now);
                    }
                }
            }
            self.receive(now)?;
            self.resend_due();
            self.expire();
            if let Some(stopped) = stopped
                && self.count == 0
                && self.idle_checked(stopped)
            {
                break;
            }
        }
        if by_count {
            let now = self.now();
            self.close_window(window, now);
        }
        Ok((self.tally, self.meter))
    }

    fn close_window(&mut self, window: Option<(u64, u64)>, now: u64) {
        let (accepted, since) = window.unwrap_or((self.tally.accepted, now));
        let seconds = Duration::from_nanos(now.saturating_sub(since)).as_secs_f64();
        self.tally.window = (self.tally.accepted - accepted, seconds);
        self.meter.end();
    }

    /// Whether nothing is left to look at after the last request.
    fn idle_checked(&mut self, stopped: u64) -> bool {
        if !self.plan.idle_check {
            return true;
        }
        let now = self.now();
        if now < stopped + 1_000_000_000 {
            return false;
        }
        let before = self.tally.idle.get_or_insert_with(|| self.meter.cpu_now());
        if now < stopped + 2_000_000_000 {
            return false;
        }
        for (before, after) in before.iter_mut().zip(self.meter.cpu_now()) {
            *before = after - *before;
        }
        self.plan.idle_check = false;
        true
    }

    fn send_due(&mut self, now: u64) {
        let wanted = match self.plan.pace {
            Pace::Closed(most) => {
                let share = now.saturating_mul(u64::from(most)).checked_div(nanoseconds(self.plan.ramp));
                share.unwrap_or(u64::MAX).clamp(1, u64::from(most)).saturating_sub(u64::from(self.count))
            }
            Pace::Open(rate) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count")]
                let due = (Duration::from_nanos(now).as_secs_f64() * rate) as u64;
                due.saturating_sub(self.tally.sent + self.tally.not_sent)
            }
        };
        for _ in 0..wanted.min(self.plan.count - self.tally.sent) {
            if !self.send_one() {
                // An open loop does not make up for it later: that would be a burst.
                self.tally.not_sent += u64::from(matches!(self.plan.pace, Pace::Open(_)));
            }
        }
    }

    /// Sends the next person's request; `false` if no slot or no person is free.
    fn send_one(&mut self) -> bool {
        let Some(person) = self.free_person() else { return false };
        let Some(at) = self.free.pop_front() else { return false };
        let slot = Slot { sent: self.now().max(1), authenticator: self.dice.authenticator(), person };
        self.transmit(at, &slot);
        if let Some(place) = self.slots.get_mut(index(at)) {
            *place = slot;
        }
        self.mark(person, true);
        self.count += 1;
        self.tally.most_under_way = self.tally.most_under_way.max(self.count);
        self.tally.sent += 1;
        self.under_way.push_back((slot.sent, at));
        if let Some(after) = self.plan.resend {
            self.resends.push_back((slot.sent, slot.sent + nanoseconds(after), at));
        }
        true
    }

    fn transmit(&mut self, at: u32, slot: &Slot) {
        let identifier = u8::try_from(at % IDENTIFIERS).unwrap_or(0);
        let name = format!("u{:06}", slot.person);
        let keys = &self.plan.keys;
        keys.request(&mut self.packet, identifier, &slot.authenticator, &name, self.plan.password.as_bytes());
        if let Some(socket) = self.lanes.get(index(at / IDENTIFIERS)) {
            // Refused or a full buffer: the request counts as lost when its time is over.
            let _ = socket.send(&self.packet);
        }
    }

    /// The next person in turn who is not waiting already.
    fn free_person(&mut self) -> Option<u32> {
        for _ in 0..1_000 {
            let person = self.next_person;
            self.next_person = (person + 1) % self.plan.people;
            if self.busy.get(index(person)) == Some(&false) {
                return Some(person);
            }
        }
        None
    }

    fn mark(&mut self, person: u32, busy: bool) {
        if let Some(place) = self.busy.get_mut(index(person)) {
            *place = busy;
        }
    }

    /// Waits for replies, at most a millisecond, and takes what has come.
    fn receive(&mut self, now: u64) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 64];
        let wait: u8 = match self.plan.pace {
            Pace::Open(_) => 1,
            Pace::Closed(_) if now < nanoseconds(self.plan.ramp) => 1,
            Pace::Closed(_) => 20,
        };
        let ready = match self.epoll.wait(&mut events, EpollTimeout::from(wait)) {
            Ok(ready) => ready,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut buffer = [0; wire::MAX_PACKET];
        for event in events.iter().take(ready) {
            let lane = u32::try_from(event.data()).unwrap_or(u32::MAX);
            for _ in 0..32 {
                let Some(socket) = self.lanes.get(index(lane)) else { break };
                match socket.recv(&mut buffer) {
                    Ok(length) => self.take(lane, buffer.get(..length).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // Nobody listens yet or any more.
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, lane: u32, datagram: &[u8]) {
        let at = lane * IDENTIFIERS + u32::from(datagram.get(1).copied().unwrap_or(0));
        let Some(slot) = self.slots.get(index(at)).copied().filter(|slot| slot.sent > 0) else {
            self.tally.strays += 1;
            return;
        };
        let reply = self.plan.keys.verify(datagram, &slot.authenticator);
        let Some(reply) = reply.filter(|reply| reply.signed || self.plan.unsigned_replies) else {
            self.tally.strays += 1;
            return;
        };
        let now = self.now();
        if reply.code == wire::ACCESS_ACCEPT {
            self.tally.accepted += 1;
            if slot.sent >= nanoseconds(self.plan.warmup) {
                let took = now.saturating_sub(slot.sent);
                self.tally.latency.add(took);
                self.tally.late.add(took.saturating_sub(nanoseconds(self.plan.expected)));
            }
        } else {
            self.tally.refused += 1;
        }
        self.release(at, slot.person);
    }

    fn release(&mut self, at: u32, person: u32) {
        if let Some(place) = self.slots.get_mut(index(at)) {
            place.sent = 0;
        }
        self.mark(person, false);
        self.free.push_back(at);
        self.count -= 1;
    }

    fn expire(&mut self) {
        let now = self.now();
        let timeout = nanoseconds(self.plan.timeout);
        while let Some(&(sent, at)) = self.under_way.front() {
            let slot = self.slots.get(index(at)).copied().unwrap_or_default();
            if slot.sent == sent {
                if now < sent.saturating_add(timeout) {
                    break;
                }
                self.tally.lost += 1;
                self.release(at, slot.person);
            }
            self.under_way.pop_front();
        }
    }

    fn resend_due(&mut self) {
        let Some(after) = self.plan.resend else { return };
        let now = self.now();
        while let Some(&(sent, due, at)) = self.resends.front().filter(|resend| resend.1 <= now) {
            self.resends.pop_front();
            let slot = self.slots.get(index(at)).copied().unwrap_or_default();
            if slot.sent == sent {
                self.transmit(at, &slot);
                self.tally.resent += 1;
                self.resends.push_back((sent, due + nanoseconds(after), at));
            }
        }
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }
}

impl Tally {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self {
            sent: 0,
            accepted: 0,
            refused: 0,
            lost: 0,
            not_sent: 0,
            resent: 0,
            strays: 0,
            window: (0, 0.0),
            latency: Histogram::new(),
            late: Histogram::new(),
            idle: None,
            most_under_way: 0,
            sending: Duration::ZERO,
        }
    }
}

/// A socket of our own port that hears only this server.
pub fn lane_socket(source: IpAddr, server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(server), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(1 << 20)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&server.into())?;
    Ok(socket.into())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
