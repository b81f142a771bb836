//! What comes before what: blocks of every kind, rules, enrolment, approvals that a caching rule keeps, one-time bypasses and
//! the second factor: every combination of them through the whole reception, each with a person of its own in one store,
//! against a reference that is written here from docs/policy.md and not from the code.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anteroom::config::{self, CachingRule, Client, ClientPolicy, Likeness, Rule, Then};
use anteroom::factor::{Answer, Factor, Refusal, Request};
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary};
use anteroom::secret::Secret;
use anteroom::signin::attempt::Attempt;
use anteroom::signin::caching::Caching;
use anteroom::signin::outcome::Reason;
use anteroom::signin::reception::{SignIns, Target};
use anteroom::users::measures::{Measure, MeasureKind};
use anteroom::users::model::Person;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster as _;
use anteroom::users::sql::SqlStore;
use anteroom::users::store::Store as _;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use crate::support::fakes::{self, FakePrimary, Recorder};

/// Longer than the test takes on whatever machine.
const LONG: Duration = Duration::from_secs(4 * 3600);

/// Over before anybody looks.
const SHORT: Duration = Duration::from_millis(1);

/// How many people are looked after at once.
const AT_ONCE: usize = 16;

/// Why somebody is kept out, or was.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kept {
    No,
    By(MeasureKind),
    /// The block's time is over.
    Over,
    /// An admin has ended it.
    Ended,
}

/// What an earlier approval of theirs has in common with this sign-in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Earlier {
    None,
    Same,
    OtherPassword,
    OtherApplication,
    OtherAddress,
    TooOld,
}

/// What is true of a sign-in.
#[derive(Debug, Clone, Copy)]
struct World {
    kept: Kept,
    rule: Option<&'static str>,
    person: &'static str,
    lenient: bool,
    caching: Option<Likeness>,
    earlier: Earlier,
    bypass: &'static str,
    denies: bool,
}

/// How it ends, whether anybody is asked, and whether a bypass is used up.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct End {
    reason: &'static str,
    asked: bool,
    used: bool,
}

/// What docs/policy.md says, in its order.
fn reference(world: World) -> End {
    let end = |reason| End { reason, asked: false, used: false };
    // 1. Blocked?
    if matches!(world.kept, Kept::By(_)) {
        return end("blocked");
    }
    // 2. Rules.
    match world.rule {
        Some("refuse") => return end("rule_refused"),
        Some("skip") => return end("rule_skipped"),
        _ => {}
    }
    // 3. The client's section, unless a rule requires.
    let lenient = world.lenient && world.rule.is_none();
    match (world.person, lenient) {
        ("disabled", true) => return end("user_disabled_exempt"),
        ("disabled", false) => return end("user_disabled"),
        _ => {}
    }
    // 4. An approval that stands.
    let alike = match (world.earlier, world.caching) {
        (Earlier::None | Earlier::OtherPassword | Earlier::TooOld, _) | (_, None) => false,
        (Earlier::Same, Some(_)) => true,
        (Earlier::OtherApplication, Some(kind)) => kind == Likeness::Person,
        (Earlier::OtherAddress, Some(kind)) => kind != Likeness::Address,
    };
    // A block, also one that is over, has ended it for good.
    if alike && world.kept == Kept::No {
        return end("cached_approval");
    }
    // A bypass.
    if world.bypass == "open" {
        return End { reason: "one_time_bypass", asked: false, used: true };
    }
    // Everybody else is asked.
    End { reason: if world.denies { "denied" } else { "approved" }, asked: true, used: false }
}

/// A person of their own for each world.
struct Row {
    name: String,
    world: World,
}

impl Row {
    fn unique_id(&self) -> String {
        format!("id-{}", self.name)
    }

