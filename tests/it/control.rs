//! The control socket: `anteroom status` and `anteroom outage` as an operator runs them, and what a declared outage does
//! to sign-ins, in virtual time.

#![cfg(test)]

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anteroom::config::{ClientPolicy, UnreachableClass, UnreachableRule};
use anteroom::control::{Ask, Control, ControlDesk, Told, Watched, client};
use anteroom::factor::routing::Guarded;
use anteroom::factor::{Answer, Factor, Refusal};
use anteroom::signin::explain::Served;
use anteroom::signin::outcome::{Reason, Verdict};
use anteroom::signin::reception::SignIns;

use crate::support::fakes::{self, Cloud, Recorder};

/// Two clouds behind their breakers, and the socket of a server that asks them.
struct House {
    folder: tempfile::TempDir,
    clouds: [Arc<Cloud>; 2],
    guarded: [Arc<Guarded>; 2],
    sign_ins: Arc<SignIns>,
    ledger: Arc<Recorder>,
    primary: Arc<fakes::FakePrimary>,
    control: Option<Control>,
}

impl House {
    fn new() -> House {
        let clouds = ["entra", "duo"].map(|name| Cloud::saying(name, Some(Answer::Approved)));
        House::of(tempfile::tempdir().unwrap(), clouds)
    }

    fn of(folder: tempfile::TempDir, clouds: [Arc<Cloud>; 2]) -> House {
        let guarded = clouds.clone().map(|cloud| Arc::new(Guarded::new(cloud)));
        let ledger = Arc::new(Recorder::default());
        let primary = Arc::new(fakes::right());
        let providers =
            clouds.iter().zip(&guarded).map(|(cloud, guarded)| (cloud.name, guarded.clone() as Arc<dyn Factor>));
        let deps = fakes::deps(&primary, providers.collect(), Arc::new(fakes::enrolled()), &ledger);
        let sign_ins = SignIns::new(deps);
        House { folder, clouds, guarded, sign_ins, ledger, primary, control: None }
    }

    fn desk(&self) -> ControlDesk {
        let watched = |(cloud, guarded): (&Arc<Cloud>, &Arc<Guarded>)| Watched {
            name: cloud.name.to_owned(),
            kind: "entra",
            guarded: Arc::clone(guarded),
        };
        let providers = self.clouds.iter().zip(&self.guarded).map(watched).collect();
        let served = Served {
            client: fakes::client(ClientPolicy::default()),
            door: anteroom::signin::attempt::Door::Radius,
            tells_address: true,
            profile: None,
        };
        let record = self.folder.path().join("outages.jsonl");
        ControlDesk::new("gate-1".into(), self.sign_ins.clone(), vec![served], providers, record)
    }

