//! `[[reply]]`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};

use super::super::values::{Hidden, OneOrMany, Word};

/// `[[reply]]`: what an Access-Accept has for whom.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Reply {
    pub name: Option<String>,
    pub clients: Option<OneOrMany>,
    pub people: Option<OneOrMany>,
    pub groups: Option<OneOrMany>,
    pub attributes: BTreeMap<String, Values>,
    pub replace: Option<bool>,
    pub last: Option<bool>,
    pub unfit: Option<Word<Unfit>>,
}

/// What becomes of a value that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The person is refused.
    Refuse,
    /// A text is cut, anything else left out.
    Cut,
}

/// The values of one attribute.
#[derive(Debug)]
pub struct Values(pub Vec<Value>);

/// One value, or where values come from.
#[derive(Debug)]
pub enum Value {
    /// A text with fields, or a number.
    Text(String),
    /// From the directory, or a secret.
    From(Box<From>),
}

/// `{ from = "memberOf", … }` or `{ secret_file = "…" }`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct From {
    pub from: Option<String>,
    pub only: Option<OneOrMany>,
    pub template: Option<String>,
    pub secret: Option<Hidden>,
    pub secret_file: Option<String>,
    pub secret_credential: Option<String>,
    pub secret_env: Option<String>,
}

const EXPECTED: &str = "text in quotes, a number, { from = \"memberOf\" }, or a list of such in brackets";

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Text(number.to_string()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Text(number.to_string()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                From::deserialize(MapAccessDeserializer::new(map)).map(|from| Value::From(Box::new(from)))
            }
        }
        deserializer.deserialize_any(Reading)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Values;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Values, E> {
                Ok(Values(vec![Value::Text(text.to_owned())]))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Values, E> {
                Ok(Values(vec![Value::Text(number.to_string())]))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Values, E> {
                Ok(Values(vec![Value::Text(number.to_string())]))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Values, A::Error> {
                From::deserialize(MapAccessDeserializer::new(map)).map(|from| Values(vec![Value::From(Box::new(from))]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(Reading)
    }
}
