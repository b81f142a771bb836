//! The native client against the phone simulator: every state, every kind of nonsense, lost streams,
//! broken connections, cancellation, signatures, TLS.

#![cfg(test)]

mod batching;
mod besides;
mod documentation;
mod page;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::config::{
    Common, NativeAuthentication, NativeProvider, NumberMatching, Outbound, SendFields, UnreachableClass,
};
use anteroom::demo::phone::{Behaviour, Decision, Garbage, Moment, Phone, PhoneOptions, State};
use anteroom::factor::native::client::{BuildError, unix_now};
use anteroom::factor::native::ping::PingError;
use anteroom::factor::native::signing::{Signed, Signer};
use anteroom::factor::native::wire::ServerIdentity;
use anteroom::factor::native::{Native, Timing};
use anteroom::factor::routing::{BreakerState, Guarded};
use anteroom::factor::{Answer, Factor, Refusal, Request};
use anteroom::secret::Secret;
use anteroom::signin::attempt::SignInId;
use anteroom::users::model::{Method, Person};
use futures_util::future::join_all;

const KEY: &str = "planted-native-key-0123456789abcdef";
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const APPROVE: Behaviour = Behaviour::Answer { decision: Decision::Approve, after_ms: 0 };

const QUICK: Timing = Timing {
    moment: Duration::from_millis(20),
    round: Duration::from_millis(20),
    reconnect: Duration::from_millis(5),
    silence: Duration::from_secs(45),
};

/// As [`QUICK`], but states are asked for only when events may have been missed.
const NO_POLLING: Timing = Timing { moment: Duration::from_secs(60), ..QUICK };

fn key() -> Secret {
    Secret::from_text(KEY.into())
}

fn config(url: String) -> NativeProvider {
    config_within(url, Duration::from_millis(500), None)
}

fn config_within(url: String, timeout: Duration, ca_file: Option<PathBuf>) -> NativeProvider {
    NativeProvider {
        common: Common {
            name: "cloud".into(),
            outbound: Outbound { url, ca_file, proxy: None, timeout },
            send: SendFields { names: true, email: true, phone: true, person_address: true },
            failover: Vec::new(),
        },
        authentication: NativeAuthentication::Signed { key_id: "test".into(), key: key() },
        pin_on_phone: false,
        number_matching: false,
    }
}

fn server() -> ServerIdentity {
    ServerIdentity { name: "anteroom one".into(), address: Some(Ipv4Addr::LOCALHOST.into()) }
}

fn id(number: u32) -> SignInId {
    let mut octets = [0x5a; 12];
    octets[8..].copy_from_slice(&number.to_be_bytes());
    SignInId::new(octets)
}

fn request(person: &str, sign_in: SignInId, within: Duration) -> Request {
    let person = Person {
        first_name: Some("Alice".into()),
        phone: Some("+1 555 0100".into()),
        device_token: Some("token".into()),
        ..Person::bare(format!("uid-{person}"), person)
    };
    Request {
        sign_in,
        person: Arc::new(person),
        method: Method::Push,
        code: None,
        application: "VPN".into(),
        person_address: Some([192, 0, 2, 7].into()),
        deadline: Instant::now() + within,
        device: None,
        number_matching: NumberMatching::Approve,
        can_type: false,
        tell: None,
        given: None,
    }
}

struct Rig {
    phone: Phone,
    native: Arc<Native>,
}

impl Rig {
    async fn new(behaviour: Behaviour) -> Rig {
        Rig::with(behaviour, QUICK).await
    }

    async fn with(behaviour: Behaviour, timing: Timing) -> Rig {
        let options = PhoneOptions { key: Some(("test".into(), key())), behaviour };
        let phone = Phone::start(LOOPBACK, options).await.expect("starts");
        let native = Native::start_with(&config(phone.url()), server(), timing).expect("starts");
        let rig = Rig { phone, native: Arc::new(native) };
        until(|| rig.native.status().stream_up).await;
        rig
    }

