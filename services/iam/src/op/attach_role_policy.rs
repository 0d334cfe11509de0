//! Attaches a managed policy to a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html>
//! Deviations: policies of AWS's without a document (see `rules/managed.rs`) grant nothing. Errors: NoSuchEntity,
//! InvalidInput, PolicyNotAttachable, LimitExceeded, UnmodifiableEntity.

use crate::Iam;
use crate::api::{AttachRolePolicy, AttachRolePolicyRequest};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for AttachRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: AttachRolePolicyRequest) -> Result<Self::Output, IamError> {
        attachment::attach::<RoleRecord>(cx, input.role_name, input.policy_arn).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn attaching_twice_is_attaching_once() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        for _ in 0..2 {
            bed.attach("worker", "service-role/AWSLambdaBasicExecutionRole").await.unwrap();
        }
        assert_eq!(bed.attached("worker").await, ["AWSLambdaBasicExecutionRole"]);
    }

    #[tokio::test]
    async fn what_does_not_exist_is_named() {
        let bed = Bed::new();
        let missing = |message: &str| ("NoSuchEntity".to_owned(), message.to_owned());
        let error = refusal(bed.attach("worker", "AdministratorAccess").await);
        assert_eq!(error, missing("The role with name worker cannot be found."));
        bed.create_role("worker").await;
        let error = refusal(bed.attach("worker", "Nothing").await);
        assert_eq!(error, missing("Policy arn:aws:iam::aws:policy/Nothing does not exist or is not attachable."));
    }

    #[tokio::test]
    async fn a_role_has_ten_at_most() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        let names = [
            "AdministratorAccess",
            "AmazonDynamoDBFullAccess",
            "AmazonEC2FullAccess",
            "AmazonKinesisFullAccess",
            "AmazonS3FullAccess",
            "AmazonSNSFullAccess",
            "AmazonSQSFullAccess",
            "AWSLambda_FullAccess",
            "CloudWatchLogsFullAccess",
            "PowerUserAccess",
        ];
        for name in names {
            bed.attach("worker", name).await.unwrap();
        }
        let error = refusal(bed.attach("worker", "ReadOnlyAccess").await);
        assert_eq!(error, ("LimitExceeded".to_owned(), "Cannot exceed quota for PoliciesPerRole: 10".to_owned()));
    }
}
