//! Replaces a role's trust policy.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html>
//! Deviations: principals are not looked up. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded.

use crate::Iam;
use crate::api::{UpdateAssumeRolePolicy, UpdateAssumeRolePolicyRequest};
use crate::error::IamError;
use crate::keys;
use crate::limits::TRUST_POLICY_CHARACTERS_MAX;
use crate::model::{RoleRecord, characters};
use crate::rules::policy;
use gust_kit::{Cx, Operation};
use gust_store::{Record, Tx};

impl Operation for UpdateAssumeRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UpdateAssumeRolePolicyRequest) -> Result<Self::Output, IamError> {
        let UpdateAssumeRolePolicyRequest { role_name, policy_document } = input;
        policy::check(&policy_document, policy::Kind::Trust)?;
        if characters(&policy_document) > TRUST_POLICY_CHARACTERS_MAX {
            return Err(IamError::TrustPolicyTooLong);
        }
        let account = cx.call.account().clone();
        let update = move |tx: &mut dyn Tx| -> Result<(), IamError> {
            let role = RoleRecord::find(tx, &account, &role_name)?;
            let role = RoleRecord { trust_policy: policy_document.clone(), ..role };
            Ok(role.save(tx, keys::role(&account, &role_name))?)
        };
        cx.service.change(update).await?;
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
