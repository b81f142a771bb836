//! An attacker against a company of ten thousand, in virtual time: sprays passwords from ever new addresses, bombs one
//! person with prompts, guesses codes on many connections at once. The directory's count of bad passwords never reaches
//! its threshold, nobody is prompted or may guess beyond the bounds, the owner comes in from a known place all the time,
//! and all of it is in the report.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anteroom::audit::Event;
use anteroom::config::{self, Client, ClientPolicy, Passcode};
use anteroom::factor::{Answer, Factor, Refusal as FactorRefusal};
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary, Refusal};
use anteroom::secret::Secret;
use anteroom::signin::attempt::Attempt;
use anteroom::signin::outcome::Reason;
use anteroom::signin::reception::{Deps, SignIns, Target};
use anteroom::users::model::Person;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store;
use futures_util::future::BoxFuture;

use crate::support::fakes::{self, Cloud, Recorder};
use crate::support::memory_store::MemoryStore;

const PEOPLE: usize = 10_000;
/// What Active Directory is told by many: five bad passwords within half an hour lock an account.
pub(crate) const THRESHOLD: u32 = 5;
const WINDOW: Duration = Duration::from_secs(30 * 60);

/// A directory that counts bad passwords as AD does: from anew after the window, and after a right one.
#[derive(Default)]
pub(crate) struct Counting {
    bad: Mutex<HashMap<String, (u32, Option<Instant>)>>,
    /// The highest count that anybody ever had.
    pub(crate) highest: Mutex<u32>,
    pub(crate) binds: AtomicUsize,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Primary for Counting {
    fn identify<'a>(&'a self, typed: &'a str, _: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        let who = Identity {
            unique_id: format!("id-{typed}"),
            name: typed.to_owned(),
            upn: None,
            dn: format!("CN={typed},DC=corp,DC=example"),
            remembered: false,
            details: None,
        };
        Box::pin(async move { Ok(who) })
    }

    fn try_password<'a>(&'a self, who: &'a Identity, password: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        self.binds.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut all = self.bad.lock().unwrap();
        let entry = all.entry(who.unique_id.clone()).or_default();
        if entry.1.is_some_and(|last| now().duration_since(last) >= WINDOW) {
            entry.0 = 0;
        }
        let locked = entry.0 >= THRESHOLD;
        let right = password.open() == format!("password of {}", who.name).as_bytes();
        let finding = match (locked, right) {
            (true, _) => Finding::Wrong(Refusal::LockedOut),
            (false, true) => {
                entry.0 = 0;
                Finding::Right
            }
            (false, false) => {
                *entry = (entry.0 + 1, Some(now()));
                let mut highest = self.highest.lock().unwrap();
                *highest = (*highest).max(entry.0);
                Finding::Wrong(Refusal::WrongPassword)
            }
        };
        Box::pin(async move { finding })
    }

    fn member_of_any<'a>(&'a self, _: &'a Identity, _: &'a [String], _: Instant) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

struct World {
    sign_ins: Arc<SignIns>,
    directory: Arc<Counting>,
    cloud: Arc<Cloud>,
    ledger: Arc<Recorder>,
    store: Arc<MemoryStore>,
    client: Arc<Client>,
    addresses: AtomicUsize,
}

fn name(number: usize) -> String {
    format!("person{number:05}")
}

/// The bounds that the program has when nobody says otherwise.
pub(crate) fn usual() -> config::Throttle {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    config::Throttle {
        failures_per_person: 4,
        failures_per_source: 50,
        window: WINDOW,
        prompts_per_person: 5,
        prompt_window: minutes(10),
        denial_backoff: minutes(1),
        fraud_block: minutes(90 * 24 * 60),
        lockout: Some(config::Lockout { after: 10, reset: minutes(60), release: minutes(60) }),
    }
}

