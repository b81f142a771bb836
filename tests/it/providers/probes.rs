//! What `anteroom check` says of each misconfiguration of each provider.

use anteroom::config::{OktaAuthentication, PrivacyIdeaAuthorisation};
use anteroom::simulate::okta::{App, Okta as SimulatedOkta};

use super::clouds::{credential, okta};
use super::*;

#[tokio::test]
async fn healthy_service_tells_its_clock() {
    for spec in SPECS {
        let rig = Rig::new(spec).await;
        let health = rig.provider.probe().await.expect("answers");
        assert!(health.clock_skew.is_none_or(|skew| skew.abs() <= 2), "{}: {health:?}", spec.word);
        assert_eq!(rig.prompts(), 0, "{}: a probe prompts nobody", spec.word);
    }
}

#[tokio::test]
async fn each_kind_of_trouble_is_told_in_words_that_say_what_to_do() {
    for spec in SPECS {
        let table = [
            (Fault::status(401), &["credentials", "token", "refused", "skey"][..]),
            (Fault::status(403), &["permission", "right", "credentials", "keys", "no token was given"][..]),
            (Fault::status(429), &["rate limited"][..]),
            (Fault::status(500), &["in trouble"][..]),
            (Fault::malformed(Malformed::Html), &["proxy"][..]),
            (Fault::new(Kind::Silence), &["no answer in time"][..]),
        ];
        for (fault, words) in table {
            let rig = Rig::new(spec).await;
            rig.set(Scenario::with(fault.clone()));
            let trouble = rig.provider.probe().await.expect_err("in trouble").to_string();
            assert!(words.iter().any(|word| trouble.contains(word)), "{}: {fault:?}: {trouble}", spec.word);
            assert!(!trouble.contains("planted"), "{}: {trouble}", spec.word);
        }
        let Rig { simulator, provider, .. } = Rig::new(spec).await;
        simulator.stop().await;
        let trouble = provider.probe().await.expect_err("nobody listens").to_string();
        assert!(trouble.contains("no connection"), "{}: {trouble}", spec.word);
    }
}

#[tokio::test]
async fn wrong_credentials_are_told() {
    let rig = Rig::new(&SPECS[1]).await;
    let wrong = okta(common(rig.simulator.url()), OktaAuthentication::Token(Secret::from_text("wrong".into())));
    let trouble = wrong.probe().await.expect_err("refused").to_string();
    assert!(trouble.contains("API token"), "{trouble}");
    let rig = Rig::new(&SPECS[0]).await;
    let authorisation =
        PrivacyIdeaAuthorisation::Account { name: "anteroom".into(), password: Secret::from_text("wrong".into()) };
    let config = anteroom::config::PrivacyIdeaProvider {
        common: common(rig.simulator.url()),
        authorisation,
        user: CloudName::Upn,
        realm: None,
        realms: Vec::new(),
        triggers: anteroom::config::Triggers::All,
        codes: anteroom::config::Codes::Direct,
    };
    let wrong = anteroom::factor::privacyidea::PrivacyIdea::new(&config).unwrap();
    let trouble = wrong.probe().await.expect_err("refused").to_string();
    assert!(trouble.contains("account and password"), "{trouble}");
    assert_eq!(
        wrong.run(request(1, Duration::from_secs(5))).await,
        refused(Refusal::Unreachable(UnreachableClass::Refused))
    );
}

/// An RSA key pair: the private key, and the public one, both PEM.
fn key_pair() -> (Secret, Vec<u8>) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("an RSA key");
    (Secret::from_text(pair.serialize_pem()), pair.public_key_pem().into_bytes())
}

#[tokio::test]
async fn app_with_a_key_pair_is_let_in_by_its_signature() {
    let ((private, public), (stranger, _)) = (key_pair(), key_pair());
    let app = App { client_id: "0oa1".into(), public_key: public };
    let service = Arc::new(SimulatedOkta::new(credential(), Some(app)));
    let simulator = Simulator::start(LOOPBACK, service, Options::default()).await.unwrap();
    simulator.desk().set(None, Scenario::answering(Decision::Approve));
    let oauth = |client_id: &str, key: &Secret| {
        let (client_id, key) = (client_id.to_owned(), key.duplicate());
        okta(common(simulator.url()), OktaAuthentication::OAuth { client_id, key_id: Some("k1".into()), key })
    };
    let good = oauth("0oa1", &private);
    good.probe().await.expect("answers");
    for number in 1..=3 {
        assert_eq!(good.run(request(number, Duration::from_secs(10))).await, Answer::Approved);
    }
    assert_eq!(simulator.desk().counts().tokens, 1, "one token serves many");
    for wrong in [oauth("0oa1", &stranger), oauth("0oa2", &private)] {
        let trouble = wrong.probe().await.expect_err("refused").to_string();
        assert!(trouble.contains("client_id") && trouble.contains("clock"), "{trouble}");
        let answer = wrong.run(request(9, Duration::from_secs(5))).await;
        assert_eq!(answer, refused(Refusal::Unreachable(UnreachableClass::Refused)));
    }
    // Our clock is ten minutes behind the service's: the assertion has ended there before it was signed.
    simulator.desk().set_server(ServerScenario { clock_skew: 600, ..ServerScenario::default() });
    let late = oauth("0oa1", &private);
    assert!(late.probe().await.expect_err("refused").to_string().contains("clock"));
    assert_eq!(simulator.desk().prompts().len(), 3);
}

#[tokio::test]
async fn number_is_asked_for_only_where_the_person_can_read_it() {
    let spec = &SPECS[1];
    let rig = Rig::new(spec).await;
    rig.set(Scenario::answering(Decision::Approve));
    let tell = Tell::new(true);
    let shown = Request { tell: Some(tell.clone()), ..request(1, Duration::from_secs(10)) };
    assert_eq!(rig.run(shown).await, Answer::Approved);
    assert!(tell.take().is_some_and(|text| text.contains("42")));
    let later = Tell::new(false);
    let hidden = Request { tell: Some(later.clone()), ..request(2, Duration::from_secs(10)) };
    assert_eq!(rig.run(hidden).await, Answer::Approved);
    assert_eq!(later.take(), None);
    let asked: Vec<Option<String>> = rig.simulator.desk().prompts().into_iter().map(|prompt| prompt.shown).collect();
    assert_eq!(asked, [Some("42".to_owned()), None]);
    // The organisation's own rules want a number, and nobody can show it: the prompt is taken back.
    rig.set(Scenario { number: Some("77".into()), ..Scenario::default() });
    assert_eq!(rig.run(request(3, Duration::from_secs(10))).await, refused(Refusal::NeedsCode));
    let desk = rig.simulator.desk();
    until("taken back", || desk.prompts()[2].state == State::Cancelled).await;
    // From now on none is sent that nobody could answer.
    assert_eq!(rig.run(request(4, Duration::from_secs(10))).await, refused(Refusal::NotThisWay));
    assert_eq!(desk.prompts().len(), 3);
}
