//! The native protocol's requests: signed or over mutual TLS, on the shared way out ([`crate::factor::http`]).

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Identity, Method, Response};
use std::time::Duration;
use url::Url;

use crate::config::{NativeAuthentication, NativeProvider, UnreachableClass};
use crate::factor::http::{self, Http};
use crate::factor::native::batching;
use crate::factor::native::signing::{Signed, Signer};
use crate::factor::native::wire::LONGEST_MESSAGE;

pub use crate::factor::http::{BuildError, Failure, REQUESTS_AT_ONCE, Reply, certificate_expiry, read, unix_now};

/// The requests of one provider.
#[derive(Debug)]
pub struct Transport {
    http: Http,
    verifications: Url,
    batch: Url,
    signer: Option<Signer>,
}

impl Transport {
    /// Builds the client. Reads the named files.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: &NativeProvider) -> Result<Self, BuildError> {
        let base = http::base_url(&config.common.outbound.url)?;
        let (signer, identity) = match &config.authentication {
            NativeAuthentication::Signed { key_id, key } => {
                (Some(Signer::new(key_id, key).map_err(BuildError::Key)?), None)
            }
            NativeAuthentication::Certificate { .. } if base.scheme() == "http" => {
                return Err(BuildError::CertificateWithoutTls);
            }
            NativeAuthentication::Certificate { certificate, key } => (None, Some(identity(certificate, key)?)),
        };
        let http = Http::new(&config.common.outbound, identity)?;
        let verifications = http.url("v1/verifications").ok_or(BuildError::UnfitUrl)?;
        let batch = http.url("v1/verifications/batch").ok_or(BuildError::UnfitUrl)?;
        Ok(Transport { http, verifications, batch, signer })
    }

    /// How many connections have been begun.
    pub fn connections(&self) -> u64 {
        self.http.connections()
    }

    /// Time for one request.
    pub fn timeout(&self) -> Duration {
        self.http.timeout()
    }

    /// How long the service still wants to hear nothing new, as it said with a 429.
    pub fn paused(&self) -> Option<Duration> {
        self.http.paused()
    }

    /// Sends a verification request.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self, body: Bytes) -> Result<Reply, Failure> {
        let response = self.send(Method::POST, self.verifications.clone(), Some(body)).await?;
        let reply = read(response, LONGEST_MESSAGE).await?;
        self.http.keep_pause(&reply);
        Ok(reply)
    }

    /// Sends several verification requests at once, one on each line.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask_all(&self, body: Bytes) -> Result<Reply, Failure> {
        let response = self.send(Method::POST, self.batch.clone(), Some(body)).await?;
        let reply = read(response, LONGEST_MESSAGE * batching::LARGEST).await?;
        self.http.keep_pause(&reply);
        Ok(reply)
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
        let url = self.http.url(path).ok_or(Failure::Broken)?;
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
        self.http.open(request).await
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

/// A certificate and its key.
fn identity(certificate: &std::path::Path, key: &std::path::Path) -> Result<Identity, BuildError> {
    let mut pem = zeroize::Zeroizing::new(http::file(key)?);
    pem.push(b'\n');
    pem.extend_from_slice(&http::file(certificate)?);
    Identity::from_pem(&pem).map_err(|_| BuildError::Pem(key.to_owned()))
}
