//! The whole program against a real Active Directory (Samba), with real RADIUS clients as the gateway.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::peers::samba::{BASE, Directory, PASSWORD};
use crate::peers::server::SHARED_SECRET;
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT};
use crate::peers::world::World;
use crate::peers::{peer_file, program, pyrad_is_there};

/// With an NPS behind, and several clients at once.
mod before_nps;

/// The gateway's address. The VPN of every world has the rest of the loopback network.
const GATEWAY: &str = "127.0.0.2";

/// A world with a VPN on the directory and a gateway on target `none`. `client` and `policies` are further keys of the
/// gateway's section, and its connection policies.
fn world(directory: &Directory, client: &str, policies: &str) -> World {
    let gateway = gateway("rdg", GATEWAY, "Remote Desktop");
    let sections = format!(
        r#"
{gateway}
{client}

[target.rdg]
type = "none"
directory = "corp"
{policies}
"#
    );
    World::new(directory, &sections, "")
}

/// The section of a gateway, whose target has its name; further keys of it may follow.
fn gateway(name: &str, address: &str, application: &str) -> String {
    format!(
        r#"
[[radius.client]]
name = "{name}"
address = "{address}"
secret = "{SHARED_SECRET}"
application = "{application}"
profile = "rd-gateway"
target = "{name}"
answer_within = "20s""#
    )
}

/// Everybody may connect.
const EVERYBODY: &str = "[[target.rdg.policy]]\nname = \"everybody\"\n";

/// What the gateway heard.
struct Heard {
    code: Option<u8>,
    attributes: Vec<(u8, String)>,
    whole: Value,
}

/// One connection of `name` from `computer`, made in a thread of its own.
fn connect(world: &World, name: &str, computer: &str, by: &str, states: &[&str]) -> JoinHandle<Heard> {
    connect_from(GATEWAY, world, (name, computer, by), states)
}

/// The same from another gateway.
fn connect_from(
    gateway: &str,
    world: &World,
    (name, computer, by): (&str, &str, &str),
    states: &[&str],
) -> JoinHandle<Heard> {
    let server = world.server.radius();
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(peer_file("rd-gateway.py"))
        .args([&server.ip().to_string(), &server.port().to_string(), SHARED_SECRET, "25", gateway, name, computer, by])
        .args(states);
    thread::spawn(move || {
        let output = command.output().unwrap();
        let whole: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let code = whole["code"].as_u64().map(|code| u8::try_from(code).unwrap());
        let attributes = whole["attributes"].as_array().into_iter().flatten();
        let attributes = attributes
            .map(|one| (u8::try_from(one[0].as_u64().unwrap()).unwrap(), one[1].as_str().unwrap().to_owned()));
        Heard { code, attributes: attributes.collect(), whole }
    })
}

/// The same, to its end.
fn connected(world: &World, name: &str, computer: &str, by: &str) -> Heard {
    connect(world, name, computer, by, &[]).join().unwrap()
}

fn directory() -> Option<Directory> {
    Directory::get().filter(|_| pyrad_is_there())
}

#[test]
fn the_gateway_hears_accept_with_its_settings_and_proxy_states_in_order() {
    let Some(directory) = directory() else { return };
    let policy = format!(
        "[[target.rdg.policy]]\nname = \"staff\"\ngroups = [\"CN=VPN-Users,OU=Groups,OU=Lab,{BASE}\"]\n\
         redirection = [\"clipboard\", \"printers\"]\nidle_timeout = \"30m\"\nsession_timeout = \"8h\"\n"
    );
    let world = world(&directory, "reply_attributes = ['Class = \"rdg\"']", &policy);
    world.enrol(&["alice"]);
    let states = ["0a", "fe80000000000001", "0b", "0a", "03", "04", "05", "06", "07", "08"];
    let asked = connect(&world, "CORP\\alice", "PC-0815", "PW", &states);
    let prompt = world.phone.prompt_of("alice");
    assert_eq!(&*prompt.application, "Remote Desktop");
    world.phone.approve(&prompt);
    let heard = asked.join().unwrap();
    assert_eq!(heard.code, Some(ACCESS_ACCEPT));
    assert_eq!((&heard.whole["authentic"], &heard.whole["signed_first"]), (&true.into(), &true.into()));
    // Class, device redirection (drives, ports and plug-and-play off), idle and session timeout, Proxy-States.
    let mut expected = vec![
        (25, "726467".to_owned()),
        (26, "000001373f0600000015".to_owned()),
        (28, "00000708".to_owned()),
        (27, "00007080".to_owned()),
    ];
    expected.extend(states.map(|state| (33, state.to_owned())));
    assert_eq!(heard.attributes[1..], expected);
    let event = world.server.event("CORP\\alice");
    assert_eq!((&event["reason"], &event["account"]), (&"approved".into(), &"alice".into()));
    assert_eq!((&event["primary"], &event["client"]), (&"passed".into(), &"rdg".into()));
}

