use std::net::UdpSocket;
use std::thread;

use super::*;
use crate::radius::attribute::MESSAGE_AUTHENTICATOR;
use crate::radius::authenticator::sign_reply;
use crate::radius::client::Request;
use crate::radius::packet::{Builder, Code, Packet};
use crate::secret::Secret;

const SECRET: &[u8] = b"a shared secret of 32 octets....";

fn key(secret: &[u8]) -> Arc<ClientKey> {
    Arc::new(ClientKey::new(Secret::new(secret.to_vec())))
}

fn settings() -> Settings {
    Settings {
        target: "lab".into(),
        balance: Balance::Ordered,
        timeout: Duration::from_millis(300),
        tries: 2,
        requires_signature: true,
        probe: None,
        dead_for: Duration::from_secs(60),
        sockets: 4,
    }
}

/// A server of a target: `answer` makes what is sent back for each datagram, in order.
fn server(mut answer: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        for count in 0.. {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            for reply in answer(count, &buffer[..length]) {
                socket.send_to(&reply, from).unwrap();
            }
        }
    });
    address
}

fn reply_to(request: &[u8], code: Code, secret: &[u8], signed: bool) -> Vec<u8> {
    let request = Packet::decode(request).unwrap();
    let mut packet = Builder::new(code, request.identifier(), request.authenticator(), 20);
    if signed {
        packet.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
    }
    let mut bytes = packet.into_bytes();
    sign_reply(&mut bytes, request.authenticator(), &key(secret));
    bytes
}

fn accept(request: &[u8]) -> Vec<u8> {
    reply_to(request, Code::ACCESS_ACCEPT, SECRET, true)
}

/// Nobody listens there.
fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn pool(settings: Settings, servers: &[SocketAddr]) -> Pool {
    Pool::new(settings, servers, &key(SECRET))
}

async fn ask(pool: &Pool) -> Result<Replied, NoReply> {
    ask_within(pool, Duration::from_secs(10)).await
}

async fn ask_within(pool: &Pool, patience: Duration) -> Result<Replied, NoReply> {
    let password = Secret::from_text("right".into());
    let key = key(SECRET);
    let make = |identifier: u8, authenticator: &Authenticator| {
        Request::access("alice", &password).encode(identifier, authenticator, &key)
    };
    pool.ask(None, &make, now() + patience).await
}

#[tokio::test]
async fn a_reply_is_taken_and_the_identifier_is_free_again() {
    let pool = pool(settings(), &[server(|_, request| vec![accept(request)])]);
    let replied = ask(&pool).await.unwrap();
    assert_eq!(replied.server, 0);
    assert_eq!(Packet::decode(&replied.packet).unwrap().code(), Code::ACCESS_ACCEPT);
    assert_eq!(pool.outstanding(), 0);
}

#[tokio::test]
async fn a_lost_request_is_sent_again_as_it_was() {
    let mut first = Vec::new();
    let address = server(move |count, request| {
        if count == 0 {
            first = request.to_vec();
            return Vec::new();
        }
        assert_eq!(first, request, "the same octets");
        vec![accept(request)]
    });
    assert!(ask(&pool(settings(), &[address])).await.is_ok());
}

#[tokio::test]
async fn what_is_forged_unsigned_late_or_malformed_is_dropped_and_counted_and_the_right_reply_still_counts() {
    let address = server(|_, request| {
        let mut elsewhere = accept(request);
        elsewhere[1] = elsewhere[1].wrapping_add(1);
        vec![
            vec![1, 2, 3],
            elsewhere,
            reply_to(request, Code::ACCESS_ACCEPT, b"another secret", true),
            reply_to(request, Code::ACCESS_ACCEPT, SECRET, false),
            reply_to(request, Code::ACCESS_REJECT, SECRET, true),
            accept(request),
        ]
    });
    let pool = pool(settings(), &[address]);
    let replied = ask(&pool).await.unwrap();
    assert_eq!(Packet::decode(&replied.packet).unwrap().code(), Code::ACCESS_REJECT, "the first that is right");
    // The one behind it came for nobody; it may still be on its way.
    while pool.dropped(Dropped::Unexpected) < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let counted = Dropped::ALL.map(|cause| pool.dropped(cause));
    assert_eq!(counted, [1, 2, 1, 1], "malformed, unexpected, forged, unsigned");
}

#[tokio::test]
async fn an_unsigned_reply_counts_only_where_the_configuration_says_so() {
    let address = server(|_, request| vec![reply_to(request, Code::ACCESS_ACCEPT, SECRET, false)]);
    assert!(matches!(
        ask_within(&pool(settings(), &[address]), Duration::from_secs(1)).await,
        Err(NoReply::Unanswered)
    ));
    assert!(ask(&pool(Settings { requires_signature: false, ..settings() }, &[address])).await.is_ok());
}

