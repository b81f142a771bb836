//! A cloud that is killed and comes back in the middle of a thousand holds. TLS and HTTP/2, as clouds have it.

use futures_util::future::join_all;
use tokio::task::JoinHandle;

use super::*;

/// How many people wait for their phones.
const HOLDS: u32 = 1000;

/// The same where all of them must have been asked within [`SHORT`], on a busy machine, too.
const FEW: u32 = 200;

/// Until when an answer is of use where everybody gets one.
const PATIENCE: Duration = Duration::from_secs(120);

/// The same where some hear of nothing any more, and wait until then.
const SHORT: Duration = Duration::from_secs(10);

/// A cloud, and its provider behind its breaker.
struct World {
    spec: &'static Spec,
    rig: Option<Rig>,
    guarded: Arc<Guarded>,
    /// With what TLS needs.
    folder: tempfile::TempDir,
}

impl World {
    async fn new(spec: &'static Spec) -> World {
        let (folder, files, authority) = crate::simulate::tls_files();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, authority).unwrap();
        let options = Options { tls: Some(files), ..Options::default() };
        let rig = Rig::calm(spec, options, |mut common| {
            common.outbound.ca_file = Some(ca_file);
            // The machine may be busy: no request is to be lost because of that.
            common.outbound.timeout = Duration::from_secs(10);
            common
        });
        let rig = rig.await;
        rig.simulator.desk().set(None, Scenario { expires: Duration::from_secs(200), ..Scenario::default() });
        let guarded = Arc::new(Guarded::new(Arc::clone(&rig.provider)));
        World { spec, rig: Some(rig), guarded, folder }
    }

    fn desk(&self) -> &anteroom::simulate::Desk {
        self.rig.as_ref().expect("it runs").simulator.desk()
    }

    /// So many people sign in.
    fn hold(&self, people: u32, within: Duration) -> Vec<JoinHandle<Answer>> {
        let hold = |number| {
            let guarded = Arc::clone(&self.guarded);
            tokio::spawn(async move { guarded.run(asking(number, within)).await })
        };
        (0..people).map(hold).collect()
    }

    /// Kills the cloud, and starts it again a moment later with all that it knows, or with nothing.
    async fn restart(&mut self, forgets: bool) {
        let Rig { simulator, provider, spec } = self.rig.take().expect("it runs");
        let (address, killed) = (simulator.local_addr(), simulator.kill().await);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let simulator = if forgets {
            let tls = self.folder.path();
            let files = anteroom::simulate::TlsFiles { certificate: tls.join("cert.pem"), key: tls.join("key.pem") };
            let options = Options { tls: Some(files), ..Options::default() };
            Simulator::start(address, (spec.service)(), options).await
        } else {
            killed.revive().await
        };
        self.rig = Some(Rig { spec, simulator: simulator.expect("the port is free"), provider });
    }

    /// Waits until there are more prompts than that. The machine may be busy.
    async fn prompted(&self, more_than: u64) {
        let end = Instant::now() + PATIENCE;
        while self.desk().counts().prompts <= more_than {
            assert!(Instant::now() < end, "{}: {:?}", self.spec.word, self.desk().counts());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whoever has not read the answer to its request yet would be lost: first everybody has asked for a state, or
    /// listens for it.
    async fn everybody_waits(&self) {
        let polls = |prompt: &anteroom::simulate::Prompt| prompt.polls > 0;
        while self.spec.word != "native" && !self.desk().prompts().iter().all(polls) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// No more than one prompt for each person.
    fn nobody_is_prompted_twice(&self) {
        let mut people: Vec<String> = self.desk().prompts().into_iter().map(|prompt| prompt.person).collect();
        let prompts = people.len();
        people.sort_unstable();
        people.dedup();
        assert_eq!(people.len(), prompts, "{}: somebody was prompted twice", self.spec.word);
    }
}

fn name(number: u32) -> String {
    format!("p{number}@example.test")
}

fn asking(number: u32, within: Duration) -> Request {
    let (name, unique_id) = (name(number), format!("uid-{number}"));
    let who = Person { upn: Some(name.clone()), name, unique_id, ..person() };
    Request { person: Arc::new(who), ..request(number, within) }
}

/// Everybody's answers. None may be missing.
async fn answers(word: &str, held: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let all = tokio::time::timeout(PATIENCE + Duration::from_secs(5), join_all(held)).await;
    let all = all.unwrap_or_else(|_| panic!("{word}: somebody waits for ever"));
    all.into_iter().map(|answer| answer.expect("a sign-in does not panic")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_their_own_answer_though_the_cloud_was_killed_in_between() {
    for spec in SPECS {
        let mut world = World::new(spec).await;
        let held = world.hold(HOLDS, PATIENCE);
        world.prompted(999).await;
        world.everybody_waits().await;
        // Some answer while the cloud is away, some afterwards; every third says no.
        let decide = |world: &World, numbers: std::ops::Range<u32>| {
            for number in numbers {
                let decision = if number % 3 == 0 { Decision::Deny } else { Decision::Approve };
                assert_eq!(world.desk().decide(&name(number), decision), 1, "{}: {number}", spec.word);
            }
        };
        decide(&world, 0..100);
        world.restart(false).await;
        decide(&world, 100..HOLDS);
        for (number, answer) in (0_u32..).zip(answers(spec.word, held).await) {
            let denied = number.is_multiple_of(3);
            // A closing check is made once: cut in its middle, it is lost, and refused.
            let cut = spec.closes && number < 100 && answer == refused(Refusal::Lost);
            let expected = if denied { refused(Refusal::Denied) } else { Answer::Approved };
            assert!(answer == expected || cut, "{}: {number}: {answer:?}", spec.word);
        }
        world.nobody_is_prompted_twice();
        assert_eq!(world.desk().prompts().len(), 1000, "{}", spec.word);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloud_that_comes_back_without_memory_accepts_nobody_and_serves_the_next() {
    for spec in SPECS {
        let mut world = World::new(spec).await;
        let held = world.hold(FEW, SHORT);
        world.prompted(u64::from(FEW) - 1).await;
        world.restart(true).await;
        world.desk().set(None, Scenario::answering(Decision::Approve));
        for answer in answers(spec.word, held).await {
            assert!(matches!(answer, Answer::Refused(_)), "{}: approved without proof", spec.word);
        }
        assert_eq!(world.desk().prompts().len(), 0, "{}: somebody was prompted twice", spec.word);
        until(spec.word, || world.guarded.state() == anteroom::factor::routing::BreakerState::Closed).await;
        assert_eq!(
            world.guarded.run(asking(5000, PATIENCE)).await,
            Answer::Approved,
            "{}: the cloud is back",
            spec.word
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloud_killed_while_a_thousand_begin_prompts_nobody_twice_and_accepts_only_who_approved() {
    for spec in SPECS {
        let mut world = World::new(spec).await;
        let held = world.hold(HOLDS, PATIENCE);
        world.prompted(200).await;
        world.restart(false).await;
        // The odd ones approve, the even ones deny, as soon as they are asked.
        let mut open: Vec<u32> = (0..HOLDS).collect();
        let answers = answers(spec.word, held);
        tokio::pin!(answers);
        let answers = loop {
            let decision = |number: u32| if number % 2 == 1 { Decision::Approve } else { Decision::Deny };
            open.retain(|number| world.desk().decide(&name(*number), decision(*number)) == 0);
            tokio::select! {
                all = &mut answers => break all,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        };
        let mut approved = 0;
        for (number, answer) in (0_u32..).zip(answers) {
            approved += u32::from(answer == Answer::Approved);
            let fits = number % 2 == 1 || answer != Answer::Approved;
            assert!(fits, "{}: {number} was accepted without an approval", spec.word);
        }
        assert!(approved > 0, "{}: nobody who approved was let in", spec.word);
        world.nobody_is_prompted_twice();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_in_the_middle_of_a_thousand_holds_lose_nobody() {
    for spec in SPECS {
        let world = World::new(spec).await;
        let held = world.hold(HOLDS, PATIENCE);
        world.prompted(999).await;
        world.everybody_waits().await;
        for _ in 0..3 {
            world.rig.as_ref().unwrap().simulator.cut();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for number in 0..HOLDS {
            assert_eq!(world.desk().decide(&name(number), Decision::Approve), 1, "{}", spec.word);
        }
        for answer in answers(spec.word, held).await {
            assert_eq!(answer, Answer::Approved, "{}", spec.word);
        }
        assert_eq!(world.desk().prompts().len(), 1000, "{}: somebody was prompted twice", spec.word);
    }
}
