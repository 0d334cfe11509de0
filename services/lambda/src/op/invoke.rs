//! Runs a function and waits, or accepts an event that will be run.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
//! An alias that routes to two versions chooses one for each invocation, and for each attempt at an event.
//! Deviations: a function that is just being created is waited for, for at most two seconds; durable executions are
//! refused.
//! Errors: ResourceNotFoundException, ResourceConflictException, InvalidRequestContentException,
//! RequestEntityTooLargeException, TooManyRequestsException, InvalidParameterValueException, InvalidRuntimeException.

use crate::api::{InvocationRequest, InvocationResponse, InvocationType, Invoke, LogType};
use crate::error::{LambdaError, ParameterError};
use crate::rules::name::{self, FunctionReference};
use crate::rules::payload::{self, Mode};
use crate::rules::unsupported;
use crate::{Lambda, limits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gust_kit::ports::{AsyncEvent, FunctionSpec, InvokeFailure, InvokeOutcome, InvokeRequest, LogTail};
use gust_kit::{Cx, Operation};

impl Operation for Invoke {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: InvocationRequest) -> Result<InvocationResponse, LambdaError> {
        unsupported::check_invoke(&input)?;
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, "InvokeFunction")?;
        let mode = match input.invocation_type {
            Some(InvocationType::Event) => Mode::Event,
            _ => Mode::Synchronous,
        };
        let client_context = input.client_context.as_deref().map(payload::client_context).transpose()?;
        let payload = payload::check(input.payload, mode)?;
        match input.invocation_type {
            Some(InvocationType::Event) => {
                accept(cx, reference, payload, client_context, input.tenant_id).await?;
                Ok(InvocationResponse { status_code: Some(202), ..Default::default() })
            }
            Some(InvocationType::DryRun) => {
                let function = cx.service.catalog.find(&reference.id, reference.qualifier.as_ref()).await?;
                check_tenant(&function, input.tenant_id.as_deref())?;
                Ok(InvocationResponse { status_code: Some(204), ..Default::default() })
            }
            _ => {
                let tail = if input.log_type == Some(LogType::Tail) { LogTail::Wanted } else { LogTail::Omitted };
                let request = prepare(cx, reference, payload, client_context, input.tenant_id, tail).await?;
                Ok(answer(cx.service.invoker.invoke(request).await?, tail))
            }
        }
    }
}

/// All that an invocation is, once its function has been found.
pub async fn prepare(
    cx: &Cx<Lambda>,
    reference: FunctionReference,
    payload: Bytes,
    client_context: Option<String>,
    tenant_id: Option<String>,
    tail: LogTail,
) -> Result<InvokeRequest, LambdaError> {
    let FunctionReference { id, qualifier } = reference;
    let function = cx.service.catalog.find(&id, qualifier.as_ref()).await?;
    check_tenant(&function, tenant_id.as_deref())?;
    Ok(InvokeRequest {
        function,
        invoked_arn: id.qualified_arn(qualifier.as_ref()),
        request_id: cx.call.request_id.clone(),
        payload,
        client_context,
        trace_header: cx.call.trace_header.clone(),
        tenant_id,
        tail,
    })
}

/// A function that is isolated by tenant is invoked for one, any other for none.
pub fn check_tenant(function: &FunctionSpec, tenant_id: Option<&str>) -> Result<(), ParameterError> {
    match (function.is_tenant_isolated, tenant_id) {
        (true, None) => Err(ParameterError::TenantRequired),
        (false, Some(_)) => Err(ParameterError::TenantNotAllowed),
        _ => Ok(()),
    }
}

fn answer(outcome: InvokeOutcome, tail: LogTail) -> InvocationResponse {
    InvocationResponse {
        status_code: Some(200),
        function_error: outcome.failure.map(|InvokeFailure::Unhandled| "Unhandled".to_owned()),
        log_result: log_result(&outcome.log_tail, tail),
        payload: Some(outcome.payload),
        executed_version: Some(outcome.executed_version),
        ..Default::default()
    }
}

/// `LogResult`: the end of the log in base64, if the caller asked for it.
pub fn log_result(log: &[u8], tail: LogTail) -> Option<String> {
    let last = &log[log.len().saturating_sub(limits::LOG_TAIL_BYTES_MAX)..];
    (tail == LogTail::Wanted).then(|| STANDARD.encode(last))
}

