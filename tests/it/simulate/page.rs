//! The page of a simulated cloud.

use super::*;

async fn get(simulator: &Simulator, path: &str) -> (u16, String) {
    let answer = client().get(format!("{}{path}", simulator.url())).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn page_shows_prompts_and_what_was_asked_but_no_code() {
    let simulator = simulator().await;
    let number = Scenario { number: Some("42".into()), ..Scenario::default() };
    simulator.desk().set(Some("<bob>"), number);
    simulator.desk().begin(anteroom::simulate::Asking { person: "<bob>".into(), ..Default::default() });
    check(&simulator, &client()).await.unwrap();
    let (status, page) = get(&simulator, "/").await;
    assert_eq!(status, 200);
    assert!(page.contains("privacyidea simulator") && page.contains("POST /validate/check"), "{page}");
    assert!(page.contains("42") && page.contains("bob") && !page.contains("<bob>"), "{page}");
    assert!(!page.contains("123456"), "a code is on the page");
    let (_, log) = get(&simulator, "/simulator/asked").await;
    assert!(log.contains("alice") && !log.contains("123456"), "{log}");
}

#[tokio::test]
async fn button_decides_with_the_pages_own_token_only() {
    let simulator = simulator().await;
    let prompt = simulator.desk().begin(anteroom::simulate::Asking { person: "bob".into(), ..Default::default() });
    let (_, page) = get(&simulator, "/").await;
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let press = async |token: &str, host: &str| {
        let pairs = [("token", token), ("number", "1"), ("decision", "approve")];
        let request = client().post(format!("{}/decide", simulator.url())).header("host", host);
        form(request, &pairs).send().await.unwrap().status().as_u16()
    };
    assert_eq!(press("another", "localhost").await, 403);
    assert_eq!(press(&token, "evil.test").await, 421);
    assert_eq!(simulator.desk().prompt(&prompt.id).unwrap().state, State::Pending);
    assert_eq!(press(&token, "localhost").await, 303, "and back to the page");
    assert_eq!(simulator.desk().prompt(&prompt.id).unwrap().state, State::Approved);
}

#[tokio::test]
async fn scripts_set_scenarios_and_decide() {
    let simulator = simulator().await;
    let post = async |path: &str, body: &str| {
        let request = client().post(format!("{}/simulator/{path}", simulator.url()));
        let answer = request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let set = r#"{"person":"bob","scenario":{"answer":"deny","after":"0s","fault":[{"kind":"reset","at":"poll"}]}}"#;
    assert_eq!(post("scenario", set).await.0, 204);
    assert_eq!(simulator.desk().scenario("bob").answer, Decision::Deny);
    assert_eq!(post("scenario", r#"{"scenario":{"answr":"deny"}}"#).await.0, 422);
    simulator.desk().begin(anteroom::simulate::Asking { person: "alice".into(), ..Default::default() });
    let (status, text) = post("decide", r#"{"person":"alice","decision":"fraud"}"#).await;
    assert_eq!((status, text.as_str()), (200, r#"{"decided":1}"#));
    assert!(get(&simulator, "/simulator/prompts").await.1.contains("fraud"));
    assert!(get(&simulator, "/simulator/counts").await.1.contains("\"prompts\":1"));
}
