//! The rules of the verdict, over every combination of primary result, state of the person, policy of the
//! client, factor result and fault: an Accept has its two proofs, or there is none.
//!
//! What is expected is computed here from the rules as the documentation states them, not from the code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anteroom::config::{AddressRange, ClientPolicy, Lenience, ServiceAccounts, UnreachableClass, UnreachableRule};
use anteroom::factor::{Answer, Refusal as FactorRefusal};
use anteroom::primary::{Fault, Finding, IdentifyError, Refusal};
use anteroom::signin::outcome::{Outcome, Reason, Verdict};
use anteroom::signin::proof::{Exemption, SecondPassed};
use anteroom::users::model::Method;

use crate::support::fakes::{self, FakePrimary, FakeStore, House, Told};

const FAULTS: [Fault; 5] =
    [Fault::Unreachable, Fault::Unanswered, Fault::Refused { code: 53 }, Fault::Garbled, Fault::Deadline];

/// What the directory does.
fn primaries() -> Vec<FakePrimary> {
    let identify = |told| FakePrimary { identify: told, ..fakes::right() };
    let finding = |told| FakePrimary { finding: told, ..fakes::right() };
    let mut all = vec![fakes::right(), identify(Told::Panics), finding(Told::Panics)];
    all.push(identify(Told::Says(Err(IdentifyError::Unknown))));
    all.push(identify(Told::Says(Err(IdentifyError::Ambiguous))));
    for fault in FAULTS {
        all.push(identify(Told::Says(Err(IdentifyError::Fault(fault.clone())))));
        all.push(finding(Told::Says(Finding::Fault(fault))));
    }
    all.extend(Refusal::ALL.map(|refusal| finding(Told::Says(Finding::Wrong(refusal)))));
    all
}

/// How the person stands in the store.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stands {
    Enrolled,
    Missing,
    Disabled,
    Blocked,
    BlockedLongAgo,
    NoDevice,
    StoreAway,
}

const STANDS: [Stands; 7] = [
    Stands::Enrolled,
    Stands::Missing,
    Stands::Disabled,
    Stands::Blocked,
    Stands::BlockedLongAgo,
    Stands::NoDevice,
    Stands::StoreAway,
];

fn store(stands: Stands) -> FakeStore {
    let mut person = fakes::person();
    let hour = Duration::from_secs(3600);
    match stands {
        Stands::Disabled => person.enabled = false,
        Stands::Blocked => person.blocked_until = Some(SystemTime::now() + hour),
        Stands::BlockedLongAgo => person.blocked_until = Some(SystemTime::now() - hour),
        Stands::NoDevice => person.device_token = None,
        Stands::Enrolled | Stands::Missing | Stands::StoreAway => {}
    }
    let person = match stands {
        Stands::Missing => Ok(None),
        Stands::StoreAway => Err(()),
        _ => Ok(Some(person)),
    };
    FakeStore { person, blocked: AtomicUsize::new(0) }
}

/// What the client's section says, and what is true of the person.
#[derive(Debug, Clone)]
struct Rules {
    unknown_users: Lenience,
    disabled_users: Lenience,
    named: bool,
    groups: Option<Result<bool, Fault>>,
    inside_network: Option<bool>,
    unreachable: Option<(UnreachableClass, bool)>,
    service: bool,
}

