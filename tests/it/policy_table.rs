//! `[[rule]]`: an exhaustive table of people, places, hours, groups and rules against a reference that is written here
//! from the documentation (docs/policy.md), not from the code; and whole sign-ins by rule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anteroom::config::rule::{Hours, Span};
use anteroom::config::{AddressRange, Client, ClientPolicy, Lenience, Rule, ServiceAccounts, Then};
use anteroom::factor::{Answer, Factor};
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Attempt, SignInId};
use anteroom::signin::outcome::{Outcome, Reason};
use anteroom::signin::policy::{Decision, Exemption, Facts, Ruling, decide};
use anteroom::signin::proof::SecondPassed;
use anteroom::signin::reception::{Deps, SignIns, Target};
use anteroom::signin::rules::{Chosen, Seen, choose};
use anteroom::users::model::{Method, Person};
use futures_util::future::BoxFuture;

use crate::support::fakes::{self, Cloud, FakePrimary, FakeStore, Recorder};

/// Who a rule is for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    Everybody,
    Alice,
    Carol,
    Group,
    CarolOrGroup,
}

/// One row of the table's left side: what a rule says, in the words of the documentation.
#[derive(Debug, Clone, Copy)]
struct Said {
    who: Who,
    /// Whether it names another client, a network, office hours.
    other_client: bool,
    network: bool,
    office_hours: bool,
    then: &'static str,
}

/// What is true of a sign-in.
#[derive(Debug, Clone, Copy)]
struct World {
    /// `None`: the directory cannot say.
    member: Option<bool>,
    /// `None`: nobody knows where they are.
    inside: Option<bool>,
    at_work: bool,
    person: &'static str,
    exempt: &'static str,
    lenient: bool,
    has_way: bool,
}

const OFFICE: (&str, &str) = ("198.51.100.7", "203.0.113.9");
const GROUP: &str = "CN=Staff,DC=corp,DC=example";

fn network() -> AddressRange {
    AddressRange { first: "198.51.100.0".parse().unwrap(), last: "198.51.100.255".parse().unwrap() }
}

fn weekday(at_work: bool) -> SystemTime {
    let text = if at_work { "2026-11-18T10:00:00Z" } else { "2026-11-18T22:00:00Z" };
    text.parse::<jiff::Timestamp>().unwrap().into()
}

fn rule(number: usize, said: Said) -> Arc<Rule> {
    let hours = Hours {
        days: [true, true, true, true, true, false, false],
        spans: vec![Span { from: 8 * 60, until: 18 * 60 }],
        zone: jiff::tz::TimeZone::UTC,
    };
    let (users, groups): (Vec<String>, Vec<String>) = match said.who {
        Who::Everybody => (vec![], vec![]),
        Who::Alice => (vec!["ALICE@corp.example".into()], vec![]),
        Who::Carol => (vec!["carol".into()], vec![]),
        Who::Group => (vec![], vec![GROUP.into()]),
        Who::CarolOrGroup => (vec!["carol".into()], vec![GROUP.into()]),
    };
    Arc::new(Rule {
        name: format!("rule-{number}").into(),
        clients: if said.other_client { vec!["wiki".into()] } else { vec![] },
        applications: vec![],
        users,
        groups,
        networks: if said.network { vec![network()] } else { vec![] },
        hours: said.office_hours.then_some(hours),
        then: match said.then {
            "require" => Then::Require(vec![]),
            "skip" => Then::Skip,
            _ => Then::Refuse,
        },
    })
}

