//! The failure table, row by row, over two providers in order; routes; a provider that is killed in the middle of holds.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anteroom::config::{ClientPolicy, Limits, Route, Throttle, UnreachableClass, UnreachableRule};
use anteroom::factor::{Answer, Factor, Refusal, Request};
use anteroom::signin::outcome::{Reason, Verdict};
use anteroom::signin::reception::{Deps, SignIns, Target};
use anteroom::users::model::{Method, Person};
use futures_util::future::BoxFuture;

use crate::support::fakes::{self, Recorder};

/// A cloud that says one thing.
struct Cloud {
    name: &'static str,
    answer: Answer,
    fails_over: bool,
    down_for: Duration,
    offers: Vec<Method>,
    asked: AtomicUsize,
}

impl Cloud {
    fn new(name: &'static str, answer: Answer) -> Self {
        let offers = vec![Method::Push];
        Cloud { name, answer, fails_over: true, down_for: Duration::ZERO, offers, asked: AtomicUsize::new(0) }
    }
}

impl Factor for Cloud {
    fn name(&self) -> &str {
        self.name
    }

    fn offers(&self, _: &Person, method: Method) -> bool {
        self.offers.contains(&method)
    }

    fn fails_over(&self, _: UnreachableClass) -> bool {
        self.fails_over
    }

    fn down_for(&self) -> Duration {
        self.down_for
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        assert!(self.offers.contains(&request.method), "asked in a way that it does not offer");
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(self.answer.clone()))
    }
}

struct House {
    first: Arc<Cloud>,
    second: Arc<Cloud>,
    ledger: Arc<Recorder>,
    sign_ins: Arc<SignIns>,
}

impl House {
    fn new(first: Cloud, second: Cloud, routes: Vec<Route>, in_group: bool) -> House {
        let (first, second, ledger) = (Arc::new(first), Arc::new(second), Arc::new(Recorder::default()));
        let primary = fakes::FakePrimary { member: fakes::Told::Says(Ok(in_group)), ..fakes::right() };
        let minute = Duration::from_secs(60);
        let sign_ins = SignIns::new(Deps {
            targets: BTreeMap::from([("corp".to_owned(), Target { primary: Arc::new(primary), dn_from_store: false })]),
            providers: BTreeMap::from([
                ("first".to_owned(), first.clone() as Arc<dyn Factor>),
                ("second".to_owned(), second.clone() as Arc<dyn Factor>),
            ]),
            routes: routes.into_iter().map(Arc::new).collect(),
            rules: Vec::new(),
            caching: Default::default(),
            mails: false,
            store: Arc::new(fakes::enrolled()),
            ledger: ledger.clone(),
            limits: Limits { held: 1000, held_per_person: 1000, at_directory: 1000 },
            throttle: Throttle {
                failures_per_person: 1000,
                failures_per_source: 1000,
                window: minute,
                prompts_per_person: 1000,
                prompt_window: minute,
                denial_backoff: Duration::ZERO,
                fraud_block: minute,
                lockout: None,
            },
            server: "test".into(),
            random: [7; 32],
            texts: Arc::new(anteroom::texts::Texts::built_in()),
            pins: None,
            rounds: None,
            nodes: None,
            metrics: Arc::new(anteroom::telemetry::metrics::Metrics::new(["vpn"])),
        });
        House { first, second, ledger, sign_ins }
    }

    async fn sign_in(&self, policy: ClientPolicy, methods: &[Method]) -> (Verdict, Reason) {
        let mut client = Arc::into_inner(fakes::client(policy)).unwrap();
        client.providers = vec!["first".into(), "second".into()];
        client.methods = methods.to_vec();
        let attempt = fakes::attempt(&Arc::new(client));
        let outcome = self.sign_ins.enter(attempt).await.outcome().await;
        (outcome.verdict(), outcome.reason())
    }

    fn asked(&self) -> (usize, usize) {
        (self.first.asked.load(Ordering::SeqCst), self.second.asked.load(Ordering::SeqCst))
    }

    fn provider(&self) -> Option<String> {
        self.ledger.0.lock().unwrap().last().unwrap().provider.clone()
    }
}

