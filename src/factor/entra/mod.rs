//! Microsoft Entra multifactor authentication, by the connector that its NPS extension speaks: people keep the app, the
//! phone and the codes that they have.
//!
//! ```text
//! run ─ token (kept, renewed early) ─ Begin ─ final? ─────────────────────────► answer
//!                                       ├─ pending:   End each poll_every ────► answer
//!                                       └─ challenge: End with the typed code ► answer
//! ```
//!
//! It has no way to cancel a prompt: one that nobody waits for any more expires by itself within three minutes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Method as Verb;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use crate::config::{EntraMode, EntraProvider, NumberMatching, UnreachableClass};
use crate::factor::entra::wire::{Begin, Said};
use crate::factor::http::{self, BuildError, Call, Http, REQUESTS_AT_ONCE, Reply};
use crate::factor::polling::Pace;
use crate::factor::sent::Sent;
use crate::factor::token::Tokens;
use crate::factor::{Answer, Described, Factor, Health, Provider, Refusal, Request, Trouble};
use crate::secret::Secret;
use crate::users::model::Method;
use login::Login;

mod login;
mod probe;
pub mod wire;

/// Where the operations are, below the base address.
const CONNECTOR: &str = "StrongAuthenticationService.svc/Connector";

/// Prompts whose state is asked for each second, all together: where more are open, each is asked about less often.
const POLLS_A_SECOND: u32 = 500;

/// Questions for states under way at once.
const POLLS_AT_ONCE: usize = 64;

/// Questions under way at once that are answered when the person has answered. Each takes a place of the connection
/// as long, and a connection has some hundred: where there are more, their states are asked for.
const BLOCKING_AT_ONCE: usize = 64;

/// Answers in a row that make no sense, after which a prompt is given up.
const NONSENSE: u32 = 3;

/// Longest cookies that are sent back, in octets.
const LONGEST_COOKIES: usize = 4096;

/// A provider that speaks to Entra.
#[derive(Debug)]
pub struct Entra {
    config: Settings,
    http: Http,
    login: Login,
    tokens: Tokens,
    begin_url: Url,
    end_url: Url,
    pace: Pace,
    begins: Semaphore,
    polls: Semaphore,
    blocking: Semaphore,
    /// In which session a code was sent.
    sent: Mutex<Sent<Arc<Session>>>,
}

/// What is needed of the configuration.
#[derive(Debug)]
struct Settings {
    name: String,
    user: crate::config::CloudName,
    described: Described,
    mode: EntraMode,
    send_address: bool,
}

/// A question under way.
#[derive(Debug)]
struct Session {
    user: String,
    context: String,
    id: String,
    /// Where its state is asked for.
    url: Url,
    cookies: Option<HeaderValue>,
}

/// What has begun.
enum Begun {
    /// It is over: the person approved.
    Approved,
    /// A code is to be handed in.
    Typed(Arc<Session>, zeroize::Zeroizing<String>),
    /// The person is being asked.
    Open(Session),
}

