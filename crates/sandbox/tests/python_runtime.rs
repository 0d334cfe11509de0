//! gust's Python runtime behaves as Lambda's, under every interpreter found, forked and executed.
#![allow(missing_docs)]

mod common;

use common::*;
use gust_sandbox::{Interpreter, Program, RuntimeTransport, SandboxSpec};
use serde_json::{Value, json};

/// One behaviour: the module, the handler's name, and what an invoke gives.
struct Case {
    name: &'static str,
    code: &'static str,
    event: Value,
    expected: Result<Value, Value>,
    /// Part of the output, and of the log.
    output: &'static str,
    log: &'static str,
}

/// A case without output.
fn case(name: &'static str, code: &'static str, event: Value, expected: Result<Value, Value>) -> Case {
    Case { name, code, event, expected, output: "", log: "" }
}

fn cases() -> Vec<Case> {
    [results(), surroundings(), abilities()].into_iter().flatten().collect()
}

/// What goes in and what comes out.
fn results() -> Vec<Case> {
    vec![
        case(
            "echo",
            "def handler(event, context):\n    return event\n",
            json!({"ä": [1, 2.5, null]}),
            Ok(json!({"ä": [1, 2.5, null]})),
        ),
        case(
            "context",
            r#"
import os
def handler(event, context):
    client = context.client_context
    return [context.aws_request_id, context.function_name, context.function_version, context.memory_limit_in_mb,
            context.invoked_function_arn, context.log_group_name, context.log_stream_name, context.tenant_id,
            context.identity.cognito_identity_id, client.client.installation_id, client.custom, client.env,
            context.get_remaining_time_in_millis(), os.environ.get("_X_AMZN_TRACE_ID")]
"#,
            json!(0),
            Ok(
                json!(["req-1", "fn", "$LATEST", "128", "arn:aws:lambda:us-east-1:000000000000:function:test", "/aws/lambda/fn",
                "stream", "blue", "id", "inst", {"k": "v"}, null, 0, "Root=1-2-3"]),
            ),
        ),
        Case {
            name: "exception",
            code: "def inner():\n    raise ValueError('boom')\ndef handler(event, context):\n    inner()\n",
            event: json!(0),
            expected: Err(
                json!({"errorMessage": "boom", "errorType": "ValueError", "requestId": "req-1", "stackTrace": [
                "  File \"/var/task/lambda_function.py\", line 4, in handler\n    inner()\n",
                "  File \"/var/task/lambda_function.py\", line 2, in inner\n    raise ValueError('boom')\n"]}),
            ),
            output: "",
            log: "[ERROR] ValueError: boom\nTraceback (most recent call last):\n\u{a0}\u{a0}File \"/var/task/lambda_function.py\", line 4, in handler\n\u{a0}\u{a0}\u{a0}\u{a0}inner()\n",
        },
        case(
            "unserializable",
            "def handler(event, context):\n    return {1, 2}\n",
            json!(0),
            Err(json!({"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable",
                "errorType": "Runtime.MarshalError", "requestId": "req-1", "stackTrace": []})),
        ),
        case(
            "decimal",
            "from decimal import Decimal\ndef handler(event, context):\n    return [Decimal('1.10'), {'a': Decimal('12345678901234567890')}, 'gust-decimal-0']\n",
            json!(0),
            Ok(serde_json::from_str(r#"[1.10, {"a": 12345678901234567890}, "gust-decimal-0"]"#).unwrap()),
        ),
        case("bytes", "def handler(event, context):\n    return b'[1]'\n", json!(0), Ok(json!([1]))),
    ]
}

/// What a function finds around itself.
fn surroundings() -> Vec<Case> {
    vec![
        case(
            "path",
            "import sys\ndef handler(event, context):\n    return [sys.path[0], sys.path[2], sys.path[-1], __name__, sys.argv, sys.modules['__main__'].__dict__.get('__file__')]\n",
            json!(0),
            Ok(json!([
                "/var/task",
                "/opt/python",
                "/var/runtime",
                "lambda_function",
                ["/var/runtime/bootstrap.py"],
                null
            ])),
        ),
        case(
            "hygiene",
            "import sys\ndef handler(event, context):\n    names = [n for n in sys.modules if n in ('bootstrap', 'zygote') or n.startswith('runtime_')]\n    return [names, callable(exit), any('site-packages' in p and not p.startswith('/opt') for p in sys.path)]\n",
            json!(0),
            Ok(json!([[], true, false])),
        ),
        Case {
            name: "print and logging",
            code: "import logging, sys\nlogging.getLogger().setLevel('INFO')\ndef handler(event, context):\n    print('to stdout', end='')\n    sys.stderr.write('to stderr\\n')\n    logging.info('to log %d\\nsecond line', 5)\n",
            event: json!(0),
            expected: Ok(Value::Null),
            output: "to stdoutto stderr\n",
            log: "Z\treq-1\tto log 5\nsecond line\n",
        },
        case(
            "closed stdout",
            "import sys, os\nsys.stdout.close()\nsys.stderr.close()\ndef handler(event, context):\n    print('x')\n    os.close(1)\n    print('y')\n    return 1\n",
            json!(0),
            Ok(json!(1)),
        ),
    ]
}

/// What a function may do, up to the limits.
fn abilities() -> Vec<Case> {
    vec![
        case(
            "fork",
            "import os\ndef handler(event, context):\n    if os.fork() == 0:\n        return 'child'\n    os.wait()\n    return 'parent'\n",
            json!(0),
            Ok(json!("parent")),
        ),
        case(
            "thread",
            "import threading\ndef handler(event, context):\n    out = []\n    t = threading.Thread(target=lambda: out.append(1))\n    t.start()\n    t.join()\n    return out\n",
            json!(0),
            Ok(json!([1])),
        ),
        case(
            "multiprocessing pipe",
            "import multiprocessing as m\ndef work(c):\n    c.send(5)\ndef handler(event, context):\n    a, b = m.get_context('fork').Pipe()\n    p = m.get_context('fork').Process(target=work, args=(b,))\n    p.start()\n    p.join()\n    return a.recv()\n",
            json!(0),
            Ok(json!(5)),
        ),
        case(
            "subprocess",
            "import subprocess, sys\ndef handler(event, context):\n    return subprocess.run([sys.executable, '-c', 'print(40 + 2)'], capture_output=True, text=True).stdout\n",
            json!(0),
            Ok(json!("42\n")),
        ),
        case(
            "common modules",
            "import ssl, sqlite3, hashlib, uuid, random, socket, asyncio, zlib, ctypes, urllib.request\ndef handler(event, context):\n    return asyncio.run(asyncio.sleep(0, 'done'))\n",
            json!(0),
            Ok(json!("done")),
        ),
        case(
            "large",
            "def handler(event, context):\n    return event + 'x'\n",
            json!("y".repeat(5_000_000)),
            Ok(json!("y".repeat(5_000_000) + "x")),
        ),
        case(
            "too large",
            "def handler(event, context):\n    return 'x' * 7_000_000\n",
            json!(0),
            Err(json!({"errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
                "errorType": "Function.ResponseSizeTooLarge", "requestId": "req-1", "stackTrace": []})),
        ),
    ]
}

fn environment(spec: &mut SandboxSpec) {
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "fn"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/fn"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.12"),
    ] {
        spec.env.push((name.to_owned(), value.to_owned()));
    }
}

