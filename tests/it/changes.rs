//! CoA and Disconnect (RFC 5176) from a RADIUS target to a client: radclient is the target, FreeRADIUS the client.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::peers::freeradius::{FreeRadius, TARGET_SECRET};
use crate::peers::program;
use crate::peers::server::{self, SHARED_SECRET, Server};

/// A server with the target `behind` at this address, whose changes go to `vpn` at `to`. All of FreeRADIUS's clients have
/// one secret: it is the one that the client shares.
fn world(target: &str, to: &str) -> Server {
    let (target, to) = (target.to_owned(), to.to_owned());
    Server::start_written(move |folder, address| {
        let (doors, alone) = (server::doors(folder.display(), address), server::alone(folder.display(), address));
        format!(
            r#"
{doors}

[radius.changes]
listen = ["{address}:3799"]

[[radius.changes.relay]]
target = "behind"
client = "vpn"
to = "{to}"

[[radius.client]]
name = "vpn"
address = "127.0.0.0/8"
secret = "{TARGET_SECRET}"
target = "behind"
provider = "local"

[target.behind]
type = "radius"
servers = "{target}"
secret = "{SHARED_SECRET}"

{alone}
"#
        )
    })
}

/// What radclient hears, sending this from `source`.
fn ask(server: &Server, source: &str, kind: &str, secret: &str, attributes: &str) -> String {
    let to = format!("{}:3799", server.radius().ip());
    let mut client = Command::new("radclient")
        .args(["-x", "-t", "12", "-r", "1", &to, kind, secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = format!("Packet-Src-IP-Address = {source}\n{attributes}\n");
    client.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

const ALICE: &str = "User-Name = \"alice\"\nAcct-Session-Id = \"s-1\"\nProxy-State = 0x0a0b\nProxy-State = 0x0c\n\
                     Message-Authenticator = 0x00";

#[test]
fn a_target_changes_and_ends_a_clients_session_through_anteroom() {
    let Some(nas) = FreeRadius::start().filter(|_| program("radclient")) else { return };
    let server = world("127.0.0.9", &nas.changes().to_string());
    for (kind, ack, nak) in [("coa", "CoA-ACK", "CoA-NAK"), ("disconnect", "Disconnect-ACK", "Disconnect-NAK")] {
        let heard = ask(&server, "127.0.0.9", kind, SHARED_SECRET, ALICE);
        assert!(heard.contains(&format!("Received {ack}")) && heard.contains("Reply-Message = \"changed\""), "{heard}");
        let states = heard.rfind("Proxy-State = 0x0a0b").zip(heard.rfind("Proxy-State = 0x0c"));
        assert!(
            states.is_some_and(|(first, second)| first < second && heard.find("Received").unwrap() < first),
            "{heard}"
        );
        let heard = ask(&server, "127.0.0.9", kind, SHARED_SECRET, "User-Name = \"bob\"\nMessage-Authenticator = 0x00");
        assert!(heard.contains(&format!("Received {nak}")), "{heard}");
    }
    let logs = server.logs();
    assert!(logs.contains("session change relayed") && logs.contains("kind=\"disconnect\" answer=\"ack\""), "{logs}");
    let metrics = server.http("/metrics").unwrap();
    for (kind, answer) in [("coa", "ack"), ("coa", "nak"), ("disconnect", "ack"), ("disconnect", "nak")] {
        let series = metrics.lines().find(|line| {
            let labels =
                ["target=\"behind\"", "client=\"vpn\"", &format!("kind=\"{kind}\""), &format!("answer=\"{answer}\"")];
            line.starts_with("anteroom_radius_changes_total{") && labels.iter().all(|label| line.contains(label))
        });
        assert!(series.is_some_and(|series| series.ends_with(" 1")), "{kind} {answer}: {metrics}");
    }
    for hidden in ["s-1", TARGET_SECRET, SHARED_SECRET] {
        assert!(!logs.contains(hidden), "{hidden}");
    }
    // What it may not ask, and a client that cannot be reached.
    let heard = ask(&server, "127.0.0.9", "coa", SHARED_SECRET, "User-Name = \"alice\"\nService-Type = Authorize-Only");
    assert!(heard.contains("Received CoA-NAK") && heard.contains("Error-Cause = Unsupported-Service"), "{heard}");
}

#[test]
fn nobody_but_a_target_is_heard_and_a_client_that_is_gone_is_told() {
    let Some(nas) = FreeRadius::start().filter(|_| program("radclient")) else { return };
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = world("127.0.0.9", &nobody.to_string());
    let heard = ask(&server, "127.0.0.9", "disconnect", SHARED_SECRET, ALICE);
    assert!(
        heard.contains("Received Disconnect-NAK") && heard.contains("Error-Cause = Proxy-Request-Not-Routable"),
        "{heard}"
    );
    let metrics = server.http("/metrics").unwrap();
    assert!(metrics.contains("kind=\"disconnect\",answer=\"none\"} 1"), "{metrics}");
    // Another address, and another secret: the client's does not count here.
    let to = |source: &str, secret: &str| {
        let heard = ask(&server, source, "disconnect", secret, ALICE);
        assert!(!heard.contains("Received"), "{heard}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| to("127.0.0.8", SHARED_SECRET));
        scope.spawn(|| to("127.0.0.9", TARGET_SECRET));
    });
    let metrics = server.http("/metrics").unwrap();
    for cause in ["unknown_source", "wrong_authenticator"] {
        assert!(
            metrics.contains(&format!("anteroom_radius_discards_total{{cause=\"{cause}\"}} 1\n")),
            "{cause}: {metrics}"
        );
    }
    drop(nas);
}
