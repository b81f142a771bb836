//! The steps of an application that signs somebody in over LDAP, each with its time and what it came to: the
//! only place of `anteroom test ldap` that knows the wire.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::{Security, ServerUrl};
use crate::ldap::filter::Filter;
use crate::ldap::pool::{Connection, tls_connector};
use crate::ldap::result::{LdapResult, code};
use crate::ldap::search::{Entry, Scope, SearchRequest};
use crate::secret::Secret;

/// Entries that are shown at most.
const MOST_ENTRIES: u32 = 100;

/// A bind of a service account that takes longer than this was held for a second factor, or the directory is slow.
const SUSPICIOUS: Duration = Duration::from_secs(2);

/// Who binds.
#[derive(Debug)]
pub struct Who {
    /// By which name.
    pub name: String,
    /// With which password.
    pub password: Secret,
}

/// What is to be tried.
#[derive(Debug)]
pub struct Question {
    /// With which server.
    pub server: ServerUrl,
    /// Extra certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Who binds first.
    pub first: Who,
    /// Base and filter of a search after that.
    pub search: Option<(String, String)>,
    /// The person that the search is to find, who then binds by the DN that was found.
    pub second: Option<Who>,
    /// For each step.
    pub timeout: Duration,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded, in words.
    Done(String),
    /// The server answered.
    Answer {
        /// Result code (RFC 4511 section 4.1.9).
        code: u32,
        /// The server's own words.
        told: String,
    },
    /// The time was over.
    NoAnswer,
    /// It could not be done.
    Failed(String),
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// What was done: `connect`, `bind`, `search`, or `sign in` for the person's bind.
    pub what: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What it came to.
    pub outcome: Outcome,
    /// Names of the entries that were found.
    pub entries: Vec<String>,
    /// Whether a person binds after this one, so that this is an application's own account.
    pub service: bool,
}

impl Step {
    /// Whether the next step makes sense.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_) | Outcome::Answer { code: code::SUCCESS, .. })
    }

    /// What to look at.
    pub fn advice(&self) -> Option<&'static str> {
        let bind = matches!(self.what, "bind" | "sign in");
        match &self.outcome {
            Outcome::Answer { code: code::SUCCESS, .. } if bind && self.service && self.took > SUSPICIOUS => {
                Some("slow for a service account: was a prompt answered? Name the account in service_accounts")
            }
            Outcome::Answer { code: code::INVALID_CREDENTIALS, .. } if self.service => Some(
                "a wrong password of the service account, or it was held and refused: see the audit, service_accounts",
            ),
            Outcome::Answer { code: code::INVALID_CREDENTIALS, .. } => {
                Some("wrong password, not enrolled, denied or not answered: the audit says which, and explain_refusals")
            }
            Outcome::Answer { code: code::UNAVAILABLE | code::BUSY, .. } => {
                Some("the directory behind Anteroom cannot be reached: anteroom check")
            }
            Outcome::Answer { code: code::UNWILLING_TO_PERFORM, .. } if bind => {
                Some("an empty password is never sent on; is the password file empty?")
            }
            Outcome::Answer { code: code::STRONGER_AUTH_REQUIRED | 13, .. } => {
                Some("passwords must come over TLS: ldaps://, or ldap:// without --plaintext")
            }
            Outcome::Answer { code: code::INSUFFICIENT_ACCESS_RIGHTS | code::OPERATIONS_ERROR, .. } if !bind => {
                Some("the account that searches may not read there")
            }
            Outcome::Answer { code: code::NO_SUCH_OBJECT, .. } if !bind => Some("there is no such --base"),
            Outcome::NoAnswer if bind => Some(
                "nobody answered the prompt, and answer_within is longer than --timeout; applications give up, too",
            ),
            Outcome::NoAnswer => Some("is it the right port? LDAPS and StartTLS have different ones"),
            Outcome::Done(_) | Outcome::Answer { .. } | Outcome::Failed(_) => None,
        }
    }
}

/// Goes through the steps until one fails; `show` sees each as it ends.
pub async fn converse(question: &Question, show: impl Fn(&Step)) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut note = |step: Step| {
        show(&step);
        let succeeded = step.succeeded();
        steps.push(step);
        succeeded
    };
    let service = question.second.is_some();
    let (step, connection) = connect(question).await;
    let (true, Some(mut connection)) = (note(step), connection) else { return steps };
    let name = question.first.name.as_str();
    if !note(Step { service, ..bind(&mut connection, "bind", name, &question.first.password, question.timeout).await })
    {
        return steps;
    }
    let Some((base, filter)) = &question.search else { return steps };
    let found = search(&mut connection, base, filter, question.timeout).await;
    let Some(person) = &question.second else {
        note(found);
        return steps;
    };
    let found = only_one(found, &person.name);
    let dn = found.entries.first().cloned();
    let (true, Some(dn)) = (note(found), dn) else { return steps };
    note(bind(&mut connection, "sign in", &dn, &person.password, question.timeout).await);
    steps
}

/// A step that has just ended.
fn ended(what: &'static str, start: Instant, outcome: Outcome) -> Step {
    Step { what, took: start.elapsed(), outcome, entries: Vec::new(), service: false }
}

