//! A person's bind on the client's own directory connection, where a server cannot answer it: another one is asked
//! where the password cannot have been counted, and nowhere else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::config::{ClientPolicy, DirectoryTarget, Security, ServerUrl, ServiceAccounts};
use anteroom::factor::Answer;
use anteroom::ldap::pool::Wire;
use anteroom::ldap::relay::Behind;
use anteroom::ldap::result::code;
use anteroom::ldap::search::Scope;
use anteroom::primary::directory::Directory;
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary};
use anteroom::secret::Secret;
use anteroom::users::model::Person;
use futures_util::future::BoxFuture;

use super::client::Client;
use super::orders::{connection, serve};
use crate::ldap_client::{alice, server, target};
use crate::support::fake_directory::{
    Act, Asked, FakeDirectory, PERSON, Request, SERVICE, bind, done, ordinary, refused, response,
};
use crate::support::fakes::{self, FakeStore, House, Told};

/// A reception whose store and phone know the person of the fake directories.
fn house() -> House {
    let person = Person { unique_id: alice().unique_id, ..fakes::person() };
    let store = FakeStore { person: Ok(Some(person)), blocked: AtomicUsize::new(0) };
    House::new(fakes::right(), fakes::factor(Told::Says(Answer::Approved)), store)
}

/// A client of the door before this directory.
fn client(house: &House, behind: Arc<dyn Behind>) -> Client {
    client_with(house, behind, ClientPolicy::default())
}

fn client_with(house: &House, behind: Arc<dyn Behind>, policy: ClientPolicy) -> Client {
    let (near, link) = connection(house, behind, policy);
    tokio::spawn(serve(link, None));
    Client::over(Box::new(near))
}

fn directory(fakes: &[&FakeDirectory]) -> Arc<Directory> {
    let servers = fakes.iter().map(|fake| server(fake.address, Security::Plaintext)).collect();
    let target = DirectoryTarget { connect_timeout: Duration::from_secs(1), ..target(servers) };
    Arc::new(Directory::new(&target).unwrap())
}

/// A directory that answers people's binds like this, and all else like a good one.
async fn answering(answer: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static) -> FakeDirectory {
    FakeDirectory::start(move |request| if request.is_user_bind() { answer(request) } else { ordinary(request) }).await
}

#[tokio::test]
async fn a_server_that_did_not_look_at_the_password_is_passed_over() {
    for code in [code::REFERRAL, code::BUSY, code::UNAVAILABLE, code::UNWILLING_TO_PERFORM] {
        let unwilling = answering(move |request| vec![bind(request.id, code, "")]).await;
        let willing = FakeDirectory::start(ordinary).await;
        let house = house();
        let mut fresh = client(&house, directory(&[&unwilling, &willing]));
        assert_eq!(fresh.bind(1, PERSON.0, PERSON.1).await.0, code::SUCCESS, "{code}");
        assert_eq!((unwilling.user_binds(), willing.user_binds()), (1, 1), "{code}: each once");
        assert_eq!(fresh.bind(2, PERSON.0, "wrong").await.0, code::INVALID_CREDENTIALS);
        assert_eq!(
            (unwilling.user_binds(), willing.user_binds()),
            (1, 2),
            "{code}: its connection is the willing one's"
        );
    }
}

#[tokio::test]
async fn a_connection_that_the_client_has_may_itself_be_why_its_server_does_not_want_to() {
    let unwilling = answering(|request| vec![bind(request.id, code::BUSY, "")]).await;
    let willing = FakeDirectory::start(ordinary).await;
    let house = house();
    let mut client = client(&house, directory(&[&unwilling, &willing]));
    assert_eq!(client.search(1, "", Scope::Base, "(objectClass=*)").await.1, code::SUCCESS);
    assert_eq!(client.bind(2, PERSON.0, PERSON.1).await.0, code::SUCCESS);
    assert_eq!((unwilling.user_binds(), willing.user_binds()), (2, 1), "once more on a connection of its own");
}

