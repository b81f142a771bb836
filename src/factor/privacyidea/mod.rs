//! privacyIDEA: its validate API, with a service account for what triggers challenges.
//!
//! ```text
//! no code: POST triggerchallenge ─┬─ answered on a phone: pace ◄── GET polltransaction ◄──┐
//!                                 │              accept ─ POST check, empty ─► approved   │ pending
//!                                 │                                                       ┘
//!                                 └─ answered with a code: remembered, the next sign-in brings it
//! a code:  POST check, in the transaction that was triggered a moment ago where there is one
//! ```
//!
//! Both at once is the usual case of somebody with several tokens: the prompt is held, and a sign-in with a code that
//! comes meanwhile is checked in the same transaction, whichever comes first. The service has no way to take a prompt
//! back: it expires by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Method as Verb;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use crate::config::{
    CloudName, Codes, PrivacyIdeaAuthorisation, PrivacyIdeaProvider, SendFields, Triggers, UnreachableClass,
};
use crate::factor::http::{self, BuildError, Call, Http, REQUESTS_AT_ONCE, Reply};
use crate::factor::polling::Pace;
use crate::factor::privacyidea::wire::{Checked, State, Triggered};
use crate::factor::sent::Sent;
use crate::factor::token::{Fresh, Tokens};
use crate::factor::{Answer, Described, Factor, Health, Provider, Refusal, Request, Trouble};
use crate::secret::Secret;

pub mod wire;

mod probe;

pub use probe::NOBODY;

/// Where the service looks for the token of an administrator; a proxy may take `Authorization` for itself.
const AUTHORISATION: HeaderName = HeaderName::from_static("pi-authorization");

/// How long a token is good for that does not say so.
const TOKEN_LIVES: Duration = Duration::from_secs(3600);

/// Questions for states under way at once. Each takes a worker of the service.
const POLLS_AT_ONCE: usize = 32;

/// Answers in a row that make no sense, after which a prompt is given up.
const NONSENSE: u32 = 3;

/// How often transactions' states are asked for. The default is right outside tests.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Pause between two questions about one transaction.
    pub interval: Duration,
    /// Questions per second about all of them.
    pub per_second: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { interval: Duration::from_secs(1), per_second: 200 }
    }
}

/// A provider that speaks privacyIDEA's validate API.
#[derive(Debug)]
pub struct PrivacyIdea {
    name: String,
    realm: Option<String>,
    /// By the part of a UPN after the `@`, in lower case.
    realms: Vec<(String, String)>,
    user: CloudName,
    described: Described,
    send: SendFields,
    triggers: Triggers,
    codes: Codes,
    http: Http,
    authorisation: Authorisation,
    pace: Pace,
    begins: Semaphore,
    polls: Semaphore,
    /// The transaction in which a code is expected.
    sent: Mutex<Sent<Box<str>>>,
}

#[derive(Debug)]
enum Authorisation {
    Token(Arc<Secret>),
    Account { name: String, password: Secret, tokens: Tokens },
}

/// Whom a request is about, as the service knows them.
struct Who {
    user: String,
    realm: Option<String>,
    client: Option<String>,
}

/// What came of asking.
enum Asked {
    /// A transaction is open, and answered on a phone.
    Open(Who, String),
    /// It is over.
    Over(Answer),
}

