"""Node.js processes that are started ahead: they are used, and nothing of one function reaches another."""

import concurrent.futures
import os
import time

import pytest

from harness.functions import result
from harness.nodejs import node_function
from harness.waiting import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes ahead")

# What a process knows of itself, and what an earlier function could have left in it.
PROBE = """
const fs = require('fs');
const seen = { began_ms: Date.now() - process.uptime() * 1000, marks: Object.keys(globalThis).filter((name) => name.startsWith('mark')),
  env: Object.keys(process.env).filter((name) => name.startsWith('MARK')), tmp: fs.readdirSync('/tmp'), task: fs.readdirSync('/var/task'),
  pids: fs.readlinkSync('/proc/self/ns/pid') };
globalThis['mark' + process.env.AWS_LAMBDA_FUNCTION_NAME] = 1;
fs.writeFileSync('/tmp/mark', '1');
exports.handler = async () => ({ ...seen, name: process.env.AWS_LAMBDA_FUNCTION_NAME, key: process.env.AWS_ACCESS_KEY_ID,
  mine: process.env['MARK_' + process.env.AWS_LAMBDA_FUNCTION_NAME.replaceAll('-', '_')] });
"""


def probe(client, memory_mb, **variables):
    """A function whose own variable has its name in it."""
    name = node_function(client, PROBE, MemorySize=memory_mb, Environment={"Variables": variables})
    mark = "MARK_" + name.replace("-", "_")
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables | {mark: name}})
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return name


def spares(gust):
    return gust.health()["environments"]["spare"]


@pytest.fixture
def own(start):
    return start()


def test_a_second_function_finds_a_process_that_has_never_run_anything(own):
    client = own.client("lambda")
    first, second = probe(client, 512), probe(client, 512)
    seen = [result(client, first)]
    wait_for(lambda: spares(own) >= 1, "a process started ahead", 60)
    before_ms = time.time() * 1000
    seen.append(result(client, second))
    assert seen[1]["began_ms"] < before_ms - 20, "it was started ahead"
    for name, of_it in zip((first, second), seen):
        assert of_it["name"] == of_it["mine"] == name
        assert of_it["marks"] == [] and of_it["tmp"] == [] and len(of_it["env"]) == 1, of_it
        assert of_it["task"] == ["index.js"]
    assert seen[0]["pids"] != seen[1]["pids"]
    assert seen[0]["key"].startswith("ASIA") and seen[0]["key"] != seen[1]["key"]


def test_another_memory_size_is_another_kind(own):
    client = own.client("lambda")
    result(client, probe(client, 512))
    wait_for(lambda: spares(own) == 1, "a process started ahead", 60)
    before_ms = time.time() * 1000
    assert result(client, probe(client, 256))["began_ms"] >= before_ms - 20
    wait_for(lambda: spares(own) == 2, "one of each kind", 60)


def test_a_variable_that_acts_at_the_start_gets_a_new_process(own):
    client = own.client("lambda")
    result(client, probe(client, 512))
    wait_for(lambda: spares(own) == 1, "a process started ahead", 60)
    name = probe(client, 512, UV_THREADPOOL_SIZE="8")
    before_ms = time.time() * 1000
    assert result(client, name)["began_ms"] >= before_ms - 20
    assert spares(own) == 1


def test_hand_over_under_load(own):
    client = own.client("lambda")
    names = [probe(client, 1769) for _ in range(6)]
    for _ in range(3):
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            seen = list(pool.map(lambda name: result(client, name), names * 2))
        for name, of_it in zip(names * 2, seen):
            assert of_it["name"] == of_it["mine"] == name
            assert of_it["marks"] == [] and of_it["tmp"] == [] and len(of_it["env"]) == 1, of_it
        for name in names:
            # Its environments are of an old revision now: the next round starts anew.
            client.update_function_configuration(FunctionName=name, Description=str(time.monotonic()))
            client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def test_a_killed_gust_leaves_no_process(start):
    own = start()
    client = own.client("lambda")
    result(client, probe(client, 512))
    wait_for(lambda: spares(own) == 1, "a process started ahead", 60)
    inside = descendants(own.process.pid)
    assert sum("bootstrap.js" in command for command in inside.values()) == 2, inside
    own.kill()
    wait_for(lambda: not [pid for pid, command in inside.items() if command_of(pid) == command], "the end of all", 20)


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None


def descendants(root):
    """pid -> command line of everything below a process."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return {pid: command_of(pid) for pid in found}
        found |= more
