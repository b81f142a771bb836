use anteroom::config::{CloudName, DuoProvider, DuoSignature};
use anteroom::factor::duo::Duo;
use anteroom::simulate::duo as simulated;

use super::*;

pub(crate) const IKEY: &str = "DIXXXXXXXXXXXXXXXXXX";
pub(crate) const SKEY: &str = "plantedduoskeyplantedduoskeyplantedduosk";

pub(crate) fn service() -> simulated::Duo {
    simulated::Duo::new(IKEY, Secret::from_text(SKEY.into()))
}

pub(crate) fn config(url: String) -> DuoProvider {
    DuoProvider {
        common: common(url),
        ikey: IKEY.into(),
        skey: Secret::from_text(SKEY.into()),
        signature: DuoSignature::V5,
        user: CloudName::Name,
    }
}

async fn rig() -> (Simulator, Duo) {
    let simulator = simulator(service()).await;
    let duo = Duo::new(&config(simulator.url())).expect("builds");
    (simulator, duo)
}

fn having(methods: &[&str]) -> Scenario {
    Scenario {
        methods: methods.iter().map(|word| (*word).to_owned()).collect(),
        ..Scenario::answering(Decision::Approve)
    }
}

#[tokio::test]
async fn each_decision_means_what_it_says_with_either_signature() {
    let simulator = simulator(service()).await;
    for signature in [DuoSignature::V5, DuoSignature::V2] {
        let duo = Duo::new(&DuoProvider { signature, ..config(simulator.url()) }).unwrap();
        for method in [Method::Push, Method::Call] {
            for (decision, answer) in DECISIONS {
                let scenario = Scenario {
                    after: Duration::from_millis(50),
                    expires: Duration::from_millis(300),
                    ..Scenario::answering(decision)
                };
                simulator.desk().set(None, scenario);
                let before = simulator.desk().counts();
                assert_eq!(duo.run(asked(method, None)).await, answer, "{signature:?} {decision:?}");
                let counts = simulator.desk().counts();
                assert_eq!((counts.prompts - before.prompts, counts.refused - before.refused), (1, 0));
            }
        }
        assert_eq!(duo.connections(), 2, "one connection for all that is asked, one for states");
    }
}

#[tokio::test]
async fn passcode_is_good_once_and_a_text_brings_one() {
    let (simulator, duo) = rig().await;
    simulator.desk().set(None, Scenario::answering(Decision::Deny));
    let code = |code| asked(Method::Oath, Some(code));
    assert_eq!(duo.run(code("000000")).await, refused(Refusal::WrongCode));
    assert_eq!(duo.run(code("123456")).await, Answer::Approved);
    assert_eq!(duo.run(code("123456")).await, refused(Refusal::WrongCode), "used before");
    assert_eq!(duo.run(asked(Method::Oath, None)).await, refused(Refusal::NeedsCode));
    assert_eq!(simulator.desk().counts().prompts, 0);
    assert_eq!(duo.run(asked(Method::SmsCode, None)).await, refused(Refusal::NeedsCode));
    assert_eq!(simulator.desk().counts().prompts, 1, "one text");
}

#[tokio::test]
async fn verified_push_is_announced_and_its_number_shown_where_it_can_be() {
    let (simulator, duo) = rig().await;
    simulator.desk().set(None, Scenario { number: Some("493".into()), ..Scenario::answering(Decision::Approve) });
    let tell = Tell::new(true);
    assert_eq!(duo.run(Request { tell: Some(tell.clone()), ..push() }).await, Answer::Approved);
    assert!(tell.take().unwrap().contains("493"));
    // whoever cannot see a number cannot type it: the service takes push away, and nobody is asked
    let prompts = simulator.desk().counts().prompts;
    assert_eq!(duo.run(push()).await, refused(Refusal::NotThisWay));
    assert_eq!(duo.run(Request { tell: Some(Tell::new(false)), ..push() }).await, refused(Refusal::NotThisWay));
    assert_eq!(simulator.desk().counts().prompts, prompts);
}

#[tokio::test]
async fn the_named_device_is_asked() {
    let (simulator, duo) = rig().await;
    simulator.desk().set(None, having(&["push", "second"]));
    for (device, id) in [(None, "auto"), (Some(1), "DPSIMULATED1"), (Some(2), "DPSIMULATED2")] {
        assert_eq!(duo.run(Request { device, ..push() }).await, Answer::Approved);
        let begun = simulator.desk().asked().into_iter().rev().find(|asked| asked.step == Step::Begin).unwrap();
        assert!(begun.fields.contains(&("device", id.to_owned())), "{:?}", begun.fields);
    }
    assert_eq!(duo.run(Request { device: Some(3), ..push() }).await, refused(Refusal::NotThisWay));
    assert_eq!(duo.run(asked(Method::Call, None)).await, refused(Refusal::NotThisWay));
}

#[tokio::test]
async fn people_whom_duo_would_not_ask_do_not_come_in() {
    let (simulator, duo) = rig().await;
    simulator.desk().set(None, having(&["bypass"]));
    assert_eq!(duo.run(push()).await, refused(Refusal::Bypassed));
    simulator.desk().set(None, having(&["locked"]));
    assert_eq!(duo.run(push()).await, refused(Refusal::LockedThere));
    simulator.desk().set(None, having(&["unknown"]));
    let tell = Tell::new(false);
    assert_eq!(duo.run(Request { tell: Some(tell.clone()), ..push() }).await, refused(Refusal::NotEnrolledThere));
    assert!(tell.take().unwrap().contains("/portal?code="));
    assert_eq!(simulator.desk().counts().prompts, 0);
}

