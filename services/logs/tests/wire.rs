//! CloudWatch Logs on the wire: its real model through the awsJson codec, bytes in and bytes out.

use gust_logs::api::{self, MODEL, errors};
use gust_wire::{AwsError, Bytes, FromDoc, HeaderMap, IntoDoc, OperationShape, Protocol, Routed, WireRequest};

fn decoded<O: OperationShape>(body: &str) -> Result<O::Input, AwsError> {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", format!("Logs_20140328.{}", O::MODEL.route.name).parse().unwrap());
    let request = WireRequest {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let Routed::Operation(operation) = gust_wire::route(&MODEL, Protocol::AwsJson11, &request)? else {
        panic!("unimplemented")
    };
    let input = gust_wire::decode(Protocol::AwsJson11, operation, &request)?;
    gust_wire::validate(&MODEL, operation, &input)?;
    Ok(O::Input::from_doc(input))
}

fn body<O: OperationShape>(output: O::Output) -> String {
    let response = gust_wire::encode(Protocol::AwsJson11, &MODEL, O::MODEL, &output.into_doc(), "id");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("Content-Type"), Some("application/x-amz-json-1.1"));
    String::from_utf8(response.body.to_vec()).unwrap()
}

#[test]
fn every_pattern_of_the_model_compiles() {
    assert_eq!(gust_wire::broken_patterns(&MODEL), Vec::<String>::new());
}

#[test]
fn put_log_events_is_read_and_answered() {
    let input = decoded::<api::PutLogEvents>(
        r#"{"logGroupName":"/aws/lambda/f","logStreamName":"s","logEvents":[{"timestamp":1700000000123,"message":"é"}]}"#,
    );
    let input = input.unwrap();
    assert_eq!(input.log_events[0], api::InputLogEvent { timestamp: 1_700_000_000_123, message: "é".to_owned() });
    let output = api::PutLogEventsResponse { next_sequence_token: Some("1".to_owned()), ..Default::default() };
    assert_eq!(body::<api::PutLogEvents>(output), r#"{"nextSequenceToken":"1"}"#);
}

#[test]
fn operations_without_output_have_an_empty_body() {
    assert_eq!(body::<api::CreateLogGroup>(Default::default()), "");
}

#[test]
fn events_are_written() {
    let event = api::OutputLogEvent { timestamp: Some(1), message: Some("a\tb".to_owned()), ingestion_time: Some(2) };
    let output = api::GetLogEventsResponse {
        events: Some(vec![event]),
        next_forward_token: Some("f/1".to_owned()),
        ..Default::default()
    };
    assert_eq!(
        body::<api::GetLogEvents>(output),
        r#"{"events":[{"timestamp":1,"message":"a\tb","ingestionTime":2}],"nextForwardToken":"f/1"}"#
    );
}

#[test]
fn broken_constraints_are_invalid_parameters() {
    let error = decoded::<api::CreateLogGroup>(r#"{"logGroupName":"a b"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "InvalidParameterException: 1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
    );
    let error = decoded::<api::CreateLogGroup>(r#"{"logGroupName":7}"#).unwrap_err();
    assert_eq!(error.to_string(), "SerializationException: NUMBER_VALUE can not be converted to a String");
}

#[test]
fn errors_are_written() {
    let error = errors::resource_not_found_exception("The specified log group does not exist.");
    let response = gust_wire::encode_error(Protocol::AwsJson11, &MODEL, Some(api::GetLogEvents::MODEL), &error, "id");
    assert_eq!(response.status, 400);
    assert_eq!(
        response.body,
        r#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}"#
    );
}
