use anteroom::config::{CloudName, EntraAuthentication, EntraMode, EntraProvider};
use anteroom::factor::entra::Entra;
use anteroom::simulate::entra::{self as simulated, Credential};

use super::*;

pub(crate) const SECRET: &str = "planted-entra-secret~x";
pub(crate) const TENANT: &str = "5f1c0b3e-1111-4222-8333-944455556666";
pub(crate) const CLIENT: &str = "981f26a1-7f43-403b-a875-f8b09b8cd720";
pub(crate) const RESOURCE: &str = "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector";
const ALICE: &str = "alice@corp.example";

pub(crate) fn service() -> simulated::Entra {
    simulated::Entra::new(TENANT, CLIENT, RESOURCE, Credential::Secret(Secret::from_text(SECRET.into())))
}

pub(crate) fn config(url: String) -> EntraProvider {
    EntraProvider {
        login: url.clone(),
        common: common(url),
        resource: RESOURCE.into(),
        tenant: TENANT.into(),
        client_id: CLIENT.into(),
        authentication: EntraAuthentication::Secret(Secret::from_text(SECRET.into())),
        user: CloudName::Upn,
        mode: EntraMode::Poll,
        poll_every: Duration::from_millis(20),
    }
}

async fn rig() -> (Simulator, Entra) {
    let simulator = simulator(service()).await;
    let entra = Entra::new(&config(simulator.url())).expect("builds");
    (simulator, entra)
}

#[tokio::test]
async fn each_decision_means_what_it_says_polled_and_synchronous() {
    let simulator = simulator(service()).await;
    for mode in [EntraMode::Poll, EntraMode::Sync] {
        let entra = Entra::new(&EntraProvider { mode, ..config(simulator.url()) }).unwrap();
        for (decision, answer) in DECISIONS {
            let scenario = Scenario {
                after: Duration::from_millis(50),
                expires: Duration::from_millis(300),
                ..Scenario::answering(decision)
            };
            simulator.desk().set(None, scenario);
            let before = simulator.desk().counts();
            assert_eq!(entra.run(push()).await, answer, "{mode:?} {decision:?}");
            let counts = simulator.desk().counts();
            assert_eq!(counts.prompts - before.prompts, 1);
            assert_eq!(counts.polls > before.polls, mode == EntraMode::Poll, "{mode:?}");
            assert_eq!(counts.refused, before.refused, "the simulator found nothing wrong with a request");
        }
        assert_eq!(entra.connections(), 1, "one connection for all");
    }
}

#[tokio::test]
async fn typed_code_is_good_once_and_prompts_nobody() {
    let (simulator, entra) = rig().await;
    simulator.desk().set(None, Scenario::answering(Decision::Deny));
    let code = |code| asked(Method::Oath, Some(code));
    assert_eq!(entra.run(code("000000")).await, refused(Refusal::WrongCode));
    assert_eq!(entra.run(code("123456")).await, Answer::Approved);
    assert_eq!(entra.run(code("123456")).await, refused(Refusal::UsedCode), "used before");
    assert_eq!(entra.run(asked(Method::Oath, None)).await, refused(Refusal::NeedsCode));
    assert_eq!(simulator.desk().counts().prompts, 0);
}

#[tokio::test]
async fn number_matching_is_overridden_as_the_client_says() {
    let (simulator, entra) = rig().await;
    simulator.desk().set(None, Scenario { number: Some("42".into()), ..Scenario::answering(Decision::Approve) });
    let as_code = Request { number_matching: NumberMatching::Code, ..push() };
    assert_eq!(entra.run(as_code).await, refused(Refusal::NeedsCode));
    assert_eq!(simulator.desk().counts().prompts, 0);
    assert_eq!(entra.run(push()).await, Answer::Approved);
    assert_eq!(simulator.desk().counts().prompts, 1);
}

