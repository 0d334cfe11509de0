"""Processes and threads are bounded, and end with their environment.

Lambda's limit is 1,024: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

import pathlib

from harness.waiting import wait_for

FOLDER = pathlib.Path(__file__).parent
PIDS_MAX = 1024


def test_a_fork_bomb_ends_with_its_time(cloud, processes):
    before = len(processes())
    name = cloud.deploy(FOLDER, Timeout=3)
    answer = cloud.run(name, "bomb")
    assert answer.get("FunctionError"), answer
    wait_for(lambda: len(processes()) <= before + 2, "the bomb's processes to go", 20, 0.1)


def test_processes_are_bounded(cloud):
    # In an environment of its own: what it starts stays.
    answer = cloud.run(cloud.deploy(FOLDER, MemorySize=1024, Timeout=60), "processes")
    if "FunctionError" not in answer:
        assert answer["Payload"] < PIDS_MAX, answer


def test_threads_are_bounded(cloud):
    answer = cloud.run(cloud.deploy(FOLDER, MemorySize=1024, Timeout=60), "threads")
    assert "FunctionError" not in answer, answer
    assert answer["Payload"] < PIDS_MAX


def test_detached_children_end_with_the_environment(cloud, processes):
    before = set(processes())
    name = cloud.deploy(FOLDER)
    assert cloud.result(name, "daemons", count=3) == "started"
    wait_for(lambda: len(cloud.result(name, "daemons_seen")) == 3, "the daemons", 10, 0.1)
    cloud.client.delete_function(FunctionName=name)
    wait_for(lambda: not set(processes()) - before, "all that it started to go", 20, 0.1)
