//! The managed policies that AWS has: all their names, and the documents of those that matter for what gust runs.
//!
//! Source: <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html>; names as of November 2026,
//! sorted by path and name. The documents are gust's own: each grants what the policy's page says, of the services that
//! the page names. A policy without a document can be attached and grants nothing.

use crate::api::{Policy, PolicyVersion};
use crate::error::IamError;
use crate::model::{Uses, url_encoded};

const NAMES: &str = include_str!("managed_policies.txt");
/// A name and its document a line.
const DOCUMENTS: &str = include_str!("managed_documents.txt");
const PREFIX: &str = "arn:aws:iam::aws:policy/";
/// The path of policies that only AWS's own services may attach.
const SERVICE_ROLE_PATH: &str = "aws-service-role/";
/// When all of them were made, as far as gust says (2015-02-06T18:39:46Z): their real dates are not kept.
const CREATED_AT_MS: i64 = 1_423_247_986_000;
/// The letters of unique ids.
const ID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The only version that gust has of each.
const VERSION_ID: &str = "v1";

/// The owner in a policy's ARN: an account, or `aws`.
///
/// Errors: [`IamError::InvalidInput`] for what is no policy's ARN.
pub fn owner(arn: &str) -> Result<String, IamError> {
    let parsed = arn.parse::<gust_types::Arn>().ok();
    let is_policy = |arn: &gust_types::Arn| {
        arn.service == "iam" && arn.resource.starts_with("policy/") && !arn.resource.ends_with('/')
    };
    let refuse = || IamError::InvalidInput(format!("ARN {arn} is not valid."));
    parsed.filter(is_policy).map(|arn| arn.account).ok_or_else(refuse)
}

/// Whether AWS has this policy.
pub fn exists(arn: &str) -> bool {
    existing(arn).is_some()
}

/// Whether AWS has this policy.
///
/// Errors: [`IamError::ServiceRolePolicy`] if only AWS's own services may attach it.
pub fn is_attachable(arn: &str) -> Result<bool, IamError> {
    match existing(arn) {
        Some(name) if name.starts_with(SERVICE_ROLE_PATH) => Err(IamError::ServiceRolePolicy),
        found => Ok(found.is_some()),
    }
}

/// What a policy of AWS's says; `None` if gust does not know.
pub fn document(arn: &str) -> Option<&'static str> {
    let name = existing(arn)?;
    DOCUMENTS.lines().find_map(|line| line.split_once(' ').filter(|(named, _)| *named == name).map(|(_, text)| text))
}

/// The ARNs of all of them, sorted.
pub fn arns() -> impl Iterator<Item = String> {
    NAMES.lines().map(|name| format!("{PREFIX}{name}"))
}

/// A policy of AWS's as responses show it. Its id is gust's own, and always the same.
pub fn show(arn: &str, uses: Uses) -> Policy {
    let (path, name) = path_and_name(arn);
    Policy {
        policy_name: Some(name.to_owned()),
        policy_id: Some(invented_id(arn)),
        arn: Some(arn.to_owned()),
        path: Some(path),
        default_version_id: Some(VERSION_ID.to_owned()),
        attachment_count: Some(uses.attached),
        permissions_boundary_usage_count: Some(uses.boundaries),
        is_attachable: Some(true),
        create_date: Some(CREATED_AT_MS),
        update_date: Some(CREATED_AT_MS),
        ..Policy::default()
    }
}

/// The only version of a policy of AWS's, without its document.
pub fn show_version() -> PolicyVersion {
    PolicyVersion {
        document: None,
        version_id: Some(VERSION_ID.to_owned()),
        is_default_version: Some(true),
        create_date: Some(CREATED_AT_MS),
    }
}

/// A version of a policy of AWS's with its document.
pub fn show_document(arn: &str, version: &str) -> Result<PolicyVersion, IamError> {
    if version != VERSION_ID {
        return Err(IamError::VersionNotFound { arn: arn.to_owned(), version: version.to_owned() });
    }
    let document = document(arn).ok_or_else(|| IamError::DocumentUnknown(arn.to_owned()))?;
    Ok(PolicyVersion { document: Some(url_encoded(document)), ..show_version() })
}

/// Path (with its slashes) and name of a policy's ARN.
pub fn path_and_name(arn: &str) -> (String, &str) {
    let resource = arn.split_once(":policy/").map_or(arn, |(_, resource)| resource);
    match resource.rsplit_once('/') {
        Some((path, name)) => (format!("/{path}/"), name),
        None => ("/".to_owned(), resource),
    }
}

