//! Mails that an import asks for: put down with it or not at all, sent over TLS, tried again, never in the way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anteroom::config::mail::Mail;
use anteroom::import::pass::{Ask, Importer};
use anteroom::import::progress::Progress;
use anteroom::mail::sending::{Round, Sender};
use anteroom::users::letters::LetterKind;
use anteroom::users::roster::Roster;
use anteroom::users::sqlite::SqliteStore;

use crate::import::{configuration, ready};
use crate::support::people_directory::{PeopleDirectory, Somebody, Wrong};
use crate::support::smtp::{Protection, Smtp};

struct World {
    directory: PeopleDirectory,
    importer: Importer,
    store: Arc<SqliteStore>,
    mail: Arc<Mail>,
    folder: tempfile::TempDir,
}

/// A directory, a store, and `[mail]` in the words of the file.
async fn world(people: Vec<Somebody>, rule: &str, mail: &str) -> World {
    let directory = PeopleDirectory::start(people).await;
    let folder = tempfile::tempdir().unwrap();
    let item = format!("mail = \"{rule}\"");
    let text =
        configuration(directory.fake.address.port(), "", &item) + "\n[mail]\nfrom = \"it@corp.example\"\n" + mail;
    let (importer, store) = ready(&text, folder.path()).await;
    let config = anteroom::config::load_text(&text, &folder.path().join("anteroom.toml")).unwrap();
    World { directory, importer, store, mail: config.mail.unwrap(), folder }
}

impl World {
    async fn full(&self) -> anteroom::import::pass::Outcome {
        let ask = Ask { full: true, ..Ask::default() };
        self.importer.run(&ask, &Progress::default(), &mut |_| ()).await.unwrap()
    }

    fn sender(&self) -> Sender {
        Sender::new(&self.mail, self.store.clone(), "node").unwrap()
    }

    async fn round(&self, later: Duration) -> Round {
        self.sender().round(SystemTime::now() + later, Duration::ZERO).await.unwrap()
    }
}

fn person(name: &str) -> Somebody {
    Somebody { mail: Some(format!("{name}@corp.example")), ..Somebody::new(name) }
}

fn plain(port: u16) -> String {
    format!("server = \"smtp://127.0.0.1:{port}\"\nplaintext = true\nportal = \"https://mfa.corp.example\"\n")
}

const NOW: Duration = Duration::from_secs(1);

#[tokio::test]
async fn who_comes_is_welcomed_once_and_who_changes_is_told() {
    let smtp = Smtp::start(Protection::None).await;
    let people = vec![person("alice"), Somebody::new("nomail"), Somebody { locked: true, ..person("off") }];
    let world = world(people, "new_and_updated", &plain(smtp.port)).await;
    assert_eq!(world.full().await.counts.mails, 1);
    assert_eq!(world.round(NOW).await, Round { sent: 1, ..Round::default() });
    let welcome = smtp.taken().remove(0);
    assert_eq!((welcome.from.as_str(), welcome.to.as_str()), ("it@corp.example", "alice@corp.example"));
    assert_eq!(welcome.header("Subject"), Some("Your sign-in now asks for a second proof"));
    assert!(welcome.data.contains("https://mfa.corp.example"), "{}", welcome.data);
    assert!(!welcome.data.contains("phone number"), "there is none, so its line is left out: {}", welcome.data);
    assert_eq!(world.full().await.counts.mails, 0, "nothing has changed");
    assert_eq!(world.round(NOW).await, Round::default());
    // Alice gets a phone; who was off is enabled: told, and welcomed.
    let alice = Somebody { mobile: Some("202-555-0111".into()), ..person("alice") };
    world.directory.set(vec![alice, Somebody::new("nomail"), person("off")]);
    assert_eq!(world.full().await.counts.mails, 2);
    assert_eq!(world.round(NOW).await.sent, 2);
    let told: Vec<_> = smtp.taken().into_iter().skip(1).collect();
    let about = |to: &str| told.iter().find(|mail| mail.to == to).unwrap();
    assert_eq!(about("alice@corp.example").header("Subject"), Some("Your sign-in details have changed"));
    assert!(about("off@corp.example").header("Subject").unwrap().contains("second proof"));
    let text = quoted(&about("alice@corp.example").data);
    assert!(text.contains("…111") && !text.contains("2025550111"), "a number is only hinted at: {text}");
}

