//! Shows a function's configuration.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{FunctionConfiguration, GetFunctionConfiguration, GetFunctionConfigurationRequest};
use crate::error::LambdaError;
use crate::op;
use crate::output::{View, configuration};
use gust_kit::{Cx, Operation};

impl Operation for GetFunctionConfiguration {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let name = &input.function_name;
        let (reference, found) = op::read(cx, name, input.qualifier.as_deref(), "GetFunctionConfiguration").await?;
        Ok(configuration(&reference.id, found.version, &found.record, reference.qualifier.as_ref(), View::Full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn every_form_of_the_name_finds_it() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        for name in ["a", "000000000000:function:a", "arn:aws:lambda:us-east-1:000000000000:function:a"] {
            let input = GetFunctionConfigurationRequest { function_name: name.into(), ..Default::default() };
            let shown = bed.run::<GetFunctionConfiguration>(input).await.unwrap();
            assert_eq!(shown.function_arn.as_deref(), Some("arn:aws:lambda:us-east-1:000000000000:function:a"));
        }
        let input = GetFunctionConfigurationRequest { function_name: "b".into(), ..Default::default() };
        assert_eq!(bed.run::<GetFunctionConfiguration>(input).await.unwrap_err().status, 404);
    }
}
