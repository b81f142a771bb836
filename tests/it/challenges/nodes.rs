//! Two nodes on one PostgreSQL: each answer may reach the other node, each State is good once over both, and what cannot be
//! moved says so.

use std::collections::BTreeMap;

use anteroom::factor::local::split::PinSide;
use anteroom::signin::moving::Shared;
use anteroom::users::keys::KeyFile;
use anteroom::users::pin::Rules;
use anteroom::users::pins::Pins;
use anteroom::users::sql::SqlStore;

use super::*;
use crate::local_codes::{House, counted};
use crate::peers::postgres::Postgres;

const USED: (Verdict, Reason) = (Verdict::Reject, Reason::StateUsed);

/// Two nodes with everything but the database and the key file of their own.
struct Nodes {
    server: &'static Postgres,
    database: &'static str,
    house: House,
    halls: [Hall; 2],
}

impl Nodes {
    async fn new(database: &'static str, methods: &[Method], rule: Challenges) -> Option<Nodes> {
        Nodes::with(database, methods, rule, false).await
    }

    async fn with(database: &'static str, methods: &[Method], rule: Challenges, by_house: bool) -> Option<Nodes> {
        let server = Postgres::shared()?;
        let one = Arc::new(SqlStore::connect(&server.at(&server.database(database))).await.unwrap());
        let two = Arc::new(SqlStore::connect(&server.at(database)).await.unwrap());
        let house = House::on(tempfile::tempdir().unwrap(), one.clone()).await;
        let node = |number: u8, store: Arc<SqlStore>| {
            let keys = Arc::new(KeyFile::open(house.keys.path()).unwrap());
            let local = house.with(50, PinSide::Before, store.clone());
            Hall::with(Cloud::default(), methods, rule, fakes::enrolled(), |deps| {
                deps.random = [number; 32];
                deps.store = store.clone();
                deps.pins = Some(Pins { roster: store.clone(), rules: Rules::default() });
                let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
                (client.methods, client.challenge) = (methods.to_vec(), Some(rule));
                let clients = BTreeMap::from([("vpn".to_owned(), Arc::new(client))]);
                deps.rounds = Some(Arc::new(Shared { store, keys, secret: [9; 32], clients }));
                if by_house {
                    deps.providers.insert("cloud".into(), Arc::new(local));
                }
            })
        };
        let halls = [node(1, one), node(2, two)];
        Some(Nodes { server, database, house, halls })
    }

    fn ends(&self) -> Vec<(Verdict, Reason)> {
        self.halls.iter().flat_map(Hall::ends).collect()
    }

    fn waiting(&self) -> String {
        self.server.sql(self.database, "SELECT count(*) FROM rounds").trim().to_owned()
    }
}

#[tokio::test]
async fn answers_go_to_the_other_node_in_turn_and_no_state_is_good_twice() {
    let Some(nodes) = Nodes::new("rounds_turn", &[Method::SmsCode], RULE).await else { return };
    let [one, two] = &nodes.halls;
    let first = one.first().await;
    assert!(text(&first).starts_with("A code is on its way as a text message."));
    let second = two.answer(&first, "000000").await;
    assert!(text(&second).starts_with("That was not right. 2 more tries: A code is on its way"), "{}", text(&second));
    let third = one.answer(&second, "000001").await;
    assert!(text(&third).starts_with("That was not right. One more try: A code is on its way"), "{}", text(&third));
    // what one of them has taken is taken at both
    for hall in &nodes.halls {
        assert_eq!(heard(&hall.answer(&first, RIGHT).await), USED);
        assert_eq!(heard(&hall.answer(&second, RIGHT).await), USED);
    }
    assert_eq!(heard(&two.answer(&third, RIGHT).await), IN);
    for hall in &nodes.halls {
        assert_eq!(heard(&hall.answer(&third, RIGHT).await), USED);
    }
    let last = two.ledger.0.lock().unwrap().iter().find(|event| event.verdict == Verdict::Accept).unwrap().clone();
    assert_eq!((last.requests, last.primary, last.factor), (4, Some("passed"), Some("approved")));
    assert_eq!(last.sign_in, one.cloud.asked.lock().unwrap()[0].2, "one sign-in at both nodes");
    assert_eq!(nodes.ends().iter().filter(|end| **end != USED).count(), 1, "one sign-in, one event");
    assert_eq!(one.primary.binds.load(Ordering::SeqCst) + two.primary.binds.load(Ordering::SeqCst), 1, "one bind");
    assert_eq!(nodes.waiting(), "0");
}

#[tokio::test]
async fn of_many_answers_at_both_nodes_at_once_one_is_looked_at() {
    let Some(nodes) = Nodes::new("rounds_race", &[Method::SmsCode], RULE).await else { return };
    let first = nodes.halls[0].first().await;
    let tries = (0..16).map(|number: usize| {
        let (hall, typed) = (&nodes.halls[number % 2], format!("{number:06}"));
        let attempt = hall.next(state(&first), &typed);
        async move { heard(&hall.enter(attempt).await) }
    });
    let answers = futures_util::future::join_all(tries).await;
    let looked: usize = nodes.halls.iter().map(|hall| hall.cloud.looked_at.load(Ordering::SeqCst)).sum();
    assert_eq!(looked, 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| **answer == USED).count(), 15);
}

