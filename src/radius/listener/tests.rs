use super::station::{AbortOnDrop, Answer, Dice, Work, enter, hold};
use super::*;
use crate::config::RadiusClient;
use crate::radius::attribute::{ACCT_SESSION_ID, ACCT_STATUS_TYPE};
use crate::radius::client::{Patience, Request, exchange};
use crate::radius::discard::Discarded;
use crate::radius::door::{Begin, Step};
use crate::radius::packet::Code;
use crate::radius::testing::{client, key, range, shared};
use crate::secret::Secret;
use crate::signin::outcome::Outcome;
use crate::signin::waiting::Waiting;

const PATIENCE: Patience = Patience { timeout: Duration::from_millis(500), sends: 4, require_signature: true };

fn loopback_only() -> RadiusClient {
    let addresses = vec![range("127.0.0.0", "127.255.255.255"), range("::1", "::1")];
    RadiusClient { addresses, ..client("vpn") }
}

fn settings() -> Settings {
    Settings { sockets: 2, remembered: 1000 }
}

fn station() -> Arc<Station> {
    let shared = shared(vec![loopback_only()], Instant::now());
    let port = Port::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    Arc::new(Station { port, door: Door::new(shared, 10) })
}

/// A request that has arrived at a station from a socket that waits for its answer.
async fn arrived(station: &Arc<Station>) -> (tokio::net::UdpSocket, Begin<Work>, Route, Vec<u8>) {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(station.port.address().unwrap()).await.unwrap();
    let password = Secret::new(b"x".to_vec());
    let bytes = Request::access("nemo", &password).encode(1, &[1; 16], &key()).unwrap();
    socket.send(&bytes).await.unwrap();
    let mut buffer = Buffer::new();
    let (length, route) = loop {
        station.port.readable().await.unwrap();
        if let Ok(received) = station.port.try_receive(&mut buffer) {
            break received;
        }
    };
    let Step::Begin(begin) = station.door.receive(route.peer, buffer.get(length), Instant::now(), || [0; 12]) else {
        panic!("not begun")
    };
    (socket, begin, route, bytes)
}

#[tokio::test]
async fn answers_leave_in_their_order_also_when_the_port_is_gone_meanwhile() {
    let station = station();
    let (socket, _begin, route, _) = arrived(&station).await;
    let wildcard = Port::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let other = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.send_to(b"x", ("127.0.0.1", wildcard.address().unwrap().port())).await.unwrap();
    let mut buffer = Buffer::new();
    let back = loop {
        wildcard.readable().await.unwrap();
        if let Ok((_, route)) = wildcard.try_receive(&mut buffer) {
            break route;
        }
    };
    for number in 0..100_u8 {
        station.port.send(&[number].into(), &route).unwrap();
        wildcard.send(&[number].into(), &back).unwrap();
    }
    assert_eq!(station.port.outgoing(), 100, "they leave together");
    drop((station, wildcard));
    for number in 0..100_u8 {
        for socket in [&socket, &other] {
            let mut reply = [0; 2];
            assert_eq!(socket.recv(&mut reply).await.unwrap(), 1);
            assert_eq!(reply[0], number);
        }
    }
}

#[tokio::test]
async fn a_held_request_is_small() {
    let station = station();
    let (_socket, begin, route, _) = arrived(&station).await;
    let entering = Box::pin(std::future::pending::<Waiting>());
    let answer = Answer { station: Some(station), ticket: begin.ticket, route };
    let task = hold(entering, answer);
    // Of which what waits for the outcome belongs to signin::pending.
    let octets = size_of_val(&task);
    // Its task takes 96 more, in steps of 128.
    assert!(octets <= 336, "{octets}");
}

#[tokio::test]
async fn a_panic_ends_in_a_reject() {
    let station = station();
    let (socket, begin, route, bytes) = arrived(&station).await;
    let entering = Box::pin(async { panic!("a mistake, on purpose") });
    let answer = Answer { station: Some(Arc::clone(&station)), ticket: begin.ticket, route };
    assert!(tokio::spawn(hold(entering, answer)).await.unwrap_err().is_panic());
    let mut reply = [0; 100];
    let length = socket.recv(&mut reply).await.unwrap();
    assert_eq!(reply[0], Code::ACCESS_REJECT.0);
    let again = station.door.receive(route.peer, &bytes, Instant::now(), || [0; 12]);
    assert!(matches!(again, Step::Resend(kept) if *kept == reply[..length]));
}

