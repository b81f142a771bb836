//! The directory client against directories that misbehave: no answer but a directory's own, exact yes lets
//! anybody in, nothing hangs, nothing is asked twice that may count.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anteroom::config::{DirectoryKind, DirectoryTarget, Security, ServerUrl, Servers};
use anteroom::demo::directory::{
    AccountState, DEMO_BASE, DEMO_PASSWORD, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD, DemoDirectory, DemoPerson,
    DemoTls, demo_people, group_dn,
};
use anteroom::primary::directory::Directory;
use anteroom::primary::locate::Locator;
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary, Refusal};
use anteroom::secret::Secret;

use crate::support::fake_directory::{
    Act, Asked, FakeDirectory, PERSON, Request, SERVICE, bind, disconnection, done, octets, ordinary, person, refused,
    response,
};

fn server(address: SocketAddr, security: Security) -> ServerUrl {
    ServerUrl { host: address.ip().to_string(), port: address.port(), security }
}

fn target(servers: Vec<ServerUrl>) -> DirectoryTarget {
    DirectoryTarget {
        name: "test".into(),
        kind: DirectoryKind::Ad,
        servers: Servers::Listed(servers),
        ca_file: None,
        base: "DC=fake,DC=test".into(),
        bind_name: SERVICE.0.into(),
        bind_password: secret(SERVICE.1),
        domains: vec!["FAKE".into()],
        name_attributes: vec!["sAMAccountName".into()],
        at_attributes: vec!["userPrincipalName".into()],
        unique_id: "objectGUID".into(),
        filter: None,
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_millis(500),
        connections: 4,
        dn_from_store: false,
    }
}

fn plain(fakes: &[&FakeDirectory]) -> DirectoryTarget {
    target(fakes.iter().map(|fake| server(fake.address, Security::Plaintext)).collect())
}