    async fn ask(&self, number: u32) -> Answer {
        self.native.run(request("alice", id(number), Duration::from_secs(20))).await
    }

    /// Asks, and gives up after `within`.
    async fn ask_within(&self, number: u32, within: Duration) -> Answer {
        let guarded = Guarded::new(Arc::clone(&self.native) as Arc<_>);
        guarded.run(request("alice", id(number), within)).await
    }

    fn hold(&self, number: u32) -> tokio::task::JoinHandle<Answer> {
        let native = Arc::clone(&self.native);
        tokio::spawn(async move { native.run(request("alice", id(number), Duration::from_secs(20))).await })
    }

    fn seen(&self, number: u32) -> anteroom::demo::phone::Seen {
        self.phone.seen(&id(number).to_string())
    }
}

/// Waits for a condition; fails after five seconds.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..2500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it did not happen within five seconds");
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}

const OUTCOMES: [(Decision, Answer); 6] = [
    (Decision::Approve, Answer::Approved),
    (Decision::Deny, Answer::Refused(Refusal::Denied)),
    (Decision::Fraud, Answer::Refused(Refusal::Fraud)),
    (Decision::Undeliverable, Answer::Refused(Refusal::Undeliverable)),
    (Decision::NeedsCode, Answer::Refused(Refusal::NeedsCode)),
    (Decision::WrongCode, Answer::Refused(Refusal::WrongCode)),
];

#[tokio::test]
async fn each_decision_arrives_at_once_and_by_event() {
    let rig = Rig::with(Behaviour::Manual, NO_POLLING).await;
    let mut number = 0;
    for (decision, answer) in OUTCOMES {
        for after_ms in [0, 10] {
            number += 1;
            rig.phone.set_behaviour(None, Behaviour::Answer { decision, after_ms });
            assert_eq!(rig.ask(number).await, answer, "{decision:?} after {after_ms} ms");
            let seen = rig.seen(number);
            assert_eq!((seen.posts, seen.prompts, seen.cancelled), (1, 1, false));
        }
    }
    let status = rig.native.status();
    assert_eq!((status.waiting, status.late, status.garbled), (0, 0, 0));
    assert_eq!(rig.phone.counts().polls, 0, "events did it");
}

#[tokio::test]
async fn prompt_shows_who_and_for_what() {
    let rig = Rig::new(Behaviour::Manual).await;
    let held = rig.hold(1);
    until(|| rig.phone.pending() == 1).await;
    let prompt = rig.phone.prompts().remove(0);
    assert_eq!(
        (&*prompt.person, &*prompt.application, &*prompt.method, &*prompt.server, prompt.address.as_deref()),
        ("alice", "VPN", "push", "anteroom one", Some("192.0.2.7"))
    );
    assert_eq!(rig.phone.decide("bob", Decision::Approve), 0);
    assert_eq!(rig.phone.decide("alice", Decision::Approve), 1);
    assert_eq!(held.await.unwrap(), Answer::Approved);
}

#[tokio::test]
async fn nonsense_in_the_answer_is_garbled_and_cancelled() {
    let rig = Rig::new(Behaviour::Manual).await;
    for (number, garbage) in (1..).zip(Garbage::ALL) {
        rig.phone.set_behaviour(None, Behaviour::Garbage { garbage, by_event: false });
        assert_eq!(rig.ask(number).await, refused(Refusal::Garbled), "{garbage:?}");
        until(|| rig.seen(number).cancelled).await;
    }
}

