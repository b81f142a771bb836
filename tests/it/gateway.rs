//! RD Gateway: a request without a password is accepted from a gateway's client alone, by the directory's word on the
//! account, by a policy, and by the person.

/// Through the whole program, against Samba and with radclient and pyrad as the gateway.
mod peers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anteroom::config::{AddressRange, ClientPolicy, RadiusClient, Requirement};
use anteroom::factor::Factor;
use anteroom::primary::none::{Asked, Granted};
use anteroom::primary::{Answered, Fault, Finding, Handed, IdentifyError, Identity, Primary, Refusal};
use anteroom::radius::attribute::{
    CALLED_STATION_ID, CHAP_PASSWORD, EAP_MESSAGE, USER_PASSWORD, VENDOR_SPECIFIC, join_vendor,
};
use anteroom::radius::authenticator::ClientKey;
use anteroom::radius::client::Request;
use anteroom::radius::clients::Clients;
use anteroom::radius::door::{Door, Shared, Step};
use anteroom::radius::packet::Code;
use anteroom::secret::Secret;
use anteroom::signin::attempt::Attempt;
use anteroom::signin::outcome::{Outcome, Reason, Verdict};
use anteroom::signin::reception::{Deps, SignIns, Target};
use futures_util::future::BoxFuture;

use crate::support::fakes::{self, FakePrimary, Recorder};

/// Attributes by number.
type Attributes = Vec<(u8, Vec<u8>)>;

const SECRET: &str = "a shared secret of the test";

/// A target that lets everybody in without a password, and checks none; and since when it knows their password.
pub(crate) struct Lenient(pub(crate) FakePrimary, pub(crate) i64);

impl Primary for Lenient {
    fn identify<'a>(&'a self, typed: &'a str, deadline: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        self.0.identify(typed, deadline)
    }

    fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::ready(Finding::Fault(Fault::Refused { code: 53 })))
    }

    fn member_of_any<'a>(
        &'a self,
        who: &'a Identity,
        groups: &'a [String],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        self.0.member_of_any(who, groups, deadline)
    }

    fn authorize<'a>(&'a self, _: &'a Identity, _: Asked<'a>) -> BoxFuture<'a, Result<Granted, Finding>> {
        Box::pin(std::future::ready(Ok(Granted {
            policy: "all".into(),
            settings: Arc::from([28, 6, 0, 0, 0, 60]),
            password_set: Some(self.1),
        })))
    }

    fn authorizes(&self) -> bool {
        true
    }
}

/// A client of this kind, with a password target or one without, and whether it is a gateway's.
pub(crate) fn client(policy: ClientPolicy, target: &str, gateway: bool) -> RadiusClient {
    let common = Arc::into_inner(fakes::client(policy)).unwrap();
    let range = |text: &str| AddressRange { first: text.parse().unwrap(), last: text.parse().unwrap() };
    RadiusClient {
        client: Arc::new(anteroom::config::Client { target: target.into(), ..common }),
        addresses: vec![range("192.0.2.1")],
        secret: Secret::from_text(SECRET.into()),
        require_message_authenticator: Requirement::Yes,
        tls: None,
        accounting_target: None,
        limit_proxy_state: Requirement::Yes,
        duplicate_window: Duration::from_secs(30),
        person_address: None,
        hands_on: false,
        checks_ms_chap: false,
        changes_passwords: false,
        reply_attributes: Vec::new(),
        reject_message: None,
        packets_per_second: 100_000,
        authorize_only: gateway,
        profile: None,
    }
}

/// What the door makes of a request by this client.
pub(crate) fn attempt(client: RadiusClient, attributes: &[(u8, Vec<u8>)], password: Option<&Secret>) -> Attempt {
    let start = Instant::now();
    let shared = Arc::new(Shared::new(Clients::new(&[Arc::new(client)], start).unwrap(), start));
    let door: Door<()> = Door::new(shared, 10);
    let request = Request { code: Code::ACCESS_REQUEST, name: Some("CORP\\alice"), password, attributes, sign: true };
    let key = ClientKey::new(Secret::from_text(SECRET.into()));
    let bytes = request.encode(1, &[9; 16], &key).unwrap();
    match door.receive("192.0.2.1:5000".parse().unwrap(), &bytes, start, || [3; 12]) {
        Step::Begin(begin) => begin.attempt,
        other => panic!("not begun: {other:?}"),
    }
}

fn microsoft(number: u8, value: &[u8]) -> (u8, Vec<u8>) {
    (VENDOR_SPECIFIC, join_vendor(311, number, value).unwrap())
}

