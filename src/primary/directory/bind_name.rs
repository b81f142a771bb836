//! Who an LDAP bind means: the name in any form that the directory takes becomes one identity.

use std::time::Instant;

use super::Directory;
use crate::config::DirectoryKind;
use crate::ldap::ber::Writer;
use crate::ldap::filter::{Filter, write_equality};
use crate::ldap::result::code;
use crate::ldap::search::{Entry, Scope, SearchRequest};
use crate::primary::bind_names::{BindName, canonical_parts};
use crate::primary::{Fault, IdentifyError, Identity, names};

/// Entries of one name in several containers that are told apart by their canonical names, at most.
const NAMESAKES: u32 = 20;

/// What stands under a distinguished name.
enum Found {
    /// A person, or a program that the configuration names.
    Account(Identity),
    /// Something that no person is called by the name of: a unit, a group, an account that only programs have.
    NoPerson,
    /// What would identify it cannot be read.
    Unreadable,
}

impl Directory {
    /// Finds out who a bind name means. `is_service` says that the configuration names this distinguished name as a
    /// program's: such an entry need not look like a person's, and need not be readable.
    ///
    /// # Errors
    /// [`IdentifyError`].
    pub(super) async fn identify_name(
        &self,
        name: &str,
        is_service: bool,
        deadline: Instant,
    ) -> Result<Identity, IdentifyError> {
        match BindName::read(name, self.kind == DirectoryKind::Ad) {
            BindName::Typed(typed) => self.identify_typed(typed, deadline).await,
            BindName::Nobody => Err(IdentifyError::Unknown),
            BindName::Dn(dn) => self.identify_dn(dn, is_service, deadline).await,
            BindName::Guid(guid) => self.identify_by("objectGUID", &guid, deadline).await,
            BindName::Sid(sid) => self.identify_by("objectSid", &sid, deadline).await,
            BindName::Canonical { whole, last } => self.identify_canonical(whole, &last, deadline).await,
        }
    }

    async fn identify_dn(&self, dn: &str, is_service: bool, deadline: Instant) -> Result<Identity, IdentifyError> {
        let mut filter = Vec::new();
        if is_service {
            filter = Filter::Present("objectClass".into()).encode();
        } else {
            Writer::new(&mut filter).constructed(0xa0, |and| {
                and.raw(&Filter::Present("objectClass".into()).encode());
                self.rules.people.iter().for_each(|people| and.raw(people));
            });
        }
        let found = self.look(dn, Scope::Base, &filter, (1, &[]), deadline, |entry| self.entry_of(entry, is_service));
        match found.await {
            Ok((code::SUCCESS, mut found)) => match found.pop() {
                // People are those below the base, by whatever name they come.
                Some(Found::Account(identity)) if is_service || names::is_below(&identity.dn, &self.base) => {
                    Ok(identity)
                }
                Some(Found::Account(_) | Found::NoPerson) => Err(IdentifyError::Unknown),
                Some(Found::Unreadable) => Err(IdentifyError::Fault(Fault::Garbled)),
                None if is_service => Ok(service(dn)),
                None => Err(IdentifyError::Unknown),
            },
            // An account that is not in the tree, such as a server's own administrator, or that nobody may read.
            Ok(_) if is_service => Ok(service(dn)),
            Ok((code::NO_SUCH_OBJECT | code::INVALID_DN_SYNTAX | code::REFERRAL, _)) => Err(IdentifyError::Unknown),
            Ok((code, _)) => Err(IdentifyError::Fault(Fault::Refused { code })),
            Err(fault) => Err(IdentifyError::Fault(fault)),
        }
    }

    fn entry_of(&self, entry: &Entry<'_>, is_service: bool) -> Found {
        match self.identity(entry) {
            Some(identity) => Found::Account(identity),
            None if is_service => Found::Account(service(entry.dn)),
            None if entry.first(&self.unique_id).is_some_and(|value| !value.is_empty()) => Found::NoPerson,
            None => Found::Unreadable,
        }
    }

    async fn identify_by(&self, attribute: &str, value: &[u8], deadline: Instant) -> Result<Identity, IdentifyError> {
        let mut filter = Vec::new();
        Writer::new(&mut filter).constructed(0xa0, |and| {
            self.rules.people.iter().for_each(|people| and.raw(people));
            write_equality(and, attribute, value);
        });
        let found = self.find(&filter, deadline).await.map_err(IdentifyError::Fault)?;
        only(found)
    }

    async fn identify_canonical(&self, whole: &str, last: &str, deadline: Instant) -> Result<Identity, IdentifyError> {
        let mut filter = Vec::new();
        Writer::new(&mut filter).constructed(0xa0, |and| {
            self.rules.people.iter().for_each(|people| and.raw(people));
            write_equality(and, "name", last.as_bytes());
        });
        let (code, found) = self
            .look(&self.base, Scope::Subtree, &filter, (NAMESAKES, &["canonicalName"]), deadline, |entry| {
                let canonical = entry.first_text("canonicalName").is_some_and(|name| same_canonical(name, whole));
                canonical.then(|| self.identity(entry))
            })
            .await
            .map_err(IdentifyError::Fault)?;
        match code {
            code::SUCCESS | code::SIZE_LIMIT_EXCEEDED => only(found.into_iter().flatten().collect()),
            code => Err(IdentifyError::Fault(Fault::Refused { code })),
        }
    }

    async fn look<T>(
        &self,
        base: &str,
        scope: Scope,
        filter: &[u8],
        (size_limit, more): (u32, &[&str]),
        deadline: Instant,
        read: impl Fn(&Entry<'_>) -> T,
    ) -> Result<(u32, Vec<T>), Fault> {
        self.locate(deadline).await?;
        let mut attributes = self.wanted();
        attributes.extend(more);
        let request =
            SearchRequest { base, scope, size_limit, time_limit: self.timeout, filter, attributes: &attributes };
        self.pool.search(&request, deadline, read).await
    }
}

/// Whether two canonical names are one.
fn same_canonical(one: &str, other: &str) -> bool {
    let (one, other) = (canonical_parts(one), canonical_parts(other));
    one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| names::same(one, other))
}

/// The one that was found; [`IdentifyError::Fault`] when what identifies it cannot be read.
fn only(mut found: Vec<Option<Identity>>) -> Result<Identity, IdentifyError> {
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(IdentifyError::Unknown),
        (Some(_), false) => Err(IdentifyError::Ambiguous),
        (Some(None), true) => Err(IdentifyError::Fault(Fault::Garbled)),
        (Some(Some(identity)), true) => Ok(identity),
    }
}

/// A program's account of which nothing is known but the name that the configuration has.
fn service(dn: &str) -> Identity {
    let plain = names::plain_dn(dn);
    let name =
        plain.split(',').next().and_then(|first| first.split_once('=')).map_or(plain.as_str(), |(_, value)| value);
    let (unique_id, name) = (format!("dn:{plain}"), name.to_owned());
    Identity { unique_id, name, upn: None, dn: dn.to_owned(), remembered: false, details: None }
}