#[tokio::test]
async fn nonsense_by_event_is_garbled_or_ignored() {
    use Garbage::*;
    let rig = Rig::new(Behaviour::Manual).await;
    for (number, garbage) in (1..).zip(Garbage::ALL) {
        rig.phone.set_behaviour(None, Behaviour::Garbage { garbage, by_event: true });
        // Where it cannot be known whom it is about, the prompt stays open, and its true state counts.
        let unattributed = matches!(garbage, NotJson | Empty | Html | Truncated | Huge | List | OtherKey | StateOnly);
        let unattributed = unattributed || garbage == StateTwice;
        if unattributed {
            let held = rig.hold(number);
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(!held.is_finished(), "{garbage:?}");
            until(|| rig.phone.decide("alice", Decision::Deny) == 1).await;
            assert_eq!(held.await.unwrap(), refused(Refusal::Denied), "{garbage:?}");
        } else {
            assert_eq!(rig.ask(number).await, refused(Refusal::Garbled), "{garbage:?}");
            until(|| rig.seen(number).cancelled).await;
        }
    }
}

#[tokio::test]
async fn second_answer_never_makes_an_approval() {
    use Decision::{Approve, Deny};
    let rig = Rig::with(Behaviour::Manual, NO_POLLING).await;
    let table = [
        (Approve, Approve, 0, Answer::Approved),
        (Approve, Deny, 0, refused(Refusal::Garbled)),
        (Deny, Approve, 0, refused(Refusal::Garbled)),
        (Deny, Approve, 30, refused(Refusal::Denied)),
    ];
    for (number, (first, second, gap_ms, answer)) in (1..).zip(table) {
        rig.phone.set_behaviour(None, Behaviour::Twice { first, second, after_ms: 10, gap_ms });
        assert_eq!(rig.ask(number).await, answer, "{first:?} {second:?} {gap_ms}");
    }
    until(|| rig.native.status().late == 1).await;
}

#[tokio::test]
async fn deadline_ends_the_wait_and_cancels() {
    let rig = Rig::new(Behaviour::Never).await;
    assert_eq!(rig.ask_within(1, Duration::from_millis(80)).await, refused(Refusal::Expired));
    until(|| rig.seen(1).cancelled).await;
    assert_eq!(rig.native.status().waiting, 0);
    rig.phone.set_behaviour(None, Behaviour::Late { decision: Decision::Approve, after_ms: 1 });
    assert_eq!(rig.ask_within(2, Duration::from_millis(80)).await, refused(Refusal::Expired));
    assert_eq!(rig.ask_within(3, Duration::ZERO).await, refused(Refusal::Expired));
    assert_eq!(rig.seen(3).posts, 0);
}

#[tokio::test]
async fn late_approval_finds_nobody() {
    let rig = Rig::new(Behaviour::Late { decision: Decision::Approve, after_ms: 1 }).await;
    // Expires at the service after one second, the least that the protocol knows.
    assert_eq!(rig.ask_within(1, Duration::from_millis(100)).await, refused(Refusal::Expired));
    until(|| rig.native.status().late == 1).await;
    assert_eq!(rig.native.status().waiting, 0);
}

#[tokio::test]
async fn states_are_asked_for_while_the_stream_is_down() {
    let rig = Rig::new(Behaviour::Manual).await;
    let held: Vec<_> = (1..=50).map(|number| rig.hold(number)).collect();
    until(|| rig.phone.pending() == 50).await;
    rig.phone.drop_streams(false);
    until(|| !rig.native.status().stream_up).await;
    assert_eq!(rig.phone.decide("alice", Decision::Approve), 50);
    for answer in join_all(held).await {
        assert_eq!(answer.unwrap(), Answer::Approved);
    }
    assert!(rig.phone.counts().polls >= 50);
    rig.phone.allow_streams();
    until(|| rig.native.status().stream_up).await;
}

