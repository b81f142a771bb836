//! CoA and Disconnect where one side is served over TLS: refused in the configuration, and by a NAK on the connection (RFC 6614
//! section 2.5), from a client and from a target.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use md5::{Digest, Md5};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{over_tls, over_udp, world_with};
use crate::peers::authority::Authority;
use crate::peers::freeradius::PASSWORD;
use crate::peers::wire::{ACCESS_REJECT, Nas};
use crate::peers::world::SOON;

/// The secret of RADIUS over TLS.
const RADSEC: &[u8] = b"radsec";
const DISCONNECT_REQUEST: u8 = 40;
const COA_REQUEST: u8 = 43;

/// A request of this kind for the session `s-1`.
fn change(code: u8) -> Vec<u8> {
    let mut bytes = [&[code, 77, 0, 25][..], &[0; 16], &[44, 5], b"s-1"].concat();
    let digest = Md5::digest([&bytes[..], RADSEC].concat());
    bytes[4..20].copy_from_slice(&digest);
    bytes
}

/// Whether these bytes are the NAK to [`change`], authentic, with Error-Cause 406.
fn is_refusal(heard: &[u8], code: u8) -> bool {
    let asked = &change(code)[4..20];
    let digest = Md5::digest([&heard[..4], asked, &heard[20..], RADSEC].concat());
    heard[..2] == [code + 2, 77] && digest[..] == heard[4..20] && heard.ends_with(&[101, 6, 0, 0, 1, 150])
}

/// One packet.
fn read(stream: &mut impl Read) -> Vec<u8> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).unwrap();
    packet.resize(usize::from(u16::from_be_bytes([packet[2], packet[3]])), 0);
    stream.read_exact(&mut packet[4..]).unwrap();
    packet
}

#[test]
fn a_client_over_tls_hears_that_changes_are_not_taken_and_goes_on() {
    let nobody = "127.0.0.1:9".parse().unwrap();
    let world = world_with("target = \"behind\"", &over_udp(nobody), "", Authority::new());
    let (mut nas, mut stream) = (super::nas(), world.own());
    for code in [DISCONNECT_REQUEST, COA_REQUEST] {
        stream.0.write_all(&change(code)).unwrap();
        let heard = stream.next().expect("a NAK");
        assert!(is_refusal(&heard, code), "{heard:?}");
    }
    let request = nas.request("nobody-of-that-name!", PASSWORD.as_bytes(), &[]);
    assert_eq!(stream.ask(&nas, &request).expect("an answer").code, ACCESS_REJECT);
    // And nobody of them can be named in a relay.
    let written = std::fs::read_to_string(world.server.configuration()).unwrap();
    let relay = |target: &str, client: &str| {
        let relay =
            format!("[[radius.changes.relay]]\ntarget = \"{target}\"\nclient = \"{client}\"\nto = \"127.0.0.1\"\n");
        let path = world.server.folder().join("with-changes.toml");
        let more = "[[radius.client]]\nname = \"vpn\"\naddress = \"127.9.0.1\"\nsecret = \"of-the-vpn-0123456789\"\ntarget = \"behind\"\n\
                    [target.far]\ntype = \"radius\"\ntransport = \"tls\"\nservers = \"127.0.0.1\"\n";
        std::fs::write(&path, format!("{written}\n{more}\n{relay}")).unwrap();
        let output =
            Command::new(env!("CARGO_BIN_EXE_anteroom")).arg("check").arg("--config").arg(path).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let told = relay("behind", "branch");
    assert!(told.contains("which comes over TLS") && told.contains("a client over UDP"), "{told}");
    let told = relay("far", "vpn");
    assert!(told.contains("which is asked over TLS") && told.contains("a target over UDP"), "{told}");
    let told = relay("behind", "vpn");
    assert!(!told.contains("over UDP: changes are not relayed"), "{told}");
}

#[test]
fn a_target_over_tls_hears_that_changes_are_not_taken_and_its_replies_count() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (certificate, key) = authority.issue("127.0.0.1");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let target = over_tls(&listener.local_addr().unwrap().to_string(), &authority);
    let world = super::world(&format!("{target}\nprobe = \"0s\""), "", authority);
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), tcp);
        let request = read(&mut stream);
        for code in [DISCONNECT_REQUEST, COA_REQUEST] {
            stream.write_all(&change(code)).unwrap();
            told.send(read(&mut stream)).unwrap();
        }
        let mut reply = [&[ACCESS_REJECT, request[1], 0, 20][..], &request[4..20]].concat();
        let digest = Md5::digest([&reply[..], RADSEC].concat());
        reply[4..20].copy_from_slice(&digest);
        stream.write_all(&reply).unwrap();
        // Until the other side is gone.
        let _ = stream.read(&mut [0]);
    });
    let (mut nas, mut client): (Nas, _) = (super::nas(), world.own());
    let request = nas.request("alice", PASSWORD.as_bytes(), &[]);
    assert_eq!(client.ask(&nas, &request).expect("an answer").code, ACCESS_REJECT);
    for code in [DISCONNECT_REQUEST, COA_REQUEST] {
        let heard = heard.recv_timeout(SOON).unwrap();
        assert!(is_refusal(&heard, code), "{heard:?}");
    }
    assert_eq!(world.server.event("alice")["reason"], "wrong_password", "the same connection brought its reply");
}
