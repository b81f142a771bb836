//! What the tests with real peers share: the server as a process, the controller, a RADIUS client written by
//! hand, and what to do where a peer is missing.

pub(crate) mod authority;
pub(crate) mod crowd;
pub(crate) mod freeradius;
pub(crate) mod freeradius_tls;
pub(crate) mod ldap;
pub(crate) mod ldap_world;
pub(crate) mod nodes;
pub(crate) mod phone;
pub(crate) mod postgres;
pub(crate) mod privacyidea;
pub(crate) mod radsecproxy;
pub(crate) mod relay;
pub(crate) mod samba;
pub(crate) mod script;
pub(crate) mod server;
pub(crate) mod slapd;
pub(crate) mod wire;
pub(crate) mod world;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A file of `tests/peers`.
pub(crate) fn peer_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// Says that a test could not meet its peer. In CI that is a failure; elsewhere it is said past the test
/// harness's capture, because the test that calls this proves nothing.
pub(crate) fn missing(peer: &str, why: &str) {
    let message = format!("NOT TESTED: {peer} is not there: {why}. `./test packages` installs it.\n");
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        panic!("{message}");
    }
    std::io::stderr().write_all(message.as_bytes()).unwrap();
}

/// Whether a program can be started; says so where it cannot.
pub(crate) fn program(name: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap().status.success();
    if !found {
        missing(name, "no such command");
    }
    found
}

/// Whether pyrad can be used; says so where it cannot.
pub(crate) fn pyrad_is_there() -> bool {
    let found = Command::new("/usr/bin/python3").args(["-c", "import pyrad"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        missing("pyrad", "/usr/bin/python3 cannot import it");
    }
    found
}

/// Waits until `what` is there, twenty seconds at most.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited twenty seconds in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
