//! A RADIUS server behind Anteroom: FreeRADIUS checks the credential, Anteroom asks for the factor.

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};

use crate::peers::freeradius::{FreeRadius, PASSWORD, TARGET_SECRET};
use crate::peers::phone::Phone;
use crate::peers::server::{self, SHARED_SECRET, Server};
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT, Nas, Reply};
use crate::peers::world::{SOON, device_token};
use crate::peers::{eventually, peer_file, program};

mod expired;
pub(crate) mod hostile;

const CLASS: u8 = 25;
const FILTER_ID: u8 = 11;
const VENDOR_SPECIFIC: u8 = 26;
const PROXY_STATE: u8 = 33;

/// The server, the phone, and a RADIUS target.
pub(crate) struct Relayed {
    pub(crate) server: Server,
    pub(crate) phone: Phone,
}

/// A server whose target is these RADIUS servers. `target` and `client` are further keys of their sections.
pub(crate) fn relayed(servers: &[SocketAddr], target: &str, client: &str) -> Relayed {
    let phone = Phone::start();
    let provider = phone.address();
    let servers: Vec<String> = servers.iter().map(|server| format!("{:?}", server.to_string())).collect();
    let servers = servers.join(", ");
    let answer_within = if client.contains("answer_within") { "" } else { "answer_within = \"20s\"" };
    let server = Server::start_written(|folder, address| {
        let (doors, surroundings) =
            (server::doors(folder.display(), address), server::surroundings(folder.display(), address, provider));
        format!(
            r#"
{doors}

[[radius.client]]
name = "vpn"
address = "127.0.0.0/8"
secret = "{SHARED_SECRET}"
{answer_within}
reply_attributes = ["Idle-Timeout = 600"]
{client}

[target.behind]
type = "radius"
servers = [{servers}]
secret = "{TARGET_SECRET}"
timeout = "1s"
domains = ["CORP"]
realms = ["corp.example.test"]
{target}

{surroundings}
"#
        )
    });
    for name in ["alice", "bob", "mute", "coded", "liar", "expired"] {
        let arguments = ["user", "add", name, "--unique-id", &format!("id-of-{name}"), "--method", "push"];
        let token = device_token(name);
        server.run(&[&arguments[..], &["--device-token", &token]].concat());
    }
    Relayed { server, phone }
}

impl Relayed {
    /// Waits until so many requests have joined a sign-in that was running.
    pub(crate) fn joins(&self, count: u64) {
        eventually("requests to join", || {
            let metrics = self.server.http("/metrics")?;
            metrics.contains(&format!("anteroom_joins_total {count}\n")).then_some(())
        });
    }

    /// MS-CHAPv2 by a client of its own hand, with the change to a `new` password: what it has found.
    fn ms_chap(&self, name: &str, password: &str, new: Option<&str>) -> String {
        self.ms_chap_with("", name, password, new)
    }

