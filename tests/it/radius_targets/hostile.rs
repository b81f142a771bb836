//! Targets that lie, mix up, come late or fall silent: every sign-in hears of its own alone.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use anteroom::radius::authenticator::{ClientKey, sign_reply};
use anteroom::radius::packet::{Builder, Code, Packet};
use anteroom::secret::Secret;

use super::*;

/// A reply to a request, under this identifier and secret, that names somebody in its Class.
pub(crate) fn reply(request: &[u8], code: u8, identifier: u8, class: &[u8], secret: &str) -> Vec<u8> {
    let request = Packet::decode(request).unwrap();
    let key = ClientKey::new(Secret::from_text(secret.into()));
    let mut packet = Builder::new(Code(code), identifier, request.authenticator(), 64);
    packet.push(80, &[0; 16]).unwrap();
    packet.push(CLASS, class).unwrap();
    request.values(PROXY_STATE).for_each(|state| packet.push(PROXY_STATE, state).unwrap());
    let mut bytes = packet.into_bytes();
    sign_reply(&mut bytes, request.authenticator(), &key);
    bytes
}

pub(crate) fn name_in(request: &[u8]) -> Vec<u8> {
    Packet::decode(request).unwrap().value(1).unwrap_or_default().to_vec()
}

/// How the first server treats a person, by the number in their name.
fn kind(name: &[u8]) -> u8 {
    (name[name.len() - 2] - b'0') % 6
}

/// The first server: right, forged and mixed up, silent and late, refusing, repeating itself. `other` sends in its place
/// from another address.
fn first_server(socket: &UdpSocket, other: &UdpSocket) {
    let mut buffer = [0; 4096];
    let mut late: VecDeque<(Instant, Vec<u8>, SocketAddr)> = VecDeque::new();
    let mut before: Option<Vec<u8>> = None;
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    loop {
        while late.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            let (_, bytes, from) = late.pop_front().unwrap();
            let _ = socket.send_to(&bytes, from);
        }
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let asked = buffer[..length].to_vec();
        if asked[0] != 1 {
            continue;
        }
        let (name, own) = (name_in(&asked), asked[1]);
        let right = reply(&asked, ACCESS_ACCEPT, own, &name, TARGET_SECRET);
        let send = |bytes: &[u8]| drop(socket.send_to(bytes, from));
        match kind(&name) {
            0 => send(&right),
            1 => {
                send(&reply(&asked, ACCESS_ACCEPT, own, b"forged", "another secret than the right one"));
                // Another person's reply, under this identifier and under another.
                if let Some(before) = &before {
                    let theirs = name_in(before);
                    send(&reply(before, ACCESS_ACCEPT, own, &theirs, TARGET_SECRET));
                    send(&reply(before, ACCESS_ACCEPT, own.wrapping_add(1), &theirs, TARGET_SECRET));
                }
                send(&right[..21]);
                send(&right);
            }
            2 => {
                let wrong = reply(&asked, ACCESS_ACCEPT, own, b"from elsewhere", TARGET_SECRET);
                let _ = other.send_to(&wrong, from);
                send(&right);
            }
            3 => late.push_back((
                Instant::now() + Duration::from_millis(1500),
                reply(&asked, ACCESS_ACCEPT, own, b"late", TARGET_SECRET),
                from,
            )),
            4 => send(&reply(&asked, ACCESS_REJECT, own, &name, TARGET_SECRET)),
            _ => (0..5).for_each(|_| send(&right)),
        }
        before = Some(asked);
    }
}

/// The second server answers everybody, right.
fn second_server(socket: &UdpSocket) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let asked = &buffer[..length];
        let (code, class) = if asked[0] == 1 { (ACCESS_ACCEPT, name_in(asked)) } else { (ACCESS_ACCEPT, Vec::new()) };
        let _ = socket.send_to(&reply(asked, code, asked[1], &class, TARGET_SECRET), from);
    }
}