#[tokio::test]
async fn another_name_at_the_other_node_is_refused_and_the_round_waits_on() {
    let Some(nodes) = Nodes::new("rounds_foreign", &[Method::SmsCode], RULE).await else { return };
    let [one, two] = &nodes.halls;
    let first = one.first().await;
    let other = Attempt { name: "bob".into(), ..two.next(state(&first), RIGHT) };
    assert_eq!(heard(&two.enter(other).await), (Verdict::Reject, Reason::StateForeign));
    let mut altered = state(&first).to_vec();
    altered[40] ^= 1;
    assert_eq!(heard(&two.enter(two.next(&altered, RIGHT)).await), (Verdict::Reject, Reason::StateForeign));
    assert_eq!(heard(&two.answer(&first, RIGHT).await), IN);
}

#[tokio::test]
async fn a_pin_is_changed_over_two_nodes_and_lies_in_no_table_readably() {
    let Some(nodes) = Nodes::with("rounds_pin", &[Method::Oath], RULE, true).await else { return };
    nodes.house.pin_mode("40927", true).await;
    let [one, two] = &nodes.halls;
    let asked = two.answer(&one.first().await, &counted(0)).await;
    assert_eq!(text(&asked), "Enter your PIN.");
    let asked = one.answer(&asked, "40927").await;
    assert!(text(&asked).starts_with("Your PIN has to be changed."), "{}", text(&asked));
    let asked = two.answer(&asked, "70913").await;
    assert_eq!(text(&asked), "Enter the new PIN once more.");
    assert_eq!(nodes.waiting(), "1");
    let dump = nodes.server.sql(nodes.database, "SELECT reference, holder, encode(sealed, 'escape') FROM rounds");
    assert!(!dump.contains("70913") && !dump.contains(&counted(0)) && !dump.contains("alice"), "{dump}");
    assert_eq!(heard(&one.answer(&asked, "70913").await), IN, "PIN, new PIN and code came from three rounds");
    assert_eq!(nodes.ends(), [IN]);
}

#[tokio::test]
async fn an_open_prompt_stays_on_its_node_and_says_so_at_the_other() {
    let rule = Challenges { beside_prompt: true, ..RULE };
    let Some(nodes) = Nodes::new("rounds_prompt", &[Method::Push], rule).await else { return };
    let [one, two] = &nodes.halls;
    let asked = one.first().await;
    assert_eq!(text(&asked), "Approve on your phone and press OK here, or enter a code.");
    assert_eq!(nodes.waiting(), "0");
    assert_eq!(heard(&two.answer(&asked, "").await), (Verdict::Reject, Reason::StateElsewhere));
    one.cloud.answered.notify_one();
    assert_eq!(heard(&one.answer(&asked, "").await), IN);
}

#[tokio::test]
async fn a_round_that_nobody_answers_leaves_one_event() {
    let rule = Challenges { within: Duration::from_secs(2), ..RULE };
    let Some(nodes) = Nodes::new("rounds_over", &[Method::SmsCode], rule).await else { return };
    let [one, two] = &nodes.halls;
    let asked = one.first().await;
    assert_eq!(nodes.waiting(), "1");
    while nodes.ends().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(nodes.ends(), [(Verdict::Reject, Reason::ChallengeExpired)]);
    let event = one.ledger.0.lock().unwrap()[0].clone();
    assert_eq!((event.name.as_str(), event.unique_id), ("alice", Some(fakes::alice().unique_id)));
    assert_eq!(nodes.waiting(), "0");
    assert_eq!(heard(&two.answer(&asked, RIGHT).await), USED);
}

#[tokio::test]
async fn rounds_of_one_person_are_bounded_over_all_nodes() {
    let Some(nodes) = Nodes::new("rounds_bound", &[Method::SmsCode], RULE).await else { return };
    let shared = Shared {
        store: Arc::new(SqlStore::connect(&nodes.server.at(nodes.database)).await.unwrap()),
        keys: nodes.house.keys.clone(),
        secret: [9; 32],
        clients: BTreeMap::new(),
    };
    let now = SystemTime::now();
    let sealed = nodes.house.keys.seal("round", &["x"], &Secret::from_text("x".into())).unwrap();
    let round = |number: u32| anteroom::users::rounds::WaitingRound {
        reference: format!("{number:032x}"),
        holder: "00".into(),
        unique_id: "u1".into(),
        sealed: sealed.clone(),
        until: now + Duration::from_secs(60),
    };
    assert!(shared.store.keep_round(&round(1), 2, now).await.unwrap());
    assert!(shared.store.keep_round(&round(2), 2, now).await.unwrap());
    assert!(!shared.store.keep_round(&round(3), 2, now).await.unwrap());
    let large = anteroom::users::sealed::Sealed::from_bytes(vec![0; anteroom::users::rounds::LARGEST + 1]);
    let large = anteroom::users::rounds::WaitingRound { sealed: large, ..round(4) };
    assert!(shared.store.keep_round(&large, 9, now).await.is_err());
    assert!(!format!("{:?}", round(1)).contains("planted"));
}
