//! Trials of an RD Gateway, which has checked the password itself and sends none.

use super::{Decision, From, Heard, Row, answers, ask, last_reason};
use crate::demo::Demo;
use crate::demo::directory::{AccountState, DEMO_NETBIOS, DEMO_PASSWORD, DemoPerson};
use crate::radius::attribute::{CALLED_STATION_ID, VENDOR_SPECIFIC, join_vendor};
use crate::radius::client::Request;
use crate::radius::packet::Code;
use crate::secret::Secret;
use crate::signin::attempt::Door;
use crate::signin::outcome::Reason;

/// Microsoft's enterprise number, and MS-Machine-Name.
const MACHINE_NAME: (u32, u8) = (311, 50);

/// One connection.
struct Connection {
    what: &'static str,
    person: &'static str,
    computer: &'static str,
    from: From,
    password: bool,
    decision: Decision,
    expected: (Heard, Reason),
}

fn connections() -> Vec<Connection> {
    let connection = |what, person, expected| Connection {
        what,
        person,
        computer: "PC-1",
        from: From::Gateway,
        password: false,
        decision: Decision::Approve,
        expected,
    };
    use Heard::{Accept, Reject};
    vec![
        connection("RD Gateway: prompt approved", "desk", (Accept, Reason::Approved)),
        connection("RD Gateway: the same session again", "desk", (Accept, Reason::RememberedApproval)),
        Connection {
            computer: "PC-2",
            ..connection("RD Gateway: from another computer", "desk", (Accept, Reason::Approved))
        },
        Connection {
            decision: Decision::Deny,
            ..connection("RD Gateway: prompt denied", "desk-denies", (Reject, Reason::Denied))
        },
        connection("RD Gateway: account disabled", "desk-disabled", (Reject, Reason::AccountDisabled)),
        connection("RD Gateway: account locked out", "desk-locked", (Reject, Reason::AccountLocked)),
        connection("RD Gateway: outside logon hours", "desk-hours", (Reject, Reason::LogonHours)),
        connection("RD Gateway: in no policy's group", "desk-guest", (Reject, Reason::NoConnectionPolicy)),
        Connection {
            password: true,
            ..connection("RD Gateway: with a password", "desk", (Reject, Reason::UnwantedPassword))
        },
        Connection {
            from: From::Vpn,
            ..connection("the same request from a VPN", "desk", (Reject, Reason::NoPassword))
        },
    ]
}

/// Who takes part.
pub(super) fn people() -> impl Iterator<Item = (&'static str, DemoPerson)> {
    let states = [
        ("desk", AccountState::Good),
        ("desk-denies", AccountState::Good),
        ("desk-disabled", AccountState::Disabled),
        ("desk-locked", AccountState::Locked),
        ("desk-hours", AccountState::LogonHours),
        ("desk-guest", AccountState::Good),
    ];
    states.into_iter().map(|(name, state)| {
        let mut person = DemoPerson::new(name, "Trial", name);
        person.state = state;
        if name == "desk-guest" {
            person.groups.clear();
        }
        (name, person)
    })
}

pub(super) async fn run(demo: &Demo) -> Vec<Row> {
    let mut rows = Vec::new();
    for connection in connections() {
        rows.push(connect(demo, &connection).await);
    }
    rows
}

async fn connect(demo: &Demo, connection: &Connection) -> Row {
    demo.phone.set_behaviour(Some(connection.person), answers(connection.decision));
    let name = format!("{DEMO_NETBIOS}\\{}", connection.person);
    let password = Secret::from_text(DEMO_PASSWORD.into());
    let (vendor, number) = MACHINE_NAME;
    let machine = join_vendor(vendor, number, connection.computer.as_bytes()).unwrap_or_default();
    let attributes = [(CALLED_STATION_ID, b"UserAuthType:PW".to_vec()), (VENDOR_SPECIFIC, machine)];
    let request = Request {
        code: Code::ACCESS_REQUEST,
        name: Some(&name),
        password: connection.password.then_some(&password),
        attributes: &attributes,
        sign: true,
    };
    let heard = ask(demo, connection.from.address(), &request).await;
    let (expected, reason) = connection.expected;
    Row {
        door: Door::Radius,
        what: connection.what.into(),
        expected,
        heard,
        expected_reason: Some(reason.code()),
        reason: last_reason(demo, &name).await,
    }
}
