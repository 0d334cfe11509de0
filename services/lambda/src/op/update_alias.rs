//! Changes an alias; what the request does not name stays as it is, its routing included.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>
//! Provisioned concurrency moves with its alias. Deviations: none.
//! Errors: ResourceNotFoundException, InvalidParameterValueException, PreconditionFailedException.

use crate::Lambda;
use crate::api::{AliasConfiguration, UpdateAlias, UpdateAliasRequest};
use crate::error::LambdaError;
use crate::model::AliasRecord;
use crate::rules::{aliases, name};
use crate::task::to_the_end;
use crate::{keys, lifecycle, lookup, output, provisioned};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for UpdateAlias {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: UpdateAliasRequest) -> Result<AliasConfiguration, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "UpdateAlias")?;
        let number = input.function_version.as_deref().map(|text| aliases::version(&id, text)).transpose()?;
        let additional = match &input.routing_config {
            Some(routing) => Some(aliases::additional(&id, Some(routing))?),
            None => None,
        };
        let (service, revision_id) = (cx.service.clone(), cx.platform().uuid());
        to_the_end(async move {
            let changed = {
                let (id, input) = (id.clone(), input.clone());
                move |tx: &mut dyn Tx| -> Result<AliasRecord, LambdaError> {
                    lifecycle::stored(tx, &id)?;
                    let missing = || LambdaError::AliasToUpdateNotFound { arn: format!("{}:{}", id.arn(), input.name) };
                    let mut alias = lookup::alias(tx, &id, &input.name)?.ok_or_else(missing)?;
                    if input.revision_id.as_ref().is_some_and(|given| !given.is_empty() && *given != alias.revision_id)
                    {
                        return Err(LambdaError::RevisionMismatch);
                    }
                    alias.number = number.unwrap_or(alias.number);
                    alias.additional = additional.unwrap_or(alias.additional);
                    if let Some(description) = &input.description {
                        alias.description.clone_from(description);
                    }
                    aliases::check(tx, &id, &alias)?;
                    provisioned::check_alias(tx, &id, &input.name, &alias)?;
                    alias.revision_id.clone_from(&revision_id);
                    tx.put(keys::alias(&id, &input.name), keys::encode(&alias))?;
                    Ok(alias)
                }
            };
            let outcome = service.platform.store.transact(changed).await;
            service.catalog.invalidate(&id);
            service.tell_provisioned(&id, false).await?;
            Ok(output::alias(&id, &input.name, &outcome?.value))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AliasRoutingConfiguration;
    use crate::model::Qualifier;
    use crate::tests::{Bed, function_id};

    fn request() -> UpdateAliasRequest {
        UpdateAliasRequest { function_name: "a".into(), name: "prod".into(), ..Default::default() }
    }

    fn routing(weights: &[(&str, f64)]) -> Option<AliasRoutingConfiguration> {
        let weights = weights.iter().map(|(version, share)| ((*version).to_owned(), *share)).collect();
        Some(AliasRoutingConfiguration { additional_version_weights: Some(weights) })
    }

    async fn bed() -> Bed {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        bed.update_code("a", b"two").await;
        bed.publish("a").await;
        bed
    }

    #[tokio::test]
    async fn what_is_named_changes_and_leads_there_at_once() {
        let bed = bed().await;
        let created = bed.create_alias("a", "prod", "1", Some(("2", 0.5))).await;
        let prod = Qualifier::parse("prod");
        let moved = UpdateAliasRequest { description: Some("moved".into()), ..request() };
        let moved = bed.run::<UpdateAlias>(moved).await.unwrap();
        assert_ne!(moved.revision_id, created.revision_id);
        let expected = AliasConfiguration {
            description: Some("moved".into()),
            revision_id: moved.revision_id.clone(),
            ..created.clone()
        };
        assert_eq!(moved, expected);
        let all = UpdateAliasRequest { function_version: Some("2".into()), routing_config: routing(&[]), ..request() };
        let all = bed.run::<UpdateAlias>(all).await.unwrap();
        assert_eq!((all.function_version.as_deref(), all.routing_config), (Some("2"), None));
        for _ in 0..20 {
            let spec = bed.lambda.catalog().find(&function_id("a"), Some(&prod)).await.unwrap();
            assert_eq!(spec.version, "2");
        }
        let back = UpdateAliasRequest { function_version: Some("$LATEST".into()), ..request() };
        bed.run::<UpdateAlias>(back).await.unwrap();
        let spec = bed.lambda.catalog().find(&function_id("a"), Some(&prod)).await.unwrap();
        assert_eq!(spec.version, "$LATEST");
        assert!(bed.invoker.retired().iter().all(|it| it.function == "a"), "no version is retired by an alias");
    }

    #[tokio::test]
    async fn refusals() {
        let bed = bed().await;
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:a";
        // Seen at AWS: other words than GetAlias has.
        assert_eq!(bed.refusal::<UpdateAlias>(request()).await, format!("Alias not found: {arn}:prod"));
        let created = bed.create_alias("a", "prod", "1", Some(("2", 0.5))).await;
        for (input, text) in [
            (
                UpdateAliasRequest { function_name: "b".into(), ..request() },
                format!("Function not found: {}", function_id("b").arn()),
            ),
            (
                UpdateAliasRequest { function_version: Some("2".into()), ..request() },
                "Invalid function version 2. Function version 2 is already included in routing configuration.".into(),
            ),
            (
                UpdateAliasRequest { function_version: Some("$LATEST".into()), ..request() },
                "$LATEST is not supported for an alias pointing to more than 1 version".into(),
            ),
            (
                UpdateAliasRequest { routing_config: routing(&[("3", 0.5)]), ..request() },
                format!("Function not found: {arn}:3"),
            ),
            (
                UpdateAliasRequest { revision_id: Some("stale".into()), ..request() },
                "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id".into(),
            ),
        ] {
            assert_eq!(bed.refusal::<UpdateAlias>(input).await, text);
        }
        let get = crate::api::GetAliasRequest { function_name: "a".into(), name: "prod".into() };
        assert_eq!(bed.run::<crate::api::GetAlias>(get).await.unwrap(), created);
        let right = UpdateAliasRequest { revision_id: created.revision_id, ..request() };
        assert!(bed.run::<UpdateAlias>(right).await.is_ok());
    }
}
