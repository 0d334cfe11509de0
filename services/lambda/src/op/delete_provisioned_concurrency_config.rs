//! Ends what is kept ready of a version or an alias. No config is no error, as with AWS.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteProvisionedConcurrencyConfig.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{DeleteProvisionedConcurrencyConfig, DeleteProvisionedConcurrencyConfigRequest};
use crate::error::{LambdaError, ParameterError};
use crate::model::Qualifier;
use crate::op::get_provisioned_concurrency_config::qualifier_of;
use crate::provisioned;
use crate::rules::name;
use crate::task::to_the_end;
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for DeleteProvisionedConcurrencyConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: DeleteProvisionedConcurrencyConfigRequest,
    ) -> Result<Self::Output, LambdaError> {
        let action = "DeleteProvisionedConcurrencyConfig";
        let reference = name::resolve(&input.function_name, Some(&input.qualifier), &cx.call, action)?;
        let (id, qualifier) = (reference.id, qualifier_of(reference.qualifier));
        if qualifier == Qualifier::Latest {
            return Err(ParameterError::NeitherAliasNorVersion.into());
        }
        let service = cx.service.clone();
        to_the_end(async move {
            let removed = {
                let id = id.clone();
                move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
                    provisioned::find(tx, &id, &qualifier)?;
                    provisioned::remove(tx, &id, &qualifier)
                }
            };
            let outcome = service.platform.store.transact(removed).await;
            service.tell_provisioned(&id, false).await?;
            outcome.map(|_| Default::default())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PutProvisionedConcurrencyConfig, PutProvisionedConcurrencyConfigRequest};
    use crate::tests::Bed;

    fn request(qualifier: &str) -> DeleteProvisionedConcurrencyConfigRequest {
        DeleteProvisionedConcurrencyConfigRequest { function_name: "a".into(), qualifier: qualifier.into() }
    }

    #[tokio::test]
    async fn a_deleted_config_keeps_nothing_ready() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        bed.run::<DeleteProvisionedConcurrencyConfig>(request("1")).await.unwrap();
        let put = PutProvisionedConcurrencyConfigRequest {
            function_name: "a".into(),
            qualifier: "1".into(),
            provisioned_concurrent_executions: 3,
        };
        bed.run::<PutProvisionedConcurrencyConfig>(put).await.unwrap();
        assert_eq!(bed.usage().await.provisioned, 3);
        bed.run::<DeleteProvisionedConcurrencyConfig>(request("1")).await.unwrap();
        assert_eq!((bed.invoker.wanted(), bed.usage().await.provisioned), (Vec::new(), 0));
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let latest = bed.refusal::<DeleteProvisionedConcurrencyConfig>(request("$LATEST")).await;
        assert_eq!(latest, "The function resource provided must be an alias or a published version.");
        for (qualifier, start) in [("none", "Cannot find alias arn: "), ("7", "Function not found: ")] {
            let refusal = bed.refusal::<DeleteProvisionedConcurrencyConfig>(request(qualifier)).await;
            assert!(refusal.starts_with(start), "{refusal}");
        }
    }
}
