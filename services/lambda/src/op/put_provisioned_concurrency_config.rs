//! Keeps environments of a version, or of the version that an alias leads to, started and ready.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_PutProvisionedConcurrencyConfig.html>
//! Deviations: a failed allocation is tried again, with pauses, until the config is changed or deleted.
//! Errors: ResourceNotFoundException, InvalidParameterValueException, ResourceConflictException.

use crate::Lambda;
use crate::api::{
    ProvisionedConcurrencyStatusEnum, PutProvisionedConcurrencyConfig, PutProvisionedConcurrencyConfigRequest,
    PutProvisionedConcurrencyConfigResponse,
};
use crate::attached::ProvisionedRecord;
use crate::error::{LambdaError, ParameterError};
use crate::model::Qualifier;
use crate::op::get_provisioned_concurrency_config::{number, qualifier_of};
use crate::output;
use crate::provisioned;
use crate::rules::name;
use crate::task::to_the_end;
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for PutProvisionedConcurrencyConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: PutProvisionedConcurrencyConfigRequest,
    ) -> Result<PutProvisionedConcurrencyConfigResponse, LambdaError> {
        let action = "PutProvisionedConcurrencyConfig";
        let reference = name::resolve(&input.function_name, Some(&input.qualifier), &cx.call, action)?;
        let (id, qualifier) = (reference.id, qualifier_of(reference.qualifier));
        if qualifier == Qualifier::Latest {
            return Err(ParameterError::ProvisionedUnpublished.into());
        }
        // The model lets no number below one through.
        let executions = u32::try_from(input.provisioned_concurrent_executions).unwrap_or(0);
        let record = ProvisionedRecord { executions, modified_at_ms: cx.now_ms() };
        let limit = u64::try_from(cx.service.settings.concurrent_executions).unwrap_or(0);
        let service = cx.service.clone();
        to_the_end(async move {
            let stored = {
                let (id, qualifier, record) = (id.clone(), qualifier.clone(), record.clone());
                move |tx: &mut dyn Tx| {
                    provisioned::store(tx, &id, &qualifier, &record, limit)?;
                    provisioned::find(tx, &id, &qualifier)
                }
            };
            let outcome = service.platform.store.transact(stored).await;
            service.tell_provisioned(&id, true).await?;
            let alias = outcome?.value;
            let ready = number(service.progress(&id, &qualifier, alias.as_ref(), &record).ready);
            Ok(PutProvisionedConcurrencyConfigResponse {
                requested_provisioned_concurrent_executions: number(executions),
                available_provisioned_concurrent_executions: ready,
                allocated_provisioned_concurrent_executions: ready,
                status: Some(ProvisionedConcurrencyStatusEnum::InProgress),
                status_reason: None,
                last_modified: Some(output::date_of_seconds(record.modified_at_ms)),
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        GetAccountSettings, PutFunctionConcurrency, PutFunctionConcurrencyRequest, UpdateAlias, UpdateAliasRequest,
    };
    use crate::tests::Bed;

    fn request(name: &str, qualifier: &str, executions: i32) -> PutProvisionedConcurrencyConfigRequest {
        PutProvisionedConcurrencyConfigRequest {
            function_name: name.into(),
            qualifier: qualifier.into(),
            provisioned_concurrent_executions: executions,
        }
    }

    async fn bed() -> Bed {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        bed.update_code("a", b"two").await;
        bed.publish("a").await;
        bed.create_alias("a", "prod", "1", None).await;
        bed
    }

    async fn put(bed: &Bed, qualifier: &str, executions: i32) {
        bed.run::<PutProvisionedConcurrencyConfig>(request("a", qualifier, executions)).await.unwrap();
    }

    async fn refusal(bed: &Bed, qualifier: &str, executions: i32) -> (String, u16, String) {
        let error = bed.run::<PutProvisionedConcurrencyConfig>(request("a", qualifier, executions)).await.unwrap_err();
        (error.code.to_string(), error.status, error.message)
    }

    async fn unreserved(bed: &Bed) -> Option<i32> {
        let settings = bed.run::<GetAccountSettings>(Default::default()).await.unwrap();
        settings.account_limit.unwrap().unreserved_concurrent_executions
    }

    async fn reserve(bed: &Bed, executions: i32) -> Result<(), String> {
        let input =
            PutFunctionConcurrencyRequest { function_name: "a".into(), reserved_concurrent_executions: executions };
        bed.run::<PutFunctionConcurrency>(input).await.map(|_| ()).map_err(|error| error.message)
    }

    fn told(entries: &[(&str, u32)]) -> Vec<(String, u32)> {
        entries.iter().map(|(version, count)| ((*version).to_owned(), *count)).collect()
    }

    #[tokio::test]
    async fn a_config_is_told_and_moves_with_its_alias() {
        let bed = bed().await;
        let answer = bed.run::<PutProvisionedConcurrencyConfig>(request("a", "prod", 5)).await.unwrap();
        let expected = PutProvisionedConcurrencyConfigResponse {
            requested_provisioned_concurrent_executions: Some(5),
            available_provisioned_concurrent_executions: Some(0),
            allocated_provisioned_concurrent_executions: Some(0),
            status: Some(ProvisionedConcurrencyStatusEnum::InProgress),
            status_reason: None,
            last_modified: Some("2026-11-23T12:00:00+0000".into()),
        };
        assert_eq!(answer, expected);
        assert_eq!(bed.invoker.wanted(), told(&[("a:1", 5)]));
        let to = |version: &str| UpdateAliasRequest {
            function_name: "a".into(),
            name: "prod".into(),
            function_version: Some(version.into()),
            ..Default::default()
        };
        bed.run::<UpdateAlias>(to("2")).await.unwrap();
        assert_eq!(bed.invoker.wanted(), told(&[("a:2", 5)]));
        let latest = "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
        assert_eq!(bed.refusal::<UpdateAlias>(to("$LATEST")).await, latest);
        put(&bed, "1", 2).await;
        let taken = "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version";
        assert_eq!(bed.refusal::<UpdateAlias>(to("1")).await, taken);
        assert_eq!(bed.invoker.wanted(), told(&[("a:1", 2), ("a:2", 5)]));

        // After a start the invoker knows nothing, and is told everything.
        let again = bed.restarted().await;
        again.lambda.tell_all_provisioned().await.unwrap();
        assert_eq!(again.invoker.wanted(), told(&[("a:1", 2), ("a:2", 5)]));
    }

    #[tokio::test]
    async fn while_an_alias_routes_each_version_gets_its_share() {
        let bed = bed().await;
        put(&bed, "prod", 8).await;
        let routing =
            crate::api::AliasRoutingConfiguration { additional_version_weights: Some([("2".to_owned(), 0.25)].into()) };
        let route = UpdateAliasRequest {
            function_name: "a".into(),
            name: "prod".into(),
            routing_config: Some(routing),
            ..Default::default()
        };
        bed.run::<UpdateAlias>(route).await.unwrap();
        assert_eq!(bed.invoker.wanted(), told(&[("a:1", 6), ("a:2", 2)]));
        let (code, status, message) = refusal(&bed, "prod", 9).await;
        assert_eq!((code.as_str(), status), ("InvalidParameterValueException", 400));
        assert_eq!(message, "Invalid alias configuration for Provisioned Concurrency");
    }

    #[tokio::test]
    async fn a_version_has_one_config() {
        let bed = bed().await;
        bed.create_alias("a", "test", "1", None).await;
        put(&bed, "1", 1).await;
        let alias = "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version";
        assert_eq!(refusal(&bed, "prod", 1).await, ("ResourceConflictException".into(), 409, alias.into()));
        put(&bed, "1", 2).await;
        bed.run::<crate::api::DeleteProvisionedConcurrencyConfig>(
            crate::api::DeleteProvisionedConcurrencyConfigRequest { function_name: "a".into(), qualifier: "1".into() },
        )
        .await
        .unwrap();
        put(&bed, "prod", 1).await;
        let version = "Version is pointed by a Provisioned Concurrency alias";
        assert_eq!(refusal(&bed, "1", 1).await, ("ResourceConflictException".into(), 409, version.into()));
        assert_eq!(refusal(&bed, "test", 1).await.2, alias);
        put(&bed, "2", 1).await;
    }

    #[tokio::test]
    async fn a_config_counts_against_the_account_or_within_the_reservation() {
        let bed = bed().await;
        let too_little = "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].";
        let too_much =
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000].";
        assert_eq!(refusal(&bed, "1", 901).await.2, too_little);
        assert_eq!(refusal(&bed, "1", 1_001).await.2, too_much);
        put(&bed, "1", 900).await;
        assert_eq!(unreserved(&bed).await, Some(100));
        assert_eq!(refusal(&bed, "2", 1).await.2, too_little);
        put(&bed, "1", 5).await;
        put(&bed, "2", 5).await;
        assert_eq!(unreserved(&bed).await, Some(990));
        // Within a reservation, which must not be less.
        let low =
            " ReservedConcurrentExecutions  9 should not be lower than function's total provisioned concurrency [10].";
        assert_eq!(reserve(&bed, 9).await, Err(low.to_owned()));
        reserve(&bed, 10).await.unwrap();
        assert_eq!(unreserved(&bed).await, Some(990), "it is paid for once");
        let beyond =
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function";
        assert_eq!(refusal(&bed, "1", 6).await.2, beyond);
        put(&bed, "1", 1).await;
        assert_eq!(unreserved(&bed).await, Some(990));
        let back = crate::api::DeleteFunctionConcurrencyRequest { function_name: "a".into() };
        bed.run::<crate::api::DeleteFunctionConcurrency>(back).await.unwrap();
        assert_eq!(unreserved(&bed).await, Some(994));
    }

    #[tokio::test]
    async fn configs_go_with_what_they_belong_to() {
        let bed = bed().await;
        put(&bed, "prod", 3).await;
        put(&bed, "2", 4).await;
        let alias = crate::api::DeleteAliasRequest { function_name: "a".into(), name: "prod".into() };
        bed.run::<crate::api::DeleteAlias>(alias).await.unwrap();
        assert_eq!((bed.invoker.wanted(), unreserved(&bed).await), (told(&[("a:2", 4)]), Some(996)));
        let delete = |qualifier: Option<&str>| crate::api::DeleteFunctionRequest {
            function_name: "a".into(),
            qualifier: qualifier.map(str::to_owned),
        };
        bed.run::<crate::api::DeleteFunction>(delete(Some("2"))).await.unwrap();
        assert_eq!((bed.invoker.wanted(), unreserved(&bed).await), (Vec::new(), Some(1_000)));
        put(&bed, "1", 7).await;
        reserve(&bed, 50).await.unwrap();
        bed.run::<crate::api::DeleteFunction>(delete(None)).await.unwrap();
        assert_eq!((bed.invoker.wanted(), unreserved(&bed).await), (Vec::new(), Some(1_000)));
        assert_eq!(bed.usage().await, Default::default());
    }

    #[tokio::test]
    async fn refusals() {
        let bed = bed().await;
        bed.create_alias("a", "latest", "$LATEST", None).await;
        let unpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
        for qualifier in ["$LATEST", "latest"] {
            let expected = ("InvalidParameterValueException".to_owned(), 400, unpublished.to_owned());
            assert_eq!(refusal(&bed, qualifier, 1).await, expected);
        }
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:";
        for (name, qualifier, message) in [
            ("a", "none", format!("Cannot find alias arn: {arn}a:none")),
            ("a", "10", format!("Function not found: {arn}a:10")),
            ("b", "none", format!("Cannot find alias arn: {arn}b:none")),
            ("b", "1", format!("Function not found: {arn}b:1")),
        ] {
            let error = bed.run::<PutProvisionedConcurrencyConfig>(request(name, qualifier, 1)).await.unwrap_err();
            assert_eq!((error.code.as_ref(), error.status, error.message), ("ResourceNotFoundException", 404, message));
        }
        let tenants = crate::api::CreateFunctionRequest {
            tenancy_config: Some(crate::api::TenancyConfig {
                tenant_isolation_mode: crate::api::TenantIsolationMode::PerTenant,
            }),
            publish: Some(true),
            ..crate::tests::create_request("t")
        };
        bed.run::<crate::api::CreateFunction>(tenants).await.unwrap();
        bed.lambda.settle_pending().await.unwrap();
        let message = bed.refusal::<PutProvisionedConcurrencyConfig>(request("t", "1", 1)).await;
        assert!(message.contains("tenancy configuration"), "{message}");
        assert_eq!(bed.invoker.wanted(), []);
    }
}
