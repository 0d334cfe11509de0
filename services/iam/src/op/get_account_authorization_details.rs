//! Shows users, groups, roles and managed policies of an account with all their policies.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html>
//! Deviations: of AWS's own policies, those that are in use and whose documents gust knows are shown. Errors:
//! InvalidInput (marker).

use crate::Iam;
use crate::api::{
    EntityType, GetAccountAuthorizationDetails, GetAccountAuthorizationDetailsRequest,
    GetAccountAuthorizationDetailsResponse,
};
use crate::error::IamError;
use crate::family::{attachment, details, look};
use crate::rules::page::Page;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for GetAccountAuthorizationDetails {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: GetAccountAuthorizationDetailsRequest,
    ) -> Result<GetAccountAuthorizationDetailsResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let filter = input.filter.unwrap_or_default();
        let wants = move |kind: &EntityType| filter.is_empty() || filter.contains(kind);
        let gather = move |read: &mut dyn Read, account: &AccountId| {
            let listed = page.cut(details::names(read, account, &wants)?, details::Name::order);
            let mut response = GetAccountAuthorizationDetailsResponse {
                is_truncated: listed.is_truncated(),
                marker: listed.marker,
                user_detail_list: Some(Vec::new()),
                group_detail_list: Some(Vec::new()),
                role_detail_list: Some(Vec::new()),
                policies: Some(Vec::new()),
            };
            let uses = attachment::uses(read, account)?;
            for name in listed.items {
                details::add(read, account, name, &uses, &mut response)?;
            }
            Ok(response)
        };
        look(cx, gather).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn everything_is_shown_once_in_pages() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.put_policy("worker", "inline").await.unwrap();
        bed.attach("worker", "service-role/AWSLambdaBasicExecutionRole").await.unwrap();
        bed.create_user("ann").await;
        bed.create_group("staff").await;
        bed.join("ann", "staff").await.unwrap();
        bed.create_policy("mine").await;
        let all = bed.run::<GetAccountAuthorizationDetails>(Default::default()).await.unwrap();
        let role = &all.role_detail_list.as_ref().unwrap()[0];
        assert_eq!(role.role_policy_list.as_ref().unwrap()[0].policy_name.as_deref(), Some("inline"));
        assert_eq!(role.attached_managed_policies.as_ref().unwrap().len(), 1);
        assert_eq!(all.user_detail_list.as_ref().unwrap()[0].group_list, Some(vec!["staff".to_owned()]));
        let policies = all.policies.as_ref().unwrap();
        assert_eq!(policies.len(), 2);
        assert!(policies.iter().all(|policy| policy.policy_version_list.as_ref().unwrap()[0].document.is_some()));
        let mut marker = None;
        let mut counts = [0; 4];
        for _ in 0..5 {
            let input = GetAccountAuthorizationDetailsRequest { max_items: Some(1), marker, ..Default::default() };
            let page = bed.run::<GetAccountAuthorizationDetails>(input).await.unwrap();
            counts[0] += page.user_detail_list.unwrap().len();
            counts[1] += page.group_detail_list.unwrap().len();
            counts[2] += page.role_detail_list.unwrap().len();
            counts[3] += page.policies.unwrap().len();
            marker = page.marker;
        }
        assert_eq!((counts, marker), ([1, 1, 1, 2], None));
        let filter = Some(vec![EntityType::Role]);
        let input = GetAccountAuthorizationDetailsRequest { filter, ..Default::default() };
        let roles = bed.run::<GetAccountAuthorizationDetails>(input).await.unwrap();
        assert!(roles.user_detail_list.unwrap().is_empty() && roles.policies.unwrap().is_empty());
        assert_eq!(roles.role_detail_list.unwrap().len(), 1);
    }
}
