//! Real PostgreSQL, started once for all tests of this binary that need no server of their own.
//!
//! The server is a child of `tests/peers/postgres.sh`, which ends it when our end of its standard input closes,
//! however this process ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anteroom::secret::Secret;
use anteroom::users::place::{PostgresAt, Tls};

use super::{missing, peer_file};

/// What the script gives the database's user.
pub(crate) const PASSWORD: &str = "planted-database-password";

static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A server.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: PathBuf,
    port: u16,
    talk: std::sync::Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    script: Child,
}

/// A port that is free, and the next one, too.
fn ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

impl Postgres {
    /// The shared server, or `None` where there is none, which has then been said.
    pub(crate) fn shared() -> Option<&'static Postgres> {
        match SHARED.get_or_init(Postgres::start) {
            Ok(server) => Some(server),
            Err(why) => {
                missing("PostgreSQL", why);
                None
            }
        }
    }

    /// A server that the test has alone, or `None` where there is none, which has then been said.
    pub(crate) fn alone() -> Option<Postgres> {
        Postgres::start().map_err(|why| missing("PostgreSQL", &why)).ok()
    }

    fn start() -> Result<Postgres, String> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("anteroom-pg-{}-{number}", std::process::id()));
        let port = ports();
        let mut script = Command::new(peer_file("postgres.sh"))
            .arg(&folder)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let talk = (script.stdin.take().unwrap(), BufReader::new(script.stdout.take().unwrap()));
        let server = Postgres { folder, port, talk: std::sync::Mutex::new(talk), script };
        server.expect("ready")?;
        Ok(server)
    }

    fn expect(&self, answer: &str) -> Result<(), String> {
        let mut line = String::new();
        match self.talk.lock().unwrap().1.read_line(&mut line) {
            Ok(_) if line.trim() == answer => Ok(()),
            Ok(_) => Err(format!("the server's script ended; it said {line:?} and wrote why above")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Tells the script a word, and waits until it is done.
    pub(crate) fn say(&self, word: &str) {
        self.talk.lock().unwrap().0.write_all(format!("{word}\n").as_bytes()).unwrap();
        self.expect(word).unwrap();
    }

    /// The authority that signed its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The URL of a database of it, with the standby as the second host.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://anteroom@127.0.0.1:{},127.0.0.1:{}/{database}", self.port, self.port + 1)
    }

    /// A database of it, over TLS.
    pub(crate) fn at(&self, database: &str) -> PostgresAt {
        self.with(database, Tls::Verified(Some(self.ca())))
    }

    /// A database of it, protected like this.
    pub(crate) fn with(&self, database: &str, tls: Tls) -> PostgresAt {
        let at = PostgresAt::parse(&self.url(database)).unwrap();
        at.with_password(Some(Secret::from_text(PASSWORD.into()))).with_tls(tls)
    }

    /// The lines of `[server]` that name a database of it.
    pub(crate) fn section(&self, database: &str) -> String {
        let (url, ca) = (self.url(database), self.ca());
        format!("store = \"{url}\"\nstore_password = \"{PASSWORD}\"\nstore_ca_file = \"{}\"", ca.display())
    }

    /// Runs SQL as its user, and gives what it printed.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let psql = Command::new("psql")
            .env("PGPASSWORD", PASSWORD)
            .args(["-X", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "anteroom", "-d", database])
            .args(["-p", &self.port.to_string(), "-c", sql])
            .output()
            .unwrap();
        assert!(psql.status.success(), "{sql}: {}", String::from_utf8_lossy(&psql.stderr));
        String::from_utf8(psql.stdout).unwrap().trim_end().to_owned()
    }

    /// A new, empty database.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name.to_owned()
    }

    /// Where it keeps everything.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The script ends everything when it is told to; whether it can still hear does not matter.
        let _ = self.talk.lock().unwrap().0.write_all(b"end\n");
        let _ = self.script.wait();
    }
}