fn rules() -> Vec<Rules> {
    let leniences = [Lenience::Reject, Lenience::PasswordOnly];
    let groups = [None, Some(Ok(true)), Some(Ok(false)), Some(Err(Fault::Unreachable))];
    let networks = [None, Some(true), Some(false)];
    let unreachable = [
        None,
        Some((UnreachableClass::Connect, true)),
        Some((UnreachableClass::Connect, false)),
        Some((UnreachableClass::ServerError, true)),
    ];
    let mut all = Vec::new();
    for unknown_users in leniences {
        for disabled_users in leniences {
            for named in [false, true] {
                for groups in &groups {
                    for inside_network in networks {
                        for unreachable in unreachable {
                            let groups = groups.clone();
                            all.push(Rules {
                                unknown_users,
                                disabled_users,
                                named,
                                groups,
                                inside_network,
                                unreachable,
                                service: false,
                            });
                            // Half of them are a program's account.
                            if (all.len() - 1) / 4 % 2 == 0 {
                                all.last_mut().unwrap().service = true;
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

fn service(named: bool) -> ServiceAccounts {
    let ous = if named { vec!["dc=CORP, dc=example".into()] } else { vec!["OU=Others,DC=corp,DC=example".into()] };
    ServiceAccounts { ous, ..ServiceAccounts::default() }
}

fn policy(rules: &Rules) -> ClientPolicy {
    let network = |text: &str| AddressRange { first: text.parse().unwrap(), last: text.parse().unwrap() };
    let hour = Duration::from_secs(3600);
    ClientPolicy {
        unknown_users: rules.unknown_users,
        disabled_users: rules.disabled_users,
        exempt_users: if rules.named { vec!["somebody".into(), "ALICE".into()] } else { vec!["somebody".into()] },
        exempt_groups: if rules.groups.is_some() { vec!["CN=Exempt,DC=corp,DC=example".into()] } else { Vec::new() },
        exempt_networks: match rules.inside_network {
            None => Vec::new(),
            Some(true) => vec![network("198.51.100.7")],
            Some(false) => vec![network("198.51.100.8")],
        },
        provider_unreachable: rules.unreachable.map(|(class, current)| UnreachableRule {
            classes: vec![class],
            until: Some(if current { SystemTime::now() + hour } else { SystemTime::now() - hour }),
            lasting: None,
        }),
        provider_bypass: bypass(rules),
        service: service(rules.service),
    }
}

/// Set with another rule, as one more dimension would only make the table longer.
fn bypass(rules: &Rules) -> Lenience {
    rules.disabled_users
}

/// What the provider does.
fn factors() -> Vec<Told<Answer>> {
    let mut all = vec![Told::Says(Answer::Approved), Told::Says(Answer::ApprovedBy(Method::BackupCode)), Told::Panics];
    all.extend(FactorRefusal::ALL.map(|refusal| Told::Says(Answer::Refused(refusal))));
    all
}

/// The rules of the documentation.
fn expected(primary: &FakePrimary, stands: Stands, rules: &Rules, factor: &Told<Answer>) -> Result<Reason, Reason> {
    match &primary.identify {
        Told::Says(Ok(_)) => {}
        Told::Says(Err(error)) => return Err(Reason::from_identify(error)),
        Told::Panics | Told::Hangs => return Err(Reason::Internal),
    }
    match &primary.finding {
        Told::Says(Finding::Right | Finding::Moved(_)) => {}
        Told::Says(Finding::Wrong(refusal)) => return Err(Reason::from_primary(*refusal)),
        Told::Says(Finding::Fault(fault)) => return Err(Reason::from_fault(fault)),
        Told::Panics | Told::Hangs => return Err(Reason::Internal),
    }
    if stands == Stands::StoreAway {
        return Err(Reason::StoreUnavailable);
    }
    if stands == Stands::Blocked {
        return Err(Reason::Blocked);
    }
    if rules.named {
        return Ok(Reason::ExemptUser);
    }
    if rules.groups == Some(Ok(true)) {
        return Ok(Reason::ExemptGroup);
    }
    if rules.inside_network == Some(true) {
        return Ok(Reason::ExemptNetwork);
    }
    if rules.service {
        return Ok(Reason::ServiceAccount);
    }
    match stands {
        Stands::Missing if rules.unknown_users == Lenience::PasswordOnly => return Ok(Reason::NotEnrolledExempt),
        Stands::Missing => return Err(Reason::NotEnrolled),
        Stands::Disabled if rules.disabled_users == Lenience::PasswordOnly => return Ok(Reason::UserDisabledExempt),
        Stands::Disabled => return Err(Reason::UserDisabled),
        Stands::NoDevice => return Err(Reason::NoMethod),
        Stands::Enrolled | Stands::BlockedLongAgo | Stands::Blocked | Stands::StoreAway => {}
    }
    match factor {
        Told::Says(Answer::Approved | Answer::ApprovedBy(_)) => Ok(Reason::Approved),
        // Nobody's PIN is theirs.
        Told::Says(Answer::ApprovedWithPin(_)) => Err(Reason::ProviderGarbled),
        Told::Says(Answer::Refused(FactorRefusal::Unreachable(class))) if rules.unreachable == Some((*class, true)) => {
            Ok(Reason::ProviderUnreachableExempt)
        }
        Told::Says(Answer::Refused(FactorRefusal::Bypassed)) if bypass(rules) == Lenience::PasswordOnly => {
            Ok(Reason::ProviderBypassExempt)
        }
        Told::Says(Answer::Refused(refusal)) => Err(Reason::from_factor(*refusal)),
        Told::Panics | Told::Hangs => Err(Reason::Internal),
    }
}

/// An Accept carries a proof of each kind, of the person whose credential was right.
fn proofs_hold(house: &House, outcome: &Outcome, factor: &Told<Answer>, rules: &Rules) {
    let Outcome::Accept(accept) = outcome else { return };
    let who = accept.primary().who();
    assert_eq!(house.primary.binds.load(Ordering::SeqCst), 1, "the password was tried once");
    assert_eq!(accept.second().unique_id(), who.unique_id);
    match accept.second() {
        SecondPassed::Approved(approved) => {
            assert!(matches!(factor, Told::Says(Answer::Approved | Answer::ApprovedBy(_))));
            assert_eq!(approved.sign_in(), house.last_event().sign_in);
            assert_eq!(house.factor.prompts.load(Ordering::SeqCst), 1);
        }
        SecondPassed::Exempt(exempted) => assert!(match exempted.rule() {
            Exemption::ExemptUser => rules.named,
            Exemption::ExemptGroup => rules.groups == Some(Ok(true)),
            Exemption::ExemptNetwork => rules.inside_network == Some(true),
            Exemption::NotEnrolled => rules.unknown_users == Lenience::PasswordOnly,
            Exemption::UserDisabled => rules.disabled_users == Lenience::PasswordOnly,
            Exemption::ProviderUnreachable => rules.unreachable.is_some_and(|(_, current)| current),
            Exemption::ProviderBypass => bypass(rules) == Lenience::PasswordOnly,
            Exemption::ServiceAccount => rules.service,
            Exemption::RememberedApproval | Exemption::CachedApproval | Exemption::Rule | Exemption::OneTimeBypass =>
                false,
        }),
    }
}

#[test]
fn no_accept_lacks_its_two_proofs_in_any_combination() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut combinations, mut accepts) = (0_u32, 0_u32);
    let (rules, factors) = (rules(), factors());
    for number in 0..primaries().len() {
        for stands in STANDS {
            for (turn, rules) in rules.iter().enumerate() {
                for (place, factor) in factors.iter().enumerate() {
                    let mut primary = primaries().swap_remove(number);
                    if let Some(member) = &rules.groups {
                        primary.member = Told::Says(member.clone());
                    }
                    let expected = expected(&primary, stands, rules, factor);
                    // Behind a primary that has refused, the factors take turns: none of them may be asked.
                    let refused_early = number != 0;
                    if refused_early && place != turn % factors.len() {
                        continue;
                    }
                    let house = House::new(primary, fakes::factor(factor.clone()), store(stands));
                    let mut attempt = fakes::attempt(&fakes::client(policy(rules)));
                    attempt.person_address = Some("198.51.100.7".parse().unwrap());
                    let outcome = runtime.block_on(async { house.sign_ins.enter(attempt).await.outcome().await });
                    let heard = match outcome.verdict() {
                        Verdict::Accept => Ok(outcome.reason()),
                        Verdict::Reject => Err(outcome.reason()),
                        Verdict::Challenge | Verdict::Discard => panic!("neither was asked for"),
                    };
                    assert_eq!(heard, expected, "{stands:?} {rules:?} {factor:?}");
                    proofs_hold(&house, &outcome, factor, rules);
                    assert_eq!(house.events(), 1, "one sign-in, one event");
                    assert!(!refused_early || house.factor.prompts.load(Ordering::SeqCst) == 0);
                    assert_eq!(house.last_event().reason, outcome.reason());
                    combinations += 1;
                    accepts += u32::from(heard.is_ok());
                }
            }
        }
    }
    assert!(combinations > 50_000 && accepts > 10_000, "{combinations} combinations, {accepts} accepts");
}

#[tokio::test]
async fn an_entry_that_has_moved_is_the_same_person_at_its_new_place() {
    let place = "CN=Alice,OU=Service,DC=corp,DC=example";
    let primary = FakePrimary { finding: Told::Says(Finding::Moved(place.into())), ..fakes::right() };
    let house = House::new(primary, fakes::approves(), fakes::enrolled());
    let ous = vec!["OU=Service,DC=corp,DC=example".into()];
    let service = ServiceAccounts { ous, ..ServiceAccounts::default() };
    let attempt = fakes::attempt(&fakes::client(ClientPolicy { service, ..ClientPolicy::default() }));
    let outcome = house.sign_ins.enter(attempt).await.outcome().await;
    let Outcome::Accept(accept) = &*outcome else { panic!("{outcome:?}") };
    assert_eq!((accept.primary().who().dn.as_str(), outcome.reason()), (place, Reason::ServiceAccount));
    assert_eq!(accept.primary().who().unique_id, fakes::alice().unique_id);
}

#[tokio::test]
async fn a_directory_that_cannot_say_who_is_exempt_exempts_nobody() {
    for (fault, heard) in [
        (Fault::Unreachable, (Verdict::Accept, Reason::Approved)),
        (Fault::Refused { code: 51 }, (Verdict::Accept, Reason::Approved)),
        (Fault::Garbled, (Verdict::Accept, Reason::Approved)),
        (Fault::Deadline, (Verdict::Reject, Reason::Deadline)),
    ] {
        let primary = FakePrimary { member: Told::Says(Err(fault)), ..fakes::right() };
        let house = House::new(primary, fakes::approves(), fakes::enrolled());
        let policy = ClientPolicy { exempt_groups: vec!["CN=Exempt,DC=corp,DC=example".into()], ..Default::default() };
        let outcome = house.sign_ins.enter(fakes::attempt(&fakes::client(policy))).await.outcome().await;
        assert_eq!((outcome.verdict(), outcome.reason()), heard);
        let prompts = house.factor.prompts.load(Ordering::SeqCst);
        assert_eq!(
            prompts,
            usize::from(heard.0 == Verdict::Accept),
            "the factor is asked for, and nothing is let through"
        );
    }
}

#[tokio::test]
async fn proofs_of_two_people_do_not_make_an_accept() {
    let (primary, factor) = (fakes::right(), fakes::approves());
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    let password = anteroom::secret::Secret::from_text("right-password".into());
    let who = std::sync::Arc::new(fakes::alice());
    let mut person = fakes::person();
    person.unique_id = "somebody-else".into();
    let request = anteroom::factor::Request {
        sign_in: fakes::attempt(&fakes::client(ClientPolicy::default())).id,
        method: person.method,
        code: None,
        person: person.into(),
        application: "VPN".into(),
        person_address: None,
        deadline,
        device: None,
        number_matching: Default::default(),
        can_type: false,
        tell: None,
        given: None,
    };
    let passed = anteroom::primary::check(&primary, &who, &password, deadline).await.unwrap();
    let approved = anteroom::factor::ask(&factor, request).await.unwrap();
    let second = SecondPassed::Approved(approved.into());
    assert!(matches!(anteroom::signin::outcome::Accept::new(passed, second), Err(Reason::Internal)));
}

#[test]
fn reason_codes_are_distinct_words_with_advice() {
    let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Reason::ALL.len());
    assert!(codes.iter().all(|code| code.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_')));
    assert!(Reason::ALL.iter().all(|reason| reason.advice().len() > 20));
}
