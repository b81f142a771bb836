//! The kinds of value that the file has beyond plain text: durations, counts, points in time, words out of
//! a closed list, one or many texts, and hidden texts, whose error messages never show what was found.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::caching::Likeness;
use super::known;
use super::written::{HttpMethod, ProviderKind, ThenWord, Unfit, ViaKind, Weak};
use super::{
    Anonymous, Authentication, Balance, CloudName, Codes, Device, EapIdentity, EntraMode, ForwardAs, Lenience,
    LogFormat, MsChapBy, NumberMatching, OnDeadline, Requirement, Sasl, Security, SendName, TargetKind, Transport,
    Triggers, UnreachableClass, YesNo,
};
use crate::factor::local::split::PinSide;
use crate::secret::Secret;

/// A length of time, written as `"55s"`, `"1m 30s"`, `"90d"`.
#[derive(Debug, Clone, Copy)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a duration in quotes such as \"55s\", \"5m\" or \"90d\"", |text| {
            humantime::parse_duration(text).ok().map(Span)
        })
    }
}

/// A point in time, written as `2026-12-01T00:00:00Z`, with or without quotes.
#[derive(Debug, Clone, Copy)]
pub struct When(pub SystemTime);

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a time with its zone, such as \"2026-12-01T00:00:00Z\"", |text| {
            text.parse::<jiff::Timestamp>().ok().map(|time| When(time.into()))
        })
    }
}

/// A whole number, zero or more.
#[derive(Debug, Clone, Copy)]
pub struct Count(pub u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl Visitor<'_> for Counting {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number without quotes")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Count, E> {
                Ok(Count(number))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
                u64::try_from(number)
                    .map(Count)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(number), &"a whole number that is not negative"))
            }
        }
        deserializer.deserialize_any(Counting)
    }
}

/// One text, or a list of texts.
#[derive(Debug, Clone, Default)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Listing;
        impl<'de> Visitor<'de> for Listing {
            type Value = OneOrMany;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes, or a list of such texts in brackets")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }
        deserializer.deserialize_any(Listing)
    }
}

/// A text that is a secret. A number in its place is refused: `secret = 0123` would silently become
/// another secret.
#[derive(Debug)]
pub struct Hidden(pub Secret);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hiding;
        fn refuse<E: Error>(kind: &'static str) -> Result<Hidden, E> {
            Err(E::invalid_type(Unexpected::Other(kind), &Hiding))
        }
        impl<'de> Visitor<'de> for Hiding {
            type Value = Hidden;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Hidden, E> {
                Ok(Hidden(Secret::new(text.as_bytes().to_vec())))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Hidden, E> {
                Ok(Hidden(Secret::from_text(text)))
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Hidden, E> {
                refuse("true or false without quotes (not shown)")
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Hidden, E> {
                refuse("a number without quotes (not shown)")
            }
            fn visit_u64<E: Error>(self, _: u64) -> Result<Hidden, E> {
                refuse("a number without quotes (not shown)")
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Hidden, E> {
                refuse("a number without quotes (not shown)")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Hidden, A::Error> {
                refuse("a list (not shown)")
            }
            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Hidden, A::Error> {
                refuse("a table (not shown)")
            }
        }
        deserializer.deserialize_any(Hiding)
    }
}

/// One word out of a closed list.
#[derive(Debug, Clone, Copy)]
pub struct Word<T>(pub T);

/// A closed list of words of the file.
pub trait Words: Sized + Copy + 'static {
    /// Every word and what it stands for.
    const WORDS: &'static [(&'static str, Self)];
}

impl<'de, T: Words> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choosing<T> {
            /// The word that was probably meant.
            near: Option<&'static str>,
            of: PhantomData<T>,
        }
        impl<T: Words> Visitor<'_> for Choosing<T> {
            type Value = Word<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let words: Vec<String> = T::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                f.write_str(&words.join(" or "))?;
                self.near.map_or(Ok(()), |near| write!(f, "; did you mean \"{near}\"?"))
            }
            fn visit_str<E: Error>(mut self, text: &str) -> Result<Word<T>, E> {
                if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
                    return Ok(Word(*value));
                }
                self.near = known::near(text, T::WORDS.iter().map(|(word, _)| *word));
                Err(E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Choosing { near: None, of: PhantomData })
    }
}

impl Words for Requirement {
    const WORDS: &'static [(&'static str, Self)] =
        &[("yes", Requirement::Yes), ("auto", Requirement::Auto), ("no", Requirement::No)];
}

impl Words for YesNo {
    const WORDS: &'static [(&'static str, Self)] = &[("yes", YesNo::Yes), ("no", YesNo::No)];
}

impl Words for OnDeadline {
    const WORDS: &'static [(&'static str, Self)] = &[("reject", OnDeadline::Reject), ("silence", OnDeadline::Silence)];
}

impl Words for Lenience {
    const WORDS: &'static [(&'static str, Self)] =
        &[("reject", Lenience::Reject), ("password_only", Lenience::PasswordOnly)];
}

impl Words for Unfit {
    const WORDS: &'static [(&'static str, Self)] = &[("refuse", Unfit::Refuse), ("cut", Unfit::Cut)];
}

