//! Lists managed policies, in the order of their ARNs.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicies.html>
//! Deviations: ids and dates of AWS's own policies are not theirs. Errors: InvalidInput (marker).

use crate::Iam;
use crate::api::{ListPolicies, ListPoliciesRequest, ListPoliciesResponse, Policy, PolicyScopeType, PolicyUsageType};
use crate::error::IamError;
use crate::family::{attachment, list, look};
use crate::model::PolicyRecord;
use crate::rules::managed;
use crate::rules::page::Page;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListPolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListPoliciesRequest) -> Result<ListPoliciesResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let list = move |read: &mut dyn Read, account: &AccountId| {
            let uses = attachment::uses(read, account)?;
            let mut policies = Vec::new();
            if input.scope != Some(PolicyScopeType::Aws) {
                for policy in list::all::<PolicyRecord, _>(read, account)? {
                    let uses = uses.get(&policy.arn(account)).copied().unwrap_or_default();
                    policies.push(policy.show_listed(account, uses));
                }
            }
            if input.scope != Some(PolicyScopeType::Local) {
                let show = |arn: String| managed::show(&arn, uses.get(&arn).copied().unwrap_or_default());
                policies.extend(managed::arns().map(show));
            }
            policies.retain(|policy| is_wanted(&input, policy));
            policies.sort_unstable_by(|one, other| one.arn.cmp(&other.arn));
            Ok(page.cut(policies, |policy| policy.arn.clone().unwrap_or_default()))
        };
        let listed = look(cx, list).await?;
        Ok(ListPoliciesResponse {
            is_truncated: listed.is_truncated(),
            policies: Some(listed.items),
            marker: listed.marker,
        })
    }
}

fn is_wanted(input: &ListPoliciesRequest, policy: &Policy) -> bool {
    let is_attached = policy.attachment_count.unwrap_or_default() > 0;
    let is_boundary = policy.permissions_boundary_usage_count.unwrap_or_default() > 0;
    let is_used = match input.policy_usage_filter {
        Some(PolicyUsageType::PermissionsPolicy) => is_attached,
        Some(PolicyUsageType::PermissionsBoundary) => is_boundary,
        _ => true,
    };
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    is_used
        && (is_attached || is_boundary || !input.only_attached.unwrap_or_default())
        && policy.path.as_deref().is_some_and(|path| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn filters_narrow_the_list() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.create_policy("mine").await;
        bed.create_policy("other").await;
        bed.attach("worker", "service-role/AWSLambdaBasicExecutionRole").await.unwrap();
        let listed = async |input: ListPoliciesRequest| {
            let listed = bed.run::<ListPolicies>(input).await.unwrap();
            let names = listed.policies.unwrap().into_iter().filter_map(|policy| policy.policy_name);
            (names.collect::<Vec<_>>(), listed.is_truncated == Some(true))
        };
        let local = ListPoliciesRequest { scope: Some(PolicyScopeType::Local), ..Default::default() };
        assert_eq!(listed(local.clone()).await, (vec!["mine".to_owned(), "other".to_owned()], false));
        let attached = ListPoliciesRequest { only_attached: Some(true), ..Default::default() };
        assert_eq!(listed(attached).await.0, ["AWSLambdaBasicExecutionRole"]);
        let path = ListPoliciesRequest { path_prefix: Some("/service-role/".to_owned()), ..Default::default() };
        assert!(listed(path).await.0.contains(&"AWSLambdaVPCAccessExecutionRole".to_owned()));
        let boundary = ListPoliciesRequest { policy_usage_filter: Some(PolicyUsageType::PermissionsBoundary), ..local };
        assert!(listed(boundary).await.0.is_empty());
        let all = ListPoliciesRequest { max_items: Some(1_000), ..Default::default() };
        assert!(listed(all.clone()).await.1);
        let first = bed.run::<ListPolicies>(all.clone()).await.unwrap();
        let rest = listed(ListPoliciesRequest { marker: first.marker, ..all }).await;
        assert_eq!(first.policies.unwrap().len() + rest.0.len(), managed::arns().count() + 2);
    }
}
