//! `type = "okta"`: an API token, or an app with a key pair.

use super::super::super::place::Path;
use super::super::super::{CloudName, Common, OktaAuthentication, OktaProvider, Provider, written};
use super::super::secrets::Spellings;
use super::super::{Checker, word};

impl Checker<'_> {
    pub(super) fn okta(&self, at: &Path, common: Option<Common>, written: &mut written::Provider) -> Option<Provider> {
        let user = word(written.user.take(), CloudName::Upn);
        let authentication = self.okta_authentication(at, written);
        let admin = common.as_ref().is_some_and(|common| common.outbound.url.contains("-admin."));
        if admin {
            self.wrong(
                &at.key("url"),
                "is the address of the administrators' pages",
                "the organisation's own, without -admin",
            );
        }
        Some(Provider::Okta(OktaProvider { common: common?, authentication: authentication?, user }))
    }

    fn okta_authentication(&self, at: &Path, written: &mut written::Provider) -> Option<OktaAuthentication> {
        let token = Spellings {
            literal: written.token.take(),
            file: written.token_file.take(),
            credential: written.token_credential.take(),
            variable: written.token_env.take(),
        };
        let key = Spellings {
            literal: written.private_key.take(),
            file: written.private_key_file.take(),
            credential: written.private_key_credential.take(),
            variable: written.private_key_env.take(),
        };
        let (client_id, key_id) = (written.client_id.take(), written.key_id.take());
        let app = client_id.is_some() || key_id.is_some() || key.used() > 0;
        match (token.used() > 0, app) {
            (true, true) => {
                self.wrong(
                    &at.key("token"),
                    "found beside client_id or private_key",
                    "one way to authenticate, not two",
                );
                None
            }
            (_, false) => Some(OktaAuthentication::Token(self.secret(at, "token", token)?)),
            (false, true) => {
                let what = "the client id of an app of the kind API services";
                let client_id = self.token(&at.key("client_id"), client_id, what);
                let key_id = key_id.map(|id| self.token(&at.key("key_id"), Some(id), "the id of its key"));
                let key = self.secret(at, "private_key", key)?;
                let key_id = match key_id {
                    None => None,
                    Some(id) => Some(id?),
                };
                Some(OktaAuthentication::OAuth { client_id: client_id?, key_id, key })
            }
        }
    }
}