#[test]
fn denied_and_unanswered_prompts_keep_the_gateway_shut() {
    let Some(directory) = directory() else { return };
    let world = world(&directory, "", EVERYBODY);
    world.enrol(&["alice", "bob"]);
    let asked = connect(&world, "CORP\\alice", "PC-0815", "PW", &["01"]);
    world.phone.deny(&world.phone.prompt_of("alice"));
    let heard = asked.join().unwrap();
    assert_eq!(heard.code, Some(ACCESS_REJECT));
    // Nothing of the gateway's own is in a reject, and never a State.
    assert_eq!(heard.attributes[1..], [(33, "01".to_owned())]);
    assert_eq!(world.server.event("CORP\\alice")["reason"], "denied");
    // Nobody answers: the answer is a reject when the time is over.
    let heard = connected(&world, "bob@corp.example.test", "PC-0815", "PW");
    assert_eq!(heard.code, Some(ACCESS_REJECT));
    assert_eq!(world.server.event("bob@corp.example.test")["reason"], "expired");
}

#[test]
fn the_directory_says_which_accounts_may_sign_in() {
    let Some(directory) = directory() else { return };
    let world = world(&directory, "", EVERYBODY);
    let states = [
        ("st-disabled", "account_disabled"),
        ("st-locked", "account_locked"),
        ("st-acctexpired", "account_expired"),
        ("st-nohours", "logon_hours"),
        ("st-mustchange", "must_change_password"),
        ("st-pwexpired", "password_expired"),
    ];
    world.enrol(&states.map(|(account, _)| account));
    world.enrol(&["allhours"]);
    world.phone.approve_by_itself();
    for (account, reason) in states {
        let name = format!("CORP\\{account}");
        assert_eq!(connected(&world, &name, "PC-0815", "PW").code, Some(ACCESS_REJECT), "{account}");
        assert_eq!(world.server.event(&name)["reason"], reason, "{account}");
    }
    assert_eq!(connected(&world, "CORP\\nobody-at-all", "PC-0815", "PW").code, Some(ACCESS_REJECT));
    assert_eq!(world.server.event("CORP\\nobody-at-all")["reason"], "unknown_user");
    assert_eq!(connected(&world, "OTHER\\allhours", "PC-0815", "PW").code, Some(ACCESS_REJECT));
    assert_eq!(world.phone.asked(), 0, "somebody was prompted whose account may not sign in");
    // With a smart card the age of the password does not matter; everything else does.
    assert_eq!(connected(&world, "st-pwexpired@corp.example.test", "PC-0815", "CA").code, Some(ACCESS_ACCEPT));
    assert_eq!(connected(&world, "st-locked@corp.example.test", "PC-0815", "CA").code, Some(ACCESS_REJECT));
    assert_eq!(connected(&world, "CORP\\allhours", "PC-0815", "PW").code, Some(ACCESS_ACCEPT));
}

