//! Makes a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html>
//! Deviations: none. Errors: EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity (permissions boundary).

use crate::Iam;
use crate::api::{CreateUser, CreateUserRequest, CreateUserResponse};
use crate::error::IamError;
use crate::family::{Quota, boundary, change, create, new_entity, tags};
use crate::limits::USERS_MAX;
use crate::model::{Entity, Kind, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for CreateUser {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: CreateUserRequest) -> Result<CreateUserResponse, IamError> {
        let user = UserRecord {
            entity: Entity {
                permissions_boundary: input.permissions_boundary,
                tags: tags::checked(input.tags)?,
                ..new_entity(cx, "AIDA", input.user_name, input.path)
            },
            groups: Vec::new(),
            access_keys: Vec::new(),
        };
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            boundary::check(tx, account, user.entity.permissions_boundary.as_deref())?;
            create(tx, account, &user, &USERS, |name| IamError::Exists(Kind::User, name))?;
            Ok(user.show(account))
        };
        Ok(CreateUserResponse { user: Some(change(cx, create).await?) })
    }
}

/// How many users an account has.
pub(super) const USERS: Quota = Quota { name: "UsersPerAccount", max: USERS_MAX, count: |usage| &mut usage.users };

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn a_user_is_made_shown_and_removed() {
        let bed = Bed::new();
        let input = CreateUserRequest {
            user_name: "Ann".to_owned(),
            path: Some("/team/".to_owned()),
            permissions_boundary: Some("arn:aws:iam::aws:policy/PowerUserAccess".to_owned()),
            tags: Some(vec![Tag { key: "a".to_owned(), value: "b".to_owned() }]),
        };
        let made = bed.run::<CreateUser>(input.clone()).await.unwrap().user.unwrap();
        assert_eq!(made.arn, "arn:aws:iam::000000000000:user/team/Ann");
        assert_eq!((made.user_id.len(), &made.user_id[..4]), (21, "AIDA"));
        assert!(made.permissions_boundary.is_some() && made.tags.is_some());
        let get = GetUserRequest { user_name: Some("ann".to_owned()) };
        assert_eq!(bed.run::<GetUser>(get.clone()).await.unwrap().user, made);
        let error = refusal(bed.run::<CreateUser>(CreateUserRequest { user_name: "ANN".to_owned(), ..input }).await);
        assert_eq!(error, ("EntityAlreadyExists".to_owned(), "User with name ANN already exists.".to_owned()));
        bed.delete_user("ann").await.unwrap();
        assert_eq!(refusal(bed.run::<GetUser>(get).await).1, "The user with name ann cannot be found.");
    }

    #[tokio::test]
    async fn a_boundary_must_exist() {
        let input = CreateUserRequest {
            user_name: "ann".to_owned(),
            permissions_boundary: Some("arn:aws:iam::aws:policy/No".to_owned()),
            ..Default::default()
        };
        assert_eq!(refusal(Bed::new().run::<CreateUser>(input).await).0, "NoSuchEntity");
    }
}
