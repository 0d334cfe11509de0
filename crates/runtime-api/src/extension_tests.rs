//! Tests of an environment's extensions.

use crate::extensions::{Extensions, INVOKE, NextEvent, Refusal, SHUTDOWN};
use crate::{EXTENSIONS_MAX, FunctionFacts, ProcessEnd, ShutdownReason};
use futures_util::FutureExt;
use gust_types::SeededIds;
use serde_json::json;
use std::sync::Arc;

fn extensions(external: &[&str]) -> Extensions {
    let facts = FunctionFacts {
        name: "f".to_owned(),
        version: "$LATEST".to_owned(),
        handler: "app.handler".to_owned(),
        account_id: "000000000000".to_owned(),
    };
    let external: Vec<String> = external.iter().map(|name| (*name).to_owned()).collect();
    Extensions::new(facts, Arc::new(SeededIds::new(1)), &external)
}

fn events(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn refused<T>(result: Result<T, Refusal>) -> &'static str {
    result.err().map_or("accepted", |refusal| refusal.error_type)
}

#[tokio::test]
async fn an_environment_is_ready_when_all_have_registered_and_asked() {
    let all = extensions(&["outer"]);
    assert!(all.registered().now_or_never().is_none());
    let outer = all.register("outer", &events(&[INVOKE, SHUTDOWN])).unwrap();
    assert!(all.registered().now_or_never().is_some());
    let inner = all.register("inner", &events(&[INVOKE])).unwrap();
    let _outer = all.next(&outer).unwrap();
    assert!(all.ready().now_or_never().is_none(), "the internal one has not asked");
    let _inner = all.next(&inner).unwrap();
    assert!(all.ready().now_or_never().is_some());
    let states: Vec<(String, &str)> = all.summary().into_iter().map(|line| (line.name, line.state)).collect();
    assert_eq!(states, [("outer".to_owned(), "Ready"), ("inner".to_owned(), "Ready")]);
}

#[tokio::test]
async fn an_invoke_ends_when_those_that_wanted_it_ask_again() {
    let all = extensions(&["a", "b"]);
    let a = all.register("a", &events(&[INVOKE])).unwrap();
    let b = all.register("b", &events(&[SHUTDOWN])).unwrap();
    let Ok(NextEvent::Wait(waiting)) = all.next(&a) else { panic!() };
    let Ok(NextEvent::Wait(idle)) = all.next(&b) else { panic!() };
    all.begin_invoke("1", 5, "arn", Some("Root=1"));
    let event: serde_json::Value = serde_json::from_slice(&waiting.event().await.unwrap()).unwrap();
    let expected = json!({"eventType": "INVOKE", "deadlineMs": 5, "requestId": "1", "invokedFunctionArn": "arn",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"}});
    assert_eq!(event, expected);
    assert!(all.settled().now_or_never().is_none());
    let Ok(NextEvent::Wait(_waiting)) = all.next(&a) else { panic!() };
    assert!(all.settled().now_or_never().is_some());
    assert_eq!(all.begin_shutdown(ShutdownReason::Timeout, 9), 1);
    let event: serde_json::Value = serde_json::from_slice(&idle.event().await.unwrap()).unwrap();
    assert_eq!(event, json!({"eventType": "SHUTDOWN", "shutdownReason": "timeout", "deadlineMs": 9}));
    assert!(all.gone().now_or_never().is_none());
    all.process_ended(1, &ProcessEnd::Exited(0));
    assert!(all.gone().now_or_never().is_some(), "the other one did not want the event");
}

#[tokio::test]
async fn an_event_is_not_lost_when_the_request_for_it_is_given_up_or_late() {
    let all = extensions(&["a"]);
    let a = all.register("a", &events(&[INVOKE])).unwrap();
    let Ok(NextEvent::Wait(waiting)) = all.next(&a) else { panic!() };
    all.begin_invoke("1", 5, "arn", None);
    drop(waiting);
    let Ok(NextEvent::Now(event)) = all.next(&a) else { panic!("lost") };
    assert!(std::str::from_utf8(&event).unwrap().contains("\"1\""));
    all.begin_invoke("2", 5, "arn", None);
    assert!(matches!(all.next(&a), Ok(NextEvent::Now(_))));
    let Ok(NextEvent::Wait(_waiting)) = all.next(&a) else { panic!() };
    assert_eq!(refused(all.next(&a)), "Extension.InvalidExtensionState");
}

#[tokio::test]
async fn what_is_out_of_order_or_unknown_is_refused() {
    let all = extensions(&["a"]);
    assert_eq!(refused(all.register("a", &events(&["NONE"]))), "Extension.InvalidEventType");
    assert_eq!(refused(all.register("b", &events(&[SHUTDOWN]))), "Extension.InvalidEventType");
    let a = all.register("a", &events(&[])).unwrap();
    assert_eq!(refused(all.register("a", &events(&[]))), "Extension.InvalidExtensionState");
    all.register("b", &events(&[INVOKE])).unwrap();
    assert_eq!(refused(all.register("b", &events(&[INVOKE]))), "Extension.InvalidExtensionState");
    for number in 2..EXTENSIONS_MAX {
        all.register(&format!("n{number}"), &events(&[])).unwrap();
    }
    assert_eq!(refused(all.register("more", &events(&[]))), "Extension.TooManyExtensions");
    all.close_registration();
    assert_eq!(refused(all.register("more", &events(&[]))), "Extension.RegistrationClosed");
    assert_eq!(refused(all.next("nobody")), "Extension.UnknownExtensionIdentifier");
    assert_eq!(refused(all.next("")), "Extension.UnknownExtensionIdentifier");
    let _waiting = all.next(&a).unwrap();
    assert_eq!(refused(all.init_error(&a, "Own.Error")), "Extension.InvalidExtensionState");
    assert_eq!(all.exit_error(&a, "Own.Error"), Ok(()));
    assert_eq!(all.exit_error(&a, "Own.Error"), Ok(()));
    assert_eq!(refused(all.next(&a)), "Extension.InvalidExtensionState");
    let failure = all.failure().await;
    assert_eq!((failure.error_type, failure.cause.as_str()), ("Extension.ExitError", "a: Own.Error"));
}

#[tokio::test]
async fn a_process_that_ends_fails_the_environment() {
    let cases = [
        (ProcessEnd::Exited(0), "Exited", None, "Extension.Crash", "exit status 0"),
        (ProcessEnd::Signalled("killed".to_owned()), "Exited", None, "Extension.Crash", "signal: killed"),
        (
            ProcessEnd::NotStarted { cause: "no".to_owned(), is_permission: true },
            "LaunchError",
            Some("PermissionDenied"),
            "Extension.LaunchError",
            "no",
        ),
    ];
    for (end, state, error_type, kind, cause) in cases {
        let all = extensions(&["a"]);
        all.process_ended(0, &end);
        let line = all.summary().remove(0);
        assert_eq!((line.state, line.error_type.as_deref()), (state, error_type));
        let failure = all.failure().await;
        assert_eq!((failure.error_type, failure.cause.as_str()), (kind, cause));
    }
}
