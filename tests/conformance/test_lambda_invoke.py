"""Lambda: Invoke in all its kinds, and the context a function sees."""

import base64
import json
import re

import pytest

from harness.functions import create_function, invoke, log_lines, result, unique
from harness.packages import package
from harness.waiting import wait_for

API = "https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/"
ECHO = "def handler(event, context):\n    return event\n"


@pytest.fixture(scope="module")
def echo(lambda_):
    return create_function(lambda_, ECHO, name=unique("echo"))


@pytest.mark.documented(API)
@pytest.mark.parametrize("event", [None, True, 0, -1.5, "text", "ümläut ☃ \U0001f600", [], {}, {"a": [1, {"b": None}]}])
def test_any_json_comes_back(lambda_, echo, event):
    answer = invoke(lambda_, echo, event)
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer and "LogResult" not in answer
    assert answer["Payload"] == event


@pytest.mark.inferred
def test_no_payload_is_an_empty_event(lambda_, echo):
    assert json.load(lambda_.invoke(FunctionName=echo)["Payload"]) == {}


@pytest.mark.documented(API)
def test_the_log_tail_has_start_end_and_report(lambda_):
    name = create_function(lambda_, "def handler(event, context):\n    print('hello from inside')\n")
    answer = invoke(lambda_, name, {}, LogType="Tail")
    request = answer["ResponseMetadata"]["RequestId"]
    lines = answer["Log"].splitlines()
    assert f"START RequestId: {request} Version: $LATEST" in lines
    assert "hello from inside" in lines
    assert f"END RequestId: {request}" in lines
    report = next(line for line in lines if line.startswith("REPORT"))
    shape = (
        rf"REPORT RequestId: {request}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t?"
    )
    assert re.fullmatch(shape, report), report
    assert lines.index("hello from inside") > lines.index(f"START RequestId: {request} Version: $LATEST")


@pytest.mark.documented("https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/")
def test_initialisation_is_billed_once(lambda_):
    name = create_function(lambda_, "import time\ntime.sleep(0.3)\n" + ECHO)
    cold, warm = (invoke(lambda_, name, {}, LogType="Tail")["Log"] for _ in range(2))
    billed = [int(re.search(r"Billed Duration: (\d+) ms", log).group(1)) for log in (cold, warm)]
    assert billed[0] >= 300 and billed[1] < 300
    assert "Init Duration:" in cold and "Init Duration:" not in warm


@pytest.mark.documented(API)
def test_a_dry_run_only_checks(lambda_, echo, refused):
    answer = lambda_.invoke(FunctionName=echo, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    with refused("ResourceNotFoundException", 404):
        lambda_.invoke(FunctionName="no-such-function", InvocationType="DryRun")


@pytest.mark.documented(API)
def test_an_event_is_accepted_and_runs(lambda_, logs):
    name = create_function(lambda_, "def handler(event, context):\n    print('got', event['word'])\n")
    answer = lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"word": "async"}')
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
    log_lines(logs, name, lambda lines: any(line.startswith("got async") for line in lines))


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html")
def test_the_old_asynchronous_operation_works(lambda_, logs):
    name = create_function(lambda_, "def handler(event, context):\n    print('old', event)\n")
    assert lambda_.invoke_async(FunctionName=name, InvokeArgs=b'{"x": 1}')["Status"] == 202
    log_lines(logs, name, lambda lines: any(line.startswith("old {'x': 1}") for line in lines))


@pytest.mark.documented(API)
def test_what_is_no_json_is_refused(lambda_, echo, refused):
    with refused("InvalidRequestContentException", 400) as error:
        lambda_.invoke(FunctionName=echo, Payload=b"{oops")
    assert error["Error"]["Message"].startswith("Could not parse request body into json")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
@pytest.mark.parametrize("kind, limit", [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)])
def test_payload_limits_are_exact(lambda_, echo, refused, kind, limit):
    fitting = b'"' + b"x" * (limit - 2) + b'"'
    assert lambda_.invoke(FunctionName=echo, InvocationType=kind, Payload=fitting)["StatusCode"] in (200, 202)
    # The API page names RequestTooLargeException; what AWS sends is this.
    with refused("RequestEntityTooLargeException", 413) as error:
        lambda_.invoke(FunctionName=echo, InvocationType=kind, Payload=b" " * 200 + fitting)
    assert f"{limit} bytes" in error["Error"]["Message"]


@pytest.mark.inferred
def test_an_unknown_kind_of_invocation_is_refused(gust, echo, refused):
    with refused("ValidationException", 400):
        gust.client("lambda", validate=False).invoke(FunctionName=echo, InvocationType="Perhaps")