/// Path and name of an ARN of AWS's, if there is such a policy.
fn existing(arn: &str) -> Option<&'static str> {
    let wanted = arn.strip_prefix(PREFIX)?;
    NAMES.lines().find(|name| *name == wanted)
}

/// FNV-1a in letters, for an id need not be more than stable and well spread.
fn invented_id(arn: &str) -> String {
    let letter = |round: u8| {
        let start = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(round);
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let hash = arn.bytes().chain([round]).fold(start, mix);
        char::from(ID_LETTERS[(hash >> 40) as usize % ID_LETTERS.len()])
    };
    std::iter::once("ANPA".to_owned()).chain((0..17).map(|round| letter(round).to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::policy;

    #[test]
    fn names_are_sorted_and_unique() {
        let names: Vec<&str> = NAMES.lines().collect();
        assert!(names.is_sorted_by(|a, b| a < b) && names.len() > 1_000);
    }

    #[test]
    fn documents_belong_to_names_and_are_well_formed() {
        let lines: Vec<&str> = DOCUMENTS.lines().collect();
        assert!(lines.is_sorted() && lines.len() > 40);
        for line in lines {
            let (name, text) = line.split_once(' ').unwrap();
            assert_eq!(document(&format!("{PREFIX}{name}")), Some(text), "{name}");
            policy::check(text, policy::Kind::Identity).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn the_well_known_policies_have_documents() {
        for name in [
            "AdministratorAccess",
            "PowerUserAccess",
            "ReadOnlyAccess",
            "AmazonS3FullAccess",
            "AmazonS3ReadOnlyAccess",
            "AmazonDynamoDBFullAccess",
            "AmazonSQSFullAccess",
            "AWSLambda_FullAccess",
            "AWSXRayDaemonWriteAccess",
            "service-role/AWSLambdaBasicExecutionRole",
            "service-role/AWSLambdaVPCAccessExecutionRole",
            "service-role/AWSLambdaSQSQueueExecutionRole",
            "service-role/AWSLambdaDynamoDBExecutionRole",
            "service-role/AWSLambdaKinesisExecutionRole",
            "service-role/AWSLambdaRole",
        ] {
            let arn = format!("{PREFIX}{name}");
            assert!(is_attachable(&arn).unwrap() && document(&arn).is_some(), "{name}");
        }
        assert!(exists(&format!("{PREFIX}job-function/ViewOnlyAccess")));
    }

    #[test]
    fn others_do_not_exist() {
        assert!(!is_attachable("arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole").unwrap());
        assert!(!exists("arn:aws:iam::000000000000:policy/mine"));
        let service = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy";
        assert_eq!(
            is_attachable(service).unwrap_err().to_string(),
            "Cannot attach a Service Role Policy to a Customer Role."
        );
        assert_eq!(owner("arn:aws:iam::aws:policy/a/b").unwrap(), "aws");
        for arn in ["arn:aws:s3:::bucket/policy/x", "arn:aws:iam::aws:role/x", "arn:aws:iam::aws:policy/", "x"] {
            assert_eq!(owner(arn).unwrap_err().to_string(), format!("ARN {arn} is not valid."));
        }
    }

    #[test]
    fn versions_are_shown_as_far_as_they_are_known() {
        let administrator = format!("{PREFIX}AdministratorAccess");
        assert!(show_document(&administrator, "v1").unwrap().document.unwrap().contains("Allow"));
        assert!(matches!(show_document(&administrator, "v2"), Err(IamError::VersionNotFound { .. })));
        let unknown = format!("{PREFIX}AIDevOpsAgentFullAccess");
        assert!(matches!(show_document(&unknown, "v1"), Err(IamError::DocumentUnknown(_))));
        assert_eq!(invented_id(&unknown).len(), 21);
        assert_ne!(invented_id(&unknown), invented_id(&administrator));
    }

    #[test]
    fn paths_and_names_are_taken_apart() {
        assert_eq!(path_and_name("arn:aws:iam::aws:policy/A"), ("/".to_owned(), "A"));
        assert_eq!(path_and_name("arn:aws:iam::aws:policy/b/c/A"), ("/b/c/".to_owned(), "A"));
    }
}