fn demo(directory: &DemoDirectory) -> DirectoryTarget {
    DirectoryTarget {
        base: DEMO_BASE.into(),
        bind_name: DEMO_SERVICE_NAME.into(),
        bind_password: secret(DEMO_SERVICE_PASSWORD),
        domains: vec!["DEMO".into()],
        ..target(vec![server(directory.local_addr(), Security::Plaintext)])
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn alice() -> Identity {
    Identity {
        unique_id: "01010101-0101-0101-0101-010101010101".into(),
        name: "alice".into(),
        upn: Some("alice@fake.test".into()),
        dn: PERSON.0.into(),
    }
}

async fn try_password(directory: &Directory, password: &str) -> Finding {
    directory.try_password(&alice(), &secret(password), soon()).await
}

/// A directory on top of a fake whose user binds are answered by `answer`.
async fn binding(answer: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static) -> (FakeDirectory, Directory) {
    let script = move |request: &Request| if request.is_user_bind() { answer(request) } else { ordinary(request) };
    let fake = FakeDirectory::start(script).await;
    let directory = Directory::new(&plain(&[&fake])).unwrap();
    (fake, directory)
}

/// A directory on top of a fake whose searches are answered by `answer`.
async fn searching(answer: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static) -> (FakeDirectory, Directory) {
    let script =
        move |request: &Request| if request.asked == Asked::Search { answer(request) } else { ordinary(request) };
    let fake = FakeDirectory::start(script).await;
    let directory = Directory::new(&plain(&[&fake])).unwrap();
    (fake, directory)
}

#[tokio::test]
async fn a_right_and_a_wrong_password_are_told_apart() {
    let (fake, directory) = binding(ordinary).await;
    assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
    assert_eq!(try_password(&directory, "right").await, Finding::Right);
    assert_eq!(try_password(&directory, "wrong").await, Finding::Wrong(Refusal::WrongPassword));
    assert_eq!(try_password(&directory, "right").await, Finding::Right);
    assert_eq!(fake.user_binds(), 3);
    assert_eq!(fake.connections(), 2, "one for searches, one for binds, both used again");
}

#[tokio::test]
async fn an_empty_password_never_reaches_a_directory_that_would_say_yes() {
    let (fake, directory) = binding(|request| vec![bind(request.id, 0, "")]).await;
    assert_eq!(try_password(&directory, "").await, Finding::Wrong(Refusal::WrongPassword));
    let nobody = Identity { dn: String::new(), ..alice() };
    let finding = directory.try_password(&nobody, &secret("right"), soon()).await;
    assert_eq!(finding, Finding::Wrong(Refusal::WrongPassword));
    assert_eq!(fake.user_binds(), 0);
}

#[tokio::test]
async fn each_sub_code_becomes_its_refusal() {
    for (data, refusal) in [
        ("525", Refusal::NoSuchUser),
        ("52e", Refusal::WrongPassword),
        ("52f", Refusal::Restricted),
        ("530", Refusal::LogonHours),
        ("531", Refusal::Workstation),
        ("532", Refusal::PasswordExpired),
        ("533", Refusal::Disabled),
        ("701", Refusal::AccountExpired),
        ("773", Refusal::MustChangePassword),
        ("775", Refusal::LockedOut),
        ("999", Refusal::Restricted),
    ] {
        let (_fake, directory) = binding(move |request| vec![refused(request.id, data)]).await;
        assert_eq!(try_password(&directory, "right").await, Finding::Wrong(refusal), "{data}");
    }
}

/// Everything that looks like a yes but is not the answer to this bind.
#[tokio::test]
async fn no_answer_but_the_exact_yes_is_a_yes() {
    type Answer = fn(&Request) -> Vec<Act>;
    let cases: [(&str, Answer, Finding); 14] = [
        ("wrong id", |r| vec![bind(r.id + 1, 0, "")], Finding::Fault(Fault::Garbled)),
        ("earlier id", |r| vec![bind(r.id.saturating_sub(1).max(7), 0, "")], Finding::Fault(Fault::Garbled)),
        ("id zero", |_| vec![bind(0, 0, "")], Finding::Fault(Fault::Garbled)),
        ("wrong type", |r| vec![response(r.id, 0x78, 0)], Finding::Fault(Fault::Garbled)),
        ("search done", |r| vec![done(r.id, 0)], Finding::Fault(Fault::Garbled)),
        ("garbage", |_| vec![Act::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())], Finding::Fault(Fault::Garbled)),
        ("huge frame", |_| vec![Act::Send(b"\x30\x84\x7f\xff\xff\xff".to_vec())], Finding::Fault(Fault::Garbled)),
        ("deep nesting", |_| vec![Act::Send(nested(10_000))], Finding::Fault(Fault::Garbled)),
        ("closes", |_| vec![Act::Close], Finding::Fault(Fault::Unreachable)),
        ("half an answer", |r| vec![cut(&bind(r.id, 0, "")), Act::Close], Finding::Fault(Fault::Unreachable)),
        ("notice", |_| vec![disconnection(), Act::Close], Finding::Fault(Fault::Unreachable)),
        ("never answers", |_| vec![Act::Hang], Finding::Fault(Fault::Unreachable)),
        ("referral", |r| vec![bind(r.id, 10, "")], Finding::Fault(Fault::Refused { code: 10 })),
        ("SASL goes on", |r| vec![bind(r.id, 14, "")], Finding::Fault(Fault::Refused { code: 14 })),
    ];
    for (name, answer, expected) in cases {
        let (fake, directory) = binding(answer).await;
        assert_eq!(try_password(&directory, "right").await, expected, "{name}");
        assert_eq!(fake.user_binds(), 1, "{name}: tried once, since it may have counted");
    }
}

fn cut(act: &Act) -> Act {
    let mut octets = octets(act);
    octets.truncate(octets.len() - 1);
    Act::Send(octets)
}

fn nested(levels: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    for _ in 0..levels {
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        let mut outer = vec![0x30, 0x83];
        outer.extend(&length[1..]);
        outer.append(&mut frame);
        frame = outer;
        if frame.len() > 60_000 {
            break;
        }
    }
    frame
}

#[tokio::test]
async fn an_answer_that_comes_late_is_not_taken_for_the_next_ones() {
    // The first bind is answered with yes after its time; the second must hear its own no.
    let first = AtomicBool::new(true);
    let (fake, directory) = binding(move |request| {
        if first.swap(false, Ordering::SeqCst) {
            vec![Act::Wait(Duration::from_millis(700)), bind(request.id, 0, "")]
        } else {
            vec![refused(request.id, "52e")]
        }
    })
    .await;
    assert_eq!(try_password(&directory, "right").await, Finding::Fault(Fault::Unreachable));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(try_password(&directory, "wrong").await, Finding::Wrong(Refusal::WrongPassword));
    assert_eq!(fake.user_binds(), 2);
}

#[tokio::test]
async fn a_second_answer_behind_the_first_spoils_the_connection_only() {
    let (fake, directory) = binding(|request| {
        let mut both = octets(&refused(request.id, "52e"));
        both.extend(octets(&bind(request.id + 1, 0, "")));
        vec![Act::Send(both)]
    })
    .await;
    for _ in 0..2 {
        assert_eq!(try_password(&directory, "wrong").await, Finding::Wrong(Refusal::WrongPassword));
    }
    assert_eq!(fake.connections(), 2, "the connection with the extra answer was not used again");
}

#[tokio::test]
async fn an_answer_sent_before_the_question_is_not_taken() {
    let (fake, directory) = binding(|request| {
        vec![refused(request.id, "52e"), Act::Wait(Duration::from_millis(20)), bind(request.id + 1, 0, "")]
    })
    .await;
    assert_eq!(try_password(&directory, "wrong").await, Finding::Wrong(Refusal::WrongPassword));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(try_password(&directory, "wrong").await, Finding::Wrong(Refusal::WrongPassword));
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_dropped_bind_closes_its_connection() {
    let (fake, directory) = binding(|request| {
        let Asked::Bind { password, .. } = &request.asked else { return Vec::new() };
        if password == b"slow" {
            vec![Act::Wait(Duration::from_millis(200)), bind(request.id, 0, "")]
        } else {
            vec![refused(request.id, "52e")]
        }
    })
    .await;
    let dropped = tokio::time::timeout(Duration::from_millis(50), try_password(&directory, "slow")).await;
    assert!(dropped.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(try_password(&directory, "wrong").await, Finding::Wrong(Refusal::WrongPassword));
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_want_to_is_passed_over() {
    for code in [51, 52, 53] {
        let unwilling = FakeDirectory::start(move |request| {
            if request.is_user_bind() { vec![bind(request.id, code, "")] } else { ordinary(request) }
        })
        .await;
        let willing = FakeDirectory::start(ordinary).await;
        let directory = Directory::new(&plain(&[&unwilling, &willing])).unwrap();
        assert_eq!(try_password(&directory, "right").await, Finding::Right);
        let alone = Directory::new(&plain(&[&unwilling])).unwrap();
        assert_eq!(try_password(&alone, "right").await, Finding::Fault(Fault::Refused { code }));
    }
}

#[tokio::test]
async fn a_bind_cut_off_in_the_middle_is_not_repeated_elsewhere() {
    let closing =
        FakeDirectory::start(|request| if request.is_user_bind() { vec![Act::Close] } else { ordinary(request) }).await;
    let good = FakeDirectory::start(ordinary).await;
    let directory = Directory::new(&plain(&[&closing, &good])).unwrap();
    assert_eq!(try_password(&directory, "right").await, Finding::Fault(Fault::Unreachable));
    assert_eq!((closing.user_binds(), good.user_binds()), (1, 0));
}

#[tokio::test]
async fn a_search_cut_off_in_the_middle_is_repeated_elsewhere() {
    let closing =
        FakeDirectory::start(
            |request| if request.asked == Asked::Search { vec![Act::Close] } else { ordinary(request) },
        )
        .await;
    let good = FakeDirectory::start(ordinary).await;
    let directory = Directory::new(&plain(&[&closing, &good])).unwrap();
    assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
}

#[tokio::test]
async fn idle_connections_that_the_server_closed_cost_nothing() {
    // Each connection is closed after its first answer, or gets a notice; people must not notice.
    for notice in [false, true] {
        let fake = FakeDirectory::start(move |request| {
            let mut acts = ordinary(request);
            if request.is_user_bind() || request.asked == Asked::Search {
                acts.push(Act::Wait(Duration::from_millis(10)));
                acts.extend(notice.then(disconnection));
                acts.push(Act::Close);
            }
            acts
        })
        .await;
        let directory = Directory::new(&plain(&[&fake])).unwrap();
        for round in 0..3 {
            assert_eq!(directory.identify("alice", soon()).await, Ok(alice()), "{round}");
            assert_eq!(try_password(&directory, "right").await, Finding::Right, "{round}");
            tokio::time::sleep(Duration::from_millis(if round == 0 { 50 } else { 1100 })).await;
        }
        assert_eq!(fake.user_binds(), 3);
    }
}

#[tokio::test]
async fn searches_that_come_to_nothing_good_are_faults() {
    type Answer = fn(&Request) -> Vec<Act>;
    let cases: [(&str, Answer, IdentifyError); 11] = [
        ("nobody", |r| vec![done(r.id, 0)], IdentifyError::Unknown),
        ("two", |r| vec![person(r.id, "CN=a", 1), person(r.id, "CN=b", 2), done(r.id, 0)], IdentifyError::Ambiguous),
        ("many", |r| vec![person(r.id, "CN=a", 1), person(r.id, "CN=b", 2), done(r.id, 4)], IdentifyError::Ambiguous),
        ("size limit of nothing", |r| vec![done(r.id, 4)], fault(Fault::Refused { code: 4 })),
        ("one and a page limit", |r| vec![person(r.id, "CN=a", 1), done(r.id, 4)], fault(Fault::Refused { code: 4 })),
        ("flood", |r| vec![Act::Flood(octets(&person(r.id, "CN=a", 1)))], fault(Fault::Garbled)),
        ("no base", |r| vec![done(r.id, 32)], fault(Fault::Refused { code: 32 })),
        ("referral", |r| vec![done(r.id, 10)], fault(Fault::Refused { code: 10 })),
        ("other id", |r| vec![person(r.id + 1, "CN=a", 1), done(r.id, 0)], fault(Fault::Garbled)),
        ("bind response", |r| vec![bind(r.id, 0, "")], fault(Fault::Garbled)),
        ("unknown critical control at Samba", |r| vec![response(r.id, 0x78, 12)], fault(Fault::Refused { code: 12 })),
    ];
    for (name, answer, expected) in cases {
        let (_fake, directory) = searching(answer).await;
        let started = Instant::now();
        assert_eq!(directory.identify("alice", soon()).await, Err(expected), "{name}");
        assert!(started.elapsed() < Duration::from_secs(2), "{name}");
    }
}

fn fault(fault: Fault) -> IdentifyError {
    IdentifyError::Fault(fault)
}

#[tokio::test]
async fn a_continuation_reference_is_passed_over() {
    let (_fake, directory) = searching(|request| {
        let mut reference = Vec::new();
        anteroom::ldap::message::write_message(&mut reference, request.id, |message| {
            message.constructed(0x73, |urls| urls.octets(b"ldaps://nowhere.test/CN=Configuration"));
        });
        vec![person(request.id, PERSON.0, 1), Act::Send(reference), done(request.id, 0)]
    })
    .await;
    assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
}

#[tokio::test]
async fn an_account_without_its_unique_id_is_not_let_through() {
    let (_fake, directory) = searching(|request| {
        let name = [b"alice".to_vec()];
        let mut out = Vec::new();
        let attributes: [(&str, &[Vec<u8>]); 1] = [("sAMAccountName", &name)];
        anteroom::ldap::search::write_entry(&mut out, request.id, PERSON.0, attributes);
        vec![Act::Send(out), done(request.id, 0)]
    })
    .await;
    assert_eq!(directory.identify("alice", soon()).await, Err(fault(Fault::Garbled)));
}

#[tokio::test]
async fn the_deadline_of_the_person_ends_the_waiting() {
    let (_fake, directory) = binding(|_| vec![Act::Hang]).await;
    let started = Instant::now();
    let finding = directory.try_password(&alice(), &secret("right"), started + Duration::from_millis(100)).await;
    assert_eq!(finding, Finding::Fault(Fault::Deadline));
    assert!(started.elapsed() < Duration::from_millis(400));
}

#[tokio::test]
async fn waiting_for_a_connection_ends_at_the_deadline() {
    let (fake, directory) = binding(|_| vec![Act::Hang]).await;
    let directory = Arc::new(directory);
    for _ in 0..4 {
        let directory = Arc::clone(&directory);
        tokio::spawn(async move { directory.try_password(&alice(), &secret("right"), soon()).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    let finding = directory.try_password(&alice(), &secret("right"), started + Duration::from_millis(100)).await;
    assert_eq!(finding, Finding::Fault(Fault::Deadline));
    assert_eq!(fake.user_binds(), 4, "the fifth was never sent");
}

#[tokio::test]
async fn a_hundred_sign_ins_share_a_few_connections() {
    let (fake, directory) = binding(ordinary).await;
    let directory = Arc::new(directory);
    let all: Vec<_> = (0..100)
        .map(|_| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move {
                assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
                assert_eq!(try_password(&directory, "right").await, Finding::Right);
            })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
    assert!(fake.connections() <= 8, "{} connections", fake.connections());
}

/// A listener that accepts and says nothing: a controller that hangs.
async fn black_hole() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            kept.push(stream);
        }
    });
    (address, accepted)
}

#[tokio::test]
async fn a_dead_controller_costs_one_timeout_in_all() {
    let (dead, _) = black_hole().await;
    let good = FakeDirectory::start(ordinary).await;
    let servers = vec![server(dead, Security::Plaintext), server(good.address, Security::Plaintext)];
    let timeout = Duration::from_secs(3);
    let directory = Directory::new(&DirectoryTarget { connect_timeout: timeout, ..target(servers) }).unwrap();
    let directory = Arc::new(directory);
    let started = Instant::now();
    let first: Vec<_> = (0..50)
        .map(|_| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move { directory.identify("alice", soon()).await })
        })
        .collect();
    for one in first {
        assert_eq!(one.await.unwrap(), Ok(alice()));
    }
    assert!(started.elapsed() < timeout, "fifty first ones: {:?}", started.elapsed());
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
        assert_eq!(try_password(&directory, "right").await, Finding::Right);
    }
    assert!(started.elapsed() < Duration::from_millis(400), "twenty later ones: {:?}", started.elapsed());
}

