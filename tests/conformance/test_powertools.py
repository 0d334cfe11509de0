"""Powertools for AWS Lambda (Python), the real package, inside a function.

Documented: https://docs.powertools.aws.dev/lambda/python/latest/
"""

import json
import subprocess
import sys

import pytest

from harness.functions import create_function, invoke, log_lines
from harness.packages import folder_package

# boto3, which gust provides, has the rest of what they need.
PACKAGES = ["aws-lambda-powertools==3.37.0", "aws-xray-sdk==2.15.0", "jmespath", "typing_extensions", "wrapt"]

SOURCE = """
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

logger, tracer, metrics = Logger(), Tracer(), Metrics(namespace="shop")

@tracer.capture_method
def price(count):
    tracer.put_annotation("count", count)
    return count * 2

@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
@logger.inject_lambda_context(log_event=True)
def handler(event, context):
    metrics.add_metric(name="orders", unit=MetricUnit.Count, value=event["count"])
    logger.info("taken", extra={"count": event["count"]})
    return {"price": price(event["count"]), "trace": tracer.provider.current_segment().trace_id}
"""


@pytest.fixture(scope="module")
def function(lambda_, tmp_path_factory):
    folder = tmp_path_factory.mktemp("powertools")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run([*pip, "--no-deps", "--target", folder, *PACKAGES], check=True, timeout=300)
    (folder / "app.py").write_text(SOURCE)
    code = folder_package(folder)
    variables = {"POWERTOOLS_SERVICE_NAME": "orders", "POWERTOOLS_LOG_LEVEL": "INFO"}
    options = dict(MemorySize=1024, Timeout=30, Environment={"Variables": variables})
    return create_function(lambda_, ZipFile=code, TracingConfig={"Mode": "Active"}, **options)


@pytest.mark.inferred
def test_logger_metrics_and_tracer_work_without_a_daemon(lambda_, logs, function):
    """inferred: the tracer sends to a daemon that is not there, and nobody notices."""
    first, second = (invoke(lambda_, function, {"count": count}) for count in (3, 4))
    assert "FunctionError" not in first, first
    assert (first["Payload"]["price"], second["Payload"]["price"]) == (6, 8)
    # The trace is the invocation's own, and another one each time.
    assert first["Payload"]["trace"].startswith("1-") and first["Payload"]["trace"] != second["Payload"]["trace"]
    lines = log_lines(logs, function, lambda lines: sum('"taken"' in line for line in lines) == 2)
    documents = [json.loads(line) for line in lines if line.startswith("{")]
    taken = [document for document in documents if document.get("message") == "taken"]
    assert [document["count"] for document in taken] == [3, 4]
    assert [document["cold_start"] for document in taken] == [True, False]
    assert taken[0]["service"] == "orders" and taken[0]["function_name"] == function
    assert taken[0]["function_request_id"] == first["ResponseMetadata"]["RequestId"]
    assert first["Payload"]["trace"] == taken[0]["xray_trace_id"]
    emf = [document for document in documents if "_aws" in document]
    assert any(document.get("orders") == [3.0] for document in emf)
    assert any(document.get("ColdStart") == [1.0] for document in emf)
    assert not any("Traceback" in line or "ERROR" in line for line in lines), lines