#[tokio::test]
async fn stream_resumes_after_its_cursor() {
    let rig = Rig::with(Behaviour::Manual, NO_POLLING).await;
    // An event before, so that there is a cursor to resume from.
    rig.phone.set_behaviour(None, Behaviour::Answer { decision: Decision::Deny, after_ms: 5 });
    assert_eq!(rig.ask(1).await, refused(Refusal::Denied));
    rig.phone.set_behaviour(None, Behaviour::Manual);
    let held = rig.hold(2);
    until(|| rig.phone.pending() == 1).await;
    rig.phone.drop_streams(false);
    until(|| !rig.native.status().stream_up).await;
    rig.phone.decide("alice", Decision::Approve);
    rig.phone.allow_streams();
    assert_eq!(held.await.unwrap(), Answer::Approved);
    assert_eq!(rig.phone.counts().polls, 0, "the event itself came");
}

#[tokio::test]
async fn forgotten_events_are_made_up_for_by_asking() {
    let rig = Rig::with(Behaviour::Manual, NO_POLLING).await;
    let held = rig.hold(1);
    until(|| rig.phone.pending() == 1).await;
    rig.phone.drop_streams(false);
    until(|| !rig.native.status().stream_up).await;
    rig.phone.decide("alice", Decision::Approve);
    rig.phone.forget_events();
    rig.phone.allow_streams();
    assert_eq!(held.await.unwrap(), Answer::Approved);
    assert!(rig.phone.counts().polls >= 1);
}

#[tokio::test]
async fn a_service_that_forgets_its_prompts_does_not_keep_people_waiting() {
    let rig = Rig::new(Behaviour::Manual).await;
    let held = rig.hold(1);
    until(|| rig.phone.pending() == 1).await;
    let address = rig.phone.local_addr();
    rig.phone.stop().await;
    let options = PhoneOptions { key: Some(("test".into(), key())), behaviour: Behaviour::Manual };
    let again = Phone::start(address, options).await.expect("starts again");
    // Long before its deadline, which is 20 s away.
    assert_eq!(held.await.unwrap(), refused(Refusal::Lost));
    assert!(again.counts().polls >= 1);
    again.stop().await;
}

#[tokio::test]
async fn dropped_wait_cancels_the_prompt() {
    let rig = Rig::new(Behaviour::Manual).await;
    let held = rig.hold(1);
    until(|| rig.phone.pending() == 1).await;
    assert_eq!(rig.native.status().waiting, 1);
    held.abort();
    until(|| rig.seen(1).cancelled).await;
    assert_eq!((rig.phone.pending(), rig.native.status().waiting), (0, 0));
}

#[tokio::test]
async fn request_dropped_under_way_is_cancelled_by_its_key() {
    let rig = Rig::new(Behaviour::Silent { times: u32::MAX }).await;
    let held = rig.hold(1);
    until(|| rig.seen(1).posts == 1).await;
    held.abort();
    until(|| rig.seen(1).cancelled).await;
    // Should the request come after all, nobody is prompted.
    rig.phone.set_behaviour(None, APPROVE);
    assert_eq!(rig.ask(1).await, refused(Refusal::Expired));
    assert_eq!(rig.phone.counts().prompts, 0);
}

#[tokio::test]
async fn drain_waits_for_cancellations() {
    let rig = Rig::new(Behaviour::Manual).await;
    let held: Vec<_> = (1..=40).map(|number| rig.hold(number)).collect();
    until(|| rig.phone.pending() == 40).await;
    held.iter().for_each(|held| held.abort());
    for held in held {
        assert!(held.await.is_err());
    }
    rig.native.drain(Duration::from_secs(5)).await;
    assert_eq!(rig.phone.pending(), 0);
}

#[tokio::test]
async fn broken_connection_is_retried_and_prompts_once() {
    let rig = Rig::new(Behaviour::Manual).await;
    let behaviours = [
        Behaviour::Drop { moment: Moment::Before, times: 1 },
        Behaviour::Drop { moment: Moment::After, times: 1 },
        Behaviour::Drop { moment: Moment::After, times: 2 },
    ];
    for (number, behaviour) in (1..).zip(behaviours) {
        rig.phone.set_behaviour(None, behaviour);
        assert_eq!(rig.ask(number).await, Answer::Approved, "{behaviour:?}");
        let seen = rig.seen(number);
        assert!(seen.posts >= 2 && seen.prompts == 1, "{behaviour:?} {seen:?}");
    }
    assert_eq!(rig.phone.counts().prompts, 3);
}

