//! Where the user database is: a file, or PostgreSQL servers by a URL. Pure, but for reading the system's
//! certificates.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::secret::Secret;
use crate::users::store::{StoreError, StoreResult};

/// Where the user database is.
#[derive(Debug)]
pub enum StoreAt {
    /// An SQLite file.
    File(PathBuf),
    /// PostgreSQL.
    Postgres(Box<PostgresAt>),
}

impl StoreAt {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            StoreAt::File(path) => Some(path),
            StoreAt::Postgres(_) => None,
        }
    }
}

impl fmt::Display for StoreAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAt::File(path) => path.display().fmt(f),
            StoreAt::Postgres(at) => at.fmt(f),
        }
    }
}

/// Whether a text of the configuration names PostgreSQL servers and not a file.
pub fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// One or more PostgreSQL servers with the same database. The one that can be written is used.
#[derive(Debug)]
pub struct PostgresAt {
    hosts: Vec<(String, u16)>,
    user: String,
    database: String,
    password: Option<Secret>,
    tls: Tls,
}

/// How the connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// The server's certificate is verified, against this file of authorities or the system's.
    Verified(Option<PathBuf>),
    /// Not at all: only within this machine.
    Plaintext,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlError {
    /// It is none.
    NotAUrl,
    /// It has a password, which belongs into a file of its own.
    Password,
    /// The user is missing.
    NoUser,
    /// The database is missing.
    NoDatabase,
    /// A host is missing or its port is no number.
    Host(String),
    /// It has something behind `?` or `#`.
    Options,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlError::NotAUrl => f.write_str("it is no URL"),
            UrlError::Password => f.write_str("it has a password; give that as store_password_file"),
            UrlError::NoUser => f.write_str("it names no user"),
            UrlError::NoDatabase => f.write_str("it names no database"),
            UrlError::Host(host) => write!(f, "{host:?} is no host with a port"),
            UrlError::Options => f.write_str("it has something behind the database's name"),
        }
    }
}

impl PostgresAt {
    /// Reads `postgres://USER@HOST[:PORT][,HOST[:PORT]…]/DATABASE`.
    ///
    /// # Errors
    /// What is wrong with the URL; never any of a password in it.
    pub fn parse(text: &str) -> Result<PostgresAt, UrlError> {
        let rest = text.split_once("://").map(|(_, rest)| rest).ok_or(UrlError::NotAUrl)?;
        let (authority, path) = rest.split_once('/').ok_or(UrlError::NoDatabase)?;
        let (user, hosts) = authority.rsplit_once('@').ok_or(UrlError::NoUser)?;
        if user.contains(':') {
            return Err(UrlError::Password);
        }
        // The rest is one URL for each host, read by the library that knows how.
        let mut found = Vec::new();
        let (mut database, mut name) = (String::new(), String::new());
        for host in hosts.split(',') {
            let one =
                Url::parse(&format!("postgres://{user}@{host}/{path}")).map_err(|_| UrlError::Host(host.into()))?;
            if one.query().is_some() || one.fragment().is_some() {
                return Err(UrlError::Options);
            }
            let address = one.host_str().filter(|address| !address.is_empty()).ok_or(UrlError::Host(host.into()))?;
            found.push((address.trim_matches(['[', ']']).to_owned(), one.port().unwrap_or(5432)));
            name = decoded(one.username()).ok_or(UrlError::NoUser)?;
            database = decoded(one.path().trim_start_matches('/')).ok_or(UrlError::NoDatabase)?;
        }
        if name.is_empty() {
            return Err(UrlError::NoUser);
        }
        if database.is_empty() || database.contains('/') {
            return Err(UrlError::NoDatabase);
        }
        Ok(PostgresAt { hosts: found, user: name, database, password: None, tls: Tls::Verified(None) })
    }

    /// With a password.
    #[must_use]
    pub fn with_password(mut self, password: Option<Secret>) -> Self {
        self.password = password;
        self
    }

    /// With a protection other than the system's certificates.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Whether every server is on this machine.
    pub fn is_local(&self) -> bool {
        self.hosts.iter().all(|(host, _)| {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    /// What the driver needs for each server.
    pub(super) fn options(&self) -> StoreResult<Vec<PgConnectOptions>> {
        let password = match &self.password {
            Some(password) => {
                let not_text = |_| StoreError::Unavailable("the password of PostgreSQL is not UTF-8".into());
                Some(std::str::from_utf8(password.open()).map_err(not_text)?)
            }
            None => None,
        };
        let options = |(host, port): &(String, u16)| {
            let mut options = PgConnectOptions::new_without_pgpass()
                .host(host)
                .port(*port)
                .username(&self.user)
                .database(&self.database);
            if let Some(password) = password {
                options = options.password(password);
            }
            Ok(match &self.tls {
                Tls::Plaintext => options.ssl_mode(PgSslMode::Disable),
                Tls::Verified(Some(file)) => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(file),
                Tls::Verified(None) => {
                    options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(system_certificates()?)
                }
            })
        };
        self.hosts.iter().map(options).collect()
    }
}

/// Without the password.
impl fmt::Display for PostgresAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        write!(f, "postgres://{}@{}/{}", self.user, hosts.join(","), self.database)
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let digits = [rest.next()?, rest.next()?];
            octets.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).ok()
}

/// The authorities that the system trusts, as PEM: the driver brings none of its own.
fn system_certificates() -> StoreResult<Vec<u8>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(StoreError::Unavailable("the system has no certificates; give store_ca_file".into()));
    }
    let mut pem = String::new();
    for certificate in found.certs {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        pem.push_str(&STANDARD.encode(certificate.as_ref()));
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    Ok(pem.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers_are_read_out_of_one_url() {
        let at =
            PostgresAt::parse("postgres://ante%40room@db1.example.com:5433,db2.example.com,[::1]:1/people").unwrap();
        assert_eq!(at.to_string(), "postgres://ante@room@db1.example.com:5433,db2.example.com:5432,::1:1/people");
        assert!(!at.is_local());
        assert!(PostgresAt::parse("postgresql://a@127.0.0.1,localhost,[::1]/x").unwrap().is_local());
        assert!(is_url("postgres://x") && !is_url("/var/lib/anteroom/anteroom.db"));
    }

    #[test]
    fn mistakes_of_a_url_are_told_without_its_password() {
        for (url, error) in [
            ("postgres://a:planted@h/d", UrlError::Password),
            ("postgres://h/d", UrlError::NoUser),
            ("postgres://@h/d", UrlError::NoUser),
            ("postgres://a@h", UrlError::NoDatabase),
            ("postgres://a@h/", UrlError::NoDatabase),
            ("postgres://a@h:x/d", UrlError::Host("h:x".into())),
            ("postgres://a@h1,,h2/d", UrlError::Host(String::new())),
            ("postgres://a@h/d?sslmode=disable", UrlError::Options),
            ("postgres", UrlError::NotAUrl),
        ] {
            assert_eq!(PostgresAt::parse(url).map(|at| at.to_string()).unwrap_err(), error, "{url}");
            assert!(!error.to_string().contains("planted"));
        }
    }
}
