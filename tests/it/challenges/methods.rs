//! Every method, mode and outcome, as `tests/scenarios/methods.table` lists them, in virtual time: where the table says that
//! time passes, the clocks jump.

use anteroom::config::codes::{CodesProvider, Via};
use anteroom::factor::codes::Codes;
use anteroom::factor::local::split::PinSide;
use anteroom::simulate::texts::Texts;
use anteroom::simulate::{Decision, Options, Scenario, Simulator};
use anteroom::users::codes::CodeKind;
use anteroom::users::pin::Rules;
use anteroom::users::pins::Pins;
use anteroom::users::roster::Roster as _;
use anteroom::users::store::Store as _;
use anteroom::users::typed::Sending;

use super::phone::{self, BACKUP, Phones, Says};
use super::*;
use crate::local_codes::{House, counted};
use crate::sent_codes;
use crate::support::smtp::{Protection, Smtp};

const PIN: &str = "40927";

/// How long a code lives that the house has sent: shorter than a challenge, so that one can expire within it.
const LIVES: Duration = Duration::from_secs(60);

/// A line of the table.
struct Line {
    text: &'static str,
    method: &'static str,
    mode: &'static str,
    /// What the client shows besides.
    shows: Vec<&'static str>,
    says: &'static str,
    typed: Vec<&'static str>,
    end: &'static str,
    /// How the person was asked, where the table says it.
    asked: Option<&'static str>,
}

impl Line {
    fn shows(&self, what: &str) -> bool {
        self.shows.contains(&what)
    }
}

fn lines() -> Vec<Line> {
    let table = include_str!("../../scenarios/methods.table");
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |text: &'static str| {
        let columns: Vec<&str> = text.split('|').map(str::trim).collect();
        let (columns, asked) = columns.split_at(columns.len().min(5));
        let [method, modes, says, typed, end] = columns[..] else { panic!("{text}") };
        let (mut modes, mut all) = (modes.split(' '), Vec::new());
        let mode = modes.next().unwrap();
        for typed in typed.split(',').map(str::trim).filter(|typed| !typed.is_empty()) {
            let (what, times) = typed.split_once(" x").unwrap_or((typed, "1"));
            all.extend(std::iter::repeat_n(what, times.parse().unwrap()));
        }
        Line { text, method, mode, shows: modes.collect(), says, typed: all, end, asked: asked.first().copied() }
    };
    lines.map(read).collect()
}

/// Where codes of the house go.
enum Sent {
    Nowhere,
    Text(Simulator),
    Mail(Smtp),
}

impl Sent {
    /// The last one.
    fn code(&self) -> String {
        match self {
            Sent::Nowhere => RIGHT.into(),
            Sent::Text(texts) => {
                let prompts = texts.desk().prompts();
                let last = prompts.iter().max_by_key(|prompt| prompt.number).expect("a text was sent");
                last.application[..6].into()
            }
            Sent::Mail(smtp) => {
                let taken = smtp.taken().pop().expect("a mail was sent");
                taken.data.split("\r\n\r\n").nth(1).unwrap().trim_start()[..6].into()
            }
        }
    }
}

/// One line of the table, while it is played.
struct Play {
    house: House,
    hall: Arc<Hall>,
    sent: Sent,
    kept: Vec<String>,
    phones: Arc<Phones>,
    /// How much time passes at once while somebody waits.
    step: Duration,
}

/// The methods of a word of the table, the first one first.
fn methods(words: &str) -> Vec<Method> {
    let method = |word: &str| match word {
        "hotp" | "totp" => Method::Oath,
        "own_text" => Method::SmsCode,
        "own_mail" => Method::EmailCode,
        word => word.parse().unwrap(),
    };
    words.split('+').map(method).collect()
}

