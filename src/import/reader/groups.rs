//! Who is in a group: asked of the directory where it searches through groups by itself, walked elsewhere.

use std::collections::HashSet;

use super::{Asked, ReadError, Source};
use crate::config::import::{ImportScope, Preset};
use crate::import::entry::Reading;
use crate::import::preset;
use crate::import::scope::{self, Group, Job};
use crate::ldap::filter::Filter;
use crate::ldap::pool::{Batch, Finished, Paging};
use crate::ldap::result::code;
use crate::ldap::search::{Scope, Values};

/// Groups within groups that are walked.
const MOST_GROUPS: usize = 100_000;
/// Ranges of one attribute that are asked for: fifteen million members at AD's 1500.
const MOST_RANGES: usize = 10_000;

impl Source {
    /// The jobs that find the members of a group, and the DNs of members that are in no place that these reach.
    pub(super) async fn members(
        &mut self,
        reading: &Reading,
        foreign: bool,
    ) -> Result<(Vec<Job>, Vec<String>), ReadError> {
        let ImportScope::Group { group, nested } = &reading.item().scope else { return Ok(Default::default()) };
        let preset = reading.item().preset;
        let groups = &reading.item().attributes.groups;
        let groups = Filter::parse(groups).map_err(|error| ReadError::Unusable(format!("filter {groups}: {error}")))?;
        let found = self.group(&groups, preset, group).await?;
        if preset == Preset::Ad {
            let job = scope::members_of(reading, &found, *nested, &self.base).map_err(ReadError::Unusable)?;
            if !foreign {
                return Ok((vec![job], Vec::new()));
            }
            let mut all = vec![found.dn.clone()];
            if *nested {
                all.extend(self.dns(&scope::groups_within(&groups, &found.dn)).await?);
            }
            let mut outside = Vec::new();
            for dn in all {
                let listed = self.list(&dn, "member").await?;
                outside.extend(listed.into_iter().filter(|member| !scope::is_within(member, &self.base)));
            }
            outside.sort_unstable();
            outside.dedup();
            return Ok((vec![job], outside));
        }
        self.walk(reading, &groups, found.dn, *nested).await
    }