async fn behaves(interpreter: &Interpreter, executed: bool) {
    let world = World::new().await;
    let header = json!({"trace_id": "Root=1-2-3", "tenant_id": "blue", "cognito_identity": "{\"cognitoIdentityId\":\"id\"}",
        "client_context": "{\"client\":{\"installation_id\":\"inst\"},\"custom\":{\"k\":\"v\"}}"});
    for case in cases() {
        let place = format!("{} on {:?}, executed: {executed}", case.name, interpreter.version);
        let mut function = world
            .python_with(case.code, |spec| {
                spec.program =
                    Program::Python { interpreter: interpreter.clone(), transport: RuntimeTransport::Channel };
                environment(spec);
                if executed {
                    spec.env.push(("PYTHONHASHSEED".to_owned(), "0".to_owned()));
                }
            })
            .await;
        let result = function.invoke_with(case.event, header.clone()).await;
        assert!(result == case.expected, "{place}: {:.300}", format!("{result:?}"));
        assert!(function.output_now().contains(case.output), "{place}: {:?}", function.output_now());
        let log: String = function.log_now().into_iter().map(|(_, text)| text).collect();
        assert!(log.contains(case.log), "{place}: {log:?}");
    }
    for (files, handler, expected) in init_failures() {
        let place = format!("{handler} on {:?}, executed: {executed}", interpreter.version);
        let mut function = world
            .start_python(&files, |spec| {
                spec.program =
                    Program::Python { interpreter: interpreter.clone(), transport: RuntimeTransport::Channel };
                spec.env.retain(|(name, _)| name != "_HANDLER");
                spec.env.push(("_HANDLER".to_owned(), handler.to_owned()));
                if executed {
                    spec.env.push(("PYTHONHASHSEED".to_owned(), "0".to_owned()));
                }
            })
            .await;
        let (kind, body) = function.frame().await.unwrap_or_else(|| panic!("{place}: no frame"));
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert_eq!(kind, if expected[0].is_null() { b'R' } else { b'F' }, "{place}: {body}");
        if kind == b'F' {
            assert_eq!(body["errorType"], expected[0], "{place}");
            assert!(
                body["errorMessage"].as_str().unwrap().starts_with(expected[1].as_str().unwrap()),
                "{place}: {body}"
            );
            assert_eq!(
                body["stackTrace"].as_array().unwrap().is_empty(),
                expected[2] == json!(false),
                "{place}: {body}"
            );
            assert_eq!(function.sandbox.wait().await.code, Some(1), "{place}");
            assert!(
                function.log_now().iter().any(|(level, text)| *level == 5 && text.starts_with("[ERROR]")),
                "{place}"
            );
        }
    }
}

