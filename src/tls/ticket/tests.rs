//! Handshakes over a wire that notes what is sent at once.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::config::Certificate;
use crate::tls;

/// Takes `most` octets at once, and notes how many each time.
struct Noting {
    wire: DuplexStream,
    most: usize,
    sent: Vec<usize>,
}

impl AsyncRead for Noting {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(context, into)
    }
}

impl AsyncWrite for Noting {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(self.most).collect();
        let sent = ready!(Pin::new(&mut self.wire).poll_write(context, &all))?;
        self.sent.push(sent);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

struct World {
    _folder: tempfile::TempDir,
    server: TlsAcceptor,
    client: TlsConnector,
}

fn world(versions: &[&'static rustls::SupportedProtocolVersion]) -> World {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let files = Certificate { chain: folder.path().join("a.pem"), key: folder.path().join("a.key") };
    std::fs::write(&files.chain, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    World {
        _folder: folder,
        server: TlsAcceptor::from(Arc::new(tls::server_config(&files, None, &[]).unwrap())),
        client: TlsConnector::from(Arc::new(client)),
    }
}

/// A connection with a question and an answer; how it began, and what the server sent at once.
async fn conversation(world: &World, most: usize) -> (HandshakeKind, ProtocolVersion, Vec<usize>) {
    let (near, far) = duplex(64 * 1024);
    let server = async {
        let noting = Noting { wire: far, most, sent: Vec::new() };
        let mut tls = world.server.accept(LateTicket::new(noting)).await.unwrap();
        tls.get_mut().0.handshake_is_over();
        let mut question = [0; 9];
        tls.read_exact(&mut question).await.unwrap();
        // longer than an alert: what is encrypted from here on is no ticket
        tls.write_all(&[b'a'; 100]).await.unwrap();
        tls.flush().await.unwrap();
        let mut end = [0; 1];
        assert_eq!(tls.read(&mut end).await.unwrap(), 0);
        tls.get_ref().0.wire.sent.clone()
    };
    let client = async {
        let name = ServerName::try_from("a.example").unwrap();
        let mut tls = world.client.connect(name, near).await.unwrap();
        tls.write_all(b"question?").await.unwrap();
        let mut answer = [0; 100];
        tls.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [b'a'; 100]);
        let session = tls.get_ref().1;
        let kind = (session.handshake_kind().unwrap(), session.protocol_version().unwrap());
        tls.shutdown().await.unwrap();
        kind
    };
    let (sent, (kind, version)) = tokio::join!(server, client);
    (kind, version, sent)
}

#[tokio::test]
async fn the_ticket_leaves_with_the_first_answer_and_resumes_the_session() {
    let world = world(&[&rustls::version::TLS13]);
    let (kind, version, sent) = conversation(&world, usize::MAX).await;
    assert_eq!((kind, version), (HandshakeKind::Full, ProtocolVersion::TLSv1_3));
    assert_eq!(sent.len(), 2, "the flight, and the answer with the ticket: {sent:?}");
    let (kind, _, sent) = conversation(&world, usize::MAX).await;
    assert_eq!(kind, HandshakeKind::Resumed);
    assert_eq!(sent.len(), 2, "{sent:?}");
}

#[tokio::test]
async fn tls_1_2_waits_for_its_ticket_and_gets_it() {
    let world = world(&[&rustls::version::TLS12]);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (kind, version, _) = conversation(&world, usize::MAX).await;
        assert_eq!((kind, version), (expected, ProtocolVersion::TLSv1_2));
    }
}

#[tokio::test]
async fn a_wire_that_takes_little_at_once_gets_everything_in_order() {
    let world = world(&[&rustls::version::TLS13, &rustls::version::TLS12]);
    for most in [1, 2, 7, 100, 300, 301] {
        let (_, version, sent) = conversation(&world, most).await;
        assert_eq!(version, ProtocolVersion::TLSv1_3);
        assert!(sent.iter().all(|sent| *sent <= most));
    }
}

#[tokio::test]
async fn an_alert_passes_at_once_and_a_ticket_for_nobody_is_dropped() {
    let (mut near, far) = duplex(4096);
    let mut late = LateTicket::new(far);
    late.write_all(&[22; 90]).await.unwrap();
    near.read_exact(&mut [0; 90]).await.unwrap();
    near.write_all(b"finished").await.unwrap();
    late.read_exact(&mut [0; 8]).await.unwrap();
    late.write_all(&[ENCRYPTED; 24]).await.unwrap();
    near.read_exact(&mut [0; 24]).await.unwrap();
    near.write_all(b"more").await.unwrap();
    late.read_exact(&mut [0; 4]).await.unwrap();
    late.write_all(&[ENCRYPTED; 250]).await.unwrap();
    assert_eq!(late.ticket.len(), 250);
    near.shutdown().await.unwrap();
    assert_eq!(late.read(&mut [0; 1]).await.unwrap(), 0);
    late.write_all(&[21; 7]).await.unwrap();
    drop(late);
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [21; 7]);
}