impl Entra {
    /// Builds the client. Reads the named files.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: &EntraProvider) -> Result<Self, BuildError> {
        let http = Http::new(&config.common.outbound, None)?;
        let operation = |name: &str| http.url(&format!("{CONNECTOR}/{name}")).ok_or(BuildError::UnfitUrl);
        Ok(Entra {
            begin_url: operation("BeginTwoWayAuthentication")?,
            end_url: operation("EndTwoWayAuthentication")?,
            login: Login::new(config)?,
            config: Settings {
                name: config.common.name.clone(),
                user: config.user,
                described: Described::entra(config),
                mode: config.mode,
                send_address: config.common.send.person_address,
            },
            http,
            tokens: Tokens::new(),
            pace: Pace::new(config.poll_every, POLLS_A_SECOND),
            begins: Semaphore::new(REQUESTS_AT_ONCE),
            polls: Semaphore::new(POLLS_AT_ONCE),
            blocking: Semaphore::new(BLOCKING_AT_ONCE),
            sent: Mutex::default(),
        })
    }

    fn sent(&self) -> MutexGuard<'_, Sent<Arc<Session>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, request: Request) -> Result<(), Refusal> {
        let deadline = Instant::from_std(request.deadline);
        let typist = request.code.as_ref().map(|_| request.person.unique_id.clone());
        // On the heap and gone before the wait: what is known of the person is not needed while they look for
        // their phone.
        match Box::pin(self.begin(request, deadline)).await? {
            Begun::Approved => Ok(()),
            Begun::Typed(session, code) => {
                // Boxed as well: a prompt that waits for its person would else carry the room for it.
                Box::pin(self.hand_in(&session, &code, deadline)).await?;
                self.sent().forget(&typist.unwrap_or_default());
                Ok(())
            }
            Begun::Open(session) => self.poll(&session, deadline).await,
        }
    }

    /// Asks for a prompt, or for the moment to hand in a code.
    async fn begin(&self, request: Request, deadline: Instant) -> Result<Begun, Refusal> {
        if self.http.paused().is_some() {
            return Err(Refusal::Unreachable(UnreachableClass::RateLimited));
        }
        let user = self.config.user.of(&request.person).ok_or(Refusal::NotEnrolledThere)?.to_owned();
        let typed = request.method == Method::Oath;
        let code = match &request.code {
            Some(code) => Some(std::str::from_utf8(code.open()).map_err(|_| Refusal::WrongCode)?.to_owned()),
            None if typed => return Err(Refusal::NeedsCode),
            None => None,
        };
        let code = code.map(zeroize::Zeroizing::new);
        let unique_id = &request.person.unique_id;
        if let Some(code) = &code
            && let Some(session) = self.sent().look(unique_id, std::time::Instant::now())
        {
            return Ok(Begun::Typed(session, code.clone()));
        }
        let tell = request.tell.as_ref().filter(|tell| tell.while_open() && request.method == Method::Push);
        // A number that the app asks for has to be shown before the person can answer.
        let wanted = self.config.mode == EntraMode::Sync && !typed && tell.is_none();
        let blocking = if wanted { self.blocking.try_acquire().ok() } else { None };
        let sync = blocking.is_some();
        let _turn = match sync {
            true => None,
            // Closed only when the semaphore is, which never happens.
            false => Some(self.begins.acquire().await.map_err(|_| Refusal::Lost)?),
        };
        let context = uuid::Uuid::new_v4().to_string();
        let body = wire::begin(&Begin {
            user: &user,
            method: request.method,
            context: &context,
            code_for_number: request.number_matching == NumberMatching::Code,
            sync,
            caller: request.person_address.filter(|_| self.config.send_address),
            language: "en-us",
        });
        let (answer, reply) = self.start(body, sync, !typed, deadline).await?;
        let said = wire::judge(&answer, &user);
        tracing::debug!(provider = self.config.name, value = ?answer.value, ?said, "begin was answered");
        match (said, &code) {
            (Said::Approved, None) => return Ok(Begun::Approved),
            // Nothing has been typed yet that could be right.
            (Said::Approved, Some(_)) => return Err(Refusal::Garbled),
            (Said::Refused(refusal), _) => return Err(refusal),
            (Said::Challenge, _) | (Said::Pending, _) => {}
        }
        match (said, answer.shown_number(), tell) {
            (Said::Pending, Some(number), Some(tell)) => tell.number(number),
            (Said::Pending, Some(_), None) => {
                tracing::warn!(
                    provider = self.config.name,
                    "the app asks for a number, and this client cannot show it: see number_matching of the client"
                );
            }
            _ => {}
        }
        let session = Session {
            user,
            context,
            id: answer.session.ok_or(Refusal::Garbled)?,
            url: self.affinity(answer.affinity.as_deref()),
            cookies: cookies(&reply),
        };
        match (said, code) {
            (Said::Challenge, None) => {
                if request.method == Method::SmsCode {
                    self.sent().remember(unique_id, Arc::new(session), std::time::Instant::now());
                    if let Some(tell) = &request.tell {
                        tell.code_sent();
                    }
                }
                Err(Refusal::NeedsCode)
            }
            (_, Some(code)) => Ok(Begun::Typed(Arc::new(session), code)),
            (_, None) => Ok(Begun::Open(session)),
        }
    }

    /// Begins; once more with a new token where the service does not take the one that we have.
    async fn start(
        &self,
        body: String,
        sync: bool,
        prompts: bool,
        deadline: Instant,
    ) -> Result<(wire::Answer, Reply), Refusal> {
        let body = Bytes::from(body);
        for again in [true, false] {
            let token = self.token().await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::Expired);
            }
            let call = self.call(self.begin_url.clone(), &token, None, body.clone())?;
            let sent = if sync { self.http.wait(call, left).await } else { self.http.send(call, left).await };
            let reply = sent.map_err(|failure| failure.refusal(prompts))?;
            if reply.status == 401 && again {
                self.tokens.spoiled(&token);
                continue;
            }
            if let Some(refusal) = reply.trouble(prompts) {
                return Err(refusal);
            }
            if reply.status != 200 {
                return Err(if (400..500).contains(&reply.status) {
                    Refusal::Misconfigured
                } else {
                    http::garbled(prompts)
                });
            }
            let answer = wire::read("BeginTwoWayAuthenticationResponse", &reply.body);
            return Ok((answer.ok_or_else(|| http::garbled(prompts))?, reply));
        }
        Err(Refusal::Unreachable(UnreachableClass::Refused))
    }

    /// Asks for the state until there is an answer. No answer is no news: the prompt stays open until the caller's
    /// deadline ends it.
    async fn poll(&self, session: &Session, deadline: Instant) -> Result<(), Refusal> {
        let _open = self.pace.open();
        let mut nonsense = 0;
        loop {
            self.pace.turn().await;
            if deadline <= Instant::now() {
                return Err(Refusal::Expired);
            }
            // Closed only when the semaphore is, which never happens.
            let Ok(_turn) = self.polls.acquire().await else { return Err(Refusal::Lost) };
            match Box::pin(self.finish(session, None, deadline)).await {
                Ok(Said::Approved) => return Ok(()),
                Ok(Said::Pending) => nonsense = 0,
                Ok(Said::Challenge) => return Err(Refusal::NeedsCode),
                Ok(Said::Refused(refusal)) => return Err(refusal),
                Err(Refusal::Unreachable(_) | Refusal::Lost) => {}
                Err(Refusal::Garbled) if nonsense + 1 < NONSENSE => nonsense += 1,
                Err(refusal) => return Err(refusal),
            }
            if let Some(pause) = self.http.paused() {
                self.pace.quiet_until(Instant::now() + pause);
            }
        }
    }

    /// Hands in a code, once: a second time it would count as a used one.
    async fn hand_in(&self, session: &Session, code: &str, deadline: Instant) -> Result<(), Refusal> {
        match self.finish(session, Some(code), deadline).await {
            Ok(Said::Approved) => Ok(()),
            Ok(Said::Refused(refusal)) => Err(refusal),
            Ok(Said::Challenge) => Err(Refusal::WrongCode),
            Ok(Said::Pending) => Err(Refusal::Garbled),
            Err(Refusal::Unreachable(_)) => Err(Refusal::Lost),
            Err(refusal) => Err(refusal),
        }
    }

    /// One `EndTwoWayAuthentication`.
    async fn finish(&self, session: &Session, code: Option<&str>, deadline: Instant) -> Result<Said, Refusal> {
        let token = self.token().await?;
        let body = wire::end(&session.id, &session.context, code, &session.user);
        let call =
            self.call(session.url.clone(), &token, session.cookies.clone(), Bytes::copy_from_slice(body.as_bytes()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        let reply = self.http.send(call, left).await.map_err(|failure| failure.refusal(true))?;
        if reply.status == 401 {
            self.tokens.spoiled(&token);
        }
        if let Some(refusal) = reply.trouble(true) {
            return Err(refusal);
        }
        let answer = wire::read("EndTwoWayAuthenticationResponse", &reply.body).filter(|_| reply.status == 200);
        Ok(wire::judge(&answer.ok_or(Refusal::Garbled)?, &session.user))
    }

    async fn token(&self) -> Result<Arc<Secret>, Refusal> {
        self.tokens.get(async { self.login.fetch(&self.http).await.map_err(|error| error.refusal()) }).await
    }

    fn call(&self, url: Url, token: &Secret, cookies: Option<HeaderValue>, body: Bytes) -> Result<Call, Refusal> {
        let mut headers = HeaderMap::new();
        let bearer = http::secret_value("Bearer ", token).ok_or(http::garbled(false))?;
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/xml"));
        if let Some(cookies) = cookies {
            headers.insert(COOKIE, cookies);
        }
        Ok(Call { method: Verb::POST, url, headers, body: Some(body) })
    }

    /// Where the state of a prompt is asked for: where the service says, as long as that is itself. It gets our token.
    fn affinity(&self, given: Option<&str>) -> Url {
        given
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| is_sibling(url, &self.end_url))
            .unwrap_or_else(|| self.end_url.clone())
    }
}