impl Words for UnreachableClass {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("connect", UnreachableClass::Connect),
        ("tls", UnreachableClass::Tls),
        ("refused", UnreachableClass::Refused),
        ("rate_limited", UnreachableClass::RateLimited),
        ("server_error", UnreachableClass::ServerError),
        ("malformed", UnreachableClass::Malformed),
        ("timeout", UnreachableClass::Timeout),
        ("outage", UnreachableClass::Outage),
    ];
}

impl Words for TargetKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("ad", TargetKind::Ad),
        ("ldap", TargetKind::Ldap),
        ("radius", TargetKind::Radius),
        ("none", TargetKind::None),
    ];
}

impl Words for Balance {
    const WORDS: &'static [(&'static str, Self)] = &[("ordered", Balance::Ordered), ("spread", Balance::Spread)];
}

impl Words for ForwardAs {
    const WORDS: &'static [(&'static str, Self)] = &[("proxy", ForwardAs::Proxy), ("client", ForwardAs::Client)];
}

impl Words for EapIdentity {
    const WORDS: &'static [(&'static str, Self)] = &[("reply", EapIdentity::Reply), ("request", EapIdentity::Request)];
}

impl Words for SendName {
    const WORDS: &'static [(&'static str, Self)] =
        &[("typed", SendName::Typed), ("name", SendName::Name), ("upn", SendName::Upn)];
}

impl Words for MsChapBy {
    const WORDS: &'static [(&'static str, Self)] = &[("winbind", MsChapBy::Winbind)];
}

impl Words for Transport {
    const WORDS: &'static [(&'static str, Self)] = &[("udp", Transport::Udp), ("tls", Transport::Tls)];
}

impl Words for Authentication {
    const WORDS: &'static [(&'static str, Self)] =
        &[("password", Authentication::Password), ("smart_card", Authentication::SmartCard)];
}

impl Words for Device {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("drives", Device::Drives),
        ("printers", Device::Printers),
        ("ports", Device::Ports),
        ("clipboard", Device::Clipboard),
        ("plug_and_play", Device::PlugAndPlay),
    ];
}

impl Words for Security {
    /// Servers found by DNS are never loopback, so plaintext has no word.
    const WORDS: &'static [(&'static str, Self)] = &[("ldaps", Security::Ldaps), ("starttls", Security::StartTls)];
}

impl Words for ProviderKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("native", ProviderKind::Native),
        ("entra", ProviderKind::Entra),
        ("duo", ProviderKind::Duo),
        ("privacyidea", ProviderKind::PrivacyIdea),
        ("okta", ProviderKind::Okta),
        ("local", ProviderKind::Local),
        // What it was called while it had OATH tokens only.
        ("oath", ProviderKind::Local),
        ("codes", ProviderKind::Codes),
    ];
}

impl Words for CloudName {
    const WORDS: &'static [(&'static str, Self)] =
        &[("name", CloudName::Name), ("upn", CloudName::Upn), ("email", CloudName::Email)];
}

impl Words for EntraMode {
    const WORDS: &'static [(&'static str, Self)] = &[("poll", EntraMode::Poll), ("sync", EntraMode::Sync)];
}

impl Words for Triggers {
    const WORDS: &'static [(&'static str, Self)] = &[("all", Triggers::All), ("method", Triggers::Method)];
}

impl Words for Codes {
    const WORDS: &'static [(&'static str, Self)] = &[("direct", Codes::Direct), ("challenge", Codes::Challenge)];
}

impl Words for ViaKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("http", ViaKind::Http), ("twilio", ViaKind::Twilio), ("smtp", ViaKind::Smtp)];
}

impl Words for HttpMethod {
    const WORDS: &'static [(&'static str, Self)] =
        &[("GET", HttpMethod::Get), ("POST", HttpMethod::Post), ("PUT", HttpMethod::Put)];
}

impl Words for PinSide {
    const WORDS: &'static [(&'static str, Self)] = &[("before", PinSide::Before), ("after", PinSide::After)];
}

impl Words for Weak {
    const WORDS: &'static [(&'static str, Self)] = &[("refuse", Weak::Refuse), ("allow", Weak::Allow)];
}

impl Words for Anonymous {
    const WORDS: &'static [(&'static str, Self)] = &[("refuse", Anonymous::Refuse), ("allow", Anonymous::Allow)];
}

impl Words for Sasl {
    const WORDS: &'static [(&'static str, Self)] = &[("refuse", Sasl::Refuse), ("relay", Sasl::Relay)];
}

impl Words for ThenWord {
    const WORDS: &'static [(&'static str, Self)] =
        &[("require", ThenWord::Require), ("skip", ThenWord::Skip), ("refuse", ThenWord::Refuse)];
}

impl Words for Likeness {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("person", Likeness::Person),
        ("person_application", Likeness::Application),
        ("person_application_address", Likeness::Address),
    ];
}

impl Words for NumberMatching {
    const WORDS: &'static [(&'static str, Self)] =
        &[("approve", NumberMatching::Approve), ("code", NumberMatching::Code)];
}

impl Words for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

/// Reads a text and turns it into a value; `expected` is what the message says is allowed.
fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Parsing<T>(&'static str, fn(&str) -> Option<T>);
    impl<T> Visitor<'_> for Parsing<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(Parsing(expected, parse))
}
