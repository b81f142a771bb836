//! `[mail]` as checked: how mails are sent, and to which administrators.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Security;
use crate::secret::Secret;

/// `[mail]`.
#[derive(Debug)]
pub struct Mail {
    /// Host name or address of the server: also the name that its certificate must carry.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected: TLS from the first octet, STARTTLS, or not at all on loopback.
    pub security: Security,
    /// Extra certificate authorities in PEM; the system's own are used when there are none.
    pub ca_file: Option<PathBuf>,
    /// Name and password, where the server wants them.
    pub login: Option<(String, Secret)>,
    /// Who the mails are from, as `Name <address>` or an address.
    pub from: String,
    /// Where people manage their own second factor, for the texts.
    pub portal: Option<String>,
    /// A folder with templates that replace those that come along.
    pub templates: Option<PathBuf>,
    /// Who is told that a plan waits for an approval.
    pub administrators: Vec<String>,
    /// Mails that are sent in one minute, at most.
    pub per_minute: u32,
    /// How long one mail may take.
    pub timeout: Duration,
    /// How long a mail is tried before it is given up.
    pub give_up_after: Duration,
}
