//! The native protocol, the service's side (`docs/native-protocol.md`).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequest, Path, Query, Request, State as Shared};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;

use crate::demo::phone::admission::{self, SKEW};
use crate::demo::phone::behaviour::{Behaviour, Decision, Moment};
use crate::demo::phone::listener::Peer;
use crate::demo::phone::prompts::{Asked, Prompt, State};
use crate::demo::phone::wanted::{Mode, Wanted};
use crate::demo::phone::{Simulator, answers};
use crate::factor::native::batching::{self, LARGEST};
use crate::factor::native::client::unix_now;
use crate::factor::native::wire::is_id;

/// Longest request body, in octets.
const LONGEST_BODY: usize = 128 * 1024;

/// Longest long-poll, in seconds.
const LONGEST_WAIT: u64 = 60;

/// Heartbeats of the event stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

type JsonHeader = [(HeaderName, &'static str); 1];
const JSON: JsonHeader = [(header::CONTENT_TYPE, "application/json")];

/// The routes of the protocol.
pub(super) fn routes() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/v1/verifications", axum::routing::post(ask))
        .route("/v1/verifications/batch", axum::routing::post(ask_all))
        .route("/v1/verifications/{id}", get(state_by_id).delete(cancel_by_id))
        .route("/v1/verifications/by-key/{key}", get(state_by_key).delete(cancel_by_key))
        .route("/v1/events", get(events))
        .route("/v1/ping", get(ping))
}

/// A request whose signature is right.
struct Admitted(Bytes);

impl FromRequest<Arc<Simulator>> for Admitted {
    type Rejection = Response;

    async fn from_request(request: Request, phone: &Arc<Simulator>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LONGEST_BODY)
            .await
            .map_err(|_| error(StatusCode::PAYLOAD_TOO_LARGE, "too_long"))?;
        let Some(signer) = &phone.signer else { return Ok(Admitted(body)) };
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let signed = (parts.method.as_str(), admission::target(&parts.uri), &body[..]);
        match admission::verify(signer, &phone.nonces, header, signed, unix_now()) {
            Ok(()) => Ok(Admitted(body)),
            Err(refused) => {
                let mut prompts = phone.prompts();
                let replayed = refused == admission::Refused::Replayed;
                let count = if replayed { &mut prompts.counts.replayed } else { &mut prompts.counts.unsigned };
                *count = count.saturating_add(1);
                Err(error(StatusCode::UNAUTHORIZED, refused.word()))
            }
        }
    }
}

async fn ask(
    Shared(phone): Shared<Arc<Simulator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Admitted(body): Admitted,
) -> Response {
    match ask_one(&phone, &body) {
        Step::Answer(answer) => answer.into_response(),
        Step::Cut => {
            peer.0.cut();
            StatusCode::OK.into_response()
        }
        Step::Silence => std::future::pending().await,
    }
}