/// Nothing comes within a moment.
#[tokio::test]
async fn what_is_taken_in_one_turn_counts_before_it_enters() {
    let (station, sign_ins) = (station(), crate::signin::testing::rejecting());
    let (_socket, _begin, route, _) = arrived(&station).await;
    let station = Arc::new(Station {
        port: Port::bind("127.0.0.1:0".parse().unwrap()).unwrap(),
        door: Door::new(shared(vec![loopback_only()], Instant::now()), 100),
    });
    let mut dice = Dice::default();
    let mut take = |identifier: u8| {
        let bytes = Request::access("nemo", &Secret::new(b"x".to_vec())).encode(identifier, &[1; 16], &key()).unwrap();
        station.take(&sign_ins, &bytes, (route.peer, route), &mut dice)
    };
    // No other task runs meanwhile. Ten have room.
    let taken: Vec<_> = (0..32).map(&mut take).collect();
    assert!(taken[..10].iter().all(Option::is_none), "{taken:?}");
    assert!(taken[10..].iter().all(|cause| *cause == Some(Discarded::Overloaded)), "{taken:?}");
    // All of these end at once: there is room again, and nothing is counted twice.
    while station.door.running() > 0 {
        tokio::task::yield_now().await;
    }
    let taken: Vec<_> = (32..64).map(take).collect();
    assert_eq!(taken.iter().filter(|cause| cause.is_none()).count(), 10, "{taken:?}");
}

async fn is_silent(socket: &tokio::net::UdpSocket) -> bool {
    tokio::time::timeout(Duration::from_millis(50), socket.recv(&mut [0; 100])).await.is_err()
}

#[tokio::test]
async fn a_task_that_is_cut_off_answers_nothing_and_its_request_starts_anew() {
    let station = station();
    let (socket, begin, route, bytes) = arrived(&station).await;
    let answer = Answer { station: Some(Arc::clone(&station)), ticket: begin.ticket, route };
    let task = tokio::spawn(hold(Box::pin(std::future::pending()), answer));
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(is_silent(&socket).await);
    assert!(matches!(station.door.receive(route.peer, &bytes, Instant::now(), || [0; 12]), Step::Begin(_)));
}