#[tokio::test]
async fn a_controller_that_refuses_connections_is_used_again_once_it_is_back() {
    let first = FakeDirectory::start(ordinary).await;
    let address = first.address;
    let directory = Directory::new(&plain(&[&first])).unwrap();
    assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
    drop(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        let started = Instant::now();
        assert_eq!(directory.identify("alice", soon()).await, Err(fault(Fault::Unreachable)));
        assert!(started.elapsed() < Duration::from_millis(1000), "{:?}", started.elapsed());
    }
    let _second = FakeDirectory::start_on(address, ordinary).await;
    assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
    assert_eq!(try_password(&directory, "right").await, Finding::Right);
}

#[tokio::test]
async fn a_refused_service_account_is_not_tried_again_at_once() {
    let fake = FakeDirectory::start(|request| match &request.asked {
        Asked::Bind { .. } => vec![refused(request.id, "52e")],
        _ => ordinary(request),
    })
    .await;
    let directory = Directory::new(&plain(&[&fake])).unwrap();
    for _ in 0..10 {
        assert_eq!(directory.identify("alice", soon()).await, Err(fault(Fault::Refused { code: 49 })));
    }
    let tries = fake.seen().iter().filter(|request| matches!(request.asked, Asked::Bind { .. })).count();
    assert_eq!(tries, 1, "each try counts against the service account's own lockout");
}

