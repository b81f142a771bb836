//! Codes that the house checks itself, of tokens, lists and the help desk: each good as often as it may be, wrong ones
//! counted over all kinds and all nodes, and the cloud may be away.

#![cfg(test)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anteroom::config::{LocalProvider, NumberMatching, Passcode, UnreachableClass};
use anteroom::factor::local::split::PinSide;
use anteroom::factor::local::{self, Local, code};
use anteroom::factor::{Answer, Factor, Provider, Refusal, Request};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Attempt, SignInId};
use anteroom::signin::outcome::Reason;
use anteroom::signin::reception::SignIns;
use anteroom::users::codes::{self, CodeKind, KeptCode};
use anteroom::users::keys::KeyFile;
use anteroom::users::model::{Method, Mode, Person};
use anteroom::users::pin::Rules;
use anteroom::users::pins;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store;
use anteroom::users::token::{Algorithm, Moving, Token};
use anteroom::users::typed::{Bound, TypedCodes};

use crate::peers::postgres::Postgres;
use crate::support::fakes::{self, Cloud, Recorder};

const SEED: &[u8] = b"planted-seed-of-alice";

/// When these stories begin.
const BEGIN: u64 = 1_800_000_000;

/// A store with alice, who has a counting token and one that goes by the time, and bob, who has none; and its clock.
pub(crate) struct House {
    folder: tempfile::TempDir,
    pub(crate) store: Arc<SqlStore>,
    pub(crate) keys: Arc<KeyFile>,
    clock: Arc<Mutex<SystemTime>>,
}

impl House {
    pub(crate) async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqlStore::open(folder.path().join("people.db"), true).await.unwrap());
        House::on(folder, store).await
    }

    pub(crate) async fn on(folder: tempfile::TempDir, store: Arc<SqlStore>) -> House {
        let keys = Arc::new(KeyFile::open(folder.path().join("anteroom.keys")).unwrap());
        let bob = Person { unique_id: "bob".into(), name: "bob".into(), upn: None, ..fakes::person() };
        store.add(&fakes::person()).await.unwrap();
        store.add(&bob).await.unwrap();
        let clock = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN)));
        let house = House { folder, store, keys, clock };
        house.token("COUNTS", &fakes::alice().unique_id, Moving::Counter { next: 0 }).await;
        house.token("CLOCK", &fakes::alice().unique_id, Moving::Time { period: 30 }).await;
        house
    }

    async fn token(&self, serial: &str, unique_id: &str, moving: Moving) {
        let seed = self.keys.seal_seed(serial, Some(unique_id), &Secret::new(SEED.to_vec())).unwrap();
        let token = Token {
            serial: serial.into(),
            unique_id: Some(unique_id.into()),
            label: None,
            seed,
            algorithm: if serial == "CLOCK" { Algorithm::Sha256 } else { Algorithm::Sha1 },
            digits: 6,
            moving,
            drift: 0,
            last_step: None,
            last_used: None,
        };
        self.store.add_token(&token, "test").await.unwrap();
    }

    fn provider(&self) -> Local {
        self.bounded(3)
    }

    fn bounded(&self, tries: u32) -> Local {
        self.with(tries, PinSide::Before, self.store.clone())
    }

    pub(crate) fn with(&self, tries: u32, pin_side: PinSide, roster: Arc<dyn Roster>) -> Local {
        let config = LocalProvider {
            name: "local".into(),
            failover: Vec::new(),
            window: Duration::from_secs(60),
            look_ahead: 3,
            bound: Bound { tries, locked_for: Duration::from_secs(900) },
            pin_side,
        };
        Local::new(&config, self.inside(roster))
    }

    /// What a provider of the house has, over this view of the store.
    pub(crate) fn inside(&self, roster: Arc<dyn Roster>) -> local::House {
        let clock = Arc::clone(&self.clock);
        let clock: local::Clock = Arc::new(move || *clock.lock().unwrap());
        local::House { roster, keys: self.keys.clone(), pins: Rules::default(), clock }
    }

    fn now(&self) -> SystemTime {
        *self.clock.lock().unwrap()
    }

    /// The clock goes so many seconds ahead, or back.
    pub(crate) fn jump(&self, seconds: i64) {
        let mut clock = self.clock.lock().unwrap();
        let by = Duration::from_secs(seconds.unsigned_abs());
        *clock = if seconds < 0 { *clock - by } else { *clock + by };
    }

    /// The code that alice's device shows now, or so many steps later.
    pub(crate) fn timed(&self, steps: i64) -> String {
        let step = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 30;
        shown(step.checked_add_signed(steps).unwrap())
    }

    /// Codes that are kept for a person; the codes themselves.
    pub(crate) async fn keep(&self, unique_id: &str, kind: CodeKind, number: u32, uses: u32) -> Vec<String> {
        let made = codes::list(kind, number).unwrap();
        let kept: Vec<KeptCode> = codes::hashed(&made)
            .unwrap()
            .into_iter()
            .map(|hash| KeptCode {
                kind,
                hash,
                uses,
                expires: (kind == CodeKind::Temporary).then(|| self.now() + Duration::from_secs(3600)),
                reason: None,
                added: self.now(),
                added_by: "test".into(),
            })
            .collect();
        assert!(self.store.set_kept_codes(unique_id, kind, &kept, "test").await.unwrap());
        made.iter().map(|code| String::from_utf8(code.open().to_vec()).unwrap()).collect()
    }

    /// Alice in PIN mode, with this PIN.
    pub(crate) async fn pin_mode(&self, pin: &str, must_change: bool) -> Arc<Person> {
        let person = Person { mode: Mode::Pin, ..fakes::person() };
        let profile = Profile::new(person.clone());
        self.store.change(&profile, "test").await.unwrap();
        let pin = Secret::from_text(pin.into());
        let set = pins::set(&*self.store, &profile, &pin, &Rules::default(), (must_change, None), "test").await;
        assert_eq!(set.unwrap(), Ok(()));
        Arc::new(person)
    }
}

