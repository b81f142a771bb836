//! `[mail]`: the server, who the mails are from, and templates that can be used.

use super::super::import::{Import, MailRule};
use super::super::mail::Mail;
use super::super::place::Path;
use super::super::{Security, written};
use super::Checker;
use super::secrets::Spellings;
use crate::mail::template::Templates;

const SERVER: &str =
    "allowed: \"smtps://HOST\" (TLS) or \"smtp://HOST\" (STARTTLS), with :PORT where it is not 465 or 587";

impl Checker<'_> {
    /// `None` without a server; what else is there is then a mistake.
    pub(super) fn mail(&self, written: written::Mail) -> Option<Mail> {
        let at = Path::top("mail");
        let Some(server) = written.server else {
            let others = [
                ("login", written.login.is_some()),
                ("from", written.from.is_some()),
                ("portal", written.portal.is_some()),
                ("templates", written.templates.is_some()),
                ("administrators", written.administrators.is_some()),
            ];
            for (key, _) in others.iter().filter(|(_, given)| *given) {
                self.wrong(&at.key(key), "found without server", SERVER);
            }
            return None;
        };
        let server = self.mail_server(&at.key("server"), &server, written.plaintext.unwrap_or(false));
        let spellings = Spellings {
            literal: written.password,
            file: written.password_file,
            credential: written.password_credential,
            variable: written.password_env,
        };
        let login = match (written.login, spellings.used()) {
            (None, 0) => None,
            (None, _) => {
                self.wrong(&at.key("login"), "missing", "the name that goes with the password");
                None
            }
            (Some(login), _) => self.secret(&at, "password", spellings).map(|password| (login, password)),
        };
        if let (Some((_, _, Security::Plaintext)), Some(_)) = (&server, &login) {
            self.wrong(&at.key("login"), "found with plaintext = true", "a password crosses no connection without TLS");
        }
        let from = self.required(&at.key("from"), written.from, "who the mails are from, such as \"it@corp.example\"");
        let from = from.inspect(|from| self.mail_address(&at.key("from"), from));
        let administrators = self.list(&at.key("administrators"), written.administrators).unwrap_or_default();
        for (position, address) in administrators.iter().enumerate() {
            self.mail_address(&at.key("administrators").index(position), address);
        }
        let templates = written.templates.map(|folder| self.path(&folder));
        if let Err(why) = Templates::load(templates.as_deref()) {
            self.wrong(&at.key("templates"), why, "docs/import.md says what a template looks like");
        }
        let (host, port, security) = server?;
        Some(Mail {
            host,
            port,
            security,
            ca_file: written.ca_file.and_then(|file| self.readable(&at.key("ca_file"), Some(file))),
            login,
            from: from?,
            portal: written.portal,
            templates,
            administrators,
            per_minute: self.count(&at.key("per_minute"), written.per_minute, 30, 1, 100_000),
            timeout: self.duration(&at.key("timeout"), written.timeout, "30s", "1s", "10m"),
            give_up_after: self.duration(&at.key("give_up_after"), written.give_up_after, "3d", "1m", "30d"),
        })
    }

    fn mail_server(&self, at: &Path, text: &str, plaintext: bool) -> Option<(String, u16, Security)> {
        let url = self.plain_url(at, text, SERVER)?;
        let (port, security) = match url.scheme() {
            "smtps" => (465, Security::Ldaps),
            "smtp" if plaintext => (25, Security::Plaintext),
            "smtp" => (587, Security::StartTls),
            other => {
                self.wrong(at, format!("found {other}://"), SERVER);
                return None;
            }
        };
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        if security == Security::Plaintext && !super::is_loopback(&host) {
            let found = format!("{host} is not a loopback address, and plaintext = true would send mails in the clear");
            self.wrong(at, found, "use smtps://, or smtp:// without plaintext = true");
        }
        Some((host, url.port().unwrap_or(port), security))
    }

    fn mail_address(&self, at: &Path, text: &str) {
        if !crate::mail::is_address(text) {
            self.wrong(
                at,
                format!("found {text:?}"),
                "an address, such as \"it@corp.example\" or \"IT <it@corp.example>\"",
            );
        }
    }

    /// An item that writes to people needs a server to do it with.
    pub(super) fn mail_of_items(&self, import: &Import, mail: Option<&Mail>, mentioned: bool) {
        if mail.is_some() || mentioned {
            return;
        }
        for (position, item) in import.items.iter().enumerate().filter(|(_, item)| item.mail != MailRule::None) {
            let at = Path::top("import").key("item").index(position).key("mail");
            let found = format!("item {:?} writes to people, and there is no [mail]", item.name);
            self.wrong(&at, found, "add [mail] with server and from, or mail = \"none\"");
        }
    }
}