/// Whether an address is of the same service: the same scheme, and the same host or one beside it.
fn is_sibling(url: &Url, ours: &Url) -> bool {
    let parent = |url: &Url| match url.host() {
        Some(url::Host::Domain(name)) => name.split_once('.').map(|(_, rest)| rest.to_owned()),
        _ => None,
    };
    let beside = parent(ours).is_some_and(|domain| domain.contains('.') && parent(url).as_deref() == Some(&*domain));
    let same_port = url.port_or_known_default() == ours.port_or_known_default();
    url.scheme() == ours.scheme() && same_port && (url.host() == ours.host() || beside) && url.username().is_empty()
}

/// What a service wants to see again, so that it finds the session.
fn cookies(reply: &Reply) -> Option<HeaderValue> {
    let set = reply.headers.as_ref()?.get_all(SET_COOKIE);
    let pairs: Vec<&str> =
        set.iter().filter_map(|value| value.to_str().ok()?.split(';').next()).map(str::trim).collect();
    let text = pairs.join("; ");
    (!text.is_empty() && text.len() <= LONGEST_COOKIES).then(|| HeaderValue::from_str(&text).ok()).flatten()
}

impl Factor for Entra {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn described(&self) -> Option<&Described> {
        Some(&self.config.described)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            match self.ask(request).await {
                Ok(()) => Answer::Approved,
                Err(refusal) => Answer::Refused(refusal),
            }
        })
    }
}

