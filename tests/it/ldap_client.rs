//! The directory client against directories that misbehave: no answer but a directory's own, exact yes lets
//! anybody in, nothing hangs, nothing is asked twice that may count.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anteroom::config::{DirectoryKind, DirectoryTarget, Security, ServerUrl, Servers};
use anteroom::demo::directory::{
    AccountState, DEMO_BASE, DEMO_PASSWORD, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD, DemoDirectory, DemoPerson,
    DemoTls, demo_people, group_dn,
};
use anteroom::primary::directory::Directory;
use anteroom::primary::locate::Locator;
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary, Refusal};
use anteroom::secret::Secret;

use crate::support::fake_directory::{
    Act, Asked, FakeDirectory, PERSON, Request, SERVICE, bind, disconnection, done, octets, ordinary, person, refused,
    response,
};

mod answers;
mod servers;
mod whole;

pub(crate) fn server(address: SocketAddr, security: Security) -> ServerUrl {
    ServerUrl { host: address.ip().to_string(), port: address.port(), security }
}

pub(crate) fn target(servers: Vec<ServerUrl>) -> DirectoryTarget {
    DirectoryTarget {
        name: "test".into(),
        kind: DirectoryKind::Ad,
        servers: Servers::Listed(servers),
        ca_file: None,
        base: "DC=fake,DC=test".into(),
        bind_name: SERVICE.0.into(),
        bind_password: secret(SERVICE.1),
        domains: vec!["FAKE".into()],
        name_attributes: vec!["sAMAccountName".into()],
        at_attributes: vec!["userPrincipalName".into()],
        unique_id: "objectGUID".into(),
        filter: None,
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_millis(500),
        connections: 4,
        ms_chap: None,
        dn_from_store: false,
    }
}

fn plain(fakes: &[&FakeDirectory]) -> DirectoryTarget {
    target(fakes.iter().map(|fake| server(fake.address, Security::Plaintext)).collect())
}

fn demo(directory: &DemoDirectory) -> DirectoryTarget {
    DirectoryTarget {
        base: DEMO_BASE.into(),
        bind_name: DEMO_SERVICE_NAME.into(),
        bind_password: secret(DEMO_SERVICE_PASSWORD),
        domains: vec!["DEMO".into()],
        ..target(vec![server(directory.local_addr(), Security::Plaintext)])
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(crate) fn alice() -> Identity {
    Identity {
        unique_id: "01010101-0101-0101-0101-010101010101".into(),
        name: "alice".into(),
        upn: Some("alice@fake.test".into()),
        dn: PERSON.0.into(),
        remembered: false,
        details: None,
    }
}

async fn try_password(directory: &Directory, password: &str) -> Finding {
    directory.try_password(&alice(), &secret(password), soon()).await
}

/// A directory on top of a fake whose user binds are answered by `answer`.
async fn binding(answer: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static) -> (FakeDirectory, Directory) {
    let script = move |request: &Request| if request.is_user_bind() { answer(request) } else { ordinary(request) };
    let fake = FakeDirectory::start(script).await;
    let directory = Directory::new(&plain(&[&fake])).unwrap();
    (fake, directory)
}

/// A directory on top of a fake whose searches are answered by `answer`.
async fn searching(answer: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static) -> (FakeDirectory, Directory) {
    let script =
        move |request: &Request| if request.asked == Asked::Search { answer(request) } else { ordinary(request) };
    let fake = FakeDirectory::start(script).await;
    let directory = Directory::new(&plain(&[&fake])).unwrap();
    (fake, directory)
}

fn fault(fault: Fault) -> IdentifyError {
    IdentifyError::Fault(fault)
}