/// Names and contents of a package's files.
type Files = Vec<(&'static str, &'static str)>;

/// Files, handler, and error type, start of the message, and whether there is a stack trace.
fn init_failures() -> Vec<(Files, &'static str, Value)> {
    let good = "def handler(event, context):\n    return 1\n";
    vec![
        (
            vec![("m.py", "")],
            "absent.handler",
            json!(["Runtime.ImportModuleError", "Unable to import module 'absent': No module named 'absent'", false]),
        ),
        (
            vec![("m.py", "import nothing_like_it")],
            "m.handler",
            json!([
                "Runtime.ImportModuleError",
                "Unable to import module 'm': No module named 'nothing_like_it'",
                false
            ]),
        ),
        (
            vec![("m.py", "")],
            "m.handler",
            json!(["Runtime.HandlerNotFound", "Handler 'handler' missing on module 'm'", false]),
        ),
        (
            vec![("m.py", "")],
            "m",
            json!([
                "Runtime.MalformedHandlerName",
                "Bad handler 'm': not enough values to unpack (expected 2, got 1)",
                false
            ]),
        ),
        (
            vec![("m.py", "def x(:\n")],
            "m.handler",
            json!(["Runtime.UserCodeSyntaxError", "Syntax error in module 'm': ", true]),
        ),
        (vec![("m.py", "raise KeyError('k')\n")], "m.handler", json!(["KeyError", "'k'", true])),
        (
            vec![("m.py", "")],
            "sys.exit",
            json!(["Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module", false]),
        ),
        (vec![("pkg/mod.py", good), ("pkg/__init__.py", "")], "pkg/mod.handler", json!([null])),
        (vec![("pkg/mod.py", good)], "pkg.mod.handler", json!([null])),
        (vec![("bootstrap.py", good)], "bootstrap.handler", json!([null])),
    ]
}

#[tokio::test]
async fn behaves_as_lambdas_runtime_when_forked() {
    assert!(!pythons().is_empty());
    for interpreter in pythons() {
        behaves(interpreter, false).await;
    }
}

#[tokio::test]
async fn behaves_as_lambdas_runtime_when_executed() {
    for interpreter in [*pythons().first().unwrap(), *pythons().last().unwrap()] {
        behaves(interpreter, true).await;
    }
}

