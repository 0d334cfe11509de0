"""Sandboxes that are made ahead for Python and custom runtimes: they are used, and nothing of one function reaches another."""

import concurrent.futures
import os
import time

import pytest

from harness.functions import create_function, invoke, result
from harness.packages import package
from harness.waiting import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes sandboxes ahead")

# What a process knows of itself, and what an earlier function could have left in it.
PROBE = """
import os, resource, sys
with open('/proc/self/stat') as stat:
    ticks = int(stat.read().rsplit(')', 1)[1].split()[19])
with open('/proc/uptime') as uptime:
    age_s = float(uptime.read().split()[0]) - ticks / os.sysconf('SC_CLK_TCK')
tmp = os.statvfs('/tmp')
seen = {'age_s': age_s, 'tmp': os.listdir('/tmp'), 'tmp_mb': tmp.f_blocks * tmp.f_bsize >> 20, 'task': os.listdir('/var/task'),
        'cwd': os.getcwd(), 'mark': getattr(os, 'mark', None), 'namespace': os.readlink('/proc/self/ns/pid'),
        'boto3': 'boto3' in sys.modules}
os.mark = 1
open('/tmp/mark', 'w').close()
def handler(event, context):
    return dict(seen, name=context.function_name, variables=dict(os.environ), memory_mb=context.memory_limit_in_mb)
"""

SCRIPT = """#!/bin/sh
while true; do
  id=$(python3 - <<'END'
import os, urllib.request
with urllib.request.urlopen('http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/invocation/next') as answer:
    id = answer.headers['Lambda-Runtime-Aws-Request-Id']
import json
body = json.dumps({'name': os.environ['AWS_LAMBDA_FUNCTION_NAME'], 'mine': os.environ.get('MINE'), 'cwd': os.getcwd(),
                   'tmp': os.listdir('/tmp'), 'namespace': os.readlink('/proc/self/ns/pid')}).encode()
urllib.request.urlopen('http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/invocation/' + id + '/response', body)
END
)
  touch /tmp/mark
done
"""


def spares(gust):
    return gust.health()["environments"]["prepared"]


@pytest.fixture
def own(start):
    return start()


def python(client, **options):
    return create_function(client, PROBE, **options)


def custom(client, **options):
    code = package({"bootstrap": (SCRIPT, 0o755)})
    return create_function(client, ZipFile=code, Runtime="provided.al2023", Handler="x", Timeout=30, **options)


def test_a_second_python_function_finds_a_process_that_has_never_run_anything(own):
    client = own.client("lambda")
    first = python(client, MemorySize=128, Environment={"Variables": {"MINE": "first"}})
    second = python(client, MemorySize=512, EphemeralStorage={"Size": 1024}, Environment={"Variables": {"MINE": "second"}})
    seen = [result(client, first)]
    wait_for(lambda: spares(own) >= 1, "a sandbox made ahead", 60)
    time.sleep(0.1)
    seen.append(result(client, second))
    assert seen[1]["age_s"] > 0.08, "it was made ahead"
    for name, mine, tmp_mb, memory_mb, of_it in zip((first, second), ("first", "second"), (512, 1024), ("128", "512"), seen):
        assert of_it["name"] == name and of_it["variables"]["MINE"] == mine
        assert of_it["mark"] is None and of_it["tmp"] == [] and of_it["task"] == ["app.py"]
        assert (of_it["tmp_mb"], of_it["memory_mb"], of_it["cwd"], of_it["boto3"]) == (tmp_mb, memory_mb, "/var/task", False)
    assert seen[0]["namespace"] != seen[1]["namespace"]
    assert seen[0]["variables"].keys() == seen[1]["variables"].keys()


def test_a_custom_runtime_is_executed_in_a_sandbox_made_ahead(own):
    client = own.client("lambda")
    names = [custom(client, Environment={"Variables": {"MINE": str(number)}}) for number in range(3)]
    seen = []
    for name in names:
        seen.append(result(client, name))
        wait_for(lambda: spares(own) >= 1, "a sandbox made ahead", 60)
    for number, (name, of_it) in enumerate(zip(names, seen)):
        assert (of_it["name"], of_it["mine"], of_it["cwd"], of_it["tmp"]) == (name, str(number), "/var/task", [])
    assert len({of_it["namespace"] for of_it in seen}) == 3


def test_a_custom_runtime_without_a_program_fails_as_ever(own):
    client = own.client("lambda")
    result(client, custom(client))
    wait_for(lambda: spares(own) >= 1, "a sandbox made ahead", 60)
    code = package({"other": "x"})
    broken = create_function(client, ZipFile=code, Runtime="provided.al2023", Handler="x")
    answer = invoke(client, broken)
    assert answer["FunctionError"] == "Unhandled", answer
    assert "Runtime.InvalidEntrypoint" in str(answer), answer


def test_hand_over_under_load(own):
    client = own.client("lambda")
    names = [python(client, MemorySize=1769, Environment={"Variables": {"MINE": str(number)}}) for number in range(8)]
    for _ in range(3):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            seen = list(pool.map(lambda name: result(client, name), names * 2))
        for name, number, of_it in zip(names * 2, list(range(8)) * 2, seen):
            assert of_it["name"] == name and of_it["variables"]["MINE"] == str(number)
            assert of_it["mark"] is None and of_it["tmp"] == []
        for name in names:
            # Its environments are of an old revision now: the next round starts anew.
            client.update_function_configuration(FunctionName=name, Description=str(time.monotonic()))
            client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
