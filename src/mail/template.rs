//! What mails say: templates in plain text, chosen by kind, method and language, with places that are filled in.
//!
//! A template begins with `Subject:` (and may have `From:`), an empty line ends that, and the rest is the text.
//! `{first_name}` and the like are replaced; a line with a place for which there is nothing is left out. Pure but for
//! [`Templates::load`], which reads a folder once at the start.

use std::collections::BTreeMap;
use std::path::Path;

use crate::users::letters::LetterKind;
use crate::users::model::Method;

/// Places that a template may have.
pub const PLACES: [&str; 11] =
    ["first_name", "last_name", "name", "upn", "email", "phone", "method", "portal", "server", "plan", "reason"];

/// Longest template, in octets.
const LONGEST: usize = 64 * 1024;
/// Longest value that is filled in, in characters.
const LONGEST_VALUE: usize = 300;

/// The templates that come along, by their names in a folder.
const BUILT_IN: [(&str, &str); 4] = [
    ("new", include_str!("../../conf/mail/new.txt")),
    ("updated", include_str!("../../conf/mail/updated.txt")),
    ("held", include_str!("../../conf/mail/held.txt")),
    ("fraud", include_str!("../../conf/mail/fraud.txt")),
];

/// A mail with places to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Who it is from, where that is another than usual.
    pub from: Option<String>,
    subject: String,
    text: String,
}

/// All templates by their names: `new`, `new.call`, `new.de`, `new.call.de`.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<String, Template>);

/// What is filled in, by place.
pub type Values<'a> = BTreeMap<&'static str, &'a str>;

impl Template {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Template, String> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").ok_or("has no empty line between its subject and its text")?;
        let (mut from, mut subject) = (None, None);
        for line in head.lines() {
            match line.split_once(':') {
                Some(("Subject", value)) => subject = Some(value.trim().to_owned()),
                Some(("From", value)) if super::is_address(value.trim()) => from = Some(value.trim().to_owned()),
                _ => return Err(format!("begins with {line:?}; allowed before the empty line: Subject: and From:")),
            }
        }
        let subject = subject.filter(|subject| !subject.is_empty()).ok_or("has no Subject:")?;
        for part in [&subject, body] {
            let unknown = places(part).find(|place| !PLACES.contains(place));
            if let Some(unknown) = unknown {
                return Err(format!("has {{{unknown}}}; known places: {}", PLACES.join(", ")));
            }
        }
        Ok(Template { from, subject, text: body.to_owned() })
    }

    /// Subject and text with everything filled in. No value can begin another header or another line.
    pub fn fill(&self, values: &Values<'_>) -> (String, String) {
        let subject = filled(&self.subject, values).unwrap_or_else(|| without_places(&self.subject));
        let lines = self.text.lines().filter_map(|line| filled(line, values));
        let mut text = lines.collect::<Vec<_>>().join("\n");
        text.push('\n');
        (subject, text)
    }
}

impl Templates {
    /// Those that come along, and over them those of `folder`: files that end with `.txt`.
    ///
    /// # Errors
    /// Which file cannot be read, or what is wrong with it.
    pub fn load(folder: Option<&Path>) -> Result<Templates, String> {
        let mut all = BTreeMap::new();
        for (name, text) in BUILT_IN {
            all.insert(name.to_owned(), Template::read(text).map_err(|why| format!("the built-in {name} {why}"))?);
        }
        let Some(folder) = folder else { return Ok(Templates(all)) };
        let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".txt"));
            let Some(name) = name else { continue };
            if !LetterKind::ALL.iter().any(|kind| name.split('.').next() == Some(kind.word())) {
                return Err(format!("{}: its name begins with none of new, updated, held, fraud", path.display()));
            }
            let octets = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let text = std::str::from_utf8(&octets).ok().filter(|text| text.len() <= LONGEST);
            let text = text.ok_or_else(|| format!("{}: no UTF-8 text of up to {LONGEST} octets", path.display()))?;
            let template = Template::read(text).map_err(|why| format!("{} {why}", path.display()))?;
            all.insert(name.to_owned(), template);
        }
        Ok(Templates(all))
    }

    /// The one that fits best: by method and language, by method, by language, for everybody.
    pub fn find(&self, kind: LetterKind, method: Method, language: &str) -> Option<&Template> {
        let (kind, method) = (kind.word(), method.word());
        let primary = language.split('-').next().unwrap_or_default();
        let names = [
            format!("{kind}.{method}.{language}"),
            format!("{kind}.{method}.{primary}"),
            format!("{kind}.{method}"),
            format!("{kind}.{language}"),
            format!("{kind}.{primary}"),
            kind.to_owned(),
        ];
        names.iter().find_map(|name| self.0.get(name))
    }
}