    /// The same; the keys behind "accept", where `keys` says "show".
    fn ms_chap_with(&self, keys: &str, name: &str, password: &str, new: Option<&str>) -> String {
        let server = self.server.radius();
        let (address, port) = (server.ip().to_string(), server.port().to_string());
        let mut command = Command::new("/usr/bin/python3");
        command.arg(peer_file("mschapv2.py")).args([name, password, &address, &port, SHARED_SECRET]).args(new);
        let output = command.env("MPPE", keys).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn sign_in(&self, name: &str, password: &str, more: &[(u8, &[u8])]) -> Reply {
        let mut nas = Nas::new(self.server.radius(), SHARED_SECRET);
        let request = nas.request(name, password.as_bytes(), more);
        nas.send(&request);
        nas.receive(&request, SOON).unwrap_or_else(|| panic!("no answer for {name:?}"))
    }
}

/// Nobody listens there.
fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(crate) fn values(reply: &Reply, number: u8) -> Vec<&[u8]> {
    reply.attributes.iter().filter(|(found, _)| *found == number).map(|(_, value)| value.as_slice()).collect()
}

#[test]
fn what_the_target_says_comes_with_the_accept_after_the_approval() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "");
    world.phone.approve_by_itself();
    let states: Vec<Vec<u8>> = (0..10).map(|n| vec![n; 9]).collect();
    let chain: Vec<(u8, &[u8])> = states.iter().map(|state| (PROXY_STATE, state.as_slice())).collect();
    let reply = world.sign_in("CORP\\Alice", PASSWORD, &chain);
    assert_eq!(reply.code, ACCESS_REJECT, "FreeRADIUS knows no CORP\\Alice: the name goes on as typed");
    let reply = world.sign_in("alice", PASSWORD, &chain);
    assert_eq!(reply.code, ACCESS_ACCEPT);
    assert_eq!(values(&reply, CLASS), [b"lab-class"]);
    assert_eq!(values(&reply, FILTER_ID), [b"vpn-users"]);
    assert_eq!(values(&reply, VENDOR_SPECIFIC).len(), 2, "both Cisco-AVPairs");
    assert_eq!(values(&reply, 28), [&600_u32.to_be_bytes()], "the client's own");
    assert_eq!(values(&reply, PROXY_STATE), states, "the chain of ten, unchanged, and none of ours");
    assert_eq!(world.server.event("alice")["reason"], "approved");
    assert_eq!(world.phone.asked(), 1);
    let seen = target.requests();
    assert!(seen.matches("Proxy-State").count() >= 22, "ten and ours behind them, twice: {seen}");
}

#[test]
fn the_name_in_the_store_can_be_sent_and_replies_can_be_shaped() {
    let Some(target) = FreeRadius::start() else { return };
    let rules = "send_name = \"name\"\nforward_as = \"client\"\nreply_drop = [\"Cisco-AVPair\"]\n\
                 reply_rename = [\"Filter-Id = Class\"]\nreply_add = ['Filter-Id = \"ours\"']\nbalance = \"spread\"";
    let world = relayed(&[target.radius()], rules, "");
    world.phone.approve_by_itself();
    let reply = world.sign_in("CORP\\Alice", PASSWORD, &[(PROXY_STATE, b"theirs")]);
    assert_eq!(reply.code, ACCESS_ACCEPT);
    assert_eq!(values(&reply, CLASS), [&b"lab-class"[..], b"vpn-users"]);
    assert_eq!(values(&reply, FILTER_ID), [b"ours"]);
    assert!(values(&reply, VENDOR_SPECIFIC).is_empty());
    let seen = target.requests();
    assert!(!seen.contains("Proxy-State") && seen.contains("NAS-Identifier = \"anteroom\""), "{seen}");
}

#[test]
fn a_denied_prompt_and_a_wrong_password_end_in_the_same_reject_without_the_targets_attributes() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "");
    let wrong = world.sign_in("alice", "wrong", &[]);
    assert_eq!(world.phone.asked(), 0, "a prompt before the password was right");
    let mut nas = Nas::new(world.server.radius(), SHARED_SECRET);
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    nas.send(&request);
    let prompt = world.phone.prompt_of("alice");
    world.phone.deny(&prompt);
    let denied = nas.receive(&request, SOON).unwrap();
    assert_eq!((wrong.code, denied.code), (ACCESS_REJECT, ACCESS_REJECT));
    assert_eq!(wrong.shape(), denied.shape());
    let reasons: Vec<_> = world.server.events("alice", 2).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["wrong_password", "denied"]);
}

#[test]
fn the_next_server_answers_for_one_that_is_gone_and_nobody_at_all_is_a_reject() {
    let Some(mut target) = FreeRadius::start() else { return };
    let world = relayed(&[nobody(), target.radius()], "probe = \"100ms\"", "");
    world.phone.approve_by_itself();
    assert_eq!(world.sign_in("alice", PASSWORD, &[]).code, ACCESS_ACCEPT);
    target.stop();
    assert_eq!(world.sign_in("bob", PASSWORD, &[]).code, ACCESS_REJECT);
    assert_eq!(world.server.event("bob")["reason"], "directory_unreachable");
    assert_eq!(world.phone.asked(), 1);
    target.start_again();
    assert_eq!(world.sign_in("alice", PASSWORD, &[]).code, ACCESS_ACCEPT, "it is back");
}

