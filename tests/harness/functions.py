"""Creating functions and reading what they did."""

import base64
import io
import itertools
import json
import os

from .packages import python_package
from .waiting import wait_for

ROLE = "arn:aws:iam::000000000000:role/test"
RUNTIME = "python3.11"
_numbers = itertools.count(1)


def unique(prefix):
    """A name that no other test uses."""
    return f"{prefix}-{os.getpid()}-{next(_numbers)}"


def create_function(client, source=None, name=None, wait=True, **options):
    """Creates a function out of Python source (or `ZipFile=`); returns its name."""
    name = name or unique("function")
    code = options.pop("ZipFile", None) or python_package(source)
    arguments = dict(FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code={"ZipFile": code})
    arguments.update(options)
    client.create_function(**{key: value for key, value in arguments.items() if value is not None})
    if wait:
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return name


def invoke(client, name, event=None, **options):
    """Invokes; returns the answer with `Payload` parsed and `Log` decoded."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode(), **options)
    body = answer["Payload"].read() if isinstance(answer["Payload"], io.IOBase) or hasattr(answer["Payload"], "read") else b""
    answer["Payload"] = json.loads(body) if body else None
    if "LogResult" in answer:
        answer["Log"] = base64.b64decode(answer["LogResult"]).decode()
    return answer


def result(client, name, event=None, **options):
    """Invokes; returns the result and fails if the function did."""
    answer = invoke(client, name, event, **options)
    assert "FunctionError" not in answer, answer
    return answer["Payload"]


def log_lines(logs, name, until, timeout_s=15):
    """All messages of a function's log group once `until(messages)` holds."""

    def read():
        try:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
            messages = [event["message"].removesuffix("\n") for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return messages if until(messages) else None

    return wait_for(read, f"the log of {name}", timeout_s, 0.1)
