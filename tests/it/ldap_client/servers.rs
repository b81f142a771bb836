//! Servers that are slow, away, back again, or at odds with us.

use super::*;

#[tokio::test]
async fn the_deadline_of_the_person_ends_the_waiting() {
    let (_fake, directory) = binding(|_| vec![Act::Hang]).await;
    let deadline = Instant::now() + Duration::from_millis(100);
    let finding = directory.try_password(&alice(), &secret("right"), deadline).await;
    assert_eq!(finding, Finding::Fault(Fault::Deadline));
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
    let (dead, reached) = black_hole().await;
    let good = FakeDirectory::start(ordinary).await;
    let servers = vec![server(dead, Security::Plaintext), server(good.address, Security::Plaintext)];
    // Longer than the people wait: who waited for the dead one to the end would not be found.
    let timeout = Duration::from_secs(60);
    let directory = Directory::new(&DirectoryTarget { connect_timeout: timeout, ..target(servers) }).unwrap();
    let directory = Arc::new(directory);
    let first: Vec<_> = (0..50)
        .map(|_| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move { directory.identify("alice", soon()).await })
        })
        .collect();
    for one in first {
        assert_eq!(one.await.unwrap(), Ok(alice()));
    }
    let tried = reached.load(Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
        assert_eq!(try_password(&directory, "right").await, Finding::Right);
    }
    // but for a probe in the background
    assert!(reached.load(Ordering::SeqCst) <= tried + 2, "later ones tried the dead controller");
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
        assert_eq!(directory.identify("alice", soon()).await, Err(fault(Fault::Unreachable)));
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
    let ten = (0..10).map(|_| directory.identify("alice", soon()));
    for outcome in futures_util::future::join_all(ten).await {
        assert_eq!(outcome, Err(fault(Fault::Refused { code: 49 })));
    }
    assert_eq!(directory.identify("alice", soon()).await, Err(fault(Fault::Refused { code: 49 })));
    let tries = fake.seen().iter().filter(|request| matches!(request.asked, Asked::Bind { .. })).count();
    assert_eq!(tries, 1, "each try counts against the service account's own lockout");
}

const MOVED: &str = "CN=Alice,OU=Elsewhere,DC=fake,DC=test";

/// The person as the user store knows them.
fn remembered() -> Identity {
    Identity { remembered: true, ..alice() }
}

async fn try_remembered(directory: &Directory, password: &str) -> Finding {
    directory.try_password(&remembered(), &secret(password), soon()).await
}

/// A directory in which the old name is answered with a code, and the person's entry is found by `found`.
async fn moved(code: u32, found: fn(&Request) -> Vec<Act>) -> FakeDirectory {
    FakeDirectory::start(move |request| match &request.asked {
        Asked::Bind { name, .. } if name == PERSON.0 => vec![bind(request.id, code, "")],
        Asked::Bind { name, password } if name == MOVED && password == b"right" => vec![bind(request.id, 0, "")],
        Asked::Bind { name, .. } if name == MOVED => vec![refused(request.id, "52e")],
        Asked::Search => found(request),
        _ => ordinary(request),
    })
    .await
}

#[tokio::test]
async fn a_dn_that_has_changed_is_looked_up_and_tried_once_more() {
    for code in [32, 34, 49] {
        let fake = moved(code, |request| vec![person(request.id, MOVED, 1), done(request.id, 0)]).await;
        let directory = Directory::new(&plain(&[&fake])).unwrap();
        assert_eq!(try_remembered(&directory, "right").await, Finding::Moved(MOVED.into()), "{code}");
        assert_eq!(fake.user_binds(), 2);
    }
}

#[tokio::test]
async fn whoever_has_a_remembered_dn_now_does_not_come_in_as_the_person() {
    type Found = fn(&Request) -> Vec<Act>;
    let elsewhere: Found = |request| vec![person(request.id, MOVED, 1), done(request.id, 0)];
    let nowhere: Found = |request| vec![done(request.id, 0)];
    let unsaid: Found = |request| vec![done(request.id, 1)];
    let cases = [
        (elsewhere, "right", Finding::Moved(MOVED.into()), 2),
        (elsewhere, "the other one's", Finding::Wrong(Refusal::WrongPassword), 2),
        (nowhere, "the other one's", Finding::Wrong(Refusal::NoSuchUser), 1),
        (unsaid, "the other one's", Finding::Fault(Fault::Refused { code: 1 }), 1),
    ];
    for (found, password, expected, binds) in cases {
        // The old name is another person's, and the password is theirs.
        let fake = moved(0, found).await;
        let directory = Directory::new(&plain(&[&fake])).unwrap();
        assert_eq!(try_remembered(&directory, password).await, expected);
        assert_eq!(fake.user_binds(), binds);
    }
}

#[tokio::test]
async fn a_remembered_dn_is_confirmed_once_and_then_believed_for_a_while() {
    let fake = FakeDirectory::start(ordinary).await;
    let directory = Directory::new(&plain(&[&fake])).unwrap();
    for _ in 0..3 {
        assert_eq!(try_remembered(&directory, "right").await, Finding::Right);
    }
    assert_eq!((fake.user_binds(), fake.searches()), (3, 1));
}

#[tokio::test]
async fn a_dn_that_has_not_changed_is_not_tried_twice() {
    for (who, searches) in [(alice(), 0), (remembered(), 1)] {
        let fake = FakeDirectory::start(ordinary).await;
        let directory = Directory::new(&plain(&[&fake])).unwrap();
        let finding = directory.try_password(&who, &secret("wrong"), soon()).await;
        assert_eq!(finding, Finding::Wrong(Refusal::WrongPassword));
        assert_eq!((fake.user_binds(), fake.searches()), (1, searches));
    }
}

/// A directory that finds the person and never answers a question about their password.
fn hung(request: &Request) -> Vec<Act> {
    if request.is_user_bind() { vec![Act::Hang] } else { ordinary(request) }
}

#[tokio::test]
async fn a_controller_that_hangs_is_found_out_although_each_person_gives_up_sooner() {
    let (dead, _) = black_hole().await;
    let good = FakeDirectory::start(ordinary).await;
    let servers = vec![server(dead, Security::Plaintext), server(good.address, Security::Plaintext)];
    let (timeout, connect_timeout) = (Duration::from_secs(2), Duration::from_millis(500));
    let directory = Directory::new(&DirectoryTarget { timeout, connect_timeout, ..target(servers) }).unwrap();
    let up = || directory.servers().iter().filter(|(_, up)| *up).count();
    for _ in 0..3 {
        let deadline = Instant::now() + Duration::from_millis(200);
        assert_eq!(directory.try_password(&alice(), &secret("right"), deadline).await, Finding::Fault(Fault::Deadline));
        if up() == 1 {
            break;
        }
    }
    let end = Instant::now() + Duration::from_secs(10);
    while up() == 2 {
        assert!(Instant::now() < end, "the hung controller is thought to be up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(try_password(&directory, "right").await, Finding::Right);
}

#[tokio::test]
async fn a_slow_answer_to_one_person_does_not_take_a_good_controller_down() {
    let fake = FakeDirectory::start(hung).await;
    let timeout = Duration::from_secs(5);
    let directory = Directory::new(&DirectoryTarget { timeout, ..plain(&[&fake]) }).unwrap();
    let deadline = Instant::now() + Duration::from_millis(200);
    assert_eq!(directory.try_password(&alice(), &secret("right"), deadline).await, Finding::Fault(Fault::Deadline));
    assert_eq!(directory.identify("alice", soon()).await, Ok(alice()));
    assert!(directory.servers().iter().all(|(_, up)| *up), "it answers a probe");
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
