use super::*;
use crate::radius::authenticator::sign_reply;
use crate::radius::testing::{key, vector};

#[test]
fn rfc2865_7_1_user_telnet() {
    let expected = vector("rfc2865_7_1_user_telnet_request");
    let password = Secret::new(b"arctangent".to_vec());
    let attributes = [(4, vec![192, 168, 1, 16]), (5, vec![0, 0, 0, 3])];
    let request = Request { sign: false, attributes: &attributes, ..Request::access("nemo", &password) };
    let authenticator = expected[4..20].try_into().unwrap();
    assert_eq!(request.encode(0, &authenticator, &key()).unwrap(), expected);
    assert_ne!(request.encode(0, &[0; 16], &key()).unwrap(), expected);
}

#[test]
fn rfc5997_6_1_status_server() {
    let expected = vector("rfc5997_6_1_status_request");
    let authenticator = expected[4..20].try_into().unwrap();
    assert_eq!(Request::status().encode(0xda, &authenticator, &key()).unwrap(), expected);
}

#[test]
fn a_request_that_does_not_fit_is_refused() {
    let password = Secret::new(vec![b'x'; 129]);
    let result = Request::access("nemo", &password).encode(0, &[0; 16], &key());
    assert_eq!(result, Err(RequestError::Password(PasswordError::TooLong { have: 129 })));
    let name = "x".repeat(254);
    let password = Secret::new(b"x".to_vec());
    let result = Request::access(&name, &password).encode(0, &[0; 16], &key());
    assert_eq!(result, Err(RequestError::Encode(EncodeError::ValueTooLong { have: 254 })));
}

/// A server that ignores the first packet, answers the second with a forgery, another identifier and an
/// unsigned reply, and then, where `good`, as it should.
async fn awkward_server(socket: UdpSocket, good: bool) {
    let mut buffer = [0; MAX_PACKET];
    let (first, _) = socket.recv_from(&mut buffer).await.unwrap();
    let first = buffer[..first].to_vec();
    let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
    assert_eq!(first, &buffer[..length], "sent again byte for byte");
    let request = Packet::decode(&first).unwrap();
    let reply = |identifier, signed, code| {
        let mut builder = Builder::new(code, identifier, &[0; 16], 0);
        if signed {
            builder.push(MESSAGE_AUTHENTICATOR, &[0; 16]).unwrap();
        }
        builder.push(REPLY_MESSAGE, b"hello").unwrap();
        let mut bytes = builder.into_bytes();
        sign_reply(&mut bytes, request.authenticator(), &key());
        bytes
    };
    let right = request.identifier();
    let mut forged = reply(right, true, Code::ACCESS_REJECT);
    forged[0] = Code::ACCESS_ACCEPT.0;
    socket.send_to(&forged, peer).await.unwrap();
    socket.send_to(&reply(right.wrapping_add(1), true, Code::ACCESS_ACCEPT), peer).await.unwrap();
    socket.send_to(b"noise", peer).await.unwrap();
    socket.send_to(&reply(right, false, Code::ACCESS_ACCEPT), peer).await.unwrap();
    if good {
        socket.send_to(&reply(right, true, Code::ACCESS_REJECT), peer).await.unwrap();
    }
}

async fn ask_awkward_server(good: bool) -> Result<Answer, ExchangeError> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let task = tokio::spawn(awkward_server(socket, good));
    let patience = Patience { timeout: Duration::from_millis(150), sends: 2, require_signature: true };
    let password = Secret::new(b"x".to_vec());
    let answer = exchange(server, &key(), &Request::access("nemo", &password), patience).await;
    task.await.unwrap();
    answer
}

#[tokio::test]
async fn only_an_authentic_reply_counts() {
    let answer = ask_awkward_server(true).await.unwrap();
    assert_eq!((answer.code, answer.signed, answer.sends), (Code::ACCESS_REJECT, true, 2));
    assert_eq!(answer.message().as_deref(), Some("hello"));
}

#[tokio::test]
async fn a_reply_that_was_ignored_is_named() {
    let error = ask_awkward_server(false).await.unwrap_err();
    assert!(matches!(error, ExchangeError::NoAnswer { sends: 2, ignored: Some(VerifyError::Unsigned) }), "{error:?}");
}