/// What the documentation says, step by step, in words.
fn reference(rules: &[Said], world: World) -> String {
    if world.person == "blocked" {
        return "reject blocked".into();
    }
    let mut required = false;
    for (number, said) in rules.iter().enumerate() {
        if said.other_client || (said.network && world.inside != Some(true)) || (said.office_hours && !world.at_work) {
            continue;
        }
        let for_them = match said.who {
            Who::Everybody | Who::Alice => Some(true),
            Who::Carol => Some(false),
            Who::Group | Who::CarolOrGroup => world.member,
        };
        match (for_them, said.then) {
            (Some(false), _) => {}
            (None, "skip") => {}
            (None, _) => return "reject rule_undecided".into(),
            (Some(true), "refuse") => return "reject rule_refused".into(),
            (Some(true), "skip") => return format!("exempt Rule rule-{number}"),
            (Some(true), _) => {
                required = true;
                break;
            }
        }
    }
    if !required {
        match (world.exempt, world.member, world.inside) {
            ("user", ..) => return "exempt ExemptUser".into(),
            ("network", _, Some(true)) => return "exempt ExemptNetwork".into(),
            ("service", ..) => return "exempt ServiceAccount".into(),
            _ => {}
        }
    }
    let lenient = world.lenient && !required;
    match (world.person, lenient) {
        ("unknown", true) => "exempt NotEnrolled".into(),
        ("unknown", false) => "reject not_enrolled".into(),
        ("disabled", true) => "exempt UserDisabled".into(),
        ("disabled", false) => "reject user_disabled".into(),
        _ if world.has_way => "due".into(),
        _ => "reject no_method".into(),
    }
}

fn what_happens(rules: &[Said], world: World) -> String {
    let rules: Vec<Arc<Rule>> = rules.iter().enumerate().map(|(number, said)| rule(number, *said)).collect();
    let who = fakes::alice();
    let later = weekday(true) + Duration::from_secs(1_000_000);
    let person = match world.person {
        "unknown" => None,
        "disabled" => Some(Person { enabled: false, ..fakes::person() }),
        "blocked" => Some(Person { blocked_until: Some(later), ..fakes::person() }),
        _ => Some(fakes::person()),
    };
    let list = |key: &str, text: &str| if world.exempt == key { vec![text.to_owned()] } else { vec![] };
    let lenience = if world.lenient { Lenience::PasswordOnly } else { Lenience::Reject };
    let client = fakes::client(ClientPolicy {
        unknown_users: lenience,
        disabled_users: lenience,
        exempt_users: list("user", "alice"),
        exempt_networks: if world.exempt == "network" { vec![network()] } else { vec![] },
        service: ServiceAccounts { names: list("service", "alice"), ..ServiceAccounts::default() },
        ..ClientPolicy::default()
    });
    let person_address = world.inside.map(|inside| if inside { OFFICE.0 } else { OFFICE.1 }.parse().unwrap());
    let now = weekday(world.at_work);
    let seen = Seen { who: &who, client: &client, person_address, now };
    let ruling = match choose(&rules, seen, |_| world.member) {
        Chosen::None => Ruling::None,
        Chosen::Rule(place) => Ruling::Rule(&rules[usize::from(place)]),
        Chosen::Undecided(_) => Ruling::Undecided,
    };
    let facts = Facts {
        who: &who,
        person: person.as_ref(),
        in_exempt_group: false,
        is_service: false,
        rule: ruling,
        way: world.has_way.then_some(Method::Push),
        wants_code: false,
        person_address,
        now,
    };
    match decide(&client.policy, facts) {
        Decision::Due(_) => "due".into(),
        Decision::Reject(reason) => format!("reject {reason}"),
        Decision::Exempt(exempted) => match exempted.rule_name() {
            Some(name) => format!("exempt {:?} {name}", exempted.rule()),
            None => format!("exempt {:?}", exempted.rule()),
        },
    }
}

/// Every rule that the words above can say.
fn sayings() -> Vec<Said> {
    let mut all = Vec::new();
    for who in [Who::Everybody, Who::Alice, Who::Carol, Who::Group, Who::CarolOrGroup] {
        for bits in 0..8 {
            for then in ["require", "skip", "refuse"] {
                let [other_client, network, office_hours] = [1, 2, 4].map(|bit| bits & bit != 0);
                // Another client's rule never counts, whatever else it says: one of them is enough.
                if !other_client || bits == 1 {
                    all.push(Said { who, other_client, network, office_hours, then });
                }
            }
        }
    }
    all
}

