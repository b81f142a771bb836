//! What a retransmission costs: sign in, then send the identical requests again and again, and compare
//! each reply with the first one, octet by octet.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::generator::lane_socket;
use crate::usage::Meter;
use crate::wire::{self, Keys};

/// What to do.
pub struct Plan {
    /// Whom to ask.
    pub server: SocketAddr,
    /// Where requests come from.
    pub source: IpAddr,
    /// The shared secret.
    pub keys: Keys,
    /// Everybody's password.
    pub password: String,
    /// How many people sign in, at most 256 for each socket.
    pub requests: u32,
    /// How often each request is repeated.
    pub rounds: u32,
    /// How many are sent before their replies are awaited.
    pub window: usize,
    /// How long one reply may take.
    pub timeout: Duration,
}

/// A request and the reply it got first.
struct Exchange {
    request: Vec<u8>,
    authenticator: [u8; 16],
    reply: Vec<u8>,
}

/// Runs it; CPU time is that of the repetitions alone.
pub fn run(plan: &Plan, mut meter: Meter) -> io::Result<Value> {
    let mut dice = Dice::new();
    let mut lanes: Vec<(UdpSocket, Vec<Exchange>)> = Vec::new();
    for person in 0..plan.requests {
        if person % 256 == 0 {
            let socket = lane_socket(plan.source, plan.server)?;
            socket.set_nonblocking(false)?;
            socket.set_read_timeout(Some(plan.timeout))?;
            lanes.push((socket, Vec::new()));
        }
        let (mut request, authenticator) = (Vec::new(), dice.authenticator());
        let (identifier, name) = (u8::try_from(person % 256).unwrap_or(0), format!("u{person:06}"));
        plan.keys.request(&mut request, identifier, &authenticator, &name, plan.password.as_bytes());
        if let Some((_, exchanges)) = lanes.last_mut() {
            exchanges.push(Exchange { request, authenticator, reply: Vec::new() });
        }
    }
    let first = round(plan, &mut lanes)?;
    meter.begin();
    let start = Instant::now();
    let mut repeated = Outcome::default();
    for _ in 0..plan.rounds {
        let outcome = round(plan, &mut lanes)?;
        repeated.identical += outcome.identical;
        repeated.different += outcome.different;
        repeated.lost += outcome.lost;
    }
    let seconds = start.elapsed().as_secs_f64();
    meter.end();
    let sent = u64::from(plan.requests) * u64::from(plan.rounds);
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let rate = (sent as f64 / seconds).round();
    Ok(json!({
        "signed_in": first.identical, "sent": sent, "identical": repeated.identical, "different": repeated.different,
        "lost": repeated.lost, "per_second": rate, "seconds": seconds, "processes": meter.json(sent),
    }))
}

#[derive(Default)]
struct Outcome {
    identical: u64,
    different: u64,
    lost: u64,
}

/// Sends every request once. The first reply ever seen to it is the one that counts.
fn round(plan: &Plan, lanes: &mut [(UdpSocket, Vec<Exchange>)]) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut buffer = [0; wire::MAX_PACKET];
    for (socket, exchanges) in lanes {
        for (number, some) in exchanges.chunks_mut(plan.window.max(1)).enumerate() {
            for exchange in &*some {
                socket.send(&exchange.request)?;
            }
            let before = number * plan.window.max(1);
            let mut awaited = some.len();
            while awaited > 0 {
                let length = match socket.recv(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                    Err(error) => return Err(error),
                };
                let reply = buffer.get(..length).unwrap_or_default();
                let identifier = usize::from(reply.get(1).copied().unwrap_or(0));
                let Some(exchange) = identifier.checked_sub(before).and_then(|at| some.get_mut(at)) else { continue };
                awaited -= 1;
                if exchange.reply.is_empty() && plan.keys.verify(reply, &exchange.authenticator).is_some() {
                    exchange.reply.extend_from_slice(reply);
                }
                if exchange.reply == reply {
                    outcome.identical += 1;
                } else {
                    outcome.different += 1;
                }
            }
            outcome.lost += u64::try_from(awaited).unwrap_or(0);
        }
    }
    Ok(outcome)
}
