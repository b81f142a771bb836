//! RADIUS over TLS: as a server, towards targets, and between two radsecproxies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::peers::authority::Authority;
use crate::peers::eventually;
use crate::peers::freeradius::{FreeRadius, PASSWORD, TARGET_SECRET};
use crate::peers::phone::Phone;
use crate::peers::radsecproxy::RadsecProxy;
use crate::peers::server::{self, SHARED_SECRET, Server};
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT, Nas, Reply, Request};
use crate::peers::world::{SILENCE, SOON, device_token};

/// CoA and Disconnect, which are not relayed over TLS.
mod changes;
mod eleven;
/// FreeRADIUS with TLS of its own, in front of us and behind.
mod freeradius;
/// What an operator does: new certificates, revoked ones, and more connections than there may be.
mod operation;

/// The server with a client over TLS, and the phone.
struct World {
    server: Server,
    phone: Phone,
    authority: Authority,
}

/// A world whose target is `target`: the keys of its section. `tls` are further keys of `[radius.tls]`.
fn world(target: &str, tls: &str, authority: Authority) -> World {
    world_with("", target, tls, authority)
}

/// The same; `client` are further keys of the client.
fn world_with(client: &str, target: &str, tls: &str, authority: Authority) -> World {
    let phone = Phone::start();
    let provider = phone.address();
    let server = Server::start_written(|folder, address| {
        authority.issue(address);
        authority.issue("nas1.example.test");
        let certificates = authority.file("");
        let (folder, certificates) = (folder.display(), certificates.display());
        let surroundings = server::surroundings(&folder, address, provider);
        format!(
            r#"
[server]
name = "test-node"
store = "{folder}/anteroom.db"
drain = "1s"

[radius.tls]
listen = "{address}:2083"
certificate = "{certificates}/{address}.pem"
certificate_key = "{certificates}/{address}.key"
client_ca_file = "{certificates}/ca.pem"
{tls}

[[radius.client]]
name = "branch"
address = "127.0.0.0/8"
transport = "tls"
certificate_names = "nas1.example.test"
answer_within = "20s"
{client}

[target.behind]
type = "radius"
timeout = "1s"
{target}

{surroundings}
"#
        )
    });
    for name in ["alice", "bob"] {
        let arguments = ["user", "add", name, "--unique-id", &format!("id-of-{name}"), "--method", "push"];
        let token = device_token(name);
        server.run(&[&arguments[..], &["--device-token", &token]].concat());
    }
    World { server, phone, authority }
}

/// The keys of a target by UDP.
fn over_udp(server: SocketAddr) -> String {
    format!("servers = \"{server}\"\nsecret = \"{TARGET_SECRET}\"")
}

/// The keys of a target over TLS, verified against `authority`.
fn over_tls(server: &str, authority: &Authority) -> String {
    let file = |name: &str| authority.file(name).display().to_string();
    authority.issue("anteroom.example.test");
    format!(
        "transport = \"tls\"\nservers = \"{server}\"\nca_file = \"{}\"\ncertificate = \"{}\"\ncertificate_key = \"{}\"",
        file("ca.pem"),
        file("anteroom.example.test.pem"),
        file("anteroom.example.test.key")
    )
}

impl World {
    fn radsec(&self) -> SocketAddr {
        format!("{}:2083", self.server.address()).parse().unwrap()
    }

    /// How many connections ended for this cause.
    fn ended(&self, cause: &str) -> bool {
        let line = format!("radius_tls_ended_total{{cause=\"{cause}\"}}");
        self.server.http("/metrics").is_some_and(|page| page.contains(&line))
    }

    /// How a client trusts the server, with the certificate `name` of `issuer`.
    fn trust(&self, own: Option<(&Authority, &str, i32)>) -> Arc<ClientConfig> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some((issuer, name, year)) => {
                let (certificate, key) = issuer.issue_until(name, year);
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        })
    }

    fn connect(&self, trust: &Arc<ClientConfig>) -> Stream {
        let tcp = TcpStream::connect(self.radsec()).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        let name = self.server.address().to_owned().try_into().unwrap();
        Stream(StreamOwned::new(ClientConnection::new(Arc::clone(trust), name).unwrap(), tcp))
    }

    /// A connection of the client.
    fn own(&self) -> Stream {
        self.connect(&self.trust(Some((&self.authority, "nas1.example.test", 4096))))
    }
}

