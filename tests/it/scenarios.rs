//! Replays the conversations of `tests/scenarios` in virtual time, through the real door and the real heart,
//! with a scripted directory and a scripted provider and no socket. `tests/scenarios/README.md` lists what a
//! line can say.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use anteroom::config::{
    AddressRange, Client, ClientPolicy, Limits, OnDeadline, PersonAddress, RadiusClient, Requirement, Throttle,
};
use anteroom::factor::{Answer, Factor, Refusal, Request};
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary};
use anteroom::radius::attribute::AddressForm;
use anteroom::radius::clients::Clients;
use anteroom::radius::door::{Door, Shared, Step};
use anteroom::secret::Secret;
use anteroom::signin::reception::{Deps, SignIns, Target};
use anteroom::signin::waiting::Pulse;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::support::fakes::{self, Recorder};
use crate::support::nas::{self, Heard, Sent};

/// What has happened and was not yet asked about.
#[derive(Default)]
struct Journal {
    replies: Vec<(SocketAddr, Vec<u8>)>,
    prompts: Vec<String>,
    cancels: Vec<String>,
    binds: Vec<String>,
}

/// Whose prompts are open, and how to answer them.
type PromptTable = Arc<Mutex<HashMap<String, Vec<oneshot::Sender<Answer>>>>>;

/// A directory in which everybody's password is `right-password`, except for those who do not exist.
struct Directory {
    journal: Arc<Mutex<Journal>>,
    away: Arc<Mutex<bool>>,
}

impl Directory {
    fn reachable(&self) -> Result<(), Fault> {
        if *self.away.lock().unwrap() { Err(Fault::Unreachable) } else { Ok(()) }
    }
}

impl Primary for Directory {
    fn identify<'a>(&'a self, typed: &'a str, _: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        let found = match self.reachable() {
            Err(fault) => Err(IdentifyError::Fault(fault)),
            Ok(()) if typed == "ghost" => Err(IdentifyError::Unknown),
            Ok(()) => {
                let name = typed.split('@').next().unwrap_or_default().to_lowercase();
                let (unique_id, dn) = (format!("id-of-{name}"), format!("CN={name}"));
                Ok(Identity { unique_id, dn, upn: None, name, remembered: false, details: None })
            }
        };
        Box::pin(async { found })
    }

    fn try_password<'a>(&'a self, who: &'a Identity, password: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        self.journal.lock().unwrap().binds.push(who.name.clone());
        let finding = match self.reachable() {
            Err(fault) => Finding::Fault(fault),
            Ok(()) if password.matches(b"right-password") => Finding::Right,
            Ok(()) => Finding::Wrong(anteroom::primary::Refusal::WrongPassword),
        };
        Box::pin(async { finding })
    }

    fn member_of_any<'a>(&'a self, _: &'a Identity, _: &'a [String], _: Instant) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

/// A provider whose people answer when the script says so.
struct Phones {
    journal: Arc<Mutex<Journal>>,
    waiting: PromptTable,
}

struct Prompt<'a> {
    phones: &'a Phones,
    name: String,
    answered: bool,
}

impl Drop for Prompt<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.phones.journal.lock().unwrap().cancels.push(self.name.clone());
        }
    }
}

impl Factor for Phones {
    fn name(&self) -> &str {
        "phones"
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        let name = request.person.name.clone();
        let (answer, answered) = oneshot::channel();
        self.journal.lock().unwrap().prompts.push(name.clone());
        self.waiting.lock().unwrap().entry(name.clone()).or_default().push(answer);
        Box::pin(async move {
            let mut prompt = Prompt { phones: self, name, answered: false };
            let answer = match tokio::time::timeout_at(request.deadline.into(), answered).await {
                Ok(answer) => answer.unwrap_or(Answer::Refused(Refusal::Lost)),
                Err(_) => Answer::Refused(Refusal::Expired),
            };
            prompt.answered = true;
            answer
        })
    }
}

/// Everybody whom the directory knows is enrolled, except for guests.
struct People;

impl People {
    fn note_block(&self, _: &str) {}
}

