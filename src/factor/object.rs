//! JSON objects that are objects. What serde derives for a struct reads an array for one, field by field, too: no
//! service means that, and what a service did not say must not become an approval. Pure.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A struct that is read from an object only.
#[derive(Debug)]
pub struct Object<T>(pub T);

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

/// Reads a whole text.
///
/// # Errors
/// When it is no JSON, no object, or lacks what the struct must have.
pub fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<T> {
    serde_json::from_slice::<Object<T>>(text).map(|object| object.0)
}

/// For a field that holds an object or nothing: `#[serde(deserialize_with = "…")]`.
///
/// # Errors
/// When it holds something else.
pub fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

/// For a field that holds an object.
///
/// # Errors
/// When it holds something else.
pub fn one<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::<T>::deserialize(deserializer).map(|object| object.0)
}

/// For a field that holds a list of objects.
///
/// # Errors
/// When it holds something else, or one of them is none.
pub fn many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(deserializer)?.into_iter().map(|object| object.0).collect())
}

/// For a field that holds a list of objects or nothing.
///
/// # Errors
/// When it holds something else, or one of them is none.
pub fn optional_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|object| object.0).collect()))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Outer<'a> {
        #[serde(borrow, default)]
        text: Cow<'a, str>,
        #[serde(default, deserialize_with = "optional")]
        inner: Option<Inner>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Lists {
        #[serde(deserialize_with = "one")]
        one: Inner,
        #[serde(default, deserialize_with = "many")]
        many: Vec<Inner>,
        #[serde(default, deserialize_with = "optional_many")]
        more: Option<Vec<Inner>>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Inner {
        approved: bool,
    }

    #[test]
    fn an_array_is_no_object_however_well_its_fields_fit() {
        let whole: Outer<'_> = read(br#"{"text":"a","inner":{"approved":true},"more":1}"#).unwrap();
        assert_eq!(whole, Outer { text: "a".into(), inner: Some(Inner { approved: true }) });
        assert!(matches!(whole.text, Cow::Borrowed(_)), "nothing is copied");
        let none: Outer<'_> = read(br#"{"inner":null}"#).unwrap();
        assert_eq!(none.inner, None);
        for odd in [r#"["a",{"approved":true}]"#, r#"["a",[true]]"#, r#"{"text":"a","inner":[true]}"#, "7", "null"] {
            assert!(read::<Outer<'_>>(odd.as_bytes()).is_err(), "{odd}");
        }
        assert!(serde_json::from_str::<Inner>("[true]").is_ok(), "what serde does by itself");
        let lists: Lists = read(br#"{"one":{"approved":true},"many":[{"approved":false}],"more":null}"#).unwrap();
        assert_eq!((lists.one.approved, lists.many.len(), lists.more), (true, 1, None));
        for odd in [
            r#"{"one":[true]}"#,
            r#"{"one":null}"#,
            r#"{"one":{"approved":true},"many":[[true]]}"#,
            r#"{"one":{"approved":true},"many":null}"#,
            r#"{"one":{"approved":true},"more":[[true]]}"#,
            r#"{"one":{"approved":true},"more":{"approved":true}}"#,
        ] {
            assert!(read::<Lists>(odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
