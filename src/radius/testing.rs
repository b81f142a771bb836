//! What the tests of this folder share: clients, packets, outcomes, vectors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::authenticator::ClientKey;
use super::clients::Clients;
use super::door::Shared;
use crate::config::{AddressRange, Client, ClientPolicy, Lenience, OnDeadline, RadiusClient, Requirement};
use crate::primary::{Fault, Finding, IdentifyError, Identity, Primary};
use crate::secret::Secret;
use crate::signin::outcome::{Accept, Outcome};
use crate::signin::policy::{Decision, Facts, decide};
use crate::signin::proof::SecondPassed;

pub(super) const SECRET: &[u8] = b"xyzzy5461";

pub(super) fn key() -> ClientKey {
    ClientKey::new(Secret::new(SECRET.to_vec()))
}

pub(super) fn range(first: &str, last: &str) -> AddressRange {
    AddressRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
}

/// A client for all addresses that must sign its requests.
pub(crate) fn client(name: &str) -> RadiusClient {
    let client = Client {
        name: name.into(),
        application: "VPN".into(),
        target: "corp".into(),
        providers: vec!["phone".into()],
        methods: Vec::new(),
        number_matching: Default::default(),
        answer_within: Duration::from_secs(55),
        on_deadline: OnDeadline::Reject,
        carry_over: Duration::from_secs(30),
        gives_up_after: Duration::from_secs(2),
        passcode: None,
        challenge: None,
        shows_texts: false,
        texts: None,
        reuse: None,
        reply: None,
        held: 1000,
        policy: ClientPolicy::default(),
    };
    RadiusClient {
        client: Arc::new(client),
        addresses: vec![range("0.0.0.0", "255.255.255.255"), range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")],
        secret: Secret::new(SECRET.to_vec()),
        tls: None,
        require_message_authenticator: Requirement::Yes,
        limit_proxy_state: Requirement::Auto,
        duplicate_window: Duration::from_secs(30),
        person_address: None,
        hands_on: false,
        checks_ms_chap: false,
        changes_passwords: false,
        reply_attributes: Vec::new(),
        reject_message: None,
        packets_per_second: 1_000_000,
        accounting_target: None,
        authorize_only: false,
        profile: None,
    }
}

pub(super) fn shared(clients: Vec<RadiusClient>, start: Instant) -> Arc<Shared> {
    let clients: Vec<_> = clients.into_iter().map(Arc::new).collect();
    Arc::new(Shared::new(Clients::new(&clients, start).unwrap(), start))
}

/// An acceptance, made the only way there is: with both proofs.
pub(super) fn accept() -> Outcome {
    struct Right;
    impl Primary for Right {
        fn identify<'a>(&'a self, _: &'a str, _: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
            async { Err(IdentifyError::Unknown) }.boxed()
        }
        fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
            async { Finding::Right }.boxed()
        }
        fn member_of_any<'a>(
            &'a self,
            _: &'a Identity,
            _: &'a [String],
            _: Instant,
        ) -> BoxFuture<'a, Result<bool, Fault>> {
            async { Ok(false) }.boxed()
        }
    }
    let (unique_id, name, dn) = ("1".into(), "nemo".into(), "CN=nemo".into());
    let who = Arc::new(Identity { unique_id, name, upn: None, dn, remembered: false, details: None });
    let password = Secret::new(b"arctangent".to_vec());
    let primary = crate::primary::check(&Right, &who, &password, Instant::now()).now_or_never().unwrap().unwrap();
    let policy = ClientPolicy { unknown_users: Lenience::PasswordOnly, ..ClientPolicy::default() };
    let now = std::time::SystemTime::now();
    let facts = Facts {
        who: &who,
        person: None,
        in_exempt_group: false,
        is_service: false,
        rule: crate::signin::policy::Ruling::None,
        way: None,
        wants_code: false,
        person_address: None,
        now,
    };
    let Decision::Exempt(exempted) = decide(&policy, facts) else { panic!("not exempt") };
    Outcome::Accept(Accept::new(primary, SecondPassed::Exempt(exempted)).unwrap())
}

/// A published packet by its name in `tests/vectors/radius.txt`.
pub(super) fn vector(name: &str) -> Vec<u8> {
    include_str!("../../tests/vectors/radius.txt")
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .map(octets)
        .unwrap_or_else(|| panic!("no vector {name}"))
}

/// Every line of `tests/vectors/radius-bad-packets.txt`: name, cause, octets.
pub(super) fn bad_packets() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    include_str!("../../tests/vectors/radius-bad-packets.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap();
            let (cause, rest) = rest.trim_start().split_once(' ').unwrap();
            (name, cause, octets(rest))
        })
        .collect()
}

fn octets(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .flat_map(|word| {
            let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
            let octets = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
            octets.collect::<Vec<_>>().repeat(times.parse().unwrap())
        })
        .collect()
}
