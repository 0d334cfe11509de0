//! Makes a managed policy with its first version.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html>
//! Deviations: none. Errors: EntityAlreadyExists, InvalidInput, LimitExceeded, MalformedPolicyDocument.

use crate::Iam;
use crate::api::{CreatePolicy, CreatePolicyRequest, CreatePolicyResponse};
use crate::error::IamError;
use crate::family::{Quota, change, create, tags};
use crate::keys;
use crate::limits::{POLICIES_MAX, POLICY_CHARACTERS_MAX};
use crate::model::{PolicyRecord, Uses, VersionRecord, characters, fresh_id};
use crate::rules::policy;
use gust_kit::{Cx, Operation};
use gust_store::{Record, Tx};
use gust_types::AccountId;

impl Operation for CreatePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: CreatePolicyRequest) -> Result<CreatePolicyResponse, IamError> {
        check_document(&input.policy_document)?;
        let now_ms = cx.now_ms();
        let policy = PolicyRecord {
            name: input.policy_name,
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            id: fresh_id("ANPA", &*cx.platform().ids),
            description: input.description,
            tags: tags::checked(input.tags)?,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            default_version: 1,
            last_version: 1,
        };
        let version = VersionRecord { number: 1, document: input.policy_document, created_at_ms: now_ms };
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            create(tx, account, &policy, &POLICIES, IamError::PolicyExists)?;
            version.save(tx, keys::policy_version(account, &policy.name, version.number))?;
            Ok(policy.show(account, Uses::default()))
        };
        Ok(CreatePolicyResponse { policy: Some(change(cx, create).await?) })
    }
}

/// How many managed policies of its own an account has.
pub(super) const POLICIES: Quota =
    Quota { name: "PoliciesPerAccount", max: POLICIES_MAX, count: |usage| &mut usage.policies };

/// Checks the form and the size of a document.
pub(super) fn check_document(document: &str) -> Result<(), IamError> {
    policy::check(document, policy::Kind::Identity)?;
    if characters(document) > POLICY_CHARACTERS_MAX {
        return Err(IamError::Quota { quota: "PolicySize", max: POLICY_CHARACTERS_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::*;
    use crate::tests::{Bed, document_of, refusal};

    #[tokio::test]
    async fn the_response_is_complete() {
        let bed = Bed::new();
        let input = CreatePolicyRequest {
            policy_name: "Mine".to_owned(),
            path: Some("/team/".to_owned()),
            policy_document: document_of(POLICY_CHARACTERS_MAX),
            description: Some("d".to_owned()),
            tags: Some(vec![Tag { key: "a".to_owned(), value: "b".to_owned() }]),
        };
        let policy = bed.run::<CreatePolicy>(input.clone()).await.unwrap().policy.unwrap();
        assert_eq!(policy.arn.as_deref(), Some("arn:aws:iam::000000000000:policy/team/Mine"));
        let id = policy.policy_id.clone().unwrap();
        assert_eq!((id.len(), &id[..4], policy.default_version_id.as_deref()), (21, "ANPA", Some("v1")));
        assert_eq!((policy.attachment_count, policy.is_attachable), (Some(0), Some(true)));
        assert_eq!((policy.description.as_deref(), policy.tags.as_ref().map(Vec::len)), (Some("d"), Some(1)));
        let get = GetPolicyRequest { policy_arn: policy.arn.clone().unwrap() };
        assert_eq!(bed.run::<GetPolicy>(get).await.unwrap().policy, Some(policy));
        let again = CreatePolicyRequest { policy_name: "mine".to_owned(), ..input.clone() };
        let message = "A policy called mine already exists. Duplicate names are not allowed.";
        let error = refusal(bed.run::<CreatePolicy>(again).await);
        assert_eq!(error, ("EntityAlreadyExists".to_owned(), message.to_owned()));
        let long = CreatePolicyRequest {
            policy_name: "long".to_owned(),
            policy_document: document_of(POLICY_CHARACTERS_MAX + 1),
            ..input.clone()
        };
        let error = refusal(bed.run::<CreatePolicy>(long).await);
        assert_eq!(error, ("LimitExceeded".to_owned(), "Cannot exceed quota for PolicySize: 6144".to_owned()));
        let broken = CreatePolicyRequest { policy_document: "{}".to_owned(), ..input };
        assert_eq!(refusal(bed.run::<CreatePolicy>(broken).await).0, "MalformedPolicyDocument");
    }
}
