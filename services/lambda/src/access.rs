//! What the caller of each operation must be allowed, on which resource, under which condition keys.
//!
//! Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html>. A request that
//! names a version or an alias is about the qualified ARN
//! (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html>).
//! Deviation: `lambda:FunctionUrlAuthType` is known where the request says it, not for a URL that exists already.

use crate::Lambda;
use crate::error::LambdaError;
use crate::model::{FunctionId, Qualifier};
use crate::rules::{layer, name, policy};
use gust_kit::{Call, Need, PolicyUse, ResourceFacts, request_tags};
use gust_types::{AccountId, Arn, Doc, Region};

/// How many layers of a request are looked at: one more than a function may have, which the operation refuses.
const LAYERS_MAX: usize = 6;

/// Everything that `operation` with `input` needs.
pub fn needs(operation: &str, input: &Doc, call: &Call) -> Result<Vec<Need>, LambdaError> {
    let resource = resource(operation, input, call)?;
    let policy_use = if resource == "*" { PolicyUse::None } else { PolicyUse::Grants };
    let main = Need::new(format!("lambda:{}", action(operation)), resource.clone()).with_policy(policy_use);
    let tags = request_tags(input, "Tags");
    let mut needs = vec![with_keys(main, input).with_request_tags(tags.iter().copied())];
    if operation == "CreateFunction" && !tags.is_empty() {
        needs.push(Need::new("lambda:TagResource", resource.clone()).with_request_tags(tags));
    }
    if let Some(role) = text(input, "Role") {
        let pass = Need::new("iam:PassRole", role).with("iam:AssociatedResourceArn", vec![resource]);
        needs.push(pass.with("iam:PassedToService", vec!["lambda.amazonaws.com".to_owned()]));
    }
    let layer = |arn: &String| Need::new("lambda:GetLayerVersion", arn).with_policy(PolicyUse::Grants);
    needs.extend(texts(input, "Layers").iter().take(LAYERS_MAX).map(layer));
    Ok(needs)
}

/// The action of an operation: mostly its own name.
fn action(operation: &str) -> &str {
    match operation {
        "Invoke" | "InvokeAsync" | "InvokeWithResponseStream" => "InvokeFunction",
        "GetLayerVersionByArn" => "GetLayerVersion",
        other => other,
    }
}

fn resource(operation: &str, input: &Doc, call: &Call) -> Result<String, LambdaError> {
    if let Some(function) = text(input, "FunctionName") {
        return name::arn(function, text(input, "Qualifier"), call);
    }
    if let Some(resource) = text(input, "Resource").or_else(|| text(input, "Arn")) {
        return Ok(resource.to_owned());
    }
    let has_resource = !matches!(operation, "ListLayers" | "ListLayerVersions");
    match text(input, "LayerName").filter(|_| has_resource) {
        Some(layer) => {
            let layer = match layer.starts_with("arn:") {
                true => layer.to_owned(),
                false => Arn::new("lambda", &call.region, call.account(), format!("layer:{layer}")).to_string(),
            };
            let version = input.get("VersionNumber").and_then(Doc::as_i64);
            Ok(version.map_or_else(|| layer.clone(), |version| format!("{layer}:{version}")))
        }
        None => Ok("*".to_owned()),
    }
}

fn with_keys(mut need: Need, input: &Doc) -> Need {
    for (member, key) in [
        ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
        ("AuthType", "lambda:FunctionUrlAuthType"),
        ("Principal", "lambda:Principal"),
    ] {
        if let Some(value) = text(input, member) {
            need = need.with(key, vec![value.to_owned()]);
        }
    }
    let vpc = input.get("VpcConfig").unwrap_or(&Doc::Null);
    for (values, key) in [
        (texts(input, "Layers"), "lambda:Layer"),
        (texts(vpc, "SubnetIds"), "lambda:SubnetIds"),
        (texts(vpc, "SecurityGroupIds"), "lambda:SecurityGroupIds"),
        (texts(input, "TagKeys"), "aws:TagKeys"),
    ] {
        if !values.is_empty() {
            need = need.with(key, values);
        }
    }
    need
}

fn text<'a>(input: &'a Doc, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Doc::as_str)
}