#[tokio::test]
async fn no_answer_in_time_is_retried_then_lost() {
    let options = PhoneOptions { key: Some(("test".into(), key())), behaviour: Behaviour::Silent { times: 1 } };
    let phone = Phone::start(LOOPBACK, options).await.unwrap();
    let config = config_within(phone.url(), Duration::from_millis(60), None);
    let native = Native::start_with(&config, server(), QUICK).unwrap();
    assert_eq!(native.run(request("alice", id(1), Duration::from_secs(5))).await, Answer::Approved);
    phone.set_behaviour(None, Behaviour::Silent { times: u32::MAX });
    let within = Duration::from_millis(100);
    assert_eq!(native.run(request("alice", id(2), within)).await, refused(Refusal::Lost));
    until(|| phone.seen(&id(2).to_string()).cancelled).await;
}

#[tokio::test]
async fn always_broken_connection_is_lost_and_cancelled() {
    let rig = Rig::new(Behaviour::Drop { moment: Moment::After, times: u32::MAX }).await;
    rig.phone.set_behaviour(Some("alice"), Behaviour::Drop { moment: Moment::Before, times: u32::MAX });
    assert_eq!(rig.ask(1).await, refused(Refusal::Lost));
    until(|| rig.seen(1).cancelled).await;
    assert_eq!(rig.seen(1).posts, 3);
}

#[tokio::test]
async fn server_errors_are_unreachable_only_without_a_prompt() {
    let rig = Rig::new(Behaviour::Fail { status: 503, prompt_sent: false }).await;
    assert_eq!(rig.ask(1).await, refused(Refusal::Unreachable(UnreachableClass::ServerError)));
    rig.phone.set_behaviour(None, Behaviour::Fail { status: 500, prompt_sent: true });
    assert_eq!(rig.ask(2).await, refused(Refusal::Lost));
    until(|| rig.seen(2).cancelled).await;
    rig.phone.set_behaviour(None, Behaviour::RateLimit { retry_after: 0 });
    assert_eq!(rig.ask(3).await, refused(Refusal::Unreachable(UnreachableClass::RateLimited)));
    rig.phone.set_behaviour(None, Behaviour::Fail { status: 404, prompt_sent: false });
    assert_eq!(rig.ask(4).await, refused(Refusal::Misconfigured));
}

#[tokio::test]
async fn breaker_opens_on_a_dead_service_and_closes_when_it_is_back() {
    let rig = Rig::new(APPROVE).await;
    let patience = anteroom::factor::routing::Patience { failures: 2, pause: Duration::from_millis(10) };
    let guarded = Guarded::with_patience(Arc::clone(&rig.native) as Arc<_>, patience);
    let ask = |number| guarded.run(request("alice", id(number), Duration::from_secs(5)));
    assert_eq!(ask(1).await, Answer::Approved);
    let Rig { phone, native } = rig;
    let address = phone.local_addr();
    phone.stop().await;
    let dead = refused(Refusal::Unreachable(UnreachableClass::Connect));
    // The first may meet the remains of a pooled connection.
    let first = ask(2).await;
    assert!(first == dead || first == refused(Refusal::Lost), "{first:?}");
    assert_eq!(ask(3).await, dead);
    assert_eq!(ask(4).await, dead);
    assert_eq!(guarded.state(), BreakerState::Open(UnreachableClass::Connect));
    let options = PhoneOptions { key: Some(("test".into(), key())), behaviour: APPROVE };
    let _phone = Phone::start(address, options).await.expect("the port is free again");
    until(|| guarded.state() == BreakerState::Closed).await;
    assert_eq!(ask(5).await, Answer::Approved);
    until(|| native.status().stream_up).await;
}