impl anteroom::users::store::Store for People {
    fn person<'a>(
        &'a self,
        unique_id: &'a str,
    ) -> BoxFuture<'a, anteroom::users::store::StoreResult<Option<anteroom::users::model::Person>>> {
        let mut person = fakes::person();
        person.unique_id = unique_id.into();
        person.name = unique_id.trim_start_matches("id-of-").into();
        let known = (!person.name.starts_with("guest")).then_some(person);
        Box::pin(async { Ok(known) })
    }

    crate::support::fakes::store_does_nothing_else!();
}

/// The task of a running request, and the pulse of its hold.
type Work = (AbortHandle, Arc<OnceLock<Pulse>>);

/// The server, its surroundings and the script's view of them.
struct Stage {
    start: tokio::time::Instant,
    journal: Arc<Mutex<Journal>>,
    away: Arc<Mutex<bool>>,
    waiting: PromptTable,
    door: Arc<Door<Work>>,
    sign_ins: Arc<SignIns>,
    client: RadiusClientSettings,
    sent: HashMap<u8, (SocketAddr, Sent)>,
    replies: HashMap<u8, Vec<u8>>,
    seed: u64,
    tasks: Mutex<Vec<AbortHandle>>,
}

#[derive(Clone)]
struct RadiusClientSettings {
    answer_within: Duration,
    on_deadline: OnDeadline,
}

fn radius_client(settings: &RadiusClientSettings) -> RadiusClient {
    let all = |text: &str| text.parse().unwrap();
    RadiusClient {
        client: Arc::new(Client {
            name: "vpn".into(),
            application: "VPN".into(),
            target: "corp".into(),
            providers: vec!["phones".into()],
            methods: Vec::new(),
            number_matching: Default::default(),
            answer_within: settings.answer_within,
            on_deadline: settings.on_deadline,
            carry_over: Duration::from_secs(60),
            gives_up_after: Duration::from_secs(2),
            passcode: None,
            challenge: None,
            shows_texts: false,
            texts: None,
            reuse: None,
            reply: None,
            held: 100,
            policy: ClientPolicy::default(),
        }),
        addresses: vec![AddressRange { first: all("192.0.2.1"), last: all("192.0.2.9") }],
        secret: Secret::new(nas::SECRET.to_vec()),
        require_message_authenticator: Requirement::Yes,
        tls: None,
        accounting_target: None,
        limit_proxy_state: Requirement::Yes,
        duplicate_window: Duration::from_secs(30),
        person_address: Some((PersonAddress { vendor: None, number: 31 }, AddressForm::Text)),
        hands_on: false,
        checks_ms_chap: false,
        changes_passwords: false,
        reply_attributes: Vec::new(),
        reject_message: None,
        packets_per_second: 1000,
        authorize_only: false,
        profile: None,
    }
}

fn build(
    settings: &RadiusClientSettings,
    journal: &Arc<Mutex<Journal>>,
    away: &Arc<Mutex<bool>>,
    waiting: &PromptTable,
) -> (Arc<Door<Work>>, Arc<SignIns>) {
    let now = tokio::time::Instant::now().into_std();
    let clients = Clients::new(&[Arc::new(radius_client(settings))], now).unwrap();
    let door = Arc::new(Door::new(Arc::new(Shared::new(clients, now)), 1000));
    let directory = Directory { journal: journal.clone(), away: away.clone() };
    let phones = Phones { journal: journal.clone(), waiting: waiting.clone() };
    let sign_ins = SignIns::new(Deps {
        targets: BTreeMap::from([("corp".to_owned(), Target { primary: Arc::new(directory), dn_from_store: false })]),
        providers: BTreeMap::from([("phones".to_owned(), Arc::new(phones) as Arc<dyn Factor>)]),
        routes: Vec::new(),
        rules: Vec::new(),
        caching: Default::default(),
        mails: false,
        store: Arc::new(People),
        ledger: Arc::new(Recorder::default()),
        limits: Limits { held: 100, held_per_person: 3, at_directory: 100 },
        throttle: Throttle {
            failures_per_person: 4,
            failures_per_source: 50,
            window: Duration::from_secs(1800),
            prompts_per_person: 5,
            prompt_window: Duration::from_secs(600),
            denial_backoff: Duration::from_secs(60),
            fraud_block: Duration::from_secs(3600),
            lockout: None,
        },
        server: "stage".into(),
        random: [3; 32],
        texts: Arc::new(anteroom::texts::Texts::built_in()),
        pins: None,
        rounds: None,
        nodes: None,
        metrics: Arc::new(anteroom::telemetry::metrics::Metrics::new(["vpn"])),
    });
    (door, sign_ins)
}

