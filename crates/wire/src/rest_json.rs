//! restJson1: labels, query, headers, and a JSON body or a payload.
//!
//! Source: <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html>

use crate::failure::serialization;
use crate::message::{WireRequest, WireResponse};
use crate::schema::{Location, MemberShape, OperationModel, ServiceModel, Shape, TimestampFormat};
use crate::{error_body, event_stream, json_read, json_write, percent, route, scalar};
use bytes::Bytes;
use gust_types::{AwsError, Doc};

/// Reads an input.
pub fn decode(operation: &OperationModel, request: &WireRequest<'_>) -> Result<Doc, AwsError> {
    let mut members = match decode_body(operation, request)? {
        Doc::Map(members) => members,
        _ => Vec::new(),
    };
    let labels = route::labels(operation.route.uri, request.path);
    for member in operation.input.members {
        let value = match member.location {
            Location::Body | Location::StatusCode | Location::EventHeader | Location::EventPayload => None,
            Location::Uri => decode_label(member, &labels)?,
            Location::QueryString => decode_query(operation, member, request.query)?,
            Location::Header => decode_header(member, request)?,
            Location::Headers => decode_headers(member, request),
        };
        members.extend(value.map(|value| (member.name.to_owned(), value)));
    }
    Ok(Doc::Map(members))
}

fn decode_body(operation: &OperationModel, request: &WireRequest<'_>) -> Result<Doc, AwsError> {
    let Some(member) = operation.input.payload.and_then(|name| operation.input.member(name)) else {
        let expects_body = operation.input.members.iter().any(|member| member.location == Location::Body);
        return if expects_body {
            json_read::structure(operation.input, &request.body)
        } else {
            Ok(Doc::Map(Vec::new()))
        };
    };
    if request.body.is_empty() {
        return Ok(Doc::Map(Vec::new()));
    }
    let value = match member.shape {
        Shape::Blob { .. } => Doc::Blob(request.body.clone()),
        Shape::String { .. } => match std::str::from_utf8(&request.body) {
            Ok(text) => Doc::String(text.to_owned()),
            Err(_) => return Err(serialization("Invalid UTF-8 in the request body")),
        },
        shape => json_read::value(shape, &request.body)?,
    };
    Ok(Doc::Map(vec![(member.name.to_owned(), value)]))
}

fn decode_label(member: &MemberShape, labels: &[(&str, &str)]) -> Result<Option<Doc>, AwsError> {
    let Some((_, raw)) = labels.iter().find(|(name, _)| *name == member.wire_name) else { return Ok(None) };
    let text =
        percent::decode_segment(raw).map_err(|_| serialization("Malformed percent-encoding in the request path"))?;
    scalar::from_text(member.shape, &text).map(Some).map_err(serialization)
}

fn decode_query(operation: &OperationModel, member: &MemberShape, query: &str) -> Result<Option<Doc>, AwsError> {
    let malformed = |_| serialization("Malformed percent-encoding in the query string");
    let mut items = Vec::new();
    let mut entries: Vec<(String, Doc)> = Vec::new();
    for pair in percent::pairs(query) {
        let (key, text) = pair.map_err(malformed)?;
        match member.shape {
            Shape::Map { value, .. } => {
                let bound_otherwise = |other: &MemberShape| {
                    other.location == Location::QueryString && other.wire_name == key && other.name != member.name
                };
                if !operation.input.members.iter().any(bound_otherwise) {
                    let value = scalar::from_text(value, &text).map_err(serialization)?;
                    entries.push((key.into_owned(), value));
                }
            }
            _ if key != member.wire_name => {}
            Shape::List { item, .. } => items.push(scalar::from_text(item, &text).map_err(serialization)?),
            shape => return scalar::from_text(shape, &text).map(Some).map_err(serialization),
        }
    }
    let value = if matches!(member.shape, Shape::Map { .. }) { Doc::Map(entries) } else { Doc::List(items) };
    Ok((value != Doc::List(Vec::new()) && value != Doc::Map(Vec::new())).then_some(value))
}

fn decode_header(member: &MemberShape, request: &WireRequest<'_>) -> Result<Option<Doc>, AwsError> {
    let Some(value) = request.headers.get(member.wire_name) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| serialization(format!("Invalid UTF-8 in the header {}", member.wire_name)))?;
    let value = match member.shape {
        Shape::List { item, .. } => {
            let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            Doc::List(texts.map(|text| scalar::from_text(item, text)).collect::<Result<_, _>>().map_err(serialization)?)
        }
        shape => scalar::from_text(shape, text).map_err(serialization)?,
    };
    Ok(Some(value))
}

