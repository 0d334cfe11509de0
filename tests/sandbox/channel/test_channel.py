"""What a function writes where gust reads harms nobody but the function."""

import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent
MEMORY_GROWTH_MB_MAX = 300


def memory_mb(gust):
    status = pathlib.Path(f"/proc/{gust.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024


@pytest.fixture(autouse=True)
def memory_stays_bounded(cloud):
    before = memory_mb(cloud.gust)
    yield
    grown = memory_mb(cloud.gust) - before
    assert grown < MEMORY_GROWTH_MB_MAX, f"gust grew by {grown} MB"


CHANNEL = ["unknown-kind", "zero-length", "too-long", "half", "ready-again", "not-json", "error-not-json", "noise", "many", "close", "shut"]


@pytest.mark.parametrize("how", CHANNEL)
def test_garbage_on_the_channel_is_the_functions_own_failure(cloud, how):
    name = cloud.deploy(FOLDER, Timeout=5)
    # Whatever comes of this one: an answer or an error, within its time.
    answer = cloud.run(name, "channel", how=how)
    assert answer["StatusCode"] == 200
    # An answer does not say what it answers, so a function that has answered twice may get its own second answer for the
    # next event; what comes when nobody asks is noticed, and the environment replaced.
    answers = [cloud.run(name, "response", mb=1)["Payload"] for _ in range(3)]
    assert answers[-1] == "r" * ((1 << 20) - 2), str(answers)[:300]


def test_answers_without_end_are_not_collected(cloud):
    name = cloud.deploy(FOLDER, Timeout=6)
    assert cloud.run(name, "channel_flood", seconds=3)["StatusCode"] == 200


@pytest.mark.parametrize("how", ["short", "huge", "level", "future", "not-utf8", "noise"])
def test_garbage_on_the_log_pipe_is_survived(cloud, how, log_of):
    name = cloud.deploy(FOLDER)
    assert cloud.result(name, "log_pipe", how=how) in ("answered", "no log pipe")
    cloud.result(name, "response", mb=1)
    log_of(name, lambda messages: sum("REPORT RequestId" in message for message in messages) == 2)


def test_a_flood_of_output_is_taken_as_it_can_be_written(cloud):
    name = cloud.deploy(FOLDER, Timeout=60)
    assert cloud.result(name, "output", mb=50) == "answered"


def test_output_that_never_ends_does_not_hold_its_environment(cloud):
    name = cloud.deploy(FOLDER, Timeout=10)
    assert cloud.result(name, "output_for_ever") == "answered"
    assert len(cloud.result(name, "response", mb=1)) > 0, "the next invocation gets its turn"
    cloud.client.delete_function(FunctionName=name)


def test_a_line_without_end_is_cut(cloud, log_of):
    name = cloud.deploy(FOLDER)
    assert cloud.result(name, "one_line", mb=20) == "answered"
    messages = log_of(name, lambda messages: any("REPORT RequestId" in message for message in messages))
    # CloudWatch Logs takes 1 MiB an event: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
    assert max(len(message.encode()) for message in messages) <= 1 << 20


def test_a_response_that_is_too_large_is_refused(cloud):
    name = cloud.deploy(FOLDER, MemorySize=1024)
    assert len(cloud.result(name, "response", mb=5)) == 5 * (1 << 20) - 2
    answer = cloud.run(name, "response", mb=30)
    assert answer["Payload"]["errorType"] == "Function.ResponseSizeTooLarge", str(answer)[:300]
    assert len(cloud.result(name, "response", mb=1)) > 0


def test_a_response_may_be_nested_as_deep_as_the_language_allows(cloud, function):
    assert cloud.run(function, "deep", depth=500)["StatusCode"] == 200
    assert cloud.run(function, "deep", depth=100_000)["StatusCode"] == 200
