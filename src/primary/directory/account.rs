//! What the directory says of an account as such: whether it may sign in; and of a computer's.

use std::time::Instant;

use super::Directory;
use crate::ldap::ber::Writer;
use crate::ldap::filter::write_equality;
use crate::primary::account::{ATTRIBUTES, Account};
use crate::primary::groups::{self, Found};
use crate::primary::names::same;
use crate::primary::{Fault, IdentifyError, Identity};

/// Longest name of a computer that is looked for, in octets: a DNS name has no more (RFC 1035 section 2.3.4).
const MAX_COMPUTER: usize = 255;

impl Directory {
    /// The account of `who`, or nothing where there is none any more.
    ///
    /// # Errors
    /// When the directory does not say, or not all that must be known.
    pub(in crate::primary) async fn account(
        &self,
        who: &Identity,
        deadline: Instant,
    ) -> Result<Option<Account>, Fault> {
        self.locate(deadline).await?;
        let mut attributes = ATTRIBUTES.to_vec();
        attributes.push(&self.unique_id);
        let take = |entry: &crate::ldap::search::Entry<'_>| {
            let unique_id = entry.first(&self.unique_id).map(|value| self.unique_id_text(value));
            (unique_id.as_deref() == Some(&*who.unique_id), Account::read(entry))
        };
        let found = groups::read(self, &who.dn, &groups::anything(), &attributes, deadline, take).await?;
        match found {
            Found::Entry((true, Some(account))) => Ok(Some(account)),
            Found::Entry((true, None)) => {
                tracing::warn!(
                    target_name = %self.pool.settings().target,
                    "an account does not say whether it may sign in; may the service account read userAccountControl, \
                     msDS-User-Account-Control-Computed and pwdLastSet?"
                );
                Err(Fault::Garbled)
            }
            // The entry has moved since it was looked up a moment ago, or another one has its name now.
            Found::Entry((false, _)) | Found::NoMatch | Found::Gone => Ok(None),
        }
    }

    /// The computer of this name: its account's, with or without the domain before it, or its DNS name. Nothing where
    /// there is none, or more than one.
    ///
    /// # Errors
    /// When the directory does not say.
    pub(in crate::primary) async fn computer(&self, name: &str, deadline: Instant) -> Result<Option<Identity>, Fault> {
        let name = match name.split_once('\\') {
            Some((domain, name)) if self.domains.is_empty() || self.domains.iter().any(|ours| same(ours, domain)) => {
                name
            }
            Some(_) => return Ok(None),
            None => name,
        };
        let name = name.trim_end_matches('$');
        if name.is_empty() || name.len() > MAX_COMPUTER {
            return Ok(None);
        }
        let mut filter = Vec::with_capacity(128);
        Writer::new(&mut filter).constructed(0xa0, |and| {
            // SAM_MACHINE_ACCOUNT.
            write_equality(and, "sAMAccountType", b"805306369");
            if name.contains('.') {
                write_equality(and, "dNSHostName", name.as_bytes());
            } else {
                write_equality(and, "sAMAccountName", format!("{name}$").as_bytes());
            }
        });
        let mut found = self.find(&filter, deadline).await?;
        Ok(if found.len() == 1 { found.pop().flatten() } else { None })
    }

    /// Whether an account's entry says all that must be known; asked of the account that searches, for
    /// `anteroom check`.
    ///
    /// # Errors
    /// When the directory does not say.
    pub async fn reads_accounts(&self, name: &str, deadline: Instant) -> Result<bool, Fault> {
        let who = match self.identify_name(name, true, deadline).await {
            Ok(who) => who,
            Err(IdentifyError::Fault(fault)) => return Err(fault),
            Err(IdentifyError::Unknown | IdentifyError::Ambiguous) => return Ok(false),
        };
        match self.account(&who, deadline).await {
            Ok(account) => Ok(account.is_some()),
            Err(Fault::Garbled) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Whether there is an entry with this distinguished name, for `anteroom check`.
    ///
    /// # Errors
    /// When the directory does not say.
    pub async fn has(&self, dn: &str, deadline: Instant) -> Result<bool, Fault> {
        self.locate(deadline).await?;
        let found = groups::read(self, dn, &groups::anything(), &["1.1"], deadline, |_| ()).await?;
        Ok(matches!(found, Found::Entry(())))
    }
}
