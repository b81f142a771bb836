//! The simulated server beside the real one: the same requests, by a client that knows neither, are answered alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use anteroom::secret::Secret;
use anteroom::simulate::privacyidea::PrivacyIdea as Simulated;
use anteroom::simulate::{Decision, Options, Scenario, ScenarioFile, ServerScenario, Simulator};
use reqwest::Client;
use serde_json::Value;

use super::{ADMIN_PASSWORD, Server, TEXTS};

/// What both are asked, in order: what it is called, method, path, whose authorisation, and the form. `{push}` is the
/// transaction that the exchange of this name began.
const EXCHANGES: [Exchange; 20] = [
    ask("wrong password", "POST", "/auth", As::Nobody, &[("username", "anteroom"), ("password", "wrong")]),
    ask("no authorisation", "POST", TRIGGER, As::Nobody, &[("user", "alike")]),
    ask("forged authorisation", "POST", TRIGGER, As::Forger, &[("user", "alike")]),
    ask("push", "POST", TRIGGER, As::Anteroom, &[("user", "alike"), ("realm", "lab")]),
    ask("poll of the push", "GET", POLL, As::Nobody, &[("transaction_id", "{push}")]),
    ask(
        "closing check too early",
        "POST",
        CHECK,
        As::Nobody,
        &[("user", "alike"), ("realm", "lab"), ("pass", ""), ("transaction_id", "{push}")],
    ),
    ask("poll of no transaction", "GET", POLL, As::Nobody, &[("transaction_id", "00000000000000000000")]),
    ask("text message", "POST", TRIGGER, As::Anteroom, &[("user", "sms"), ("realm", "lab")]),
    ask(
        "wrong code of the text message",
        "POST",
        CHECK,
        As::Nobody,
        &[("user", "sms"), ("realm", "lab"), ("pass", "abcdef"), ("transaction_id", "{text message}")],
    ),
    ask("e-mail", "POST", TRIGGER, As::Anteroom, &[("user", "mail"), ("realm", "lab")]),
    ask("only tokens of one kind", "POST", TRIGGER, As::Anteroom, &[("user", "alike"), ("type", "push")]),
    ask("none of this kind", "POST", TRIGGER, As::Anteroom, &[("user", "alike"), ("type", "sms")]),
    ask("no tokens", "POST", TRIGGER, As::Anteroom, &[("user", "notoken"), ("realm", "lab")]),
    ask("a stranger", "POST", TRIGGER, As::Anteroom, &[("user", "nobody"), ("realm", "lab")]),
    ask("a strange realm", "POST", TRIGGER, As::Anteroom, &[("user", "alike"), ("realm", "elsewhere")]),
    ask("nobody named", "POST", TRIGGER, As::Anteroom, &[("realm", "lab")]),
    ask("wrong code", "POST", CHECK, As::Nobody, &[("user", "totp"), ("realm", "lab"), ("pass", "abcdef")]),
    ask("a stranger's code", "POST", CHECK, As::Nobody, &[("user", "nobody"), ("realm", "lab"), ("pass", "123456")]),
    ask("nobody's code", "POST", CHECK, As::Nobody, &[("realm", "lab"), ("pass", "123456")]),
    ask("right password", "POST", "/auth", As::Nobody, &[("username", "anteroom"), ("password", ADMIN_PASSWORD)]),
];

const TRIGGER: &str = "/validate/triggerchallenge";
const CHECK: &str = "/validate/check";
const POLL: &str = "/validate/polltransaction";

#[derive(Clone, Copy)]
enum As {
    Nobody,
    Forger,
    Anteroom,
}

struct Exchange {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    who: As,
    form: &'static [(&'static str, &'static str)],
}

const fn ask(
    what: &'static str,
    method: &'static str,
    path: &'static str,
    who: As,
    form: &'static [(&'static str, &'static str)],
) -> Exchange {
    Exchange { what, method, path, who, form }
}

/// Holds the whole conversation; each answer's status and body.
async fn converse(client: &Client, url: &str) -> Vec<(u16, Value)> {
    let mut transactions: BTreeMap<&str, String> = BTreeMap::new();
    let login = [("username", "anteroom"), ("password", ADMIN_PASSWORD)];
    let (_, answer) =
        send(client, url, "POST", "/auth", None, &login.map(|(key, value)| (key, value.to_owned()))).await;
    let token = answer["result"]["value"]["token"].as_str().expect("a token").to_owned();
    let mut answers = Vec::new();
    for Exchange { what, method, path, who, form } in EXCHANGES {
        let token = match who {
            As::Nobody => None,
            As::Forger => Some("eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"),
            As::Anteroom => Some(token.as_str()),
        };
        let filled = |value: &str| match value.strip_prefix('{').and_then(|value| value.strip_suffix('}')) {
            Some(began) => transactions[began].clone(),
            None => value.to_owned(),
        };
        let form: Vec<_> = form.iter().map(|(key, value)| (*key, filled(value))).collect();
        let (status, answer) = send(client, url, method, path, token, &form).await;
        if let Some(transaction) = answer["detail"]["transaction_id"].as_str() {
            transactions.insert(what, transaction.to_owned());
        }
        answers.push((status, answer));
    }
    answers
}

