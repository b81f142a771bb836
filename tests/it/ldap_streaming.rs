//! A search that returns a million entries takes no memory, and a reader that is slow stalls only itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anteroom::ldap::bind::{write_bind_request, write_bind_response};
use anteroom::ldap::filter::Filter;
use anteroom::ldap::message::op;
use anteroom::ldap::result::write_response;
use anteroom::ldap::search::{Scope, SearchRequest, write_entry};

use crate::peers::ldap_world::LdapWorld;
use crate::support::fake_directory::{
    Act, Asked, FakeDirectory, Request, SERVICE, done as directory_done, octets, ordinary,
};

/// Entries of the large search.
const MANY: usize = 1_000_000;
/// How much more memory than before the server may have had. A million entries are far more.
const GROWTH_KIB: u64 = 8 * 1024;

/// Entries that are written in one go.
const BATCH: usize = 1000;

fn entry(id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let attributes: [(&str, &[&str]); 2] =
        [("cn", &["one of a million"]), ("description", &["as long as a short line of text"])];
    write_entry(&mut out, id, "cn=one of a million,dc=fake,dc=test", attributes);
    out
}

fn done(id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_response(&mut out, id, op::SEARCH_DONE, 0, "", "");
    out
}

/// The large search is the one with id 7.
fn script(request: &Request) -> Vec<Act> {
    if request.asked == Asked::Search && request.id == 7 {
        return vec![Act::Repeat(entry(7).repeat(BATCH), MANY / BATCH), Act::Send(done(7))];
    }
    if request.is_search_for_service() { vec![directory_done(request.id, 32)] } else { ordinary(request) }
}

/// An application's connection, bound as its own account.
fn application(door: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut request = Vec::new();
    write_bind_request(&mut request, 1, SERVICE.0.as_bytes(), SERVICE.1.as_bytes());
    stream.write_all(&request).unwrap();
    let mut expected = Vec::new();
    write_bind_response(&mut expected, 1, 0, "");
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, expected);
    stream
}

fn ask(stream: &mut TcpStream, id: u32) {
    let filter = Filter::parse("(objectClass=*)").unwrap().encode();
    let request = SearchRequest {
        base: "dc=fake,dc=test",
        scope: Scope::Subtree,
        size_limit: 0,
        time_limit: Duration::ZERO,
        filter: &filter,
        attributes: &[],
    };
    let mut out = Vec::new();
    request.write(&mut out, id);
    stream.write_all(&out).unwrap();
}

#[test]
fn a_million_entries_pass_in_constant_memory_and_a_slow_reader_stalls_only_itself() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let fake = runtime.block_on(FakeDirectory::start(script));
    let target = format!(
        "type = \"ldap\"\nservers = \"ldap://{}\"\nplaintext = true\nbase = \"dc=fake,dc=test\"\n\
         bind_name = \"{}\"\nbind_password = \"{}\"\n",
        fake.address, SERVICE.0, SERVICE.1
    );
    let world = LdapWorld::new(&target, &format!("service_accounts = [\"{}\"]", SERVICE.0), "");
    let mut slow = application(world.ldap());
    let mut other = application(world.ldap());
    let before = world.server.most_memory();
    ask(&mut slow, 7);
    let mut first = vec![0; entry(7).len()];
    slow.read_exact(&mut first).unwrap();
    assert_eq!(first, entry(7));
    // Nothing more of it is read for now; everybody else goes on.
    for id in 100..200 {
        ask(&mut other, id);
        let Act::Send(expected) = &ordinary_answer(id) else { panic!("an answer is octets") };
        let mut answer = vec![0; expected.len()];
        other.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, expected);
    }
    let mut left = (MANY - 1) * entry(7).len();
    let mut room = vec![0; 256 * 1024];
    while left > 0 {
        let most = left.min(room.len());
        let read = slow.read(&mut room[..most]).unwrap();
        assert!(read > 0, "{left} octets are missing");
        left -= read;
    }
    let mut end = vec![0; done(7).len()];
    slow.read_exact(&mut end).unwrap();
    assert_eq!(end, done(7));
    let grown = world.server.most_memory() - before;
    assert!(grown < GROWTH_KIB, "{grown} KiB for {} MB", MANY * entry(7).len() / 1_000_000);
}

/// All that a good directory sends for a search, in one.
fn ordinary_answer(id: u32) -> Act {
    let request = Request { connection: 0, id, asked: Asked::Search, frame: Vec::new() };
    Act::Send(ordinary(&request).iter().flat_map(octets).collect())
}
