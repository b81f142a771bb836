//! EAP and a RADIUS target's own challenges pass through in rounds: FreeRADIUS behind, `eapol_test` of wpa_supplicant in
//! front, and a client written by hand for what a decent one never sends.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use md5::{Digest, Md5};

use crate::peers::freeradius::{FreeRadius, PASSWORD};
use crate::peers::program;
use crate::peers::server::SHARED_SECRET;
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_CHALLENGE, ACCESS_REJECT, Nas, Reply, Request};
use crate::peers::world::SOON;
use crate::radius_targets::{Relayed, relayed, values};

mod bounds;
mod challenged;
mod hostile;

const STATE: u8 = 24;
const STATION: u8 = 31;
const EAP_MESSAGE: u8 = 79;

/// Every way that the supplicant proves itself in.
const WAYS: [&str; 4] = ["peap-mschapv2", "ttls-pap", "ttls-mschapv2", "tls"];

/// A supplicant that begins one conversation.
fn supplicant(world: &Relayed, target: &FreeRadius, way: &str, station: &str) -> Child {
    let file = |name| target.tls(name).display().to_string();
    let method = match way {
        "peap-mschapv2" => "eap=PEAP\nphase2=\"auth=MSCHAPV2\"\nphase1=\"peaplabel=0\"".to_owned(),
        "ttls-pap" => "eap=TTLS\nphase2=\"auth=PAP\"".to_owned(),
        "ttls-mschapv2" => "eap=TTLS\nphase2=\"auth=MSCHAPV2\"".to_owned(),
        "tls" => format!("eap=TLS\nclient_cert=\"{}\"\nprivate_key=\"{}\"", file("cert.pem"), file("key.pem")),
        other => panic!("no way {other}"),
    };
    // With TLS the target names the outer name in its Accept: there is no inner one.
    let outer = if way == "tls" { String::new() } else { format!("anonymous_identity=\"{way}\"") };
    let (ca, path) = (file("ca.pem"), world.server.folder().join(format!("{way}-{station}.conf")));
    let written = format!(
        "network={{\nkey_mgmt=IEEE8021X\neapol_flags=0\nidentity=\"alice\"\npassword=\"{PASSWORD}\"\n{outer}\n\
         ca_cert=\"{ca}\"\n{method}\n}}\n"
    );
    std::fs::write(&path, written).unwrap();
    let server = world.server.radius();
    Command::new("eapol_test")
        .arg("-c")
        .arg(path)
        .args(["-a", &server.ip().to_string(), "-p", &server.port().to_string(), "-s", SHARED_SECRET])
        .args(["-t", "30", "-M", station])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// How its conversation ended. Success is told only where the keys in the Accept are those that the device has made, too.
fn ended(supplicant: Child) -> bool {
    let output = supplicant.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default().to_owned();
    assert_eq!(output.status.success(), last == "SUCCESS", "{said}");
    if last == "SUCCESS" {
        assert!(said.contains("MPPE keys OK: 1  mismatch: 0"), "{said}");
    } else {
        assert!(said.contains("EAP: Received EAP-Failure"), "refused without a word to the device: {said}");
    }
    last == "SUCCESS"
}

fn outer(way: &str) -> &str {
    if way == "tls" { "alice" } else { way }
}

fn peers() -> Option<FreeRadius> {
    FreeRadius::start().filter(|_| program("eapol_test"))
}

/// An EAP packet as attributes.
fn message(packet: &[u8]) -> Vec<(u8, &[u8])> {
    packet.chunks(253).map(|fragment| (EAP_MESSAGE, fragment)).collect()
}

/// The EAP packet of a reply.
fn packet(reply: &Reply) -> Vec<u8> {
    values(reply, EAP_MESSAGE).concat()
}

/// A device that speaks EAP-MD5 through a client written by hand.
struct Device {
    nas: Nas,
    name: &'static str,
    station: &'static str,
}

impl Device {
    fn new(world: &Relayed, name: &'static str, station: &'static str) -> Self {
        Device { nas: Nas::new(world.server.radius(), SHARED_SECRET), name, station }
    }

    fn say(&mut self, state: Option<&[u8]>, packet: &[u8]) -> Request {
        let mut more = message(packet);
        more.push((STATION, self.station.as_bytes()));
        more.extend(state.map(|state| (STATE, state)));
        let request = self.nas.bare(self.name, &more);
        self.nas.send(&request);
        request
    }

    fn ask(&mut self, state: Option<&[u8]>, packet: &[u8]) -> Reply {
        let request = self.say(state, packet);
        self.nas.receive(&request, SOON).expect("an answer")
    }

    fn identity(&self) -> Vec<u8> {
        let length = u8::try_from(5 + self.name.len()).unwrap();
        [&[2, 1, 0, length, 1], self.name.as_bytes()].concat()
    }

    /// Goes as far as the MD5 challenge: its State, and the right answer.
    fn challenged(&mut self) -> (Vec<u8>, Vec<u8>) {
        let first = self.ask(None, &self.identity());
        assert_eq!(first.code, ACCESS_CHALLENGE);
        let wanted = [2, packet(&first)[1], 0, 6, 3, 4];
        let second = self.ask(Some(values(&first, STATE)[0]), &wanted);
        assert_eq!(second.code, ACCESS_CHALLENGE);
        let asked = packet(&second);
        let (identifier, size) = (asked[1], usize::from(asked[5]));
        let proof = Md5::digest([&[identifier], PASSWORD.as_bytes(), &asked[6..6 + size]].concat());
        (values(&second, STATE)[0].to_vec(), [&[2, identifier, 0, 22, 4, 16], &proof[..]].concat())
    }
}

#[test]
fn every_method_ends_in_the_targets_keys_after_one_approval() {
    let Some(target) = peers() else { return };
    let world = relayed(&[target.radius()], "", "");
    world.phone.approve_by_itself();
    for (turn, way) in (1..).zip(WAYS) {
        assert!(ended(supplicant(&world, &target, way, "02:00:00:00:00:01")), "{way}");
        let event = world.server.event(outer(way));
        assert_eq!((&event["reason"], &event["account"]), (&"approved".into(), &"alice".into()), "{way}: {event}");
        assert!(event["requests"].as_u64().unwrap() > 3, "one event for all rounds: {event}");
        assert_eq!(world.phone.asked(), turn, "{way}: one prompt");
    }
}

#[test]
fn every_method_ends_in_a_failure_where_the_prompt_is_denied() {
    let Some(target) = peers() else { return };
    for way in WAYS {
        let world = relayed(&[target.radius()], "", "");
        let device = supplicant(&world, &target, way, "02:00:00:00:00:01");
        let prompt = world.phone.prompt_of("alice");
        world.phone.deny(&prompt);
        assert!(!ended(device), "{way}");
        assert_eq!(world.server.event(outer(way))["reason"], "denied", "{way}");
    }
}

#[test]
fn every_method_ends_in_a_failure_where_nobody_answers_the_prompt() {
    let Some(target) = peers() else { return };
    let worlds = WAYS.map(|way| {
        let world = relayed(&[target.radius()], "", "answer_within = \"5s\"");
        let device = supplicant(&world, &target, way, "02:00:00:00:00:01");
        (way, world, device)
    });
    for (way, world, device) in worlds {
        assert!(!ended(device), "{way}");
        assert_eq!(world.server.event(outer(way))["reason"], "expired", "{way}");
    }
}

#[test]
fn every_method_ends_in_a_failure_where_the_target_is_lost_in_between() {
    let Some(target) = peers() else { return };
    for way in WAYS {
        let world = relayed(&[lossy(target.radius(), 3)], "tries = 1\nprobe = \"0s\"", "");
        assert!(!ended(supplicant(&world, &target, way, "02:00:00:00:00:01")), "{way}");
        assert_eq!(world.server.event(outer(way))["reason"], "directory_unreachable", "{way}");
        assert_eq!(world.phone.asked(), 0, "{way}");
    }
}

#[test]
fn a_wrong_password_prompts_nobody() {
    let Some(target) = peers() else { return };
    let world = relayed(&[target.radius()], "", "");
    let mut device = Device::new(&world, "alice", "one");
    let (state, mut proof) = device.challenged();
    proof[10] ^= 1;
    let reply = device.ask(Some(&state), &proof);
    assert_eq!((reply.code, packet(&reply)), (ACCESS_REJECT, vec![4, proof[1], 0, 4]));
    assert_eq!(world.server.event("alice")["reason"], "wrong_password");
    assert_eq!(world.phone.asked(), 0);
}

/// A way to the target on which only so many requests get through.
fn lossy(target: SocketAddr, most: usize) -> SocketAddr {
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = near.local_addr().unwrap();
    std::thread::spawn(move || {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.connect(target).unwrap();
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 4096];
        for _ in 0..most {
            let Ok((length, from)) = near.recv_from(&mut buffer) else { return };
            far.send(&buffer[..length]).unwrap();
            if let Ok(length) = far.recv(&mut buffer) {
                near.send_to(&buffer[..length], from).unwrap();
            }
        }
        // The port stays open: nobody says that the target is gone.
        while near.recv_from(&mut buffer).is_ok() {}
    });
    address
}
