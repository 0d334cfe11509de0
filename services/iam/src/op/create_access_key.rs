//! Makes an access key of a user. Its secret is shown now and never again.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html>
//! Deviations: the account's root has the key of the first start in strict mode and gets no others. Errors:
//! NoSuchEntity, LimitExceeded, ValidationError.

use crate::Iam;
use crate::api::{AccessKey, CreateAccessKey, CreateAccessKeyRequest, CreateAccessKeyResponse, StatusType};
use crate::error::IamError;
use crate::family::{change, user_or_caller};
use crate::limits::ACCESS_KEYS_MAX;
use crate::model::{self, Holder, Named, UserRecord, whole_seconds};
use gust_kit::ports::UserKey;
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for CreateAccessKey {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: CreateAccessKeyRequest) -> Result<CreateAccessKeyResponse, IamError> {
        let user_name = user_or_caller(cx, input.user_name)?;
        let (keys, now_ms) = (cx.service.keys.clone(), cx.now_ms());
        let (access_key_id, secret_access_key) = keys.fresh(&*cx.platform().ids);
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut user = UserRecord::find(tx, account, &user_name)?;
            if user.access_keys.len() >= ACCESS_KEYS_MAX {
                return Err(IamError::Quota { quota: "AccessKeysPerUser", max: ACCESS_KEYS_MAX });
            }
            user.access_keys.push(model::AccessKey {
                id: access_key_id.clone(),
                is_active: true,
                created_at_ms: now_ms,
            });
            user.keep(tx, account)?;
            let key = UserKey {
                access_key_id: access_key_id.clone(),
                secret_access_key: secret_access_key.clone(),
                account: account.clone(),
                user_arn: user.arn(account),
                user_id: user.entity.id.clone(),
            };
            keys.add(tx, &key)?;
            Ok(AccessKey {
                user_name: user.entity.name,
                access_key_id: key.access_key_id,
                status: StatusType::Active,
                secret_access_key: key.secret_access_key,
                create_date: Some(whole_seconds(now_ms)),
            })
        };
        Ok(CreateAccessKeyResponse { access_key: change(cx, create).await? })
    }
}
