//! [`Doc`] -> JSON, led by a shape.

use crate::scalar::float_text;
use crate::schema::{Location, MemberShape, Shape, StructureShape, TimestampFormat};
use crate::timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gust_types::Doc;

/// Appends the members of a structure that travel in the body, in the model's order.
pub fn structure(shape: &StructureShape, value: &Doc, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for_each_member(shape, value, |member, value| {
        if member.location == Location::Body {
            key(&mut first, member.wire_name, out);
            self::value(member.shape, value, out);
        }
    });
    out.push(b'}');
}

/// Calls `visit` with each member that is present, in the model's order.
pub fn for_each_member<'a>(
    shape: &StructureShape,
    value: &'a Doc,
    mut visit: impl FnMut(&'static MemberShape, &'a Doc),
) {
    let Doc::Map(entries) = value else { return };
    // Generated types list their members in the model's order, so that the next entry is nearly always it.
    let mut next = 0;
    for member in shape.members {
        let found = match entries.get(next) {
            Some((name, _)) if name == member.name => Some(next),
            _ => entries.iter().position(|(name, _)| name == member.name),
        };
        if let Some(position) = found {
            next = position + 1;
            if entries[position].1 != Doc::Null {
                visit(member, &entries[position].1);
            }
        }
    }
}

/// Appends a value.
pub fn value(shape: &Shape, doc: &Doc, out: &mut Vec<u8>) {
    match (shape, doc) {
        (Shape::Structure(shape), Doc::Map(_)) => structure(shape, doc, out),
        (Shape::List { item, .. }, Doc::List(items)) => list(item, items, out),
        (Shape::Map { value, .. }, Doc::Map(entries)) => map(value, entries, out),
        (Shape::Document, Doc::List(items)) => list(shape, items, out),
        (Shape::Document, Doc::Map(entries)) => map(shape, entries, out),
        (Shape::Timestamp { format }, Doc::Timestamp(at_ms)) => {
            let format = format.unwrap_or(TimestampFormat::EpochSeconds);
            let text = timestamp::format(*at_ms, format);
            if format == TimestampFormat::EpochSeconds {
                out.extend_from_slice(text.as_bytes())
            } else {
                string(&text, out)
            }
        }
        (_, Doc::Boolean(value)) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        (_, Doc::Integer(value)) => out.extend_from_slice(value.to_string().as_bytes()),
        (_, Doc::Float(value)) if value.is_finite() => out.extend_from_slice(format!("{value:?}").as_bytes()),
        (_, Doc::Float(value)) => string(&float_text(*value), out),
        (_, Doc::String(text)) => string(text, out),
        (_, Doc::Blob(bytes)) => string(&STANDARD.encode(bytes), out),
        (_, Doc::Timestamp(at_ms)) => {
            out.extend_from_slice(timestamp::format(*at_ms, TimestampFormat::EpochSeconds).as_bytes())
        }
        (_, Doc::Null | Doc::List(_) | Doc::Map(_) | Doc::Events(_)) => out.extend_from_slice(b"null"),
    }
}

/// Appends a key with its colon, and a comma unless it is the first.
pub fn key(first: &mut bool, name: &str, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    string(name, out);
    out.push(b':');
}

fn list(item: &Shape, items: &[Doc], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, value) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        self::value(item, value, out);
    }
    out.push(b']');
}

fn map(shape: &Shape, entries: &[(String, Doc)], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for (name, value) in entries {
        key(&mut first, name, out);
        self::value(shape, value, out);
    }
    out.push(b'}');
}

/// Appends a quoted text.
pub fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain_from..index]);
        plain_from = index + 1;
        if escape.is_empty() {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(escape);
        }
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}
