//! The engine over real sandboxes: Python on the private channel, a custom runtime over HTTP, and everything
//! a function can do wrong. Needs root.
#![allow(missing_docs)]

mod common;

use common::World;
use gust_kit::ports::{FunctionSpec, InvokeRequest, Invoker, LogTail};
use gust_types::RequestId;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_function_sees_what_lambda_shows_it() {
    let code = "import os\nprint('loading')\ndef handler(event, context):\n    print('got', event['a'])\n    return {\n        \
        'id': context.aws_request_id, 'arn': context.invoked_function_arn, 'memory': context.memory_limit_in_mb,\n        \
        'left': context.get_remaining_time_in_millis(), 'env': dict(os.environ)}\n";
    let world = World::python(code).await;
    let outcome = world.invoke(json!({"a": "ä"})).await;
    let got: Value = serde_json::from_slice(&outcome.payload).unwrap();
    assert_eq!(got["id"], "8476a536-e9f4-11e8-9739-2dfe598c3fcd", "{got}\n{}", world.log());
    assert!((15_000..=20_000).contains(&got["left"].as_i64().unwrap()), "{got}");
    for (name, value) in [
        ("MY", "own"),
        ("AWS_ACCESS_KEY_ID", "ASIATEST"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ] {
        assert_eq!(got["env"][name], value, "{name}");
    }
    assert!(outcome.init_us.is_some());
    let tail = String::from_utf8(outcome.log_tail.to_vec()).unwrap();
    let lines: Vec<&str> = tail.lines().collect();
    assert_eq!(lines[1], "got ä");
    assert!(lines[3].contains("\tInit Duration: ") && !lines[3].contains("Used: 0 MB"), "{tail}");
    assert!(world.log().starts_with("INIT_START Runtime Version: python:3.11.v"), "{}", world.log());
    assert!(world.log().contains("\nloading\nSTART "), "{}", world.log());
    for _ in 0..5 {
        assert!(world.invoke(json!({"a": 1})).await.init_us.is_none());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_function_does_wrong_the_next_invocation_works() {
    let code = "import os, sys, time, signal, json\ndef handler(event, context):\n    do = event['do']\n    \
        if do == 'hang':\n        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        \
        if os.fork() == 0: os.setsid()\n        time.sleep(60)\n    \
        if do == 'exit': os._exit(7)\n    if do == 'quit': sys.exit(0)\n    \
        if do == 'kill': os.kill(os.getpid(), 9)\n    \
        if do == 'raise': raise ValueError('no')\n    if do == 'set': return {1, 2}\n    \
        if do == 'big': return 'x' * 7000000\n    if do == 'close': os.close(1); os.close(2)\n    \
        if do == 'noise':\n        while True: print('x' * 1000)\n    \
        if do == 'memory': return len(b'x' * (1 << 30))\n    \
        if do == 'bomb':\n        while True:\n            try: os.fork()\n            except OSError: pass\n    return 'fine'\n";
    let mut world = World::python(code).await;
    let cases = [
        ("raise", "ValueError", "no"),
        ("set", "Runtime.MarshalError", "Unable to marshal response"),
        ("exit", "Runtime.ExitError", "Error: Runtime exited with error: exit status 7"),
        ("quit", "Runtime.ExitError", "Error: Runtime exited without providing a reason"),
        ("kill", "Runtime.ExitError", "Error: Runtime exited with error: signal: killed"),
        ("big", "Function.ResponseSizeTooLarge", "Response payload size exceeded"),
        ("memory", "Runtime.OutOfMemory", "Error: Runtime exited with error: signal: killed"),
        ("hang", "Sandbox.Timedout", "Error: Task timed out after 1.50 seconds"),
        ("noise", "Sandbox.Timedout", "Error: Task timed out after 1.50 seconds"),
        ("bomb", "Sandbox.Timedout", "Error: Task timed out after 1.50 seconds"),
    ];
    for (what, error_type, message) in cases {
        world.spec.timeout_ms = if error_type == "Sandbox.Timedout" { 1_500 } else { 20_000 };
        world.sink.0.lock().unwrap().clear();
        let got = world.call(json!({ "do": what })).await;
        assert_eq!(got["errorType"], error_type, "{what}: {got}\n{}", &world.log());
        assert!(got["errorMessage"].as_str().unwrap().contains(message), "{what}: {got}");
        world.spec.timeout_ms = 20_000;
        assert_eq!(world.call(json!({"do": "nothing"})).await, "fine", "after {what}");
    }
    assert_eq!(world.call(json!({"do": "close"})).await, "fine");
    assert_eq!(world.call(json!({"do": "nothing"})).await, "fine");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_error_is_lambdas() {
    let world = World::python("import nothing_of_the_kind\n").await;
    let got = world.call(json!({})).await;
    assert_eq!(got["errorType"], "Runtime.ImportModuleError", "{got}");
    assert_eq!(got["errorMessage"], "Unable to import module 'app': No module named 'nothing_of_the_kind'");
    assert!(world.log().contains("INIT_REPORT Init Duration: "), "{}", world.log());
    world.end().await;
}

/// A runtime in shell: curl speaks the Runtime API.
const BOOTSTRAP: &str = r#"#!/bin/bash
echo "started with $_HANDLER"
API="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  EVENT=$(curl -sS -D /tmp/headers "$API/invocation/next")
  ID=$(grep -i '^Lambda-Runtime-Aws-Request-Id' /tmp/headers | tr -d '\r' | cut -d' ' -f2)
  echo "event $EVENT"
  case "$EVENT" in
    *exit*) exit 3 ;;
    *leave*) curl -sS -X POST "$API/invocation/$ID/response" -d "$EVENT"; sleep 0.05; exit 1 ;;
    *fail*) curl -sS -X POST "$API/invocation/$ID/error" -d '{"errorType":"Mine"}' ;;
    *) curl -sS -X POST "$API/invocation/$ID/response" -d "$EVENT" ;;
  esac
