//! Lists the versions of a managed policy, the newest first.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicyVersions.html>
//! Deviations: each policy of AWS's has the version v1 only. Errors: NoSuchEntity, InvalidInput (marker),
//! AccessDenied.

use crate::Iam;
use crate::api::{ListPolicyVersions, ListPolicyVersionsRequest, ListPolicyVersionsResponse};
use crate::error::IamError;
use crate::family::look;
use crate::keys;
use crate::limits::POLICY_VERSIONS_MAX;
use crate::model::{Named, PolicyRecord, VersionRecord};
use crate::rules::managed;
use crate::rules::page::Page;
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read, Record};
use gust_types::AccountId;

impl Operation for ListPolicyVersions {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListPolicyVersionsRequest) -> Result<ListPolicyVersionsResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let list = move |read: &mut dyn Read, account: &AccountId| {
            if managed::owner(&input.policy_arn)? == "aws" {
                let exists = managed::exists(&input.policy_arn);
                let versions = vec![(String::new(), managed::show_version())];
                return if exists { Ok(versions) } else { Err(PolicyRecord::missing(&input.policy_arn)) };
            }
            let policy = PolicyRecord::find(read, account, &input.policy_arn)?;
            let range = Range::prefix(&keys::policy_versions_of(account, &policy.name));
            let pairs = read.range(&range, Order::Descending, POLICY_VERSIONS_MAX)?;
            let show = |bytes: &[u8]| {
                let version = VersionRecord::decode(bytes)?;
                // Newer versions come first, so that the order of this text is theirs.
                let order = format!("{:010}", u32::MAX - version.number);
                Ok((order, version.show_listed(policy.default_version)))
            };
            pairs.iter().map(|(_, bytes)| show(bytes)).collect::<Result<Vec<_>, IamError>>()
        };
        let listed = page.cut(look(cx, list).await?, |(order, _)| order.clone()).map(|(_, version)| version);
        Ok(ListPolicyVersionsResponse {
            is_truncated: listed.is_truncated(),
            versions: Some(listed.items),
            marker: listed.marker,
        })
    }
}