#[tokio::test]
async fn a_dn_that_has_changed_is_looked_up_and_tried_once_more() {
    let new = "CN=Alice,OU=Elsewhere,DC=fake,DC=test";
    for code in [32, 34, 49] {
        let fake = FakeDirectory::start(move |request| match &request.asked {
            Asked::Bind { name, .. } if name == PERSON.0 => vec![bind(request.id, code, "")],
            Asked::Bind { name, .. } if name == new => vec![bind(request.id, 0, "")],
            Asked::Search => vec![person(request.id, new, 1), done(request.id, 0)],
            _ => ordinary(request),
        })
        .await;
        let directory = Directory::new(&DirectoryTarget { dn_from_store: true, ..plain(&[&fake]) }).unwrap();
        assert_eq!(try_password(&directory, "right").await, Finding::Right, "{code}");
        assert_eq!(fake.user_binds(), 2);
    }
}

#[tokio::test]
async fn a_dn_that_has_not_changed_is_not_tried_twice() {
    for from_store in [false, true] {
        let fake = FakeDirectory::start(ordinary).await;
        let directory = Directory::new(&DirectoryTarget { dn_from_store: from_store, ..plain(&[&fake]) }).unwrap();
        assert_eq!(try_password(&directory, "wrong").await, Finding::Wrong(Refusal::WrongPassword));
        assert_eq!((fake.user_binds(), fake.searches()), (1, usize::from(from_store)));
    }
}

