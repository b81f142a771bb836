use std::sync::atomic::AtomicBool;

use super::*;
use crate::factor::{Health, Trouble};
use crate::signin::attempt::SignInId;
use crate::users::model::Method;

/// Answers what it was told to, or never.
#[derive(Debug)]
struct Scripted {
    answer: Mutex<Option<Answer>>,
    alive: AtomicBool,
    asked: AtomicU32,
    dropped: Arc<AtomicU32>,
}

impl Factor for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn run(&self, _: Request) -> BoxFuture<'_, Answer> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.lock().unwrap().clone();
        let count = CountDrop(Arc::clone(&self.dropped));
        Box::pin(async move {
            let _count = count;
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

impl Provider for Scripted {
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        let health = Health { round_trip: Duration::ZERO, clock_skew: None, certificate_expires: None, lacks: None };
        let alive = self.alive.load(Ordering::Relaxed);
        Box::pin(std::future::ready(if alive { Ok(health) } else { Err(Trouble("away".into())) }))
    }

    fn connections(&self) -> u64 {
        0
    }
}

struct CountDrop(Arc<AtomicU32>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn scripted(answer: Option<Answer>) -> (Arc<Scripted>, Guarded) {
    let provider = Arc::new(Scripted {
        answer: Mutex::new(answer),
        alive: AtomicBool::new(false),
        asked: AtomicU32::new(0),
        dropped: Arc::default(),
    });
    let patience = Patience { failures: 3, pause: Duration::from_secs(1) };
    let guarded = Guarded::with_patience(Arc::clone(&provider) as Arc<dyn Provider>, patience);
    (provider, guarded)
}

fn request(within: Duration) -> Request {
    Request {
        sign_in: SignInId::new([1; 12]),
        person: Arc::new(crate::signin::testing::person("u1")),
        method: Method::Push,
        code: None,
        application: "VPN".into(),
        person_address: None,
        deadline: (Instant::now() + within).into_std(),
        device: None,
        number_matching: Default::default(),
        can_type: false,
        tell: None,
        given: None,
    }
}

const SOON: Duration = Duration::from_secs(5);

const fn unreachable(class: UnreachableClass) -> Answer {
    Answer::Refused(Refusal::Unreachable(class))
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_the_wait_and_drops_the_request() {
    let (provider, guarded) = scripted(None);
    let begun = Instant::now();
    assert_eq!(guarded.run(request(SOON)).await, Answer::Refused(Refusal::Expired));
    assert!(begun.elapsed() >= SOON && begun.elapsed() < SOON + Duration::from_millis(10));
    assert_eq!(provider.dropped.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn request_after_its_deadline_is_not_asked() {
    let (provider, guarded) = scripted(Some(Answer::Approved));
    assert_eq!(guarded.run(request(Duration::ZERO)).await, Answer::Refused(Refusal::Expired));
    assert_eq!(provider.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_and_a_ping_closes() {
    for class in CLASSES {
        let (provider, guarded) = scripted(Some(unreachable(class)));
        for _ in 0..3 {
            assert_eq!(guarded.state(), BreakerState::Closed);
            assert_eq!(guarded.run(request(SOON)).await, unreachable(class));
        }
        assert_eq!(guarded.state(), BreakerState::Open(class));
        *provider.answer.lock().unwrap() = Some(Answer::Approved);
        assert_eq!(guarded.run(request(SOON)).await, unreachable(class));
        assert_eq!(provider.asked.load(Ordering::Relaxed), 3);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(guarded.state(), BreakerState::Open(class));
        provider.alive.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(guarded.state(), BreakerState::Closed);
        assert_eq!(guarded.run(request(SOON)).await, Answer::Approved);
        assert_eq!(guarded.opened(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn sign_of_life_between_failures_keeps_it_closed() {
    let (provider, guarded) = scripted(None);
    for round in 0..6 {
        let answer =
            if round % 3 == 2 { Answer::Refused(Refusal::Denied) } else { unreachable(UnreachableClass::Connect) };
        *provider.answer.lock().unwrap() = Some(answer);
        guarded.run(request(SOON)).await;
    }
    assert_eq!(guarded.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn only_unreachable_providers_open_it() {
    for refusal in Refusal::ALL {
        let (_, guarded) = scripted(Some(Answer::Refused(refusal)));
        for _ in 0..10 {
            guarded.run(request(SOON)).await;
        }
        let opens = matches!(refusal, Refusal::Unreachable(class) if CLASSES.contains(&class));
        assert_eq!(matches!(guarded.state(), BreakerState::Open(_)), opens, "{refusal:?}");
    }
}
