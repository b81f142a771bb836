//! The breaker before each provider, in virtual time and over real HTTP: while it is open nobody waits and nothing is
//! sent but its own probes, and it closes with the first of them that is answered.

use anteroom::factor::routing::{BreakerState, Patience};
use tokio::time::Instant as Moment;

use super::*;

const PATIENCE: Patience = Patience { failures: 5, pause: Duration::from_secs(1) };

/// What breaks at every step, and how that is called. A service that prompts at its first step is unreachable only
/// where it says that it has done nothing.
fn troubles(spec: &Spec) -> Vec<(Fault, UnreachableClass)> {
    let told = [
        (Fault::status(503), UnreachableClass::ServerError),
        (Fault::status(401), UnreachableClass::Refused),
        (Fault::status(403), UnreachableClass::Refused),
    ];
    let found = [
        (Fault::new(Kind::Silence), UnreachableClass::Timeout),
        (Fault::malformed(Malformed::Html), UnreachableClass::Malformed),
    ];
    told.into_iter().chain(found.into_iter().filter(|_| spec.looks_first())).collect()
}

#[tokio::test(start_paused = true)]
async fn while_it_is_open_nobody_waits_and_its_probes_close_it() {
    for spec in SPECS {
        for (fault, class) in troubles(spec) {
            let what = format!("{}: {fault:?}", spec.word);
            let rig = Rig::new(spec).await;
            rig.set(Scenario::with(fault));
            let guarded = Guarded::with_patience(Arc::clone(&rig.provider), PATIENCE);
            for number in 0..PATIENCE.failures {
                assert_eq!(guarded.state(), BreakerState::Closed, "{what}");
                let asked = virtually(request(number, Duration::from_secs(20)));
                assert_eq!(guarded.run(asked).await, refused(Refusal::Unreachable(class)), "{what}");
            }
            assert_eq!(guarded.state(), BreakerState::Open(class), "{what}");

            // A hundred come meanwhile: they are answered at once, by the class that opened it, and nothing is sent.
            let (before, begun) = (sent(&rig), Moment::now());
            for number in 100..200 {
                let asked = virtually(request(number, Duration::from_secs(20)));
                assert_eq!(guarded.run(asked).await, refused(Refusal::Unreachable(class)), "{what}");
            }
            assert_eq!((begun.elapsed(), sent(&rig)), (Duration::ZERO, before), "{what}: somebody waited");

            // Probes go on, ever more seldom, and nobody is prompted by them.
            tokio::time::sleep(Duration::from_secs(60)).await;
            let probes = sent(&rig) - before;
            assert!((8..=80).contains(&probes), "{what}: {probes} requests of probes in a minute");
            assert_eq!(guarded.state(), BreakerState::Open(class), "{what}");
            assert_eq!(rig.prompts(), 0, "{what}");

            // The service is well again: the next probe closes it, within the longest pause and its timeout.
            rig.set(Scenario::answering(Decision::Approve));
            tokio::time::sleep(PATIENCE.pause * 4 + Duration::from_secs(2)).await;
            assert_eq!(guarded.state(), BreakerState::Closed, "{what}");
            let asked = virtually(request(1000, Duration::from_secs(20)));
            assert_eq!(guarded.run(asked).await, Answer::Approved, "{what}");
            assert_eq!((guarded.opened(), rig.prompts()), (1, 1), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_lost_and_limits_never_open_it() {
    for spec in SPECS {
        for (fault, times) in [(Fault::status(500).at(spec.prompts), 12), (Fault::status(429), 12)] {
            let rig = Rig::new(spec).await;
            // The native protocol's service says with a 500 that nobody was prompted; only its silence is a loss.
            let lost = if spec.looks_first() { fault.clone() } else { Fault::new(Kind::Silence).at(spec.prompts) };
            rig.set(Scenario::with(if fault.status == Some(429) { fault } else { lost }));
            let guarded = Guarded::with_patience(Arc::clone(&rig.provider), PATIENCE);
            for number in 0..times {
                let answer = guarded.run(virtually(request(number, Duration::from_secs(20)))).await;
                assert!(matches!(answer, Answer::Refused(_)), "{}", spec.word);
            }
            assert_eq!(guarded.state(), BreakerState::Closed, "{}", spec.word);
        }
    }
}

/// A request whose deadline is in virtual time.
fn virtually(request: Request) -> Request {
    let within = request.deadline.saturating_duration_since(Instant::now());
    Request { deadline: (Moment::now() + within).into_std(), ..request }
}

/// Requests that were sent, the attempts to open a stream of events not counted.
fn sent(rig: &Rig) -> usize {
    rig.simulator.desk().asked().iter().filter(|asked| asked.step != Step::Events).count()
}
