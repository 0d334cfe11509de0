//! Shows a function's code signing config: there is none.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionCodeSigningConfig.html>
//! Deviations: code signing does not exist, and all that would set it is refused by name. AWS answers an empty
//! structure for a function without a config, although its model says otherwise; tools ask after each creation.
//! Errors: ResourceNotFoundException.

use crate::Lambda;
use crate::api::{
    GetFunctionCodeSigningConfig, GetFunctionCodeSigningConfigRequest, GetFunctionCodeSigningConfigResponse,
};
use crate::error::LambdaError;
use crate::rules::name;
use gust_kit::{Cx, Operation};

impl Operation for GetFunctionCodeSigningConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetFunctionCodeSigningConfigRequest,
    ) -> Result<GetFunctionCodeSigningConfigResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, None, &cx.call, "GetFunctionCodeSigningConfig")?;
        match cx.service.catalog.read(&reference.id).await? {
            Some(_) => Ok(GetFunctionCodeSigningConfigResponse::default()),
            None => Err(LambdaError::FunctionNotFound { arn: reference.id.arn() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn a_function_has_none() {
        let bed = Bed::new().await;
        let get = || GetFunctionCodeSigningConfigRequest { function_name: "a".into() };
        let missing = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:a";
        assert_eq!(bed.refusal::<GetFunctionCodeSigningConfig>(get()).await, missing);
        bed.create_active("a").await;
        let nothing = GetFunctionCodeSigningConfigResponse { code_signing_config_arn: None, function_name: None };
        assert_eq!(bed.run::<GetFunctionCodeSigningConfig>(get()).await.unwrap(), nothing);
    }
}
