//! Listeners, TLS, balancers, limits of time, and the end of a server.

use std::time::Duration;

use anteroom::demo::directory::{DEMO_BASE, DEMO_PASSWORD, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD};
use anteroom::demo::phone::behaviour::{Behaviour, Decision};
use anteroom::ldap::message::op;
use anteroom::ldap::result::{code, oid};
use anteroom::ldap::search::Scope;

use super::client::{Client, SOON, answer, until};
use super::own_house::{OwnHouse, write_certificate};

const ALICE: &str = "alice@demo.anteroom.test";

const TLS: &str = "certificate = \"ldap.pem\"\ncertificate_key = \"ldap.key\"\nlisten_tls = [\"127.0.0.1:TLS_PORT\"]";

const BALANCED: &str = "proxy_protocol = [\"127.0.0.0/8\"]\n";

/// A client whose connections come by a balancer, so that they are not from this machine itself.
const FAR: &str = "[[ldap.client]]\nname = \"wiki\"\naddress = \"192.0.2.7\"\nanonymous = \"allow\"\n";

const NEAR: &str = "[[ldap.client]]\nname = \"wiki\"\naddress = \"127.0.0.0/8\"\n";

/// The header of a balancer: PROXY, version 2, TCP over IPv4.
fn header(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(source);
    header.extend([127, 0, 0, 1, 0xc0, 0, 1, 0x85]);
    header
}

#[tokio::test]
async fn start_tls_and_ldaps_protect_a_bind_and_a_new_certificate_leaves_open_connections_alone() {
    let house = OwnHouse::start(&format!("{BALANCED}{TLS}"), FAR).await;
    house.phone.set_behaviour(None, answer(Decision::Approve));
    let (plain, tls) = (house.server.ldap()[0], house.server.ldaps()[0]);
    let trusted = house.certificate();

    let mut clear = Client::connect(plain).await;
    clear.send(&header([192, 0, 2, 7])).await;
    assert_eq!(clear.bind(1, ALICE, DEMO_PASSWORD).await.0, code::CONFIDENTIALITY_REQUIRED);
    let Ok((mut started, first)) = clear.start_tls(2, &trusted).await else { panic!("StartTLS is offered") };
    assert_eq!(started.bind(3, ALICE, DEMO_PASSWORD).await.0, code::SUCCESS);
    let Err(again) = started.start_tls(4, &trusted).await else { panic!("TLS in TLS") };
    assert_eq!(again, code::OPERATIONS_ERROR);

    // A balancer's header comes in the clear, before the handshake.
    let mut raw = Client::connect(tls).await;
    raw.send(&header([192, 0, 2, 7])).await;
    let connector = anteroom::ldap::pool::tls_connector(Some(&trusted)).unwrap();
    let wire = connector.connect("localhost".try_into().unwrap(), raw.stream).await.unwrap();
    let mut open = Client::over(Box::new(wire));
    assert_eq!(open.bind(1, ALICE, DEMO_PASSWORD).await.0, code::SUCCESS);

    write_certificate(house.folder.path(), "localhost");
    house.server.reload_certificate();
    let mut fresh = Client::connect(plain).await;
    fresh.send(&header([192, 0, 2, 7])).await;
    let Ok((_, second)) = fresh.start_tls(1, &trusted).await else { panic!("StartTLS is offered") };
    assert_ne!(first, second, "new connections see the new certificate");
    assert!(open.who_am_i(2).await.to_lowercase().contains("alice"), "open ones go on");
    std::fs::write(house.certificate(), "no certificate").unwrap();
    house.server.reload_certificate();
    write_certificate(house.folder.path(), "localhost");
    house.stop().await;
}

