//! Texts for the person, ways in order, and the words by which people choose them.

#![cfg(test)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::config::{Client, ClientPolicy, Passcode};
use anteroom::factor::{Answer, Factor, Refusal, Request};
use anteroom::secret::Secret;
use anteroom::signin::attempt::Attempt;
use anteroom::signin::outcome::{Outcome, Reason, Verdict};
use anteroom::signin::reception::SignIns;
use anteroom::users::model::{Method, Person};
use futures_util::future::BoxFuture;

use crate::support::fakes::{self, Recorder};

const LINK: &str = "Enrol at https://enrol.example/portal?code=abc";

/// Method, device, whether a code can be typed, whether a text is shown.
type Way = (Method, Option<u8>, bool, bool);

/// A provider that has nothing for some ways, and remembers how it was asked.
struct Picky {
    has: Vec<Method>,
    sends_calls: bool,
    answer: Answer,
    asked: Mutex<Vec<Way>>,
}

impl Picky {
    fn new(has: &[Method]) -> Arc<Picky> {
        let (has, answer) = (has.to_vec(), Answer::Approved);
        Arc::new(Picky { has, sends_calls: false, answer, asked: Mutex::default() })
    }

    fn ways(&self) -> Vec<Method> {
        self.asked.lock().unwrap().iter().map(|(method, ..)| *method).collect()
    }
}

impl Factor for Picky {
    fn name(&self) -> &str {
        "picky"
    }

    fn offers(&self, _: &Person, _: Method) -> bool {
        true
    }

    fn sends_code(&self, method: Method) -> bool {
        matches!(method, Method::SmsCode | Method::EmailCode) || (self.sends_calls && method == Method::Call)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        let asked = (request.method, request.device, request.can_type, request.tell.is_some());
        self.asked.lock().unwrap().push(asked);
        let has = self.has.contains(&request.method);
        let answer = if has { self.answer.clone() } else { Answer::Refused(Refusal::NotThisWay) };
        Box::pin(std::future::ready(answer))
    }
}

fn sign_ins(providers: Vec<(&str, Arc<dyn Factor>)>) -> Arc<SignIns> {
    let ledger = Arc::new(Recorder::default());
    SignIns::new(fakes::deps(&Arc::new(fakes::right()), providers, Arc::new(fakes::enrolled()), &ledger))
}

fn client(change: impl FnOnce(&mut Client)) -> Arc<Client> {
    let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
    change(&mut client);
    Arc::new(client)
}

async fn sign_in(sign_ins: &Arc<SignIns>, client: &Arc<Client>, password: &str) -> Arc<Outcome> {
    let credential = Ok(Secret::from_text(password.into()));
    sign_ins.enter(Attempt { credential, ..fakes::attempt(client) }).await.outcome().await
}

#[tokio::test]
async fn a_text_reaches_whoever_joined_and_only_through_clients_that_show_it() {
    for (shows_texts, expected) in [(true, Some(LINK)), (false, None)] {
        let refused = Answer::Refused(Refusal::NotEnrolledThere);
        let cloud = Arc::new(fakes::Cloud {
            name: "cloud",
            answer: Mutex::new(Some(refused)),
            text: Some(LINK),
            asked: Default::default(),
        });
        let sign_ins = sign_ins(vec![("cloud", cloud.clone() as Arc<dyn Factor>)]);
        let client = client(|client| client.shows_texts = shows_texts);
        let outcome = sign_in(&sign_ins, &client, "right-password").await;
        assert_eq!((outcome.verdict(), outcome.reason()), (Verdict::Reject, Reason::ProviderUnknownPerson));
        assert_eq!(outcome.text(), expected);
    }
}

#[tokio::test]
async fn an_approval_says_nothing_and_a_wrong_password_neither() {
    let cloud = Arc::new(fakes::Cloud {
        name: "cloud",
        answer: Mutex::new(Some(Answer::Approved)),
        text: Some(LINK),
        asked: Default::default(),
    });
    let approving = sign_ins(vec![("cloud", cloud as Arc<dyn Factor>)]);
    let client = client(|client| client.shows_texts = true);
    let outcome = sign_in(&approving, &client, "right-password").await;
    assert_eq!((outcome.verdict(), outcome.text()), (Verdict::Accept, None));
    let outcome = sign_in(&approving, &client, "").await;
    assert_eq!((outcome.verdict(), outcome.text()), (Verdict::Reject, None));
}