fn unreachable(class: UnreachableClass) -> Answer {
    Answer::Refused(Refusal::Unreachable(class))
}

fn rule(classes: &[UnreachableClass], until: SystemTime) -> ClientPolicy {
    let rule = UnreachableRule { classes: classes.to_vec(), until: Some(until), lasting: None };
    ClientPolicy { provider_unreachable: Some(rule), ..ClientPolicy::default() }
}

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

/// Each class × falls back or not × what the second one says × what the client's section says.
#[tokio::test]
async fn each_failure_falls_back_refuses_or_passes_as_the_table_says() {
    let mut rows = 0;
    for class in UnreachableClass::ALL {
        for fails_over in [true, false] {
            for second in [Answer::Approved, Answer::Refused(Refusal::Denied), unreachable(UnreachableClass::Tls)] {
                for named in [None, Some(vec![class]), Some(vec![class, UnreachableClass::Tls]), Some(vec![])] {
                    for over in [false, true] {
                        let until = if over { SystemTime::now() - Duration::from_secs(1) } else { later() };
                        let policy = named.as_ref().map_or_else(ClientPolicy::default, |named| rule(named, until));
                        let first = Cloud { fails_over, ..Cloud::new("first", unreachable(class)) };
                        let house = House::new(first, Cloud::new("second", second.clone()), Vec::new(), false);
                        let heard = house.sign_in(policy, &[]).await;
                        let covered = |classes: &[UnreachableClass]| {
                            !over && named.as_ref().is_some_and(|named| classes.iter().all(|one| named.contains(one)))
                        };
                        let passes = (Verdict::Accept, Reason::ProviderUnreachableExempt);
                        let reason = |class| Reason::from_factor(Refusal::Unreachable(class));
                        let expected = match (fails_over, &second) {
                            (true, Answer::Approved) => (Verdict::Accept, Reason::Approved),
                            (true, Answer::Refused(Refusal::Denied)) => (Verdict::Reject, Reason::Denied),
                            (true, _) if covered(&[class, UnreachableClass::Tls]) => passes,
                            (true, _) => (Verdict::Reject, reason(UnreachableClass::Tls)),
                            (false, _) if covered(&[class]) => passes,
                            (false, _) => (Verdict::Reject, reason(class)),
                        };
                        assert_eq!(heard, expected, "{class:?} {fails_over} {second:?} {named:?} over: {over}");
                        assert_eq!(house.asked(), (1, usize::from(fails_over)), "{class:?}");
                        let last = if fails_over { "second" } else { "first" };
                        assert_eq!(house.provider().as_deref(), Some(last), "the audit names who was asked last");
                        rows += 1;
                    }
                }
            }
        }
    }
    assert_eq!(rows, 8 * 2 * 3 * 4 * 2);
}

