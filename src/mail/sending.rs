//! Sends what waits, a few at a time. Of several servers one takes each mail; whatever happens to it, the mail is tried
//! again later, until it is too old.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::mail::Mail;
use crate::mail::client::{Client, MailError};
use crate::mail::rule;
use crate::mail::template::{Templates, Values, end_of, spoken};
use crate::users::letters::{Letter, LetterKind};
use crate::users::model::Method;
use crate::users::roster::Roster;
use crate::users::store::StoreResult;

/// How often it is looked whether something waits.
const LOOK: Duration = Duration::from_secs(15);
/// Mails that are looked for at once.
const TOGETHER: u32 = 20;
/// How long the first failure of a mail is waited out; twice as long after each further one.
const AGAIN: Duration = Duration::from_secs(60);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// What sends.
pub struct Sender {
    mail: Arc<Mail>,
    client: Client,
    templates: Templates,
    roster: Arc<dyn Roster>,
    server: String,
}

/// What became of one round.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Sent.
    pub sent: u32,
    /// Forgotten: refused, too old, or about nobody any more.
    pub dropped: u32,
    /// To be tried again.
    pub put_off: u32,
}

/// A mail that is ready to go.
struct Ready {
    from: Option<String>,
    to: Vec<String>,
    subject: String,
    text: String,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Sender {
    /// Makes one.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn new(mail: &Arc<Mail>, roster: Arc<dyn Roster>, server: &str) -> Result<Sender, String> {
        let client = Client::new(mail)?;
        let templates = Templates::load(mail.templates.as_deref())?;
        Ok(Sender { mail: Arc::clone(mail), client, templates, roster, server: server.to_owned() })
    }

    /// Sends for ever, at the configured pace.
    pub async fn run(self) {
        let pause = Duration::from_secs(60) / self.mail.per_minute;
        loop {
            match self.round(SystemTime::now(), pause).await {
                Ok(round) if round.sent + round.dropped == TOGETHER => continue,
                Ok(round) if round == Round::default() => {}
                Ok(round) => tracing::info!(sent = round.sent, dropped = round.dropped, later = round.put_off, "mails"),
                Err(error) => tracing::warn!(%error, "the mails that wait cannot be read"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sends what is due at `now`, with a pause after each; ends early where the server is away.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn round(&self, now: SystemTime, pause: Duration) -> StoreResult<Round> {
        let mut round = Round::default();
        for letter in self.roster.letters_due(now, TOGETHER).await? {
            if !self.roster.take_letter(&letter, now.checked_add(wait(letter.tries)).unwrap_or(now)).await? {
                continue;
            }
            if is_old(&letter, now, self.mail.give_up_after) {
                tracing::warn!(about = letter.about, kind = %letter.kind, tries = letter.tries, "a mail is given up");
                self.roster.forget_letter(letter.id).await?;
                round.dropped += 1;
                continue;
            }
            let Some(ready) = self.ready(&letter).await? else {
                self.roster.forget_letter(letter.id).await?;
                round.dropped += 1;
                continue;
            };
            match self.send(&ready).await {
                Ok(()) => {
                    self.roster.forget_letter(letter.id).await?;
                    round.sent += 1;
                }
                Err(error @ MailError::Refused(_)) => {
                    tracing::warn!(about = letter.about, kind = %letter.kind, %error, "a mail is given up");
                    self.roster.forget_letter(letter.id).await?;
                    round.dropped += 1;
                }
                Err(error @ MailError::Away(_)) => {
                    tracing::warn!(about = letter.about, kind = %letter.kind, %error, "a mail is tried again later");
                    round.put_off += 1;
                    break;
                }
            }
            tokio::time::sleep(pause).await;
        }
        Ok(round)
    }

    async fn send(&self, ready: &Ready) -> Result<(), MailError> {
        for to in &ready.to {
            self.client.send(ready.from.as_deref(), to, &ready.subject, ready.text.clone()).await?;
        }
        Ok(())
    }

    /// What a letter says, from how things stand now; `None`: it has become pointless.
    async fn ready(&self, letter: &Letter) -> StoreResult<Option<Ready>> {
        let mut values: Values<'_> = BTreeMap::from([("server", self.server.as_str())]);
        if let Some(portal) = &self.mail.portal {
            values.insert("portal", portal);
        }
        if letter.kind == LetterKind::Held {
            let plans = self.roster.held_plans().await?;
            let waiting = plans.iter().find(|plan| plan.id == letter.about && plan.approved.is_none());
            let Some(plan) = waiting.filter(|_| !self.mail.administrators.is_empty()) else { return Ok(None) };
            values.extend([("plan", plan.id.as_str()), ("reason", plan.reason.as_str())]);
            return Ok(self.filled(letter.kind, Method::Push, "en", &values, self.mail.administrators.clone()));
        }
        let Some(profile) = self.roster.profile(&letter.about).await? else { return Ok(None) };
        let person = &profile.person;
        if letter.kind == LetterKind::Fraud {
            values.extend([
                ("name", person.name.as_str()),
                ("upn", person.upn.as_deref().unwrap_or_default()),
                ("email", person.email.as_deref().unwrap_or_default()),
            ]);
            let administrators = &self.mail.administrators;
            if administrators.is_empty() {
                return Ok(None);
            }
            return Ok(self.filled(letter.kind, person.method, "en", &values, administrators.clone()));
        }
        let Some(to) = rule::address(person).filter(|_| person.enabled) else { return Ok(None) };
        let phone = person.phone.as_deref().map(end_of).unwrap_or_default();
        values.extend([
            ("first_name", person.first_name.as_deref().unwrap_or(&person.name)),
            ("last_name", person.last_name.as_deref().unwrap_or_default()),
            ("name", person.name.as_str()),
            ("upn", person.upn.as_deref().unwrap_or_default()),
            ("email", to),
            ("phone", phone.as_str()),
            ("method", spoken(person.method)),
        ]);
        Ok(self.filled(letter.kind, person.method, &person.language, &values, vec![to.to_owned()]))
    }

    fn filled(
        &self,
        kind: LetterKind,
        method: Method,
        language: &str,
        values: &Values<'_>,
        to: Vec<String>,
    ) -> Option<Ready> {
        let template = self.templates.find(kind, method, language)?;
        let (subject, text) = template.fill(values);
        Some(Ready { from: template.from.clone(), to, subject, text })
    }
}

/// How long a mail that has been tried so often waits for its next try.
fn wait(tries: u32) -> Duration {
    AGAIN.checked_mul(1_u32.checked_shl(tries.min(20)).unwrap_or(u32::MAX)).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
}

/// Whether a mail has been tried for so long that it is given up. One that was never tried is not old: there may just
/// be many before it.
fn is_old(letter: &Letter, now: SystemTime, give_up_after: Duration) -> bool {
    letter.tries > 0 && now.duration_since(letter.made).is_ok_and(|age| age > give_up_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_waited_out_twice_as_long_as_the_one_before() {
        assert_eq!([0, 1, 2].map(wait), [60, 120, 240].map(Duration::from_secs));
        assert_eq!(wait(40), LONGEST_WAIT);
    }

    #[test]
    fn only_a_mail_that_was_tried_is_ever_old() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let letter = |tries| Letter {
            id: 1,
            about: "id".into(),
            kind: LetterKind::New,
            made: SystemTime::UNIX_EPOCH,
            due: now,
            tries,
        };
        let day = Duration::from_secs(86_400);
        assert!(is_old(&letter(1), now, day) && !is_old(&letter(0), now, day));
        assert!(!is_old(&letter(1), now, 100 * day));
    }
}
