//! A directory, a provider, a store and a ledger that say what they are told, for tests without sockets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anteroom::audit::{Event, Ledger, Note};
use anteroom::config::{self, Client, ClientPolicy, Limits, OnDeadline};
use anteroom::factor::{Answer, Factor, Health, Provider, Refusal, Request, Trouble};
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Attempt, Door, SignInId};
use anteroom::signin::reception::{Deps, SignIns, Target};
use anteroom::users::model::{Method, Person};
use anteroom::users::store::{Store, StoreError, StoreResult};
use futures_util::future::BoxFuture;

/// What a fake does besides answering.
#[derive(Debug, Clone)]
pub(crate) enum Told<T> {
    /// Answers at once.
    Says(T),
    /// Panics, as a library with a mistake would.
    Panics,
    /// Never answers.
    Hangs,
}

impl<T: Clone> Told<T> {
    async fn say(&self) -> T {
        match self {
            Told::Says(answer) => answer.clone(),
            Told::Panics => panic!("a fake that was told to panic"),
            Told::Hangs => std::future::pending().await,
        }
    }
}

/// A directory with one account.
pub(crate) struct FakePrimary {
    pub(crate) identify: Told<Result<Identity, IdentifyError>>,
    pub(crate) finding: Told<Finding>,
    pub(crate) member: Told<Result<bool, Fault>>,
    pub(crate) binds: AtomicUsize,
}

impl Primary for FakePrimary {
    fn identify<'a>(&'a self, _: &'a str, _: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(self.identify.say())
    }

    fn try_password<'a>(&'a self, _: &'a Identity, password: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        assert!(!password.is_empty(), "an empty password reached the directory");
        self.binds.fetch_add(1, Ordering::SeqCst);
        Box::pin(self.finding.say())
    }

    fn member_of_any<'a>(&'a self, _: &'a Identity, _: &'a [String], _: Instant) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(self.member.say())
    }
}

/// A provider that counts its prompts and what was cancelled.
pub(crate) struct FakeFactor {
    pub(crate) delay: Duration,
    pub(crate) answer: Told<Answer>,
    pub(crate) prompts: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
}

struct Cancel<'a>(Option<&'a AtomicUsize>);

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Factor for FakeFactor {
    fn name(&self) -> &str {
        "fake"
    }

    fn run(&self, _: Request) -> BoxFuture<'_, Answer> {
        self.prompts.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            let mut cancel = Cancel(Some(&self.cancelled));
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            let answer = self.answer.say().await;
            cancel.0 = None;
            answer
        })
    }
}

/// The rest of a store that only looks people up: nobody is listed, nothing is written.
macro_rules! store_does_nothing_else {
    () => {
        fn person_named<'a>(
            &'a self,
            _: &'a str,
        ) -> BoxFuture<'a, anteroom::users::store::StoreResult<Option<anteroom::users::model::Person>>> {
            Box::pin(async { Ok(None) })
        }

        fn people<'a>(
            &'a self,
            _: &'a str,
            _: u32,
        ) -> BoxFuture<'a, anteroom::users::store::StoreResult<Vec<anteroom::users::model::Person>>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn add<'a>(
            &'a self,
            _: &'a anteroom::users::model::Person,
        ) -> BoxFuture<'a, anteroom::users::store::StoreResult<()>> {
            Box::pin(async { Ok(()) })
        }

        fn replace<'a>(
            &'a self,
            _: &'a anteroom::users::model::Person,
        ) -> BoxFuture<'a, anteroom::users::store::StoreResult<bool>> {
            Box::pin(async { Ok(false) })
        }

        fn remove<'a>(&'a self, _: &'a str) -> BoxFuture<'a, anteroom::users::store::StoreResult<bool>> {
            Box::pin(async { Ok(false) })
        }

        fn block<'a>(
            &'a self,
            unique_id: &'a str,
            _: Option<SystemTime>,
        ) -> BoxFuture<'a, anteroom::users::store::StoreResult<bool>> {
            self.note_block(unique_id);
            Box::pin(async { Ok(true) })
        }

        fn record<'a>(
            &'a self,
            _: &'a [anteroom::audit::Event],
        ) -> BoxFuture<'a, anteroom::users::store::StoreResult<()>> {
            Box::pin(async { Ok(()) })
        }

        fn record_accounting<'a>(
            &'a self,
            _: &'a [anteroom::audit::Accounted],
        ) -> BoxFuture<'a, anteroom::users::store::StoreResult<()>> {
            Box::pin(async { Ok(()) })
        }
    };
}
pub(crate) use store_does_nothing_else;