impl Play {
    async fn new(line: &Line) -> Play {
        let house = House::new().await;
        if line.mode != "standard" {
            house.pin_mode(PIN, line.mode == "due").await;
        }
        let alice = fakes::alice().unique_id;
        let mode = if line.mode == "standard" { Mode::Standard } else { Mode::Pin };
        let (phone, email) = (Some("+12025550111".into()), Some("alice@corp.example".into()));
        assert!(house.store.replace(&Person { mode, phone, email, ..fakes::person() }).await.unwrap());
        let (first, second) = line.says.split_once('/').unwrap_or((line.says, "approved"));
        if line.says.contains('/') {
            let mut profile = house.store.profile(&alice).await.unwrap().unwrap();
            profile.backup_phone = Some(BACKUP.into());
            house.store.change(&profile, "test").await.unwrap().unwrap();
        }
        let methods = methods(line.method);
        let method = methods[0];
        let kept = match method {
            Method::BackupCode => house.keep(&alice, CodeKind::Backup, 3, 1).await,
            Method::TemporaryCode => house.keep(&alice, CodeKind::Temporary, 1, 1).await,
            _ => Vec::new(),
        };
        let says = [Says::of(first), Says::of(second)];
        let phones = Arc::new(Phones::new(says, line.shows("compare"), line.says.contains('/')));
        let mut sent = Sent::Nowhere;
        let provider: Arc<dyn Factor> = match line.method {
            "own_text" => {
                let service = Arc::new(Texts::new(sent_codes::ACCOUNT, Secret::from_text(sent_codes::TOKEN.into())));
                let texts =
                    Simulator::start("127.0.0.1:0".parse().unwrap(), service, Options::default()).await.unwrap();
                for (phone, says) in [(None, first), (Some(BACKUP), second)] {
                    let away = says == "undeliverable";
                    let answer = if away { Decision::Undeliverable } else { Decision::Approve };
                    if phone.is_none() || line.says.contains('/') {
                        texts.desk().set(phone, Scenario { answer, ..Scenario::default() });
                    }
                }
                let via = sent_codes::twilio(&texts);
                sent = Sent::Text(texts);
                Arc::new(codes(&house, via))
            }
            "own_mail" => {
                let smtp = Smtp::start(Protection::None).await;
                let mail = Arc::new(sent_codes::mail(smtp.port));
                sent = Sent::Mail(smtp);
                Arc::new(codes(&house, Via::Smtp { mail, subject: "Your code".into() }))
            }
            _ if matches!(method, Method::Oath | Method::BackupCode | Method::TemporaryCode) => {
                Arc::new(house.with(50, PinSide::Before, house.store.clone()))
            }
            _ => phones.clone(),
        };
        let rule = Challenges { beside_prompt: line.shows("beside"), menu: line.shows("menu"), ..RULE };
        let hall = Hall::with(Cloud::default(), &methods, rule, fakes::enrolled(), |deps| {
            deps.store = house.store.clone();
            deps.pins = Some(Pins { roster: house.store.clone(), rules: Rules::default() });
            deps.providers.insert("cloud".into(), provider);
        });
        // Beside a prompt somebody comes back before it is over.
        let step = Duration::from_secs(if line.shows("beside") || line.shows("compare") { 2 } else { 60 });
        let play = Play { house, hall: Arc::new(hall), sent, kept, phones, step };
        if line.says == "late" {
            play.house.jump(3601);
        }
        play
    }

