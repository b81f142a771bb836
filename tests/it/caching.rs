//! Caching rules: an approval stands for another sign-in only where a rule says so, and never for anybody who would not
//! have got as far by themselves.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anteroom::config::{self, AddressRange, CachingRule, Client, ClientPolicy, Likeness, Passcode, Rule, Then};
use anteroom::factor::{Answer, Refusal};
use anteroom::primary::none::Connection;
use anteroom::primary::{Fault, Finding, Refusal as Wrong};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Attempt, Door, Unusable};
use anteroom::signin::caching::Caching;
use anteroom::signin::explain::{Explanation, Question, Served, explain};
use anteroom::signin::outcome::{Reason, Verdict};
use anteroom::signin::reception::{Deps, Target};
use anteroom::users::measures::{Measure, MeasureKind};
use anteroom::users::model::Method;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store;

use crate::measures::{Node, measure, node, store, with_alice};
use crate::support::fakes::{self, FakePrimary, Told};

const MINUTE: Duration = Duration::from_secs(60);

fn rule(name: &str, kind: Likeness, lasts: Duration) -> CachingRule {
    Rule {
        name: name.into(),
        clients: vec![],
        applications: vec![],
        users: vec![],
        groups: vec![],
        networks: vec![],
        hours: None,
        then: config::Caching { kind, lasts },
    }
}

fn caching(rules: impl IntoIterator<Item = CachingRule>, key: u8) -> Caching {
    Caching::new(rules.into_iter().map(Arc::new).collect(), &Secret::new(vec![key; 32]))
}

fn of_everybody(kind: Likeness) -> Caching {
    caching([rule("everybody", kind, MINUTE)], 1)
}

fn with(primary: FakePrimary) -> impl FnOnce(&mut Deps) {
    |deps| {
        deps.targets.insert("corp".into(), Target { primary: Arc::new(primary), dn_from_store: false });
    }
}

/// A node that caches by person.
async fn house(folder: &tempfile::TempDir, adjust: impl FnOnce(&mut Deps)) -> Node {
    node(store(folder).await, Answer::Approved, |deps| {
        deps.caching = of_everybody(Likeness::Person);
        adjust(deps);
    })
}

async fn enter(node: &Node, attempt: Attempt) -> Reason {
    node.sign_ins.enter(attempt).await.outcome().await.reason()
}

/// A client of another name or application.
fn client(name: &str, application: &str) -> Arc<Client> {
    let common = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
    Arc::new(Client { name: name.into(), application: application.into(), ..common })
}

fn through(client: &Arc<Client>) -> Attempt {
    Attempt { person_address: Some("198.51.100.7".parse().unwrap()), ..fakes::attempt(client) }
}

fn password(text: &str) -> Result<Secret, Unusable> {
    Ok(Secret::from_text(text.into()))
}

