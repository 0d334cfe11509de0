//! IAM's roles for those who let somebody act in one (the port `RoleDirectory`).

use crate::model::{Holder, Named, RoleRecord};
use async_trait::async_trait;
use gust_kit::ports::{RoleDirectory, RoleSummary, ServiceRoles};
use gust_policy::{Caller, Context, Kind, Policy, Request, Verdict};
use gust_store::{Read, Record, Store, StoreError};
use gust_types::{AccountId, Arn};

/// The roles in a store.
#[derive(Clone)]
pub struct Roles {
    store: Store,
}

impl Roles {
    /// The roles in `store`.
    pub fn new(store: Store) -> Roles {
        Roles { store }
    }
}

#[async_trait]
impl RoleDirectory for Roles {
    async fn role(&self, role_arn: &str) -> Result<Option<RoleSummary>, StoreError> {
        let Some((account, name)) = parts(role_arn) else { return Ok(None) };
        let wanted = role_arn.to_owned();
        let find = move |read: &mut dyn Read| -> Result<Option<RoleSummary>, StoreError> {
            let role = RoleRecord::load(read, &RoleRecord::key(&account, &name))?;
            Ok(role.filter(|role| role.arn(&account) == wanted).map(|role| RoleSummary {
                arn: wanted.clone(),
                role_id: role.entity.id,
                max_session_duration_s: role.max_session_duration_s,
                trust_policy: role.trust_policy,
                tags: role.entity.tags,
            }))
        };
        self.store.read(find).await
    }
}

#[async_trait]
impl ServiceRoles for Roles {
    async fn may_assume(&self, service: &str, role_arn: &str, source_arn: &str) -> Result<bool, StoreError> {
        let role = self.role(role_arn).await?;
        Ok(role.is_some_and(|role| trusts(&role, service, source_arn)))
    }
}

/// Whether a role's trust policy lets a service in.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html> (aws:SourceArn)
fn trusts(role: &RoleSummary, service: &str, source_arn: &str) -> bool {
    let mut context = Context::default();
    context.add("aws:SourceArn", source_arn);
    context.add("aws:SourceAccount", source_arn.split(':').nth(4).unwrap_or_default());
    context.add("aws:PrincipalIsAWSService", "true");
    let request = Request::new(Caller::Service(service), "sts:AssumeRole", &role.arn, &context);
    // What is kept was checked when it came.
    Policy::parse(&role.trust_policy, Kind::Trust)
        .is_ok_and(|policy| matches!(policy.verdict(&request), Verdict::Allows(_)))
}

/// Account and name of a role's ARN.
fn parts(role_arn: &str) -> Option<(AccountId, String)> {
    let arn: Arn = role_arn.parse().ok()?;
    let name = arn.resource.strip_prefix("role/")?.rsplit('/').next()?;
    let is_role = arn.service == "iam" && arn.region.is_empty() && !name.is_empty();
    is_role.then_some((AccountId::parse(&arn.account)?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{UpdateAssumeRolePolicy, UpdateAssumeRolePolicyRequest};
    use crate::tests::Bed;

    #[tokio::test]
    async fn roles_are_found_by_their_whole_arn() {
        let bed = Bed::new();
        bed.create_role_at("/team/", "worker").await;
        let roles = Roles::new(bed.store());
        let found = roles.role("arn:aws:iam::000000000000:role/team/worker").await.unwrap().unwrap();
        assert!(found.role_id.starts_with("AROA"));
        assert_eq!(found.max_session_duration_s, 3_600);
        for arn in [
            "arn:aws:iam::000000000000:role/worker",
            "arn:aws:iam::000000000000:role/team/other",
            "arn:aws:iam::111111111111:role/team/worker",
            "arn:aws:iam::000000000000:user/worker",
            "arn:aws:sts::000000000000:role/team/worker",
            "worker",
            "",
        ] {
            assert_eq!(roles.role(arn).await.unwrap(), None, "{arn}");
        }
    }

    #[tokio::test]
    async fn services_act_in_roles_that_trust_them() {
        const LAMBDA: &str = "lambda.amazonaws.com";
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let bed = Bed::new();
        let roles = Roles::new(bed.store());
        let arn = "arn:aws:iam::000000000000:role/worker";
        assert!(!roles.may_assume(LAMBDA, arn, function).await.unwrap(), "it does not exist");
        bed.create_role("worker").await;
        assert!(roles.may_assume(LAMBDA, arn, function).await.unwrap());
        assert!(!roles.may_assume("events.amazonaws.com", arn, function).await.unwrap());
        for (statement, expected) in [
            (r#"{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}"#, false),
            (
                r#"{"Effect":"Allow","Principal":{"Service":["x.amazonaws.com","lambda.amazonaws.com"]},"Action":"sts:*"}"#,
                true,
            ),
            (
                r#"{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole",
                    "Condition":{"StringEquals":{"aws:SourceAccount":"000000000000"}}}"#,
                true,
            ),
            (
                r#"{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole",
                    "Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:lambda:*:*:function:other"}}}"#,
                false,
            ),
        ] {
            let policy_document = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
            let update = UpdateAssumeRolePolicyRequest { role_name: "worker".to_owned(), policy_document };
            bed.run::<UpdateAssumeRolePolicy>(update).await.unwrap();
            assert_eq!(roles.may_assume(LAMBDA, arn, function).await.unwrap(), expected, "{statement}");
        }
    }
}
