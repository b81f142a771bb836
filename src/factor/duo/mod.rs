//! Duo, by its Auth API version 2.
//!
//! ```text
//! run ─ preauth ─ allow: bypassed · deny: locked · enroll: where to, if the client shows text
//!          └─ auth ─ auth, asynchronous ─ auth_status (long polls) ─► answer
//! ```
//!
//! Until `auth` is sent nobody can have been prompted. The service's clock is learned by `ping` and used in every
//! signature. There is no way to cancel a prompt: one that nobody waits for expires by itself after a minute.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Method as Verb;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::config::{CloudName, DuoProvider, DuoSignature, UnreachableClass};
use crate::factor::duo::signing::Signed;
use crate::factor::duo::waiting::Lanes;
use crate::factor::duo::wire::{Fault, Preauth, Said, Started, Status, Time};
use crate::factor::http::{self, BuildError, Call, Failure, Http, REQUESTS_AT_ONCE, unix_now};
use crate::factor::{Answer, Described, Factor, Health, Provider, Refusal, Request, Trouble, tell};
use crate::secret::Secret;
use crate::users::model::Method;

mod probe;
pub mod signing;
mod waiting;
pub mod wire;

pub use waiting::Timing;

/// How often in a row the service may not know a transaction before it counts as lost.
const UNKNOWN_AFTER: u32 = 10;

/// Answers in a row that make no sense, after which a prompt is given up.
const NONSENSE: u32 = 3;

/// The date is outside of the service's window: our clock, or what we have learned of its clock, is wrong.
const BAD_DATE: Fault = Fault::Code(40105);

/// The clock's offset before anything was learned.
const UNKNOWN: i64 = i64::MIN;

/// A provider that speaks to Duo.
#[derive(Debug)]
pub struct Duo {
    name: String,
    http: Http,
    host: String,
    ikey: String,
    skey: Secret,
    signature: DuoSignature,
    user: CloudName,
    described: Described,
    send_address: bool,
    /// The service's clock minus ours in seconds, or [`UNKNOWN`].
    offset: AtomicI64,
    begins: Semaphore,
    lanes: Lanes,
    timing: Timing,
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy)]
enum Lack {
    Failure(Failure),
    Fault(Fault),
}

impl Lack {
    fn refusal(self, prompts: bool) -> Refusal {
        match self {
            Lack::Failure(failure) => failure.refusal(prompts),
            Lack::Fault(fault) => fault.refusal(prompts),
        }
    }
}

type Params<'a> = BTreeMap<&'a str, &'a str>;

