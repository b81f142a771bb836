//! A mail server that keeps what it is given: plain, with STARTTLS or with TLS from the first octet, with a login.
//! Recipients steer what goes wrong: `reject@` 550, `later@` 451.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Headers and text, as they came.
    pub(crate) data: String,
    pub(crate) tls: bool,
    pub(crate) login: Option<String>,
}

impl Taken {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.data.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// How it protects its connections.
#[derive(Clone)]
pub(crate) enum Protection {
    None,
    StartTls(Arc<rustls::ServerConfig>),
    Tls(Arc<rustls::ServerConfig>),
}

/// The server. It stops when this is dropped.
pub(crate) struct Smtp {
    pub(crate) port: u16,
    taken: Arc<Mutex<Vec<Taken>>>,
    task: JoinHandle<()>,
}

impl Smtp {
    pub(crate) async fn start(protection: Protection) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, protection, Arc::clone(&taken)));
        Smtp { port, taken, task }
    }

    /// Everything that was taken so far.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, protection: Protection, taken: Arc<Mutex<Vec<Taken>>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (protection, taken) = (protection.clone(), Arc::clone(&taken));
        connections.spawn(async move {
            match protection {
                Protection::Tls(config) => {
                    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                        converse(stream, true, false, true, &taken).await;
                    }
                }
                Protection::None => {
                    converse(stream, true, false, false, &taken).await;
                }
                Protection::StartTls(config) => {
                    let Some(stream) = converse(stream, true, true, false, &taken).await else { return };
                    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                        converse(stream, false, false, true, &taken).await;
                    }
                }
            }
        });
    }
}

/// Talks until the client leaves, or asks for STARTTLS: then the stream comes back.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    greet: bool,
    offers: bool,
    tls: bool,
    taken: &Mutex<Vec<Taken>>,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greet {
        stream.write_all(b"220 sink.test ESMTP\r\n").await.ok()?;
    }
    let (mut from, mut to, mut login) = (String::new(), String::new(), None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let bare = |text: &str| text.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer: String = match word.as_str() {
            "EHLO" if offers => "250-sink.test\r\n250 STARTTLS\r\n".into(),
            "EHLO" if tls => "250-sink.test\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n".into(),
            "EHLO" => "250-sink.test\r\n250 8BITMIME\r\n".into(),
            "STARTTLS" if offers => {
                stream.write_all(b"220 go ahead\r\n").await.ok()?;
                assert!(stream.buffer().is_empty(), "something came in the clear behind STARTTLS");
                return Some(stream.into_inner());
            }
            "AUTH" => {
                let octets = STANDARD.decode(line.split(' ').nth(2).unwrap_or_default()).unwrap_or_default();
                let text = String::from_utf8_lossy(&octets).into_owned();
                if text.ends_with("\0right") {
                    login = text.split('\0').nth(1).map(str::to_owned);
                    "235 welcome\r\n".into()
                } else {
                    "535 5.7.8 wrong\r\n".into()
                }
            }
            "MAIL" => {
                from = bare(line);
                "250 ok\r\n".into()
            }
            "RCPT" => {
                to = bare(line);
                match to.split('@').next().unwrap_or_default() {
                    "reject" => "550 5.1.1 no such person\r\n".into(),
                    "later" => "451 4.7.1 try again later\r\n".into(),
                    _ => "250 ok\r\n".into(),
                }
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let mut data = String::new();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.ok()? == 0 {
                        return None;
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    data.push_str(&line);
                }
                let mail = Taken { from: from.clone(), to: to.clone(), data, tls, login: login.clone() };
                taken.lock().unwrap().push(mail);
                "250 taken\r\n".into()
            }
            "QUIT" => {
                let _ = stream.write_all(b"221 bye\r\n").await;
                return None;
            }
            "RSET" | "NOOP" => "250 ok\r\n".into(),
            _ => "502 what?\r\n".into(),
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