#[tokio::test]
async fn the_number_that_the_app_asks_for_is_shown_where_that_can_be() {
    let (simulator, entra) = rig().await;
    let sync = Entra::new(&EntraProvider { mode: EntraMode::Sync, ..config(simulator.url()) }).unwrap();
    simulator.desk().set(None, Scenario { number: Some("42".into()), ..Scenario::answering(Decision::Approve) });
    for entra in [&entra, &sync] {
        let tell = Tell::new(true);
        assert_eq!(entra.run(Request { tell: Some(tell.clone()), ..push() }).await, Answer::Approved);
        assert_eq!(tell.take().as_deref(), Some("Enter 42 in your app, then press OK here."));
        let later = Tell::new(false);
        assert_eq!(entra.run(Request { tell: Some(later.clone()), ..push() }).await, Answer::Approved);
        assert_eq!(later.take(), None, "a client that shows it with the answer only");
    }
    // a code instead, where the client wants that
    let tell = Tell::new(true);
    let as_code = Request { tell: Some(tell.clone()), number_matching: NumberMatching::Code, ..push() };
    assert_eq!(entra.run(as_code).await, refused(Refusal::NeedsCode));
    assert_eq!(tell.take(), None);
    simulator.desk().set(None, Scenario::answering(Decision::Approve));
    let tell = Tell::new(true);
    assert_eq!(entra.run(Request { tell: Some(tell.clone()), ..push() }).await, Answer::Approved);
    assert_eq!(tell.take(), None, "no number, nothing to show");
}

#[tokio::test]
async fn nonsense_lets_nobody_in_and_prompts_nobody_twice() {
    let (simulator, entra) = rig().await;
    for step in [Step::Begin, Step::Poll] {
        nonsense_is_no_approval(&simulator, &entra, step, service().halves()).await;
    }
    for step in [Step::Token] {
        let entra = Entra::new(&config(simulator.url())).unwrap();
        simulator.desk().set(None, Scenario::with(Fault::malformed(Malformed::Truncated).at(step)));
        assert_eq!(entra.run(push()).await, unreachable(UnreachableClass::Malformed));
    }
}

#[tokio::test]
async fn people_who_are_not_there_are_told_from_refusals() {
    let (simulator, entra) = rig().await;
    let with = |methods: &[&str]| Scenario {
        methods: methods.iter().map(|word| (*word).to_owned()).collect(),
        ..Scenario::answering(Decision::Approve)
    };
    simulator.desk().set(None, with(&["unknown"]));
    assert_eq!(entra.run(push()).await, refused(Refusal::NotEnrolledThere));
    simulator.desk().set(None, with(&["call"]));
    assert_eq!(entra.run(push()).await, refused(Refusal::NotThisWay));
    assert_eq!(entra.run(asked(Method::Call, None)).await, Answer::Approved);
    let nameless = anteroom::users::model::Person { upn: None, ..fakes::person() };
    assert!(!entra.offers(&nameless, Method::Push) && entra.offers(&fakes::person(), Method::Push));
}

#[tokio::test]
async fn token_that_is_refused_once_is_fetched_anew() {
    let (simulator, entra) = rig().await;
    let once = Fault::status(401).at(Step::Begin).times(1);
    simulator.desk().set(None, Scenario::with(once));
    assert_eq!(entra.run(push()).await, Answer::Approved);
    assert_eq!((simulator.desk().counts().tokens, simulator.desk().counts().prompts), (2, 1));
    // refused for good: nobody was asked
    simulator.desk().set(None, Scenario::with(Fault::status(401).at(Step::Begin)));
    assert_eq!(entra.run(push()).await, unreachable(UnreachableClass::Refused));
}

