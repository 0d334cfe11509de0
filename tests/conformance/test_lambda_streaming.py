"""Lambda: responses that are passed on while the function writes them (InvokeWithResponseStream)."""

import base64
import json
import os
import time

import pytest

from harness.functions import create_function, invoke, log_lines, unique
from harness.packages import package
from harness.streaming import create_streaming_function

API = "https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/"

pytestmark = pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="the streaming runtime needs /usr/bin/python3")

SOURCE = """
import time

CONTENT_TYPE = "text/plain"


def handler(event, write):
    for part in event.get("parts", []):
        write(part.encode())
    if "pause_s" in event:
        time.sleep(event["pause_s"])
        write(b"after the pause")
    for _ in range(event.get("mebibytes", 0)):
        write(b"x" * (1 << 20))
    write(b"y" * event["more"]) if event.get("more") else None
    if "exit" in event:
        import os

        os._exit(event["exit"])
    if "eat" in event:
        eaten = bytearray(event["eat"] << 20)
        for at in range(0, len(eaten), 4096):
            eaten[at] = 1
    if "fail" in event:
        raise ValueError(event["fail"])
"""


@pytest.fixture(scope="module")
def streaming(lambda_):
    return create_streaming_function(lambda_, SOURCE, name=unique("streaming"))


def events(client, name, event, **options):
    return client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event).encode(), **options)


def read(answer):
    """All payload, and the InvokeComplete event."""
    parts, complete = [], None
    for event in answer["EventStream"]:
        assert complete is None, "InvokeComplete is the last event"
        if "PayloadChunk" in event:
            parts.append(event["PayloadChunk"]["Payload"])
        else:
            complete = event["InvokeComplete"]
    assert complete is not None, "a stream without InvokeComplete is not complete"
    return b"".join(parts), complete


@pytest.mark.documented(API)
def test_a_response_comes_in_parts_and_an_end(lambda_, streaming):
    answer = events(lambda_, streaming, {"parts": ["one", "two"]})
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert read(answer) == (b"onetwo", {})


@pytest.mark.documented(GUIDE + "configuration-response-streaming.html")
def test_parts_arrive_before_the_function_ends(lambda_, streaming):
    read(events(lambda_, streaming, {}))
    began = time.monotonic()
    stream = iter(events(lambda_, streaming, {"parts": ["early"], "pause_s": 2})["EventStream"])
    assert next(stream)["PayloadChunk"]["Payload"] == b"early"
    assert time.monotonic() - began < 1.9, "it came while the function slept"
    assert next(stream)["PayloadChunk"]["Payload"] == b"after the pause"
    assert "InvokeComplete" in next(stream)
    assert time.monotonic() - began >= 2


@pytest.mark.documented(API)
def test_the_log_tail_comes_with_the_last_event(lambda_, streaming):
    _, complete = read(events(lambda_, streaming, {"parts": ["x"]}, LogType="Tail"))
    log = base64.b64decode(complete["LogResult"]).decode()
    assert log.startswith("START RequestId") and "REPORT RequestId" in log, log


@pytest.mark.inferred
def test_an_error_in_mid_stream_is_in_the_last_event(lambda_, streaming):
    payload, complete = read(events(lambda_, streaming, {"parts": ["half"], "fail": "broke"}))
    assert payload == b"half"
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"]) == {"errorMessage": "broke", "errorType": "ValueError"}
    payload, complete = read(events(lambda_, streaming, {"parts": ["works again"]}))
    assert (payload, complete) == (b"works again", {}), "the environment lives on"