#[tokio::test]
async fn a_reply_from_another_address_is_never_seen() {
    let spoofer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        // The right octets, from the wrong server.
        spoofer.send_to(&accept(&buffer[..length]), from).unwrap();
        thread::sleep(Duration::from_millis(100));
        socket.send_to(&reply_to(&buffer[..length], Code::ACCESS_REJECT, SECRET, true), from).unwrap();
    });
    let replied = ask(&pool(settings(), &[address])).await.unwrap();
    assert_eq!(Packet::decode(&replied.packet).unwrap().code(), Code::ACCESS_REJECT);
}

#[tokio::test]
async fn the_next_server_is_asked_and_the_dead_one_is_remembered_and_comes_back() {
    let silent = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (listens, asked) = (Arc::clone(&silent), Arc::new(AtomicUsize::new(0)));
    let counting = Arc::clone(&asked);
    let first = server(move |_, request| {
        counting.fetch_add(1, Ordering::SeqCst);
        if listens.load(Ordering::SeqCst) { Vec::new() } else { vec![accept(request)] }
    });
    let second = server(|_, request| vec![accept(request)]);
    let pool = pool(Settings { probe: Some(Duration::from_millis(50)), ..settings() }, &[first, second]);
    assert_eq!(ask(&pool).await.unwrap().server, 1, "after the first was tried in vain");
    assert_eq!(pool.states().iter().map(|(_, up)| *up).collect::<Vec<_>>(), [false, true]);
    silent.store(false, Ordering::SeqCst);
    // Status-Server brings it back.
    while !pool.states()[0].1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(&pool).await.unwrap().server, 0);
    assert!(asked.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn where_nobody_listens_the_next_is_asked_at_once() {
    let pool = pool(
        Settings { timeout: Duration::from_secs(60), ..settings() },
        &[nobody(), server(|_, request| vec![accept(request)])],
    );
    assert_eq!(ask(&pool).await.unwrap().server, 1);
}

#[tokio::test]
async fn nobody_anywhere_is_unreachable_and_silence_is_unanswered() {
    let patience = Duration::from_millis(900);
    assert!(matches!(ask_within(&pool(settings(), &[nobody()]), patience).await, Err(NoReply::Unreachable)));
    let silent = pool(settings(), &[server(|_, _| Vec::new())]);
    assert!(matches!(ask_within(&silent, patience).await, Err(NoReply::Unanswered)));
    assert_eq!(silent.outstanding(), 0);
}

#[tokio::test]
async fn a_late_reply_of_the_first_server_is_nothing_to_the_second_ones_request() {
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keeping = Arc::clone(&kept);
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let (first, late) = (socket.local_addr().unwrap(), Arc::clone(&socket));
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            keeping.lock().unwrap().push((buffer[..length].to_vec(), from));
        }
    });
    let second = server(|_, request| vec![reply_to(request, Code::ACCESS_REJECT, SECRET, true)]);
    let pool = pool(settings(), &[first, second]);
    let replied = ask(&pool).await.unwrap();
    assert_eq!(Packet::decode(&replied.packet).unwrap().code(), Code::ACCESS_REJECT);
    let (request, from) = kept.lock().unwrap()[0].clone();
    late.send_to(&accept(&request), from).unwrap();
    while pool.dropped(Dropped::Unexpected) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pool.outstanding(), 0);
}

#[tokio::test]
async fn more_lines_are_opened_as_identifiers_run_out_and_then_no_more() {
    let silent = server(|_, _| Vec::new());
    let patient = Settings { timeout: Duration::from_secs(60), sockets: 2, ..settings() };
    let pool = Arc::new(pool(patient, &[silent]));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..2 * line::IDENTIFIERS {
        let pool = Arc::clone(&pool);
        asking.spawn(async move { ask_within(&pool, Duration::from_secs(50)).await.map(|_| ()) });
    }
    while pool.outstanding() < 2 * line::IDENTIFIERS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(ask(&pool).await, Err(NoReply::Full)));
    asking.shutdown().await;
    assert_eq!(pool.outstanding(), 0, "given up, all are free again");
}

#[tokio::test]
async fn servers_take_turns_where_the_load_is_spread() {
    let servers = [server(|_, request| vec![accept(request)]), server(|_, request| vec![accept(request)])];
    let pool = pool(Settings { balance: Balance::Spread, ..settings() }, &servers);
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(ask(&pool).await.unwrap().server);
    }
    assert_eq!(asked, [0, 1, 0, 1]);
}

#[tokio::test]
async fn what_does_not_fit_is_not_sent() {
    let pool = pool(settings(), &[server(|_, _| panic!("nothing was to be sent"))]);
    let make = |_: u8, _: &Authenticator| Err(RequestError::Encode(crate::radius::packet::EncodeError::PacketTooLong));
    assert!(matches!(pool.ask(None, &make, now() + Duration::from_secs(1)).await, Err(NoReply::TooLong)));
}