/// The text of a mail that is quoted-printable or base64.
fn quoted(data: &str) -> String {
    use base64::Engine as _;
    let (head, body) = data.split_once("\r\n\r\n").unwrap();
    if head.contains("base64") {
        let body: String = body.split_whitespace().collect();
        return String::from_utf8(base64::engine::general_purpose::STANDARD.decode(body).unwrap()).unwrap();
    }
    let joined = body.replace("=\r\n", "");
    let (mut out, mut octets) = (Vec::new(), joined.bytes());
    while let Some(octet) = octets.next() {
        if octet == b'=' {
            let pair = [octets.next().unwrap(), octets.next().unwrap()];
            out.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
        } else {
            out.push(octet);
        }
    }
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn an_import_that_fails_or_waits_writes_to_nobody_it_would_have() {
    let smtp = Smtp::start(Protection::None).await;
    let mail = plain(smtp.port) + "administrators = [\"ops@corp.example\"]\n";
    let world = world((0..30).map(|n| person(&format!("u{n:02}"))).collect(), "new", &mail).await;
    world.directory.go(Wrong::LostIn(2));
    let ask = Ask { full: true, ..Ask::default() };
    assert!(world.importer.run(&ask, &Progress::default(), &mut |_| ()).await.is_err());
    assert_eq!(world.store.letters_waiting().await.unwrap(), 0);
    world.directory.go(Wrong::Nothing);
    assert_eq!(world.full().await.counts.mails, 30);
    for _ in 0..2 {
        world.round(NOW).await;
    }
    assert_eq!((smtp.taken().len(), world.store.letters_waiting().await.unwrap()), (30, 0));
    // Ten leave and one comes: it waits, and only the administrators hear of it, once.
    world.directory.set((10..31).map(|n| person(&format!("u{n:02}"))).collect());
    for _ in 0..3 {
        assert!(world.full().await.held.is_some());
    }
    assert_eq!(world.round(NOW).await.sent, 1);
    let told = smtp.taken().pop().unwrap();
    assert_eq!(told.to, "ops@corp.example");
    let text = quoted(&told.data);
    assert!(text.contains("anteroom import approve all") && text.contains("10 people"), "{text}");
    assert!(world.store.approve_plan("all", "cli:root").await.unwrap());
    assert_eq!(world.full().await.counts.mails, 1);
    assert_eq!(world.round(NOW).await.sent, 1);
    assert_eq!(smtp.taken().pop().unwrap().to, "u30@corp.example");
}

#[tokio::test]
async fn what_is_refused_is_given_up_and_a_server_that_is_away_is_asked_again() {
    let smtp = Smtp::start(Protection::None).await;
    let world = world(vec![person("reject"), person("alice")], "new", &plain(smtp.port)).await;
    world.full().await;
    assert_eq!(world.round(NOW).await, Round { sent: 1, dropped: 1, put_off: 0 });
    world.directory.set(vec![person("reject"), person("alice"), person("later")]);
    world.full().await;
    assert_eq!(world.round(NOW).await, Round { put_off: 1, ..Round::default() });
    assert_eq!(world.round(NOW).await, Round::default(), "not at once again");
    assert_eq!(world.round(Duration::from_secs(70)).await, Round { put_off: 1, ..Round::default() });
    assert_eq!(world.round(Duration::from_secs(75)).await, Round::default(), "twice as long as before");
    let days = Duration::from_secs(4 * 86_400);
    assert_eq!(world.round(days).await, Round { dropped: 1, ..Round::default() }, "given up in the end");
    assert_eq!(world.store.letters_waiting().await.unwrap(), 0);
    // No server at all: an import does not care.
    drop(smtp);
    world.directory.set(vec![person("reject"), person("alice"), person("later"), person("bob")]);
    assert_eq!(world.full().await.counts.added, 1);
    assert_eq!(world.round(NOW).await, Round { put_off: 1, ..Round::default() });
    // Who is gone by then is not written to.
    assert!(world.store.dismiss("id-bob", "t").await.unwrap());
    assert_eq!(world.round(Duration::from_secs(70)).await, Round { dropped: 1, ..Round::default() });
}

#[tokio::test]
async fn of_several_servers_one_sends_each_mail() {
    let smtp = Smtp::start(Protection::None).await;
    let world = world((0..20).map(|n| person(&format!("u{n:02}"))).collect(), "new", &plain(smtp.port)).await;
    world.full().await;
    let now = SystemTime::now() + NOW;
    let (one, two) = (world.sender(), world.sender());
    let (one, two) = tokio::join!(one.round(now, Duration::ZERO), two.round(now, Duration::ZERO));
    assert_eq!(one.unwrap().sent + two.unwrap().sent, 20);
    assert_eq!(smtp.taken().len(), 20);
}

/// A certificate for this machine: the server's configuration, and the authority as a file.
fn certificate(folder: &Path) -> Arc<rustls::ServerConfig> {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    std::fs::write(folder.join("mail-ca.pem"), key.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], key.signing_key.serialize_der().try_into().unwrap())
        .unwrap();
    Arc::new(config)
}

