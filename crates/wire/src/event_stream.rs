//! Event streams: events behind a response's head, framed as `application/vnd.amazon.eventstream`.
//!
//! A message is a prelude (total length, length of the headers, CRC-32 of both), the headers, a payload, and the
//! CRC-32 of all before it; numbers are big-endian. Source:
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>

use crate::json_write;
use crate::message::BodyStream;
use crate::schema::{Location, Shape, StructureShape};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use gust_types::Doc;

/// The content type of a response that is an event stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Prelude and CRC of the whole, in bytes.
const FRAME_BYTES: usize = 16;

/// Frames `events`, whose kinds are the members of `kinds`. An event of no known kind is left out.
pub fn encode(kinds: &'static StructureShape, events: BoxStream<'static, Doc>) -> BodyStream {
    BodyStream(Box::pin(events.filter_map(move |event| std::future::ready(encode_event(kinds, &event).map(Ok)))))
}

fn encode_event(kinds: &'static StructureShape, event: &Doc) -> Option<Bytes> {
    let mut message = None;
    json_write::for_each_member(kinds, event, |kind, value| {
        if let Shape::Structure(shape) = kind.shape {
            message = Some(encode_members(kind.wire_name, shape, value));
        }
    });
    message
}

fn encode_members(event_type: &str, shape: &StructureShape, value: &Doc) -> Bytes {
    let mut headers = Vec::with_capacity(96);
    header(":event-type", &Doc::String(event_type.to_owned()), &mut headers);
    let payload_member = shape.members.iter().find(|member| member.location == Location::EventPayload);
    let mut payload = Bytes::new();
    let mut content_type = None;
    json_write::for_each_member(shape, value, |member, value| match (member.location, value) {
        (Location::EventHeader, _) => header(member.wire_name, value, &mut headers),
        (Location::EventPayload, Doc::Blob(bytes)) => {
            (payload, content_type) = (bytes.clone(), Some("application/octet-stream"));
        }
        (Location::EventPayload, Doc::String(text)) => {
            (payload, content_type) = (Bytes::from(text.clone()), Some("text/plain"));
        }
        (Location::EventPayload, _) => {
            let mut text = Vec::new();
            json_write::value(member.shape, value, &mut text);
            (payload, content_type) = (text.into(), Some("application/json"));
        }
        _ => {}
    });
    if payload_member.is_none() {
        let mut text = Vec::with_capacity(128);
        json_write::structure(shape, value, &mut text);
        (payload, content_type) = (text.into(), Some("application/json"));
    }
    if let Some(content_type) = content_type {
        header(":content-type", &Doc::String(content_type.to_owned()), &mut headers);
    }
    header(":message-type", &Doc::String("event".to_owned()), &mut headers);
    message(&headers, &payload)
}

/// Appends a header: its name, its type, its value. What no header can hold is left out.
fn header(name: &str, value: &Doc, headers: &mut Vec<u8>) {
    let before = headers.len();
    headers.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    headers.extend_from_slice(&name.as_bytes()[..name.len().min(usize::from(u8::MAX))]);
    let mut sized = |kind: u8, bytes: &[u8]| match u16::try_from(bytes.len()) {
        Ok(length) => {
            headers.push(kind);
            headers.extend_from_slice(&length.to_be_bytes());
            headers.extend_from_slice(bytes);
        }
        Err(_) => headers.truncate(before),
    };
    match value {
        Doc::Boolean(value) => headers.push(if *value { 0 } else { 1 }),
        Doc::Integer(value) => {
            headers.push(5);
            headers.extend_from_slice(&value.to_be_bytes());
        }
        Doc::Blob(bytes) => sized(6, bytes),
        Doc::String(text) => sized(7, text.as_bytes()),
        Doc::Timestamp(at_ms) => {
            headers.push(8);
            headers.extend_from_slice(&at_ms.to_be_bytes());
        }
        Doc::Null | Doc::Float(_) | Doc::List(_) | Doc::Map(_) | Doc::Events(_) => headers.truncate(before),
    }
}

