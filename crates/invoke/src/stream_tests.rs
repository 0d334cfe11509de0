//! Streamed responses through the engine, over fake environments, on both transports.

use crate::engine::Settings;
use crate::testing::{Bench, request, spec};
use futures_util::StreamExt;
use gust_kit::ports::{
    FunctionSpec, InvokeError, InvokeFailure, InvokeOutcome, InvokeStream, Invoker, LogTail, StreamItem,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn handler(name: &str) -> Arc<FunctionSpec> {
    let mut spec = spec("f");
    spec.handler = name.to_owned();
    Arc::new(spec)
}

fn json(outcome: &InvokeOutcome) -> serde_json::Value {
    serde_json::from_slice(&outcome.payload).unwrap()
}

/// Runs a test over both transports.
macro_rules! over_both {
    ($($name:ident),*) => {
        mod channel { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name(false).await })* }
        mod http { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name(true).await })* }
    };
}
over_both!(
    a_response_is_passed_on_while_it_is_written,
    a_stream_ends_with_how_it_failed,
    a_caller_who_leaves_a_stream_does_not_stop_the_function,
    a_caller_who_does_not_read_holds_the_function_up_until_its_time_is_over,
    an_endless_stream_that_is_read_ends_with_its_time,
    a_caller_of_a_whole_response_gets_a_streamed_one_collected,
    a_response_that_came_whole_is_one_part
);

/// What is left of a stream: its text and its end.
async fn rest(stream: &mut InvokeStream) -> (String, InvokeOutcome) {
    let mut text = String::new();
    while let Some(item) = stream.items.next().await {
        match item {
            StreamItem::Chunk(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            StreamItem::End(outcome) => return (text, outcome),
        }
    }
    panic!("the stream has no end")
}

async fn a_response_is_passed_on_while_it_is_written(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let spec = handler("stream");
    let mut tailed = request(&spec, "r1");
    tailed.tail = LogTail::Wanted;
    let mut stream = bench.engine.invoke_streaming(tailed).await.unwrap();
    assert_eq!((stream.content_type.as_deref(), stream.executed_version.as_str()), (Some("text/plain"), "$LATEST"));
    assert_eq!(stream.items.next().await, Some(StreamItem::Chunk("one".into())), "before the function goes on");
    bench.launcher.release.add_permits(2);
    let (text, outcome) = rest(&mut stream).await;
    assert_eq!((text.as_str(), outcome.failure, outcome.payload.len()), ("twothree", None, 0));
    let tail = String::from_utf8(outcome.log_tail.to_vec()).unwrap();
    assert!(tail.starts_with("START RequestId: r1") && tail.contains("REPORT"), "{tail}");
    assert!(stream.items.next().await.is_none());
    bench.launcher.release.add_permits(2);
    let mut again = bench.engine.invoke_streaming(request(&spec, "r2")).await.unwrap();
    assert_eq!(rest(&mut again).await.0, "onetwothree");
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 1, "the environment lives on");
}

