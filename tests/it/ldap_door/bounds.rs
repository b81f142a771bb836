//! The door's limits, each by its name.

use std::time::Duration;

use anteroom::demo::directory::{DEMO_BASE, DEMO_PASSWORD, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD};
use anteroom::demo::phone::behaviour::{Behaviour, Decision};
use anteroom::ldap::bind::write_bind_request;
use anteroom::ldap::filter::Filter;
use anteroom::ldap::message::op;
use anteroom::ldap::result::code;
use anteroom::ldap::search::{Scope, SearchRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Client, until};
use super::own_house::OwnHouse;

const ALICE: &str = "alice@demo.anteroom.test";

async fn house(limits: &str) -> OwnHouse {
    let client = format!(
        "[[ldap.client]]\nname = \"wiki\"\naddress = \"127.0.0.0/8\"\nservice_accounts = [\"{DEMO_SERVICE_NAME}\"]\n"
    );
    OwnHouse::start(limits, &client).await
}

fn search(id: u32, filter: &str) -> Vec<u8> {
    let filter = Filter::parse(filter).unwrap().encode();
    let request = SearchRequest {
        base: DEMO_BASE,
        scope: Scope::Subtree,
        size_limit: 0,
        time_limit: Duration::ZERO,
        filter: &filter,
        attributes: &["cn"],
    };
    let mut out = Vec::new();
    request.write(&mut out, id);
    out
}

/// A search of at least so many octets.
fn long_search(id: u32, octets: usize) -> Vec<u8> {
    search(id, &format!("(cn={})", "x".repeat(octets)))
}

async fn as_program(house: &OwnHouse) -> Client {
    let mut client = Client::connect(house.server.ldap()[0]).await;
    assert_eq!(client.bind(1, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.0, code::SUCCESS);
    client
}

async fn ends_with_a_notice(mut client: Client, what: &str) {
    let notice = client.next().await.unwrap_or_else(|| panic!("{what}: no notice"));
    let (code, text) = notice.result();
    assert_eq!((notice.id, notice.tag, code), (0, op::EXTENDED_RESPONSE, code::PROTOCOL_ERROR), "{what}");
    assert!(text.ends_with(&format!(" than {what} allows")), "{what}: {text}");
    assert_eq!(client.next().await, None, "{what}");
}

#[tokio::test]
async fn max_message_and_max_message_before_bind_bound_a_request() {
    let house = house("max_message = 50000\nmax_message_before_bind = 2048").await;
    let mut program = as_program(&house).await;
    for octets in [3000, 30_000] {
        program.send(&long_search(2, octets)).await;
        assert_eq!(program.next().await.unwrap().result().0, code::SUCCESS, "{octets}: longer than before a bind");
    }
    program.send(&long_search(3, 50_000)).await;
    ends_with_a_notice(program, "max_message").await;
    let mut stranger = Client::connect(house.server.ldap()[0]).await;
    stranger.send(&long_search(1, 2048)).await;
    ends_with_a_notice(stranger, "max_message_before_bind").await;
    // A bind is bounded by it also after one.
    let mut program = as_program(&house).await;
    let mut bind = Vec::new();
    write_bind_request(&mut bind, 2, ALICE.as_bytes(), &[b'x'; 2048]);
    program.send(&bind).await;
    ends_with_a_notice(program, "max_message_before_bind").await;
    let mut stranger = Client::connect(house.server.ldap()[0]).await;
    stranger.send(b"\x30\x84\x00\x00\x00\x0a GET / HTTP/1.1").await;
    assert!(stranger.next().await.unwrap().result().1.contains("no LDAP"));
    let told = |cause: &str, count: u32| {
        house.server.metrics.text().contains(&format!("ldap_refused_total{{cause=\"{cause}\"}} {count}\n"))
    };
    assert!(told("max_message", 1) && told("max_message_before_bind", 2) && told("not_ldap", 1));
    house.stop().await;
}

#[tokio::test]
async fn connections_bounds_all_of_them() {
    let house = house("connections = 2").await;
    let address = house.server.ldap()[0];
    let mut two = (as_program(&house).await, Client::connect_from("127.0.0.2", address).await);
    let mut third = Client::connect_from("127.0.0.3", address).await;
    assert_eq!(third.next().await, None);
    assert!(house.server.metrics.text().contains("anteroom_ldap_refused_total{cause=\"connections\"} 1"));
    assert_eq!(two.1.search(1, "", Scope::Base, "(objectClass=*)").await.1, code::SUCCESS, "the others go on");
    drop(two);
    until("there is room again", || house.server.metrics.text().contains("anteroom_ldap_connections 0\n")).await;
    house.stop().await;
}

#[tokio::test]
async fn outstanding_bounds_the_operations_that_the_directory_has_yet_to_answer() {
    let house = house("outstanding = 2").await;
    let mut program = as_program(&house).await;
    // They arrive at once, so that the third comes before the first is answered.
    program.send(&[search(2, "(cn=a)"), search(3, "(cn=a)"), search(4, "(cn=a)")].concat()).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let message = program.next().await.unwrap();
        heard.push((message.id, message.result().0));
    }
    heard.sort_unstable();
    assert_eq!(heard, [(2, code::SUCCESS), (3, code::SUCCESS), (4, code::BUSY)]);
    program.send(&search(5, "(cn=a)")).await;
    assert_eq!(program.next().await.unwrap().result().0, code::SUCCESS, "there is room again");
    house.stop().await;
}

