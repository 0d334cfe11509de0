//! IAM on the wire: its real model through the query codec, bytes in and bytes out.

use gust_iam::api::{self, MODEL, errors};
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
fn create_role_is_read() {
    let form = "RoleName=r&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%7D&Tags.member.1.Key=a&Tags.member.1.Value=b+c&MaxSessionDuration=3600";
    let input = decoded::<api::CreateRole>(form).unwrap();
    assert_eq!((input.role_name.as_str(), input.max_session_duration), ("r", Some(3600)));
    assert_eq!(input.assume_role_policy_document, "{\"Version\":\"2012-10-17\"}");
    assert_eq!(input.tags, Some(vec![api::Tag { key: "a".to_owned(), value: "b c".to_owned() }]));
}

#[test]
fn a_role_is_written() {
    let role = api::Role {
        path: "/".to_owned(),
        role_name: "r".to_owned(),
        role_id: "AROA1".to_owned(),
        arn: "arn:aws:iam::000000000000:role/r".to_owned(),
        create_date: 1_480_000_000_000,
        ..Default::default()
    };
    assert_eq!(
        body::<api::GetRole>(api::GetRoleResponse { role }),
        "<GetRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetRoleResult><Role><Path>/</Path><RoleName>r</RoleName>\
         <RoleId>AROA1</RoleId><Arn>arn:aws:iam::000000000000:role/r</Arn><CreateDate>2016-11-24T15:06:40Z</CreateDate></Role>\
         </GetRoleResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetRoleResponse>"
    );
    assert_eq!(
        body::<api::DeleteRole>(Default::default()),
        "<DeleteRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata><RequestId>id</RequestId>\
         </ResponseMetadata></DeleteRoleResponse>"
    );
}

#[test]
fn errors_have_the_models_code_and_status() {
    let error = errors::no_such_entity_exception("The role with name r cannot be found.");
    let response = gust_wire::encode_error(Protocol::Query, &MODEL, Some(api::GetRole::MODEL), &error, "id");
    assert_eq!(response.status, 404);
    assert_eq!(
        response.body,
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>\
         <Message>The role with name r cannot be found.</Message></Error><RequestId>id</RequestId></ErrorResponse>"
    );
    assert_eq!(decoded::<api::GetRole>("").unwrap_err().code, "ValidationError");
}
