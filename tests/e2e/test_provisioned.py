"""Provisioned concurrency: no cold start, spill-over, and what becomes of it when something dies."""

import concurrent.futures

from harness.functions import create_function, invoke, result
from harness.waiting import wait_for

SLOW_INIT = (
    "import os, time, uuid\n"
    "time.sleep(1)\n"
    "me = str(uuid.uuid4())\n"
    "def handler(event, context):\n"
    "    time.sleep(event or 0)\n"
    "    return [os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'], me]\n"
)


def provision(client, executions, source=SLOW_INIT):
    name = create_function(client, source, Timeout=30)
    client.publish_version(FunctionName=name)
    client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=executions
    )
    ready(client, name)
    return name


def ready(client, name):
    status = lambda: client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")["Status"]
    wait_for(lambda: status() == "READY", "the environments", 60, 0.05)


def test_requests_take_what_is_ready_and_spill_over(start):
    gust = start("--concurrency", "104")
    client = gust.client("lambda")
    name = provision(client, 3)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: invoke(client, name, 2, Qualifier="1", LogType="Tail"), range(5)))
    kinds = [answer["Payload"][0] for answer in answers]
    assert sorted(kinds) == 2 * ["on-demand"] + 3 * ["provisioned-concurrency"]
    assert len({answer["Payload"][1] for answer in answers}) == 5
    functions = gust.health()["invocations"]
    assert functions["running"] <= 5
    for _ in range(3):
        assert result(client, name, Qualifier="1")[0] == "provisioned-concurrency", "those come first"


def test_they_are_there_again_after_kill_9(start, tmp_path):
    gust = start(data=tmp_path)
    client = gust.client("lambda")
    name = provision(client, 2)
    first = result(client, name, Qualifier="1")
    gust.kill()
    gust = start(data=tmp_path)
    client = gust.client("lambda")
    ready(client, name)
    kind, me = result(client, name, Qualifier="1")
    assert kind == "provisioned-concurrency" and me != first[1]


def test_one_that_ends_is_replaced(start):
    gust = start()
    client = gust.client("lambda")
    source = SLOW_INIT.replace("    time.sleep(event or 0)\n", "    os._exit(1) if event == 'end' else None\n")
    name = provision(client, 1, source)
    me = result(client, name, Qualifier="1")[1]
    assert invoke(client, name, "end", Qualifier="1")["FunctionError"] == "Unhandled"
    # Until another one is ready, requests spill over.
    served = lambda: result(client, name, Qualifier="1")
    wait_for(lambda: served()[0] == "provisioned-concurrency", "another one", 30, 0.05)
    assert served()[1] != me
    assert client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")["Status"] == "READY"
