"""Extensions out of layers, seen from outside: AWS's clients create everything, the log tells what happened.

Documented: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html and
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html unless a test says otherwise.
"""

import pathlib
import subprocess

import pytest

from harness.functions import create_function, invoke, log_lines, result, unique
from harness.packages import package

PYTHON = "/usr/bin/python3"

# Only the standard library: a custom runtime's sandbox has no other.
LIBRARY = f"""#!{PYTHON}
import http.client, http.server, json, os, sys, threading, time
API = os.environ["AWS_LAMBDA_RUNTIME_API"]
def call(method, path, headers={{}}, body=None):
    connection = http.client.HTTPConnection(API)
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    reply = connection.getresponse()
    data = reply.read()
    return reply.status, reply.headers, json.loads(data) if data else None
def register(events):
    headers = {{"Lambda-Extension-Name": os.path.basename(sys.argv[0]), "Lambda-Extension-Accept-Feature": "accountId"}}
    status, headers, body = call("POST", "/2020-01-01/extension/register", headers, {{"events": events}})
    assert status == 200, body
    print("registered", json.dumps(body, sort_keys=True), flush=True)
    return headers["Lambda-Extension-Identifier"]
def next_event(id):
    return call("GET", "/2020-01-01/extension/event/next", {{"Lambda-Extension-Identifier": id}})[2]
"""

FOLLOWER = """
id = register(["INVOKE", "SHUTDOWN"])
while True:
    event = next_event(id)
    print("event", event["eventType"], event.get("requestId"), event.get("shutdownReason"), flush=True)
    if event["eventType"] == "SHUTDOWN":
        sys.exit(0)
"""

HANDLER = "def handler(event, context):\n    print('handling', event)\n    return event\n"

needs_python = pytest.mark.skipif(not pathlib.Path(PYTHON).exists(), reason="extensions here are written in Python")


def layer(client, files):
    """Publishes a layer; returns its ARN."""
    content = {name: (LIBRARY + code, 0o755) for name, code in files.items()}
    return client.publish_layer_version(LayerName=unique("layer"), Content={"ZipFile": package(content)})["LayerVersionArn"]


@needs_python
def test_an_extension_of_a_layer_follows_a_functions_life(lambda_, logs):
    arn = layer(lambda_, {"extensions/follower": FOLLOWER})
    name = create_function(lambda_, HANDLER, Layers=[arn], MemorySize=512, Timeout=20)
    answers = [invoke(lambda_, name, number) for number in range(2)]
    assert [answer["Payload"] for answer in answers] == [0, 1]
    # A change of the function retires its environment, which says goodbye.
    lambda_.update_function_configuration(FunctionName=name, Description="changed")
    lines = log_lines(logs, name, lambda lines: any("event SHUTDOWN None spindown" in line for line in lines))
    ids = [answer["ResponseMetadata"]["RequestId"] for answer in answers]
    assert [f"event INVOKE {id} None" for id in ids] == [line for line in lines if line.startswith("event INVOKE")]
    assert "EXTENSION\tName: follower\tState: Ready\tEvents: [INVOKE, SHUTDOWN]" in lines
    registered = next(line for line in lines if line.startswith("registered"))
    assert f'"accountId": "000000000000", "functionName": "{name}", "functionVersion": "$LATEST"' in registered
    starts = [line for line in lines if line.startswith("INIT_START")]
    assert len(starts) == 1, "one environment served both"


