//! OATH tokens of the user store: a code is good once, wrong ones are counted, and the cloud may be away.

#![cfg(test)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::config::{NumberMatching, OathProvider, Passcode, UnreachableClass};
use anteroom::factor::oath::{Local, Oath, code};
use anteroom::factor::{Answer, Factor, Provider, Refusal, Request};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Attempt, SignInId};
use anteroom::signin::outcome::Reason;
use anteroom::signin::reception::SignIns;
use anteroom::users::keys::KeyFile;
use anteroom::users::model::{Method, Person};
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store;
use anteroom::users::token::{Algorithm, Moving, Token};

use crate::support::fakes::{self, Cloud, Recorder};

const SEED: &[u8] = b"planted-seed-of-alice";

/// A store with alice, who has a counting token and one that goes by the time, and bob, who has none.
struct House {
    folder: tempfile::TempDir,
    store: Arc<SqlStore>,
    keys: Arc<KeyFile>,
}

impl House {
    async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqlStore::open(folder.path().join("people.db"), true).await.unwrap());
        let keys = Arc::new(KeyFile::open(folder.path().join("anteroom.keys")).unwrap());
        let bob = Person { unique_id: "bob".into(), name: "bob".into(), upn: None, ..fakes::person() };
        store.add(&fakes::person()).await.unwrap();
        store.add(&bob).await.unwrap();
        let house = House { folder, store, keys };
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

    fn provider(&self) -> Oath {
        let config = OathProvider {
            name: "local".into(),
            failover: Vec::new(),
            window: Duration::from_secs(60),
            look_ahead: 3,
            tries: 3,
            locked_for: Duration::from_secs(900),
        };
        Oath::new(&config, Local { roster: self.store.clone(), keys: self.keys.clone() })
    }
}

fn counted(counter: u64) -> String {
    code::code(Algorithm::Sha1, SEED, counter, 6).unwrap()
}

fn timed(steps: i64) -> String {
    let step = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 30;
    code::code(Algorithm::Sha256, SEED, step.checked_add_signed(steps).unwrap(), 6).unwrap()
}

fn request(unique_id: &str, code: Option<&str>) -> Request {
    Request {
        sign_in: SignInId::new([3; 12]),
        person: Arc::new(Person { unique_id: unique_id.into(), ..fakes::person() }),
        method: Method::Oath,
        code: code.map(|code| Secret::from_text(code.into())),
        application: "VPN".into(),
        person_address: None,
        deadline: Instant::now() + Duration::from_secs(20),
        device: None,
        number_matching: NumberMatching::Approve,
        can_type: true,
        tell: None,
    }
}

async fn typed(provider: &Oath, code: &str) -> Answer {
    provider.run(request(&fakes::alice().unique_id, Some(code))).await
}

/// Time passes, but not for the database.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const WRONG: Answer = Answer::Refused(Refusal::WrongCode);

