//! TLS: own authorities, wrong names, client certificates.

use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::peers::authority::Authority;

/// A TLS front before the simulator. Asks for client certificates where `clients` is true.
async fn front(authority: &Authority, phone: SocketAddr, name: &str, clients: bool) -> SocketAddr {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (certificate, key) = authority.issue(name);
    let builder = rustls::ServerConfig::builder();
    let builder = if clients {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).unwrap();
        builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind(LOOPBACK).await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(tcp).await else { return };
                let Ok(mut inside) = TcpStream::connect(phone).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}

fn start(address: SocketAddr, ca_file: Option<PathBuf>, client: Option<(PathBuf, PathBuf)>) -> Native {
    let url = format!("https://localhost:{}", address.port());
    let mut config = config_within(url, Duration::from_secs(2), ca_file);
    if let Some((certificate, key)) = client {
        config.authentication = NativeAuthentication::Certificate { certificate, key };
    }
    Native::start_with(&config, server(), QUICK).expect("starts")
}

async fn phone(signed: bool) -> Phone {
    let options = PhoneOptions { key: signed.then(|| ("test".into(), key())), behaviour: APPROVE };
    Phone::start(LOOPBACK, options).await.unwrap()
}

fn ask(native: &Native) -> impl Future<Output = Answer> {
    native.run(request("alice", id(1), Duration::from_secs(5)))
}

const TLS: Answer = Answer::Refused(Refusal::Unreachable(UnreachableClass::Tls));

#[tokio::test]
async fn own_authority_is_trusted_and_expiry_is_told() {
    let (authority, phone) = (Authority::new(), phone(true).await);
    let front = front(&authority, phone.local_addr(), "localhost", false).await;
    let native = start(front, Some(authority.file("ca.pem")), None);
    assert_eq!(ask(&native).await, Answer::Approved);
    until(|| native.status().stream_up).await;
    let report = native.ping().await.expect("answers");
    assert!(report.certificate_expires.is_some());
}

#[tokio::test]
async fn unknown_authority_and_wrong_name_are_refused() {
    let (authority, stranger, phone) = (Authority::new(), Authority::new(), phone(true).await);
    let good = front(&authority, phone.local_addr(), "localhost", false).await;
    let misnamed = front(&authority, phone.local_addr(), "other.test", false).await;
    let table = [(good, None), (good, Some(stranger.file("ca.pem"))), (misnamed, Some(authority.file("ca.pem")))];
    for (front, ca_file) in table {
        let native = start(front, ca_file, None);
        assert_eq!(ask(&native).await, TLS);
        assert_eq!(native.ping().await, Err(PingError::Tls));
    }
    assert_eq!(phone.counts().posts, 0);
}

#[tokio::test]
async fn client_certificate_is_shown_and_missing_one_is_refused() {
    let (authority, stranger, phone) = (Authority::new(), Authority::new(), phone(false).await);
    let front = front(&authority, phone.local_addr(), "localhost", true).await;
    authority.issue("client");
    stranger.issue("client");
    let pair = |authority: &Authority| Some((authority.file("client.pem"), authority.file("client.key")));
    let native = start(front, Some(authority.file("ca.pem")), pair(&authority));
    assert_eq!(ask(&native).await, Answer::Approved);
    for client in [None, pair(&stranger)] {
        let native = start(front, Some(authority.file("ca.pem")), client);
        let answer = ask(&native).await;
        // The alert may be read or not before the connection is gone.
        let possible = [refused(Refusal::Unreachable(UnreachableClass::Refused)), refused(Refusal::Lost), TLS];
        assert!(possible.contains(&answer), "{answer:?}");
    }
    assert_eq!(phone.counts().posts, 1);
}

#[tokio::test]
async fn files_that_are_not_there_or_not_pem_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, odd) = (folder.path().join("missing"), folder.path().join("odd"));
    std::fs::write(&odd, "not PEM").unwrap();
    let build = |path: &Path| {
        let config = config_within("https://localhost".into(), Duration::from_secs(2), Some(path.to_owned()));
        Native::start_with(&config, server(), QUICK).err()
    };
    assert!(matches!(build(&missing), Some(BuildError::File(..))));
    assert!(matches!(build(&odd), Some(BuildError::Pem(_))));
}
