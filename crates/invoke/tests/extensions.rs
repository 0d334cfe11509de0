//! Extensions over real sandboxes: processes from a layer, threads of the function, proxies of the Runtime API, and
//! subscribers of telemetry. Needs root.
#![allow(missing_docs)]

mod common;

use common::{World, interpreters};
use gust_invoke::Settings;
use gust_sandbox::{Choice, choose};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// What the extensions of these tests have in common.
const LIBRARY: &str = r"
import http.client, http.server, json, os, socketserver, sys, threading, time
API = os.environ['AWS_LAMBDA_RUNTIME_API']
def call(method, path, headers={}, body=None):
    connection = http.client.HTTPConnection(API)
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    reply = connection.getresponse()
    data = reply.read()
    return reply.status, reply.headers, json.loads(data) if data else None
def register(events, name=os.path.basename(sys.argv[0])):
    status, headers, body = call('POST', '/2020-01-01/extension/register', {'Lambda-Extension-Name': name},
        {'events': events})
    assert status == 200, body
    return headers['Lambda-Extension-Identifier']
def next_event(id):
    return call('GET', '/2020-01-01/extension/event/next', {'Lambda-Extension-Identifier': id})[2]
def say(*words):
    print(*words, flush=True)
";

/// A world whose function has these extensions.
async fn world(function: &str, extensions: &[(&str, &str)], settings: Settings) -> World {
    let mut world = World::with("python3.11", "app.py", function, settings).await;
    let layers = world.folder.path().join("layers");
    fs::create_dir_all(layers.join("extensions")).unwrap();
    world.spec.layers_dir = Some(layers);
    for (name, code) in extensions {
        add(&world, &format!("extensions/{name}"), &format!("{LIBRARY}{code}"));
    }
    world
}

