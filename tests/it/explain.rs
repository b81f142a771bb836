//! `anteroom explain`: what it says is what then happens, and asking it touches nothing.

#![cfg(test)]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anteroom::config::{
    AddressRange, Client, ClientPolicy, Lenience, Passcode, Route, ServiceAccounts, UnreachableClass, UnreachableRule,
};
use anteroom::control::{Control, ControlDesk};
use anteroom::factor::routing::Guarded;
use anteroom::factor::{Answer, Factor};
use anteroom::primary::IdentifyError;
use anteroom::signin::attempt::{Attempt, Door};
use anteroom::signin::explain::{Explanation, Question, Served, explain};
use anteroom::signin::outcome::Verdict;
use anteroom::signin::reception::{Deps, SignIns};
use anteroom::users::model::Person;

use crate::support::fakes::{self, Cloud, FakePrimary, FakeStore, Recorder, Told};

/// A reception, and what is asked about it.
struct House {
    sign_ins: Arc<SignIns>,
    clouds: [Arc<Cloud>; 2],
    guarded: [Arc<Guarded>; 2],
    primary: Arc<FakePrimary>,
    ledger: Arc<Recorder>,
    served: Served,
}

/// What the small world is like.
#[derive(Clone)]
struct World {
    primary: fn() -> FakePrimary,
    person: Option<Person>,
    policy: ClientPolicy,
    routes: Vec<Route>,
    outage: [bool; 2],
    passcode: bool,
}

fn world() -> World {
    World {
        primary: fakes::right,
        person: Some(fakes::person()),
        policy: ClientPolicy::default(),
        routes: Vec::new(),
        outage: [false; 2],
        passcode: false,
    }
}

impl House {
    fn new(world: World) -> House {
        let clouds = ["entra", "duo"].map(|name| Cloud::saying(name, Some(Answer::Approved)));
        let guarded = clouds.clone().map(|cloud| Arc::new(Guarded::new(cloud)));
        for (guarded, outage) in guarded.iter().zip(world.outage) {
            guarded.declare(outage.then_some(Duration::from_secs(3600)));
        }
        let primary = Arc::new((world.primary)());
        let ledger = Arc::new(Recorder::default());
        let providers =
            clouds.iter().zip(&guarded).map(|(cloud, guarded)| (cloud.name, guarded.clone() as Arc<dyn Factor>));
        let store = FakeStore { person: Ok(world.person), blocked: Default::default() };
        let routes = world.routes.into_iter().map(Arc::new).collect();
        let deps = fakes::deps(&primary, providers.collect(), Arc::new(store), &ledger);
        let sign_ins = SignIns::new(Deps { routes, ..deps });
        let mut client = Arc::into_inner(fakes::client(world.policy)).unwrap();
        client.providers = vec!["entra".into(), "duo".into()];
        client.passcode = world.passcode.then(|| Passcode::Delimiter(",".into()));
        let served = Served { client: Arc::new(client), door: Door::Radius, tells_address: true, profile: None };
        House { sign_ins, clouds, guarded, primary, ledger, served }
    }

    async fn explained(&self, from: Option<&str>) -> Explanation {
        let question = Question { from: from.map(|text| text.parse().unwrap()), ..question() };
        explain(&self.sign_ins, std::slice::from_ref(&self.served), &question).await.unwrap()
    }

    /// What explaining must not touch.
    fn touched(&self) -> [usize; 4] {
        let [entra, duo] = self.clouds.each_ref().map(|cloud| cloud.asked());
        [entra, duo, self.primary.binds.load(Ordering::SeqCst), self.ledger.0.lock().unwrap().len()]
    }
}

fn question() -> Question {
    Question {
        client: "vpn".into(),
        user: "alice".into(),
        from: None,
        at: None,
        typed: None,
        computer: None,
        smart_card: false,
    }
}

fn rule(classes: &[UnreachableClass]) -> Option<UnreachableRule> {
    let until = Some(SystemTime::now() + Duration::from_secs(3600));
    Some(UnreachableRule { classes: classes.to_vec(), until, lasting: None })
}