#[test]
fn the_first_policy_that_fits_decides() {
    let Some(directory) = directory() else { return };
    let group = |name: &str| format!("CN={name},OU=Groups,OU=Lab,{BASE}");
    let policies = format!(
        r#"
[[target.rdg.policy]]
name = "not with smart cards"
authentication = ["smart_card"]
allow = false

[[target.rdg.policy]]
name = "interns from known computers"
groups = ["{interns}"]
computer_groups = ["{computers}"]

[[target.rdg.policy]]
name = "engineers"
groups = ["{engineers}"]
computers = ["PC-*"]
gateways = ["{GATEWAY}"]

[[target.rdg.policy]]
name = "another gateway"
gateways = ["192.0.2.77"]

[[target.rdg.policy]]
name = "administrators, as an NPS names them"
groups = ["<SID=S-1-5-32-544>"]
computers = ["SID"]

[[target.rdg.policy]]
name = "users, as an NPS names them"
groups = ["<SID=S-1-5-32-544>", "<SID=S-1-5-32-545>"]
computers = ["SID-2"]

[[target.rdg.policy]]
name = "these hours"
computers = ["NOW"]
hours = ["{now}"]
zone = "UTC"

[[target.rdg.policy]]
name = "other hours"
computers = ["NOT-NOW"]
hours = ["{later}"]
zone = "UTC"
"#,
        now = hours(-6, 6),
        later = hours(6, 12),
        interns = group("VPN-Interns"),
        computers = group("Gateway-Computers"),
        engineers = group("VPN-Engineering"),
    );
    let world = world(&directory, "reconnect_within = \"0s\"", &policies);
    world.enrol(&["alice", "bob", "carol"]);
    world.phone.approve_by_itself();
    let attempts = [
        // carol is an intern, and interns are engineers: PC-0815 is in the group by way of another one.
        ("carol", "PC-0815", "PW", ACCESS_ACCEPT, "approved"),
        ("CORP\\carol", "CORP\\PC-0815$", "PW", ACCESS_ACCEPT, "approved"),
        ("corp\\carol", "pc-0815.corp.example.test", "PW", ACCESS_ACCEPT, "approved"),
        ("CORP\\CAROL", "PC-4711", "PW", ACCESS_ACCEPT, "approved"),
        ("Carol", "NOTEBOOK", "PW", ACCESS_REJECT, "no_connection_policy"),
        ("carol@corp.example.test", "-", "PW", ACCESS_REJECT, "no_connection_policy"),
        // bob is an engineer.
        ("bob", "pc-1", "PW", ACCESS_ACCEPT, "approved"),
        ("CORP\\bob", "XPC-1", "PW", ACCESS_REJECT, "no_connection_policy"),
        // alice is in no group that a policy names, but like everybody in Users, by way of her primary group.
        ("corp\\alice", "SID", "PW", ACCESS_REJECT, "no_connection_policy"),
        ("CORP\\ALICE", "SID-2", "PW", ACCESS_ACCEPT, "approved"),
        ("alice", "PC-0815", "PW", ACCESS_REJECT, "no_connection_policy"),
        ("CORP\\alice", "PC-0815", "CA", ACCESS_REJECT, "connection_denied"),
        ("Alice", "NOW", "PW", ACCESS_ACCEPT, "approved"),
        ("corp\\Alice", "NOT-NOW", "PW", ACCESS_REJECT, "no_connection_policy"),
    ];
    for (name, computer, by, code, reason) in attempts {
        assert_eq!(connected(&world, name, computer, by).code, Some(code), "{name} {computer}");
        assert_eq!(world.server.event(name)["reason"], reason, "{name} {computer}");
    }
}

/// Hours from so many hours after now to so many, in UTC.
fn hours(from: i64, until: i64) -> String {
    let now = jiff::Timestamp::now().as_second() / 3600;
    let hour = |after: i64| (now + after).rem_euclid(24);
    format!("{:02}:00-{:02}:00", hour(from), hour(until))
}

