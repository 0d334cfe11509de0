//! Lists the managed policies attached to a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListAttachedRolePolicies, ListAttachedRolePoliciesRequest, ListAttachedRolePoliciesResponse};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListAttachedRolePolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: ListAttachedRolePoliciesRequest,
    ) -> Result<ListAttachedRolePoliciesResponse, IamError> {
        let page = (input.max_items, input.marker);
        let listed = attachment::list::<RoleRecord>(cx, input.role_name, input.path_prefix, page).await?;
        Ok(ListAttachedRolePoliciesResponse {
            is_truncated: listed.is_truncated(),
            attached_policies: Some(listed.items),
            marker: listed.marker,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn they_come_in_pages_and_by_path() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        for name in ["ReadOnlyAccess", "AdministratorAccess", "service-role/AWSLambdaBasicExecutionRole"] {
            bed.attach("worker", name).await.unwrap();
        }
        let request = |path: Option<&str>, marker| ListAttachedRolePoliciesRequest {
            role_name: "worker".to_owned(),
            path_prefix: path.map(str::to_owned),
            marker,
            max_items: Some(2),
        };
        let first = bed.run::<ListAttachedRolePolicies>(request(None, None)).await.unwrap();
        assert_eq!((first.attached_policies.unwrap().len(), first.is_truncated), (2, Some(true)));
        let second = bed.run::<ListAttachedRolePolicies>(request(None, first.marker)).await.unwrap();
        let policies = second.attached_policies.unwrap();
        assert_eq!((policies.len(), second.is_truncated, second.marker), (1, Some(false), None));
        let arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
        assert_eq!(policies[0].policy_arn.as_deref(), Some(arn));
        let filtered = bed.run::<ListAttachedRolePolicies>(request(Some("/service-role/"), None)).await.unwrap();
        assert_eq!(filtered.attached_policies.unwrap().len(), 1);
    }
}