    fn measure(&self, kind: MeasureKind) -> Measure {
        Measure {
            time: SystemTime::now(),
            kind,
            unique_id: Some(self.unique_id()),
            name: self.name.clone(),
            by: "cli:ada".into(),
            reason: "lost her phone".into(),
            until: SystemTime::now().checked_add(LONG),
            sign_in: None,
            used: None,
        }
    }
}

/// A directory that knows everybody, and every password of theirs.
struct Everybody;

impl Primary for Everybody {
    fn identify<'a>(&'a self, name: &'a str, _: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        let (unique_id, dn) = (format!("id-{name}"), format!("CN={name},DC=corp,DC=example"));
        let who = Identity { unique_id, name: name.into(), upn: None, dn, ..fakes::alice() };
        Box::pin(async move { Ok(who) })
    }

    fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        Box::pin(async { Finding::Right })
    }

    fn member_of_any<'a>(&'a self, _: &'a Identity, _: &'a [String], _: Instant) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

/// Everybody's phone: who denies, and who was asked.
#[derive(Default)]
struct Phones {
    denies: HashSet<String>,
    asked: Mutex<HashSet<String>>,
}

impl Factor for Phones {
    fn name(&self) -> &str {
        "cloud"
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        let who = request.person.unique_id.clone();
        let denies = self.denies.contains(&who);
        self.asked.lock().unwrap().insert(who);
        Box::pin(async move { if denies { Answer::Refused(Refusal::Denied) } else { Answer::Approved } })
    }
}

fn client(application: &str, lenient: bool) -> Arc<Client> {
    let lenience = if lenient { config::Lenience::PasswordOnly } else { config::Lenience::Reject };
    let policy = ClientPolicy { disabled_users: lenience, ..ClientPolicy::default() };
    let common = Arc::into_inner(fakes::client(policy)).unwrap();
    Arc::new(Client { name: "vpn".into(), application: application.into(), ..common })
}

fn rule<T>(name: &str, then: T) -> Arc<Rule<T>> {
    Arc::new(Rule {
        name: name.into(),
        clients: vec![],
        applications: vec![],
        users: vec![],
        groups: vec![],
        networks: vec![],
        hours: None,
        then,
    })
}

