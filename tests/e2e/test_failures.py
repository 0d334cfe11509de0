"""Functions that fail in every way we know: AWS's payloads, and gust unharmed after each."""

import json
import re

import pytest

from harness.functions import create_function, invoke, log_lines, result, unique

ECHO = "def handler(event, context):\n    return event\n"
SIX_MB = 6 * 1024 * 1024


@pytest.fixture(autouse=True)
def unharmed(gust, lambda_, healthy):
    """After each test another function still runs and gust still answers."""
    yield
    assert result(lambda_, healthy, {"still": "there"}) == {"still": "there"}
    assert gust.health()["status"] == "ok"


@pytest.fixture(scope="module")
def healthy(lambda_):
    return create_function(lambda_, ECHO)


def fail(client, source, event=None, **options):
    """Invokes `source` with the log's tail; returns payload, log and request id of its failure."""
    handler = options.pop("Handler", "app.handler")
    name = create_function(client, source, Handler=handler, **options)
    answer = invoke(client, name, event or {}, LogType="Tail")
    assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled", answer
    return answer["Payload"], answer["Log"], answer["ResponseMetadata"]["RequestId"]


def exit_error(request, cause):
    return {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request} Error: {cause}"}


def test_a_handler_that_raises(lambda_):
    payload, log, request = fail(lambda_, "def handler(event, context):\n    raise ValueError('no good')\n")
    assert payload["errorMessage"] == "no good" and payload["errorType"] == "ValueError"
    assert payload["requestId"] == request
    assert payload["stackTrace"] == ['  File "/var/task/app.py", line 2, in handler\n    raise ValueError(\'no good\')\n']
    assert "[ERROR] ValueError: no good" in log and "Traceback (most recent call last):" in log


def test_a_module_that_is_not_there(lambda_, logs):
    name = unique("no-module")
    payload, _, _ = fail(lambda_, "import does_not_exist\n" + ECHO, name=name)
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"] == "Unable to import module 'app': No module named 'does_not_exist'"
    assert payload["stackTrace"] == []
    log_lines(logs, name, lambda lines: any("[ERROR] Runtime.ImportModuleError" in line for line in lines))


def test_a_handler_that_is_not_there(lambda_):
    payload, _, _ = fail(lambda_, ECHO, Handler="app.nope")
    assert payload["errorType"] == "Runtime.HandlerNotFound"
    assert payload["errorMessage"] == "Handler 'nope' missing on module 'app'"


def test_a_malformed_handler(lambda_):
    payload, _, _ = fail(lambda_, ECHO, Handler="app")
    assert payload["errorType"] == "Runtime.MalformedHandlerName"


def test_a_syntax_error(lambda_):
    payload, _, _ = fail(lambda_, "def handler(event, context)\n    return 1\n")
    assert payload["errorType"] == "Runtime.UserCodeSyntaxError"
    assert payload["errorMessage"].startswith("Syntax error in module 'app'")


def test_an_exception_while_initialising(lambda_):
    payload, _, _ = fail(lambda_, "raise RuntimeError('early')\n" + ECHO)
    assert payload["errorType"] == "RuntimeError" and payload["errorMessage"] == "early"


def test_an_exit_while_initialising(lambda_):
    payload, _, request = fail(lambda_, "import os\nos._exit(3)\n" + ECHO)
    assert payload == exit_error(request, "Runtime exited with error: exit status 3")


@pytest.mark.timeout(180)
def test_an_initialisation_that_never_ends(lambda_):
    payload, log, request = fail(lambda_, "import time\nwhile True: time.sleep(1)\n" + ECHO, Timeout=2)
    message = f"RequestId: {request} Error: Task timed out after 2.00 seconds"
    assert payload == {"errorType": "Sandbox.Timedout", "errorMessage": message}


def test_a_time_out_kills_the_process_tree(gust, lambda_):
    source = (
        "import os, time\n"
        "def handler(event, context):\n"
        "    for _ in range(3):\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(3600)\n"
        "    time.sleep(3600)\n"
    )
    before = processes_of(gust)
    payload, log, request = fail(lambda_, source, Timeout=1)
    message = f"RequestId: {request} Error: Task timed out after 1.00 seconds"
    assert payload == {"errorType": "Sandbox.Timedout", "errorMessage": message}
    assert re.search(rf"{request} Task timed out after 1\.00 seconds", log)
    assert "Status: timeout" in log
    assert processes_of(gust) <= before + 2, "stragglers are left"


def processes_of(gust):
    """How many processes descend from this gust."""
    import pathlib

    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    count = 0
    for pid in parents:
        seen = set()
        while pid in parents and pid not in seen:
            seen.add(pid)
            if pid == gust.process.pid:
                count += 1
                break
            pid = parents[pid]
    return count


def test_a_function_that_ignores_sigterm_is_killed(lambda_):
    source = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "def handler(event, context):\n"
        "    while True: time.sleep(1)\n"
    )
    payload, _, _ = fail(lambda_, source, Timeout=1)
    assert payload["errorType"] == "Sandbox.Timedout"