#[tokio::test]
async fn an_answer_that_was_given_is_not_given_again_by_a_panic_behind_it() {
    let station = station();
    let (socket, begin, route, _) = arrived(&station).await;
    let mut answer = Answer { station: Some(Arc::clone(&station)), ticket: begin.ticket, route };
    let task = tokio::spawn(async move {
        answer.give(&Outcome::Reject(crate::signin::outcome::Reason::Denied));
        tokio::task::yield_now().await;
        panic!("a mistake, on purpose, {}", answer.station.is_some())
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(socket.recv(&mut [0; 100]).await.unwrap(), 38, "one reject: header and Message-Authenticator");
    assert!(is_silent(&socket).await);
}

#[tokio::test]
async fn a_superseded_task_that_panics_answers_nothing() {
    let station = station();
    let (socket, begin, route, _) = arrived(&station).await;
    let newer = Request::access("nemo", &Secret::new(b"x".to_vec())).encode(1, &[2; 16], &key()).unwrap();
    assert!(matches!(station.door.receive(route.peer, &newer, Instant::now(), || [1; 12]), Step::Begin(_)));
    let answer = Answer { station: Some(station), ticket: begin.ticket, route };
    let entering = Box::pin(async { panic!("a mistake, on purpose") });
    assert!(tokio::spawn(hold(entering, answer)).await.unwrap_err().is_panic());
    assert!(is_silent(&socket).await);
}

#[tokio::test]
async fn the_superseded_task_ends_only_when_the_newer_one_is_registered() {
    let station = station();
    let (_socket, begin, route, _) = arrived(&station).await;
    let older = tokio::spawn(std::future::pending::<()>());
    let (register, registered) = tokio::sync::oneshot::channel::<()>();
    let entering = Box::pin(async move {
        registered.await.unwrap();
        std::future::pending::<Waiting>().await
    });
    let gate = Some(AbortOnDrop(older.abort_handle()));
    let answer = Answer { station: Some(station), ticket: begin.ticket, route };
    let newer = tokio::spawn(hold(Box::pin(enter(entering, Arc::default(), gate)), answer));
    tokio::task::yield_now().await;
    assert!(!older.is_finished());
    register.send(()).unwrap();
    tokio::task::yield_now().await;
    assert!(!older.is_finished(), "not registered yet");
    newer.abort();
    assert!(older.await.unwrap_err().is_cancelled(), "the newer one is gone: so is the older");
}

async fn sign_in(server: SocketAddr) -> Code {
    let password = Secret::new(b"x".to_vec());
    exchange(server, &key(), &Request::access("nemo", &password), PATIENCE).await.unwrap().code
}

#[tokio::test]
async fn it_answers_over_both_families_and_on_wildcard_addresses() {
    let addresses: Vec<SocketAddr> =
        ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"].iter().map(|address| address.parse().unwrap()).collect();
    let shared = shared(vec![loopback_only()], Instant::now());
    let sign_ins = crate::signin::testing::rejecting();
    let listener = Listener::start(&addresses, &[], settings(), &shared, &sign_ins, &Books::default()).unwrap();
    let bound: Vec<SocketAddr> = listener.access().to_vec();
    assert_eq!(bound.len(), 4);
    let at = |address: &str, n: usize| SocketAddr::new(address.parse().unwrap(), bound[n].port());
    // The client's socket is connected: it only hears an answer from the very address that it asked.
    for server in [bound[0], bound[1], at("127.0.0.1", 2), at("127.0.0.77", 2), at("::1", 3)] {
        assert_eq!(sign_in(server).await, Code::ACCESS_REJECT, "{server}");
        assert_eq!(exchange(server, &key(), &Request::status(), PATIENCE).await.unwrap().code, Code::ACCESS_ACCEPT);
    }
    assert_eq!(listener.running(), 0);
    listener.drain();
    let patience = Patience { timeout: Duration::from_millis(50), sends: 2, ..PATIENCE };
    assert!(exchange(bound[0], &key(), &Request::status(), patience).await.is_err());
}

#[tokio::test]
async fn records_reach_the_sink_and_are_acknowledged_only_then() {
    let shared = shared(vec![loopback_only()], Instant::now());
    let (sender, mut records) = tokio::sync::mpsc::channel(1);
    let sink: Sink = Arc::new(move |record| sender.try_send(record).is_ok());
    let sign_ins = crate::signin::testing::rejecting();
    let address = ["127.0.0.1:0".parse().unwrap()];
    let listener = Listener::start(&[], &address, settings(), &shared, &sign_ins, &sink.into()).unwrap();
    let server = listener.accounting()[0];
    let attributes = [(ACCT_STATUS_TYPE, vec![0, 0, 0, 1]), (ACCT_SESSION_ID, b"s".to_vec())];
    let start =
        Request { code: Code::ACCOUNTING_REQUEST, name: Some("nemo"), attributes: &attributes, ..Request::status() };
    let patience = Patience { require_signature: false, ..PATIENCE };
    assert_eq!(exchange(server, &key(), &start, patience).await.unwrap().code, Code::ACCOUNTING_RESPONSE);
    // The channel is full: no acknowledgement until there is room.
    let brief = Patience { timeout: Duration::from_millis(50), sends: 2, ..patience };
    assert!(exchange(server, &key(), &start, brief).await.is_err());
    assert_eq!(records.recv().await.unwrap().status_word(), "start");
    assert_eq!(exchange(server, &key(), &start, patience).await.unwrap().code, Code::ACCOUNTING_RESPONSE);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_although_ports_are_reused() {
    let shared = shared(vec![loopback_only()], Instant::now());
    let sign_ins = crate::signin::testing::rejecting();
    let start =
        |addresses: &[SocketAddr]| Listener::start(addresses, &[], settings(), &shared, &sign_ins, &Books::default());
    let first = start(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let error = start(first.access()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn without_the_kernels_octets_no_identifier_comes_twice() {
    let mut dice = Dice::default();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..10 {
        dice.never_the_same();
        dice.used = 0;
        assert!((0..64).all(|_| seen.insert(dice.throw())));
    }
}
