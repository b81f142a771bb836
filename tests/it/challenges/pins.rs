//! People in PIN mode: asked for their PIN after the password, before anybody is prompted; made to change it when that is
//! due; and tokens that are found again by the next code.

use anteroom::config::{Passcode, Rule, Then};
use anteroom::factor::local::split::PinSide;
use anteroom::users::model::Person;
use anteroom::users::pin::Rules;
use anteroom::users::pins::Pins;
use anteroom::users::roster::Roster;
use anteroom::users::store::Store;

use super::*;
use crate::local_codes::{House, counted};

const PIN: &str = "40927";

/// A hall over a real store, in which alice is in PIN mode; her codes are checked by the house, everything else by the cloud.
struct Pinned {
    house: House,
    hall: Hall,
}

impl Pinned {
    async fn new(methods: &[Method], pin: Option<&str>, must_change: bool) -> Pinned {
        Pinned::with(methods, pin, must_change, |_| {}).await
    }

    async fn with(methods: &[Method], pin: Option<&str>, must_change: bool, adjust: impl FnOnce(&mut Deps)) -> Pinned {
        let house = House::new().await;
        house.pin_mode(pin.unwrap_or(PIN), must_change).await;
        if pin.is_none() {
            house.store.set_pin(&fakes::alice().unique_id, None, 5, "test").await.unwrap();
        }
        let local = house.with(50, PinSide::Before, house.store.clone());
        let by_codes = methods.contains(&Method::Oath);
        let hall = Hall::with(Cloud::default(), methods, RULE, fakes::enrolled(), |deps| {
            deps.store = house.store.clone();
            deps.pins = Some(Pins { roster: house.store.clone(), rules: Rules::default() });
            if by_codes {
                deps.providers.insert("cloud".into(), Arc::new(local));
            }
            adjust(deps);
        });
        Pinned { house, hall }
    }

    /// A client that shows no challenges, where codes are typed behind a comma.
    async fn silently(&self, password: &str) -> Arc<Outcome> {
        let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
        client.passcode = Some(Passcode::Delimiter(",".into()));
        client.methods = self.hall.client.methods.clone();
        let client = Arc::new(client);
        let credential = Ok(Secret::from_text(password.into()));
        self.hall.enter(Attempt { credential, ..fakes::attempt(&client) }).await
    }
}

fn is_hidden(outcome: &Arc<Outcome>) -> bool {
    matches!(&**outcome, Outcome::Challenge(challenge) if challenge.hidden)
}

const ASKED: &str = "Enter your PIN.";

#[tokio::test]
async fn a_code_without_its_pin_is_followed_by_the_pin_and_says_nothing_of_the_code() {
    for (code, right) in [(counted(0), true), ("000000".to_owned(), false)] {
        let Pinned { hall, .. } = &Pinned::new(&[Method::Oath], Some(PIN), false).await;
        let asked = hall.first().await;
        assert_eq!((text(&asked), is_hidden(&asked)), ("Enter your code.", false));
        let pin = hall.answer(&asked, &code).await;
        assert_eq!((text(&pin), is_hidden(&pin)), (ASKED, true));
        let again = hall.answer(&pin, "40928").await;
        assert_eq!(text(&again), "That was not right. 2 more tries: Enter your PIN.");
        let answer = hall.answer(&again, PIN).await;
        if right {
            assert_eq!(heard(&answer), IN);
            let events = hall.ledger.0.lock().unwrap();
            assert_eq!((events.len(), events[0].method, events[0].requests), (1, Some(Method::Oath), 4));
        } else {
            assert_eq!(text(&answer), "That was not right. One more try: Enter your code.");
            assert_eq!(heard(&hall.answer(&answer, &counted(0)).await), IN, "the PIN is not asked for again");
        }
    }
}

