//! Challenge rounds: what is asked, who may answer it, how often, and what becomes of a prompt meanwhile; in virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anteroom::config::{Challenges, Client, ClientPolicy, Passcode};
use anteroom::factor::{Answer, Factor, Refusal, Request};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Attempt, Door, SignInId, Unusable};
use anteroom::signin::outcome::{Outcome, Reason, Verdict};
use anteroom::signin::reception::{Deps, SignIns};
use anteroom::users::model::{Method, Mode, Person};
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::support::fakes::{self, FakePrimary, FakeStore, Recorder};

mod attacks;
mod methods;
mod nodes;
mod phone;
mod phone_pins;
mod pins;
mod verdicts;

pub(super) const RIGHT: &str = "123456";

/// A cloud that sends codes, takes codes and pushes.
pub(super) struct Cloud {
    /// Each request: how, with a code or not, and under which identifier.
    pub(super) asked: Mutex<Vec<(Method, bool, SignInId)>>,
    pub(super) looked_at: AtomicUsize,
    pub(super) cancelled: AtomicUsize,
    /// The number that a push shows.
    pub(super) number: Option<&'static str>,
    /// What a push is answered with once `answered` is told; none: it fails at once with this.
    pub(super) fails: Option<Refusal>,
    pub(super) says: Mutex<Answer>,
    pub(super) answered: Notify,
    pub(super) takes_codes: bool,
}

impl Default for Cloud {
    fn default() -> Self {
        Cloud {
            asked: Mutex::default(),
            looked_at: AtomicUsize::new(0),
            cancelled: AtomicUsize::new(0),
            number: None,
            fails: None,
            says: Mutex::new(Answer::Approved),
            answered: Notify::new(),
            takes_codes: true,
        }
    }
}

struct Open<'a>(&'a Cloud, bool);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Factor for Cloud {
    fn name(&self) -> &str {
        "cloud"
    }

    fn offers(&self, _: &anteroom::users::model::Person, method: Method) -> bool {
        method != Method::Oath || self.takes_codes
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        self.asked.lock().unwrap().push((request.method, request.code.is_some(), request.sign_in));
        Box::pin(async move {
            if let Some(code) = &request.code {
                self.looked_at.fetch_add(1, Ordering::SeqCst);
                let right = code.matches(RIGHT.as_bytes());
                return if right { Answer::Approved } else { Answer::Refused(Refusal::WrongCode) };
            }
            match request.method {
                Method::SmsCode | Method::EmailCode => {
                    if let Some(tell) = &request.tell {
                        tell.code_sent();
                    }
                    Answer::Refused(Refusal::NeedsCode)
                }
                Method::Push if self.fails.is_some() => Answer::Refused(self.fails.unwrap()),
                _ => {
                    if let (Some(number), Some(tell)) = (self.number, &request.tell) {
                        tell.number(number);
                    }
                    let mut open = Open(self, true);
                    self.answered.notified().await;
                    open.1 = false;
                    self.says.lock().unwrap().clone()
                }
            }
        })
    }
}

impl Cloud {
    pub(super) fn ways(&self) -> Vec<Method> {
        self.asked.lock().unwrap().iter().map(|(method, ..)| *method).collect()
    }
}

pub(super) struct Hall {
    pub(super) cloud: Arc<Cloud>,
    pub(super) primary: Arc<FakePrimary>,
    pub(super) ledger: Arc<Recorder>,
    pub(super) sign_ins: Arc<SignIns>,
    pub(super) client: Arc<Client>,
}

pub(super) const RULE: Challenges =
    Challenges { tries: 3, within: Duration::from_secs(180), beside_prompt: false, menu: false };

impl Hall {
    pub(super) fn new(cloud: Cloud, methods: &[Method], rule: Challenges) -> Hall {
        Hall::with(cloud, methods, rule, fakes::enrolled(), |_| {})
    }

