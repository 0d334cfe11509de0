//! Shows an inline policy of a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{GetRolePolicy, GetRolePolicyRequest, GetRolePolicyResponse};
use crate::error::IamError;
use crate::keys;
use crate::model::{InlinePolicyRecord, RoleRecord, url_encoded};
use gust_kit::{Cx, Operation};
use gust_store::{Read, Record};

impl Operation for GetRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetRolePolicyRequest) -> Result<GetRolePolicyResponse, IamError> {
        let account = cx.call.account().clone();
        let find = move |read: &mut dyn Read| -> Result<GetRolePolicyResponse, IamError> {
            let role = RoleRecord::find(read, &account, &input.role_name)?;
            let key = keys::inline_policy(&account, &role.name, &input.policy_name);
            let policy = InlinePolicyRecord::load(read, &key)?;
            let policy = policy.ok_or_else(|| IamError::RolePolicyNotFound(input.policy_name.clone()))?;
            Ok(GetRolePolicyResponse {
                role_name: role.name,
                policy_name: policy.name,
                policy_document: url_encoded(&policy.document),
            })
        };
        cx.store().read(find).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
