//! An HTTP proxy on the way to a cloud: TLS goes through it end to end, its password is asked for, and what it refuses is
//! told.

#![cfg(test)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::cli::check::Level;
use anteroom::cli::check::network::{Network, Probes as _};
use anteroom::config::{Config, UnreachableClass};
use anteroom::factor::build::build;
use anteroom::factor::native::wire::ServerIdentity;
use anteroom::factor::{Answer, Provider, Refusal, Request};
use anteroom::secret::Secret;
use anteroom::simulate::duo::Duo;
use anteroom::simulate::{Decision, Options, Scenario, Simulator, TlsFiles};
use anteroom::users::place::StoreAt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::fakes;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// `anteroom` and `planted-proxy-password`, as they go over the wire (RFC 7617).
const BASIC: &str = "Basic YW50ZXJvb206cGxhbnRlZC1wcm94eS1wYXNzd29yZA==";

/// Request lines, and the first octets that went through.
type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A proxy that lets through whoever knows its password, by CONNECT only (RFC 9110 section 9.3.6).
pub(crate) struct Proxy {
    address: SocketAddr,
    /// What was asked of it, and the first octets that went through.
    seen: Seen,
}

impl Proxy {
    pub(crate) async fn start() -> Proxy {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&record)));
            }
        });
        Proxy { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(line, _)| line.clone()).collect()
    }
}

async fn serve(mut client: TcpStream, seen: Seen) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(octet) => head.push(octet),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default().to_owned();
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let right = head.lines().filter_map(header).any(|(name, value)| name == "proxy-authorization" && value == BASIC);
    let target = line.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
    let (true, Some(target)) = (right, target) else {
        seen.lock().unwrap().push((line, Vec::new()));
        let refused =
            "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
        let _ = client.write_all(refused.as_bytes()).await;
        return;
    };
    let Ok(mut server) = TcpStream::connect(&target).await else { return };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let mut first = vec![0; 4096];
    let Ok(read) = client.read(&mut first).await else { return };
    first.truncate(read);
    server.write_all(&first).await.unwrap();
    seen.lock().unwrap().push((line, first));
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

