//! The backup phone is asked once, after the first could not be reached, and never beside it.

use std::sync::{Arc, Mutex};

use anteroom::config::ClientPolicy;
use anteroom::factor::{Answer, Factor, Refusal, Request};
use anteroom::signin::outcome::{Reason, Verdict};
use anteroom::signin::reception::SignIns;
use anteroom::users::model::{Method, Person};
use anteroom::users::pin::Rules;
use anteroom::users::pins::Pins;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use futures_util::future::BoxFuture;

use crate::support::fakes::{self, Recorder};

const FIRST: &str = "+1 202 555 0101";
const BACKUP: &str = "+1 202 555 0199";

/// Calls the numbers that it is given; each answers what it is told to.
#[derive(Default)]
struct Exchange {
    called: Mutex<Vec<(String, Option<String>, String)>>,
    ringing: Mutex<usize>,
    says: Mutex<Vec<(&'static str, Answer)>>,
    takes_number: bool,
}

impl Factor for Exchange {
    fn name(&self) -> &str {
        "cloud"
    }

    fn takes_number(&self) -> bool {
        self.takes_number
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let number = request.person.phone.clone().unwrap();
            let called = (number.clone(), request.person.phone_extension.clone(), request.sign_in.to_string());
            self.called.lock().unwrap().push(called);
            *self.ringing.lock().unwrap() += 1;
            assert_eq!(*self.ringing.lock().unwrap(), 1, "two phones ring at once");
            tokio::task::yield_now().await;
            *self.ringing.lock().unwrap() -= 1;
            let says = self.says.lock().unwrap();
            says.iter().find(|(of, _)| *of == number).map(|(_, answer)| answer.clone()).unwrap()
        })
    }
}

/// What became of a sign-in, and which phones were asked.
async fn sign_in(
    method: Method,
    takes_number: bool,
    backup: Option<&str>,
    says: Vec<(&'static str, Answer)>,
) -> ((Verdict, Reason), Vec<(String, Option<String>, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqlStore::open(folder.path().join("people.db"), true).await.unwrap());
    let person = Person { method, phone: Some(FIRST.into()), phone_extension: Some("7".into()), ..fakes::person() };
    let mut profile = Profile::new(person);
    profile.backup_phone = backup.map(str::to_owned);
    store.enrol(&profile, "test").await.unwrap();
    let exchange = Arc::new(Exchange { says: Mutex::new(says), takes_number, ..Exchange::default() });
    let (primary, ledger) = (Arc::new(fakes::right()), Arc::new(Recorder::default()));
    let mut deps = fakes::deps(&primary, vec![("cloud", exchange.clone() as Arc<dyn Factor>)], store.clone(), &ledger);
    deps.pins = Some(Pins { roster: store, rules: Rules::default() });
    let client = fakes::client(ClientPolicy::default());
    let outcome = SignIns::new(deps).enter(fakes::attempt(&client)).await.outcome().await;
    let called = exchange.called.lock().unwrap().clone();
    ((outcome.verdict(), outcome.reason()), called)
}

fn numbers(called: &[(String, Option<String>, String)]) -> Vec<&str> {
    called.iter().map(|(number, ..)| number.as_str()).collect()
}

const IN: (Verdict, Reason) = (Verdict::Accept, Reason::Approved);
const AWAY: Answer = Answer::Refused(Refusal::Undeliverable);

#[tokio::test]
async fn the_backup_phone_is_asked_once_after_the_first_and_never_beside_it() {
    for method in [Method::Call, Method::SmsReply] {
        let says = vec![(FIRST, AWAY), (BACKUP, Answer::Approved)];
        let (end, called) = sign_in(method, true, Some(BACKUP), says).await;
        assert_eq!((end, numbers(&called)), (IN, vec![FIRST, BACKUP]), "{method}");
        assert_eq!((called[0].1.as_deref(), &called[1].1), (Some("7"), &None), "an extension is of its own phone");
        assert_ne!(called[0].2, called[1].2, "no provider takes the second for the first once more");
        let says = vec![(FIRST, AWAY), (BACKUP, AWAY)];
        let (end, called) = sign_in(method, true, Some(BACKUP), says).await;
        assert_eq!((end, called.len()), ((Verdict::Reject, Reason::Undeliverable), 2), "{method}");
    }
}

#[tokio::test]
async fn whoever_was_reached_or_has_one_phone_is_asked_once() {
    for refusal in Refusal::ALL.into_iter().filter(|refusal| *refusal != Refusal::Undeliverable) {
        let says = vec![(FIRST, Answer::Refused(refusal)), (BACKUP, Answer::Approved)];
        let (end, called) = sign_in(Method::Call, true, Some(BACKUP), says).await;
        assert_eq!((end, called.len()), ((Verdict::Reject, Reason::from_factor(refusal)), 1), "{refusal:?}");
    }
    for (method, takes_number, backup) in [
        (Method::Call, true, None),
        (Method::Call, true, Some(FIRST)),
        (Method::Call, false, Some(BACKUP)),
        (Method::Push, true, Some(BACKUP)),
    ] {
        let says = vec![(FIRST, AWAY), (BACKUP, Answer::Approved)];
        let (end, called) = sign_in(method, takes_number, backup, says).await;
        assert_eq!((end, called.len()), ((Verdict::Reject, Reason::Undeliverable), 1), "{method} {backup:?}");
    }
}
