//! A real privacyIDEA server, started once for all tests of this binary.
//!
//! The server is a child of `tests/peers/privacyidea.sh`, which ends it when our end of its standard input closes,
//! however this process ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{eventually, missing, peer_file};

/// Everybody's password in the server's own user store.
pub(crate) const ADMIN_PASSWORD: &str = "Adm1n-Passw0rd!";

static SERVER: OnceLock<Result<PrivacyIdea, String>> = OnceLock::new();

/// The running server.
#[derive(Debug)]
pub(crate) struct PrivacyIdea {
    pub(crate) url: String,
    folder: PathBuf,
    talk: Mutex<Talk>,
}

#[derive(Debug)]
struct Talk {
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
    _script: Child,
}

impl Talk {
    fn expect(&mut self, answer: &str) -> Result<(), String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(_) if line.trim() == answer => Ok(()),
            Ok(_) => Err(format!("its script ended; it said {line:?} and wrote why above")),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn start() -> Result<PrivacyIdea, String> {
    let folder = std::env::temp_dir().join(format!("anteroom-privacyidea-{}", std::process::id()));
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|error| error.to_string())?;
    let port = port.port();
    let install = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("privacyidea");
    let mut script = Command::new(peer_file("privacyidea.sh"))
        .args([&install, &folder])
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let (words, answers) = (script.stdin.take().unwrap(), BufReader::new(script.stdout.take().unwrap()));
    let mut talk = Talk { words, answers, _script: script };
    talk.expect("ready")?;
    Ok(PrivacyIdea { url: format!("https://127.0.0.1:{port}"), folder, talk: Mutex::new(talk) })
}

impl PrivacyIdea {
    /// The shared server, or `None` where it cannot be had, which has then been said.
    pub(crate) fn get() -> Option<&'static PrivacyIdea> {
        match SERVER.get_or_init(start) {
            Ok(server) => Some(server),
            Err(why) => {
                missing("privacyIDEA", why);
                None
            }
        }
    }

    /// The authority that signed its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Has a person's phone wait for its challenge and answer it: `accept` or `decline`.
    pub(crate) fn phone(&self, answer: &str, user: &str) {
        self.say(&format!("{answer} {user}"));
    }

    /// Stops the server's processes where they are, or lets them go on: `freeze` or `thaw`.
    pub(crate) fn say(&self, line: &str) {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        talk.words.write_all(format!("{line}\n").as_bytes()).unwrap();
        talk.expect(line).unwrap();
    }

    /// The code of the latest text message.
    pub(crate) fn text_message(&self) -> String {
        let file = self.folder.join("sms.log");
        let line =
            eventually("a text message", || std::fs::read_to_string(&file).ok()?.lines().last().map(str::to_owned));
        let message: serde_json::Value = serde_json::from_str(&line).unwrap();
        digits(message["text"].as_str().unwrap()).expect("a code")
    }

    /// The code of the latest e-mail.
    pub(crate) fn mail(&self) -> String {
        eventually("an e-mail with a code", || {
            let mut files: Vec<_> = std::fs::read_dir(self.folder.join("mail")).ok()?.flatten().collect();
            files.retain(|file| file.path().extension().is_some_and(|end| end == "txt"));
            files.sort_by_key(std::fs::DirEntry::path);
            digits(&std::fs::read_to_string(files.last()?.path()).ok()?)
        })
    }
}

/// The first six digits in a row that are no part of more.
fn digits(text: &str) -> Option<String> {
    let numbers = text.split(|character: char| !character.is_ascii_digit());
    numbers.map(str::to_owned).find(|number| number.len() == 6)
}
