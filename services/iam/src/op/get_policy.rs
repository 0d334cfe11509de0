//! Shows a managed policy, the account's own or one of AWS's.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicy.html>
//! Deviations: ids, dates and descriptions of AWS's own policies are not theirs. Errors: NoSuchEntity, InvalidInput,
//! AccessDenied.

use crate::Iam;
use crate::api::{GetPolicy, GetPolicyRequest, GetPolicyResponse};
use crate::error::IamError;
use crate::family::{attachment, look};
use crate::model::{Named, PolicyRecord};
use crate::rules::managed;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for GetPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetPolicyRequest) -> Result<GetPolicyResponse, IamError> {
        let find = move |read: &mut dyn Read, account: &AccountId| {
            let arn = input.policy_arn;
            let is_of_aws = managed::owner(&arn)? == "aws";
            if is_of_aws && !managed::exists(&arn) {
                return Err(PolicyRecord::missing(&arn));
            }
            let policy = if is_of_aws { None } else { Some(PolicyRecord::find(read, account, &arn)?) };
            let uses = attachment::uses(read, account)?.get(&arn).copied().unwrap_or_default();
            Ok(policy.map_or_else(|| managed::show(&arn, uses), |policy| policy.show(account, uses)))
        };
        Ok(GetPolicyResponse { policy: Some(look(cx, find).await?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn policies_of_aws_are_shown_with_their_use() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.attach("worker", "service-role/AWSLambdaBasicExecutionRole").await.unwrap();
        let request = |arn: &str| GetPolicyRequest { policy_arn: arn.to_owned() };
        let arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
        let policy = bed.run::<GetPolicy>(request(arn)).await.unwrap().policy.unwrap();
        assert_eq!((policy.path.as_deref(), policy.attachment_count), (Some("/service-role/"), Some(1)));
        for (arn, code) in [
            ("arn:aws:iam::aws:policy/None", "NoSuchEntity"),
            ("arn:aws:iam::000000000000:policy/none", "NoSuchEntity"),
            ("arn:aws:iam::111111111111:policy/other", "AccessDenied"),
            ("arn:aws:iam::000000000000:role/none", "InvalidInput"),
        ] {
            assert_eq!(refusal(bed.run::<GetPolicy>(request(arn)).await).0, code, "{arn}");
        }
    }
}
