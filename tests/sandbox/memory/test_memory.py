"""A function that exceeds its memory ends, and nobody else does."""

import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent
ENDED = {"Runtime.OutOfMemory", "Runtime.ExitError"}


@pytest.mark.parametrize(
    "attack, arguments",
    [("allocate", {"mb": 1500}), ("children", {"mb": 100, "count": 8}), ("shared", {"mb": 1024})],
)
def test_what_exceeds_the_limit_ends(cloud, attack, arguments):
    if attack == "shared" and cloud.mode == "user":
        pytest.skip("without a cgroup, memory that no process maps is not seen: said in the table")
    name = cloud.deploy(FOLDER, MemorySize=256)
    answer = cloud.run(name, attack, **arguments)
    assert answer.get("FunctionError") and answer["Payload"]["errorType"] in ENDED, answer["Payload"]
    assert cloud.result(name, "fine") == "fine", "its next environment works"


def test_what_stays_within_does_not(cloud):
    source = "def handler(event, context):\n    kept = bytearray(150 << 20)\n    return len(kept) >> 20\n"
    from harness.functions import result

    assert result(cloud.client, cloud.deploy_source(source, MemorySize=256)) == 150


def test_memory_cannot_be_locked(cloud):
    assert cloud.result(cloud.deploy(FOLDER), "locked", mb=64) == -1


def test_the_kernels_memory_for_it_is_bounded(cloud):
    """1,024 descriptors of pipes of 64 KiB: at most 32 MiB, and the pipes' own limit for ordinary users."""
    assert cloud.result(cloud.deploy(FOLDER), "pipes") <= 64 << 20
