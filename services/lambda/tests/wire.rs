//! Lambda on the wire: its real model through the restJson codec, bytes in and bytes out.

use gust_lambda::api::{self, MODEL, errors};
use gust_wire::{
    AwsError, Bytes, FromDoc, HeaderMap, IntoDoc, OperationModel, OperationShape, Protocol, Routed, WireRequest,
    WireResponse,
};

fn decoded<O: OperationShape>(
    method: &str,
    target: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Result<O::Input, AwsError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let request = WireRequest { method, path, query, headers: &map, body: Bytes::copy_from_slice(body.as_bytes()) };
    let Routed::Operation(operation) = gust_wire::route(&MODEL, Protocol::RestJson, &request)? else {
        panic!("unimplemented")
    };
    assert_eq!(operation.route.name, O::MODEL.route.name);
    let input = gust_wire::decode(Protocol::RestJson, operation, &request)?;
    gust_wire::validate(&MODEL, operation, &input)?;
    Ok(O::Input::from_doc(input))
}

fn encoded<O: OperationShape>(output: O::Output) -> WireResponse {
    gust_wire::encode(Protocol::RestJson, &MODEL, O::MODEL, &output.into_doc(), "id")
}

fn failed(operation: &OperationModel, error: &AwsError) -> WireResponse {
    gust_wire::encode_error(Protocol::RestJson, &MODEL, Some(operation), error, "id")
}

fn shown(response: &WireResponse) -> String {
    let headers: String = response.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{}\n{headers}\n{}", response.status, String::from_utf8_lossy(&response.body))
}

#[test]
fn every_pattern_of_the_model_compiles() {
    assert_eq!(gust_wire::broken_patterns(&MODEL), Vec::<String>::new());
}

#[test]
fn create_function_is_read() {
    let body = r#"{"FunctionName":"thumbnails","Runtime":"python3.12","Role":"arn:aws:iam::000000000000:role/r","Handler":"a.b.handler",
        "Code":{"ZipFile":"UEs="},"Timeout":30,"Environment":{"Variables":{"STAGE":"dev"}},"Architectures":["arm64"],"Publish":true}"#;
    // The Rust SDK sends no trailing slash, botocore sends one.
    for target in ["/2015-03-31/functions", "/2015-03-31/functions/"] {
        let input = decoded::<api::CreateFunction>("POST", target, &[], body).unwrap();
        assert_eq!(input.function_name, "thumbnails");
        assert_eq!(input.runtime, Some(api::Runtime::Python3_12));
        assert_eq!(input.code.zip_file.as_deref(), Some(&b"PK"[..]));
        assert_eq!(input.timeout, Some(30));
        assert_eq!(input.environment.unwrap().variables.unwrap()["STAGE"], "dev");
        assert_eq!(input.architectures, Some(vec![api::Architecture::Arm64]));
        assert_eq!((input.publish, input.description), (Some(true), None));
    }
}