    /// Whether one of these groups is the item's, or lies within it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn concerns(&mut self, reading: &Reading, changed: &[String]) -> Result<bool, ReadError> {
        let own = self.groups_of(reading).await?;
        Ok(own.iter().any(|own| changed.iter().any(|changed| crate::primary::names::same(own, changed))))
    }

    /// DNs of the groups that decide whom an item finds: its own, and those within it. None where it is no group.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn groups_of(&mut self, reading: &Reading) -> Result<Vec<String>, ReadError> {
        let ImportScope::Group { group, nested } = &reading.item().scope else { return Ok(Vec::new()) };
        let groups = &reading.item().attributes.groups;
        let groups = Filter::parse(groups).map_err(|error| ReadError::Unusable(format!("filter {groups}: {error}")))?;
        let mut own = vec![self.group(&groups, reading.item().preset, group).await?.dn];
        if *nested {
            own.extend(self.dns(&scope::groups_within(&groups, &own.concat())).await?);
        }
        Ok(own)
    }

    /// DNs of all groups of the directory.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn all_groups(&mut self, reading: &Reading) -> Result<Vec<String>, ReadError> {
        let groups = &reading.item().attributes.groups;
        let groups = Filter::parse(groups).map_err(|error| ReadError::Unusable(format!("filter {groups}: {error}")))?;
        self.dns(&groups).await
    }

    /// DNs of everything in the directory that matches.
    async fn dns(&mut self, filter: &Filter) -> Result<Vec<String>, ReadError> {
        let (base, filter) = (self.base.clone(), filter.encode());
        let (sink, mut batches) = tokio::sync::mpsc::channel::<Batch>(4);
        let reading = async {
            let asked =
                Asked { base: &base, scope: Scope::Subtree, filter: &filter, wanted: &["1.1"], controls: &[], tag: 0 };
            let finished = self.pages(&asked, Paging::Pages(self.page), &sink).await;
            drop(sink);
            finished
        };
        let gathering = async {
            let mut dns = Vec::new();
            while let Some(batch) = batches.recv().await {
                dns.extend(batch.entries().flatten().map(|(entry, _)| entry.dn.to_owned()));
            }
            dns
        };
        let (finished, dns) = tokio::join!(reading, gathering);
        match finished? {
            Finished { code: code::SUCCESS, .. } => Ok(dns),
            Finished { code, words, .. } => Err(ReadError::Refused { base, code, words }),
        }
    }

    /// Finds a group by its DN or name: exactly one.
    async fn group(&mut self, groups: &Filter, preset: Preset, group: &str) -> Result<Group, ReadError> {
        let (base, scope, filter) = if scope::is_dn(group) {
            (group.to_owned(), Scope::Base, Filter::Present("objectClass".to_owned()))
        } else {
            (self.base.clone(), Scope::Subtree, scope::group_filter(groups, preset, group))
        };
        let (code, mut found) = self
            .few(&base, scope, &filter, &["objectSid"], |entry| Group {
                dn: entry.dn.to_owned(),
                relative_id: entry.first("objectSid").and_then(scope::relative_id),
            })
            .await?;
        match (code, found.len()) {
            (code::SUCCESS, 1) => Ok(found.remove(0)),
            (code::SUCCESS, 0) => Err(ReadError::Unusable(format!(
                "the directory has no group {group:?}; check its spelling and that the service account may read it"
            ))),
            (code::SUCCESS, several) => Err(ReadError::Unusable(format!(
                "the directory has {several} groups {group:?}; give the DN of one of them"
            ))),
            (code, _) => Err(ReadError::Refused { base, code, words: String::new() }),
        }
    }

    /// All values of an attribute of one entry, also where the directory gives them in ranges (`member;range=`,
    /// MS-ADTS section 3.1.1.3.1.3.3). An entry that is not there has none.
    ///
    /// # Errors
    /// [`ReadError`]; also when the ranges do not go on where they stopped.
    pub async fn list(&mut self, dn: &str, attribute: &str) -> Result<Vec<String>, ReadError> {
        let anything = Filter::Present("objectClass".to_owned());
        let mut all = Vec::new();
        let mut asked = attribute.to_owned();
        for _ in 0..MOST_RANGES {
            let (code, mut found) = self
                .few(dn, Scope::Base, &anything, &[&asked], |entry| match entry.ranged(attribute) {
                    Some((end, values)) => (end, texts(values)),
                    None => (None, texts(entry.values(attribute))),
                })
                .await?;
            match code {
                code::SUCCESS => {}
                code::NO_SUCH_OBJECT => return Ok(all),
                code => return Err(ReadError::Refused { base: dn.to_owned(), code, words: String::new() }),
            }
            let Some((end, values)) = found.pop() else { return Ok(all) };
            let got_none = values.is_empty();
            all.extend(values);
            let Some(end) = end else { return Ok(all) };
            if got_none || usize::try_from(end).is_ok_and(|end| end + 1 != all.len()) {
                break;
            }
            asked = format!("{attribute};range={}-*", end + 1);
        }
        Err(ReadError::Unusable(format!(
            "the directory gives the members of {dn:?} in ranges that do not fit together"
        )))
    }

    /// Walks the lists of members of a directory that does not search through groups by itself.
    async fn walk(
        &mut self,
        reading: &Reading,
        groups: &Filter,
        group: String,
        nested: bool,
    ) -> Result<(Vec<Job>, Vec<String>), ReadError> {
        let people = reading.people().map_err(ReadError::Unusable)?;
        let attributes = preset::member_attributes(reading.item().preset);
        let mut seen: HashSet<String> = HashSet::from([group.to_lowercase()]);
        let (mut waiting, mut dns, mut uids) = (vec![group], Vec::new(), Vec::new());
        let mut walked = 0;
        while let Some(group) = waiting.pop() {
            walked += 1;
            if walked > MOST_GROUPS {
                return Err(ReadError::Unusable(format!("more than {MOST_GROUPS} groups within one")));
            }
            for attribute in attributes {
                let listed = self.list(&group, attribute).await?;
                if *attribute == "memberUid" {
                    uids.extend(listed);
                    continue;
                }
                for member in listed {
                    if !seen.insert(member.to_lowercase()) {
                        continue;
                    }
                    if nested && self.is_group(&member, groups).await? {
                        waiting.push(member);
                    } else {
                        dns.push(member);
                    }
                }
            }
        }
        uids.sort_unstable();
        uids.dedup();
        let (dns, outside): (Vec<_>, Vec<_>) = dns.into_iter().partition(|dn| scope::is_within(dn, &self.base));
        let by_dn = dns.into_iter().map(|dn| Job {
            base: dn,
            scope: Scope::Base,
            filter: people.clone(),
            base_must_exist: false,
        });
        let by_uid = uids.chunks(scope::IDS_AT_ONCE).map(|uids| Job {
            base: self.base.clone(),
            scope: Scope::Subtree,
            filter: Filter::And(vec![
                people.clone(),
                Filter::Or(uids.iter().map(|uid| Filter::Equality("uid".into(), uid.clone().into_bytes())).collect()),
            ]),
            base_must_exist: true,
        });
        Ok((by_dn.chain(by_uid).collect(), outside))
    }

    async fn is_group(&mut self, dn: &str, groups: &Filter) -> Result<bool, ReadError> {
        let (code, found) = self.few(dn, Scope::Base, groups, &["1.1"], |_| ()).await?;
        match code {
            code::SUCCESS => Ok(!found.is_empty()),
            code::NO_SUCH_OBJECT => Ok(false),
            code => Err(ReadError::Refused { base: dn.to_owned(), code, words: String::new() }),
        }
    }
}

fn texts(values: Values<'_>) -> Vec<String> {
    values.filter_map(|value| std::str::from_utf8(value).ok()).map(str::to_owned).collect()
}
