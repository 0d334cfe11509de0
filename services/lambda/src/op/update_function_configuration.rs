//! Changes a function's configuration.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html>
//! Deviations: as for UpdateFunctionCode. Errors: ResourceNotFoundException, InvalidParameterValueException,
//! ValidationException, ResourceConflictException, PreconditionFailedException.

use crate::api::{FunctionConfiguration, UpdateFunctionConfiguration, UpdateFunctionConfigurationRequest};
use crate::error::LambdaError;
use crate::model::Version;
use crate::output::{View, configuration};
use crate::rules::{self, name, unsupported};
use crate::{Lambda, op};
use gust_kit::{Cx, Operation};

impl Operation for UpdateFunctionConfiguration {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        mut input: UpdateFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "UpdateFunctionConfiguration")?;
        unsupported::check_update_configuration(&input)?;
        if let Some(role) = &input.role {
            cx.service.check_role(role, &id.arn()).await?;
        }
        if input.dead_letter_config.is_some()
            && let Some(current) = cx.service.catalog.read(&id).await?
        {
            let next = rules::configuration::update(&current.config, &input, cx.service.settings.machine)?;
            cx.service.check_dead_letters(&id, &next).await?;
        }
        let (machine, revision_id) = (cx.service.settings.machine, input.revision_id.take());
        let (layers, holds) = match &input.layers {
            Some(arns) => {
                let (layers, holds) = cx.service.use_layers(&cx.call, arns).await?;
                (Some(layers), holds)
            }
            None => (None, Vec::new()),
        };
        let change = move |record: &mut crate::model::FunctionRecord| -> Result<(), LambdaError> {
            record.config = rules::configuration::update(&record.config, &input, machine)?;
            if let Some(layers) = &layers {
                record.config.layers.clone_from(layers);
            }
            Ok(())
        };
        let record = cx.service.change(id.clone(), revision_id, holds, change).await?;
        op::warn_of_architecture(&record.config, machine);
        Ok(configuration(&id, Version::Latest, &record, None, View::Full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{self, LastUpdateStatus, Runtime};
    use crate::tests::{Bed, Retired, function_id};

    fn request(name: &str) -> UpdateFunctionConfigurationRequest {
        UpdateFunctionConfigurationRequest { function_name: name.into(), ..Default::default() }
    }

    #[tokio::test]
    async fn what_is_named_changes_and_runs_at_once() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let before = bed.lambda.catalog().find(&function_id("a"), None).await.unwrap();
        let input = UpdateFunctionConfigurationRequest {
            memory_size: Some(256),
            timeout: Some(10),
            runtime: Some(Runtime::Python3_13),
            description: Some("changed".into()),
            environment: Some(api::Environment { variables: Some([("KEY".to_owned(), "2".to_owned())].into()) }),
            ..request("a")
        };
        let shown = bed.run::<UpdateFunctionConfiguration>(input).await.unwrap();
        assert_eq!((shown.memory_size, shown.timeout, shown.runtime), (Some(256), Some(10), Some(Runtime::Python3_13)));
        assert_eq!(shown.last_update_status, Some(LastUpdateStatus::InProgress));
        let after = bed.lambda.catalog().find(&function_id("a"), None).await.unwrap();
        assert_eq!((after.memory_mb, after.timeout_ms, after.runtime.as_str()), (256, 10_000, "python3.13"));
        assert_eq!(after.environment["KEY"], "2");
        assert_eq!(after.code_dir, before.code_dir);
        assert_eq!(bed.invoker.retired(), [Retired { function: "a".into(), keep: Some(after.revision_id.clone()) }]);
        bed.lambda.settle_pending().await.unwrap();
        let get = api::GetFunctionConfigurationRequest { function_name: "a".into(), ..Default::default() };
        let settled = bed.run::<api::GetFunctionConfiguration>(get).await.unwrap();
        assert_eq!(settled.last_update_status, Some(LastUpdateStatus::Successful));
    }

    #[tokio::test]
    async fn dead_letters_go_to_queues_and_topics() {
        use crate::tests::{Answer, TakingTarget};
        use gust_kit::ports::TargetKind;
        let target = TakingTarget::new(Answer::Fine);
        let bed = Bed::with_target(TargetKind::Queue, target.clone()).await;
        bed.create_active("a").await;
        let to = |arn: &str| UpdateFunctionConfigurationRequest {
            dead_letter_config: Some(api::DeadLetterConfig { target_arn: Some(arn.to_owned()) }),
            ..request("a")
        };
        let queue = "arn:aws:sqs:us-east-1:000000000000:q";
        let shown = bed.run::<UpdateFunctionConfiguration>(to(queue)).await.unwrap();
        assert_eq!(shown.dead_letter_config, Some(api::DeadLetterConfig { target_arn: Some(queue.into()) }));
        bed.lambda.settle_pending().await.unwrap();
        let spec = bed.lambda.catalog().find(&function_id("a"), None).await.unwrap();
        assert_eq!(spec.dead_letter_arn.as_deref(), Some(queue));
        assert_eq!(target.asked().len(), 1);
        let refusal = async |arn: &str| bed.refusal::<UpdateFunctionConfiguration>(to(arn)).await;
        let topic = refusal("arn:aws:sns:us-east-1:000000000000:t").await;
        assert_eq!(topic, "gust does not support DeadLetterConfig: SNS topics do not exist yet.");
        assert!(
            refusal("arn:aws:lambda:us-east-1:000000000000:function:a").await.starts_with("The dead-letter target")
        );
        target.answer(Answer::NotAllowed);
        let expected = "The provided execution role does not have permissions to call SendMessage on SQS";
        assert_eq!(refusal(queue).await, expected);
        target.answer(Answer::Missing);
        assert_eq!(refusal(queue).await, format!("The dead-letter target {queue} does not exist."));
        let shown = bed.run::<UpdateFunctionConfiguration>(to("")).await.unwrap();
        assert_eq!(shown.dead_letter_config, None, "an empty text takes it away");
    }

    #[tokio::test]
    async fn a_refused_change_changes_nothing() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let before = bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap();
        for (input, text) in [
            (
                UpdateFunctionConfigurationRequest { memory_size: Some(20_000), ..request("a") },
                "'MemorySize' value failed",
            ),
            (
                UpdateFunctionConfigurationRequest { runtime: Some(Runtime::Go1X), ..request("a") },
                "The runtime parameter of go1.x",
            ),
            (
                UpdateFunctionConfigurationRequest { layers: Some(vec!["l".into()]), ..request("a") },
                "Layer version l does not exist.",
            ),
            (
                UpdateFunctionConfigurationRequest { revision_id: Some("stale".into()), ..request("a") },
                "The Revision Id provided",
            ),
            (request("b"), "Function not found: "),
            (request("a:PROD"), "This operation is permitted on Lambda functions only."),
        ] {
            let refusal = bed.refusal::<UpdateFunctionConfiguration>(input).await;
            assert!(refusal.starts_with(text), "{refusal}");
        }
        assert_eq!(bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap(), before);
        assert!(bed.invoker.retired().is_empty());
    }

    #[tokio::test]
    async fn an_update_is_found_again_after_a_crash() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.run::<UpdateFunctionConfiguration>(UpdateFunctionConfigurationRequest { timeout: Some(7), ..request("a") })
            .await
            .unwrap();
        let again = bed.restarted().await;
        assert_eq!(again.lambda.settle_pending().await.unwrap(), 1);
        let record = again.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap();
        assert_eq!((record.config.timeout_s, record.is_unsettled()), (7, false));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn after_an_update_nobody_finds_the_old() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let finders: Vec<_> = (0..3)
            .map(|_| {
                let catalog = bed.lambda.catalog().clone();
                tokio::spawn(async move {
                    loop {
                        catalog.find(&function_id("a"), None).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for timeout in 1..=40 {
            let input = UpdateFunctionConfigurationRequest { timeout: Some(timeout), ..request("a") };
            bed.run::<UpdateFunctionConfiguration>(input).await.unwrap();
            let found = bed.lambda.catalog().find(&function_id("a"), None).await.unwrap();
            assert_eq!(found.timeout_ms, timeout as u64 * 1_000);
            bed.lambda.settle_pending().await.unwrap();
        }
        finders.iter().for_each(|finder| finder.abort());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_nothing_half_done() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let catalog = bed.lambda.catalog();
        let old = catalog.find(&function_id("a"), None).await.unwrap();
        let input = UpdateFunctionConfigurationRequest { timeout: Some(9), ..request("a") };
        tokio::select! {
            biased;
            _ = bed.run::<UpdateFunctionConfiguration>(input) => panic!("it was to be dropped"),
            () = std::future::ready(()) => {}
        }
        let replaced = async {
            while catalog.find(&function_id("a"), None).await.unwrap().revision_id == old.revision_id {
                tokio::task::yield_now().await;
            }
            while bed.invoker.retired().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), replaced).await.unwrap();
        assert_eq!(catalog.find(&function_id("a"), None).await.unwrap().timeout_ms, 9_000);
    }
}