#[tokio::test]
async fn bad_json_is_an_error_of_the_invoke() {
    let world = World::new().await;
    let mut function = world.python("def handler(event, context):\n    return 1\n").await;
    function.send(b"{nonsense", json!({})).await;
    let (kind, body) = function.frame().await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((kind, &body["errorType"]), (b'E', &json!("Runtime.UnmarshalError")));
    let start = "Unable to unmarshal input: Expecting property name enclosed in double quotes";
    assert!(body["errorMessage"].as_str().unwrap().starts_with(start), "{body}");
    assert_eq!(function.invoke(json!(2)).await, Ok(json!(1)));
}

#[tokio::test]
async fn json_logs_and_levels() {
    let world = World::new().await;
    let code = r#"
import logging
logger = logging.getLogger("mine")
def handler(event, context):
    logger.info("hidden")
    logger.warning({"a": 1}, extra={"order": 7})
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("oops")
    raise RuntimeError("end")
"#;
    let mut function = world
        .python_with(code, |spec| {
            spec.env.push(("AWS_LAMBDA_LOG_FORMAT".to_owned(), "JSON".to_owned()));
            spec.env.push(("AWS_LAMBDA_LOG_LEVEL".to_owned(), "WARN".to_owned()));
        })
        .await;
    function.invoke(json!(0)).await.unwrap_err();
    let events = function.log_now();
    let parsed: Vec<Value> = events.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(events.iter().map(|(level, _)| *level).collect::<Vec<_>>(), [4, 5, 5]);
    assert_eq!(parsed[0]["message"], json!({"a": 1}));
    assert_eq!(
        (&parsed[0]["order"], &parsed[0]["level"], &parsed[0]["logger"]),
        (&json!(7), &json!("WARNING"), &json!("mine"))
    );
    assert_eq!((&parsed[1]["errorType"], &parsed[1]["requestId"]), (&json!("ZeroDivisionError"), &json!("req-1")));
    assert_eq!((&parsed[2]["errorType"], &parsed[2]["level"]), (&json!("RuntimeError"), &json!("ERROR")));
}

#[tokio::test]
async fn speaks_the_runtime_api_where_it_must() {
    let world = World::new().await;
    let mut function = world
        .start_python(
            &[("lambda_function.py", "def handler(event, context):\n    return [event, context.aws_request_id]\n")],
            |spec| {
                spec.program = Program::Python { interpreter: any_python(), transport: RuntimeTransport::Http };
            },
        )
        .await;
    let listener = function.sandbox.runtime_api.take().unwrap();
    listener.set_nonblocking(false).unwrap();
    let posted = tokio::task::spawn_blocking(move || serve_once(&listener));
    let posted = tokio::time::timeout(DEADLINE, posted).await.unwrap().unwrap();
    assert_eq!(
        posted,
        ("POST /2018-06-01/runtime/invocation/abc/response HTTP/1.1".to_owned(), "[{\"n\": 1}, \"abc\"]".to_owned())
    );
}

/// A Runtime API that gives out one invocation, and returns the request line and body of the answer.
fn serve_once(listener: &std::net::TcpListener) -> (String, String) {
    use std::io::{BufRead, BufReader, Read, Write};
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut request = || {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let length = lines.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let first = lines.remove(0);
        (first, String::from_utf8(body).unwrap(), reader.get_ref().try_clone().unwrap())
    };
    let (line, _, mut stream) = request();
    assert_eq!(line, "GET /2018-06-01/runtime/invocation/next HTTP/1.1");
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: abc\r\nLambda-Runtime-Deadline-Ms: 99\r\nContent-Length: 8\r\n\r\n{\"n\": 1}")
        .unwrap();
    let (line, body, _) = request();
    (line, body)
}

#[tokio::test]
async fn a_wrapper_starts_the_runtime() {
    let world = World::new().await;
    let files = [
        ("lambda_function.py", "import os\ndef handler(event, context):\n    return os.environ.get('FROM_WRAPPER')\n"),
        ("wrapper", "#!/bin/sh\nexport FROM_WRAPPER=yes\nexec \"$@\"\n"),
    ];
    let wrapper = ("AWS_LAMBDA_EXEC_WRAPPER".to_owned(), "/var/task/wrapper".to_owned());
    let mut function = world.start_python(&files, |spec| spec.env.push(wrapper)).await;
    assert_eq!(function.frame().await.unwrap().0, b'R');
    assert_eq!(function.invoke(json!(0)).await, Ok(json!("yes")));
}