/// Every credential that a request may have, by its name; the first has none.
fn credentials() -> Vec<(&'static str, Attributes)> {
    vec![
        ("none", vec![]),
        ("CHAP", vec![(CHAP_PASSWORD, vec![1; 17])]),
        ("EAP", vec![(EAP_MESSAGE, vec![2, 0, 0, 4])]),
        ("MS-CHAP", vec![microsoft(1, &[1; 50])]),
        ("MS-CHAPv2", vec![microsoft(25, &[1; 50])]),
        ("empty", vec![(USER_PASSWORD, vec![])]),
    ]
}

/// Every way to look like a gateway, or not.
fn looks() -> Vec<(bool, Attributes)> {
    let called = |text: &str| (CALLED_STATION_ID, text.as_bytes().to_vec());
    vec![
        (false, vec![]),
        (false, vec![called("vpn.corp.example")]),
        (false, vec![microsoft(47, &[0, 0, 0, 2]), called("UserAuthType:PW")]),
        (true, vec![called("UserAuthType:PW")]),
        (true, vec![called("UserAuthType:CA"), microsoft(50, b"PC-0815")]),
        (true, vec![microsoft(47, &[0, 0, 0, 1])]),
    ]
}

#[test]
fn without_a_password_only_a_gateways_request_to_a_target_that_checks_none_is_accepted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut tried, mut accepted) = (0, 0);
    for gateway in [false, true] {
        for target in ["corp", "none"] {
            for (credential, given) in credentials() {
                for password in [None, Some("right-password"), Some("")] {
                    for (is_gateways, look) in looks() {
                        let attributes: Vec<_> = given.iter().chain(&look).cloned().collect();
                        let secret = password.map(|text| Secret::from_text(text.into()));
                        let client = client(ClientPolicy::default(), target, gateway);
                        let attempt = attempt(client, &attributes, secret.as_ref());
                        let (primary, house) = house();
                        let outcome = runtime.block_on(async { house.enter(attempt).await.outcome().await });
                        // Beside a password that is right, MS-CHAP's attributes are passed over, as ever.
                        let one = ["none", "MS-CHAP", "MS-CHAPv2"].contains(&credential)
                            && password == Some("right-password");
                        let by_password = !gateway && target == "corp" && one;
                        let by_word =
                            gateway && target == "none" && is_gateways && credential == "none" && password.is_none();
                        let expected = if by_password || by_word { Verdict::Accept } else { Verdict::Reject };
                        let told = format!(
                            "gateway {gateway}, target {target}, {credential}, {password:?}, {look:?}: {outcome:?}"
                        );
                        assert_eq!(outcome.verdict(), expected, "{told}");
                        assert_eq!(primary.binds.load(Ordering::SeqCst), usize::from(by_password), "{told}");
                        tried += 1;
                        accepted += usize::from(by_word);
                    }
                }
            }
        }
    }
    assert_eq!((tried, accepted), (2 * 2 * 6 * 3 * 6, 3));
}

/// A reception with a target that checks passwords and one that checks none, and an approving phone.
fn house() -> (Arc<FakePrimary>, Arc<SignIns>) {
    let primary = Arc::new(fakes::right());
    let ledger = Arc::new(Recorder::default());
    let providers = vec![("cloud", Arc::new(fakes::approves()) as Arc<dyn Factor>)];
    let deps = fakes::deps(&primary, providers, Arc::new(fakes::enrolled()), &ledger);
    let mut targets: BTreeMap<String, Target> = deps.targets;
    let lenient = Target { primary: Arc::new(Lenient(fakes::right(), 1)), dn_from_store: false };
    targets.insert("none".into(), lenient);
    (primary, SignIns::new(Deps { targets, ..deps }))
}

/// RADIUS servers that accept, refuse or challenge whatever they are handed.
struct Nps(FakePrimary, Finding, std::sync::atomic::AtomicUsize);

impl Primary for Nps {
    fn identify<'a>(&'a self, typed: &'a str, deadline: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        self.0.identify(typed, deadline)
    }

    fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::ready(Finding::Fault(Fault::Refused { code: 53 })))
    }

    fn member_of_any<'a>(&'a self, _: &'a Identity, _: &'a [String], _: Instant) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(std::future::ready(Err(Fault::Refused { code: 53 })))
    }

    fn hand_on<'a>(&'a self, _: Option<&'a Identity>, _: Handed<'a>, _: Instant) -> BoxFuture<'a, Answered> {
        self.2.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(self.1.clone().into()))
    }
}

