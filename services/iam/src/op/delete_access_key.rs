//! Removes an access key.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccessKey.html>
//! Deviations: none. Errors: NoSuchEntity, ValidationError.

use crate::Iam;
use crate::api::{DeleteAccessKey, DeleteAccessKeyRequest};
use crate::error::IamError;
use crate::family::{change, user_or_caller};
use crate::model::{Named, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for DeleteAccessKey {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteAccessKeyRequest) -> Result<Self::Output, IamError> {
        let user_name = user_or_caller(cx, input.user_name)?;
        let keys = cx.service.keys.clone();
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut user = UserRecord::find(tx, account, &user_name)?;
            if user.access_key(&input.access_key_id).is_none() {
                return Err(IamError::KeyNotFound(input.access_key_id.clone()));
            }
            user.access_keys.retain(|key| key.id != input.access_key_id);
            user.keep(tx, account)?;
            Ok(keys.remove(tx, &input.access_key_id)?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}