#[test]
fn one_session_prompts_once_on_one_computer() {
    let Some(directory) = directory() else { return };
    let world = world(&directory, "", EVERYBODY);
    world.enrol(&["alice"]);
    // The gateway asks again while the prompt is out: one prompt, both are answered.
    let first = connect(&world, "CORP\\alice", "PC-0815", "PW", &["01"]);
    let prompt = world.phone.prompt_of("alice");
    let second = connect(&world, "alice@corp.example.test", "pc-0815", "PW", &["02"]);
    thread::sleep(std::time::Duration::from_millis(700));
    world.phone.approve(&prompt);
    assert_eq!((first.join().unwrap().code, second.join().unwrap().code), (Some(ACCESS_ACCEPT), Some(ACCESS_ACCEPT)));
    assert_eq!(world.phone.asked(), 1);
    // The broker sends the person on: no prompt.
    assert_eq!(connected(&world, "CORP\\alice", "PC-0815", "PW").code, Some(ACCESS_ACCEPT));
    assert_eq!(world.phone.asked(), 1);
    assert_eq!(world.server.events("CORP\\alice", 2)[1]["reason"], "remembered_approval");
    // From another computer, from one without a name, or by a smart card it is another session.
    world.phone.approve_by_itself();
    for (computer, by) in [("PC-4711", "PW"), ("-", "PW"), ("-", "PW"), ("PC-0815", "CA")] {
        assert_eq!(connected(&world, "CORP\\alice", computer, by).code, Some(ACCESS_ACCEPT));
    }
    assert_eq!(world.phone.asked(), 5);
}

#[test]
fn whoever_could_only_type_a_code_is_refused_and_told_of_and_nothing_is_sent() {
    let Some(directory) = directory() else { return };
    let providers = r#"
[provider.local]
type = "local"

[provider.texts]
type = "codes"
via = "http"
url = "http://127.0.0.1:9/send"
headers = ["Content-Type: application/json"]
body = '{"to": "{phone}", "text": "{text}"}'
"#;
    let asked = "provider = [\"cloud\", \"local\", \"texts\"]";
    let world = world(&directory, asked, &format!("{EVERYBODY}{providers}"));
    let ways = [
        ("alice", ["--method", "oath", "--email", "alice@example.test"]),
        // A text would be sent, and nobody could type what is in it.
        ("bob", ["--method", "sms_code", "--phone", "+41795550101"]),
        ("dave", ["--method", "backup_code", "--email", "dave@example.test"]),
    ];
    for (account, way) in ways {
        world.server.run(&[&["user", "add", account][..], &way].concat());
        let heard = connect(&world, &format!("CORP\\{account}"), "PC-0815", "PW", &["01"]).join().unwrap();
        assert_eq!((heard.code, &heard.whole["signed_first"]), (Some(ACCESS_REJECT), &true.into()), "{account}");
        assert_eq!(heard.attributes[1..], [(33, "01".to_owned())], "no State, and no text that nobody would see");
        let event = world.server.event(&format!("CORP\\{account}"));
        assert_eq!((&event["reason"], &event["primary"]), (&"needs_code".into(), &"passed".into()), "{account}");
        assert_eq!((&event["factor"], &event["provider"]), (&Value::Null, &Value::Null), "{account}");
        let told = world.server.run(&["explain", "--client", "rdg", "--user", &format!("CORP\\{account}")]);
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.contains("needs_code") && told.contains("anteroom user set NAME --method push"), "{told}");
    }
    assert_eq!(world.phone.asked(), 0, "neither a prompt nor a code");
    // What the advice says helps.
    world.phone.approve_by_itself();
    world.server.run(&["user", "set", "bob", "--method", "push", "--device-token", "device-token-of-bob"]);
    assert_eq!(connected(&world, "bob@corp.example.test", "PC-0815", "PW").code, Some(ACCESS_ACCEPT));
    assert_eq!(world.phone.asked(), 1);
}

