//! `type = "privacyidea"`: who triggers challenges, and how people are found there.

use super::super::super::place::Path;
use super::super::super::{
    CloudName, Codes, Common, PrivacyIdeaAuthorisation, PrivacyIdeaProvider, Provider, Triggers, written,
};
use super::super::secrets::Spellings;
use super::super::{Checker, word};

/// What a pair of UPN suffix and realm looks like.
const PAIR: &str = "allowed: \"SUFFIX = REALM\", such as \"corp.example.com = corp\"";

impl Checker<'_> {
    pub(super) fn privacyidea(
        &self,
        at: &Path,
        common: Option<Common>,
        written: &mut written::Provider,
    ) -> Option<Provider> {
        let authorisation = self.privacyidea_authorisation(at, written);
        let realm = written.realm.take().filter(|realm| {
            if realm.trim().is_empty() {
                self.wrong(
                    &at.key("realm"),
                    "is empty",
                    "the name of a realm, or leave it out for the server's default",
                );
            }
            !realm.trim().is_empty()
        });
        let (user, triggers) =
            (word(written.user.take(), CloudName::Name), word(written.triggers.take(), Triggers::All));
        let codes = word(written.codes.take(), Codes::Direct);
        let given = written.realms.take().unwrap_or_default().0;
        let pairs = given.iter().map(|text| self.realm_of_suffix(&at.key("realms"), text));
        let realms: Option<Vec<_>> = pairs.collect();
        Some(Provider::PrivacyIdea(PrivacyIdeaProvider {
            common: common?,
            authorisation: authorisation?,
            user,
            realm,
            realms: realms?,
            triggers,
            codes,
        }))
    }

    fn realm_of_suffix(&self, at: &Path, text: &str) -> Option<(String, String)> {
        let pair = text.split_once('=').map(|(suffix, realm)| (suffix.trim().to_lowercase(), realm.trim().to_owned()));
        let fit = pair.filter(|(suffix, realm)| !suffix.is_empty() && !realm.is_empty() && !suffix.contains('@'));
        if fit.is_none() {
            self.wrong(at, format!("found {text:?}"), PAIR);
        }
        fit
    }

    fn privacyidea_authorisation(
        &self,
        at: &Path,
        written: &mut written::Provider,
    ) -> Option<PrivacyIdeaAuthorisation> {
        let token = Spellings {
            literal: written.token.take(),
            file: written.token_file.take(),
            credential: written.token_credential.take(),
            variable: written.token_env.take(),
        };
        let password = Spellings {
            literal: written.password.take(),
            file: written.password_file.take(),
            credential: written.password_credential.take(),
            variable: written.password_env.take(),
        };
        let account = written.account.take();
        match (token.used() > 0, account.is_some() || password.used() > 0) {
            (true, true) => {
                self.wrong(&at.key("token"), "found beside account or password", "one way to authorise, not two");
                None
            }
            (true, false) => Some(PrivacyIdeaAuthorisation::Token(self.secret(at, "token", token)?)),
            (false, _) => {
                let what = "who may trigger challenges: account and password, or token";
                let name = self.required(&at.key("account"), account, what);
                let password = self.secret(at, "password", password)?;
                Some(PrivacyIdeaAuthorisation::Account { name: name?, password })
            }
        }
    }
}