/// Every kind of person, policy, route and outage: the explanation's end is the sign-in's.
#[tokio::test]
async fn what_is_explained_is_what_happens() {
    let lists = |text: &str| vec![text.to_owned()];
    let network = AddressRange { first: "198.51.100.0".parse().unwrap(), last: "198.51.100.255".parse().unwrap() };
    let policies = [
        ClientPolicy::default(),
        ClientPolicy { unknown_users: Lenience::PasswordOnly, ..ClientPolicy::default() },
        ClientPolicy { disabled_users: Lenience::PasswordOnly, ..ClientPolicy::default() },
        ClientPolicy { exempt_users: lists("ALICE"), ..ClientPolicy::default() },
        ClientPolicy { exempt_groups: lists("CN=Some,DC=corp,DC=example"), ..ClientPolicy::default() },
        ClientPolicy { exempt_networks: vec![network], ..ClientPolicy::default() },
        ClientPolicy {
            service: ServiceAccounts { names: lists("alice@corp.example"), ..ServiceAccounts::default() },
            ..ClientPolicy::default()
        },
        ClientPolicy { provider_unreachable: rule(&[UnreachableClass::Outage]), ..ClientPolicy::default() },
        ClientPolicy { provider_unreachable: rule(&[UnreachableClass::Connect]), ..ClientPolicy::default() },
    ];
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let people = [
        None,
        Some(fakes::person()),
        Some(Person { enabled: false, ..fakes::person() }),
        Some(Person { blocked_until: Some(tomorrow), ..fakes::person() }),
        Some(Person { device_token: None, ..fakes::person() }),
        Some(Person { method: anteroom::users::model::Method::Oath, ..fakes::person() }),
        Some(Person { mode: anteroom::users::model::Mode::Pin, ..fakes::person() }),
    ];
    let directories: [fn() -> FakePrimary; 3] = [
        fakes::right,
        || FakePrimary { member: Told::Says(Ok(true)), ..fakes::right() },
        || FakePrimary { identify: Told::Says(Err(IdentifyError::Unknown)), ..fakes::right() },
    ];
    let to_duo = Route { providers: lists("duo"), users: lists("alice"), ..Route::default() };
    let mut rows = 0;
    for policy in &policies {
        for person in &people {
            for primary in directories {
                for routes in [vec![], vec![to_duo.clone()]] {
                    for outage in [[false, false], [true, false], [true, true]] {
                        let (policy, person) = (policy.clone(), person.clone());
                        let routes = routes.clone();
                        let house = House::new(World { primary, person, policy, routes, outage, passcode: false });
                        let told = house.explained(Some("198.51.100.7")).await;
                        assert_eq!(house.touched(), [0; 4], "explaining touched something: {told:?}");
                        let attempt = Attempt {
                            person_address: Some("198.51.100.7".parse().unwrap()),
                            ..fakes::attempt(&house.served.client)
                        };
                        let outcome = house.sign_ins.enter(attempt).await.outcome().await;
                        let expected = match (told.end.as_str(), outcome.verdict()) {
                            ("prompt", Verdict::Accept) => "approved",
                            ("accept", Verdict::Accept) | ("reject", Verdict::Reject) => {
                                told.reason.as_deref().unwrap()
                            }
                            other => panic!("{other:?}: {told:?}"),
                        };
                        assert_eq!(outcome.reason().code(), expected, "{told:?}");
                        if told.end == "prompt" {
                            let event = house.ledger.0.lock().unwrap().last().unwrap().clone();
                            let by = event.provider.unwrap();
                            assert!(told.text.contains(&by), "{by}: {}", told.text);
                        }
                        rows += 1;
                    }
                }
            }
        }
    }
    assert_eq!(rows, 9 * 7 * 3 * 2 * 3);
}

