//! Changes a role's description and the longest life of its sessions. What is not given stays.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html>
//! Deviations: none. Errors: NoSuchEntity, UnmodifiableEntity.

use crate::Iam;
use crate::api::{UpdateRole, UpdateRoleRequest};
use crate::error::IamError;
use crate::family::edit;
use crate::model::{Holder, RoleRecord};
use gust_kit::{Cx, Operation};

impl Operation for UpdateRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UpdateRoleRequest) -> Result<Self::Output, IamError> {
        let UpdateRoleRequest { role_name, description, max_session_duration } = input;
        let update = move |role: &mut RoleRecord| {
            role.check_modifiable()?;
            if description.is_some() {
                role.description.clone_from(&description);
            }
            if let Some(duration_s) = max_session_duration.and_then(|duration_s| u32::try_from(duration_s).ok()) {
                role.max_session_duration_s = duration_s;
            }
            Ok(())
        };
        edit(cx, role_name, update).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{GetRole, GetRoleRequest};
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn what_is_not_given_stays() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        let request = UpdateRoleRequest { role_name: "worker".to_owned(), ..Default::default() };
        let shown = async || {
            let role = bed.run::<GetRole>(GetRoleRequest { role_name: "worker".to_owned() }).await.unwrap().role;
            (role.description, role.max_session_duration)
        };
        let described = UpdateRoleRequest { description: Some("d".to_owned()), ..request.clone() };
        bed.run::<UpdateRole>(described).await.unwrap();
        assert_eq!(shown().await, (Some("d".to_owned()), Some(3_600)));
        let lasting = UpdateRoleRequest { max_session_duration: Some(7_200), ..request };
        bed.run::<UpdateRole>(lasting.clone()).await.unwrap();
        assert_eq!(shown().await, (Some("d".to_owned()), Some(7_200)));
        let missing = UpdateRoleRequest { role_name: "gone".to_owned(), ..lasting };
        assert_eq!(refusal(bed.run::<UpdateRole>(missing).await).0, "NoSuchEntity");
    }
}
