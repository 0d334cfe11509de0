//! Lists the groups, users and roles that a managed policy is attached to, or whose boundary it is.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker), AccessDenied.

use crate::Iam;
use crate::api::{
    EntityType, ListEntitiesForPolicy, ListEntitiesForPolicyRequest, ListEntitiesForPolicyResponse, PolicyGroup,
    PolicyRole, PolicyUsageType, PolicyUser,
};
use crate::error::IamError;
use crate::family::{list, look};
use crate::model::{Entity, GroupRecord, Holder, Kind, Named, PolicyRecord, RoleRecord, UserRecord};
use crate::rules::managed;
use crate::rules::page::{Listed, Page};
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListEntitiesForPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListEntitiesForPolicyRequest) -> Result<ListEntitiesForPolicyResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let list = move |read: &mut dyn Read, account: &AccountId| {
            if managed::owner(&input.policy_arn)? != "aws" {
                PolicyRecord::find(read, account, &input.policy_arn)?;
            } else if !managed::exists(&input.policy_arn) {
                return Err(PolicyRecord::missing(&input.policy_arn));
            }
            let mut found = users_of::<GroupRecord>(read, account, &input, EntityType::Group)?;
            found.extend(users_of::<RoleRecord>(read, account, &input, EntityType::Role)?);
            found.extend(users_of::<UserRecord>(read, account, &input, EntityType::User)?);
            Ok(page.cut(found, |(kind, entity)| format!("{kind}/{}", entity.name.to_ascii_lowercase())))
        };
        Ok(show(look(cx, list).await?))
    }
}

/// Those of one kind that use the policy in the way that is asked for.
fn users_of<H: Holder>(
    read: &mut dyn Read,
    account: &AccountId,
    input: &ListEntitiesForPolicyRequest,
    kind: EntityType,
) -> Result<Vec<(Kind, Entity)>, IamError> {
    if input.entity_filter.as_ref().is_some_and(|filter| *filter != kind) {
        return Ok(Vec::new());
    }
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let uses = |entity: &Entity| {
        let is_attached = entity.attached.contains(&input.policy_arn);
        let is_boundary = entity.permissions_boundary.as_ref() == Some(&input.policy_arn);
        match input.policy_usage_filter {
            Some(PolicyUsageType::PermissionsPolicy) => is_attached,
            Some(PolicyUsageType::PermissionsBoundary) => is_boundary,
            _ => is_attached || is_boundary,
        }
    };
    let entities = list::all::<H, _>(read, account)?.into_iter().map(|record| record.entity().clone());
    let wanted = entities.filter(|entity| entity.path.starts_with(prefix) && uses(entity));
    Ok(wanted.map(|entity| (H::KIND, entity)).collect())
}

fn show(listed: Listed<(Kind, Entity)>) -> ListEntitiesForPolicyResponse {
    let is_truncated = listed.is_truncated();
    let (mut groups, mut roles, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, Entity { name, id, .. }) in listed.items {
        let (name, id) = (Some(name), Some(id));
        match kind {
            Kind::Group => groups.push(PolicyGroup { group_name: name, group_id: id }),
            Kind::Role => roles.push(PolicyRole { role_name: name, role_id: id }),
            Kind::User => users.push(PolicyUser { user_name: name, user_id: id }),
        }
    }
    ListEntitiesForPolicyResponse {
        policy_groups: Some(groups),
        policy_roles: Some(roles),
        policy_users: Some(users),
        is_truncated,
        marker: listed.marker,
    }
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn each_use_is_found_in_pages() {
        let bed = Bed::new();
        let arn = bed.create_policy("mine").await.arn.unwrap();
        bed.create_role("worker").await;
        bed.create_user("ann").await;
        bed.create_group("staff").await;
        let attach = AttachRolePolicyRequest { role_name: "worker".to_owned(), policy_arn: arn.clone() };
        bed.run::<AttachRolePolicy>(attach).await.unwrap();
        let attach = AttachGroupPolicyRequest { group_name: "staff".to_owned(), policy_arn: arn.clone() };
        bed.run::<AttachGroupPolicy>(attach).await.unwrap();
        let bound =
            PutUserPermissionsBoundaryRequest { user_name: "ann".to_owned(), permissions_boundary: arn.clone() };
        bed.run::<PutUserPermissionsBoundary>(bound).await.unwrap();
        let request = ListEntitiesForPolicyRequest { policy_arn: arn.clone(), ..Default::default() };
        let counts = async |input: ListEntitiesForPolicyRequest| {
            let found = bed.run::<ListEntitiesForPolicy>(input).await.unwrap();
            let (groups, roles) = (found.policy_groups.unwrap().len(), found.policy_roles.unwrap().len());
            (groups, roles, found.policy_users.unwrap().len(), found.marker)
        };
        assert_eq!(counts(request.clone()).await, (1, 1, 1, None));
        let filter = Some(EntityType::Role);
        assert_eq!(
            counts(ListEntitiesForPolicyRequest { entity_filter: filter, ..request.clone() }).await,
            (0, 1, 0, None)
        );
        let usage = Some(PolicyUsageType::PermissionsBoundary);
        let bounded = ListEntitiesForPolicyRequest { policy_usage_filter: usage, ..request.clone() };
        assert_eq!(counts(bounded).await, (0, 0, 1, None));
        let first = counts(ListEntitiesForPolicyRequest { max_items: Some(2), ..request.clone() }).await;
        assert_eq!((first.0, first.1, first.2), (1, 1, 0));
        let second = counts(ListEntitiesForPolicyRequest { max_items: Some(2), marker: first.3, ..request }).await;
        assert_eq!(second, (0, 0, 1, None));
        let missing = ListEntitiesForPolicyRequest { policy_arn: format!("{arn}x"), ..Default::default() };
        assert_eq!(refusal(bed.run::<ListEntitiesForPolicy>(missing).await).0, "NoSuchEntity");
    }
}
