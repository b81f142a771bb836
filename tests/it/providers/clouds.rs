//! The clouds that the suite runs over.

use anteroom::config::{
    Codes, OktaAuthentication, OktaProvider, PrivacyIdeaAuthorisation, PrivacyIdeaProvider, Triggers,
};
use anteroom::factor::okta::{self, Okta};
use anteroom::factor::privacyidea::{self, PrivacyIdea};
use anteroom::simulate;

use super::*;

pub(crate) static SPECS: &[Spec] = &[
    Spec {
        word: "privacyidea",
        service: || Arc::new(simulate::privacyidea::PrivacyIdea::new("anteroom", credential(), "lab")),
        provider: |common| Arc::new(privacyidea(common)),
        first: Step::Token,
        prompts: Step::Begin,
        answers: Step::Poll,
        cancels: false,
        closes: true,
        tokens: true,
        fraud: Refusal::Denied,
        lockout: Refusal::Denied,
        undeliverable: Refusal::Expired,
        twice: refused_as_denied(),
        sends_address: true,
    },
    Spec {
        word: "okta",
        service: || Arc::new(simulate::okta::Okta::new(credential(), None)),
        provider: |common| Arc::new(okta(common, OktaAuthentication::Token(credential()))),
        first: Step::Look,
        prompts: Step::Begin,
        answers: Step::Poll,
        cancels: true,
        closes: false,
        tokens: false,
        fraud: Refusal::Denied,
        lockout: Refusal::LockedThere,
        undeliverable: Refusal::Undeliverable,
        twice: Answer::Approved,
        sends_address: true,
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