done
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_runtime_speaks_http() {
    let world = World::new("provided.al2023", "bootstrap", BOOTSTRAP).await;
    for number in 0..3 {
        assert_eq!(world.call(json!({ "n": number })).await, json!({ "n": number }), "{}", world.log());
    }
    assert_eq!(world.call(json!("fail")).await, json!({"errorType": "Mine"}));
    // A runtime that answers and then ends must not be given another event.
    for _ in 0..3 {
        assert_eq!(world.call(json!("leave")).await, "leave");
    }
    let got = world.call(json!("exit")).await;
    assert_eq!(got["errorType"], "Runtime.ExitError", "{got}");
    assert_eq!(world.call(json!("again")).await, "again");
    assert!(world.log().contains("started with app.handler"), "{}", world.log());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_python_function_speaks_http() {
    let code = "import os\ndef handler(event, context):\n    return [event, os.environ['WRAPPED']]\n";
    let mut world = World::python(code).await;
    let wrapper = world.spec.code_dir.join("wrap");
    fs::write(&wrapper, "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    world.spec.environment.insert("AWS_LAMBDA_EXEC_WRAPPER".to_owned(), "/var/task/wrap".to_owned());
    for number in 0..3 {
        assert_eq!(world.call(json!(number)).await, json!([number, "yes"]), "{}", world.log());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spawner_that_ended_is_replaced() {
    let world = World::python("def handler(event, context):\n    return event\n").await;
    assert_eq!(world.call(json!(1)).await, 1);
    world.spawner.shutdown().await.unwrap();
    assert_eq!(world.call(json!(2)).await, 2, "{}", world.log());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_environments_freeze_and_thaw() {
    let world = World::python("def handler(event, context):\n    return event\n").await;
    assert_eq!(world.call(json!(1)).await, 1);
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.engine.snapshot().functions[0].frozen == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.call(json!(2)).await, 2);
    world.end().await;
}

/// Not a test: prints what a warm and a cold invocation take. Run with `--run-ignored only --no-capture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure() {
    let mut world = World::python("def handler(event, context):\n    return event\n").await;
    // A whole CPU, so that the function's share does not hide what gust takes.
    world.spec.memory_mb = 1_769;
    world.call(json!(1)).await;
    let request = |spec: &FunctionSpec| InvokeRequest {
        function: Arc::new(spec.clone()),
        invoked_arn: spec.arn.clone(),
        request_id: RequestId::from_text("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        payload: "{}".into(),
        client_context: None,
        trace_header: None,
        tenant_id: None,
        tail: LogTail::Omitted,
    };
    let mut warm = Vec::new();
    for _ in 0..3_000 {
        let began = Instant::now();
        world.engine.invoke(request(&world.spec)).await.unwrap();
        warm.push(began.elapsed());
    }
    warm.sort();
    let (mut cold, mut init) = (Vec::new(), Vec::new());
    for revision in 0..50 {
        world.spec.revision_id = format!("r{revision}");
        let began = Instant::now();
        let outcome = world.engine.invoke(request(&world.spec)).await.unwrap();
        cold.push(began.elapsed());
        init.push(outcome.init_us.unwrap());
    }
    cold.sort();
    init.sort();
    println!(
        "warm p50 {:?} p99 {:?}; cold p50 {:?} max {:?}, init p50 {} us",
        warm[1_500], warm[2_970], cold[25], cold[49], init[25]
    );
    world.end().await;
}