fn message(headers: &[u8], payload: &[u8]) -> Bytes {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let total = FRAME_BYTES + headers.len() + payload.len();
    let mut message = Vec::with_capacity(total);
    message.extend_from_slice(&length(total));
    message.extend_from_slice(&length(headers.len()));
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(headers);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{OP_WATCH, map, text};
    use futures_util::stream;
    use gust_types::EventStream;

    /// Takes a message apart as a client does: headers as text, payload.
    fn read(message: &[u8]) -> (String, String) {
        let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap()) as usize;
        let total = number(0);
        assert_eq!(total, message.len());
        assert_eq!(number(8), crc32fast::hash(&message[..8]) as usize, "the prelude's CRC");
        assert_eq!(number(total - 4), crc32fast::hash(&message[..total - 4]) as usize, "the message's CRC");
        let mut headers = &message[12..12 + number(4)];
        let mut shown = String::new();
        while let [length, rest @ ..] = headers {
            let (name, rest) = rest.split_at(usize::from(*length));
            let fixed = match rest[0] {
                0 | 1 => Some(0),
                5 | 8 => Some(8),
                _ => None,
            };
            let (from, size) = match fixed {
                Some(size) => (1, size),
                None => (3, usize::from(u16::from_be_bytes([rest[1], rest[2]]))),
            };
            let value = &rest[from..from + size];
            let value = match rest[0] {
                7 => String::from_utf8(value.to_vec()).unwrap(),
                kind => format!("{kind}:{value:?}"),
            };
            shown.push_str(&format!("{}={value} ", String::from_utf8_lossy(name)));
            headers = &rest[from + size..];
        }
        (shown, String::from_utf8(message[12 + number(4)..total - 4].to_vec()).unwrap())
    }

    async fn messages(events: Vec<Doc>) -> Vec<(String, String)> {
        let output = map([("Events", Doc::Events(EventStream::new(stream::iter(events))))]);
        let response = crate::rest_json::encode(&OP_WATCH, &output, "id");
        assert_eq!(response.header("content-type"), Some("application/vnd.amazon.eventstream"));
        assert!(response.body.is_empty());
        response.stream.unwrap().0.map(|message| read(&message.unwrap())).collect().await
    }

    #[tokio::test]
    async fn events_are_framed_by_their_model() {
        let payload = |bytes: &'static [u8]| Doc::Blob(Bytes::from_static(bytes));
        let found = messages(vec![
            map([("Chunk", map([("Bytes", payload(b"a\nb"))]))]),
            map([("Chunk", map([("Bytes", payload(b"")), ("Number", Doc::Integer(1)), ("Last", Doc::Boolean(true))]))]),
            map([("Done", map([("Code", text("E")), ("Secret", Doc::Null)]))]),
            map([("Done", map([]))]),
            map([("Unknown", map([]))]),
        ]);
        let found = found.await;
        assert_eq!(
            found,
            [
                (":event-type=Chunk :content-type=application/octet-stream :message-type=event ", "a\nb"),
                (
                    ":event-type=Chunk Number=5:[0, 0, 0, 0, 0, 0, 0, 1] Last=0:[] \
                     :content-type=application/octet-stream :message-type=event ",
                    ""
                ),
                (":event-type=Done :content-type=application/json :message-type=event ", "{\"Code\":\"E\"}"),
                (":event-type=Done :content-type=application/json :message-type=event ", "{}"),
            ]
            .map(|(headers, payload)| (headers.to_owned(), payload.to_owned()))
        );
    }

    #[test]
    fn a_message_is_the_one_of_the_specification() {
        // The example of an empty message: only prelude and CRC. Its bytes are fixed by the format.
        assert_eq!(message(b"", b"")[..], [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff]);
    }

    #[test]
    fn a_stream_is_sent_once() {
        let events = EventStream::new(stream::empty());
        let output = map([("Events", Doc::Events(events.clone()))]);
        assert!(crate::rest_json::encode(&OP_WATCH, &output, "id").stream.is_some());
        assert!(crate::rest_json::encode(&OP_WATCH, &output, "id").stream.is_none());
        assert!(events.take().is_none());
    }
}
