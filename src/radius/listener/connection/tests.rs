use tokio::io::DuplexStream;

use super::*;
use crate::radius::authenticator::{Verified, sign_accounting};
use crate::radius::client::Request;
use crate::radius::door::{Door, Shared, Whose};
use crate::radius::listener::Sink;
use crate::radius::packet::{Builder, Packet};
use crate::radius::testing::{client, key, shared};
use crate::secret::Secret;

const PEER: &str = "192.0.2.1:40000";

fn limits() -> TlsLimits {
    TlsLimits {
        connections: 10,
        first_packet_within: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        send_within: Duration::from_secs(30),
    }
}

/// A connection to a server that rejects everybody: the client's end, and how it ends.
fn connected(sink: Option<Sink>) -> (DuplexStream, tokio::task::JoinHandle<End>, watch::Sender<bool>) {
    connected_in(sink, None)
}

/// The same, where there is something in RADIUS/1.1.
fn connected_in(
    sink: Option<Sink>,
    serving: Option<Serving>,
) -> (DuplexStream, tokio::task::JoinHandle<End>, watch::Sender<bool>) {
    let start = std::time::Instant::now();
    let shared: Arc<Shared> = shared(vec![client("vpn")], start);
    let peer: SocketAddr = PEER.parse().unwrap();
    let known = Arc::clone(shared.clients.find(peer.ip()).unwrap());
    let eleven = serving.map(|serving| (serving, Arc::clone(&known)));
    let whose = if serving.is_some() { Whose::Once(known) } else { Whose::Proven(known) };
    let door = Door::of(Arc::clone(&shared), whose.clone(), 256);
    let connection = Connection {
        station: Arc::new(Station { port: Outbox::new(peer, eleven), door }),
        accounting: Arc::new(AccountingDoor::of(shared, whose, 256)),
        sign_ins: crate::signin::testing::rejecting(),
        books: Books { sink, keep: None },
        limits: limits(),
    };
    let (ours, theirs) = tokio::io::duplex(8192);
    let (stop, stopping) = watch::channel(false);
    let first_until = Instant::now() + limits().first_packet_within;
    let served = tokio::spawn(connection.converse(theirs, first_until, stopping));
    (ours, served, stop)
}

fn access(identifier: u8, salt: u8) -> Vec<u8> {
    let password = Secret::new(b"x".to_vec());
    Request::access("nemo", &password).encode(identifier, &[salt; 16], &key()).unwrap()
}

fn accounting(identifier: u8) -> Vec<u8> {
    let attributes = [(40, vec![0, 0, 0, 1]), (44, b"session".to_vec())];
    let request = Request {
        code: Code::ACCOUNTING_REQUEST,
        name: Some("nemo"),
        password: None,
        attributes: &attributes,
        sign: false,
    };
    request.encode(identifier, &[0; 16], &key()).unwrap()
}

async fn answer(stream: &mut DuplexStream) -> Vec<u8> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).await.unwrap();
    packet.resize(usize::from(u16::from_be_bytes([packet[2], packet[3]])), 0);
    stream.read_exact(&mut packet[4..]).await.unwrap();
    packet
}

