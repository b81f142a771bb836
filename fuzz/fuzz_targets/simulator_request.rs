//! Requests to the simulated clouds, and scenario files: nothing panics, and a file that is read does not say what its
//! words forbid. The first line is the method, the second the path, the third a header, the rest is the body.

#![no_main]

use std::sync::{Arc, LazyLock};

use anteroom::secret::Secret;
use anteroom::simulate::entra::{Credential, Entra};
use anteroom::simulate::{Call, Desk, ScenarioFile, Service, duo, native, okta, privacyidea};
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;

static SERVICES: LazyLock<Vec<Arc<dyn Service>>> = LazyLock::new(|| {
    let secret = || Secret::from_text("0123456789abcdef0123456789abcdef".into());
    vec![
        Arc::new(Entra::new("tenant", "client", "resource", Credential::Secret(secret()))),
        Arc::new(duo::Duo::new("DIXXXXXXXXXXXXXXXXXX", secret())),
        Arc::new(okta::Okta::new(secret(), None)),
        Arc::new(privacyidea::PrivacyIdea::new("anteroom", secret(), "lab")),
        Arc::new(native::Native::new("test", &secret()).expect("long enough")),
    ]
});

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(file) = ScenarioFile::read(text)
    {
        let sections = file.person.values().chain([&file.everybody]);
        for fault in sections.flat_map(|scenario| &scenario.fault) {
            assert!(fault.times > 0 && fault.status.is_none_or(|status| (400..600).contains(&status)));
        }
    }
    let mut lines = input.splitn(4, |octet| *octet == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, target, header, body) = (next(), next(), next(), next());
    let Ok(method) = http::Method::from_bytes(method) else { return };
    let Ok(uri) = http::Uri::try_from(target) else { return };
    let mut headers = http::HeaderMap::new();
    let mut halves = header.splitn(2, |octet| *octet == b':');
    let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    if let (Ok(name), Ok(value)) = (http::HeaderName::from_bytes(name), http::HeaderValue::from_bytes(value)) {
        headers.insert(name, value);
    }
    let desk = Arc::new(Desk::new(ScenarioFile::default()));
    for service in SERVICES.iter() {
        let (method, uri, headers) = (method.clone(), uri.clone(), headers.clone());
        let body = bytes::Bytes::copy_from_slice(body);
        let call = Call { method, uri, headers, body, now: 1_767_225_600, tls: false };
        let about = service.about(&call, &desk);
        assert!(about.fields.iter().all(|(_, value)| !value.is_empty()));
        // One that waits for a person is not waited for.
        if let Some(reply) = service.answer(&call, &desk).now_or_never() {
            assert!((100..600).contains(&reply.status));
            for which in 0..service.halves() {
                let again = anteroom::simulate::Reply::new(reply.status, reply.kind, reply.body.clone());
                service.half_success(again, which);
            }
        }
    }
});
