//! The certificate that clients see, read again when its files change. Connections that are open keep theirs.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Certificate;

/// The certificate in use.
#[derive(Debug)]
pub(super) struct Certificates {
    files: Certificate,
    current: ArcSwap<ServerConfig>,
    seen: Mutex<Stamp>,
}

/// When the files were written, and how long they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Stamp {
    fn of(files: &Certificate) -> Self {
        Stamp([&files.chain, &files.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        }))
    }
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(super) fn read(files: &Certificate) -> Result<Self, String> {
        let seen = Mutex::new(Stamp::of(files));
        let current = ArcSwap::from_pointee(server_config(files)?);
        Ok(Certificates { files: files.clone(), current, seen })
    }

    /// What a handshake that begins now uses.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Reads the files again. What is wrong with them leaves the old certificate in use.
    pub(super) fn reload(&self) {
        let stamp = Stamp::of(&self.files);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        match server_config(&self.files) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                tracing::info!(certificate = %self.files.chain.display(), "the LDAP door's certificate was read again");
            }
            Err(why) => tracing::error!(why, "the LDAP door keeps its old certificate"),
        }
    }

    /// Reads the files again if they have changed.
    pub(super) fn reload_if_changed(&self) {
        let stamp = Stamp::of(&self.files);
        let changed = *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != stamp;
        if changed {
            self.reload();
        }
    }
}

/// The TLS side of the door: no client certificates, TLS 1.2 and 1.3.
fn server_config(files: &Certificate) -> Result<ServerConfig, String> {
    let shown = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| shown(&files.chain, &error))?;
    if chain.is_empty() {
        return Err(shown(&files.chain, &"no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| shown(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| shown(&files.chain, &error))?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
    config.send_tls13_tickets = 1;
    Ok(config)
}
