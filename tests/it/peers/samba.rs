//! A real Active Directory domain controller (Samba), started once for all tests of this binary.
//!
//! The controller is a child of `tests/peers/samba-ad.sh`, which ends it with this process.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::script::Script;
use super::{missing, peer_file};

/// Everybody's password, where the fixture says nothing else.
pub(crate) const PASSWORD: &str = "Us3r-Passw0rd!";
/// Password of `svc-proxy`.
pub(crate) const SERVICE_PASSWORD: &str = "Svc-Pr0xy-Passw0rd!";
/// Password of the domain's administrator.
const ADMINISTRATOR: &str = "Adm1n-Passw0rd!";
/// Where searches start.
pub(crate) const BASE: &str = "DC=corp,DC=example,DC=test";

/// Tests that need a running controller share it; one that stops it has it alone.
static TURN: RwLock<()> = RwLock::new(());
static CONTROLLER: OnceLock<Result<Controller, String>> = OnceLock::new();

#[derive(Debug)]
struct Controller {
    address: String,
    folder: PathBuf,
    talk: Mutex<Script>,
}

/// Only root may listen on ports 389 and 636.
fn script() -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let script = peer_file("samba-ad.sh");
    if root {
        return Command::new(script);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("-n").arg(script);
    sudo
}

fn start() -> Result<Controller, String> {
    let process = std::process::id();
    // an address of this very run: nothing else on this machine is there
    let address = format!("127.66.{}.{}", process >> 8 & 0xff, (process & 0xff).clamp(1, 254));
    let folder = std::env::temp_dir().join(format!("anteroom-ad-{process}"));
    let talk = Script::start(script().arg(&folder).arg(&address).arg("winbind"))?;
    Ok(Controller { address, folder, talk: Mutex::new(talk) })
}

fn controller() -> Option<&'static Controller> {
    match CONTROLLER.get_or_init(start) {
        Ok(controller) => Some(controller),
        Err(why) => {
            missing("Samba AD", why);
            None
        }
    }
}

/// The running controller, for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Directory {
    controller: &'static Controller,
    _turn: RwLockReadGuard<'static, ()>,
}

impl Directory {
    /// The shared controller, or `None` where it cannot be had, which has then been said.
    pub(crate) fn get() -> Option<Self> {
        let controller = controller()?;
        Some(Directory { controller, _turn: TURN.read().unwrap_or_else(PoisonError::into_inner) })
    }

    /// Its address; LDAPS is on port 636.
    pub(crate) fn address(&self) -> &str {
        &self.controller.address
    }

    /// The authority that signed its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.controller.folder.join("tls/ca.pem")
    }

    /// The program by which winbind is asked: that of this controller.
    pub(crate) fn ntlm_auth(&self) -> PathBuf {
        self.controller.folder.join("ntlm_auth")
    }

    /// Asks the directory itself, past Anteroom, whether it takes this password (`ldapsearch` with a bind).
    pub(crate) fn takes(&self, name: &str, password: &str) -> bool {
        bind(self.controller, name, password)
    }
}

fn bind(controller: &Controller, name: &str, password: &str) -> bool {
    let url = format!("ldaps://{}", controller.address);
    let output = Command::new("ldapsearch")
        .env("LDAPTLS_CACERT", controller.folder.join("tls/ca.pem"))
        .args(["-LLL", "-x", "-H", &url, "-D", name, "-w", password, "-s", "base", "-b", BASE, "dc"])
        .output()
        .unwrap();
    output.status.success()
}

/// The controller without anybody else using it, so that it may be stopped.
#[derive(Debug)]
pub(crate) struct Alone {
    controller: &'static Controller,
    frozen: bool,
    _turn: RwLockWriteGuard<'static, ()>,
}

impl Alone {
    /// Waits for its turn, or `None` where there is no controller.
    pub(crate) fn get() -> Option<Self> {
        let controller = controller()?;
        Some(Alone { controller, frozen: false, _turn: TURN.write().unwrap_or_else(PoisonError::into_inner) })
    }

    /// Its address; LDAPS is on port 636.
    pub(crate) fn address(&self) -> &str {
        &self.controller.address
    }

    /// The authority that signed its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.controller.folder.join("tls/ca.pem")
    }

    /// Runs one of OpenLDAP's programs as the domain's administrator on this input; what it printed.
    pub(crate) fn administered(&self, program: &str, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(program)
            .env("LDAPTLS_CACERT", self.ca())
            .args(["-x", "-H", &format!("ldaps://{}", self.address())])
            .args(["-D", "Administrator@corp.example.test", "-w", ADMINISTRATOR])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn talk(&self) -> MutexGuard<'_, Script> {
        self.controller.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops every process of the controller where it is (SIGSTOP). Its connections stay open and silent.
    pub(crate) fn freeze(&mut self) {
        self.talk().say("freeze");
        self.frozen = true;
    }

    /// Lets it go on.
    pub(crate) fn thaw(&mut self) {
        self.talk().say("thaw");
        self.frozen = false;
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.frozen {
            self.thaw();
        }
    }
}