#[tokio::test]
async fn pin_and_code_together_need_no_further_round() {
    let Pinned { hall, .. } = &Pinned::new(&[Method::Oath], Some(PIN), false).await;
    let asked = hall.first().await;
    let wrong = hall.answer(&asked, &format!("40928{}", counted(0))).await;
    assert_eq!(text(&wrong), "That was not right. 2 more tries: Enter your code.");
    assert_eq!(heard(&hall.answer(&wrong, &format!("{PIN}{}", counted(0))).await), IN);
    // the reason of the last wrong answer is the one in the audit
    let mut asked = hall.first().await;
    for _ in 0..3 {
        asked = hall.answer(&asked, &format!("40928{}", counted(1))).await;
    }
    assert_eq!(heard(&asked), (Verdict::Reject, Reason::WrongPin));
}

#[tokio::test]
async fn nobody_is_prompted_before_the_pin_was_right() {
    for (method, answer) in [(Method::Push, ""), (Method::SmsCode, RIGHT)] {
        let Pinned { hall, .. } = &Pinned::new(&[method], Some(PIN), false).await;
        let asked = hall.first().await;
        assert_eq!((text(&asked), is_hidden(&asked)), (ASKED, true));
        let asked = hall.answer(&asked, "99999").await;
        assert_eq!(hall.cloud.ways(), [], "nobody was prompted, and nothing was sent");
        hall.cloud.answered.notify_one();
        let next = hall.answer(&asked, PIN).await;
        let end = if answer.is_empty() { next } else { hall.answer(&next, answer).await };
        assert_eq!(heard(&end), IN, "{method:?}");
        assert_eq!(hall.ends(), [IN]);
    }
}

#[tokio::test]
async fn a_word_at_the_pin_is_remembered_and_the_pin_still_comes_first() {
    let Pinned { hall, .. } = &Pinned::new(&[Method::Push], Some(PIN), false).await;
    let asked = hall.first().await;
    let asked = hall.answer(&asked, "email").await;
    assert_eq!((text(&asked), hall.cloud.ways()), (ASKED, vec![]));
    let sent = hall.answer(&asked, PIN).await;
    assert!(text(&sent).starts_with("A code is on its way by e-mail."), "{}", text(&sent));
    assert_eq!(heard(&hall.answer(&sent, RIGHT).await), IN);
}

#[tokio::test]
async fn a_pin_that_is_due_is_changed_by_the_rules_before_anything_else() {
    let Pinned { hall, .. } = &Pinned::new(&[Method::Push], Some(PIN), true).await;
    let mut asked = hall.answer(&hall.first().await, PIN).await;
    assert!(text(&asked).starts_with("Your PIN has to be changed. Enter a new PIN of at least 4 digits, without"));
    for (new, told) in [
        ("12a4", "A PIN has 4 to 16 digits and nothing else."),
        ("407", "A PIN has 4 to 16 digits and nothing else."),
        ("9123", "Three digits in a row"),
        ("90101", "Four digits in a row are part of your phone number."),
        (PIN, "This PIN was used before."),
    ] {
        asked = hall.answer(&asked, new).await;
        assert!(text(&asked).starts_with(told) && is_hidden(&asked), "{new}: {}", text(&asked));
    }
    asked = hall.answer(&asked, "70913").await;
    assert_eq!((text(&asked), is_hidden(&asked)), ("Enter the new PIN once more.", true));
    asked = hall.answer(&asked, "70914").await;
    assert_eq!(text(&asked), "The two were not the same. Enter a new PIN.");
    asked = hall.answer(&asked, "70913").await;
    assert_eq!(hall.cloud.ways(), [], "nobody was prompted so far");
    hall.cloud.answered.notify_one();
    assert_eq!(heard(&hall.answer(&asked, "70913").await), IN);
    // from now on it is the new one
    let (old, new) = (hall.answer(&hall.first().await, PIN).await, hall.first().await);
    assert!(text(&old).starts_with("That was not right."));
    hall.cloud.answered.notify_one();
    assert_eq!(heard(&hall.answer(&new, "70913").await), IN);
}

#[tokio::test]
async fn a_due_pin_that_was_typed_with_a_code_is_changed_and_the_code_still_counts() {
    let Pinned { hall, .. } = &Pinned::new(&[Method::Oath], Some(PIN), true).await;
    let mut asked = hall.answer(&hall.first().await, &format!("{PIN}{}", counted(0))).await;
    assert!(text(&asked).starts_with("Your PIN has to be changed."), "{}", text(&asked));
    asked = hall.answer(&asked, "70913").await;
    assert_eq!(heard(&hall.answer(&asked, "70913").await), IN);
}

