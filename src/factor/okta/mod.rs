//! Okta: its factors API, with an API token or OAuth.
//!
//! ```text
//! login ─ GET user ─ GET factors ─ a factor for the method ─ POST verify
//!                                                              │ WAITING            │ CHALLENGE
//!                                             pace ◄── GET transaction ◄──┐         ▼
//!                                             SUCCESS, REJECTED, TIMEOUT ─┘   a code was sent: the next
//!                                                                             sign-in brings it
//! future dropped: DELETE transaction, from a bounded queue
//! ```
//!
//! A number challenge is asked for where the person can read the number while the prompt is open, and nowhere else.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Method as Verb;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

use crate::config::{CloudName, OktaProvider, SendFields, UnreachableClass};
use crate::factor::cancelling::{self, CancelQueue};
use crate::factor::http::{self, BuildError, Call, Http, REQUESTS_AT_ONCE, Reply};
use crate::factor::object::Object;
use crate::factor::okta::admission::Admission;
use crate::factor::okta::wire::{Begun, Enrolled, User};
use crate::factor::polling::Pace;
use crate::factor::sent::Sent;
use crate::factor::{Answer, Described, Factor, Health, Provider, Refusal, Request, Tell, Trouble};
use crate::users::model::Method;

pub mod wire;

mod admission;
mod probe;

/// Questions for states under way at once.
const POLLS_AT_ONCE: usize = 64;

/// Answers in a row that make no sense, after which a prompt is given up.
const NONSENSE: u32 = 3;

/// How long no push is tried after one that wanted a number to be shown.
const INSISTS: Duration = Duration::from_secs(600);

/// How often prompts' states are asked for. The default is right outside tests.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Pause between two questions about one prompt.
    pub interval: Duration,
    /// Questions per second about all of them. Okta's own limits are by the minute and by the account; what
    /// is over them is answered with 429 and a time to be quiet until.
    pub per_second: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { interval: Duration::from_secs(2), per_second: 100 }
    }
}

/// A provider that speaks Okta's factors API.
#[derive(Debug)]
pub struct Okta {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    user: CloudName,
    described: Described,
    send: SendFields,
    http: Http,
    /// Until when no push is tried where no number can be shown: the organisation insists on one.
    insists: Mutex<Option<Instant>>,
    admission: Admission,
    pace: Pace,
    begins: Semaphore,
    polls: Semaphore,
    /// By which method a code was sent.
    sent: Mutex<Sent<Method>>,
    cancels: CancelQueue<Url>,
}

/// What came of asking.
enum Asked {
    /// A prompt is on the phone; its address.
    Prompt(Url),
    /// It is over.
    Over(Answer),
}

impl Okta {
    /// Builds the client and starts what sends cancellations. To be called within the runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn start(config: &OktaProvider) -> Result<Self, BuildError> {
        Okta::start_with(config, Timing::default())
    }

    /// [`Okta::start`] with another pace, for tests.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn start_with(config: &OktaProvider, timing: Timing) -> Result<Self, BuildError> {
        let (cancels, queue) = CancelQueue::new();
        let shared = Arc::new(Shared {
            name: config.common.name.clone(),
            user: config.user,
            described: Described::okta(config),
            send: config.common.send,
            http: Http::new(&config.common.outbound, None)?,
            insists: Mutex::default(),
            admission: Admission::new(&config.authentication)?,
            pace: Pace::new(timing.interval, timing.per_second),
            begins: Semaphore::new(REQUESTS_AT_ONCE),
            polls: Semaphore::new(POLLS_AT_ONCE),
            sent: Mutex::default(),
            cancels,
        });
        let sender = Arc::clone(&shared);
        let task = tokio::spawn(cancelling::run(queue, move |url| {
            let shared = Arc::clone(&sender);
            async move {
                shared.cancel(url).await;
                shared.cancels.finish();
            }
        }));
        Ok(Okta { shared, task })
    }

    /// How many prompts are held.
    pub fn waiting(&self) -> usize {
        self.shared.pace.count()
    }
}

impl Drop for Okta {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Factor for Okta {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn described(&self) -> Option<&Described> {
        Some(&self.shared.described)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        let shared = &*self.shared;
        Box::pin(async move {
            let deadline = Instant::from_std(request.deadline);
            // The large future of the requests is gone before the wait begins, and so is what is known of the person.
            let asked = Box::pin(shared.ask(request, deadline)).await;
            match asked {
                Ok(Asked::Prompt(url)) => shared.hold(url).await,
                Ok(Asked::Over(answer)) => answer,
                Err(refusal) => Answer::Refused(refusal),
            }
        })
    }
}

impl Provider for Okta {
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        Box::pin(probe::probe(&self.shared))
    }

