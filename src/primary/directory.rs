//! Active Directory or another LDAP directory as a primary: finds the person as the service account, then
//! tries the password by a bind as that person.
//!
//! Only an LDAP success to a bind with a non-empty password becomes [`Finding::Right`]; every other answer,
//! and every failure to get one, is something else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use tracing::warn;

use super::groups;
use super::locate::Locator;
use super::names::{self, BadName, NameRules, TypedName};
use super::winbind::Helpers;
use super::{Answered, Details, Fault, Finding, Handed, IdentifyError, Identity, Primary, Refusal};
use crate::config::{DirectoryKind, DirectoryTarget, ServerUrl, Servers};
use crate::ldap::filter::Filter;
use crate::ldap::pool::tls_connector;
use crate::ldap::pool::{BindAnswer, Pool, Settings, Wire};
use crate::ldap::result::code;
use crate::ldap::search::{Entry, Scope, SearchRequest};
use crate::secret::Secret;

mod account;
mod bind_name;
mod dedicated;
mod judging;
mod probe;

pub use probe::{ClockSkew, Lockout, ProbeReport};

/// What every person of an Active Directory has, and no computer, contact or group: SAM_NORMAL_USER_ACCOUNT.
const AD_PEOPLE: &str = "(sAMAccountType=805306368)";
/// After a failed look into the DNS the next one waits this long.
const LOCATE_AGAIN: Duration = Duration::from_secs(10);

/// A directory target, ready to be asked.
#[derive(Debug)]
pub struct Directory {
    pub(super) kind: DirectoryKind,
    pub(super) base: String,
    pub(super) pool: Arc<Pool>,
    rules: NameRules,
    domains: Vec<String>,
    unique_id: String,
    /// What else of people's entries is asked for, in lower case.
    details: Vec<String>,
    confirmed: judging::Confirmed,
    timeout: Duration,
    located: Option<Arc<Located>>,
    /// Who checks MS-CHAP, if anybody does.
    ms_chap: Option<Helpers>,
}