#[tokio::test]
async fn each_step_is_told_with_why_and_why_not() {
    let network = AddressRange { first: "198.51.100.0".parse().unwrap(), last: "198.51.100.255".parse().unwrap() };
    let policy =
        ClientPolicy { exempt_users: vec!["svc".into()], exempt_networks: vec![network], ..ClientPolicy::default() };
    let house = House::new(World { policy, outage: [true, false], ..world() });
    let told = house.explained(None).await;
    let step = |name: &str| {
        let line = told.steps.iter().find(|line| line.step == name).unwrap_or_else(|| panic!("{name}: {told:?}"));
        (line.mark.as_str(), line.text.as_str())
    };
    assert!(step("client").1.contains("Head office VPN"), "{told:?}");
    assert!(step("name").1.contains("CN=Alice,DC=corp,DC=example"), "{told:?}");
    assert_eq!(step("exempt_users"), ("no", "none of its 1 fits"));
    assert_eq!(step("exempt_groups"), ("no", "empty"));
    assert_eq!(step("exempt_networks"), ("no", "no address of the person is known"));
    assert_eq!(step("methods").1, "tried in this order: push");
    let [entra, duo] = &told.providers[..] else { panic!("{told:?}") };
    assert_eq!((entra.out_of_use.as_deref(), entra.by.as_deref()), (Some("outage"), Some("push")));
    assert_eq!((duo.out_of_use.as_deref(), duo.ways[0].1.as_str()), (None, "open"));
    assert_eq!((told.end.as_str(), told.text.as_str()), ("prompt", "duo would ask by push"));
    house.guarded[0].declare(None);
    assert_eq!(house.explained(None).await.text, "entra would ask by push");
}

#[tokio::test]
async fn another_time_another_word_and_another_client_are_asked_about() {
    let blocked_until = Some(SystemTime::now() + Duration::from_secs(3600));
    let person = Some(Person { blocked_until, ..fakes::person() });
    let house = House::new(World { person, passcode: true, ..world() });
    let served = std::slice::from_ref(&house.served);
    let ask = async |question: Question| explain(&house.sign_ins, served, &question).await;
    assert_eq!(ask(question()).await.unwrap().reason.as_deref(), Some("blocked"));
    let later = jiff::Timestamp::now().as_second() + 7200;
    assert_eq!(ask(Question { at: Some(later), ..question() }).await.unwrap().end, "prompt");
    let typed = |word: &str| Question { at: Some(later), typed: Some(word.into()), ..question() };
    assert_eq!(ask(typed("phone2")).await.unwrap().text, "entra would ask by call");
    assert_eq!(ask(typed("code")).await.unwrap().end, "check_code");
    assert!(ask(typed("carrier-pigeon")).await.unwrap_err().contains("push"));
    let unknown = ask(Question { client: "wlan".into(), ..question() }).await.unwrap_err();
    assert!(unknown.contains("no client \"wlan\"") && unknown.contains("vpn"), "{unknown}");
}

#[tokio::test]
async fn a_pin_behind_the_password_is_asked_about() {
    let house = House::new(World {
        person: Some(Person { mode: anteroom::users::model::Mode::Pin, ..fakes::person() }),
        passcode: true,
        ..world()
    });
    let served = std::slice::from_ref(&house.served);
    let ask = async |typed: Option<&str>| {
        let question = Question { typed: typed.map(str::to_owned), ..question() };
        explain(&house.sign_ins, served, &question).await.unwrap()
    };
    let pin = |told: &Explanation| told.steps.iter().find(|line| line.step == "pin").unwrap().text.clone();
    let without = ask(None).await;
    assert_eq!((without.end.as_str(), without.reason.as_deref()), ("reject", Some("needs_pin")));
    assert!(pin(&without).contains("none is typed"), "{without:?}");
    let with = ask(Some("pin")).await;
    assert_eq!((with.end.as_str(), with.text.as_str()), ("prompt", "entra would ask by push"), "{with:?}");
    assert!(pin(&with).contains("taken as right"), "{with:?}");
    assert!(pin(&ask(Some("code")).await).contains("as the PIN first"));
    assert_eq!(house.touched(), [0; 4]);
    let standard = House::new(World { passcode: true, ..world() });
    let question = Question { typed: Some("pin".into()), ..question() };
    let told = explain(&standard.sign_ins, std::slice::from_ref(&standard.served), &question).await.unwrap();
    assert!(pin(&told).contains("not in PIN mode"), "{told:?}");
}

