//! Removes an inline policy of a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html>
//! Deviations: none. Errors: NoSuchEntity, UnmodifiableEntity.

use crate::Iam;
use crate::api::{DeleteRolePolicy, DeleteRolePolicyRequest};
use crate::error::IamError;
use crate::family::inline;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for DeleteRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteRolePolicyRequest) -> Result<Self::Output, IamError> {
        inline::delete::<RoleRecord>(cx, input.role_name, input.policy_name).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn it_goes_once() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.put_policy("worker", "p").await.unwrap();
        bed.delete_policy("worker", "p").await.unwrap();
        let error = refusal(bed.delete_policy("worker", "p").await);
        assert_eq!(error, ("NoSuchEntity".to_owned(), "The role policy with name p cannot be found.".to_owned()));
    }
}