impl Stage {
    fn new(settings: RadiusClientSettings) -> Stage {
        let (journal, away, waiting) = (Arc::default(), Arc::default(), Arc::default());
        let (door, sign_ins) = build(&settings, &journal, &away, &waiting);
        Stage {
            start: tokio::time::Instant::now(),
            journal,
            away,
            waiting,
            door,
            sign_ins,
            client: settings,
            sent: HashMap::new(),
            replies: HashMap::new(),
            seed: 0,
            tasks: Mutex::default(),
        }
    }

    /// What the listener does with a datagram, without the socket.
    fn deliver(&self, peer: SocketAddr, bytes: &[u8]) {
        let now = tokio::time::Instant::now().into_std();
        let mut random = [0; 12];
        random[..8].copy_from_slice(&self.seed.to_be_bytes());
        let send = |bytes: &[u8]| self.journal.lock().unwrap().replies.push((peer, bytes.to_vec()));
        match self.door.receive(peer, bytes, now, || random) {
            Step::Discard(_) | Step::Running(None) => {}
            Step::Running(Some((_, pulse))) => {
                if let Some(pulse) = pulse.get() {
                    pulse.heard_again(now);
                }
            }
            Step::Resend(reply) if reply.is_empty() => {}
            Step::Resend(reply) | Step::Reply(reply) => send(&reply),
            Step::Begin(begin) => {
                let (door, sign_ins, journal) = (self.door.clone(), self.sign_ins.clone(), self.journal.clone());
                let key = begin.ticket.key();
                let pulse = Arc::new(OnceLock::new());
                let place = pulse.clone();
                let task = tokio::spawn(async move {
                    let waiting = sign_ins.enter(begin.attempt).await;
                    waiting.pulse().into_iter().for_each(|pulse| place.set(pulse).expect("set once"));
                    if let Some((older, _)) = begin.superseded {
                        older.abort();
                    }
                    let outcome = waiting.outcome().await;
                    let now = tokio::time::Instant::now().into_std();
                    if let Some(reply) = door.finish(&begin.ticket, &outcome, now) {
                        journal.lock().unwrap().replies.push((peer, reply.to_vec()));
                    }
                });
                self.tasks.lock().unwrap().push(task.abort_handle());
                let _ = self.door.attach(&key, (task.abort_handle(), pulse));
            }
        }
    }

    async fn act(&mut self, clause: &str) {
        let words: Vec<&str> = clause.split_whitespace().collect();
        match words.as_slice() {
            ["nas", "sends", "sign-in", user, "/", password, "as", number, rest @ ..] => {
                self.send(user, password, identifier(number), rest);
            }
            ["nas", "resends", number] => {
                let (peer, sent) = self.sent[&identifier(number)].clone();
                self.deliver(peer, &sent.bytes);
            }
            ["nas", "gets", "the", "same", "bytes", "for", number] => {
                let number = identifier(number);
                assert_eq!(self.next_reply(number), self.replies[&number], "the bytes of the first reply");
            }
            ["nas", "gets", verdict, number] => {
                let number = identifier(number);
                let reply = self.next_reply(number);
                let heard = nas::check(&self.sent[&number].1, &reply);
                let expected = match *verdict {
                    "accept" => Heard::Accept,
                    "reject" => Heard::Reject,
                    other => panic!("unknown verdict {other}"),
                };
                assert_eq!(heard, expected);
                self.replies.insert(number, reply);
            }
            ["nothing", "is", "sent"] => {
                let journal = self.journal.lock().unwrap();
                assert!(journal.replies.is_empty(), "something was sent: {:?}", journal.replies);
            }
            ["provider", "gets", "nothing"] => {
                assert_eq!(self.journal.lock().unwrap().prompts, Vec::<String>::new());
            }
            ["provider", "gets", "push", "for", user] => {
                let prompts = std::mem::take(&mut self.journal.lock().unwrap().prompts);
                assert_eq!(prompts, [*user]);
            }
            ["provider", "is", "told", "to", "cancel", user] => {
                let cancels = std::mem::take(&mut self.journal.lock().unwrap().cancels);
                assert_eq!(cancels, [*user]);
            }
            ["provider", "says", word, "for", user] => {
                let answer = match *word {
                    "approved" => Answer::Approved,
                    "denied" => Answer::Refused(Refusal::Denied),
                    "fraud" => Answer::Refused(Refusal::Fraud),
                    "garbage" => Answer::Refused(Refusal::Garbled),
                    other => panic!("unknown answer {other}"),
                };
                let waiting = self.waiting.lock().unwrap().get_mut(*user).and_then(Vec::pop);
                let waiting = waiting.expect("that person was prompted");
                // A person may well answer a prompt that nobody waits for any more.
                let _ = waiting.send(answer);
            }
            ["directory", "checks", "nobody"] => {
                assert_eq!(self.journal.lock().unwrap().binds, Vec::<String>::new());
            }
            ["directory", "checks", user] => {
                assert_eq!(std::mem::take(&mut self.journal.lock().unwrap().binds), [*user]);
            }
            ["directory", "is", state @ ("away" | "back")] => *self.away.lock().unwrap() = *state == "away",
            ["server", "restarts"] => {
                // The process is gone: its tasks answer nothing, and nobody cancels anything.
                self.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
                settle().await;
                self.journal.lock().unwrap().cancels.clear();
                (self.door, self.sign_ins) = build(&self.client, &self.journal, &self.away, &self.waiting);
                self.waiting.lock().unwrap().clear();
            }
            other => panic!("unknown line {other:?}"),
        }
        settle().await;
    }

