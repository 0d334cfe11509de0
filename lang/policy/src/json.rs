//! JSON as policies are read: a key given twice makes the document ambiguous, and is refused.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// A JSON value. Numbers and booleans are kept as texts: policies compare everything with texts.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// A string, number or boolean.
    Text { text: String, is_string: bool },
    /// An array.
    List(Vec<Json>),
    /// An object, in the order given.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text. Nesting is bounded by serde_json (128 levels).
    pub fn read(text: &str) -> Result<Json, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The members of an object.
    pub fn members(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn string(&self) -> Option<&str> {
        match self {
            Json::Text { text, is_string: true } => Some(text),
            _ => None,
        }
    }

    /// The text of a string, a number or a boolean.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Json::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// One value or the values of a list.
    pub fn items(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            item => std::slice::from_ref(item),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

fn plain(text: String) -> Json {
    Json::Text { text, is_string: false }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text { text: value.to_owned(), is_string: true })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let (mut members, mut seen) = (Vec::new(), HashSet::new());
        while let Some((key, value)) = entries.next_entry::<String, Json>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom("a key is given twice"));
            }
            members.push((key, value));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        let json = Json::read(r#"{"a":[1,-2,1.5,true,"x",null]}"#).unwrap();
        let items = json.members().unwrap()[0].1.items().to_vec();
        let scalars: Vec<Option<&str>> = items.iter().map(Json::scalar).collect();
        assert_eq!(scalars, [Some("1"), Some("-2"), Some("1.5"), Some("true"), Some("x"), None]);
        assert_eq!((items[0].string(), items[4].string()), (None, Some("x")));
    }

    #[test]
    fn what_is_ambiguous_or_too_deep_is_refused() {
        assert!(Json::read(r#"{"a":1,"a":2}"#).is_err());
        assert!(Json::read(&"[".repeat(100_000)).is_err());
        assert!(Json::read("{} {}").is_err());
    }
}
