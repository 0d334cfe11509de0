//! Runs a function and passes its response on while it is written, as events.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html>
//! Deviations: the bandwidth of what follows the first 6 MB is not limited to 2 MB a second.
//! A function that answers as a whole gives one PayloadChunk. A function that fails ends the stream with ErrorCode
//! `Unhandled` and the error's document in ErrorDetails (inferred from what clients of AWS show).
//! Errors: those of Invoke before the first event; later ones are events.

use super::invoke::{log_result, prepare};
use crate::Lambda;
use crate::api::{
    InvokeResponseStreamUpdate, InvokeWithResponseStream, InvokeWithResponseStreamCompleteEvent,
    InvokeWithResponseStreamRequest, InvokeWithResponseStreamResponse, InvokeWithResponseStreamResponseEvent, LogType,
    ResponseStreamingInvocationType,
};
use crate::error::LambdaError;
use crate::rules::name;
use crate::rules::payload::{self, Mode};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, future};
use gust_kit::ports::{InvokeFailure, InvokeOutcome, LogTail, StreamItem};
use gust_kit::{Cx, Operation};
use gust_wire::{Doc, EventStream, IntoDoc};

impl Operation for InvokeWithResponseStream {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: InvokeWithResponseStreamRequest,
    ) -> Result<InvokeWithResponseStreamResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, "InvokeFunction")?;
        let client_context = input.client_context.as_deref().map(payload::client_context).transpose()?;
        let payload = payload::check(input.payload, Mode::Synchronous)?;
        let tail = if input.log_type == Some(LogType::Tail) { LogTail::Wanted } else { LogTail::Omitted };
        let request = prepare(cx, reference, payload, client_context, input.tenant_id, tail).await?;
        if input.invocation_type == Some(ResponseStreamingInvocationType::DryRun) {
            return Ok(InvokeWithResponseStreamResponse { status_code: Some(204), ..Default::default() });
        }
        let stream = cx.service.invoker.invoke_streaming(request).await?;
        Ok(InvokeWithResponseStreamResponse {
            status_code: Some(200),
            executed_version: Some(stream.executed_version),
            event_stream: Some(EventStream::new(events(stream.items, tail))),
            ..Default::default()
        })
    }
}

/// The events of a response. One whose invocation is lost (gust is going down) ends with an error as well: a client
/// must not take a part for the whole.
fn events(items: BoxStream<'static, StreamItem>, tail: LogTail) -> impl futures_util::Stream<Item = Doc> + Send {
    let items = items.map(Some).chain(stream::once(future::ready(None)));
    items.scan(false, move |has_ended, item| {
        let event = match item {
            Some(StreamItem::Chunk(bytes)) => Some(chunk(bytes)),
            Some(StreamItem::End(outcome)) => {
                *has_ended = true;
                Some(complete(&outcome, tail))
            }
            None if *has_ended => None,
            None => Some(lost()),
        };
        future::ready(event.map(IntoDoc::into_doc))
    })
}

fn chunk(bytes: Bytes) -> InvokeWithResponseStreamResponseEvent {
    let update = InvokeResponseStreamUpdate { payload: Some(bytes) };
    InvokeWithResponseStreamResponseEvent { payload_chunk: Some(update), ..Default::default() }
}

fn complete(outcome: &InvokeOutcome, tail: LogTail) -> InvokeWithResponseStreamResponseEvent {
    let details = || String::from_utf8_lossy(&outcome.payload).into_owned();
    finished(InvokeWithResponseStreamCompleteEvent {
        error_code: outcome.failure.map(|InvokeFailure::Unhandled| "Unhandled".to_owned()),
        error_details: outcome.failure.map(|_| details()),
        log_result: log_result(&outcome.log_tail, tail),
    })
}

fn lost() -> InvokeWithResponseStreamResponseEvent {
    finished(InvokeWithResponseStreamCompleteEvent {
        error_code: Some("ServiceException".to_owned()),
        error_details: Some("The invocation ended before its response was complete.".to_owned()),
        log_result: None,
    })
}