@pytest.mark.inferred
def test_an_exit_in_mid_stream_is_in_the_last_event(lambda_, logs):
    name = create_streaming_function(lambda_, SOURCE)
    payload, complete = read(events(lambda_, name, {"parts": ["half"], "exit": 3}))
    assert payload == b"half" and complete["ErrorCode"] == "Unhandled"
    details = json.loads(complete["ErrorDetails"])
    assert details["errorType"] == "Runtime.ExitError"
    assert details["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    log_lines(logs, name, lambda lines: any("Status: error\tError Type: Runtime.ExitError" in line for line in lines))


@pytest.mark.inferred
def test_a_time_out_in_mid_stream_is_in_the_last_event(lambda_, logs):
    name = create_streaming_function(lambda_, SOURCE, Timeout=1)
    payload, complete = read(events(lambda_, name, {"parts": ["half"], "pause_s": 5}))
    assert payload == b"half" and complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorType"] == "Sandbox.Timedout"
    log_lines(logs, name, lambda lines: any("Task timed out after 1.00 seconds" in line for line in lines))


@pytest.mark.inferred
def test_too_little_memory_in_mid_stream_is_in_the_last_event(lambda_):
    name = create_streaming_function(lambda_, SOURCE, MemorySize=128)
    payload, complete = read(events(lambda_, name, {"parts": ["half"], "eat": 400}))
    assert payload == b"half" and complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorType"] in ("Runtime.OutOfMemory", "MemoryError", "Runtime.ExitError")


@pytest.mark.documented(GUIDE + "gettingstarted-limits.html")
def test_more_than_6_mb_is_streamed(lambda_, streaming):
    payload, complete = read(events(lambda_, streaming, {"mebibytes": 20}))
    assert (len(payload), complete) == (20 << 20, {})


@pytest.mark.documented(GUIDE + "gettingstarted-limits.html")
def test_a_stream_holds_200_mb_and_not_a_byte_more(lambda_):
    name = create_streaming_function(lambda_, SOURCE, Timeout=120, MemorySize=1769)
    for more, error in [(0, None), (1, "Function.ResponseSizeTooLarge")]:
        payload, complete = read(events(lambda_, name, {"mebibytes": 200, "more": more}))
        assert len(payload) == 200 << 20
        assert (json.loads(complete["ErrorDetails"])["errorType"] if error else complete.get("ErrorDetails")) == error


@pytest.mark.documented(GUIDE + "configuration-response-streaming.html")
def test_a_plain_invoke_gets_the_whole_up_to_6_mb(lambda_, streaming):
    answer = lambda_.invoke(FunctionName=streaming, Payload=b'{"parts": ["[1,", "2]"]}')
    assert "FunctionError" not in answer and answer["Payload"].read() == b"[1,2]"
    limit = 6_291_556
    fits = {"mebibytes": 6, "more": limit - (6 << 20)}
    assert len(lambda_.invoke(FunctionName=streaming, Payload=json.dumps(fits).encode())["Payload"].read()) == limit
    beyond = {"mebibytes": 6, "more": limit - (6 << 20) + 1}
    answer = invoke(lambda_, streaming, beyond)
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.documented(API)
def test_a_function_that_answers_as_a_whole_gives_its_result(lambda_):
    name = create_function(lambda_, "def handler(event, context):\n    return event['a']\n")
    assert read(events(lambda_, name, {"a": [1, "ü"]})) == (b'[1, "\\u00fc"]', {})
    payload, complete = read(events(lambda_, name, {}))
    assert payload == b"" and complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorType"] == "KeyError"


@pytest.mark.documented(API)
def test_a_dry_run_answers_204(lambda_, streaming, refused):
    answer = lambda_.invoke_with_response_stream(FunctionName=streaming, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    with refused("ResourceNotFoundException", 404):
        lambda_.invoke_with_response_stream(FunctionName=unique("missing"), InvocationType="DryRun")


@pytest.mark.documented(API)
def test_what_cannot_run_is_refused_before_the_first_event(lambda_, streaming, refused):
    with refused("ResourceNotFoundException", 404):
        events(lambda_, unique("missing"), {})
    with refused("ResourceNotFoundException", 404):
        events(lambda_, streaming, {}, Qualifier="17")
    with refused("InvalidRequestContentException", 400):
        lambda_.invoke_with_response_stream(FunctionName=streaming, Payload=b"{")
    with refused("RequestEntityTooLargeException", 413):
        lambda_.invoke_with_response_stream(FunctionName=streaming, Payload=b'"%s"' % (b"x" * (6 << 20)))


@pytest.mark.inferred
def test_a_caller_who_leaves_lets_the_function_end(gust, lambda_, logs):
    name = create_streaming_function(lambda_, SOURCE + "    print('got to the end')\n")
    client = gust.client("lambda")
    answer = events(client, name, {"parts": ["early"], "pause_s": 1, "mebibytes": 30})
    next(iter(answer["EventStream"]))
    answer["EventStream"].close()
    client.close()
    log_lines(logs, name, lambda lines: "got to the end" in lines and any("answered 202" in line for line in lines))
    assert read(events(lambda_, name, {"parts": ["next"]})) == (b"next", {})


NODE = """
const { setTimeout: sleep } = require('timers/promises');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType('text/plain');
  for (const part of event.parts) {
    stream.write(part);
    await sleep(50);
  }
  if (event.fail) throw new RangeError(event.fail);
  stream.end();
});
exports.whole = async (event) => event;
"""


@pytest.fixture(scope="module")
def node(gust, lambda_):
    report = json.loads(gust.command("doctor", "--json").stdout)
    if all(row["fit"] == "missing" for row in report["runtimes"] if row["runtime"] == "nodejs20.x"):
        pytest.skip("this machine has no Node.js")
    return create_function(
        lambda_, ZipFile=package({"index.js": NODE}), Runtime="nodejs20.x", Handler="index.handler", Timeout=20, MemorySize=512
    )


@pytest.mark.documented(GUIDE + "configuration-response-streaming.html")
def test_a_node_function_streams(lambda_, node):
    assert read(events(lambda_, node, {"parts": ["one", "two", "three"]})) == (b"onetwothree", {})
    assert lambda_.invoke(FunctionName=node, Payload=b'{"parts": ["[1", "]"]}')["Payload"].read() == b"[1]"


@pytest.mark.inferred
def test_a_node_function_fails_in_mid_stream(lambda_, node):
    payload, complete = read(events(lambda_, node, {"parts": ["half"], "fail": "broke"}))
    assert payload == b"half" and complete["ErrorCode"] == "Unhandled"
    details = json.loads(complete["ErrorDetails"])
    assert (details["errorType"], details["errorMessage"]) == ("RangeError", "broke")
