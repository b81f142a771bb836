//! What goes wrong on the way: never an approval without one, never a second prompt, and the right class of failure.

use super::*;

fn unreachable(class: UnreachableClass) -> Answer {
    refused(Refusal::Unreachable(class))
}

#[tokio::test]
async fn failures_before_any_prompt_say_of_which_class_they_are() {
    for spec in SPECS {
        let refusals = [
            (Fault::status(401), UnreachableClass::Refused),
            (Fault::status(403), UnreachableClass::Refused),
            (Fault::status(429), UnreachableClass::RateLimited),
            (Fault::status(500), UnreachableClass::ServerError),
            (Fault::status(503), UnreachableClass::ServerError),
        ];
        let others = [
            (Fault::new(Kind::Silence), UnreachableClass::Timeout),
            (Fault::new(Kind::Reset), UnreachableClass::Connect),
            (Fault::new(Kind::Twice), UnreachableClass::Malformed),
            (Fault::malformed(Malformed::Nonsense), UnreachableClass::Malformed),
            (Fault::malformed(Malformed::Empty), UnreachableClass::Malformed),
            (Fault::malformed(Malformed::Html), UnreachableClass::Malformed),
            (Fault::malformed(Malformed::Truncated), UnreachableClass::Malformed),
            (Fault::malformed(Malformed::Huge), UnreachableClass::Malformed),
            (Fault::malformed(Malformed::NotUtf8), UnreachableClass::Malformed),
        ];
        // Where the first step prompts, only a service that says so has prompted nobody.
        let others = others.into_iter().filter(|_| spec.looks_first());
        for (fault, class) in refusals.into_iter().chain(others) {
            let rig = Rig::new(spec).await;
            rig.set(Scenario::with(fault.clone().at(spec.first)));
            assert_eq!(rig.ask(1).await, unreachable(class), "{}: {fault:?}", spec.word);
            assert_eq!(rig.prompts(), 0, "{}: {fault:?}", spec.word);
        }
        let Rig { simulator, provider, .. } = Rig::new(spec).await;
        simulator.stop().await;
        let gone = provider.run(request(1, Duration::from_secs(5))).await;
        assert_eq!(gone, unreachable(UnreachableClass::Connect), "{}: nobody listens", spec.word);
    }
}

#[tokio::test]
async fn failures_when_somebody_may_have_been_prompted_are_never_a_reason_to_ask_elsewhere() {
    for spec in SPECS {
        let lost = [
            Fault::status(500),
            Fault::status(504),
            Fault::new(Kind::Silence),
            Fault::new(Kind::Reset),
            Fault::new(Kind::Twice),
        ];
        let garbled = Malformed::ALL.map(Fault::malformed);
        // The native protocol's service says with its status that nobody was prompted.
        let says = |fault: &Fault| fault.kind == Kind::Status && !spec.looks_first();
        for fault in lost.into_iter().chain(garbled).filter(|fault| !says(fault)) {
            let rig = Rig::new(spec).await;
            rig.set(Scenario::with(fault.clone().at(spec.prompts)));
            let answer = rig.ask(1).await;
            let mut expected = vec![refused(Refusal::Lost), refused(Refusal::Garbled)];
            if spec.asks_again && fault.kind != Kind::Silence {
                expected.push(Answer::Approved);
            }
            assert!(expected.contains(&answer), "{}: {fault:?}: {answer:?}", spec.word);
            assert!(rig.prompts() <= 1, "{}: {fault:?}: {} prompts", spec.word, rig.prompts());
        }
    }
}

#[tokio::test]
async fn slow_answers_are_answers() {
    for spec in SPECS {
        for step in [spec.first, spec.prompts, spec.answers] {
            let rig = Rig::new(spec).await;
            let drip = Fault { wait: Some(Duration::from_micros(1)), ..Fault::new(Kind::Drip) };
            let slow = Fault { wait: Some(Duration::from_millis(50)), ..Fault::new(Kind::Delay) };
            rig.set(Scenario::with(slow.at(step)));
            assert_eq!(rig.ask(1).await, Answer::Approved, "{}: slow at {step:?}", spec.word);
            // A drop every now and then: in time, or out of it, but never a second prompt.
            rig.set(Scenario::with(drip.at(step)));
            let answer = rig.run(request(2, Duration::from_secs(10))).await;
            let in_time = answer == Answer::Approved;
            assert!(in_time || matches!(answer, Answer::Refused(_)), "{}: {step:?} {answer:?}", spec.word);
            assert!(rig.prompts() <= 2, "{}", spec.word);
        }
    }
}

#[tokio::test]
async fn trouble_while_somebody_holds_the_phone_is_waited_out() {
    for spec in SPECS {
        let troubles = [
            Fault::status(500).times(3),
            Fault::status(502).times(1),
            Fault::new(Kind::Reset).times(2),
            Fault::new(Kind::Silence).times(1),
            Fault::malformed(Malformed::Html).times(1),
            Fault { retry_after: Some(1), ..Fault::status(429).times(1) },
        ];
        for trouble in troubles {
            let rig = Rig::new(spec).await;
            rig.set(Scenario::with(trouble.clone().at(spec.answers)));
            assert_eq!(rig.ask(1).await, Answer::Approved, "{}: {trouble:?}", spec.word);
            assert_eq!(rig.prompts(), 1, "{}: {trouble:?}", spec.word);
        }
    }
}

