//! The web page: each pending prompt, with buttons. Server-rendered; the script only counts down and
//! fetches the list again.

use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::Router;
use axum::extract::{Form, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::demo::phone::Simulator;
use crate::demo::phone::admission;
use crate::demo::phone::behaviour::Decision;
use crate::demo::phone::prompts::{Prompt, State};
use crate::factor::native::client::unix_now;

/// Prompts shown at most; with more of them nobody presses buttons.
const SHOWN: usize = 30;

/// Finished prompts shown at most.
const RECENT: usize = 8;

/// A simulator that has such a page: this one, and those of the clouds.
pub(crate) trait Paged: Send + Sync + 'static {
    /// What a button says.
    type Decision: DeserializeOwned + Send + 'static;

    /// What stands at its top.
    fn title(&self) -> &str;

    /// What only its own page knows.
    fn token(&self) -> &str;

    /// What it shows now.
    fn list(&self) -> List<'_>;

    /// A button was pressed at the prompt of this number; the PIN and the number that were typed there.
    fn press(&self, number: u64, decision: Self::Decision, typed: (&str, &str));
}

/// The routes of the page.
pub(crate) fn routes<S: Paged>() -> Router<Arc<S>> {
    Router::new().route("/", get(page::<S>)).route("/prompts", get(list::<S>)).route("/decide", post(decide::<S>))
}

#[derive(Template)]
#[template(path = "phone.html")]
struct Page<'a> {
    title: &'a str,
    token: &'a str,
    list: List<'a>,
}

/// The part of the page that is fetched again and again. The simulators of the clouds have the same.
#[derive(Template)]
#[template(path = "phone_prompts.html")]
pub(crate) struct List<'a> {
    pub(crate) token: &'a str,
    pub(crate) pending: Vec<Card>,
    pub(crate) hidden: usize,
    pub(crate) recent: Vec<Card>,
    pub(crate) asked: Vec<Row>,
}

/// A prompt as the page shows it.
pub(crate) struct Card {
    pub(crate) number: u64,
    pub(crate) application: Box<str>,
    pub(crate) person: Box<str>,
    pub(crate) address: Option<Box<str>>,
    pub(crate) server: Box<str>,
    pub(crate) method: Box<str>,
    /// Number that the sign-in page must show.
    pub(crate) shown: Option<Box<str>>,
    /// Whether the person's PIN is to be typed here.
    pub(crate) wants_pin: bool,
    /// Whether the number is to be typed here.
    pub(crate) wants_number: bool,
    pub(crate) seconds_left: u64,
    pub(crate) seconds_total: u64,
    pub(crate) state: &'static str,
}

/// A request as the page shows it.
pub(crate) struct Row {
    pub(crate) line: String,
    pub(crate) fields: String,
    pub(crate) answer: String,
}

impl Card {
    fn of(prompt: &Prompt, now: Instant) -> Self {
        Card {
            number: prompt.number,
            application: prompt.application.clone(),
            person: prompt.person.clone(),
            address: prompt.address.clone(),
            server: prompt.server.clone(),
            method: match &*prompt.method {
                "call" => "Phone call",
                "sms_reply" => "Text message",
                _ => "Push",
            }
            .into(),
            shown: None,
            wants_pin: prompt.wants_pin,
            wants_number: prompt.shown.is_some(),
            seconds_left: prompt.expires.saturating_duration_since(now).as_secs(),
            seconds_total: prompt.expires.saturating_duration_since(prompt.created).as_secs().max(1),
            state: if prompt.cancelled { "cancelled" } else { prompt.state.word() },
        }
    }
}

/// The newest prompts. One pass over the table, at most `SHOWN` copies.
fn cards(phone: &Simulator) -> (Vec<Card>, usize, Vec<Card>) {
    let now = Instant::now();
    let prompts = phone.prompts();
    let (mut pending, mut done): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
    for prompt in prompts.iter() {
        if prompt.state != State::Pending {
            done.push(prompt.number);
        } else if prompt.expires > now {
            pending.push(prompt.number);
        }
    }
    let newest = |numbers: &mut Vec<u64>, most: usize| {
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let shown = numbers.iter().take(most).filter_map(|number| prompts.get(*number));
        shown.map(|prompt| Card::of(prompt, now)).collect::<Vec<_>>()
    };
    let hidden = pending.len().saturating_sub(SHOWN);
    (newest(&mut pending, SHOWN), hidden, newest(&mut done, RECENT))
}

impl Paged for Simulator {
    type Decision = Decision;

    fn title(&self) -> &str {
        "Phone simulator"
    }

    fn token(&self) -> &str {
        &self.token
    }

    fn list(&self) -> List<'_> {
        let (pending, hidden, recent) = cards(self);
        List { token: &self.token, pending, hidden, recent, asked: Vec::new() }
    }

    fn press(&self, number: u64, decision: Decision, (pin, typed): (&str, &str)) {
        let mut prompts = self.prompts();
        // Nobody has approved who has not typed what goes with it.
        if !prompts.types(number, pin, typed) && decision == Decision::Approve {
            return;
        }
        prompts.decide(number, decision.into(), Instant::now(), unix_now());
    }
}

async fn page<S: Paged>(Shared(simulator): Shared<Arc<S>>, headers: HeaderMap) -> Response {
    if let Err(status) = admission::own_page(&headers, false) {
        return status.into_response();
    }
    let (title, token) = (simulator.title(), simulator.token());
    html(&Page { title, token, list: simulator.list() }, token)
}

async fn list<S: Paged>(Shared(simulator): Shared<Arc<S>>, headers: HeaderMap) -> Response {
    if let Err(status) = admission::own_page(&headers, false) {
        return status.into_response();
    }
    html(&simulator.list(), simulator.token())
}

fn html(template: &impl Template, nonce: &str) -> Response {
    let Ok(text) = template.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "same-origin".to_owned()),
    ];
    (headers, Html(text)).into_response()
}

#[derive(Deserialize)]
struct Pressed<D> {
    token: String,
    number: u64,
    decision: D,
    #[serde(default)]
    pin: String,
    #[serde(default)]
    typed: String,
}

/// A pressed button. The token is on our own page only; other pages cannot read it.
async fn decide<S: Paged>(
    Shared(simulator): Shared<Arc<S>>,
    headers: HeaderMap,
    Form(pressed): Form<Pressed<S::Decision>>,
) -> Result<Redirect, StatusCode> {
    admission::own_page(&headers, true)?;
    if !bool::from(subtle::ConstantTimeEq::ct_eq(pressed.token.as_bytes(), simulator.token().as_bytes())) {
        return Err(StatusCode::FORBIDDEN);
    }
    simulator.press(pressed.number, pressed.decision, (&pressed.pin, &pressed.typed));
    Ok(Redirect::to("/"))
}
