//! The way out to a cloud, the same for every type of provider: one pooled client each, HTTP/2 where it is offered,
//! certificates always verified, each failure sorted by whether a prompt can have gone out.
//!
//! ```text
//! Failure, Reply ── refusal(prompts) ──► Unreachable(class)   nobody can have been prompted
//!                                        Lost, Garbled        somebody may have been
//! ```

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, Proxy, Request, Response, redirect};
use tokio::time::Instant;
use url::{Host, Url};

use crate::config::{Outbound, OutboundProxy, UnreachableClass};
use crate::factor::{Refusal, object};
use counting::CountConnections;
use sorting::{describe, sort};

mod counting;
mod headers;
mod sorting;

pub use headers::{accepting_json, secret_value};
pub use sorting::{BuildError, Failure};

/// Requests under way to one provider at once where it speaks HTTP/1.1 only, each on a connection of its own.
pub const REQUESTS_AT_ONCE: usize = 256;

/// Longest answer that is read, in octets. Ours; a real one has some kilobytes.
pub const LONGEST_ANSWER: usize = 64 * 1024;

/// Longest pause that a service may ask for; longer ones count as this.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Pause after a 429 that asks for none.
const USUAL_PAUSE: Duration = Duration::from_secs(1);

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Longest time for a connection to be made, TLS included, whatever the configured timeout.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// The HTTP client of one provider.
#[derive(Debug)]
pub struct Http {
    client: Client,
    base: Url,
    timeout: Duration,
    connections: Arc<AtomicU64>,
    /// Until when the service wants to hear nothing new.
    quiet: Arc<Mutex<Option<Instant>>>,
}

/// One request.
#[derive(Debug)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Where it goes; see [`Http::url`].
    pub url: Url,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Option<Bytes>,
}

/// An answer, whole.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Its headers; none in an answer that came as part of another.
    pub headers: Option<Box<HeaderMap>>,
    /// Its body, at most as long as was allowed.
    pub body: Bytes,
    /// When the certificate of the connection expires, where there was one that says so.
    pub certificate_expires: Option<SystemTime>,
}

impl Http {
    /// Builds the client. Reads the named files. `identity` is a client certificate.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(outbound: &Outbound, identity: Option<Identity>) -> Result<Self, BuildError> {
        Http::sharing(outbound, identity, Arc::default(), Arc::default())
    }

    /// Another client of the same service, on connections of its own. It is counted with this one, and keeps the same
    /// pauses.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn beside(&self, outbound: &Outbound) -> Result<Self, BuildError> {
        Http::sharing(outbound, None, Arc::clone(&self.connections), Arc::clone(&self.quiet))
    }

    fn sharing(
        outbound: &Outbound,
        identity: Option<Identity>,
        connections: Arc<AtomicU64>,
        quiet: Arc<Mutex<Option<Instant>>>,
    ) -> Result<Self, BuildError> {
        let base = base_url(&outbound.url)?;
        let count = CountConnections(Arc::clone(&connections));
        let mut builder = builder(outbound, &base)?.connector_layer(count);
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(|error| BuildError::Client(describe(&error)))?;
        Ok(Http { client, base, timeout: outbound.timeout, connections, quiet })
    }

    /// Time for one request.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The base address, which ends with a slash.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the base; `path` has no leading slash. `None` when it cannot be written as a URL.
    pub fn url(&self, path: &str) -> Option<Url> {
        self.base.join(path).ok()
    }

    /// How many connections have been begun. With TLS each is one handshake; one that a pooled client keeps serves
    /// many requests.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Sends a request and reads the answer, within the configured time or `within`, whichever is shorter.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(&self, call: Call, within: Duration) -> Result<Reply, Failure> {
        self.wait(call, within.min(self.timeout)).await
    }

    /// As [`Http::send`], but the answer may take as long as `within`: it comes when a person has answered.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn wait(&self, call: Call, within: Duration) -> Result<Reply, Failure> {
        let answered = async {
            let mut request = Request::new(call.method, call.url);
            *request.headers_mut() = call.headers;
            *request.body_mut() = call.body.map(Into::into);
            read(self.open(request).await?, LONGEST_ANSWER).await
        };
        let reply = tokio::time::timeout(within, answered).await.map_err(|_| Failure::OutOfTime)??;
        if reply.status == 429 {
            self.keep_quiet(reply.retry_after().unwrap_or(USUAL_PAUSE));
        }
        Ok(reply)
    }

    /// Keeps the pause that an answer to [`Http::open`] asks for, where it does.
    pub fn keep_pause(&self, reply: &Reply) {
        if let (429, Some(pause)) = (reply.status, reply.retry_after()) {
            self.keep_quiet(pause);
        }
    }

    /// Sends a request and leaves the answer's body unread.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn open(&self, request: Request) -> Result<Response, Failure> {
        self.client.execute(request).await.map_err(|error| sort(&error))
    }

    /// How long the service still wants to hear nothing new, as it said with a 429.
    pub fn paused(&self) -> Option<Duration> {
        let quiet = (*self.quiet.lock().unwrap_or_else(PoisonError::into_inner))?;
        let left = quiet.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn keep_quiet(&self, pause: Duration) {
        let until = Instant::now().checked_add(pause.min(LONGEST_PAUSE));
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        *quiet = until.max(*quiet);
    }
}

