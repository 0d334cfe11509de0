//! Where the records of asynchronous invocations go.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>.

use crate::api::DestinationConfig;
use crate::error::{AttachedError, LambdaError, ParameterError};
use crate::model::FunctionId;
use gust_kit::CommonError;
use gust_kit::ports::{TargetError, TargetKind};
use gust_types::{AccountId, Region};

/// The destinations of a request: for successes, for failures. Empty texts are none.
///
/// Errors: a service that cannot be a destination, the function itself.
pub fn destinations(
    config: &DestinationConfig,
    own: &FunctionId,
) -> Result<(Option<String>, Option<String>), AttachedError> {
    let given = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let on_success = given(config.on_success.as_ref().and_then(|it| it.destination.as_ref()));
    let on_failure = given(config.on_failure.as_ref().and_then(|it| it.destination.as_ref()));
    for arn in [&on_success, &on_failure].into_iter().flatten() {
        if function(arn).is_some_and(|id| id == *own) {
            return Err(AttachedError::DestinationIsItself);
        }
    }
    let is_wrong = |arn: &Option<String>, services: &[&str]| {
        arn.as_ref().is_some_and(|arn| !services.contains(&arn.split(':').nth(2).unwrap_or_default()))
    };
    // Amazon S3 takes failures only.
    let successes = ["lambda", "sns", "sqs", "events"];
    if is_wrong(&on_success, &successes) || is_wrong(&on_failure, &["lambda", "sns", "sqs", "events", "s3"]) {
        let printed = |name: &str, arn: &Option<String>| match arn {
            Some(arn) => format!("{name}(destination={arn})"),
            None => "null".to_owned(),
        };
        return Err(AttachedError::DestinationInvalid {
            on_success: printed("OnSuccess", &on_success),
            on_failure: printed("OnFailure", &on_failure),
        });
    }
    Ok((on_success, on_failure))
}

/// Why a destination is refused. The first two texts are AWS's.
pub fn refusal(error: TargetError, arn: &str, member: &'static str) -> LambdaError {
    match error {
        TargetError::Missing => AttachedError::DestinationMissing { arn: arn.to_owned() }.into(),
        TargetError::NotAllowed { action } => {
            let action = action.rsplit(':').next().unwrap_or(action).to_owned();
            AttachedError::DestinationNotAllowed { action, arn: arn.to_owned() }.into()
        }
        TargetError::Unavailable(cause) => CommonError::Internal(cause).into(),
        other => ParameterError::Unsupported { member, reason: format!("{other}.") }.into(),
    }
}

/// Refuses what cannot be a dead-letter queue: anything but a queue or a topic (inferred wording).
pub fn check_dead_letters(arn: &str) -> Result<TargetKind, ParameterError> {
    match TargetKind::of(arn) {
        Some(kind @ (TargetKind::Queue | TargetKind::Topic)) => Ok(kind),
        _ => Err(ParameterError::DeadLetterTarget { arn: arn.to_owned() }),
    }
}

/// Why a dead-letter queue is refused. The text about permissions is AWS's, the one about what is missing inferred.
pub fn dead_letter_refusal(error: TargetError, arn: &str, kind: TargetKind) -> LambdaError {
    match error {
        TargetError::Missing => ParameterError::DeadLetterMissing { arn: arn.to_owned() }.into(),
        TargetError::NotAllowed { action } => {
            let action = action.rsplit(':').next().unwrap_or(action).to_owned();
            let service = kind.service().to_uppercase();
            ParameterError::DeadLetterNotAllowed { action, service }.into()
        }
        TargetError::Unavailable(cause) => CommonError::Internal(cause).into(),
        other => ParameterError::Unsupported { member: "DeadLetterConfig", reason: format!("{other}.") }.into(),
    }
}

/// The function that an ARN names, with or without a qualifier; `None` for anything else.
pub fn function(arn: &str) -> Option<FunctionId> {
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, "lambda", region, account, "function", name, ..] = parts[..] else { return None };
    Some(FunctionId { account: AccountId::parse(account)?, region: Region::parse(region)?, name: name.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{OnFailure, OnSuccess};
    use crate::tests::function_id;

    fn of(success: Option<&str>, failure: Option<&str>) -> Result<(Option<String>, Option<String>), String> {
        let config = DestinationConfig {
            on_success: Some(OnSuccess { destination: success.map(str::to_owned) }),
            on_failure: failure.map(|arn| OnFailure { destination: Some(arn.to_owned()) }),
        };
        destinations(&config, &function_id("a")).map_err(|error| error.to_string())
    }

    #[test]
    fn queues_topics_buses_and_functions_are_destinations() {
        for arn in [
            "arn:aws:sqs:us-east-1:000000000000:q",
            "arn:aws:sns:us-east-1:000000000000:t",
            "arn:aws:events:us-east-1:000000000000:event-bus/default",
            "arn:aws:lambda:us-east-1:000000000000:function:b",
        ] {
            assert_eq!(of(Some(arn), Some(arn)), Ok((Some(arn.to_owned()), Some(arn.to_owned()))));
        }
        assert_eq!(of(None, Some("arn:aws:s3:::b")), Ok((None, Some("arn:aws:s3:::b".to_owned()))));
        assert_eq!(of(Some(""), None), Ok((None, None)));
    }

    #[test]
    fn others_are_refused_as_aws_words_it() {
        for own in [
            "arn:aws:lambda:us-east-1:000000000000:function:a",
            "arn:aws:lambda:us-east-1:000000000000:function:a:PROD",
        ] {
            assert_eq!(of(None, Some(own)).unwrap_err(), "You can't specify the function as a destination for itself.");
        }
        let expected = "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:s3:::b), onFailure=null) is invalid.";
        assert_eq!(of(Some("arn:aws:s3:::b"), None).unwrap_err(), expected);
        assert!(
            of(None, Some("kafka://topic")).unwrap_err().contains("onFailure=OnFailure(destination=kafka://topic)")
        );
        assert!(of(None, Some("arn:aws:iam::000000000000:role/r")).is_err());
    }
}
