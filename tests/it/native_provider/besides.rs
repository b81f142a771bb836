//! What a person types on their phone besides approving: the PIN, which is checked here and counted like any other, and the
//! number that their client shows.

use anteroom::factor::{self, Given, Tell};
use anteroom::users::details::Pin;
use anteroom::users::model::Mode;
use anteroom::users::pin::{Rules, hash};
use anteroom::users::pins::{self, Pins};
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store;

use super::*;

const PIN: &str = "40927";

/// The phone, a provider that is told to count on all that the service does, and a store with alice in PIN mode.
struct Besides {
    phone: Phone,
    native: Native,
    store: Arc<SqlStore>,
    _folder: tempfile::TempDir,
}

impl Besides {
    async fn new(after_ms: u64, timing: Timing) -> Besides {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqlStore::open(folder.path().join("people.db"), true).await.unwrap());
        store.add(&alice(Mode::Pin)).await.unwrap();
        let behaviour = Behaviour::Answer { decision: Decision::Approve, after_ms };
        let options = PhoneOptions { key: Some(("test".into(), key())), behaviour };
        let phone = Phone::start(LOOPBACK, options).await.unwrap();
        let config = NativeProvider { pin_on_phone: true, number_matching: true, ..config(phone.url()) };
        let native = Native::start_with(&config, server(), timing).unwrap();
        let native = native.with_pins(Some(Pins { roster: store.clone(), rules: Rules::default() }));
        let besides = Besides { phone, native, store, _folder: folder };
        besides.set_pin(Some(PIN), false).await;
        besides
    }

    async fn set_pin(&self, pin: Option<&str>, change_required: bool) {
        let hash = |pin: &str| hash(&Secret::from_text(pin.into())).unwrap();
        let pin = pin.map(|pin| Pin { hash: hash(pin), change_required, expires: None });
        assert!(self.store.set_pin(&alice(Mode::Pin).unique_id, pin.as_ref(), 5, "test").await.unwrap());
    }

    /// Asks as a sign-in does: what comes of it.
    async fn ask(&self, request: Request) -> Result<(), Refusal> {
        factor::ask(&self.native, request).await.map(|approved| {
            assert_eq!(approved.unique_id(), "uid-alice");
        })
    }

    /// What alice, in this mode, comes to.
    async fn alice(&self, number: u32, mode: Mode) -> Result<(), Refusal> {
        self.ask(asking(number, mode)).await
    }
}

fn alice(mode: Mode) -> Person {
    let plain = request("alice", id(0), Duration::ZERO);
    Person { mode, ..Person::clone(&plain.person) }
}

fn asking(number: u32, mode: Mode) -> Request {
    Request { person: Arc::new(alice(mode)), ..request("alice", id(number), Duration::from_secs(20)) }
}

#[tokio::test]
async fn the_pin_that_is_typed_on_the_phone_is_checked_here() {
    // in the answer of the request itself, and by the stream
    for after_ms in [0, 30] {
        let besides = Besides::new(after_ms, QUICK).await;
        assert_eq!(besides.alice(1, Mode::Pin).await, Ok(()), "{after_ms}");
        besides.phone.types("alice", Some("40928"), None);
        assert_eq!(besides.alice(2, Mode::Pin).await, Err(Refusal::WrongPin), "{after_ms}");
        assert_eq!(besides.alice(3, Mode::Standard).await, Ok(()), "nobody is asked for a PIN in standard mode");
        let wanted: Vec<bool> = besides.phone.prompts().iter().map(|prompt| prompt.wants_pin).collect();
        assert_eq!(wanted, [true, true, false]);
    }
}

#[tokio::test]
async fn it_is_checked_where_states_are_asked_for_too() {
    let besides = Besides::new(30, QUICK).await;
    besides.phone.drop_streams(false);
    assert_eq!(besides.alice(1, Mode::Pin).await, Ok(()));
    besides.phone.types("alice", Some("40928"), None);
    assert_eq!(besides.alice(2, Mode::Pin).await, Err(Refusal::WrongPin));
    assert!(besides.phone.counts().polls > 0);
}

#[tokio::test]
async fn nothing_but_a_pin_that_is_right_is_an_approval_in_pin_mode() {
    let besides = Besides::new(0, QUICK).await;
    for (number, typed) in [(1, ""), (2, "abcd"), (3, "12345678901234567")] {
        besides.phone.types("alice", Some(typed), None);
        assert_eq!(besides.alice(number, Mode::Pin).await, Err(Refusal::Garbled), "{typed:?}");
    }
    for (number, decision, refusal) in [
        (31, Decision::Deny, Refusal::Denied),
        (32, Decision::Fraud, Refusal::Fraud),
        (33, Decision::Undeliverable, Refusal::Undeliverable),
    ] {
        besides.phone.types("alice", Some(PIN), None);
        besides.phone.set_behaviour(None, Behaviour::Answer { decision, after_ms: 0 });
        assert_eq!(besides.alice(number, Mode::Pin).await, Err(refusal));
    }
    for (garbage, number) in Garbage::ALL.into_iter().zip(40..) {
        besides.phone.set_behaviour(None, Behaviour::Garbage { garbage, by_event: false });
        assert_eq!(besides.alice(number, Mode::Pin).await, Err(Refusal::Garbled), "{garbage:?}");
    }
}

