"""A function gets MemorySize/1769 of a processor; one that never ends is ended at its time limit."""

import pathlib
import time

import pytest

FOLDER = pathlib.Path(__file__).parent


def test_the_share_holds_for_all_of_its_processes(cloud):
    if cloud.mode == "user":
        pytest.skip("without a cgroup there is no share: said in the table")
    name = cloud.deploy(FOLDER, MemorySize=442)
    used = cloud.result(name, "burn", seconds=4, processes=4)
    # A quarter of a processor for 4 s; the quota is handed out in slices, and starting counts, too.
    assert used < 2.5, used


def test_one_that_never_ends_is_ended(cloud, processes):
    name = cloud.deploy(FOLDER, Timeout=2)
    began = time.monotonic()
    answer = cloud.run(name, "for_ever")
    assert answer["Payload"]["errorType"] == "Sandbox.Timedout", answer
    assert time.monotonic() - began < 20
