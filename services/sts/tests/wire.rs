//! STS on the wire: its real model through the query codec, bytes in and bytes out.

use gust_sts::api::{self, MODEL, errors};
use gust_wire::{AwsError, Bytes, FromDoc, HeaderMap, IntoDoc, OperationShape, Protocol, Routed, WireRequest};

fn decoded<O: OperationShape>(form: &str) -> Result<O::Input, AwsError> {
    let headers = HeaderMap::new();
    let body = format!("Action={}&Version={}&{form}", O::MODEL.route.name, MODEL.api_version);
    let request = WireRequest { method: "POST", path: "/", query: "", headers: &headers, body: Bytes::from(body) };
    let Routed::Operation(operation) = gust_wire::route(&MODEL, Protocol::Query, &request)? else {
        panic!("unimplemented")
    };
    let input = gust_wire::decode(Protocol::Query, operation, &request)?;
    gust_wire::validate(&MODEL, operation, &input)?;
    Ok(O::Input::from_doc(input))
}

fn body<O: OperationShape>(output: O::Output) -> String {
    let response = gust_wire::encode(Protocol::Query, &MODEL, O::MODEL, &output.into_doc(), "id");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/xml")));
    String::from_utf8(response.body.to_vec()).unwrap()
}

#[test]
fn every_pattern_of_the_model_compiles() {
    assert_eq!(gust_wire::broken_patterns(&MODEL), Vec::<String>::new());
}

#[test]
fn get_caller_identity_is_read_and_written() {
    assert_eq!(decoded::<api::GetCallerIdentity>("").unwrap(), api::GetCallerIdentityRequest {});
    let output = api::GetCallerIdentityResponse {
        user_id: Some("AIDA".to_owned()),
        account: Some("000000000000".to_owned()),
        arn: Some("arn:aws:iam::000000000000:root".to_owned()),
    };
    assert_eq!(
        body::<api::GetCallerIdentity>(output),
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <UserId>AIDA</UserId><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
}

#[test]
fn errors_have_the_models_code_and_status() {
    let error = errors::malformed_policy_document_exception("Syntax errors in policy.");
    let response = gust_wire::encode_error(Protocol::Query, &MODEL, Some(api::AssumeRole::MODEL), &error, "id");
    let text = String::from_utf8_lossy(&response.body);
    assert!(response.status == 400 && text.contains("<Code>MalformedPolicyDocument</Code>"), "{text}");
    assert_eq!(decoded::<api::AssumeRole>("DurationSeconds=x").unwrap_err().code, "MalformedInput");
}