#[test]
fn a_target_that_never_answers_ends_in_a_reject_before_the_client_gives_up() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "");
    assert_eq!(world.sign_in("mute", PASSWORD, &[]).code, ACCESS_REJECT);
    assert_eq!(world.server.event("mute")["reason"], "directory_unreachable");
}

#[test]
fn an_accept_that_names_somebody_else_is_no_proof_of_anybody() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "");
    world.phone.approve_by_itself();
    assert_eq!(world.sign_in("liar", PASSWORD, &[]).code, ACCESS_REJECT);
    assert_eq!(world.server.event("liar")["reason"], "other_person");
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn nobody_passes_by_spelling_where_unknown_people_need_no_factor() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "unknown_users = \"password_only\"");
    for spelled in [" alice", "alice ", "\u{ff41}lice", "OTHER\\alice", "alice@other.test", "al\u{e0}ce"] {
        assert_eq!(world.sign_in(spelled, PASSWORD, &[]).code, ACCESS_REJECT, "{spelled:?}");
        assert_eq!(world.server.event(spelled)["reason"], "unknown_user", "{spelled:?}");
    }
    assert!(!target.requests().contains("User-Name"), "none of them was sent on");
}

/// What the client gets is what the target has written down of its reply, and not only what the password makes of it.
#[test]
fn the_keys_of_ms_chap_2_are_those_that_the_target_made() {
    let Some(target) = FreeRadius::start().filter(|_| program("radclient")) else { return };
    let world = relayed(&[target.radius()], "", "");
    world.phone.approve_by_itself();
    let mut seen = Vec::new();
    for (name, new) in [("alice", None), ("bob", None), ("expired", Some("N3w-Passw0rd-of-the-test"))] {
        let told = world.ms_chap_with("show", name, PASSWORD, new);
        let [word, send, receive] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{name}: {told}") };
        assert_eq!((word, send.len(), receive.len()), ("accept", 32, 32));
        let made = target.replies();
        for (attribute, key) in [("MS-MPPE-Send-Key", send), ("MS-MPPE-Recv-Key", receive)] {
            assert_eq!(made.matches(&format!("{attribute} = 0x{key}")).count(), 1, "{name}: {made}");
            assert!(!seen.contains(&key.to_owned()), "keys are of one sign-in");
            seen.push(key.to_owned());
        }
    }
    let log = world.server.logs();
    assert!(seen.iter().all(|key| !log.contains(key)), "no key is in the log");
}

#[test]
fn ms_chap_2_passes_with_its_keys_and_chap_too() {
    let Some(target) = FreeRadius::start().filter(|_| program("radclient")) else { return };
    let world = relayed(&[target.radius()], "", "");
    world.phone.approve_by_itself();
    let server = world.server.radius();
    assert_eq!(world.ms_chap("alice", PASSWORD, None), "accept");
    assert!(world.ms_chap("alice", "wrong", None).starts_with("reject"));
    let chap = |password: &str| {
        let mut client = Command::new("radclient")
            .args(["-x", "-t", "15", "-r", "1", &server.to_string(), "auth", SHARED_SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let request = format!("User-Name = \"alice\"\nCHAP-Password = \"{password}\"\nMessage-Authenticator = 0x00\n");
        client.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
        String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap()
    };
    assert!(chap(PASSWORD).contains("Received Access-Accept"));
    assert!(chap("wrong").contains("Received Access-Reject"));
    assert_eq!(world.phone.asked(), 2, "for the two that were right");
}

#[test]
fn check_says_how_the_target_answers() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius(), nobody()], "", "");
    let output = world.server.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("server {}  answers Status-Server", target.radius())), "{said}");
    assert!(said.contains("does not answer Status-Server"), "{said}");
    let explained = world.server.run(&["explain", "--client", "vpn", "--user", "CORP\\alice"]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains("id-of-alice"), "{explained:?}");
}