impl Provider for Entra {
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        Box::pin(self.look())
    }

    fn connections(&self) -> u64 {
        self.http.connections()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_the_service_itself_only() {
        let ours = Url::parse("https://strongauthenticationservice.auth.microsoft.com/x").unwrap();
        let sibling = |text: &str| is_sibling(&Url::parse(text).unwrap(), &ours);
        assert!(sibling("https://eu1.auth.microsoft.com/StrongAuthenticationService.svc/Connector/End"));
        assert!(sibling("https://strongauthenticationservice.auth.microsoft.com/y"));
        for other in [
            "http://eu1.auth.microsoft.com/",
            "https://auth.microsoft.com.evil.example/",
            "https://evil.example/",
            "https://auth.microsoft.com/",
            "https://eu1.auth.microsoft.com:8443/",
            "https://a@eu1.auth.microsoft.com/",
        ] {
            assert!(!sibling(other), "{other}");
        }
        let local = Url::parse("http://127.0.0.1:1/x").unwrap();
        assert!(is_sibling(&Url::parse("http://127.0.0.1:1/y").unwrap(), &local));
        assert!(!is_sibling(&Url::parse("http://128.0.0.1:1/y").unwrap(), &local));
    }

    #[test]
    fn cookies_are_sent_back_without_their_attributes() {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_static("ARR=abc; Path=/; HttpOnly"));
        headers.append(SET_COOKIE, HeaderValue::from_static("b=c"));
        let reply = Reply { headers: Some(Box::new(headers)), ..Reply::default() };
        assert_eq!(cookies(&reply).unwrap(), "ARR=abc; b=c");
        assert_eq!(cookies(&Reply::default()), None);
    }
}
