//! An execution role with its policies, and a session of it.

use crate::Outcome;
use aws_credential_types::Credentials;
use aws_sdk_iam as iam;
use aws_sdk_sts as sts;

const NAME: &str = "rust-sdk-role";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const READ: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:Get*","Resource":"*"}]}"#;
const BASIC: &str = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";

pub async fn run(url: &str) -> Outcome {
    let client = client!(iam, url);
    let made = client.create_role().role_name(NAME).assume_role_policy_document(TRUST).send().await?;
    let arn = made.role().map(|role| role.arn().to_owned()).ok_or("CreateRole returns the role")?;
    client.attach_role_policy().role_name(NAME).policy_arn(BASIC).send().await?;
    let attached = client.list_attached_role_policies().role_name(NAME).send().await?;
    let attached: Vec<_> = attached.attached_policies().iter().filter_map(|policy| policy.policy_arn()).collect();
    assert_eq!(attached, [BASIC]);
    client.put_role_policy().role_name(NAME).policy_name("read").policy_document(READ).send().await?;
    let policy = client.create_policy().policy_name("rust-sdk-policy").policy_document(READ).send().await?;
    let policy_arn =
        policy.policy().and_then(|policy| policy.arn()).ok_or("CreatePolicy returns the policy")?.to_owned();
    client.attach_role_policy().role_name(NAME).policy_arn(&policy_arn).send().await?;

    let session = client!(sts, url).assume_role().role_arn(&arn).role_session_name("session").send().await?;
    let user = session.assumed_role_user().ok_or("AssumeRole returns the user")?;
    assert_eq!(user.arn(), "arn:aws:sts::000000000000:assumed-role/rust-sdk-role/session");

    let error = client.delete_role().role_name(NAME).send().await.expect_err("policies are attached");
    assert!(error.into_service_error().is_delete_conflict_exception());
    client.delete_role_policy().role_name(NAME).policy_name("read").send().await?;
    client.detach_role_policy().role_name(NAME).policy_arn(BASIC).send().await?;
    client.detach_role_policy().role_name(NAME).policy_arn(&policy_arn).send().await?;
    client.delete_policy().policy_arn(&policy_arn).send().await?;
    client.delete_role().role_name(NAME).send().await?;
    Ok(())
}