/// A store with one person, or none, or out of order.
pub(crate) struct FakeStore {
    pub(crate) person: Result<Option<Person>, ()>,
    pub(crate) blocked: AtomicUsize,
}

impl FakeStore {
    fn note_block(&self, _: &str) {
        self.blocked.fetch_add(1, Ordering::SeqCst);
    }
}

impl Store for FakeStore {
    fn person<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        let person = self.person.clone().map_err(|()| StoreError::Unavailable("told so".into()));
        Box::pin(async move { person })
    }

    store_does_nothing_else!();
}

/// Keeps the events it gets.
#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<Event>>);

impl Ledger for Recorder {
    fn finish(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    fn note(&self, note: Note) {
        panic!("nobody expects {note:?}");
    }
}

/// Bounds on guessing and prompting that no test reaches.
pub(crate) fn patient() -> config::Throttle {
    config::Throttle {
        failures_per_person: 1000,
        failures_per_source: 1000,
        window: Duration::from_secs(60),
        prompts_per_person: 1000,
        prompt_window: Duration::from_secs(60),
        denial_backoff: Duration::ZERO,
        fraud_block: Duration::from_secs(60),
        lockout: None,
    }
}

/// What a reception needs, with these providers.
pub(crate) fn deps(
    primary: &Arc<FakePrimary>,
    providers: Vec<(&str, Arc<dyn Factor>)>,
    store: Arc<dyn Store>,
    ledger: &Arc<Recorder>,
) -> Deps {
    Deps {
        targets: BTreeMap::from([("corp".to_owned(), Target { primary: primary.clone(), dn_from_store: false })]),
        providers: providers.into_iter().map(|(name, provider)| (name.to_owned(), provider)).collect(),
        routes: Vec::new(),
        rules: Vec::new(),
        caching: Default::default(),
        mails: false,
        store,
        ledger: ledger.clone(),
        limits: Limits { held: 1000, held_per_person: 1000, at_directory: 1000 },
        throttle: patient(),
        server: "test".into(),
        random: [7; 32],
        texts: Arc::new(anteroom::texts::Texts::built_in()),
        pins: None,
        rounds: None,
        nodes: None,
        metrics: Arc::new(anteroom::telemetry::metrics::Metrics::new(["vpn"])),
    }
}

/// A cloud that says one thing, may have a text for the person, and counts how often it was asked.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) name: &'static str,
    pub(crate) answer: Mutex<Option<Answer>>,
    pub(crate) text: Option<&'static str>,
    pub(crate) asked: AtomicUsize,
}

impl Cloud {
    /// `None`: it never answers.
    pub(crate) fn saying(name: &'static str, answer: Option<Answer>) -> Arc<Cloud> {
        Arc::new(Cloud { name, answer: Mutex::new(answer), text: None, asked: AtomicUsize::new(0) })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Factor for Cloud {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let (Some(tell), Some(text)) = (&request.tell, self.text) {
            tell.say(text);
        }
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

impl Provider for Cloud {
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        let alive = *self.answer.lock().unwrap() == Some(Answer::Approved);
        let health = Health { round_trip: Duration::ZERO, clock_skew: None, certificate_expires: None, lacks: None };
        Box::pin(std::future::ready(if alive { Ok(health) } else { Err(Trouble("away".into())) }))
    }

    fn connections(&self) -> u64 {
        0
    }
}

/// A reception with its fakes within reach.
pub(crate) struct House {
    pub(crate) primary: Arc<FakePrimary>,
    pub(crate) factor: Arc<FakeFactor>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) ledger: Arc<Recorder>,
    pub(crate) sign_ins: Arc<SignIns>,
}

impl House {
    pub(crate) fn new(primary: FakePrimary, factor: FakeFactor, store: FakeStore) -> House {
        House::bounded(primary, factor, store, |_, _| {})
    }