/// Adds a Python program to the layer.
fn add(world: &World, name: &str, code: &str) {
    let path = world.spec.layers_dir.as_ref().unwrap().join(name);
    let python = match choose(&interpreters(), "python3.11", false) {
        Choice::Exact(interpreter) | Choice::Nearest(interpreter) => interpreter.path.display().to_string(),
        Choice::Missing => panic!("these tests need a Python"),
    };
    fs::write(&path, format!("#!{python}\n{code}")).unwrap();
    for path in [world.spec.layers_dir.as_ref().unwrap(), path.parent().unwrap(), &path] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Waits until the log contains `text`.
async fn logged(world: &World, text: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while !world.log().contains(text) {
        assert!(Instant::now() < until, "no {text:?} in\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const ECHO: &str = r"
import signal, sys
def bye(*_):
    print('runtime told', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
def handler(event, context):
    return event
";

const FOLLOWER: &str = r"
id = register(['INVOKE', 'SHUTDOWN'])
say('handler', os.environ.get('_HANDLER'), os.environ['MY'])
while True:
    event = next_event(id)
    say('ext', event['eventType'], event.get('requestId'), event.get('shutdownReason'), event['deadlineMs'] > 1e12)
    if event['eventType'] == 'SHUTDOWN':
        say('bye')
        sys.exit(0)
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_goes_through_all_phases_and_the_runtime_is_asked_to_end_first() {
    let world = world(ECHO, &[("follower", FOLLOWER)], Settings::default()).await;
    for number in 0..3 {
        assert_eq!(world.call(json!(number)).await, json!(number), "{}", world.log());
    }
    let log = world.log();
    assert!(log.contains("EXTENSION\tName: follower\tState: Ready\tEvents: [INVOKE, SHUTDOWN]"), "{log}");
    assert!(log.find("EXTENSION\t") < log.find("\nSTART "), "{log}");
    assert!(log.contains("handler None own"), "{log}");
    assert_eq!(log.matches("ext INVOKE 8476a536-e9f4-11e8-9739-2dfe598c3fcd None True").count(), 3, "{log}");
    assert_eq!(log.matches("Init Duration").count(), 1, "one environment serves all: {log}");
    assert!(world.engine.shutdown(Duration::from_secs(10)).await);
    let log = world.log();
    let told = log.find("runtime told").expect(&log);
    assert!(told < log.find("ext SHUTDOWN None spindown True").expect(&log) && log.contains("bye"), "{log}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_environment_thaws_for_its_last_event() {
    let settings = Settings { idle_timeout: Duration::from_millis(400), ..Settings::default() };
    let world = world(ECHO, &[("follower", FOLLOWER)], settings).await;
    world.call(json!(1)).await;
    logged(&world, "ext SHUTDOWN None spindown True").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_lasts_until_the_extension_is_done_and_its_time_limit_covers_that() {
    let slow = r"
id = register(['INVOKE', 'SHUTDOWN'])
while True:
    event = next_event(id)
    if event['eventType'] == 'SHUTDOWN':
        say('ended by', event['shutdownReason'])
        sys.exit(0)
    time.sleep(0.3)
    say('done')
";
    let mut world = world(ECHO, &[("slow", slow)], Settings::default()).await;
    let outcome = world.invoke(json!(1)).await;
    let tail = String::from_utf8(outcome.log_tail.to_vec()).unwrap();
    assert!(tail.find("done") < tail.find("REPORT"), "{tail}");
    let duration: f64 = tail.split("\tDuration: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(duration >= 300.0, "{tail}");
    assert!(outcome.duration_us < 300_000, "the caller hears of the function's own time");
    // One second is not enough for two.
    world.spec.timeout_ms = 1_000;
    "2".clone_into(&mut world.spec.revision_id);
    let code = slow.replace("0.3", "30");
    add(&world, "extensions/slow", &format!("{LIBRARY}{code}"));
    assert_eq!(world.call(json!(2)).await, json!(2), "the function itself was in time");
    logged(&world, "Task timed out after 1.00 seconds").await;
    logged(&world, "Status: timeout").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_fails_fails_the_invocation_in_lambdas_words() {
    let id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
    let at_invoke = "id = register(['INVOKE'])\nnext_event(id)\nos._exit(3)\n";
    let at_init = "register([])\nos._exit(4)\n";
    let reports = "id = register([])\ncall('POST', '/2020-01-01/extension/init/error', {'Lambda-Extension-Identifier': id,\n    \
        'Lambda-Extension-Function-Error-Type': 'Own.Fault'}, {})\ntime.sleep(100)\n";
    let cases = [
        (at_invoke, "Extension.Crash", "exit status 3", ""),
        (at_init, "Extension.Crash", "exit status 4", "EXTENSION\tName: bad\tState: Exited\tEvents: []"),
        (
            reports,
            "Extension.InitError",
            "bad: Own.Fault",
            "EXTENSION\tName: bad\tState: InitError\tEvents: []\tError Type: Own.Fault",
        ),
    ];
    for (code, error_type, cause, line) in cases {
        let slow = "import time\ndef handler(event, context):\n    time.sleep(15)\n";
        let world = world(slow, &[("bad", code)], Settings::default()).await;
        let expected = json!({"errorType": error_type, "errorMessage": format!("RequestId: {id} Error: {cause}")});
        assert_eq!(world.call(json!(1)).await, expected, "{}", world.log());
        assert!(world.log().contains(&format!("Status: error\tError Type: {error_type}")), "{}", world.log());
        assert!(world.log().contains(line), "{}", world.log());
        world.end().await;
    }
    let world = world(ECHO, &[("plain", "")], Settings::default()).await;
    let path = world.spec.layers_dir.as_ref().unwrap().join("extensions/plain");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let got = world.call(json!(1)).await;
    let message = format!("RequestId: {id} Error: fork/exec /opt/extensions/plain: permission denied");
    assert_eq!(got, json!({"errorType": "Extension.LaunchError", "errorMessage": message}));
    let line = "EXTENSION\tName: plain\tState: LaunchError\tEvents: []\tError Type: PermissionDenied";
    assert!(world.log().contains(line), "{}", world.log());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extensions_are_told_of_a_runtime_that_failed_and_of_a_time_out() {
    let code =
        "import os, time\ndef handler(event, context):\n    if event == 'exit': os._exit(1)\n    time.sleep(60)\n";
    let mut world = world(code, &[("follower", FOLLOWER)], Settings::default()).await;
    assert_eq!(world.call(json!("exit")).await["errorType"], "Runtime.ExitError", "{}", world.log());
    logged(&world, "ext SHUTDOWN None failure True").await;
    world.spec.timeout_ms = 1_000;
    "2".clone_into(&mut world.spec.revision_id);
    assert_eq!(world.call(json!("sleep")).await["errorType"], "Sandbox.Timedout");
    logged(&world, "ext SHUTDOWN None timeout True").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_of_the_function_is_an_internal_extension_on_the_private_channel() {
    let code = format!(
        r"{LIBRARY}
id = register(['INVOKE'], 'inner')
refused = call('POST', '/2020-01-01/extension/register', {{'Lambda-Extension-Name': 'x'}}, {{'events': ['SHUTDOWN']}})
seen = []
def follow():
    while True:
        seen.append(next_event(id)['requestId'])
threading.Thread(target=follow, daemon=True).start()
import signal
def bye(*_):
    say('asked to end')
    os._exit(0)
signal.signal(signal.SIGTERM, bye)
def handler(event, context):
    late = call('POST', '/2020-01-01/extension/register', {{'Lambda-Extension-Name': 'y'}}, {{'events': []}})
    return [len(seen) >= event, refused[0], refused[2]['errorType'], late[2]['errorType'],
        '_GUST_CHANNEL_FD' in os.environ, sys.argv]
"
    );
    let world = World::new("python3.11", "app.py", &code).await;
    for number in 0..3 {
        let got = world.call(json!(number)).await;
        let expected = json!([
            true,
            403,
            "Extension.InvalidEventType",
            "Extension.RegistrationClosed",
            false,
            ["/var/runtime/bootstrap.py"]
        ]);
        assert_eq!(got, expected, "{}", world.log());
    }
    assert!(world.log().contains("EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]"), "{}", world.log());
    assert!(world.engine.shutdown(Duration::from_secs(10)).await);
    assert!(world.log().contains("asked to end"), "{}", world.log());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_between_runtime_and_platform_rewrites_events_and_responses() {
    let proxy = r"
class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def pass_on(self, change):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.command == 'POST' and self.path.endswith('/response'):
            body = json.dumps({'answer': json.loads(body), 'by': 'proxy'}).encode()
        connection = http.client.HTTPConnection(API)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ('host', 'content-length')}
        connection.request(self.command, self.path, body or None, headers)
        reply = connection.getresponse()
        data = reply.read()
        if self.path.endswith('/next'):
            data = json.dumps({'event': json.loads(data), 'by': 'proxy'}).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            if name.lower() not in ('content-length', 'transfer-encoding', 'connection'):
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self): self.pass_on(None)
    def do_POST(self): self.pass_on(None)
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
server = Server(('127.0.0.1', 9009), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
id = register([])
next_event(id)
";
    let mut world = world(ECHO, &[("proxy", proxy)], Settings::default()).await;
    add(
        &world,
        "wrap",
        "import os, sys\nos.environ['AWS_LAMBDA_RUNTIME_API'] = '127.0.0.1:9009'\n\
        os.execv(sys.argv[1], sys.argv[1:])\n",
    );
    world.spec.environment.insert("AWS_LAMBDA_EXEC_WRAPPER".to_owned(), "/opt/wrap".to_owned());
    for number in 0..3 {
        let expected = json!({"answer": {"event": number, "by": "proxy"}, "by": "proxy"});
        assert_eq!(world.call(json!(number)).await, expected, "{}", world.log());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapper_that_is_missing_is_the_functions_fault() {
    let mut world = world(ECHO, &[], Settings::default()).await;
    world.spec.environment.insert("AWS_LAMBDA_EXEC_WRAPPER".to_owned(), "/opt/absent".to_owned());
    let got: Value = world.call(json!(1)).await;
    assert_eq!(got["errorType"], "Runtime.InvalidEntrypoint", "{got}");
    assert!(
        got["errorMessage"].as_str().unwrap().ends_with("fork/exec /opt/absent: no such file or directory"),
        "{got}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_inside_gets_the_telemetry_of_every_phase() {
    let subscriber = r"
class Listener(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        events = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        for event in events:
            record = event['record']
            note = record if isinstance(record, str) else record.get('status', record.get('state', ''))
            say('told', event['type'], note)
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(('sandbox.localdomain', 8080), Listener)
threading.Thread(target=server.serve_forever, daemon=True).start()
id = register(['SHUTDOWN'])
status, _, body = call('PUT', '/2022-07-01/telemetry', {'Lambda-Extension-Identifier': id}, {
    'schemaVersion': '2022-12-13', 'types': ['platform', 'function'], 'buffering': {'timeoutMs': 25},
    'destination': {'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain:8080'}})
assert status == 200, body
while next_event(id)['eventType'] != 'SHUTDOWN':
    pass
say('shut down')
sys.exit(0)
";
    let function = "print('loading')\ndef handler(event, context):\n    print('line', event)\n    return event\n";
    let world = world(function, &[("subscriber", subscriber)], Settings::default()).await;
    assert_eq!(world.call(json!(1)).await, json!(1), "{}", world.log());
    assert!(world.engine.shutdown(Duration::from_secs(10)).await);
    let log = world.log();
    let told: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("told ")).collect();
    let expected = [
        "platform.initStart",
        "platform.telemetrySubscription Subscribed",
        "function loading",
        "platform.initRuntimeDone success",
        "platform.extension Ready",
        "platform.initReport success",
        "platform.start",
        "function line 1",
        "platform.runtimeDone success",
        "platform.report success",
    ];
    assert_eq!(told, expected, "{log}");
    assert!(log.contains("TELEMETRY\tName: subscriber\tState: Subscribed\tTypes: [Platform, Function]"), "{log}");
    assert!(log.contains("shut down"), "{log}");
    world.end().await;
}