fn world(answer: Option<Answer>) -> World {
    let people = (0..PEOPLE).map(|number| Person {
        device_token: Some("token".into()),
        ..Person::bare(format!("id-{}", name(number)), name(number))
    });
    let store = Arc::new(MemoryStore::with(people));
    let (directory, ledger) = (Arc::new(Counting::default()), Arc::new(Recorder::default()));
    let cloud = Cloud::saying("cloud", answer);
    let providers = vec![("cloud", cloud.clone() as Arc<dyn Factor>)];
    let deps = fakes::deps(&Arc::new(fakes::right()), providers, store.clone(), &ledger);
    let targets = [("corp".to_owned(), Target { primary: directory.clone(), dn_from_store: false })].into();
    let sign_ins = SignIns::new(Deps { targets, throttle: usual(), ..deps });
    let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
    client.passcode = Some(Passcode::Delimiter(",".into()));
    client.carry_over = Duration::ZERO;
    World { sign_ins, directory, cloud, ledger, store, client: Arc::new(client), addresses: AtomicUsize::new(0) }
}

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

impl World {
    /// An address that nobody has come from before.
    fn somewhere(&self) -> IpAddr {
        let number = self.addresses.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap()))
    }

    fn attempt(&self, who: &str, typed: &str, from: IpAddr) -> Attempt {
        Attempt {
            name: who.into(),
            credential: Ok(Secret::from_text(typed.to_owned())),
            person_address: Some(from),
            ..fakes::attempt(&self.client)
        }
    }

    async fn sign_in(&self, who: &str, typed: &str, from: IpAddr) -> Reason {
        self.sign_ins.enter(self.attempt(who, typed, from)).await.outcome().await.reason()
    }

    fn events(&self) -> Vec<Event> {
        self.ledger.0.lock().unwrap().clone()
    }

    fn count(&self, reason: Reason) -> usize {
        self.ledger.0.lock().unwrap().iter().filter(|event| event.reason == reason).count()
    }
}

pub(crate) fn right(who: &str) -> String {
    format!("password of {who}")
}

