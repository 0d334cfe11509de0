//! From AddPermission to a statement.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html>.

use crate::api::AddPermissionRequest;
use crate::error::AttachedError;
use crate::rules::policy::{self, Condition, Statement};

/// The statement that a request adds to the policy of `resource`.
///
/// Errors: the principal is none, a condition does not fit the action.
pub fn statement(input: &AddPermissionRequest, resource: String, partition: &str) -> Result<Statement, AttachedError> {
    let action = input.action.as_str();
    if input.function_url_auth_type.is_some() && action != "lambda:InvokeFunctionUrl" {
        return Err(AttachedError::UrlAuthTypeWithoutUrl);
    }
    if input.invoked_via_function_url.is_some() && action != "lambda:InvokeFunction" {
        return Err(AttachedError::ViaUrlWithoutInvoke);
    }
    let given = |key: &str, value: Option<&str>| value.map(|value| (key.to_owned(), value.to_owned()));
    let auth_type = input.function_url_auth_type.map(|it| it.as_str());
    let via_url = input.invoked_via_function_url.map(|it| if it { "true" } else { "false" });
    let condition = Condition {
        string_equals: [
            given("lambda:FunctionUrlAuthType", auth_type),
            given("aws:PrincipalOrgID", input.principal_org_id.as_deref()),
            given("AWS:SourceAccount", input.source_account.as_deref()),
            given("lambda:EventSourceToken", input.event_source_token.as_deref()),
        ]
        .into_iter()
        .flatten()
        .collect(),
        truth: given("lambda:InvokedViaFunctionUrl", via_url).into_iter().collect(),
        arn_like: given("AWS:SourceArn", input.source_arn.as_deref()).into_iter().collect(),
    };
    Ok(Statement {
        sid: input.statement_id.clone(),
        effect: "Allow".to_owned(),
        principal: policy::principal(&input.principal, partition)?,
        action: input.action.clone(),
        resource,
        condition: condition.if_any(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::FunctionUrlAuthType;

    fn request(action: &str, principal: &str) -> AddPermissionRequest {
        AddPermissionRequest {
            function_name: "a".into(),
            statement_id: "s".into(),
            action: action.into(),
            principal: principal.into(),
            ..Default::default()
        }
    }

    fn condition(input: &AddPermissionRequest) -> String {
        serde_json::to_string(&statement(input, "arn".into(), "aws").unwrap().condition).unwrap()
    }

    #[test]
    fn every_member_becomes_a_condition() {
        let input = AddPermissionRequest {
            source_arn: Some("arn:aws:s3:::b".into()),
            source_account: Some("111111111111".into()),
            principal_org_id: Some("o-a1b2c3d4e5f".into()),
            event_source_token: Some("token".into()),
            ..request("lambda:InvokeFunction", "s3.amazonaws.com")
        };
        assert_eq!(
            condition(&input),
            r#"{"StringEquals":{"AWS:SourceAccount":"111111111111","aws:PrincipalOrgID":"o-a1b2c3d4e5f","lambda:EventSourceToken":"token"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"}}"#
        );
        let url = AddPermissionRequest {
            function_url_auth_type: Some(FunctionUrlAuthType::None),
            ..request("lambda:InvokeFunctionUrl", "*")
        };
        assert_eq!(condition(&url), r#"{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}"#);
        let via =
            AddPermissionRequest { invoked_via_function_url: Some(true), ..request("lambda:InvokeFunction", "*") };
        assert_eq!(condition(&via), r#"{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}"#);
        assert_eq!(condition(&request("lambda:InvokeFunction", "*")), "null");
    }

    #[test]
    fn conditions_for_urls_fit_their_action_only() {
        let url = AddPermissionRequest {
            function_url_auth_type: Some(FunctionUrlAuthType::None),
            ..request("lambda:InvokeFunction", "*")
        };
        assert_eq!(statement(&url, String::new(), "aws"), Err(AttachedError::UrlAuthTypeWithoutUrl));
        let via =
            AddPermissionRequest { invoked_via_function_url: Some(true), ..request("lambda:InvokeFunctionUrl", "*") };
        assert_eq!(statement(&via, String::new(), "aws"), Err(AttachedError::ViaUrlWithoutInvoke));
        assert_eq!(
            statement(&request("lambda:InvokeFunction", "nobody"), String::new(), "aws"),
            Err(AttachedError::PrincipalInvalid)
        );
    }
}
