//! `[provider.NAME]`: who carries second factors.

use std::collections::BTreeMap;

use super::super::place::Path;
use super::super::{NativeAuthentication, NativeProvider, SendFields, written};
use super::address::is_loopback;
use super::secrets::Spellings;
use super::{Checker, Named};

/// A key of HMAC-SHA256 shorter than its output weakens it (RFC 2104 section 3), in octets.
const SHORTEST_KEY: usize = 32;

impl Checker<'_> {
    pub(super) fn providers(&self, written: BTreeMap<String, written::Provider>) -> Named<NativeProvider> {
        let at = Path::top("provider");
        if written.is_empty() {
            self.wrong(&at, "missing", "at least one [provider.NAME]: who carries second factors");
        }
        let names = written.keys().cloned().collect();
        let found = written
            .into_iter()
            .filter_map(|(name, provider)| {
                let at = at.key(&name);
                self.name(&at, &name);
                Some((name.clone(), self.provider(&at, name, provider)?))
            })
            .collect();
        Named { found, written: names }
    }

    fn provider(&self, at: &Path, name: String, mut written: written::Provider) -> Option<NativeProvider> {
        let url = self.provider_url(&at.key("url"), written.url.take());
        let send = SendFields {
            names: written.send.names.unwrap_or(true),
            email: written.send.email.unwrap_or(true),
            phone: written.send.phone.unwrap_or(true),
            person_address: written.send.person_address.unwrap_or(true),
        };
        let timeout = self.duration(&at.key("timeout"), written.timeout, "10s", "100ms", "2m");
        let ca_file = written.ca_file.take().and_then(|path| self.readable(&at.key("ca_file"), Some(path)));
        let authentication = self.authentication(at, written);
        Some(NativeProvider { name, url: url?, ca_file, authentication: authentication?, timeout, send })
    }

    fn provider_url(&self, at: &Path, given: Option<String>) -> Option<String> {
        const ALLOWED: &str = "allowed: \"https://HOST\", with a port and a path where needed";
        let text = self.required(at, given, ALLOWED)?;
        let url = self.plain_url(at, &text, ALLOWED)?;
        match url.scheme() {
            "https" => {}
            "http" if url.host_str().is_some_and(|host| is_loopback(host.trim_matches(['[', ']']))) => {}
            "http" => {
                self.wrong(at, "found http:// to another machine, where everybody on the way could approve", ALLOWED)
            }
            other => self.wrong(at, format!("found {other}://"), ALLOWED),
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn authentication(&self, at: &Path, mut written: written::Provider) -> Option<NativeAuthentication> {
        let spellings = Spellings {
            literal: written.key.take(),
            file: written.key_file.take(),
            credential: written.key_credential.take(),
            variable: written.key_env.take(),
        };
        let certificate = written.certificate.is_some() || written.certificate_key.is_some();
        let signed = written.key_id.is_some() || spellings.used() > 0;
        match (signed, certificate) {
            (true, true) => {
                self.wrong(&at.key("certificate"), "found beside key_id or key", "one way to authenticate, not two");
                None
            }
            (false, true) => {
                let certificate = self.readable(&at.key("certificate"), written.certificate);
                let key = self.readable(&at.key("certificate_key"), written.certificate_key);
                Some(NativeAuthentication::Certificate { certificate: certificate?, key: key? })
            }
            _ => {
                let what = "how requests are authenticated: key_id and key, or certificate and certificate_key";
                let key_id = self.required(&at.key("key_id"), written.key_id, what);
                if let Some(id) = &key_id
                    && !id.chars().all(|c| c.is_ascii_graphic())
                {
                    self.wrong(&at.key("key_id"), format!("found {id:?}"), "letters, digits and signs, no blanks");
                }
                let key = self.secret(at, "key", spellings)?;
                if key.len() < SHORTEST_KEY {
                    let found = format!("has {} octets", key.len());
                    self.wrong(&at.key("key"), found, format!("allowed: {SHORTEST_KEY} or more, from a random source"));
                }
                Some(NativeAuthentication::Signed { key_id: key_id?, key })
            }
        }
    }
}
