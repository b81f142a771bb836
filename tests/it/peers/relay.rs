//! A TCP relay between the server and the in-process provider, so that a test can take the provider away:
//! `stall` is a provider that was stopped (SIGSTOP), `cut` is one that was killed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FLOWING: u8 = 0;
const STALLED: u8 = 1;
const CUT: u8 = 2;

/// The relay; it ends with the test process.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    address: SocketAddr,
    state: Arc<AtomicU8>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    /// A relay to `target`.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            address: listener.local_addr().unwrap(),
            state: Arc::new(AtomicU8::new(FLOWING)),
            open: Arc::default(),
        };
        let accepting = relay.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // a killed provider's port refuses; closing at once is as near as a bound port comes
                if accepting.state.load(Ordering::SeqCst) == CUT {
                    continue;
                }
                if let Ok(far) = TcpStream::connect(target) {
                    accepting.join(near, far);
                }
            }
        });
        relay
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections stay open, nothing passes any more.
    pub(crate) fn stall(&self) {
        self.state.store(STALLED, Ordering::SeqCst);
    }

    /// All connections break, new ones are closed at once.
    pub(crate) fn cut(&self) {
        self.state.store(CUT, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            // already gone is fine
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Everything passes again, also what was stalled.
    pub(crate) fn resume(&self) {
        self.state.store(FLOWING, Ordering::SeqCst);
    }

    fn join(&self, near: TcpStream, far: TcpStream) {
        let pairs = [(&near, &far), (&far, &near)].map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()));
        for (from, to) in pairs {
            let state = self.state.clone();
            std::thread::spawn(move || pass(from, to, &state));
        }
        self.open.lock().unwrap().extend([near, far]);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        while state.load(Ordering::SeqCst) == STALLED {
            std::thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