    /// So much time passes, for everybody.
    async fn passes(&self, time: Duration) {
        self.house.jump(i64::try_from(time.as_secs()).unwrap());
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
        // whoever has waited for this moment has their turn
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    /// What is typed, its holes filled in.
    fn filled(&self, typed: &str) -> String {
        let mut text = typed.replace("{pin}", PIN).replace("{nothing}", "");
        if text.contains("{right}") {
            text = text.replace("{right}", &self.sent.code());
        }
        for hole in ["{backup}", "{temporary}"] {
            text = text.replace(hole, self.kept.first().map_or("", |code| code));
        }
        for ahead in [0, 1, 2, 3, 100, 101, 102] {
            let of = |name: &str| if ahead == 0 { format!("{{{name}}}") } else { format!("{{{name}+{ahead}}}") };
            text = text.replace(&of("hotp"), &counted(ahead));
            text = text.replace(&of("totp"), &self.house.timed(i64::try_from(ahead).unwrap()));
        }
        assert!(!text.contains('{'), "{text}");
        text
    }

    /// Sends a request. If a prompt goes out that nobody answers for now, time passes; so it does where it `waits` for one
    /// that is out.
    async fn send(&self, attempt: Attempt, waits: bool) -> Arc<Outcome> {
        let hall = Arc::clone(&self.hall);
        let mut task = tokio::spawn(async move { hall.enter(attempt).await });
        if !(waits && self.phones.is_open()) {
            tokio::select! {
                outcome = &mut task => return outcome.unwrap(),
                () = self.phones.out.notified() => {}
            }
        }
        while !task.is_finished() {
            self.passes(self.step).await;
        }
        task.await.unwrap()
    }

    /// Does a step that is no answer to a challenge. `false`: it is one.
    async fn happens(&self, step: &str) -> bool {
        let (what, more) = step.trim_matches(['{', '}']).split_once(' ').unwrap_or_default();
        match what {
            "wait" => self.passes(Duration::from_secs(more.parse().unwrap())).await,
            "phone" => {
                assert!(self.phones.is_open(), "no prompt is out: {step}");
                self.phones.tell(phone::answer(more));
                self.passes(Duration::ZERO).await;
            }
            _ => return false,
        }
        true
    }

    /// Plays the line: all that its sign-ins ended with, in order.
    async fn run(self, line: &Line) -> String {
        let first = || fakes::attempt(&self.hall.client);
        let mut outcome = self.send(first(), false).await;
        let mut last: Option<(Vec<u8>, String)> = None;
        for typed in &line.typed {
            if self.happens(typed).await {
                continue;
            }
            let (to, text) = match (*typed, &last) {
                ("{new}", _) => {
                    outcome = self.send(first(), false).await;
                    continue;
                }
                ("{again}", Some(last)) => last.clone(),
                _ if outcome.verdict() != Verdict::Challenge => return format!("over before {typed:?}: {outcome:?}"),
                (typed, _) => (state(&outcome).to_vec(), self.filled(typed)),
            };
            outcome = self.send(self.hall.next(&to, &text), matches!(&*text, "" | "ok")).await;
            last = Some((to, text));
        }
        if line.asked.is_some() {
            // Who has ended takes back what is out.
            for _ in (0..400).take_while(|_| self.phones.is_open()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(!self.phones.is_open(), "{}: a prompt is left", line.text);
        }
        let ends = self.hall.ends();
        let ends: Vec<String> =
            ends.iter().map(|(verdict, reason)| format!("{} {}", verdict.word(), reason.code())).collect();
        let end = ends.join(", ");
        if line.asked.is_some() { format!("{end} | {}", self.phones.asked()) } else { end }
    }
}

/// What sends codes of the house.
fn codes(house: &House, via: Via) -> Codes {
    let config = CodesProvider {
        name: "cloud".into(),
        failover: Vec::new(),
        via,
        digits: 6,
        sending: Sending { lives: LIVES, tries: 3, most: 4, per: Duration::from_secs(900) },
        text: "{code} is your code for {application}.".into(),
    };
    Codes::new(&Arc::new(config), house.inside(house.store.clone())).unwrap()
}

// The clock jumps on a runtime of one thread only.
#[tokio::test]
async fn every_method_mode_and_outcome_ends_as_the_table_says() {
    let lines = lines();
    assert!(lines.len() > 150, "the table is read: {}", lines.len());
    let mut wrong = Vec::new();
    for line in &lines {
        let end = Play::new(line).await.run(line).await;
        let expected = line.asked.map_or(line.end.into(), |asked| format!("{} | {asked}", line.end));
        if end != expected {
            wrong.push(format!("{}: {end}", line.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for method in [
        "push",
        "call",
        "sms_reply",
        "sms_code",
        "email_code",
        "own_text",
        "own_mail",
        "hotp",
        "totp",
        "backup_code",
        "temporary_code",
    ] {
        for mode in ["standard", "pin"] {
            let many = lines.iter().filter(|line| (line.method, line.mode) == (method, mode)).count();
            assert!(many > 1, "{method} in mode {mode} is in the table");
        }
    }
    for shows in ["menu", "beside", "compare", "typed"] {
        for mode in ["standard", "pin"] {
            let many = lines.iter().filter(|line| line.mode == mode && line.shows(shows)).count();
            assert!(many > 3, "{shows} in mode {mode} is in the table");
        }
    }
    assert!(lines.iter().filter(|line| line.says.contains('/')).count() > 8, "the backup phone is in the table");
}
