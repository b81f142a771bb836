//! The simulator's own API, unsigned and for this machine only: what to do with prompts, deciding them
//! from a script, figures, and the plain endpoint that other RADIUS servers can ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::demo::phone::Simulator;
use crate::demo::phone::admission;
use crate::demo::phone::behaviour::{Behaviour, Decision};
use crate::demo::phone::listener::Peer;
use crate::demo::phone::prompts::{Asked, Prompt, State};
use crate::factor::native::client::unix_now;

/// How long a prompt of `/simulator/ask` lives.
const ASK_LIVES: Duration = Duration::from_secs(60);

/// Prompts told at most by `GET /simulator/prompts`.
const LISTED: usize = 200;

/// The routes of the simulator's own API.
pub(super) fn routes() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/simulator/behaviour", post(behave))
        .route("/simulator/decide", post(decide))
        .route("/simulator/code", post(give_code))
        .route("/simulator/typed", post(give_typed))
        .route("/simulator/prompts", get(list))
        .route("/simulator/counts", get(counts))
        .route("/simulator/ask", post(ask))
        .layer(axum::middleware::from_fn(own_page))
}

/// Keeps foreign web pages out.
async fn own_page(request: Request, next: Next) -> Response {
    let changes = !request.method().is_safe();
    match admission::own_page(request.headers(), changes) {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_response(),
    }
}

