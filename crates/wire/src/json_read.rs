//! JSON -> [`Doc`], led by a shape, in one pass over the bytes.
//!
//! The messages are those of AWS's own front ends ("NUMBER_VALUE can not be converted to a String"),
//! as clients of Athena, SES and Lambda report them. The parser's own limit of 128 levels guards the
//! stack. An explicit null counts as absent, inside lists and maps too, as AWS treats it.

use crate::failure::{serialization, with_article};
use crate::schema::{MemberShape, Shape, StructureShape};
use crate::timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gust_types::{AwsError, Doc};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;
use std::fmt;

/// Reads a body that is a structure. An empty body is an empty structure.
pub fn structure(shape: &'static StructureShape, body: &[u8]) -> Result<Doc, AwsError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Doc::Map(Vec::new()));
    }
    value(&Shape::Structure(shape), body).map(|doc| if doc == Doc::Null { Doc::Map(Vec::new()) } else { doc })
}

/// Reads a body that is a value of `shape`.
pub fn value(shape: &Shape, body: &[u8]) -> Result<Doc, AwsError> {
    let refusal = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let outcome = ShapeSeed { shape, refusal: &refusal }.deserialize(&mut deserializer).and_then(|doc| {
        deserializer.end()?;
        Ok(doc)
    });
    outcome.map_err(|error| match refusal.into_inner() {
        Some(message) => serialization(message),
        None => serialization(format!("Could not parse request body into json: {error}")),
    })
}

/// Reads one value; also the visitor that receives it.
#[derive(Clone, Copy)]
struct ShapeSeed<'a> {
    shape: &'a Shape,
    /// Why a value was refused, in AWS's words: serde would add its own to an error's text.
    refusal: &'a RefCell<Option<String>>,
}

impl ShapeSeed<'_> {
    fn refuse<E: Error>(&self, message: impl Into<String>) -> E {
        *self.refusal.borrow_mut() = Some(message.into());
        E::custom("refused")
    }

    fn refuse_scalar<E: Error>(&self, found: &str) -> E {
        match self.shape {
            Shape::Structure(_) => self.refuse("Expected null"),
            Shape::List { .. } => self.refuse("Expected list or null"),
            Shape::Map { .. } => self.refuse("Expected map or null"),
            Shape::Blob { .. } => self.refuse("only base-64-encoded strings are convertible to bytes"),
            scalar => self.refuse(format!("{found} can not be converted to {}", with_article(type_name(scalar)))),
        }
    }

    fn integer<E: Error>(&self, number: i64) -> Result<Doc, E> {
        match self.shape {
            Shape::Integer { .. } if i32::try_from(number).is_err() => {
                Err(self.refuse(format!("Numeric value ({number}) out of range of int (-2147483648 - 2147483647)")))
            }
            Shape::Integer { .. } | Shape::Long { .. } | Shape::Document => Ok(Doc::Integer(number)),
            Shape::Float { .. } => Ok(Doc::Float(number as f64)),
            Shape::Timestamp { .. } => self.seconds(number as f64),
            _ => Err(self.refuse_scalar("NUMBER_VALUE")),
        }
    }

    fn seconds<E: Error>(&self, seconds: f64) -> Result<Doc, E> {
        timestamp::from_seconds(seconds).map(Doc::Timestamp).ok_or_else(|| self.refuse("Timestamp out of range"))
    }
}

fn type_name(shape: &Shape) -> &'static str {
    match shape {
        Shape::Integer { .. } => "Integer",
        Shape::Long { .. } => "Long",
        Shape::Float { .. } => "Double",
        Shape::Boolean => "Boolean",
        Shape::Timestamp { .. } => "Timestamp",
        _ => "String",
    }
}

