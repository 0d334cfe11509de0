"""A function ends when gust says so, with everything that it has started."""

import pathlib
import time

import pytest

from harness.waiting import wait_for

FOLDER = pathlib.Path(__file__).parent
# What ending takes at most beyond the time limit, on a busy machine.
GRACE_S = 15


@pytest.mark.parametrize("attack", ["ignore_everything", "stop_itself", "uninterruptible"])
def test_what_refuses_to_end_is_ended_at_its_time_limit(cloud, attack, processes):
    before = set(processes())
    name = cloud.deploy(FOLDER, Timeout=2)
    began = time.monotonic()
    answer = cloud.run(name, attack)
    assert time.monotonic() - began < 2 + GRACE_S
    assert answer["Payload"]["errorType"] in ("Sandbox.Timedout", "Runtime.ExitError"), answer
    wait_for(lambda: not set(processes()) - before, "its processes to go", GRACE_S, 0.1)


@pytest.mark.parametrize("attack, arguments", [("exit_now", {"code": 0}), ("exit_now", {"code": 7}), ("crash", {}), ("at_exit_never_ends", {})])
def test_an_end_in_the_middle_is_its_own_failure(cloud, attack, arguments):
    name = cloud.deploy(FOLDER, Timeout=5)
    answer = cloud.run(name, attack, **arguments)
    assert answer["Payload"]["errorType"] in ("Runtime.ExitError", "Sandbox.Timedout"), answer
    assert cloud.run(name, "threads_that_never_end").get("FunctionError") is None, "the next environment works"


@pytest.mark.parametrize("attack", ["restart_itself", "threads_that_never_end"])
def test_everything_it_started_goes_with_the_function(cloud, attack, processes):
    before = set(processes())
    name = cloud.deploy(FOLDER)
    assert cloud.result(name, attack) == "started"
    cloud.client.delete_function(FunctionName=name)
    wait_for(lambda: not set(processes()) - before, "its processes to go", GRACE_S, 0.1)