#[test]
fn before_an_nps_only_a_gateways_request_passes_without_a_proof() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut without = 0;
    for gateway in [false, true] {
        for (credential, given) in credentials() {
            for password in [None, Some("right-password"), Some("")] {
                for (is_gateways, look) in looks() {
                    let attributes: Vec<_> = given.iter().chain(&look).cloned().collect();
                    let secret = password.map(|text| Secret::from_text(text.into()));
                    let client = RadiusClient { hands_on: true, ..client(ClientPolicy::default(), "nps", gateway) };
                    let attempt = attempt(client, &attributes, secret.as_ref());
                    let nps = Arc::new(Nps(fakes::right(), Finding::Right, 0.into()));
                    let house = house_with("nps", Arc::clone(&nps) as Arc<dyn Primary>);
                    let outcome = runtime.block_on(async { house.enter(attempt).await.outcome().await });
                    let bare = credential == "none" && password.is_none();
                    let by_word = gateway && is_gateways && bare;
                    let proofs = usize::from(password.is_some()) + usize::from(credential != "none");
                    // An empty password is none, and a broken round of EAP is nobody's.
                    let is_good = !(password == Some("") || credential == "empty" || credential == "EAP");
                    let by_proof = !gateway && proofs == 1 && is_good;
                    let expected = if by_word || by_proof { Verdict::Accept } else { Verdict::Reject };
                    let told = format!("gateway {gateway}, {credential}, {password:?}, {look:?}: {outcome:?}");
                    assert_eq!(outcome.verdict(), expected, "{told}");
                    if gateway || bare {
                        assert_eq!(nps.2.load(Ordering::SeqCst), usize::from(by_word), "{told}");
                    }
                    without += usize::from(by_word);
                }
            }
        }
    }
    assert_eq!(without, 3);
}

#[test]
fn what_an_nps_refuses_or_asks_of_a_gateway_ends_without_a_prompt() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (finding, reason) in [
        (Finding::Wrong(Refusal::ConnectionDenied), Reason::ConnectionDenied),
        (Finding::Wrong(Refusal::AsksMore), Reason::TargetAsksMore),
        (Finding::Fault(Fault::Unanswered), Reason::DirectoryUnreachable),
    ] {
        let nps = Arc::new(Nps(fakes::right(), finding, 0.into()));
        let house = house_with("nps", nps);
        // Again and again: nobody is throttled, as nothing was guessed.
        for _ in 0..20 {
            // Even where somebody has turned challenges on.
            let base = client(ClientPolicy::default(), "nps", true);
            let common = Arc::into_inner(base.client).unwrap();
            let rule = anteroom::config::Challenges {
                tries: 3,
                within: Duration::from_secs(60),
                beside_prompt: false,
                menu: false,
            };
            let common = Arc::new(anteroom::config::Client { challenge: Some(rule), ..common });
            let gateway =
                RadiusClient { client: common, hands_on: true, ..client(ClientPolicy::default(), "nps", true) };
            let attempt = attempt(gateway, &looks()[3].1, None);
            let outcome = runtime.block_on(async { house.enter(attempt).await.outcome().await });
            assert!(matches!(&*outcome, Outcome::Reject(found) if *found == reason), "{reason:?}: {outcome:?}");
        }
    }
}

/// A reception with this target, and an approving phone.
pub(crate) fn house_with(name: &str, target: Arc<dyn Primary>) -> Arc<SignIns> {
    let ledger = Arc::new(Recorder::default());
    let providers = vec![("cloud", Arc::new(fakes::approves()) as Arc<dyn Factor>)];
    let deps = fakes::deps(&Arc::new(fakes::right()), providers, Arc::new(fakes::enrolled()), &ledger);
    let targets = BTreeMap::from([(name.to_owned(), Target { primary: target, dn_from_store: false })]);
    SignIns::new(Deps { targets, ..deps })
}

#[test]
fn a_refused_account_prompts_nobody_and_exempts_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // The target refuses: it is one that checks passwords. Every exemption that there is would let the person in.
    let policy = ClientPolicy {
        exempt_users: vec!["alice".into()],
        unknown_users: anteroom::config::Lenience::PasswordOnly,
        disabled_users: anteroom::config::Lenience::PasswordOnly,
        ..ClientPolicy::default()
    };
    let attempt = attempt(client(policy, "corp", true), &looks()[3].1, None);
    let (_, house) = house();
    let outcome = runtime.block_on(async { house.enter(attempt).await.outcome().await });
    assert!(matches!(&*outcome, Outcome::Reject(Reason::DirectoryRefused)), "{outcome:?}");
}

#[test]
fn a_gateways_request_never_brings_a_password_to_a_directory() {
    let password = Secret::from_text("right-password".into());
    let attempt = attempt(client(ClientPolicy::default(), "none", true), &looks()[3].1, Some(&password));
    assert!(attempt.connection.is_none());
    let (_, house) = house();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let outcome = runtime.block_on(async { house.enter(attempt).await.outcome().await });
    assert_eq!(outcome.reason(), Reason::UnwantedPassword);
}
