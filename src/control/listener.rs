//! The server's end of the local channel.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Ask, ControlDesk, LONGEST_LINE, Told};

/// Commands that are answered at once.
const AT_ONCE: usize = 8;

/// How long a command may take to ask, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The listening end. Dropping it closes the socket.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Listens at `path`, where only this user can come in. A socket that an earlier process left there is replaced.
    ///
    /// # Errors
    /// When the folder cannot be written to, or another server answers there.
    pub fn start(path: &Path, desk: Arc<ControlDesk>) -> io::Result<Self> {
        // Under another name until its mode is right: nobody else can open it in between.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let _ = std::fs::remove_file(&hidden);
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let why = "another server answers there: set server.control, or server.store, for each";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        }
        let listener = UnixListener::bind(&hidden)?;
        std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&hidden, path)?;
        let task = tokio::spawn(serve(listener, desk));
        Ok(Control { path: path.to_owned(), task })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // Somebody else's by now, or gone: nothing to be done either way.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, desk: Arc<ControlDesk>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // Closed only when the semaphore is, which never happens.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    let _place = place;
                    // Whoever asks and does not listen gets nothing.
                    let _ = tokio::time::timeout(PATIENCE, talk(stream, &desk)).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn talk(mut stream: UnixStream, desk: &ControlDesk) -> io::Result<()> {
    let by = stream.peer_cred().ok().map(|peer| peer.uid());
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    BufReader::new(reader.take(LONGEST_LINE)).read_line(&mut line).await?;
    let told = match serde_json::from_str::<Ask>(&line) {
        Ok(ask) => desk.answer(&ask, by).await,
        Err(_) => Told::Refused { why: "that is no question".into() },
    };
    let mut answer = serde_json::to_vec(&told)?;
    answer.push(b'\n');
    writer.write_all(&answer).await?;
    writer.shutdown().await
}