    pub(super) fn with(
        cloud: Cloud,
        methods: &[Method],
        rule: Challenges,
        store: FakeStore,
        adjust: impl FnOnce(&mut Deps),
    ) -> Hall {
        let (cloud, primary, ledger) = (Arc::new(cloud), Arc::new(fakes::right()), Arc::new(Recorder::default()));
        let mut deps =
            fakes::deps(&primary, vec![("cloud", cloud.clone() as Arc<dyn Factor>)], Arc::new(store), &ledger);
        adjust(&mut deps);
        let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
        (client.methods, client.challenge) = (methods.to_vec(), Some(rule));
        Hall { cloud, primary, ledger, sign_ins: SignIns::new(deps), client: Arc::new(client) }
    }

    pub(super) async fn first(&self) -> Arc<Outcome> {
        self.sign_ins.enter(fakes::attempt(&self.client)).await.outcome().await
    }

    pub(super) fn next(&self, state: &[u8], typed: &str) -> Attempt {
        let credential = match typed {
            "" => Err(Unusable::EmptyPassword),
            typed => Ok(Secret::from_text(typed.into())),
        };
        Attempt { credential, state: Some(state.into()), ..fakes::attempt(&self.client) }
    }

    pub(super) async fn answer(&self, asked: &Arc<Outcome>, typed: &str) -> Arc<Outcome> {
        self.enter(self.next(state(asked), typed)).await
    }

    pub(super) async fn enter(&self, attempt: Attempt) -> Arc<Outcome> {
        self.sign_ins.enter(attempt).await.outcome().await
    }

    pub(super) fn ends(&self) -> Vec<(Verdict, Reason)> {
        self.ledger.0.lock().unwrap().iter().map(|event| (event.verdict, event.reason)).collect()
    }
}

pub(super) fn state(outcome: &Arc<Outcome>) -> &[u8] {
    match &**outcome {
        Outcome::Challenge(challenge) => &challenge.state,
        other => panic!("no challenge: {other:?}"),
    }
}

pub(super) fn text(outcome: &Arc<Outcome>) -> &str {
    assert_eq!(outcome.verdict(), Verdict::Challenge, "{outcome:?}");
    outcome.text().unwrap()
}

fn heard(outcome: &Arc<Outcome>) -> (Verdict, Reason) {
    (outcome.verdict(), outcome.reason())
}

const IN: (Verdict, Reason) = (Verdict::Accept, Reason::Approved);

#[tokio::test(start_paused = true)]
async fn a_code_is_asked_for_and_lets_in() {
    let hall = Hall::new(Cloud::default(), &[Method::Oath], RULE);
    let asked = hall.first().await;
    assert_eq!(text(&asked), "Enter your code.");
    assert_eq!((hall.ends(), hall.cloud.ways()), (vec![], vec![]), "nothing has ended, nobody was asked");
    assert_eq!(heard(&hall.answer(&asked, RIGHT).await), IN);
    let events = hall.ledger.0.lock().unwrap();
    assert_eq!(events.len(), 1, "one sign-in, one event");
    let event = &events[0];
    assert_eq!((event.requests, event.method, event.factor), (2, Some(Method::Oath), Some("approved")));
    assert_eq!((event.primary, hall.primary.binds.load(Ordering::SeqCst)), (Some("passed"), 1), "one bind");
}

#[tokio::test(start_paused = true)]
async fn wrong_codes_are_asked_again_a_few_times_with_what_is_left() {
    let hall = Hall::new(Cloud::default(), &[Method::Oath], RULE);
    let first = hall.first().await;
    let second = hall.answer(&first, "000000").await;
    assert_eq!(text(&second), "That was not right. 2 more tries: Enter your code.");
    let third = hall.answer(&second, "").await;
    assert_eq!(text(&third), "That was not right. One more try: Enter your code.");
    assert_eq!(heard(&hall.answer(&third, "000001").await), (Verdict::Reject, Reason::WrongCode));
    assert_eq!(hall.ends(), [(Verdict::Reject, Reason::WrongCode)]);
    assert_eq!(hall.cloud.looked_at.load(Ordering::SeqCst), 2, "nothing typed is nothing to look at");
    let asked = hall.cloud.asked.lock().unwrap();
    assert_ne!(asked[0].2, asked[1].2, "no provider takes the second code for the first one again");
}