impl PrivacyIdea {
    /// Builds the client.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: &PrivacyIdeaProvider) -> Result<Self, BuildError> {
        PrivacyIdea::with_timing(config, Timing::default())
    }

    /// [`PrivacyIdea::new`] with another pace, for tests.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn with_timing(config: &PrivacyIdeaProvider, timing: Timing) -> Result<Self, BuildError> {
        let authorisation = match &config.authorisation {
            PrivacyIdeaAuthorisation::Token(token) => {
                http::secret_value("", token).ok_or(BuildError::NoText("the token"))?;
                Authorisation::Token(Arc::new(token.duplicate()))
            }
            PrivacyIdeaAuthorisation::Account { name, password } => {
                std::str::from_utf8(password.open()).map_err(|_| BuildError::NoText("the account's password"))?;
                Authorisation::Account { name: name.clone(), password: password.duplicate(), tokens: Tokens::new() }
            }
        };
        Ok(PrivacyIdea {
            name: config.common.name.clone(),
            realm: config.realm.clone(),
            realms: config.realms.clone(),
            user: config.user,
            described: Described::privacyidea(config),
            send: config.common.send,
            triggers: config.triggers,
            codes: config.codes,
            http: Http::new(&config.common.outbound, None)?,
            authorisation,
            pace: Pace::new(timing.interval, timing.per_second),
            begins: Semaphore::new(REQUESTS_AT_ONCE),
            polls: Semaphore::new(POLLS_AT_ONCE),
            sent: Mutex::default(),
        })
    }

    /// How many prompts are held.
    pub fn waiting(&self) -> usize {
        self.pace.count()
    }

    fn sent(&self) -> MutexGuard<'_, Sent<Box<str>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn who(&self, request: &Request) -> Result<Who, Refusal> {
        let person = &request.person;
        let user = self.user.of(person).filter(|name| !name.is_empty()).ok_or(Refusal::NotEnrolledThere)?.to_owned();
        let suffix =
            person.upn.as_deref().and_then(|upn| upn.rsplit_once('@')).map(|(_, suffix)| suffix.to_lowercase());
        let of_suffix = suffix.and_then(|suffix| self.realms.iter().find(|(known, _)| *known == suffix));
        let realm = of_suffix.map(|(_, realm)| realm.clone()).or_else(|| self.realm.clone());
        let address = request.person_address.filter(|_| self.send.person_address);
        Ok(Who { user, realm, client: address.map(|address| address.to_string()) })
    }

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
        let (who, unique_id) = (self.who(&request)?, &request.person.unique_id);
        if let Some(code) = &request.code {
            let answer = self.code(&who, code, unique_id, left).await?;
            return Ok(Asked::Over(answer));
        }
        let kind = match self.triggers {
            // A code that cannot be typed is not sent.
            Triggers::All if request.can_type => None,
            Triggers::All | Triggers::Method => wire::kind(request.method),
        };
        let triggered = self.trigger(&who, kind, left).await?;
        if triggered.typed {
            let transaction = triggered.transaction.as_str().into();
            self.sent().remember(unique_id, transaction, std::time::Instant::now());
        }
        if triggered.polled {
            return Ok(Asked::Open(who, triggered.transaction));
        }
        if let (Some(tell), Some(message)) = (&request.tell, &triggered.message) {
            tell.say(message);
        }
        Err(if triggered.typed { Refusal::NeedsCode } else { Refusal::Undeliverable })
    }

    /// Triggers challenges. A token that was refused has done nothing: once more with a new one.
    async fn trigger(&self, who: &Who, kind: Option<&str>, left: Duration) -> Result<Triggered, Refusal> {
        let mut again = true;
        loop {
            let token = self.token(left).await?;
            let mut form = who.form();
            form.extend(kind.map(|kind| ("type", kind)));
            let authorisation =
                http::secret_value("", &token).ok_or(Refusal::Unreachable(UnreachableClass::Malformed))?;
            let reply = self.post("validate/triggerchallenge", &form, Some(authorisation), true, left).await?;
            if reply.status == 401
                && again
                && let Authorisation::Account { tokens, .. } = &self.authorisation
            {
                tokens.spoiled(&token);
                again = false;
                continue;
            }
            return match reply.trouble(true) {
                Some(refusal) => Err(refusal),
                None => wire::triggered(reply.status, &reply.body),
            };
        }
    }

    /// Checks a typed code.
    async fn code(&self, who: &Who, code: &Secret, unique_id: &str, left: Duration) -> Result<Answer, Refusal> {
        let code = std::str::from_utf8(code.open()).map_err(|_| Refusal::WrongCode)?;
        if code.is_empty() {
            return Err(Refusal::WrongCode);
        }
        let earlier = self.sent().look(unique_id, std::time::Instant::now());
        let transaction = match (earlier, self.codes) {
            (Some(earlier), _) => Some(String::from(earlier)),
            (None, Codes::Direct) => None,
            (None, Codes::Challenge) => Some(self.silent_challenge(who, left).await?),
        };
        let checked = self.check(who, code, transaction.as_deref(), left).await?;
        match &checked {
            Checked::Accepted => self.sent().forget(unique_id),
            Checked::Rejected => {}
            Checked::Challenged(more) => {
                self.sent().remember(unique_id, more.as_str().into(), std::time::Instant::now());
            }
        }
        Ok(wire::code(&checked))
    }

    /// Opens a challenge that sends nothing, so that a code can be checked without the PIN before it.
    async fn silent_challenge(&self, who: &Who, left: Duration) -> Result<String, Refusal> {
        let found = match self.trigger(who, Some("totp"), left).await {
            Err(Refusal::NotThisWay) => self.trigger(who, Some("hotp"), left).await?,
            found => found?,
        };
        Ok(found.transaction)
    }

    async fn check(
        &self,
        who: &Who,
        pass: &str,
        transaction: Option<&str>,
        left: Duration,
    ) -> Result<Checked, Refusal> {
        let mut form = who.form();
        form.push(("pass", pass));
        form.extend(transaction.map(|id| ("transaction_id", id)));
        let reply = self.post("validate/check", &form, None, true, left).await?;
        match reply.trouble(true) {
            Some(refusal) => Err(refusal),
            None => wire::checked(reply.status, &reply.body),
        }
    }

    /// Waits for the answer to a transaction.
    async fn hold(&self, who: Who, transaction: &str) -> Answer {
        let Some(url) = self.http.url(&format!("validate/polltransaction/{transaction}")) else {
            return Answer::Refused(Refusal::Garbled);
        };
        let _open = self.pace.open();
        let mut nonsense = 0_u32;
        loop {
            self.pace.turn().await;
            match Box::pin(self.poll(url.clone())).await {
                State::Pending => nonsense = 0,
                State::Refused(Refusal::Garbled) if nonsense + 1 < NONSENSE => nonsense += 1,
                State::Refused(refusal) => return Answer::Refused(refusal),
                State::Accepted => return Box::pin(self.finish(&who, transaction)).await,
            }
        }
    }

    /// The closing check. It can be made once: afterwards the transaction is gone. One that did not get there is made
    /// again, until the deadline. Somebody was prompted: it is never that the service is unreachable.
    async fn finish(&self, who: &Who, transaction: &str) -> Answer {
        loop {
            match self.check(who, "", Some(transaction), self.http.timeout()).await {
                Ok(Checked::Accepted) => return Answer::Approved,
                Ok(Checked::Rejected) => return Answer::Refused(Refusal::Denied),
                Ok(Checked::Challenged(_)) => return Answer::Refused(Refusal::NeedsCode),
                Err(Refusal::Unreachable(UnreachableClass::Refused)) => return Answer::Refused(Refusal::Lost),
                Err(Refusal::Unreachable(_)) => self.pace.turn().await,
                Err(refusal) => return Answer::Refused(refusal),
            }
        }
    }

    /// Asks for a state once. No answer is no news: the prompt stays open until its deadline.
    async fn poll(&self, url: Url) -> State {
        // Closed only when the semaphore is, which never happens.
        let Ok(_turn) = self.polls.acquire().await else { return State::Pending };
        let call = Call { method: Verb::GET, url, headers: http::accepting_json(), body: None };
        match self.http.send(call, self.http.timeout()).await {
            Ok(reply) if reply.trouble(true).is_none() => wire::state(reply.status, &reply.body),
            Ok(_) | Err(_) => {
                if let Some(pause) = self.http.paused() {
                    self.pace.quiet_until(Instant::now() + pause);
                }
                State::Pending
            }
        }
    }

    async fn token(&self, left: Duration) -> Result<Arc<Secret>, Refusal> {
        match &self.authorisation {
            Authorisation::Token(token) => Ok(Arc::clone(token)),
            Authorisation::Account { name, password, tokens } => tokens.get(self.fetch(name, password, left)).await,
        }
    }

    async fn fetch(&self, name: &str, password: &Secret, left: Duration) -> Result<Fresh, Refusal> {
        // Checked when this was built.
        let password = std::str::from_utf8(password.open()).unwrap_or_default();
        let reply = self.post("auth", &[("username", name), ("password", password)], None, false, left).await?;
        if let Some(refusal) = reply.trouble(false) {
            return Err(refusal);
        }
        let (token, ends) = wire::authorised(reply.status, &reply.body)?;
        // By the service's own clock, where it tells it.
        let now = http::unix_now().saturating_add_signed(reply.clock_skew().unwrap_or_default());
        let lives = ends.map_or(TOKEN_LIVES, |ends| Duration::from_secs(ends.saturating_sub(now)));
        Ok(Fresh { token: Secret::from_text(token), lives })
    }

    async fn post(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        authorisation: Option<HeaderValue>,
        prompts: bool,
        within: Duration,
    ) -> Result<Reply, Refusal> {
        let url = self.http.url(path).ok_or(Refusal::Misconfigured)?;
        let mut headers = http::accepting_json();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(authorisation) = authorisation {
            headers.insert(AUTHORISATION, authorisation);
        }
        let body = Zeroizing::new(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish());
        let body = Some(Bytes::copy_from_slice(body.as_bytes()));
        let call = Call { method: Verb::POST, url, headers, body };
        self.http.send(call, within).await.map_err(|failure| failure.refusal(prompts))
    }
}

impl Who {
    fn form(&self) -> Vec<(&str, &str)> {
        let mut form = vec![("user", self.user.as_str())];
        form.extend(self.realm.as_deref().map(|realm| ("realm", realm)));
        form.extend(self.client.as_deref().map(|client| ("client", client)));
        form
    }
}

impl Factor for PrivacyIdea {
    fn name(&self) -> &str {
        &self.name
    }

    fn described(&self) -> Option<&Described> {
        Some(&self.described)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let deadline = Instant::from_std(request.deadline);
            // The large future of the requests is gone before the wait begins, and so is what is known of the person.
            match Box::pin(self.ask(request, deadline)).await {
                Ok(Asked::Open(who, transaction)) => self.hold(who, &transaction).await,
                Ok(Asked::Over(answer)) => answer,
                Err(refusal) => Answer::Refused(refusal),
            }
        })
    }
}

impl Provider for PrivacyIdea {
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        Box::pin(probe::probe(self))
    }

    fn connections(&self) -> u64 {
        self.http.connections()
    }
}