impl Duo {
    /// Builds the client. Reads the named files.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: &DuoProvider) -> Result<Self, BuildError> {
        Duo::with_timing(config, Timing::default())
    }

    /// [`Duo::new`] with other patience, for tests.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn with_timing(config: &DuoProvider, timing: Timing) -> Result<Self, BuildError> {
        let http = Http::new(&config.common.outbound, None)?;
        let host = http.base().host_str().unwrap_or_default().to_lowercase();
        Ok(Duo {
            name: config.common.name.clone(),
            http,
            host,
            ikey: config.ikey.clone(),
            skey: config.skey.duplicate(),
            signature: config.signature,
            user: config.user,
            described: Described::duo(config),
            send_address: config.common.send.person_address,
            offset: AtomicI64::new(UNKNOWN),
            begins: Semaphore::new(REQUESTS_AT_ONCE),
            lanes: Lanes::new(&config.common.outbound, timing.moment),
            timing,
        })
    }

    async fn ask(&self, request: Request) -> Result<(), Refusal> {
        let deadline = Instant::from_std(request.deadline);
        // On the heap and gone before the wait: what is known of the person is not needed while they look for
        // their phone.
        let tell = request.tell.clone().filter(|_| request.method == Method::SmsCode);
        let (txid, typed) = Box::pin(self.start(request, deadline)).await?;
        let answer = self.wait(&txid, typed, deadline).await;
        if let (Err(Refusal::NeedsCode), Some(tell)) = (&answer, tell) {
            tell.say(tell::CODE_SENT);
        }
        answer
    }

    /// Finds out what the person has, and asks them; the transaction, and whether a code was handed in.
    async fn start(&self, request: Request, deadline: Instant) -> Result<(String, bool), Refusal> {
        // Closed only when the semaphore is, which never happens.
        let Ok(_turn) = self.begins.acquire().await else { return Err(Refusal::Lost) };
        if deadline <= Instant::now() {
            return Err(Refusal::Expired);
        }
        if self.http.paused().is_some() {
            return Err(Refusal::Unreachable(UnreachableClass::RateLimited));
        }
        let factor = match request.method {
            Method::Push => "push",
            Method::Call => "phone",
            Method::SmsCode => "sms",
            Method::Oath | Method::BackupCode | Method::TemporaryCode => "passcode",
            Method::SmsReply | Method::EmailCode => return Err(Refusal::Misconfigured),
        };
        let user = self.user.of(&request.person).ok_or(Refusal::NotEnrolledThere)?;
        let code = request.code.as_ref().map(|code| std::str::from_utf8(code.open()));
        let code = code.transpose().map_err(|_| Refusal::WrongCode)?;
        let address = request.person_address.filter(|_| self.send_address).map(|address| address.to_string());
        let mut params = Params::from([("username", user)]);
        if let Some(address) = &address {
            params.insert("ipaddr", address);
        }

        let shows = request.tell.as_ref().is_some_and(crate::factor::Tell::while_open);
        let mut known = params.clone();
        if shows {
            // Unannounced, the service would drop its own requirement.
            known.insert("client_supports_verified_push", "1");
        }
        let preauth: Preauth = self.post("preauth", &known, deadline).await.map_err(|lack| lack.refusal(false))?;
        may_be_asked(&preauth, &request)?;

        params.extend([("factor", factor), ("async", "1")]);
        let (device, info);
        if factor == "passcode" {
            params.insert("passcode", code.ok_or(Refusal::NeedsCode)?);
        } else {
            device = choose(&preauth, factor, request.device)?;
            params.insert("device", &device);
        }
        if factor == "push" {
            info = signing::canonical_params([("Application", &*request.application)]);
            params.insert("pushinfo", &info);
            if let (true, Some(txid), Some(number), Some(tell)) =
                (shows, &preauth.txid, &preauth.verification_code, &request.tell)
            {
                tell.say(&format!("Enter {number} in the Duo app"));
                params.insert("txid", txid);
            }
        }
        let prompts = factor != "passcode";
        let started: Started = self.post("auth", &params, deadline).await.map_err(|lack| lack.refusal(prompts))?;
        if !wire::is_txid(&started.txid) {
            return Err(Refusal::Garbled);
        }
        if let ("sms", Some(tell)) = (factor, &request.tell) {
            tell.say("A code is on its way to you. Sign in again with your password and the code.");
        }
        Ok((started.txid, !prompts))
    }

    /// Asks for the state until there is an answer. No answer is no news: the prompt stays open until the caller's
    /// deadline ends it.
    async fn wait(&self, txid: &str, typed: bool, deadline: Instant) -> Result<(), Refusal> {
        let _open = self.lanes.open();
        let (mut nonsense, mut unknown) = (0_u32, 0_u32);
        loop {
            match Box::pin(self.question(txid, deadline)).await {
                Some(Ok(state)) => match wire::judge(&state, typed) {
                    Said::Approved => return Ok(()),
                    Said::Refused(refusal) => return Err(refusal),
                    Said::Waiting => (nonsense, unknown) = (0, 0),
                },
                Some(Err(Lack::Fault(Fault::Garbled))) if nonsense + 1 < NONSENSE => nonsense += 1,
                Some(Err(Lack::Fault(Fault::Garbled))) => return Err(Refusal::Garbled),
                // 40002: also told where a question has waited too long.
                Some(Err(Lack::Fault(Fault::Code(code)))) if code / 100 == 400 => {
                    unknown += 1;
                    if unknown >= UNKNOWN_AFTER {
                        return Err(Refusal::Lost);
                    }
                }
                Some(Err(_)) | None => {}
            }
            if deadline <= Instant::now() {
                return Err(Refusal::Expired);
            }
            let pause = self.timing.pause.saturating_mul(nonsense + unknown + 1);
            tokio::time::sleep(self.http.paused().unwrap_or(pause)).await;
        }
    }

    /// One question for a state. `None`: its place was needed, and there was no news.
    async fn question(&self, txid: &str, deadline: Instant) -> Option<Result<Status, Lack>> {
        let (http, _place) = self.lanes.place(&self.http).await?;
        let params = Params::from([("txid", txid)]);
        let until = deadline.min(Instant::now() + self.timing.longest);
        tokio::select! {
            state = self.signed(http, Verb::GET, "auth/v2/auth_status", &params, until) => Some(state),
            () = self.lanes.room_is_wanted() => None,
        }
    }

    async fn post<T: DeserializeOwned>(&self, call: &str, params: &Params<'_>, deadline: Instant) -> Result<T, Lack> {
        let until = deadline.min(Instant::now() + self.http.timeout());
        self.signed(&self.http, Verb::POST, &format!("auth/v2/{call}"), params, until).await
    }

    /// A signed call, once more where only the clock was wrong: a request with a bad date was not looked at.
    async fn signed<T: DeserializeOwned>(
        &self,
        http: &Http,
        verb: Verb,
        path: &str,
        params: &Params<'_>,
        until: Instant,
    ) -> Result<T, Lack> {
        if self.offset.load(Ordering::Relaxed) == UNKNOWN {
            self.learn_clock().await?;
        }
        for again in [true, false] {
            let call = self.request(verb.clone(), path, params).ok_or(Lack::Failure(Failure::Broken))?;
            let left = until.saturating_duration_since(Instant::now());
            match self.opened(http.wait(call, left).await) {
                Err(Lack::Fault(BAD_DATE)) if again => self.learn_clock().await?,
                other => return other,
            }
        }
        Err(Lack::Fault(BAD_DATE))
    }

    fn opened<T: DeserializeOwned>(&self, reply: Result<http::Reply, Failure>) -> Result<T, Lack> {
        let reply = reply.map_err(Lack::Failure)?;
        wire::open(reply.status, &reply.body).map_err(|fault| {
            tracing::debug!(provider = self.name, ?fault, status = reply.status, "Duo did not answer");
            Lack::Fault(fault)
        })
    }

    fn request(&self, verb: Verb, path: &str, params: &Params<'_>) -> Option<Call> {
        let mut url = self.http.url(path)?;
        let pairs = Zeroizing::new(signing::canonical_params(params.iter().map(|(name, value)| (*name, *value))));
        let (mut signed_params, mut body, mut kind) = (pairs.as_str(), Zeroizing::new(Vec::new()), None);
        if verb == Verb::GET {
            url.set_query(Some(&pairs).filter(|pairs| !pairs.is_empty()).map(|pairs| pairs.as_str()));
        } else if self.signature == DuoSignature::V5 {
            body = Zeroizing::new(serde_json::to_vec(params).ok()?);
            (signed_params, kind) = ("", Some("application/json"));
        } else {
            body = Zeroizing::new(pairs.as_bytes().to_vec());
            kind = Some("application/x-www-form-urlencoded");
        }
        let date = self.date()?;
        let canonical = signing::canonical(
            self.signature,
            &Signed {
                date: &date,
                method: verb.as_str(),
                host: &self.host,
                path: url.path(),
                params: signed_params,
                body: &body,
                headers: &[],
            },
        );
        let signature = signing::signature(self.skey.open(), &canonical);
        let mut authorization = HeaderValue::try_from(signing::authorization(&self.ikey, &signature)).ok()?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::try_from(date).ok()?);
        headers.insert(AUTHORIZATION, authorization);
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let body = (verb != Verb::GET).then(|| Bytes::copy_from_slice(&body));
        Some(Call { method: verb, url, headers, body })
    }

    /// The service's time, as far as it is known, in the form of mails (RFC 5322 section 3.3).
    fn date(&self) -> Option<String> {
        let offset = self.offset.load(Ordering::Relaxed);
        let now = i64::try_from(unix_now()).ok()?.checked_add(if offset == UNKNOWN { 0 } else { offset })?;
        let time = jiff::Timestamp::from_second(now).ok()?;
        Some(time.strftime("%a, %d %b %Y %H:%M:%S -0000").to_string())
    }

    /// Learns the service's clock. Prompts nobody.
    async fn learn_clock(&self) -> Result<(), Lack> {
        self.ping().await.map(|_| ())
    }

    /// `ping`, unsigned; the service's clock minus ours.
    async fn ping(&self) -> Result<(i64, http::Reply), Lack> {
        let url = self.http.url("auth/v2/ping").ok_or(Lack::Failure(Failure::Broken))?;
        let call = Call { method: Verb::GET, url, headers: HeaderMap::new(), body: None };
        let reply = self.http.send(call, self.http.timeout()).await.map_err(Lack::Failure)?;
        let time: Time = wire::open(reply.status, &reply.body).map_err(Lack::Fault)?;
        let offset = i128::from(time.time) - i128::from(unix_now());
        let offset = i64::try_from(offset).map_err(|_| Lack::Fault(Fault::Garbled))?;
        self.offset.store(offset, Ordering::Relaxed);
        Ok((offset, reply))
    }
}

