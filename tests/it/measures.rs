//! One-time bypasses, blocks, fraud reports and lockouts: each does what it says, once, and is in the report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anteroom::audit::{Event, Ledger, Note};
use anteroom::config::{self, Client, ClientPolicy, Rule, Then};
use anteroom::factor::{Answer, Factor, Refusal};
use anteroom::signin::attempt::{Attempt, Door, SignInId};
use anteroom::signin::explain::{Question, Served, explain};
use anteroom::signin::outcome::{Outcome, Reason};
use anteroom::signin::reception::{Deps, SignIns};
use anteroom::users::details::Device;
use anteroom::users::letters::LetterKind;
use anteroom::users::measures::{Measure, MeasureKind};
use anteroom::users::model::Person;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store;

use crate::support::fakes::{self, Cloud, Recorder};

/// A node: a reception on a store that others may share.
pub(crate) struct Node {
    pub(crate) sign_ins: Arc<SignIns>,
    pub(crate) store: Arc<SqlStore>,
    pub(crate) cloud: Arc<Cloud>,
    ledger: Arc<Recorder>,
    pub(crate) client: Arc<Client>,
}

pub(crate) fn node(store: SqlStore, answer: Answer, adjust: impl FnOnce(&mut Deps)) -> Node {
    let store = Arc::new(store);
    let cloud = Cloud::saying("cloud", Some(answer));
    let ledger = Arc::new(Recorder::default());
    let primary = Arc::new(fakes::right());
    let providers = vec![("cloud", cloud.clone() as Arc<dyn Factor>)];
    let mut deps = fakes::deps(&primary, providers, store.clone(), &ledger);
    adjust(&mut deps);
    Node { sign_ins: SignIns::new(deps), store, cloud, ledger, client: fakes::client(ClientPolicy::default()) }
}

pub(crate) async fn store(folder: &tempfile::TempDir) -> SqlStore {
    SqlStore::open(folder.path().join("people.db"), true).await.unwrap()
}

/// A folder with a store in which alice is enrolled.
pub(crate) async fn with_alice(change: impl FnOnce(&mut Person)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut person = fakes::person();
    change(&mut person);
    store(&folder).await.enrol(&Profile::new(person), "test").await.unwrap();
    folder
}

pub(crate) fn measure(kind: MeasureKind, lasts: Duration) -> Measure {
    Measure {
        time: SystemTime::now(),
        kind,
        unique_id: Some(fakes::alice().unique_id),
        name: "alice".into(),
        by: "cli:ada".into(),
        reason: "lost her phone".into(),
        until: SystemTime::now().checked_add(lasts),
        sign_in: None,
        used: None,
    }
}

impl Node {
    pub(crate) async fn sign_in(&self) -> Arc<Outcome> {
        self.sign_ins.enter(fakes::attempt(&self.client)).await.outcome().await
    }

    pub(crate) async fn measures(&self) -> Vec<Measure> {
        let hour = Duration::from_secs(3600);
        let period = (SystemTime::now() - hour, SystemTime::now() + hour);
        self.store.measures(period, 0, 100).await.unwrap().into_iter().map(|(_, measure)| measure).collect()
    }