#[tokio::test]
async fn several_listeners_serve_ipv4_and_ipv6_and_a_client_is_known_by_its_range() {
    let tls = TLS.replace("[\"127.0.0.1:TLS_PORT\"]", "[\"127.0.0.1:TLS_PORT\", \"[::1]:TLS_PORT\"]");
    let clients = "[[ldap.client]]\nname = \"four\"\naddress = \"127.0.0.1-127.0.0.9\"\n\
                   [[ldap.client]]\nname = \"six\"\naddress = \"::1/128\"\n";
    let house = OwnHouse::start(&tls, clients).await;
    house.phone.set_behaviour(None, answer(Decision::Approve));
    let connector = anteroom::ldap::pool::tls_connector(Some(&house.certificate())).unwrap();
    assert_eq!(house.server.ldaps().len(), 2);
    for address in house.server.ldaps() {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let wire = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        let mut client = Client::over(Box::new(wire));
        assert_eq!(client.bind(1, ALICE, DEMO_PASSWORD).await.0, code::SUCCESS, "{address}");
    }
    let metrics = house.server.metrics.text();
    for name in ["four", "six"] {
        let count = format!("anteroom_sign_ins_total{{client=\"{name}\"");
        assert!(metrics.contains(&count), "{name}: {metrics}");
    }
    let mut stranger = Client::connect_from("127.0.0.10", house.server.ldap()[0]).await;
    assert_eq!(stranger.next().await, None, "beyond the range");
    house.stop().await;
}

#[tokio::test]
async fn a_balancers_header_is_required_of_it_and_refused_from_others() {
    let house =
        OwnHouse::start("proxy_protocol = [\"127.0.0.2\"]", &format!("{NEAR}{FAR}").replacen("wiki", "near", 1)).await;
    let address = house.server.ldap()[0];
    let mut none = Client::connect_from("127.0.0.2", address).await;
    none.send_search(1, "", Scope::Base, "(objectClass=*)").await;
    assert_eq!(none.next().await, None, "it must send one");
    let mut told = Client::connect_from("127.0.0.2", address).await;
    told.send(&header([192, 0, 2, 7])).await;
    assert_eq!(told.search(1, "", Scope::Base, "(objectClass=*)").await, (1, code::SUCCESS));
    let mut stranger = Client::connect_from("127.0.0.2", address).await;
    stranger.send(&header([192, 0, 2, 8])).await;
    assert_eq!(stranger.next().await, None, "the far end is no client");
    let mut other = Client::connect(address).await;
    other.send(&header([192, 0, 2, 7])).await;
    assert_eq!(other.next().await.unwrap().result().0, code::PROTOCOL_ERROR);
    house.stop().await;
}

#[tokio::test]
async fn start_tls_with_something_behind_it_in_the_clear_is_closed() {
    let house = OwnHouse::start(TLS, NEAR).await;
    let mut client = Client::connect(house.server.ldap()[0]).await;
    let mut octets = Vec::new();
    anteroom::ldap::result::write_extended_request(&mut octets, 1, oid::START_TLS, None);
    anteroom::ldap::bind::write_bind_request(&mut octets, 2, b"cn=injected", b"x");
    client.send(&octets).await;
    let answer = client.next().await.unwrap();
    assert_eq!((answer.id, answer.tag), (1, op::EXTENDED_RESPONSE));
    assert_eq!(client.next().await, None);
    house.stop().await;
}

#[tokio::test]
async fn who_says_nothing_or_half_of_something_is_shed() {
    let house = OwnHouse::start("first_message_within = \"300ms\"\nidle = \"600ms\"", NEAR).await;
    let address = house.server.ldap()[0];
    let mut silent = Client::connect(address).await;
    let mut half = Client::connect(address).await;
    half.send(b"\x30\x20\x02\x01").await;
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.search(1, "", Scope::Base, "(objectClass=*)").await.1, code::SUCCESS);
    assert_eq!(silent.next().await, None);
    assert_eq!(half.next().await, None);
    assert_eq!(idle.next().await, None);
    house.stop().await;
}

