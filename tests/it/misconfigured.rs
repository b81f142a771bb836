//! What `anteroom check` says of each misconfiguration of each provider: wrong key, skewed clock, missing permission, wrong
//! host, proxy in the way.

#![cfg(test)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anteroom::cli::check::Level;
use anteroom::demo::phone::{Behaviour, Phone, PhoneOptions};
use anteroom::secret::Secret;
use anteroom::simulate::entra::Credential;
use anteroom::simulate::{
    Fault, Malformed, Options, Scenario, ServerScenario, Service, Simulator, Step, duo, entra, okta, privacyidea,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::proxy::{Proxy, checked, config, with_certificate};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The credential of every cloud, and one that is wrong everywhere.
const RIGHT: &str = "planted-credential-0123456789abcdefghijk";
const WRONG: &str = "wrong-credential-0123456789abcdefghijklm";

const RESOURCE: &str = "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector";

/// A type of provider, and what is said of its troubles.
struct Kind {
    word: &'static str,
    service: fn() -> Arc<dyn Service>,
    /// Its keys but for `url` and the credential.
    section: fn(&str, &str) -> String,
    /// Where a missing permission shows.
    rights: Step,
    wrong_key: &'static str,
    no_right: &'static str,
}

fn right() -> Secret {
    Secret::from_text(RIGHT.into())
}

const KINDS: [Kind; 4] = [
    Kind {
        word: "entra",
        service: || Arc::new(entra::Entra::new("tenant.example", "client", RESOURCE, Credential::Secret(right()))),
        section: |url, key| {
            format!(
                "url = \"{url}\"\nlogin = \"{url}\"\ntenant = \"tenant.example\"\nclient_id = \"client\"\nclient_secret = \"{key}\""
            )
        },
        rights: Step::Ping,
        wrong_key: "client_secret is wrong",
        no_right: "connector refuses it",
    },
    Kind {
        word: "duo",
        service: || Arc::new(duo::Duo::new("DIXXXXXXXXXXXXXXXXXX", right())),
        section: |url, key| format!("url = \"{url}\"\nikey = \"DIXXXXXXXXXXXXXXXXXX\"\nskey = \"{key}\""),
        rights: Step::Ping,
        wrong_key: "skey is not that of this ikey",
        no_right: "Auth API application",
    },
    Kind {
        word: "privacyidea",
        service: || Arc::new(privacyidea::PrivacyIdea::new("anteroom", right(), "lab")),
        section: |url, key| format!("url = \"{url}\"\naccount = \"anteroom\"\npassword = \"{key}\"\nrealm = \"lab\""),
        rights: Step::Begin,
        wrong_key: "account and password",
        no_right: "triggerchallenge",
    },
    Kind {
        word: "okta",
        service: || Arc::new(okta::Okta::new(right(), None)),
        section: |url, key| format!("url = \"{url}\"\ntoken = \"{key}\""),
        rights: Step::Any,
        wrong_key: "API token",
        no_right: "okta.users.manage",
    },
];

/// The one finding about a provider that does not work.
async fn failure(section: &str, folder: &Path) -> String {
    let findings = checked(&config(section, folder), folder).await;
    let [(Level::Fail, said)] = &findings[..] else { panic!("{section}: {findings:?}") };
    assert!(!said.contains("planted"), "{said}");
    said.clone()
}

impl Kind {
    fn written(&self, url: &str, key: &str) -> String {
        format!("type = \"{}\"\ntimeout = \"1s\"\n{}", self.word, (self.section)(url, key))
    }
}

#[tokio::test]
async fn each_misconfiguration_of_each_cloud_is_told_in_words_that_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for kind in &KINDS {
        let simulator = Simulator::start(LOOPBACK, (kind.service)(), Options::default()).await.unwrap();
        let url = simulator.url();
        let findings = checked(&config(&kind.written(&url, RIGHT), folder), folder).await;
        assert!(findings.iter().all(|(level, _)| *level == Level::Ok), "{}: {findings:?}", kind.word);

        let said = failure(&kind.written(&url, WRONG), folder).await;
        assert!(said.contains(kind.wrong_key), "{}, wrong key: {said}", kind.word);

        simulator.desk().set(None, Scenario::with(Fault::status(403).at(kind.rights)));
        let said = failure(&kind.written(&url, RIGHT), folder).await;
        assert!(said.contains(kind.no_right), "{}, missing permission: {said}", kind.word);

        simulator.desk().set(None, Scenario::with(Fault::malformed(Malformed::Html)));
        let said = failure(&kind.written(&url, RIGHT), folder).await;
        assert!(said.contains("proxy"), "{}, a portal in the way: {said}", kind.word);

        simulator.desk().set(None, Scenario::default());
        for clock_skew in [400, -400] {
            simulator.desk().set_server(ServerScenario { clock_skew, ..ServerScenario::default() });
            let findings = checked(&config(&kind.written(&url, RIGHT), folder), folder).await;
            let direction = if clock_skew > 0 { "ahead of ours" } else { "behind ours" };
            let told = findings.iter().any(|(level, said)| *level == Level::Warn && said.contains(direction));
            assert!(told, "{}, a clock that is off by {clock_skew} s: {findings:?}", kind.word);
        }
        simulator.stop().await;
        let said = failure(&kind.written(&url, RIGHT), folder).await;
        assert!(said.contains("no connection") && said.contains("url"), "{}, nobody there: {said}", kind.word);
    }
}