/// Reads a body as JSON or, where it says so, as a form.
fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, StatusCode> {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    if kind.starts_with(b"application/x-www-form-urlencoded") {
        let pairs: serde_json::Map<_, _> = url::form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), serde_json::Value::String(value.into_owned())))
            .collect();
        serde_json::from_value(pairs.into()).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)
    } else {
        serde_json::from_slice(body).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Behave {
    /// Login name; without it, everybody who has no behaviour of their own.
    #[serde(default)]
    person: Option<String>,
    behaviour: Behaviour,
}

async fn behave(Shared(phone): Shared<Arc<Simulator>>, Json(behave): Json<Behave>) -> StatusCode {
    phone.prompts().behaviours.set(behave.person.as_deref(), behave.behaviour);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct GiveCode {
    person: String,
    code: String,
}

async fn give_code(Shared(phone): Shared<Arc<Simulator>>, Json(given): Json<GiveCode>) -> StatusCode {
    phone.prompts().behaviours.give_code(&given.person, &given.code);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GiveTyped {
    person: String,
    #[serde(default)]
    pin: Option<String>,
    #[serde(default)]
    number: Option<String>,
}

async fn give_typed(Shared(phone): Shared<Arc<Simulator>>, Json(given): Json<GiveTyped>) -> StatusCode {
    let mut prompts = phone.prompts();
    if let Some(pin) = &given.pin {
        prompts.behaviours.give_pin(&given.person, pin);
    }
    if let Some(number) = &given.number {
        prompts.behaviours.give_number(&given.person, number);
    }
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Decide {
    person: String,
    decision: Decision,
}

async fn decide(
    Shared(phone): Shared<Arc<Simulator>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<serde_json::Value>, StatusCode> {
    let decide: Decide = read(&headers, &body)?;
    let decided = phone.decide_person(&decide.person, decide.decision);
    Ok(Json(serde_json::json!({ "decided": decided })))
}

#[derive(Serialize)]
struct Listed {
    id: String,
    idempotency_key: Box<str>,
    server: Box<str>,
    person: Box<str>,
    application: Box<str>,
    method: Box<str>,
    address: Option<Box<str>>,
    wants_pin: bool,
    number: Option<Box<str>>,
    state: &'static str,
    seconds_left: u64,
    posts: u32,
    cancelled: bool,
}

impl Listed {
    fn of(prompt: &Prompt, now: Instant) -> Self {
        Listed {
            id: prompt.id(),
            idempotency_key: prompt.key.clone(),
            server: prompt.server.clone(),
            person: prompt.person.clone(),
            application: prompt.application.clone(),
            method: prompt.method.clone(),
            address: prompt.address.clone(),
            wants_pin: prompt.wants_pin,
            number: prompt.shown.clone(),
            state: prompt.state.word(),
            seconds_left: prompt.expires.saturating_duration_since(now).as_secs(),
            posts: prompt.posts,
            cancelled: prompt.cancelled,
        }
    }
}

async fn list(Shared(phone): Shared<Arc<Simulator>>) -> Json<Vec<Listed>> {
    let now = Instant::now();
    Json(phone.prompts().iter().take(LISTED).map(|prompt| Listed::of(prompt, now)).collect())
}

async fn counts(Shared(phone): Shared<Arc<Simulator>>) -> Response {
    let counts = phone.prompts().counts;
    Json(counts).into_response()
}

#[derive(Deserialize)]
struct Ask {
    user: String,
    #[serde(default)]
    application: Option<String>,
    #[serde(default)]
    address: Option<String>,
}

/// Asks without signature and waits: 200 for an approval, 403 for anything else.
async fn ask(
    Shared(phone): Shared<Arc<Simulator>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let ask: Ask = match read(&headers, &body) {
        Ok(ask) => ask,
        Err(status) => return status.into_response(),
    };
    let behaviour = phone.prompts().behaviours.of(&ask.user);
    match behaviour {
        Behaviour::Answer { decision, after_ms: 0 } => {
            let mut prompts = phone.prompts();
            prompts.counts.posts = prompts.counts.posts.saturating_add(1);
            prompts.counts.prompts = prompts.counts.prompts.saturating_add(1);
            drop(prompts);
            verdict(decision.into())
        }
        Behaviour::Fail { status, .. } => {
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }
        Behaviour::Garbage { .. } => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Behaviour::RateLimit { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, retry_after.to_string())]).into_response()
        }
        Behaviour::Drop { .. } => {
            peer.0.cut();
            StatusCode::OK.into_response()
        }
        Behaviour::Silent { .. } => std::future::pending().await,
        Behaviour::Manual
        | Behaviour::Answer { .. }
        | Behaviour::Twice { .. }
        | Behaviour::Late { .. }
        | Behaviour::Never => hold(&phone, ask, behaviour).await,
    }
}

async fn hold(phone: &Arc<Simulator>, ask: Ask, behaviour: Behaviour) -> Response {
    let mut key = [0; 12];
    if getrandom::fill(&mut key).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut text = String::with_capacity(24);
    crate::factor::native::signing::push_hex(&mut text, &key);
    let asked = Asked {
        key: text.into(),
        server: "".into(),
        person: ask.user.into(),
        application: ask.application.unwrap_or_else(|| "plain request".to_owned()).into(),
        method: "push".into(),
        address: ask.address.map(Into::into),
        wants_pin: false,
        number: None,
        lives: ASK_LIVES,
    };
    let (number, answer) = {
        let mut prompts = phone.prompts();
        prompts.counts.posts = prompts.counts.posts.saturating_add(1);
        let before = prompts.next_due();
        let number = prompts.begin(asked, behaviour, Instant::now(), unix_now());
        if prompts.next_due() != before {
            phone.plan_changed.notify_one();
        }
        (number, prompts.wait(number))
    };
    let gone = CancelOnDrop { phone, number };
    let state = match answer {
        Some(answer) => tokio::time::timeout(ASK_LIVES, answer).await.ok().and_then(Result::ok),
        None => None,
    };
    drop(gone);
    verdict(state.unwrap_or(State::Expired))
}

/// Cancels the prompt when its asker has gone; does nothing to a decided one.
struct CancelOnDrop<'a> {
    phone: &'a Simulator,
    number: u64,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.phone.prompts().decide(self.number, State::Expired, Instant::now(), unix_now());
    }
}

fn verdict(state: State) -> Response {
    let status = if state == State::Approved { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let body = format!(r#"{{"state":"{}"}}"#, state.word());
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