#[tokio::test]
async fn one_thousand_prompts_are_held_over_few_connections() {
    let options = PhoneOptions { key: Some(("test".into(), key())), behaviour: Behaviour::Manual };
    let phone = Phone::start(LOOPBACK, options).await.unwrap();
    // The machine may be busy: no request is to be sent twice because of that.
    let config = config_within(phone.url(), Duration::from_secs(20), None);
    let rig = Rig { phone, native: Arc::new(Native::start_with(&config, server(), NO_POLLING).unwrap()) };
    until(|| rig.native.status().stream_up).await;
    let held: Vec<_> = (1..=1000).map(|number| rig.hold(number)).collect();
    until(|| rig.phone.pending() == 1000).await;
    assert_eq!(rig.native.status().waiting, 1000);
    assert_eq!(rig.phone.decide("alice", Decision::Approve), 1000);
    for answer in join_all(held).await {
        assert_eq!(answer.unwrap(), Answer::Approved);
    }
    let counts = rig.phone.counts();
    assert_eq!((counts.posts, counts.prompts, counts.polls, counts.streams), (1000, 1000, 0, 1));
}

#[tokio::test]
async fn same_sign_in_asked_twice_at_once_is_refused() {
    let rig = Rig::new(Behaviour::Manual).await;
    let held = rig.hold(1);
    until(|| rig.phone.pending() == 1).await;
    assert_eq!(rig.ask(1).await, refused(Refusal::Lost));
    rig.phone.decide("alice", Decision::Approve);
    assert_eq!(held.await.unwrap(), Answer::Approved);
}

/// Sends one request with the given `Authorization`; its status and body.
async fn raw(phone: &Phone, authorization: Option<String>, target: &str, body: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(format!("{}{target}", phone.url())).body(body.to_owned());
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn signatures_are_checked_and_used_once() {
    let rig = Rig::new(APPROVE).await;
    let body = r#"{"idempotency_key":"k1","application":"VPN","method":"push","mode":"standard","language":"en",
        "expires_in":10,"server":{"name":"x"},"person":{"unique_id":"u","user_name":"alice"}}"#;
    let signer = Signer::new("test", &key()).unwrap();
    let signed = |nonce: u8, time: u64, body: &'static str| Signed {
        method: "POST",
        target: "/v1/verifications",
        time,
        nonce: [nonce; 16],
        body: body.as_bytes(),
    };
    let now = unix_now();
    let target = "/v1/verifications";
    let header = signer.header(signed(1, now, body));
    assert_eq!(raw(&rig.phone, Some(header.clone()), target, body).await.0, 201);
    let replayed = raw(&rig.phone, Some(header), target, body).await;
    assert_eq!((replayed.0, replayed.1.contains("replayed")), (401, true));
    let other = Signer::new("other", &key()).unwrap();
    let wrong = Signer::new("test", &Secret::from_text("x".repeat(32))).unwrap();
    let refused = [
        (None, target, body),
        (Some(signer.header(signed(2, now - 3600, body))), target, body),
        (Some(signer.header(signed(3, now + 3600, body))), target, body),
        (Some(other.header(signed(4, now, body))), target, body),
        (Some(wrong.header(signed(5, now, body))), target, body),
        (Some(signer.header(signed(6, now, "{}"))), target, body),
        (Some(signer.header(signed(7, now, body))), "/v1/verifications?x=1", body),
    ];
    let before = rig.phone.counts();
    for (number, (authorization, target, body)) in refused.into_iter().enumerate() {
        assert_eq!(raw(&rig.phone, authorization, target, body).await.0, 401, "{number}");
    }
    let after = rig.phone.counts();
    assert_eq!((after.posts, after.unsigned - before.unsigned, after.replayed), (before.posts, 7, 1));
}

