//! A world for applications that speak LDAP: a directory, the phone simulator, and the server with its LDAP door.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ldap::{Trust, Wire};
use super::phone::Phone;
use super::samba::{Directory, SERVICE_PASSWORD};
use super::server::{self, Server};
use super::slapd::{self, Slapd};

/// The server with its LDAP door and everything around it.
#[derive(Debug)]
pub(crate) struct LdapWorld {
    pub(crate) server: Server,
    pub(crate) phone: Phone,
}

/// `[target.…]` of one directory.
pub(crate) fn open_ldap(directory: &Slapd) -> String {
    let (server, ca, base) = (directory.ldaps(), directory.ca(), slapd::BASE);
    format!(
        "type = \"ldap\"\nservers = \"ldaps://{server}\"\nca_file = \"{}\"\nbase = \"{base}\"\n\
         bind_name = \"cn=svc-proxy,ou=services,{base}\"\nbind_password = \"{SERVICE_PASSWORD}\"\n",
        ca.display()
    )
}

/// The same for Active Directory.
pub(crate) fn active_directory(directory: &Directory) -> String {
    format!(
        "type = \"ad\"\nservers = \"ldaps://{}\"\nca_file = \"{}\"\nbase = \"{}\"\n\
         bind_name = \"svc-proxy@corp.example.test\"\nbind_password = \"{SERVICE_PASSWORD}\"\ndomains = \"CORP\"\n",
        directory.address(),
        directory.ca().display(),
        super::samba::BASE
    )
}

/// A certificate for this address, its own authority.
fn certificate(folder: &Path, address: &str) {
    let made = rcgen::generate_simple_self_signed(vec![address.to_owned()]).unwrap();
    fs::write(folder.join("door.pem"), made.cert.pem()).unwrap();
    let key = folder.join("door.key");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
}

impl LdapWorld {
    /// A world on a directory. `client` are further keys of the one client, `door` of the door.
    pub(crate) fn new(target: &str, client: &str, door: &str) -> Self {
        let phone = Phone::start();
        let provider = phone.address();
        let server = Server::start_written(|folder, address| {
            certificate(folder, address);
            let folder = folder.display();
            let surroundings = server::surroundings(&folder, address, provider);
            format!(
                r#"
[server]
name = "test-node"
store = "{folder}/anteroom.db"
drain = "1s"

[ldap]
listen = "{address}:3389"
listen_tls = "{address}:6636"
certificate = "{folder}/door.pem"
certificate_key = "{folder}/door.key"
{door}

[[ldap.client]]
name = "wiki"
address = "127.0.0.0/8"
application = "Test wiki"
answer_within = "20s"
{client}

[target.directory]
{target}

{surroundings}
"#
            )
        });
        LdapWorld { server, phone }
    }

    /// Enrols people by account name, each with a device named after them.
    pub(crate) fn enrol(&self, accounts: &[&str]) {
        for account in accounts {
            let token = super::world::device_token(account);
            self.server.run(&["user", "add", account, "--method", "push", "--device-token", &token]);
        }
    }

    /// Where LDAP and StartTLS are spoken.
    pub(crate) fn ldap(&self) -> SocketAddr {
        format!("{}:3389", self.server.address()).parse().unwrap()
    }

    /// Where LDAPS is spoken.
    pub(crate) fn ldaps(&self) -> SocketAddr {
        format!("{}:6636", self.server.address()).parse().unwrap()
    }

    /// The authority of its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.server.folder().join("door.pem")
    }

    fn trust(&self) -> Trust {
        Trust { ca: self.ca(), name: self.server.address().to_owned() }
    }

    /// A connection over LDAPS.
    pub(crate) fn over_ldaps(&self) -> Wire {
        Wire::ldaps(self.ldaps(), &self.trust())
    }

    /// A connection over StartTLS.
    pub(crate) fn over_start_tls(&self) -> Wire {
        Wire::start_tls(self.ldap(), &self.trust())
    }
}