#[tokio::test]
async fn the_next_way_is_tried_where_there_is_nothing_for_one_and_then_the_next_provider() {
    let comma = |client: &mut Client| client.passcode = Some(Passcode::Delimiter(",".into()));
    type Row = (&'static [Method], &'static [Method], &'static [Method], &'static [Method], &'static [Method], Reason);
    let rows: [Row; 4] = [
        (&[Method::Push, Method::Call], &[Method::Push], &[], &[Method::Push], &[], Reason::Approved),
        (&[Method::Push, Method::Call], &[Method::Call], &[], &[Method::Push, Method::Call], &[], Reason::Approved),
        (
            &[Method::Push, Method::Call],
            &[],
            &[Method::Push],
            &[Method::Push, Method::Call],
            &[Method::Push],
            Reason::Approved,
        ),
        (&[Method::Push], &[], &[], &[Method::Push], &[Method::Push], Reason::ProviderNoMethod),
    ];
    for (listed, first_has, second_has, first_asked, second_asked, reason) in rows {
        let (first, second) = (Picky::new(first_has), Picky::new(second_has));
        let sign_ins =
            sign_ins(vec![("first", first.clone() as Arc<dyn Factor>), ("second", second.clone() as Arc<dyn Factor>)]);
        let client = client(|client| {
            comma(client);
            client.methods = listed.to_vec();
            client.providers = vec!["first".into(), "second".into()];
        });
        assert_eq!(sign_in(&sign_ins, &client, "right-password").await.reason(), reason);
        assert_eq!((first.ways(), second.ways()), (first_asked.to_vec(), second_asked.to_vec()), "{listed:?}");
    }
}

#[tokio::test]
async fn one_that_answers_without_asking_is_not_away_so_that_no_rule_lets_anybody_in() {
    use anteroom::config::{UnreachableClass, UnreachableRule};
    let class = UnreachableClass::Connect;
    let away = fakes::Cloud::saying("away", Some(Answer::Refused(Refusal::Unreachable(class))));
    for order in [["there", "away"], ["away", "there"]] {
        let there = Picky::new(&[]);
        let sign_ins = sign_ins(vec![("there", there as Arc<dyn Factor>), ("away", away.clone() as Arc<dyn Factor>)]);
        let until = Some(std::time::SystemTime::now() + Duration::from_secs(3600));
        let rule = UnreachableRule { classes: UnreachableClass::ALL.to_vec(), until, lasting: None };
        let client = client(|client| {
            client.providers = order.map(str::to_owned).to_vec();
            client.policy.provider_unreachable = Some(rule);
        });
        assert_eq!(sign_in(&sign_ins, &client, "right-password").await.verdict(), Verdict::Reject, "{order:?}");
    }
}

#[tokio::test]
async fn words_behind_the_password_choose_the_way_and_the_device() {
    let rows: [(&str, Method, Option<u8>); 5] = [
        ("right-password,push2", Method::Push, Some(2)),
        ("right-password,PHONE3", Method::Call, Some(3)),
        ("right-password,sms", Method::SmsReply, None),
        ("right-password,email", Method::EmailCode, None),
        ("right-password,123456", Method::Oath, None),
    ];
    for (password, method, device) in rows {
        let picky = Picky::new(&Method::ALL);
        let sign_ins = sign_ins(vec![("cloud", picky.clone() as Arc<dyn Factor>)]);
        let client = client(|client| client.passcode = Some(Passcode::Delimiter(",".into())));
        assert_eq!(sign_in(&sign_ins, &client, password).await.verdict(), Verdict::Accept, "{password}");
        assert_eq!(*picky.asked.lock().unwrap(), [(method, device, true, false)], "{password}");
    }
}

#[tokio::test]
async fn no_code_is_sent_through_a_client_where_it_could_not_be_typed() {
    let listed = vec![Method::SmsCode, Method::EmailCode, Method::Call, Method::Push];
    for (passcode, asked, reason) in
        [(None, Method::Push, Reason::Approved), (Some(Passcode::Length(6)), Method::SmsCode, Reason::Approved)]
    {
        let picky = Arc::new(Picky {
            has: Method::ALL.to_vec(),
            sends_calls: true,
            answer: Answer::Approved,
            asked: Mutex::default(),
        });
        let sign_ins = sign_ins(vec![("cloud", picky.clone() as Arc<dyn Factor>)]);
        let client = client(|client| (client.passcode, client.methods) = (passcode, listed.clone()));
        assert_eq!(sign_in(&sign_ins, &client, "right-password").await.reason(), reason);
        assert_eq!(picky.ways(), [asked]);
    }
    // nothing else is there: nobody is asked, and the reason says what is missing
    let picky = Picky::new(&Method::ALL);
    let sign_ins = sign_ins(vec![("cloud", picky.clone() as Arc<dyn Factor>)]);
    let client = client(|client| client.methods = vec![Method::SmsCode]);
    assert_eq!(sign_in(&sign_ins, &client, "right-password").await.reason(), Reason::NeedsCode);
    assert_eq!(picky.ways(), []);
}
