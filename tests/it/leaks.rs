//! Planted secrets never come out: not in the log at its most talkative, nor in errors, metrics, the audit file
//! or the audit rows of the store, whatever happens to the sign-in.

use std::fs;

use base64::Engine as _;
use sqlx::{Connection, Row, SqliteConnection};

use crate::peers::samba::{Directory, PASSWORD, SERVICE_PASSWORD};
use crate::peers::server::{PROVIDER_KEY, SHARED_SECRET, Server, Settings};
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT};
use crate::peers::world::{World, device_token};

/// A wrong password that appears nowhere else.
const WRONG_PASSWORD: &str = "Wr0ng-Passw0rd-planted";
/// What stands in broken packets.
const IN_BROKEN_PACKET: &str = "Br0ken-packet-planted";

/// A secret as it might be written by somebody careless.
fn spellings(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|octet| format!("{octet:02x}")).collect();
    let list = format!("{:?}", secret.as_bytes());
    let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
    let reversed_case = hex.to_uppercase();
    vec![
        secret.to_owned(),
        hex,
        reversed_case,
        list.trim_matches(['[', ']']).to_owned(),
        base64.trim_end_matches('=').to_owned(),
    ]
}

fn planted() -> Vec<String> {
    let token = device_token("alice");
    let secrets = [PASSWORD, SERVICE_PASSWORD, SHARED_SECRET, PROVIDER_KEY, WRONG_PASSWORD, IN_BROKEN_PACKET, &token];
    secrets.iter().flat_map(|secret| spellings(secret)).collect()
}

fn assert_clean(place: &str, text: &str) {
    for spelling in planted() {
        if let Some(at) = text.find(&spelling) {
            let start = text.floor_char_boundary(at.saturating_sub(200));
            let end = text.floor_char_boundary(at + spelling.len() + 100);
            panic!("{place} holds a planted secret ({spelling}): …{}…", &text[start..end]);
        }
    }
}

/// All rows of all tables but those of people, who keep their device's token there on purpose.
fn rows_of_the_store(server: &Server) -> String {
    let url = format!("sqlite://{}?mode=ro", server.store().display());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let tables = "SELECT m.name, group_concat('quote(\"' || c.name || '\")', '||''|''||') FROM sqlite_master m, \
                      pragma_table_info(m.name) c WHERE m.type = 'table' GROUP BY m.name";
        let tables: Vec<(String, String)> = sqlx::query(tables)
            .fetch_all(&mut connection)
            .await
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        let mut text = String::new();
        let mut events = 0;
        for (table, columns) in tables {
            let query = format!("SELECT {columns} FROM \"{table}\"");
            let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
            let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            if rows.iter().any(|row| row.contains(&device_token("alice"))) {
                let theirs = ["people", "person", "devices"].iter().any(|name| table.contains(name));
                assert!(theirs, "a device token is in table {table}");
                continue;
            }
            events += rows.iter().filter(|row| row.contains("wrong_password")).count();
            text.push_str(&rows.join("\n"));
        }
        assert!(events > 0, "no audit row was read");
        text
    })
}

/// Every kind of ending: let in, wrong password, unknown, denied, broken packets, a provider that is gone.
fn everything_happens(world: &World) {
    world.enrol(&["alice", "clumsy5", "carol"]);
    world.phone.approve_by_itself();
    assert_eq!(world.sign_in("alice", PASSWORD).code, ACCESS_ACCEPT);
    assert_eq!(world.sign_in("clumsy5", WRONG_PASSWORD).code, ACCESS_REJECT);
    assert_eq!(world.sign_in("nobody-of-that-name", WRONG_PASSWORD).code, ACCESS_REJECT);
    broken_packets(world);
    world.relay.cut();
    assert_eq!(world.sign_in("carol", PASSWORD).code, ACCESS_REJECT);
    world.server.events("carol", 1);
}

fn broken_packets(world: &World) {
    let mut nas = world.nas();
    let good = nas.request("alice", IN_BROKEN_PACKET.as_bytes(), &[(32, IN_BROKEN_PACKET.as_bytes())]);
    let mut spoiled = vec![good.clone(); 4];
    spoiled[0].bytes.truncate(40);
    spoiled[1].bytes[30] ^= 1; // the Message-Authenticator is wrong
    spoiled[2].bytes[21] = 0; // an attribute shorter than its own header
    spoiled[3].bytes[0] = 200; // no such code
    for request in &spoiled {
        nas.send(request);
    }
    let mut stranger = crate::peers::wire::Nas::new(world.server.radius(), IN_BROKEN_PACKET);
    let foreign = stranger.request("alice", PASSWORD.as_bytes(), &[]);
    stranger.send(&foreign);
}

#[test]
fn planted_secrets_appear_nowhere() {
    let Some(directory) = Directory::get() else { return };
    for format in ["text", "json"] {
        let world = World::with(Settings {
            directory: directory.address().to_owned(),
            ca: directory.ca(),
            log: format!("level = \"trace\"\nformat = \"{format}\""),
            ..Settings::default()
        });
        everything_happens(&world);
        let logs = world.server.logs();
        assert!(logs.len() > 1000, "the log says too little to prove anything: {logs}");
        assert_clean("the log", &logs);
        assert_clean("the audit file", &world.server.audit());
        assert_clean("the metrics", &world.server.http("/metrics").unwrap());
        assert_clean("the health page", &world.server.http("/health").unwrap());
        crate::peers::eventually("the audit rows", || {
            let text = fs::read(world.server.store().with_extension("db-wal")).unwrap_or_default();
            let text = [text, fs::read(world.server.store()).unwrap()].concat();
            String::from_utf8_lossy(&text).contains("wrong_password").then_some(())
        });
        assert_clean("the store", &rows_of_the_store(&world.server));
        for command in [&["check"][..], &["user", "list"], &["user", "show", "alice"]] {
            let output = world.server.command(command).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(!said.is_empty(), "anteroom {command:?} says nothing");
            assert_clean(&format!("anteroom {command:?}"), &String::from_utf8_lossy(&said));
        }
    }
}

#[test]
fn complaints_about_a_configuration_do_not_quote_its_secrets() {
    let Some(directory) = Directory::get() else { return };
    let world = World::new(&directory, "", "");
    let good = fs::read_to_string(world.server.configuration()).unwrap();
    let spoilers = [
        // a value of the wrong kind, an unknown key beside the secret, text that is no TOML, a key cut short
        good.replace("answer_within = \"20s\"", "answer_within = [\"20s\"]"),
        good.replace("secret = ", "secrets = "),
        good.replace(&format!("\"{SHARED_SECRET}\""), &format!("\"{SHARED_SECRET}")),
        good.replace(&format!("key = \"{PROVIDER_KEY}\""), &format!("key = [\"{PROVIDER_KEY}\"]")),
        good.replace("bind_password = ", "bind_pasword = "),
    ];
    for spoiled in spoilers {
        assert_ne!(spoiled, good);
        fs::write(world.server.configuration(), &spoiled).unwrap();
        for command in ["check", "serve"] {
            let output = world.server.command(&[command]).output().unwrap();
            assert!(!output.status.success(), "anteroom {command} took a spoiled configuration");
            let said = [output.stdout, output.stderr].concat();
            assert_clean(&format!("anteroom {command}"), &String::from_utf8_lossy(&said));
        }
    }
}
