//! A server with a configuration of the test's own, behind it the demo's directory and phones.

use std::path::PathBuf;

use anteroom::app::Server;
use anteroom::config::checked;
use anteroom::demo::directory::{
    DEMO_BASE, DEMO_NETBIOS, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD, DemoDirectory, demo_people,
};
use anteroom::demo::enrolled;
use anteroom::demo::phone::{Phone, PhoneOptions};
use anteroom::secret::Secret;
use anteroom::users::open::open;
use anteroom::users::store::Store;

const KEY: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct OwnHouse {
    pub(crate) directory: DemoDirectory,
    pub(crate) phone: Phone,
    pub(crate) server: Server,
    pub(crate) folder: tempfile::TempDir,
    /// The configuration.
    text: String,
}

impl OwnHouse {
    /// `ldap` is the `[ldap]` section without its sockets, `client` one `[[ldap.client]]` or more.
    pub(crate) async fn start(ldap: &str, client: &str) -> OwnHouse {
        let folder = tempfile::tempdir().unwrap();
        write_certificate(folder.path(), "localhost");
        let address = "127.0.0.1:0".parse().unwrap();
        let directory = DemoDirectory::start(address, demo_people()).await.unwrap();
        let key = Some(("test".to_owned(), Secret::from_text(KEY.into())));
        let phone = Phone::start(address, PhoneOptions { key, ..Default::default() }).await.unwrap();
        let (plain, tls) = (free_port(), free_port());
        let text = format!(
            r#"
[server]
name = "own"
store = "people.db"
drain = "2s"
[ldap]
listen = ["127.0.0.1:{plain}"]
{ldap}
{client}
[target.demo]
type = "ad"
servers = ["ldap://{directory}"]
plaintext = true
base = "{DEMO_BASE}"
bind_name = "{DEMO_SERVICE_NAME}"
bind_password = "{DEMO_SERVICE_PASSWORD}"
domains = ["{DEMO_NETBIOS}"]
[provider.phone]
type = "native"
url = "{url}"
key_id = "test"
key = "{KEY}"
[audit]
file = "audit.jsonl"
"#,
            ldap = ldap.replace("TLS_PORT", &tls.to_string()),
            directory = directory.local_addr(),
            url = phone.url(),
        );
        let config =
            checked::load_text(&text, &folder.path().join("own.toml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let store = open(&config.server.store, true).await.unwrap();
        for person in demo_people().iter().filter(|person| person.name != "dave") {
            store.add(&enrolled(person)).await.unwrap();
        }
        store.close().await;
        let server = Server::start(config).await.unwrap();
        OwnHouse { directory, phone, server, folder, text }
    }

    /// Stops the server, and starts it again on the same configuration and store.
    pub(crate) async fn restart(self) -> OwnHouse {
        let OwnHouse { directory, phone, server, folder, text } = self;
        server.stop().await;
        let config =
            checked::load_text(&text, &folder.path().join("own.toml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let server = Server::start(config).await.unwrap();
        OwnHouse { directory, phone, server, folder, text }
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("ldap.pem")
    }

    /// The reasons of all sign-ins so far, with how many requests each served.
    pub(crate) async fn reasons(&self) -> Vec<(String, u64)> {
        self.server.flush_audit().await;
        let text = std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap_or_default();
        let line = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["door"], "ldap");
            (value["reason"].as_str().unwrap().to_owned(), value["requests"].as_u64().unwrap())
        };
        text.lines().map(line).collect()
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
        self.phone.stop().await;
    }
}

/// Writes a certificate and its key, self-signed.
pub(crate) fn write_certificate(folder: &std::path::Path, host: &str) {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    std::fs::write(folder.join("ldap.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("ldap.key"), made.signing_key.serialize_pem()).unwrap();
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
