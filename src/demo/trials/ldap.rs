//! Trials of the LDAP door: one bind of every outcome, and what the door itself answers.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{Behaviour, DEMO_PASSWORD, Decision, From, Heard, Row, Stands, Trial, answers, last_reason};
use crate::demo::Demo;
use crate::demo::directory::{
    AccountState, DEMO_BASE, DEMO_DOMAIN, DEMO_NETBIOS, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD, DemoPerson,
};
use crate::ldap::bind::write_bind_request;
use crate::ldap::filter::Filter;
use crate::ldap::message::{Envelope, SMALL_FRAME, next_frame, op, write_message};
use crate::ldap::result::{LdapResult, code, write_unbind};
use crate::ldap::search::{Scope, SearchRequest};
use crate::signin::attempt::Door;
use crate::signin::outcome::Reason;

/// Longer than any answer of the demo takes.
const PATIENCE: Duration = Duration::from_secs(5);

const SUCCESS: Heard = Heard::Code(code::SUCCESS);
/// What an application hears of all that is about a person.
const REFUSED: Heard = Heard::Code(code::INVALID_CREDENTIALS);

/// Who takes part in [`run`].
pub(super) const PEOPLE: [&str; 3] = ["app-joins", "app-rebinds", "app-leaves"];

/// Binds of people and programs. Each has a person of its own, so that no bound of one is felt by another.
pub(super) fn trials() -> Vec<Trial> {
    let dn = |name: &str| DemoPerson::new(name, "Trial", name).dn();
    let new = |what, person: &'static str, heard, reason| Trial::new(what, person, heard, reason).typed(dn(person));
    let fail = Behaviour::Fail { status: 503, prompt_sent: false };
    let typed = |behind: &str| format!("{DEMO_PASSWORD},{behind}");
    let mut group = new("LDAP: member of an exempt group", "app-member", SUCCESS, Reason::ExemptGroup);
    group.groups = &["MFA-Exempt"];
    let service = |what, heard, reason| {
        Trial::new(what, "app-nobody", heard, reason).typed(DEMO_SERVICE_NAME).password(DEMO_SERVICE_PASSWORD)
    };
    let mut trials = vec![
        new("LDAP: prompt approved, then a search", "app-approves", SUCCESS, Reason::Approved),
        new("LDAP: the same as user@domain", "app-upn", SUCCESS, Reason::Approved)
            .typed(format!("APP-upn@{DEMO_DOMAIN}")),
        new("LDAP: the same as DOMAIN\\user", "app-domain", SUCCESS, Reason::Approved)
            .typed(format!("{DEMO_NETBIOS}\\app-Domain")),
        new("LDAP: prompt denied", "app-denies", REFUSED, Reason::Denied).phone(answers(Decision::Deny)),
        new("LDAP: fraud reported", "app-fraud", REFUSED, Reason::Fraud).phone(answers(Decision::Fraud)),
        new("LDAP: nobody answers the prompt", "app-absent", REFUSED, Reason::Expired)
            .from(From::Hasty)
            .phone(Behaviour::Manual),
        new("LDAP: wrong password", "app-typo", REFUSED, Reason::WrongPassword).password("not-it"),
        new("LDAP: unknown person", "app-typo", REFUSED, Reason::UnknownUser).typed("CN=No Such Person"),
        new(
            "LDAP: a name without a password",
            "app-empty",
            Heard::Code(code::UNWILLING_TO_PERFORM),
            Reason::EmptyPassword,
        )
        .password(""),
        new("LDAP: not in the user store", "app-guest", REFUSED, Reason::NotEnrolled).stands(Stands::Missing),
        new("LDAP: disabled in the user store", "app-left", REFUSED, Reason::UserDisabled).stands(Stands::Disabled),
        new("LDAP: account locked out", "app-locked", REFUSED, Reason::AccountLocked).state(AccountState::Locked),
        new("LDAP: provider down", "app-down", REFUSED, Reason::ProviderUnreachable).phone(fail),
        new("LDAP: code behind the password", "app-code", SUCCESS, Reason::Approved)
            .password(typed("123456"))
            .phone(Behaviour::Manual),
        new("LDAP: wrong code behind the password", "app-wrong-code", REFUSED, Reason::WrongCode)
            .password(typed("654321")),
        new("LDAP: \"push\" behind the password", "app-word", SUCCESS, Reason::Approved).password(typed("push")),
        group,
        service("LDAP: service account, then a search", SUCCESS, Reason::ServiceAccount),
        service("LDAP: its account by another client", REFUSED, Reason::UnknownUser).from(From::Hasty),
    ];
    let guess = |_| new("LDAP: guessing", "app-victim", REFUSED, Reason::WrongPassword).password("guess");
    trials.extend((1..=4).map(guess));
    trials.push(new("LDAP: after four guesses, spared", "app-victim", REFUSED, Reason::ThrottledPerson));
    trials
}