@pytest.mark.documented(GUIDE + "python-context.html")
def test_the_context_object_is_complete(lambda_):
    source = (
        "import json\n"
        "def handler(event, context):\n"
        "    return dict(name=context.function_name, version=context.function_version,\n"
        "        arn=context.invoked_function_arn, memory=context.memory_limit_in_mb,\n"
        "        request=context.aws_request_id, group=context.log_group_name, stream=context.log_stream_name,\n"
        "        remaining=context.get_remaining_time_in_millis(), identity=str(context.identity),\n"
        "        custom=context.client_context and context.client_context.custom,\n"
        "        app=context.client_context and context.client_context.client.app_title)\n"
    )
    name = create_function(lambda_, source, Timeout=10)
    client_context = {"custom": {"a": "b"}, "client": {"app_title": "tests"}, "env": {}}
    encoded = base64.b64encode(json.dumps(client_context).encode()).decode()
    answer = invoke(lambda_, name, {}, ClientContext=encoded)
    seen = answer["Payload"]
    assert seen["name"] == name and seen["version"] == "$LATEST" and seen["memory"] == "128"
    assert seen["arn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert seen["request"] == answer["ResponseMetadata"]["RequestId"]
    assert seen["group"] == f"/aws/lambda/{name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["stream"])
    assert 0 < seen["remaining"] <= 10_000
    assert seen["custom"] == {"a": "b"} and seen["app"] == "tests"


@pytest.mark.documented(GUIDE + "configuration-envvars.html")
def test_the_documented_environment_is_set(lambda_):
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    name = create_function(lambda_, source, Environment={"Variables": {"MINE": "yes"}})
    seen = result(lambda_, name)
    expected = {
        "_HANDLER": "app.handler",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "TZ": ":UTC",
        "MINE": "yes",
    }
    assert {key: seen.get(key) for key in expected} == expected
    assert seen["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    for present in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_LOG_STREAM_NAME", "PATH", "LANG"):
        assert seen.get(present), present
    assert seen["AWS_ENDPOINT_URL"].startswith("http://")


@pytest.mark.documented(GUIDE + "python-handler.html")
def test_handlers_may_lie_in_nested_modules(lambda_):
    files = {"pkg/__init__.py": "", "pkg/inner/__init__.py": "", "pkg/inner/code.py": "def run(event, context):\n    return 'nested'\n"}
    for handler in ("pkg.inner.code.run", "pkg/inner/code.run"):
        name = create_function(lambda_, ZipFile=package(files), Handler=handler)
        assert result(lambda_, name) == "nested"


@pytest.mark.inferred
def test_each_log_message_of_a_function_ends_its_line(lambda_, logs):
    name = create_function(lambda_, "def handler(event, context):\n    print('one')\n")
    result(lambda_, name, {})

    def read():
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return events if any(event["message"].startswith("REPORT") for event in events) else None

    messages = [event["message"] for event in wait_for(read, "the REPORT line")]
    assert "one\n" in messages and all(message.endswith("\n") for message in messages)


@pytest.mark.documented(GUIDE + "monitoring-cloudwatchlogs-logformat.html")
def test_json_logging_filters_by_level(lambda_, logs):
    source = (
        "import logging\n"
        "def handler(event, context):\n"
        "    logging.getLogger().info('quiet')\n"
        "    logging.getLogger().error('loud')\n"
    )
    logging_config = {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO"}
    name = create_function(lambda_, source, LoggingConfig=logging_config)
    invoke(lambda_, name, {})
    lines = log_lines(logs, name, lambda lines: any("platform.report" in line for line in lines))
    parsed = [json.loads(line) for line in lines]
    mine = [line for line in parsed if "message" in line and line.get("logger") == "root"]
    assert [line["message"] for line in mine] == ["loud"]
    assert mine[0]["level"] == "ERROR" and mine[0]["requestId"] and mine[0]["timestamp"].endswith("Z")
    assert {"platform.start", "platform.report"} <= {line.get("type") for line in parsed}


@pytest.mark.documented(GUIDE + "lambda-runtime-environment.html")
def test_environments_are_reused(lambda_):
    source = "count = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count\n"
    name = create_function(lambda_, source)
    assert [result(lambda_, name) for _ in range(3)] == [1, 2, 3]


@pytest.mark.documented(GUIDE + "python-package.html")
def test_boto3_inside_a_function_reaches_this_gust(lambda_):
    source = (
        "import boto3\n"
        "def handler(event, context):\n"
        "    who = boto3.client('sts').get_caller_identity()\n"
        "    pages = boto3.client('lambda').get_paginator('list_functions').paginate()\n"
        "    names = [f['FunctionName'] for page in pages for f in page['Functions']]\n"
        "    return who['Arn'], who['Account'], context.function_name in names\n"
    )
    name = create_function(lambda_, source, Timeout=30, MemorySize=512)
    arn, account, listed = result(lambda_, name)
    assert arn == f"arn:aws:sts::000000000000:assumed-role/test/{name}"
    assert account == "000000000000" and listed