/// What the servers of some worlds have in common: the rule, and how approvals are kept for how long.
type Setting = (Option<&'static str>, Option<(Likeness, Duration)>);

fn setting(world: World) -> Setting {
    let lasts = if world.earlier == Earlier::TooOld { SHORT } else { LONG };
    (world.rule, world.caching.map(|kind| (kind, lasts)))
}

fn server((the_rule, kept): Setting, store: &Arc<SqlStore>, phones: &Arc<Phones>) -> Arc<SignIns> {
    let nobody: Arc<FakePrimary> = Arc::new(fakes::right());
    let providers = vec![("cloud", phones.clone() as Arc<dyn Factor>)];
    let mut deps = fakes::deps(&nobody, providers, store.clone(), &Arc::new(Recorder::default()));
    deps.targets = [("corp".to_owned(), Target { primary: Arc::new(Everybody), dn_from_store: false })].into();
    if let Some((kind, lasts)) = kept {
        let rule: Arc<CachingRule> = rule("earlier", config::Caching { kind, lasts });
        deps.caching = Caching::new(vec![rule], &Secret::new(vec![1; 32]));
    }
    deps.rules = match the_rule {
        None => vec![],
        Some("skip") => vec![rule("the-rule", Then::Skip)],
        Some("refuse") => vec![rule("the-rule", Then::Refuse)],
        Some(_) => vec![rule("the-rule", Then::Require(vec![]))],
    };
    SignIns::new(deps)
}

async fn enter(sign_ins: &Arc<SignIns>, name: &str, client: &Arc<Client>, password: &str, from: &str) -> Reason {
    let attempt = Attempt {
        name: name.into(),
        credential: Ok(Secret::from_text(password.into())),
        person_address: Some(from.parse().unwrap()),
        ..fakes::attempt(client)
    };
    sign_ins.enter(attempt).await.outcome().await.reason()
}

/// What comes before the sign-in: everybody is there, and some have approved an earlier one.
async fn before(store: &Arc<SqlStore>, rows: &[Row]) {
    let people = futures_util::stream::iter(rows);
    people
        .for_each_concurrent(AT_ONCE, |row| async move {
            let (unique_id, name) = (row.unique_id(), row.name.clone());
            let dn = Some(format!("CN={name},DC=corp,DC=example"));
            let device_token = Some(format!("token-of-{name}"));
            let person = Person { unique_id, name, upn: None, dn, device_token, ..fakes::person() };
            let profile = Profile::new(person);
            store.enrol(&profile, "test").await.unwrap();
        })
        .await;
    let approve = Arc::new(Phones::default());
    let mut servers: HashMap<_, Arc<SignIns>> = HashMap::new();
    for row in rows.iter().filter(|row| row.world.earlier != Earlier::None) {
        let kept = setting(row.world).1;
        servers.entry(kept).or_insert_with(|| server((None, kept), store, &approve));
    }
    let servers = &servers;
    futures_util::stream::iter(rows.iter().filter(|row| row.world.earlier != Earlier::None))
        .for_each_concurrent(AT_ONCE, |row| async move {
            let earlier = row.world.earlier;
            let application = if earlier == Earlier::OtherApplication { "Wiki" } else { "VPN" };
            let password = if earlier == Earlier::OtherPassword { "the one before" } else { "password" };
            let from = if earlier == Earlier::OtherAddress { "198.51.100.8" } else { "198.51.100.7" };
            let sign_ins = &servers[&setting(row.world).1];
            let reason = enter(sign_ins, &row.name, &client(application, false), password, from).await;
            assert_eq!(reason, Reason::Approved, "{:?}", row.world);
        })
        .await;
    std::thread::sleep(SHORT * 3);
}

/// What is done about people before they sign in.
async fn measured(store: &SqlStore, row: &Row) {
    let world = row.world;
    let take = async |measure: Measure| assert!(store.take_measure(&measure, false).await.unwrap());
    let over = || SystemTime::now().checked_sub(Duration::from_secs(1));
    match world.kept {
        Kept::No => {}
        Kept::By(kind) => take(row.measure(kind)).await,
        Kept::Over => take(Measure { until: over(), ..row.measure(MeasureKind::Block) }).await,
        Kept::Ended => {
            take(row.measure(MeasureKind::Lockout)).await;
            take(Measure { until: None, ..row.measure(MeasureKind::Unblock) }).await;
        }
    }
    match world.bypass {
        "none" => {}
        "over" => take(Measure { until: over(), ..row.measure(MeasureKind::Bypass) }).await,
        _ => take(row.measure(MeasureKind::Bypass)).await,
    }
    if world.person == "disabled" {
        let mut profile = store.profile(&row.unique_id()).await.unwrap().unwrap();
        profile.person.enabled = false;
        store.change(&profile, "test").await.unwrap().unwrap();
    }
}

/// Whose bypass was used.
async fn used_bypasses(store: &SqlStore) -> HashSet<String> {
    let hour = Duration::from_secs(3600);
    let period = (SystemTime::now() - hour * 24, SystemTime::now() + hour);
    let (mut after, mut used) = (0, HashSet::new());
    loop {
        let page = store.measures(period, after, 1000).await.unwrap();
        let Some((last, _)) = page.last() else { return used };
        after = *last;
        let bypasses = page.into_iter().map(|(_, measure)| measure).filter(|one| one.kind == MeasureKind::Bypass);
        used.extend(bypasses.filter(|one| one.used.is_some()).filter_map(|one| one.unique_id));
    }
}

fn worlds() -> Vec<World> {
    let kept = [
        Kept::No,
        Kept::By(MeasureKind::Block),
        Kept::By(MeasureKind::Fraud),
        Kept::By(MeasureKind::LateFraud),
        Kept::By(MeasureKind::Lockout),
        Kept::Over,
        Kept::Ended,
    ];
    let earlier = [
        Earlier::None,
        Earlier::Same,
        Earlier::OtherPassword,
        Earlier::OtherApplication,
        Earlier::OtherAddress,
        Earlier::TooOld,
    ];
    let kinds = [None, Some(Likeness::Person), Some(Likeness::Application), Some(Likeness::Address)];
    let mut all = Vec::new();
    for kept in kept {
        for rule in [None, Some("require"), Some("skip"), Some("refuse")] {
            for (person, lenient) in [("enrolled", false), ("disabled", false), ("disabled", true)] {
                for caching in kinds {
                    for earlier in earlier {
                        for bypass in ["none", "open", "over"] {
                            for denies in [false, true] {
                                // Where nothing is cached, nothing was approved before.
                                if caching.is_none() && earlier != Earlier::None {
                                    continue;
                                }
                                all.push(World { kept, rule, person, lenient, caching, earlier, bypass, denies });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn blocks_rules_approvals_and_bypasses_come_in_the_order_that_the_documentation_says() {
    // The clock of all waits stands still, as it does while something blocks: on however slow a machine nothing comes too late.
    let (go_on, stands) = std::sync::mpsc::channel::<()>();
    let still = tokio::task::spawn_blocking(move || stands.recv());
    let worlds = worlds().into_iter().enumerate();
    let rows: Vec<Row> = worlds.map(|(number, world)| Row { name: format!("w{number}"), world }).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("people.db");
    let store = Arc::new(SqlStore::open(file.clone(), true).await.unwrap());
    before(&store, &rows).await;
    futures_util::stream::iter(&rows).for_each_concurrent(AT_ONCE, |row| measured(&store, row)).await;
    store.close().await;
    // Another process, which knows nothing that is not in the store.
    let store = Arc::new(SqlStore::open(file, true).await.unwrap());
    let denies = rows.iter().filter(|row| row.world.denies).map(Row::unique_id).collect();
    let phones = Arc::new(Phones { denies, ..Phones::default() });
    let mut servers: HashMap<_, Arc<SignIns>> = HashMap::new();
    for row in &rows {
        let setting = setting(row.world);
        servers.entry(setting).or_insert_with(|| server(setting, &store, &phones));
    }
    let (servers, ends) = (&servers, &Mutex::new(Vec::with_capacity(rows.len())));
    futures_util::stream::iter(&rows)
        .for_each_concurrent(AT_ONCE, |row| async move {
            let (sign_ins, client) = (&servers[&setting(row.world)], client("VPN", row.world.lenient));
            let reason = enter(sign_ins, &row.name, &client, "password", "198.51.100.7").await;
            ends.lock().unwrap().push((row, reason));
        })
        .await;
    let (used, asked) = (used_bypasses(&store).await, phones.asked.lock().unwrap().clone());
    let ends = std::mem::take(&mut *ends.lock().unwrap());
    assert!(ends.len() == rows.len() && rows.len() > 9_500, "every one of {}: {}", rows.len(), ends.len());
    let mut seen = BTreeMap::<&str, usize>::new();
    for (row, reason) in ends {
        let (asked, used) = (asked.contains(&row.unique_id()), used.contains(&row.unique_id()));
        let expected = reference(row.world);
        assert_eq!(End { reason: reason.code(), asked, used }, expected, "{:?}", row.world);
        *seen.entry(expected.reason).or_default() += 1;
    }
    let ends = [
        "blocked",
        "rule_refused",
        "rule_skipped",
        "user_disabled",
        "user_disabled_exempt",
        "cached_approval",
        "one_time_bypass",
        "approved",
        "denied",
    ];
    for end in ends {
        assert!(seen.get(end).is_some_and(|times| *times >= 10), "{end}: {seen:?}");
    }
    store.close().await;
    drop(go_on);
    still.await.unwrap().unwrap_err();
}
