//! `anteroom test radius`: one sign-in as an appliance would make it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::answers::{AnswerSource, Answers};
use super::{Ended, Failure, PasswordSource, no_answer, output, password};
use crate::radius::attribute::{MESSAGE_AUTHENTICATOR, PROMPT, STATE};
use crate::radius::authenticator::ClientKey;
use crate::radius::client::{self, ExchangeError, Patience, Request};
use crate::radius::packet::Code;
use crate::secret::Secret;

/// The client's own end comes first, as it knows what was ignored.
const MARGIN: Duration = Duration::from_millis(100);

/// Time between two sendings of one packet.
const RESEND: Duration = Duration::from_secs(5);

/// Challenges of one sign-in that are answered, at most.
const MOST_ROUNDS: usize = 20;

/// The value of Prompt by which what is typed may be shown (RFC 2869 section 5.10).
const ECHO: [u8; 4] = [0, 0, 0, 1];

const EXAMPLES: &str = "\
Examples:
  anteroom test radius --user alice --secret-file /etc/anteroom/vpn.secret
                                                 asks for the password, then waits for the phone
  anteroom test radius --server 192.0.2.5:1812 --user alice --secret-env SECRET --password-env PASSWORD
  anteroom test radius --user alice --password-file PASSWORD --secret-file SECRET --answer 123456
                                                 types a code into the challenge; without --answer it asks you
  anteroom test radius --user alice --no-message-authenticator
                                                 as an old appliance would

Exit codes: 0 Access-Accept; 1 Access-Reject, or a challenge that was not answered; 3 no answer.";

/// Options of `anteroom test radius`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The RADIUS server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1812")]
    pub server: String,
    /// File that holds the shared secret; without it and --secret-env it is asked for
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    pub secret_file: Option<PathBuf>,
    /// Environment variable that holds the shared secret
    #[arg(long, value_name = "NAME")]
    pub secret_env: Option<String>,
    /// Who signs in
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
    /// What is typed into challenges.
    #[command(flatten)]
    pub answers: AnswerSource,
    /// Address of this machine to ask from, where it has several
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<IpAddr>,
    /// Do not sign the request, as old appliances do not
    #[arg(long)]
    pub no_message_authenticator: bool,
    /// Seconds to wait for the answer; the same packet is sent again meanwhile
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Sign in so many times, one after the other
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
}

/// What is asked.
#[derive(Debug)]
pub struct Question {
    /// Of whom.
    pub server: SocketAddr,
    /// From which address of this machine; whichever leads there if nothing is said.
    pub from: Option<IpAddr>,
    /// The shared secret.
    pub secret: Secret,
    /// Who signs in.
    pub user: String,
    /// With which password.
    pub password: Secret,
    /// Whether the request carries a Message-Authenticator.
    pub signed: bool,
    /// How long to wait.
    pub timeout: Duration,
}

/// What is typed into a challenge.
#[derive(Debug)]
struct Typed {
    answer: Secret,
    /// The challenge's State, octet for octet.
    state: Vec<u8>,
}

/// What a server can say to an Access-Request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Access-Accept.
    Accept,
    /// Access-Reject.
    Reject,
    /// Access-Challenge.
    Challenge,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether it carried a Message-Authenticator.
    pub signed: bool,
    /// Its attributes, by number, in order.
    pub attributes: Vec<(u8, Vec<u8>)>,
}

impl Reply {
    /// The first attribute of this number.
    fn value(&self, number: u8) -> Option<&[u8]> {
        self.attributes.iter().find(|(found, _)| *found == number).map(|(_, value)| value.as_slice())
    }
}

/// Why nothing came back.
#[derive(Debug)]
pub enum Trouble {
    /// The time was over. Says what came instead of an authentic answer, if anything did.
    NoAnswer(Option<String>),
    /// It could not even be asked.
    Failed(String),
}

