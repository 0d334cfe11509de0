//! Which log group a request means: by name, or by name or ARN.

use crate::error::LogsError;
use crate::model::GroupName;
use gust_kit::Call;
use gust_types::Arn;

/// The group of a request that may name it in either member.
///
/// Errors: both members or none given; an ARN that is none of a log group. A group of another account or
/// region is as good as absent.
pub fn one_of(call: &Call, name: Option<&str>, identifier: Option<&str>) -> Result<GroupName, LogsError> {
    match (name, identifier) {
        (Some(_), Some(_)) => {
            Err(LogsError::Validation("LogGroup name and LogGroup ARN are mutually exclusive parameters.".to_owned()))
        }
        (Some(name), None) => Ok(by_name(call, name)),
        (None, Some(identifier)) => by_identifier(call, identifier),
        (None, None) => {
            // Inferred: AWS's page only says that one of them must be given.
            Err(LogsError::InvalidParameter("Either logGroupName or logGroupIdentifier must be specified.".to_owned()))
        }
    }
}

/// The group of the caller's that has this name.
pub fn by_name(call: &Call, name: &str) -> GroupName {
    GroupName { account: call.account().clone(), region: call.region.clone(), name: name.into() }
}

/// The group of a name or an ARN (with or without `:*`).
pub fn by_identifier(call: &Call, identifier: &str) -> Result<GroupName, LogsError> {
    if identifier.starts_with("arn:") { by_arn(call, identifier) } else { Ok(by_name(call, identifier)) }
}

/// The group of an ARN.
pub fn by_arn(call: &Call, text: &str) -> Result<GroupName, LogsError> {
    // Inferred wording.
    let invalid = || LogsError::InvalidParameter(format!("Invalid log group ARN: {text}"));
    let arn: Arn = text.parse().map_err(|_| invalid())?;
    let name = arn.resource.strip_prefix("log-group:").ok_or_else(invalid)?;
    let name = name.strip_suffix(":*").unwrap_or(name);
    if arn.service != "logs" || name.is_empty() || name.contains(':') {
        return Err(invalid());
    }
    if arn.region != call.region.as_str() || arn.account != call.account().as_str() {
        return Err(LogsError::GroupNotFound);
    }
    Ok(by_name(call, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::call;

    #[test]
    fn names_and_arns_mean_the_same() {
        let call = call();
        let expected = by_name(&call, "/aws/lambda/a");
        for identifier in [
            "/aws/lambda/a",
            "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/a",
            "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/a:*",
        ] {
            assert_eq!(one_of(&call, None, Some(identifier)).unwrap(), expected);
        }
        assert_eq!(one_of(&call, Some("/aws/lambda/a"), None).unwrap(), expected);
    }

    #[test]
    fn both_none_and_wrong_ones_are_refused() {
        let call = call();
        let both = one_of(&call, Some("a"), Some("a")).unwrap_err();
        assert!(matches!(both, LogsError::Validation(_)));
        assert!(matches!(one_of(&call, None, None), Err(LogsError::InvalidParameter(_))));
        for arn in ["arn:aws:logs:us-east-1:000000000000:destination:a", "arn:aws:s3:::a", "arn:x"] {
            assert!(matches!(by_identifier(&call, arn), Err(LogsError::InvalidParameter(_))), "{arn}");
        }
        let foreign = by_identifier(&call, "arn:aws:logs:us-east-1:111111111111:log-group:a");
        assert!(matches!(foreign, Err(LogsError::GroupNotFound)));
    }
}