/// A client's end of a connection.
struct Stream(StreamOwned<ClientConnection, TcpStream>);

impl Stream {
    fn send(&mut self, request: &Request) {
        self.0.write_all(&request.bytes).unwrap();
    }

    /// The next packet; nothing where the connection has ended, or nothing came.
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 4];
        self.0.read_exact(&mut packet).ok()?;
        packet.resize(usize::from(u16::from_be_bytes([packet[2], packet[3]])), 0);
        self.0.read_exact(&mut packet[4..]).ok()?;
        Some(packet)
    }

    fn ask(&mut self, nas: &Nas, request: &Request) -> Option<Reply> {
        // A refused connection may be noticed while writing.
        self.0.write_all(&request.bytes).ok()?;
        self.next().map(|packet| nas.check(&packet, request))
    }

    fn wait_at_most(&mut self, time: Duration) {
        self.0.sock.set_read_timeout(Some(time)).unwrap();
    }
}

/// Who builds requests and checks replies under the secret of RADIUS over TLS.
fn nas() -> Nas {
    Nas::new("127.0.0.1:9".parse().unwrap(), "radsec")
}

#[test]
fn a_sign_in_goes_through_radsecproxy_on_both_sides() {
    let Some(target) = FreeRadius::start() else { return };
    let authority = Authority::new();
    authority.issue("behind.example.test");
    let Some(mut behind) = RadsecProxy::before(target.radius(), &authority, "behind.example.test") else { return };
    let keys = over_tls(&behind.radsec().to_string(), &authority);
    let world = world(&format!("{keys}\nserver_name = \"behind.example.test\""), "", authority);
    let proxy = RadsecProxy::client_of(world.radsec(), &world.authority, "nas1.example.test").unwrap();
    let mut nas = Nas::new(proxy.radius(), SHARED_SECRET);
    let request = nas.request("alice", PASSWORD.as_bytes(), &[(33, b"theirs")]);
    nas.send(&request);
    let prompt = world.phone.prompt_of("alice");
    world.phone.approve(&prompt);
    let reply = nas.receive(&request, SOON).expect("an answer");
    assert_eq!(reply.code, ACCESS_ACCEPT);
    let values =
        |number: u8| reply.attributes.iter().filter(move |(found, _)| *found == number).map(|(_, value)| value);
    assert_eq!(values(25).collect::<Vec<_>>(), [b"lab-class"]);
    assert_eq!(values(33).collect::<Vec<_>>(), [b"theirs"]);
    assert_eq!(world.server.event("alice")["client"], "branch");
    // A wrong password is no prompt.
    assert_eq!(nas.ask("bob", b"wrong", SOON).expect("an answer").code, ACCESS_REJECT);
    assert_eq!(world.phone.asked(), 1);
    // The connection to the target is made again.
    behind.restart();
    world.phone.approve_by_itself();
    assert_eq!(nas.ask("bob", PASSWORD.as_bytes(), SOON).expect("an answer").code, ACCESS_ACCEPT);
}

#[test]
fn a_target_that_shows_another_certificate_gets_nothing() {
    let Some(target) = FreeRadius::start() else { return };
    let (authority, other) = (Authority::new(), Authority::new());
    other.issue("behind.example.test");
    let Some(behind) = RadsecProxy::before(target.radius(), &other, "behind.example.test") else { return };
    let keys = over_tls(&behind.radsec().to_string(), &authority);
    let world = world(&format!("{keys}\nserver_name = \"behind.example.test\""), "", authority);
    let (mut nas, mut stream) = (nas(), world.own());
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    assert_eq!(stream.ask(&nas, &request).expect("an answer").code, ACCESS_REJECT);
    assert_eq!(world.server.event("alice")["reason"], "directory_unreachable");
    assert!(target.requests().is_empty(), "the password was sent to somebody else");
}