#[tokio::test]
async fn nonsense_lets_nobody_in_and_prompts_nobody_twice() {
    let (simulator, duo) = rig().await;
    for step in [Step::Look, Step::Begin, Step::Poll] {
        nonsense_is_no_approval(&simulator, &duo, step, service().halves()).await;
    }
}

#[tokio::test]
async fn failures_are_sorted_by_whether_anybody_can_have_been_asked() {
    let (simulator, duo) = rig().await;
    for (fault, expected) in [
        (Fault::status(500).at(Step::Look), unreachable(UnreachableClass::ServerError)),
        (Fault::status(401).at(Step::Look), unreachable(UnreachableClass::Refused)),
        (Fault::status(403).at(Step::Look), unreachable(UnreachableClass::Refused)),
        (Fault::malformed(Malformed::Html).at(Step::Look), unreachable(UnreachableClass::Malformed)),
        (Fault::new(Kind::Silence).at(Step::Look), unreachable(UnreachableClass::Timeout)),
        (Fault::status(503).at(Step::Begin), unreachable(UnreachableClass::ServerError)),
        (Fault::status(500).at(Step::Begin), refused(Refusal::Lost)),
        (Fault::new(Kind::Silence).at(Step::Begin), refused(Refusal::Lost)),
    ] {
        simulator.desk().set(None, Scenario::with(fault.clone()));
        assert_eq!(duo.run(push()).await, expected, "{fault:?}");
    }
    // states that cannot be had for a while: the person's answer counts nevertheless
    simulator.desk().set(None, Scenario::with(Fault::status(502).at(Step::Poll).times(2)));
    assert_eq!(duo.run(push()).await, Answer::Approved);
    let busy = Fault { retry_after: Some(30), ..Fault::status(429) };
    simulator.desk().set(None, Scenario::with(busy.at(Step::Look)));
    assert_eq!(duo.run(push()).await, unreachable(UnreachableClass::RateLimited));
    let before = simulator.desk().counts().requests;
    assert_eq!(duo.run(push()).await, unreachable(UnreachableClass::RateLimited));
    assert_eq!(simulator.desk().counts().requests, before, "nothing is sent in the pause");
}

#[tokio::test]
async fn a_clock_that_differs_is_learned_by_ping() {
    let (simulator, duo) = rig().await;
    simulator.desk().set(None, Scenario::answering(Decision::Approve));
    let skewed = |clock_skew| anteroom::simulate::ServerScenario { clock_skew, ..Default::default() };
    simulator.desk().set_server(skewed(4000));
    assert_eq!(duo.run(push()).await, Answer::Approved);
    // and learned anew when it jumps
    simulator.desk().set_server(skewed(-4000));
    assert_eq!(duo.run(push()).await, Answer::Approved);
    let skew = duo.probe().await.unwrap().clock_skew.unwrap();
    assert!((-4002..=-3998).contains(&skew), "{skew}");
}

#[tokio::test]
async fn check_says_what_is_wrong() {
    let simulator = simulator(service()).await;
    let told = async |change: fn(&mut DuoProvider)| {
        let mut config = config(simulator.url());
        change(&mut config);
        Duo::new(&config).unwrap().probe().await.map_err(|trouble| trouble.to_string())
    };
    assert!(told(|_| {}).await.is_ok());
    for (change, word) in [
        (
            (|config: &mut DuoProvider| config.skey = Secret::from_text("w".repeat(40))) as fn(&mut DuoProvider),
            "skey is not that of this ikey",
        ),
        (|config| config.ikey = "DIYYYYYYYYYYYYYYYYYY".into(), "does not know the ikey"),
        (|config| config.common.outbound.url.push_str("/elsewhere"), "skey"),
    ] {
        let told = told(change).await;
        let Err(told) = told else { panic!("{word}") };
        assert!(told.contains(word) || told.contains("check url") || told.contains("credentials"), "{word}: {told}");
        assert!(!told.contains(SKEY), "{told}");
    }
    for (fault, word) in [
        (Fault::status(403).at(Step::Ping), "Auth API application"),
        (Fault::malformed(Malformed::Html).at(Step::Ping), "stands in the way"),
        (Fault::status(429).at(Step::Ping), "rate limited"),
    ] {
        simulator.desk().set(None, Scenario::with(fault));
        let told = told(|_| {}).await.unwrap_err();
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[tokio::test]
async fn only_what_is_allowed_leaves_the_house() {
    let simulator = simulator(service()).await;
    simulator.desk().set(None, Scenario::answering(Decision::Approve));
    let mut config = config(simulator.url());
    config.common.send.person_address = false;
    assert_eq!(Duo::new(&config).unwrap().run(push()).await, Answer::Approved);
    let sent = sent(&simulator);
    assert!(sent.contains("alice") && sent.contains("Head%20office%20VPN"));
    for kept in ["192.0.2.7", "+1 202 555 0101", "Anderson", "token-of-alice", SKEY] {
        assert!(!sent.contains(kept), "{kept}");
    }
    assert!(!format!("{config:?}{:?}", Duo::new(&config).unwrap()).contains(SKEY));
}