#[tokio::test]
async fn an_approval_stands_for_what_is_like_its_own_sign_in_and_for_nothing_else() {
    let (vpn, again, wiki) = (client("vpn", "VPN"), client("vpn-2", "VPN"), client("wiki", "Wiki"));
    for kind in Likeness::ALL {
        let (application, address) = (kind != Likeness::Person, kind == Likeness::Address);
        let elsewhere = || Attempt { person_address: Some("198.51.100.8".parse().unwrap()), ..through(&vpn) };
        let mapped = || Attempt { person_address: Some("::ffff:198.51.100.7".parse().unwrap()), ..through(&vpn) };
        let nowhere = || Attempt { person_address: None, ..through(&vpn) };
        let by_ldap = || Attempt { door: Door::Ldap, ..through(&vpn) };
        let changed = || Attempt { credential: password("another-password"), ..through(&vpn) };
        let cases: [(&str, Attempt, bool); 7] = [
            ("the same", through(&vpn), true),
            ("another client of the same application", through(&again), true),
            ("another application", through(&wiki), !application),
            ("another door", by_ldap(), !application),
            ("another address", elsewhere(), !address),
            ("no address", nowhere(), !address),
            ("another password", changed(), false),
        ];
        for (what, attempt, cached) in cases {
            let folder = with_alice(|_| {}).await;
            let house = house(&folder, |deps| deps.caching = of_everybody(kind)).await;
            assert_eq!(enter(&house, through(&vpn)).await, Reason::Approved);
            let first = house.last();
            let expected = if cached { Reason::CachedApproval } else { Reason::Approved };
            assert_eq!(enter(&house, attempt).await, expected, "{kind:?}: {what}");
            assert_eq!(house.cloud.asked(), if cached { 1 } else { 2 }, "{kind:?}: {what}");
            let event = house.last();
            if cached {
                assert_eq!((event.verdict, event.factor), (Verdict::Accept, Some(kind.audited())));
                assert_eq!((event.method, event.provider.as_deref()), (Some(Method::Push), Some("cloud")));
                assert_eq!(event.rule.as_deref(), Some("everybody"));
                assert_eq!(event.earlier.as_deref(), Some(first.sign_in.to_string().as_str()));
                assert_eq!(event.primary, Some("passed"), "the password is checked each time");
            } else {
                assert_eq!((event.factor, event.earlier, event.rule), (Some("approved"), None, None));
            }
        }
        // The same address, written in another way.
        let folder = with_alice(|_| {}).await;
        let house = house(&folder, |deps| deps.caching = of_everybody(kind)).await;
        assert_eq!(enter(&house, through(&vpn)).await, Reason::Approved);
        assert_eq!(enter(&house, mapped()).await, Reason::CachedApproval);
    }
}

#[tokio::test]
async fn an_approval_that_was_used_is_no_newer_for_that() {
    let folder = with_alice(|_| {}).await;
    let house = house(&folder, |_| {}).await;
    assert_eq!(house.sign_in().await.reason(), Reason::Approved);
    let id = fakes::alice().unique_id;
    let kept =
        async || house.store.approvals().unwrap().approvals(Some(&id), &[], 10, SystemTime::now()).await.unwrap();
    let first = kept().await;
    assert_eq!(house.sign_in().await.reason(), Reason::CachedApproval);
    assert_eq!(house.sign_in().await.reason(), Reason::CachedApproval);
    assert_eq!((first.len(), kept().await), (1, first.clone()));
    // A rule that has become shorter counts at once.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let short = node(store(&folder).await, Answer::Approved, |deps| {
        deps.caching = caching([rule("everybody", Likeness::Person, Duration::from_millis(1))], 1);
    });
    assert_eq!(short.sign_in().await.reason(), Reason::Approved);
}

#[tokio::test]
async fn approvals_outlive_a_restart_and_another_key_finds_none() {
    let folder = with_alice(|_| {}).await;
    assert_eq!(house(&folder, |_| {}).await.sign_in().await.reason(), Reason::Approved);
    assert_eq!(house(&folder, |_| {}).await.sign_in().await.reason(), Reason::CachedApproval);
    let other_key = |deps: &mut Deps| deps.caching = caching([rule("everybody", Likeness::Person, MINUTE)], 2);
    assert_eq!(house(&folder, other_key).await.sign_in().await.reason(), Reason::Approved);
    let no_rule = |deps: &mut Deps| deps.caching = Caching::default();
    assert_eq!(house(&folder, no_rule).await.sign_in().await.reason(), Reason::Approved);
    let renamed = |deps: &mut Deps| deps.caching = caching([rule("renamed", Likeness::Person, MINUTE)], 1);
    assert_eq!(house(&folder, renamed).await.sign_in().await.reason(), Reason::Approved, "another rule's approval");
}