#[tokio::test]
async fn mails_and_passwords_cross_verified_tls_only() {
    let keep = tempfile::tempdir().unwrap();
    let config = certificate(keep.path());
    let ca = format!("ca_file = \"{}\"\n", keep.path().join("mail-ca.pem").display());
    let login = "login = \"anteroom\"\npassword = \"right\"\n";
    for (scheme, protection) in [("smtps", Protection::Tls(config.clone())), ("smtp", Protection::StartTls(config))] {
        let smtp = Smtp::start(protection).await;
        let server = format!("server = \"{scheme}://localhost:{}\"\n", smtp.port);
        let good = world(vec![person("alice")], "new", &(server.clone() + &ca + login)).await;
        good.full().await;
        assert_eq!(good.round(NOW).await.sent, 1, "{scheme}");
        let mail = smtp.taken().remove(0);
        assert_eq!((mail.tls, mail.login.as_deref()), (true, Some("anteroom")), "{scheme}");
        // Without the authority nothing is sent; with a wrong password it is put off, not lost.
        for mail in [server.clone() + login, server + &ca + &login.replace("right", "wrong-planted")] {
            let world = world(vec![person("bob")], "new", &mail).await;
            world.full().await;
            assert_eq!(world.round(NOW).await, Round { put_off: 1, ..Round::default() }, "{scheme}");
            assert!(!format!("{:?} {:?}", world.mail, world.sender()).contains("planted"));
            assert!(world.folder.path().exists());
        }
        assert_eq!(smtp.taken().len(), 1, "{scheme}");
    }
    // A server that offers no STARTTLS gets nothing.
    let smtp = Smtp::start(Protection::None).await;
    let bare = world(vec![person("carol")], "new", &format!("server = \"smtp://localhost:{}\"\n{ca}", smtp.port)).await;
    bare.full().await;
    assert_eq!(bare.round(NOW).await, Round { put_off: 1, ..Round::default() });
    assert!(smtp.taken().is_empty());
}

#[tokio::test]
async fn a_letter_is_the_same_however_often_it_is_asked_for() {
    let world = world(Vec::new(), "new", "server = \"smtps://localhost\"\n").await;
    for _ in 0..5 {
        world.store.write_letter("id-alice", LetterKind::New).await.unwrap();
    }
    world.store.write_letter("id-alice", LetterKind::Updated).await.unwrap();
    assert_eq!(world.store.letters_waiting().await.unwrap(), 2);
    let letter = world.store.letters_due(SystemTime::now() + NOW, 10).await.unwrap().remove(0);
    let until = SystemTime::now() + Duration::from_secs(100);
    assert!(world.store.take_letter(&letter, until).await.unwrap());
    assert!(!world.store.take_letter(&letter, until).await.unwrap(), "somebody was quicker");
    assert_eq!(world.store.letters_due(SystemTime::now() + NOW, 10).await.unwrap().len(), 1);
}
