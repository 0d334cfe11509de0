"""Many at once: parallel environments, limits, changes under way."""

import concurrent.futures
import threading
import time

import pytest

from harness.functions import create_function, invoke, result
from harness.packages import python_package
from harness.waiting import wait_for


@pytest.mark.timeout(240)
def test_fifty_invocations_run_side_by_side(start):
    gust = start()
    client = gust.client("lambda")
    source = (
        "import time, uuid\n"
        "me = str(uuid.uuid4())\n"
        "def handler(event, context):\n"
        "    begun = time.time(); time.sleep(3); return [me, begun, time.time()]\n"
    )
    name = create_function(client, source, Timeout=60)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: result(client, name, {}), range(50)))
    assert len({me for me, _, _ in answers}) == 50, "an environment serves one request at a time"
    assert max(begun for _, begun, _ in answers) < min(ended for _, _, ended in answers), "all ran at once"


def test_above_the_limit_requests_are_refused_with_a_reason(start):
    gust = start("--concurrency", "2")
    client = gust.client("lambda")
    name = create_function(client, "import time\ndef handler(event, context):\n    time.sleep(event)\n", Timeout=30)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(invoke, client, name, 4) for _ in range(2)]
        wait_for(lambda: gust.health()["invocations"]["running"] == 2, "both to run")
        with pytest.raises(client.exceptions.TooManyRequestsException) as refused:
            invoke(client, name, 0)
        response = refused.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert response["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert response["Error"]["Message"] == "Rate Exceeded."
        for one in busy:
            assert "FunctionError" not in one.result()
    assert "FunctionError" not in invoke(client, name, 0)


def test_events_above_the_limit_wait_and_run(start):
    gust = start("--concurrency", "1")
    client, logs = gust.client("lambda"), gust.client("logs")
    name = create_function(client, "import time\ndef handler(event, context):\n    time.sleep(0.2)\n    print('ran', event, 'end')\n")
    for number in range(8):
        assert client.invoke(FunctionName=name, InvocationType="Event", Payload=str(number).encode())["StatusCode"] == 202
    from harness.functions import log_lines

    ran = lambda lines: {line.split()[1] for line in lines if line.startswith("ran ")}
    log_lines(logs, name, lambda lines: ran(lines) == set("01234567"), 60)


def running(gust):
    """How many invocations run, from their request to their last log line."""
    return gust.health()["invocations"]["running"]


def test_code_changes_while_a_request_is_in_flight(start):
    gust = start()
    client = gust.client("lambda")
    old = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'old'\n"
    name = create_function(client, old, Timeout=30)
    assert result(client, name, 0) == "old"
    wait_for(lambda: running(gust) == 0, "the first invocation to end")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(result(client, name, 4)))
    slow.start()
    wait_for(lambda: running(gust) == 1, "the slow invocation to run")
    client.update_function_code(FunctionName=name, ZipFile=python_package("def handler(event, context):\n    return 'new'\n"))
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    assert result(client, name, 0) == "new"
    slow.join(30)
    assert answers == ["old"], "a request that has begun finishes on the code it began with"


def test_a_deleted_function_finishes_what_it_runs(start):
    gust = start()
    client = gust.client("lambda")
    name = create_function(client, "import time\ndef handler(event, context):\n    time.sleep(2)\n    return 'done'\n", Timeout=30)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(result(client, name)))
    slow.start()
    wait_for(lambda: running(gust) == 1, "the invocation to run")
    client.delete_function(FunctionName=name)
    slow.join(30)
    assert answers == ["done"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        invoke(client, name)


def test_background_work_freezes_with_the_environment(lambda_):
    source = (
        "import threading, time\n"
        "ticks = 0\n"
        "def tick():\n"
        "    global ticks\n"
        "    while True:\n"
        "        time.sleep(0.05); ticks += 1\n"
        "threading.Thread(target=tick, daemon=True).start()\n"
        "def handler(event, context):\n"
        "    return ticks\n"
    )
    name = create_function(lambda_, source)
    first = result(lambda_, name)
    frozen_since = time.monotonic()
    wait_for(lambda: time.monotonic() - frozen_since > 2, "two seconds to pass", pause_s=0.1)
    assert result(lambda_, name) - first < 20, "the thread ran on while the environment was idle"
