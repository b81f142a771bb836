//! The load over one connection of TLS (RFC 6614): a closed loop, each answer is followed by the next request.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::dice::Dice;
use crate::generator::Tally;
use crate::usage::Meter;
use crate::wire::{self, Keys};

/// What to do.
pub struct Plan {
    /// Whom to ask.
    pub server: SocketAddr,
    /// Who signed its certificate.
    pub ca: PathBuf,
    /// Ours.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Everybody's password.
    pub password: String,
    /// People are `u000000` up to one less than this.
    pub people: u32,
    /// Requests under way, at most 256.
    pub under_way: u8,
    /// How long it sends, and what of it is not measured.
    pub seconds: Duration,
    /// What is sent before this is not measured.
    pub warmup: Duration,
}

/// A request under way.
#[derive(Clone, Copy, Default)]
struct Slot {
    sent: Option<Instant>,
    authenticator: [u8; 16],
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

fn connect(plan: &Plan) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&plan.ca).map_err(other)? {
        roots.add(certificate.map_err(other)?).map_err(other)?;
    }
    let chain = CertificateDer::pem_file_iter(&plan.certificate).map_err(other)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(other)?;
    let key = PrivateKeyDer::from_pem_file(&plan.key).map_err(other)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key);
    let name = ServerName::from(plan.server.ip());
    let connection = ClientConnection::new(Arc::new(config.map_err(other)?), name).map_err(other)?;
    let tcp = TcpStream::connect(plan.server)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(StreamOwned::new(connection, tcp))
}

/// Runs to the end: everything answered. An answer that is late by 10 s, or not genuine, ends it with an error.
pub fn run(plan: &Plan, mut meter: Meter) -> io::Result<(Tally, Meter)> {
    let keys = Keys::new(b"radsec").map_err(other)?;
    let mut stream = connect(plan)?;
    let (mut tally, mut dice, mut slots) = (Tally::new(), Dice::new(), [Slot::default(); 256]);
    let (mut packet, mut out, mut input) = (Vec::new(), Vec::new(), Vec::new());
    let mut person = 0;
    let mut ask = |identifier: u8, slot: &mut Slot, tally: &mut Tally, out: &mut Vec<u8>| {
        *slot = Slot { sent: Some(Instant::now()), authenticator: dice.authenticator() };
        let name = format!("u{person:06}");
        person = (person + 1) % plan.people.max(1);
        keys.request(&mut packet, identifier, &slot.authenticator, &name, plan.password.as_bytes());
        out.extend_from_slice(&packet);
        tally.sent += 1;
    };
    let start = Instant::now();
    for (identifier, slot) in (0..plan.under_way).zip(&mut slots) {
        ask(identifier, slot, &mut tally, &mut out);
    }
    tally.most_under_way = u32::from(plan.under_way);
    let (mut waiting, mut window, mut closed) = (u32::from(plan.under_way), None, false);
    let mut buffer = [0; 16 * 1024];
    while waiting > 0 {
        if !out.is_empty() {
            stream.write_all(&out)?;
            stream.flush()?;
            out.clear();
        }
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let now = Instant::now();
        let so_far = now - start;
        if window.is_none() && so_far >= plan.warmup {
            meter.begin();
            window = Some((tally.accepted, now));
        }
        if !closed && so_far >= plan.seconds {
            closed = true;
            let (accepted, since) = window.unwrap_or((tally.accepted, now));
            tally.window = (tally.accepted - accepted, (now - since).as_secs_f64());
            tally.sending = so_far;
            meter.end();
        }
        let mut at = 0;
        while let Some(reply) = input.get(at..).and_then(whole) {
            at += reply.len();
            let identifier = reply.get(1).copied().unwrap_or_default();
            let Some(slot) = slots.get_mut(usize::from(identifier)) else { continue };
            let said = keys.verify(reply, &slot.authenticator).zip(slot.sent.take());
            let (said, sent) = said.ok_or_else(|| other("an answer that is not genuine"))?;
            if said.code == wire::ACCESS_ACCEPT {
                tally.accepted += 1;
                if window.is_some() && !closed {
                    tally.latency.add(u64::try_from((now - sent).as_nanos()).unwrap_or(u64::MAX));
                }
            } else {
                tally.refused += 1;
            }
            if closed {
                waiting -= 1;
            } else {
                ask(identifier, slot, &mut tally, &mut out);
            }
        }
        input.drain(..at);
    }
    Ok((tally, meter))
}

/// The first packet, if it is all there.
fn whole(input: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?]));
    input.get(..length).filter(|packet| packet.len() >= 20)
}