#[tokio::test]
async fn who_sends_an_octet_now_and_then_is_shed() {
    let house = OwnHouse::start("first_message_within = \"1s\"\nidle = \"30s\"", NEAR).await;
    let address = house.server.ldap()[0];
    let mut started = Client::connect(address).await;
    assert_eq!(started.search(1, "", Scope::Base, "(objectClass=*)").await.1, code::SUCCESS);
    let mut request = Vec::new();
    anteroom::ldap::bind::write_bind_request(&mut request, 2, ALICE.as_bytes(), DEMO_PASSWORD.as_bytes());
    for mut client in [Client::connect(address).await, started] {
        let mut octets = request.iter();
        let drips = async {
            loop {
                tokio::select! {
                    heard = client.next() => break heard,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
                let octet = octets.next().expect("it is shed before the request is whole");
                client.send(&[*octet]).await;
            }
        };
        assert_eq!(tokio::time::timeout(SOON, drips).await.expect("it is shed"), None);
    }
    house.stop().await;
}

#[tokio::test]
async fn what_waits_behind_a_held_bind_is_served_by_a_stopping_server() {
    let house = OwnHouse::start("", NEAR).await;
    house.phone.set_behaviour(None, Behaviour::Manual);
    let mut client = Client::connect(house.server.ldap()[0]).await;
    client.send_bind(1, ALICE, DEMO_PASSWORD).await;
    until("a prompt", || house.phone.counts().prompts == 1).await;
    client.send_search(2, DEMO_BASE, Scope::Base, "(objectClass=*)").await;
    // It must have come before the server hears of its end.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let OwnHouse { phone, server, .. } = house;
    let stopping = tokio::spawn(server.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    phone.decide("alice", Decision::Approve);
    assert_eq!(client.next().await.unwrap().result().0, code::SUCCESS);
    let mut answer = client.next().await.unwrap();
    while answer.tag == op::SEARCH_ENTRY {
        answer = client.next().await.unwrap();
    }
    assert_eq!((answer.id, answer.result().0), (2, code::SUCCESS));
    assert_eq!(client.next().await.unwrap().id, 0, "then the notice");
    assert_eq!(client.next().await, None);
    stopping.await.unwrap();
    phone.stop().await;
}

#[tokio::test]
async fn a_stopping_server_answers_held_binds_and_tells_the_others() {
    let house = OwnHouse::start("", NEAR).await;
    house.phone.set_behaviour(None, Behaviour::Manual);
    let address = house.server.ldap()[0];
    let mut held = Client::connect(address).await;
    held.send_bind(1, ALICE, DEMO_PASSWORD).await;
    until("a prompt", || house.phone.counts().prompts == 1).await;
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.search(1, "", Scope::Base, "(objectClass=*)").await.1, code::SUCCESS);
    let OwnHouse { phone, server, .. } = house;
    let stopping = tokio::spawn(server.stop());
    let notice = idle.next().await.unwrap();
    assert_eq!((notice.id, notice.result().0), (0, code::UNAVAILABLE));
    assert_eq!(idle.next().await, None);
    phone.decide("alice", Decision::Approve);
    assert_eq!(held.next().await.unwrap().result().0, code::SUCCESS);
    assert_eq!(held.next().await.unwrap().id, 0);
    assert_eq!(held.next().await, None);
    stopping.await.unwrap();
    phone.stop().await;
}

#[tokio::test]
async fn thousands_of_idle_and_half_written_connections_do_not_stop_sign_ins() {
    let client = format!("{NEAR}connections = 5000\nservice_accounts = [\"{DEMO_SERVICE_NAME}\"]\n");
    let house = OwnHouse::start("connections = 5000", &client).await;
    house.phone.set_behaviour(None, answer(Decision::Approve));
    let address = house.server.ldap()[0];
    let most = if cfg!(debug_assertions) { 3000 } else { 4000 };
    let mut crowd = Vec::new();
    for number in 0..most {
        let mut client = Client::connect(address).await;
        if number % 2 == 0 {
            client.send(b"\x30\x84\x00\x00\x40\x00\x02\x01\x01\x60\x84").await;
        }
        crowd.push(client);
    }
    let sign_ins = async {
        for round in 0..20_u32 {
            let mut client = Client::connect(address).await;
            let person = ["alice", "bob", "carol", "ada"][round as usize % 4];
            let name = format!("{person}@demo.anteroom.test");
            assert_eq!(client.bind(1, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.0, code::SUCCESS);
            assert_eq!(client.search(2, DEMO_BASE, Scope::Subtree, &format!("(sAMAccountName={person})")).await.0, 1);
            assert_eq!(client.bind(3, &name, DEMO_PASSWORD).await.0, code::SUCCESS);
            client.unbind(4).await;
        }
    };
    tokio::time::timeout(SOON + Duration::from_secs(20), sign_ins).await.expect("sign-ins go on");
    drop(crowd);
    house.stop().await;
}
