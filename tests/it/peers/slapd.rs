//! A real OpenLDAP server, started once for all tests of this binary by `tests/peers/slapd.sh`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::script::Script;
use super::{missing, peer_file};

/// Where its entries are.
pub(crate) const BASE: &str = "dc=open,dc=example,dc=test";
/// An application's account: it may write everything and act for everybody.
pub(crate) const APPLICATION: &str = "cn=svc-app,ou=services,dc=open,dc=example,dc=test";

/// The running server.
#[derive(Debug)]
pub(crate) struct Slapd {
    address: String,
    folder: PathBuf,
    _script: Script,
}

fn start() -> Result<Slapd, String> {
    let process = std::process::id();
    // an address of this very run: nothing else on this machine is there
    let address = format!("127.67.{}.{}", process >> 8 & 0xff, (process & 0xff).clamp(1, 254));
    let folder = std::env::temp_dir().join(format!("anteroom-slapd-{process}"));
    let script = Script::start(Command::new(peer_file("slapd.sh")).arg(&folder).arg(&address))?;
    Ok(Slapd { address, folder, _script: script })
}

impl Slapd {
    /// The shared server, or `None` where it cannot be had, which has then been said.
    pub(crate) fn get() -> Option<&'static Self> {
        static SERVER: OnceLock<Result<Slapd, String>> = OnceLock::new();
        match SERVER.get_or_init(start) {
            Ok(server) => Some(server),
            Err(why) => {
                missing("OpenLDAP", why);
                None
            }
        }
    }

    /// Its address without a port, as its certificate has it.
    pub(crate) fn host(&self) -> &str {
        &self.address
    }

    /// Where it speaks LDAP and StartTLS.
    pub(crate) fn ldap(&self) -> SocketAddr {
        format!("{}:3389", self.address).parse().unwrap()
    }

    /// Where it speaks LDAPS.
    pub(crate) fn ldaps(&self) -> SocketAddr {
        format!("{}:6636", self.address).parse().unwrap()
    }

    /// The authority that signed its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.join("tls/ca.pem")
    }
}
