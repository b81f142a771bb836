//! `anteroom demo --check`: one sign-in of every outcome, over real sockets, each judged by what the client heard
//! and by the reason that the audit gives.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::directory::{AccountState, DEMO_DOMAIN, DEMO_NETBIOS, DEMO_PASSWORD, DemoPerson};
use super::phone::{Behaviour, Decision, Garbage};
use super::{DEMO_PIN, DEMO_SECRET, Demo, DemoError, Ports, enrolled};
use crate::radius::attribute::CALLING_STATION_ID;
use crate::radius::authenticator::ClientKey;
use crate::radius::client::{Answer, ExchangeError, Patience, Request, exchange_over};
use crate::radius::packet::Code;
use crate::secret::Secret;
use crate::signin::attempt::Door;
use crate::signin::outcome::Reason;
use crate::users::model::{Mode, Person};

mod challenges;
mod gateway;
mod ldap;
mod wire;

/// What the client hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Access-Accept.
    Accept,
    /// Access-Reject.
    Reject,
    /// Nothing.
    Silence,
    /// An LDAP result code.
    Code(u32),
    /// Something else.
    Other,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Heard::Accept => "Accept",
            Heard::Reject => "Reject",
            Heard::Silence => "silence",
            Heard::Code(code) => return f.pad(&format!("code {code}")),
            Heard::Other => "other",
        })
    }
}

/// Which client asks.
#[derive(Debug, Clone, Copy)]
enum From {
    Vpn,
    Lenient,
    Hasty,
    Codes,
    Gateway,
    Portal,
    Menu,
}

impl From {
    /// Where it asks from.
    fn address(self) -> SocketAddr {
        let last = match self {
            From::Vpn => 1,
            From::Lenient => 2,
            From::Hasty => 3,
            From::Codes => 4,
            From::Gateway => 5,
            From::Portal => 6,
            From::Menu => 7,
        };
        ([127, 0, 0, last], 0).into()
    }
}

/// How the person stands in the user store.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stands {
    Enrolled,
    Missing,
    Disabled,
    WithoutDevice,
    InPinMode,
}

/// One sign-in to be tried.
struct Trial {
    what: &'static str,
    person: &'static str,
    /// The name as typed, where it is not the person's own.
    typed: Option<String>,
    password: String,
    from: From,
    person_address: Option<&'static str>,
    state: AccountState,
    stands: Stands,
    groups: &'static [&'static str],
    behaviour: Behaviour,
    expected: (Heard, Option<Reason>),
}

fn answers(decision: Decision) -> Behaviour {
    Behaviour::Answer { decision, after_ms: 50 }
}

impl Trial {
    /// Somebody enrolled, with the right password, who would approve.
    fn new(what: &'static str, person: &'static str, heard: Heard, reason: Reason) -> Self {
        Trial {
            what,
            person,
            typed: None,
            password: DEMO_PASSWORD.into(),
            from: From::Vpn,
            person_address: None,
            state: AccountState::Good,
            stands: Stands::Enrolled,
            groups: &["VPN-Users"],
            behaviour: answers(Decision::Approve),
            expected: (heard, Some(reason)),
        }
    }

