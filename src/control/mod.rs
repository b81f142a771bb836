//! The local channel by which commands of this machine reach the running server: a Unix socket that only the server's
//! own user can open. One line of JSON asks, one answers.
//!
//! ```text
//! anteroom status, outage, explain, approvals ─ client ─► control.sock (mode 600) ─ listener ─► ControlDesk
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::audit::{Note, Notes};
use crate::factor::routing::{BreakerState, Guarded};
use crate::signin::explain::{self, Explanation, Question, Served};
use crate::signin::reception::SignIns;
use crate::users::approvals::Shown;
use outages::{Outages, Record};

mod approvals;
pub mod client;
mod listener;
mod outages;

pub use listener::Control;

/// Longest line in either direction, in octets.
pub const LONGEST_LINE: u64 = 64 * 1024;

/// Longest outage that can be declared.
pub const LONGEST_OUTAGE: Duration = Duration::from_secs(24 * 3600);

/// Longest time that an explanation may take.
const LONGEST_EXPLANATION: Duration = Duration::from_secs(8);

/// Longest reason, in octets.
const LONGEST_REASON: usize = 500;

/// What a command asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// How things are.
    Status,
    /// What would become of a sign-in.
    Explain {
        /// Which.
        question: Question,
    },
    /// Declares an outage.
    OutageBegin {
        /// For how long, in seconds.
        seconds: u64,
        /// Why: it is recorded.
        reason: String,
        /// Of which provider; none: of all.
        provider: Option<String>,
    },
    /// Which approvals are kept.
    Approvals {
        /// Whose; none: everybody's.
        user: Option<String>,
        /// Behind this one; none: from the first on.
        after: Option<String>,
    },
    /// Forgets approvals that are kept.
    ForgetApprovals {
        /// Whose; none: everybody's.
        user: Option<String>,
    },
    /// Ends what was declared.
    OutageEnd {
        /// Of which provider; none: of all.
        provider: Option<String>,
    },
}

/// What the server answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    /// How things are.
    Status(Status),
    /// What would become of it.
    Explained {
        /// Step by step.
        explanation: Box<Explanation>,
    },
    /// It was done: to these providers.
    Done {
        /// Their names.
        providers: Vec<String>,
    },
    /// A page of the approvals that are kept.
    Approvals {
        /// They.
        approvals: Vec<Shown>,
    },
    /// Approvals were forgotten.
    Forgotten {
        /// How many the store had kept.
        number: u64,
    },
    /// It was not, and why.
    Refused {
        /// In words.
        why: String,
    },
}

/// How things are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The server's name.
    pub server: String,
    /// The program's version.
    pub version: String,
    /// How long it runs, in seconds.
    pub up_seconds: u64,
    /// Sign-ins that are held now.
    pub held: usize,
    /// Every provider.
    pub providers: Vec<ProviderStatus>,
}

/// How a provider is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProviderStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Whether requests go through.
    pub usable: bool,
    /// Why not: the class of the failure.
    pub class: Option<String>,
    /// How long it has been away, in seconds.
    pub away_seconds: u64,
    /// How often it was taken out of use.
    pub opened: u64,
    /// Connections begun; with TLS each is a handshake.
    pub connections: u64,
    /// How much is left of a declared outage, in seconds.
    pub outage_seconds: Option<u64>,
}

/// A provider as it is asked about.
#[derive(Debug)]
pub struct Watched {
    /// Its name in the configuration.
    pub name: String,
    /// Its type.
    pub kind: &'static str,
    /// Itself, behind its breaker.
    pub guarded: Arc<Guarded>,
}

/// Answers what is asked.
pub struct ControlDesk {
    server: String,
    started: Instant,
    sign_ins: Arc<SignIns>,
    clients: Vec<Served>,
    providers: Vec<Watched>,
    record: Outages,
    notes: Option<Notes>,
}

impl std::fmt::Debug for ControlDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlDesk").field("server", &self.server).finish_non_exhaustive()
    }
}

impl ControlDesk {
    /// A desk that keeps its record of outages in the file `record`. What was declared before this process began, and
    /// is not over, goes on.
    pub fn new(
        server: String,
        sign_ins: Arc<SignIns>,
        clients: Vec<Served>,
        providers: Vec<Watched>,
        record: PathBuf,
    ) -> Self {
        let desk = ControlDesk {
            server,
            started: Instant::now(),
            sign_ins,
            clients,
            providers,
            record: Outages::at(record),
            notes: None,
        };
        desk.resume(SystemTime::now());
        desk
    }

    /// With what is declared in the audit, too.
    #[must_use]
    pub fn with_notes(self, notes: Notes) -> Self {
        ControlDesk { notes: Some(notes), ..self }
    }

