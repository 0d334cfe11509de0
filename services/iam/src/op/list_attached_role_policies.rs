//! Lists the managed policies attached to a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{
    AttachedPolicy, ListAttachedRolePolicies, ListAttachedRolePoliciesRequest, ListAttachedRolePoliciesResponse,
};
use crate::error::IamError;
use crate::model::RoleRecord;
use crate::rules::managed::path_and_name;
use crate::rules::page::{Page, marker};
use gust_kit::{Cx, Operation};
use gust_store::Read;

impl Operation for ListAttachedRolePolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: ListAttachedRolePoliciesRequest,
    ) -> Result<ListAttachedRolePoliciesResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let path = input.path_prefix.unwrap_or_else(|| "/".to_owned());
        let account = cx.call.account().clone();
        let find = move |read: &mut dyn Read| -> Result<Vec<String>, IamError> {
            Ok(RoleRecord::find(read, &account, &input.role_name)?.attached)
        };
        let mut arns = cx.store().read(find).await?;
        arns.sort_unstable();
        arns.retain(|arn| path_and_name(arn).0.starts_with(&path) && page.is_behind(arn));
        let is_truncated = arns.len() > page.items_max;
        arns.truncate(page.items_max);
        let last = arns.last().map(|arn| marker(arn));
        let shown = arns
            .into_iter()
            .map(|arn| AttachedPolicy { policy_name: Some(path_and_name(&arn).1.to_owned()), policy_arn: Some(arn) });
        Ok(ListAttachedRolePoliciesResponse {
            attached_policies: Some(shown.collect()),
            is_truncated: Some(is_truncated),
            marker: last.filter(|_| is_truncated),
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
