//! Attaches a managed policy to a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html>
//! Deviations: only AWS's own managed policies exist yet; they are not evaluated. Errors: NoSuchEntity, InvalidInput,
//! PolicyNotAttachable, LimitExceeded.

use crate::Iam;
use crate::api::{AttachRolePolicy, AttachRolePolicyRequest};
use crate::error::IamError;
use crate::keys;
use crate::limits::ATTACHED_POLICIES_MAX;
use crate::model::RoleRecord;
use crate::rules::managed;
use gust_kit::{Cx, Operation};
use gust_store::{Record, Tx};

impl Operation for AttachRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: AttachRolePolicyRequest) -> Result<Self::Output, IamError> {
        let AttachRolePolicyRequest { role_name, policy_arn } = input;
        let account = cx.call.account().clone();
        let attach = move |tx: &mut dyn Tx| -> Result<(), IamError> {
            managed::check_arn(&policy_arn)?;
            let mut role = RoleRecord::find(tx, &account, &role_name)?;
            managed::check_attachable(&policy_arn)?;
            if role.attached.contains(&policy_arn) {
                return Ok(());
            }
            if role.attached.len() >= ATTACHED_POLICIES_MAX {
                return Err(IamError::TooManyPolicies);
            }
            role.attached.push(policy_arn.clone());
            Ok(role.save(tx, keys::role(&account, &role_name))?)
        };
        cx.service.change(attach).await?;
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
