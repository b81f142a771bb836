//! What a directory's section says of MS-CHAP.

use super::super::Checker;
use crate::config::place::Path;
use crate::config::values::Word;
use crate::config::{DirectoryKind, MsChapBy, Winbind, written};

/// Where Samba's packages put it.
const PROGRAM: &str = "/usr/bin/ntlm_auth";

impl Checker<'_> {
    /// Who checks MS-CHAP, if anybody does.
    pub(super) fn ms_chap(&self, at: &Path, written: &mut written::Target, kind: DirectoryKind) -> Option<Winbind> {
        let keys = ["mschap_helper", "mschap_helpers", "mschap_timeout", "mschap_domain", "mschap_change"];
        let Some(Word(MsChapBy::Winbind)) = written.mschap.take() else {
            // Where what it says cannot be read, the others are not left over.
            let is_spoiled = self.is_spoiled(&at.key("mschap"));
            for key in written.left().into_iter().filter(|key| keys.contains(key) && !is_spoiled) {
                self.wrong(&at.key(key), "found without mschap", "set mschap = \"winbind\", or take it out");
            }
            (written.mschap_helper, written.mschap_helpers) = (None, None);
            (written.mschap_timeout, written.mschap_domain, written.mschap_change) = (None, None, None);
            return None;
        };
        if kind != DirectoryKind::Ad {
            let allowed = "only for type = \"ad\": winbind asks domain controllers";
            self.wrong(&at.key("mschap"), "found for another directory", allowed);
        }
        let helper_at = at.key("mschap_helper");
        let given = self.filled_list(&helper_at, written.mschap_helper.take(), "a program");
        let mut words = given.unwrap_or_else(|| vec![PROGRAM.to_owned()]).into_iter();
        let program = words.next().unwrap_or_default();
        if !program.starts_with('/') {
            self.wrong(&helper_at, format!("found {program:?}"), "the whole path of the program, then its arguments");
        }
        let domain = written.mschap_domain.take();
        if let Some(domain) = domain.as_deref().filter(|domain| !is_netbios(domain)) {
            let allowed = "a NetBIOS name of 1 to 15 characters, such as \"CORP\"";
            self.wrong(&at.key("mschap_domain"), format!("found {domain:?}"), allowed);
        }
        let changes = written.mschap_change.take().unwrap_or(false);
        if changes && domain.is_none() && !self.is_spoiled(&at.key("mschap_domain")) {
            self.wrong(
                &at.key("mschap_change"),
                "found without mschap_domain",
                "name the people's domain: winbind asks for it",
            );
        }
        Some(Winbind {
            program: program.into(),
            arguments: words.collect(),
            helpers: self.size(&at.key("mschap_helpers"), written.mschap_helpers.take(), 8, 1, 256),
            timeout: self.duration(&at.key("mschap_timeout"), written.mschap_timeout.take(), "10s", "100ms", "1m"),
            domain,
            changes,
        })
    }
}

/// Whether it can be the NetBIOS name of a domain.
fn is_netbios(name: &str) -> bool {
    let fine = |c: char| !c.is_control() && !c.is_whitespace() && !"\\/:*?\"<>|".contains(c);
    (1..=15).contains(&name.chars().count()) && name.chars().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_netbios_name() {
        assert!(is_netbios("CORP") && is_netbios("CORP-2.x") && is_netbios("ÄÖÜ"));
        for bad in ["", "CORP\\x", "a b", "SIXTEENCHARACTERS", "a:b", "a\nb"] {
            assert!(!is_netbios(bad), "{bad:?}");
        }
    }
}
