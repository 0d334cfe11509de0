//! What tags a function may have, and which resources have tags.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html>.

use crate::error::{LambdaError, ParameterError, ValidationError};
use crate::limits;
use crate::model::FunctionId;
use crate::rules::name;
use gust_kit::Call;
use std::collections::BTreeMap;

/// The pattern that refusals quote.
const PATTERN: &str = r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|(capacity-provider|network-connector):[a-zA-Z0-9-_]{1,64})";

/// The function whose tags `resource` (an ARN) names.
///
/// Errors: a version or an alias, another account or region, a resource that gust does not have.
pub fn resolve(resource: &str, call: &Call, action: &'static str) -> Result<FunctionId, LambdaError> {
    let arn: gust_types::Arn = resource
        .parse()
        .map_err(|_| ValidationError::TaggableResource { value: resource.to_owned(), pattern: PATTERN })?;
    if !arn.resource.starts_with("function:") {
        let kind = arn.resource.split(':').next().unwrap_or_default();
        let reason = format!("a resource of the kind {kind} does not exist yet.");
        return Err(ParameterError::Unsupported { member: "Resource", reason }.into());
    }
    let reference = name::resolve(resource, None, call, action)?;
    match reference.qualifier {
        Some(_) => Err(ParameterError::TagsOnQualifier.into()),
        None => Ok(reference.id),
    }
}

/// Checks the tags that a function is to have in the end.
///
/// Errors: more than 50, or a key that begins with `aws:`.
pub fn check(tags: &BTreeMap<String, String>) -> Result<(), ParameterError> {
    let reserved = |key: &&String| key.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("aws:"));
    if let Some(key) = tags.keys().find(reserved) {
        return Err(ParameterError::TagKeyReserved { key: key.clone() });
    }
    if tags.len() > limits::TAGS_MAX { Err(ParameterError::TooManyTags) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::call;

    #[test]
    fn fifty_tags_are_the_most() {
        let tags = |count: usize| (0..count).map(|n| (format!("k{n}"), String::new())).collect();
        assert_eq!(check(&tags(0)), Ok(()));
        assert_eq!(check(&tags(50)), Ok(()));
        assert_eq!(check(&tags(51)), Err(ParameterError::TooManyTags));
    }

    #[test]
    fn keys_of_aws_are_refused() {
        for key in ["aws:a", "AWS:a"] {
            assert!(check(&[(key.to_owned(), String::new())].into()).is_err());
        }
        assert_eq!(check(&[("awsome".to_owned(), String::new()), ("é".to_owned(), String::new())].into()), Ok(()));
    }

    #[test]
    fn only_whole_functions_have_tags() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:a";
        assert_eq!(resolve(arn, &call(), "TagResource").unwrap().name.as_ref(), "a");
        for qualifier in ["$LATEST", "1", "PROD"] {
            let error = resolve(&format!("{arn}:{qualifier}"), &call(), "TagResource").unwrap_err().to_string();
            assert_eq!(
                error,
                "Tags on function aliases and versions are not supported. Please specify a function ARN."
            );
        }
        let other = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000";
        assert!(resolve(other, &call(), "TagResource").unwrap_err().to_string().contains("code-signing-config"));
        assert!(resolve("a", &call(), "TagResource").is_err());
    }
}
