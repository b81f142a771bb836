//! What people read while they sign in, in their language. Pure.
//!
//! The texts are templates: one file of `conf/texts` for each language, compiled in, and each overridable by a file of
//! the same name in the folder that `server.texts` names. A language that has no file, or a text that a file of the
//! folder leaves out, falls back: `de-CH` to `de`, anything else to English.
//!
//! A Reply-Message has at most 253 octets (RFC 2865 section 5.18). Every text fits one with whatever is filled in;
//! the tests fill in the longest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::users::model::Method;

/// Longest text, in octets: a Reply-Message is one attribute (RFC 2865 section 5.18).
pub const LONGEST: usize = 253;

/// The languages that are compiled in, each with its templates.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("en", include_str!("../conf/texts/en.toml")),
    ("de", include_str!("../conf/texts/de.toml")),
    ("fr", include_str!("../conf/texts/fr.toml")),
    ("es", include_str!("../conf/texts/es.toml")),
    ("nl", include_str!("../conf/texts/nl.toml")),
    ("ja", include_str!("../conf/texts/ja.toml")),
];

/// Declares the texts once: variant, key in the files, and what is filled in.
macro_rules! texts {
    ($($(#[$doc:meta])* $variant:ident = $key:literal, $fills:expr;)*) => {
        /// A text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Text {
            $($(#[$doc])* $variant,)*
        }

        impl Text {
            /// Every text.
            pub const ALL: &'static [Text] = &[$(Text::$variant),*];

            /// Its key in the files.
            pub fn key(self) -> &'static str {
                match self { $(Text::$variant => $key,)* }
            }

            /// What stands in braces in it, each.
            pub fn fills(self) -> &'static [&'static str] {
                match self { $(Text::$variant => $fills,)* }
            }
        }
    };
}

texts! {
    /// Asks for a code that the person has or makes.
    EnterCode = "enter_code", &[];
    /// A code was sent as a text message.
    CodeBySms = "code_by_sms", &[];
    /// A code was sent by e-mail.
    CodeByEmail = "code_by_email", &[];
    /// A code is told on the phone.
    CodeByCall = "code_by_call", &[];
    /// A code was sent, and no place to type it but the next sign-in.
    CodeNextTime = "code_next_time", &[];
    /// Nobody could be asked, and a code behind the password would do.
    CodeInstead = "code_instead", &[];
    /// A prompt is out; a code does as well.
    PromptOrCode = "prompt_or_code", &[];
    /// A prompt is out.
    PromptOut = "prompt_out", &[];
    /// Nobody has answered the prompt yet.
    StillWaiting = "still_waiting", &[];
    /// The number that the app wants.
    Number = "number", &["number"];
    /// The prompt did not arrive or was not answered: a code does as well.
    PhoneSilent = "phone_silent", &[];
    /// Wrong, and one try is left.
    WrongOneLeft = "wrong_one_left", &[];
    /// Wrong, and several tries are left.
    WrongSomeLeft = "wrong_some_left", &["left"];
    /// Before the list of ways.
    Choose = "choose", &[];
    /// One of the ways.
    MenuItem = "menu_item", &["number", "way"];
    /// A way.
    WayPush = "way_push", &[];
    /// A way.
    WayCall = "way_call", &[];
    /// A way.
    WaySmsReply = "way_sms_reply", &[];
    /// A way.
    WaySmsCode = "way_sms_code", &[];
    /// A way.
    WayEmailCode = "way_email_code", &[];
    /// A way.
    WayOath = "way_oath", &[];
    /// A way.
    WayBackupCode = "way_backup_code", &[];
    /// A way.
    WayTemporaryCode = "way_temporary_code", &[];
    /// Asks for the PIN.
    EnterPin = "enter_pin", &[];
    /// Asks for a new PIN.
    NewPin = "new_pin", &["least"];
    /// Asks for a new PIN, where those that are easy to guess are refused.
    NewPinStrict = "new_pin_strict", &["least"];
    /// Asks for the new PIN again.
    RepeatPin = "repeat_pin", &[];
    /// The two were not the same.
    PinsDiffer = "pins_differ", &[];
    /// Not all digits, too short or too long.
    PinLength = "pin_length", &["least", "most"];
    /// Digits in a row.
    PinRow = "pin_row", &[];
    /// Digits of a phone number.
    PinInPhone = "pin_in_phone", &[];
    /// Used before.
    PinUsedBefore = "pin_used_before", &[];
    /// Asks for the next code of the token.
    NextCode = "next_code", &[];
}

impl Text {
    /// The name of a way.
    pub fn of_way(method: Method) -> Text {
        match method {
            Method::Push => Text::WayPush,
            Method::Call => Text::WayCall,
            Method::SmsReply => Text::WaySmsReply,
            Method::SmsCode => Text::WaySmsCode,
            Method::EmailCode => Text::WayEmailCode,
            Method::Oath => Text::WayOath,
            Method::BackupCode => Text::WayBackupCode,
            Method::TemporaryCode => Text::WayTemporaryCode,
        }
    }

    /// What is said of a code that was sent this way.
    pub fn of_code(sent: Option<Method>) -> Text {
        match sent {
            None | Some(Method::Oath | Method::BackupCode | Method::TemporaryCode | Method::Push) => Text::EnterCode,
            Some(Method::SmsCode | Method::SmsReply) => Text::CodeBySms,
            Some(Method::EmailCode) => Text::CodeByEmail,
            Some(Method::Call) => Text::CodeByCall,
        }
    }
}

/// What is wrong with a file of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadText(pub String);

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadText {}

/// A file of texts.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(transparent)]
struct File(BTreeMap<String, String>);

/// The texts of every language.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    languages: BTreeMap<Box<str>, BTreeMap<Text, Box<str>>>,
}

