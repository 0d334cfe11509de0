//! Shows a user: the caller, if none is named.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUser.html>
//! Deviations: the root's creation date is the beginning of time; PasswordLastUsed is never shown. Errors:
//! NoSuchEntity, ValidationError.

use crate::Iam;
use crate::api::{GetUser, GetUserRequest, GetUserResponse, User};
use crate::error::IamError;
use crate::family::{look, user_or_caller};
use crate::model::{Named, UserRecord};
use gust_kit::PrincipalKind;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for GetUser {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetUserRequest) -> Result<GetUserResponse, IamError> {
        let principal = &cx.call.principal;
        if input.user_name.is_none() && principal.kind == PrincipalKind::Root {
            return Ok(GetUserResponse { user: root(&principal.account) });
        }
        let name = user_or_caller(cx, input.user_name)?;
        let find =
            move |read: &mut dyn Read, account: &AccountId| Ok(UserRecord::find(read, account, &name)?.show(account));
        Ok(GetUserResponse { user: look(cx, find).await? })
    }
}

/// The account's root, whom AWS shows without a name.
fn root(account: &AccountId) -> User {
    User {
        path: "/".to_owned(),
        user_name: String::new(),
        user_id: account.as_str().to_owned(),
        arn: format!("arn:aws:iam::{account}:root"),
        create_date: 0,
        ..User::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, caller, refusal};

    #[tokio::test]
    async fn without_a_name_it_is_the_caller() {
        let bed = Bed::new();
        let ann = bed.create_user("ann").await;
        let shown = bed.run::<GetUser>(GetUserRequest::default()).await.unwrap().user;
        assert_eq!((shown.arn.as_str(), shown.user_id.as_str()), ("arn:aws:iam::000000000000:root", "000000000000"));
        let user = caller(PrincipalKind::User, "arn:aws:iam::000000000000:user/ann");
        assert_eq!(bed.run_as::<GetUser>(user, GetUserRequest::default()).await.unwrap().user, ann);
        let session = caller(PrincipalKind::AssumedRole, "arn:aws:sts::000000000000:assumed-role/r/s");
        let error = refusal(bed.run_as::<GetUser>(session, GetUserRequest::default()).await);
        assert_eq!(error.1, "Must specify userName when calling with non-User credentials");
    }
}
