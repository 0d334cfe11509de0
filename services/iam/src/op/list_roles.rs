//! Lists an account's roles, in the order of their names.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html>
//! Deviations: none. Errors: InvalidInput (marker).

use crate::Iam;
use crate::api::{ListRoles, ListRolesRequest, ListRolesResponse};
use crate::error::IamError;
use crate::family::list;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListRoles {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListRolesRequest) -> Result<ListRolesResponse, IamError> {
        let show = |_: &mut dyn Read, account: &AccountId, role: &RoleRecord| Ok(role.show_listed(account));
        let listed = list::page(cx, (input.max_items, input.marker), input.path_prefix, show).await?;
        Ok(ListRolesResponse { is_truncated: listed.is_truncated(), roles: listed.items, marker: listed.marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SCAN_BATCH;
    use crate::tests::{Bed, refusal};

    async fn names(bed: &Bed, input: ListRolesRequest) -> (Vec<String>, Option<String>) {
        let response = bed.run::<ListRoles>(input).await.unwrap();
        assert_eq!(response.is_truncated, Some(response.marker.is_some()));
        (response.roles.into_iter().map(|role| role.role_name).collect(), response.marker)
    }

    #[tokio::test]
    async fn pages_cover_everything_once() {
        let bed = Bed::new();
        for name in ["c", "A", "b", "d", "e"] {
            bed.create_role(name).await;
        }
        let mut seen = Vec::new();
        let mut marker = None;
        loop {
            let input = ListRolesRequest { max_items: Some(2), marker, ..ListRolesRequest::default() };
            let (names, next) = names(&bed, input).await;
            assert!(names.len() <= 2);
            seen.extend(names);
            marker = next;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["A", "b", "c", "d", "e"]);
        let exact = ListRolesRequest { max_items: Some(5), ..ListRolesRequest::default() };
        assert_eq!(names(&bed, exact).await.1, None);
    }

    #[tokio::test]
    async fn a_path_filters() {
        let bed = Bed::new();
        for number in 0..SCAN_BATCH + 10 {
            bed.create_role(&format!("r{number:04}")).await;
        }
        bed.create_role_at("/team/", "z").await;
        let input = ListRolesRequest { path_prefix: Some("/team/".to_owned()), ..ListRolesRequest::default() };
        assert_eq!(names(&bed, input).await, (vec!["z".to_owned()], None));
    }

    #[tokio::test]
    async fn listed_roles_leave_out_what_aws_leaves_out() {
        let bed = Bed::new();
        bed.create_role("a").await;
        let role = bed.run::<ListRoles>(ListRolesRequest::default()).await.unwrap().roles.remove(0);
        assert!(role.role_last_used.is_none() && role.tags.is_none() && role.assume_role_policy_document.is_some());
        let input = ListRolesRequest { marker: Some("!".to_owned()), ..ListRolesRequest::default() };
        assert_eq!(refusal(bed.run::<ListRoles>(input).await).0, "InvalidInput");
    }
}
