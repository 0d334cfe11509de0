//! Changes a role's description and shows the role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRoleDescription.html>
//! Deviations: none. Errors: NoSuchEntity, UnmodifiableEntity.

use crate::Iam;
use crate::api::{UpdateRoleDescription, UpdateRoleDescriptionRequest, UpdateRoleDescriptionResponse};
use crate::error::IamError;
use crate::family::change;
use crate::model::{Holder, Named, RoleRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for UpdateRoleDescription {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UpdateRoleDescriptionRequest) -> Result<UpdateRoleDescriptionResponse, IamError> {
        let update = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut role = RoleRecord::find(tx, account, &input.role_name)?;
            role.check_modifiable()?;
            role.description = Some(input.description.clone());
            role.keep(tx, account)?;
            Ok(role.show(account))
        };
        Ok(UpdateRoleDescriptionResponse { role: Some(change(cx, update).await?) })
    }
}