#[tokio::test]
async fn where_nobody_wants_to_the_client_hears_that_the_directory_is_away() {
    let [one, two] =
        [code::BUSY, code::UNAVAILABLE].map(|code| move |request: &Request| vec![bind(request.id, code, "")]);
    let (one, two) = (answering(one).await, answering(two).await);
    let house = house();
    let mut client = client(&house, directory(&[&one, &two]));
    assert_eq!(client.bind(1, PERSON.0, PERSON.1).await.0, code::UNAVAILABLE);
    assert_eq!((one.user_binds(), two.user_binds()), (1, 1));
    assert_eq!(house.last_event().reason.code(), "directory_refused");
}

#[tokio::test]
async fn what_a_directory_says_besides_yes_and_no_is_heard_as_directly() {
    let critical = code::UNAVAILABLE_CRITICAL_EXTENSION;
    let [retry_limit, inactivated] = [(19, "Exceed password retry limit"), (53, "Account inactivated")];
    for (code, text) in [retry_limit, inactivated, (critical, ""), (code::STRONGER_AUTH_REQUIRED, "use TLS")] {
        let directory_says = answering(move |request| vec![bind(request.id, code, text)]).await;
        let house = house();
        let mut client = client(&house, directory(&[&directory_says]));
        assert_eq!(client.bind(1, PERSON.0, PERSON.1).await, (code, text.to_owned()));
        assert_eq!(house.last_event().reason.code(), "directory_refused");
    }
    // A referral leads past this door, and nothing is in progress.
    for code in [code::REFERRAL, code::SASL_BIND_IN_PROGRESS] {
        let directory_says = answering(move |request| vec![bind(request.id, code, "")]).await;
        let mut client = client(&house(), directory(&[&directory_says]));
        assert_eq!(client.bind(1, PERSON.0, PERSON.1).await.0, code::UNAVAILABLE, "{code}");
    }
}

