//! A reception for the tests of the doors: it knows no target, so that every sign-in ends in a rejection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::audit::{Accounted, Event, Ledger, Note};
use crate::config::{Limits, Throttle};
use crate::signin::reception::{Deps, SignIns};
use crate::telemetry::metrics::Metrics;
use crate::users::model::Person;
use crate::users::store::{Store, StoreError, StoreResult, folded};

struct Away;

fn away<T: Send + 'static>() -> BoxFuture<'static, StoreResult<T>> {
    Box::pin(async { Err(StoreError::Unavailable("there is none".into())) })
}

impl Ledger for Away {
    fn finish(&self, _: Event) {}

    fn note(&self, _: Note) {}
}

/// A store that knows these people by their names, and nothing else; without any it cannot be reached.
pub(crate) struct StoreOf(pub(crate) Option<Vec<Person>>);

impl Store for StoreOf {
    fn person<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        away()
    }

    fn person_named<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        let is = |own: &str| folded(own) == folded(name);
        let named = |person: &&Person| is(&person.name) || person.upn.as_deref().is_some_and(is);
        let Some(people) = &self.0 else { return away() };
        let found = people.iter().find(named).cloned();
        Box::pin(async { Ok(found) })
    }

    fn people<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, StoreResult<Vec<Person>>> {
        away()
    }

    fn add<'a>(&'a self, _: &'a Person) -> BoxFuture<'a, StoreResult<()>> {
        away()
    }

    fn replace<'a>(&'a self, _: &'a Person) -> BoxFuture<'a, StoreResult<bool>> {
        away()
    }

    fn remove<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        away()
    }

    fn block<'a>(&'a self, _: &'a str, _: Option<SystemTime>) -> BoxFuture<'a, StoreResult<bool>> {
        away()
    }

    fn record<'a>(&'a self, _: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        away()
    }

    fn record_accounting<'a>(&'a self, _: &'a [Accounted]) -> BoxFuture<'a, StoreResult<()>> {
        away()
    }
}

/// A store that cannot be reached.
pub(crate) fn store_away() -> Arc<dyn Store> {
    Arc::new(StoreOf(None))
}

/// Rejects everybody.
pub(crate) fn rejecting() -> Arc<SignIns> {
    let minute = Duration::from_secs(60);
    SignIns::new(Deps {
        targets: BTreeMap::new(),
        providers: BTreeMap::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        caching: Default::default(),
        mails: false,
        store: store_away(),
        ledger: Arc::new(Away),
        limits: Limits { held: 10, held_per_person: 10, at_directory: 10 },
        throttle: Throttle {
            failures_per_person: 10,
            failures_per_source: 10,
            window: minute,
            prompts_per_person: 10,
            prompt_window: minute,
            denial_backoff: minute,
            fraud_block: minute,
            lockout: None,
        },
        server: "test".into(),
        metrics: Arc::new(Metrics::new([])),
        random: [0; 32],
        texts: Arc::new(crate::texts::Texts::built_in()),
        pins: None,
        rounds: None,
        nodes: None,
    })
}

/// Somebody with an app and a phone.
pub(crate) fn person(unique_id: &str) -> Person {
    Person {
        unique_id: unique_id.into(),
        name: "alice".into(),
        upn: Some("alice@corp.example".into()),
        dn: None,
        first_name: Some("Alice".into()),
        last_name: Some("Anderson".into()),
        email: Some("alice@mail.example".into()),
        phone: Some("+1 202 555 0101".into()),
        phone_extension: None,
        device_token: Some("token-of-alice".into()),
        method: crate::users::model::Method::Push,
        mode: crate::users::model::Mode::Standard,
        language: "en".into(),
        enabled: true,
        blocked_until: None,
    }
}