#[tokio::test]
async fn who_may_not_change_their_own_pin_or_has_none_stays_out() {
    let fixed = Rules { own_change: false, ..Rules::default() };
    let due = Pinned::with(&[Method::Push], Some(PIN), true, |deps| deps.pins.as_mut().unwrap().rules = fixed).await;
    let asked = due.hall.first().await;
    assert_eq!(heard(&due.hall.answer(&asked, PIN).await), (Verdict::Reject, Reason::PinDue));
    let none = Pinned::new(&[Method::Push], None, false).await;
    let asked = none.hall.first().await;
    assert_eq!(heard(&none.hall.answer(&asked, PIN).await), (Verdict::Reject, Reason::NoPin));
    let unknown = Pinned::with(&[Method::Push], Some(PIN), false, |deps| deps.pins = None).await;
    let asked = unknown.hall.first().await;
    assert_eq!(heard(&unknown.hall.answer(&asked, PIN).await), (Verdict::Reject, Reason::NoPin));
    assert_eq!(due.hall.cloud.ways().len() + none.hall.cloud.ways().len() + unknown.hall.cloud.ways().len(), 0);
}

#[tokio::test]
async fn wrong_pins_are_counted_over_sign_ins_and_then_not_even_the_right_one_counts() {
    let Pinned { hall, .. } = &Pinned::new(&[Method::Push], Some(PIN), false).await;
    let wrong = async |times: usize| {
        let mut asked = hall.first().await;
        for _ in 0..times {
            asked = hall.answer(&asked, "99998").await;
        }
        asked
    };
    assert_eq!(heard(&wrong(3).await), (Verdict::Reject, Reason::WrongPin));
    let asked = wrong(2).await;
    assert_eq!(heard(&hall.answer(&asked, PIN).await), (Verdict::Reject, Reason::PinLocked));
    assert_eq!(hall.cloud.ways(), []);
    let factors: Vec<_> = hall.ledger.0.lock().unwrap().iter().map(|event| event.factor).collect();
    assert_eq!(factors, [None, Some("pin_locked")]);
}

#[tokio::test]
async fn wrong_pins_end_in_the_lockout_of_wrong_codes() {
    let lockout =
        anteroom::config::Lockout { after: 2, reset: Duration::from_secs(600), release: Duration::from_secs(600) };
    let adjust = |deps: &mut Deps| deps.throttle.lockout = Some(lockout);
    let Pinned { hall, .. } = &Pinned::with(&[Method::Push], Some(PIN), false, adjust).await;
    let asked = hall.first().await;
    let asked = hall.answer(&asked, "99998").await;
    let asked = hall.answer(&asked, "99998").await;
    assert_eq!(heard(&hall.answer(&asked, PIN).await), (Verdict::Reject, Reason::Blocked));
}

#[tokio::test]
async fn through_a_client_without_challenges_the_pin_stands_behind_the_password() {
    let pinned = Pinned::new(&[Method::Push], Some(PIN), false).await;
    let cloud = &pinned.hall.cloud;
    assert_eq!(heard(&pinned.silently("secret").await), (Verdict::Reject, Reason::NeedsPin));
    assert_eq!(heard(&pinned.silently("secret,99999").await), (Verdict::Reject, Reason::WrongPin));
    assert_eq!(heard(&pinned.silently("secret,push").await), (Verdict::Reject, Reason::NeedsPin));
    assert_eq!(cloud.ways(), [], "nobody was prompted");
    cloud.answered.notify_one();
    assert_eq!(heard(&pinned.silently(&format!("secret,{PIN}")).await), IN);
    let due = Pinned::new(&[Method::Push], Some(PIN), true).await;
    assert_eq!(heard(&due.silently(&format!("secret,{PIN}")).await), (Verdict::Reject, Reason::PinDue));
    // with a token nothing has changed
    let token = Pinned::new(&[Method::Oath], Some(PIN), false).await;
    assert_eq!(heard(&token.silently(&format!("secret,{}", counted(0))).await), (Verdict::Reject, Reason::WrongCode));
    assert_eq!(heard(&token.silently(&format!("secret,{PIN}{}", counted(0))).await), IN);
}