@needs_python
def test_an_extension_that_crashes_is_the_functions_error(lambda_):
    arn = layer(lambda_, {"extensions/crash": "register([])\nos._exit(9)\n"})
    name = create_function(lambda_, HANDLER, Layers=[arn], MemorySize=512, Timeout=20)
    answer = invoke(lambda_, name, 1, LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    id = answer["ResponseMetadata"]["RequestId"]
    # inferred: the words of AWS's open runtime interface emulator.
    assert answer["Payload"] == {"errorType": "Extension.Crash", "errorMessage": f"RequestId: {id} Error: exit status 9"}
    assert "Status: error\tError Type: Extension.Crash" in answer["Log"]


@needs_python
def test_a_file_that_cannot_be_executed_is_named(lambda_, logs):
    files = {"extensions/plain": ("#!/bin/sh\n", 0o644)}
    published = lambda_.publish_layer_version(LayerName=unique("layer"), Content={"ZipFile": package(files)})
    name = create_function(lambda_, HANDLER, Layers=[published["LayerVersionArn"]], Timeout=20)
    answer = invoke(lambda_, name, 1)
    assert answer["Payload"]["errorType"] == "Extension.LaunchError", answer
    line = "EXTENSION\tName: plain\tState: LaunchError\tEvents: []\tError Type: PermissionDenied"
    log_lines(logs, name, lambda lines: line in lines)


@needs_python
def test_a_custom_runtime_has_extensions_too(lambda_, logs):
    runtime = f"""#!{PYTHON}
import http.client, os
while True:
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    event = connection.getresponse()
    body, id = event.read(), event.headers["Lambda-Runtime-Aws-Request-Id"]
    headers = {{"Lambda-Runtime-Invocation-Id": event.headers["Lambda-Runtime-Invocation-Id"]}}
    for sent, expected in (({{"Lambda-Runtime-Invocation-Id": "another"}}, 410), (headers, 202)):
        answer = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        answer.request("POST", f"/2018-06-01/runtime/invocation/{{id}}/response", body, sent)
        assert answer.getresponse().status == expected
"""
    arn = layer(lambda_, {"extensions/follower": FOLLOWER})
    code = package({"bootstrap": (runtime, 0o755)})
    name = create_function(lambda_, ZipFile=code, Runtime="provided.al2023", Layers=[arn], MemorySize=512, Timeout=20)
    assert result(lambda_, name, {"a": 1}) == {"a": 1}
    log_lines(logs, name, lambda lines: any(line.startswith("event INVOKE") for line in lines))


@needs_python
def test_a_wrapper_changes_how_the_runtime_starts(lambda_, refused_entrypoint):
    wrapper = "#!/bin/sh\nexport FROM_WRAPPER=yes\nexec \"$@\"\n"
    published = lambda_.publish_layer_version(
        LayerName=unique("layer"), Content={"ZipFile": package({"wrap": (wrapper, 0o755)})}
    )
    source = "import os\ndef handler(event, context):\n    return os.environ.get('FROM_WRAPPER')\n"
    options = dict(Layers=[published["LayerVersionArn"]], MemorySize=512, Timeout=20)
    name = create_function(lambda_, source, Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}}, **options)
    assert result(lambda_, name) == "yes"
    absent = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/absent"}}
    refused_entrypoint(create_function(lambda_, source, Environment=absent, **options), "/opt/absent: no such file")


@pytest.fixture
def refused_entrypoint(lambda_):
    def check(name, text):
        answer = invoke(lambda_, name)
        assert answer["Payload"]["errorType"] == "Runtime.InvalidEntrypoint", answer
        assert text in answer["Payload"]["errorMessage"], answer

    return check


def test_a_binary_for_another_machine_is_the_functions_fault(lambda_, refused_entrypoint):
    code = package({"bootstrap": (b"\x7fELF but not really", 0o755)})
    name = create_function(lambda_, ZipFile=code, Runtime="provided.al2023", Timeout=20)
    refused_entrypoint(name, "fork/exec /var/task/bootstrap: exec format error")


@needs_python
def test_shutting_gust_down_tells_the_extensions(start, tmp_path):
    gust = start(data=tmp_path / "data")
    client = gust.client("lambda")
    arn = layer(client, {"extensions/follower": FOLLOWER})
    name = create_function(client, HANDLER, Layers=[arn], MemorySize=512, Timeout=20)
    assert result(client, name, 1) == 1
    gust.stop()
    logs = start(data=tmp_path / "data").client("logs")
    log_lines(logs, name, lambda lines: any("event SHUTDOWN None spindown" in line for line in lines))


@needs_python
def test_on_the_hosts_network_only_the_function_reaches_its_runtime_api(start):
    gust = start("--egress", "host")
    client = gust.client("lambda")
    source = "import os\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_RUNTIME_API']\n"
    arn = layer(client, {"extensions/follower": FOLLOWER})
    name = create_function(client, source, Layers=[arn], MemorySize=512, Timeout=20)
    address = result(client, name)
    assert result(client, name) == address
    for path in ("2018-06-01/runtime/invocation/next", "2020-01-01/extension/event/next"):
        outside = subprocess.run(["curl", "-sS", "-m", "10", f"http://{address}/{path}"], capture_output=True, text=True)
        assert outside.returncode != 0 and outside.stdout == "", outside
    assert result(client, name) == address, "the stranger did no harm"
