//! The bridge between [`Doc`] and the Rust types that build scripts generate.

use crate::schema::OperationModel;
use bytes::Bytes;
use gust_types::{Doc, EventStream};
use std::collections::BTreeMap;

/// Milliseconds since 1970-01-01T00:00:00Z: every timestamp of a generated type.
pub type TimestampMs = i64;

/// A generated type that can be read from a decoded and validated [`Doc`].
///
/// Conversion cannot fail on input: the codec and the validator have already checked it against the
/// same tables, and an absent optional member is `None`.
pub trait FromDoc: Sized {
    /// Reads the value. `doc` conforms to the type's shape.
    fn from_doc(doc: Doc) -> Self;
}

/// A generated type that can be turned into a [`Doc`].
pub trait IntoDoc {
    /// Members that are `None` are absent from the result.
    fn into_doc(self) -> Doc;
}

/// An operation marker that a build script generates, with its types and its table.
pub trait OperationShape: Send + Sync + 'static {
    /// The input type.
    type Input: FromDoc + Send + 'static;
    /// The output type.
    type Output: IntoDoc + Send + 'static;
    /// The operation's table.
    const MODEL: &'static OperationModel;
}

/// The members of a structure that are present.
pub fn members(doc: Doc) -> impl Iterator<Item = (String, Doc)> {
    let members = match doc {
        Doc::Map(members) => members,
        _ => Vec::new(),
    };
    members.into_iter().filter(|(_, value)| *value != Doc::Null)
}

/// Adds a member, unless its value is null (an enum that is `Unrecognized`).
pub fn put(members: &mut Vec<(String, Doc)>, name: &str, value: Doc) {
    if value != Doc::Null {
        members.push((name.to_owned(), value));
    }
}

/// An enum's value; the empty text of `Unrecognized` becomes null.
pub fn enum_doc(text: &str) -> Doc {
    if text.is_empty() { Doc::Null } else { Doc::String(text.to_owned()) }
}

impl FromDoc for Doc {
    fn from_doc(doc: Doc) -> Doc {
        doc
    }
}

impl IntoDoc for Doc {
    fn into_doc(self) -> Doc {
        self
    }
}

impl IntoDoc for EventStream {
    fn into_doc(self) -> Doc {
        Doc::Events(self)
    }
}

impl FromDoc for String {
    fn from_doc(doc: Doc) -> String {
        match doc {
            Doc::String(text) => text,
            _ => String::new(),
        }
    }
}

impl IntoDoc for String {
    fn into_doc(self) -> Doc {
        Doc::String(self)
    }
}

impl FromDoc for bool {
    fn from_doc(doc: Doc) -> bool {
        doc == Doc::Boolean(true)
    }
}

impl IntoDoc for bool {
    fn into_doc(self) -> Doc {
        Doc::Boolean(self)
    }
}

impl FromDoc for i32 {
    /// The codec has refused what does not fit.
    fn from_doc(doc: Doc) -> i32 {
        i32::try_from(i64::from_doc(doc)).unwrap_or_default()
    }
}

impl IntoDoc for i32 {
    fn into_doc(self) -> Doc {
        Doc::Integer(self.into())
    }
}

impl FromDoc for i64 {
    fn from_doc(doc: Doc) -> i64 {
        match doc {
            Doc::Integer(value) | Doc::Timestamp(value) => value,
            _ => 0,
        }
    }
}

impl IntoDoc for i64 {
    fn into_doc(self) -> Doc {
        Doc::Integer(self)
    }
}

impl FromDoc for f64 {
    fn from_doc(doc: Doc) -> f64 {
        match doc {
            Doc::Float(value) => value,
            Doc::Integer(value) => value as f64,
            _ => 0.0,
        }
    }
}

impl IntoDoc for f64 {
    fn into_doc(self) -> Doc {
        Doc::Float(self)
    }
}

impl FromDoc for Bytes {
    fn from_doc(doc: Doc) -> Bytes {
        match doc {
            Doc::Blob(bytes) => bytes,
            _ => Bytes::new(),
        }
    }
}

impl IntoDoc for Bytes {
    fn into_doc(self) -> Doc {
        Doc::Blob(self)
    }
}

impl<T: FromDoc> FromDoc for Box<T> {
    fn from_doc(doc: Doc) -> Box<T> {
        Box::new(T::from_doc(doc))
    }
}

impl<T: IntoDoc> IntoDoc for Box<T> {
    fn into_doc(self) -> Doc {
        (*self).into_doc()
    }
}

impl<T: FromDoc> FromDoc for Vec<T> {
    fn from_doc(doc: Doc) -> Vec<T> {
        match doc {
            Doc::List(items) => items.into_iter().map(T::from_doc).collect(),
            _ => Vec::new(),
        }
    }
}

impl<T: IntoDoc> IntoDoc for Vec<T> {
    fn into_doc(self) -> Doc {
        Doc::List(self.into_iter().map(T::into_doc).collect())
    }
}

impl<T: FromDoc> FromDoc for BTreeMap<String, T> {
    fn from_doc(doc: Doc) -> BTreeMap<String, T> {
        match doc {
            Doc::Map(entries) => entries.into_iter().map(|(key, value)| (key, T::from_doc(value))).collect(),
            _ => BTreeMap::new(),
        }
    }
}

impl<T: IntoDoc> IntoDoc for BTreeMap<String, T> {
    fn into_doc(self) -> Doc {
        Doc::Map(self.into_iter().map(|(key, value)| (key, value.into_doc())).collect())
    }
}
