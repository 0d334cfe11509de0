//! Shows an alias.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetAlias.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{AliasConfiguration, GetAlias, GetAliasRequest};
use crate::error::LambdaError;
use crate::model::AliasRecord;
use crate::rules::name;
use crate::{lookup, output};
use gust_kit::{Cx, Operation};
use gust_store::Read;

impl Operation for GetAlias {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: GetAliasRequest) -> Result<AliasConfiguration, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "GetAlias")?;
        let read = {
            let (id, name) = (id.clone(), input.name.clone());
            move |snapshot: &mut dyn Read| -> Result<Option<AliasRecord>, LambdaError> {
                lookup::alias(snapshot, &id, &name)
            }
        };
        match cx.store().read(read).await? {
            Some(alias) => Ok(output::alias(&id, &input.name, &alias)),
            None => Err(LambdaError::AliasNotFound { arn: format!("{}:{}", id.arn(), input.name) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn an_alias_is_shown_as_it_was_created() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let created = bed.create_alias("a", "prod", "$LATEST", None).await;
        let request = |name: &str| GetAliasRequest { function_name: "a".into(), name: name.into() };
        assert_eq!(bed.run::<GetAlias>(request("prod")).await.unwrap(), created);
        let error = bed.run::<GetAlias>(request("test")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceNotFoundException", 404));
        assert_eq!(error.message, "Cannot find alias arn: arn:aws:lambda:us-east-1:000000000000:function:a:test");
    }
}