    /// Takes up the outages that were declared before.
    fn resume(&self, now: SystemTime) {
        let names: Vec<&str> = self.providers.iter().map(|watched| watched.name.as_str()).collect();
        for (provider, since, until) in self.record.lasting(&names, now) {
            let Some(watched) = self.providers.iter().find(|watched| watched.name == provider) else { continue };
            let already = now.duration_since(since).unwrap_or_default();
            let left = until.duration_since(now).unwrap_or_default();
            watched.guarded.resume(Some((already, left)));
            tracing::warn!(provider, left = left.as_secs(), "an outage that was declared before the restart goes on");
        }
    }

    /// Answers. `by`: the user id of whoever asks.
    pub async fn answer(&self, ask: &Ask, by: Option<u32>) -> Told {
        match ask {
            Ask::Status => Told::Status(self.status()),
            Ask::Explain { question } => {
                let explained = explain::explain(&self.sign_ins, &self.clients, question);
                match tokio::time::timeout(LONGEST_EXPLANATION, explained).await {
                    Ok(Ok(explanation)) => Told::Explained { explanation: Box::new(explanation) },
                    Ok(Err(why)) => refused(why),
                    Err(_) => refused("the directory or the user store did not answer in time".into()),
                }
            }
            Ask::Approvals { user, after } => approvals::page(&self.sign_ins, user.as_deref(), after.as_deref()).await,
            Ask::ForgetApprovals { user } => {
                let told = approvals::forget(&self.sign_ins, user.as_deref()).await;
                if let (Told::Forgotten { number }, Some(notes)) = (&told, &self.notes) {
                    notes(approvals::noted(user.as_deref(), *number, by, &self.server));
                }
                told
            }
            Ask::OutageBegin { seconds, reason, provider } => {
                let lasts = Duration::from_secs(*seconds);
                if lasts.is_zero() || lasts > LONGEST_OUTAGE {
                    return refused(format!("an outage lasts up to {}", humantime::format_duration(LONGEST_OUTAGE)));
                }
                if reason.trim().is_empty() || reason.len() > LONGEST_REASON {
                    return refused(format!("a reason of 1 to {LONGEST_REASON} octets is needed: it is recorded"));
                }
                self.change(provider.as_deref(), by, Some((lasts, reason)))
            }
            Ask::OutageEnd { provider } => self.change(provider.as_deref(), by, None),
        }
    }

    /// Declares or ends an outage. It counts only once it is recorded.
    fn change(&self, provider: Option<&str>, by: Option<u32>, begin: Option<(Duration, &str)>) -> Told {
        let chosen: Vec<&Watched> =
            self.providers.iter().filter(|watched| provider.is_none_or(|name| name == watched.name)).collect();
        if chosen.is_empty() {
            return refused(format!("there is no provider {:?}", provider.unwrap_or_default()));
        }
        let providers: Vec<String> = chosen.iter().map(|watched| watched.name.clone()).collect();
        let what = if begin.is_some() { "outage_begin" } else { "outage_end" };
        let record = Record {
            time: jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default().to_string(),
            what: what.into(),
            providers: providers.clone(),
            seconds: begin.map(|(lasts, _)| lasts.as_secs()),
            reason: begin.map(|(_, reason)| reason.to_owned()),
            by,
        };
        if let Err(error) = self.record.write(&record) {
            return refused(format!("it cannot be recorded, so it is not done: {error}"));
        }
        if let Some(notes) = &self.notes {
            notes(Note {
                time: SystemTime::now(),
                kind: what,
                providers: providers.clone(),
                sign_in: None,
                seconds: record.seconds,
                reason: record.reason,
                by,
                server: self.server.clone(),
            });
        }
        for watched in chosen {
            watched.guarded.declare(begin.map(|(lasts, _)| lasts));
        }
        match begin {
            Some((lasts, reason)) => {
                let (seconds, by) = (lasts.as_secs(), by.unwrap_or_default());
                tracing::warn!(?providers, seconds, reason = ?reason, by, "an operator declared an outage: nobody is prompted there");
            }
            None => tracing::warn!(?providers, by = by.unwrap_or_default(), "an operator ended a declared outage"),
        }
        Told::Done { providers }
    }

    fn status(&self) -> Status {
        let provider = |watched: &Watched| {
            let class = match watched.guarded.state() {
                BreakerState::Closed => None,
                BreakerState::Open(class) => Some(class.word().to_owned()),
            };
            ProviderStatus {
                name: watched.name.clone(),
                kind: watched.kind.to_owned(),
                usable: class.is_none(),
                class,
                away_seconds: watched.guarded.away_for().as_secs(),
                opened: watched.guarded.opened(),
                connections: watched.guarded.connections(),
                outage_seconds: watched.guarded.outage_left().map(|left| left.as_secs()),
            }
        };
        Status {
            server: self.server.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_seconds: self.started.elapsed().as_secs(),
            held: self.sign_ins.held(),
            providers: self.providers.iter().map(provider).collect(),
        }
    }
}

fn refused(why: String) -> Told {
    Told::Refused { why }
}