/// Writes an event's record; once this returns, the event outlives anything that happens to this machine
/// short of the loss of its disk.
pub async fn accept(
    cx: &Cx<Lambda>,
    reference: FunctionReference,
    payload: Bytes,
    client_context: Option<String>,
    tenant_id: Option<String>,
) -> Result<(), LambdaError> {
    let FunctionReference { id, qualifier } = reference;
    let function = cx.service.catalog.find(&id, qualifier.as_ref()).await?;
    check_tenant(&function, tenant_id.as_deref())?;
    let event = AsyncEvent {
        request_id: cx.call.request_id.as_str().to_owned(),
        account: id.account.as_str().to_owned(),
        region: id.region.as_str().to_owned(),
        function: id.name.to_string(),
        qualifier: qualifier.as_ref().map(ToString::to_string),
        invoked_arn: id.qualified_arn(qualifier.as_ref()),
        client_context,
        trace_header: cx.call.trace_header.clone(),
        tenant_id,
        accepted_at_ms: cx.now_ms(),
        payload,
    };
    let invoker = cx.service.invoker.clone();
    cx.store().transact(move |tx| invoker.enqueue(tx, &event).map_err(LambdaError::from)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, function_id};
    use gust_kit::ports::{InvokeError, ThrottleReason};

    fn request(name: &str) -> InvocationRequest {
        InvocationRequest {
            function_name: name.into(),
            payload: Some(Bytes::from_static(b"{\"a\":1}")),
            ..Default::default()
        }
    }

    fn of(kind: InvocationType) -> InvocationRequest {
        InvocationRequest { invocation_type: Some(kind), ..request("a") }
    }

    #[tokio::test]
    async fn the_function_sees_what_the_caller_sent() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let mut input = request("a");
        input.qualifier = Some("$LATEST".into());
        input.client_context = Some(STANDARD.encode("{\"custom\":{\"k\":\"v\"}}"));
        let answer = bed.run::<Invoke>(input).await.unwrap();
        assert_eq!((answer.status_code, answer.function_error, answer.log_result), (Some(200), None, None));
        assert_eq!(answer.payload.unwrap().as_ref(), b"{\"a\":1}");
        assert_eq!(answer.executed_version.as_deref(), Some("$LATEST"));
        let seen = bed.invoker.invoked().remove(0);
        assert_eq!(seen.request_id, bed.call.request_id);
        assert_eq!(seen.invoked_arn, "arn:aws:lambda:us-east-1:000000000000:function:a:$LATEST");
        assert_eq!(seen.client_context.as_deref(), Some("{\"custom\":{\"k\":\"v\"}}"));
        assert_eq!((seen.function.handler.as_str(), seen.tail), ("app.handler", LogTail::Omitted));
    }

    #[tokio::test]
    async fn no_payload_is_an_empty_object() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let answer = bed.run::<Invoke>(InvocationRequest { payload: None, ..request("a") }).await.unwrap();
        assert_eq!(answer.payload.unwrap().as_ref(), b"{}");
    }

    #[tokio::test]
    async fn a_failure_is_an_answer_and_the_log_tail_is_the_last_4_kib() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let log_tail = Bytes::from(format!("{}{}", "x".repeat(10), "y".repeat(4_096)));
        bed.invoker.answer_with(Ok(InvokeOutcome {
            payload: Bytes::from_static(b"{\"errorType\":\"Sandbox.Timedout\"}"),
            failure: Some(InvokeFailure::Unhandled),
            log_tail,
            executed_version: "$LATEST".into(),
            duration_us: 1,
            init_us: None,
        }));
        let answer =
            bed.run::<Invoke>(InvocationRequest { log_type: Some(LogType::Tail), ..request("a") }).await.unwrap();
        assert_eq!((answer.status_code, answer.function_error.as_deref()), (Some(200), Some("Unhandled")));
        assert_eq!(bed.invoker.invoked().remove(0).tail, LogTail::Wanted);
        assert_eq!(STANDARD.decode(answer.log_result.unwrap()).unwrap(), [b'y'; 4_096]);
    }

    #[tokio::test]
    async fn a_throttle_is_429_with_its_reason() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.invoker.answer_with(Err(InvokeError::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded)));
        let error = bed.run::<Invoke>(request("a")).await.unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.status, error.message.as_str()),
            ("TooManyRequestsException", 429, "Rate Exceeded.")
        );
        assert!(
            error.fields.contains(&("Reason", gust_types::Doc::String("ConcurrentInvocationLimitExceeded".into())))
        );
        bed.invoker.answer_with(Err(InvokeError::RuntimeUnavailable("no python3.9 here".into())));
        let error = bed.run::<Invoke>(request("a")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.message.as_str()), ("InvalidRuntimeException", "no python3.9 here"));
        bed.invoker.answer_with(Err(InvokeError::Sandbox("/secret/path: no such file".into())));
        let error = bed.run::<Invoke>(request("a")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ServiceException", 500));
        assert!(!error.message.contains("secret"), "causes are logged, not shown");
    }

    #[tokio::test]
    async fn an_event_is_one_record() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let answer = bed.run::<Invoke>(of(InvocationType::Event)).await.unwrap();
        assert_eq!(answer, InvocationResponse { status_code: Some(202), ..Default::default() });
        let events = bed.queued().await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].request_id, bed.call.request_id.as_str());
        assert_eq!((events[0].function.as_str(), events[0].qualifier.as_deref()), ("a", None));
        assert_eq!(events[0].accepted_at_ms, bed.lambda.platform.now_ms());
        assert!(bed.invoker.invoked().is_empty());
    }

    #[tokio::test]
    async fn a_dry_run_only_looks() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let answer = bed.run::<Invoke>(of(InvocationType::DryRun)).await.unwrap();
        assert_eq!(answer, InvocationResponse { status_code: Some(204), ..Default::default() });
        assert!(bed.invoker.invoked().is_empty() && bed.queued().await.is_empty());
    }

    #[tokio::test]
    async fn every_kind_refuses_what_cannot_run() {
        let bed = Bed::new().await;
        bed.create_pending("a").await;
        for kind in [InvocationType::RequestResponse, InvocationType::Event, InvocationType::DryRun] {
            let error = bed.run::<Invoke>(of(kind)).await.unwrap_err();
            assert_eq!((error.code.as_ref(), error.status), ("ResourceConflictException", 409));
            assert_eq!(
                error.message,
                "The operation cannot be performed at this time. The function is currently in the following state: Pending"
            );
            let gone = InvocationRequest { function_name: "b".into(), ..of(kind) };
            assert_eq!(bed.run::<Invoke>(gone).await.unwrap_err().code, "ResourceNotFoundException");
            let bad = InvocationRequest { payload: Some(Bytes::from_static(b"{")), ..of(kind) };
            assert_eq!(bed.run::<Invoke>(bad).await.unwrap_err().code, "InvalidRequestContentException");
        }
        assert!(bed.queued().await.is_empty());
    }

    #[tokio::test]
    async fn an_alias_runs_its_version_and_shows_which() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        bed.create_alias("a", "prod", "1", None).await;
        let by_name = request("a:prod");
        let by_qualifier = InvocationRequest { qualifier: Some("prod".into()), ..request("a") };
        for input in [by_name, by_qualifier] {
            assert_eq!(bed.run::<Invoke>(input).await.unwrap().executed_version.as_deref(), Some("1"));
            let seen = bed.invoker.invoked().pop().unwrap();
            assert_eq!(seen.invoked_arn, "arn:aws:lambda:us-east-1:000000000000:function:a:prod");
            assert_eq!(seen.function.version, "1");
        }
        let event = InvocationRequest { qualifier: Some("prod".into()), ..of(InvocationType::Event) };
        bed.run::<Invoke>(event).await.unwrap();
        assert_eq!(bed.queued().await[0].qualifier.as_deref(), Some("prod"), "each attempt chooses anew");
        for qualifier in ["2", "test", "$LATEST.PUBLISHED"] {
            let missing = InvocationRequest { qualifier: Some(qualifier.into()), ..request("a") };
            let expected = format!("Function not found: arn:aws:lambda:us-east-1:000000000000:function:a:{qualifier}");
            assert_eq!(bed.refusal::<Invoke>(missing).await, expected);
        }
    }

    #[tokio::test]
    async fn tenants_are_for_functions_that_are_isolated_by_them() {
        use crate::api::{CreateFunction, TenancyConfig, TenantIsolationMode};
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let mut isolated = crate::tests::create_request("t");
        isolated.tenancy_config = Some(TenancyConfig { tenant_isolation_mode: TenantIsolationMode::PerTenant });
        let created = bed.run::<CreateFunction>(isolated.clone()).await.unwrap();
        assert_eq!(created.tenancy_config, isolated.tenancy_config);
        bed.lambda.settle_pending().await.unwrap();
        for kind in [InvocationType::RequestResponse, InvocationType::Event, InvocationType::DryRun] {
            let of = |name: &str, tenant: Option<&str>| InvocationRequest {
                tenant_id: tenant.map(str::to_owned),
                ..InvocationRequest { invocation_type: Some(kind), ..request(name) }
            };
            let error = bed.run::<Invoke>(of("t", None)).await.unwrap_err();
            assert_eq!((error.code.as_ref(), error.status), ("InvalidParameterValueException", 400));
            // Documented: https://aws.amazon.com/blogs/compute/ (tenant isolation mode).
            assert_eq!(
                error.message,
                "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
            );
            let refusal = bed.refusal::<Invoke>(of("a", Some("blue"))).await;
            assert!(refusal.starts_with("The invoked function is not enabled with tenancy configuration."));
            assert!(bed.run::<Invoke>(of("t", Some("blue"))).await.is_ok());
        }
        assert_eq!(bed.invoker.invoked().pop().unwrap().tenant_id.as_deref(), Some("blue"));
        assert_eq!(bed.queued().await[0].tenant_id.as_deref(), Some("blue"));
        let old = crate::api::InvokeAsyncRequest { function_name: "t".into(), invoke_args: "{}".into() };
        assert!(bed.refusal::<crate::api::InvokeAsync>(old).await.contains("Add a valid tenant ID"));
    }

    #[tokio::test]
    async fn a_deleted_function_is_not_run_from_memory() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.run::<Invoke>(request("a")).await.unwrap();
        bed.lambda.remove(function_id("a")).await.unwrap();
        assert_eq!(bed.run::<Invoke>(request("a")).await.unwrap_err().status, 404);
    }
}
