//! Lists an account's roles, in the order of their names.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html>
//! Deviations: none. Errors: InvalidInput (marker).

use crate::Iam;
use crate::api::{ListRoles, ListRolesRequest, ListRolesResponse};
use crate::error::IamError;
use crate::keys;
use crate::model::RoleRecord;
use crate::rules::page::{Page, marker};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read, Record};
use gust_types::AccountId;

/// How many roles are read at once while a path is looked for.
const BATCH: usize = 256;

impl Operation for ListRoles {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListRolesRequest) -> Result<ListRolesResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let path = input.path_prefix.unwrap_or_else(|| "/".to_owned());
        let account = cx.call.account().clone();
        let owner = account.clone();
        // One more than asked for tells whether there is more.
        let wanted = page.items_max + 1;
        let list = move |read: &mut dyn Read| roles(read, &account, page.after.as_deref(), &path, wanted);
        let mut roles = cx.store().read(list).await?;
        let is_truncated = roles.len() == wanted;
        roles.truncate(wanted - 1);
        let last = roles.last().map(|role| marker(&role.name.to_ascii_lowercase()));
        Ok(ListRolesResponse {
            roles: roles.iter().map(|role| role.show_listed(&owner)).collect(),
            is_truncated: Some(is_truncated),
            marker: last.filter(|_| is_truncated),
        })
    }
}

fn roles(
    read: &mut dyn Read,
    account: &AccountId,
    after: Option<&str>,
    path: &str,
    wanted: usize,
) -> Result<Vec<RoleRecord>, IamError> {
    let prefix = keys::roles_of(account);
    let mut range = match after {
        Some(after) => Range::prefix_after(&prefix, &keys::role(account, after)),
        None => Range::prefix(&prefix),
    };
    let mut found = Vec::new();
    loop {
        let batch = read.range(&range, Order::Ascending, BATCH)?;
        for (_, bytes) in &batch {
            let role = RoleRecord::decode(bytes)?;
            if role.path.starts_with(path) {
                found.push(role);
            }
            if found.len() == wanted {
                return Ok(found);
            }
        }
        match batch.last() {
            Some((key, _)) if batch.len() == BATCH => range = Range::prefix_after(&prefix, key),
            _ => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for number in 0..BATCH + 10 {
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