async fn connect(question: &Question) -> (Step, Option<Connection>) {
    let start = Instant::now();
    let end = |outcome| ended("connect", start, outcome);
    let tls = match tls_connector(question.ca_file.as_deref()) {
        Ok(tls) => tls,
        Err(why) => return (end(Outcome::Failed(format!("--ca-file: {why}"))), None),
    };
    match tokio::time::timeout(question.timeout, Connection::open(&question.server, &tls)).await {
        Ok(Ok(connection)) => {
            let ServerUrl { host, port, security } = &question.server;
            let how = match security {
                Security::Ldaps => "LDAPS",
                Security::StartTls => "StartTLS",
                Security::Plaintext => "no protection",
            };
            (end(Outcome::Done(format!("{host} port {port}, {how}"))), Some(connection))
        }
        Ok(Err(error)) => (end(Outcome::Failed(error.to_string())), None),
        Err(_) => (end(Outcome::NoAnswer), None),
    }
}

async fn bind(connection: &mut Connection, what: &'static str, name: &str, password: &Secret, most: Duration) -> Step {
    let start = Instant::now();
    if password.is_empty() {
        let why = "an empty password is no proof: a directory may take it for an anonymous bind";
        return ended(what, start, Outcome::Failed(why.to_owned()));
    }
    let told = |result: &LdapResult<'_>| (result.code, shown(result.diagnostic));
    let answer = connection.bind_with(name.as_bytes(), password.open(), told);
    let outcome = match tokio::time::timeout(most, answer).await {
        Ok(Ok((code, told))) => Outcome::Answer { code, told },
        Ok(Err(trouble)) => Outcome::Failed(trouble.to_string()),
        Err(_) => Outcome::NoAnswer,
    };
    ended(what, start, outcome)
}

/// A server's text for people. AD ends its own with a zero octet.
fn shown(diagnostic: &[u8]) -> String {
    String::from_utf8_lossy(diagnostic).trim_end_matches('\0').to_owned()
}

async fn search(connection: &mut Connection, base: &str, filter: &str, most: Duration) -> Step {
    let start = Instant::now();
    let filter = match Filter::parse(filter) {
        Ok(filter) => filter.encode(),
        Err(error) => return ended("search", start, Outcome::Failed(format!("the filter {filter}: {error}"))),
    };
    let request = SearchRequest {
        base,
        scope: Scope::Subtree,
        size_limit: MOST_ENTRIES,
        time_limit: most,
        filter: &filter,
        attributes: &["1.1"],
    };
    let search = connection.search(&request, |entry: &Entry<'_>| entry.dn.to_owned());
    let (outcome, entries) = match tokio::time::timeout(most, search).await {
        Ok(Ok((code, entries))) => (Outcome::Answer { code, told: format!("{} found", entries.len()) }, entries),
        Ok(Err(trouble)) => (Outcome::Failed(trouble.to_string()), Vec::new()),
        Err(_) => (Outcome::NoAnswer, Vec::new()),
    };
    Step { entries, ..ended("search", start, outcome) }
}

/// A search for one person is a failure if it finds nobody, or several.
fn only_one(step: Step, name: &str) -> Step {
    if !step.succeeded() || step.entries.len() == 1 {
        return step;
    }
    let why = match step.entries.len() {
        0 => format!("nobody is called {name:?} below this base, or the service account may not see them"),
        count => format!("{count} people are called {name:?}: give a --user-filter that finds one"),
    };
    Step { outcome: Outcome::Failed(why), ..step }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(what: &'static str, outcome: Outcome, service: bool) -> Step {
        Step { what, took: Duration::ZERO, outcome, entries: Vec::new(), service }
    }

    fn answer(code: u32) -> Outcome {
        Outcome::Answer { code, told: String::new() }
    }

    #[test]
    fn a_search_for_a_person_must_find_exactly_one() {
        let found = |count| Step { entries: vec!["cn=x".to_owned(); count], ..step("search", answer(0), false) };
        assert!(only_one(found(1), "x").succeeded());
        assert!(!only_one(found(0), "x").succeeded());
        assert!(!only_one(found(2), "x").succeeded());
        assert_eq!(only_one(step("search", answer(50), false), "x").outcome, answer(50));
    }

    #[test]
    fn what_commonly_goes_wrong_has_an_advice_and_success_has_none() {
        for (what, code, word) in [
            ("sign in", code::INVALID_CREDENTIALS, "audit"),
            ("bind", code::UNAVAILABLE, "anteroom check"),
            ("bind", code::UNWILLING_TO_PERFORM, "empty"),
            ("bind", 13, "TLS"),
            ("search", code::NO_SUCH_OBJECT, "--base"),
        ] {
            let advice = step(what, answer(code), false).advice().unwrap();
            assert!(advice.contains(word), "{what} {code}: {advice}");
        }
        assert_eq!(step("bind", answer(0), true).advice(), None);
        let slow = Step { took: Duration::from_secs(9), ..step("bind", answer(0), true) };
        assert!(slow.advice().unwrap().contains("service_accounts"));
        let patient = Step { took: Duration::from_secs(9), ..step("sign in", answer(0), false) };
        assert_eq!(patient.advice(), None);
    }
}
