//! Lists the names of a role's inline policies.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRolePolicies.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListRolePolicies, ListRolePoliciesRequest, ListRolePoliciesResponse};
use crate::error::IamError;
use crate::keys;
use crate::model::{InlinePolicyRecord, RoleRecord};
use crate::rules::page::{Page, marker};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read, Record};

impl Operation for ListRolePolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListRolePoliciesRequest) -> Result<ListRolePoliciesResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let account = cx.call.account().clone();
        // One more than asked for tells whether there is more.
        let wanted = page.items_max + 1;
        let list = move |read: &mut dyn Read| -> Result<Vec<String>, IamError> {
            let role = RoleRecord::find(read, &account, &input.role_name)?;
            let prefix = keys::inline_policies_of(&account, &role.name);
            let range = match &page.after {
                Some(after) => Range::prefix_after(&prefix, &keys::inline_policy(&account, &role.name, after)),
                None => Range::prefix(&prefix),
            };
            let pairs = read.range(&range, Order::Ascending, wanted)?;
            pairs.iter().map(|(_, bytes)| Ok(InlinePolicyRecord::decode(bytes)?.name)).collect()
        };
        let mut names = cx.store().read(list).await?;
        let is_truncated = names.len() == wanted;
        names.truncate(wanted - 1);
        let last = names.last().map(|name| marker(&name.to_ascii_lowercase()));
        Ok(ListRolePoliciesResponse {
            policy_names: names,
            is_truncated: Some(is_truncated),
            marker: last.filter(|_| is_truncated),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn names_come_in_pages() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.create_role("worker2").await;
        for name in ["b", "A", "c"] {
            bed.put_policy("worker", name).await.unwrap();
        }
        bed.put_policy("worker2", "other").await.unwrap();
        let request = |marker| ListRolePoliciesRequest { role_name: "worker".to_owned(), marker, max_items: Some(2) };
        let first = bed.run::<ListRolePolicies>(request(None)).await.unwrap();
        assert_eq!(
            (first.policy_names.as_slice(), first.is_truncated),
            (&["A".to_owned(), "b".to_owned()][..], Some(true))
        );
        let second = bed.run::<ListRolePolicies>(request(first.marker)).await.unwrap();
        assert_eq!(
            (second.policy_names, second.is_truncated, second.marker),
            (vec!["c".to_owned()], Some(false), None)
        );
        let missing = ListRolePoliciesRequest { role_name: "gone".to_owned(), ..request(None) };
        assert_eq!(refusal(bed.run::<ListRolePolicies>(missing).await).0, "NoSuchEntity");
    }
}