#[test]
fn a_vpn_and_a_gateway_at_once_do_not_cross() {
    let Some(directory) = directory() else { return };
    let world = world(&directory, "", EVERYBODY);
    world.enrol(&["alice", "bob"]);
    let mut nas = world.nas();
    let vpn = nas.request("alice", PASSWORD.as_bytes(), &[]);
    nas.send(&vpn);
    let at_vpn = world.phone.prompt_of("alice");
    assert_eq!(&*at_vpn.application, "Test VPN");
    let gateway = connect(&world, "CORP\\bob", "PC-0815", "PW", &[]);
    let at_gateway = world.phone.prompt_of("bob");
    world.phone.deny(&at_vpn);
    world.phone.approve(&at_gateway);
    assert_eq!(gateway.join().unwrap().code, Some(ACCESS_ACCEPT));
    assert_eq!(nas.receive(&vpn, crate::peers::world::SOON).unwrap().code, ACCESS_REJECT);
    // What a gateway asks is refused of the VPN, and a password of the gateway.
    let server = world.server.radius();
    let asked = world.phone.asked();
    let output = radclient(server, "127.0.0.1", None);
    assert!(received(&output, "Access-Reject"), "{output:?}");
    let output = radclient(server, GATEWAY, Some(PASSWORD));
    assert!(received(&output, "Access-Reject"), "{output:?}");
    let reasons: Vec<_> = world.server.events("CORP\\alice", 2).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["no_password", "unwanted_password"]);
    assert_eq!(world.phone.asked(), asked);
}

#[test]
fn the_guides_radclient_file_is_a_gateway() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let world = world(&directory, "", EVERYBODY);
    world.enrol(&["alice"]);
    world.phone.approve_by_itself();
    let output = radclient(world.server.radius(), GATEWAY, None);
    assert!(received(&output, "Access-Accept"), "{output:?}");
    assert_eq!(world.server.event("CORP\\alice")["reason"], "approved");
}

#[test]
fn explain_and_check_know_the_gateway() {
    let Some(directory) = Directory::get() else { return };
    let policies = format!(
        "[[target.rdg.policy]]\nname = \"staff\"\ngroups = [\"CN=VPN-Users,OU=Groups,OU=Lab,{BASE}\"]\n\
         computers = [\"PC-*\"]\n\
         [[target.rdg.policy]]\nname = \"typo\"\ngroups = [\"CN=No-Such-Group,OU=Groups,OU=Lab,{BASE}\"]\n"
    );
    let world = world(&directory, "", &policies);
    world.enrol(&["alice"]);
    let explain = |more: &[&str]| {
        let arguments = [&["explain", "--client", "rdg", "--user", "CORP\\alice", "--json"], more].concat();
        serde_json::from_slice::<Value>(&world.server.run(&arguments).stdout).unwrap()
    };
    let told = explain(&["--computer", "PC-0815"]);
    assert_eq!(told["end"], "prompt", "{told}");
    assert!(told["steps"].to_string().contains("the policy \\\"staff\\\" lets them in"), "{told}");
    assert_eq!(explain(&["--computer", "XPC"])["reason"], "no_connection_policy");
    assert_eq!(world.phone.asked(), 0);
    let output = world.server.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("the directory says whether an account may sign in"), "{said}");
    assert!(said.contains("there is no group \"CN=No-Such-Group"), "{said}");
    assert!(!said.contains("there is no group \"CN=VPN-Users"), "{said}");
    assert!(!output.status.success());
}

/// Sends the guide's file from `source`, with a password where one is given.
fn radclient(server: SocketAddr, source: &str, password: Option<&str>) -> Output {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/guides/rd-gateway.radclient");
    let mut attributes = std::fs::read_to_string(file).unwrap();
    attributes.push_str(&format!("Packet-Src-IP-Address = {source}\n"));
    if let Some(password) = password {
        attributes.push_str(&format!("User-Password = \"{password}\"\n"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.radclient");
    std::fs::write(&path, attributes).unwrap();
    Command::new("radclient")
        .args(["-x", "-t", "20", "-r", "1", "-f"])
        .arg(&path)
        .args([&server.to_string(), "auth", SHARED_SECRET])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Whether radclient took this reply.
fn received(output: &Output, reply: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(&format!("Received {reply}"))
}
