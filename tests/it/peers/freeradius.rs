//! A real FreeRADIUS as the server behind, run by `tests/peers/freeradius.sh`: one for each test that asks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::script::Script;
use super::{missing, peer_file};

/// The secret between it and Anteroom.
pub(crate) const TARGET_SECRET: &str = "between-anteroom-and-its-target";
/// The password of everybody there.
pub(crate) const PASSWORD: &str = "Us3r-Passw0rd!";

/// The running server.
#[derive(Debug)]
pub(crate) struct FreeRadius {
    address: String,
    folder: PathBuf,
    script: Script,
}

impl FreeRadius {
    /// A server of its own, or `None` where it cannot be had, which has then been said.
    pub(crate) fn start() -> Option<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let address = format!("127.{}.{}.{number}", 68 + (process >> 8 & 0x1f), process & 0xff);
        let folder = std::env::temp_dir().join(format!("anteroom-freeradius-{process}-{number}"));
        match Script::start(Command::new(peer_file("freeradius.sh")).arg(&folder).args([&address, TARGET_SECRET])) {
            Ok(script) => Some(FreeRadius { address, folder, script }),
            Err(why) => {
                missing("FreeRADIUS", &why);
                None
            }
        }
    }

    /// Where it is asked.
    pub(crate) fn radius(&self) -> SocketAddr {
        format!("{}:18120", self.address).parse().unwrap()
    }

    /// Where accounting goes.
    pub(crate) fn accounting(&self) -> SocketAddr {
        format!("{}:18130", self.address).parse().unwrap()
    }

    /// Where it is asked to change or end sessions, as an access server is.
    pub(crate) fn changes(&self) -> SocketAddr {
        format!("{}:37990", self.address).parse().unwrap()
    }

    /// Every accounting record that it has had, as it writes them down.
    pub(crate) fn detail(&self) -> String {
        std::fs::read_to_string(self.folder.join("acct/detail")).unwrap_or_default()
    }

    /// A file of its TLS: `ca.pem`, `cert.pem`, `key.pem`.
    pub(crate) fn tls(&self, file: &str) -> PathBuf {
        self.folder.join("tls").join(file)
    }

    /// Every request that it has had, as it writes them down.
    pub(crate) fn requests(&self) -> String {
        std::fs::read_to_string(self.folder.join("requests")).unwrap_or_default()
    }

    /// Every Access-Accept that it has given, as it writes them down: with the keys as it made them.
    pub(crate) fn replies(&self) -> String {
        std::fs::read_to_string(self.folder.join("replies")).unwrap_or_default()
    }

    /// It goes away.
    pub(crate) fn stop(&mut self) {
        self.script.say("stop");
    }

    /// It comes back.
    pub(crate) fn start_again(&mut self) {
        self.script.say("start");
    }
}