#[tokio::test]
async fn the_upn_wins_over_the_name_that_spells_the_same() {
    let (_fake, directory) = searching(|request| {
        let other = |dn: &str, number: u8, upn: &str| {
            let (guid, name, upn) = ([vec![number; 16]], [vec![b'a' + number]], [upn.as_bytes().to_vec()]);
            let attributes: [(&str, &[Vec<u8>]); 3] =
                [("objectGUID", &guid), ("sAMAccountName", &name), ("userPrincipalName", &upn)];
            let mut out = Vec::new();
            anteroom::ldap::search::write_entry(&mut out, request.id, dn, attributes);
            Act::Send(out)
        };
        vec![other("CN=b", 1, "c@fake.test"), other("CN=c", 2, "B@fake.test"), done(request.id, 0)]
    })
    .await;
    assert_eq!(directory.identify("b@fake.test", soon()).await.map(|who| who.dn), Ok("CN=c".into()));
    assert_eq!(directory.identify("b", soon()).await, Err(IdentifyError::Ambiguous));
}

#[tokio::test]
async fn the_demo_directory_answers_every_state_as_ad_does() {
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let directory = Directory::new(&demo(&server)).unwrap();
    for (name, right, wrong) in [
        ("alice", Finding::Right, Refusal::WrongPassword),
        ("DEMO\\ALICE", Finding::Right, Refusal::WrongPassword),
        ("Alice@Demo.anteroom.test", Finding::Right, Refusal::WrongPassword),
        ("ada", Finding::Right, Refusal::WrongPassword),
        ("disabled", Finding::Wrong(Refusal::Disabled), Refusal::WrongPassword),
        ("locked", Finding::Wrong(Refusal::LockedOut), Refusal::LockedOut),
        ("mustchange", Finding::Wrong(Refusal::MustChangePassword), Refusal::WrongPassword),
        ("pwexpired", Finding::Wrong(Refusal::PasswordExpired), Refusal::WrongPassword),
        ("expired", Finding::Wrong(Refusal::AccountExpired), Refusal::WrongPassword),
        ("nohours", Finding::Wrong(Refusal::LogonHours), Refusal::WrongPassword),
        ("workstation", Finding::Wrong(Refusal::Workstation), Refusal::WrongPassword),
        ("restricted", Finding::Wrong(Refusal::Restricted), Refusal::WrongPassword),
    ] {
        let who = directory.identify(name, soon()).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await, right, "{name}");
        assert_eq!(directory.try_password(&who, &secret("x"), soon()).await, Finding::Wrong(wrong), "{name}");
    }
    for name in
        ["nobody", "svc-anteroom", "VPN-Users", "*", "a*", "alice)(cn=*", "OTHER\\alice", "alice@other.test", "ali\0ce"]
    {
        assert_eq!(directory.identify(name, soon()).await, Err(IdentifyError::Unknown), "{name}");
    }
}

