//! Deletes an alias. One that does not exist is no error, as with AWS.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteAlias.html>
//! Deviations: none. Errors: ResourceNotFoundException (the function's), InvalidParameterValueException.

use crate::Lambda;
use crate::api::{DeleteAlias, DeleteAliasRequest};
use crate::error::LambdaError;
use crate::model::Qualifier;
use crate::rules::name;
use crate::task::to_the_end;
use crate::{attached, keys, lifecycle};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for DeleteAlias {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: DeleteAliasRequest) -> Result<Self::Output, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "DeleteAlias")?;
        let service = cx.service.clone();
        to_the_end(async move {
            let deleted = {
                let id = id.clone();
                move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
                    lifecycle::stored(tx, &id)?;
                    let key = keys::alias(&id, &input.name);
                    if tx.get(&key)?.is_some() {
                        tx.delete(key)?;
                        attached::remove_of(tx, &id, &Qualifier::Alias(input.name.clone()))?;
                    }
                    Ok(())
                }
            };
            let outcome = service.platform.store.transact(deleted).await;
            service.catalog.invalidate(&id);
            service.catalog.invalidate_urls();
            service.tell_provisioned(&id, false).await?;
            outcome.map(|_| Default::default())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, function_id};

    #[tokio::test]
    async fn a_deleted_alias_leads_nowhere() {
        let bed = Bed::new().await;
        let request = || DeleteAliasRequest { function_name: "a".into(), name: "prod".into() };
        assert!(bed.refusal::<DeleteAlias>(request()).await.starts_with("Function not found: "));
        bed.create_active("a").await;
        bed.create_alias("a", "prod", "$LATEST", None).await;
        let (catalog, prod) = (bed.lambda.catalog(), Qualifier::parse("prod"));
        assert!(catalog.find(&function_id("a"), Some(&prod)).await.is_ok());
        bed.run::<DeleteAlias>(request()).await.unwrap();
        assert!(catalog.find(&function_id("a"), Some(&prod)).await.is_err());
        bed.run::<DeleteAlias>(request()).await.unwrap();
        assert!(catalog.find(&function_id("a"), None).await.is_ok());
    }
}