    fn phone(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    fn state(mut self, state: AccountState) -> Self {
        self.state = state;
        self
    }

    fn stands(mut self, stands: Stands) -> Self {
        self.stands = stands;
        self
    }

    fn from(mut self, from: From) -> Self {
        self.from = from;
        self
    }

    fn typed(mut self, typed: impl Into<String>) -> Self {
        self.typed = Some(typed.into());
        self
    }

    fn password(mut self, password: impl Into<String>) -> Self {
        self.password = password.into();
        self
    }
}

/// Every outcome. Each trial has a person of its own, so that no bound of one is felt by another.
fn trials() -> Vec<Trial> {
    use AccountState as State;
    use Heard::{Accept, Reject};
    let fail = |prompt_sent| Behaviour::Fail { status: 503, prompt_sent };
    let mut trials = vec![
        Trial::new("right password, prompt approved", "approves", Accept, Reason::Approved),
        Trial::new("the same as user@domain", "upn", Accept, Reason::Approved).typed(format!("UPN@{DEMO_DOMAIN}")),
        Trial::new("the same as DOMAIN\\user", "domain", Accept, Reason::Approved)
            .typed(format!("{DEMO_NETBIOS}\\Domain")),
        Trial::new("prompt denied", "denies", Reject, Reason::Denied).phone(answers(Decision::Deny)),
        Trial::new("asked again right after a denial", "denies", Reject, Reason::PromptLimited),
        Trial::new("fraud reported", "fraud", Reject, Reason::Fraud).phone(answers(Decision::Fraud)),
        Trial::new("blocked since the fraud report", "fraud", Reject, Reason::Blocked),
        Trial::new("nobody answers the prompt", "absent", Reject, Reason::Expired)
            .from(From::Hasty)
            .phone(Behaviour::Manual),
        Trial::new("prompt undeliverable", "nophone", Reject, Reason::Undeliverable)
            .phone(answers(Decision::Undeliverable)),
        Trial::new("provider wants a code", "code", Reject, Reason::NeedsCode).phone(answers(Decision::NeedsCode)),
        Trial::new("wrong password", "typo", Reject, Reason::WrongPassword).password("not-it"),
        Trial::new("unknown name", "typo", Reject, Reason::UnknownUser).typed("no-such-person"),
        Trial::new("empty password", "typo", Reject, Reason::EmptyPassword).password(""),
        Trial::new("not in the user store", "guest", Reject, Reason::NotEnrolled).stands(Stands::Missing),
        Trial::new("disabled in the user store", "left", Reject, Reason::UserDisabled).stands(Stands::Disabled),
        Trial::new("no device in the user store", "nodevice", Reject, Reason::NoMethod).stands(Stands::WithoutDevice),
        Trial::new("exempt user", "svc-monitor", Accept, Reason::ExemptUser).stands(Stands::Missing),
        Trial::new("not in the store, client allows it", "guest2", Accept, Reason::NotEnrolledExempt)
            .stands(Stands::Missing)
            .from(From::Lenient),
        Trial::new("disabled, client allows it", "left2", Accept, Reason::UserDisabledExempt)
            .stands(Stands::Disabled)
            .from(From::Lenient),
        Trial::new("code behind the password", "typed", Accept, Reason::Approved)
            .from(From::Codes)
            .password(format!("{DEMO_PASSWORD},123456"))
            .phone(Behaviour::Manual),
        Trial::new("wrong code behind the password", "mistyped", Reject, Reason::WrongCode)
            .from(From::Codes)
            .password(format!("{DEMO_PASSWORD},654321")),
        Trial::new("\"push\" behind the password", "pushes", Accept, Reason::Approved)
            .from(From::Codes)
            .password(format!("{DEMO_PASSWORD},push")),
        Trial::new("PIN behind the password, then the prompt", "pin", Accept, Reason::Approved)
            .stands(Stands::InPinMode)
            .from(From::Codes)
            .password(format!("{DEMO_PASSWORD},{DEMO_PIN}")),
        Trial::new("no PIN behind the password", "pinless", Reject, Reason::NeedsPin)
            .stands(Stands::InPinMode)
            .from(From::Codes),
        Trial::new("provider down", "down", Reject, Reason::ProviderUnreachable).phone(fail(false)),
        Trial::new("provider down, client allows it", "down2", Accept, Reason::ProviderUnreachableExempt)
            .from(From::Lenient)
            .phone(fail(false)),
        Trial::new("provider lost after the prompt", "lost", Reject, Reason::ProviderLost)
            .from(From::Lenient)
            .phone(fail(true)),
        Trial::new("provider answers garbage", "garbled", Reject, Reason::ProviderGarbled)
            .phone(Behaviour::Garbage { garbage: Garbage::NotJson, by_event: false }),
    ];
    let states = [
        ("account disabled", "disabled", State::Disabled, Reason::AccountDisabled),
        ("account locked out", "locked", State::Locked, Reason::AccountLocked),
        ("must change the password", "mustchange", State::MustChange, Reason::MustChangePassword),
        ("password expired", "pwexpired", State::PasswordExpired, Reason::PasswordExpired),
        ("account expired", "expired", State::Expired, Reason::AccountExpired),
        ("outside logon hours", "nohours", State::LogonHours, Reason::LogonHours),
        ("other workstations only", "workstation", State::Workstation, Reason::Workstation),
        ("account restricted", "restricted", State::Restricted, Reason::AccountRestricted),
    ];
    trials.extend(states.map(|(what, person, state, reason)| Trial::new(what, person, Reject, reason).state(state)));
    let mut group = Trial::new("member of an exempt group", "member", Accept, Reason::ExemptGroup);
    group.groups = &["MFA-Exempt"];
    let mut network = Trial::new("from an exempt network", "office", Accept, Reason::ExemptNetwork);
    network.person_address = Some("198.51.100.7");
    trials.extend([group, network]);
    trials.extend((1..=4).map(|_| Trial::new("guessing", "victim", Reject, Reason::WrongPassword).password("guess")));
    trials.push(Trial::new("after four guesses, directory spared", "victim", Reject, Reason::ThrottledPerson));
    trials
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// Which door was knocked at.
    pub door: Door,
    /// What was tried.
    pub what: String,
    /// What the client should hear.
    pub expected: Heard,
    /// What it heard.
    pub heard: Heard,
    /// What the audit should say.
    pub expected_reason: Option<&'static str>,
    /// What it says.
    pub reason: Option<String>,
}

impl Row {
    /// Whether both are right.
    pub fn is_right(&self) -> bool {
        self.heard == self.expected && self.reason.as_deref() == self.expected_reason
    }
}

/// Starts a demo of its own on free ports, runs every trial, and stops it.
///
/// # Errors
/// The demo could not start. A verdict that is not right is a row, not an error.
pub async fn run(mut each: impl FnMut(&Row)) -> Result<Vec<Row>, DemoError> {
    let (radius, ldap) = (trials(), ldap::trials());
    let all: Vec<&Trial> = radius.iter().chain(&ldap).collect();
    let demo = Demo::start_with(Ports::default(), people(&all), |person| stored(&all, person)).await?;
    let mut rows = Vec::new();
    let mut done = |row: Row| {
        each(&row);
        rows.push(row);
    };
    for trial in &radius {
        done(try_one(&demo, trial).await);
    }
    challenges::run(&demo).await.into_iter().for_each(&mut done);
    wire::run(&demo).await.into_iter().for_each(&mut done);
    gateway::run(&demo).await.into_iter().for_each(&mut done);
    for trial in &ldap {
        done(ldap::try_one(&demo, trial).await);
    }
    ldap::run(&demo).await.into_iter().for_each(&mut done);
    demo.stop().await;
    Ok(rows)
}

fn people(trials: &[&Trial]) -> Vec<DemoPerson> {
    let mut people: HashMap<&str, DemoPerson> = HashMap::new();
    for trial in trials {
        people.entry(trial.person).or_insert_with(|| {
            let mut person = DemoPerson::new(trial.person, "Trial", trial.person);
            person.state = trial.state;
            person.groups = trial.groups.iter().map(|group| (*group).to_owned()).collect();
            person
        });
    }
    let others = wire::PEOPLE.into_iter().chain(ldap::PEOPLE).chain(challenges::PEOPLE);
    people.extend(others.map(|name| (name, DemoPerson::new(name, "Trial", name))));
    people.extend(gateway::people().map(|person| (person.0, person.1)));
    people.into_values().collect()
}

fn stored(trials: &[&Trial], person: &DemoPerson) -> Option<Person> {
    let other = if challenges::IN_PIN_MODE.contains(&&*person.name) { Stands::InPinMode } else { Stands::Enrolled };
    let stands = trials.iter().find(|trial| trial.person == person.name).map_or(other, |trial| trial.stands);
    let mut entry = enrolled(person);
    match stands {
        Stands::Enrolled => {}
        Stands::Missing => return None,
        Stands::Disabled => entry.enabled = false,
        Stands::WithoutDevice => entry.device_token = None,
        Stands::InPinMode => entry.mode = Mode::Pin,
    }
    Some(entry)
}

async fn try_one(demo: &Demo, trial: &Trial) -> Row {
    demo.phone.set_behaviour(Some(trial.person), trial.behaviour);
    let name = trial.typed.as_deref().unwrap_or(trial.person);
    let password = Secret::from_text(trial.password.clone());
    let attributes: Vec<_> =
        trial.person_address.iter().map(|address| (CALLING_STATION_ID, address.as_bytes().to_vec())).collect();
    let request = Request { attributes: &attributes, ..Request::access(name, &password) };
    let heard = ask(demo, trial.from.address(), &request).await;
    let (expected, reason) = trial.expected;
    Row {
        door: Door::Radius,
        what: trial.what.into(),
        expected,
        heard,
        expected_reason: reason.map(Reason::code),
        reason: last_reason(demo, name).await,
    }
}

fn key() -> ClientKey {
    ClientKey::new(Secret::from_text(DEMO_SECRET.into()))
}

/// Sends from `source` and says what came back.
async fn ask(demo: &Demo, source: SocketAddr, request: &Request<'_>) -> Heard {
    heard(&answer(demo, source, request).await)
}

/// Sends from `source`; what came back.
async fn answer(demo: &Demo, source: SocketAddr, request: &Request<'_>) -> Result<Answer, ExchangeError> {
    let patience = Patience { timeout: Duration::from_secs(5), sends: 1, require_signature: true };
    let socket = connect(demo, source).await?;
    let mut random = [0; 17];
    getrandom::fill(&mut random).map_err(std::io::Error::from)?;
    let [identifier, authenticator @ ..] = random;
    let bytes = request.encode(identifier, &authenticator, &key()).map_err(ExchangeError::Request)?;
    exchange_over(&socket, &bytes, &key(), patience).await
}

fn heard(answer: &Result<Answer, ExchangeError>) -> Heard {
    match answer {
        Ok(answer) if answer.code == Code::ACCESS_ACCEPT => Heard::Accept,
        Ok(answer) if answer.code == Code::ACCESS_REJECT => Heard::Reject,
        Err(ExchangeError::NoAnswer { .. }) => Heard::Silence,
        Ok(_) | Err(_) => Heard::Other,
    }
}

async fn connect(demo: &Demo, source: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(source).await?;
    let server: Option<&SocketAddr> = demo.server.radius().first();
    socket.connect(server.ok_or(std::io::ErrorKind::NotFound)?).await?;
    Ok(socket)
}

/// The reason in the last line that the audit has on this name.
async fn last_reason(demo: &Demo, name: &str) -> Option<String> {
    demo.server.flush_audit().await;
    let text = std::fs::read_to_string(demo.folder.join("audit.jsonl")).ok()?;
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut named = lines.filter(|event| event.get("name").and_then(|value| value.as_str()) == Some(name));
    Some(named.next()?.get("reason")?.as_str()?.to_owned())
}
