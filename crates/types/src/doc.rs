//! A protocol-neutral value: what a decoded request or an unencoded response consists of.

use crate::EventStream;
use bytes::Bytes;

/// One value of an AWS interface description, before or after any wire protocol.
///
/// Structures and maps are both [`Doc::Map`]: a structure's keys are its *member names* (never wire
/// names), in the order they were met. An absent member is absent from the list, not `Null`; `Null`
/// only stands inside free-form documents and sparse collections.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Doc {
    /// An explicit null (free-form documents, sparse lists and maps only).
    #[default]
    Null,
    /// A boolean.
    Boolean(bool),
    /// Any integer type of the model (integer, long, short, byte).
    Integer(i64),
    /// Float and double.
    Float(f64),
    /// A string or an enum value.
    String(String),
    /// Raw bytes: never base64 here, the codec of the protocol does that.
    Blob(Bytes),
    /// A timestamp in milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// A list.
    List(Vec<Doc>),
    /// A structure (by member name) or a map (by key).
    Map(Vec<(String, Doc)>),
    /// Events that follow a response's head. Only in an output, as its payload.
    Events(EventStream),
}

impl Doc {
    /// The value under `key` of a map or structure; `None` for anything else.
    pub fn get(&self, key: &str) -> Option<&Doc> {
        match self {
            Doc::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Doc::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Doc::Integer(value) => Some(*value),
            _ => None,
        }
    }
}
