//! `[[caching]]`: how long an approval is good for more sign-ins.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::caching::{Caching, CachingRule, Likeness};
use super::super::place::Path;
use super::super::values::Word;
use super::super::written;
use super::Checker;
use super::rule::Clients;

/// What lasts longer than this is warned of.
const LONG: Duration = Duration::from_secs(3600);

impl Checker<'_> {
    /// Checks the rules, whose names none of the `others` may have: reports name both.
    pub(super) fn caching(
        &self,
        written: Vec<written::Caching>,
        others: &[written::Rule],
        clients: &Clients,
    ) -> Vec<Arc<CachingRule>> {
        let at = Path::top("caching");
        let last = written.len().saturating_sub(1);
        let mut names: BTreeSet<String> =
            others.iter().filter_map(|rule| Some(rule.name.as_ref()?.to_lowercase())).collect();
        let mut rules = Vec::new();
        for (position, written) in written.into_iter().enumerate() {
            let at = at.index(position);
            self.own_name(&at, written.name.as_deref(), &mut names);
            let Some(rule) = self.caching_rule(&at, written, clients) else { continue };
            if rule.is_for_all() && position < last {
                self.warn(&at, "is for everybody at any time, so that those after it never count", "put it last");
            }
            rules.push(Arc::new(rule));
        }
        rules
    }

    fn caching_rule(&self, at: &Path, written: written::Caching, clients: &Clients) -> Option<CachingRule> {
        let kind = written.r#type.map(|Word(kind)| kind);
        if kind.is_none() {
            let words = Likeness::ALL.map(|kind| format!("{:?}", kind.word())).join(", ");
            self.wrong(&at.key("type"), "missing", format!("what must be as it was: {words}"));
        }
        let lasts_at = at.key("for");
        if written.r#for.is_none() {
            self.wrong(
                &lasts_at,
                "missing",
                "how long an approval is good: up to 24h, such as \"5m\"; \"0s\" for never",
            );
        }
        let lasts = self.duration(&lasts_at, written.r#for, "5m", "0s", "24h");
        if lasts > LONG {
            self.warn(
                &lasts_at,
                format!(
                    "for {} whoever has the password is let in without anybody being asked",
                    humantime::format_duration(lasts)
                ),
                "an hour or less, unless that is what you want",
            );
        }
        let conditions = written::Rule {
            name: written.name,
            clients: written.clients,
            applications: written.applications,
            users: written.users,
            groups: written.groups,
            networks: written.networks,
            days: written.days,
            hours: written.hours,
            zone: written.zone,
            ..written::Rule::default()
        };
        let rule = self.conditions(at, conditions, clients)?;
        let kind = kind?;
        if kind == Likeness::Address && !lasts.is_zero() {
            self.told_by_some(&at.key("type"), &rule, clients, super::rule::Known::tells_device);
        }
        Some(rule.with(Caching { kind, lasts }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MINIMAL, folder, read_in};
    use super::*;

    /// The rules and the warnings, or the mistakes.
    type Found = Result<(Vec<Arc<CachingRule>>, Vec<String>), Vec<String>>;

    fn rules(text: &str) -> Found {
        let folder = folder();
        let said = |mistakes: Vec<_>| mistakes.iter().map(ToString::to_string).collect::<Vec<String>>();
        match read_in(folder.path(), &format!("{MINIMAL}\n{text}")) {
            Ok(checked) => Ok((checked.config.caching, said(checked.warnings))),
            Err(mistakes) => Err(said(mistakes.mistakes)),
        }
    }

    #[test]
    fn rules_are_read_in_their_order() {
        let (found, warnings) = rules(
            "[[caching]]\nname = \"never\"\nusers = \"root\"\ntype = \"person\"\nfor = \"0s\"\n\
             [[caching]]\nname = \"vpn\"\nclients = \"vpn\"\ntype = \"person_application\"\nfor = \"1h\"",
        )
        .unwrap();
        assert_eq!(warnings, [""; 0]);
        let then: Vec<Caching> = found.iter().map(|rule| rule.then).collect();
        let hour = Caching { kind: Likeness::Application, lasts: LONG };
        assert_eq!(then, [Caching { kind: Likeness::Person, lasts: Duration::ZERO }, hour]);
        assert!(rules("").unwrap().0.is_empty(), "nothing is kept unless it is asked for");
    }

    #[test]
    fn each_mistake_is_told() {
        let rule = |more: &str| format!("[[caching]]\nname = \"office\"\n{more}");
        let cases = [
            (rule("type = \"person\""), "caching[0].for", "up to 24h"),
            (rule("for = \"5m\""), "caching[0].type", "person_application_address"),
            (rule("type = \"person\"\nfor = \"25h\""), "caching[0].for", "0s to 24h"),
            (rule("type = \"people\"\nfor = \"1h\""), "caching[0].type", "person"),
            (rule("type = \"person\"\nfor = \"1h\"\nclients = \"wiki\""), "caching[0].clients", "no such client"),
            (rule("type = \"person_application_address\"\nfor = \"1h\""), "caching[0].type", "person_address"),
            (rule("type = \"person\"\nfor = \"1h\"\nwithin = \"1h\""), "caching[0].within", "unknown"),
            ("[[caching]]\ntype = \"person\"\nfor = \"1h\"".into(), "caching[0].name", "missing"),
            (
                format!("[[rule]]\nname = \"Office\"\nthen = \"require\"\n{}", rule("type = \"person\"\nfor = \"1h\"")),
                "caching[0].name",
                "a second time",
            ),
        ];
        for (text, key, word) in cases {
            let told = rules(&text).unwrap_err();
            assert!(told.iter().any(|line| line.contains(key) && line.contains(word)), "{text}: {told:?}");
        }
    }

    #[test]
    fn what_lasts_long_or_hides_others_is_warned_of() {
        let long = "[[caching]]\nname = \"a\"\ntype = \"person\"\nfor = \"61m\"";
        let (_, warnings) = rules(long).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("without anybody being asked"), "{warnings:?}");
        let hidden = "[[caching]]\nname = \"b\"\ntype = \"person\"\nfor = \"1m\"";
        let (_, warnings) = rules(&format!("{}\n{hidden}", long.replace("61m", "1m"))).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("never count"), "{warnings:?}");
    }
}
