//! Every provider against its simulator: the same suite for all, whatever the cloud is called.
//!
//! A cloud is a [`Spec`]: how it is started, and what of the suite's words it has. Each test runs over all of them.

#![cfg(test)]

mod breaker;
mod clouds;
mod codes;
mod failures;
mod outage;
mod probes;
mod table;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::config::{CloudName, Common, NumberMatching, Outbound, SendFields, UnreachableClass};
use anteroom::factor::routing::Guarded;
use anteroom::factor::{Answer, Factor, Provider, Refusal, Request, Tell};
use anteroom::secret::Secret;
use anteroom::signin::attempt::SignInId;
use anteroom::simulate::{
    Decision, Fault, Kind, Malformed, Options, Scenario, ServerScenario, Service, Simulator, State, Step,
};
use anteroom::users::model::{Method, Person};
use clouds::SPECS;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Everything that must never be in a log, an error or a Debug text. Each is planted somewhere.
const PLANTED: [&str; 5] = [
    "planted-credential-0123456789abcdef",
    "planted-token",
    "918273",
    crate::clouds::entra::SECRET,
    crate::clouds::duo::SKEY,
];

/// What a person is called at every cloud.
const ALICE: &str = "alice@example.test";

/// What one cloud is in the words of the suite.
struct Spec {
    /// Its word.
    word: &'static str,
    /// The simulator's core.
    service: fn() -> Arc<dyn Service>,
    /// The provider, as configured by the suite.
    provider: fn(Common) -> Arc<dyn Provider>,
    /// The first step of every sign-in. Where it is not the one that prompts, nobody can have been prompted at it.
    first: Step,
    /// The step that prompts.
    prompts: Step,
    /// The step that brings the answer.
    answers: Step,
    /// What goes wrong in every scenario of the suite, so that its steps are taken at all.
    unrest: fn() -> Vec<Fault>,
    /// Whether prompts can be taken back.
    cancels: bool,
    /// Whether the answer to a prompt is only a reason to ask for the verdict.
    closes: bool,
    /// Whether it has tokens that end.
    tokens: bool,
    /// Whether nothing goes where the clocks differ by more than minutes.
    clock_counts: bool,
    /// Whether it asks again under the same key, so that an answer that was lost is had nevertheless.
    asks_again: bool,
    /// What a fraud report is, where the cloud has a word for it.
    fraud: Refusal,
    /// What a lockout there is.
    lockout: Refusal,
    /// What a prompt is that cannot be delivered.
    undeliverable: Refusal,
    /// What it says of somebody whom it does not know.
    unknown: Refusal,
    /// What an answer is after which the other answer follows: approved, then denied.
    twice: Answer,
    /// What it is told where the configuration lets it out, of what is planted.
    optional: &'static [&'static str],
    /// What it is told always, of what is planted.
    always: &'static [&'static str],
    /// Ways in which it sends codes, with the scenario's words for them.
    codes: &'static [(Method, &'static str)],
}

impl Spec {
    /// Whether something happens before the step that prompts.
    fn looks_first(&self) -> bool {
        self.first != self.prompts
    }
}

/// A simulator and its provider.
struct Rig {
    spec: &'static Spec,
    simulator: Simulator,
    provider: Arc<dyn Provider>,
}

fn common(url: String) -> Common {
    let outbound = Outbound { url, ca_file: None, proxy: None, timeout: Duration::from_millis(700) };
    let send = SendFields { names: true, email: true, phone: true, person_address: true };
    Common { name: "cloud".into(), outbound, send, failover: Vec::new() }
}

impl Rig {
    async fn new(spec: &'static Spec) -> Rig {
        Rig::with(spec, Options { record: true, ..Options::default() }, |common| common).await
    }

    async fn with(spec: &'static Spec, mut options: Options, change: impl FnOnce(Common) -> Common) -> Rig {
        options.scenarios.everybody.fault.extend((spec.unrest)());
        Rig::calm(spec, options, change).await
    }

    /// Without the unrest of the suite.
    async fn calm(spec: &'static Spec, options: Options, change: impl FnOnce(Common) -> Common) -> Rig {
        let simulator = Simulator::start(LOOPBACK, (spec.service)(), options).await.expect("starts");
        let provider = (spec.provider)(change(common(simulator.url())));
        Rig { spec, simulator, provider }
    }

    fn set(&self, mut scenario: Scenario) {
        scenario.fault.extend((self.spec.unrest)());
        self.simulator.desk().set(None, scenario);
    }

    /// How often the simulator was asked at a step, of what its log keeps.
    fn asked(&self, step: Step) -> usize {
        self.simulator.desk().asked().iter().filter(|asked| asked.step == step).count()
    }

