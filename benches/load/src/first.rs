//! How soon a server that has just been started gives its first answer, and what it then holds resident.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::generator::lane_socket;
use crate::histogram::millis;
use crate::usage;
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
    /// Between two requests of two people, as long as there is no answer.
    pub every: Duration,
    /// When to give up.
    pub timeout: Duration,
    /// How long after the first answer memory is read.
    pub settle: Duration,
    /// The program and its arguments, in the foreground.
    pub command: Vec<String>,
}

/// Starts the program, asks until it answers, and ends it.
pub fn run(plan: &Plan) -> io::Result<Value> {
    let (program, arguments) = plan.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let socket = lane_socket(plan.source, plan.server)?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(plan.every))?;
    let start = Instant::now();
    let mut child = Command::new(program).args(arguments).spawn()?;
    let (mut dice, mut packet, mut buffer) = (Dice::new(), Vec::new(), [0; wire::MAX_PACKET]);
    let mut asked: Vec<[u8; 16]> = Vec::new();
    let mut answer = None;
    let mut next = start;
    while answer.is_none() && start.elapsed() < plan.timeout && asked.len() < 256 {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("the program ended before it answered: {status}")));
        }
        if Instant::now() >= next {
            let (identifier, name) = (u8::try_from(asked.len()).unwrap_or(0), format!("u{:06}", asked.len()));
            let authenticator = dice.authenticator();
            plan.keys.request(&mut packet, identifier, &authenticator, &name, plan.password.as_bytes());
            next += plan.every;
            // Until the port is open the kernel refuses: such an identifier can be taken again.
            if socket.send(&packet).is_ok() {
                asked.push(authenticator);
            }
        }
        match socket.recv(&mut buffer) {
            Ok(length) => answer = verified(plan, &asked, buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                asked.pop();
                sleep(plan.every / 2);
            }
            Err(_) => {}
        }
    }
    let took = start.elapsed();
    sleep(plan.settle);
    let usage = usage::read(child.id());
    let status = end(&mut child)?;
    Ok(json!({
        "first_answer_ms": answer.map(|_| millis(took)), "code": answer, "asked": asked.len(),
        "resident_kib": usage.resident, "resident_peak_kib": usage.peak, "cpu_seconds": usage.cpu,
        "ended": status.to_string(),
    }))
}

/// The code of a genuine reply to one of the requests.
fn verified(plan: &Plan, asked: &[[u8; 16]], reply: &[u8]) -> Option<u8> {
    let authenticator = asked.get(usize::from(*reply.get(1)?))?;
    plan.keys.verify(reply, authenticator).map(|reply| reply.code)
}

/// Ends the program that we started: politely, then not.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    if let Ok(pid) = i32::try_from(child.id()) {
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    }
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(5) {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()
}
