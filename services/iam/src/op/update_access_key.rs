//! Makes an access key active or inactive.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html>
//! Deviations: none. Errors: NoSuchEntity, ValidationError.

use crate::Iam;
use crate::api::{StatusType, UpdateAccessKey, UpdateAccessKeyRequest};
use crate::error::IamError;
use crate::family::{change, user_or_caller};
use crate::model::{Named, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for UpdateAccessKey {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UpdateAccessKeyRequest) -> Result<Self::Output, IamError> {
        let user_name = user_or_caller(cx, input.user_name)?;
        let keys = cx.service.keys.clone();
        let is_active = match input.status {
            StatusType::Active => true,
            StatusType::Inactive => false,
            // A key that ran out cannot be wished for (inferred).
            _ => return Err(IamError::InvalidInput("Status must be Active or Inactive.".to_owned())),
        };
        let update = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut user = UserRecord::find(tx, account, &user_name)?;
            let key = user.access_keys.iter_mut().find(|key| key.id == input.access_key_id);
            let key = key.ok_or_else(|| IamError::KeyNotFound(input.access_key_id.clone()))?;
            key.is_active = is_active;
            user.keep(tx, account)?;
            Ok(keys.set_active(tx, &input.access_key_id, is_active)?)
        };
        change(cx, update).await?;
        Ok(Self::Output::default())
    }
}
