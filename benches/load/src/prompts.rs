//! A prompt service for servers that ask by one HTTP request each and wait: `POST /simulator/ask` is
//! answered with 200 after the delay. `GET /simulator/counts` tells how many were asked. The answers are those of
//! the phone simulator, which knows Anteroom's own protocol as well; this one needs nothing of Anteroom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longest request, in octets.
const LONGEST: usize = 16 * 1024;

/// Answers for ever, on one thread.
pub fn run(listen: SocketAddr, delay: Duration) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        let count = Arc::new(AtomicU64::new(0));
        loop {
            let (stream, _) = listener.accept().await?;
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                // A connection that breaks is the other side's business.
                let _ = serve(stream, delay, &count).await;
            });
        }
    })
}

async fn serve(mut stream: TcpStream, delay: Duration, count: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(1024);
    loop {
        while whole(&received).is_none() {
            if received.len() > LONGEST || stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
        let asks = received.starts_with(b"POST /simulator/ask ");
        received.drain(..whole(&received).unwrap_or(received.len()));
        let body = if asks {
            count.fetch_add(1, Ordering::Relaxed);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            r#"{"state":"approved"}"#.to_owned()
        } else {
            format!(r#"{{"prompts":{}}}"#, count.load(Ordering::Relaxed))
        };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
        let reply = format!("{head}{}\r\n\r\n{body}", body.len());
        stream.write_all(reply.as_bytes()).await?;
    }
}

/// The length of the first request, body included, once it has arrived.
fn whole(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(received.get(..head)?).to_ascii_lowercase();
    if text.contains("transfer-encoding: chunked") {
        let rest = received.get(head..)?;
        return rest.windows(5).position(|five| five == b"0\r\n\r\n").map(|at| head + at + 5);
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    Some(head + length).filter(|whole| received.len() >= *whole)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn a_request_is_whole_with_its_body() {
        let head = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(whole(head), None);
        assert_eq!(whole(&[head.as_slice(), b"abcd"].concat()), Some(head.len() + 3));
        assert_eq!(whole(b"GET / HTTP/1.1\r\n\r\n"), Some(18));
        assert_eq!(whole(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"), None);
        assert!(whole(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").is_some());
    }
}