#[tokio::test]
async fn failures_are_sorted_by_whether_anybody_can_have_been_asked() {
    let (simulator, entra) = rig().await;
    let mut answers = Vec::new();
    for (fault, expected) in [
        (Fault::status(503).at(Step::Begin), unreachable(UnreachableClass::ServerError)),
        (Fault::status(500).at(Step::Begin), refused(Refusal::Lost)),
        (Fault::status(403).at(Step::Begin), unreachable(UnreachableClass::Refused)),
        (Fault::status(400).at(Step::Begin), refused(Refusal::Misconfigured)),
        (Fault::new(Kind::Silence).at(Step::Begin), refused(Refusal::Lost)),
    ] {
        simulator.desk().set(None, Scenario::with(fault));
        answers.push((entra.run(push()).await, expected));
    }
    for (answer, expected) in answers {
        assert_eq!(answer, expected);
    }
    // states that cannot be had for a while: the person's answer counts nevertheless
    simulator.desk().set(None, Scenario::with(Fault::status(502).at(Step::Poll).times(3)));
    assert_eq!(entra.run(push()).await, Answer::Approved);
    let url = simulator.url();
    simulator.stop().await;
    assert_eq!(Entra::new(&config(url)).unwrap().run(push()).await, unreachable(UnreachableClass::Connect));
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept() {
    let (simulator, entra) = rig().await;
    let busy = Fault { retry_after: Some(30), ..Fault::status(429) };
    simulator.desk().set(None, Scenario::with(busy.at(Step::Begin)));
    assert_eq!(entra.run(push()).await, unreachable(UnreachableClass::RateLimited));
    simulator.desk().set(None, Scenario::answering(Decision::Approve));
    let before = simulator.desk().counts().requests;
    assert_eq!(entra.run(push()).await, unreachable(UnreachableClass::RateLimited));
    assert_eq!(simulator.desk().counts().requests, before, "nothing is sent in the pause");
}

#[tokio::test]
async fn certificate_signs_assertions_that_the_service_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let pair = |name: &str| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["anteroom".into()]).unwrap().self_signed(&key).unwrap();
        let paths = (folder.path().join(format!("{name}.pem")), folder.path().join(format!("{name}.key")));
        std::fs::write(&paths.0, certificate.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        (paths, certificate.pem())
    };
    let ((ours, pem), (other, _)) = (pair("ours"), pair("other"));
    let registered = Credential::Certificate(pem.into_bytes());
    let simulator = simulator(simulated::Entra::new(TENANT, CLIENT, RESOURCE, registered)).await;
    simulator.desk().set(None, Scenario::answering(Decision::Approve));
    let with = |paths: &(std::path::PathBuf, std::path::PathBuf)| {
        let authentication = EntraAuthentication::Certificate { certificate: paths.0.clone(), key: paths.1.clone() };
        Entra::new(&EntraProvider { authentication, ..config(simulator.url()) }).unwrap()
    };
    assert_eq!(with(&ours).run(push()).await, Answer::Approved);
    assert_eq!(with(&other).run(push()).await, unreachable(UnreachableClass::Refused));
    // the right certificate's name over another's key
    assert_eq!(with(&(ours.0.clone(), other.1)).run(push()).await, unreachable(UnreachableClass::Refused));
    let server = anteroom::simulate::ServerScenario { clock_skew: 4000, ..Default::default() };
    simulator.desk().set_server(server);
    let told = with(&ours).probe().await.unwrap_err().to_string();
    assert!(told.contains("AADSTS700024") && told.contains("clock"), "{told}");
}

#[tokio::test]
async fn check_says_what_is_wrong() {
    let simulator = simulator(service()).await;
    let told = async |change: fn(&mut EntraProvider)| {
        let mut config = config(simulator.url());
        change(&mut config);
        Entra::new(&config).unwrap().probe().await.map_err(|trouble| trouble.to_string())
    };
    assert!(told(|_| {}).await.is_ok());
    for (change, word) in [
        (
            (|config: &mut EntraProvider| {
                config.authentication = EntraAuthentication::Secret(Secret::from_text("wrong".into()))
            }) as fn(&mut EntraProvider),
            "client_secret is wrong",
        ),
        (|config| config.tenant = "elsewhere.example".into(), "no such tenant"),
        (|config| config.client_id = "somebody".into(), "does not know client_id"),
        (|config| config.resource = "https://elsewhere.example".into(), "does not know the resource"),
        (|config| config.common.outbound.url.push_str("/elsewhere"), "check url"),
    ] {
        let told = told(change).await.unwrap_err();
        assert!(told.contains(word) && !told.contains(SECRET), "{word}: {told}");
    }
    simulator.desk().set(None, Scenario::with(Fault::malformed(Malformed::Html).at(Step::Ping)));
    assert!(told(|_| {}).await.unwrap_err().contains("stands in the way"));
    simulator.desk().set(None, Scenario::with(Fault::status(403).at(Step::Ping)));
    assert!(told(|_| {}).await.unwrap_err().contains("connector refuses it"));
}

#[tokio::test]
async fn only_what_is_allowed_leaves_the_house() {
    let simulator = simulator(service()).await;
    simulator.desk().set(None, Scenario::answering(Decision::Approve));
    let mut config = config(simulator.url());
    config.common.send.person_address = false;
    assert_eq!(Entra::new(&config).unwrap().run(push()).await, Answer::Approved);
    let sent = sent(&simulator);
    assert!(sent.contains(ALICE) && sent.contains("UNKNOWN:"));
    for kept in ["192.0.2.7", "+1 202 555 0101", "Anderson", "token-of-alice"] {
        assert!(!sent.contains(kept), "{kept}");
    }
    assert!(!format!("{config:?}{:?}", Entra::new(&config).unwrap()).contains(SECRET));
}