    fn send(&mut self, user: &str, password: &str, number: u8, rest: &[&str]) {
        let mut peer: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        let mut attributes = Vec::new();
        for pair in rest.chunks(2) {
            match pair {
                ["port", port] => peer.set_port(port.parse().unwrap()),
                ["from", address] => attributes.push((31, address.as_bytes().to_vec())),
                other => panic!("unknown addition {other:?}"),
            }
        }
        self.seed += 1;
        let sent = nas::request(number, self.seed, user, password.as_bytes(), &attributes);
        self.deliver(peer, &sent.bytes);
        self.sent.insert(number, (peer, sent));
    }

    /// The oldest reply that was not asked about; it must be for this request.
    fn next_reply(&self, number: u8) -> Vec<u8> {
        let mut journal = self.journal.lock().unwrap();
        let place = journal.replies.iter().position(|(_, bytes)| bytes[1] == number);
        let (peer, bytes) = journal.replies.remove(place.expect("a reply was sent"));
        assert_eq!(peer, self.sent[&number].0, "it went where the request came from");
        bytes
    }
}

fn identifier(number: &str) -> u8 {
    number.trim_start_matches('#').parse().unwrap_or_else(|_| panic!("{number} is no request number"))
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn seconds(text: &str) -> Duration {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    Duration::from_secs_f64(number.unwrap_or_else(|| panic!("{text} is no time")))
}

async fn play(name: &str, text: &str) {
    let mut settings = RadiusClientSettings { answer_within: Duration::from_secs(55), on_deadline: OnDeadline::Reject };
    let mut stage = None;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["client", "answers", "within", time] => settings.answer_within = seconds(time),
            ["client", "prefers", "silence"] => settings.on_deadline = OnDeadline::Silence,
            ["at", time, ..] => {
                println!("{name}:{number}: {line}");
                let stage = stage.get_or_insert_with(|| Stage::new(settings.clone()));
                tokio::time::sleep_until(stage.start + seconds(time)).await;
                settle().await;
                let (_, clauses) = line.split_once(time).unwrap();
                for clause in clauses.split(", ") {
                    stage.act(clause).await;
                }
            }
            _ => panic!("{name}:{number}: what is {line:?}?"),
        }
    }
    let stage = stage.expect("a scenario has at least one event");
    let journal = stage.journal.lock().unwrap();
    assert!(journal.replies.is_empty(), "{name}: {} replies that the story does not tell", journal.replies.len());
    assert!(journal.prompts.is_empty(), "{name}: prompts that the story does not tell: {:?}", journal.prompts);
    assert!(journal.cancels.is_empty(), "{name}: cancels that the story does not tell: {:?}", journal.cancels);
}

#[test]
fn every_scenario_goes_as_it_is_told() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() >= 12, "scenarios were found");
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(&name, &text));
    }
}