fn decode_headers(member: &MemberShape, request: &WireRequest<'_>) -> Option<Doc> {
    let prefix = member.wire_name.to_ascii_lowercase();
    let matching = request.headers.iter().filter_map(|(name, value)| {
        let rest = name.as_str().strip_prefix(&prefix)?;
        Some((rest.to_owned(), Doc::String(value.to_str().ok()?.to_owned())))
    });
    let entries: Vec<_> = matching.collect();
    (!entries.is_empty()).then_some(Doc::Map(entries))
}

/// Writes an output.
pub fn encode(operation: &OperationModel, output: &Doc, request_id: &str) -> WireResponse {
    let mut response = WireResponse::new(operation.status, request_id);
    response.set_header("content-type", "application/json");
    let payload = operation.output.payload;
    let mut body = Bytes::new();
    json_write::for_each_member(operation.output, output, |member, value| match member.location {
        Location::Header | Location::Headers => encode_headers(member, value, &mut response),
        Location::StatusCode => {
            response.status = value.as_i64().and_then(|status| u16::try_from(status).ok()).unwrap_or(operation.status);
        }
        Location::Body if payload == Some(member.name) => match (member.shape, value) {
            (Shape::EventStream(kinds), Doc::Events(events)) => {
                response.set_header("content-type", event_stream::CONTENT_TYPE);
                response.stream = events.take().map(|events| event_stream::encode(kinds, events));
            }
            _ => body = encode_payload(member, value),
        },
        Location::Body | Location::Uri | Location::QueryString | Location::EventHeader | Location::EventPayload => {}
    });
    if payload.is_none() && !operation.output.name.is_empty() {
        let mut text = Vec::with_capacity(256);
        json_write::structure(operation.output, output, &mut text);
        body = Bytes::from(text);
    }
    if response.status == 204 {
        // A response without content has no body and describes none.
        response.headers.retain(|(name, _)| name != "content-type");
    } else {
        response.body = body;
    }
    response
}

fn encode_payload(member: &MemberShape, value: &Doc) -> Bytes {
    match value {
        Doc::Blob(bytes) => bytes.clone(),
        Doc::String(text) => Bytes::from(text.clone()),
        _ => {
            let mut text = Vec::with_capacity(256);
            json_write::value(member.shape, value, &mut text);
            Bytes::from(text)
        }
    }
}

fn encode_headers(member: &MemberShape, value: &Doc, response: &mut WireResponse) {
    let text = |shape: &Shape, value: &Doc| scalar::to_text(shape, value, TimestampFormat::HttpDate);
    match (member.shape, value) {
        (Shape::Map { value: shape, .. }, Doc::Map(entries)) => {
            for (name, value) in entries {
                if let Some(text) = text(shape, value) {
                    response.set_header(&format!("{}{name}", member.wire_name), &text);
                }
            }
        }
        (Shape::List { item, .. }, Doc::List(items)) => {
            let texts: Vec<String> = items.iter().filter_map(|value| text(item, value)).collect();
            response.set_header(member.wire_name, &texts.join(", "));
        }
        (shape, value) => {
            if let Some(text) = text(shape, value) {
                response.set_header(member.wire_name, &text);
            }
        }
    }
}

