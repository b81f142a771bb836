//! `[[reply]]`: what an Access-Accept has for whom. The checked form. Pure.

use std::sync::Arc;

use super::ReplyAttribute;
use crate::radius::dictionary::Writable;
use crate::radius::template::Template;

/// Octets of attributes for one person, those of the client's section included, at most: the rest of the packet is for
/// what a target says, and for Proxy-State.
pub const ROOM: usize = 2048;

/// What a client's Access-Accepts have besides what its target says.
#[derive(Debug)]
pub struct ClientReply {
    /// `reply_attributes` of the client's section.
    pub always: Vec<(Writable, ReplyAttribute)>,
    /// The sections that are for this client, in the order of the file.
    pub sections: Vec<Arc<ReplySection>>,
    /// Octets that all of it takes, at most.
    pub room: usize,
}

impl ClientReply {
    /// The attributes of the directory that its sections need, each once, in lower case.
    pub fn details(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.sections.iter().flat_map(|section| &section.attributes).filter_map(Template::detail).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether anything of the directory is needed for the values.
    pub fn needs_details(&self) -> bool {
        self.sections.iter().flat_map(|section| &section.attributes).any(|template| template.detail().is_some())
    }
}

/// One section.
#[derive(Debug)]
pub struct ReplySection {
    /// Its name in the log and in explanations.
    pub name: Box<str>,
    /// Account names or UPNs, compared without case; empty together with `groups`: everybody.
    pub people: Vec<String>,
    /// Distinguished names of groups, nested members included.
    pub groups: Vec<String>,
    /// Whether its values take the place of those of the same attributes that stand before.
    pub replaces: bool,
    /// Whether no later section counts for whom this one is for.
    pub last: bool,
    /// Whether what does not fit is cut or left out; otherwise nobody whom it is for comes in.
    pub cuts: bool,
    /// The attributes.
    pub attributes: Vec<Template>,
}

impl ReplySection {
    /// Whether it is for everybody.
    pub fn is_for_everybody(&self) -> bool {
        self.people.is_empty() && self.groups.is_empty()
    }

    /// Whether it names this account.
    pub fn names(&self, account: &str, upn: Option<&str>) -> bool {
        let same = |listed: &String, name: &str| listed.to_lowercase() == name.to_lowercase();
        self.people.iter().any(|listed| same(listed, account) || upn.is_some_and(|upn| same(listed, upn)))
    }

    /// Whether a value names the groups that somebody is in.
    pub fn tells_groups(&self) -> bool {
        self.attributes.iter().any(Template::tells_groups)
    }
}