/// Signs in as often as asked for, and prints a line or more for each.
///
/// # Errors
/// The question could not be put.
pub fn run(args: &Args) -> Ended {
    let server = address(&args.server)?;
    let secret = password::read(args.secret_file.as_deref(), args.secret_env.as_deref(), "Shared secret")?;
    let question = Question {
        server,
        from: args.from,
        secret,
        user: args.user.clone(),
        password: args.password.read(&format!("Password of {}", args.user))?,
        signed: !args.no_message_authenticator,
        timeout: Duration::from_secs(args.timeout),
    };
    let mut answers = args.answers.open()?;
    let runtime = super::super::runtime()?;
    let mut ends = Vec::new();
    for _ in 0..args.count {
        ends.push(sign_in(&runtime, &question, &mut answers)?);
    }
    Ok(match (ends.contains(&End::Silence), ends.contains(&End::Refused)) {
        (true, _) => no_answer(),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

/// How a sign-in has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Accepted,
    /// Rejected, or a challenge that nobody answered.
    Refused,
    Silence,
}

/// One sign-in in as many rounds as it takes, with a line or more for each.
fn sign_in(runtime: &Runtime, question: &Question, answers: &mut Answers) -> Result<End, Failure> {
    let mut typed = None;
    for _ in 0..=MOST_ROUNDS {
        let start = Instant::now();
        let reply = runtime.block_on(exchange(question, typed.as_ref()));
        let took = start.elapsed().as_secs_f64();
        let reply = match reply {
            Ok(reply) => reply,
            Err(Trouble::NoAnswer(instead)) => {
                output::line(format_args!("no answer  after {took:.3} s"));
                match instead {
                    Some(instead) => output::error(format_args!("anteroom: {instead}")),
                    None => output::error(silence_advice(question.signed)),
                }
                return Ok(End::Silence);
            }
            Err(Trouble::Failed(why)) => return Err(Failure::refused(format!("{}: {why}", question.server))),
        };
        show(&reply, took);
        match reply.verdict {
            Verdict::Accept => return Ok(End::Accepted),
            Verdict::Reject => return Ok(End::Refused),
            Verdict::Challenge => {}
        }
        // Without it, what is typed would be tried as a password.
        let Some(state) = reply.value(STATE).map(<[u8]>::to_vec) else {
            output::error("anteroom: the challenge has no State: it cannot be answered");
            return Ok(End::Refused);
        };
        let Some(answer) = answers.next(reply.value(PROMPT) == Some(&ECHO))? else {
            output::error(answers.why_none());
            return Ok(End::Refused);
        };
        typed = Some(Typed { answer, state });
    }
    output::error(format_args!("anteroom: more than {MOST_ROUNDS} challenges: this one stays open"));
    Ok(End::Refused)
}

/// One question, one reply: the only place that knows the wire. The same packet is sent again every
/// [`RESEND`] or a little sooner, as appliances do it.
async fn exchange(question: &Question, typed: Option<&Typed>) -> Result<Reply, Trouble> {
    let key = ClientKey::new(question.secret.duplicate());
    let password = typed.map_or(&question.password, |typed| &typed.answer);
    let attributes: Vec<_> = typed.iter().map(|typed| (STATE, typed.state.clone())).collect();
    let request =
        Request { sign: question.signed, attributes: &attributes, ..Request::access(&question.user, password) };
    let sends = u32::try_from(question.timeout.as_secs().div_ceil(RESEND.as_secs())).unwrap_or(u32::MAX).max(1);
    let patience = Patience { timeout: question.timeout / sends, sends, require_signature: false };
    let end = question.timeout + MARGIN;
    match tokio::time::timeout(end, client::exchange_from(question.from, question.server, &key, &request, patience))
        .await
    {
        Ok(Ok(answer)) => {
            let verdict = match answer.code {
                Code::ACCESS_ACCEPT => Verdict::Accept,
                Code::ACCESS_REJECT => Verdict::Reject,
                Code::ACCESS_CHALLENGE => Verdict::Challenge,
                other => return Err(Trouble::Failed(format!("the answer is no answer to a sign-in ({other:?})"))),
            };
            Ok(Reply { verdict, signed: answer.signed, attributes: answer.attributes })
        }
        Ok(Err(ExchangeError::NoAnswer { ignored: None, .. })) | Err(_) => Err(Trouble::NoAnswer(None)),
        Ok(Err(error @ ExchangeError::NoAnswer { .. })) => Err(Trouble::NoAnswer(Some(error.to_string()))),
        Ok(Err(error)) => Err(Trouble::Failed(error.to_string())),
    }
}

fn show(reply: &Reply, took: f64) {
    let verdict = match reply.verdict {
        Verdict::Accept => "Access-Accept",
        Verdict::Reject => "Access-Reject",
        Verdict::Challenge => "Access-Challenge",
    };
    output::line(format_args!("{verdict}  after {took:.3} s"));
    if !reply.signed {
        output::error("anteroom: the answer has no Message-Authenticator, so it may be forged (CVE-2024-3596)");
    }
    for (number, value) in &reply.attributes {
        if *number != MESSAGE_AUTHENTICATOR {
            output::line(format_args!("    {} = {}", named(*number), shown(value)));
        }
    }
}

/// The attributes that an answer usually has, by name (RFC 2865 section 5).
fn named(number: u8) -> String {
    let name = match number {
        6 => "Service-Type",
        8 => "Framed-IP-Address",
        11 => "Filter-Id",
        18 => "Reply-Message",
        24 => "State",
        25 => "Class",
        26 => "Vendor-Specific",
        27 => "Session-Timeout",
        28 => "Idle-Timeout",
        33 => "Proxy-State",
        _ => return format!("attribute {number}"),
    };
    name.to_owned()
}

/// Text as text, everything else in hexadecimal. No octet reaches the terminal that could steer it.
fn shown(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => format!("{text:?}"),
        _ => value.iter().fold("0x".to_owned(), |hex, octet| format!("{hex}{octet:02x}")),
    }
}

/// A RADIUS server says nothing to those it does not know: what that may mean.
fn silence_advice(signed: bool) -> &'static str {
    if signed {
        "anteroom: silence can mean: wrong address or port, a firewall, this machine is no client of that server, \
         or the shared secret differs"
    } else {
        "anteroom: silence can mean: wrong address or port, a firewall, this machine is no client of that server, \
         or the server wants a Message-Authenticator of this client (require_message_authenticator)"
    }
}

fn address(text: &str) -> Result<SocketAddr, Failure> {
    let wrong = |why: String| Failure::usage(format!("--server {text}: {why}"));
    let mut found = text.to_socket_addrs().map_err(|error| wrong(format!("{error}; write HOST:PORT")))?;
    found.next().ok_or_else(|| wrong("has no address".to_owned()))
}
