//! The failure table row by row, from a sign-in to its verdict, with each provider over real HTTP: a failure before any
//! prompt asks the next provider, passes where the client's section says so, or refuses; one afterwards only refuses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use anteroom::config::{ClientPolicy, Limits, Throttle, UnreachableRule};
use anteroom::signin::outcome::{Reason, Verdict};
use anteroom::signin::reception::{Deps, SignIns, Target};
use futures_util::future::BoxFuture;

use super::*;
use crate::support::fakes::{self, Recorder};

/// The cloud that is asked next: it approves, and counts.
#[derive(Default)]
struct Next(AtomicUsize);

impl Factor for Next {
    fn name(&self) -> &str {
        "next"
    }

    fn run(&self, _: Request) -> BoxFuture<'_, Answer> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Answer::Approved))
    }
}

/// One row: what goes wrong, where, and of which class that is; none where somebody may have been prompted.
struct Row {
    what: &'static str,
    fault: Option<Fault>,
    class: Option<UnreachableClass>,
}

/// The rows that a provider has.
fn rows(spec: &Spec) -> Vec<Row> {
    use UnreachableClass as Class;
    let first = |fault: Fault| Some(fault.at(spec.first));
    let row = |what, fault, class| Row { what, fault, class };
    let mut rows = vec![
        row("cannot connect", None, Some(Class::Connect)),
        row("TLS", None, Some(Class::Tls)),
        row("401", first(Fault::status(401)), Some(Class::Refused)),
        row("403", first(Fault::status(403)), Some(Class::Refused)),
        row("429", first(Fault { retry_after: Some(9), ..Fault::status(429) }), Some(Class::RateLimited)),
        row("5xx", first(Fault::status(503)), Some(Class::ServerError)),
        row("timeout after", Some(Fault::new(Kind::Silence).at(spec.prompts)), None),
        row("broken after", Some(Fault::new(Kind::Reset).at(spec.prompts)), None),
        row("malformed after", Some(Fault::malformed(Malformed::Html).at(spec.prompts)), None),
    ];
    if spec.looks_first() {
        rows.push(row("malformed", first(Fault::malformed(Malformed::Nonsense)), Some(Class::Malformed)));
        rows.push(row("timeout before", first(Fault::new(Kind::Silence)), Some(Class::Timeout)));
        rows.push(row("5xx after", Some(Fault::status(500).at(spec.prompts)), None));
    }
    rows
}

/// What the configuration says of such a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    AskNext,
    Pass,
    PassButOver,
    Nothing,
}