#[tokio::test]
async fn ping_says_what_is_wrong() {
    let rig = Rig::new(APPROVE).await;
    let report = rig.native.ping().await.expect("answers");
    assert!(report.clock_skew.unwrap().abs() <= 1 && report.certificate_expires.is_none());
    let wrong = NativeProvider {
        authentication: NativeAuthentication::Signed { key_id: "test".into(), key: Secret::from_text("x".repeat(32)) },
        ..config(rig.phone.url())
    };
    let stranger = Native::start_with(&wrong, server(), QUICK).unwrap();
    assert_eq!(stranger.ping().await, Err(PingError::Credentials { status: 401 }));
    let answer = stranger.run(request("alice", id(1), Duration::from_secs(5))).await;
    assert_eq!(answer, refused(Refusal::Unreachable(UnreachableClass::Refused)));
    let astray = Native::start_with(&config(format!("{}/elsewhere", rig.phone.url())), server(), QUICK).unwrap();
    assert_eq!(astray.ping().await, Err(PingError::NotThere { status: 404 }));
    let url = rig.phone.url();
    rig.phone.stop().await;
    let nobody = Native::start_with(&config(url), server(), QUICK).unwrap();
    assert_eq!(nobody.ping().await, Err(PingError::Connect));
    assert!(PingError::Connect.to_string().contains("check"));
}

#[tokio::test]
async fn unfit_addresses_are_refused() {
    let build = |url: &str| Native::start_with(&config(url.into()), server(), QUICK).err();
    for url in ["http://192.0.2.1/", "http://example.test", "http://[2001:db8::1]", "http://127.0.0.1.example.test"] {
        assert!(matches!(build(url), Some(BuildError::Unprotected)), "{url}");
    }
    for url in ["ftp://127.0.0.1", "https://a:b@127.0.0.1", "https://127.0.0.1/?x", "https://127.0.0.1/#x"] {
        assert!(matches!(build(url), Some(BuildError::UnfitUrl)), "{url}");
    }
    assert!(matches!(build("nonsense"), Some(BuildError::BadUrl(_))));
    let certificate =
        NativeAuthentication::Certificate { certificate: PathBuf::from("/nowhere"), key: PathBuf::from("/nowhere") };
    let plain = NativeProvider { authentication: certificate, ..config("http://127.0.0.1".into()) };
    assert!(matches!(Native::start_with(&plain, server(), QUICK), Err(BuildError::CertificateWithoutTls)));
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let rig = Rig::new(APPROVE).await;
    let guarded = Guarded::new(Arc::clone(&rig.native) as Arc<_>);
    let text = format!("{:?} {:#?} {:?} {:?}", rig.native, rig.native, rig.phone, guarded);
    assert!(!text.contains("planted") && !text.contains("0123456789abcdef"), "{text}");
    // Nor the octets of the key as numbers: the state of an HMAC gives it away, too.
    assert!(!text.contains("112, 108, 97"), "{text}");
}

#[tokio::test]
async fn a_typed_code_is_carried_and_checked_once() {
    let rig = Rig::with(Behaviour::Manual, NO_POLLING).await;
    let coded = |number, code: &str| Request {
        method: Method::Oath,
        code: Some(anteroom::secret::Secret::from_text(code.into())),
        ..request("alice", id(number), Duration::from_secs(5))
    };
    assert_eq!(rig.native.run(coded(1, "000000")).await, refused(Refusal::WrongCode));
    assert_eq!(rig.native.run(coded(2, "123456")).await, Answer::Approved);
    rig.phone.give_code("alice", "246810");
    assert_eq!(rig.native.run(coded(3, "123456")).await, refused(Refusal::WrongCode));
    assert_eq!(rig.native.run(coded(4, "246810")).await, Answer::Approved);
    assert_eq!(rig.native.run(coded(5, "246810")).await, refused(Refusal::WrongCode), "it was used");
    let none = Request { code: None, ..coded(6, "") };
    assert_eq!(rig.native.run(none).await, refused(Refusal::NeedsCode));
}