#[tokio::test]
async fn who_has_no_pin_is_not_prompted_and_a_due_one_is_no_way_in() {
    let besides = Besides::new(0, QUICK).await;
    besides.set_pin(Some(PIN), true).await;
    assert_eq!(besides.alice(1, Mode::Pin).await, Err(Refusal::PinDue));
    besides.set_pin(None, false).await;
    assert_eq!(besides.alice(2, Mode::Pin).await, Err(Refusal::NoPin));
    besides.store.close().await;
    assert_eq!(besides.alice(3, Mode::Pin).await, Err(Refusal::Lost), "nobody can say what the PIN is");
    assert_eq!(besides.phone.prompts().len(), 1);
}

#[tokio::test]
async fn wrong_pins_on_the_phone_are_counted_with_all_others() {
    let besides = Besides::new(0, QUICK).await;
    let roster: &dyn Roster = &*besides.store;
    let typed = async |pin: &str| {
        let pin = Secret::from_text(pin.into());
        pins::check(roster, "uid-alice", &pin, &Rules::default(), std::time::SystemTime::now()).await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(typed("40928").await, Err(pins::PinVerdict::Wrong));
    }
    besides.phone.types("alice", Some("40928"), None);
    for number in 1..=3 {
        assert_eq!(besides.alice(number, Mode::Pin).await, Err(Refusal::WrongPin));
    }
    besides.phone.types("alice", Some(PIN), None);
    assert_eq!(besides.alice(4, Mode::Pin).await, Err(Refusal::PinLocked), "five were wrong: not even the right one");
    assert_eq!(typed(PIN).await, Err(pins::PinVerdict::Locked));
}

#[tokio::test]
async fn a_pin_that_was_typed_before_is_not_asked_for_again_and_one_of_somebody_else_is_none() {
    let besides = Besides::new(0, QUICK).await;
    let pin = Secret::from_text(PIN.into());
    let now = std::time::SystemTime::now();
    let passed = pins::check(&*besides.store, "uid-alice", &pin, &Rules::default(), now).await.unwrap().unwrap();
    let given = |pin| Some(Box::new(Given { pin: Some(pin), before: None, can_ask: false }));
    let request = Request { given: given(passed.clone()), ..asking(1, Mode::Pin) };
    assert_eq!(besides.ask(request).await, Ok(()));
    assert!(!besides.phone.prompts()[0].wants_pin);
    let bob = Person { unique_id: "uid-bob".into(), name: "bob".into(), ..alice(Mode::Pin) };
    let request = Request { given: given(passed), person: Arc::new(bob), ..asking(2, Mode::Pin) };
    assert_eq!(factor::ask(&besides.native, request).await.unwrap_err(), Refusal::NoPin);
}

#[tokio::test]
async fn a_service_that_was_not_told_to_ask_for_pins_is_not_asked() {
    let rig = Rig::new(APPROVE).await;
    assert_eq!(factor::ask(&*rig.native, asking(1, Mode::Pin)).await.unwrap_err(), Refusal::NeedsPin);
    assert_eq!(rig.phone.prompts().len(), 0);
}

#[tokio::test]
async fn the_number_that_is_shown_is_the_one_that_has_to_be_typed() {
    let besides = Besides::new(30, QUICK).await;
    let shown = async |number: u32| {
        let tell = Tell::new(true);
        let request = Request { tell: Some(tell.clone()), ..asking(number, Mode::Standard) };
        (besides.ask(request).await, tell.take().unwrap_or_default())
    };
    let (answer, text) = shown(1).await;
    let number = besides.phone.prompts()[0].shown.clone().unwrap();
    assert_eq!((answer, text), (Ok(()), format!("Enter {number} in your app, then press OK here.")));
    besides.phone.types("alice", None, Some("5"));
    assert_eq!(shown(2).await.0, Err(Refusal::Denied), "whoever types another one has not signed in here");
}

#[tokio::test]
async fn where_no_number_can_be_shown_none_is_asked_for() {
    let besides = Besides::new(0, QUICK).await;
    for (number, tell) in [(1, None), (2, Some(Tell::new(false)))] {
        let request = Request { tell: tell.clone(), ..asking(number, Mode::Standard) };
        assert_eq!(besides.ask(request).await, Ok(()));
        assert_eq!(tell.and_then(|tell| tell.take()), None);
    }
    let call = Request { method: Method::Call, tell: Some(Tell::new(true)), ..asking(3, Mode::Standard) };
    assert_eq!(besides.ask(call).await, Ok(()));
    assert!(besides.phone.prompts().iter().all(|prompt| prompt.shown.is_none()));
}

#[tokio::test]
async fn a_check_says_what_the_service_does_not() {
    let besides = Besides::new(0, QUICK).await;
    assert_eq!(besides.native.ping().await.unwrap().lacks, None);
    let rig = Rig::new(APPROVE).await;
    assert_eq!(rig.native.ping().await.unwrap().lacks, None, "nothing is counted on");
}
