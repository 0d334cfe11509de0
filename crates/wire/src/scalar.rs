//! Values that travel as text: path labels, queries, headers and form members.

use crate::failure::with_article;
use crate::schema::{Shape, TimestampFormat};
use crate::timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gust_types::Doc;

/// Reads a text as a value of `shape`. The error is the sentence that the protocol's own error carries.
pub fn from_text(shape: &Shape, text: &str) -> Result<Doc, String> {
    let wrong = |type_name| format!("STRING_VALUE can not be converted to {}", with_article(type_name));
    match shape {
        Shape::String { json_value: true, .. } => {
            let bytes = STANDARD.decode(text).map_err(|_| wrong("String"))?;
            String::from_utf8(bytes).map(Doc::String).map_err(|_| wrong("String"))
        }
        Shape::String { .. } => Ok(Doc::String(text.to_owned())),
        Shape::Integer { .. } => {
            text.parse::<i32>().map(|value| Doc::Integer(value.into())).map_err(|_| wrong("Integer"))
        }
        Shape::Long { .. } => text.parse().map(Doc::Integer).map_err(|_| wrong("Long")),
        Shape::Float { .. } => text.parse().map(Doc::Float).map_err(|_| wrong("Double")),
        Shape::Boolean => match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(Doc::Boolean(true)),
            _ if text.eq_ignore_ascii_case("false") => Ok(Doc::Boolean(false)),
            _ => Err(wrong("Boolean")),
        },
        Shape::Timestamp { .. } => timestamp::parse(text).map(Doc::Timestamp).ok_or_else(|| wrong("Timestamp")),
        Shape::Blob { .. } => match STANDARD.decode(text) {
            Ok(bytes) => Ok(Doc::Blob(Bytes::from(bytes))),
            Err(_) => Err("only base-64-encoded strings are convertible to bytes".to_owned()),
        },
        Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } | Shape::Document | Shape::EventStream(_) => {
            Err(wrong("Structure"))
        }
    }
}

/// Writes a scalar as text; `None` for what is no scalar.
pub fn to_text(shape: &Shape, value: &Doc, default_format: TimestampFormat) -> Option<String> {
    Some(match value {
        Doc::String(text) if matches!(shape, Shape::String { json_value: true, .. }) => STANDARD.encode(text),
        Doc::String(text) => text.clone(),
        Doc::Integer(value) => value.to_string(),
        Doc::Float(value) => float_text(*value),
        Doc::Boolean(value) => value.to_string(),
        Doc::Blob(bytes) => STANDARD.encode(bytes),
        Doc::Timestamp(at_ms) => {
            let format = match shape {
                Shape::Timestamp { format: Some(format) } => *format,
                _ => default_format,
            };
            timestamp::format(*at_ms, format)
        }
        Doc::Null | Doc::List(_) | Doc::Map(_) | Doc::Events(_) => return None,
    })
}

/// A floating-point number with the three words that JSON has no literal for.
pub fn float_text(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ => value.to_string(),
    }
}
