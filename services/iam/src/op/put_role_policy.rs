//! Sets an inline policy of a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html>
//! Deviations: none. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded, UnmodifiableEntity.

use crate::Iam;
use crate::api::{PutRolePolicy, PutRolePolicyRequest};
use crate::error::IamError;
use crate::family::inline;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for PutRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: PutRolePolicyRequest) -> Result<Self::Output, IamError> {
        inline::put::<RoleRecord>(cx, input.role_name, input.policy_name, input.policy_document).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ROLE_POLICIES_CHARACTERS_MAX;
    use crate::model::characters;
    use crate::tests::{Bed, refusal};

    fn request(name: &str, resource_characters: usize) -> PutRolePolicyRequest {
        let resource = format!("arn:{}", "x".repeat(resource_characters.saturating_sub(4)));
        let document = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect":"Allow","Action":"*","Resource":"{resource}"}}}}"#
        );
        PutRolePolicyRequest { role_name: "worker".to_owned(), policy_name: name.to_owned(), policy_document: document }
    }

    #[tokio::test]
    async fn sizes_are_summed_over_a_roles_policies() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        let overhead = characters(&request("a", 4).policy_document) - 4;
        let rest = ROLE_POLICIES_CHARACTERS_MAX - 2 * overhead - 5_000;
        bed.run::<PutRolePolicy>(request("a", 5_000)).await.unwrap();
        bed.run::<PutRolePolicy>(request("b", rest)).await.unwrap();
        bed.run::<PutRolePolicy>(request("b", rest)).await.unwrap();
        let error = refusal(bed.run::<PutRolePolicy>(request("b", rest + 1)).await);
        let message = "Maximum policy size of 10240 bytes exceeded for role worker";
        assert_eq!(error, ("LimitExceeded".to_owned(), message.to_owned()));
        bed.delete_policy("worker", "a").await.unwrap();
        bed.run::<PutRolePolicy>(request("b", rest + 1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_role_and_a_bad_document_are_refused() {
        let bed = Bed::new();
        assert_eq!(refusal(bed.run::<PutRolePolicy>(request("a", 10)).await).0, "NoSuchEntity");
        let bad = PutRolePolicyRequest { policy_document: "{".to_owned(), ..request("a", 10) };
        let error = refusal(bed.run::<PutRolePolicy>(bad).await);
        assert_eq!(error, ("MalformedPolicyDocument".to_owned(), "Syntax errors in policy.".to_owned()));
    }
}
