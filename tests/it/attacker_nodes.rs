//! An attacker against two nodes on one PostgreSQL: what one of them has counted, the other has, too. The directory hears at
//! most one wrong password more than the bound, a right one of somebody who was not wrong writes nothing, and the owner comes
//! in from a known place through whatever node.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anteroom::config::{self, Client, ClientPolicy};
use anteroom::factor::{Answer, Factor, Refusal, Request};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Attempt, Door};
use anteroom::signin::explain::{Question, Served, explain};
use anteroom::signin::nodes::Nodes;
use anteroom::signin::outcome::Reason;
use anteroom::signin::reception::{Deps, SignIns, Target};
use anteroom::users::model::Person;
use anteroom::users::profile::Profile;
use anteroom::users::prompts::{self as node, Begun, Effect, SharedPrompts as _};
use anteroom::users::roster::Roster as _;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store as _;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::attacker::{Counting, THRESHOLD, right, usual};
use crate::peers::postgres::Postgres;
use crate::support::fakes::{self, Cloud, Recorder};

/// With two nodes two below the directory's threshold.
const BOUND: u32 = THRESHOLD - 2;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// A cloud whose answers may be held back.
struct Gate {
    cloud: Arc<Cloud>,
    is_shut: AtomicBool,
    opened: Notify,
}

impl Factor for Gate {
    fn name(&self) -> &str {
        "cloud"
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        let answer = self.cloud.run(request);
        Box::pin(async move {
            if self.is_shut.load(Ordering::SeqCst) {
                self.opened.notified().await;
            }
            answer.await
        })
    }
}

struct Node {
    sign_ins: Arc<SignIns>,
    store: Arc<SqlStore>,
    cloud: Arc<Cloud>,
    gate: Arc<Gate>,
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
        let first = company.node(first).await;
        company.nodes.push(first);
        let second = SqlStore::connect(&server.at(database)).await.unwrap();
        let second = company.node(second).await;
        company.nodes.push(second);
        Some(company)
    }

    async fn node(&self, store: SqlStore) -> Arc<Node> {
        let (store, ledger) = (Arc::new(store), Arc::new(Recorder::default()));
        let cloud = Cloud::saying("cloud", Some(Answer::Approved));
        let gate = Arc::new(Gate { cloud: cloud.clone(), is_shut: AtomicBool::new(false), opened: Notify::new() });
        let providers = vec![("cloud", gate.clone() as Arc<dyn Factor>)];
        let me = node::Node { node: format!("process-{}", self.nodes.len()), name: "node".into() };
        let nodes = Nodes::new(store.clone(), me, [9; 32]);
        nodes.alive(&usual()).await.unwrap();
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
        let sign_ins = SignIns::new(Deps { targets, throttle, nodes: Some(Arc::new(nodes)), ..deps });
        let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
        client.carry_over = Duration::ZERO;
        Arc::new(Node { sign_ins, store, cloud, gate, ledger, client: Arc::new(client) })
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
async fn an_explanation_knows_what_the_other_node_has_counted() {
    let people = names(2);
    let Some(company) = Company::new("explained", &people).await else { return };
    let [one, two] = [&company.nodes[0], &company.nodes[1]];
    let explained = async |who: &str, step: &str| {
        let (client, door) = (Arc::clone(&two.client), Door::Radius);
        let served = [Served { client, door, tells_address: true, profile: None }];
        let question = Question {
            client: "vpn".into(),
            user: who.into(),
            from: Some(HOME),
            at: None,
            typed: None,
            computer: None,
            smart_card: false,
        };
        let told = explain(&two.sign_ins, &served, &question).await.unwrap();
        let said = told.steps.iter().find(|line| line.step == step).map(|line| line.text.clone());
        (told.reason, said.unwrap_or_default())
    };
    let who = &people[0];
    assert_eq!(explained(who, "throttle").await, (None, String::new()));
    // A wrong password is counted by a task of its own.
    assert_eq!(one.sign_in(who, "a guess", HOME).await, Reason::WrongPassword);
    while company.count("tries") == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(explained(who, "throttle").await.1, format!("wrong passwords, over all nodes: 1 of {BOUND}"));
    let who = &people[1];
    *one.cloud.answer.lock().unwrap() = Some(Answer::Refused(Refusal::Expired));
    for number in 0..5 {
        assert!(explained(who, "prompts").await.1.starts_with(&format!("{number} of 5 ")), "{number}");
        assert_eq!(one.sign_in(who, &right(who), HOME).await, Reason::Expired);
    }
    let (reason, said) = explained(who, "prompts").await;
    assert_eq!(reason.as_deref(), Some("prompt_limited"), "{said}");
    assert!(said.starts_with("5 of 5 without an approval within 10m"), "{said}");
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

#[tokio::test]
async fn a_fraud_report_at_one_node_voids_the_approval_of_a_prompt_that_was_out_at_the_other() {
    let people = names(1);
    let who = people[0].clone();
    let Some(company) = Company::new("defrauded", &people).await else { return };
    let [one, two] = [&company.nodes[0], &company.nodes[1]].map(Arc::clone);
    // The first prompt is out at the one; whoever knows the password comes from elsewhere to the other.
    one.gate.is_shut.store(true, Ordering::SeqCst);
    let first = {
        let (one, who) = (Arc::clone(&one), who.clone());
        tokio::spawn(async move { one.sign_in(&who, &right(&who), somewhere(1)).await })
    };
    while one.cloud.asked() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    *two.cloud.answer.lock().unwrap() = Some(Answer::Refused(Refusal::Fraud));
    assert_eq!(two.sign_in(&who, &right(&who), somewhere(2)).await, Reason::Fraud);
    // Approved all the same, by a thumb that was quicker than its owner.
    one.gate.opened.notify_one();
    assert_eq!(first.await.unwrap(), Reason::Blocked, "no approval of a prompt that was out then counts");
    assert_eq!(company.count("prompts_out WHERE outcome = 'approved'"), "0", "nobody else is told of it");
    company.close().await;
}

#[tokio::test]
async fn prompts_that_nobody_answers_are_backed_off_over_both_nodes() {
    let people = names(1);
    let who = &people[0];
    let Some(company) = Company::new("unanswered", &people).await else { return };
    let pauses = config::Throttle { denial_backoff: Duration::from_secs(60), ..usual() };
    let prompt = |number: usize| node::Intended {
        key: Some(format!("{number:032x}")),
        claim: format!("{number:024x}"),
        unique_id: format!("id-{who}"),
        node: format!("process-{}", number % 2),
        is_code: false,
        until: SystemTime::now() + Duration::from_secs(60),
    };
    // The first that nobody answers is forgiven, the second is not, and the next ones less and less.
    let mut now = SystemTime::now();
    for (number, pause) in [(1, 0), (2, 60), (3, 120), (4, 240)] {
        let store = &company.nodes[number % 2].store;
        assert_eq!(store.begin_prompt(&prompt(number), &pauses, now).await.unwrap(), Begun::Ours, "{number}");
        let effect = (&Effect::Unanswered, &pauses);
        store.end_prompt(&prompt(number), (None, now), effect, now).await.unwrap();
        let other = &company.nodes[(number + 1) % 2].store;
        let again = prompt(number + 10);
        if pause > 0 {
            let soon = now + Duration::from_secs(pause - 1);
            assert_eq!(other.begin_prompt(&again, &pauses, soon).await.unwrap(), Begun::Limited, "{number}");
        }
        now += Duration::from_secs(pause);
    }
    company.close().await;
}