    pub(crate) fn bounded(
        primary: FakePrimary,
        factor: FakeFactor,
        store: FakeStore,
        adjust: impl FnOnce(&mut Limits, &mut config::Throttle),
    ) -> House {
        let (primary, factor, store) = (Arc::new(primary), Arc::new(factor), Arc::new(store));
        let ledger = Arc::new(Recorder::default());
        let mut limits = Limits { held: 1000, held_per_person: 1000, at_directory: 1000 };
        let mut throttle = patient();
        adjust(&mut limits, &mut throttle);
        let providers = vec![("cloud", factor.clone() as Arc<dyn Factor>)];
        let sign_ins = SignIns::new(Deps { limits, throttle, ..deps(&primary, providers, store.clone(), &ledger) });
        House { primary, factor, store, ledger, sign_ins }
    }

    /// The one event of the last sign-in.
    pub(crate) fn last_event(&self) -> Event {
        self.ledger.0.lock().unwrap().last().expect("an event was left").clone()
    }

    pub(crate) fn events(&self) -> usize {
        self.ledger.0.lock().unwrap().len()
    }
}

pub(crate) fn right() -> FakePrimary {
    FakePrimary {
        identify: Told::Says(Ok(alice())),
        finding: Told::Says(Finding::Right),
        member: Told::Says(Ok(false)),
        binds: AtomicUsize::new(0),
    }
}

pub(crate) fn factor(answer: Told<Answer>) -> FakeFactor {
    FakeFactor { delay: Duration::ZERO, answer, prompts: AtomicUsize::new(0), cancelled: AtomicUsize::new(0) }
}

pub(crate) fn approves() -> FakeFactor {
    factor(Told::Says(Answer::Approved))
}

pub(crate) fn refuses(refusal: Refusal) -> FakeFactor {
    factor(Told::Says(Answer::Refused(refusal)))
}

pub(crate) fn enrolled() -> FakeStore {
    FakeStore { person: Ok(Some(person())), blocked: AtomicUsize::new(0) }
}

pub(crate) fn alice() -> Identity {
    Identity {
        unique_id: "6c1f3b0a-0000-4000-8000-00000000a11c".into(),
        name: "alice".into(),
        upn: Some("alice@corp.example".into()),
        dn: "CN=Alice,DC=corp,DC=example".into(),
        remembered: false,
        details: None,
    }
}

pub(crate) fn person() -> Person {
    let who = alice();
    Person {
        unique_id: who.unique_id,
        name: who.name,
        upn: who.upn,
        dn: Some(who.dn),
        first_name: Some("Alice".into()),
        last_name: Some("Anderson".into()),
        email: None,
        phone: Some("+1 202 555 0101".into()),
        phone_extension: None,
        device_token: Some("token-of-alice".into()),
        method: Method::Push,
        mode: anteroom::users::model::Mode::Standard,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
    }
}

pub(crate) fn client(policy: ClientPolicy) -> Arc<Client> {
    Arc::new(Client {
        name: "vpn".into(),
        application: "Head office VPN".into(),
        target: "corp".into(),
        providers: vec!["cloud".into()],
        methods: Vec::new(),
        number_matching: Default::default(),
        answer_within: Duration::from_secs(55),
        on_deadline: OnDeadline::Reject,
        carry_over: Duration::from_secs(60),
        gives_up_after: Duration::from_secs(2),
        passcode: None,
        challenge: None,
        shows_texts: false,
        texts: None,
        reuse: None,
        reply: None,
        held: 1000,
        policy,
    })
}

pub(crate) fn attempt(client: &Arc<Client>) -> Attempt {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut random = [0; 12];
    random[..8].copy_from_slice(&number);
    Attempt {
        id: SignInId::new(random),
        door: Door::Radius,
        client: Arc::clone(client),
        name: "alice".into(),
        credential: Ok(Secret::from_text("right-password".into())),
        onward: None,
        source: "192.0.2.1".parse().unwrap(),
        person_address: None,
        station: None,
        state: None,
        connection: None,
        through: None,
        received: tokio::time::Instant::now().into_std(),
    }
}