/// One bind; whoever is bound then must be able to search.
pub(super) async fn try_one(demo: &Demo, trial: &Trial) -> Row {
    demo.phone.set_behaviour(Some(trial.person), trial.behaviour);
    let name = trial.typed.as_deref().unwrap_or(trial.person);
    let asked = async {
        let mut client = Client::connect(demo, trial.from.address()).await?;
        let heard = client.bind(1, name, &trial.password).await?;
        let searched = client.search(2, DEMO_BASE, "(sAMAccountName=app-approves)").await?;
        let fits = searched == if heard == SUCCESS { SUCCESS } else { Heard::Code(code::STRONGER_AUTH_REQUIRED) };
        Some(if fits { heard } else { Heard::Other })
    };
    let heard = asked.await.unwrap_or(Heard::Silence);
    let (expected, reason) = trial.expected;
    row(trial.what, (expected, reason), heard, last_reason(demo, name).await)
}

/// What needs more than one bind, or none.
pub(super) async fn run(demo: &Demo) -> Vec<Row> {
    let one = async |what, expected, asked: Asked| {
        let heard = async {
            let mut client = Client::connect(demo, From::Vpn.address()).await?;
            match asked {
                Asked::Anonymous => client.bind(1, "", "").await,
                Asked::Sasl => client.sasl(1).await,
                Asked::Search => client.search(1, DEMO_BASE, "(cn=*)").await,
                Asked::Root => client.search(1, "", "(objectClass=*)").await,
            }
        };
        row(what, (Heard::Code(expected), None), heard.await.unwrap_or(Heard::Silence), None)
    };
    vec![
        one("LDAP: anonymous bind", code::INAPPROPRIATE_AUTHENTICATION, Asked::Anonymous).await,
        one("LDAP: SASL bind", code::AUTH_METHOD_NOT_SUPPORTED, Asked::Sasl).await,
        one("LDAP: search before any bind", code::STRONGER_AUTH_REQUIRED, Asked::Search).await,
        one("LDAP: rootDSE before any bind", code::SUCCESS, Asked::Root).await,
        joined(demo).await,
        rebound(demo).await,
        left(demo).await,
    ]
}

enum Asked {
    Anonymous,
    Sasl,
    Search,
    Root,
}

/// Two binds of one person at once: one prompt, both succeed.
async fn joined(demo: &Demo) -> Row {
    let [name, ..] = PEOPLE;
    demo.phone.set_behaviour(Some(name), Behaviour::Answer { decision: Decision::Approve, after_ms: 400 });
    let before = demo.phone.counts().prompts;
    let bind = async || Client::connect(demo, From::Vpn.address()).await?.bind(1, name, DEMO_PASSWORD).await;
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bind().await
    };
    let both = tokio::join!(bind(), later);
    let good = both == (Some(SUCCESS), Some(SUCCESS)) && demo.phone.counts().prompts - before == 1;
    let heard = if good { SUCCESS } else { Heard::Other };
    row("LDAP: two binds at once: one prompt", (SUCCESS, Some(Reason::Approved)), heard, last_reason(demo, name).await)
}

