//! The HTTP side: one pooled client per provider, each request signed or sent over mutual TLS, each
//! failure sorted by whether a prompt can have gone out.

use std::error::Error;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, Response, redirect};
use url::{Host, Url};

use crate::config::{NativeAuthentication, NativeProvider, UnreachableClass};
use crate::factor::native::batching;
use crate::factor::native::signing::{KeyError, Signed, Signer};
use crate::factor::native::wire::LONGEST_MESSAGE;

/// Requests under way to one provider at once, the event stream and polling apart.
pub const REQUESTS_AT_ONCE: usize = 256;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Longest time for a connection to be made, TLS included, whatever the configured timeout.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// Why a client cannot be built from a configuration.
#[derive(Debug)]
pub enum BuildError {
    /// The address is not one.
    BadUrl(url::ParseError),
    /// The address has a user name, a password, a query or a fragment, or is neither http nor https.
    UnfitUrl,
    /// `http://` to somewhere else than this machine.
    Unprotected,
    /// A file cannot be read.
    File(PathBuf, std::io::Error),
    /// A PEM file holds nothing usable.
    Pem(PathBuf),
    /// The signing key is unfit.
    Key(KeyError),
    /// Client certificates need `https://`.
    CertificateWithoutTls,
    /// The TLS or HTTP library refuses.
    Client(reqwest::Error),
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BuildError::BadUrl(error) => write!(f, "the provider's url cannot be read: {error}"),
            BuildError::UnfitUrl => {
                f.write_str("the provider's url must be https://HOST[:PORT][/PATH] without user, query or fragment")
            }
            BuildError::Unprotected => f.write_str("http:// is for loopback addresses only; use https://"),
            BuildError::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            BuildError::Pem(path) => write!(f, "no usable PEM certificate or key in {}", path.display()),
            BuildError::Key(KeyError::TooShort { have }) => {
                write!(f, "the signing key has {have} octets; at least 32 are needed")
            }
            BuildError::Key(KeyError::BadId) => f.write_str("the key id must be 1 to 64 of A-Z a-z 0-9 - _ ."),
            BuildError::CertificateWithoutTls => f.write_str("a client certificate needs an https:// url"),
            BuildError::Client(error) => write!(f, "the HTTP client cannot be built: {}", describe(error)),
        }
    }
}

impl Error for BuildError {}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was sent: no connection, or no TLS.
    Unsent(UnreachableClass),
    /// The connection broke, or time was up, after the request may have been sent.
    Broken,
    /// Our certificate was refused.
    CertificateRefused,
    /// The answer is longer than any real one.
    TooLong,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Its body, at most [`LONGEST_MESSAGE`] octets.
    pub body: Bytes,
}

/// The HTTP client of one provider.
#[derive(Debug)]
pub struct Transport {
    client: Client,
    base: Url,
    verifications: Url,
    batch: Url,
    signer: Option<Signer>,
    /// Time for one request.
    timeout: Duration,
}

impl Transport {
    /// Builds the client. Reads the named files.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: &NativeProvider) -> Result<Self, BuildError> {
        let base = base_url(&config.url)?;
        let client = builder(config, &base)?.build().map_err(BuildError::Client)?;
        let signer = match &config.authentication {
            NativeAuthentication::Signed { key_id, key } => Some(Signer::new(key_id, key).map_err(BuildError::Key)?),
            NativeAuthentication::Certificate { .. } => None,
        };
        let verifications = below(&base, "v1/verifications").ok_or(BuildError::UnfitUrl)?;
        let batch = below(&base, "v1/verifications/batch").ok_or(BuildError::UnfitUrl)?;
        Ok(Transport { client, base, verifications, batch, signer, timeout: config.timeout })
    }

    /// Time for one request.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a verification request.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self, body: Bytes) -> Result<Reply, Failure> {
        let response = self.send(Method::POST, self.verifications.clone(), Some(body)).await?;
        read(response, LONGEST_MESSAGE).await
    }

    /// Sends several verification requests at once, one on each line.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask_all(&self, body: Bytes) -> Result<Reply, Failure> {
        let response = self.send(Method::POST, self.batch.clone(), Some(body)).await?;
        read(response, LONGEST_MESSAGE * batching::LARGEST).await
    }

    /// Sends a request without a body to `path` (below the base, no leading slash).
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn request(&self, method: Method, path: &str) -> Result<Reply, Failure> {
        read(self.open(method, path).await?, LONGEST_MESSAGE).await
    }

    /// Sends a request without a body and leaves the answer's body unread.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn open(&self, method: Method, path: &str) -> Result<Response, Failure> {
        // Paths are made of checked ids and encoded names; one that does not fit was never sent.
        let url = below(&self.base, path).ok_or(Failure::Broken)?;
        self.send(method, url, None).await
    }

    async fn send(&self, method: Method, url: Url, body: Option<Bytes>) -> Result<Response, Failure> {
        let authorization = self.authorization(&method, &url, body.as_deref().unwrap_or_default())?;
        let mut request = reqwest::Request::new(method, url);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.into());
        }
        self.client.execute(request).await.map_err(|error| sort(&error))
    }

    fn authorization(&self, method: &Method, url: &Url, body: &[u8]) -> Result<Option<HeaderValue>, Failure> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let mut nonce = [0; 16];
        // Without randomness nothing is sent.
        getrandom::fill(&mut nonce).map_err(|_| Failure::Unsent(UnreachableClass::Connect))?;
        let with_query;
        let target = match url.query() {
            None => url.path(),
            Some(query) => {
                with_query = format!("{}?{query}", url.path());
                &with_query
            }
        };
        let header = signer.header(Signed { method: method.as_str(), target, time: unix_now(), nonce, body });
        let mut header = HeaderValue::try_from(header).map_err(|_| Failure::Broken)?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