fn finished(complete: InvokeWithResponseStreamCompleteEvent) -> InvokeWithResponseStreamResponseEvent {
    InvokeWithResponseStreamResponseEvent { invoke_complete: Some(complete), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use gust_kit::ports::{InvokeError, ThrottleReason};

    fn request(name: &str) -> InvokeWithResponseStreamRequest {
        let payload = Some(Bytes::from_static(b"{\"a\":1}"));
        InvokeWithResponseStreamRequest { function_name: name.into(), payload, ..Default::default() }
    }

    async fn taken(answer: InvokeWithResponseStreamResponse) -> Vec<Doc> {
        answer.event_stream.unwrap().take().unwrap().collect().await
    }

    fn doc(event: InvokeWithResponseStreamResponseEvent) -> Doc {
        event.into_doc()
    }

    #[tokio::test]
    async fn the_response_comes_as_chunks_and_an_end() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let input = InvokeWithResponseStreamRequest { qualifier: Some("$LATEST".into()), ..request("a") };
        let answer = bed.run::<InvokeWithResponseStream>(input).await.unwrap();
        assert_eq!((answer.status_code, answer.executed_version.as_deref()), (Some(200), Some("$LATEST")));
        let end = finished(InvokeWithResponseStreamCompleteEvent::default());
        assert_eq!(taken(answer).await, [doc(chunk(Bytes::from_static(b"{\"a\":1}"))), doc(end)]);
        let seen = bed.invoker.invoked().remove(0);
        assert_eq!(seen.invoked_arn, "arn:aws:lambda:us-east-1:000000000000:function:a:$LATEST");
    }

    #[tokio::test]
    async fn a_failure_is_in_the_last_event() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.invoker.answer_with(Ok(InvokeOutcome {
            payload: Bytes::from_static(b"{\"errorType\":\"KeyError\"}"),
            failure: Some(InvokeFailure::Unhandled),
            log_tail: Bytes::from_static(b"END\n"),
            executed_version: "$LATEST".into(),
            duration_us: 1,
            init_us: None,
        }));
        let input = InvokeWithResponseStreamRequest { log_type: Some(LogType::Tail), ..request("a") };
        let answer = bed.run::<InvokeWithResponseStream>(input).await.unwrap();
        let end = finished(InvokeWithResponseStreamCompleteEvent {
            error_code: Some("Unhandled".into()),
            error_details: Some("{\"errorType\":\"KeyError\"}".into()),
            log_result: Some(STANDARD.encode("END\n")),
        });
        assert_eq!(taken(answer).await, [doc(end)]);
    }

    #[tokio::test]
    async fn a_lost_invocation_is_no_good_end() {
        let parts = [StreamItem::Chunk(Bytes::from_static(b"half"))];
        let found: Vec<Doc> = events(Box::pin(stream::iter(parts)), LogTail::Omitted).collect().await;
        assert_eq!(found, [doc(chunk(Bytes::from_static(b"half"))), doc(lost())]);
    }

    #[tokio::test]
    async fn what_invoke_refuses_is_refused_before_the_first_event() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.create_pending("p").await;
        let refused = async |input| bed.run::<InvokeWithResponseStream>(input).await.unwrap_err();
        assert_eq!(refused(request("b")).await.code, "ResourceNotFoundException");
        assert_eq!(refused(request("p")).await.code, "ResourceConflictException");
        let bad = InvokeWithResponseStreamRequest { payload: Some(Bytes::from_static(b"{")), ..request("a") };
        assert_eq!(refused(bad).await.code, "InvalidRequestContentException");
        bed.invoker.answer_with(Err(InvokeError::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded)));
        assert_eq!(refused(request("a")).await.status, 429);
    }

    #[tokio::test]
    async fn a_dry_run_only_looks() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let dry = |name: &str| InvokeWithResponseStreamRequest {
            invocation_type: Some(ResponseStreamingInvocationType::DryRun),
            ..request(name)
        };
        let answer = bed.run::<InvokeWithResponseStream>(dry("a")).await.unwrap();
        assert_eq!(answer, InvokeWithResponseStreamResponse { status_code: Some(204), ..Default::default() });
        assert_eq!(bed.run::<InvokeWithResponseStream>(dry("b")).await.unwrap_err().status, 404);
        assert!(bed.invoker.invoked().is_empty());
    }
}
