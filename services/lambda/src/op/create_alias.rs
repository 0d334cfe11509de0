//! Creates an alias: a name for one version of a function, or for two of which the second gets a share.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html>
//! Deviations: a function has at most 10,000 aliases (AWS documents no number).
//! Errors: ResourceNotFoundException, InvalidParameterValueException, ResourceConflictException,
//! AliasLimitExceededException.

use crate::Lambda;
use crate::api::{AliasConfiguration, CreateAlias, CreateAliasRequest};
use crate::error::LambdaError;
use crate::model::{AliasRecord, Qualifier};
use crate::rules::{aliases, name};
use crate::task::to_the_end;
use crate::{keys, limits, lookup, output, publish};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for CreateAlias {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: CreateAliasRequest) -> Result<AliasConfiguration, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "CreateAlias")?;
        let alias = AliasRecord {
            revision_id: cx.platform().uuid(),
            description: input.description.unwrap_or_default(),
            number: aliases::version(&id, &input.function_version)?,
            additional: aliases::additional(&id, input.routing_config.as_ref())?,
        };
        let (service, name) = (cx.service.clone(), input.name);
        to_the_end(async move {
            let created = {
                let (id, name, alias) = (id.clone(), name.clone(), alias.clone());
                move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
                    // AWS names the version in its refusal, even if the whole function is missing.
                    lookup::latest(tx, &id, Some(&Qualifier::from(alias.version())))?;
                    aliases::check(tx, &id, &alias)?;
                    let key = keys::alias(&id, &name);
                    if tx.get(&key)?.is_some() {
                        return Err(LambdaError::AliasExists { arn: format!("{}:{name}", id.arn()) });
                    }
                    if publish::aliases(tx, &id)?.len() >= limits::ALIASES_MAX {
                        return Err(LambdaError::TooManyAliases);
                    }
                    Ok(tx.put(key, keys::encode(&alias))?)
                }
            };
            let outcome = service.platform.store.transact(created).await;
            service.catalog.invalidate(&id);
            outcome.map(|_| output::alias(&id, &name, &alias))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AliasRoutingConfiguration;
    use crate::tests::{Bed, function_id};

    fn request(name: &str, version: &str, weights: &[(&str, f64)]) -> CreateAliasRequest {
        let weights = weights.iter().map(|(version, share)| ((*version).to_owned(), *share)).collect();
        CreateAliasRequest {
            function_name: "a".into(),
            name: name.into(),
            function_version: version.into(),
            description: None,
            routing_config: Some(AliasRoutingConfiguration { additional_version_weights: Some(weights) }),
        }
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
    async fn the_answer_is_complete() {
        let bed = bed().await;
        let mut input = request("prod", "1", &[("2", 0.2)]);
        input.description = Some("live".into());
        let shown = bed.run::<CreateAlias>(input).await.unwrap();
        let expected = AliasConfiguration {
            alias_arn: Some("arn:aws:lambda:us-east-1:000000000000:function:a:prod".into()),
            name: Some("prod".into()),
            function_version: Some("1".into()),
            description: Some("live".into()),
            routing_config: Some(AliasRoutingConfiguration {
                additional_version_weights: Some([("2".to_owned(), 0.2)].into()),
            }),
            revision_id: shown.revision_id.clone(),
        };
        assert_eq!(shown, expected);
        let plain = bed.run::<CreateAlias>(request("plain", "$LATEST", &[])).await.unwrap();
        assert_eq!((plain.function_version.as_deref(), plain.routing_config), (Some("$LATEST"), None));
        assert_eq!(plain.description.as_deref(), Some(""));
    }

    /// Messages recorded from AWS unless said otherwise.
    #[tokio::test]
    async fn refusals() {
        let bed = bed().await;
        bed.run::<CreateAlias>(request("prod", "1", &[])).await.unwrap();
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:a";
        let unknown = CreateAliasRequest { function_name: "b".into(), ..request("x", "1", &[]) };
        for (input, code, text) in [
            (
                request("x", "1", &[("1", 0.1), ("2", 0.1)]),
                "InvalidParameterValueException",
                "Number of items in AdditionalVersionWeights cannot be greater than 1".to_owned(),
            ),
            (
                request("x", "1", &[("1", 0.5)]),
                "InvalidParameterValueException",
                "Invalid function version 1. Function version 1 is already included in routing configuration."
                    .to_owned(),
            ),
            (
                request("x", "$LATEST", &[("1", 0.5)]),
                "InvalidParameterValueException",
                "$LATEST is not supported for an alias pointing to more than 1 version".to_owned(),
            ),
            (request("x", "10", &[]), "ResourceNotFoundException", format!("Function not found: {arn}:10")),
            (request("x", "1", &[("10", 0.5)]), "ResourceNotFoundException", format!("Function not found: {arn}:10")),
            (unknown, "ResourceNotFoundException", format!("Function not found: {}:1", function_id("b").arn())),
            (request("prod", "2", &[]), "ResourceConflictException", format!("Alias already exists: {arn}:prod")),
            // Inferred: no function has capacity providers.
            (
                request("x", "$LATEST.PUBLISHED", &[]),
                "ResourceNotFoundException",
                format!("Function not found: {arn}:$LATEST.PUBLISHED"),
            ),
        ] {
            let error = bed.run::<CreateAlias>(input).await.unwrap_err();
            assert_eq!((error.code.as_ref(), error.message), (code, text));
        }
    }

    #[tokio::test]
    async fn both_versions_have_the_same_role() {
        let bed = bed().await;
        let change = crate::api::UpdateFunctionConfigurationRequest {
            function_name: "a".into(),
            role: Some("arn:aws:iam::000000000000:role/another".into()),
            ..Default::default()
        };
        bed.run::<crate::api::UpdateFunctionConfiguration>(change).await.unwrap();
        bed.lambda.settle_pending().await.unwrap();
        bed.publish("a").await;
        let refusal = bed.refusal::<CreateAlias>(request("prod", "1", &[("3", 0.5)])).await;
        assert_eq!(refusal, "The function versions of an alias must have the same execution role.");
    }
}