    /// How often something went wrong on purpose, the unrest of the suite not counted.
    fn faults(&self) -> usize {
        let unrest: Vec<Step> = (self.spec.unrest)().iter().map(|fault| fault.at).collect();
        let met = |asked: &anteroom::simulate::Asked| asked.fault.is_some() && !unrest.contains(&asked.step);
        self.simulator.desk().asked().iter().filter(|asked| met(asked)).count()
    }

    async fn ask(&self, number: u32) -> Answer {
        self.run(request(number, Duration::from_secs(20))).await
    }

    async fn run(&self, request: Request) -> Answer {
        let guarded = Guarded::new(Arc::clone(&self.provider));
        guarded.run(request).await
    }

    fn hold(&self, number: u32) -> tokio::task::JoinHandle<Answer> {
        let provider = Arc::clone(&self.provider);
        tokio::spawn(async move { provider.run(request(number, Duration::from_secs(60))).await })
    }

    fn prompts(&self) -> usize {
        self.simulator.desk().prompts().len()
    }
}

fn person() -> Person {
    Person {
        unique_id: "uid-alice".into(),
        name: ALICE.into(),
        upn: Some(ALICE.into()),
        dn: None,
        first_name: Some("Planted-First".into()),
        last_name: Some("Planted-Last".into()),
        email: Some("planted-mail@example.test".into()),
        phone: Some("+1 555 0142".into()),
        phone_extension: None,
        device_token: Some("planted-token".into()),
        method: Method::Push,
        mode: anteroom::users::model::Mode::Standard,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
    }
}

fn id(number: u32) -> SignInId {
    let mut octets = [0x5a; 12];
    octets[8..].copy_from_slice(&number.to_be_bytes());
    SignInId::new(octets)
}

fn request(number: u32, within: Duration) -> Request {
    Request {
        sign_in: id(number),
        person: Arc::new(person()),
        method: Method::Push,
        code: None,
        application: "VPN".into(),
        person_address: Some([192, 0, 2, 7].into()),
        deadline: Instant::now() + within,
        device: None,
        number_matching: NumberMatching::Approve,
        can_type: true,
        tell: None,
        given: None,
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}

/// Waits for a condition; fails after ten seconds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen within ten seconds: {what}");
}

#[tokio::test]
async fn each_answer_of_a_person_is_that_verdict_and_one_prompt() {
    for spec in SPECS {
        let table = [
            (Decision::Approve, Answer::Approved),
            (Decision::Deny, refused(Refusal::Denied)),
            (Decision::Fraud, refused(spec.fraud)),
        ];
        for (decision, expected) in table {
            for after in [Duration::ZERO, Duration::from_millis(60)] {
                let rig = Rig::new(spec).await;
                rig.set(Scenario { after, ..Scenario::answering(decision) });
                assert_eq!(rig.ask(1).await, expected, "{}: {decision:?} after {after:?}", spec.word);
                assert_eq!(rig.prompts(), 1, "{}: {decision:?}", spec.word);
            }
        }
        let rig = Rig::new(spec).await;
        rig.set(Scenario::answering(Decision::Lockout));
        assert_eq!(rig.ask(1).await, refused(spec.lockout), "{}", spec.word);
        let rig = Rig::new(spec).await;
        rig.set(Scenario::answering(Decision::Undeliverable));
        assert_eq!(rig.run(request(1, Duration::from_secs(2))).await, refused(spec.undeliverable), "{}", spec.word);
        let rig = Rig::new(spec).await;
        rig.set(Scenario { methods: vec!["unknown".into()], ..Scenario::answering(Decision::Approve) });
        assert_eq!(rig.ask(1).await, refused(spec.unknown), "{}", spec.word);
        assert_eq!(rig.prompts(), 0, "{}: a person who is not known there", spec.word);
    }
}

#[tokio::test]
async fn deadline_ends_the_wait_and_takes_the_prompt_back() {
    for spec in SPECS {
        let rig = Rig::new(spec).await;
        rig.set(Scenario::answering(Decision::Never));
        assert_eq!(rig.run(request(1, Duration::from_millis(300))).await, refused(Refusal::Expired), "{}", spec.word);
        assert_eq!(rig.run(request(2, Duration::ZERO)).await, refused(Refusal::Expired), "{}", spec.word);
        assert_eq!(rig.prompts(), 1, "{}", spec.word);
        if spec.cancels {
            let desk = rig.simulator.desk();
            until(spec.word, || desk.prompts()[0].state == State::Cancelled).await;
        }
    }
}