#[tokio::test]
async fn nested_groups_count_and_loops_end() {
    let mut looping = DemoPerson::new("looping", "Lou", "Loop");
    looping.groups = vec!["Loop-A".into()];
    let mut people = demo_people();
    people.push(looping);
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), people).await.unwrap();
    for kind in [DirectoryKind::Ad, DirectoryKind::Ldap] {
        let directory = Directory::new(&DirectoryTarget { kind, ..demo(&server) }).unwrap();
        let vpn = [group_dn("Nowhere"), group_dn("vpn-USERS")];
        for (name, expected) in [("alice", true), ("bob", true), ("erin", true), ("looping", false)] {
            let who = directory.identify(name, soon()).await.unwrap();
            assert_eq!(directory.member_of_any(&who, &vpn, soon()).await, Ok(expected), "{kind:?} {name}");
            assert_eq!(directory.member_of_any(&who, &[], soon()).await, Ok(false));
        }
        let bob = directory.identify("bob", soon()).await.unwrap();
        assert_eq!(directory.member_of_any(&bob, &[group_dn("MFA-Exempt")], soon()).await, Ok(false));
        let gone = Identity { dn: "CN=gone,DC=nowhere".into(), unique_id: bob.unique_id.clone(), ..bob };
        assert_eq!(directory.member_of_any(&gone, &vpn, soon()).await, Ok(true), "found by its unique id");
    }
}

/// A server certificate for 127.0.0.1, and the file with its authority.
fn certificate(name: &str) -> (Arc<rustls::ServerConfig>, tempfile::NamedTempFile) {
    let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    (Arc::new(config), file)
}

#[tokio::test]
async fn ldaps_and_starttls_verify_the_server() {
    let (config, ca) = certificate("127.0.0.1");
    let (_, other_ca) = certificate("127.0.0.1");
    let (misnamed, misnamed_ca) = certificate("elsewhere.test");
    for security in [Security::Ldaps, Security::StartTls] {
        let tls = |config: &Arc<rustls::ServerConfig>| match security {
            Security::Ldaps => DemoTls::Ldaps(Arc::clone(config)),
            _ => DemoTls::StartTls(Arc::clone(config)),
        };
        let try_with = async |config: &Arc<rustls::ServerConfig>, ca: Option<&tempfile::NamedTempFile>| {
            let any = "127.0.0.1:0".parse().unwrap();
            let demo_server = DemoDirectory::start_with(any, demo_people(), tls(config)).await.unwrap();
            let directory = Directory::new(&DirectoryTarget {
                servers: Servers::Listed(vec![server(demo_server.local_addr(), security)]),
                ca_file: ca.map(|file| file.path().to_owned()),
                ..demo(&demo_server)
            })
            .unwrap();
            let mut outcomes = Vec::new();
            for _ in 0..3 {
                let who = directory.identify("alice", soon()).await;
                outcomes.push(match who {
                    Ok(who) => directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await,
                    Err(error) => {
                        assert_eq!(error, fault(Fault::Unreachable));
                        assert_eq!(demo_server.binds(), 0, "no password before the server is known");
                        return false;
                    }
                });
            }
            outcomes.iter().all(|finding| *finding == Finding::Right)
        };
        assert!(try_with(&config, Some(&ca)).await, "{security:?}");
        assert!(!try_with(&config, Some(&other_ca)).await, "{security:?}: another authority");
        assert!(!try_with(&config, None).await, "{security:?}: the system's authorities");
        assert!(!try_with(&misnamed, Some(&misnamed_ca)).await, "{security:?}: another name");
    }
}