def test_out_of_memory(lambda_):
    payload, log, request = fail(lambda_, "def handler(event, context):\n    return len(bytearray(600 * 1024 * 1024))\n", Timeout=30)
    assert payload["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError"), payload
    assert payload["errorMessage"] == f"RequestId: {request} Error: Runtime exited with error: signal: killed"
    assert "Error Type: Runtime.OutOfMemory" in log and "Max Memory Used: 128 MB" in log


def test_an_exit_in_mid_request(lambda_):
    payload, log, request = fail(lambda_, "import os\ndef handler(event, context):\n    os._exit(0)\n")
    assert payload == exit_error(request, "Runtime exited without providing a reason")
    payload, log, request = fail(lambda_, "import sys\ndef handler(event, context):\n    sys.exit(7)\n")
    assert payload == exit_error(request, "Runtime exited with error: exit status 7")


def test_a_crash_by_signal(lambda_):
    payload, _, request = fail(lambda_, "import os\ndef handler(event, context):\n    os.kill(os.getpid(), 11)\n    while True: pass\n")
    assert payload == exit_error(request, "Runtime exited with error: signal: segmentation fault")


def test_the_next_request_gets_a_new_environment_after_a_crash(lambda_):
    source = "import os\ndef handler(event, context):\n    os._exit(1) if event['die'] else None\n    return 'alive'\n"
    name = create_function(lambda_, source)
    assert result(lambda_, name, {"die": False}) == "alive"
    assert invoke(lambda_, name, {"die": True})["FunctionError"] == "Unhandled"
    assert result(lambda_, name, {"die": False}) == "alive"


def test_an_unserializable_result(lambda_):
    payload, _, _ = fail(lambda_, "def handler(event, context):\n    return {1, 2}\n")
    assert payload["errorType"] == "Runtime.MarshalError"
    assert payload["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


@pytest.mark.parametrize("bytes_too_many", [2, SIX_MB])
def test_an_oversized_response(lambda_, bytes_too_many):
    source = "def handler(event, context):\n    return 'x' * event['size']\n"
    name = create_function(lambda_, source, MemorySize=512, Timeout=30)
    limit = 6291556
    assert len(result(lambda_, name, {"size": SIX_MB - 2})) == SIX_MB - 2
    payload = invoke(lambda_, name, {"size": limit - 1 + bytes_too_many})["Payload"]
    assert payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert payload["errorMessage"] == f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
    assert len(result(lambda_, name, {"size": 10})) == 10


@pytest.mark.timeout(180)
def test_a_fork_bomb(lambda_):
    source = (
        "import os, time\n"
        "def handler(event, context):\n"
        "    count = 0\n"
        "    while True:\n"
        "        try:\n"
        "            if os.fork() == 0:\n"
        "                time.sleep(3600)\n"
        "            count += 1\n"
        "        except OSError as error:\n"
        "            return [count, error.errno]\n"
    )
    name = create_function(lambda_, source, Timeout=60, MemorySize=1024)
    answer = invoke(lambda_, name, {})
    if "FunctionError" in answer:
        assert answer["Payload"]["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError", "Sandbox.Timedout")
    else:
        count, errno = answer["Payload"]
        assert count <= 1024 and errno == 11


@pytest.mark.timeout(180)
def test_endless_output(lambda_):
    source = "def handler(event, context):\n    while True:\n        print('x' * 1000)\n"
    payload, log, _ = fail(lambda_, source, Timeout=3)
    assert payload["errorType"] == "Sandbox.Timedout"
    assert len(log.encode()) <= 4096


def test_a_full_tmp(lambda_):
    source = (
        "def handler(event, context):\n"
        "    size = 0\n"
        "    try:\n"
        "        with open('/tmp/big', 'wb') as out:\n"
        "            while True:\n"
        "                size += out.write(bytes(1024 * 1024))\n"
        "                out.flush()\n"
        "    except OSError as error:\n"
        "        return [size, error.errno]\n"
    )
    name = create_function(lambda_, source, Timeout=60, MemorySize=1024)
    size, errno = result(lambda_, name)
    assert errno == 28 and 450 * 1024 * 1024 <= size <= 512 * 1024 * 1024


def test_a_closed_standard_output(lambda_):
    source = (
        "import os, sys\n"
        "def handler(event, context):\n"
        "    for fd in (1, 2):\n"
        "        try:\n"
        "            os.close(fd)\n"
        "        except OSError:\n"
        "            pass\n"
        "    return 'fine'\n"
    )
    name = create_function(lambda_, source)
    assert result(lambda_, name) == "fine"
    assert result(lambda_, name) == "fine"


def test_a_failed_event_is_retried_and_settled(lambda_, logs):
    source = "def handler(event, context):\n    print('attempt')\n    raise ValueError('always')\n"
    name = create_function(lambda_, source)
    lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    log_lines(logs, name, lambda lines: any(line.startswith("attempt") for line in lines))