pub(crate) fn counted(counter: u64) -> String {
    code::code(Algorithm::Sha1, SEED, counter, 6).unwrap()
}

fn shown(step: u64) -> String {
    code::code(Algorithm::Sha256, SEED, step, 6).unwrap()
}

fn request(person: Arc<Person>, code: Option<&str>) -> Request {
    Request {
        sign_in: SignInId::new([3; 12]),
        person,
        method: Method::Oath,
        code: code.map(|code| Secret::from_text(code.into())),
        application: "VPN".into(),
        person_address: None,
        deadline: Instant::now() + Duration::from_secs(20),
        device: None,
        number_matching: NumberMatching::Approve,
        can_type: true,
        tell: None,
        given: None,
    }
}

async fn typed(provider: &Local, code: &str) -> Answer {
    provider.run(request(Arc::new(fakes::person()), Some(code))).await
}

async fn bob(provider: &Local, code: &str) -> Answer {
    let person = Person { unique_id: "bob".into(), name: "bob".into(), ..fakes::person() };
    provider.run(request(Arc::new(person), Some(code))).await
}

const BY_TOKEN: Answer = Answer::ApprovedBy(Method::Oath);
const BY_LIST: Answer = Answer::ApprovedBy(Method::BackupCode);
const BY_DESK: Answer = Answer::ApprovedBy(Method::TemporaryCode);
const WRONG: Answer = Answer::Refused(Refusal::WrongCode);
const USED: Answer = Answer::Refused(Refusal::UsedCode);
const OLD: Answer = Answer::Refused(Refusal::OldCode);
const LOCKED: Answer = Answer::Refused(Refusal::LockedThere);
const NOTHING: Answer = Answer::Refused(Refusal::NotThisWay);

#[tokio::test]
async fn a_code_is_good_once_and_none_before_it_is_good_afterwards() {
    let house = House::new().await;
    let provider = house.provider();
    assert_eq!(typed(&provider, &counted(1)).await, BY_TOKEN, "one was skipped");
    assert_eq!(typed(&provider, &counted(1)).await, USED);
    assert_eq!(typed(&provider, &counted(0)).await, OLD);
    // also by another server
    let other = house.provider();
    assert_eq!(typed(&other, &counted(2)).await, BY_TOKEN, "and a right one begins the count anew");
    assert_eq!(typed(&other, &house.timed(1)).await, BY_TOKEN, "its clock is ahead");
    assert_eq!(typed(&other, &house.timed(1)).await, USED);
    assert_eq!(typed(&other, &house.timed(0)).await, OLD);
    let clock = house.store.token("CLOCK").await.unwrap().unwrap();
    assert_eq!(clock.drift, 1, "learned");
    assert!(clock.last_used.is_some());
    // and after a restart
    let used = house.timed(1);
    house.store.close().await;
    let again = Arc::new(SqlStore::open(house.folder.path().join("people.db"), false).await.unwrap());
    let house = House { store: again, ..house };
    let provider = house.bounded(9);
    for (replayed, answer) in [(used, USED), (counted(1), OLD), (counted(2), USED)] {
        assert_eq!(typed(&provider, &replayed).await, answer, "{replayed}");
    }
    assert_eq!(typed(&provider, &counted(3)).await, BY_TOKEN);
}

