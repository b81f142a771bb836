//! The provider against a real privacyIDEA server: a push, TOTP, HOTP, text message and e-mail tokens, several at once,
//! realms, rights, certificates.

#![cfg(test)]

mod alike;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anteroom::config::{
    CloudName, Codes, Common, NumberMatching, Outbound, PrivacyIdeaAuthorisation, PrivacyIdeaProvider, SendFields,
    Triggers, UnreachableClass,
};
use anteroom::factor::privacyidea::PrivacyIdea;
use anteroom::factor::routing::Guarded;
use anteroom::factor::{Answer, Factor, Provider, Refusal, Request, Tell};
use anteroom::secret::Secret;
use anteroom::signin::attempt::SignInId;
use anteroom::users::model::{Method, Person};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::peers::privacyidea::{ADMIN_PASSWORD, PrivacyIdea as Server};

/// The secret of RFC 4226, appendix D.
const KEY: &[u8] = b"12345678901234567890";

/// Whoever has texts sent holds it: the latest one is what a test reads.
static TEXTS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Counts the codes of a HOTP token: each is good once.
static COUNTER: AtomicU64 = AtomicU64::new(0);

fn hotp(counter: u64) -> String {
    let mut keyed = Hmac::<Sha1>::new_from_slice(KEY).unwrap();
    keyed.update(&counter.to_be_bytes());
    let digest = keyed.finalize().into_bytes();
    let offset = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn config(server: &Server) -> PrivacyIdeaProvider {
    let outbound =
        Outbound { url: server.url.clone(), ca_file: Some(server.ca()), proxy: None, timeout: Duration::from_secs(20) };
    let send = SendFields { names: true, email: true, phone: true, person_address: true };
    PrivacyIdeaProvider {
        common: Common { name: "tokens".into(), outbound, send, failover: Vec::new() },
        authorisation: account("anteroom"),
        user: CloudName::Name,
        realm: Some("lab".into()),
        realms: vec![("pinned.test".into(), "pinned".into())],
        triggers: Triggers::All,
        codes: Codes::Direct,
    }
}

fn account(name: &str) -> PrivacyIdeaAuthorisation {
    PrivacyIdeaAuthorisation::Account { name: name.into(), password: Secret::from_text(ADMIN_PASSWORD.into()) }
}

fn provider(server: &Server) -> Arc<PrivacyIdea> {
    Arc::new(PrivacyIdea::new(&config(server)).unwrap())
}

fn request(user: &str, method: Method, code: Option<&str>) -> Request {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut octets = [7; 12];
    octets[4..].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let person = Person {
        upn: user.starts_with("pin").then(|| format!("{user}@Pinned.test")),
        method,
        ..Person::bare(format!("uid-{user}"), user)
    };
    Request {
        sign_in: SignInId::new(octets),
        person: Arc::new(person),
        method,
        code: code.map(|code| Secret::from_text(code.into())),
        application: "VPN".into(),
        person_address: None,
        deadline: Instant::now() + Duration::from_secs(60),
        device: None,
        number_matching: NumberMatching::Approve,
        can_type: true,
        tell: None,
        given: None,
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}

fn push(provider: &Arc<PrivacyIdea>, user: &'static str) -> tokio::task::JoinHandle<Answer> {
    let provider = Arc::clone(provider);
    tokio::spawn(async move { provider.run(request(user, Method::Push, None)).await })
}

async fn phone(server: &'static Server, answer: &'static str, user: &'static str) {
    tokio::task::spawn_blocking(move || server.phone(answer, user)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn push_is_approved_and_declined_on_the_phone() {
    let Some(server) = Server::get() else { return };
    let provider = provider(server);
    for (answer, expected) in [("accept", Answer::Approved), ("decline", refused(Refusal::Denied))] {
        let held = push(&provider, "push");
        phone(server, answer, "push").await;
        assert_eq!(held.await.unwrap(), expected, "{answer}");
    }
    assert_eq!(provider.waiting(), 0);
    let guarded = Guarded::new(provider);
    let short = Request { deadline: Instant::now() + Duration::from_secs(3), ..request("push", Method::Push, None) };
    assert_eq!(guarded.run(short).await, refused(Refusal::Expired), "nobody looks at the phone");
    assert_eq!(guarded.state(), anteroom::factor::routing::BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_of_totp_and_hotp_tokens_are_right_wrong_and_good_once() {
    let Some(server) = Server::get() else { return };
    let provider = provider(server);
    let typed = async |user: &str, code: &str| provider.run(request(user, Method::Oath, Some(code))).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let code = hotp(now / 30);
    assert_eq!(typed("totp", "000000").await, refused(Refusal::WrongCode));
    assert_eq!(typed("totp", &code).await, Answer::Approved);
    assert_eq!(typed("totp", &code).await, refused(Refusal::WrongCode), "a code is good once");
    let first = hotp(COUNTER.fetch_add(1, Ordering::Relaxed));
    assert_eq!(typed("hotp", &first).await, Answer::Approved);
    assert_eq!(typed("hotp", &first).await, refused(Refusal::WrongCode), "a code is good once");
    assert_eq!(typed("hotp", &hotp(COUNTER.fetch_add(1, Ordering::Relaxed))).await, Answer::Approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_by_text_message_and_e_mail_are_typed_at_the_next_sign_in() {
    let Some(server) = Server::get() else { return };
    let _alone = TEXTS.lock().await;
    let provider = provider(server);
    for (user, method) in [("sms", Method::SmsCode), ("mail", Method::EmailCode)] {
        let tell = Tell::new(false);
        let sending = Request { tell: Some(tell.clone()), ..request(user, method, None) };
        assert_eq!(provider.run(sending).await, refused(Refusal::NeedsCode), "{user}");
        assert!(tell.take().is_some_and(|text| !text.is_empty()), "{user}: the server's words for the person");
        let code =
            tokio::task::spawn_blocking(move || if user == "sms" { server.text_message() } else { server.mail() });
        let code = code.await.unwrap();
        let wrong = if code == "111111" { "222222" } else { "111111" };
        assert_eq!(provider.run(request(user, Method::Oath, Some(wrong))).await, refused(Refusal::WrongCode), "{user}");
        assert_eq!(provider.run(request(user, Method::Oath, Some(&code))).await, Answer::Approved, "{user}");
        assert_eq!(provider.run(request(user, Method::Oath, Some(&code))).await, refused(Refusal::WrongCode), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn button_and_code_of_several_tokens_are_waited_for_side_by_side() {
    let Some(server) = Server::get() else { return };
    let provider = provider(server);
    // The prompt is out; the code of the other token comes first.
    let held = push(&provider, "several");
    while provider.waiting() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let code = hotp(0);
    assert_eq!(provider.run(request("several", Method::Oath, Some(&code))).await, Answer::Approved);
    held.abort();
    // And the other way round.
    let held = push(&provider, "several");
    phone(server, "accept", "several").await;
    assert_eq!(held.await.unwrap(), Answer::Approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn realm_of_the_upn_is_asked_and_a_pin_is_gone_around_by_a_challenge() {
    let Some(server) = Server::get() else { return };
    // Directly, the policy of that realm wants the password before the code.
    let direct = provider(server);
    assert_eq!(direct.run(request("pinhotp", Method::Oath, Some(&hotp(0)))).await, refused(Refusal::WrongCode));
    let mut config = config(server);
    config.codes = Codes::Challenge;
    let challenge = PrivacyIdea::new(&config).unwrap();
    assert_eq!(challenge.run(request("pinhotp", Method::Oath, Some(&hotp(1)))).await, Answer::Approved);
    let held = push(&direct, "pinpush");
    phone(server, "accept", "pinpush").await;
    assert_eq!(held.await.unwrap(), Answer::Approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_without_tokens_and_strangers_are_told_apart_from_failures() {
    let Some(server) = Server::get() else { return };
    let provider = provider(server);
    for (user, refusal) in [("notoken", Refusal::NotThisWay), ("nobody", Refusal::NotEnrolledThere)] {
        assert_eq!(provider.run(request(user, Method::Push, None)).await, refused(refusal), "{user}");
    }
    let code = provider.run(request("nobody", Method::Oath, Some("123456"))).await;
    assert_eq!(code, refused(Refusal::NotEnrolledThere));
    assert_eq!(
        provider.run(request("notoken", Method::Oath, Some("123456"))).await,
        refused(Refusal::WrongCode),
        "the server says no more than that"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_tells_what_is_wrong_with_the_account_the_realm_and_the_certificate() {
    let Some(server) = Server::get() else { return };
    let health = provider(server).probe().await.expect("answers");
    assert!(health.certificate_expires.is_some(), "{health:?}");
    let trouble = async |change: &dyn Fn(&mut PrivacyIdeaProvider)| {
        let mut config = config(server);
        change(&mut config);
        let provider = PrivacyIdea::new(&config).unwrap();
        let trouble = provider.probe().await.expect_err("in trouble").to_string();
        (trouble, provider.run(request("push", Method::Push, None)).await)
    };
    let unreachable = |class| refused(Refusal::Unreachable(class));
    let wrong = |config: &mut PrivacyIdeaProvider| {
        let password = Secret::from_text("wrong".into());
        config.authorisation = PrivacyIdeaAuthorisation::Account { name: "anteroom".into(), password };
    };
    let (text, answer) = trouble(&wrong).await;
    assert!(text.contains("account and password"), "{text}");
    assert_eq!(answer, unreachable(UnreachableClass::Refused));
    let (text, answer) = trouble(&|config| config.authorisation = account("powerless")).await;
    assert!(text.contains("triggerchallenge"), "{text}");
    assert_eq!(answer, unreachable(UnreachableClass::Refused));
    let forged = |config: &mut PrivacyIdeaProvider| {
        config.authorisation = PrivacyIdeaAuthorisation::Token(Secret::from_text("eyJ.forged.x".into()));
    };
    let (text, answer) = trouble(&forged).await;
    assert!(text.contains("refused"), "{text}");
    assert_eq!(answer, unreachable(UnreachableClass::Refused));
    let (text, answer) = trouble(&|config| config.common.outbound.ca_file = None).await;
    assert!(text.contains("TLS"), "{text}");
    assert_eq!(answer, unreachable(UnreachableClass::Tls));
    let (text, _) = trouble(&|config| config.common.outbound.url.push_str("/elsewhere")).await;
    assert!(text.contains("url"), "{text}");
}