#[tokio::test(start_paused = true)]
async fn all_kinds_of_requests_are_answered_on_one_connection_however_they_are_cut() {
    let (mut stream, _served, _stop) = connected(Some(Arc::new(|record| record.session == "session")));
    let status = Request::status().encode(9, &[9; 16], &key()).unwrap();
    for octet in [access(1, 1), status, accounting(3)].concat() {
        stream.write_all(&[octet]).await.unwrap();
    }
    let mut answers = Vec::new();
    for _ in 0..3 {
        let packet = answer(&mut stream).await;
        let packet = Packet::decode(&packet).unwrap();
        answers.push((packet.identifier(), packet.code()));
    }
    answers.sort_by_key(|(identifier, _)| *identifier);
    assert_eq!(answers, [(1, Code::ACCESS_REJECT), (3, Code::ACCOUNTING_RESPONSE), (9, Code::ACCESS_ACCEPT)]);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_and_a_slow_packet_too() {
    let (mut stream, served, _stop) = connected(None);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "no first packet");
    assert_eq!(served.await.unwrap(), End::Silent);
    let (mut stream, served, _stop) = connected(None);
    let begin = Instant::now();
    stream.write_all(&access(1, 1)).await.unwrap();
    answer(&mut stream).await;
    // An octet now and then does not make a packet.
    let bytes = access(2, 2);
    for octet in &bytes[..4] {
        stream.write_all(&[*octet]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(served.await.unwrap(), End::Silent);
    assert_eq!(begin.elapsed().as_secs(), 12, "the last octet was written before it was noticed");
    let (mut stream, served, _stop) = connected(None);
    let begin = Instant::now();
    stream.write_all(&access(1, 1)).await.unwrap();
    answer(&mut stream).await;
    assert_eq!(served.await.unwrap(), End::Silent);
    assert_eq!(begin.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_ends_it_and_what_is_only_unwanted_does_not() {
    let mut forged = access(1, 1);
    forged[25] ^= 1;
    for (bytes, end) in [
        (vec![1, 1, 0, 0], End::Length),
        (vec![1, 1, 0xff, 0xff], End::Length),
        (forged, End::Packet(Discarded::WrongSignature)),
    ] {
        let (mut stream, served, _stop) = connected(None);
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(served.await.unwrap(), end);
    }
    let (mut stream, _served, _stop) = connected(None);
    // A code that nobody asks for.
    let mut other = access(1, 1);
    other[0] = 99;
    stream.write_all(&other).await.unwrap();
    stream.write_all(&access(2, 2)).await.unwrap();
    assert_eq!(answer(&mut stream).await[1], 2);
}

/// CoA-Request and Disconnect-Request: their NAK has a code that is two more, and Error-Cause 406.
#[tokio::test(start_paused = true)]
async fn a_change_is_refused_by_name_and_the_connection_goes_on_unless_it_is_forged() {
    let change = |code: u8| {
        let mut packet = Builder::new(Code(code), 7, &[0; 16], 100);
        packet.push(44, b"session").unwrap();
        packet.push(33, b"state").unwrap();
        let mut bytes = packet.into_bytes();
        sign_accounting(&mut bytes, &key());
        bytes
    };
    let said = |bytes: &[u8]| {
        let packet = Packet::decode(bytes).unwrap();
        let attributes = packet.attributes().filter(|attribute| attribute.number != 80);
        let attributes = attributes.map(|attribute| (attribute.number, attribute.value.to_vec()));
        (packet.code().0, packet.identifier(), attributes.collect::<Vec<_>>())
    };
    let told = || vec![(101, vec![0, 0, 1, 150]), (33, b"state".to_vec())];
    let (mut stream, _served, _stop) = connected(None);
    for code in [40, 43] {
        let asked = change(code);
        stream.write_all(&asked).await.unwrap();
        let heard = answer(&mut stream).await;
        assert_eq!(said(&heard), (code + 2, 7, told()));
        let authenticator = asked[4..20].try_into().unwrap();
        assert!(Verified::reply(Packet::decode(&heard).unwrap(), &authenticator, &key()).unwrap().signed());
    }
    stream.write_all(&access(2, 2)).await.unwrap();
    assert_eq!(answer(&mut stream).await[..2], [Code::ACCESS_REJECT.0, 2]);
    let (mut stream, served, _stop) = connected(None);
    let mut forged = change(40);
    forged[23] ^= 1;
    stream.write_all(&forged).await.unwrap();
    assert_eq!(served.await.unwrap(), End::Packet(Discarded::WrongAuthenticator));
    // In RADIUS/1.1 there is nothing to forge, and the answer has the request's token.
    let (mut stream, _served, _stop) = connected_in(None, Some(Serving { salt: [3; 12] }));
    for code in [40, 43] {
        let mut asked = change(code);
        asked[1] = 0;
        asked[4..20].copy_from_slice(&[&[9, 8, 7, 6][..], &[0; 12]].concat());
        stream.write_all(&asked).await.unwrap();
        let heard = answer(&mut stream).await;
        assert_eq!(said(&heard), (code + 2, 0, told()));
        assert_eq!(heard[4..8], [9, 8, 7, 6]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_no_answers_is_read_no_more_and_cut_off() {
    let (mut stream, served, _stop) = connected(None);
    let status: Vec<Vec<u8>> =
        (0..=255).map(|identifier| Request::status().encode(identifier, &[identifier; 16], &key()).unwrap()).collect();
    let status = status.concat();
    let mut written = 0;
    // Until nothing is taken any more; then it ends, as nothing of it is read.
    while stream.write_all(&status).await.is_ok() {
        written += status.len();
        assert!(written < 1 << 20, "answers pile up");
    }
    assert_eq!(served.await.unwrap(), End::Stalled);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_gives_its_last_answers_and_an_end_in_order() {
    let (mut stream, served, stop) = connected(None);
    stream.write_all(&access(1, 1)).await.unwrap();
    answer(&mut stream).await;
    stop.send_replace(true);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(served.await.unwrap(), End::Closed);
}

/// More than there are identifiers, and than are kept in mind: none is taken for another one.
#[tokio::test]
async fn each_token_of_radius_1_1_is_answered_however_many_have_been() {
    let (mut stream, served, _stop) = connected_in(None, Some(Serving { salt: [3; 12] }));
    for number in 0..600_u32 {
        let token = number.to_be_bytes();
        let attributes = [&[1, 6][..], b"nemo", &[2, 3, b'x']].concat();
        let length = u8::try_from(20 + attributes.len()).unwrap();
        stream.write_all(&[&[1, 0, 0, length][..], &token, &[0; 12], &attributes].concat()).await.unwrap();
        let mut header = [0; 20];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!((header[0], header[1]), (Code::ACCESS_REJECT.0, 0), "{number}");
        assert_eq!((&header[4..8], &header[8..]), (&token[..], &[0; 12][..]), "{number}");
        let rest = usize::from(u16::from_be_bytes([header[2], header[3]])) - header.len();
        stream.read_exact(&mut vec![0; rest]).await.unwrap();
    }
    drop(stream);
    assert_eq!(served.await.unwrap(), End::Closed);
}
