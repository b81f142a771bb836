//! What a simulated service is to the shell around it: requests in, answers out. A simulator's core is one file with
//! one type behind [`Service`]; sockets, faults, the page and the log of requests are the shell's.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::simulate::desk::Desk;
use crate::simulate::scenario::Step;

/// A simulated service.
pub trait Service: Send + Sync + fmt::Debug {
    /// Its word on the command line.
    fn word(&self) -> &'static str;

    /// What a request is about, before it is answered. Faults are looked up by it, and the page shows it.
    fn about(&self, call: &Call, desk: &Desk) -> About;

    /// The right answer. A long poll waits here.
    fn answer<'a>(&'a self, call: &'a Call, desk: &'a Arc<Desk>) -> BoxFuture<'a, Reply>;

    /// A refusal of a step with an HTTP status, in the service's own words.
    fn refusal(&self, step: Step, status: u16) -> Reply;

    /// In how many ways an answer can say both yes and no.
    fn halves(&self) -> usize;

    /// A right answer, made to say both yes and no in the way numbered `which`, from 0.
    fn half_success(&self, reply: Reply, which: usize) -> Reply;
}

/// One request, whole.
pub struct Call {
    /// `GET`, `POST`, …
    pub method: Method,
    /// Path and query as sent.
    pub uri: Uri,
    /// Headers. There is a `Host` with HTTP/2, too.
    pub headers: HeaderMap,
    /// Body; empty where there is none.
    pub body: Bytes,
    /// The service's clock, in seconds since 1970, as skewed as the scenario says.
    pub now: u64,
    /// Whether it came over TLS.
    pub tls: bool,
}

impl Call {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Path and query, exactly as sent.
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// Method and path, as a table of routes has them.
    pub fn route(&self) -> (&str, &str) {
        (self.method.as_str(), self.uri.path())
    }

    /// A header's text; empty where it is missing or no text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The media type of the body, without parameters, in lower case.
    pub fn media_type(&self) -> String {
        let kind = self.header("content-type").split(';').next().unwrap_or_default();
        kind.trim().to_ascii_lowercase()
    }

    /// A value of the query.
    pub fn query(&self, name: &str) -> Option<String> {
        pairs(self.uri.query().unwrap_or_default().as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Every pair of a form body.
    pub fn form(&self) -> Vec<(String, String)> {
        pairs(&self.body).collect()
    }

    /// A value of a form body.
    pub fn field(&self, name: &str) -> Option<String> {
        pairs(&self.body).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// A value of a JSON body.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(text).map(|(key, value)| (key.into_owned(), value.into_owned()))
}

/// What a request is about.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Which step it is.
    pub step: Step,
    /// Whom it is about, where that is known.
    pub person: Option<String>,
    /// What the page shows of it. No secret, no code.
    pub fields: Vec<(&'static str, String)>,
}

impl About {
    /// A step, and whom it is about.
    pub fn new(step: Step, person: Option<String>) -> Self {
        About { step, person, fields: Vec::new() }
    }

    /// With something more for the page; nothing where it is empty.
    #[must_use]
    pub fn showing(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.fields.push((name, value));
        }
        self
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub kind: &'static str,
    /// Further headers.
    pub headers: Vec<(HeaderName, String)>,
    /// Body, or where [`Reply::more`] is something its beginning.
    pub body: Vec<u8>,
    /// What follows by and by: a stream of events.
    pub more: Option<Body>,
}

impl Reply {
    /// An answer of any kind.
    pub fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Reply { status, kind, headers: Vec::new(), body: body.into(), more: None }
    }

    /// An answer in JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        Reply::new(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same answer with its JSON changed; unchanged where it is none.
    #[must_use]
    pub fn changed(mut self, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        if let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(&self.body) {
            change(&mut value);
            self.body = serde_json::to_vec(&value).unwrap_or_default();
        }
        self
    }
}