#[tokio::test]
async fn a_directory_that_hangs_up_is_heard_as_directly() {
    // python-ldap's ReconnectLDAPObject and the like connect again after the bare end, and not after a notice of ours
    let directory_hangs_up = answering(|request| vec![bind(request.id, code::SUCCESS, ""), Act::Close]).await;
    let house = house();
    let mut client = client(&house, directory(&[&directory_hangs_up]));
    assert_eq!(client.bind(1, PERSON.0, PERSON.1).await.0, code::SUCCESS);
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_password_that_may_have_been_counted_is_tried_nowhere_else() {
    type Answer = fn(&Request) -> Vec<Act>;
    let cases: [(&str, Answer, u32, &str); 5] = [
        ("wrong", |request| vec![refused(request.id, "52e")], code::INVALID_CREDENTIALS, "wrong_password"),
        ("closes", |_| vec![Act::Close], code::UNAVAILABLE, "directory_unreachable"),
        ("hangs", |_| vec![Act::Hang], code::UNAVAILABLE, "directory_unreachable"),
        ("another type", |request| vec![response(request.id, 0x78, 0)], code::UNAVAILABLE, "directory_garbled"),
        ("another code", |request| vec![bind(request.id, 1, "")], code::OPERATIONS_ERROR, "directory_refused"),
    ];
    for (what, answer, heard, reason) in cases {
        let (first, second) = (answering(answer).await, FakeDirectory::start(ordinary).await);
        let house = house();
        let mut client = client(&house, directory(&[&first, &second]));
        assert_eq!(client.bind(1, PERSON.0, PERSON.1).await.0, heard, "{what}");
        assert_eq!((first.user_binds(), second.user_binds()), (1, 0), "{what}");
        assert_eq!(house.last_event().reason.code(), reason, "{what}");
    }
}

#[tokio::test]
async fn a_server_that_answers_no_bind_and_no_probe_is_passed_over_from_then_on() {
    let hung = FakeDirectory::start(|request| if request.connection > 0 { vec![Act::Hang] } else { ordinary(request) });
    let (hung, good) = (hung.await, FakeDirectory::start(ordinary).await);
    let directory = directory(&[&hung, &good]);
    assert!(directory.identify("alice", soon()).await.is_ok());
    let house = house();
    let mut client = client(&house, Arc::clone(&directory) as Arc<dyn Behind>);
    // Its first connection, for searches, works; what comes later hangs.
    while client.bind(1, PERSON.0, PERSON.1).await.0 != code::SUCCESS {
        assert!(hung.user_binds() < 20, "it is still thought to be up");
    }
    assert_eq!(good.user_binds(), 1);
}

fn soon() -> std::time::Instant {
    std::time::Instant::now() + Duration::from_secs(10)
}

#[tokio::test]
async fn a_program_whose_server_becomes_busy_is_served_by_another_one_at_the_next_try() {
    let binds = AtomicUsize::new(0);
    let busy = FakeDirectory::start(move |request| match &request.asked {
        // The first is the reception's own for its searches, the second the program's.
        Asked::Bind { .. } if binds.fetch_add(1, Ordering::SeqCst) > 1 => vec![bind(request.id, code::BUSY, "")],
        _ if request.is_search_for_service() => vec![done(request.id, code::NO_SUCH_OBJECT)],
        _ => ordinary(request),
    })
    .await;
    let good = FakeDirectory::start(ordinary).await;
    let house = house();
    let service = ServiceAccounts { names: vec![SERVICE.0.into()], ..ServiceAccounts::default() };
    let policy = ClientPolicy { service, ..ClientPolicy::default() };
    let mut program = client_with(&house, directory(&[&busy, &good]), policy);
    let heard = [
        program.bind(1, SERVICE.0, SERVICE.1).await.0,
        program.bind(2, SERVICE.0, SERVICE.1).await.0,
        program.bind(3, SERVICE.0, SERVICE.1).await.0,
    ];
    assert_eq!(heard, [code::SUCCESS, code::UNAVAILABLE, code::SUCCESS]);
}

/// A directory whose connections are dead as soon as somebody writes to them, so many times; then it is a good one.
struct Dying {
    good: Arc<Directory>,
    dead: Mutex<VecDeque<ServerUrl>>,
}

impl Behind for Dying {
    fn connect<'a>(
        &'a self,
        asked: &'a mut Vec<ServerUrl>,
        deadline: std::time::Instant,
    ) -> BoxFuture<'a, Result<Box<dyn Wire>, Fault>> {
        if let Some(url) = self.dead.lock().unwrap().pop_front() {
            assert!(!asked.contains(&url), "asked twice");
            asked.push(url);
            let (ours, theirs) = tokio::io::duplex(64);
            drop(theirs);
            return Box::pin(async { Ok(Box::new(ours) as Box<dyn Wire>) });
        }
        Box::pin(self.good.connect(asked, deadline))
    }
}

impl Primary for Dying {
    fn identify<'a>(
        &'a self,
        name: &'a str,
        deadline: std::time::Instant,
    ) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        self.good.identify(name, deadline)
    }

    fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: std::time::Instant) -> BoxFuture<'a, Finding> {
        panic!("passwords are tried on the client's own connection");
    }

    fn member_of_any<'a>(
        &'a self,
        who: &'a Identity,
        groups: &'a [String],
        deadline: std::time::Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        self.good.member_of_any(who, groups, deadline)
    }
}

#[tokio::test]
async fn a_request_that_never_left_is_sent_elsewhere() {
    let good = FakeDirectory::start(ordinary).await;
    let dead = (1..=2).map(|port| ServerUrl { host: "dead".into(), port, security: Security::Plaintext });
    let dying = Dying { good: directory(&[&good]), dead: Mutex::new(dead.collect()) };
    let house = house();
    let mut client = client(&house, Arc::new(dying));
    assert_eq!(client.bind(1, "alice", PERSON.1).await.0, code::SUCCESS);
    assert_eq!(good.user_binds(), 1);
    assert_eq!(house.events(), 1, "one sign-in");
}