#[test]
fn only_the_certificate_of_the_client_is_served() {
    let Some(target) = FreeRadius::start() else { return };
    let world = world(&over_udp(target.radius()), "", Authority::new());
    world.phone.approve_by_itself();
    let (other, mut nas) = (Authority::new(), nas());
    let strangers = [
        ("no certificate", None),
        ("another authority", Some((&other, "nas1.example.test", 4096))),
        ("another name", Some((&world.authority, "nas2.example.test", 4096))),
        ("expired", Some((&world.authority, "nas1.example.test", 2020))),
    ];
    for (what, own) in strangers {
        let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
        assert_eq!(world.connect(&world.trust(own)).ask(&nas, &request), None, "{what}");
    }
    eventually("what was refused", || (world.ended("unknown_certificate") && world.ended("handshake")).then_some(()));
    assert!(world.server.audit().is_empty() && target.requests().is_empty());
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    let trust = world.trust(Some((&world.authority, "nas1.example.test", 4096)));
    let mut first = world.connect(&trust);
    assert_eq!(first.ask(&nas, &request).expect("an answer").code, ACCESS_ACCEPT);
    assert_eq!(first.0.conn.handshake_kind(), Some(HandshakeKind::Full));
    // The very same packet is answered by the very same bytes, and nobody is prompted again.
    let again = first.ask(&nas, &request).expect("an answer");
    assert_eq!((again.code, world.phone.asked()), (ACCESS_ACCEPT, 1));
    // A session that is resumed is the same client's.
    let mut second = world.connect(&trust);
    let request = nas.request("bob", PASSWORD.as_bytes(), &[]);
    assert_eq!(second.ask(&nas, &request).expect("an answer").code, ACCESS_ACCEPT);
    assert_eq!(second.0.conn.handshake_kind(), Some(HandshakeKind::Resumed));
}

/// The secret of RADIUS over TLS is known to everybody.
#[test]
fn a_client_over_tls_is_none_over_udp() {
    let world = world(&over_udp("127.0.0.1:9".parse().unwrap()), "", Authority::new());
    let udp: SocketAddr = format!("{}:1812", world.server.address()).parse().unwrap();
    let mut nas = Nas::new(udp, "radsec");
    assert_eq!(nas.ask("alice", PASSWORD.as_bytes(), SILENCE), None);
    assert!(world.server.audit().is_empty());
}

#[test]
fn answers_come_as_they_are_ready_and_a_closed_connection_waits_for_nothing() {
    let Some(target) = FreeRadius::start() else { return };
    let world = world(&over_udp(target.radius()), "", Authority::new());
    let (mut nas, mut stream) = (nas(), world.own());
    let alice = nas.request("alice", PASSWORD.as_bytes(), &[]);
    let bob = nas.request("bob", PASSWORD.as_bytes(), &[]);
    stream.send(&alice);
    stream.send(&bob);
    let prompts = ["alice", "bob"].map(|name| world.phone.prompt_of(name));
    world.phone.approve(&prompts[1]);
    let packet = stream.next().expect("an answer");
    assert_eq!(nas.check(&packet, &bob).code, ACCESS_ACCEPT, "bob's comes first");
    world.phone.deny(&prompts[0]);
    let packet = stream.next().expect("an answer");
    assert_eq!(nas.check(&packet, &alice).code, ACCESS_REJECT);
    // Nobody is there any more to be let in.
    let request = nas.request("bob", PASSWORD.as_bytes(), &[]);
    stream.send(&request);
    world.phone.prompt_after("bob", &prompts[1]);
    drop(stream);
    let ended = world.server.events("bob", 2);
    assert_ne!(ended[1]["verdict"], "accept", "{ended:?}");
}

#[test]
fn what_is_no_packet_ends_the_connection_and_no_other() {
    let Some(target) = FreeRadius::start() else { return };
    let world = world(&over_udp(target.radius()), "first_packet_within = \"1s\"", Authority::new());
    world.phone.approve_by_itself();
    let (mut nas, mut good) = (nas(), world.own());
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    assert_eq!(good.ask(&nas, &request).expect("an answer").code, ACCESS_ACCEPT);
    let mut forged = nas.request("bob", PASSWORD.as_bytes(), &[]).bytes;
    forged[30] ^= 1;
    for (cause, bytes) in [("bad_length", vec![1, 1, 0, 19]), ("wrong_signature", forged), ("silent", vec![1, 1])] {
        let mut stream = world.own();
        stream.0.write_all(&bytes).unwrap();
        stream.wait_at_most(SOON);
        assert_eq!(stream.next(), None);
        eventually(cause, || world.ended(cause).then_some(()));
    }
    let request = nas.request("bob", PASSWORD.as_bytes(), &[]);
    assert_eq!(good.ask(&nas, &request).expect("an answer").code, ACCESS_ACCEPT, "the other one goes on");
}
