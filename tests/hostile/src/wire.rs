//! The codecs, over the interfaces of real services.

use gust_types::AwsError;
use gust_wire::{Bytes, HeaderMap, OperationModel, Protocol, Routed, ServiceModel, WireRequest};
use http::HeaderValue;

/// The operation that the first byte picks, and the rest.
fn pick<'a>(model: &'static ServiceModel, data: &'a [u8]) -> Option<(&'static OperationModel, &'a [u8])> {
    let (first, rest) = data.split_first()?;
    Some((model.operations[usize::from(*first) % model.operations.len()], rest))
}

fn decode(model: &'static ServiceModel, protocol: Protocol, request: &WireRequest<'_>) -> Result<(), AwsError> {
    if let Routed::Operation(operation) = gust_wire::route(model, protocol, request)? {
        decode_as(model, operation, protocol, request)?;
    }
    Ok(())
}

fn decode_as(
    model: &'static ServiceModel,
    operation: &'static OperationModel,
    protocol: Protocol,
    request: &WireRequest<'_>,
) -> Result<(), AwsError> {
    let input = gust_wire::decode(protocol, operation, request)?;
    gust_wire::check_members(operation, &input)?;
    gust_wire::validate(model, operation, &input)
}

/// Whatever comes of it, an error must be one that can be sent.
fn send(model: &'static ServiceModel, protocol: Protocol, outcome: Result<(), AwsError>) {
    if let Err(error) = outcome {
        let response = gust_wire::encode_error(protocol, model, None, &error, "id");
        assert!(response.status >= 400, "{error}");
    }
}

/// A JSON body for an operation of CloudWatch Logs: the first byte picks it.
pub fn aws_json(data: &[u8]) {
    let model = &gust_logs::api::MODEL;
    let Some((operation, body)) = pick(model, data) else { return };
    let mut headers = HeaderMap::new();
    let target = format!("{}.{}", model.target_prefix.unwrap_or_default(), operation.route.name);
    headers.insert("x-amz-target", HeaderValue::try_from(target).expect("names of operations are plain"));
    let request =
        WireRequest { method: "POST", path: "/", query: "", headers: &headers, body: Bytes::copy_from_slice(body) };
    send(model, Protocol::AwsJson11, decode(model, Protocol::AwsJson11, &request));
}

/// A request of Lambda's REST interface: method, path and query on the first line, then the body.
pub fn rest_json(data: &[u8]) {
    let model = &gust_lambda::api::MODEL;
    let split = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, body) = data.split_at(split);
    let Ok(line) = std::str::from_utf8(line) else { return };
    let (method, target) = line.split_once(' ').unwrap_or(("POST", line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = HeaderMap::new();
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    let request = WireRequest { method, path, query, headers: &headers, body };
    send(model, Protocol::RestJson, decode(model, Protocol::RestJson, &request));
}

/// A form for IAM and STS.
pub fn query(data: &[u8]) {
    let headers = HeaderMap::new();
    let body = Bytes::copy_from_slice(data);
    let request = WireRequest { method: "POST", path: "/", query: "", headers: &headers, body };
    for model in [&gust_iam::api::MODEL, &gust_sts::api::MODEL] {
        send(model, Protocol::Query, decode(model, Protocol::Query, &request));
    }
}
