//! awsJson 1.0 and 1.1: everything in the body.
//!
//! Source: <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>

use crate::message::{WireRequest, WireResponse};
use crate::schema::{OperationModel, Protocol, ServiceModel, Shape};
use crate::{error_body, json_read, json_write};
use bytes::Bytes;
use gust_types::{AwsError, Doc};

/// Reads an input.
pub fn decode(operation: &OperationModel, request: &WireRequest<'_>) -> Result<Doc, AwsError> {
    json_read::structure(operation.input, &request.body)
}

/// Writes an output. An operation without output has an empty body.
pub fn encode(protocol: Protocol, operation: &OperationModel, output: &Doc, request_id: &str) -> WireResponse {
    let mut response = WireResponse::new(operation.status, request_id);
    response.set_header("content-type", content_type(protocol));
    if !operation.output.name.is_empty() {
        let mut body = Vec::with_capacity(256);
        json_write::structure(operation.output, output, &mut body);
        response.body = Bytes::from(body);
    }
    response
}

/// Writes an error: its code in `__type`.
pub fn encode_error(
    protocol: Protocol,
    model: &ServiceModel,
    operation: Option<&OperationModel>,
    error: &AwsError,
    request_id: &str,
) -> WireResponse {
    let mut response = WireResponse::new(error.status, request_id);
    response.set_header("content-type", content_type(protocol));
    let shape = error_body::model_of(model, operation, error).map(|known| known.shape);
    let mut body = Vec::with_capacity(128);
    let mut first = true;
    body.push(b'{');
    json_write::key(&mut first, "__type", &mut body);
    json_write::string(&error.code, &mut body);
    for (member, name, value) in error_body::members(shape, error) {
        json_write::key(&mut first, name, &mut body);
        json_write::value(member.map_or(&Shape::Document, |member| member.shape), &value, &mut body);
    }
    body.push(b'}');
    response.body = Bytes::from(body);
    response
}

fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::AwsJson10 => "application/x-amz-json-1.0",
        _ => "application/x-amz-json-1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{MODEL, OP_LIST_THINGS, OP_PUT_THING, map, shown, text, texts};

    fn read(body: &str) -> Result<Doc, AwsError> {
        let headers = http::HeaderMap::new();
        let body = Bytes::copy_from_slice(body.as_bytes());
        decode(&OP_PUT_THING, &WireRequest { method: "POST", path: "/", query: "", headers: &headers, body })
    }

    #[test]
    fn every_type_is_read() {
        let body = r#" {"Name":"a\u00e9\n","Size":2147483647,"Large":-9223372036854775808,"Ratio":0.5,"Flag":true,
            "Data":"AQID","At":1480000000.123,"Tags":[{"Key":"k","Value":"v"}],"Labels":{"b":"1","a":"2"},
            "renamedOnTheWire":["x"],"Unknown":{"deep":[1,{"x":null}]},"Free":{"a":[1,-2.5,null,"t",false]},
            "Nested":{"Count":1,"Inner":{"Count":2}},"Note":null} "#;
        let free = Doc::List(vec![Doc::Integer(1), Doc::Float(-2.5), Doc::Null, text("t"), Doc::Boolean(false)]);
        let expected = map([
            ("Name", text("aé\n")),
            ("Size", Doc::Integer(2_147_483_647)),
            ("Large", Doc::Integer(i64::MIN)),
            ("Ratio", Doc::Float(0.5)),
            ("Flag", Doc::Boolean(true)),
            ("Data", Doc::Blob(Bytes::from_static(&[1, 2, 3]))),
            ("At", Doc::Timestamp(1_480_000_000_123)),
            ("Tags", Doc::List(vec![map([("Key", text("k")), ("Value", text("v"))])])),
            ("Labels", map([("b", text("1")), ("a", text("2"))])),
            ("Renamed", texts(["x"])),
            ("Free", map([("a", free)])),
            ("Nested", map([("Count", Doc::Integer(1)), ("Inner", map([("Count", Doc::Integer(2))]))])),
        ]);
        assert_eq!(read(body).unwrap(), expected);
    }

    #[test]
    fn lenient_readings() {
        for (body, expected) in [
            ("", map([])),
            (" \n", map([])),
            ("null", map([])),
            ("{}", map([])),
            (r#"{"Name":"a","Name":"b"}"#, map([("Name", text("b"))])),
            (r#"{"Name":"a","Name":null}"#, map([])),
            (r#"{"Kinds":["big",null]}"#, map([("Kinds", texts(["big"]))])),
            (r#"{"Labels":{"a":"1","a":"2"}}"#, map([("Labels", map([("a", text("2"))]))])),
            (r#"{"Size":1.9}"#, map([("Size", Doc::Integer(1))])),
            (r#"{"Size":1e1}"#, map([("Size", Doc::Integer(10))])),
            (r#"{"Ratio":1}"#, map([("Ratio", Doc::Float(1.0))])),
            (r#"{"Ratio":"-Infinity"}"#, map([("Ratio", Doc::Float(f64::NEG_INFINITY))])),
            (r#"{"At":"2016-11-24T15:06:40Z"}"#, map([("At", Doc::Timestamp(1_480_000_000_000))])),
            (r#"{"Renamed":["is not the wire name"]}"#, map([])),
        ] {
            assert_eq!(read(body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn wrong_types_are_refused() {
        for (body, expected) in [
            (r#"{"Name":1}"#, "NUMBER_VALUE can not be converted to a String"),
            (r#"{"Name":1.5}"#, "NUMBER_VALUE can not be converted to a String"),
            (r#"{"Name":true}"#, "TRUE_VALUE can not be converted to a String"),
            (r#"{"Size":false}"#, "FALSE_VALUE can not be converted to an Integer"),
            (r#"{"Size":"1"}"#, "STRING_VALUE can not be converted to an Integer"),
            (r#"{"Large":"1"}"#, "STRING_VALUE can not be converted to a Long"),
            (r#"{"Size":2147483648}"#, "Numeric value (2147483648) out of range of int (-2147483648 - 2147483647)"),
            (
                r#"{"Large":9223372036854775808}"#,
                "Numeric value (9223372036854775808) out of range of long (-9223372036854775808 - 9223372036854775807)",
            ),
            (r#"{"Large":1e300}"#, "NUMBER_VALUE can not be converted to a Long"),
            (r#"{"Name":[]}"#, "Start of list found where not expected"),
            (r#"{"Name":{}}"#, "Start of structure or map found where not expected."),
            (r#"{"Kinds":{}}"#, "Start of structure or map found where not expected."),
            (r#"{"Kinds":"big"}"#, "Expected list or null"),
            (r#"{"Nested":1}"#, "Expected null"),
            (r#"{"Nested":[]}"#, "Start of list found where not expected"),
            (r#"{"Labels":"x"}"#, "Expected map or null"),
            (r#"{"Data":"AQI"}"#, "only base-64-encoded strings are convertible to bytes"),
            (r#"{"Data":"A Q="}"#, "only base-64-encoded strings are convertible to bytes"),
            (r#"{"Data":1}"#, "only base-64-encoded strings are convertible to bytes"),
            (r#"{"At":"yesterday"}"#, "STRING_VALUE can not be converted to a Timestamp"),
            (r#"{"At":1e300}"#, "Timestamp out of range"),
            ("[]", "Start of list found where not expected"),
            ("\"x\"", "Expected null"),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!(
                (error.status, error.to_string()),
                (400, format!("SerializationException: {expected}")),
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = format!("{{\"Free\":{}", "[".repeat(100_000));
        let nested = "{\"Nested\":{\"Inner\":".to_owned() + &"{\"Inner\":".repeat(100_000);
        let unknown = format!("{{\"Unknown\":{}", "[".repeat(100_000));
        for body in [
            "{",
            "{\"Name\"}",
            "{} x",
            "{\"Name\":\"\\ud800\"}",
            "nul",
            "{\"Size\":01}",
            "{1:2}",
            "\u{0}",
            &deep,
            &nested,
            &unknown,
        ] {
            let error = read(body).unwrap_err();
            assert_eq!(error.code, "SerializationException");
            assert!(error.message.starts_with("Could not parse request body into json: "), "{}", error.message);
        }
    }

    #[test]
    fn outputs_are_written() {
        let output = map([
            ("At", Doc::Timestamp(1_480_000_000_500)),
            ("Name", text("a\"\\\n\u{1}é")),
            ("Large", Doc::Integer(i64::MAX)),
            ("Ratio", Doc::Float(f64::NAN)),
            ("Data", Doc::Blob(Bytes::from_static(b"\x00\xff"))),
            ("Labels", map([("b", text("1"))])),
            ("Kinds", Doc::List(vec![])),
            ("Renamed", texts(["x", "y"])),
            ("Note", Doc::Null),
        ]);
        assert_eq!(
            shown(&encode(Protocol::AwsJson11, &OP_PUT_THING, &output, "id-1")),
            "201\nx-amzn-requestid: id-1\ncontent-type: application/x-amz-json-1.1\n\n\
             {\"Name\":\"a\\\"\\\\\\n\\u0001é\",\"Kinds\":[],\"Labels\":{\"b\":\"1\"},\"Large\":9223372036854775807,\
             \"Ratio\":\"NaN\",\"Data\":\"AP8=\",\"At\":1480000000.5,\"renamedOnTheWire\":[\"x\",\"y\"]}"
        );
        assert_eq!(
            shown(&encode(Protocol::AwsJson10, &OP_LIST_THINGS, &map([]), "id-2")),
            "200\nx-amzn-requestid: id-2\ncontent-type: application/x-amz-json-1.0\n\n"
        );
    }

    #[test]
    fn errors_are_written() {
        let error = AwsError::sender("Odd", 400, "what \"now\"").with_field("expectedSequenceToken", "1");
        assert_eq!(
            shown(&encode_error(Protocol::AwsJson11, &MODEL, None, &error, "id")),
            "400\nx-amzn-requestid: id\ncontent-type: application/x-amz-json-1.1\n\n\
             {\"__type\":\"Odd\",\"expectedSequenceToken\":\"1\",\"message\":\"what \\\"now\\\"\"}"
        );
        let unknown = AwsError::sender("UnknownOperationException", 400, "");
        let response = encode_error(Protocol::AwsJson11, &MODEL, None, &unknown, "id");
        assert_eq!(response.body, "{\"__type\":\"UnknownOperationException\"}");
    }
}