#[tokio::test]
async fn nonsense_and_half_successes_are_never_an_approval() {
    for spec in SPECS {
        let halves = (spec.service)().halves();
        let half = (0..halves).map(|which| Fault { which, ..Fault::new(Kind::HalfSuccess) });
        let nonsense = Malformed::ALL.map(Fault::malformed).into_iter().chain([Fault::new(Kind::Twice)]);
        for fault in half.chain(nonsense) {
            for step in [spec.prompts, spec.answers, Step::Finish] {
                let rig = Rig::new(spec).await;
                // Late enough that the answer to the prompt's request does not bring it.
                let after = if step == spec.answers { Duration::from_millis(50) } else { Duration::ZERO };
                rig.set(Scenario { after, ..Scenario::with(fault.clone().at(step)) });
                let answer = rig.run(request(1, Duration::from_secs(3))).await;
                let never_met = rig.faults() == 0;
                // Where a verdict is asked for afterwards, what was approved is approved.
                let closed = spec.closes && step == spec.answers && answer == Answer::Approved;
                assert_eq!(answer == Answer::Approved, never_met || closed, "{}: {fault:?} at {step:?}", spec.word);
                assert!(rig.prompts() <= 1, "{}: {fault:?} at {step:?}", spec.word);
            }
        }
        // A person who denies is never approved by a half-success either.
        for which in 0..halves {
            let rig = Rig::new(spec).await;
            let fault = vec![Fault { which, ..Fault::new(Kind::HalfSuccess) }.at(spec.answers).times(1)];
            rig.set(Scenario { fault, ..Scenario::answering(Decision::Deny) });
            let answer = rig.run(request(1, Duration::from_secs(3))).await;
            assert!(matches!(answer, Answer::Refused(_)), "{}: {which}", spec.word);
        }
    }
}

#[tokio::test]
async fn token_that_is_refused_once_is_fetched_anew_and_nobody_is_prompted_twice() {
    for spec in SPECS.iter().filter(|spec| spec.tokens) {
        let rig = Rig::new(spec).await;
        rig.set(Scenario::answering(Decision::Approve));
        assert_eq!(rig.ask(1).await, Answer::Approved, "{}", spec.word);
        assert_eq!(rig.ask(2).await, Answer::Approved, "{}", spec.word);
        assert_eq!(rig.simulator.desk().counts().tokens, 1, "{}: one token serves many", spec.word);
        rig.set(Scenario::with(Fault::status(401).at(spec.prompts).times(1)));
        assert_eq!(rig.ask(3).await, Answer::Approved, "{}", spec.word);
        assert_eq!((rig.simulator.desk().counts().tokens, rig.prompts()), (2, 3), "{}", spec.word);
        // The token's own time is over at the service, whose clock is the one that counts.
        rig.simulator.desk().set_server(ServerScenario { clock_skew: 4000, ..ServerScenario::default() });
        rig.set(Scenario::answering(Decision::Approve));
        assert_eq!(rig.ask(4).await, Answer::Approved, "{}", spec.word);
        assert_eq!(rig.simulator.desk().counts().tokens, 3, "{}", spec.word);
    }
}

#[tokio::test]
async fn service_that_wants_quiet_is_left_alone() {
    for spec in SPECS {
        let rig = Rig::new(spec).await;
        let busy = Fault { retry_after: Some(60), ..Fault::status(429).at(spec.first).times(1) };
        rig.set(Scenario::with(busy));
        assert_eq!(rig.ask(1).await, unreachable(UnreachableClass::RateLimited), "{}", spec.word);
        let asked = rig.asked(spec.first);
        assert_eq!(rig.ask(2).await, unreachable(UnreachableClass::RateLimited), "{}", spec.word);
        assert_eq!(rig.asked(spec.first), asked, "{}: it was asked within its pause", spec.word);
    }
}

#[tokio::test]
async fn certificate_that_cannot_be_verified_is_never_talked_to() {
    for spec in SPECS {
        let (_folder, files, authority) = crate::simulate::tls_files();
        let options = || Options { tls: Some(files.clone()), record: true, ..Options::default() };
        let untrusted = Rig::with(spec, options(), |common| common).await;
        untrusted.set(Scenario::answering(Decision::Approve));
        assert_eq!(untrusted.ask(1).await, unreachable(UnreachableClass::Tls), "{}", spec.word);
        assert_eq!(untrusted.simulator.desk().counts().requests, 0, "{}", spec.word);

        let folder = tempfile::tempdir().unwrap();
        let ca_file = Some(folder.path().join("ca.pem"));
        std::fs::write(ca_file.as_ref().unwrap(), authority).unwrap();
        let trusting = Rig::with(spec, options(), |mut common| {
            common.outbound.ca_file = ca_file;
            common.outbound.timeout = Duration::from_secs(5);
            common
        });
        let rig = trusting.await;
        rig.set(Scenario::answering(Decision::Approve));
        for number in 1..=20 {
            assert_eq!(rig.ask(number).await, Answer::Approved, "{}", spec.word);
        }
        let counts = rig.simulator.desk().counts();
        // Duo's questions for states have a connection of their own; who opens a stream of events by itself may have
        // made a second one at the very beginning.
        let most = if matches!(spec.word, "duo" | "native") { 2 } else { 1 };
        assert!((1..=most).contains(&counts.connections), "{}: {counts:?}", spec.word);
        assert!(counts.handshakes <= counts.connections, "{}: {counts:?}", spec.word);
        assert_eq!(rig.provider.connections(), counts.connections, "{}", spec.word);

        rig.simulator.desk().set_server(ServerScenario { refuse_tls: true, ..ServerScenario::default() });
        rig.simulator.cut();
        // The first may meet the remains of a pooled connection.
        let first = rig.ask(98).await;
        assert!(matches!(first, Answer::Refused(_)), "{}: {first:?}", spec.word);
        let answer = rig.ask(99).await;
        let expected = [unreachable(UnreachableClass::Tls), unreachable(UnreachableClass::Connect)];
        assert!(expected.contains(&answer), "{}: {answer:?}", spec.word);
    }
}