    fn listen(&mut self) {
        self.control = Some(Control::start(&self.socket(), Arc::new(self.desk())).unwrap());
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    fn record(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("outages.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A sign-in through a client that asks these providers.
    async fn sign_in(&self, providers: &[&str], rule: Option<UnreachableRule>) -> (Verdict, Reason) {
        let policy = ClientPolicy { provider_unreachable: rule, ..ClientPolicy::default() };
        let mut client = Arc::into_inner(fakes::client(policy)).unwrap();
        client.providers = providers.iter().map(|name| (*name).to_owned()).collect();
        let outcome = self.sign_ins.enter(fakes::attempt(&Arc::new(client))).await.outcome().await;
        (outcome.verdict(), outcome.reason())
    }

    fn asked(&self) -> [usize; 2] {
        self.clouds.each_ref().map(|cloud| cloud.asked())
    }
}

/// Runs the program as a user would; the socket is served meanwhile.
pub(crate) async fn anteroom(words: &[&str], socket: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command.args(words).arg("--control").arg(socket).stdin(Stdio::null()).env_remove("ANTEROOM_CONFIG");
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (status.code().unwrap(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_declared_shown_recorded_and_ended_by_an_operator() {
    let mut house = House::new();
    house.listen();
    let socket = house.socket();
    let (code, said) = anteroom(&["status"], &socket).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("gate-1") && said.contains("provider entra (entra)  ok") && said.contains("duo"), "{said}");

    let begin = ["outage", "begin", "--for", "60m", "--reason", "Entra is down, ticket 4711", "--provider", "entra"];
    let (code, said) = anteroom(&begin, &socket).await;
    assert_eq!((code, said.trim()), (0, "nobody is prompted by entra"));
    let (code, said) = anteroom(&["status"], &socket).await;
    assert_eq!(code, 1, "one is out of use: {said}");
    assert!(said.contains("OUTAGE declared, 59m") && said.contains("provider duo (entra)  ok"), "{said}");
    let (code, said) = anteroom(&["status", "--json"], &socket).await;
    let status: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(code, 1);
    assert!(status["providers"][0]["outage_seconds"].as_u64().unwrap() > 3500, "{status}");
    assert_eq!(house.sign_in(&["entra"], None).await, (Verdict::Reject, Reason::ProviderUnreachable));
    assert_eq!(house.sign_in(&["entra", "duo"], None).await.0, Verdict::Accept);
    assert_eq!(house.asked(), [0, 1]);

    let (code, said) = anteroom(&["outage", "end"], &socket).await;
    assert_eq!((code, said.trim()), (0, "people are prompted again by entra, duo"));
    assert_eq!(house.sign_in(&["entra"], None).await.0, Verdict::Accept);
    let record = house.record();
    assert_eq!(record.len(), 2);
    assert_eq!(record[0]["what"], "outage_begin");
    assert_eq!(record[0]["reason"], "Entra is down, ticket 4711");
    assert_eq!((&record[0]["seconds"], &record[0]["providers"][0]), (&3600.into(), &"entra".into()));
    assert!(record[0]["by"].is_u64() && record[0]["time"].is_string(), "{record:?}");
    assert_eq!((&record[1]["what"], record[1]["providers"].as_array().unwrap().len()), (&"outage_end".into(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_and_says_why() {
    let mut house = House::new();
    house.listen();
    let socket = house.socket();
    for (words, why) in [
        (&["outage", "begin", "--for", "2days", "--reason", "x"][..], "lasts up to 1day"),
        (&["outage", "begin", "--for", "0s", "--reason", "x"], "lasts up to 1day"),
        (&["outage", "begin", "--for", "1h", "--reason", " "], "a reason"),
        (&["outage", "begin", "--for", "1h", "--reason", "x", "--provider", "okta"], "no provider \"okta\""),
        (&["outage", "end", "--provider", "okta"], "no provider \"okta\""),
    ] {
        let (code, said) = anteroom(words, &socket).await;
        assert_eq!(code, 1, "{words:?}: {said}");
        assert!(said.contains(why), "{words:?}: {said}");
    }
    assert_eq!(house.record(), [] as [serde_json::Value; 0]);
    // what cannot be recorded is not done
    std::fs::create_dir(house.folder.path().join("outages.jsonl")).unwrap();
    let (code, said) = anteroom(&["outage", "begin", "--for", "1h", "--reason", "x"], &socket).await;
    assert!(code == 1 && said.contains("cannot be recorded"), "{said}");
    assert_eq!(house.sign_in(&["entra"], None).await.0, Verdict::Accept);
    // nobody listens
    drop(house.control.take());
    let (code, said) = anteroom(&["status"], &socket).await;
    assert!(code == 1 && said.contains("is the server running?"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_its_own_user_can_use_the_socket() {
    let mut house = House::new();
    house.listen();
    let socket = house.socket();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // garbage and silence hold nobody up
    use std::io::Write as _;
    let mut garbage = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    garbage.write_all(&[b'{'; 1000]).unwrap();
    let silent: Vec<_> = (0..4).map(|_| std::os::unix::net::UnixStream::connect(&socket).unwrap()).collect();
    let path = socket.clone();
    let told = tokio::task::spawn_blocking(move || client::ask(&path, &Ask::Status)).await.unwrap();
    assert!(matches!(told, Ok(Told::Status(_))), "{told:?}");
    drop((garbage, silent));
    // another user may look into the folder, and is refused by the socket alone
    std::fs::set_permissions(house.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut other = Command::new("python3");
    let program = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ntry:\n s.connect(sys.argv[1])\nexcept PermissionError:\n sys.exit(13)\n";
    other.args(["-c", program]).arg(&socket).uid(65_534).gid(65_534).stdin(Stdio::null());
    match tokio::task::spawn_blocking(move || other.status()).await.unwrap() {
        Ok(status) => assert_eq!(status.code(), Some(13), "another user came in"),
        // Only root can be another user.
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "this has to run as root: {error}");
            println!("NOT TESTED: another user at the control socket: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_does_not_take_the_socket_of_one_that_runs() {
    let mut house = House::new();
    house.listen();
    let refused = Control::start(&house.socket(), Arc::new(house.desk())).unwrap_err();
    assert!(refused.to_string().contains("another server answers there"), "{refused}");
    let (status, said) = anteroom(&["status"], &house.socket()).await;
    assert_eq!(status, 0, "{said}");
    // What an earlier process left behind is nobody's.
    house.control = None;
    drop(std::os::unix::net::UnixListener::bind(house.socket()).unwrap());
    house.listen();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_survives_a_restart_and_keeps_its_beginning() {
    let house = House::new();
    let begin = |seconds| Ask::OutageBegin { seconds, reason: "planned".into(), provider: Some("entra".into()) };
    let ask = |desk: ControlDesk, ask: Ask| async move { desk.answer(&ask, Some(0)).await };
    assert!(matches!(ask(house.desk(), begin(3600)).await, Told::Done { .. }));
    // The record says that it began half an hour ago.
    let path = house.folder.path().join("outages.jsonl");
    let began = jiff::Timestamp::try_from(SystemTime::now() - Duration::from_secs(1800)).unwrap();
    let mut line = house.record().remove(0);
    line["time"] = began.to_string().into();
    std::fs::write(&path, format!("{line}\n")).unwrap();

    let House { folder, clouds, .. } = house;
    let house = House::of(folder, clouds);
    assert_eq!(house.guarded[0].outage_left(), None, "a new process knows of nothing yet");
    let desk = house.desk();
    let left = house.guarded[0].outage_left().expect("it goes on").as_secs();
    assert!((1700..=1800).contains(&left), "{left}");
    let lasted = house.guarded[0].down_for().as_secs();
    assert!((1800..=1900).contains(&lasted), "{lasted}");
    assert_eq!(house.guarded[1].outage_left(), None);
    let rule = |minutes: u64| UnreachableRule {
        classes: vec![UnreachableClass::Outage],
        until: None,
        lasting: Some(Duration::from_secs(minutes * 60)),
    };
    assert_eq!(house.sign_in(&["entra"], Some(rule(29))).await.0, Verdict::Reject, "29 minutes are over");
    assert_eq!(house.sign_in(&["entra"], Some(rule(40))).await.1, Reason::ProviderUnreachableExempt);
    // ended, and restarted again: over
    assert!(matches!(ask(desk, Ask::OutageEnd { provider: None }).await, Told::Done { .. }));
    let House { folder, clouds, .. } = house;
    let house = House::of(folder, clouds);
    let _desk = house.desk();
    assert_eq!(house.guarded[0].outage_left(), None);
}

#[tokio::test(start_paused = true)]
async fn a_declared_outage_passes_nobody_but_by_a_rule_that_names_it_and_only_for_its_time() {
    let house = House::new();
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let rule = |classes: &[UnreachableClass]| {
        Some(UnreachableRule { classes: classes.to_vec(), until: None, lasting: Some(minutes(30)) })
    };
    let named = || rule(&[UnreachableClass::Outage]);
    let others: Vec<_> = UnreachableClass::ALL.into_iter().filter(|class| *class != UnreachableClass::Outage).collect();
    let passes = (Verdict::Accept, Reason::ProviderUnreachableExempt);
    let refused = (Verdict::Reject, Reason::ProviderUnreachable);

    assert_eq!(house.sign_in(&["entra"], named()).await, (Verdict::Accept, Reason::Approved));
    house.guarded[0].declare(Some(minutes(60)));
    assert_eq!(house.sign_in(&["entra"], None).await, refused, "no rule");
    assert_eq!(house.sign_in(&["entra"], rule(&others)).await, refused, "a rule for everything else");
    assert_eq!(house.sign_in(&["entra", "duo"], named()).await.1, Reason::Approved, "the next one is asked first");
    assert_eq!(house.sign_in(&["entra"], named()).await, passes);
    let event = house.ledger.0.lock().unwrap().last().unwrap().clone();
    assert_eq!((event.reason, event.provider.as_deref()), (Reason::ProviderUnreachableExempt, Some("entra")));

    tokio::time::advance(minutes(29)).await;
    assert_eq!(house.sign_in(&["entra"], named()).await, passes);
    tokio::time::advance(minutes(2)).await;
    assert_eq!(house.sign_in(&["entra"], named()).await, refused, "31 minutes into it");
    // declared anew while it lasts: the rule's time does not begin again
    house.guarded[0].declare(Some(minutes(60)));
    assert_eq!(house.sign_in(&["entra"], named()).await, refused);
    assert_eq!(house.asked(), [1, 1], "nobody was prompted there meanwhile");
    // it ends by itself, and people are asked again
    tokio::time::advance(minutes(60)).await;
    assert_eq!(house.sign_in(&["entra"], named()).await, (Verdict::Accept, Reason::Approved));
    // and a later one is a new one
    tokio::time::advance(minutes(600)).await;
    house.guarded[0].declare(Some(minutes(5)));
    assert_eq!(house.sign_in(&["entra"], named()).await, passes);
    house.guarded[0].declare(None);
    assert_eq!(house.sign_in(&["entra"], named()).await.1, Reason::Approved);
    assert!(house.primary.binds.load(std::sync::atomic::Ordering::SeqCst) > 8, "each password was checked");
}

#[tokio::test(start_paused = true)]
async fn silence_after_the_prompt_never_passes_whatever_the_rule_and_the_outage() {
    let house = House::new();
    let everything = UnreachableRule {
        classes: UnreachableClass::ALL.to_vec(),
        until: Some(SystemTime::now() + Duration::from_secs(86_400)),
        lasting: None,
    };
    *house.clouds[0].answer.lock().unwrap() = None;
    assert_eq!(house.sign_in(&["entra", "duo"], Some(everything.clone())).await, (Verdict::Reject, Reason::Expired));
    // declared while somebody has the prompt in their hand: nothing changes for them
    let waits = house.sign_in(&["entra", "duo"], Some(everything.clone()));
    let declares = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        house.guarded[0].declare(Some(Duration::from_secs(3600)));
    };
    let (answer, ()) = tokio::join!(waits, declares);
    assert_eq!(answer, (Verdict::Reject, Reason::Expired));
    house.guarded[0].declare(None);
    *house.clouds[0].answer.lock().unwrap() = Some(Answer::Refused(Refusal::Lost));
    assert_eq!(house.sign_in(&["entra", "duo"], Some(everything)).await, (Verdict::Reject, Reason::ProviderLost));
    assert_eq!(house.asked(), [3, 0], "and nobody else is asked");
}

#[tokio::test(start_paused = true)]
async fn while_a_breaker_is_open_nobody_waits_and_status_says_so() {
    let house = House::new();
    let away = Answer::Refused(Refusal::Unreachable(UnreachableClass::Timeout));
    *house.clouds[0].answer.lock().unwrap() = Some(away);
    for _ in 0..5 {
        assert_eq!(house.sign_in(&["entra"], None).await.1, Reason::ProviderUnreachable);
    }
    for _ in 0..20 {
        assert_eq!(house.sign_in(&["entra"], None).await.1, Reason::ProviderUnreachable);
    }
    assert_eq!(house.asked(), [5, 0], "the breaker is open: nobody is asked");
    let desk = house.desk();
    let Told::Status(status) = desk.answer(&Ask::Status, None).await else { panic!("no status") };
    let entra = &status.providers[0];
    assert_eq!((entra.usable, entra.class.as_deref(), entra.opened), (false, Some("timeout"), 1));
    assert!(status.providers[1].usable);
    // it answers pings again
    *house.clouds[0].answer.lock().unwrap() = Some(Answer::Approved);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(house.sign_in(&["entra"], None).await.1, Reason::Approved);
    let Told::Status(status) = desk.answer(&Ask::Status, None).await else { panic!("no status") };
    assert!(status.providers[0].usable);
}