#[test]
fn among_forged_swapped_late_and_repeated_replies_everybody_hears_their_own() {
    let [first, second] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let servers = [first.local_addr().unwrap(), second.local_addr().unwrap()];
    let other = second.try_clone().unwrap();
    thread::spawn(move || first_server(&first, &other));
    thread::spawn(move || second_server(&second));
    let world = relayed(&servers, "tries = 1\nprobe = \"0s\"\ndead_for = \"1s\"", "unknown_users = \"password_only\"");
    let one = |number: usize| {
        let name = format!("m{number:03}x");
        let chain: Vec<Vec<u8>> = (0..10).map(|turn| format!("{name}-{turn}").into_bytes()).collect();
        let states: Vec<(u8, &[u8])> = chain.iter().map(|state| (PROXY_STATE, state.as_slice())).collect();
        let reply = world.sign_in(&name, PASSWORD, &states);
        // While the first one is thought dead, the second answers for all, also for those whom the first would refuse.
        if reply.code == ACCESS_REJECT {
            assert_eq!(kind(name.as_bytes()), 4, "{name}");
        } else {
            assert_eq!(values(&reply, CLASS), [name.as_bytes()], "{name}");
        }
        assert_eq!(values(&reply, PROXY_STATE), chain, "the chain of ten, in order");
    };
    for round in 0..3 {
        let one = &one;
        thread::scope(|scope| {
            let all: Vec<_> = (0..60).map(|number| scope.spawn(move || one(round * 60 + number))).collect();
            all.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
    let metrics = world.server.http("/metrics").unwrap();
    assert!(!metrics.contains("anteroom_sign_ins_total{client=\"vpn\",verdict=\"discard\""), "{metrics}");
}

#[test]
fn where_every_identifier_is_in_use_the_rest_is_silent_and_nobody_hears_anothers() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = socket.local_addr().unwrap();
    // It collects as many requests as there are identifiers, and then answers all of them, the last one first.
    thread::spawn(move || {
        let mut asked: Vec<(Vec<u8>, SocketAddr)> = Vec::new();
        let mut buffer = [0; 4096];
        let mut is_open = false;
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let request = buffer[..length].to_vec();
            if request[0] == 1 && !asked.iter().any(|(known, _)| *known == request) {
                asked.push((request, from));
            }
            if asked.len() >= 256 && !is_open {
                // Until the rest has found no identifier.
                thread::sleep(Duration::from_secs(1));
                is_open = true;
            }
            let ready = if is_open { std::mem::take(&mut asked) } else { Vec::new() };
            for (request, from) in ready.into_iter().rev() {
                let _ = socket
                    .send_to(&reply(&request, ACCESS_ACCEPT, request[1], &name_in(&request), TARGET_SECRET), from);
            }
        }
    });
    let world = relayed(&[target], "sockets = 1\ntries = 15\nprobe = \"0s\"", "unknown_users = \"password_only\"");
    let mut waiting: Vec<(String, Nas, Vec<u8>)> = Vec::new();
    for number in 0..300 {
        let name = format!("m{number:03}x");
        let mut nas = Nas::new(world.server.radius(), SHARED_SECRET);
        let request = nas.request(&name, PASSWORD.as_bytes(), &[]);
        nas.send(&request);
        waiting.push((name, nas, request.bytes));
    }
    // Whoever found no identifier has heard nothing; the same request again finds one.
    for (name, nas, bytes) in &waiting {
        let request = crate::peers::wire::Request { bytes: bytes.clone() };
        let reply = eventually("an answer", || {
            nas.receive(&request, Duration::from_millis(200)).or_else(|| {
                nas.send(&request);
                None
            })
        });
        assert_eq!((reply.code, values(&reply, CLASS)), (ACCESS_ACCEPT, vec![name.as_bytes()]));
    }
    let silent = world.server.http("/metrics").unwrap();
    let line = silent.lines().find(|line| line.contains("verdict=\"discard\",reason=\"overloaded\""));
    let count: u32 = line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default();
    assert!(count >= 44, "{count} were silent: {silent}");
}
