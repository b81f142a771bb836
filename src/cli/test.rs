//! `anteroom test`: asks a server as an appliance (RADIUS) or an application (LDAP) would.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Ended, Failure, output};
use crate::secret::Secret;

pub mod answers;
pub mod application;
pub mod ldap;
pub mod password;
pub mod radius;

/// Nothing came back in time.
pub(super) const NO_ANSWER: u8 = 3;

/// Options of `anteroom test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which protocol.
    #[command(subcommand)]
    pub protocol: Protocol,
}

/// Which protocol.
#[derive(Debug, clap::Subcommand)]
pub enum Protocol {
    /// Sign in once over RADIUS (PAP), and wait as long as an appliance should
    Radius(radius::Args),
    /// Bind, and perhaps search, over LDAP
    Ldap(ldap::Args),
}

/// A secret on the command line: from a file, from the environment, or asked for.
#[derive(Debug, clap::Args)]
pub struct PasswordSource {
    /// Environment variable that holds the password; without it and --password-file it is asked for
    #[arg(long, value_name = "NAME", conflicts_with_all = ["password_file", "password"])]
    pub password_env: Option<String>,
    /// File that holds the password
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub password_file: Option<PathBuf>,
    /// The password itself, for labs only: everybody on this machine sees it in the process list
    #[arg(long, value_name = "PASSWORD")]
    pub password: Option<Given>,
}

/// A password from the command line, which no `Debug` shows.
#[derive(Clone)]
pub struct Given(String);

impl Given {
    fn into_secret(self) -> Secret {
        Secret::from_text(self.0)
    }
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Given(..)")
    }
}

impl std::str::FromStr for Given {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Given(text.to_owned()))
    }
}

impl PasswordSource {
    /// The password, asked for with `question` if it comes from nowhere else.
    ///
    /// # Errors
    /// It could not be read.
    pub fn read(&self, question: &str) -> Result<Secret, Failure> {
        if let Some(password) = &self.password {
            output::error("anteroom: --password can be seen by everybody on this machine (ps); use it in labs only");
            return Ok(password.clone().into_secret());
        }
        password::read(self.password_file.as_deref(), self.password_env.as_deref(), question)
    }
}

/// Runs one test.
///
/// # Errors
/// It could not be made, or the other side refused.
pub fn run(args: &Args) -> Ended {
    match &args.protocol {
        Protocol::Radius(args) => radius::run(args),
        Protocol::Ldap(args) => ldap::run(args),
    }
}

/// An exit code for a question that got no answer.
pub(super) fn no_answer() -> ExitCode {
    ExitCode::from(NO_ANSWER)
}
