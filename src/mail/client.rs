//! The one file that talks to the mail server (RFC 5321), with TLS as the configuration says it.

use std::fmt;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::config::Security;
use crate::config::mail::Mail;

/// Why a mail has not been taken. Carries the server's own words, never a password.
#[derive(Debug)]
pub enum MailError {
    /// The server does not take this mail, and will not: an address that does not exist, a text that it dislikes.
    Refused(String),
    /// The server cannot be used now: it is away, busy, or does not let us in. Another mail would fare no better.
    Away(String),
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailError::Refused(why) => write!(f, "the mail server refuses it: {why}"),
            MailError::Away(why) => write!(f, "the mail server cannot be used: {why}"),
        }
    }
}

impl std::error::Error for MailError {}

/// A way to the mail server. Each mail makes a connection of its own.
pub struct Client {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for this configuration.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub fn new(mail: &Mail) -> Result<Client, String> {
        let tls = match mail.security {
            Security::Plaintext => Tls::None,
            Security::Ldaps => Tls::Wrapper(parameters(mail)?),
            Security::StartTls => Tls::Required(parameters(mail)?),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(mail.host.clone());
        let mut builder = builder.port(mail.port).tls(tls).timeout(Some(mail.timeout));
        if let Some((login, password)) = &mail.login {
            let password = std::str::from_utf8(password.open()).map_err(|_| "the mail password is no UTF-8 text")?;
            builder = builder.credentials(Credentials::new(login.clone(), password.to_owned()));
        }
        Ok(Client { transport: builder.build(), from: mailbox(&mail.from)? })
    }

    /// Whether the server answers and lets us in; nothing is sent.
    ///
    /// # Errors
    /// [`MailError::Away`].
    pub async fn probe(&self) -> Result<(), MailError> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(MailError::Away("it closes the connection".into())),
            Err(error) => Err(MailError::Away(plain(&error))),
        }
    }

    /// Sends one mail, `from` somebody else than usual where that is given.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send(&self, from: Option<&str>, to: &str, subject: &str, text: String) -> Result<(), MailError> {
        let from = from.map_or_else(|| Ok(self.from.clone()), mailbox).map_err(MailError::Refused)?;
        let message = Message::builder()
            .from(from)
            .to(mailbox(to).map_err(MailError::Refused)?)
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| MailError::Refused(error.to_string()))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() && !is_about_us(&error) => Err(MailError::Refused(plain(&error))),
            Err(error) => Err(MailError::Away(plain(&error))),
        }
    }
}

fn parameters(mail: &Mail) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(mail.host.clone());
    if let Some(path) = &mail.ca_file {
        let why = |error: String| format!("mail.ca_file {}: {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| why(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| why(error.to_string()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|error| error.to_string())
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| format!("{text:?} is no address: {error}"))
}

/// Whether a refusal is for us and not for the mail: no login, a wrong password, no right to send, no TLS.
fn is_about_us(error: &lettre::transport::smtp::Error) -> bool {
    let code = error.status().map(|code| code.to_string());
    matches!(code.as_deref(), Some("530" | "534" | "535" | "538" | "454" | "421"))
}

/// The server's words on one line, not too many.
fn plain(error: &lettre::transport::smtp::Error) -> String {
    let text =
        std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