static ALL_BUILT_IN: LazyLock<Texts> = LazyLock::new(|| {
    let mut texts = Texts::default();
    for (language, file) in BUILT_IN {
        // A test reads them all; one that could not be read would fall back to the keys.
        let _ = texts.add(language, file);
    }
    texts
});

impl Texts {
    /// Those that are compiled in.
    pub fn built_in() -> Texts {
        ALL_BUILT_IN.clone()
    }

    /// Adds a file of a language, whose texts replace those that are there.
    ///
    /// # Errors
    /// What is wrong with it; nothing is added then.
    pub fn add(&mut self, language: &str, file: &str) -> Result<(), BadText> {
        let File(file) = toml::from_str(file).map_err(|error| BadText(error.message().to_owned()))?;
        let mut found = Vec::new();
        for (key, template) in file {
            let text = Text::ALL.iter().find(|text| text.key() == key).copied();
            let text = text.ok_or_else(|| BadText(format!("{key}: there is no such text")))?;
            judge(text, &template).map_err(|why| BadText(format!("{key}: {why}")))?;
            found.push((text, template.into_boxed_str()));
        }
        self.languages.entry(language.to_lowercase().into()).or_default().extend(found);
        Ok(())
    }

    /// A text in a language, filled in: each pair is what stands in braces and what takes its place. At most
    /// [`LONGEST`] octets, without control characters.
    pub fn say(&self, language: &str, text: Text, fills: &[(&str, &str)]) -> String {
        let mut said = self.template(language, text).to_owned();
        for (name, value) in fills {
            said = said.replace(&format!("{{{name}}}"), value);
        }
        plain(&said)
    }

    /// "Not right" with the tries that are left, and what is asked for.
    pub fn wrong(&self, language: &str, left: u32) -> String {
        match left {
            1 => self.say(language, Text::WrongOneLeft, &[]),
            left => self.say(language, Text::WrongSomeLeft, &[("left", &left.to_string())]),
        }
    }

    /// "Not right" before what is asked again. Where both do not fit into one attribute, what is asked stands alone: nothing of
    /// it is cut off.
    pub fn wrong_before(&self, language: &str, left: u32, asked: &str) -> String {
        let both = format!("{} {asked}", self.wrong(language, left));
        if both.len() <= LONGEST { both } else { asked.to_owned() }
    }

    /// The ways to choose from, in one text of at most `room` octets: with their names where all fit, by their words where
    /// not.
    pub fn menu(&self, language: &str, ways: &[Method], room: usize) -> String {
        let whole = |name: &dyn Fn(Method) -> String, joint: &str| {
            let items = ways.iter().enumerate().map(|(place, way)| {
                let (number, way) = ((place + 1).to_string(), name(*way));
                self.template(language, Text::MenuItem).replace("{number}", &number).replace("{way}", &way)
            });
            format!("{} {}", self.template(language, Text::Choose), items.collect::<Vec<_>>().join(joint))
        };
        let named = whole(&|way| self.template(language, Text::of_way(way)).to_owned(), ", ");
        if named.len() <= room.min(LONGEST) {
            return plain(&named);
        }
        let short: Vec<String> =
            ways.iter().enumerate().map(|(place, way)| format!("{}={}", place + 1, way.word())).collect();
        plain(&short.join(" "))
    }

    fn template(&self, language: &str, text: Text) -> &str {
        let language = language.to_lowercase();
        let general = language.split(['-', '_']).next().unwrap_or_default();
        [language.as_str(), general, "en"]
            .iter()
            .find_map(|language| self.languages.get(*language)?.get(&text))
            .map_or(text.key(), |template| &**template)
    }
}

/// Without control characters, and cut to what fits.
pub fn plain(text: &str) -> String {
    let mut plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.truncate(plain.floor_char_boundary(LONGEST));
    plain
}

/// The longest that is ever filled in.
fn longest_fill(name: &str) -> &'static str {
    match name {
        // Tries and lengths are small; numbers to compare have two or three digits, and room for more.
        "left" | "least" | "most" => "100",
        "number" => "12345678",
        _ => "",
    }
}

fn judge(text: Text, template: &str) -> Result<(), String> {
    if template.trim().is_empty() {
        return Err("is empty".into());
    }
    if template.chars().any(char::is_control) {
        return Err("has a line break or another control character".into());
    }
    for part in template.split('{').skip(1) {
        let name = part.split_once('}').map(|(name, _)| name).ok_or("has a brace that is not closed")?;
        if !text.fills().contains(&name) {
            return Err(format!("{{{name}}} is nothing that is filled in here; allowed: {:?}", text.fills()));
        }
    }
    let mut filled = template.to_owned();
    for name in text.fills() {
        let hole = format!("{{{name}}}");
        if !template.contains(&hole) {
            return Err(format!("does not say {hole}"));
        }
        filled = filled.replace(&hole, longest_fill(name));
    }
    if filled.len() > LONGEST {
        return Err(format!("has up to {} octets; at most {LONGEST} fit one Reply-Message", filled.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
