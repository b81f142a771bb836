//! What the door refuses, and with which code.

use anteroom::demo::directory::{DEMO_BASE, DEMO_PASSWORD, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD};
use anteroom::demo::phone::behaviour::Decision;
use anteroom::ldap::message::{op, write_message};
use anteroom::ldap::result::code;
use anteroom::ldap::search::Scope;
use tokio::io::AsyncWriteExt;

use super::client::{Client, answer, until};
use super::own_house::OwnHouse;

const ALICE: &str = "alice@demo.anteroom.test";

const CLIENT: &str = r#"
[[ldap.client]]
name = "wiki"
address = "127.0.0.0/8"
"#;

fn with(more: &str) -> String {
    format!("{CLIENT}{more}")
}

#[tokio::test]
async fn binds_without_a_password_without_a_name_or_with_sasl_are_refused_by_default() {
    let house = OwnHouse::start("", CLIENT).await;
    let mut client = Client::connect(house.server.ldap()[0]).await;
    let before = house.directory.binds();
    assert_eq!(client.bind(1, ALICE, "").await.0, code::UNWILLING_TO_PERFORM);
    assert_eq!(client.bind(2, "", "").await.0, code::INAPPROPRIATE_AUTHENTICATION);
    let mut sasl = Vec::new();
    write_message(&mut sasl, 3, |message| {
        message.constructed(op::BIND_REQUEST, |bind| {
            bind.number(2, 3);
            bind.octets(b"");
            bind.constructed(0xa3, |sasl| sasl.octets(b"PLAIN"));
        });
    });
    client.send(&sasl).await;
    let (code, text) = client.next().await.unwrap().result();
    assert_eq!(code, code::AUTH_METHOD_NOT_SUPPORTED);
    assert!(text.contains("sasl = \"relay\""), "{text}");
    assert_eq!(house.directory.binds(), before, "the directory was asked nothing");
    assert_eq!(house.reasons().await, [("empty_password".to_owned(), 1)]);
    house.stop().await;
}