#[tokio::test]
async fn octets_slipped_in_behind_starttls_end_the_connection() {
    for extra in [true, false] {
        let fake = FakeDirectory::start(move |request| match request.asked {
            Asked::Extended => {
                let mut answer = octets(&response(request.id, 0x78, 0));
                if extra {
                    answer.extend(octets(&bind(request.id + 1, 0, "")));
                }
                vec![Act::Send(answer)]
            }
            _ => ordinary(request),
        })
        .await;
        let servers = vec![server(fake.address, Security::StartTls)];
        let directory = Directory::new(&target(servers)).unwrap();
        assert_eq!(try_password(&directory, "right").await, Finding::Fault(Fault::Unreachable));
        assert_eq!(fake.user_binds(), 0);
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_password() {
    let fake = FakeDirectory::start(ordinary).await;
    let directory = Directory::new(&target(vec![server(fake.address, Security::StartTls)])).unwrap();
    assert_eq!(try_password(&directory, "right").await, Finding::Fault(Fault::Unreachable));
    assert!(fake.seen().iter().all(|request| request.asked == Asked::Extended));
}

#[tokio::test]
async fn an_independent_client_can_talk_to_the_demo_directory() {
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let (connection, mut ldap) = ldap3::LdapConnAsync::new(&format!("ldap://{}", server.local_addr())).await.unwrap();
    ldap3::drive!(connection);
    let (root, _) = ldap.search("", ldap3::Scope::Base, "(objectClass=*)", vec!["*"]).await.unwrap().success().unwrap();
    assert!(ldap3::SearchEntry::construct(root[0].clone()).attrs.contains_key("defaultNamingContext"));
    let refused = ldap.simple_bind("DEMO\\alice", "wrong").await.unwrap();
    assert_eq!(refused.rc, 49);
    assert!(refused.text.contains("data 52e"));
    ldap.simple_bind(DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.unwrap().success().unwrap();
    let filter = format!(
        "(&(objectCategory=person)(userAccountControl:1.2.840.113556.1.4.803:=512)(cn=*L*lace*)(!(sn=x))\
         (memberOf:1.2.840.113556.1.4.1941:={}))",
        group_dn("VPN-Users")
    );
    let (found, result) = ldap
        .search(DEMO_BASE, ldap3::Scope::Subtree, &filter, vec!["cn", "objectGUID"])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!((found.len(), result.rc), (1, 0));
    let ada = ldap3::SearchEntry::construct(found[0].clone());
    assert_eq!(ada.dn, format!("CN=Lovelace\\, Ada,OU=People,{DEMO_BASE}"));
    let written = ldap.delete(&ada.dn).await.unwrap();
    assert_eq!(written.rc, 53);
    ldap.unbind().await.unwrap();
}

#[tokio::test]
async fn ipv6_servers_are_reached() {
    let Ok(server6) = DemoDirectory::start("[::1]:0".parse().unwrap(), demo_people()).await else {
        return assert!(std::net::TcpListener::bind("[::1]:0").is_err(), "IPv6 is there but the demo is not");
    };
    let directory = Directory::new(&demo(&server6)).unwrap();
    assert_eq!(directory.identify("alice", soon()).await.map(|who| who.name), Ok("alice".into()));
}

#[tokio::test]
async fn a_state_that_changes_is_seen_at_once() {
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let directory = Directory::new(&demo(&server)).unwrap();
    let who = directory.identify("alice", soon()).await.unwrap();
    assert_eq!(directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await, Finding::Right);
    let mut people = demo_people();
    people[0].state = AccountState::Disabled;
    server.set_people(people);
    let finding = directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await;
    assert_eq!(finding, Finding::Wrong(Refusal::Disabled));
}

#[tokio::test]
async fn a_probe_tells_what_a_server_told() {
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let directory = Directory::new(&demo(&server)).unwrap();
    let reports = directory.probe().await;
    assert_eq!(reports[0].0, format!("ldap://{}", server.local_addr()));
    let report = reports[0].1.as_ref().unwrap();
    assert!(report.clock.is_some_and(|clock| clock.apart < Duration::from_secs(5)));
    assert_eq!(report.lockout.map(|lockout| (lockout.threshold, lockout.window.as_secs())), Some((10, 1800)));
    assert_eq!(report.certificate_expires, None);
}

#[tokio::test]
async fn a_probe_says_what_to_do_about_each_mistake() {
    let demo_server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let probe = async |target: &DirectoryTarget| {
        let reports = Directory::new(target).unwrap().probe().await;
        reports.into_iter().map(|(_, report)| report.unwrap_err()).collect::<Vec<_>>()
    };
    let wrong = DirectoryTarget { bind_password: secret("planted-wrong"), ..demo(&demo_server) };
    let url = server(demo_server.local_addr(), Security::Plaintext);
    let twice = Servers::Listed(vec![url.clone(), url]);
    let said = probe(&DirectoryTarget { servers: twice, ..wrong }).await;
    assert!(said[0].contains("bind_name or bind_password is wrong"), "{said:?}");
    assert!(said[1].contains("was not tried here"), "{said:?}");
    assert!(!format!("{said:?}").contains("planted"));
    assert_eq!(demo_server.binds(), 1);
    let said = probe(&DirectoryTarget { base: "DC=nowhere".into(), ..demo(&demo_server) }).await;
    assert!(said[0].contains("check base"), "{said:?}");
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = probe(&target(vec![server(unused, Security::Ldaps)])).await;
    assert!(said[0].contains("check address, port and firewall"), "{said:?}");
    let plain = server(demo_server.local_addr(), Security::Ldaps);
    let said = probe(&DirectoryTarget { servers: Servers::Listed(vec![plain]), ..demo(&demo_server) }).await;
    assert!(said[0].contains("TLS failed"), "{said:?}");
}

/// A name server that answers every question with these SRV records.
async fn name_server(records: Vec<(u16, u16, &'static str)>) -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut packet).await {
            // The question: a name of labels, then type and class.
            let name: usize = packet[12..length].iter().position(|&octet| octet == 0).unwrap() + 1;
            let question = &packet[12..12 + name + 4];
            let mut answer = packet[..2].to_vec();
            answer.extend([0x85, 0x80, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
            answer.extend(question);
            for (priority, port, host) in &records {
                let mut target = Vec::new();
                for label in host.split('.') {
                    target.push(u8::try_from(label.len()).unwrap());
                    target.extend(label.as_bytes());
                }
                target.push(0);
                answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
                answer.extend(u16::try_from(6 + target.len()).unwrap().to_be_bytes());
                answer.extend([priority.to_be_bytes(), [0, 0], port.to_be_bytes()].concat());
                answer.extend(target);
            }
            socket.send_to(&answer, peer).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn controllers_are_found_by_srv_records() {
    let demo_server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let port = demo_server.local_addr().port();
    let dns = name_server(vec![(10, port, "localhost"), (0, 1, "localhost")]).await;
    let domain = "demo.anteroom.test".to_owned();
    let locator = Locator::with_name_server(dns, &domain, Security::Plaintext).unwrap();
    let (found, until) = locator.find(Instant::now()).await.unwrap();
    assert_eq!(found.iter().map(|url| url.port).collect::<Vec<_>>(), [1, port]);
    let believed = until.saturating_duration_since(Instant::now());
    assert!((Duration::from_secs(29)..=Duration::from_secs(60)).contains(&believed), "{believed:?}");
    let servers = Servers::Dns { domain, security: Security::Plaintext };
    let directory = Directory::with_locator(&DirectoryTarget { servers, ..demo(&demo_server) }, locator).unwrap();
    // The first of them does not answer; the second does.
    let who = directory.identify("alice", soon()).await.unwrap();
    assert_eq!(directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await, Finding::Right);
}

#[tokio::test]
async fn without_an_answer_from_the_dns_the_directory_is_unreachable() {
    let demo_server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let dns = name_server(Vec::new()).await;
    let locator = Locator::with_name_server(dns, "demo.anteroom.test", Security::Plaintext).unwrap();
    let servers = Servers::Dns { domain: "demo.anteroom.test".into(), security: Security::Plaintext };
    let directory = Directory::with_locator(&DirectoryTarget { servers, ..demo(&demo_server) }, locator).unwrap();
    assert_eq!(directory.identify("alice", soon()).await, Err(fault(Fault::Unreachable)));
    assert!(directory.probe().await[0].1.as_ref().unwrap_err().contains("DNS"));
}
