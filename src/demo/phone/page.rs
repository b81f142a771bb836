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

use crate::demo::phone::Simulator;
use crate::demo::phone::admission;
use crate::demo::phone::behaviour::Decision;
use crate::demo::phone::prompts::{Prompt, State};
use crate::factor::native::client::unix_now;

/// Prompts shown at most; with more of them nobody presses buttons.
const SHOWN: usize = 30;

/// Finished prompts shown at most.
const RECENT: usize = 8;

/// The routes of the page.
pub(super) fn routes() -> Router<Arc<Simulator>> {
    Router::new().route("/", get(page)).route("/prompts", get(list)).route("/decide", post(decide))
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

async fn page(Shared(phone): Shared<Arc<Simulator>>, headers: HeaderMap) -> Response {
    if let Err(status) = admission::own_page(&headers, false) {
        return status.into_response();
    }
    show("Phone simulator", listed(&phone))
}

async fn list(Shared(phone): Shared<Arc<Simulator>>, headers: HeaderMap) -> Response {
    if let Err(status) = admission::own_page(&headers, false) {
        return status.into_response();
    }
    show_list(&listed(&phone))
}

fn listed(phone: &Simulator) -> List<'_> {
    let (pending, hidden, recent) = cards(phone);
    List { token: &phone.token, pending, hidden, recent, asked: Vec::new() }
}

/// The whole page.
pub(crate) fn show(title: &str, list: List<'_>) -> Response {
    let token = list.token;
    html(&Page { title, token, list }, token)
}

/// The list alone.
pub(crate) fn show_list(list: &List<'_>) -> Response {
    html(list, list.token)
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
struct Pressed {
    token: String,
    number: u64,
    decision: Decision,
}

/// A pressed button. The token is on our own page only; other pages cannot read it.
async fn decide(
    Shared(phone): Shared<Arc<Simulator>>,
    headers: HeaderMap,
    Form(pressed): Form<Pressed>,
) -> Result<Redirect, StatusCode> {
    admission::own_page(&headers, true)?;
    if !bool::from(subtle::ConstantTimeEq::ct_eq(pressed.token.as_bytes(), phone.token.as_bytes())) {
        return Err(StatusCode::FORBIDDEN);
    }
    phone.prompts().decide(pressed.number, pressed.decision.into(), Instant::now(), unix_now());
    Ok(Redirect::to("/"))
}
