//! Trials of what happens on the wire: retransmissions, retries, requests that are not signed or not ours.

use std::time::Duration;

use super::{Decision, From, Heard, Row, ask, connect, key, last_reason};
use crate::demo::Demo;
use crate::demo::directory::DEMO_PASSWORD;
use crate::demo::phone::Behaviour;
use crate::radius::authenticator::ClientKey;
use crate::radius::client::Request;
use crate::radius::packet::MAX_PACKET;
use crate::secret::Secret;
use crate::signin::attempt::Door;

/// Who takes part.
pub(super) const PEOPLE: [&str; 4] = ["repeats", "retries", "unsigned", "stranger"];

pub(super) async fn run(demo: &Demo) -> Vec<Row> {
    let slow = Behaviour::Answer { decision: Decision::Approve, after_ms: 400 };
    PEOPLE.iter().for_each(|person| demo.phone.set_behaviour(Some(person), slow));
    vec![repeated(demo).await, retried(demo).await, unsigned(demo).await, wrong_secret(demo).await]
}

fn row(what: &str, expected: (Heard, Option<&'static str>), heard: Heard, reason: Option<String>) -> Row {
    Row { door: Door::Radius, what: what.into(), expected: expected.0, heard, expected_reason: expected.1, reason }
}

fn request<'a>(name: &'a str, password: &'a Secret) -> Request<'a> {
    Request::access(name, password)
}

fn password() -> Secret {
    Secret::from_text(DEMO_PASSWORD.into())
}

/// Prompts that the phones have seen so far.
fn prompts(demo: &Demo) -> u64 {
    demo.phone.counts().prompts
}

/// The same packet three times during the prompt and once afterwards: one prompt, the same bytes.
async fn repeated(demo: &Demo) -> Row {
    let before = prompts(demo);
    let password = password();
    let once = async {
        let socket = connect(demo, From::Vpn.address()).await?;
        let bytes = request("repeats", &password).encode(7, &[7; 16], &key()).map_err(|_| std::io::ErrorKind::Other)?;
        for _ in 0..3 {
            socket.send(&bytes).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let first = receive(&socket).await?;
        socket.send(&bytes).await?;
        Ok::<_, std::io::Error>(first == receive(&socket).await? && first.first() == Some(&2))
    };
    let same = once.await.unwrap_or(false);
    let heard = if same && prompts(demo) - before == 1 { Heard::Accept } else { Heard::Other };
    let reason = last_reason(demo, "repeats").await;
    row("packet sent four times: one prompt", (Heard::Accept, Some("approved")), heard, reason)
}

async fn receive(socket: &tokio::net::UdpSocket) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; MAX_PACKET];
    let length = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await??;
    buffer.truncate(length);
    Ok(buffer)
}

/// Two requests, each new, for one sign-in: one prompt, both accepted.
async fn retried(demo: &Demo) -> Row {
    let before = prompts(demo);
    let password = password();
    let request = request("retries", &password);
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ask(demo, From::Vpn.address(), &request).await
    };
    let both = tokio::join!(ask(demo, From::Vpn.address(), &request), later);
    let joined = both == (Heard::Accept, Heard::Accept) && prompts(demo) - before == 1;
    let reason = last_reason(demo, "retries").await;
    let heard = if joined { Heard::Accept } else { Heard::Other };
    row("client asked anew meanwhile: one prompt", (Heard::Accept, Some("approved")), heard, reason)
}

/// A request without Message-Authenticator.
async fn unsigned(demo: &Demo) -> Row {
    let password = password();
    let unsigned = Request { sign: false, ..request("unsigned", &password) };
    let heard = quickly(ask(demo, From::Vpn.address(), &unsigned)).await;
    let reason = last_reason(demo, "unsigned").await;
    row("unsigned request (CVE-2024-3596)", (Heard::Silence, None), heard, reason)
}

/// A request under another shared secret.
async fn wrong_secret(demo: &Demo) -> Row {
    let password = password();
    let strange = ClientKey::new(Secret::from_text("another-secret-0123456789".into()));
    let sent = async {
        let socket = connect(demo, From::Vpn.address()).await?;
        let request = request("stranger", &password).encode(9, &[9; 16], &strange);
        socket.send(&request.map_err(|_| std::io::ErrorKind::Other)?).await?;
        receive(&socket).await
    };
    let heard = quickly(async { if sent.await.is_ok() { Heard::Other } else { Heard::Silence } }).await;
    let reason = last_reason(demo, "stranger").await;
    row("wrong shared secret", (Heard::Silence, None), heard, reason)
}

/// Silence is known after a second: every answer of the demo comes sooner.
async fn quickly(asked: impl Future<Output = Heard>) -> Heard {
    tokio::time::timeout(Duration::from_secs(1), asked).await.unwrap_or(Heard::Silence)
}