/// Writes an error: its code in a header, its members in the body.
pub fn encode_error(
    model: &ServiceModel,
    operation: Option<&OperationModel>,
    error: &AwsError,
    request_id: &str,
) -> WireResponse {
    let mut response = WireResponse::new(error.status, request_id);
    response.set_header("content-type", "application/json");
    response.set_header("x-amzn-errortype", &error.code);
    let shape = error_body::model_of(model, operation, error).map(|known| known.shape);
    let mut body = Vec::with_capacity(128);
    let mut first = true;
    body.push(b'{');
    for (member, name, value) in error_body::members(shape, error) {
        match member {
            Some(member) if !error_body::in_body(Some(member)) => encode_headers(member, &value, &mut response),
            _ => {
                json_write::key(&mut first, name, &mut body);
                json_write::value(member.map_or(&Shape::Document, |member| member.shape), &value, &mut body);
            }
        }
    }
    body.push(b'}');
    response.body = Bytes::from(body);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{MODEL, OP_LIST_THINGS, OP_PUT_THING, OP_SEND, map, shown, text, texts};

    fn read(
        operation: &OperationModel,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &Bytes,
    ) -> Result<Doc, AwsError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        decode(operation, &WireRequest { method: "POST", path, query, headers: &map, body: body.clone() })
    }

    #[test]
    fn every_binding_is_read() {
        let body = Bytes::from_static(b"\x00 any bytes");
        let headers = [("x-mode", "big"), ("x-context", "eyJhIjoxfQ=="), ("x-meta-a", "1"), ("x-other", "2")];
        let found = read(
            &OP_SEND,
            "/2020-01-01/things/arn%3Aaws%3Aa%2Fb+c/invoke?Qualifier=%24LATEST&x-id=Send",
            &headers,
            &body,
        );
        let expected = map([
            ("Payload", Doc::Blob(body.clone())),
            ("Name", text("arn:aws:a/b+c")),
            ("Mode", text("big")),
            ("Context", text("{\"a\":1}")),
            ("Meta", map([("a", text("1"))])),
            ("Qualifier", text("$LATEST")),
        ]);
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn a_payload_is_shared_and_not_copied() {
        let body = Bytes::from(vec![b'x'; 4096]);
        let found = read(&OP_SEND, "/2020-01-01/things/a/invoke", &[], &body).unwrap();
        let Some(Doc::Blob(payload)) = found.get("Payload") else { panic!("{found:?}") };
        assert_eq!(payload.as_ptr(), body.as_ptr());
        let sent = encode(&OP_SEND, &map([("Payload", Doc::Blob(payload.clone()))]), "id");
        assert_eq!(sent.body.as_ptr(), body.as_ptr());
    }

    #[test]
    fn an_empty_payload_is_absent() {
        assert_eq!(
            read(&OP_SEND, "/2020-01-01/things/a/invoke", &[], &Bytes::new()).unwrap(),
            map([("Name", text("a"))])
        );
    }

    #[test]
    fn queries_are_read() {
        let found = read(&OP_LIST_THINGS, "/2020-01-01/things?keys=a&max=5&keys=b%20c&other=1", &[], &Bytes::new());
        let expected =
            map([("Max", Doc::Integer(5)), ("Keys", texts(["a", "b c"])), ("Rest", map([("other", text("1"))]))]);
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn wrong_values_are_refused() {
        let none = Bytes::new();
        for (operation, target, headers, expected) in [
            (&OP_LIST_THINGS, "/2020-01-01/things?max=x", None, "STRING_VALUE can not be converted to an Integer"),
            (&OP_LIST_THINGS, "/2020-01-01/things?keys=%zz", None, "Malformed percent-encoding in the query string"),
            (&OP_SEND, "/2020-01-01/things/%f/invoke", None, "Malformed percent-encoding in the request path"),
            (&OP_SEND, "/2020-01-01/things/%ff/invoke", None, "Malformed percent-encoding in the request path"),
            (
                &OP_SEND,
                "/2020-01-01/things/a/invoke",
                Some(("x-context", "{}")),
                "STRING_VALUE can not be converted to a String",
            ),
        ] {
            let headers: Vec<(&'static str, &str)> = headers.into_iter().collect();
            let error = read(operation, target, &headers, &none).unwrap_err();
            assert_eq!(error.to_string(), format!("SerializationException: {expected}"), "{target}");
        }
        let error =
            read(&OP_PUT_THING, "/2020-01-01/things", &[], &Bytes::from_static(b"{\"Size\":\"1\"}")).unwrap_err();
        assert_eq!(error.to_string(), "SerializationException: STRING_VALUE can not be converted to an Integer");
    }

    #[test]
    fn outputs_are_written() {
        let output = map([
            ("Status", Doc::Integer(202)),
            ("Failure", text("Unhandled\r\nx: y")),
            ("Meta", map([("a", text("1"))])),
            ("When", Doc::Timestamp(784_111_777_000)),
            ("Payload", Doc::Blob(Bytes::from_static(b"{\"ok\":1}"))),
        ]);
        assert_eq!(
            shown(&encode(&OP_SEND, &output, "id")),
            "202\nx-amzn-requestid: id\ncontent-type: application/json\nX-Failure: Unhandled  x: y\nx-meta-a: 1\n\
             X-When: Sun, 06 Nov 1994 08:49:37 GMT\n\n{\"ok\":1}"
        );
        assert_eq!(
            shown(&encode(&OP_SEND, &map([("Status", Doc::Integer(204))]), "id")),
            "204\nx-amzn-requestid: id\n\n"
        );
        assert_eq!(
            shown(&encode(&OP_PUT_THING, &map([("Name", text("a"))]), "id")),
            "201\nx-amzn-requestid: id\ncontent-type: application/json\n\n{\"Name\":\"a\"}"
        );
        assert_eq!(
            shown(&encode(&OP_LIST_THINGS, &map([]), "id")),
            "200\nx-amzn-requestid: id\ncontent-type: application/json\n\n"
        );
    }

    #[test]
    fn errors_are_written() {
        let error = AwsError::sender("ThingNotFound", 404, "no such thing")
            .with_field("ThingName", "a")
            .with_field("retryAfterSeconds", "3");
        assert_eq!(
            shown(&encode_error(&MODEL, Some(&OP_SEND), &error, "id")),
            "404\nx-amzn-requestid: id\ncontent-type: application/json\nx-amzn-errortype: ThingNotFound\nRetry-After: 3\n\n\
             {\"Type\":\"User\",\"Message\":\"no such thing\",\"ThingName\":\"a\"}"
        );
        let error = AwsError::receiver("InternalFailure", 500, "oops");
        assert_eq!(encode_error(&MODEL, None, &error, "id").body, "{\"message\":\"oops\"}");
    }
}