async fn a_stream_ends_with_how_it_failed(is_http: bool) {
    for (name, expected, lives, log) in [
        ("stream_fail", r#"{"errorType":"KeyError"}"#, true, "END"),
        (
            "stream_exit",
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r1 Error: Runtime exited with error: exit status 1"}"#,
            false,
            "Runtime.ExitError",
        ),
        (
            "stream_hang",
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r1 Error: Task timed out after 0.20 seconds"}"#,
            false,
            "Task timed out after 0.20 seconds",
        ),
    ] {
        let bench = Bench::new(is_http, Settings::default());
        let mut spec = (*handler(name)).clone();
        if name == "stream_hang" {
            spec.timeout_ms = 200;
        }
        let mut stream = bench.engine.invoke_streaming(request(&Arc::new(spec), "r1")).await.unwrap();
        let (text, outcome) = rest(&mut stream).await;
        assert_eq!((text.as_str(), outcome.failure), ("one", Some(InvokeFailure::Unhandled)), "{name}");
        assert_eq!(outcome.payload, expected, "{name}");
        bench.until("the report", |bench| bench.sink.kinds().iter().any(|kind| kind == "REPORT")).await;
        let lines = bench.sink.lines();
        assert!(lines.iter().any(|line| line.message.contains(log)), "{name}: {lines:?}");
        bench.until("its fate", |bench| bench.launcher.alive.load(Ordering::SeqCst) == usize::from(lives)).await;
    }
}

async fn a_caller_who_leaves_a_stream_does_not_stop_the_function(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let spec = handler("stream");
    drop(bench.engine.invoke_streaming(request(&spec, "r1")).await.unwrap());
    assert_eq!(bench.engine.snapshot().in_flight, 1);
    bench.launcher.release.add_permits(2);
    bench.until("its end", |bench| bench.engine.snapshot().functions[0].idle == 1).await;
    let report = bench.sink.lines().pop().unwrap().message;
    assert!(report.starts_with("REPORT RequestId: r1") && !report.contains("Status"), "{report}");
}

async fn a_caller_who_does_not_read_holds_the_function_up_until_its_time_is_over(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let mut spec = (*handler("stream_flood")).clone();
    spec.timeout_ms = 600;
    let mut stream = bench.engine.invoke_streaming(request(&Arc::new(spec), "r1")).await.unwrap();
    bench.until("its end", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    let written = bench.launcher.entered.available_permits() << 16;
    assert!(written < 32 << 20, "{written} bytes were taken of a function whose output nobody reads");
    let (text, outcome) = rest(&mut stream).await;
    assert!(text.starts_with("onex") && text.len() < 16 << 20, "{}", text.len());
    assert_eq!(json(&outcome)["errorType"], "Sandbox.Timedout");
}

async fn an_endless_stream_that_is_read_ends_with_its_time(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let mut spec = (*handler("stream_flood")).clone();
    spec.timeout_ms = 500;
    let spec = Arc::new(spec);
    let mut stream = bench.engine.invoke_streaming(request(&spec, "r1")).await.unwrap();
    let outcome = loop {
        match stream.items.next().await {
            Some(StreamItem::Chunk(_)) => {}
            Some(StreamItem::End(outcome)) => break outcome,
            None => panic!("the stream has no end"),
        }
    };
    assert_eq!(json(&outcome)["errorType"], "Sandbox.Timedout");
    let outcome = bench.engine.invoke(request(&spec, "r2")).await.unwrap();
    assert_eq!(json(&outcome)["errorType"], "Sandbox.Timedout", "also where it is collected");
}

async fn a_caller_of_a_whole_response_gets_a_streamed_one_collected(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    bench.launcher.release.add_permits(2);
    let outcome = bench.engine.invoke(request(&handler("stream"), "r1")).await.unwrap();
    assert_eq!((&outcome.payload[..], outcome.failure), (&b"onetwothree"[..], None));
    let bench = Bench::new(is_http, Settings::default());
    let outcome = bench.engine.invoke(request(&handler("stream_fail"), "r1")).await.unwrap();
    assert_eq!(outcome.payload, r#"{"errorType":"KeyError"}"#, "the parts before an error are lost, as with AWS");
}

async fn a_response_that_came_whole_is_one_part(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let mut stream = bench.engine.invoke_streaming(request(&handler("echo"), "r1")).await.unwrap();
    assert_eq!(stream.content_type, None);
    let (text, outcome) = rest(&mut stream).await;
    assert_eq!((text.as_str(), outcome.failure), ("\"r1\"", None));
    for (name, error_type) in
        [("fail", "KeyError"), ("big", "Function.ResponseSizeTooLarge"), ("init_exit", "Runtime.ExitError")]
    {
        let bench = Bench::new(is_http, Settings::default());
        let mut stream = bench.engine.invoke_streaming(request(&handler(name), "r1")).await.unwrap();
        let (text, outcome) = rest(&mut stream).await;
        assert_eq!((text.as_str(), json(&outcome)["errorType"].as_str()), ("", Some(error_type)), "{name}");
    }
    let bench = Bench::new(is_http, Settings { account_concurrency: 0, ..Settings::default() });
    let refused = bench.engine.invoke_streaming(request(&handler("echo"), "r1")).await;
    assert!(matches!(refused, Err(InvokeError::Throttled(_))));
}
