"""gust stats: counters of each function."""

import json
import urllib.error
import urllib.request

import pytest

from harness.functions import create_function, invoke, unique
from harness.waiting import wait_for

SOURCE = """
import time
def handler(event, context):
    time.sleep(event.get("sleep_s", 0))
    if event.get("fail"):
        raise ValueError("as asked")
"""


def stats(gust, name):
    (function,) = json.loads(gust.command("stats", name, "--json").stdout)["functions"]
    return function


def test_invocations_errors_and_cold_starts_are_counted(gust, lambda_):
    name = create_function(lambda_, SOURCE)
    for event in ({}, {}, {"fail": True}, {"sleep_s": 0.3}):
        invoke(lambda_, name, event)
    seen = stats(gust, name)
    assert (seen["invocations"], seen["errors"], seen["throttles"], seen["cold_starts"]) == (4, 1, 0, 1), seen
    times = seen["duration_ms"]
    assert 0 < times["p50"] <= times["p90"] <= times["p99"] <= times["max"] and 300 <= times["max"] < 3_000, seen
    assert seen["init_ms"]["max"] > 0


def test_a_time_out_is_an_error_of_its_whole_length(gust, lambda_):
    name = create_function(lambda_, SOURCE, Timeout=1)
    invoke(lambda_, name, {"sleep_s": 30})
    seen = stats(gust, name)
    assert (seen["invocations"], seen["errors"], seen["duration_ms"]["max"]) == (1, 1, 1000.0)


def test_refused_invocations_are_throttles(start):
    gust = start("--concurrency", "1")
    client = gust.client("lambda")
    name = create_function(client, SOURCE, Timeout=60)
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"sleep_s": 3}')

    def throttled():
        try:
            invoke(client, name)
        except client.exceptions.TooManyRequestsException:
            return True

    wait_for(throttled, "a refused invocation", 10)
    assert stats(gust, name)["throttles"] >= 1


def test_the_table_names_every_function_and_since_when(gust, lambda_):
    names = [create_function(lambda_, SOURCE) for _ in range(2)]
    for name in names:
        invoke(lambda_, name, {})
    shown = gust.command("stats").stdout
    assert all(name in shown for name in names) and "INVOCATIONS" in shown and "since gust started" in shown


def test_a_function_that_never_ran_has_no_row_and_one_that_is_missing_is_named(gust, lambda_):
    name = create_function(lambda_, SOURCE)
    assert json.loads(gust.command("stats", name, "--json").stdout)["functions"] == []
    missing = gust.command("stats", unique("missing"), check=False)
    assert missing.returncode == 1 and "ResourceNotFoundException" in missing.stderr


def test_another_account_sees_nothing(gust, lambda_):
    name = create_function(lambda_, SOURCE)
    invoke(lambda_, name, {})
    variables = {"AWS_ACCESS_KEY_ID": "123456789012", "AWS_SECRET_ACCESS_KEY": "gust"}
    shown = gust.command("stats", "--json", variables=variables).stdout
    assert name not in shown


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
def test_strangers_and_pages_are_refused(gust, headers):
    request = urllib.request.Request(gust.url + "/_gust/stats", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
