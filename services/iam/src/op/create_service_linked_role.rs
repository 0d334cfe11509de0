//! Makes the role of one of AWS's services.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html>
//! Deviations: only the services of `rules/service_role.rs` have such roles. Errors: InvalidInput.

use super::create_role::ROLES;
use crate::Iam;
use crate::api::{CreateServiceLinkedRole, CreateServiceLinkedRoleRequest, CreateServiceLinkedRoleResponse};
use crate::error::IamError;
use crate::family::{change, create, new_entity};
use crate::limits::SESSION_DURATION_DEFAULT_S;
use crate::model::{Entity, RoleRecord, SERVICE_ROLE_PATH};
use crate::rules::service_role;
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for CreateServiceLinkedRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: CreateServiceLinkedRoleRequest,
    ) -> Result<CreateServiceLinkedRoleResponse, IamError> {
        let CreateServiceLinkedRoleRequest { aws_service_name: service, description, custom_suffix } = input;
        let template = service_role::template(&service)?;
        let name = template.role_name(custom_suffix.as_deref())?;
        let path = format!("{SERVICE_ROLE_PATH}{service}/");
        let role = RoleRecord {
            entity: Entity {
                attached: vec![template.policy_arn()],
                ..new_entity(cx, "AROA", name.clone(), Some(path))
            },
            trust_policy: service_role::trust_policy(&service),
            description,
            max_session_duration_s: SESSION_DURATION_DEFAULT_S,
        };
        let make = move |tx: &mut dyn Tx, account: &AccountId| {
            create(tx, account, &role, &ROLES, |name| IamError::InvalidInput(service_role::taken(&name)))?;
            Ok(role.show(account))
        };
        Ok(CreateServiceLinkedRoleResponse { role: Some(change(cx, make).await?) })
    }
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    fn request(service: &str, suffix: Option<&str>) -> CreateServiceLinkedRoleRequest {
        CreateServiceLinkedRoleRequest {
            aws_service_name: service.to_owned(),
            custom_suffix: suffix.map(str::to_owned),
            ..Default::default()
        }
    }

    /// From the making of such a role to the end of its deletion.
    #[tokio::test]
    async fn a_services_role_is_out_of_reach_but_for_its_own_operations() {
        let bed = Bed::new();
        let service = "autoscaling.amazonaws.com";
        let role = bed.run::<CreateServiceLinkedRole>(request(service, None)).await.unwrap().role.unwrap();
        let name = "AWSServiceRoleForAutoScaling";
        assert_eq!(
            role.arn,
            "arn:aws:iam::000000000000:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
        );
        assert_eq!(bed.attached(name).await, ["AutoScalingServiceRolePolicy"]);
        let error = refusal(bed.run::<CreateServiceLinkedRole>(request(service, None)).await);
        assert_eq!(error.0, "InvalidInput");
        assert!(error.1.contains("has been taken in this account"), "{}", error.1);
        bed.run::<CreateServiceLinkedRole>(request(service, Some("x"))).await.unwrap();
        let error = refusal(bed.delete_role(name).await);
        assert_eq!(error.0, "UnmodifiableEntity");
        assert!(error.1.ends_with("this role is only modifiable by AWS"), "{}", error.1);
        assert_eq!(refusal(bed.put_policy(name, "p").await).0, "UnmodifiableEntity");
        assert_eq!(refusal(bed.attach(name, "AdministratorAccess").await).0, "UnmodifiableEntity");

        let delete = DeleteServiceLinkedRoleRequest { role_name: name.to_owned() };
        let task = bed.run::<DeleteServiceLinkedRole>(delete.clone()).await.unwrap().deletion_task_id;
        let status = |id: &str| GetServiceLinkedRoleDeletionStatusRequest { deletion_task_id: id.to_owned() };
        let found = bed.run::<GetServiceLinkedRoleDeletionStatus>(status(&task)).await.unwrap();
        assert_eq!(found.status, DeletionTaskStatusType::Succeeded);
        let unknown = bed.run::<GetServiceLinkedRoleDeletionStatus>(status(&format!("{task}x"))).await;
        assert_eq!(refusal(unknown).0, "NoSuchEntity");
        assert_eq!(refusal(bed.run::<DeleteServiceLinkedRole>(delete).await).0, "NoSuchEntity");
        bed.run::<CreateServiceLinkedRole>(request(service, None)).await.unwrap();
    }

    #[tokio::test]
    async fn what_no_service_has_is_refused() {
        let bed = Bed::new();
        let error = refusal(bed.run::<CreateServiceLinkedRole>(request("nothing.amazonaws.com", None)).await);
        assert_eq!(
            error,
            (
                "InvalidInput".to_owned(),
                "Cannot find Service Linked Role template for nothing.amazonaws.com".to_owned()
            )
        );
        let error = refusal(bed.run::<CreateServiceLinkedRole>(request("ecs.amazonaws.com", Some("x"))).await);
        assert_eq!(error.1, "Custom suffix is not allowed for ecs.amazonaws.com");
        bed.create_role("worker").await;
        let delete = DeleteServiceLinkedRoleRequest { role_name: "worker".to_owned() };
        assert_eq!(refusal(bed.run::<DeleteServiceLinkedRole>(delete).await).0, "NoSuchEntity");
    }
}
