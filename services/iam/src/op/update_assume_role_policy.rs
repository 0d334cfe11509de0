//! Replaces a role's trust policy.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html>
//! Deviations: principals are not looked up. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded,
//! UnmodifiableEntity.

use super::create_role::check_trust;
use crate::Iam;
use crate::api::{UpdateAssumeRolePolicy, UpdateAssumeRolePolicyRequest};
use crate::error::IamError;
use crate::family::edit;
use crate::model::{Holder, RoleRecord};
use gust_kit::{Cx, Operation};

impl Operation for UpdateAssumeRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UpdateAssumeRolePolicyRequest) -> Result<Self::Output, IamError> {
        let UpdateAssumeRolePolicyRequest { role_name, policy_document } = input;
        check_trust(&policy_document)?;
        let update = move |role: &mut RoleRecord| {
            role.check_modifiable()?;
            role.trust_policy.clone_from(&policy_document);
            Ok(())
        };
        edit(cx, role_name, update).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{GetRole, GetRoleRequest};
    use crate::model::url_encoded;
    use crate::tests::{Bed, refusal};

    fn request(role: &str, document: &str) -> UpdateAssumeRolePolicyRequest {
        UpdateAssumeRolePolicyRequest { role_name: role.to_owned(), policy_document: document.to_owned() }
    }

    #[tokio::test]
    async fn the_new_policy_is_shown() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        let document = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}"#;
        bed.run::<UpdateAssumeRolePolicy>(request("worker", document)).await.unwrap();
        let role = bed.run::<GetRole>(GetRoleRequest { role_name: "worker".to_owned() }).await.unwrap().role;
        assert_eq!(role.assume_role_policy_document, Some(url_encoded(document)));
        assert_eq!(refusal(bed.run::<UpdateAssumeRolePolicy>(request("gone", document)).await).0, "NoSuchEntity");
        assert_eq!(
            refusal(bed.run::<UpdateAssumeRolePolicy>(request("worker", "{}")).await).0,
            "MalformedPolicyDocument"
        );
    }
}
