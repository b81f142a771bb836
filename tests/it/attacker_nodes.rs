//! An attacker against two nodes on one PostgreSQL: what one of them has counted, the other has, too. The directory hears at
//! most one wrong password more than the bound, a right one of somebody who was not wrong writes nothing, and the owner comes
//! in from a known place through whatever node.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anteroom::config::{self, Client, ClientPolicy};
use anteroom::factor::{Answer, Factor, Refusal};
use anteroom::secret::Secret;
use anteroom::signin::attempt::Attempt;
use anteroom::signin::outcome::Reason;
use anteroom::signin::reception::{Deps, SignIns, Target};
use anteroom::users::model::Person;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster as _;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store as _;

use crate::attacker::{Counting, THRESHOLD, right, usual};
use crate::peers::postgres::Postgres;
use crate::support::fakes::{self, Cloud, Recorder};

/// With two nodes two below the directory's threshold.
const BOUND: u32 = THRESHOLD - 2;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

struct Node {
    sign_ins: Arc<SignIns>,
    store: Arc<SqlStore>,
    cloud: Arc<Cloud>,
    ledger: Arc<Recorder>,
    client: Arc<Client>,
}

struct Company {
    server: &'static Postgres,
    database: &'static str,
    directory: Arc<Counting>,
    nodes: Vec<Arc<Node>>,
}

impl Company {
    /// Two nodes, and these people.
    async fn new(database: &'static str, people: &[String]) -> Option<Company> {
        let server = Postgres::shared()?;
        let first = SqlStore::connect(&server.at(&server.database(database))).await.unwrap();
        for name in people {
            let device_token = Some("token-of-a-phone".into());
            let person = Person { device_token, ..Person::bare(format!("id-{name}"), name.clone()) };
            first.enrol(&Profile::new(person), "test").await.unwrap();
        }
        let mut company = Company { server, database, directory: Arc::default(), nodes: Vec::new() };
        company.nodes.push(company.node(first));
        let second = SqlStore::connect(&server.at(database)).await.unwrap();
        company.nodes.push(company.node(second));
        Some(company)
    }

    fn node(&self, store: SqlStore) -> Arc<Node> {
        let (store, ledger) = (Arc::new(store), Arc::new(Recorder::default()));
        let cloud = Cloud::saying("cloud", Some(Answer::Approved));
        let providers = vec![("cloud", cloud.clone() as Arc<dyn Factor>)];
        let deps = fakes::deps(&Arc::new(fakes::right()), providers, store.clone(), &ledger);
        let targets = [("corp".to_owned(), Target { primary: self.directory.clone(), dn_from_store: false })].into();
        let throttle = config::Throttle {
            failures_per_person: BOUND,
            lockout: Some(config::Lockout {
                after: 4,
                reset: Duration::from_secs(600),
                release: Duration::from_secs(600),
            }),
            denial_backoff: Duration::ZERO,
            ..usual()
        };
        let sign_ins = SignIns::new(Deps { targets, throttle, ..deps });
        let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
        client.carry_over = Duration::ZERO;
        Arc::new(Node { sign_ins, store, cloud, ledger, client: Arc::new(client) })
    }

    fn count(&self, table: &str) -> String {
        self.server.sql(self.database, &format!("SELECT count(*) FROM {table}"))
    }

    fn highest(&self) -> u32 {
        *self.directory.highest.lock().unwrap()
    }

    async fn close(self) {
        for node in self.nodes {
            node.store.close().await;
        }
    }
}

impl Node {
    async fn sign_in(&self, who: &str, password: &str, from: IpAddr) -> Reason {
        let attempt = Attempt {
            name: who.into(),
            credential: Ok(Secret::from_text(password.to_owned())),
            person_address: Some(from),
            ..fakes::attempt(&self.client)
        };
        self.sign_ins.enter(attempt).await.outcome().await.reason()
    }
}

fn somewhere(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap()))
}

fn names(many: usize) -> Vec<String> {
    (0..many).map(|number| format!("person{number:02}")).collect()
}

/// What a node knows of the others is as old as this, at most, when it is asked again.
async fn until_known() {
    tokio::time::sleep(Duration::from_millis(600)).await;
}