async fn send(
    client: &Client,
    url: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    form: &[(&str, String)],
) -> (u16, Value) {
    let pairs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = match method {
        "GET" => client.get(format!("{url}{path}?{pairs}")),
        _ => {
            let request = client.post(format!("{url}{path}"));
            request.header("content-type", "application/x-www-form-urlencoded").body(pairs)
        }
    };
    let request = token.into_iter().fold(request, |request, token| request.header("Authorization", token));
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

/// What a client decides by.
fn decided(answer: &Value) -> Vec<(&'static str, Value)> {
    let result = &answer["result"];
    let challenges = answer["detail"]["multi_challenge"].as_array().map(|challenges| {
        let told = |one: &Value| Value::Array(vec![one["type"].clone(), one["client_mode"].clone()]);
        let mut told: Vec<Value> = challenges.iter().map(told).collect();
        told.sort_by_key(Value::to_string);
        Value::Array(told)
    });
    // A login's value is an object of many fields.
    let value = if result["value"].is_object() { Value::Null } else { result["value"].clone() };
    vec![
        ("status", result["status"].clone()),
        ("value", value),
        ("authentication", result["authentication"].clone()),
        ("error", result["error"]["code"].clone()),
        ("challenges", challenges.unwrap_or_default()),
        ("challenge_status", answer["detail"]["challenge_status"].clone()),
    ]
}

/// Fields that `ours` has and `theirs` lacks, or has as something else.
fn missing_from(theirs: &Value, ours: &Value) -> Vec<String> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => ours
            .iter()
            .flat_map(|(name, ours)| match theirs.get(name) {
                None => vec![name.clone()],
                Some(theirs) => missing_from(theirs, ours).iter().map(|field| format!("{name}.{field}")).collect(),
            })
            .collect(),
        (Value::Array(theirs), Value::Array(ours)) => match (theirs.first(), ours.first()) {
            (Some(theirs), Some(ours)) => {
                missing_from(theirs, ours).iter().map(|field| format!("[].{field}")).collect()
            }
            _ => Vec::new(),
        },
        (Value::Null, _) | (_, Value::Null) => Vec::new(),
        (theirs, ours) if std::mem::discriminant(theirs) == std::mem::discriminant(ours) => Vec::new(),
        (theirs, _) => vec![format!("as {theirs}")],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_server_answers_as_the_real_one() {
    let Some(server) = Server::get() else { return };
    let _alone = TEXTS.lock().await;
    let authority = std::fs::read(server.ca()).unwrap();
    let trusted = reqwest::Certificate::from_pem(&authority).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let person = [("alike", "push"), ("sms", "sms"), ("mail", "email"), ("totp", "totp"), ("notoken", "none")];
    let mut person: BTreeMap<String, Scenario> = person
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), Scenario { methods: vec![kind.into()], ..never() }))
        .collect();
    person.insert("nobody".into(), Scenario { methods: vec!["unknown".into()], ..never() });
    let scenarios = ScenarioFile { server: ServerScenario::default(), everybody: never(), person };
    let service = Simulated::new("anteroom", Secret::from_text(ADMIN_PASSWORD.into()), "lab");
    let options = Options { scenarios, ..Options::default() };
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), Arc::new(service), options).await.unwrap();

    let real = converse(&client, &server.url).await;
    let simulated = converse(&client, &simulator.url()).await;
    let mut differences = Vec::new();
    for ((exchange, real), simulated) in EXCHANGES.iter().zip(real).zip(simulated) {
        let what = exchange.what;
        if (real.0, decided(&real.1)) != (simulated.0, decided(&simulated.1)) {
            let [one, two] = [(real.0, decided(&real.1)), (simulated.0, decided(&simulated.1))];
            differences.push(format!("{what}:\n  real      {one:?}\n  simulated {two:?}"));
        }
        for invented in missing_from(&real.1, &simulated.1) {
            differences.push(format!("{what}: the real answer has no {invented}: {}", real.1));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn never() -> Scenario {
    Scenario::answering(Decision::Never)
}
