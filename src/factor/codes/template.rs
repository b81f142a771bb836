//! Texts with places to fill: `{code}`, `{phone}`, `{text}`, `{token}`, `{application}`. Pure.
//!
//! What is filled in is escaped as the place wants it, so that neither a number from a directory nor a text of one's own can
//! begin another field: percent signs in an address and a form, backslashes in JSON, entities in XML. Braces that stand for
//! themselves (JSON has many) need nothing: only the five words in braces are places.

use zeroize::Zeroizing;

/// A place to fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The code.
    Code,
    /// The person's phone number, `+` and digits.
    Phone,
    /// The whole text, with the code in it.
    Text,
    /// The gateway's secret.
    Token,
    /// The application that the person signs in to.
    Application,
}

impl Place {
    const WORDS: [(&'static str, Place); 5] = [
        ("{code}", Place::Code),
        ("{phone}", Place::Phone),
        ("{text}", Place::Text),
        ("{token}", Place::Token),
        ("{application}", Place::Application),
    ];
}

/// How what is filled in is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As it is, without control characters.
    Plain,
    /// For an address or a form.
    Percent,
    /// For a string in JSON (RFC 8259 section 7).
    Json,
    /// For the text of an element in XML.
    Xml,
}

impl Escape {
    /// As a body of this media type wants it.
    pub fn of_media_type(kind: &str) -> Escape {
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Escape::Percent,
            kind if kind.ends_with("/json") || kind.ends_with("+json") => Escape::Json,
            kind if kind.ends_with("/xml") || kind.ends_with("+xml") => Escape::Xml,
            _ => Escape::Plain,
        }
    }

    fn push(self, text: &str, out: &mut String) {
        for character in text.chars() {
            match (self, character) {
                (Escape::Percent, c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') => out.push(c),
                (Escape::Percent, c) => {
                    let mut octets = [0; 4];
                    for octet in c.encode_utf8(&mut octets).bytes() {
                        out.push_str(&format!("%{octet:02X}"));
                    }
                }
                (Escape::Json, '"') => out.push_str("\\\""),
                (Escape::Json, '\\') => out.push_str("\\\\"),
                (Escape::Json, c) if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                (Escape::Xml, '<') => out.push_str("&lt;"),
                (Escape::Xml, '>') => out.push_str("&gt;"),
                (Escape::Xml, '&') => out.push_str("&amp;"),
                (Escape::Xml, '"') => out.push_str("&quot;"),
                (Escape::Xml, '\'') => out.push_str("&apos;"),
                (Escape::Plain | Escape::Xml, c) if c.is_control() => out.push(' '),
                (_, c) => out.push(c),
            }
        }
    }
}

/// A text with its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    escape: Escape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Fixed(String),
    Place(Place),
}

impl Template {
    /// Reads a template.
    pub fn new(text: &str, escape: Escape) -> Template {
        let (mut pieces, mut fixed, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            let (before, here) = rest.split_at(at);
            fixed.push_str(before);
            match Place::WORDS.iter().find(|(word, _)| here.starts_with(word)) {
                Some((word, place)) => {
                    if !fixed.is_empty() {
                        pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
                    }
                    pieces.push(Piece::Place(*place));
                    rest = here.strip_prefix(word).unwrap_or_default();
                }
                None => {
                    fixed.push('{');
                    rest = here.strip_prefix('{').unwrap_or_default();
                }
            }
        }
        fixed.push_str(rest);
        if !fixed.is_empty() {
            pieces.push(Piece::Fixed(fixed));
        }
        Template { pieces, escape }
    }

    /// Whether it has this place.
    pub fn has(&self, place: Place) -> bool {
        self.pieces.contains(&Piece::Place(place))
    }

    /// Fills every place with what `value` says.
    pub fn filled<'a>(&self, value: impl Fn(Place) -> &'a str) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(256));
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => out.push_str(text),
                Piece::Place(place) => self.escape.push(value(*place), &mut out),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str, escape: Escape, value: &str) -> String {
        Template::new(text, escape).filled(|_| value).to_string()
    }

    #[test]
    fn places_are_filled_as_their_surroundings_want_it() {
        let hostile = "a\"b\\c<d>&e'f\r\ng +1/é";
        for (escape, expected) in [
            (Escape::Plain, "a\"b\\c<d>&e'f  g +1/é"),
            (Escape::Percent, "a%22b%5Cc%3Cd%3E%26e%27f%0D%0Ag%20%2B1%2F%C3%A9"),
            (Escape::Json, "a\\\"b\\\\c<d>&e'f\\u000d\\u000ag +1/é"),
            (Escape::Xml, "a&quot;b\\c&lt;d&gt;&amp;e&apos;f  g +1/é"),
        ] {
            assert_eq!(filled("{phone}", escape, hostile), expected, "{escape:?}");
        }
        let body = r#"{"to":"{phone}","text":"{text}","x":{"y":{}}}"#;
        assert_eq!(filled(body, Escape::Json, "1"), r#"{"to":"1","text":"1","x":{"y":{}}}"#);
        assert_eq!(filled("{code", Escape::Plain, "1"), "{code");
        assert_eq!(filled("{{code}}", Escape::Plain, "1"), "{1}");
        let template = Template::new("a{token}", Escape::Plain);
        assert!(template.has(Place::Token) && !template.has(Place::Code));
    }

    #[test]
    fn media_types_say_how_to_write() {
        for (kind, escape) in [
            ("application/json; charset=utf-8", Escape::Json),
            ("application/problem+json", Escape::Json),
            ("application/x-www-form-urlencoded", Escape::Percent),
            ("text/xml", Escape::Xml),
            ("text/plain", Escape::Plain),
        ] {
            assert_eq!(Escape::of_media_type(kind), escape, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_filled_in_stays_one_string_of_json(value in "\\PC{0,40}", control in any::<char>()) {
            let value = format!("{value}{control}");
            let written = filled(r#"{"a":"{text}"}"#, Escape::Json, &value);
            let read: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(read["a"].as_str(), Some(value.as_str()));
        }

        #[test]
        fn whatever_is_filled_in_stays_one_field_of_a_form(value in any::<String>()) {
            let written = filled("a={text}&b=1", Escape::Percent, &value);
            let read: Vec<(String, String)> =
                url::form_urlencoded::parse(written.as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
            prop_assert_eq!(read, vec![("a".to_owned(), value), ("b".to_owned(), "1".to_owned())]);
        }

        #[test]
        fn no_template_panics(text in "[{}a-z]{0,60}", other in any::<String>()) {
            for text in [text, other] {
                prop_assert_eq!(Template::new(&text, Escape::Plain).filled(|place| {
                    Place::WORDS.iter().find(|(_, known)| *known == place).unwrap().0
                }).to_string(), text);
            }
        }
    }
}
