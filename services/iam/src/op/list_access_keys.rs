//! Lists the access keys of a user, without their secrets.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html>
//! Deviations: none. Errors: NoSuchEntity, ValidationError, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListAccessKeys, ListAccessKeysRequest, ListAccessKeysResponse};
use crate::error::IamError;
use crate::family::{look, user_or_caller};
use crate::model::{Named, UserRecord};
use crate::rules::page::Page;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListAccessKeys {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListAccessKeysRequest) -> Result<ListAccessKeysResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let user_name = user_or_caller(cx, input.user_name)?;
        let list = move |read: &mut dyn Read, account: &AccountId| {
            let mut user = UserRecord::find(read, account, &user_name)?;
            user.access_keys.sort_unstable_by(|one, other| one.id.cmp(&other.id));
            let listed = page.cut(user.access_keys, |key| key.id.clone());
            Ok(listed.map(|key| key.show(&user.entity.name)))
        };
        let listed = look(cx, list).await?;
        Ok(ListAccessKeysResponse {
            is_truncated: listed.is_truncated(),
            access_key_metadata: listed.items,
            marker: listed.marker,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    async fn statuses(bed: &Bed) -> Vec<Option<StatusType>> {
        let list = ListAccessKeysRequest { user_name: Some("ann".to_owned()), ..Default::default() };
        let keys = bed.run::<ListAccessKeys>(list).await.unwrap().access_key_metadata;
        keys.into_iter().map(|key| key.status).collect()
    }

    #[tokio::test]
    async fn a_user_has_two_keys_at_most() {
        let bed = Bed::new();
        assert_eq!(refusal(bed.create_key("ann").await).0, "NoSuchEntity");
        bed.create_user("ann").await;
        let first = bed.create_key("ann").await.unwrap();
        assert!(first.access_key_id.starts_with("AKIA") && first.secret_access_key.len() == 40);
        bed.create_key("ann").await.unwrap();
        let error = refusal(bed.create_key("ann").await);
        assert_eq!(error, ("LimitExceeded".to_owned(), "Cannot exceed quota for AccessKeysPerUser: 2".to_owned()));
        let update = UpdateAccessKeyRequest {
            user_name: Some("ann".to_owned()),
            access_key_id: first.access_key_id.clone(),
            status: StatusType::Inactive,
        };
        bed.run::<UpdateAccessKey>(update.clone()).await.unwrap();
        assert!(statuses(&bed).await.contains(&Some(StatusType::Inactive)));
        let delete =
            DeleteAccessKeyRequest { user_name: Some("ann".to_owned()), access_key_id: first.access_key_id.clone() };
        bed.run::<DeleteAccessKey>(delete.clone()).await.unwrap();
        assert_eq!(statuses(&bed).await, [Some(StatusType::Active)]);
        let message = format!("The Access Key with id {} cannot be found.", first.access_key_id);
        assert_eq!(refusal(bed.run::<DeleteAccessKey>(delete).await), ("NoSuchEntity".to_owned(), message));
        assert_eq!(refusal(bed.run::<UpdateAccessKey>(update).await).0, "NoSuchEntity");
    }
}
