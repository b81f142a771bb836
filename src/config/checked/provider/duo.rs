//! `type = "duo"`: Duo, by its Auth API.

use super::super::super::place::Path;
use super::super::super::values::Count;
use super::super::super::{CloudName, Common, DuoProvider, DuoSignature, Provider, written};
use super::super::Checker;
use super::super::secrets::Spellings;

/// Length of an integration key, in characters.
const IKEY: usize = 20;

/// Length of a secret key, in characters.
const SKEY: usize = 40;

impl Checker<'_> {
    pub(super) fn duo(&self, at: &Path, common: Option<Common>, written: &mut written::Provider) -> Option<Provider> {
        let ikey = self.token(&at.key("ikey"), written.ikey.take(), "the integration key of an Auth API application");
        if let Some(ikey) = &ikey
            && (ikey.len() != IKEY || !ikey.starts_with("DI"))
        {
            self.wrong(&at.key("ikey"), format!("found {} characters", ikey.len()), "DI and 18 more, as Duo shows it");
        }
        let spellings = Spellings {
            literal: written.skey.take(),
            file: written.skey_file.take(),
            credential: written.skey_credential.take(),
            variable: written.skey_env.take(),
        };
        let skey = self.secret(at, "skey", spellings);
        if let Some(skey) = &skey
            && skey.len() != SKEY
        {
            self.wrong(&at.key("skey"), format!("has {} octets", skey.len()), "the 40 characters that Duo shows");
        }
        let signature = match written.signature.take() {
            None | Some(Count(5)) => DuoSignature::V5,
            Some(Count(2)) => DuoSignature::V2,
            Some(Count(other)) => {
                self.wrong(&at.key("signature"), format!("found {other}"), "allowed: 5, or 2 for old endpoints");
                DuoSignature::V5
            }
        };
        let user = Self::cloud_name(written, CloudName::Name);
        Some(Provider::Duo(DuoProvider { common: common?, ikey: ikey?, skey: skey?, signature, user }))
    }
}