fn worlds() -> Vec<World> {
    let mut all = Vec::new();
    for member in [None, Some(false), Some(true)] {
        for inside in [None, Some(false), Some(true)] {
            for at_work in [false, true] {
                for person in ["enrolled", "unknown", "disabled", "blocked"] {
                    for exempt in ["nobody", "user", "network", "service"] {
                        for lenient in [false, true] {
                            for has_way in [false, true] {
                                all.push(World { member, inside, at_work, person, exempt, lenient, has_way });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

#[test]
fn every_rule_and_every_pair_of_rules_does_what_the_documentation_says() {
    let (sayings, worlds) = (sayings(), worlds());
    let mut rows = 0_u64;
    let mut seen = BTreeMap::<String, u64>::new();
    let mut check = |rules: &[Said], world: World| {
        let (expected, happens) = (reference(rules, world), what_happens(rules, world));
        assert_eq!(happens, expected, "{rules:#?} in {world:?}");
        rows += 1;
        *seen.entry(expected).or_default() += 1;
    };
    for world in &worlds {
        check(&[], *world);
        sayings.iter().for_each(|said| check(&[*said], *world));
    }
    // Every pair, each in worlds that take turns, so that all of them meet all kinds of pairs.
    for (number, first) in sayings.iter().enumerate() {
        for (other, second) in sayings.iter().enumerate() {
            for turn in 0..8 {
                let world = worlds[(number * 31 + other * 7 + turn * 97) % worlds.len()];
                check(&[*first, *second], world);
            }
        }
    }
    assert!(rows > 100_000, "{rows}");
    for end in ["reject rule_undecided", "reject rule_refused", "exempt Rule rule-0", "exempt Rule rule-1", "due"] {
        assert!(seen.get(end).is_some_and(|times| *times > 100), "{end}: {seen:?}");
    }
}

/// A directory that says of each group whether the person is in it, and counts its questions.
struct Groups {
    member_of: Vec<&'static str>,
    broken: bool,
    asked: AtomicUsize,
}

impl Primary for Groups {
    fn identify<'a>(&'a self, _: &'a str, _: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(async { Ok(fakes::alice()) })
    }

    fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        Box::pin(async { Finding::Right })
    }

    fn member_of_any<'a>(
        &'a self,
        _: &'a Identity,
        groups: &'a [String],
        _: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let member = groups.iter().any(|group| self.member_of.contains(&group.as_str()));
        Box::pin(async move { if self.broken { Err(Fault::Unreachable) } else { Ok(member) } })
    }
}

struct House {
    sign_ins: Arc<SignIns>,
    groups: Arc<Groups>,
    cloud: Arc<Cloud>,
    ledger: Arc<Recorder>,
    client: Arc<Client>,
}

impl House {
    fn new(rules: Vec<Rule>, member_of: &[&'static str], broken: bool, person: Person) -> House {
        let groups = Arc::new(Groups { member_of: member_of.to_vec(), broken, asked: AtomicUsize::new(0) });
        let cloud = Cloud::saying("cloud", Some(Answer::Approved));
        let ledger = Arc::new(Recorder::default());
        let store = FakeStore { person: Ok(Some(person)), blocked: AtomicUsize::new(0) };
        let primary: Arc<FakePrimary> = Arc::new(fakes::right());
        let providers = vec![("cloud", cloud.clone() as Arc<dyn Factor>)];
        let deps = fakes::deps(&primary, providers, Arc::new(store), &ledger);
        let targets = [("corp".to_owned(), Target { primary: groups.clone(), dn_from_store: false })];
        let rules = rules.into_iter().map(Arc::new).collect();
        let sign_ins = SignIns::new(Deps { rules, targets: targets.into(), ..deps });
        House { sign_ins, groups, cloud, ledger, client: fakes::client(ClientPolicy::default()) }
    }

    async fn sign_in(&self) -> Arc<Outcome> {
        let attempt = Attempt { id: SignInId::new([9; 12]), ..fakes::attempt(&self.client) };
        self.sign_ins.enter(attempt).await.outcome().await
    }

    fn asked(&self) -> usize {
        self.groups.asked.load(Ordering::SeqCst)
    }

    fn last_rule(&self) -> Option<String> {
        self.ledger.0.lock().unwrap().last().unwrap().rule.as_deref().map(str::to_owned)
    }
}

fn for_group(name: &str, group: &str, then: Then) -> Rule {
    Rule {
        name: name.into(),
        clients: vec![],
        applications: vec![],
        users: vec![],
        groups: vec![group.into()],
        networks: vec![],
        hours: None,
        then,
    }
}

#[tokio::test]
async fn the_directory_is_asked_once_where_nobody_is_in_a_group_and_not_at_all_without_need() {
    let none = House::new(vec![], &[], false, fakes::person());
    none.sign_in().await;
    assert_eq!((none.asked(), none.last_rule()), (0, None));

    let three = || {
        vec![
            for_group("one", "CN=One", Then::Refuse),
            for_group("two", "CN=Two", Then::Skip),
            for_group("three", "CN=Three", Then::Refuse),
        ]
    };
    let outside = House::new(three(), &[], false, fakes::person());
    assert_eq!(outside.sign_in().await.reason(), Reason::Approved);
    assert_eq!((outside.asked(), outside.last_rule(), outside.cloud.asked()), (1, None, 1));

    let second = House::new(three(), &["CN=Two", "CN=Three"], false, fakes::person());
    let outcome = second.sign_in().await;
    assert_eq!((outcome.reason(), second.last_rule().as_deref()), (Reason::RuleSkipped, Some("two")));
    assert_eq!((second.asked(), second.cloud.asked()), (3, 0), "all, then the first, then the second");
    let Outcome::Accept(accept) = &*outcome else { panic!("{outcome:?}") };
    let SecondPassed::Exempt(exempted) = accept.second() else { panic!("{accept:?}") };
    assert_eq!((exempted.rule(), exempted.rule_name()), (Exemption::Rule, Some("two")));

    let mut by_name = three();
    by_name[0] = Rule { users: vec!["alice".into()], ..by_name[0].clone() };
    let named = House::new(by_name, &[], false, fakes::person());
    assert_eq!(named.sign_in().await.reason(), Reason::RuleRefused);
    assert_eq!((named.asked(), named.last_rule().as_deref()), (0, Some("one")), "who is named needs no group");
}

#[tokio::test]
async fn a_directory_that_cannot_say_skips_nobody_and_lets_nobody_past_a_rule() {
    let skip = House::new(vec![for_group("skip", "CN=One", Then::Skip)], &["CN=One"], true, fakes::person());
    assert_eq!(skip.sign_in().await.reason(), Reason::Approved);
    assert_eq!(skip.cloud.asked(), 1, "asked as everybody");
    for then in [Then::Refuse, Then::Require(vec![Method::Oath])] {
        let rules = vec![for_group("strict", "CN=One", then), for_group("skip", "CN=Two", Then::Skip)];
        let house = House::new(rules, &[], true, fakes::person());
        assert_eq!(house.sign_in().await.reason(), Reason::RuleUndecided);
        assert_eq!((house.cloud.asked(), house.last_rule().as_deref()), (0, Some("strict")));
    }
}

#[tokio::test]
async fn a_rule_that_requires_other_ways_is_asked_in_those_or_not_at_all() {
    let require = |methods: &[Method]| for_group("strong", "CN=One", Then::Require(methods.to_vec()));
    let by_call = House::new(vec![require(&[Method::Call])], &["CN=One"], false, fakes::person());
    assert_eq!(by_call.sign_in().await.reason(), Reason::Approved);
    let event = by_call.ledger.0.lock().unwrap().last().unwrap().clone();
    assert_eq!((event.method, event.rule.as_deref()), (Some(Method::Call), Some("strong")));

    let nobody = Person { phone: None, ..fakes::person() };
    let no_phone = House::new(vec![require(&[Method::Call])], &["CN=One"], false, nobody);
    assert_eq!(no_phone.sign_in().await.reason(), Reason::NoMethod, "the app they have is not what the rule requires");
    assert_eq!(no_phone.cloud.asked(), 0);
    let not_theirs = House::new(vec![require(&[Method::Call])], &[], false, fakes::person());
    not_theirs.sign_in().await;
    assert_eq!(not_theirs.ledger.0.lock().unwrap().last().unwrap().method, Some(Method::Push));
}