#[tokio::test]
async fn each_failure_of_each_provider_asks_the_next_passes_or_refuses_as_the_table_says() {
    let mut tried = 0;
    for spec in SPECS {
        for row in rows(spec) {
            for says in [Says::AskNext, Says::Pass, Says::PassButOver, Says::Nothing] {
                let what = format!("{}: {}: {says:?}", spec.word, row.what);
                let world = Broken::new(spec, &row).await;
                let (verdict, reason, next) = world.sign_in(spec, &row, says).await;
                let expected = match (row.class, says) {
                    (Some(_), Says::AskNext) => (Verdict::Accept, Reason::Approved, 1),
                    (Some(_), Says::Pass) => (Verdict::Accept, Reason::ProviderUnreachableExempt, 0),
                    (Some(class), Says::PassButOver | Says::Nothing) => {
                        (Verdict::Reject, Reason::from_factor(Refusal::Unreachable(class)), 0)
                    }
                    // Somebody may hold a phone in their hand: that is no reason for anything.
                    (None, _) => (Verdict::Reject, Reason::from_factor(Refusal::Lost), 0),
                };
                let garbled = (Verdict::Reject, Reason::from_factor(Refusal::Garbled), 0);
                let own = (Verdict::Accept, Reason::Approved, 0);
                let heard = (verdict, reason, next);
                // A lost answer may be had by asking again under the same key.
                let fits = heard == expected
                    || (row.class.is_none() && (heard == garbled || (spec.asks_again && heard == own)));
                assert!(fits, "{what}: {heard:?}, expected {expected:?}");
                assert!(world.prompts() <= usize::from(row.class.is_none()), "{what}: prompted");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, (4 * 12 + 9) * 4);
}

/// A provider whose cloud is broken in one way.
struct Broken {
    rig: Option<Rig>,
    provider: Arc<dyn Provider>,
    _folder: Option<tempfile::TempDir>,
}

impl Broken {
    async fn new(spec: &'static Spec, row: &Row) -> Broken {
        match (row.what, &row.fault) {
            ("cannot connect", _) => {
                let Rig { simulator, provider, .. } = Rig::new(spec).await;
                simulator.stop().await;
                Broken { rig: None, provider, _folder: None }
            }
            // A certificate of nobody whom the provider trusts.
            ("TLS", _) => {
                let (folder, files, _) = crate::simulate::tls_files();
                let options = Options { tls: Some(files), ..Options::default() };
                let rig = Rig::with(spec, options, |common| common).await;
                let provider = Arc::clone(&rig.provider);
                Broken { rig: Some(rig), provider, _folder: Some(folder) }
            }
            (_, fault) => {
                let rig = Rig::new(spec).await;
                rig.set(Scenario::with(fault.clone().expect("a row has a fault")));
                let provider = Arc::clone(&rig.provider);
                Broken { rig: Some(rig), provider, _folder: None }
            }
        }
    }

    fn prompts(&self) -> usize {
        self.rig.as_ref().map_or(0, Rig::prompts)
    }

    /// A whole sign-in; its verdict, its reason, and how often the next provider was asked.
    async fn sign_in(&self, spec: &Spec, row: &Row, says: Says) -> (Verdict, Reason, usize) {
        let failover = if says == Says::AskNext { UnreachableClass::ALL.to_vec() } else { Vec::new() };
        let first = Guarded::new(Arc::clone(&self.provider)).with_failover(failover);
        let (next, minute) = (Arc::new(Next::default()), Duration::from_secs(60));
        let sign_ins = SignIns::new(Deps {
            targets: BTreeMap::from([(
                "corp".to_owned(),
                Target { primary: Arc::new(fakes::right()), dn_from_store: false },
            )]),
            providers: BTreeMap::from([
                ("first".to_owned(), Arc::new(first) as Arc<dyn Factor>),
                ("next".to_owned(), next.clone() as Arc<dyn Factor>),
            ]),
            routes: Vec::new(),
            rules: Vec::new(),
            caching: Default::default(),
            mails: false,
            store: Arc::new(fakes::enrolled()),
            ledger: Arc::new(Recorder::default()),
            limits: Limits { held: 10, held_per_person: 10, at_directory: 10 },
            throttle: Throttle {
                failures_per_person: 10,
                failures_per_source: 10,
                window: minute,
                prompts_per_person: 10,
                prompt_window: minute,
                denial_backoff: Duration::ZERO,
                fraud_block: minute,
                lockout: None,
            },
            server: "anteroom one".into(),
            random: [7; 32],
            texts: Arc::new(anteroom::texts::Texts::built_in()),
            pins: None,
            rounds: None,
            nodes: None,
            metrics: Arc::new(anteroom::telemetry::metrics::Metrics::new(["vpn"])),
        });
        let until = match says {
            Says::Pass => Some(SystemTime::now() + minute),
            Says::PassButOver => Some(SystemTime::now() - minute),
            Says::AskNext | Says::Nothing => None,
        };
        // The rule names this class only; where there is none, every one.
        let classes = row.class.map_or_else(|| UnreachableClass::ALL.to_vec(), |class| vec![class]);
        let rule = until.map(|until| UnreachableRule { classes, until: Some(until), lasting: None });
        let policy = ClientPolicy { provider_unreachable: rule, ..ClientPolicy::default() };
        let mut client = Arc::into_inner(fakes::client(policy)).expect("nobody else has it");
        client.providers = vec!["first".into(), "next".into()];
        client.answer_within = Duration::from_secs(if spec.asks_again { 8 } else { 20 });
        let outcome = sign_ins.enter(fakes::attempt(&Arc::new(client))).await.outcome().await;
        (outcome.verdict(), outcome.reason(), next.0.load(Ordering::SeqCst))
    }
}