/// In standard mode, with a token that is far off.
async fn standard() -> Pinned {
    let pinned = Pinned::new(&[Method::Oath], Some(PIN), false).await;
    assert!(pinned.house.store.replace(&Person { ..fakes::person() }).await.unwrap());
    pinned
}

#[tokio::test]
async fn a_token_that_is_too_far_off_is_found_again_by_its_next_code() {
    let Pinned { hall, .. } = &standard().await;
    let asked = hall.answer(&hall.first().await, &counted(100)).await;
    assert_eq!(text(&asked), "Wait for the next code of your token and enter it.");
    assert_eq!(heard(&hall.answer(&asked, &counted(101)).await), IN);
    let next = hall.first().await;
    assert_eq!(heard(&hall.answer(&next, &counted(102)).await), IN, "it is found");
    // what was used is no way in
    for typed in [counted(100), counted(101), counted(102)] {
        let asked = hall.answer(&hall.first().await, &typed).await;
        assert!(text(&asked).starts_with("That was not right."), "{typed}: {}", text(&asked));
    }
}

#[tokio::test]
async fn a_next_code_that_is_not_the_next_begins_anew_and_counts() {
    let Pinned { hall, .. } = &standard().await;
    let mut asked = hall.answer(&hall.first().await, &counted(100)).await;
    for left in ["2 more tries", "One more try"] {
        asked = hall.answer(&asked, &counted(102)).await;
        assert_eq!(text(&asked), format!("That was not right. {left}: Enter your code."));
        asked = hall.answer(&asked, &counted(100)).await;
        assert!(text(&asked).starts_with("Wait for the next code"), "{}", text(&asked));
    }
    assert_eq!(heard(&hall.answer(&asked, "").await), (Verdict::Reject, Reason::WrongCode));
}

#[tokio::test]
async fn with_a_pin_the_next_code_is_asked_for_only_after_it() {
    let Pinned { hall, .. } = &Pinned::new(&[Method::Oath], Some(PIN), false).await;
    let asked = hall.answer(&hall.first().await, &counted(100)).await;
    assert_eq!(text(&asked), ASKED);
    let asked = hall.answer(&asked, PIN).await;
    assert!(text(&asked).starts_with("Wait for the next code"), "{}", text(&asked));
    assert_eq!(heard(&hall.answer(&asked, &counted(101)).await), IN);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_requires_a_sent_code_takes_the_one_that_was_sent() {
    for (required, way) in [(Method::SmsCode, Method::SmsCode), (Method::EmailCode, Method::EmailCode)] {
        let rule = Rule {
            name: "sent".into(),
            clients: Vec::new(),
            applications: Vec::new(),
            users: Vec::new(),
            groups: Vec::new(),
            networks: Vec::new(),
            hours: None,
            then: Then::Require(vec![required]),
        };
        let rules = |deps: &mut Deps| deps.rules = vec![Arc::new(rule)];
        let hall = Hall::with(Cloud::default(), &[Method::Push], RULE, fakes::enrolled(), rules);
        let asked = hall.first().await;
        assert!(text(&asked).starts_with("A code is on its way"), "{}", text(&asked));
        let wrong = hall.answer(&asked, "000000").await;
        assert!(text(&wrong).starts_with("That was not right. 2 more tries: A code is on its way"));
        assert_eq!(heard(&hall.answer(&wrong, RIGHT).await), IN);
        assert_eq!(hall.cloud.ways(), [way, Method::Oath, Method::Oath]);
        // a code out of nowhere is none of these ways
        let password =
            Attempt { credential: Ok(Secret::from_text(format!("x,{RIGHT}"))), ..fakes::attempt(&hall.client) };
        assert_eq!(hall.enter(password).await.verdict(), Verdict::Challenge);
    }
}
