"""AWS's own runtime interface clients as custom runtimes, unchanged.

Documented: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html,
https://github.com/aws/aws-lambda-python-runtime-interface-client
"""

import pathlib
import subprocess
import sys

import pytest

from harness.functions import create_function, invoke
from harness.packages import folder_package

PYTHON = pathlib.Path("/usr/bin/python3")

SOURCE = """
import os
def handler(event, context):
    if event == "fail":
        raise ValueError("on purpose")
    if event == "big":
        return "x" * 7_000_000
    return {"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn,
        "left": context.get_remaining_time_in_millis(), "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "client": context.client_context and context.client_context.custom}
"""


@pytest.fixture(scope="module")
def awslambdaric(lambda_, tmp_path_factory):
    """A function whose bootstrap is awslambdaric on the machine's own Python."""
    if not PYTHON.exists():
        pytest.skip("a custom runtime sees only what is in /usr")
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    folder = tmp_path_factory.mktemp("awslambdaric")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
    arguments = ["--only-binary=:all:", "--python-version", version, "--target", folder, "awslambdaric==4.2.2"]
    subprocess.run([*pip, *arguments], check=True, timeout=300)
    (folder / "app.py").write_text(SOURCE)
    (folder / "bootstrap").write_text(f"#!/bin/sh\nexec {PYTHON} -m awslambdaric \"$_HANDLER\"\n")
    code = folder_package(folder, executables=["bootstrap"])
    return create_function(lambda_, ZipFile=code, Runtime="provided.al2023", MemorySize=1024, Timeout=30)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html")
def test_awslambdaric_serves_a_function(lambda_, awslambdaric):
    import base64

    context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    for number in range(3):
        answer = invoke(lambda_, awslambdaric, number, ClientContext=context)
        assert "FunctionError" not in answer, answer
        got = answer["Payload"]
        assert got["event"] == number and got["id"] == answer["ResponseMetadata"]["RequestId"]
        assert got["arn"].endswith(f":function:{awslambdaric}") and 0 < got["left"] <= 30_000
        assert got["trace"].startswith("Root=1-") and got["client"] == {"a": "b"}


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html")
def test_awslambdaric_reports_errors_and_lives_on(lambda_, awslambdaric):
    failed = invoke(lambda_, awslambdaric, "fail")
    assert failed["FunctionError"] == "Unhandled"
    assert (failed["Payload"]["errorType"], failed["Payload"]["errorMessage"]) == ("ValueError", "on purpose")
    large = invoke(lambda_, awslambdaric, "big")
    assert large["Payload"]["errorType"] == "Function.ResponseSizeTooLarge", large["Payload"]
    assert invoke(lambda_, awslambdaric, 1)["Payload"]["event"] == 1


@pytest.mark.inferred
def test_a_trace_header_of_the_caller_reaches_the_process(gust, lambda_, awslambdaric):
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    client = gust.client("lambda")
    add = lambda request, **_: request.headers.__setitem__("X-Amzn-Trace-Id", header)
    client.meta.events.register("before-sign.lambda.Invoke", add)
    assert invoke(client, awslambdaric, 1)["Payload"]["trace"].startswith("Root=1-5759e988-bd862e3fe1be46a994272793;")