    fn drain(&self, within: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Time over: the prompts expire by themselves.
            let _ = tokio::time::timeout(within, self.shared.cancels.empty()).await;
        })
    }

    fn connections(&self) -> u64 {
        self.shared.http.connections()
    }
}

impl Shared {
    fn sent(&self) -> MutexGuard<'_, Sent<Method>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the person and the factor, and asks.
    async fn ask(&self, request: Request, deadline: Instant) -> Result<Asked, Refusal> {
        // Closed only when the semaphore is, which never happens.
        let Ok(_turn) = self.begins.acquire().await else { return Err(Refusal::Lost) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refusal::Expired);
        }
        if self.http.paused().is_some() {
            return Err(Refusal::Unreachable(UnreachableClass::RateLimited));
        }
        let person = &request.person;
        let login = self.user.of(person).filter(|name| !name.is_empty()).ok_or(Refusal::NotEnrolledThere)?;
        let address = request.person_address.filter(|_| self.send.person_address);
        let user = self.look::<Object<User>>(&["users", login], left).await?.0;
        user.usable()?;
        let enrolled: Vec<Object<Enrolled>> = self.look(&["users", &user.id, "factors"], left).await?;
        let enrolled: Vec<Enrolled> = enrolled.into_iter().map(|one| one.0).collect();
        let method = match &request.code {
            Some(_) => self.sent().look(&person.unique_id, std::time::Instant::now()).unwrap_or(Method::Oath),
            None => request.method,
        };
        let factor = wire::choose(&enrolled, method, request.device)?;
        let segments = ["users", &user.id, "factors", &factor.id, "verify"];
        let url = self.address(&segments).ok_or(Refusal::NotEnrolledThere)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(code) = &request.code {
            let body = secret_body(code.open()).ok_or(Refusal::WrongCode)?;
            return self.check(url, body, address, left, &person.unique_id).await.map(Asked::Over);
        }
        let shown = request.tell.as_ref().filter(|tell| tell.while_open() && method == Method::Push);
        if method == Method::Push && shown.is_none() && self.insists() {
            return Err(Refusal::NotThisWay);
        }
        let body = shown.map(|_| Bytes::from_static(br#"{"useNumberMatchingChallenge":true}"#));
        let reply = self.request(Verb::POST, url, body, address, true, left).await?;
        if let Some(refusal) = reply.trouble(true).filter(|_| wire::error_code(&reply.body).is_none_or(is_ours)) {
            return Err(refusal);
        }
        match wire::begun(reply.status, &reply.body)? {
            Begun::CodeSent => {
                self.sent().remember(&person.unique_id, method, std::time::Instant::now());
                if let Some(tell) = &request.tell {
                    tell.code_sent();
                }
                Err(Refusal::NeedsCode)
            }
            Begun::Waiting { transaction, number } => {
                let segments = ["users", &user.id, "factors", &factor.id, "transactions", &transaction];
                let url = self.address(&segments).ok_or(Refusal::Garbled)?;
                self.show(number, shown, &url)?;
                Ok(Asked::Prompt(url))
            }
        }
    }

    /// Shows the number of a prompt. One that has to be shown and cannot be is of no use: it is taken back.
    fn show(&self, number: Option<String>, shown: Option<&Tell>, url: &Url) -> Result<(), Refusal> {
        match (number, shown) {
            (None, _) => Ok(()),
            (Some(number), Some(tell)) => {
                tell.number(&number);
                Ok(())
            }
            (Some(_), None) => {
                self.cancels.push(url.clone());
                *self.insists.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + INSISTS);
                tracing::warn!(
                    provider = self.name,
                    "the organisation insists on a number that the person compares, and no client can show it: \
                     pushes are left out"
                );
                Err(Refusal::NeedsCode)
            }
        }
    }

