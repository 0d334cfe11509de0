//! What the caller of each operation must be allowed, and on which resource.
//!
//! A log group is asked for as `log-group:NAME:log-stream:` and a stream as `log-group:NAME:log-stream:STREAM`, as AWS's
//! refusals show them; a policy's `log-group:NAME:*` covers both. Only tags are asked for by the bare ARN of the group.
//!
//! Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html>

use gust_kit::{Call, Need, request_tags};
use gust_types::{Arn, Doc};

/// Everything that `operation` with `input` needs.
pub fn needs(operation: &str, input: &Doc, call: &Call) -> Vec<Need> {
    let resource = resource(input, call);
    let tags = request_tags(input, "tags");
    let mut main = Need::new(format!("logs:{operation}"), resource.clone()).with_request_tags(tags.iter().copied());
    if let Some(Doc::List(keys)) = input.get("tagKeys") {
        main = main.with("aws:TagKeys", keys.iter().filter_map(Doc::as_str).map(str::to_owned).collect());
    }
    let mut needs = vec![main];
    if operation == "CreateLogGroup" && !tags.is_empty() {
        needs.push(Need::new("logs:TagResource", resource).with_request_tags(tags));
    }
    needs
}

fn resource(input: &Doc, call: &Call) -> String {
    let text = |member: &str| input.get(member).and_then(Doc::as_str);
    if let Some(arn) = text("resourceArn") {
        return arn.to_owned();
    }
    let group = match text("logGroupName").or_else(|| text("logGroupIdentifier")) {
        Some(arn) if arn.starts_with("arn:") => arn.strip_suffix(":*").unwrap_or(arn).to_owned(),
        name => {
            let resource = format!("log-group:{}", name.unwrap_or_default());
            Arn::new("logs", &call.region, call.account(), resource).to_string()
        }
    };
    format!("{group}:log-stream:{}", text("logStreamName").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::call;

    const GROUP: &str = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f";

    fn shown(operation: &str, members: &[(&str, &str)]) -> Vec<String> {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), Doc::String((*value).to_owned()));
        let needs = needs(operation, &Doc::Map(members.iter().map(text).collect()), &call());
        needs.iter().map(|need| format!("{} {}", need.action, need.resource)).collect()
    }

    #[test]
    fn groups_and_streams_are_asked_for_as_aws_does() {
        let (group, stream) = (("logGroupName", "/aws/lambda/f"), ("logStreamName", "a"));
        for (operation, members, expected) in [
            ("CreateLogGroup", vec![group], format!("logs:CreateLogGroup {GROUP}:log-stream:")),
            ("CreateLogStream", vec![group, stream], format!("logs:CreateLogStream {GROUP}:log-stream:a")),
            ("PutLogEvents", vec![group, stream], format!("logs:PutLogEvents {GROUP}:log-stream:a")),
            (
                "FilterLogEvents",
                vec![("logGroupIdentifier", GROUP)],
                format!("logs:FilterLogEvents {GROUP}:log-stream:"),
            ),
            ("TagResource", vec![("resourceArn", GROUP)], format!("logs:TagResource {GROUP}")),
            (
                "DescribeLogGroups",
                vec![],
                "logs:DescribeLogGroups arn:aws:logs:us-east-1:000000000000:log-group::log-stream:".to_owned(),
            ),
        ] {
            assert_eq!(shown(operation, &members), [expected]);
        }
        let starred = format!("{GROUP}:*");
        assert_eq!(
            shown("DescribeLogStreams", &[("logGroupIdentifier", &starred)]),
            [format!("logs:DescribeLogStreams {GROUP}:log-stream:")]
        );
    }

    #[test]
    fn tags_given_at_creation_need_their_own_permission() {
        let tags = Doc::Map(vec![("team".to_owned(), Doc::String("blue".to_owned()))]);
        let input = Doc::Map(vec![("logGroupName".to_owned(), Doc::String("g".to_owned())), ("tags".to_owned(), tags)]);
        let needs = needs("CreateLogGroup", &input, &call());
        let actions: Vec<&str> = needs.iter().map(|need| need.action.as_str()).collect();
        assert_eq!(actions, ["logs:CreateLogGroup", "logs:TagResource"]);
        assert_eq!(needs[1].context[0], ("aws:RequestTag/team".to_owned(), vec!["blue".to_owned()]));
    }
}
