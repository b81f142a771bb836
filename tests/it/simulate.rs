//! `anteroom simulate`: the shell does to every simulated cloud what its scenario says, and shows what was asked.

#![cfg(test)]

mod command;
mod page;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anteroom::secret::Secret;
use anteroom::simulate::privacyidea::PrivacyIdea;
use anteroom::simulate::{
    Decision, Fault, Kind, Malformed, Options, Scenario, ServerScenario, Simulator, State, Step, TlsFiles,
};
use serde_json::Value;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn simulator() -> Simulator {
    let service = PrivacyIdea::new("anteroom", Secret::from_text("planted-account".into()), "lab");
    Simulator::start(LOOPBACK, Arc::new(service), Options { record: true, ..Options::default() }).await.unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A form as a body.
fn form(request: reqwest::RequestBuilder, pairs: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// A typed code, checked.
async fn check(simulator: &Simulator, client: &reqwest::Client) -> reqwest::Result<(u16, String)> {
    let url = format!("{}/validate/check", simulator.url());
    let answer = form(client.post(url), &[("user", "alice"), ("pass", "123456")]).send().await?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await?))
}

fn value(text: &str) -> Value {
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    answer["result"]["value"].clone()
}

#[tokio::test]
async fn faults_are_put_where_the_scenario_says() {
    let (simulator, client) = (simulator().await, client());
    let desk = simulator.desk();
    assert_eq!(value(&check(&simulator, &client).await.unwrap().1), true);

    desk.set(None, Scenario::with(Fault::status(503).at(Step::Begin)));
    assert_eq!(check(&simulator, &client).await.unwrap().0, 200, "another step");

    let once = Fault { retry_after: Some(7), ..Fault::status(429).at(Step::Code).times(1) };
    desk.set(None, Scenario::with(once));
    let url = format!("{}/validate/check", simulator.url());
    let refused = form(client.post(&url), &[("user", "alice"), ("pass", "123456")]).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(check(&simulator, &client).await.unwrap().0, 200, "once only");

    for body in Malformed::ALL {
        desk.set(None, Scenario::with(Fault::malformed(body)));
        let (_, text) = check(&simulator, &client).await.unwrap();
        let right = serde_json::from_str::<Value>(&text).is_ok() && !text.contains('\u{fffd}');
        assert_eq!(right, body == Malformed::Huge, "{body:?}");
    }
    desk.set(None, Scenario::with(Fault::new(Kind::Twice)));
    assert!(serde_json::from_str::<Value>(&check(&simulator, &client).await.unwrap().1).is_err());

    desk.set(None, Scenario::with(Fault { wait: Some(Duration::from_micros(10)), ..Fault::new(Kind::Drip) }));
    assert_eq!(value(&check(&simulator, &client).await.unwrap().1), true);

    desk.set(None, Scenario::with(Fault::new(Kind::Reset)));
    let broken = check(&simulator, &client).await.expect_err("cut off");
    assert!(!broken.is_connect(), "{broken:?}");
    let faults = desk.counts().faults;
    assert_eq!(faults, 1 + 6 + 1 + 1 + 1);
}

#[tokio::test]
async fn half_successes_never_look_like_a_right_answer() {
    let (simulator, client) = (simulator().await, client());
    let right = check(&simulator, &client).await.unwrap().1;
    for which in 0..6 {
        simulator.desk().set(None, Scenario::with(Fault { which, ..Fault::new(Kind::HalfSuccess) }));
        let half = check(&simulator, &client).await.unwrap().1;
        assert_ne!(half, right, "{which}");
        assert!(half.contains("ACCEPT") || half.contains("true"), "{which}: says nothing of yes: {half}");
    }
}

#[tokio::test]
async fn service_account_is_checked_and_its_token_ends() {
    let (simulator, client) = (simulator().await, client());
    let auth = async |password: &str| {
        let pairs = [("username", "anteroom"), ("password", password)];
        let answer = form(client.post(format!("{}/auth", simulator.url())), &pairs).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(auth("wrong").await.0, 401);
    let (status, answer) = auth("planted-account").await;
    assert_eq!(status, 200);
    let token = answer["result"]["value"]["token"].as_str().unwrap().to_owned();
    let trigger = async |token: &str, realm: &str| {
        let request = client.post(format!("{}/validate/triggerchallenge", simulator.url()));
        let pairs = [("user", "alice"), ("realm", realm), ("type", "push")];
        let answer = form(request.header("PI-Authorization", token), &pairs).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(trigger("", "lab").await.0, 401);
    assert_eq!(trigger("another", "lab").await.0, 401);
    let (status, answer) = trigger(&token, "elsewhere").await;
    assert_eq!((status, &answer["result"]["error"]["code"]), (400, &Value::from(904)));
    let (status, answer) = trigger(&token, "lab").await;
    assert_eq!((status, &answer["detail"]["multi_challenge"][0]["client_mode"]), (200, &Value::from("poll")));
    simulator.desk().set_server(ServerScenario { clock_skew: 3601, ..ServerScenario::default() });
    let (status, answer) = trigger(&token, "lab").await;
    assert_eq!((status, &answer["result"]["error"]["code"]), (401, &Value::from(4305)));
    assert_eq!(simulator.desk().counts().prompts, 1);
}

/// Certificates for `localhost` from an authority of this very test.
pub(crate) fn tls_files() -> (tempfile::TempDir, TlsFiles, Vec<u8>) {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.certificate, certified.cert.pem()).unwrap();
    std::fs::write(&files.key, certified.signing_key.serialize_pem()).unwrap();
    (folder, files, certified.cert.pem().into_bytes())
}

#[tokio::test]
async fn handshakes_are_counted_once_for_each_connection() {
    let (_folder, files, authority) = tls_files();
    let service = PrivacyIdea::new("anteroom", Secret::from_text("planted-account".into()), "lab");
    let options = Options { tls: Some(files), ..Options::default() };
    let simulator = Simulator::start(LOOPBACK, Arc::new(service), options).await.unwrap();
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
    for _ in 0..20 {
        assert_eq!(check(&simulator, &client).await.unwrap().0, 200);
    }
    let counts = simulator.desk().counts();
    assert_eq!((counts.requests, counts.connections, counts.handshakes, counts.resumed), (20, 1, 1, 0));
    simulator.desk().set_server(ServerScenario { refuse_tls: true, ..ServerScenario::default() });
    simulator.cut();
    assert!(check(&simulator, &client).await.is_err());
}

#[tokio::test]
async fn other_addresses_than_loopback_are_refused() {
    let service = Arc::new(PrivacyIdea::new("a", Secret::from_text("b".into()), ""));
    let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    assert!(Simulator::start(everywhere, service, Options::default()).await.is_err());
}

#[tokio::test]
async fn decisions_on_the_desk_are_fetched_by_polling() {
    let simulator = simulator().await;
    let desk = simulator.desk();
    let prompt = desk.begin(anteroom::simulate::Asking { person: "alice".into(), ..Default::default() });
    let poll = async || {
        let url = format!("{}/validate/polltransaction/{}", simulator.url(), prompt.id);
        let answer: Value = client().get(url).send().await.unwrap().json().await.unwrap();
        (answer["result"]["value"].clone(), answer["detail"]["challenge_status"].clone())
    };
    assert_eq!(poll().await, (false.into(), "pending".into()));
    assert_eq!(desk.decide("alice", Decision::Approve), 1);
    assert_eq!(poll().await, (true.into(), "accept".into()));
    assert_eq!(desk.prompt(&prompt.id).unwrap().state, State::Approved);
}
