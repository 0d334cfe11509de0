//! The codecs behind one door: each function picks the protocol's own.

use crate::message::{WireRequest, WireResponse};
use crate::schema::{OperationModel, Protocol, ServiceModel};
use crate::{aws_json, query, rest_json};
use gust_types::{AwsError, Doc};

/// Reads the input of an operation. What comes out has the operation's input shape; its constraints are
/// not checked yet (see [`crate::validate`]). Errors are AWS's own for bodies that do not parse.
pub fn decode(protocol: Protocol, operation: &OperationModel, request: &WireRequest<'_>) -> Result<Doc, AwsError> {
    match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => aws_json::decode(operation, request),
        Protocol::RestJson => rest_json::decode(operation, request),
        Protocol::Query => query::decode(operation, request),
        Protocol::RestXml => Err(AwsError::not_implemented("restXml", operation.route.name)),
    }
}

/// Writes the output of an operation.
pub fn encode(
    protocol: Protocol,
    model: &ServiceModel,
    operation: &OperationModel,
    output: &Doc,
    request_id: &str,
) -> WireResponse {
    match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => aws_json::encode(protocol, operation, output, request_id),
        Protocol::RestJson => rest_json::encode(operation, output, request_id),
        // No output can come to be in restXml, because no input is decoded.
        Protocol::Query | Protocol::RestXml => query::encode(model, operation, output, request_id),
    }
}

/// Writes an error. `operation` is absent where none was found yet.
pub fn encode_error(
    protocol: Protocol,
    model: &ServiceModel,
    operation: Option<&OperationModel>,
    error: &AwsError,
    request_id: &str,
) -> WireResponse {
    let mut response = match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => {
            aws_json::encode_error(protocol, model, operation, error, request_id)
        }
        Protocol::RestJson => rest_json::encode_error(model, operation, error, request_id),
        Protocol::Query | Protocol::RestXml => query::encode_error(model, operation, error, request_id),
    };
    for (name, value) in &error.headers {
        response.set_header(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{MODEL, OP_LIST_THINGS, OP_PUT_THING, OP_SEND};
    use crate::{check_members, route, validate};
    use bytes::Bytes;
    use proptest::prelude::*;

    /// A JSON text that is often valid and often nearly so.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<f64>().prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            "\\PC*".prop_map(|text| format!("{text:?}")),
        ];
        let name = prop::sample::select(vec![
            "Name", "Size", "Tags", "Labels", "Nested", "Inner", "Data", "At", "Free", "Kinds", "Key",
        ]);
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                    let members: Vec<String> =
                        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    fn run(protocol: Protocol, path: &str, query: &str, body: Vec<u8>) {
        let headers = http::HeaderMap::new();
        let request = WireRequest { method: "POST", path, query, headers: &headers, body: Bytes::from(body) };
        let _ = route(&MODEL, protocol, &request);
        for operation in [&OP_PUT_THING, &OP_SEND, &OP_LIST_THINGS] {
            let outcome = decode(protocol, operation, &request).and_then(|input| {
                check_members(operation, &input)?;
                validate(&MODEL, operation, &input)?;
                Ok(input)
            });
            match outcome {
                Ok(output) => encode(protocol, &MODEL, operation, &output, "id"),
                Err(error) => encode_error(protocol, &MODEL, Some(operation), &error, "id"),
            };
        }
    }

    const PROTOCOLS: [Protocol; 4] = [Protocol::AwsJson11, Protocol::RestJson, Protocol::Query, Protocol::RestXml];

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300), path in "/[ -~]{0,60}", query in "[ -~]{0,60}") {
            for protocol in PROTOCOLS {
                run(protocol, &path, &query, body.clone());
            }
        }

        #[test]
        fn no_json_panics(body in json()) {
            run(Protocol::AwsJson11, "/", "", body.clone().into_bytes());
            run(Protocol::RestJson, "/2020-01-01/things/a/invoke", "max=1", body.into_bytes());
        }

        #[test]
        fn what_is_written_in_json_is_read(name in "\\PC*", size: i32, large: i64, flag: bool, at in 0i64..253_402_300_799_999,
            data in prop::collection::vec(any::<u8>(), 0..40), ratio in prop::num::f64::NORMAL) {
            let members = [("Name", Doc::String(name)), ("Size", Doc::Integer(size.into())), ("Large", Doc::Integer(large)),
                ("Ratio", Doc::Float(ratio)), ("Flag", Doc::Boolean(flag)), ("Data", Doc::Blob(Bytes::from(data))), ("At", Doc::Timestamp(at))];
            let value = crate::fixture::map(members);
            let sent = encode(Protocol::AwsJson11, &MODEL, &OP_PUT_THING, &value, "id");
            let headers = http::HeaderMap::new();
            let request = WireRequest { method: "POST", path: "/", query: "", headers: &headers, body: sent.body };
            prop_assert_eq!(decode(Protocol::AwsJson11, &OP_PUT_THING, &request).unwrap(), value);
        }
    }
}
