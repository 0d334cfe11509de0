//! Makes a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>
//! Deviations: principals of the trust policy are not looked up. Errors: EntityAlreadyExists, InvalidInput,
//! LimitExceeded, MalformedPolicyDocument, NoSuchEntity (permissions boundary).

use crate::Iam;
use crate::api::{CreateRole, CreateRoleRequest, CreateRoleResponse};
use crate::error::IamError;
use crate::family::{Quota, boundary, change, create, new_entity, tags};
use crate::limits::{ROLES_MAX, SESSION_DURATION_DEFAULT_S, TRUST_POLICY_CHARACTERS_MAX};
use crate::model::{Entity, Kind, RoleRecord, SERVICE_ROLE_PATH, characters};
use crate::rules::policy;
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for CreateRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: CreateRoleRequest) -> Result<CreateRoleResponse, IamError> {
        check(&input)?;
        let role = RoleRecord {
            entity: Entity {
                permissions_boundary: input.permissions_boundary,
                tags: tags::checked(input.tags)?,
                ..new_entity(cx, "AROA", input.role_name, input.path)
            },
            trust_policy: input.assume_role_policy_document,
            description: input.description,
            max_session_duration_s: session_duration_s(input.max_session_duration),
        };
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            boundary::check(tx, account, role.entity.permissions_boundary.as_deref())?;
            create(tx, account, &role, &ROLES, |name| IamError::Exists(Kind::Role, name))?;
            Ok(role.show(account))
        };
        Ok(CreateRoleResponse { role: change(cx, create).await? })
    }
}

/// How many roles an account has.
pub(super) const ROLES: Quota = Quota { name: "RolesPerAccount", max: ROLES_MAX, count: |usage| &mut usage.roles };

fn session_duration_s(given: Option<i32>) -> u32 {
    given.and_then(|duration_s| u32::try_from(duration_s).ok()).unwrap_or(SESSION_DURATION_DEFAULT_S)
}

fn check(input: &CreateRoleRequest) -> Result<(), IamError> {
    check_trust(&input.assume_role_policy_document)?;
    if input.path.as_deref().is_some_and(|path| path.starts_with(SERVICE_ROLE_PATH)) {
        // The wording is inferred.
        let message = format!("The path {SERVICE_ROLE_PATH} belongs to service-linked roles.");
        return Err(IamError::InvalidInput(message));
    }
    Ok(())
}

/// Checks the form and the size of a trust policy.
pub(super) fn check_trust(document: &str) -> Result<(), IamError> {
    policy::check(document, policy::Kind::Trust)?;
    if characters(document) > TRUST_POLICY_CHARACTERS_MAX {
        return Err(IamError::Quota { quota: "ACLSizePerRole", max: TRUST_POLICY_CHARACTERS_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Tag;
    use crate::tests::{Bed, TRUST, refusal};

    fn request(name: &str) -> CreateRoleRequest {
        CreateRoleRequest {
            role_name: name.to_owned(),
            assume_role_policy_document: TRUST.to_owned(),
            ..CreateRoleRequest::default()
        }
    }

    #[tokio::test]
    async fn the_response_is_complete() {
        let bed = Bed::new();
        let input = CreateRoleRequest {
            path: Some("/team/".to_owned()),
            description: Some("for work".to_owned()),
            max_session_duration: Some(7_200),
            permissions_boundary: Some("arn:aws:iam::aws:policy/PowerUserAccess".to_owned()),
            tags: Some(vec![Tag { key: "a".to_owned(), value: "b".to_owned() }]),
            ..request("worker")
        };
        let role = bed.run::<CreateRole>(input).await.unwrap().role;
        assert_eq!(role.arn, "arn:aws:iam::000000000000:role/team/worker");
        assert_eq!((role.role_id.len(), &role.role_id[..4]), (21, "AROA"));
        assert_eq!(role.create_date, 1_700_000_000_000);
        assert!(role.assume_role_policy_document.unwrap().starts_with("%7B%22Version%22"));
        assert_eq!((role.description.as_deref(), role.max_session_duration), (Some("for work"), Some(7_200)));
        let boundary = role.permissions_boundary.unwrap().permissions_boundary_arn;
        assert_eq!(boundary.as_deref(), Some("arn:aws:iam::aws:policy/PowerUserAccess"));
        assert_eq!(role.tags.unwrap()[0].key, "a");
    }

    #[tokio::test]
    async fn a_name_is_taken_in_any_case() {
        let bed = Bed::new();
        bed.run::<CreateRole>(request("worker")).await.unwrap();
        let error = refusal(bed.run::<CreateRole>(request("Worker")).await);
        assert_eq!(error, ("EntityAlreadyExists".to_owned(), "Role with name Worker already exists.".to_owned()));
    }

    #[tokio::test]
    async fn accounts_are_apart() {
        let bed = Bed::new();
        bed.run::<CreateRole>(request("worker")).await.unwrap();
        bed.run_in::<CreateRole>("111111111111", request("worker")).await.unwrap();
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let bed = Bed::new();
        let long = format!("{{\"Id\":\"{}\",{}", "x".repeat(2_048), &TRUST[1..]);
        let tag = |key: &str| Tag { key: key.to_owned(), value: String::new() };
        for (input, code) in [
            (
                CreateRoleRequest { assume_role_policy_document: "{".to_owned(), ..request("a") },
                "MalformedPolicyDocument",
            ),
            (CreateRoleRequest { assume_role_policy_document: long, ..request("a") }, "LimitExceeded"),
            (CreateRoleRequest { tags: Some(vec![tag("a"), tag("A")]), ..request("a") }, "InvalidInput"),
            (
                CreateRoleRequest {
                    permissions_boundary: Some("arn:aws:iam::aws:policy/No".to_owned()),
                    ..request("a")
                },
                "NoSuchEntity",
            ),
        ] {
            assert_eq!(refusal(bed.run::<CreateRole>(input).await).0, code);
        }
    }

    #[tokio::test]
    async fn an_account_has_a_bounded_number_of_roles() {
        let bed = Bed::new();
        for number in 0..ROLES_MAX {
            bed.run::<CreateRole>(request(&format!("r{number}"))).await.unwrap();
        }
        let error = refusal(bed.run::<CreateRole>(request("more")).await);
        assert_eq!(error, ("LimitExceeded".to_owned(), "Cannot exceed quota for RolesPerAccount: 1000".to_owned()));
        bed.delete_role("r0").await.unwrap();
        bed.run::<CreateRole>(request("more")).await.unwrap();
    }
}
