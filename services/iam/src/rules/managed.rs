//! The managed policies that AWS has. They can be attached; what they permit is not evaluated yet.
//!
//! Source: <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html>; names only,
//! as of November 2026, sorted by path and name.

use crate::error::IamError;

const NAMES: &str = include_str!("managed_policies.txt");
const PREFIX: &str = "arn:aws:iam::aws:policy/";
/// The path of policies that only AWS's own services may attach.
const SERVICE_ROLE_PATH: &str = "aws-service-role/";

/// Checks that a policy exists and may be attached to a customer's role.
pub fn check_attachable(arn: &str) -> Result<(), IamError> {
    check_arn(arn)?;
    let name = existing(arn).ok_or_else(|| IamError::PolicyDoesNotExist(arn.to_owned()))?;
    if name.starts_with(SERVICE_ROLE_PATH) { Err(IamError::ServiceRolePolicy) } else { Ok(()) }
}

/// Checks that a policy may be a permissions boundary.
pub fn check_boundary(arn: &str) -> Result<(), IamError> {
    check_arn(arn)?;
    existing(arn).map(|_| ()).ok_or_else(|| IamError::BoundaryDoesNotExist(arn.to_owned()))
}

/// Checks that a text is the ARN of a policy.
pub fn check_arn(arn: &str) -> Result<(), IamError> {
    let parsed = arn.parse::<gust_types::Arn>().ok();
    let is_policy = |arn: gust_types::Arn| arn.service == "iam" && arn.resource.starts_with("policy/");
    if parsed.is_some_and(is_policy) { Ok(()) } else { Err(IamError::InvalidInput(format!("ARN {arn} is not valid."))) }
}

/// What a policy of AWS's says; `None` if gust does not know.
pub fn document(arn: &str) -> Option<&'static str> {
    match existing(arn)? {
        "AdministratorAccess" => {
            Some(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#)
        }
        _ => None,
    }
}

/// Path and name of an ARN of AWS's, if there is such a policy.
fn existing(arn: &str) -> Option<&'static str> {
    let wanted = arn.strip_prefix(PREFIX)?;
    NAMES.lines().find(|name| *name == wanted)
}

/// Path (with its slashes) and name of a policy's ARN.
pub fn path_and_name(arn: &str) -> (String, &str) {
    let resource = arn.split_once(":policy/").map_or(arn, |(_, resource)| resource);
    match resource.rsplit_once('/') {
        Some((path, name)) => (format!("/{path}/"), name),
        None => ("/".to_owned(), resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_policies_exist() {
        for name in [
            "AdministratorAccess",
            "PowerUserAccess",
            "ReadOnlyAccess",
            "AmazonS3FullAccess",
            "AWSLambda_FullAccess",
            "AWSXRayDaemonWriteAccess",
            "service-role/AWSLambdaBasicExecutionRole",
            "service-role/AWSLambdaVPCAccessExecutionRole",
            "service-role/AWSLambdaSQSQueueExecutionRole",
            "service-role/AWSLambdaDynamoDBExecutionRole",
            "service-role/AWSLambdaKinesisExecutionRole",
            "job-function/ViewOnlyAccess",
        ] {
            check_attachable(&format!("{PREFIX}{name}")).unwrap();
        }
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let names: Vec<&str> = NAMES.lines().collect();
        assert!(names.is_sorted_by(|a, b| a < b) && names.len() > 1_000);
    }

    #[test]
    fn others_are_refused() {
        let message = |arn: &str| check_attachable(arn).unwrap_err().to_string();
        assert_eq!(
            message("arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"),
            "Policy arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole does not exist or is not attachable."
        );
        assert!(message("arn:aws:iam::000000000000:policy/mine").ends_with("does not exist or is not attachable."));
        assert_eq!(message("arn:aws:s3:::bucket/policy/x"), "ARN arn:aws:s3:::bucket/policy/x is not valid.");
        let service = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy";
        assert_eq!(message(service), "Cannot attach a Service Role Policy to a Customer Role.");
        assert!(check_boundary("arn:aws:iam::aws:policy/None").unwrap_err().to_string().starts_with("Scope ARN: "));
    }

    #[test]
    fn paths_and_names_are_taken_apart() {
        assert_eq!(path_and_name("arn:aws:iam::aws:policy/A"), ("/".to_owned(), "A"));
        assert_eq!(path_and_name("arn:aws:iam::aws:policy/b/c/A"), ("/b/c/".to_owned(), "A"));
    }
}