#[tokio::test]
async fn dropped_wait_takes_the_prompt_back_where_the_cloud_can() {
    for spec in SPECS {
        let rig = Rig::new(spec).await;
        rig.set(Scenario::default());
        let held = rig.hold(1);
        until(spec.word, || rig.prompts() == 1).await;
        // The provider has read the answer when it asks for the state.
        until(spec.word, || rig.simulator.desk().counts().polls > 0).await;
        held.abort();
        assert!(held.await.is_err());
        rig.provider.drain(Duration::from_secs(5)).await;
        let state = rig.simulator.desk().prompts()[0].state;
        let expected = if spec.cancels { State::Cancelled } else { State::Pending };
        assert_eq!(state, expected, "{}", spec.word);
    }
}

#[tokio::test]
async fn second_answer_never_makes_an_approval_of_a_denial() {
    for spec in SPECS {
        let rig = Rig::new(spec).await;
        rig.set(Scenario { then: Some(Decision::Approve), ..Scenario::answering(Decision::Deny) });
        assert_eq!(rig.ask(1).await, refused(Refusal::Denied), "{}", spec.word);
        rig.set(Scenario { then: Some(Decision::Deny), ..Scenario::answering(Decision::Approve) });
        let said = rig.ask(2).await;
        // Where both are heard of before anybody has read the first, neither counts (native, on a busy machine).
        let void = spec.word == "native" && said == refused(Refusal::Garbled);
        assert!(said == spec.twice || void, "{}: {said:?}", spec.word);
        assert_eq!(rig.prompts(), 2, "{}", spec.word);
    }
}

#[tokio::test]
async fn what_leaves_the_house_is_what_the_configuration_lets_out() {
    for spec in SPECS {
        for allowed in [true, false] {
            let send = SendFields { names: allowed, email: allowed, phone: allowed, person_address: allowed };
            let options = Options { record: true, ..Options::default() };
            let rig = Rig::with(spec, options, |common| Common { send, ..common }).await;
            rig.set(Scenario::answering(Decision::Approve));
            assert_eq!(rig.ask(1).await, Answer::Approved, "{}", spec.word);
            let sent: String = rig.simulator.desk().asked().into_iter().filter_map(|asked| asked.raw).collect();
            let fields = [ALICE, "192.0.2.7", "Planted-First", "Planted-Last", "planted-mail", "555 0142", "uid-alice"];
            for field in fields.into_iter().chain(["planted-token"]) {
                let expected = spec.always.contains(&field) || (allowed && spec.optional.contains(&field));
                let told = sent.contains(field) || sent.contains(&field.replace('@', "%40"));
                assert_eq!(told, expected, "{}: {field}, allowed: {allowed}:\n{sent}", spec.word);
            }
        }
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn clocks_that_differ_are_learned_or_refused_and_nobody_is_asked_in_vain() {
    for spec in SPECS {
        for clock_skew in [-4000, 4000] {
            let options = Options { record: true, ..Options::default() };
            let rig = Rig::with(spec, options, |common| common).await;
            rig.simulator.desk().set_server(ServerScenario { clock_skew, ..ServerScenario::default() });
            rig.set(Scenario::answering(Decision::Approve));
            let refusal = refused(Refusal::Unreachable(UnreachableClass::Refused));
            let expected = if spec.clock_counts { refusal } else { Answer::Approved };
            assert_eq!(rig.ask(1).await, expected, "{}: {clock_skew}", spec.word);
            assert_eq!(rig.prompts(), usize::from(!spec.clock_counts), "{}: {clock_skew}", spec.word);
        }
    }
}

#[tokio::test]
async fn no_secret_is_logged_whatever_happens() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let guard = tracing::subscriber::set_default(subscriber.finish());
    let mut shown = String::new();
    for spec in SPECS {
        let faults = [
            Fault::status(401),
            Fault::status(500),
            Fault::status(429),
            Fault::new(Kind::Reset),
            Fault::malformed(Malformed::Html),
            Fault::malformed(Malformed::Nonsense),
        ];
        for fault in faults {
            let rig = Rig::new(spec).await;
            rig.set(Scenario::with(fault));
            shown.push_str(&format!("{:?}", rig.run(request(1, Duration::from_secs(1))).await));
            shown.push_str(&format!("{:?} {:?}", rig.provider, rig.provider.probe().await));
        }
        let rig = Rig::new(spec).await;
        rig.set(Scenario { code: PLANTED[2].into(), ..Scenario::answering(Decision::Approve) });
        let code = Some(Secret::from_text(PLANTED[2].into()));
        let typed = Request { code, method: Method::Oath, ..request(2, Duration::from_secs(5)) };
        shown.push_str(&format!("{typed:?}"));
        assert_eq!(rig.run(typed).await, Answer::Approved, "{}", spec.word);
    }
    drop(guard);
    shown.push_str(&String::from_utf8_lossy(&log.0.lock().unwrap()));
    for planted in PLANTED {
        let line = shown.lines().find(|line| line.contains(planted));
        assert!(line.is_none(), "{planted} came out: {}", line.unwrap_or_default());
    }
}