    /// Whether a push that nobody could answer would be sent.
    fn insists(&self) -> bool {
        let until = *self.insists.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Checks a typed code.
    async fn check(
        &self,
        url: Url,
        body: Bytes,
        address: Option<IpAddr>,
        left: Duration,
        unique_id: &str,
    ) -> Result<Answer, Refusal> {
        let reply = self.request(Verb::POST, url, Some(body), address, true, left).await?;
        let answer = wire::code(reply.status, &reply.body);
        let answer = answer.ok_or_else(|| reply.trouble(true).unwrap_or(Refusal::Garbled))?;
        if answer == Answer::Approved {
            self.sent().forget(unique_id);
        }
        Ok(answer)
    }

    /// Waits for the answer to a prompt. Dropped, it takes the prompt back.
    async fn hold(&self, url: Url) -> Answer {
        let mut held = Held { shared: self, url: Some(url) };
        let _open = self.pace.open();
        let mut nonsense = 0_u32;
        loop {
            self.pace.turn().await;
            let Some(url) = held.url.clone() else { return Answer::Refused(Refusal::Lost) };
            match Box::pin(self.poll(url)).await {
                None => nonsense = 0,
                Some(Answer::Refused(Refusal::Garbled)) if nonsense + 1 < NONSENSE => nonsense += 1,
                Some(answer) => {
                    if answer != Answer::Refused(Refusal::Garbled) {
                        held.url = None;
                    }
                    return answer;
                }
            }
        }
    }

    /// Asks for a prompt's state once. No answer is no news: the prompt stays open until its deadline.
    async fn poll(&self, url: Url) -> Option<Answer> {
        // Closed only when the semaphore is, which never happens.
        let Ok(_turn) = self.polls.acquire().await else { return None };
        let reply = self.request(Verb::GET, url, None, None, true, self.http.timeout()).await.ok()?;
        match reply.trouble(true) {
            Some(_) => None,
            None => wire::state(reply.status, &reply.body),
        }
    }

    async fn cancel(&self, url: Url) {
        // Whether it is over, unknown or refused: trying again would not change it, and it expires by itself.
        let cancelled = self.request(Verb::DELETE, url, None, None, true, self.http.timeout()).await;
        tracing::debug!(provider = self.name, status = ?cancelled.map(|reply| reply.status), "prompt cancelled");
    }

    /// Reads something before anybody is prompted.
    async fn look<T: DeserializeOwned>(&self, segments: &[&str], left: Duration) -> Result<T, Refusal> {
        let url = self.address(segments).ok_or(Refusal::NotEnrolledThere)?;
        let reply = self.request(Verb::GET, url, None, None, false, left).await?;
        if let Some(refusal) = reply.trouble(false) {
            return Err(refusal);
        }
        match reply.status {
            200 => http::json(&reply.body).ok_or(http::garbled(false)),
            404 if wire::error_code(&reply.body).as_deref() == Some("E0000007") => Err(Refusal::NotEnrolledThere),
            _ => Err(http::garbled(false)),
        }
    }

    /// An address below `api/v1`. `None` for a segment that would lead elsewhere.
    fn address(&self, segments: &[&str]) -> Option<Url> {
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return None;
        }
        let mut url = self.http.url("api/v1")?;
        url.path_segments_mut().ok()?.extend(segments);
        Some(url)
    }

    /// Sends a request; once more with a new token where the service does not take the old one, as it has then done
    /// nothing.
    async fn request(
        &self,
        verb: Verb,
        url: Url,
        body: Option<Bytes>,
        address: Option<IpAddr>,
        prompts: bool,
        within: Duration,
    ) -> Result<Reply, Refusal> {
        let mut again = true;
        loop {
            let (mut headers, used) = self.admission.headers(&self.http, within).await?;
            if body.is_some() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            if let Some(address) = address.and_then(|address| HeaderValue::try_from(address.to_string()).ok()) {
                headers.insert("x-forwarded-for", address);
            }
            let call = Call { method: verb.clone(), url: url.clone(), headers, body: body.clone() };
            let reply = self.http.send(call, within).await.map_err(|failure| failure.refusal(prompts))?;
            self.note_limits(&reply);
            if reply.status != 401 || !again || !self.admission.refused(&used) {
                return Ok(reply);
            }
            again = false;
        }
    }

    /// Keeps quiet until the time that the service names, once nothing is left of what it allows.
    fn note_limits(&self, reply: &Reply) {
        let number = |name: &str| reply.header(name)?.trim().parse::<u64>().ok();
        if reply.status != 429 && number("x-rate-limit-remaining") != Some(0) {
            return;
        }
        let reset = number("x-rate-limit-reset").map(|reset| reset.saturating_sub(http::unix_now()));
        let pause = reset.map(Duration::from_secs).or_else(|| reply.retry_after()).unwrap_or(Duration::from_secs(1));
        self.pace.quiet_until(Instant::now() + pause.clamp(Duration::from_secs(1), http::LONGEST_PAUSE));
    }
}

/// Whether an error is about our credentials or our rate, and not about the person.
fn is_ours(code: String) -> bool {
    matches!(&*code, "E0000004" | "E0000005" | "E0000006" | "E0000011" | "E0000047")
}

/// `{"passCode":"…"}`. `None` when the code is no text or has characters that no code has.
fn secret_body(code: &[u8]) -> Option<Bytes> {
    let plain = code.iter().all(|octet| octet.is_ascii_alphanumeric());
    (plain && (1..=64).contains(&code.len())).then(|| [br#"{"passCode":""#, code, br#""}"#].concat().into())
}

/// A held prompt. Dropped before its answer is known, it takes the prompt back.
struct Held<'a> {
    shared: &'a Shared,
    url: Option<Url>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(url) = self.url.take() {
            self.shared.cancels.push(url);
        }
    }
}