/// Whatever happens after somebody may have been prompted: nobody else is asked, and no rule lets anybody in.
#[tokio::test]
async fn after_a_prompt_nobody_else_is_asked_and_no_rule_helps() {
    // One that has nothing to ask somebody by has prompted nobody; tests/it/texts.rs has that.
    let unprompted = |refusal: &Refusal| matches!(refusal, Refusal::Unreachable(_) | Refusal::NotThisWay);
    for refusal in Refusal::ALL.into_iter().filter(|refusal| !unprompted(refusal)) {
        let first = Cloud::new("first", Answer::Refused(refusal));
        let house = House::new(first, Cloud::new("second", Answer::Approved), Vec::new(), false);
        let (verdict, reason) = house.sign_in(rule(&UnreachableClass::ALL, later()), &[]).await;
        assert_eq!((verdict, reason), (Verdict::Reject, Reason::from_factor(refusal)));
        assert_eq!(house.asked(), (1, 0), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_rule_for_a_time_ends_with_that_time_of_the_outage() {
    for (down_for, passes) in [(Duration::from_secs(59), true), (Duration::from_secs(60), false)] {
        let away = |name| Cloud { down_for, ..Cloud::new(name, unreachable(UnreachableClass::Outage)) };
        let house = House::new(away("first"), away("second"), Vec::new(), false);
        let rule = UnreachableRule {
            classes: vec![UnreachableClass::Outage],
            until: None,
            lasting: Some(Duration::from_secs(60)),
        };
        let policy = ClientPolicy { provider_unreachable: Some(rule), ..ClientPolicy::default() };
        assert_eq!(house.sign_in(policy, &[]).await.0 == Verdict::Accept, passes, "{down_for:?}");
    }
    // without any bound there is no rule
    let unbounded = UnreachableRule { classes: UnreachableClass::ALL.to_vec(), until: None, lasting: None };
    assert!(!unbounded.covers(&[UnreachableClass::Connect], Duration::ZERO, SystemTime::now()));
    assert!(!rule(&UnreachableClass::ALL, later()).provider_unreachable.unwrap().covers(
        &[],
        Duration::ZERO,
        SystemTime::now()
    ));
}

#[tokio::test]
async fn routes_choose_by_client_person_and_group_the_first_that_fits() {
    let to_second = || Route { providers: vec!["second".into()], ..Route::default() };
    let some = |text: &str| vec![text.to_owned()];
    let group = || some("CN=Contractors,DC=corp,DC=example");
    let rows = [
        (vec![], false, "first"),
        (vec![Route { users: some("ALICE"), ..to_second() }], false, "second"),
        (vec![Route { users: some("alice@CORP.example"), ..to_second() }], false, "second"),
        (vec![Route { users: some("bob"), ..to_second() }], false, "first"),
        (vec![Route { clients: some("wlan"), ..to_second() }], false, "first"),
        (vec![Route { clients: some("vpn"), ..to_second() }], false, "second"),
        (vec![Route { groups: group(), ..to_second() }], true, "second"),
        (vec![Route { groups: group(), ..to_second() }], false, "first"),
        (vec![Route { users: some("bob"), groups: group(), ..to_second() }], true, "second"),
        (
            vec![Route { methods: vec![Method::Push], users: some("alice"), ..Route::default() }, to_second()],
            false,
            "first",
        ),
    ];
    for (routes, in_group, expected) in rows {
        let what = format!("{routes:?} {in_group}");
        let approve = |name| Cloud::new(name, Answer::Approved);
        let house = House::new(approve("first"), approve("second"), routes, in_group);
        assert_eq!(house.sign_in(ClientPolicy::default(), &[]).await.0, Verdict::Accept);
        assert_eq!(house.provider().as_deref(), Some(expected), "{what}");
    }
}

#[tokio::test]
async fn the_first_way_that_the_provider_offers_is_taken() {
    let offering = |name, offers: &[Method]| Cloud { offers: offers.to_vec(), ..Cloud::new(name, Answer::Approved) };
    type Row = (&'static [Method], &'static [Method], &'static [Method], Option<&'static str>);
    let rows: [Row; 5] = [
        (&[Method::Call, Method::Push], &[Method::Push], &[Method::Call], Some("first")),
        (&[Method::Call], &[Method::Push], &[Method::Call], Some("second")),
        (&[], &[Method::Call], &[Method::Push], Some("second")),
        (&[Method::SmsReply], &[Method::Push], &[Method::Call], None),
        (&[Method::Oath], &[Method::Oath], &[Method::Oath], None),
    ];
    for (methods, first, second, expected) in rows {
        let house = House::new(offering("first", first), offering("second", second), Vec::new(), false);
        let (verdict, reason) = house.sign_in(ClientPolicy::default(), methods).await;
        assert_eq!(house.provider().as_deref(), expected, "{methods:?}");
        let refused = if methods == [Method::Oath] { Reason::NeedsCode } else { Reason::NoMethod };
        let heard = if expected.is_some() { (Verdict::Accept, Reason::Approved) } else { (Verdict::Reject, refused) };
        assert_eq!((verdict, reason), heard, "{methods:?}");
    }
}

#[tokio::test]
async fn an_outage_is_no_prompt_and_shuts_nobody_out() {
    let away = |name| Cloud::new(name, unreachable(UnreachableClass::Connect));
    let house = House::new(away("first"), away("second"), Vec::new(), false);
    // More often than anybody may be prompted in a minute here.
    for _ in 0..1_010 {
        let refused = house.sign_in(ClientPolicy::default(), &[]).await;
        assert_eq!(refused, (Verdict::Reject, Reason::ProviderUnreachable));
    }
}