#[tokio::test]
async fn explaining_a_thousand_times_counts_nothing() {
    let house = House::new(world());
    for _ in 0..1000 {
        assert_eq!(house.explained(None).await.end, "prompt");
    }
    assert_eq!(house.touched(), [0; 4]);
    // and what is counted shows
    let bounds = anteroom::config::Throttle { prompts_per_person: 1, ..fakes::patient() };
    let (primary, ledger) = (Arc::new(fakes::right()), Arc::new(Recorder::default()));
    let cloud = Cloud::saying("entra", Some(Answer::Refused(anteroom::factor::Refusal::Undeliverable)));
    let deps = fakes::deps(&primary, vec![("entra", cloud)], Arc::new(fakes::enrolled()), &ledger);
    let sign_ins = SignIns::new(Deps { throttle: bounds, ..deps });
    let served = Served {
        client: Arc::new(Client {
            providers: vec!["entra".into()],
            ..Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap()
        }),
        door: Door::Radius,
        tells_address: true,
        profile: None,
    };
    let told = async || explain(&sign_ins, std::slice::from_ref(&served), &question()).await.unwrap();
    assert_eq!(told().await.end, "prompt");
    let outcome = sign_ins.enter(fakes::attempt(&served.client)).await.outcome().await;
    assert_eq!(outcome.reason().code(), "undeliverable");
    assert_eq!(told().await.reason.as_deref(), Some("prompt_limited"));
}

fn run(words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    let output = command.args(words).stdin(Stdio::null()).env_remove("ANTEROOM_CONFIG").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_running_server_explains_over_its_socket() {
    let house = House::new(World { outage: [true, false], ..world() });
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let record = folder.path().join("outages.jsonl");
    let served = vec![house.served.clone()];
    let desk = ControlDesk::new("gate-1".into(), house.sign_ins.clone(), served, Vec::new(), record);
    let _control = Control::start(&socket, Arc::new(desk)).unwrap();
    let socket = socket.to_str().unwrap().to_owned();
    let ask = async |more: &'static [&'static str]| {
        let socket = socket.clone();
        let words = move || {
            let mut words = vec!["explain", "--control", &socket, "--user", "alice"];
            words.extend(more);
            run(&words)
        };
        tokio::task::spawn_blocking(words).await.unwrap()
    };
    let (code, said) = ask(&["--client", "vpn"]).await;
    assert_eq!(code, Some(0), "{said}");
    for part in ["test at 2", "as the server runs now", "OUT OF USE (outage)", "=> duo would ask by push"] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    let (code, said) = ask(&["--client", "vpn", "--json", "--from", "192.0.2.7"]).await;
    assert_eq!(code, Some(0), "{said}");
    let told: Explanation = serde_json::from_str(said.trim()).unwrap();
    assert_eq!((told.end.as_str(), told.providers.len()), ("prompt", 2));
    let (code, said) = ask(&["--client", "wlan"]).await;
    assert!(code == Some(1) && said.contains("there is no client"), "{said}");
    assert_eq!(house.touched(), [0; 4]);
}

#[test]
fn without_a_server_the_file_says_what_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("anteroom.toml");
    let text = r#"
[server]
name = "gate-2"
store = "people.db"
[radius]
listen = ["127.0.0.1:1812"]
[[radius.client]]
name = "vpn"
address = "192.0.2.1"
secret = "a shared secret of the test"
[target.corp]
type = "ldap"
servers = "ldap://127.0.0.1:1"
plaintext = true
base = "DC=corp,DC=example"
bind_name = "cn=svc"
bind_password = "the service account's"
dn_from_store = true
[provider.duo]
type = "duo"
url = "https://api-00000000.duosecurity.com"
ikey = "DIXXXXXXXXXXXXXXXXXX"
skey = "planted-skey-012345678901234567890123456"
send = { person_address = false }
"#;
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let (code, said) = run(&[
        "user",
        "--config",
        file,
        "add",
        "alice",
        "--unique-id",
        "6f1c7e0a-9c1b-4b54-8d43-4d2f7a9be001",
        "--method",
        "push",
        "--dn",
        "CN=Alice,DC=corp,DC=example",
    ]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["explain", "--config", file, "--client", "vpn", "--user", "alice", "--from", "192.0.2.9"]);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "gate-2",
        "from the file",
        "has no person_address",
        "leaves the house: user_name, application",
        "kept by send: person_address",
        "=> duo would ask by push",
    ] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    assert!(!said.contains("planted"), "{said}");
    // a name that only the directory could know, and it is away
    let (code, said) = run(&["explain", "--config", file, "--client", "vpn", "--user", "bob", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let told: Explanation = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(told.reason.as_deref(), Some("directory_unreachable"));
}
