//! `type = "entra"`: Microsoft Entra multifactor authentication.

use super::super::super::place::Path;
use super::super::super::{CloudName, Common, EntraAuthentication, EntraMode, EntraProvider, Provider, written};
use super::super::secrets::Spellings;
use super::super::{Checker, word};

/// Where the connector is in the public cloud.
pub(super) const URL: &str = "https://strongauthenticationservice.auth.microsoft.com";

/// Where tokens are given out in the public cloud.
const LOGIN: &str = "https://login.microsoftonline.com";

/// Whom tokens are for in the public cloud.
const RESOURCE: &str = "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector";

/// "Azure Multi-Factor Auth Client", which every tenant has.
const CLIENT_ID: &str = "981f26a1-7f43-403b-a875-f8b09b8cd720";

impl Checker<'_> {
    pub(super) fn entra(&self, at: &Path, common: Option<Common>, written: &mut written::Provider) -> Option<Provider> {
        let login = self.https_url(&at.key("login"), Some(written.login.take().unwrap_or_else(|| LOGIN.to_owned())));
        let resource = written.resource.take().unwrap_or_else(|| RESOURCE.to_owned());
        if resource.trim().is_empty() {
            self.wrong(&at.key("resource"), "found an empty text", "the address of the connector in that cloud");
        }
        let tenant =
            self.required(&at.key("tenant"), written.tenant.take(), "the directory's id, or one of its domains");
        if let Some(tenant) = &tenant
            && !tenant.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        {
            self.wrong(&at.key("tenant"), format!("found {tenant:?}"), "letters, digits, - and .");
        }
        let client_id = Some(written.client_id.take().unwrap_or_else(|| CLIENT_ID.to_owned()));
        let client_id = self.token(&at.key("client_id"), client_id, "the application's id");
        let authentication = self.entra_authentication(at, written);
        let user = Self::cloud_name(written, CloudName::Upn);
        let mode = word(written.mode.take(), EntraMode::Poll);
        let poll_every = self.duration(&at.key("poll_every"), written.poll_every.take(), "1s", "500ms", "10s");
        Some(Provider::Entra(EntraProvider {
            common: common?,
            login: login?,
            resource,
            tenant: tenant?,
            client_id: client_id?,
            authentication: authentication?,
            user,
            mode,
            poll_every,
        }))
    }

    fn entra_authentication(&self, at: &Path, written: &mut written::Provider) -> Option<EntraAuthentication> {
        let spellings = Spellings {
            literal: written.client_secret.take(),
            file: written.client_secret_file.take(),
            credential: written.client_secret_credential.take(),
            variable: written.client_secret_env.take(),
        };
        let (certificate, key) = (written.certificate.take(), written.certificate_key.take());
        match (spellings.used() > 0, certificate.is_some() || key.is_some()) {
            (true, true) => {
                self.wrong(&at.key("certificate"), "found beside client_secret", "one way to authenticate, not two");
                None
            }
            (false, true) => {
                let certificate = self.readable(&at.key("certificate"), certificate);
                let key = self.readable(&at.key("certificate_key"), key);
                Some(EntraAuthentication::Certificate { certificate: certificate?, key: key? })
            }
            (false, false) => {
                let what = "how the application proves who it is: client_secret, or certificate and certificate_key";
                self.wrong(&at.key("client_secret"), "missing", what);
                None
            }
            (true, false) => self.secret(at, "client_secret", spellings).map(EntraAuthentication::Secret),
        }
    }
}
