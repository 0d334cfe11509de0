//! Lists the names of a role's inline policies.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRolePolicies.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListRolePolicies, ListRolePoliciesRequest, ListRolePoliciesResponse};
use crate::error::IamError;
use crate::family::inline;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListRolePolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListRolePoliciesRequest) -> Result<ListRolePoliciesResponse, IamError> {
        let listed = inline::list::<RoleRecord>(cx, input.role_name, (input.max_items, input.marker)).await?;
        Ok(ListRolePoliciesResponse {
            is_truncated: listed.is_truncated(),
            policy_names: listed.items,
            marker: listed.marker,
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