#[tokio::test]
async fn a_clock_that_jumps_lets_nobody_in_twice_and_nobody_out_for_ever() {
    let house = House::new().await;
    let provider = house.bounded(50);
    let truth = house.timed(0);
    assert_eq!(typed(&provider, &truth).await, BY_TOKEN);
    house.jump(-3600);
    assert_eq!(typed(&provider, &truth).await, USED, "an hour back, the code of the truth");
    assert_eq!(typed(&provider, &house.timed(0)).await, OLD, "and that of then is older than a used one");
    house.jump(7200);
    assert_eq!(typed(&provider, &truth).await, USED, "an hour ahead");
    house.jump(-3600);
    assert_eq!(typed(&provider, &truth).await, USED, "right again: used is used");
    house.jump(30);
    assert_eq!(typed(&provider, &house.timed(0)).await, BY_TOKEN, "nothing was learned from what did not fit");
    // Locked out, and then the clock is set back: the lock ends within twice its time, not at the old hour.
    for _ in 0..50 {
        typed(&provider, "000000").await;
    }
    assert_eq!(typed(&provider, &house.timed(1)).await, LOCKED);
    house.jump(-30 * 24 * 3600);
    assert_eq!(typed(&provider, &counted(0)).await, BY_TOKEN);
}

#[tokio::test]
async fn a_token_far_off_is_found_again_by_two_codes_and_by_nothing_else() {
    let house = House::new().await;
    let provider = house.bounded(9);
    let alice = fakes::alice().unique_id;
    let resync = async |first: String, second: String| {
        provider.resync(&alice, &Secret::from_text(first), &Secret::from_text(second)).await
    };
    assert_eq!(typed(&provider, &house.timed(100)).await, WRONG, "fifty minutes ahead");
    assert_eq!(resync(house.timed(100), house.timed(102)).await, Err(Refusal::WrongCode), "not in a row");
    assert_eq!(resync(house.timed(101), house.timed(100)).await, Err(Refusal::WrongCode), "the wrong way round");
    assert_eq!(resync(house.timed(100), house.timed(101)).await, Ok(()));
    assert_eq!(resync(house.timed(100), house.timed(101)).await, Err(Refusal::WrongCode), "both are used up");
    assert_eq!(typed(&provider, &house.timed(101)).await, USED);
    house.jump(30);
    assert_eq!(typed(&provider, &house.timed(101)).await, BY_TOKEN, "and its clock is known");
    assert_eq!(resync(counted(500), counted(501)).await, Ok(()), "a counter");
    assert_eq!(typed(&provider, &counted(502)).await, BY_TOKEN);
    let nobody = provider.resync("bob", &Secret::from_text(counted(0)), &Secret::from_text(counted(1))).await;
    assert_eq!(nobody, Err(Refusal::NotThisWay));
    let provider = house.bounded(2);
    for _ in 0..2 {
        let wrong = Secret::from_text("000000".into());
        assert_eq!(provider.resync(&alice, &wrong, &wrong).await, Err(Refusal::WrongCode));
    }
    assert_eq!(typed(&provider, &counted(503)).await, LOCKED, "guessing at two is guessing");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_the_same_code_one_gets_in() {
    let house = House::new().await;
    let list = house.keep(&fakes::alice().unique_id, CodeKind::Backup, 2, 1).await;
    let provider = Arc::new(house.bounded(100));
    for (same, right) in [(counted(0), BY_TOKEN), (list[1].clone(), BY_LIST)] {
        let tries = (0..12).map(|_| {
            let (provider, same) = (Arc::clone(&provider), same.clone());
            tokio::spawn(async move { typed(&provider, &same).await })
        });
        let answers = futures_util::future::join_all(tries).await;
        let approved = answers.into_iter().filter(|answer| *answer.as_ref().unwrap() == right).count();
        assert_eq!(approved, 1, "{right:?}");
    }
}

#[tokio::test]
async fn wrong_codes_are_counted_and_the_right_one_waits_then() {
    let house = House::new().await;
    let provider = house.provider();
    for _ in 0..2 {
        assert_eq!(typed(&provider, "000000").await, WRONG);
    }
    assert_eq!(typed(&provider, &counted(0)).await, BY_TOKEN, "a right one begins anew");
    for _ in 0..3 {
        assert_eq!(typed(&provider, "000000").await, WRONG);
    }
    assert_eq!(typed(&provider, &counted(1)).await, LOCKED);
    assert_eq!(typed(&house.provider(), &counted(1)).await, LOCKED, "on every node");
    assert_eq!(bob(&provider, "000000").await, NOTHING, "somebody else is not locked out, and has no token");
    house.jump(890);
    assert_eq!(typed(&provider, &counted(1)).await, LOCKED);
    house.jump(10);
    assert_eq!(typed(&provider, &counted(1)).await, BY_TOKEN);
}

#[tokio::test]
async fn guessing_is_bounded_over_all_kinds_of_code_together() {
    let house = House::new().await;
    let alice = fakes::alice().unique_id;
    let list = house.keep(&alice, CodeKind::Backup, 3, 1).await;
    let desk = house.keep(&alice, CodeKind::Temporary, 1, 5).await;
    let provider = house.provider();
    for wrong in ["000000", "000000000", "0000000000"] {
        assert_eq!(typed(&provider, wrong).await, WRONG, "{wrong}");
    }
    for right in [&counted(0), &list[0], &desk[0]] {
        assert_eq!(typed(&provider, right).await, LOCKED, "{right}");
    }
    // The help desk's code opens the door to somebody who is locked out.
    let desk = house.keep(&alice, CodeKind::Temporary, 1, 1).await;
    assert_eq!(typed(&provider, &desk[0]).await, BY_DESK);
}

#[tokio::test]
async fn a_list_and_a_code_of_the_help_desk_are_good_as_often_as_they_say() {
    let house = House::new().await;
    let list = house.keep("bob", CodeKind::Backup, 10, 1).await;
    let desk = house.keep("bob", CodeKind::Temporary, 1, 2).await;
    let provider = house.bounded(50);
    for code in &list {
        assert_eq!(bob(&provider, code).await, BY_LIST, "in any order, each once");
    }
    assert_eq!(bob(&provider, &list[3]).await, NOTHING, "all used: nothing there to be wrong about");
    assert_eq!(typed(&provider, &desk[0]).await, WRONG, "somebody else's");
    assert_eq!(bob(&provider, &desk[0]).await, BY_DESK);
    house.jump(3600);
    assert_eq!(bob(&provider, &desk[0]).await, NOTHING, "expired");
    house.jump(-1);
    assert_eq!(bob(&provider, &desk[0]).await, BY_DESK);
    assert_eq!(bob(&provider, &desk[0]).await, NOTHING);
}

#[tokio::test]
async fn people_in_pin_mode_type_pin_and_code_on_the_side_that_is_configured() {
    let house = House::new().await;
    let alice = house.pin_mode("40927", false).await;
    let ask = async |provider: &Local, code: String| provider.run(request(Arc::clone(&alice), Some(&code))).await;
    let (before, after) = (house.bounded(50), house.with(50, PinSide::After, house.store.clone()));
    assert_eq!(ask(&before, counted(0)).await, WRONG, "no PIN");
    assert_eq!(ask(&before, format!("{}40927", counted(0))).await, WRONG, "the other side");
    assert_eq!(ask(&before, format!("40928{}", counted(0))).await, Answer::Refused(Refusal::WrongPin));
    assert_eq!(ask(&before, format!("40927{}", counted(0))).await, BY_TOKEN);
    assert_eq!(ask(&before, format!("40927{}", counted(0))).await, USED, "a replay");
    assert_eq!(ask(&after, format!("40927{}", counted(1))).await, WRONG);
    assert_eq!(ask(&after, format!("{}40927", counted(1))).await, BY_TOKEN);
    // Wrong PINs count with wrong codes.
    let provider = house.provider();
    for _ in 0..3 {
        let answer = ask(&provider, format!("99999{}", counted(2))).await;
        assert_eq!(answer, Answer::Refused(Refusal::WrongPin));
    }
    assert_eq!(ask(&provider, format!("40927{}", counted(2))).await, LOCKED);
    let list = house.keep(&alice.unique_id, CodeKind::Backup, 1, 1).await;
    assert_eq!(ask(&provider, list[0].clone()).await, BY_LIST, "a list is for the day when nothing else works");
}

#[tokio::test]
async fn a_pin_that_must_be_changed_or_is_not_there_lets_nobody_in() {
    let house = House::new().await;
    let alice = house.pin_mode("40927", true).await;
    let provider = house.bounded(50);
    let ask = async |code: String| provider.run(request(Arc::clone(&alice), Some(&code))).await;
    let due = Answer::Refused(Refusal::PinDue);
    assert_eq!(ask(format!("40927{}", counted(0))).await, due);
    assert_eq!(ask(format!("40928{}", counted(0))).await, Answer::Refused(Refusal::WrongPin));
    let new = Secret::from_text("70913".into());
    let changed = pins::change(&*house.store, &alice.unique_id, &new, &Rules::default(), house.now()).await;
    assert!(changed.unwrap().is_ok());
    assert_eq!(ask(format!("70913{}", counted(0))).await, BY_TOKEN, "and the code of before was not used up");
    house.store.set_pin(&alice.unique_id, None, 5, "test").await.unwrap();
    assert_eq!(ask(counted(1)).await, Answer::Refused(Refusal::NoPin));
    assert_eq!(ask(format!("70913{}", counted(1))).await, Answer::Refused(Refusal::NoPin));
}

#[tokio::test]
async fn codes_of_others_of_other_lengths_and_of_lost_keys_let_nobody_in() {
    let house = House::new().await;
    for odd in ["", "12345", "1234567", "abcdef"] {
        assert_eq!(typed(&house.bounded(50), odd).await, WRONG, "{odd}");
    }
    let provider = house.bounded(50);
    assert_eq!(bob(&provider, &counted(0)).await, NOTHING);
    let none = provider.run(request(Arc::new(fakes::person()), None)).await;
    assert_eq!(none, Answer::Refused(Refusal::NeedsCode));
    assert!(provider.probe().await.is_ok());
    assert!(!format!("{provider:?}").contains("planted"));
    // the key file is gone: nobody gets in, and check says why
    std::fs::remove_file(house.folder.path().join("anteroom.keys")).unwrap();
    let lost = Arc::new(KeyFile::open(house.folder.path().join("anteroom.keys")).unwrap());
    let house = House { keys: lost, ..house };
    let provider = house.bounded(50);
    assert_eq!(typed(&provider, &counted(0)).await, Answer::Refused(Refusal::Misconfigured));
    let trouble = provider.probe().await.unwrap_err().to_string();
    assert!(trouble.contains("key file") && trouble.contains("COUNTS") || trouble.contains("CLOCK"), "{trouble}");
}

#[tokio::test]
async fn two_nodes_on_one_postgres_take_a_code_once_and_count_together() {
    let Some(server) = Postgres::shared() else { return };
    let at = server.at(&server.database("local_codes"));
    let one = Arc::new(SqlStore::connect(&at).await.unwrap());
    let two = Arc::new(SqlStore::connect(&server.at("local_codes")).await.unwrap());
    let house = House::on(tempfile::tempdir().unwrap(), one.clone()).await;
    let list = house.keep(&fakes::alice().unique_id, CodeKind::Backup, 4, 1).await;
    let nodes = [one.clone(), two.clone()].map(|store| Arc::new(house.with(4, PinSide::Before, store)));
    for (same, right) in [(counted(0), BY_TOKEN), (house.timed(0), BY_TOKEN), (list[2].clone(), BY_LIST)] {
        let tries = (0..4).map(|number| {
            let (node, same) = (Arc::clone(&nodes[number % 2]), same.clone());
            tokio::spawn(async move { typed(&node, &same).await })
        });
        let answers = futures_util::future::join_all(tries).await;
        let approved = answers.iter().filter(|answer| *answer.as_ref().unwrap() == right).count();
        assert_eq!(approved, 1, "{right:?}: {answers:?}");
        for node in &nodes {
            let replayed = typed(node, &same).await;
            assert!([WRONG, USED, OLD, LOCKED].contains(&replayed), "{replayed:?}");
        }
        one.forget_tries(&fakes::alice().unique_id, anteroom::users::typed::Tried::Code).await.unwrap();
    }
    let mut looked = 0;
    for number in 0..8 {
        looked += usize::from(typed(&nodes[number % 2], "000000").await == WRONG);
    }
    assert_eq!(looked, 4, "of eight in turn on two nodes");
    assert_eq!(typed(&nodes[1], &counted(1)).await, LOCKED);
}

/// A world of one client with a cloud and the house, as a person meets it.
struct World {
    house: House,
    ledger: Arc<Recorder>,
    sign_ins: Arc<SignIns>,
    client: Arc<anteroom::config::Client>,
    cloud: Arc<Cloud>,
}

impl World {
    async fn new(cloud: Answer, order: [&str; 2]) -> World {
        let house = House::new().await;
        let cloud = Cloud::saying("entra", Some(cloud));
        let ledger = Arc::new(Recorder::default());
        let providers =
            vec![("entra", cloud.clone() as Arc<dyn Factor>), ("local", Arc::new(house.provider()) as Arc<dyn Factor>)];
        let sign_ins = SignIns::new(fakes::deps(&Arc::new(fakes::right()), providers, house.store.clone(), &ledger));
        let mut client = Arc::into_inner(fakes::client(Default::default())).unwrap();
        client.providers = order.map(str::to_owned).to_vec();
        client.passcode = Some(Passcode::Delimiter(",".into()));
        World { house, ledger, sign_ins, client: Arc::new(client), cloud }
    }

    async fn sign_in(&self, password: String) -> Reason {
        let attempt = Attempt { credential: Ok(Secret::from_text(password)), ..fakes::attempt(&self.client) };
        self.sign_ins.enter(attempt).await.outcome().await.reason()
    }

    fn last(&self) -> (Option<String>, Option<Method>) {
        let event = self.ledger.0.lock().unwrap().last().unwrap().clone();
        (event.provider, event.method)
    }
}

fn by(provider: &str, method: Method) -> (Option<String>, Option<Method>) {
    (Some(provider.to_owned()), Some(method))
}

#[tokio::test]
async fn while_the_cloud_is_away_a_code_of_the_house_lets_in_and_nothing_else_does() {
    let away = Answer::Refused(Refusal::Unreachable(UnreachableClass::Connect));
    let world = World::new(away, ["entra", "local"]).await;
    let list = world.house.keep(&fakes::alice().unique_id, CodeKind::Backup, 2, 1).await;
    assert_eq!(fakes::person().method, Method::Push, "these are people who are asked by a push");
    assert_eq!(world.sign_in("right-password".into()).await, Reason::ProviderUnreachable, "nothing was typed");
    assert_eq!(world.sign_in("right-password,000000".into()).await, Reason::WrongCode);
    assert_eq!(world.sign_in(format!("right-password,{}", counted(0))).await, Reason::Approved);
    assert_eq!(world.last(), by("local", Method::Oath));
    assert_eq!(world.sign_in(format!("right-password,{}", counted(0))).await, Reason::WrongCode, "a replay");
    assert_eq!(world.sign_in(format!("right-password,{}", list[0])).await, Reason::Approved);
    assert_eq!(world.last(), by("local", Method::BackupCode), "the audit says by what");
}

#[tokio::test]
async fn a_typed_code_is_looked_at_in_the_house_first_and_then_by_the_cloud() {
    let world = World::new(Answer::Refused(Refusal::WrongCode), ["entra", "local"]).await;
    let desk = world.house.keep(&fakes::alice().unique_id, CodeKind::Temporary, 1, 9).await;
    assert_eq!(world.sign_in(format!("right-password,{}", desk[0])).await, Reason::Approved);
    assert_eq!((world.last(), world.cloud.asked()), (by("local", Method::TemporaryCode), 0));
    assert_eq!(world.sign_in(format!("right-password,{}", counted(0))).await, Reason::Approved);
    assert_eq!((world.last(), world.cloud.asked()), (by("local", Method::Oath), 0));
    assert_eq!(world.sign_in("right-password,000000".into()).await, Reason::WrongCode);
    assert_eq!((world.last(), world.cloud.asked()), (by("entra", Method::Oath), 1), "nobody knows it");
    // What was wrong here stays that, also where the cloud is away and its absence would be forgiven.
    *world.cloud.answer.lock().unwrap() = Some(Answer::Refused(Refusal::Unreachable(UnreachableClass::Connect)));
    assert_eq!(world.sign_in("right-password,000000".into()).await, Reason::WrongCode);
    // One that the house knows nothing of may be the cloud's own.
    world.house.keep(&fakes::alice().unique_id, CodeKind::Temporary, 0, 1).await;
    for serial in ["COUNTS", "CLOCK"] {
        world.house.store.remove_token(serial, "test").await.unwrap();
    }
    *world.cloud.answer.lock().unwrap() = Some(Answer::Approved);
    assert_eq!(world.sign_in("right-password,123456789".into()).await, Reason::Approved);
    assert_eq!((world.last(), world.cloud.asked()), (by("entra", Method::Oath), 3));
}
