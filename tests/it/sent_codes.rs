//! Codes that the house sends itself: random, good once and for a while, tried and sent no more often than they may be, by
//! whatever gateway; and the gateway may fail.

#![cfg(test)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anteroom::config::codes::{CodesProvider, HttpGateway, TwilioGateway, Via};
use anteroom::config::mail::Mail;
use anteroom::config::{
    Common, LocalProvider, NumberMatching, Outbound, Passcode, Security, SendFields, UnreachableClass,
};
use anteroom::factor::codes::Codes;
use anteroom::factor::codes::template::{Escape, Template};
use anteroom::factor::local::split::PinSide;
use anteroom::factor::local::{self, Local};
use anteroom::factor::{Answer, Factor, Provider, Refusal, Request};
use anteroom::secret::Secret;
use anteroom::signin::attempt::{Attempt, SignInId};
use anteroom::signin::outcome::Reason;
use anteroom::signin::reception::SignIns;
use anteroom::simulate::texts::Texts;
use anteroom::simulate::{Decision, Options, Scenario, Simulator};
use anteroom::users::keys::KeyFile;
use anteroom::users::model::{Method, Person};
use anteroom::users::pin::Rules;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster;
use anteroom::users::sql::SqlStore;
use anteroom::users::token::{Algorithm, Moving, Token};
use anteroom::users::typed::{Bound, Sending};

use crate::support::fakes::{self, Recorder};
use crate::support::smtp::{Protection, Smtp};

pub(crate) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const TOKEN: &str = "planted-gateway-token";
const PHONE: &str = "+12025550111";
const BACKUP: &str = "+12025550122";

/// A store with alice, who has a phone, a backup phone and an address; its clock; and a simulated gateway.
struct House {
    folder: tempfile::TempDir,
    store: Arc<SqlStore>,
    keys: Arc<KeyFile>,
    clock: Arc<Mutex<SystemTime>>,
    texts: Simulator,
}

fn alice() -> Person {
    Person { phone: Some(PHONE.into()), email: Some("alice@corp.example".into()), ..fakes::person() }
}

/// How the gateway is reached.
fn common(texts: &Simulator) -> Common {
    let outbound = Outbound { url: texts.url(), ca_file: None, proxy: None, timeout: Duration::from_secs(5) };
    let send = SendFields { names: true, email: true, phone: true, person_address: true };
    Common { name: "texts".into(), outbound, send, failover: Vec::new() }
}

/// By texts through this gateway.
pub(crate) fn twilio(texts: &Simulator) -> Via {
    Via::Twilio(TwilioGateway {
        common: common(texts),
        account: ACCOUNT.into(),
        token: Secret::from_text(TOKEN.into()),
        from: "+12025550100".into(),
    })
}

/// By mails through the server at this port.
pub(crate) fn mail(port: u16) -> Mail {
    Mail {
        host: "127.0.0.1".into(),
        port,
        security: Security::Plaintext,
        ca_file: None,
        login: None,
        from: "Sign-in <signin@corp.example>".into(),
        portal: None,
        templates: None,
        administrators: Vec::new(),
        per_minute: 30,
        timeout: Duration::from_secs(5),
        give_up_after: Duration::from_secs(60),
    }
}

