//! Shows a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html>
//! Deviations: RoleLastUsed is always empty, as for a role that was never used. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{GetRole, GetRoleRequest, GetRoleResponse};
use crate::error::IamError;
use crate::family::look;
use crate::model::{Named, RoleRecord};
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for GetRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetRoleRequest) -> Result<GetRoleResponse, IamError> {
        let find = move |read: &mut dyn Read, account: &AccountId| {
            Ok(RoleRecord::find(read, account, &input.role_name)?.show(account))
        };
        Ok(GetRoleResponse { role: look(cx, find).await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn it_shows_what_was_made() {
        let bed = Bed::new();
        let made = bed.create_role("worker").await;
        let role = bed.run::<GetRole>(GetRoleRequest { role_name: "worker".to_owned() }).await.unwrap().role;
        assert_eq!(role, made);
        assert_eq!(role.max_session_duration, Some(3_600));
        assert!(role.role_last_used.is_some() && role.tags.is_none() && role.description.is_none());
    }

    #[tokio::test]
    async fn a_missing_role_is_named() {
        let error = refusal(Bed::new().run::<GetRole>(GetRoleRequest { role_name: "gone".to_owned() }).await);
        assert_eq!(error, ("NoSuchEntity".to_owned(), "The role with name gone cannot be found.".to_owned()));
    }
}
