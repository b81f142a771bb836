//! What has been learned of the RADIUS clients, kept over a restart: which of them sign although they need not.
//!
//! A client with `require_message_authenticator = "auto"` that has signed once must sign from then on. Were that
//! forgotten, whoever can change packets on the way would only have to wait for a restart (CVE-2024-3596). The names stand
//! in a file beside the store, one on each line; taking a line out before a start lets that client learn anew.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::radius::clients::Clients;

/// The file's name.
pub(super) const FILE: &str = "signing-clients";

/// The file and what stands in it.
#[derive(Debug, Default)]
pub(super) struct Habits {
    path: PathBuf,
    written: BTreeSet<String>,
}

impl Habits {
    /// Reads the file, if there is one, and tells the clients what they have learned before.
    pub(super) fn read(path: PathBuf, clients: &Clients) -> Self {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "which clients sign is not known any more");
                String::new()
            }
        };
        let written: BTreeSet<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        clients.iter().filter(|client| written.contains(client.name())).for_each(|client| client.has_signed_before());
        Habits { path, written }
    }

    /// Writes the file anew if a client has signed for the first time.
    pub(super) fn keep(&mut self, clients: &Clients) {
        let signing: BTreeSet<String> =
            clients.iter().filter(|client| client.learns_to_sign()).map(|client| client.name().to_owned()).collect();
        if signing.is_subset(&self.written) {
            return;
        }
        if let Err(error) = write(&self.path, &signing) {
            tracing::warn!(path = %self.path.display(), %error, "which clients sign will be forgotten at the next start");
        }
        // Not tried again each second.
        self.written = signing;
    }
}

/// All or nothing.
fn write(path: &Path, names: &BTreeSet<String>) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    names.iter().try_for_each(|name| writeln!(file, "{name}"))?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::config::Requirement;
    use crate::radius::testing;

    fn clients(requirement: Requirement) -> Clients {
        let mut client = testing::client("vpn");
        client.require_message_authenticator = requirement;
        Clients::new(&[Arc::new(client)], Instant::now()).unwrap()
    }

    #[test]
    fn a_client_that_has_signed_once_must_sign_after_a_restart_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let before = clients(Requirement::Auto);
        let mut habits = Habits::read(path.clone(), &before);
        habits.keep(&before);
        assert!(!path.exists(), "nothing has been learned");
        before.iter().for_each(|client| client.has_signed_before());
        habits.keep(&before);
        let after = clients(Requirement::Auto);
        assert!(after.iter().all(|client| !client.learns_to_sign()));
        Habits::read(path.clone(), &after);
        assert!(after.iter().all(|client| client.learns_to_sign()));
        let told = clients(Requirement::No);
        Habits::read(path, &told);
        assert!(told.iter().all(|client| !client.learns_to_sign()), "what the configuration says counts more");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_no_reason_to_stop() {
        let clients = clients(Requirement::Auto);
        let mut habits = Habits::read("/nonexistent/folder/signing-clients".into(), &clients);
        clients.iter().for_each(|client| client.has_signed_before());
        habits.keep(&clients);
        habits.keep(&clients);
    }
}