/// Whether the service wants the person to be asked at all.
fn may_be_asked(preauth: &Preauth, request: &Request) -> Result<(), Refusal> {
    match preauth.result.as_str() {
        "auth" => Ok(()),
        "allow" => Err(Refusal::Bypassed),
        "deny" => Err(Refusal::LockedThere),
        "enroll" => {
            if let (Some(tell), Some(url)) = (&request.tell, &preauth.enroll_portal_url) {
                tell.say(&format!("Enrol at {url}"));
            }
            Err(Refusal::NotEnrolledThere)
        }
        _ => Err(http::garbled(false)),
    }
}

/// The device to ask: the one that the person named, or the service's choice. A push whose number cannot be shown is
/// none: where Duo insists on the number, it takes the push away from those who did not announce that they show it.
fn choose(preauth: &Preauth, factor: &str, number: Option<u8>) -> Result<String, Refusal> {
    let mut able = preauth.devices.iter().filter(|device| device.capabilities.iter().any(|one| one == factor));
    match number {
        Some(number) => able.nth(usize::from(number.saturating_sub(1))).map(|device| device.device.clone()),
        None => able.next().map(|_| "auto".to_owned()),
    }
    .ok_or(Refusal::NotThisWay)
}

impl Factor for Duo {
    fn name(&self) -> &str {
        &self.name
    }

    fn described(&self) -> Option<&Described> {
        Some(&self.described)
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

impl Provider for Duo {
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        Box::pin(self.look())
    }

    fn connections(&self) -> u64 {
        self.http.connections()
    }
}
