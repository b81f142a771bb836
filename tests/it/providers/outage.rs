//! A cloud that is killed and comes back in the middle of a thousand holds.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn cloud_killed_in_the_middle_of_a_thousand_holds_accepts_nobody_without_proof() {
    for spec in SPECS {
        let roomy = |mut common: Common| {
            // The machine may be busy: no request is to be lost because of that.
            common.outbound.timeout = Duration::from_secs(20);
            common
        };
        let rig = Rig::with(spec, Options::default(), roomy).await;
        rig.set(Scenario::default());
        let held: Vec<_> = (0..1000).map(|number| rig.hold(number)).collect();
        until(spec.word, || rig.prompts() == 1000).await;
        let address = rig.simulator.local_addr();
        let Rig { simulator, provider } = rig;
        simulator.stop().await;

        // It has forgotten everything: nobody's prompt is known there any more.
        let options = Options { scenarios: ScenarioFile::default(), ..Options::default() };
        let mut back = Simulator::start(address, (spec.service)(), options).await;
        for _ in 0..200 {
            if back.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            let options = Options { scenarios: ScenarioFile::default(), ..Options::default() };
            back = Simulator::start(address, (spec.service)(), options).await;
        }
        let back = back.expect("the port is free again");
        back.desk().set(None, Scenario::answering(Decision::Approve));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let approved = held.iter().filter(|held| held.is_finished()).count();
        held.iter().for_each(tokio::task::JoinHandle::abort);
        for answer in join_all(held).await.into_iter().flatten() {
            assert!(matches!(answer, Answer::Refused(_)), "{}: approved without proof", spec.word);
        }
        assert_eq!(back.desk().prompts().len(), 0, "{}: somebody was prompted twice ({approved} ended)", spec.word);
        let after = provider.run(request(5000, Duration::from_secs(20))).await;
        assert_eq!(after, Answer::Approved, "{}: the cloud is back", spec.word);
    }
}

#[tokio::test]
async fn cut_connections_in_the_middle_of_a_thousand_holds_lose_nobody() {
    for spec in SPECS {
        let roomy = |mut common: Common| {
            common.outbound.timeout = Duration::from_secs(20);
            common
        };
        let rig = Rig::with(spec, Options::default(), roomy).await;
        rig.set(Scenario::default());
        let held: Vec<_> = (0..1000).map(|number| rig.hold(number)).collect();
        until(spec.word, || rig.prompts() == 1000).await;
        // Whoever has not read the answer to its request yet would be lost: first everybody asks for a state.
        until(spec.word, || rig.simulator.desk().prompts().iter().all(|prompt| prompt.polls > 0)).await;
        rig.simulator.cut();
        tokio::time::sleep(Duration::from_millis(50)).await;
        rig.simulator.cut();
        assert_eq!(rig.simulator.desk().decide(ALICE, Decision::Approve), 1000, "{}", spec.word);
        for answer in join_all(held).await {
            // A closing check is made once: cut in its middle, it is lost, and refused.
            let answer = answer.unwrap();
            assert!(answer == Answer::Approved || answer == refused(Refusal::Lost), "{}: {answer:?}", spec.word);
        }
        assert_eq!(rig.prompts(), 1000, "{}: somebody was prompted twice", spec.word);
    }
}