/// How a method is spoken of.
pub fn spoken(method: Method) -> &'static str {
    match method {
        Method::Push => "a notification of the app on your phone",
        Method::Call => "a call to your phone",
        Method::SmsReply => "a text message that you answer",
        Method::Oath => "a code of your token",
        Method::SmsCode => "a code that comes as a text message",
        Method::EmailCode => "a code that comes by mail",
        Method::BackupCode => "a code of your list",
        Method::TemporaryCode => "a code of the help desk",
    }
}

/// A phone number as far as it may stand in a mail: its end.
pub fn end_of(phone: &str) -> String {
    let digits: Vec<char> = phone.chars().filter(char::is_ascii_digit).collect();
    let end: String = digits.iter().skip(digits.len().saturating_sub(3)).collect();
    if digits.len() < 6 { "(kept)".to_owned() } else { format!("…{end}") }
}

/// The names between braces.
fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(place, _)| place))
}

/// A line with its places filled in; `None` where there is nothing for one of them.
fn filled(line: &str, values: &Values<'_>) -> Option<String> {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((place, after)) = after.split_once('}') else { break };
        out.push_str(before);
        let value = values.get(place).filter(|value| !value.trim().is_empty())?;
        out.extend(value.chars().take(LONGEST_VALUE).map(|c| if c.is_control() { ' ' } else { c }));
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// A subject must be there even where its places have nothing.
fn without_places(subject: &str) -> String {
    let mut parts = subject.split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| out.push_str(part.split_once('}').map_or("", |(_, after)| after)));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values<'a>(pairs: &[(&'static str, &'a str)]) -> Values<'a> {
        pairs.iter().copied().collect()
    }

    #[test]
    fn places_are_filled_and_lines_without_a_value_are_left_out() {
        let template = Template::read("Subject: For {name}\n\nHello {first_name},\n\nphone {phone}\nbye\n").unwrap();
        let (subject, text) = template.fill(&values(&[("name", "alice"), ("phone", "…111")]));
        assert_eq!((subject.as_str(), text.as_str()), ("For alice", "\nphone …111\nbye\n"));
        let (subject, _) = template.fill(&values(&[("first_name", "Alice")]));
        assert_eq!(subject, "For ");
    }

    #[test]
    fn what_a_person_is_called_begins_neither_a_header_nor_a_line() {
        let template = Template::read("Subject: {name}\n\n{name}|\n").unwrap();
        let (subject, text) = template.fill(&values(&[("name", "a\r\nBcc: everybody@corp.example")]));
        assert!(!subject.contains(['\r', '\n']), "{subject:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }

    #[test]
    fn a_bad_template_is_told_at_the_start() {
        for (text, why) in [
            ("Hello\n\n", "allowed before the empty line"),
            ("Subject: x\nno end", "no empty line"),
            ("From: a@b\n\nx", "no Subject"),
            ("Subject: x\n\n{shoe_size}", "{shoe_size}"),
            ("Subject: x\nFrom: nobody\n\nx", "Subject: and From:"),
        ] {
            let error = Template::read(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_template_that_fits_best_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["new.call.txt", "new.de.txt", "new.call.de-CH.txt", "notes.md"] {
            std::fs::write(folder.path().join(name), format!("Subject: {name}\n\nx\n")).unwrap();
        }
        let all = Templates::load(Some(folder.path())).unwrap();
        let subject = |method, language| all.find(LetterKind::New, method, language).unwrap().subject.clone();
        assert_eq!(subject(Method::Call, "de-CH"), "new.call.de-CH.txt");
        assert_eq!(subject(Method::Call, "de"), "new.call.txt");
        assert_eq!(subject(Method::Push, "de-CH"), "new.de.txt");
        assert!(subject(Method::Push, "fr").contains("second proof"), "the one that comes along");
        std::fs::write(folder.path().join("nwe.txt"), "Subject: x\n\nx\n").unwrap();
        assert!(Templates::load(Some(folder.path())).unwrap_err().contains("nwe.txt"));
        assert!(Templates::load(Some(&folder.path().join("none"))).is_err());
    }

    #[test]
    fn a_phone_number_is_only_hinted_at() {
        assert_eq!(end_of("+12025550111"), "…111");
        assert_eq!(end_of("4711"), "(kept)");
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_not(text in ".{0,200}", name in ".{0,20}") {
            if let Ok(template) = Template::read(&text) {
                let (subject, _) = template.fill(&values(&[("name", name.as_str())]));
                prop_assert!(!subject.contains('\n'));
            }
        }
    }
}
