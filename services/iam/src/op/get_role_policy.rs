//! Shows an inline policy of a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{GetRolePolicy, GetRolePolicyRequest, GetRolePolicyResponse};
use crate::error::IamError;
use crate::family::inline;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for GetRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetRolePolicyRequest) -> Result<GetRolePolicyResponse, IamError> {
        let shown = inline::get::<RoleRecord>(cx, input.role_name, input.policy_name).await?;
        Ok(GetRolePolicyResponse { role_name: shown.holder, policy_name: shown.name, policy_document: shown.document })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::url_encoded;
    use crate::tests::{Bed, POLICY, refusal};

    #[tokio::test]
    async fn the_document_is_shown_encoded() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.put_policy("worker", "p").await.unwrap();
        let request =
            |name: &str| GetRolePolicyRequest { role_name: "worker".to_owned(), policy_name: name.to_owned() };
        let shown = bed.run::<GetRolePolicy>(request("p")).await.unwrap();
        assert_eq!((shown.policy_name.as_str(), shown.policy_document), ("p", url_encoded(POLICY)));
        let error = refusal(bed.run::<GetRolePolicy>(request("q")).await);
        assert_eq!(error, ("NoSuchEntity".to_owned(), "The role policy with name q cannot be found.".to_owned()));
    }
}