/// Seconds since 1970; 0 on a clock before that.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An address below the base. `None` when it cannot be written as a URL.
fn below(base: &Url, path: &str) -> Option<Url> {
    base.join(path).ok()
}

/// Checks the base address and gives it a closing slash, so that paths can be joined to it.
fn base_url(text: &str) -> Result<Url, BuildError> {
    let mut url = Url::parse(text).map_err(BuildError::BadUrl)?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !plain || url.fragment().is_some() || !matches!(url.scheme(), "http" | "https") {
        return Err(BuildError::UnfitUrl);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(BuildError::Unprotected);
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Whether the address is this machine itself. `localhost` is loopback by RFC 6761 section 6.3.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The client as configured. There is no way to switch the verification of certificates off.
fn builder(config: &NativeProvider, base: &Url) -> Result<ClientBuilder, BuildError> {
    let connect = config.timeout.min(LONGEST_CONNECT);
    let mut builder = Client::builder()
        .user_agent(concat!("anteroom/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(REQUESTS_AT_ONCE)
        .tcp_keepalive(IDLE)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10));
    if base.scheme() == "http" {
        // No TLS: nothing is loaded for it, and no proxy stands between us and ourselves.
        builder = builder.no_proxy().tls_certs_only([]);
    } else {
        builder = builder.https_only(true).tls_info(true);
    }
    if let Some(path) = &config.ca_file {
        let authorities = Certificate::from_pem_bundle(&file(path)?).map_err(|_| BuildError::Pem(path.clone()))?;
        if authorities.is_empty() {
            return Err(BuildError::Pem(path.clone()));
        }
        builder = builder.tls_certs_merge(authorities);
    }
    if let NativeAuthentication::Certificate { certificate, key } = &config.authentication {
        if base.scheme() == "http" {
            return Err(BuildError::CertificateWithoutTls);
        }
        let mut pem = zeroize::Zeroizing::new(file(key)?);
        pem.push(b'\n');
        pem.extend_from_slice(&file(certificate)?);
        builder = builder.identity(Identity::from_pem(&pem).map_err(|_| BuildError::Pem(key.clone()))?);
    }
    Ok(builder)
}

fn file(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|error| BuildError::File(path.to_owned(), error))
}

/// When the certificate of the connection expires, where there was one that says so.
pub fn certificate_expiry(response: &Response) -> Option<SystemTime> {
    let certificate = response.extensions().get::<reqwest::tls::TlsInfo>()?.peer_certificate()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let expires = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(expires))
}

/// Reads a whole body of at most `longest` octets. The usual one comes in a single piece and is not copied.
///
/// # Errors
/// When the connection breaks or the body is too long.
pub async fn read(mut response: Response, longest: usize) -> Result<Reply, Failure> {
    let status = response.status().as_u16();
    let mut chunk = async || response.chunk().await.map_err(|_| Failure::Broken);
    let Some(first) = chunk().await? else { return Ok(Reply { status, body: Bytes::new() }) };
    let mut whole: Option<BytesMut> = None;
    while let Some(next) = chunk().await? {
        let body = whole.get_or_insert_with(|| BytesMut::from(&first[..]));
        if body.len().saturating_add(next.len()) > longest {
            return Err(Failure::TooLong);
        }
        body.extend_from_slice(&next);
    }
    let body = whole.map_or(first, BytesMut::freeze);
    if body.len() > longest { Err(Failure::TooLong) } else { Ok(Reply { status, body }) }
}

/// Sorts an error by what can have happened at the service.
fn sort(error: &reqwest::Error) -> Failure {
    let tls = tls_error(error);
    if error.is_connect() {
        let class = if tls.is_some() { UnreachableClass::Tls } else { UnreachableClass::Connect };
        return Failure::Unsent(class);
    }
    match tls {
        // TLS 1.3 refuses a client's certificate after the client has finished its part of the handshake.
        Some(rustls::Error::AlertReceived(_)) => Failure::CertificateRefused,
        _ => Failure::Broken,
    }
}

/// The TLS error in a chain of causes.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(here) = cause {
        if let Some(tls) = here.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An io::Error's source is that of the error it wraps, so that the wrapped one itself is skipped.
        let wrapped = here.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(wrapped) = wrapped {
            cause = Some(wrapped);
            continue;
        }
        cause = here.source();
    }
    None
}

/// An error with its causes, without the address.
fn describe(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(here) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&here.to_string());
        cause = here.source();
    }
    if text.is_empty() { "unknown".to_owned() } else { text }
}