fn texts(input: &Doc, member: &str) -> Vec<String> {
    match input.get(member) {
        Some(Doc::List(values)) => values.iter().filter_map(Doc::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The function, version or alias of an ARN; `None` for any other.
pub(crate) fn function_of(resource: &str) -> Option<(FunctionId, Option<Qualifier>)> {
    let arn: Arn = resource.parse().ok()?;
    let mut parts = arn.resource.strip_prefix("function:")?.splitn(2, ':');
    let (name, qualifier) = (parts.next()?, parts.next());
    let id =
        FunctionId { account: AccountId::parse(&arn.account)?, region: Region::parse(&arn.region)?, name: name.into() };
    Some((id, qualifier.map(Qualifier::parse)))
}

impl Lambda {
    /// Policy and tags of a function, policy of a version of a layer.
    pub(crate) async fn facts_of(&self, resource: &str) -> Result<ResourceFacts, LambdaError> {
        if let Some((id, qualifier)) = function_of(resource) {
            let policy = self.catalog.resource_policy(&id, qualifier.as_ref()).await?;
            let tags = self.catalog.read(&id).await?.map(|record| record.tags).unwrap_or_default();
            return Ok(ResourceFacts { policy, tags: tags.into_iter().collect() });
        }
        let Some((id, version)) = layer::parse_version(resource) else { return Ok(ResourceFacts::default()) };
        let found = self.layer_version(&id, version).await?.filter(|version| !version.statements.is_empty());
        let policy = found.map(|version| policy::text(&version.statements));
        Ok(ResourceFacts { policy, tags: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AddPermission, AddPermissionRequest, CreateFunction, CreateFunctionRequest};
    use crate::tests::{Bed, call, create_request};

    const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

    fn doc(members: &[(&str, Doc)]) -> Doc {
        Doc::Map(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    fn string(text: &str) -> Doc {
        Doc::String(text.to_owned())
    }

    fn shown(operation: &str, members: &[(&str, Doc)]) -> Vec<String> {
        let needs = needs(operation, &doc(members), &call()).unwrap();
        needs.iter().map(|need| format!("{} {}", need.action, need.resource)).collect()
    }

    #[test]
    fn operations_need_their_action_on_what_they_name() {
        let f = ("FunctionName", string("f"));
        let layer = ("LayerName", string("l"));
        for (operation, members, expected) in [
            ("ListFunctions", vec![], "lambda:ListFunctions *"),
            ("GetFunction", vec![f.clone()], &format!("lambda:GetFunction {FUNCTION}")),
            ("Invoke", vec![f.clone()], &format!("lambda:InvokeFunction {FUNCTION}")),
            ("InvokeAsync", vec![f.clone()], &format!("lambda:InvokeFunction {FUNCTION}")),
            ("InvokeWithResponseStream", vec![f.clone()], &format!("lambda:InvokeFunction {FUNCTION}")),
            (
                "Invoke",
                vec![f.clone(), ("Qualifier", string("PROD"))],
                &format!("lambda:InvokeFunction {FUNCTION}:PROD"),
            ),
            ("Invoke", vec![("FunctionName", string("f:2"))], &format!("lambda:InvokeFunction {FUNCTION}:2")),
            (
                "Invoke",
                vec![("FunctionName", string("arn:aws:lambda:us-east-1:111111111111:function:f"))],
                "lambda:InvokeFunction arn:aws:lambda:us-east-1:111111111111:function:f",
            ),
            ("TagResource", vec![("Resource", string(FUNCTION))], &format!("lambda:TagResource {FUNCTION}")),
            ("ListLayers", vec![], "lambda:ListLayers *"),
            ("ListLayerVersions", vec![layer.clone()], "lambda:ListLayerVersions *"),
            (
                "PublishLayerVersion",
                vec![layer.clone()],
                "lambda:PublishLayerVersion arn:aws:lambda:us-east-1:000000000000:layer:l",
            ),
            (
                "DeleteLayerVersion",
                vec![layer, ("VersionNumber", Doc::Integer(3))],
                "lambda:DeleteLayerVersion arn:aws:lambda:us-east-1:000000000000:layer:l:3",
            ),
            ("GetLayerVersionByArn", vec![("Arn", string("arn:x"))], "lambda:GetLayerVersion arn:x"),
        ] {
            assert_eq!(shown(operation, &members), [expected], "{operation}");
        }
        assert!(needs("Invoke", &doc(&[("FunctionName", string("a b"))]), &call()).is_err());
    }

    #[test]
    fn a_function_needs_its_role_its_layers_and_its_tags() {
        let role = "arn:aws:iam::000000000000:role/r";
        let layer = "arn:aws:lambda:us-east-1:000000000000:layer:l:1";
        let members = [
            ("FunctionName", string("f")),
            ("Role", string(role)),
            ("Layers", Doc::List(vec![string(layer)])),
            ("Tags", doc(&[("team", string("blue"))])),
        ];
        let expected = [
            format!("lambda:CreateFunction {FUNCTION}"),
            format!("lambda:TagResource {FUNCTION}"),
            format!("iam:PassRole {role}"),
            format!("lambda:GetLayerVersion {layer}"),
        ];
        assert_eq!(shown("CreateFunction", &members), expected);
        let needs = needs("CreateFunction", &doc(&members), &call()).unwrap();
        let keys: Vec<String> = needs
            .iter()
            .flat_map(|need| &need.context)
            .map(|(key, values)| format!("{key}={}", values.join(",")))
            .collect();
        for key in [
            format!("lambda:Layer={layer}"),
            "aws:RequestTag/team=blue".to_owned(),
            "aws:TagKeys=team".to_owned(),
            "iam:PassedToService=lambda.amazonaws.com".to_owned(),
        ] {
            assert!(keys.contains(&key), "{key}: {keys:?}");
        }
    }

    #[test]
    fn further_keys_come_from_the_request() {
        let members = [
            ("FunctionName", string("f")),
            ("Principal", string("s3.amazonaws.com")),
            ("FunctionUrlAuthType", string("NONE")),
        ];
        let context = needs("AddPermission", &doc(&members), &call()).unwrap().remove(0).context;
        assert!(context.contains(&("lambda:Principal".to_owned(), vec!["s3.amazonaws.com".to_owned()])));
        assert!(context.contains(&("lambda:FunctionUrlAuthType".to_owned(), vec!["NONE".to_owned()])));
        let keys = [("Resource", string(FUNCTION)), ("TagKeys", Doc::List(vec![string("a"), string("b")]))];
        let context = needs("UntagResource", &doc(&keys), &call()).unwrap().remove(0).context;
        assert_eq!(context, [("aws:TagKeys".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    }

    #[tokio::test]
    async fn the_policies_of_functions_are_known_by_their_qualifier() {
        let bed = Bed::new().await;
        bed.create_active("f").await;
        let request = AddPermissionRequest {
            function_name: "f".to_owned(),
            statement_id: "s3".to_owned(),
            action: "lambda:InvokeFunction".to_owned(),
            principal: "s3.amazonaws.com".to_owned(),
            ..AddPermissionRequest::default()
        };
        bed.run::<AddPermission>(request).await.unwrap();
        let policy = bed.lambda.facts_of(FUNCTION).await.unwrap().policy.unwrap();
        gust_policy::Policy::parse(&policy, gust_policy::Kind::Resource).unwrap();
        assert_eq!(bed.lambda.facts_of(&format!("{FUNCTION}:1")).await.unwrap().policy, None);
    }

    #[tokio::test]
    async fn the_tags_of_functions_are_known() {
        let bed = Bed::new().await;
        let tags = [("team".to_owned(), "blue".to_owned())];
        let request = CreateFunctionRequest { tags: Some(tags.clone().into_iter().collect()), ..create_request("f") };
        bed.run::<CreateFunction>(request).await.unwrap();
        assert_eq!(bed.lambda.facts_of(FUNCTION).await.unwrap().tags, tags);
        for resource in ["arn:aws:iam::000000000000:role/r", "*", "arn:aws:lambda:us-east-1:000000000000:function:g"] {
            assert_eq!(bed.lambda.facts_of(resource).await.unwrap(), ResourceFacts::default(), "{resource}");
        }
    }
}
