//! A real FreeRADIUS that speaks RADIUS over TLS, run by `tests/peers/freeradius-radsec.sh`: in front of us or behind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::authority::Authority;
use super::script::Script;
use super::server::SHARED_SECRET;
use super::{missing, peer_file};

/// The running server.
#[derive(Debug)]
pub(crate) struct FreeRadiusTls {
    address: String,
    folder: PathBuf,
    script: Script,
}

impl FreeRadiusTls {
    /// Takes RADIUS over TLS and decides itself. Its certificate is `name`.
    pub(crate) fn behind(authority: &Authority, name: &str) -> Option<Self> {
        Self::start(authority, name, None)
    }

    /// Takes RADIUS over UDP under [`SHARED_SECRET`] and hands all of it to `server` over TLS, as `name`.
    pub(crate) fn before(server: SocketAddr, authority: &Authority, name: &str) -> Option<Self> {
        Self::start(authority, name, Some(server))
    }

    fn start(authority: &Authority, name: &str, onward: Option<SocketAddr>) -> Option<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(101);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let address = format!("127.{}.{}.{number}", 68 + (process >> 8 & 0x1f), process & 0xff);
        let folder = std::env::temp_dir().join(format!("anteroom-freeradius-tls-{process}-{number}"));
        let mut command = Command::new(peer_file("freeradius-radsec.sh"));
        command.arg(&folder).args([&address, SHARED_SECRET]).arg(authority.file("")).arg(name);
        if let Some(server) = onward {
            command.args([server.ip().to_string(), server.port().to_string()]);
        }
        match Script::start(&mut command) {
            Ok(script) => Some(FreeRadiusTls { address, folder, script }),
            Err(why) => {
                missing("FreeRADIUS with TLS", &why);
                None
            }
        }
    }

    /// Where it takes RADIUS over UDP.
    pub(crate) fn radius(&self) -> SocketAddr {
        format!("{}:18120", self.address).parse().unwrap()
    }

    /// Where it takes accounting over UDP.
    pub(crate) fn accounting(&self) -> SocketAddr {
        format!("{}:18130", self.address).parse().unwrap()
    }

    /// Where it takes RADIUS over TLS.
    pub(crate) fn radsec(&self) -> SocketAddr {
        format!("{}:2083", self.address).parse().unwrap()
    }

    /// Every accounting record that it has had, as it writes them down.
    pub(crate) fn detail(&self) -> String {
        std::fs::read_to_string(self.folder.join("accounting")).unwrap_or_default()
    }

    /// It goes away, and comes back.
    pub(crate) fn restart(&mut self) {
        self.script.say("stop");
        self.script.say("start");
    }
}