/// Servers that come from the DNS.
#[derive(Debug)]
struct Located {
    locator: Locator,
    believed_until: Mutex<Option<Instant>>,
    /// Held by who asks the DNS.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Located {
    fn is_believed(&self) -> bool {
        let until = *self.believed_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    async fn look(&self, pool: &Pool) {
        let now = Instant::now();
        let until = match self.locator.find(now).await {
            Ok((servers, until)) => {
                pool.set_servers(servers);
                until
            }
            Err(why) => {
                warn!(target_name = %pool.settings().target, why, "domain controllers cannot be located");
                now + LOCATE_AGAIN
            }
        };
        *self.believed_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

impl Directory {
    /// Makes ready what the configuration describes; connects to nothing yet. Must be called inside the runtime.
    ///
    /// # Errors
    /// What is wrong with the certificate authorities, the filter or the system's DNS configuration, in words.
    pub fn new(target: &DirectoryTarget) -> Result<Self, String> {
        let (servers, locator) = match &target.servers {
            Servers::Listed(servers) => (servers.clone(), None),
            Servers::Dns { domain, security } => (Vec::new(), Some(Locator::system(domain, *security)?)),
        };
        Self::with(target, servers, locator)
    }

    /// As [`Directory::new`], with a locator of one's own.
    ///
    /// # Errors
    /// As [`Directory::new`].
    pub fn with_locator(target: &DirectoryTarget, locator: Locator) -> Result<Self, String> {
        Self::with(target, Vec::new(), Some(locator))
    }

    fn with(target: &DirectoryTarget, servers: Vec<ServerUrl>, locator: Option<Locator>) -> Result<Self, String> {
        let mut own_domains = target.domains.clone();
        let mut people = Vec::new();
        if target.kind == DirectoryKind::Ad {
            own_domains.extend(names::dns_domain(&target.base));
            people.push(AD_PEOPLE);
        }
        people.extend(target.filter.as_deref());
        let people = people.into_iter().map(|text| {
            Filter::parse(text).map(|filter| filter.encode()).map_err(|error| format!("filter {text}: {error}"))
        });
        let settings = Settings {
            target: target.name.clone(),
            service_name: target.bind_name.clone(),
            service_password: target.bind_password.duplicate(),
            connect_timeout: target.connect_timeout,
            timeout: target.timeout,
            connections: target.connections,
        };
        Ok(Directory {
            kind: target.kind,
            base: target.base.clone(),
            rules: NameRules {
                name_attributes: target.name_attributes.clone(),
                at_attributes: target.at_attributes.clone(),
                own_domains,
                people: people.collect::<Result<_, _>>()?,
            },
            domains: target.domains.clone(),
            unique_id: target.unique_id.clone(),
            details: Vec::new(),
            confirmed: judging::Confirmed::default(),
            timeout: target.timeout,
            ms_chap: target.ms_chap.as_ref().map(|winbind| Helpers::new(&target.name, winbind)),
            pool: Pool::new(settings, tls_connector(target.ca_file.as_deref())?, servers),
            located: locator.map(|locator| {
                let turn = Arc::default();
                Arc::new(Located { locator, believed_until: Mutex::new(None), turn })
            }),
        })
    }

    /// That also asks for these attributes, in lower case, wherever it looks for a person.
    #[must_use]
    pub fn asking_for(self, details: Vec<String>) -> Self {
        Directory { details, ..self }
    }

    /// Its servers as they are known now, as `host:port`, and whether each answered when it was last asked.
    pub fn servers(&self) -> Vec<(String, bool)> {
        self.pool.states().into_iter().map(|(url, up)| (format!("{}:{}", url.host, url.port), up)).collect()
    }

    /// Looks for the servers in the DNS if what we know of them is too old: in the background where some are
    /// known, so that no sign-in waits for the DNS twice.
    ///
    /// # Errors
    /// [`Fault::Deadline`] when none are known and the DNS takes too long.
    pub(super) async fn locate(&self, deadline: Instant) -> Result<(), Fault> {
        let Some(located) = &self.located else { return Ok(()) };
        if located.is_believed() {
            return Ok(());
        }
        if self.pool.has_servers() {
            if let Ok(turn) = Arc::clone(&located.turn).try_lock_owned() {
                let (located, pool) = (Arc::clone(located), Arc::clone(&self.pool));
                tokio::spawn(async move {
                    located.look(&pool).await;
                    drop(turn);
                });
            }
            return Ok(());
        }
        let looked = async {
            let _turn = located.turn.lock().await;
            if !located.is_believed() {
                located.look(&self.pool).await;
            }
        };
        tokio::time::timeout_at(deadline.into(), looked).await.map_err(|_| Fault::Deadline)
    }

    /// A connection of its own for a client of the LDAP door, not bound yet, to none of the servers in `asked`; the
    /// one that it leads to is added to them.
    ///
    /// # Errors
    /// [`Fault`] when no server gives one in time.
    pub async fn connect(&self, asked: &mut Vec<ServerUrl>, deadline: Instant) -> Result<Box<dyn Wire>, Fault> {
        self.locate(deadline).await?;
        self.pool.connect_for_door(asked, deadline).await
    }

    /// How long a server may take to answer.
    pub fn patience(&self) -> Duration {
        self.timeout
    }

    /// A server did not answer in time on a connection of the LDAP door's: those that are thought to be up are probed.
    pub fn unanswered(&self) {
        self.pool.suspect_all();
    }

    /// Searches for people by a filter in BER; two are enough to know that it is not one.
    async fn find(&self, filter: &[u8], deadline: Instant) -> Result<Vec<Option<Identity>>, Fault> {
        self.locate(deadline).await?;
        let wanted = self.wanted();
        let request = SearchRequest {
            base: &self.base,
            scope: Scope::Subtree,
            size_limit: 2,
            time_limit: self.timeout,
            filter,
            attributes: &wanted,
        };
        let (code, found) = self.pool.search(&request, deadline, |entry| self.identity(entry)).await?;
        match code {
            code::SUCCESS => Ok(found),
            code::SIZE_LIMIT_EXCEEDED if found.len() == 2 => Ok(found),
            code::NO_SUCH_OBJECT => {
                warn!(base = %self.base, "the directory has no such base");
                Err(Fault::Refused { code })
            }
            code => Err(Fault::Refused { code }),
        }
    }

    /// The attributes that make an identity.
    fn wanted(&self) -> Vec<&str> {
        let names = self.rules.name_attributes.first().into_iter().chain(self.rules.at_attributes.first());
        std::iter::once(&self.unique_id).chain(names).chain(&self.details).map(String::as_str).collect()
    }

    /// An entry as an identity; `None` when what identifies it is missing.
    fn identity(&self, entry: &Entry<'_>) -> Option<Identity> {
        let unique = entry.first(&self.unique_id).filter(|value| !value.is_empty())?;
        let name = self.rules.name_attributes.first().and_then(|attribute| entry.first_text(attribute))?;
        let upn = self.rules.at_attributes.first().and_then(|attribute| entry.first_text(attribute));
        Some(Identity {
            unique_id: self.unique_id_text(unique),
            name: name.to_owned(),
            upn: upn.map(str::to_owned),
            dn: entry.dn.to_owned(),
            remembered: false,
            details: self.details_of(entry),
        })
    }

    /// What a `[[reply]]` needs of an entry.
    fn details_of(&self, entry: &Entry<'_>) -> Option<Box<Details>> {
        if self.details.is_empty() {
            return None;
        }
        let mut details = Details::default();
        for name in &self.details {
            match entry.ranged(name) {
                // More values than the server gives at once.
                Some((Some(_), values)) => {
                    details.add(name, values);
                    details.cut();
                }
                _ => details.add(name, entry.values(name)),
            }
        }
        Some(Box::new(details))
    }

    fn unique_id_text(&self, value: &[u8]) -> String {
        if self.unique_id.eq_ignore_ascii_case("objectGUID")
            && let Some(guid) = names::guid_text(value)
        {
            return guid;
        }
        std::str::from_utf8(value)
            .map_or_else(|_| value.iter().map(|octet| format!("{octet:02x}")).collect(), str::to_lowercase)
    }

    async fn identify_typed(&self, typed: &str, deadline: Instant) -> Result<Identity, IdentifyError> {
        let name = TypedName::read(typed, &self.domains).map_err(|bad| match bad {
            BadName::Empty | BadName::TooLong | BadName::Control | BadName::OtherDomain => IdentifyError::Unknown,
        })?;
        let mut filter = Vec::with_capacity(192);
        self.rules.write_filter(&name, &mut filter);
        let mut found = self.find(&filter, deadline).await.map_err(IdentifyError::Fault)?;
        if found.iter().any(Option::is_none) {
            warn!(
                target_name = %self.pool.settings().target, unique_id = %self.unique_id,
                "a person was found without the attributes that identify them; may the service account read them?"
            );
            return Err(IdentifyError::Fault(Fault::Garbled));
        }
        if found.len() > 1
            && let TypedName::At { whole, .. } = name
            && self.kind == DirectoryKind::Ad
        {
            // AD itself prefers the account whose UPN it is to the one whose name and domain spell the same.
            found.retain(|one| {
                one.as_ref().and_then(|who| who.upn.as_deref()).is_some_and(|upn| names::same(upn, whole))
            });
            if found.len() != 1 {
                return Err(IdentifyError::Ambiguous);
            }
        }
        match (found.pop().flatten(), found.is_empty()) {
            (Some(identity), true) => Ok(identity),
            (Some(_), false) => Err(IdentifyError::Ambiguous),
            (None, _) => Err(IdentifyError::Unknown),
        }
    }

    async fn bind_as(&self, dn: &str, password: &Secret, deadline: Instant) -> Finding {
        // A bind without a name or without a password proves nothing and succeeds (RFC 4513 section 5.1.2).
        if dn.is_empty() || password.is_empty() {
            return Finding::Wrong(Refusal::WrongPassword);
        }
        if let Err(fault) = self.locate(deadline).await {
            return Finding::Fault(fault);
        }
        finding(self.pool.bind(dn.as_bytes(), password, deadline).await)
    }
}

impl Primary for Directory {
    fn identify<'a>(&'a self, typed: &'a str, deadline: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(self.identify_typed(typed, deadline))
    }

    fn try_password<'a>(
        &'a self,
        who: &'a Identity,
        password: &'a Secret,
        deadline: Instant,
    ) -> BoxFuture<'a, Finding> {
        Box::pin(self.try_password_of(who, password, deadline))
    }