impl Reply {
    /// What a status that is no answer at all means. `prompts`: the request could have prompted somebody.
    pub fn trouble(&self, prompts: bool) -> Option<Refusal> {
        match self.status {
            401 | 403 => Some(Refusal::Unreachable(UnreachableClass::Refused)),
            429 => Some(Refusal::Unreachable(UnreachableClass::RateLimited)),
            // 503: the service says that it has done nothing (RFC 9110 section 15.6.4).
            503 => Some(Refusal::Unreachable(UnreachableClass::ServerError)),
            500..=599 if prompts => Some(Refusal::Lost),
            500..=599 => Some(Refusal::Unreachable(UnreachableClass::ServerError)),
            _ => None,
        }
    }

    /// A header's text, where it is there and is text.
    pub fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.headers.as_ref()?.get(name)?.to_str().ok()
    }

    /// The service's clock minus ours, in seconds, from its Date header.
    pub fn clock_skew(&self) -> Option<i64> {
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(self.header(DATE)?).ok()?;
        let now = i64::try_from(unix_now()).ok()?;
        Some(date.as_second().saturating_sub(now))
    }

    /// The pause that `Retry-After` or `X-Retry-After` asks for, in seconds or as a date (RFC 9110 section 10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        let headers = self.headers.as_ref()?;
        let text = headers.get(RETRY_AFTER).or_else(|| headers.get("x-retry-after"))?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        // A date that has passed asks for no pause.
        Some(SystemTime::from(date).duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// Reads an answer in JSON (RFC 8259). One that is not UTF-8 is none, also where it says so in what is skipped.
pub fn json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(body).ok()?).ok()
}

/// As [`json`], for what must be an object, see [`object`].
pub fn json_object<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    object::read(std::str::from_utf8(body).ok()?.as_bytes()).ok()
}

/// What to say where a web page came instead of an answer.
pub const PAGE: &str = "a web page came instead of an answer: a proxy or a captive portal stands in the way; set proxy, or \
     let this server out";

/// Whether an answer is a web page.
pub fn is_page(reply: &Reply) -> bool {
    let kind = reply.headers.as_ref().and_then(|headers| headers.get(CONTENT_TYPE)?.to_str().ok());
    let start = reply.body.get(..reply.body.len().min(64)).unwrap_or_default().to_ascii_lowercase();
    kind.is_some_and(|kind| kind.starts_with("text/html")) || start.trim_ascii_start().starts_with(b"<!doctype html")
}

/// What a status other than success means to whoever checks the configuration.
pub fn status_trouble(status: u16) -> String {
    let advice = match status {
        401 | 403 => "credentials refused: check them, and the clock",
        407 => "the proxy wants a name and a password: set proxy_user and proxy_password",
        429 => "rate limited: wait, or ask the service for more",
        500..=599 => "the service is in trouble: see its status page",
        _ => "there is no such service at that address: check url",
    };
    format!("status {status}: {advice}")
}

/// What a garbled answer is: `prompts`, if the request could have prompted somebody.
pub fn garbled(prompts: bool) -> Refusal {
    if prompts { Refusal::Garbled } else { Refusal::Unreachable(UnreachableClass::Malformed) }
}

/// Seconds since 1970; 0 on a clock before that.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Checks a base address and gives it a closing slash, so that paths can be joined to it.
///
/// # Errors
/// When it is none, or says more than it should.
pub fn base_url(text: &str) -> Result<Url, BuildError> {
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
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The client as configured. There is no way to switch the verification of certificates off.
fn builder(outbound: &Outbound, base: &Url) -> Result<ClientBuilder, BuildError> {
    let connect = outbound.timeout.min(LONGEST_CONNECT);
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
        // No TLS: nothing is loaded for it, and no proxy of the environment stands between us and ourselves.
        builder = builder.no_proxy().tls_certs_only([]);
    } else {
        builder = builder.https_only(true).tls_info(true);
    }
    if let Some(proxy) = &outbound.proxy {
        builder = builder.proxy(on_the_way(proxy)?);
    }
    if let Some(path) = &outbound.ca_file {
        let authorities = Certificate::from_pem_bundle(&file(path)?).map_err(|_| BuildError::Pem(path.clone()))?;
        if authorities.is_empty() {
            return Err(BuildError::Pem(path.clone()));
        }
        builder = builder.tls_certs_merge(authorities);
    }
    Ok(builder)
}

fn on_the_way(proxy: &OutboundProxy) -> Result<Proxy, BuildError> {
    let made = Proxy::all(&proxy.url).map_err(|_| BuildError::Proxy)?;
    match &proxy.credentials {
        None => Ok(made),
        Some((user, password)) => {
            let password = std::str::from_utf8(password.open()).map_err(|_| BuildError::Proxy)?;
            Ok(made.basic_auth(user, password))
        }
    }
}

/// A file of the configuration.
///
/// # Errors
/// When it cannot be read.
pub fn file(path: &std::path::Path) -> Result<Vec<u8>, BuildError> {
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
    let certificate_expires = certificate_expiry(&response);
    let headers = Some(Box::new(std::mem::take(response.headers_mut())));
    let mut chunk = async || response.chunk().await.map_err(|_| Failure::Broken);
    let mut body = chunk().await?.unwrap_or_default();
    let mut whole: Option<BytesMut> = None;
    while let Some(next) = chunk().await? {
        let longer = whole.get_or_insert_with(|| BytesMut::from(&body[..]));
        if longer.len().saturating_add(next.len()) > longest {
            return Err(Failure::TooLong);
        }
        longer.extend_from_slice(&next);
    }
    if let Some(whole) = whole {
        body = whole.freeze();
    }
    if body.len() > longest {
        return Err(Failure::TooLong);
    }
    Ok(Reply { status, headers, body, certificate_expires })
}

#[cfg(test)]
mod tests;