/// Several requests, one on each line; their answers in the same order. One of them that is told to cut the
/// connection or to stay silent does so for all, as a service that chokes would.
async fn ask_all(
    Shared(phone): Shared<Arc<Simulator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Admitted(body): Admitted,
) -> Response {
    let mut lines = String::new();
    {
        let counts = &mut phone.prompts().counts;
        counts.batches = counts.batches.saturating_add(1);
    }
    let requests = body.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
    for request in requests.take(LARGEST) {
        match ask_one(&phone, request) {
            Step::Answer(answer) => answer.write_line(&mut lines),
            Step::Cut => {
                peer.0.cut();
                return StatusCode::OK.into_response();
            }
            Step::Silence => std::future::pending().await,
        }
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

fn ask_one(phone: &Simulator, body: &[u8]) -> Step {
    let wanted = match Wanted::read(body) {
        Ok(wanted) => wanted,
        Err((status, word)) => return Step::Answer(Answer::error(status, word)),
    };
    let key = wanted.idempotency_key.clone();
    let asked = Asked {
        key: wanted.idempotency_key.into(),
        server: wanted.server.name.into(),
        person: wanted.person.user_name.into(),
        application: wanted.application.into(),
        method: wanted.method.into(),
        address: wanted.person.address.map(Into::into),
        wants_pin: wanted.mode == Mode::Pin,
        number: wanted.number.map(Into::into),
        lives: Duration::from_secs(wanted.expires_in),
    };
    post(phone, asked, wanted.code.as_deref(), &key)
}

/// What becomes of a request for a prompt.
enum Step {
    Answer(Answer),
    Cut,
    Silence,
}

/// The answer to a request for a prompt.
struct Answer {
    status: StatusCode,
    retry_after: Option<u64>,
    body: String,
}

impl Answer {
    fn new(status: StatusCode, body: String) -> Self {
        Answer { status, retry_after: None, body }
    }

    fn error(status: StatusCode, word: &str) -> Self {
        Answer::new(status, format!(r#"{{"error":"{word}","prompt_sent":false}}"#))
    }

    /// As a line of the answer to several. What is no JSON becomes a text, and makes no sense there either.
    fn write_line(&self, lines: &mut String) {
        use std::fmt::Write as _;
        let json = serde_json::from_str::<&serde_json::value::RawValue>(&self.body);
        let text = json.is_err().then(|| serde_json::Value::from(self.body.as_str()).to_string());
        let answer = text.as_deref().unwrap_or(&self.body);
        // A String takes any text.
        let _ = writeln!(lines, r#"{{"status":{},"answer":{answer}}}"#, self.status.as_u16());
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, JSON, self.body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn post(phone: &Simulator, asked: Asked, code: Option<&str>, key: &str) -> Step {
    let (now, wall) = (Instant::now(), unix_now());
    let mut prompts = phone.prompts();
    prompts.counts.posts = prompts.counts.posts.saturating_add(1);
    let mut behaviour = prompts.behaviours.of(&asked.person);
    let known = prompts.repeat(key);
    // A code is checked at once, where the person would be waited for or a code is wanted of them.
    use Decision::{Approve, NeedsCode};
    let checks = matches!(behaviour, Behaviour::Manual | Behaviour::Answer { decision: Approve | NeedsCode, .. });
    if &*asked.method == "oath" && checks && known.is_none() {
        behaviour = Behaviour::Answer { decision: prompts.behaviours.check_code(&asked.person, code), after_ms: 0 };
    }
    match behaviour {
        Behaviour::RateLimit { retry_after } if known.is_none() => {
            prompts.note_early(key, now);
            let answer = Answer::error(StatusCode::TOO_MANY_REQUESTS, "rate_limited");
            return Step::Answer(Answer { retry_after: Some(retry_after), ..answer });
        }
        Behaviour::Fail { status, prompt_sent } if known.is_none() => {
            if prompt_sent {
                prompts.begin(asked, Behaviour::Manual, now, wall);
                phone.plan_changed.notify_one();
            } else {
                prompts.note_early(key, now);
            }
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = format!(r#"{{"error":"told_to","prompt_sent":{prompt_sent}}}"#);
            return Step::Answer(Answer::new(status, body));
        }
        Behaviour::Drop { moment: Moment::Before, times } | Behaviour::Silent { times }
            if known.is_none() && prompts.early_posts(key) < times =>
        {
            prompts.note_early(key, now);
            return if matches!(behaviour, Behaviour::Silent { .. }) { Step::Silence } else { Step::Cut };
        }
        _ => {}
    }
    let number = known.unwrap_or_else(|| {
        let before = prompts.next_due();
        let number = prompts.begin(asked, behaviour, now, wall);
        // Most are due later than the first one: only then has the scheduler nothing new to learn.
        if prompts.next_due() != before {
            phone.plan_changed.notify_one();
        }
        number
    });
    let Some(prompt) = prompts.get(number) else {
        return Step::Answer(Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "forgotten"));
    };
    match behaviour {
        Behaviour::Drop { moment: Moment::After, times } if prompt.posts <= times => Step::Cut,
        Behaviour::Garbage { garbage, by_event: false } => {
            Step::Answer(Answer::new(StatusCode::OK, answers::garbage(prompt, garbage, wall)))
        }
        _ => Step::Answer(Answer::new(StatusCode::CREATED, message(prompt))),
    }
}

fn message(prompt: &Prompt) -> String {
    let at = if prompt.state == State::Pending { 0 } else { prompt.decided_at };
    answers::message(prompt, prompt.state, at)
}

fn told(prompt: &Prompt, status: StatusCode) -> Response {
    (status, JSON, message(prompt)).into_response()
}

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait: u64,
}

async fn state_by_id(
    Shared(phone): Shared<Arc<Simulator>>,
    Path(id): Path<String>,
    Query(wait): Query<Wait>,
    _: Admitted,
) -> Response {
    let number = phone.prompts().by_id(&id).map(|prompt| prompt.number);
    state(&phone, number, &wait).await
}

async fn state_by_key(
    Shared(phone): Shared<Arc<Simulator>>,
    Path(key): Path<String>,
    Query(wait): Query<Wait>,
    _: Admitted,
) -> Response {
    let number = phone.prompts().by_key(&key).map(|prompt| prompt.number);
    state(&phone, number, &wait).await
}

async fn state(phone: &Simulator, number: Option<u64>, wait: &Wait) -> Response {
    let (Some(number), news) = phone.poll(number, wait.wait > 0) else {
        return error(StatusCode::NOT_FOUND, "unknown");
    };
    if let Some(news) = news {
        // Decided or time over: either way the state is told.
        let _ = tokio::time::timeout(Duration::from_secs(wait.wait.min(LONGEST_WAIT)), news).await;
    }
    match phone.prompts().get(number) {
        Some(prompt) => told(prompt, StatusCode::OK),
        None => error(StatusCode::NOT_FOUND, "unknown"),
    }
}

async fn cancel_by_id(Shared(phone): Shared<Arc<Simulator>>, Path(id): Path<String>, _: Admitted) -> Response {
    let mut prompts = phone.prompts();
    let Some(number) = prompts.by_id(&id).map(|prompt| prompt.number) else {
        return error(StatusCode::NOT_FOUND, "unknown");
    };
    prompts.cancel(number, Instant::now(), unix_now());
    prompts.get(number).map_or_else(|| error(StatusCode::NOT_FOUND, "unknown"), |prompt| told(prompt, StatusCode::OK))
}

async fn cancel_by_key(Shared(phone): Shared<Arc<Simulator>>, Path(key): Path<String>, _: Admitted) -> Response {
    if !is_id(&key) {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "unfit_field");
    }
    let mut prompts = phone.prompts();
    let number = prompts.cancel_key(&key, Instant::now(), unix_now());
    match number.and_then(|number| prompts.get(number)) {
        Some(prompt) => told(prompt, StatusCode::OK),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

#[derive(Deserialize)]
struct Follow {
    server: String,
    #[serde(default)]
    after: String,
}

async fn events(Shared(phone): Shared<Arc<Simulator>>, Query(follow): Query<Follow>, _: Admitted) -> Response {
    if !phone.streams_open.load(Ordering::Relaxed) {
        return error(StatusCode::SERVICE_UNAVAILABLE, "told_to");
    }
    let opened = {
        let mut prompts = phone.prompts();
        prompts.counts.streams = prompts.counts.streams.saturating_add(1);
        prompts.events.follow(&follow.server, &follow.after)
    };
    let Some((after, resumed, news)) = opened else {
        return error(StatusCode::TOO_MANY_REQUESTS, "too_many_servers");
    };
    let hello = answers::hello(&phone.prompts().events.cursor(after), resumed);
    let stream =
        Stream { phone: Arc::clone(&phone), ends: phone.streams_end.subscribe(), server: follow.server, after, news };
    let lines = stream::unfold((Some(hello), stream), async |(hello, mut stream)| {
        let line = match hello {
            Some(hello) => hello,
            None => stream.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), (None, stream)))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let batch = [(batching::HEADER, LARGEST.to_string())];
    (kind, batch, Body::from_stream(lines)).into_response()
}

/// One open event stream.
struct Stream {
    phone: Arc<Simulator>,
    ends: watch::Receiver<u64>,
    server: String,
    after: u64,
    news: watch::Receiver<u64>,
}

impl Stream {
    /// The next piece; `None` when the stream must end.
    async fn next(&mut self) -> Option<String> {
        loop {
            self.news.mark_unchanged();
            // Without the events that are no longer kept the stream would have a hole: end it.
            let (text, last) = self.phone.prompts().events.after(&self.server, self.after)?;
            if !text.is_empty() {
                self.after = last;
                return Some(text);
            }
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                _ = self.ends.changed() => return None,
                () = tokio::time::sleep(HEARTBEAT) => {
                    return Some(answers::heartbeat(&self.phone.prompts().events.cursor(self.after)));
                }
            }
        }
    }
}

async fn ping(_: Admitted) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let time = unix_now();
    let body = format!(
        r#"{{"time":{time},"takes":["pin","number"],"service":"anteroom phone simulator {version}","allowed_skew":{SKEW}}}"#
    );
    (JSON, body).into_response()
}

fn error(status: StatusCode, word: &str) -> Response {
    (status, JSON, format!(r#"{{"error":"{word}","prompt_sent":false}}"#)).into_response()
}