#[tokio::test]
async fn buffered_bounds_what_is_kept_while_a_bind_is_held_and_the_rest_is_refused() {
    let house = house("buffered = 2048").await;
    house.phone.set_behaviour(None, Behaviour::Manual);
    let mut client = Client::connect(house.server.ldap()[0]).await;
    client.send_bind(1, ALICE, DEMO_PASSWORD).await;
    until("a prompt", || house.phone.counts().prompts == 1).await;
    client.send(&[long_search(2, 900), long_search(3, 900), long_search(4, 900)].concat()).await;
    let over = client.next().await.unwrap();
    assert_eq!((over.id, over.result().0), (4, code::BUSY), "what is over the bound is refused at once");
    house.phone.decide("alice", Decision::Approve);
    for id in [1, 2, 3] {
        let message = client.next().await.unwrap();
        assert_eq!((message.id, message.result().0), (id, code::SUCCESS), "what was kept is served afterwards");
    }
    house.stop().await;
}

#[tokio::test]
async fn a_flood_while_a_bind_is_held_ends_the_connection_and_its_prompt() {
    let house = house("buffered = 1024\nmax_message_before_bind = 2048").await;
    house.phone.set_behaviour(None, Behaviour::Manual);
    let mut client = Client::connect(house.server.ldap()[0]).await;
    client.send_bind(1, ALICE, DEMO_PASSWORD).await;
    until("a prompt", || house.phone.counts().prompts == 1).await;
    // One request that never ends.
    let mut endless = b"\x30\x84\x7f\x00\x00\x00\x02\x01\x02\x63\x84\x7f\x00\x00\x00".to_vec();
    endless.resize(8192, b'x');
    // The door may have closed before all of it was taken.
    let _ = client.stream.write_all(&endless).await;
    until("the prompt is cancelled", || house.phone.counts().cancels == 1).await;
    house.stop().await;
}

#[tokio::test]
async fn send_within_sheds_a_reader_that_takes_nothing() {
    let house = house("send_within = \"300ms\"").await;
    let client = as_program(&house).await;
    let (mut reading, mut writing) = tokio::io::split(client.stream);
    let asked = async {
        // Answers of which nothing is read, until the door has enough of it.
        for id in 2_u32.. {
            if writing.write_all(&search(id % 1000 + 2, "(objectClass=*)")).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("the reader is shed");
    let mut rest = Vec::new();
    // What had left before is there, and then the end.
    let _ = reading.read_to_end(&mut rest).await;
    until("the connection is given up", || house.server.metrics.text().contains("anteroom_ldap_connections 0\n")).await;
    house.stop().await;
}
