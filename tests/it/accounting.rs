//! Accounting that is forwarded: FreeRADIUS is away, Anteroom is killed, and every record arrives once and in order.

use std::net::UdpSocket;
use std::time::Duration;

use md5::{Digest, Md5};

use crate::peers::eventually;
use crate::peers::freeradius::{FreeRadius, TARGET_SECRET};
use crate::peers::server::{self, SHARED_SECRET, Server};

/// An Accounting-Request, written by hand from RFC 2866.
fn report(number: u32) -> Vec<u8> {
    let session = format!("session-{number:05}");
    let mut attributes = vec![40, 6, 0, 0, 0, 2, 1, 7, b'a', b'l', b'i', b'c', b'e', 33, 5, b'o', b'u', b'r'];
    attributes.extend_from_slice(&[44, u8::try_from(session.len() + 2).unwrap()]);
    attributes.extend_from_slice(session.as_bytes());
    let length = u16::try_from(20 + attributes.len()).unwrap().to_be_bytes();
    let head = [4, number.to_be_bytes()[3], length[0], length[1]];
    let authenticator = Md5::digest([&head[..], &[0; 16], &attributes, SHARED_SECRET.as_bytes()].concat());
    [&head[..], &authenticator, &attributes].concat()
}

/// Reports sessions and waits for each acknowledgement.
fn report_all(server: &Server, numbers: std::ops::Range<u32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.accounting()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    for number in numbers {
        let request = report(number);
        let mut reply = [0; 4096];
        let length = eventually("an acknowledgement", || {
            socket.send(&request).unwrap();
            socket.recv(&mut reply).ok()
        });
        let reply = &reply[..length];
        let expected = Md5::digest([&reply[..4], &request[4..20], &reply[20..], SHARED_SECRET.as_bytes()].concat());
        assert_eq!((reply[0], reply[1]), (5, request[1]));
        assert_eq!(reply[4..20], expected[..]);
    }
}

fn sessions(detail: &str) -> Vec<String> {
    let lines = detail.lines().filter_map(|line| line.trim().strip_prefix("Acct-Session-Id = "));
    lines.map(|value| value.trim_matches('"').to_owned()).collect()
}

#[test]
fn a_thousand_records_arrive_once_and_in_order_though_the_target_was_away_and_the_server_killed() {
    let Some(mut target) = FreeRadius::start() else { return };
    let mut server = Server::start_written(|folder, address| {
        let (radius, accounting) = (target.radius(), target.accounting());
        let (doors, alone) = (server::doors(folder.display(), address), server::alone(folder.display(), address));
        format!(
            r#"
{doors}

[[radius.client]]
name = "vpn"
address = "127.0.0.0/8"
secret = "{SHARED_SECRET}"
target = "behind"
provider = "local"
accounting_target = "behind"

[target.behind]
type = "radius"
servers = "{radius}"
accounting_servers = "{accounting}"
secret = "{TARGET_SECRET}"
timeout = "200ms"
tries = 2

{alone}
"#
        )
    });
    report_all(&server, 0..10);
    eventually("the first ten", || (sessions(&target.detail()).len() == 10).then_some(()));
    target.stop();
    report_all(&server, 10..500);
    server.kill();
    server.start_again();
    report_all(&server, 500..1000);
    let waiting = || server.http("/metrics").filter(|page| page.contains("accounting_waiting{target=\"behind\"} 990"));
    eventually("990 records on the disk", waiting);
    assert_eq!(sessions(&target.detail()).len(), 10);
    // The spool holds what was reported and nothing that opens a door.
    let spool = std::fs::read(server.folder().join("accounting/behind/00000001")).unwrap();
    assert!(spool.windows(13).any(|part| part == b"session-00999"));
    for secret in [SHARED_SECRET, TARGET_SECRET] {
        assert!(!spool.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
    target.start_again();
    eventually("all of them", || (sessions(&target.detail()).len() >= 1000).then_some(()));
    let expected: Vec<String> = (0..1000).map(|number| format!("session-{number:05}")).collect();
    assert_eq!(sessions(&target.detail()), expected);
    let detail = target.detail();
    assert!(!detail.contains("Proxy-State") && detail.contains("NAS-IP-Address = 127.0.0.1"), "{detail:.500}");
    assert!(detail.lines().any(|line| line.contains("Acct-Delay-Time") && !line.ends_with("= 0")), "it waited");
}
