//! The simulator's page and its own endpoints.

use super::*;

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn token(page: &str) -> String {
    let (_, rest) = page.split_once(r#"name="token" value=""#).expect("a form");
    rest.split_once('"').expect("closed").0.to_owned()
}

#[tokio::test]
async fn shows_the_prompt_and_takes_a_button() {
    let rig = Rig::new(Behaviour::Manual).await;
    let held = rig.hold(1);
    until(|| rig.phone.pending() == 1).await;
    let client = client();
    let page = client.get(rig.phone.url()).send().await.unwrap().text().await.unwrap();
    for part in ["VPN", "alice", "192.0.2.7", "Approve", "Deny", "fraud", "data-left"] {
        assert!(page.contains(part), "{part}");
    }
    let press = |token: String, origin: String| {
        let body = format!("token={token}&number=1&decision=fraud");
        client
            .post(format!("{}/decide", rig.phone.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", origin)
            .body(body)
            .send()
    };
    let own = rig.phone.url();
    assert_eq!(press("x".repeat(32), own.clone()).await.unwrap().status(), 403);
    assert_eq!(press(token(&page), "http://evil.test".into()).await.unwrap().status(), 403);
    assert!(!held.is_finished());
    assert_eq!(press(token(&page), own).await.unwrap().status(), 303);
    assert_eq!(held.await.unwrap(), refused(Refusal::Fraud));
}

#[tokio::test]
async fn names_cannot_break_out_of_the_page() {
    let rig = Rig::new(Behaviour::Manual).await;
    let native = Arc::clone(&rig.native);
    let name = r#"<script>alert(1)</script>"#;
    tokio::spawn(async move { native.run(request(name, id(1), Duration::from_secs(5))).await });
    until(|| rig.phone.pending() == 1).await;
    let page = client().get(rig.phone.url()).send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("<script>alert") && page.contains("alert(1)"));
}

#[tokio::test]
async fn foreign_hosts_are_refused() {
    let rig = Rig::new(Behaviour::Manual).await;
    for path in ["/", "/prompts", "/simulator/prompts"] {
        let answer = client().get(format!("{}{path}", rig.phone.url())).header("host", "evil.test").send().await;
        assert_eq!(answer.unwrap().status(), 421, "{path}");
    }
}

#[tokio::test]
async fn plain_endpoint_answers_after_the_delay() {
    let rig = Rig::new(Behaviour::Manual).await;
    let ask = |kind: &'static str, body: &'static str| {
        client().post(format!("{}/simulator/ask", rig.phone.url())).header("content-type", kind).body(body).send()
    };
    let behave = async |text: &'static str| {
        let answer = client()
            .post(format!("{}/simulator/behaviour", rig.phone.url()))
            .header("content-type", "application/json")
            .body(text)
            .send()
            .await;
        answer.unwrap().status().as_u16()
    };
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    assert_eq!(behave(r#"{"behaviour":{"kind":"answer","decision":"approve","after_ms":20}}"#).await, 204);
    assert_eq!(behave(r#"{"person":"bob","behaviour":{"kind":"answer","decision":"deny"}}"#).await, 204);
    assert_eq!(behave(r#"{"behaviour":{"kind":"dance"}}"#).await, 422);
    let begun = Instant::now();
    assert_eq!(ask(form, "user=alice&extra=1").await.unwrap().status(), 200);
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert_eq!(ask(json, r#"{"user":"bob"}"#).await.unwrap().status(), 403);
    assert_eq!(ask(json, "{}").await.unwrap().status(), 422);
    assert_eq!(rig.phone.counts().prompts, 2);
    assert!(rig.phone.prompts().iter().all(|prompt| prompt.state == State::Approved));
}

#[tokio::test]
async fn only_loopback_is_served() {
    let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    assert!(Phone::start(anywhere, PhoneOptions::default()).await.is_err());
}
