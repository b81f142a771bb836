//! Who checks MS-CHAP for an Active Directory, after all checks. Pure.

use std::path::PathBuf;
use std::time::Duration;

/// Who checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MsChapBy {
    /// Samba's winbind on this machine, asked by its program `ntlm_auth`.
    Winbind,
}

/// How winbind is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Winbind {
    /// The program.
    pub program: PathBuf,
    /// What it is given besides what it must be.
    pub arguments: Vec<String>,
    /// How many of it run at once, at most.
    pub helpers: usize,
    /// How long one may take for an answer.
    pub timeout: Duration,
    /// The NetBIOS name of the people's domain; none: the one that this machine is a member of.
    pub domain: Option<String>,
    /// Whether people may change their passwords by MS-CHAPv2.
    pub changes: bool,
}
