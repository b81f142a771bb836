//! `type = "native"`: Anteroom's own protocol.

use super::super::super::place::Path;
use super::super::super::{Common, NativeAuthentication, NativeProvider, Provider, written};
use super::super::Checker;
use super::super::secrets::Spellings;

/// A key of HMAC-SHA256 shorter than its output weakens it (RFC 2104 section 3), in octets.
const SHORTEST_KEY: usize = 32;

impl Checker<'_> {
    pub(super) fn native(
        &self,
        at: &Path,
        common: Option<Common>,
        written: &mut written::Provider,
    ) -> Option<Provider> {
        let authentication = self.authentication(at, written);
        let pin_on_phone = written.pin_on_phone.take().unwrap_or(false);
        let number_matching = written.number_matching.take().unwrap_or(false);
        let (common, authentication) = (common?, authentication?);
        Some(Provider::Native(NativeProvider { common, authentication, pin_on_phone, number_matching }))
    }

    fn authentication(&self, at: &Path, written: &mut written::Provider) -> Option<NativeAuthentication> {
        let spellings = Spellings {
            literal: written.key.take(),
            file: written.key_file.take(),
            credential: written.key_credential.take(),
            variable: written.key_env.take(),
        };
        let (certificate, certificate_key) = (written.certificate.take(), written.certificate_key.take());
        let key_id = written.key_id.take();
        match (key_id.is_some() || spellings.used() > 0, certificate.is_some() || certificate_key.is_some()) {
            (true, true) => {
                self.wrong(&at.key("certificate"), "found beside key_id or key", "one way to authenticate, not two");
                None
            }
            (false, true) => {
                let certificate = self.readable(&at.key("certificate"), certificate);
                let key = self.readable(&at.key("certificate_key"), certificate_key);
                Some(NativeAuthentication::Certificate { certificate: certificate?, key: key? })
            }
            _ => {
                let what = "how requests are authenticated: key_id and key, or certificate and certificate_key";
                let key_id = self.token(&at.key("key_id"), key_id, what);
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