#[tokio::test]
async fn two_nodes_on_one_postgres_share_approvals_and_what_ends_them() {
    use anteroom::users::profile::Profile;
    use anteroom::users::roster::Roster as _;
    let Some(server) = crate::peers::postgres::Postgres::shared() else { return };
    let at = server.at(&server.database("approvals"));
    let first = SqlStore::connect(&at).await.unwrap();
    first.enrol(&Profile::new(fakes::person()), "test").await.unwrap();
    let of = |store| node(store, Answer::Approved, |deps| deps.caching = of_everybody(Likeness::Person));
    let nodes = [of(first), of(SqlStore::connect(&at).await.unwrap())];
    assert_eq!(nodes[0].sign_in().await.reason(), Reason::Approved);
    assert_eq!(nodes[1].sign_in().await.reason(), Reason::CachedApproval);
    assert_eq!(nodes[0].sign_in().await.reason(), Reason::CachedApproval);
    nodes[1].store.take_measure(&measure(MeasureKind::LateFraud, MINUTE), false).await.unwrap();
    let unblock = Measure { until: None, ..measure(MeasureKind::Unblock, MINUTE) };
    nodes[1].store.take_measure(&unblock, false).await.unwrap();
    assert_eq!(nodes[0].sign_ins.kept_approvals(None, &[], 10, SystemTime::now()).await.unwrap(), []);
    assert_eq!(nodes[0].sign_ins.forget_approvals(None).await, Ok(0));
    for node in nodes {
        node.store.close().await;
    }
}

#[tokio::test]
async fn nobody_who_would_be_refused_comes_in_by_an_approval() {
    let wrong = Finding::Wrong(Wrong::WrongPassword);
    let folder = with_alice(|_| {}).await;
    assert_eq!(house(&folder, |_| {}).await.sign_in().await.reason(), Reason::Approved);
    let says = |finding| with(FakePrimary { finding: Told::Says(finding), ..fakes::right() });
    assert_eq!(house(&folder, says(wrong)).await.sign_in().await.reason(), Reason::WrongPassword);
    let disabled = Finding::Wrong(Wrong::Disabled);
    assert_eq!(house(&folder, says(disabled)).await.sign_in().await.reason(), Reason::AccountDisabled);
    let refuses = |deps: &mut Deps| {
        let refuse = rule("nobody", Likeness::Person, MINUTE).with(Then::Refuse);
        deps.rules = vec![Arc::new(refuse)];
    };
    assert_eq!(house(&folder, refuses).await.sign_in().await.reason(), Reason::RuleRefused);
    let house = house(&folder, |_| {}).await;
    let mut person = house.store.person(&fakes::alice().unique_id).await.unwrap().unwrap();
    person.enabled = false;
    house.store.replace(&person).await.unwrap();
    assert_eq!(house.sign_in().await.reason(), Reason::UserDisabled);
    person.enabled = true;
    house.store.replace(&person).await.unwrap();
    assert_eq!(house.sign_in().await.reason(), Reason::CachedApproval, "the store still has it");
}

#[tokio::test]
async fn a_block_of_any_kind_ends_every_approval_for_good() {
    for kind in [MeasureKind::Block, MeasureKind::Fraud, MeasureKind::LateFraud, MeasureKind::Lockout] {
        let folder = with_alice(|_| {}).await;
        let house = house(&folder, |_| {}).await;
        assert_eq!(house.sign_in().await.reason(), Reason::Approved);
        house.store.take_measure(&measure(kind, MINUTE), false).await.unwrap();
        assert_eq!(house.sign_in().await.reason(), Reason::Blocked, "{kind}");
        let unblock = Measure { until: None, ..measure(MeasureKind::Unblock, MINUTE) };
        house.store.take_measure(&unblock, false).await.unwrap();
        assert_eq!(house.sign_in().await.reason(), Reason::Approved, "{kind}: asked again");
        assert_eq!(house.cloud.asked(), 2);
    }
}