/// What is in the report of these events.
fn report(events: &[Event], kind: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqlStore::open(&path, true).await.unwrap();
        for batch in events.chunks(500) {
            store.record(batch).await.unwrap();
        }
        store.close().await;
    });
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_anteroom"));
    let output = command.args(["report", kind, "--format", "csv", "--store"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn in_virtual_time<T>(run: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(run)
}

#[test]
fn ten_thousand_are_sprayed_and_nobody_is_locked_out_of_the_company() {
    let world = world(Some(Answer::Approved));
    let owners: Vec<String> = [17, 4_711, 9_999].map(name).to_vec();
    in_virtual_time(async {
        for owner in &owners {
            assert_eq!(world.sign_in(owner, &right(owner), HOME).await, Reason::Approved);
        }
        // Eight passwords, ten minutes apart, each tried on everybody from an address of its own.
        for round in 0..8 {
            for number in 0..PEOPLE {
                let end = world.sign_in(&name(number), &format!("Summer202{round}!"), world.somewhere()).await;
                assert!(matches!(end, Reason::WrongPassword | Reason::ThrottledPerson), "{end}");
            }
            for owner in &owners {
                assert_eq!(world.sign_in(owner, &right(owner), HOME).await, Reason::Approved, "round {round}");
            }
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        // One of them is singled out, a thousand times in a row.
        let owner = &owners[0];
        for number in 0..1000 {
            world.sign_in(owner, &format!("guess {number}"), world.somewhere()).await;
            if number % 100 == 0 {
                assert_eq!(world.sign_in(owner, &right(owner), HOME).await, Reason::Approved, "guess {number}");
            }
        }
        // From one address: it is shut out long before the people are through.
        let before = world.directory.binds.load(std::sync::atomic::Ordering::SeqCst);
        let lair = world.somewhere();
        for number in 0..1000 {
            world.sign_in(&name(number + 5_000), "Winter2026!", lair).await;
        }
        let binds = world.directory.binds.load(std::sync::atomic::Ordering::SeqCst) - before;
        assert!(binds <= 50, "{binds} tries from one address");
    });
    let highest = *world.directory.highest.lock().unwrap();
    assert!(highest < THRESHOLD, "the directory counted {highest}");
    assert!(world.count(Reason::ThrottledPerson) > PEOPLE && world.count(Reason::ThrottledSource) > 900);
    let report = report(&world.events(), "usage");
    for reason in [Reason::WrongPassword, Reason::ThrottledPerson, Reason::ThrottledSource, Reason::Approved] {
        let row =
            report.lines().find(|line| line.contains(&format!(",{reason},"))).unwrap_or_else(|| panic!("{report}"));
        assert!(row.contains(&format!(",{},", world.count(reason))), "{reason}: {row}");
    }
}

#[test]
fn a_person_whose_password_is_known_is_not_worn_out_and_comes_in_after_the_pause() {
    let world = world(None);
    let owner = name(1);
    in_virtual_time(async {
        // Nobody answers: the attacker tries for two hours, every ten seconds.
        for _ in 0..720 {
            let attempt = world.attempt(&owner, &right(&owner), world.somewhere());
            let waiting = world.sign_ins.enter(attempt).await;
            let _ = tokio::time::timeout(Duration::from_secs(10), waiting.outcome()).await;
        }
        let asked = world.cloud.asked();
        // Each pause is twice as long as the one before: one, two, four, eight, sixteen, ... minutes.
        assert!((2..=10).contains(&asked), "prompted {asked} times in two hours");
        // This very moment nobody is prompted, and the owner comes in by a code, which rings no phone.
        *world.cloud.answer.lock().unwrap() = Some(Answer::Approved);
        assert_eq!(world.sign_in(&owner, &right(&owner), HOME).await, Reason::PromptLimited);
        assert_eq!(world.sign_in(&owner, &format!("{},123456", right(&owner)), HOME).await, Reason::Approved);
        // The attacker goes on.
        *world.cloud.answer.lock().unwrap() = None;
        for _ in 0..10 {
            let waiting = world.sign_ins.enter(world.attempt(&owner, &right(&owner), world.somewhere())).await;
            let _ = tokio::time::timeout(Duration::from_secs(10), waiting.outcome()).await;
        }
        // An hour later the attacker is gone, and the owner has the phone in hand.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        *world.cloud.answer.lock().unwrap() = Some(Answer::Approved);
        assert_eq!(world.sign_in(&owner, &right(&owner), HOME).await, Reason::Approved);
    });
    assert!(world.count(Reason::PromptLimited) > 600);
    let report = report(&world.events(), "denials");
    let limited = report.lines().filter(|line| line.contains("prompt_limited,FAILED_AUTHENTICATION_THROTTLED")).count();
    assert_eq!(limited, world.count(Reason::PromptLimited));
}

#[test]
fn codes_guessed_on_many_connections_at_once_are_looked_at_within_the_bounds_only() {
    let world = Arc::new(world(Some(Answer::Refused(FactorRefusal::WrongCode))));
    let owner = name(2);
    let looked_at = in_virtual_time(async {
        // Four hours: each ten minutes forty guesses at once, each with another code from another address.
        for round in 0..24 {
            let guesses = (0..40).map(|number| {
                let (world, owner) = (Arc::clone(&world), owner.clone());
                let typed = format!("{},{:06}", right(&owner), round * 40 + number);
                tokio::spawn(async move { world.sign_in(&owner, &typed, world.somewhere()).await })
            });
            for end in futures_util::future::join_all(guesses).await {
                let end = end.unwrap();
                assert!(!matches!(end, Reason::Approved), "{end}");
            }
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        world.cloud.asked()
    });
    // Five in ten minutes, and the tenth in a row blocks, by the clock on the wall, which stands still here.
    assert_eq!(looked_at, 10, "of a million codes");
    assert!(world.count(Reason::Blocked) > 0 && world.count(Reason::PromptLimited) > 0);
    let person = futures_util::FutureExt::now_or_never(world.store.person(&format!("id-{owner}"))).unwrap().unwrap();
    assert!(person.unwrap().blocked_until.is_some(), "locked out, which is told");
    assert_eq!(world.count(Reason::Approved), 0);
    let report = report(&world.events(), "denials");
    assert_eq!(report.lines().filter(|line| line.contains(",wrong_code,")).count(), looked_at);
}