#[tokio::test]
async fn a_code_is_good_once_and_none_before_it_is_good_afterwards() {
    let house = House::new().await;
    let provider = house.provider();
    assert_eq!(typed(&provider, &counted(1)).await, Answer::Approved, "one was skipped");
    assert_eq!(typed(&provider, &counted(1)).await, WRONG, "used before");
    assert_eq!(typed(&provider, &counted(0)).await, WRONG, "older than one that was used");
    // also by another server, and after a restart
    let other = house.provider();
    assert_eq!(typed(&other, &counted(1)).await, WRONG);
    assert_eq!(typed(&other, &counted(2)).await, Answer::Approved);
    assert_eq!(typed(&other, &timed(1)).await, Answer::Approved, "its clock is ahead");
    assert_eq!(typed(&other, &timed(1)).await, WRONG);
    let clock = house.store.token("CLOCK").await.unwrap().unwrap();
    assert!((0..=1).contains(&clock.drift), "learned: {}", clock.drift);
    assert!(clock.last_used.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_the_same_code_one_gets_in() {
    let house = House::new().await;
    let provider = Arc::new(Oath::new(
        &OathProvider {
            name: "local".into(),
            failover: Vec::new(),
            window: Duration::ZERO,
            look_ahead: 0,
            tries: 100,
            locked_for: Duration::from_secs(60),
        },
        Local { roster: house.store.clone(), keys: house.keys.clone() },
    ));
    let tries = (0..20).map(|_| {
        let provider = Arc::clone(&provider);
        tokio::spawn(async move { typed(&provider, &counted(0)).await })
    });
    let answers = futures_util::future::join_all(tries).await;
    let approved = answers.into_iter().filter(|answer| *answer.as_ref().unwrap() == Answer::Approved).count();
    assert_eq!(approved, 1);
}

#[tokio::test]
async fn wrong_codes_are_counted_and_the_right_one_waits_then() {
    let house = House::new().await;
    let provider = house.provider();
    for _ in 0..2 {
        assert_eq!(typed(&provider, "000000").await, WRONG);
    }
    assert_eq!(typed(&provider, &counted(0)).await, Answer::Approved, "a right one begins anew");
    for _ in 0..3 {
        assert_eq!(typed(&provider, "000000").await, WRONG);
    }
    let locked = Answer::Refused(Refusal::LockedThere);
    assert_eq!(typed(&provider, &counted(1)).await, locked);
    let bob = provider.run(request("bob", Some("000000"))).await;
    assert_eq!(bob, Answer::Refused(Refusal::NotThisWay), "somebody else is not locked out, and has no token");
    pass(Duration::from_secs(890)).await;
    assert_eq!(typed(&provider, &counted(1)).await, locked);
    pass(Duration::from_secs(20)).await;
    assert_eq!(typed(&provider, &counted(1)).await, Answer::Approved);
}

#[tokio::test]
async fn codes_of_others_of_other_lengths_and_of_lost_keys_let_nobody_in() {
    let house = House::new().await;
    let provider = house.provider();
    for odd in ["", "12345", "1234567", "abcdef"] {
        let provider = house.provider();
        assert_eq!(typed(&provider, odd).await, WRONG, "{odd}");
    }
    assert_eq!(provider.run(request("bob", Some(&counted(0)))).await, Answer::Refused(Refusal::NotThisWay));
    let none = provider.run(request(&fakes::alice().unique_id, None)).await;
    assert_eq!(none, Answer::Refused(Refusal::NeedsCode));
    assert!(provider.probe().await.is_ok());
    assert!(!format!("{provider:?}").contains("planted"));
    // the key file is gone: nobody gets in, and check says why
    std::fs::remove_file(house.folder.path().join("anteroom.keys")).unwrap();
    let lost = Arc::new(KeyFile::open(house.folder.path().join("anteroom.keys")).unwrap());
    let house = House { keys: lost, ..house };
    let provider = house.provider();
    assert_eq!(typed(&provider, &counted(0)).await, Answer::Refused(Refusal::Misconfigured));
    let trouble = provider.probe().await.unwrap_err().to_string();
    assert!(trouble.contains("key file") && trouble.contains("COUNTS") || trouble.contains("CLOCK"), "{trouble}");
}

#[tokio::test]
async fn while_the_cloud_is_away_a_code_of_the_house_lets_in_and_nothing_else_does() {
    let house = House::new().await;
    let away = Cloud::saying("entra", Some(Answer::Refused(Refusal::Unreachable(UnreachableClass::Connect))));
    let ledger = Arc::new(Recorder::default());
    let providers =
        vec![("entra", away.clone() as Arc<dyn Factor>), ("local", Arc::new(house.provider()) as Arc<dyn Factor>)];
    let sign_ins = SignIns::new(fakes::deps(&Arc::new(fakes::right()), providers, house.store.clone(), &ledger));
    let mut client = Arc::into_inner(fakes::client(Default::default())).unwrap();
    client.providers = vec!["entra".into(), "local".into()];
    client.passcode = Some(Passcode::Delimiter(",".into()));
    let client = Arc::new(client);
    let sign_in = async |password: String| {
        let attempt = Attempt { credential: Ok(Secret::from_text(password)), ..fakes::attempt(&client) };
        sign_ins.enter(attempt).await.outcome().await.reason()
    };
    assert_eq!(sign_in("right-password".into()).await, Reason::ProviderUnreachable, "nothing was typed");
    assert_eq!(sign_in("right-password,000000".into()).await, Reason::WrongCode);
    assert_eq!(sign_in(format!("right-password,{}", counted(0))).await, Reason::Approved);
    assert_eq!(sign_in(format!("right-password,{}", counted(0))).await, Reason::WrongCode, "a replay");
    let event = ledger.0.lock().unwrap().last().unwrap().clone();
    assert_eq!((event.provider.as_deref(), event.method), (Some("local"), Some(Method::Oath)));
}