    pub(crate) fn last(&self) -> Event {
        self.ledger.0.lock().unwrap().last().unwrap().clone()
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_bypass_lets_one_sign_in_of_many_through_on_two_nodes_together() {
    let folder = with_alice(|_| {}).await;
    let nodes = [
        Arc::new(node(store(&folder).await, Answer::Refused(Refusal::Denied), |_| {})),
        Arc::new(node(store(&folder).await, Answer::Refused(Refusal::Denied), |_| {})),
    ];
    for round in 0..5 {
        assert!(nodes[0].store.take_measure(&measure(MeasureKind::Bypass, MINUTE), false).await.unwrap());
        // The other node may have looked a moment ago.
        tokio::time::sleep(Duration::from_millis(600)).await;
        let tries = (0..12).map(|number| {
            let node = Arc::clone(&nodes[number % 2]);
            tokio::spawn(async move {
                // Each from another device, so that none joins another.
                let station = Some(vec![u8::try_from(number).unwrap()].into_boxed_slice());
                let attempt = Attempt { station, ..fakes::attempt(&node.client) };
                node.sign_ins.enter(attempt).await.outcome().await.reason()
            })
        });
        let ends = futures_util::future::join_all(tries).await.into_iter().map(Result::unwrap);
        let bypassed = ends.filter(|reason| *reason == Reason::OneTimeBypass).count();
        assert_eq!(bypassed, 1, "round {round}");
    }
    let used = nodes[0].measures().await;
    assert_eq!(used.len(), 5);
    assert!(used.iter().all(|one| one.used.is_some() && one.sign_in.is_some() && one.by == "cli:ada"), "{used:?}");
    assert_eq!(nodes[0].sign_in().await.reason(), Reason::Denied, "nothing is left");
}

#[tokio::test]
async fn a_bypass_is_not_used_where_it_is_not_needed_and_opens_no_other_door() {
    // Whom a rule skips needs none.
    let rule = |then| {
        Arc::new(Rule {
            name: "all".into(),
            clients: vec![],
            applications: vec![],
            users: vec![],
            groups: vec![],
            networks: vec![],
            hours: None,
            then,
        })
    };
    for (then, reason) in [(Then::Skip, Reason::RuleSkipped), (Then::Refuse, Reason::RuleRefused)] {
        let folder = with_alice(|_| {}).await;
        let house = node(store(&folder).await, Answer::Approved, |deps| deps.rules = vec![rule(then)]);
        house.store.take_measure(&measure(MeasureKind::Bypass, MINUTE), false).await.unwrap();
        assert_eq!(house.sign_in().await.reason(), reason);
        assert_eq!(house.measures().await[0].used, None);
    }
    // Whoever is blocked or disabled stays out.
    let later = SystemTime::now() + MINUTE;
    for (change, reason) in [
        (Box::new(|person: &mut Person| person.enabled = false) as Box<dyn FnOnce(&mut Person)>, Reason::UserDisabled),
        (Box::new(move |person: &mut Person| person.blocked_until = Some(later)), Reason::Blocked),
    ] {
        let folder = with_alice(change).await;
        let house = node(store(&folder).await, Answer::Approved, |_| {});
        if reason == Reason::Blocked {
            house.store.take_measure(&measure(MeasureKind::Block, MINUTE), false).await.unwrap();
        }
        house.store.take_measure(&measure(MeasureKind::Bypass, MINUTE), false).await.unwrap();
        assert_eq!(house.sign_in().await.reason(), reason);
        assert!(house.measures().await.iter().all(|one| one.used.is_none()));
    }
    // Who has no phone any more comes in once; who was given one yesterday does not.
    let folder = with_alice(|person| person.device_token = None).await;
    let house = node(store(&folder).await, Answer::Approved, |_| {});
    assert_eq!(house.sign_in().await.reason(), Reason::NoMethod);
    let over = Measure { until: Some(SystemTime::now() - MINUTE), ..measure(MeasureKind::Bypass, MINUTE) };
    house.store.take_measure(&over, false).await.unwrap();
    assert_eq!(house.sign_in().await.reason(), Reason::NoMethod);
    house.store.take_measure(&measure(MeasureKind::Bypass, MINUTE), false).await.unwrap();
    let served = Served { client: house.client.clone(), door: Door::Radius, tells_address: false, profile: None };
    let question = Question {
        client: "vpn".into(),
        user: "alice".into(),
        from: None,
        at: None,
        typed: None,
        computer: None,
        smart_card: false,
    };
    let told = explain(&house.sign_ins, &[served], &question).await.unwrap();
    assert_eq!((told.end.as_str(), told.reason.as_deref()), ("accept", Some("one_time_bypass")));
    assert_eq!(house.sign_in().await.reason(), Reason::OneTimeBypass, "explaining has not used it");
    assert_eq!(house.last().rule, None);
    assert_eq!(house.sign_in().await.reason(), Reason::NoMethod);
    assert_eq!(house.cloud.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_fraud_report_blocks_is_told_to_administrators_and_a_late_one_as_well() {
    let folder = with_alice(|_| {}).await;
    let house = node(store(&folder).await, Answer::Refused(Refusal::Fraud), |deps| deps.mails = true);
    assert_eq!(house.sign_in().await.reason(), Reason::Fraud);
    assert_eq!(house.sign_in().await.reason(), Reason::Blocked);
    let told = house.measures().await;
    assert_eq!((told.len(), told[0].kind, told[0].by.as_str()), (1, MeasureKind::Fraud, "person"));
    let letters = async || house.store.letters_due(SystemTime::now() + MINUTE, 10).await.unwrap();
    let first = letters().await;
    assert_eq!((first.len(), first[0].kind), (1, LetterKind::Fraud));
    house.store.forget_letter(first[0].id).await.unwrap();

    // Late: the sign-in has ended, its event is in the store.
    let unblock = Measure { until: None, ..measure(MeasureKind::Unblock, MINUTE) };
    assert!(house.store.take_measure(&unblock, false).await.unwrap());
    let late = Event { sign_in: SignInId::new([0xee; 12]), ..house.last() };
    let other = Event { sign_in: SignInId::new([0xed; 12]), unique_id: None, ..house.last() };
    house.store.record(&[late, other]).await.unwrap();
    // The provider was asked in its third round, under an identifier of that round.
    let whom = house.sign_ins.late_fraud(SignInId::new([0xee; 12]).of_round(2)).await;
    assert_eq!(whom, Some(fakes::alice().unique_id));
    assert_eq!(house.sign_in().await.reason(), Reason::Blocked);
    let told = house.measures().await;
    let kinds: Vec<MeasureKind> = told.iter().map(|measure| measure.kind).collect();
    assert_eq!(kinds, [MeasureKind::Fraud, MeasureKind::Unblock, MeasureKind::LateFraud]);
    assert_eq!(told[2].sign_in.as_deref(), Some("eeeeeeeeeeeeeeeeeeeeeeee"));
    assert_eq!(letters().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_fraud_report_of_nobody_is_given_up_and_blocks_nobody() {
    let house = fakes::House::new(fakes::right(), fakes::approves(), fakes::enrolled());
    assert_eq!(house.sign_ins.late_fraud(SignInId::new([1; 12])).await, None);
    assert_eq!(house.store.blocked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn too_many_denials_or_wrong_codes_lock_out_until_their_end_or_an_admin() {
    for refusal in [Refusal::Denied, Refusal::WrongCode] {
        let folder = with_alice(|_| {}).await;
        let lockout = Some(config::Lockout { after: 3, reset: MINUTE, release: MINUTE });
        let house = node(store(&folder).await, Answer::Refused(refusal), |deps| deps.throttle.lockout = lockout);
        for _ in 0..3 {
            let reason = house.sign_in().await.reason();
            assert!(matches!(reason, Reason::Denied | Reason::WrongCode), "{reason}");
        }
        assert_eq!(house.sign_in().await.reason(), Reason::Blocked);
        assert_eq!(house.cloud.asked.load(Ordering::SeqCst), 3);
        let told = house.measures().await;
        assert_eq!((told.len(), told[0].kind), (1, MeasureKind::Lockout));
        let until = told[0].until.unwrap();
        assert!(until <= SystemTime::now() + MINUTE && until > SystemTime::now());
        let unblock = Measure { until: None, ..measure(MeasureKind::Unblock, MINUTE) };
        house.store.take_measure(&unblock, false).await.unwrap();
        *house.cloud.answer.lock().unwrap() = Some(Answer::Approved);
        assert_eq!(house.sign_in().await.reason(), Reason::Approved);
    }
}

#[tokio::test]
async fn what_comes_by_itself_never_shortens_an_administrators_block() {
    let folder = with_alice(|_| {}).await;
    let store = store(&folder).await;
    let id = fakes::alice().unique_id;
    let week = measure(MeasureKind::Block, 7 * 24 * 60 * MINUTE);
    store.take_measure(&week, false).await.unwrap();
    let until = store.person(&id).await.unwrap().unwrap().blocked_until.unwrap();
    store.take_measure(&measure(MeasureKind::Lockout, MINUTE), false).await.unwrap();
    assert_eq!(store.person(&id).await.unwrap().unwrap().blocked_until, Some(until));
    let shorter = measure(MeasureKind::Block, MINUTE);
    store.take_measure(&shorter, false).await.unwrap();
    assert!(store.person(&id).await.unwrap().unwrap().blocked_until.unwrap() < until, "an administrator may");
    let nobody = Measure { unique_id: Some("nobody".into()), ..measure(MeasureKind::Block, MINUTE) };
    assert!(!store.take_measure(&nobody, false).await.unwrap());
}

/// Takes events for the store, as the audit does.
struct Queue(tokio::sync::mpsc::UnboundedSender<Event>);

impl Ledger for Queue {
    fn finish(&self, event: Event) {
        self.0.send(event).unwrap();
    }

    fn note(&self, note: Note) {
        panic!("nobody expects {note:?}");
    }
}

#[tokio::test]
async fn the_commands_tell_what_happened() {
    let folder = with_alice(|_| {}).await;
    let shared = store(&folder).await;
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let ledger = Arc::new(Queue(sender));
    let house = node(store(&folder).await, Answer::Refused(Refusal::Denied), |deps| deps.ledger = ledger);
    let path = folder.path().join("people.db").to_str().unwrap().to_owned();
    let run = async |words: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_anteroom"));
        let output = command.args(words).args(["--store", &path]).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let printed = run(&["user", "bypass", "alice", "--for", "5m", "--reason", "lost her phone"]).await;
    assert!(printed.contains("alice comes in once"), "{printed}");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(house.sign_in().await.reason(), Reason::OneTimeBypass);
    assert_eq!(house.sign_in().await.reason(), Reason::Denied);
    let mut all = Vec::new();
    while let Ok(event) = events.try_recv() {
        all.push(event);
    }
    let denied = all[1].sign_in.to_string();
    shared.record(&all).await.unwrap();

    let csv = run(&["report", "bypasses", "--format", "csv"]).await;
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("time,user,by,reason,until,seconds,used,sign_in,code"));
    let row = lines.next().unwrap();
    for part in ["alice", "lost her phone", ",300,", &all[0].sign_in.to_string(), "SUCCESS_BYPASSED_AUTH"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    let usage = run(&["report", "usage"]).await;
    for part in ["SUCCESS_BYPASSED_AUTH", "FAILED_PHONE_APP_DENIED", "one_time_bypass", "people"] {
        assert!(usage.contains(part), "{part}: {usage}");
    }
    let denials = run(&["report", "denials", "--format", "json", "--user", "ALICE"]).await;
    let denial: serde_json::Value = serde_json::from_str(denials.trim()).unwrap();
    assert_eq!((&denial["reason"], &denial["code"]), (&"denied".into(), &"FAILED_PHONE_APP_DENIED".into()));
    assert!(denial.get("email").is_none(), "nothing of the person unless it is asked for: {denial}");
    let devices = [Device { name: "Phone".into(), kind: "ios".into(), token: "planted-token".into() }];
    shared.set_devices(&fakes::person().unique_id, &devices, "test").await.unwrap();
    let denials = run(&["report", "denials", "--person", "--format", "json"]).await;
    assert!(!denials.contains("planted-token"), "{denials}");
    let denial: serde_json::Value = serde_json::from_str(denials.trim()).unwrap();
    let of = |field: &str| denial[field].as_str().unwrap_or("-").to_owned();
    let expected = fakes::person();
    assert_eq!((of("mode"), of("language"), of("devices")), ("standard".into(), "en".into(), "Phone (ios)".into()));
    assert_eq!(
        (of("email"), of("phone")),
        (expected.email.unwrap_or("-".into()), expected.phone.unwrap_or("-".into()))
    );
    assert!(run(&["report", "denials", "--client", "wiki"]).await.lines().count() == 1, "the header alone");
    assert!(run(&["report", "cache"]).await.lines().count() == 1);

    let latest = run(&["events", "--reason", "denied"]).await;
    assert!(latest.contains(&denied) && latest.lines().count() == 1, "{latest}");
    let json = run(&["events", "--json", "--user", "alice"]).await;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["reason"], &first["verdict"]), (&"one_time_bypass".into(), &"accept".into()));

    run(&["user", "block", "alice", "--reason", "laptop stolen"]).await;
    run(&["user", "unblock", "alice", "--reason", "it was found"]).await;
    let blocks = run(&["report", "blocks"]).await;
    for part in ["laptop stolen", "it was found", "block", "unblock"] {
        assert!(blocks.contains(part), "{part}: {blocks}");
    }
    let blocks = run(&["report", "blocks", "--person", "--format", "csv"]).await;
    assert!(blocks.lines().nth(1).is_some_and(|row| row.contains("Phone (ios)")), "{blocks}");
    assert_eq!(run(&["report", "fraud"]).await.lines().count(), 1);
}

#[tokio::test]
async fn events_are_followed_as_they_end() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let folder = with_alice(|_| {}).await;
    let shared = store(&folder).await;
    let house = node(store(&folder).await, Answer::Approved, |_| {});
    house.sign_in().await;
    let event = house.last();
    shared.record(std::slice::from_ref(&event)).await.unwrap();
    let mut following = tokio::process::Command::new(env!("CARGO_BIN_EXE_anteroom"))
        .args(["events", "--follow", "--last", "1", "--json", "--client", "vpn", "--store"])
        .arg(folder.path().join("people.db"))
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = lines.next_line().await.unwrap().unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        value["sign_in"].as_str().unwrap().to_owned()
    };
    assert_eq!(next().await, event.sign_in.to_string());
    for number in 1..4_u8 {
        let other = Event { client: "wiki".into(), ..event.clone() };
        let mine = Event { sign_in: SignInId::new([number; 12]), ..event.clone() };
        shared.record(&[other, mine.clone()]).await.unwrap();
        assert_eq!(next().await, mine.sign_in.to_string());
    }
    following.kill().await.unwrap();
}

#[tokio::test]
async fn a_sign_in_is_replayed_from_the_audit() {
    let folder = with_alice(|_| {}).await;
    let shared = store(&folder).await;
    let house = node(store(&folder).await, Answer::Refused(Refusal::Fraud), |_| {});
    house.sign_in().await;
    let event = house.last();
    shared.record(std::slice::from_ref(&event)).await.unwrap();
    let file = folder.path().join("anteroom.toml");
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/minimal.toml")).unwrap();
    let text = format!("[server]\nstore = \"people.db\"\n{text}");
    std::fs::write(&file, text).unwrap();
    for name in ["vpn.secret", "bind.secret", "cloud.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(folder.path().join(name), "0123456789abcdef0123456789abcdef").unwrap();
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let run = async |words: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_anteroom"));
        let output = command.args(words).arg("--config").arg(&file).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let (code, said) = run(&["explain", "--replay", &event.sign_in.to_string()]).await;
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "as the audit recorded it",
        "vpn (radius)",
        "was right",
        "asked by cloud for push: fraud",
        "by person: reported fraud",
        "=> reject: fraud:",
        "FAILED_FRAUD_REPORTED",
    ] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    let (code, said) = run(&["explain", "--replay", "000000000000000000000000"]).await;
    assert!(code == Some(1) && said.contains("knows no sign-in"), "{said}");
    let (code, said) = run(&["explain", "--replay", "abc", "--client", "vpn"]).await;
    assert_eq!(code, Some(2), "{said}");
}
