//! Every method, mode and outcome, as `tests/scenarios/methods.table` lists them.

use anteroom::factor::local::split::PinSide;
use anteroom::users::codes::CodeKind;
use anteroom::users::pin::Rules;
use anteroom::users::pins::Pins;

use super::*;
use crate::local_codes::{House, counted};

const PIN: &str = "40927";

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
        "approved" | "-" => return Answer::Approved,
        "denied" => Refusal::Denied,
        "fraud" => Refusal::Fraud,
        "expired" => Refusal::Expired,
        "undeliverable" => Refusal::Undeliverable,
        "lost" => Refusal::Lost,
        "garbled" => Refusal::Garbled,
        "locked" => Refusal::LockedThere,
        other => panic!("{other:?}"),
    })
}

/// Says the same to whatever prompts, and takes the code that it has sent.
struct Says(Answer);

impl Factor for Says {
    fn name(&self) -> &str {
        "cloud"
    }

    fn offers(&self, _: &anteroom::users::model::Person, method: Method) -> bool {
        !matches!(method, Method::BackupCode | Method::TemporaryCode)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            match (&request.code, request.method) {
                (Some(code), _) if code.matches(RIGHT.as_bytes()) => Answer::Approved,
                (Some(_), _) => Answer::Refused(Refusal::WrongCode),
                (None, Method::SmsCode | Method::EmailCode) if self.0 == Answer::Approved => {
                    Answer::Refused(Refusal::NeedsCode)
                }
                (None, _) => self.0.clone(),
            }
        })
    }
}

async fn plays(line: &Line) -> String {
    let house = House::new().await;
    if line.mode != "standard" {
        house.pin_mode(PIN, line.mode == "due").await;
    }
    let alice = fakes::alice().unique_id;
    let method = match line.method {
        "hotp" | "totp" => Method::Oath,
        word => word.parse().unwrap(),
    };
    let of_house = matches!(method, Method::Oath | Method::BackupCode | Method::TemporaryCode);
    let kept = match method {
        Method::BackupCode => house.keep(&alice, CodeKind::Backup, 3, 1).await,
        Method::TemporaryCode => house.keep(&alice, CodeKind::Temporary, 1, 1).await,
        _ => Vec::new(),
    };
    let local = house.with(50, PinSide::Before, house.store.clone());
    let hall = Hall::with(Cloud::default(), &[method], RULE, fakes::enrolled(), |deps| {
        deps.store = house.store.clone();
        deps.pins = Some(Pins { roster: house.store.clone(), rules: Rules::default() });
        let provider: Arc<dyn Factor> = if of_house { Arc::new(local) } else { Arc::new(Says(answer(line.says))) };
        deps.providers.insert("cloud".into(), provider);
    });
    let filled = |typed: &str| {
        let mut text = typed.replace("{right}", RIGHT).replace("{pin}", PIN).replace("{nothing}", "");
        for (hole, kind) in [("{backup}", 0), ("{temporary}", 0)] {
            text = text.replace(hole, kept.get(kind).map_or("", |code| code));
        }
        for ahead in [0, 100, 101, 102] {
            let of = |name: &str| if ahead == 0 { format!("{{{name}}}") } else { format!("{{{name}+{ahead}}}") };
            text = text.replace(&of("hotp"), &counted(ahead));
            text = text.replace(&of("totp"), &house.timed(i64::try_from(ahead).unwrap()));
        }
        assert!(!text.contains('{'), "{text}");
        text
    };
    let mut outcome = hall.first().await;
    for typed in &line.typed {
        if outcome.verdict() != Verdict::Challenge {
            return format!("over before {typed:?}: {:?}", heard(&outcome));
        }
        outcome = hall.answer(&outcome, &filled(typed)).await;
    }
    let (verdict, reason) = heard(&outcome);
    let events = hall.ledger.0.lock().unwrap();
    match &events[..] {
        [event] if (event.verdict, event.reason) == (verdict, reason) => {
            format!("{} {}", verdict.word(), reason.code())
        }
        events => format!("{} {}, and {} events", verdict.word(), reason.code(), events.len()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_mode_and_outcome_ends_as_the_table_says() {
    let lines = lines();
    assert!(lines.len() > 60, "the table is read");
    let mut wrong = Vec::new();
    for line in &lines {
        let end = plays(line).await;
        if end != line.end {
            wrong.push(format!("{}: {end}", line.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for method in
        ["push", "call", "sms_reply", "sms_code", "email_code", "hotp", "totp", "backup_code", "temporary_code"]
    {
        for mode in ["standard", "pin"] {
            let many = lines.iter().filter(|line| (line.method, line.mode) == (method, mode)).count();
            assert!(many > 0, "{method} in mode {mode} is in the table");
        }
    }
}
