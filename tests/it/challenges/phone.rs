//! The phones of `tests/scenarios/methods.table`, and the provider that asks on them.

use super::*;

/// The person's backup phone.
pub(super) const BACKUP: &str = "+12025550199";

/// What a number is that is compared.
const NUMBER: &str = "42";

/// What the table says of a phone.
pub(super) enum Says {
    /// The same to everything.
    Always(Answer),
    /// Nothing: nobody looks at it.
    Silent,
    /// What a later step of the line says.
    Open,
    /// A number that has to be typed.
    Number,
}

impl Says {
    pub(super) fn of(word: &str) -> Says {
        match word {
            "silent" => Says::Silent,
            "open" => Says::Open,
            "number" => Says::Number,
            word => Says::Always(answer(word)),
        }
    }
}

/// What a word of the table stands for.
pub(super) fn answer(says: &str) -> Answer {
    Answer::Refused(match says {
        "approved" | "-" | "late" => return Answer::Approved,
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

/// Asks on the phones, sends codes and takes them, and notes how it was asked.
pub(super) struct Phones {
    /// What the first phone says, and the backup phone.
    pub(super) says: [Says; 2],
    /// A number is to be compared while the prompt is out.
    pub(super) shows_number: bool,
    /// It calls and texts the number that it is given.
    pub(super) takes_number: bool,
    /// A prompt has gone out that nobody answers for now.
    pub(super) out: Notify,
    open: AtomicUsize,
    answered: Mutex<Option<Answer>>,
    heard: Notify,
    asked: Mutex<Vec<String>>,
}

impl Phones {
    pub(super) fn new(says: [Says; 2], shows_number: bool, takes_number: bool) -> Phones {
        Phones {
            says,
            shows_number,
            takes_number,
            out: Notify::new(),
            open: AtomicUsize::new(0),
            answered: Mutex::new(None),
            heard: Notify::new(),
            asked: Mutex::default(),
        }
    }

    /// Whether a prompt is out.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst) > 0
    }

    /// The person answers the prompt that is out.
    pub(super) fn tell(&self, answer: Answer) {
        *self.answered.lock().unwrap() = Some(answer);
        self.heard.notify_one();
    }

    /// How it was asked, in order.
    pub(super) fn asked(&self) -> String {
        self.asked.lock().unwrap().join(", ")
    }

    fn note(&self, what: String) -> usize {
        let mut asked = self.asked.lock().unwrap();
        asked.push(what);
        asked.len() - 1
    }
}

/// A prompt that is out; dropped without an answer it is taken back.
struct Open<'a> {
    phones: &'a Phones,
    place: usize,
    answered: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.phones.open.fetch_sub(1, Ordering::SeqCst);
        if !self.answered {
            self.phones.asked.lock().unwrap()[self.place].push_str(" taken back");
        }
    }
}

impl Factor for Phones {
    fn name(&self) -> &str {
        "cloud"
    }

    fn offers(&self, _: &Person, method: Method) -> bool {
        !matches!(method, Method::BackupCode | Method::TemporaryCode)
    }

    fn takes_number(&self) -> bool {
        self.takes_number
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            if let Some(code) = &request.code {
                self.note("code".into());
                let right = code.matches(RIGHT.as_bytes());
                return if right { Answer::Approved } else { Answer::Refused(Refusal::WrongCode) };
            }
            let backup = usize::from(request.person.phone.as_deref() == Some(BACKUP));
            let place = self.note(format!("{}{}", request.method.word(), ["", " backup"][backup]));
            let begin = || {
                self.open.fetch_add(1, Ordering::SeqCst);
                Open { phones: self, place, answered: false }
            };
            let sends = matches!(request.method, Method::SmsCode | Method::EmailCode);
            match &self.says[backup] {
                Says::Number => return Answer::Refused(Refusal::NeedsCode),
                Says::Always(Answer::Approved) | Says::Open if sends => return Answer::Refused(Refusal::NeedsCode),
                Says::Always(answer) => return answer.clone(),
                Says::Silent | Says::Open => {}
            }
            let mut open = begin();
            if let (true, Some(tell)) = (self.shows_number, &request.tell) {
                tell.number(NUMBER);
            }
            self.out.notify_one();
            loop {
                if let Some(answer) = self.answered.lock().unwrap().take() {
                    open.answered = true;
                    return answer;
                }
                self.heard.notified().await;
            }
        })
    }
}