    fn member_of_any<'a>(
        &'a self,
        who: &'a Identity,
        groups: &'a [String],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(groups::member_of_any(self, who, groups, deadline))
    }

    fn identify_bind<'a>(
        &'a self,
        name: &'a str,
        is_service: bool,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(self.identify_name(name, is_service, deadline))
    }

    fn judged<'a>(
        &'a self,
        who: &'a Identity,
        finding: Finding,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Finding, String>> {
        Box::pin(self.judge(who, finding, deadline))
    }

    /// Active Directory alone says it of an account.
    fn refuses<'a>(&'a self, who: &'a Identity, at: SystemTime, deadline: Instant) -> BoxFuture<'a, Option<Refusal>> {
        Box::pin(async move {
            if self.kind != DirectoryKind::Ad {
                return None;
            }
            self.account(who, deadline).await.ok()??.refusal(at, true)
        })
    }

    /// Of what is no password, MS-CHAP alone, where there is somebody to check it.
    fn hand_on<'a>(&'a self, who: Option<&'a Identity>, handed: Handed<'a>, until: Instant) -> BoxFuture<'a, Answered> {
        match &self.ms_chap {
            Some(helpers) => Box::pin(helpers.hand_on(self, who, handed, until)),
            None => Box::pin(std::future::ready(super::unwilling().into())),
        }
    }

    fn matches<'a>(
        &'a self,
        who: &'a Identity,
        filter: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(groups::matches(self, who, filter, deadline))
    }
}

/// What the answer to a bind means.
pub fn finding(answer: Result<BindAnswer, Fault>) -> Finding {
    match answer {
        Ok(BindAnswer { code: code::SUCCESS, .. }) => Finding::Right,
        Ok(BindAnswer { code: code::INVALID_CREDENTIALS, refusal }) => Finding::Wrong(refusal),
        Ok(BindAnswer { code, .. }) => Finding::Fault(Fault::Refused { code }),
        Err(fault) => Finding::Fault(fault),
    }
}
