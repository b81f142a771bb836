//! `[provider.NAME]`: who carries second factors. What all types have is read here; each type's own keys in a file
//! of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::mail::Mail;
use super::super::place::Path;
use super::super::values::Word;
use super::super::{CloudName, Common, Outbound, OutboundProxy, Provider, SendFields, UnreachableClass, written};
use super::address::is_loopback;
use super::secrets::Spellings;
use super::{Checker, Named, word};

mod codes;
mod duo;
mod entra;
mod local;
mod native;
mod okta;
mod privacyidea;

/// What an address of a cloud may be.
const HTTPS: &str = "allowed: \"https://HOST\", with a port and a path where needed";

/// What an address of a proxy may be.
const PROXY: &str = "allowed: \"http://HOST:PORT\", without user and password, which have keys of their own";

/// What checks the keys of one type, and takes them out.
type Check<C> = fn(&C, &Path, Option<Common>, &mut written::Provider) -> Option<Provider>;

impl Checker<'_> {
    pub(super) fn providers(
        &self,
        written: BTreeMap<String, written::Provider>,
        mail: Option<&Arc<Mail>>,
    ) -> Named<Provider> {
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
                Some((name.clone(), self.provider(&at, name, provider, mail)?))
            })
            .collect();
        Named { found, written: names }
    }

    fn provider(
        &self,
        at: &Path,
        name: String,
        mut written: written::Provider,
        mail: Option<&Arc<Mail>>,
    ) -> Option<Provider> {
        let kind = word(written.r#type.take(), written::ProviderKind::Native);
        let (kind, provider) = match kind {
            written::ProviderKind::Codes => ("codes", self.codes(at, name, &mut written, mail)),
            kind => self.of_type(at, name, kind, &mut written),
        };
        for key in written.left() {
            self.wrong(&at.key(key), format!("is no key of the type {kind:?}"), "take it out, or correct the type");
        }
        provider
    }

    fn of_type(
        &self,
        at: &Path,
        name: String,
        kind: written::ProviderKind,
        written: &mut written::Provider,
    ) -> (&'static str, Option<Provider>) {
        let (kind, usual_url, check): (_, _, Check<Self>) = match kind {
            written::ProviderKind::Native => ("native", None, Self::native),
            written::ProviderKind::Entra => ("entra", Some(entra::URL), Self::entra),
            written::ProviderKind::Duo => ("duo", None, Self::duo),
            written::ProviderKind::PrivacyIdea => ("privacyidea", None, Self::privacyidea),
            written::ProviderKind::Okta => ("okta", None, Self::okta),
            // Nothing of it is reached over the network.
            written::ProviderKind::Local | written::ProviderKind::Codes => {
                return ("local", Some(self.local(at, name, written)));
            }
        };
        let common = self.common(at, name, usual_url, written);
        (kind, check(self, at, common, written))
    }

    /// What every type has.
    fn common(&self, at: &Path, name: String, url: Option<&str>, written: &mut written::Provider) -> Option<Common> {
        let url = self.https_url(&at.key("url"), written.url.take().or_else(|| url.map(str::to_owned)));
        let send = written.send.take().unwrap_or_default();
        let send = SendFields {
            names: send.names.unwrap_or(true),
            email: send.email.unwrap_or(true),
            phone: send.phone.unwrap_or(true),
            person_address: send.person_address.unwrap_or(true),
        };
        let timeout = self.duration(&at.key("timeout"), written.timeout.take(), "10s", "100ms", "2m");
        let ca_file = written.ca_file.take().and_then(|path| self.readable(&at.key("ca_file"), Some(path)));
        let proxy = self.proxy(at, written);
        let failover = Self::failover(written);
        Some(Common { name, outbound: Outbound { url: url?, ca_file, proxy, timeout }, send, failover })
    }

    /// After which failures the next provider is asked.
    fn failover(written: &mut written::Provider) -> Vec<UnreachableClass> {
        match written.failover.take() {
            Some(classes) => classes.into_iter().map(|Word(class)| class).collect(),
            None => UnreachableClass::ALL.to_vec(),
        }
    }

    /// The address of a cloud: protected, save where it is this machine itself.
    fn https_url(&self, at: &Path, given: Option<String>) -> Option<String> {
        let text = self.required(at, given, HTTPS)?;
        let url = self.plain_url(at, &text, HTTPS)?;
        match url.scheme() {
            "https" => {}
            "http" if url.host_str().is_some_and(|host| is_loopback(host.trim_matches(['[', ']']))) => {}
            "http" => {
                self.wrong(at, "found http:// to another machine, where everybody on the way could approve", HTTPS)
            }
            other => self.wrong(at, format!("found {other}://"), HTTPS),
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn proxy(&self, at: &Path, written: &mut written::Provider) -> Option<OutboundProxy> {
        let spellings = Spellings {
            literal: written.proxy_password.take(),
            file: written.proxy_password_file.take(),
            credential: written.proxy_password_credential.take(),
            variable: written.proxy_password_env.take(),
        };
        let user = written.proxy_user.take();
        let password = (spellings.used() > 0).then(|| self.secret(at, "proxy_password", spellings));
        let given = written.proxy.take();
        if given.is_none() && (user.is_some() || password.is_some()) {
            self.wrong(&at.key("proxy"), "missing beside its user or password", PROXY);
        }
        if user.is_some() != password.is_some() {
            self.wrong(&at.key("proxy_user"), "user and password belong together", "both, or neither");
        }
        let at = at.key("proxy");
        let text = self.required(&at, Some(given?), PROXY)?;
        let url = self.plain_url(&at, &text, PROXY)?;
        if url.scheme() != "http" {
            self.wrong(&at, format!("found {}://", url.scheme()), PROXY);
        }
        let credentials = user.zip(password.flatten()).map(|(user, password)| (user, Arc::new(password)));
        Some(OutboundProxy { url: text.trim_end_matches('/').to_owned(), credentials })
    }

    /// A text of a cloud's own making: letters, digits and signs, no blanks.
    fn token(&self, at: &Path, given: Option<String>, what: &str) -> Option<String> {
        let text = self.required(at, given, what)?;
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            self.wrong(at, format!("found {text:?}"), "letters, digits and signs, no blanks");
        }
        Some(text)
    }

    /// Which of a person's names the cloud knows.
    fn cloud_name(written: &mut written::Provider, usual: CloudName) -> CloudName {
        word(written.user.take(), usual)
    }
}