#[test]
fn broken_constraints_are_reported_in_lambdas_words() {
    let long = "a".repeat(300);
    let error = decoded::<api::GetFunction>("GET", &format!("/2015-03-31/functions/{long}"), &[], "").unwrap_err();
    assert_eq!(error.code, "ValidationException");
    assert!(error.message.contains(&format!("Value '{long}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to ")), "{}", error.message);
    let error = decoded::<api::CreateFunction>("POST", "/2015-03-31/functions", &[], "{}").unwrap_err();
    assert_eq!(
        error.message,
        "3 validation errors detected: \
         Value null at 'functionName' failed to satisfy constraint: Member must not be null; \
         Value null at 'role' failed to satisfy constraint: Member must not be null; \
         Value null at 'code' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn invoke_is_read() {
    let target = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations?Qualifier=%24LATEST";
    let headers = [("x-amz-invocation-type", "Event"), ("x-amz-log-type", "Tail"), ("x-amz-client-context", "e30=")];
    let input = decoded::<api::Invoke>("POST", target, &headers, "{\"a\":1}").unwrap();
    assert_eq!(input.function_name, "arn:aws:lambda:us-east-1:000000000000:function:f");
    assert_eq!(input.invocation_type, Some(api::InvocationType::Event));
    assert_eq!(input.log_type, Some(api::LogType::Tail));
    assert_eq!(input.client_context.as_deref(), Some("e30="));
    assert_eq!(input.qualifier.as_deref(), Some("$LATEST"));
    assert_eq!(input.payload.as_deref(), Some(&b"{\"a\":1}"[..]));
}

#[test]
fn invoke_is_answered() {
    let output = api::InvocationResponse {
        status_code: Some(200),
        function_error: Some("Unhandled".to_owned()),
        log_result: Some("TE9H".to_owned()),
        payload: Some(Bytes::from_static(b"{}")),
        executed_version: Some("$LATEST".to_owned()),
        ..Default::default()
    };
    assert_eq!(
        shown(&encoded::<api::Invoke>(output)),
        "200\nx-amzn-requestid: id\ncontent-type: application/json\nX-Amz-Function-Error: Unhandled\nX-Amz-Log-Result: TE9H\n\
         X-Amz-Executed-Version: $LATEST\n\n{}"
    );
    let output = api::InvocationResponse { status_code: Some(204), ..Default::default() };
    assert_eq!(shown(&encoded::<api::Invoke>(output)), "204\nx-amzn-requestid: id\n\n");
}

#[test]
fn tags_travel_in_path_query_and_body() {
    let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af";
    let input =
        decoded::<api::UntagResource>("DELETE", &format!("/2017-03-31/tags/{arn}?tagKeys=a&tagKeys=b%20c"), &[], "")
            .unwrap();
    assert_eq!(input.tag_keys, ["a", "b c"]);
    let input =
        decoded::<api::TagResource>("POST", &format!("/2017-03-31/tags/{arn}"), &[], r#"{"Tags":{"a":"1"}}"#).unwrap();
    assert_eq!(input.tags["a"], "1");
    assert_eq!(shown(&encoded::<api::TagResource>(Default::default())), "204\nx-amzn-requestid: id\n\n");
}

#[test]
fn errors_carry_the_members_of_their_shapes() {
    let error =
        errors::resource_not_found_exception("Function not found: arn:aws:lambda:us-east-1:000000000000:function:f");
    assert_eq!(
        shown(&failed(api::GetFunction::MODEL, &error)),
        "404\nx-amzn-requestid: id\ncontent-type: application/json\nx-amzn-errortype: ResourceNotFoundException\n\n\
         {\"Type\":\"User\",\"Message\":\"Function not found: arn:aws:lambda:us-east-1:000000000000:function:f\"}"
    );
    let error = errors::too_many_requests_exception("Rate Exceeded.")
        .with_field("Reason", "ConcurrentInvocationLimitExceeded")
        .with_field("retryAfterSeconds", "1");
    assert_eq!(
        shown(&failed(api::Invoke::MODEL, &error)),
        "429\nx-amzn-requestid: id\ncontent-type: application/json\nx-amzn-errortype: TooManyRequestsException\nRetry-After: 1\n\n\
         {\"Type\":\"User\",\"message\":\"Rate Exceeded.\",\"Reason\":\"ConcurrentInvocationLimitExceeded\"}"
    );
}

#[test]
fn what_is_missing_is_named() {
    let headers = HeaderMap::new();
    let request = WireRequest {
        method: "GET",
        path: "/2020-04-22/code-signing-configs",
        query: "",
        headers: &headers,
        body: Bytes::new(),
    };
    let found = gust_wire::route(&MODEL, Protocol::RestJson, &request).unwrap();
    assert!(matches!(found, Routed::Unimplemented("ListCodeSigningConfigs")), "{found:?}");
}
