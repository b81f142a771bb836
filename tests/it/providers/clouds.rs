//! The clouds that the suite runs over.

use anteroom::config::{
    Codes, DuoProvider, EntraProvider, NativeAuthentication, NativeProvider, OktaAuthentication, OktaProvider,
    PrivacyIdeaAuthorisation, PrivacyIdeaProvider, Triggers,
};
use anteroom::factor::duo::{self, Duo};
use anteroom::factor::entra::Entra;
use anteroom::factor::native::wire::ServerIdentity;
use anteroom::factor::native::{self, Native};
use anteroom::factor::okta::{self, Okta};
use anteroom::factor::privacyidea::{self, PrivacyIdea};
use anteroom::simulate;

use super::*;
use crate::clouds::{duo as duos, entra as entras};

/// What is said of most of them; each says what differs.
const USUAL: Spec = Spec {
    word: "",
    service: || unreachable!("a cloud without a service"),
    provider: |_| unreachable!("a cloud without a provider"),
    first: Step::Look,
    prompts: Step::Begin,
    answers: Step::Poll,
    unrest: || Vec::new(),
    cancels: false,
    closes: false,
    tokens: false,
    clock_counts: false,
    asks_again: false,
    fraud: Refusal::Fraud,
    lockout: Refusal::LockedThere,
    undeliverable: Refusal::Undeliverable,
    unknown: Refusal::NotEnrolledThere,
    twice: Answer::Approved,
    optional: &["192.0.2.7"],
    always: &[ALICE],
    codes: &[],
};

pub(crate) static SPECS: &[Spec] = &[
    Spec {
        word: "privacyidea",
        service: || Arc::new(simulate::privacyidea::PrivacyIdea::new("anteroom", credential(), "lab")),
        provider: |common| Arc::new(privacyidea(common)),
        first: Step::Token,
        closes: true,
        tokens: true,
        fraud: Refusal::Denied,
        lockout: Refusal::Denied,
        undeliverable: Refusal::Expired,
        twice: refused_as_denied(),
        codes: &[(Method::SmsCode, "sms"), (Method::EmailCode, "email")],
        ..USUAL
    },
    Spec {
        word: "okta",
        service: || Arc::new(simulate::okta::Okta::new(credential(), None)),
        provider: |common| Arc::new(okta(common, OktaAuthentication::Token(credential()))),
        cancels: true,
        fraud: Refusal::Denied,
        codes: &[(Method::SmsCode, "sms"), (Method::EmailCode, "email")],
        ..USUAL
    },
    Spec {
        word: "entra",
        service: || Arc::new(entras::service()),
        provider: |common| Arc::new(entra(common)),
        first: Step::Token,
        tokens: true,
        codes: &[(Method::SmsCode, "sms")],
        ..USUAL
    },
    Spec {
        word: "duo",
        service: || Arc::new(duos::service()),
        provider: |common| Arc::new(duo(common)),
        undeliverable: Refusal::Expired,
        codes: &[(Method::SmsCode, "sms")],
        ..USUAL
    },
    Spec {
        word: "native",
        service: || Arc::new(simulate::native::Native::new("test", &credential()).expect("a good key")),
        provider: |common| Arc::new(native(common)),
        first: Step::Begin,
        // Without its stream it asks for states, where the suite puts its faults.
        unrest: || vec![Fault::status(503).at(Step::Events)],
        cancels: true,
        clock_counts: true,
        asks_again: true,
        lockout: Refusal::Undeliverable,
        unknown: Refusal::Undeliverable,
        optional: &["192.0.2.7", "Planted-First", "Planted-Last", "planted-mail", "555 0142"],
        always: &[ALICE, "planted-token", "uid-alice"],
        ..USUAL
    },
];

const fn refused_as_denied() -> Answer {
    Answer::Refused(Refusal::Denied)
}

pub(crate) fn credential() -> Secret {
    Secret::from_text(PLANTED[0].into())
}

pub(crate) fn privacyidea(common: Common) -> PrivacyIdea {
    let config = PrivacyIdeaProvider {
        common,
        authorisation: PrivacyIdeaAuthorisation::Account { name: "anteroom".into(), password: credential() },
        user: CloudName::Upn,
        realm: Some("lab".into()),
        realms: Vec::new(),
        triggers: Triggers::Method,
        codes: Codes::Direct,
    };
    let timing = privacyidea::Timing { interval: Duration::from_millis(10), per_second: 1000 };
    PrivacyIdea::with_timing(&config, timing).expect("a good configuration")
}

pub(crate) fn okta(common: Common, authentication: OktaAuthentication) -> Okta {
    let config = OktaProvider { common, authentication, user: CloudName::Upn };
    let timing = okta::Timing { interval: Duration::from_millis(10), per_second: 1000 };
    Okta::start_with(&config, timing).expect("a good configuration")
}

pub(crate) fn entra(common: Common) -> Entra {
    let mut config: EntraProvider = entras::config(common.outbound.url.clone());
    config.common = common;
    Entra::new(&config).expect("a good configuration")
}

pub(crate) fn duo(common: Common) -> Duo {
    let config = DuoProvider { common, ..duos::config(String::new()) };
    // A question that nobody answers is given up sooner than outside of tests.
    let timing =
        duo::Timing { longest: Duration::from_secs(3), pause: Duration::from_millis(10), ..Default::default() };
    Duo::with_timing(&config, timing).expect("a good configuration")
}

pub(crate) fn native(common: Common) -> Native {
    let authentication = NativeAuthentication::Signed { key_id: "test".into(), key: credential() };
    let timing = native::Timing {
        moment: Duration::from_millis(10),
        round: Duration::from_millis(10),
        reconnect: Duration::from_millis(10),
        ..native::Timing::default()
    };
    let server = ServerIdentity { name: "anteroom one".into(), address: None };
    Native::start_with(
        &NativeProvider { common, authentication, pin_on_phone: false, number_matching: false },
        server,
        timing,
    )
    .expect("a good configuration")
}
