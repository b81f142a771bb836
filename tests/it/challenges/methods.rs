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
use anteroom::users::store::Store as _;
use anteroom::users::typed::Sending;

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
    says: &'static str,
    typed: Vec<&'static str>,
    end: &'static str,
}

fn lines() -> Vec<Line> {
    let table = include_str!("../../scenarios/methods.table");
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |text: &'static str| {
        let columns: Vec<&str> = text.split('|').map(str::trim).collect();
        let [method, mode, says, typed, end] = columns[..] else { panic!("{text}") };
        let typed = typed.split(',').map(str::trim).filter(|typed| !typed.is_empty()).collect();
        Line { text, method, mode, says, typed, end }
    };
    lines.map(read).collect()
}

fn answer(says: &str) -> Answer {
    Answer::Refused(match says {
        "approved" | "-" | "late" | "silent" => return Answer::Approved,
        "denied" => Refusal::Denied,
        "fraud" => Refusal::Fraud,
        "expired" => Refusal::Expired,
        "undeliverable" => Refusal::Undeliverable,
        "lost" => Refusal::Lost,
        "garbled" => Refusal::Garbled,
        "locked" => Refusal::LockedThere,
        "unreachable" => Refusal::Unreachable(anteroom::config::UnreachableClass::Connect),
        other => panic!("{other:?}"),
    })
}

/// Says the same to whatever prompts, or nothing at all, and takes the code that it has sent.
struct Says {
    answer: Answer,
    silent: bool,
    /// A prompt is out that nobody answers.
    out: Arc<Notify>,
}

impl Factor for Says {
    fn name(&self) -> &str {
        "cloud"
    }

    fn offers(&self, _: &Person, method: Method) -> bool {
        !matches!(method, Method::BackupCode | Method::TemporaryCode)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            match (&request.code, request.method) {
                (Some(code), _) if code.matches(RIGHT.as_bytes()) => Answer::Approved,
                (Some(_), _) => Answer::Refused(Refusal::WrongCode),
                (None, _) if self.silent => {
                    self.out.notify_one();
                    std::future::pending().await
                }
                (None, Method::SmsCode | Method::EmailCode) if self.answer == Answer::Approved => {
                    Answer::Refused(Refusal::NeedsCode)
                }
                (None, _) => self.answer.clone(),
            }
        })
    }
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
    out: Arc<Notify>,
}

/// The method of a word of the table.
fn method(word: &str) -> Method {
    match word {
        "hotp" | "totp" => Method::Oath,
        "own_text" => Method::SmsCode,
        "own_mail" => Method::EmailCode,
        word => word.parse().unwrap(),
    }
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
        let method = method(line.method);
        let kept = match method {
            Method::BackupCode => house.keep(&alice, CodeKind::Backup, 3, 1).await,
            Method::TemporaryCode => house.keep(&alice, CodeKind::Temporary, 1, 1).await,
            _ => Vec::new(),
        };
        let (out, silent) = (Arc::new(Notify::new()), line.says == "silent");
        let mut sent = Sent::Nowhere;
        let provider: Arc<dyn Factor> = match line.method {
            "own_text" => {
                let service = Arc::new(Texts::new(sent_codes::ACCOUNT, Secret::from_text(sent_codes::TOKEN.into())));
                let texts =
                    Simulator::start("127.0.0.1:0".parse().unwrap(), service, Options::default()).await.unwrap();
                let decision = if line.says == "undeliverable" { Decision::Undeliverable } else { Decision::Approve };
                texts.desk().set(None, Scenario { answer: decision, ..Scenario::default() });
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
            _ => Arc::new(Says { answer: answer(line.says), silent, out: Arc::clone(&out) }),
        };
        let hall = Hall::with(Cloud::default(), &[method], RULE, fakes::enrolled(), |deps| {
            deps.store = house.store.clone();
            deps.pins = Some(Pins { roster: house.store.clone(), rules: Rules::default() });
            deps.providers.insert("cloud".into(), provider);
        });
        let play = Play { house, hall: Arc::new(hall), sent, kept, out };
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

    /// Sends a request; if a prompt goes out that nobody answers, a minute passes, and another one.
    async fn send(&self, attempt: Attempt) -> Arc<Outcome> {
        let hall = Arc::clone(&self.hall);
        let mut task = tokio::spawn(async move { hall.enter(attempt).await });
        tokio::select! {
            outcome = &mut task => return outcome.unwrap(),
            () = self.out.notified() => {}
        }
        while !task.is_finished() {
            self.passes(Duration::from_secs(60)).await;
        }
        task.await.unwrap()
    }

    /// Plays the line: all that its sign-ins ended with, in order.
    async fn run(self, line: &Line) -> String {
        let first = || fakes::attempt(&self.hall.client);
        let mut outcome = self.send(first()).await;
        let mut last: Option<(Vec<u8>, String)> = None;
        for typed in &line.typed {
            let seconds = typed.strip_prefix("{wait ").and_then(|rest| rest.strip_suffix('}'));
            if let Some(seconds) = seconds {
                self.passes(Duration::from_secs(seconds.parse().unwrap())).await;
                continue;
            }
            let (to, text) = match (*typed, &last) {
                ("{new}", _) => {
                    outcome = self.send(first()).await;
                    continue;
                }
                ("{again}", Some(last)) => last.clone(),
                _ if outcome.verdict() != Verdict::Challenge => return format!("over before {typed:?}: {outcome:?}"),
                (typed, _) => (state(&outcome).to_vec(), self.filled(typed)),
            };
            outcome = self.send(self.hall.next(&to, &text)).await;
            last = Some((to, text));
        }
        let ends = self.hall.ends();
        let ends: Vec<String> =
            ends.iter().map(|(verdict, reason)| format!("{} {}", verdict.word(), reason.code())).collect();
        ends.join(", ")
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
        if end != line.end {
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
}