impl House {
    async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqlStore::open(folder.path().join("people.db"), true).await.unwrap());
        let keys = Arc::new(KeyFile::open(folder.path().join("anteroom.keys")).unwrap());
        let profile = Profile { backup_phone: Some(BACKUP.into()), ..Profile::new(alice()) };
        store.enrol(&profile, "test").await.unwrap();
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let service = Arc::new(Texts::new(ACCOUNT, Secret::from_text(TOKEN.into())));
        let texts = Simulator::start(address, service, Options::default()).await.unwrap();
        let clock = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        House { folder, store, keys, clock, texts }
    }

    fn common(&self) -> Common {
        common(&self.texts)
    }

    fn http(&self) -> Via {
        let template = |text: &str, escape| Template::new(text, escape);
        Via::Http(HttpGateway {
            common: self.common(),
            method: reqwest::Method::POST,
            url: template(&format!("{}/send", self.texts.url()), Escape::Percent),
            headers: vec![
                ("Content-Type".into(), template("application/json", Escape::Plain)),
                ("Authorization".into(), template("Bearer {token}", Escape::Plain)),
            ],
            body: Some(template(r#"{"to":"{phone}","text":"{text}"}"#, Escape::Json)),
            expect: vec![202],
            token: Some(Secret::from_text(TOKEN.into())),
        })
    }

    fn twilio(&self) -> Via {
        twilio(&self.texts)
    }

    fn house(&self) -> local::House {
        let clock = Arc::clone(&self.clock);
        local::House {
            roster: self.store.clone(),
            keys: self.keys.clone(),
            pins: Rules::default(),
            clock: Arc::new(move || *clock.lock().unwrap()),
        }
    }

    fn provider(&self, via: Via) -> Codes {
        let config = CodesProvider {
            name: "texts".into(),
            failover: Vec::new(),
            via,
            digits: 6,
            sending: Sending { lives: Duration::from_secs(300), tries: 3, most: 4, per: Duration::from_secs(900) },
            text: "{code} is \"your\" code for {application}.".into(),
        };
        Codes::new(&Arc::new(config), self.house()).unwrap()
    }

    fn pass(&self, seconds: u64) {
        *self.clock.lock().unwrap() += Duration::from_secs(seconds);
    }

    /// The code in the last text, and whom it went to.
    fn last(&self) -> (String, String) {
        let mut prompts = self.texts.desk().prompts();
        prompts.sort_by_key(|prompt| prompt.number);
        let last = prompts.last().expect("a text was sent").clone();
        assert!(last.application.ends_with(" is \"your\" code for VPN."), "{}", last.application);
        (last.application[..6].to_owned(), last.person)
    }

    fn answer(&self, number: &str, answer: Decision) {
        self.texts.desk().set(Some(number), Scenario { answer, ..Scenario::default() });
    }
}

fn request(method: Method, code: Option<&str>) -> Request {
    Request {
        sign_in: SignInId::new([3; 12]),
        person: Arc::new(alice()),
        method,
        code: code.map(|code| Secret::from_text(code.into())),
        application: "VPN".into(),
        person_address: None,
        deadline: Instant::now() + Duration::from_secs(20),
        device: None,
        number_matching: NumberMatching::Approve,
        can_type: true,
        tell: None,
        given: None,
    }
}

async fn send(provider: &Codes) -> Answer {
    provider.run(request(Method::SmsCode, None)).await
}

async fn typed(provider: &Codes, code: &str) -> Answer {
    provider.run(request(Method::Oath, Some(code))).await
}

/// Another code than this.
fn other(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

const SENT: Answer = Answer::Refused(Refusal::NeedsCode);
const WRONG: Answer = Answer::Refused(Refusal::WrongCode);
const NOTHING: Answer = Answer::Refused(Refusal::NotThisWay);
const BY_TEXT: Answer = Answer::ApprovedBy(Method::SmsCode);

#[tokio::test]
async fn a_code_is_good_once_at_every_node_and_for_five_minutes() {
    let house = House::new().await;
    for via in [House::http, House::twilio] {
        let (one, two) = (house.provider(via(&house)), house.provider(via(&house)));
        assert_eq!(typed(&one, "123456").await, NOTHING, "nothing was sent");
        assert_eq!(send(&one).await, SENT);
        let (code, to) = house.last();
        assert_eq!(to, PHONE);
        for entry in std::fs::read_dir(house.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let content = std::fs::read(&path).unwrap();
            assert!(!content.windows(6).any(|window| window == code.as_bytes()), "{}", path.display());
        }
        assert_eq!(typed(&two, &other(&code)).await, WRONG);
        assert_eq!(typed(&two, &code).await, BY_TEXT, "at another node than the one that sent it");
        assert_eq!(typed(&one, &code).await, NOTHING, "used");
        assert_eq!(send(&one).await, SENT);
        let (before, _) = house.last();
        house.pass(300);
        assert_eq!(typed(&one, &before).await, NOTHING, "too late");
        house.pass(900);
        assert!(one.probe().await.is_ok());
    }
}

#[tokio::test]
async fn neither_guessing_nor_sending_goes_on_for_ever() {
    let house = House::new().await;
    let provider = house.provider(house.http());
    assert_eq!(send(&provider).await, SENT);
    let (code, _) = house.last();
    for _ in 0..3 {
        assert_eq!(typed(&provider, &other(&code)).await, WRONG);
    }
    assert_eq!(
        typed(&provider, &code).await,
        Answer::Refused(Refusal::LockedThere),
        "three tries, also for the right one"
    );
    for _ in 0..3 {
        assert_eq!(send(&provider).await, SENT, "a new one may be tried again");
    }
    assert_ne!(house.last().0, code);
    assert_eq!(send(&provider).await, Answer::Refused(Refusal::TooOften), "a fifth within a quarter of an hour");
    assert_eq!(typed(&provider, &house.last().0).await, BY_TEXT, "and the fourth is still good");
    house.pass(900);
    assert_eq!(send(&provider).await, SENT);
    assert_eq!(provider.run(Request { can_type: false, ..request(Method::SmsCode, None) }).await, SENT);
    assert_eq!(house.texts.desk().prompts().len(), 5, "nothing is sent that cannot be typed");
}

#[tokio::test]
async fn the_backup_phone_gets_it_when_the_first_cannot_be_reached() {
    let house = House::new().await;
    for via in [House::http, House::twilio] {
        let provider = house.provider(via(&house));
        house.answer(PHONE, Decision::Undeliverable);
        assert_eq!(send(&provider).await, SENT);
        let (code, to) = house.last();
        assert_eq!(to, BACKUP);
        assert_eq!(typed(&provider, &code).await, BY_TEXT);
        house.answer(BACKUP, Decision::Undeliverable);
        assert_eq!(send(&provider).await, Answer::Refused(Refusal::Undeliverable));
        assert_eq!(typed(&provider, &code).await, NOTHING);
        house.answer(BACKUP, Decision::Manual);
        house.pass(900);
    }
}

#[tokio::test]
async fn a_gateway_that_fails_is_told_from_one_that_refuses() {
    let house = House::new().await;
    let wrong = Via::Twilio(TwilioGateway {
        common: house.common(),
        account: ACCOUNT.into(),
        token: Secret::from_text("wrong".into()),
        from: "MG1".into(),
    });
    let provider = house.provider(wrong);
    let refused = Answer::Refused(Refusal::Unreachable(UnreachableClass::Refused));
    assert_eq!(send(&provider).await, refused);
    assert!(provider.probe().await.unwrap_err().to_string().contains("credentials"));
    assert!(!format!("{provider:?}").contains("wrong"));
    let (http, twilio) = (house.provider(house.http()), house.provider(house.twilio()));
    let House { texts, folder: _folder, .. } = house;
    texts.stop().await;
    for provider in [http, twilio] {
        let answer = send(&provider).await;
        assert_eq!(answer, Answer::Refused(Refusal::Unreachable(UnreachableClass::Connect)));
        assert!(provider.probe().await.is_err());
        assert_eq!(typed(&provider, "123456").await, NOTHING, "what was not sent is void");
    }
}

#[tokio::test]
async fn a_code_goes_out_by_mail() {
    let house = House::new().await;
    let smtp = Smtp::start(Protection::None).await;
    let mail = mail(smtp.port);
    let provider = house.provider(Via::Smtp { mail: Arc::new(mail), subject: "Your code".into() });
    assert!(provider.probe().await.is_ok());
    assert_eq!(provider.run(request(Method::EmailCode, None)).await, SENT);
    assert_eq!(send(&provider).await, NOTHING, "it sends no texts");
    let taken = smtp.taken().pop().unwrap();
    assert_eq!((taken.to.contains("alice@corp.example"), taken.header("Subject")), (true, Some("Your code")));
    let text = taken.data.split("\r\n\r\n").nth(1).unwrap();
    let code = text.trim_start().get(..6).unwrap();
    assert_eq!(typed(&provider, &other(code)).await, WRONG);
    assert_eq!(typed(&provider, code).await, Answer::ApprovedBy(Method::EmailCode));
}

#[tokio::test]
async fn whoever_has_a_token_may_have_a_text_instead() {
    let house = House::new().await;
    let seed = house.keys.seal_seed("T", Some(&alice().unique_id), &Secret::new(vec![7; 20])).unwrap();
    let token = Token {
        serial: "T".into(),
        unique_id: Some(alice().unique_id),
        label: None,
        seed,
        algorithm: Algorithm::Sha1,
        digits: 6,
        moving: Moving::Counter { next: 0 },
        drift: 0,
        last_step: None,
        last_used: None,
    };
    house.store.add_token(&token, "test").await.unwrap();
    let local = LocalProvider {
        name: "local".into(),
        failover: Vec::new(),
        window: Duration::from_secs(30),
        look_ahead: 3,
        bound: Bound { tries: 5, locked_for: Duration::from_secs(60) },
        pin_side: PinSide::Before,
    };
    let providers = vec![
        ("local", Arc::new(Local::new(&local, house.house())) as Arc<dyn Factor>),
        ("texts", Arc::new(house.provider(house.http())) as Arc<dyn Factor>),
    ];
    let ledger = Arc::new(Recorder::default());
    let sign_ins = SignIns::new(fakes::deps(&Arc::new(fakes::right()), providers, house.store.clone(), &ledger));
    let mut client = Arc::into_inner(fakes::client(Default::default())).unwrap();
    client.providers = vec!["local".into(), "texts".into()];
    client.passcode = Some(Passcode::Delimiter(",".into()));
    client.application = "VPN".into();
    let client = Arc::new(client);
    let sign_in = async |password: String| {
        let attempt = Attempt { credential: Ok(Secret::from_text(password)), ..fakes::attempt(&client) };
        sign_ins.enter(attempt).await.outcome().await.reason()
    };
    assert_eq!(sign_in("right-password,sms".into()).await, Reason::NeedsCode);
    let (code, _) = house.last();
    assert_eq!(sign_in(format!("right-password,{}", other(&code))).await, Reason::WrongCode);
    assert_eq!(sign_in(format!("right-password,{code}")).await, Reason::Approved);
    let event = ledger.0.lock().unwrap().last().unwrap().clone();
    assert_eq!((event.provider.as_deref(), event.method), (Some("texts"), Some(Method::SmsCode)));
    assert_eq!(sign_in(format!("right-password,{code}")).await, Reason::WrongCode, "a replay");
}
