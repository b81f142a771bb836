//! The page of a simulated service: everybody's phone, and below it what was asked. And the simulator's own API, for
//! scripts: unsigned, for this machine only.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use crate::demo::phone::admission;
use crate::demo::phone::page::{self, Card, List, Paged, Row};
use crate::simulate::House;
use crate::simulate::prompt::{Asked, Counts, Prompt, State};
use crate::simulate::scenario::{Decision, Scenario};

/// Prompts shown at most; with more of them nobody presses buttons.
const SHOWN: usize = 30;

/// Finished prompts shown at most.
const RECENT: usize = 8;

/// Requests shown at most.
const REQUESTS: usize = 40;

/// The routes of the page and of the simulator's own API.
pub(super) fn routes() -> Router<Arc<House>> {
    let own = Router::new()
        .route("/simulator/scenario", post(set))
        .route("/simulator/decide", post(decide_person))
        .route("/simulator/prompts", get(prompts))
        .route("/simulator/asked", get(asked))
        .route("/simulator/counts", get(counts))
        .layer(axum::middleware::from_fn(own_machine));
    page::routes::<House>().merge(own)
}

/// Keeps foreign web pages out.
async fn own_machine(request: Request, next: Next) -> Response {
    match admission::own_page(request.headers(), !request.method().is_safe()) {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_response(),
    }
}

impl Paged for House {
    type Decision = Decision;

    fn title(&self) -> &str {
        &self.title
    }

    fn token(&self) -> &str {
        &self.token
    }

    fn list(&self) -> List<'_> {
        let now = Instant::now();
        let all = self.desk.prompts();
        let newest = |pending: bool, most: usize| -> Vec<Card> {
            let wanted = all.iter().rev().filter(|prompt| (prompt.state == State::Pending) == pending);
            wanted.take(most).map(|prompt| card(prompt, now)).collect()
        };
        let waiting = all.iter().filter(|prompt| prompt.state == State::Pending).count();
        let requests = self.desk.asked();
        List {
            token: &self.token,
            pending: newest(true, SHOWN),
            hidden: waiting.saturating_sub(SHOWN),
            recent: newest(false, RECENT),
            asked: requests.iter().rev().take(REQUESTS).map(row).collect(),
        }
    }

    fn press(&self, number: u64, decision: Decision, _: (&str, &str)) {
        self.desk.decide_number(number, decision);
    }
}

fn card(prompt: &Prompt, now: Instant) -> Card {
    Card {
        number: prompt.number,
        application: prompt.application.as_str().into(),
        person: prompt.person.as_str().into(),
        address: prompt.address.as_deref().map(Into::into),
        server: "".into(),
        method: prompt.method.as_str().into(),
        shown: prompt.shown.as_deref().map(Into::into),
        wants_pin: false,
        wants_number: false,
        seconds_left: prompt.expires.saturating_duration_since(now).as_secs(),
        seconds_total: prompt.expires.saturating_duration_since(prompt.created).as_secs().max(1),
        state: prompt.state.word(),
    }
}

fn row(asked: &Asked) -> Row {
    let mut fields: Vec<String> = asked.person.iter().cloned().collect();
    fields.extend(asked.fields.iter().map(|(name, value)| format!("{name}: {value}")));
    let answer = match (asked.status, asked.fault) {
        (0, _) => "no answer".to_owned(),
        (status, None) => status.to_string(),
        (status, Some(fault)) => format!("{status}, {fault:?}"),
    };
    Row { line: asked.line.clone(), fields: fields.join(" · "), answer }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    /// Without it, everybody who has no section of their own.
    #[serde(default)]
    person: Option<String>,
    scenario: Scenario,
}

async fn set(Shared(house): Shared<Arc<House>>, Json(set): Json<Set>) -> StatusCode {
    house.desk.set(set.person.as_deref(), set.scenario);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decide {
    person: String,
    decision: Decision,
}

async fn decide_person(Shared(house): Shared<Arc<House>>, Json(decide): Json<Decide>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "decided": house.desk.decide(&decide.person, decide.decision) }))
}

async fn prompts(Shared(house): Shared<Arc<House>>) -> Json<Vec<Prompt>> {
    Json(house.desk.prompts().into_iter().rev().take(200).collect())
}

async fn asked(Shared(house): Shared<Arc<House>>) -> Json<Vec<Asked>> {
    Json(house.desk.asked())
}

async fn counts(Shared(house): Shared<Arc<House>>) -> Json<Counts> {
    Json(house.desk.counts())
}
