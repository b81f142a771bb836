//! The helpers: programs that run as long as they answer, each with one question at a time.
//!
//! A helper goes back among the idle ones only when its answer was read to its end. One that is late, ends, or says
//! what cannot be understood is killed, and the next question starts another: what it may yet say is nobody's answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use zeroize::Zeroizing;

use super::spoken::{self, Spoken};
use crate::config::Winbind;

/// What the program is told to be, to judge proofs. MS-CHAPv2 is allowed where a domain allows the first version of NTLM for
/// nothing else.
pub(super) const TO_JUDGE: &[&str] = &["--helper-protocol=ntlm-server-1", "--allow-mschapv2"];

/// The same, to change passwords.
pub(super) const TO_CHANGE: &[&str] = &["--helper-protocol=ntlm-change-password-1"];

/// Octets of an answer, at most.
const LONGEST: usize = 4096;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The program cannot be started.
    Unstartable(io::Error),
    /// All helpers are busy until the deadline. Nothing was asked.
    Busy,
    /// It did not come in time.
    Late,
    /// The program ended instead.
    Ended,
    /// It says something that is no answer.
    Garbled,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Unstartable(error) => write!(f, "mschap_helper cannot be started: {error}"),
            NoAnswer::Busy => f.write_str("all of mschap_helpers are busy"),
            NoAnswer::Late => f.write_str("no answer within mschap_timeout"),
            NoAnswer::Ended => f.write_str("mschap_helper ended without an answer"),
            NoAnswer::Garbled => f.write_str("mschap_helper says what is no answer; is it ntlm_auth?"),
        }
    }
}

/// The helpers of one target.
pub(super) struct Pool {
    program: PathBuf,
    arguments: Vec<String>,
    purpose: &'static [&'static str],
    patience: Duration,
    places: Semaphore,
    idle: Mutex<Vec<Helper>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({}, {} idle)", self.program.display(), self.idle().len())
    }
}

impl Pool {
    /// Helpers for one `purpose` ([`TO_JUDGE`], [`TO_CHANGE`]). Starts nothing yet.
    pub(super) fn new(winbind: &Winbind, purpose: &'static [&'static str]) -> Self {
        Pool {
            program: winbind.program.clone(),
            arguments: winbind.arguments.clone(),
            purpose,
            patience: winbind.timeout,
            places: Semaphore::new(winbind.helpers),
            idle: Mutex::default(),
        }
    }

    /// Asks a helper, once: whatever goes wrong, the proof may have been judged and counted.
    pub(super) async fn ask<S: Spoken>(&self, question: S, deadline: Instant) -> Result<S::Answer, NoAnswer> {
        let place = timeout_at(deadline.into(), self.places.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(NoAnswer::Busy) };
        let mut helper = match self.rested() {
            Some(helper) => helper,
            None => Helper::start(&self.program, &self.arguments, self.purpose).map_err(NoAnswer::Unstartable)?,
        };
        let until = (tokio::time::Instant::now() + self.patience).min(deadline.into());
        let answer = timeout_at(until, helper.ask(question)).await.map_err(|_| NoAnswer::Late)??;
        self.idle().push(helper);
        Ok(answer)
    }

    /// A helper that waits for a question and has not ended meanwhile.
    fn rested(&self) -> Option<Helper> {
        let mut idle = self.idle();
        while let Some(mut helper) = idle.pop() {
            if helper.runs() {
                return Some(helper);
            }
        }
        None
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Helper>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running helper. Killed when dropped.
struct Helper {
    process: Child,
    questions: ChildStdin,
    answers: ChildStdout,
    asked: u64,
}

impl Helper {
    fn start(program: &PathBuf, arguments: &[String], purpose: &[&str]) -> io::Result<Helper> {
        let mut process = Command::new(program)
            .args(arguments)
            .args(purpose)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let piped = || io::Error::other("without pipes");
        let questions = process.stdin.take().ok_or_else(piped)?;
        let answers = process.stdout.take().ok_or_else(piped)?;
        Ok(Helper { process, questions, answers, asked: 0 })
    }

    fn runs(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    async fn ask<S: Spoken>(&mut self, question: S) -> Result<S::Answer, NoAnswer> {
        self.asked += 1;
        let word = format!("Anteroom-{}", self.asked);
        let lines = question.lines(&word);
        let ended = |_: io::Error| NoAnswer::Ended;
        self.questions.write_all(lines.as_bytes()).await.map_err(ended)?;
        self.questions.flush().await.map_err(ended)?;
        // Never grows: nothing of a key is left behind in memory.
        let mut said = Zeroizing::new([0; LONGEST]);
        let mut length = 0;
        loop {
            let free = said.get_mut(length..).filter(|free| !free.is_empty()).ok_or(NoAnswer::Garbled)?;
            match self.answers.read(free).await.map_err(ended)? {
                0 => return Err(NoAnswer::Ended),
                more => length += more,
            }
            let so_far = said.get(..length).unwrap_or_default();
            if let Some(end) = spoken::end(so_far, &word) {
                return S::read(so_far.get(..end).unwrap_or_default()).ok_or(NoAnswer::Garbled);
            }
        }
    }
}

#[cfg(test)]
mod tests;
