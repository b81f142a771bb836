//! A connection on which nothing waits for an acknowledgement.
//!
//! `sqlx` leaves Nagle's algorithm on and lets nobody at its socket. A statement that carries many rows takes several
//! segments, and the last of them then waits until the server's kernel acknowledges the ones before, which puts that off
//! for some 40 ms: longer than the whole transaction. So connections for many rows go through a socket of our own, in a
//! folder that only we can open, to which `sqlx` connects; from there on, octets are passed as they are, TLS included.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;

/// Octets that are passed at once.
const PIECE: usize = 64 << 10;

/// Connects to a server. Where there is no room for a socket of our own: as slowly as `sqlx` does.
pub(super) async fn connect(server: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let (folder, near) = match meeting_place(server) {
        Ok(place) => place,
        Err(error) => {
            tracing::warn!(%error, "no socket of our own in the folder for temporary files; the import will be slow");
            return server.connect().await;
        }
    };
    let far = TcpStream::connect((server.get_host(), server.get_port())).await?;
    far.set_nodelay(true)?;
    let relay = Relay(Some(tokio::spawn(relay(near, far))));
    // Once both have met nobody needs the name any more: the folder goes with this function.
    let connection = server.clone().socket(folder.path()).connect().await?;
    relay.runs_on();
    Ok(connection)
}

fn meeting_place(server: &PgConnectOptions) -> io::Result<(TempDir, UnixListener)> {
    let folder = tempfile::Builder::new().prefix("anteroom").permissions(Permissions::from_mode(0o700)).tempdir()?;
    let near = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{}", server.get_port())))?;
    Ok((folder, near))
}

/// A task that ends with who waits for it, unless told otherwise.
struct Relay(Option<JoinHandle<()>>);

impl Relay {
    fn runs_on(mut self) {
        self.0 = None;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Passes octets until one side has ended: what is under way on the other then does not matter to anybody.
async fn relay(near: UnixListener, far: TcpStream) {
    let Ok((client, _)) = near.accept().await else { return };
    drop(near);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = far.into_split();
    tokio::select! {
        _ = pass(from_client, to_server) => {}
        _ = pass(from_server, to_client) => {}
    }
}

async fn pass(from: impl tokio::io::AsyncRead + Unpin, mut to: impl AsyncWriteExt + Unpin) -> io::Result<()> {
    tokio::io::copy_buf(&mut BufReader::with_capacity(PIECE, from), &mut to).await.map(|_| ())
}