#[tokio::test]
async fn a_host_of_another_cloud_and_a_proxy_that_refuses_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (place, kind) in KINDS.iter().enumerate() {
        // the next cloud of the table stands at this address
        let other = &KINDS[(place + 1) % KINDS.len()];
        let simulator = Simulator::start(LOOPBACK, (other.service)(), Options::default()).await.unwrap();
        let said = failure(&kind.written(&simulator.url(), RIGHT), folder).await;
        assert!(
            ["url", "tenant", "login"].iter().any(|word| said.contains(word)),
            "{} at {}: {said}",
            kind.word,
            other.word
        );
        let simulator = with_certificate((kind.service)(), folder).await;
        let proxy = Proxy::start().await;
        let through = |user: &str| {
            let section = kind.written(&simulator.url(), RIGHT);
            format!(
                "{section}\nca_file = \"cloud.pem\"\nproxy = \"{}\"\nproxy_user = \"{user}\"\nproxy_password = \"planted-proxy-password\"",
                proxy.url()
            )
        };
        let findings = checked(&config(&through("anteroom"), folder), folder).await;
        assert!(findings.iter().all(|(level, _)| *level != Level::Fail), "{}: {findings:?}", kind.word);
        let said = failure(&through("somebody"), folder).await;
        assert!(said.contains("proxy"), "{}: {said}", kind.word);
        // a certificate that nobody vouches for
        let section = kind.written(&simulator.url(), RIGHT);
        let said = failure(&section, folder).await;
        assert!(said.contains("TLS") && said.contains("ca_file"), "{}: {said}", kind.word);
    }
}

/// Answers everything with this body.
async fn parrot(body: String) -> String {
    let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let mut octets = [0; 4096];
                while stream.read(&mut octets).await.is_ok_and(|read| read > 0) {
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn each_misconfiguration_of_a_native_service_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let options = PhoneOptions { key: Some(("node".into(), right())), behaviour: Behaviour::Manual };
    let phone = Phone::start(LOOPBACK, options).await.unwrap();
    let written = |url: &str, id: &str, key: &str| {
        format!("timeout = \"1s\"\nurl = \"{url}\"\nkey_id = \"{id}\"\nkey = \"{key}\"")
    };
    let good = written(&phone.url(), "node", RIGHT);
    let findings = checked(&config(&good, folder), folder).await;
    assert!(findings.iter().all(|(level, _)| *level == Level::Ok), "{findings:?}");
    for (section, word) in [
        (written(&phone.url(), "node", WRONG), "check key_id and key"),
        (written(&phone.url(), "other", RIGHT), "check key_id and key"),
        (written(&format!("{}/elsewhere", phone.url()), "node", RIGHT), "must end before /v1"),
        (written("http://127.0.0.1:1", "node", RIGHT), "no connection"),
    ] {
        let said = failure(&section, folder).await;
        assert!(said.contains(word), "{word}: {said}");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (time, word) in [(now + 400, "400 s ahead"), (now - 400, "NTP")] {
        let url = parrot(format!("{{\"time\":{time}}}")).await;
        let said = failure(&written(&url, "node", RIGHT), folder).await;
        assert!(said.contains(word) || said.contains("399 s ahead") || said.contains("401 s ahead"), "{word}: {said}");
    }
    let url = parrot("<!doctype html><title>Please log in</title>".into()).await;
    let said = failure(&written(&url, "node", RIGHT), folder).await;
    assert!(said.contains("check the url") || said.contains("proxy"), "{said}");
}

#[tokio::test]
async fn tokens_of_the_house_are_checked_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let said = failure("type = \"oath\"", folder).await;
    assert!(said.contains("people.db") && said.contains("enrol"), "{said}");
    let store = anteroom::users::sql::SqlStore::open(folder.join("people.db"), true).await.unwrap();
    store.close().await;
    let findings = checked(&config("type = \"oath\"\ntries = 3", folder), folder).await;
    assert!(findings.iter().all(|(level, _)| *level == Level::Ok), "{findings:?}");
}
