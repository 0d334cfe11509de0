//! Makes a new version of a managed policy.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicyVersion.html>
//! Deviations: none. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded, AccessDenied.

use super::create_policy::check_document;
use crate::Iam;
use crate::api::{CreatePolicyVersion, CreatePolicyVersionRequest, CreatePolicyVersionResponse};
use crate::error::IamError;
use crate::family::change;
use crate::keys;
use crate::limits::POLICY_VERSIONS_MAX;
use crate::model::{Named, PolicyRecord, VersionRecord};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Record, Tx};
use gust_types::AccountId;

impl Operation for CreatePolicyVersion {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: CreatePolicyVersionRequest) -> Result<CreatePolicyVersionResponse, IamError> {
        check_document(&input.policy_document)?;
        let now_ms = cx.now_ms();
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut policy = PolicyRecord::find(tx, account, &input.policy_arn)?;
            let versions = Range::prefix(&keys::policy_versions_of(account, &policy.name));
            if tx.range(&versions, Order::Ascending, POLICY_VERSIONS_MAX)?.len() >= POLICY_VERSIONS_MAX {
                return Err(IamError::TooManyVersions);
            }
            policy.last_version += 1;
            if input.set_as_default.unwrap_or_default() {
                policy.default_version = policy.last_version;
            }
            policy.updated_at_ms = now_ms;
            policy.keep(tx, account)?;
            let version = VersionRecord {
                number: policy.last_version,
                document: input.policy_document.clone(),
                created_at_ms: now_ms,
            };
            version.save(tx, keys::policy_version(account, &policy.name, version.number))?;
            Ok(version.show_listed(policy.default_version))
        };
        Ok(CreatePolicyVersionResponse { policy_version: Some(change(cx, create).await?) })
    }
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::model::url_encoded;
    use crate::tests::{Bed, POLICY, refusal};

    /// The whole life of a policy's versions.
    #[tokio::test]
    async fn versions_come_count_and_go() {
        let bed = Bed::new();
        let arn = bed.create_policy("mine").await.arn.unwrap();
        let create = |is_default| CreatePolicyVersionRequest {
            policy_arn: arn.clone(),
            policy_document: POLICY.to_owned(),
            set_as_default: is_default,
        };
        let ids = async || {
            let list = ListPolicyVersionsRequest { policy_arn: arn.clone(), ..Default::default() };
            let versions = bed.run::<ListPolicyVersions>(list).await.unwrap().versions.unwrap();
            let show = |version: PolicyVersion| {
                let mark = if version.is_default_version == Some(true) { "*" } else { "" };
                version.version_id.unwrap() + mark
            };
            versions.into_iter().map(show).collect::<Vec<_>>().join(" ")
        };
        let second = bed.run::<CreatePolicyVersion>(create(None)).await.unwrap().policy_version.unwrap();
        assert_eq!((second.version_id.as_deref(), second.is_default_version), (Some("v2"), Some(false)));
        bed.run::<CreatePolicyVersion>(create(Some(true))).await.unwrap();
        assert_eq!(ids().await, "v3* v2 v1");
        let get = |id: &str| GetPolicyVersionRequest { policy_arn: arn.clone(), version_id: id.to_owned() };
        let shown = bed.run::<GetPolicyVersion>(get("v3")).await.unwrap().policy_version.unwrap();
        assert_eq!((shown.document, shown.is_default_version), (Some(url_encoded(POLICY)), Some(true)));
        let error = refusal(bed.run::<GetPolicyVersion>(get("v4")).await);
        assert_eq!(
            error,
            ("NoSuchEntity".to_owned(), format!("Policy {arn} version v4 does not exist or is not attachable."))
        );

        let delete = |id: &str| DeletePolicyVersionRequest { policy_arn: arn.clone(), version_id: id.to_owned() };
        let error = refusal(bed.run::<DeletePolicyVersion>(delete("v3")).await);
        assert_eq!(error, ("DeleteConflict".to_owned(), "Cannot delete the default version of a policy.".to_owned()));
        let set = |id: &str| SetDefaultPolicyVersionRequest { policy_arn: arn.clone(), version_id: id.to_owned() };
        bed.run::<SetDefaultPolicyVersion>(set("v1")).await.unwrap();
        assert_eq!(refusal(bed.run::<SetDefaultPolicyVersion>(set("v9")).await).0, "NoSuchEntity");
        bed.run::<DeletePolicyVersion>(delete("v3")).await.unwrap();
        for _ in 0..3 {
            bed.run::<CreatePolicyVersion>(create(None)).await.unwrap();
        }
        assert_eq!(ids().await, "v6 v5 v4 v2 v1*");
        assert_eq!(refusal(bed.run::<CreatePolicyVersion>(create(None)).await).0, "LimitExceeded");
        let gone = DeletePolicyRequest { policy_arn: arn.clone() };
        let error = refusal(bed.run::<DeletePolicy>(gone.clone()).await);
        assert!(error.1.starts_with("This policy has more than one version."), "{}", error.1);
        for id in ["v6", "v5", "v4", "v2"] {
            bed.run::<DeletePolicyVersion>(delete(id)).await.unwrap();
        }
        bed.run::<DeletePolicy>(gone).await.unwrap();
        assert_eq!(refusal(bed.run::<GetPolicyVersion>(get("v1")).await).0, "NoSuchEntity");
        // A new policy of the name begins anew.
        bed.create_policy("mine").await;
        assert_eq!(ids().await, "v1*");
    }
}