/// Another bind while one is held ends that one and its prompt.
async fn rebound(demo: &Demo) -> Row {
    let [_, name, _] = PEOPLE;
    let expected = Heard::Code(code::OPERATIONS_ERROR);
    let heard = async {
        let mut client = held(demo, name).await?;
        let first = client.bind(2, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await?;
        let second = client.heard(2).await?;
        Some(if second == SUCCESS && cancelled(demo, name).await { first } else { Heard::Other })
    };
    let heard = heard.await.unwrap_or(Heard::Silence);
    row(
        "LDAP: another bind while one is held",
        (expected, Some(Reason::ClientGone)),
        heard,
        last_reason(demo, name).await,
    )
}

/// An unbind while a bind is held ends both.
async fn left(demo: &Demo) -> Row {
    let [_, _, name] = PEOPLE;
    let heard = async {
        let mut client = held(demo, name).await?;
        let mut out = Vec::new();
        write_unbind(&mut out, 2);
        client.send(&out).await?;
        let silent = client.heard(1).await.is_none();
        Some(if silent && cancelled(demo, name).await { Heard::Silence } else { Heard::Other })
    };
    let heard = heard.await.unwrap_or(Heard::Other);
    let expected = (Heard::Silence, Some(Reason::ClientGone));
    row("LDAP: client hangs up while it is held", expected, heard, last_reason(demo, name).await)
}

/// A client whose bind is held: the person has been asked.
async fn held(demo: &Demo, name: &str) -> Option<Client> {
    demo.phone.set_behaviour(Some(name), Behaviour::Manual);
    let before = demo.phone.counts().prompts;
    let mut client = Client::connect(demo, From::Vpn.address()).await?;
    let mut out = Vec::new();
    write_bind_request(&mut out, 1, name.as_bytes(), DEMO_PASSWORD.as_bytes());
    client.send(&out).await?;
    until(async || demo.phone.counts().prompts > before).await.then_some(client)
}

/// Whether the sign-in under this name has been given up, its prompt with it.
async fn cancelled(demo: &Demo, name: &str) -> bool {
    until(async || last_reason(demo, name).await.is_some()).await
}

async fn until(happened: impl AsyncFn() -> bool) -> bool {
    let waited = async {
        while !happened().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.is_ok()
}

fn row(what: &str, (expected, reason): (Heard, Option<Reason>), heard: Heard, found: Option<String>) -> Row {
    Row {
        door: Door::Ldap,
        what: what.into(),
        expected,
        heard,
        expected_reason: reason.map(Reason::code),
        reason: found,
    }
}

/// An application's connection. What does not come in time is `None`.
struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    async fn connect(demo: &Demo, source: SocketAddr) -> Option<Client> {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind(source).ok()?;
        let stream = socket.connect(*demo.server.ldap().first()?).await.ok()?;
        Some(Client { stream, input: BytesMut::new() })
    }

    async fn send(&mut self, octets: &[u8]) -> Option<()> {
        self.stream.write_all(octets).await.ok()
    }

    /// The result of the next message but entries, and that it is not for another request than `id` or one before it.
    async fn heard(&mut self, id: u32) -> Option<Heard> {
        let read = async {
            loop {
                while let Some(frame) = next_frame(&mut self.input, SMALL_FRAME).ok()? {
                    let envelope = Envelope::read(&frame).ok()?;
                    if matches!(envelope.op_tag, op::SEARCH_ENTRY | op::SEARCH_REFERENCE) {
                        continue;
                    }
                    let result = LdapResult::read(&mut envelope.operation(&frame)).ok()?;
                    let known = (1..=id).contains(&envelope.message_id);
                    return Some(if known { Heard::Code(result.code) } else { Heard::Other });
                }
                if self.stream.read_buf(&mut self.input).await.ok()? == 0 {
                    return None;
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.ok()?
    }

    async fn bind(&mut self, id: u32, name: &str, password: &str) -> Option<Heard> {
        let mut out = Vec::new();
        write_bind_request(&mut out, id, name.as_bytes(), password.as_bytes());
        self.send(&out).await?;
        self.heard(id).await
    }

    async fn sasl(&mut self, id: u32) -> Option<Heard> {
        let mut out = Vec::new();
        write_message(&mut out, id, |message| {
            message.constructed(op::BIND_REQUEST, |bind| {
                bind.number(crate::ldap::ber::INTEGER, 3);
                bind.octets(b"");
                bind.constructed(0xa3, |sasl| sasl.octets(b"GSSAPI"));
            });
        });
        self.send(&out).await?;
        self.heard(id).await
    }

    async fn search(&mut self, id: u32, base: &str, filter: &str) -> Option<Heard> {
        let filter = Filter::parse(filter).ok()?.encode();
        let scope = if base.is_empty() { Scope::Base } else { Scope::Subtree };
        let request =
            SearchRequest { base, scope, size_limit: 0, time_limit: PATIENCE, filter: &filter, attributes: &["cn"] };
        let mut out = Vec::new();
        request.write(&mut out, id);
        self.send(&out).await?;
        self.heard(id).await
    }
}
