//! TLS as every door and every connection of ours has it: rustls with aws-lc-rs, versions 1.2 and 1.3, and files that are
//! read again when they change.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Certificate;

pub mod ticket;

/// Connections that the kernel may keep for one address until they are accepted.
const BACKLOG: i32 = 4096;

/// After this long without a packet the kernel asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Something made of files, made again when they change. What goes wrong then leaves the old one in use.
pub struct Reloaded<T> {
    what: String,
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    current: ArcSwap<T>,
    seen: Mutex<Stamp>,
}

impl<T> std::fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reloaded({:?})", self.files)
    }
}

/// When each file was written, and how long it is.
type Stamp = Vec<Option<(SystemTime, u64)>>;

fn stamp(files: &[PathBuf]) -> Stamp {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

impl<T> Reloaded<T> {
    /// Makes it for the first time. `what` it is, in the log.
    ///
    /// # Errors
    /// What `make` says.
    pub fn new(
        what: impl Into<String>,
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let seen = Mutex::new(stamp(&files));
        let current = ArcSwap::from_pointee(make()?);
        Ok(Reloaded { what: what.into(), files, make: Box::new(make), current, seen })
    }

    /// What whoever begins now uses.
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Makes it again.
    pub fn reload(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp(&self.files);
        match (self.make)() {
            Ok(made) => {
                self.current.store(Arc::new(made));
                tracing::info!(what = self.what, "the certificate was read again");
            }
            Err(why) => tracing::error!(what = self.what, why, "the old certificate stays in use"),
        }
    }

    /// Makes it again if a file has changed.
    pub fn reload_if_changed(&self) {
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != stamp(&self.files) {
            self.reload();
        }
    }
}

/// Whose certificates clients must show.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// Who signs them, in PEM.
    pub ca: PathBuf,
    /// Which of them are revoked, in PEM.
    pub crl: Option<PathBuf>,
}

/// The server's side of a door, with tickets for sessions that are resumed. With `clients`, nobody passes the handshake
/// without a certificate of theirs.
///
/// # Errors
/// What is wrong with a file, in words.
pub fn server_config(
    files: &Certificate,
    clients: Option<&Authorities>,
    protocols: &[&[u8]],
) -> Result<ServerConfig, String> {
    let (chain, key) = certificate(files)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(authorities_of(&authorities.ca)?), provider());
            if let Some(file) = &authorities.crl {
                let lists = CertificateRevocationListDer::pem_file_iter(file)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| shown(file, &error))?;
                if lists.is_empty() {
                    return Err(shown(file, &"no revocation list in it"));
                }
                verifier = verifier.with_crls(lists).only_check_end_entity_revocation();
            }
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| shown(&files.key, &error))?;
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
    config.send_tls13_tickets = 1;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// The client's side of connections: the server is verified against the authorities in `ca`, or the system's where that
/// is `None`, and shown our `certificate` where there is one.
///
/// # Errors
/// What is wrong with a file, in words.
pub fn client_config(
    ca: Option<&Path>,
    own: Option<&Certificate>,
    protocols: &[&[u8]],
) -> Result<ClientConfig, String> {
    let roots = match ca {
        Some(path) => authorities_of(path)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = certificate(files)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| shown(&files.key, &error))?
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn shown(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| shown(path, &error))?;
    if chain.is_empty() { Err(shown(path, &"no certificate in it")) } else { Ok(chain) }
}

fn certificate(files: &Certificate) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| shown(&files.key, &error))?;
    Ok((certificates(&files.chain)?, key))
}

fn authorities_of(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| shown(path, &error))?;
    }
    Ok(roots)
}

/// Listens on an address. Connections inherit from the socket what `prepare` sets, which saves three calls of the
/// kernel for each. Must be called within a tokio runtime.
///
/// # Errors
/// What the kernel says.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    prepare(socket2::SockRef::from(&socket))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Sends small messages at once, and notices when the other side is gone without a word.
fn prepare(socket: socket2::SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE))
}

/// Connects to the first of a host's addresses that answers.
///
/// # Errors
/// What the last of them said.
pub async fn connect(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => return prepare(socket2::SockRef::from(&tcp)).map(|()| tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_that_are_accepted_and_those_that_are_made_send_at_once_and_notice_who_is_gone() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let listener = listen(local.parse().unwrap()).unwrap();
            let made = connect([listener.local_addr().unwrap()]).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            for tcp in [made, accepted] {
                let socket = socket2::SockRef::from(&tcp);
                assert!(tcp.nodelay().unwrap() && socket.keepalive().unwrap());
                assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
            }
        }
        let bare = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _made = connect([bare.local_addr().unwrap()]).await.unwrap();
        let (accepted, _) = bare.accept().await.unwrap();
        assert!(!accepted.nodelay().unwrap() && !socket2::SockRef::from(&accepted).keepalive().unwrap());
    }

    #[test]
    fn what_is_made_of_files_is_made_again_when_they_change_and_kept_when_they_are_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
            std::fs::write(folder.path().join("a.pem"), made.cert.pem()).unwrap();
            std::fs::write(folder.path().join("a.key"), made.signing_key.serialize_pem()).unwrap();
        };
        write("one.example.com");
        let files = Certificate { chain: folder.path().join("a.pem"), key: folder.path().join("a.key") };
        let paths = vec![files.chain.clone(), files.key.clone()];
        let reloaded = Reloaded::new("a test", paths, move || server_config(&files, None, &[b"x"])).unwrap();
        let first = reloaded.current();
        reloaded.reload_if_changed();
        assert!(Arc::ptr_eq(&first, &reloaded.current()), "nothing has changed");
        write("another.example.com");
        reloaded.reload_if_changed();
        let second = reloaded.current();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(second.alpn_protocols, [b"x"]);
        std::fs::write(folder.path().join("a.pem"), "no certificate").unwrap();
        reloaded.reload_if_changed();
        assert!(Arc::ptr_eq(&second, &reloaded.current()), "what is wrong leaves the old one");
    }
}
