//! Answers that are none, and the one that is.

use anteroom::ldap::filter::write_equality;
use anteroom::ldap::pool::{Connection, tls_connector};
use anteroom::ldap::search::{Entry, Scope, SearchRequest, Values};

use super::*;
use crate::support::fake_directory::{PAGE_LIMIT, limited, member_range};

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
        ("closes", |_| vec![Act::Close], Finding::Fault(Fault::Unanswered)),
        ("half an answer", |r| vec![cut(&bind(r.id, 0, "")), Act::Close], Finding::Fault(Fault::Unanswered)),
        ("notice", |_| vec![disconnection(), Act::Close], Finding::Fault(Fault::Unanswered)),
        ("never answers", |_| vec![Act::Hang], Finding::Fault(Fault::Unanswered)),
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
    assert_eq!(try_password(&directory, "right").await, Finding::Fault(Fault::Unanswered));
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

/// A directory whose binds by people are all answered with `code`.
async fn answering(code: u32) -> FakeDirectory {
    FakeDirectory::start(
        move |request| {
            if request.is_user_bind() { vec![bind(request.id, code, "")] } else { ordinary(request) }
        },
    )
    .await
}

#[tokio::test]
async fn a_server_that_did_not_look_at_the_password_is_passed_over() {
    for code in [10, 51, 52, 53] {
        let unwilling = answering(code).await;
        let willing = FakeDirectory::start(ordinary).await;
        let directory = Directory::new(&plain(&[&unwilling, &willing])).unwrap();
        assert_eq!(try_password(&directory, "right").await, Finding::Right);
        assert_eq!(try_password(&directory, "wrong").await, Finding::Wrong(Refusal::WrongPassword));
        assert_eq!((unwilling.user_binds(), willing.user_binds()), (2, 2), "{code}: each once");
        let also = answering(code).await;
        let none = Directory::new(&plain(&[&unwilling, &also])).unwrap();
        assert_eq!(try_password(&none, "right").await, Finding::Fault(Fault::Refused { code }));
        assert_eq!((unwilling.user_binds(), also.user_binds()), (3, 1), "{code}: each once");
    }
}

#[tokio::test]
async fn a_server_that_looked_at_the_password_is_the_last_one_asked() {
    for code in [49, 1, 8, 19, 32, 50, 80] {
        let first = answering(code).await;
        let second = FakeDirectory::start(ordinary).await;
        let directory = Directory::new(&plain(&[&first, &second])).unwrap();
        assert_ne!(try_password(&directory, "right").await, Finding::Right, "{code}");
        assert_eq!((first.user_binds(), second.user_binds()), (1, 0), "{code}");
    }
}

#[tokio::test]
async fn a_controller_that_cuts_long_lists_is_understood() {
    let members: Vec<String> = (0..1500).map(|number| format!("CN=m{number},DC=fake,DC=test")).collect();
    let list = members.clone();
    let fake = FakeDirectory::start(move |request| match &request.asked {
        Asked::Search if request.frame.windows(12).any(|part| part == b"range=1500-*") => {
            vec![member_range(request.id, "CN=g", 1500, None, &list[..3]), done(request.id, 0)]
        }
        Asked::Search => vec![member_range(request.id, "CN=g", 0, Some(1499), &list), done(request.id, 0)],
        _ => ordinary(request),
    })
    .await;
    let mut connection =
        Connection::open(&server(fake.address, Security::Plaintext), &tls_connector(None).unwrap()).await.unwrap();
    let mut filter = Vec::new();
    write_equality(&mut anteroom::ldap::ber::Writer::new(&mut filter), "cn", b"g");
    for (wanted, end, count) in [("member", Some(1499), 1500), ("member;range=1500-*", None, 3)] {
        let attributes = [wanted];
        let request = SearchRequest {
            base: "CN=g",
            scope: Scope::Base,
            size_limit: 1,
            time_limit: Duration::from_secs(1),
            filter: &filter,
            attributes: &attributes,
        };
        let read = |entry: &Entry<'_>| {
            let values = |values: Values<'_>| -> Vec<String> {
                values.map(|dn| String::from_utf8(dn.to_vec()).unwrap()).collect()
            };
            let (end, cut) = entry.ranged("Member").expect("a range");
            (end, values(cut), entry.values("member").count())
        };
        let found = connection.search(&request, read).await.unwrap();
        assert_eq!(found, (0, vec![(end, members[..count].to_vec(), 0)]), "{wanted}");
    }
}

#[tokio::test]
async fn a_size_limit_leaves_one_hit_uncertain_and_two_ambiguous() {
    for (hits, expected) in [
        (0, fault(Fault::Refused { code: 4 })),
        (1, fault(Fault::Refused { code: 4 })),
        (2, IdentifyError::Ambiguous),
        // More than we allowed: this server does not keep to what it is asked.
        (3, fault(Fault::Garbled)),
        (PAGE_LIMIT + 1, fault(Fault::Garbled)),
    ] {
        let (_fake, directory) = searching(move |request| limited(request.id, hits, hits.min(PAGE_LIMIT))).await;
        assert_eq!(directory.identify("alice", soon()).await, Err(expected), "{hits} hits");
    }
    let (_fake, directory) = searching(|request| {
        let mut acts: Vec<Act> = (1..=2).map(|number| person(request.id, &format!("CN=p{number}"), number)).collect();
        acts.push(done(request.id, 0));
        acts
    })
    .await;
    assert_eq!(directory.identify("alice", soon()).await, Err(IdentifyError::Ambiguous), "without a limit, too");
}

#[tokio::test]
async fn a_bind_cut_off_in_the_middle_is_not_repeated_elsewhere() {
    let closing =
        FakeDirectory::start(|request| if request.is_user_bind() { vec![Act::Close] } else { ordinary(request) }).await;
    let good = FakeDirectory::start(ordinary).await;
    let directory = Directory::new(&plain(&[&closing, &good])).unwrap();
    assert_eq!(try_password(&directory, "right").await, Finding::Fault(Fault::Unanswered));
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
        assert_eq!(directory.identify("alice", soon()).await, Err(expected), "{name}");
    }
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
