"""The Telemetry API and the Logs API, used by an extension out of a layer that prints what it is told.

Documented: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html and
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html
"""

import json
import pathlib

import pytest

from harness.functions import create_function, log_lines, result
from test_extensions import HANDLER, PYTHON, layer

pytestmark = pytest.mark.skipif(not pathlib.Path(PYTHON).exists(), reason="the extension is written in Python")

# Subscribes before it registers as ready; each event is a line of its own output, to which it does not subscribe.
SUBSCRIBER = """
class Listener(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            print("told", json.dumps(event), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("sandbox.localdomain", 8080), Listener)
threading.Thread(target=server.serve_forever, daemon=True).start()
id = register(["SHUTDOWN"])
headers = {"Lambda-Extension-Identifier": id}
refused = call("PUT", "PATH", headers, {"schemaVersion": "VERSION", "types": [],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}})
print("refused", refused[0], json.dumps(refused[2], sort_keys=True), flush=True)
accepted = call("PUT", "PATH", headers, {"schemaVersion": "VERSION", "types": ["platform", "function"],
    "buffering": {"timeoutMs": 25}, "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"}})
print("accepted", accepted[0], accepted[2], flush=True)
next_event(id)
print("end", flush=True)
"""


def told(lambda_, logs, path, version, **options):
    """Runs a function twice, ends its environment, and returns what the subscriber was told, and the whole log."""
    code = SUBSCRIBER.replace("PATH", path).replace("VERSION", version)
    arn = layer(lambda_, {"extensions/subscriber": code})
    name = create_function(lambda_, HANDLER, Layers=[arn], MemorySize=1024, Timeout=20, **options)
    for number in range(2):
        assert result(lambda_, name, number) == number
    lambda_.update_function_configuration(FunctionName=name, Description="changed")
    lines = log_lines(logs, name, lambda lines: any(line == "end" for line in lines))
    events = [json.loads(line.removeprefix("told ")) for line in lines if line.startswith("told ")]
    return events, lines


def test_the_telemetry_api_tells_every_phase(lambda_, logs):
    events, lines = told(lambda_, logs, "/2022-07-01/telemetry", "2022-12-13")
    expected = '{"errorMessage": "URI port is not provided; types should not be empty", "errorType": "ValidationError"}'
    assert f"refused 400 {expected}" in lines
    assert "accepted 200 OK" in lines
    assert "TELEMETRY\tName: subscriber\tState: Subscribed\tTypes: [Platform, Function]" in lines
    kinds = [event["type"] for event in events]
    invocation = ["platform.start", "function", "platform.runtimeDone", "platform.report"]
    first = ["platform.initStart", "platform.telemetrySubscription"]
    ready = ["platform.initRuntimeDone", "platform.extension", "platform.initReport"]
    assert kinds == first + ready + invocation + invocation
    records = {event["type"]: event["record"] for event in events}
    assert records["platform.initStart"]["initializationType"] == "on-demand"
    assert records["platform.initStart"]["phase"] == "init"
    assert records["platform.extension"] == {"name": "subscriber", "state": "Ready", "events": ["SHUTDOWN"]}
    assert records["platform.runtimeDone"]["status"] == "success"
    metrics = records["platform.report"]["metrics"]
    assert metrics["memorySizeMB"] == 1024 and metrics["durationMs"] > 0 and "initDurationMs" not in metrics
    assert records["function"] == "handling 1"
    ids = {event["record"]["requestId"] for event in events if event["type"] == "platform.start"}
    assert len(ids) == 2
    assert all(event["time"].endswith("Z") and len(event["time"]) == 24 for event in events)


def test_lines_in_json_format_are_documents(lambda_, logs):
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
    code = SUBSCRIBER.replace("PATH", "/2022-07-01/telemetry").replace("VERSION", "2025-01-29")
    arn = layer(lambda_, {"extensions/subscriber": code})
    source = "import logging\ndef handler(event, context):\n    logging.getLogger().warning('careful')\n    return 1\n"
    name = create_function(lambda_, source, Layers=[arn], MemorySize=1024, Timeout=20, LoggingConfig=logging)
    assert result(lambda_, name) == 1
    lambda_.update_function_configuration(FunctionName=name, Description="changed")
    lines = log_lines(logs, name, lambda lines: any(line == "end" for line in lines))
    events = [json.loads(line.removeprefix("told ")) for line in lines if line.startswith("told ")]
    written = [event["record"] for event in events if event["type"] == "function"]
    assert [(record["level"], record["message"]) for record in written] == [("WARNING", "careful")]


def test_the_older_logs_api_has_its_own_events(lambda_, logs):
    events, lines = told(lambda_, logs, "/2020-08-15/logs", "2021-03-18")
    assert "LOGS\tName: subscriber\tState: Subscribed\tTypes: [Platform, Function]" in lines
    kinds = [event["type"] for event in events]
    invocation = ["platform.start", "function", "platform.runtimeDone", "platform.end", "platform.report"]
    assert kinds == ["platform.logsSubscription", "platform.extension"] + invocation + invocation