#[tokio::test]
async fn guesses_at_two_nodes_at_once_stay_below_the_directorys_threshold() {
    let people = names(12);
    let Some(company) = Company::new("attacked", &people).await else { return };
    let guesses = people.iter().flat_map(|who| (0..40).map(move |number| (who.clone(), number)));
    let tries = guesses.map(|(who, number)| {
        let node = Arc::clone(&company.nodes[number % 2]);
        tokio::spawn(async move { node.sign_in(&who, &format!("guess {number}"), somewhere(number)).await })
    });
    for end in futures_util::future::join_all(tries).await {
        let end = end.unwrap();
        // Where the database is too slow to count, nobody is tried.
        let refusals = [Reason::WrongPassword, Reason::ThrottledPerson, Reason::StoreUnavailable];
        assert!(refusals.contains(&end), "{end}");
    }
    assert!((2..THRESHOLD).contains(&company.highest()), "the directory counted {}", company.highest());
    // And on, one after the other, at this node and at that.
    let mut ends = Vec::new();
    for number in 0..20 {
        ends.push(company.nodes[number % 2].sign_in(&people[0], &format!("more {number}"), somewhere(number)).await);
    }
    // Those whom the database was too slow for are tried now, and no more than those.
    assert!(ends.iter().all(|end| matches!(end, Reason::WrongPassword | Reason::ThrottledPerson)), "{ends:?}");
    assert_eq!(ends[10..], [Reason::ThrottledPerson; 10], "{ends:?}");
    assert!(company.highest() < THRESHOLD, "the directory counted {}", company.highest());
    company.close().await;
}

#[tokio::test]
async fn what_one_node_has_counted_the_other_has_too_and_the_owner_comes_in_through_it() {
    let people = names(1);
    let (who, password) = (&people[0], right(&people[0]));
    let Some(company) = Company::new("attacked_in_turn", &people).await else { return };
    let [one, two] = [&company.nodes[0], &company.nodes[1]];
    for _ in 0..5 {
        assert_eq!(one.sign_in(who, &password, HOME).await, Reason::Approved);
    }
    assert_eq!(company.count("tries"), "0", "a right password writes nothing");
    let came = one.ledger.0.lock().unwrap().clone();
    one.store.record(&came).await.unwrap();
    // Strangers have one guess less than the bound, over both nodes.
    let mut ends = Vec::new();
    for number in 0..8 {
        ends.push(one.sign_in(who, &format!("guess {number}"), somewhere(number)).await);
    }
    until_known().await;
    for number in 8..16 {
        ends.push(two.sign_in(who, &format!("guess {number}"), somewhere(number)).await);
    }
    let wrong = ends.iter().filter(|end| **end == Reason::WrongPassword).count();
    assert_eq!(wrong, usize::try_from(BOUND - 1).unwrap(), "{ends:?}");
    assert!(ends.iter().all(|end| matches!(end, Reason::WrongPassword | Reason::ThrottledPerson)), "{ends:?}");
    // The owner has never come through the second node.
    assert_eq!(two.sign_in(who, &password, HOME).await, Reason::Approved);
    // The first node hears of that, and its count begins anew, too: a mistype is no more than that.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(one.sign_in(who, "a mistype", HOME).await, Reason::WrongPassword);
    assert_eq!(one.sign_in(who, &password, HOME).await, Reason::Approved);
    assert!(company.highest() <= BOUND, "the directory counted {}", company.highest());
    company.close().await;
}

#[tokio::test]
async fn denials_at_two_nodes_lock_out_together() {
    let people = names(2);
    let Some(company) = Company::new("denied_in_turn", &people).await else { return };
    let deny = |node: &Node, answer| *node.cloud.answer.lock().unwrap() = Some(answer);
    let denied = || Answer::Refused(Refusal::Denied);
    company.nodes.iter().for_each(|node| deny(node, denied()));
    let sign_in = async |who: usize, node: usize| {
        let who = &people[who];
        company.nodes[node].sign_in(who, &right(who), HOME).await
    };
    for number in 0..4 {
        assert_eq!(sign_in(0, number % 2).await, Reason::Denied, "{number}");
    }
    // A node hears of another's block within a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!([sign_in(0, 0).await, sign_in(0, 1).await], [Reason::Blocked; 2]);
    // An approval in between begins anew.
    for number in 0..3 {
        assert_eq!(sign_in(1, number % 2).await, Reason::Denied, "{number}");
    }
    until_known().await;
    deny(&company.nodes[1], Answer::Approved);
    assert_eq!(sign_in(1, 1).await, Reason::Approved);
    deny(&company.nodes[1], denied());
    until_known().await;
    for number in 0..3 {
        assert_eq!(sign_in(1, number % 2).await, Reason::Denied, "{number} after the approval");
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    deny(&company.nodes[0], Answer::Approved);
    assert_eq!(sign_in(1, 0).await, Reason::Approved, "three in a row are not four");
    company.close().await;
}

#[tokio::test]
async fn whoever_was_wrong_is_not_tried_while_the_database_is_away() {
    let people = names(1);
    let who = &people[0];
    let Some(company) = Company::new("counted_nowhere", &people).await else { return };
    assert_eq!(company.nodes[0].sign_in(who, "wrong", HOME).await, Reason::WrongPassword);
    let binds = || company.directory.binds.load(Ordering::SeqCst);
    let before = binds();
    company.nodes[0].store.close().await;
    for number in 0..5 {
        let end = company.nodes[0].sign_in(who, &format!("guess {number}"), HOME).await;
        assert_eq!(end, Reason::StoreUnavailable);
    }
    assert_eq!(binds(), before, "nobody can count it, so nobody is asked");
    company.close().await;
}