#[tokio::test(start_paused = true)]
async fn a_code_that_was_sent_is_typed_in_the_same_sign_in_and_sent_again_if_wished() {
    let hall = Hall::new(Cloud::default(), &[Method::SmsCode], RULE);
    let asked = hall.first().await;
    assert_eq!(text(&asked), "A code is on its way as a text message. Enter it, or r for a new one.");
    let again = hall.answer(&asked, "r").await;
    assert_eq!(text(&again), "A code is on its way as a text message. Enter it, or r for a new one.");
    let wrong = hall.answer(&again, "999999").await;
    assert!(text(&wrong).starts_with("That was not right. 2 more tries: A code is on its way"), "{}", text(&wrong));
    assert_eq!(heard(&hall.answer(&wrong, RIGHT).await), IN);
    assert_eq!(hall.cloud.ways(), [Method::SmsCode, Method::SmsCode, Method::Oath, Method::Oath]);
    assert_eq!(hall.ends(), [IN]);
}

#[tokio::test(start_paused = true)]
async fn each_person_reads_their_own_language() {
    let mut store = fakes::enrolled();
    store.person.as_mut().unwrap().as_mut().unwrap().language = "de-AT".into();
    let hall = Hall::with(Cloud::default(), &[Method::Oath], RULE, store, |_| {});
    let asked = hall.first().await;
    assert_eq!(text(&asked), "Bitte geben Sie Ihren Code ein.");
    assert!(text(&hall.answer(&asked, "0").await).starts_with("Das war nicht richtig. Noch 2 Versuche:"));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_have_texts_of_its_own() {
    let mut texts = anteroom::texts::Texts::built_in();
    texts.add("en", "enter_code = \"Code of the blue token:\"\nnumber = \"Type {number}.\"").unwrap();
    for (methods, own, usual) in [
        ([Method::Oath], "Code of the blue token:", "Enter your code."),
        ([Method::Push], "Type 42.", "Enter 42 in your app, then press OK here."),
    ] {
        let hall = || Hall::new(Cloud { number: Some("42"), ..Cloud::default() }, &methods, RULE);
        let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
        (client.methods, client.challenge) = (methods.to_vec(), Some(RULE));
        client.texts = Some(Arc::new(texts.clone()));
        assert_eq!(text(&hall().enter(fakes::attempt(&Arc::new(client))).await), own);
        assert_eq!(text(&hall().first().await), usual, "everywhere else they are as they were");
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_is_held_without_any_challenge_unless_it_is_wished() {
    let hall = Hall::new(Cloud::default(), &[Method::Push], RULE);
    let waiting = hall.sign_ins.enter(fakes::attempt(&hall.client)).await;
    let task = tokio::spawn(waiting.outcome());
    tokio::time::sleep(Duration::from_secs(30)).await;
    hall.cloud.answered.notify_one();
    assert_eq!(heard(&task.await.unwrap()), IN);
    assert_eq!(hall.cloud.ways(), [Method::Push]);
}

#[tokio::test(start_paused = true)]
async fn beside_a_push_a_code_does_as_well_and_takes_the_push_back() {
    let hall = Hall::new(Cloud::default(), &[Method::Push], Challenges { beside_prompt: true, ..RULE });
    let asked = hall.first().await;
    assert_eq!(text(&asked), "Approve on your phone and press OK here, or enter a code.");
    let wrong = hall.answer(&asked, "000000").await;
    assert!(text(&wrong).starts_with("That was not right."));
    assert_eq!(hall.cloud.cancelled.load(Ordering::SeqCst), 0, "the push is still out");
    assert_eq!(heard(&hall.answer(&wrong, RIGHT).await), IN);
    tokio::task::yield_now().await;
    assert_eq!(hall.cloud.cancelled.load(Ordering::SeqCst), 1);
    assert_eq!((hall.cloud.ways(), hall.ends()), (vec![Method::Push, Method::Oath, Method::Oath], vec![IN]));
}

#[tokio::test(start_paused = true)]
async fn beside_a_push_nothing_typed_waits_for_it_in_as_many_rounds_as_it_takes() {
    let hall = Hall::new(Cloud::default(), &[Method::Push], Challenges { beside_prompt: true, ..RULE });
    let asked = hall.first().await;
    let still = hall.answer(&asked, "").await;
    assert_eq!(text(&still), "Still waiting for your phone: approve there, then press OK here.");
    let task = tokio::spawn(hall.sign_ins.enter(hall.next(state(&still), "ok")).await.outcome());
    tokio::time::sleep(Duration::from_secs(5)).await;
    hall.cloud.answered.notify_one();
    assert_eq!(heard(&task.await.unwrap()), IN);
    assert_eq!((hall.cloud.ways(), hall.ends()), (vec![Method::Push], vec![IN]));
    assert_eq!(hall.ledger.0.lock().unwrap()[0].requests, 3);
}

#[tokio::test(start_paused = true)]
async fn a_push_that_was_answered_between_two_rounds_decides() {
    for (said, expected) in [
        (Answer::Approved, IN),
        (Answer::Refused(Refusal::Denied), (Verdict::Reject, Reason::Denied)),
        (Answer::Refused(Refusal::Fraud), (Verdict::Reject, Reason::Fraud)),
    ] {
        // A code that comes after a denial is not even looked at.
        for typed in ["", RIGHT] {
            let hall = Hall::new(Cloud::default(), &[Method::Push], Challenges { beside_prompt: true, ..RULE });
            *hall.cloud.says.lock().unwrap() = said.clone();
            let asked = hall.first().await;
            hall.cloud.answered.notify_one();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(heard(&hall.answer(&asked, typed).await), expected, "{said:?} {typed}");
            assert_eq!((hall.cloud.looked_at.load(Ordering::SeqCst), hall.ends()), (0, vec![expected]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_on_the_phone_counts_although_nobody_ever_answers_the_challenge() {
    let rule = Challenges { beside_prompt: true, ..RULE };
    let second = Duration::from_secs(1);
    for number in [None, Some("42")] {
        for (refusal, reason, blocks) in [(Refusal::Fraud, Reason::Fraud, 1), (Refusal::Denied, Reason::Denied, 0)] {
            for answers in [false, true] {
                let store = Arc::new(fakes::enrolled());
                let cloud = Cloud { number, ..Cloud::default() };
                *cloud.says.lock().unwrap() = Answer::Refused(refusal);
                let hall = Hall::with(cloud, &[Method::Push], rule, fakes::enrolled(), |deps| {
                    deps.store = store.clone();
                    deps.throttle.denial_backoff = second * 600;
                });
                // Somebody has the password, and sees the challenge; the owner has the phone.
                let asked = hall.first().await;
                hall.cloud.answered.notify_one();
                tokio::time::sleep(second).await;
                assert_eq!(store.blocked.load(Ordering::SeqCst), blocks, "at once");
                let again =
                    Attempt { credential: Ok(Secret::from_text("right".into())), ..fakes::attempt(&hall.client) };
                assert_eq!(heard(&hall.enter(again).await), (Verdict::Reject, Reason::PromptLimited));
                if answers {
                    assert_eq!(heard(&hall.answer(&asked, "").await), (Verdict::Reject, reason));
                }
                tokio::time::sleep(second * 300).await;
                let mut ends = hall.ends();
                ends.sort_by_key(|(_, reason)| reason.code());
                assert_eq!(ends.len(), 2, "{ends:?}");
                assert!(ends.contains(&(Verdict::Reject, reason)), "{ends:?}");
                assert_eq!(store.blocked.load(Ordering::SeqCst), blocks, "and once");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_is_shown_while_its_prompt_is_out() {
    let hall = Hall::new(Cloud { number: Some("42"), ..Cloud::default() }, &[Method::Push], RULE);
    let asked = hall.first().await;
    assert_eq!(text(&asked), "Enter 42 in your app, then press OK here.");
    hall.cloud.answered.notify_one();
    assert_eq!(heard(&hall.answer(&asked, "").await), IN);
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_does_not_answer_is_followed_by_a_code_where_codes_are_listed() {
    for (methods, takes_codes) in [(vec![Method::Push, Method::Oath], true), (vec![Method::Push], false)] {
        for refusal in [Refusal::Undeliverable, Refusal::Expired, Refusal::NotThisWay, Refusal::Denied] {
            let hall = Hall::new(Cloud { fails: Some(refusal), ..Cloud::default() }, &methods, RULE);
            let outcome = hall.first().await;
            if takes_codes && refusal != Refusal::Denied {
                assert_eq!(text(&outcome), "Your phone did not answer. Enter a code instead.");
                assert_eq!(heard(&hall.answer(&outcome, RIGHT).await), IN);
            } else {
                assert_eq!(heard(&outcome), (Verdict::Reject, Reason::from_factor(refusal)));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_menu_offers_the_ways_and_each_answer_goes_its_own() {
    let rule = Challenges { menu: true, ..RULE };
    let methods = [Method::Push, Method::SmsCode, Method::Oath];
    let choose = async |typed: &'static str| {
        let hall = Hall::new(Cloud::default(), &methods, rule);
        let asked = hall.first().await;
        assert_eq!(
            text(&asked),
            "How do you want to sign in? 1 = app, 2 = text message with a code, 3 = code of your token"
        );
        hall.cloud.answered.notify_one();
        (hall.answer(&asked, typed).await, hall)
    };
    let (outcome, hall) = choose("1").await;
    assert_eq!((heard(&outcome), hall.cloud.ways()), (IN, vec![Method::Push]));
    let (outcome, hall) = choose("push").await;
    assert_eq!((heard(&outcome), hall.cloud.ways()), (IN, vec![Method::Push]));
    let (outcome, hall) = choose("2").await;
    assert!(text(&outcome).starts_with("A code is on its way as a text message."));
    assert_eq!(heard(&hall.answer(&outcome, RIGHT).await), IN);
    let (outcome, hall) = choose("3").await;
    assert_eq!((text(&outcome), hall.cloud.ways()), ("Enter your code.", vec![]));
    let (outcome, hall) = choose(RIGHT).await;
    assert_eq!((heard(&outcome), hall.cloud.ways()), (IN, vec![Method::Oath]), "a code is a code");
    let (outcome, _) = choose("9").await;
    assert!(text(&outcome).starts_with("That was not right."), "{}", text(&outcome));
}

#[tokio::test(start_paused = true)]
async fn a_menu_that_is_shown_again_after_something_wrong_still_has_all_its_ways() {
    let mut store = fakes::enrolled();
    store.person.as_mut().unwrap().as_mut().unwrap().language = "fr".into();
    let methods = [Method::Push, Method::Call, Method::SmsReply, Method::SmsCode, Method::EmailCode, Method::Oath];
    let rule = Challenges { menu: true, ..RULE };
    let hall = Hall::with(Cloud::default(), &methods, rule, store, |_| {});
    let asked = hall.first().await;
    let again = hall.answer(&asked, "9").await;
    let shown = text(&again);
    assert!(shown.len() <= 253 && (1..=6).all(|way| shown.contains(&way.to_string())), "{shown}");
    assert!((1..=6).all(|way| text(&asked).contains(&way.to_string())), "{}", text(&asked));
}

#[tokio::test(start_paused = true)]
async fn another_way_can_be_had_by_its_word_and_the_prompt_that_is_out_is_taken_back() {
    let hall = Hall::new(Cloud::default(), &[Method::Push], Challenges { beside_prompt: true, ..RULE });
    let asked = hall.first().await;
    let sent = hall.answer(&asked, "email").await;
    assert_eq!(text(&sent), "A code is on its way by e-mail. Enter it, or r for a new one.");
    tokio::task::yield_now().await;
    assert_eq!(hall.cloud.cancelled.load(Ordering::SeqCst), 1);
    assert_eq!(heard(&hall.answer(&sent, RIGHT).await), IN);
}

#[tokio::test(start_paused = true)]
async fn a_challenge_that_nobody_answers_leaves_its_event_and_takes_its_prompt_back() {
    let hall = Hall::new(Cloud::default(), &[Method::Push], Challenges { beside_prompt: true, ..RULE });
    let asked = hall.first().await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(hall.ends(), [(Verdict::Reject, Reason::ChallengeExpired)]);
    assert_eq!(hall.cloud.cancelled.load(Ordering::SeqCst), 1);
    assert_eq!(heard(&hall.answer(&asked, RIGHT).await), (Verdict::Reject, Reason::StateUsed));
    assert_eq!(hall.cloud.looked_at.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_up_every_round() {
    let hall = Hall::new(Cloud::default(), &[Method::Oath], RULE);
    let _ = hall.first().await;
    hall.sign_ins.drain(Duration::from_secs(1)).await;
    assert_eq!(hall.ends(), [(Verdict::Discard, Reason::ShuttingDown)]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_while_a_challenge_waits_gets_the_same_one_and_nothing_is_sent_twice() {
    let hall = Hall::new(Cloud::default(), &[Method::SmsCode], RULE);
    let (first, again) = (hall.first().await, hall.first().await);
    assert_eq!(state(&first), state(&again));
    assert_eq!((hall.cloud.ways(), hall.primary.binds.load(Ordering::SeqCst)), (vec![Method::SmsCode], 1));
    // The same of a further round: the wrong code counts once.
    let wrong = hall.answer(&first, "000000").await;
    let retry = hall.answer(&first, "000000").await;
    assert_eq!((state(&wrong), text(&wrong)), (state(&retry), text(&retry)));
    assert_eq!(hall.cloud.looked_at.load(Ordering::SeqCst), 1);
    // Another password is another sign-in.
    let other = Attempt { credential: Ok(Secret::from_text("right".into())), ..fakes::attempt(&hall.client) };
    assert_ne!(state(&hall.enter(other).await), state(&first));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_blocked_between_two_rounds_stays_out() {
    struct Turning(Mutex<Vec<anteroom::users::model::Person>>);
    impl Turning {
        fn note_block(&self, _: &str) {}
    }
    impl anteroom::users::store::Store for Turning {
        fn person<'a>(
            &'a self,
            _: &'a str,
        ) -> BoxFuture<'a, anteroom::users::store::StoreResult<Option<anteroom::users::model::Person>>> {
            let person = self.0.lock().unwrap().pop();
            Box::pin(async move { Ok(person) })
        }
        fakes::store_does_nothing_else!();
    }
    let blocked = anteroom::users::model::Person {
        blocked_until: Some(SystemTime::now() + Duration::from_secs(3600)),
        ..fakes::person()
    };
    // Whether they type a code, or have approved on the phone meanwhile.
    for (way, typed) in [(Method::Oath, RIGHT), (Method::Push, "")] {
        let turns = Turning(Mutex::new(vec![blocked.clone(), fakes::person()]));
        let rule = Challenges { beside_prompt: true, ..RULE };
        let store = |deps: &mut Deps| deps.store = Arc::new(turns);
        let hall = Hall::with(Cloud::default(), &[way], rule, fakes::enrolled(), store);
        let asked = hall.first().await;
        hall.cloud.answered.notify_one();
        assert_eq!(heard(&hall.answer(&asked, typed).await), (Verdict::Reject, Reason::Blocked), "{way:?}");
        assert_eq!(hall.cloud.looked_at.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_challenges_is_never_sent_one() {
    let hall = Hall::new(Cloud { number: Some("42"), ..Cloud::default() }, &[Method::Oath], RULE);
    for methods in [vec![Method::Oath], vec![Method::SmsCode], vec![Method::Push, Method::Oath]] {
        let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
        client.methods = methods;
        hall.cloud.answered.notify_one();
        let outcome = hall.enter(fakes::attempt(&Arc::new(client))).await;
        assert_ne!(outcome.verdict(), Verdict::Challenge);
    }
}

/// LDAP has no challenge: no key of an LDAP client brings one, and none is made of whatever the provider says.
#[tokio::test(start_paused = true)]
async fn no_bind_is_ever_sent_a_challenge() {
    let tables = anteroom::config::known::tables();
    let keys = tables.iter().filter(|(table, _)| table.starts_with("ldap.")).flat_map(|(_, keys)| keys.iter());
    assert!(keys.clone().count() > 20 && keys.clone().all(|key| !key.contains("challenge")), "no such key is known");
    let mut binds = 0;
    for method in Method::ALL {
        for mode in [Mode::Standard, Mode::Pin] {
            for fails in Refusal::ALL.map(Some).into_iter().chain([None]) {
                for passcode in [None, Some(Passcode::Delimiter(",".into())), Some(Passcode::Length(6))] {
                    for shows_texts in [false, true] {
                        for password in
                            ["right-password", "right-password,123456", "right-password,sms", "right-password123456"]
                        {
                            let (mode, passcode) = (mode, passcode.clone());
                            let store = fakes::enrolled();
                            let person = Person { mode, method, ..store.person.clone().unwrap().unwrap() };
                            let cloud = Cloud { fails, number: Some("42"), ..Cloud::default() };
                            cloud.answered.notify_one();
                            let store = FakeStore { person: Ok(Some(person)), ..store };
                            let hall = Hall::with(cloud, &[method, Method::Oath], RULE, store, |_| {});
                            let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
                            (client.methods, client.passcode, client.shows_texts) =
                                (vec![method, Method::Oath], passcode, shows_texts);
                            let attempt = Attempt {
                                door: Door::Ldap,
                                credential: Ok(Secret::from_text(password.into())),
                                ..fakes::attempt(&Arc::new(client))
                            };
                            let outcome = hall.enter(attempt).await;
                            assert_ne!(
                                outcome.verdict(),
                                Verdict::Challenge,
                                "{method:?} {mode:?} {fails:?} {password}"
                            );
                            assert_eq!(hall.ends().len(), 1, "{method:?} {mode:?} {fails:?} {password}");
                            binds += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(binds > 5_000, "{binds}");
}

#[tokio::test(start_paused = true)]
async fn who_could_have_typed_a_code_is_told_so_where_texts_are_shown() {
    let said = async |shows_texts, passcode, methods: &[Method], fails| {
        let hall = Hall::new(Cloud { fails: Some(fails), ..Cloud::default() }, methods, RULE);
        let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
        (client.methods, client.passcode, client.shows_texts) = (methods.to_vec(), passcode, shows_texts);
        match &*hall.enter(fakes::attempt(&Arc::new(client))).await {
            Outcome::Explained { text, .. } => Some(text.to_string()),
            outcome => {
                assert_eq!(outcome.verdict(), Verdict::Reject);
                None
            }
        }
    };
    let comma = || Some(Passcode::Delimiter(",".into()));
    let away = Refusal::Unreachable(anteroom::config::UnreachableClass::Connect);
    let helps = Some("Your phone could not be asked. Sign in again with a code behind your password.".to_owned());
    let both = [Method::Push, Method::Oath];
    for fails in [away, Refusal::Undeliverable, Refusal::Expired, Refusal::Lost] {
        assert_eq!(said(true, comma(), &both, fails).await, helps, "{fails:?}");
    }
    assert_eq!(said(false, comma(), &both, away).await, None, "its client shows no texts");
    assert_eq!(said(true, None, &both, away).await, None, "a code has no place");
    assert_eq!(said(true, comma(), &[Method::Push], away).await, None, "a code is no way of theirs");
    assert_eq!(said(true, comma(), &both, Refusal::Denied).await, None, "they have answered");
}
