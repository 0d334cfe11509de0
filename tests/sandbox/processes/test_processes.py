"""A function sees, signals and traces its own processes only."""

import os
import pathlib


def test_only_its_own_processes_are_visible(cloud, function):
    seen = cloud.result(function, "visible")
    assert 1 <= len(seen) <= 2, seen
    assert all("/var/lang/gust/" in command for command in seen.values()), seen


def test_signals_reach_neither_the_supervisor_nor_the_host(cloud, function):
    pids = [1, os.getpid(), os.getppid(), cloud.gust.process.pid, 2**22 - 1]
    outcomes = cloud.result(function, "signals", pids=pids)
    # In a pid namespace PID 1 is safe from SIGKILL of those inside, even where it has the same uid: nothing happens.
    supervisor = outcomes.pop("1")
    assert supervisor == "EPERM" or cloud.mode == "user", supervisor
    inside = {outcome for pid, outcome in outcomes.items() if int(pid) > 100}
    assert inside <= {"ESRCH", "EPERM"}, outcomes
    assert cloud.result(function, "visible")


def test_a_function_that_kills_everything_kills_itself(cloud):
    name = cloud.deploy(pathlib.Path(__file__).parent)
    answer = cloud.run(name, "kill_all")
    assert answer["Payload"]["errorType"] == "Runtime.ExitError", answer
    assert cloud.result(name, "visible"), "its next environment works"


def test_the_supervisor_cannot_be_traced_or_read(cloud, function):
    outcomes = cloud.result(function, "trace")
    assert set(outcomes.values()) <= {"EPERM", "EACCES", "ENOENT", "ESRCH", "EBADF", "refused"}, outcomes


def test_no_share_is_taken_from_others(cloud, function):
    outcomes = cloud.result(function, "scheduling")
    if cloud.mode == "user":
        # The same uid: it may only make its own supervisor slower.
        outcomes.pop("renice-supervisor")
    assert "done" not in outcomes.values(), outcomes