impl<'de> DeserializeSeed<'de> for ShapeSeed<'_> {
    type Value = Doc;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Doc, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ShapeSeed<'_> {
    type Value = Doc;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Doc, E> {
        Ok(Doc::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Doc, E> {
        match self.shape {
            Shape::Boolean | Shape::Document => Ok(Doc::Boolean(value)),
            _ => Err(self.refuse_scalar(if value { "TRUE_VALUE" } else { "FALSE_VALUE" })),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Doc, E> {
        self.integer(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Doc, E> {
        match (i64::try_from(number), self.shape) {
            (Ok(number), _) => self.integer(number),
            (Err(_), Shape::Long { .. } | Shape::Integer { .. }) => Err(self.refuse(format!(
                "Numeric value ({number}) out of range of long (-9223372036854775808 - 9223372036854775807)"
            ))),
            (Err(_), _) => self.visit_f64(number as f64),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Doc, E> {
        match self.shape {
            Shape::Float { .. } | Shape::Document => Ok(Doc::Float(number)),
            Shape::Timestamp { .. } => self.seconds(number),
            // AWS cuts a fraction off: Athena takes a MaxResults of 1.5 for 1.
            Shape::Integer { .. } | Shape::Long { .. } if number.abs() < 9e18 => self.integer(number as i64),
            _ => Err(self.refuse_scalar("NUMBER_VALUE")),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Doc, E> {
        match self.shape {
            Shape::String { .. } | Shape::Document => Ok(Doc::String(text.to_owned())),
            Shape::Blob { .. } => match STANDARD.decode(text) {
                Ok(bytes) => Ok(Doc::Blob(Bytes::from(bytes))),
                Err(_) => Err(self.refuse_scalar("STRING_VALUE")),
            },
            Shape::Timestamp { .. } => {
                timestamp::parse(text).map(Doc::Timestamp).ok_or_else(|| self.refuse_scalar("STRING_VALUE"))
            }
            Shape::Float { .. } => match text {
                "NaN" => Ok(Doc::Float(f64::NAN)),
                "Infinity" => Ok(Doc::Float(f64::INFINITY)),
                "-Infinity" => Ok(Doc::Float(f64::NEG_INFINITY)),
                _ => Err(self.refuse_scalar("STRING_VALUE")),
            },
            _ => Err(self.refuse_scalar("STRING_VALUE")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Doc, A::Error> {
        let (item, keeps_null) = match self.shape {
            Shape::List { item, .. } => (*item, false),
            Shape::Document => (self.shape, true),
            _ => return Err(self.refuse("Start of list found where not expected")),
        };
        let mut items = Vec::new();
        while let Some(value) = access.next_element_seed(ShapeSeed { shape: item, ..self })? {
            if keeps_null || value != Doc::Null {
                items.push(value);
            }
        }
        Ok(Doc::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Doc, A::Error> {
        let (value, keeps_null) = match self.shape {
            Shape::Structure(shape) => return self.members(shape, access),
            Shape::Map { value, .. } => (*value, false),
            Shape::Document => (self.shape, true),
            _ => return Err(self.refuse("Start of structure or map found where not expected.")),
        };
        let mut entries = Entries::default();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(ShapeSeed { shape: value, ..self })?;
            if keeps_null || value != Doc::Null {
                entries.set(key, value);
            }
        }
        Ok(Doc::Map(entries.in_order))
    }
}

impl ShapeSeed<'_> {
    fn members<'de, A: MapAccess<'de>>(self, shape: &'static StructureShape, mut access: A) -> Result<Doc, A::Error> {
        let mut members: Vec<(String, Doc)> = Vec::new();
        while let Some(member) = access.next_key_seed(MemberSeed(shape))? {
            let Some(member) = member else {
                access.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = access.next_value_seed(ShapeSeed { shape: member.shape, ..self })?;
            members.retain(|(name, _)| name != member.name);
            if value != Doc::Null {
                members.push((member.name.to_owned(), value));
            }
        }
        Ok(Doc::Map(members))
    }
}

/// A map's entries; of a key that comes twice the last one counts.
#[derive(Default)]
struct Entries {
    in_order: Vec<(String, Doc)>,
    positions: std::collections::HashMap<String, usize>,
}

impl Entries {
    fn set(&mut self, key: String, value: Doc) {
        match self.positions.get(&key) {
            Some(position) => self.in_order[*position].1 = value,
            None => {
                self.positions.insert(key.clone(), self.in_order.len());
                self.in_order.push((key, value));
            }
        }
    }
}

/// Finds the member that a key names, without keeping the key.
struct MemberSeed(&'static StructureShape);

impl<'de> DeserializeSeed<'de> for MemberSeed {
    type Value = Option<&'static MemberShape>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for MemberSeed {
    type Value = Option<&'static MemberShape>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.body_member(key))
    }
}
