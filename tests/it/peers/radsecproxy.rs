//! A real radsecproxy, run by `tests/peers/radsecproxy.sh`: an independent speaker of RADIUS over TLS on either side.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::authority::Authority;
use super::freeradius::TARGET_SECRET;
use super::script::Script;
use super::server::SHARED_SECRET;
use super::{missing, peer_file};

/// The running proxy.
#[derive(Debug)]
pub(crate) struct RadsecProxy {
    address: String,
    script: Script,
}

impl RadsecProxy {
    /// Takes RADIUS over UDP and hands it to `server` over TLS, as somebody with the certificate `name` of `authority`.
    pub(crate) fn client_of(server: SocketAddr, authority: &Authority, name: &str) -> Option<Self> {
        Self::start(authority, name, "connection", |address| {
            format!(
                "ListenUDP {address}:1812\nclient 127.0.0.0/8 {{\n\ttype udp\n\tsecret {SHARED_SECRET}\n}}\n\
                 server upstream {{\n\ttype tls\n\thost {}\n\tport {}\n\tsecret radsec\n\tstatusserver on\n}}\n\
                 realm * {{\n\tserver upstream\n}}\n",
                server.ip(),
                server.port()
            )
        })
    }

    /// Takes RADIUS over TLS and hands it to `server` over UDP. Its certificate is `name`.
    pub(crate) fn before(server: SocketAddr, authority: &Authority, name: &str) -> Option<Self> {
        Self::start(authority, name, "listening for tls", |address| {
            format!(
                "ListenTLS {address}:2083\nclient 127.0.0.0/8 {{\n\ttype tls\n\tsecret radsec\n\t\
                 certificatenamecheck off\n}}\nserver behind {{\n\ttype udp\n\thost {}\n\tport {}\n\t\
                 secret {TARGET_SECRET}\n}}\nrealm * {{\n\tserver behind\n}}\n",
                server.ip(),
                server.port()
            )
        })
    }

    fn start(authority: &Authority, name: &str, word: &str, roles: impl Fn(&str) -> String) -> Option<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let address = format!("127.{}.{}.{number}", 100 + (process >> 8 & 0x1b), process & 0xff);
        let conf = authority.file(&format!("radsecproxy-{number}.conf"));
        let file = |name: String| authority.file(&name).display().to_string();
        let written = format!(
            "LogLevel 2\nLogDestination file://{}.log\ntls default {{\n\tCACertificateFile {}\n\tCertificateFile {}\n\t\
             CertificateKeyFile {}\n}}\n{}",
            conf.display(),
            file("ca.pem".into()),
            file(format!("{name}.pem")),
            file(format!("{name}.key")),
            roles(&address)
        );
        std::fs::write(&conf, written).unwrap();
        match Script::start(Command::new(peer_file("radsecproxy.sh")).arg(&conf).arg(word)) {
            Ok(script) => Some(RadsecProxy { address, script }),
            Err(why) => {
                missing("radsecproxy", &why);
                None
            }
        }
    }

    /// Where it takes RADIUS over UDP.
    pub(crate) fn radius(&self) -> SocketAddr {
        format!("{}:1812", self.address).parse().unwrap()
    }

    /// Where it takes RADIUS over TLS.
    pub(crate) fn radsec(&self) -> SocketAddr {
        format!("{}:2083", self.address).parse().unwrap()
    }

    /// It goes away, and comes back.
    pub(crate) fn restart(&mut self) {
        self.script.say("stop");
        self.script.say("start");
    }
}