#[tokio::test]
async fn only_what_a_person_approved_is_kept() {
    // A bypass, a rule that skips, and a refusal leave nothing behind.
    let folder = with_alice(|_| {}).await;
    let house = house(&folder, |_| {}).await;
    house.store.take_measure(&measure(MeasureKind::Bypass, MINUTE), false).await.unwrap();
    assert_eq!(house.sign_in().await.reason(), Reason::OneTimeBypass);
    assert_eq!(house.sign_in().await.reason(), Reason::Approved);
    // With an approval, a bypass is not needed and stays.
    house.store.take_measure(&measure(MeasureKind::Bypass, MINUTE), false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(house.sign_in().await.reason(), Reason::CachedApproval);
    assert!(house.measures().await.iter().any(|measure| measure.used.is_none()));

    let folder = with_alice(|_| {}).await;
    let skips = |deps: &mut Deps| {
        deps.caching = of_everybody(Likeness::Person);
        deps.rules = vec![Arc::new(rule("all", Likeness::Person, MINUTE).with(Then::Skip))];
    };
    let skipping = node(store(&folder).await, Answer::Approved, skips);
    assert_eq!(skipping.sign_in().await.reason(), Reason::RuleSkipped);
    let denying = |deps: &mut Deps| deps.caching = of_everybody(Likeness::Person);
    let denying = node(store(&folder).await, Answer::Refused(Refusal::Denied), denying);
    assert_eq!(denying.sign_in().await.reason(), Reason::Denied);
    assert_eq!(denying.sign_ins.kept_approvals(None, &[], 10, SystemTime::now()).await.unwrap(), []);
}

#[tokio::test]
async fn a_typed_code_is_checked_whatever_was_approved_before() {
    let folder = with_alice(|_| {}).await;
    let house = house(&folder, |_| {}).await;
    let common = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
    let client = Arc::new(Client { passcode: Some(Passcode::Delimiter(",".into())), ..common });
    let typed = |text: &str| Attempt { credential: password(text), ..fakes::attempt(&client) };
    assert_eq!(enter(&house, typed("right-password")).await, Reason::Approved);
    *house.cloud.answer.lock().unwrap() = Some(Answer::Refused(Refusal::WrongCode));
    assert_eq!(enter(&house, typed("right-password,123456")).await, Reason::WrongCode);
    assert_eq!(enter(&house, typed("right-password,push")).await, Reason::CachedApproval, "a word is no proof");
    assert_eq!(enter(&house, typed("right-password")).await, Reason::CachedApproval);
}

#[tokio::test]
async fn the_first_rule_that_fits_counts_and_one_for_never_is_an_exception() {
    let never = |groups: Vec<String>| CachingRule { groups, ..rule("never", Likeness::Person, Duration::ZERO) };
    let group = || vec!["CN=Admins,DC=corp,DC=example".to_owned()];
    let cases = [
        (never(vec![]), Ok(true), Reason::Approved),
        (never(group()), Ok(true), Reason::Approved),
        (never(group()), Ok(false), Reason::CachedApproval),
        (never(group()), Err(Fault::Unreachable), Reason::Approved),
        (CachingRule { clients: vec!["wiki".into()], ..never(vec![]) }, Ok(true), Reason::CachedApproval),
        (CachingRule { users: vec!["ALICE".into()], ..never(vec![]) }, Ok(true), Reason::Approved),
    ];
    for (number, (first, member, expected)) in cases.into_iter().enumerate() {
        let folder = with_alice(|_| {}).await;
        let primary = FakePrimary { member: Told::Says(member), ..fakes::right() };
        let house = house(&folder, |deps| {
            deps.caching = caching([first, rule("all", Likeness::Person, MINUTE)], 1);
            with(primary)(deps);
        })
        .await;
        assert_eq!(house.sign_in().await.reason(), Reason::Approved);
        assert_eq!(house.sign_in().await.reason(), expected, "case {number}");
    }
}

#[tokio::test]
async fn an_approval_counts_only_where_its_way_of_asking_does() {
    let folder = with_alice(|_| {}).await;
    assert_eq!(house(&folder, |_| {}).await.sign_in().await.reason(), Reason::Approved);
    for (methods, expected) in [
        (vec![], Reason::CachedApproval),
        (vec![Method::Push, Method::Call], Reason::CachedApproval),
        (vec![Method::Call], Reason::Approved),
    ] {
        let requires = |deps: &mut Deps| {
            let require = rule("strict", Likeness::Person, MINUTE).with(Then::Require(methods.clone()));
            deps.rules = vec![Arc::new(require)];
        };
        assert_eq!(house(&folder, requires).await.sign_in().await.reason(), expected, "{methods:?}");
    }
    let folder = with_alice(|_| {}).await;
    let house = house(&folder, |_| {}).await;
    let common = || Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
    assert_eq!(enter(&house, fakes::attempt(&Arc::new(common()))).await, Reason::Approved);
    let by_call = Arc::new(Client { methods: vec![Method::Call], ..common() });
    assert_eq!(enter(&house, fakes::attempt(&by_call)).await, Reason::Approved);
    assert_eq!(house.cloud.asked(), 2);
}

/// A gateway's request without a password.
fn gateway(client: &Arc<Client>, computer: Option<&str>) -> Attempt {
    let connection = Connection {
        authentication: None,
        computer: computer.map(Into::into),
        called: b"UserAuthType:PW".as_slice().into(),
        settings: None,
    };
    Attempt { credential: Err(Unusable::NoPassword), connection: Some(Box::new(connection)), ..fakes::attempt(client) }
}

#[tokio::test]
async fn a_gateways_approval_is_bound_to_the_computer_and_to_the_password_that_the_directory_knows() {
    let folder = with_alice(|_| {}).await;
    let of = async |set: i64| {
        house(&folder, |deps| {
            deps.caching = of_everybody(Likeness::Address);
            let primary = Arc::new(crate::gateway::Lenient(fakes::right(), set));
            deps.targets.insert("corp".into(), Target { primary, dn_from_store: false });
        })
        .await
    };
    let house = of(1).await;
    let client = client("rdg", "Remote desktops");
    let again = async |computer| enter(&house, gateway(&client, computer)).await;
    assert_eq!(again(Some("PC-1")).await, Reason::Approved);
    assert_eq!(again(Some("pc-1")).await, Reason::CachedApproval);
    assert_eq!(again(Some("PC-2")).await, Reason::Approved);
    assert_eq!(again(None).await, Reason::Approved);
    assert_eq!(again(None).await, Reason::Approved, "a computer that nobody knows is like no other");
    assert_eq!(house.last().door, Door::Radius);
    assert_eq!(enter(&of(1).await, gateway(&client, Some("PC-1"))).await, Reason::CachedApproval);
    assert_eq!(enter(&of(2).await, gateway(&client, Some("PC-1"))).await, Reason::Approved, "a new password");
}

async fn told(house: &Node, typed: Option<&str>) -> Explanation {
    let served = Served { client: house.client.clone(), door: Door::Radius, tells_address: true, profile: None };
    let question = Question {
        client: "vpn".into(),
        user: "alice".into(),
        from: Some("198.51.100.7".parse().unwrap()),
        at: None,
        typed: typed.map(str::to_owned),
        computer: None,
        smart_card: false,
    };
    explain(&house.sign_ins, &[served], &question).await.unwrap()
}

#[tokio::test]
async fn an_explanation_tells_of_the_rule_and_of_the_approval() {
    let folder = with_alice(|_| {}).await;
    let network = AddressRange { first: "10.0.0.0".parse().unwrap(), last: "10.255.255.255".parse().unwrap() };
    let house = house(&folder, |deps| {
        let inside = CachingRule { networks: vec![network], ..rule("inside", Likeness::Person, MINUTE) };
        deps.caching = caching([inside, rule("all", Likeness::Address, MINUTE)], 1);
    })
    .await;
    let line = |told: &Explanation, step: &str| {
        let line = told.steps.iter().find(|line| line.step == step).unwrap_or_else(|| panic!("no {step}: {told:?}"));
        (line.mark.clone(), line.text.clone())
    };
    let before = told(&house, None).await;
    assert_eq!(line(&before, "caching inside").0, "no");
    assert_eq!(line(&before, "caching all").0, "yes");
    assert_eq!((line(&before, "approval").0.as_str(), before.end.as_str()), ("no", "prompt"));
    assert_eq!(enter(&house, through(&house.client)).await, Reason::Approved);
    let after = told(&house, None).await;
    assert_eq!((after.end.as_str(), after.reason.as_deref()), ("accept", Some("cached_approval")));
    let (mark, text) = line(&after, "approval");
    assert!(mark == "yes" && text.contains("as long as the password is still the same"), "{text}");
    assert!(text.contains(&house.last().sign_in.to_string()), "{text}");
    assert_eq!(enter(&house, through(&house.client)).await, Reason::CachedApproval, "as was explained");
}

#[tokio::test]
async fn where_the_store_keeps_no_approvals_everybody_is_asked() {
    let house = fakes::House::new(fakes::right(), fakes::approves(), fakes::enrolled());
    let client = fakes::client(ClientPolicy::default());
    for _ in 0..2 {
        let outcome = house.sign_ins.enter(fakes::attempt(&client)).await.outcome().await;
        assert_eq!(outcome.reason(), Reason::Approved);
    }
    assert_eq!(house.sign_ins.kept_approvals(None, &[], 10, SystemTime::now()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_approvals_and_has_them_forgotten() {
    use anteroom::control::{Control, ControlDesk};
    use std::sync::Mutex;

    let folder = with_alice(|_| {}).await;
    let house = house(&folder, |_| {}).await;
    let notes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&notes);
    let record = folder.path().join("outages.jsonl");
    let desk = ControlDesk::new("gate-1".into(), house.sign_ins.clone(), vec![], vec![], record)
        .with_notes(Arc::new(move |note| kept.lock().unwrap().push(note)));
    let socket = folder.path().join("control.sock");
    let _control = Control::start(&socket, Arc::new(desk)).unwrap();
    let run = async |words: &[&str]| crate::control::anteroom(words, &socket).await;

    // More than one page of them.
    for number in 0..50 {
        let attempt = Attempt { credential: password(&format!("password-{number}")), ..through(&house.client) };
        assert_eq!(enter(&house, attempt).await, Reason::Approved);
    }
    let (code, table) = run(&["approvals", "list"]).await;
    assert_eq!((code, table.lines().count()), (0, 51), "{table}");
    for part in ["everybody", "alice", "push", "cloud", "198.51.100.7", "Head office VPN", "radius"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let (_, lines) = run(&["approvals", "list", "--user", "ALICE", "--json"]).await;
    let all: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: std::collections::BTreeSet<_> = all.iter().map(|one| one["sign_in"].as_str().unwrap()).collect();
    assert_eq!((all.len(), ids.len()), (50, 50));
    assert!(!lines.contains("password-"), "no password is told");

    let (code, said) = run(&["approvals", "clear", "--user", "bob"]).await;
    assert!(code == 1 && said.contains("nobody in the user store is called"), "{said}");
    let (code, _) = run(&["approvals", "clear"]).await;
    assert_eq!(code, 2, "of whom?");
    let (code, said) = run(&["approvals", "clear", "--user", "alice@corp.example", "--json"]).await;
    assert_eq!((code, said.trim()), (0, "{\"cleared\":50}"));
    let again = Attempt { credential: password("password-7"), ..through(&house.client) };
    assert_eq!(enter(&house, again).await, Reason::Approved, "asked again");
    let (code, said) = run(&["approvals", "clear", "--all"]).await;
    assert!(code == 0 && said.starts_with("1 cleared"), "{said}");
    let notes = notes.lock().unwrap();
    let told: Vec<_> = notes.iter().map(|note| (note.kind, note.reason.clone().unwrap(), note.by.is_some())).collect();
    let cleared = |text: &str| ("approvals_cleared", text.to_owned(), true);
    assert_eq!(told, [cleared("50 of \"alice@corp.example\""), cleared("1 of everybody")]);
}