/// A simulator with a certificate of its own for `localhost`, and the file that makes it trusted.
pub(crate) async fn with_certificate(
    service: Arc<dyn anteroom::simulate::Service>,
    folder: &std::path::Path,
) -> Simulator {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let files = TlsFiles { certificate: folder.join("cloud.pem"), key: folder.join("cloud.key") };
    std::fs::write(&files.certificate, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let options = Options { tls: Some(files), ..Options::default() };
    Simulator::start(LOOPBACK, service, options).await.unwrap()
}

/// A configuration with one provider, as a user writes it.
pub(crate) fn config(section: &str, folder: &std::path::Path) -> Config {
    let text = format!(
        r#"
[server]
name = "gate-1"
store = "people.db"
[[radius.client]]
name = "vpn"
address = "192.0.2.1"
secret = "a shared secret of the test"
[target.corp]
type = "ldap"
servers = "ldap://127.0.0.1:1"
plaintext = true
base = "DC=corp"
bind_name = "cn=svc"
bind_password = "x"
[provider.cloud]
{section}
"#
    );
    match anteroom::config::load_text(&text, &folder.join("anteroom.toml")) {
        Ok(config) => config,
        Err(mistakes) => panic!("{mistakes}\n{text}"),
    }
}

/// What `anteroom check` says of the provider.
pub(crate) async fn checked(config: &Config, folder: &std::path::Path) -> Vec<(Level, String)> {
    let store = Arc::new(StoreAt::File(folder.join("people.db")));
    let network = Network { name: "gate-1".into(), store, keys: folder.join("anteroom.keys"), nodes: 1 };
    let findings = network.provider(&config.providers["cloud"]).await;
    findings.into_iter().map(|finding| (finding.level, finding.to_string())).collect()
}

fn section(url: &str, proxy: &str) -> String {
    format!(
        r#"type = "duo"
url = "{url}"
ca_file = "cloud.pem"
ikey = "DIXXXXXXXXXXXXXXXXXX"
skey = "planted-skey-012345678901234567890123456"
timeout = "2s"
{proxy}"#
    )
}

fn push() -> Request {
    Request {
        sign_in: anteroom::signin::attempt::SignInId::new([9; 12]),
        person: Arc::new(fakes::person()),
        method: anteroom::users::model::Method::Push,
        code: None,
        application: "VPN".into(),
        person_address: None,
        deadline: std::time::Instant::now() + Duration::from_secs(20),
        device: None,
        number_matching: Default::default(),
        can_type: false,
        tell: None,
        given: None,
    }
}

fn built(config: &Config) -> Arc<dyn Provider> {
    let server = ServerIdentity { name: "gate-1".into(), address: None };
    build(&config.providers["cloud"], server, None, None).unwrap()
}

#[tokio::test]
async fn prompts_go_through_a_proxy_that_knows_us_and_it_reads_nothing_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let skey = Secret::from_text("planted-skey-012345678901234567890123456".into());
    let simulator = with_certificate(Arc::new(Duo::new("DIXXXXXXXXXXXXXXXXXX", skey)), folder.path()).await;
    simulator.desk().set(None, Scenario::answering(Decision::Approve));
    let proxy = Proxy::start().await;
    let credentials = |password: &str| {
        format!("proxy = \"{}\"\nproxy_user = \"anteroom\"\nproxy_password = \"{password}\"", proxy.url())
    };
    let good = config(&section(&simulator.url(), &credentials("planted-proxy-password")), folder.path());
    let provider = built(&good);
    for _ in 0..3 {
        assert_eq!(provider.run(push()).await, Answer::Approved);
    }
    // One for questions and one for states that are waited for, whatever the number of prompts.
    let connections = usize::try_from(provider.connections()).unwrap();
    assert!((1..=2).contains(&connections), "{connections}");
    {
        let seen = proxy.seen.lock().unwrap();
        assert_eq!(seen.len(), connections, "one tunnel each: {seen:?}");
        for (line, first) in seen.iter() {
            assert_eq!(*line, format!("CONNECT localhost:{} HTTP/1.1", simulator.local_addr().port()));
            assert_eq!(first.first(), Some(&0x16), "a TLS handshake, and nothing before it");
        }
    }
    let findings = checked(&good, folder.path()).await;
    assert!(findings.iter().all(|(level, _)| *level == Level::Ok), "{findings:?}");

    // the wrong password, and none: nobody is prompted, and the next provider may be asked
    let before = simulator.desk().prompts().len();
    let nameless = format!("proxy = \"{}\"", proxy.url());
    for credentials in [credentials("wrong"), nameless] {
        let wrong = config(&section(&simulator.url(), &credentials), folder.path());
        let refused = Answer::Refused(Refusal::Unreachable(UnreachableClass::Connect));
        assert_eq!(built(&wrong).run(push()).await, refused);
        let findings = checked(&wrong, folder.path()).await;
        let [(Level::Fail, said)] = &findings[..] else { panic!("{findings:?}") };
        assert!(said.contains("proxy does not let us through") && said.contains("proxy_password"), "{said}");
        assert!(!said.contains("planted") && !format!("{wrong:?}").contains("planted"), "{said}");
    }
    assert_eq!(simulator.desk().prompts().len(), before);

    // a proxy that is not there
    let gone = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let away = config(&section(&simulator.url(), &format!("proxy = \"http://{gone}\"")), folder.path());
    assert_eq!(built(&away).run(push()).await, Answer::Refused(Refusal::Unreachable(UnreachableClass::Connect)));
    let findings = checked(&away, folder.path()).await;
    assert!(findings[0].0 == Level::Fail && findings[0].1.contains("proxy settings"), "{findings:?}");
    assert!(proxy.asked().iter().all(|line| line.starts_with("CONNECT ")), "{:?}", proxy.asked());
}
