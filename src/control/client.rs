//! A command's end of the local channel.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Ask, LONGEST_LINE, Told};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(12);

/// Asks the server that listens at `path`.
///
/// # Errors
/// When nobody listens there, we may not come in, or the answer is none.
pub fn ask(path: &Path, ask: &Ask) -> io::Result<Told> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut answer)?;
    serde_json::from_str(&answer).map_err(io::Error::from)
}