#[tokio::test]
async fn an_explained_refusal_says_why() {
    let house = OwnHouse::start("", &with("explain_refusals = true")).await;
    house.phone.set_behaviour(None, answer(Decision::Deny));
    let mut client = Client::connect(house.server.ldap()[0]).await;
    let (code, text) = client.bind(1, ALICE, DEMO_PASSWORD).await;
    assert_eq!(code, code::INVALID_CREDENTIALS);
    assert!(text.starts_with("denied: "), "{text}");
    let (code, text) = client.bind(2, ALICE, "wrong").await;
    assert_eq!(code, code::INVALID_CREDENTIALS);
    assert!(text.contains("data 52e"), "the directory's own words: {text}");
    house.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_away_is_unavailable_and_no_wrong_password() {
    let house = OwnHouse::start("", &with("anonymous = \"allow\"\nanswer_within = \"2s\"")).await;
    let address = house.server.ldap()[0];
    let OwnHouse { directory, phone, server, folder, .. } = house;
    drop(directory);
    let mut client = Client::connect(address).await;
    assert_eq!(client.bind(1, ALICE, DEMO_PASSWORD).await.0, code::UNAVAILABLE);
    assert_eq!(client.search(2, DEMO_BASE, Scope::Base, "(objectClass=*)").await, (0, code::UNAVAILABLE));
    server.stop().await;
    phone.stop().await;
    drop(folder);
}

#[tokio::test]
async fn a_service_account_is_exempt_through_its_own_client_only() {
    let two = format!(
        "[[ldap.client]]\nname = \"wiki\"\naddress = \"127.0.0.1\"\nservice_accounts = [\"{DEMO_SERVICE_NAME}\"]\n\
         [[ldap.client]]\nname = \"other\"\naddress = \"127.0.0.2\"\n"
    );
    let house = OwnHouse::start("", &two).await;
    let address = house.server.ldap()[0];
    let mut wiki = Client::connect(address).await;
    for id in 1..=4 {
        assert_eq!(wiki.bind(id, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.0, code::SUCCESS);
    }
    let searches = house.directory.searches();
    assert_eq!(wiki.bind(5, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.0, code::SUCCESS);
    assert_eq!(house.directory.searches(), searches, "no look-up for each bind");
    assert_eq!(wiki.search(6, DEMO_BASE, Scope::Subtree, "(sAMAccountName=bob)").await.0, 1);
    assert_eq!(wiki.bind(7, DEMO_SERVICE_NAME, "wrong").await.0, code::INVALID_CREDENTIALS);
    assert_eq!(wiki.search(8, DEMO_BASE, Scope::Subtree, "(sAMAccountName=bob)").await.0, 0, "nobody is bound");
    let mut other = Client::connect_from("127.0.0.2", address).await;
    assert_eq!(other.bind(1, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.0, code::INVALID_CREDENTIALS);
    // Said beside the sign-in, which does not wait for the look into the audit.
    let is_told = || house.server.metrics.text().contains("anteroom_service_addresses_total 1\n");
    until("its first address is a new one", is_told).await;
    let folder = house.folder.path().join("audit.jsonl");
    house.server.stop().await;
    let text = std::fs::read_to_string(folder).unwrap();
    let stood = text.lines().filter(|line| line.contains("\"service_account\"")).collect::<Vec<_>>();
    assert_eq!(stood.len(), 2, "{text}");
    assert!(stood[0].contains("\"requests\":1") && stood[1].contains("\"requests\":4"), "{stood:?}");
    assert!(text.contains("\"wrong_password\"") && text.contains("\"unknown_user\""), "{text}");
}

#[tokio::test]
async fn one_approval_is_reused_as_often_as_the_section_says_and_pending_binds_join() {
    let house = OwnHouse::start("", &with("reuse = { within = \"5m\", count = 2 }")).await;
    let address = house.server.ldap()[0];
    let prompts = || house.phone.counts().prompts;
    let (mut one, mut two) = (Client::connect(address).await, Client::connect(address).await);
    one.send_bind(1, ALICE, DEMO_PASSWORD).await;
    until("a prompt", || prompts() == 1).await;
    two.send_bind(1, ALICE, DEMO_PASSWORD).await;
    assert!(two.is_silent().await);
    house.phone.decide("alice", Decision::Approve);
    for client in [&mut one, &mut two] {
        assert_eq!(client.next().await.unwrap().result().0, code::SUCCESS);
        assert!(client.who_am_i(2).await.to_lowercase().contains("alice"), "each connection is bound itself");
    }
    assert_eq!(prompts(), 1, "the second bind joined");
    for id in 3..5 {
        assert_eq!(one.bind(id, ALICE, DEMO_PASSWORD).await.0, code::SUCCESS);
    }
    assert_eq!(prompts(), 1);
    house.phone.set_behaviour(None, answer(Decision::Deny));
    let mut elsewhere = Client::connect_from("127.0.0.9", address).await;
    assert_eq!(elsewhere.bind(1, ALICE, DEMO_PASSWORD).await.0, code::INVALID_CREDENTIALS, "another address");
    assert_eq!(prompts(), 2);
    assert_eq!(one.bind(5, ALICE, DEMO_PASSWORD).await.0, code::INVALID_CREDENTIALS, "used up");
    let reasons = house.reasons().await;
    assert_eq!(reasons.iter().filter(|(reason, _)| reason == "remembered_approval").count(), 2, "{reasons:?}");
    assert_eq!(reasons[0], ("approved".to_owned(), 2));
    house.stop().await;
}

#[tokio::test]
async fn what_is_no_ldap_ends_the_connection_wherever_it_is_cut() {
    let house = OwnHouse::start("max_depth = 8", CLIENT).await;
    let address = house.server.ldap()[0];
    let mut deep = vec![0x30, 0x00];
    for _ in 0..9 {
        let length = u8::try_from(deep.len()).unwrap();
        deep.splice(0..0, [0x30, length]);
    }
    let mut nested = vec![0x30, u8::try_from(deep.len() + 3).unwrap(), 2, 1, 1];
    nested.push(0x66);
    nested.push(u8::try_from(deep.len()).unwrap());
    nested[1] += 2;
    nested.extend(deep);
    let hostile: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"\x30\x80\x02\x01\x01\x42\x00\x00\x00",
        b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01\x60",
        b"\x30\x05\x02\x01\x00\x42\x00",
        b"\x30\x0c\x02\x04\xff\xff\xff\xff\x42\x00\x00\x00\x00\x00",
        b"\x30\x07\x04\x01\x01\x42\x02ab",
        &nested,
    ];
    for octets in hostile {
        let mut client = Client::connect(address).await;
        client.send(octets).await;
        // An unbind among them may close without words; everything else is told, and closed.
        while let Some(message) = client.next().await {
            assert_eq!((message.id, message.result().0), (0, code::PROTOCOL_ERROR), "{octets:02x?}");
        }
    }
    house.phone.set_behaviour(None, answer(Decision::Approve));
    let mut bind = Vec::new();
    anteroom::ldap::bind::write_bind_request(&mut bind, 1, ALICE.as_bytes(), DEMO_PASSWORD.as_bytes());
    let mut client = Client::connect(address).await;
    for octet in bind {
        client.stream.write_all(&[octet]).await.unwrap();
        client.stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(client.next().await.unwrap().result().0, code::SUCCESS, "split at every octet");
    house.stop().await;
}

#[tokio::test]
async fn strangers_and_too_many_connections_are_closed_at_once() {
    let one = "[[ldap.client]]\nname = \"wiki\"\naddress = \"127.0.0.1\"\nconnections = 2\n";
    let house = OwnHouse::start("connections = 3", one).await;
    let address = house.server.ldap()[0];
    let mut stranger = Client::connect_from("127.0.0.2", address).await;
    assert_eq!(stranger.next().await, None);
    let _first = Client::connect(address).await;
    let _second = Client::connect(address).await;
    let mut third = Client::connect(address).await;
    assert_eq!(third.next().await, None);
    let metrics = house.server.metrics.text();
    assert!(metrics.contains("ldap_refused_total{cause=\"unknown_client\"} 1"), "{metrics}");
    assert!(metrics.contains("ldap_refused_total{cause=\"client_connections\"} 1"), "{metrics}");
    house.stop().await;
}

#[tokio::test]
async fn who_guesses_does_not_begin_anew_because_the_server_does() {
    let client = "[[ldap.client]]\nname = \"wiki\"\naddress = \"127.0.0.1\"\n[throttle]\nfailures_per_person = 3\n";
    let mut house = OwnHouse::start("", client).await;
    for guess in ["one", "two"] {
        let mut client = Client::connect(house.server.ldap()[0]).await;
        assert_eq!(client.bind(1, ALICE, guess).await.0, code::INVALID_CREDENTIALS);
        house = house.restart().await;
    }
    let mut client = Client::connect(house.server.ldap()[0]).await;
    assert_eq!(client.bind(1, ALICE, "three").await.0, code::INVALID_CREDENTIALS);
    // The right one is not even tried any more, before a restart and after it.
    for _ in 0..2 {
        let mut client = Client::connect(house.server.ldap()[0]).await;
        assert_eq!(client.bind(1, ALICE, DEMO_PASSWORD).await.0, code::INVALID_CREDENTIALS);
        let reasons = house.reasons().await;
        assert_eq!(reasons.last().unwrap().0, "throttled_person", "{reasons:?}");
        house = house.restart().await;
    }
    assert_eq!(house.phone.counts().prompts, 0);
    house.stop().await;
}
