"""Versions side by side, under load and over crashes."""

import concurrent.futures
import threading

import pytest

from harness.functions import create_function, result
from harness.packages import python_package
from harness.waiting import wait_for


def source(number):
    return (
        "import uuid\n"
        "me = str(uuid.uuid4())\n"
        f"def handler(event, context):\n    return [{number}, context.function_version, me]\n"
    )


@pytest.mark.timeout(240)
def test_a_version_runs_on_undisturbed_while_latest_changes_under_load(start):
    gust = start()
    client = gust.client("lambda")
    name = create_function(client, source(0))
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    stop, answers = threading.Event(), {"live": [], "$LATEST": []}

    def load(qualifier):
        while not stop.is_set():
            answers[qualifier].append(result(client, name, Qualifier=qualifier))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load, qualifier) for qualifier in ("live", "live", "$LATEST", "$LATEST")]
        try:
            wait_for(lambda: len(answers["live"]) > 20 and len(answers["$LATEST"]) > 20, "both to be busy")
            for number in range(1, 6):
                client.update_function_code(FunctionName=name, ZipFile=python_package(source(number)))
                client.get_waiter("function_updated_v2").wait(
                    FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
                )
                assert result(client, name)[0] == number
                seen = len(answers["live"])
                wait_for(lambda: len(answers["live"]) > seen + 10, "the version to go on")
        finally:
            stop.set()
        for one in loads:
            one.result(30)
    assert {tuple(answer[:2]) for answer in answers["live"]} == {(0, "1")}
    assert len({me for _, _, me in answers["live"]}) <= 3, "its environments were used again and again"
    numbers = [number for number, version, _ in answers["$LATEST"] if version == "$LATEST"]
    assert len(numbers) == len(answers["$LATEST"]) and set(numbers) == set(range(6))


@pytest.mark.timeout(240)
def test_versions_aliases_and_reservations_outlive_a_crash(start, tmp_path):
    data = tmp_path / "data"
    gust = start(data=data)
    client = gust.client("lambda")
    name = create_function(client, source(1))
    client.publish_version(FunctionName=name, Description="first")
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    published, deleted = [], []

    def change():
        """Publishes and deletes until gust is gone."""
        number = 1
        try:
            while True:
                number += 1
                client.update_function_code(FunctionName=name, ZipFile=python_package(source(number)), Publish=True)
                published.append(number)
                if number % 2:
                    client.delete_function(FunctionName=name, Qualifier=str(number))
                    deleted.append(number)
        except Exception:  # noqa: BLE001  (however the connection ends)
            pass

    changing = threading.Thread(target=change)
    changing.start()
    wait_for(lambda: len(published) > 6, "some versions", 60)
    gust.kill()
    changing.join(60)

    client = start(data=data).client("lambda")
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    versions = {it["Version"]: it for page in pages for it in page["Versions"]}
    for number in set(published) - set(deleted):
        shown = client.get_function_configuration(FunctionName=name, Qualifier=str(number))
        assert shown["CodeSha256"] == versions[str(number)]["CodeSha256"]
        client.get_waiter("published_version_active").wait(
            FunctionName=name, Qualifier=str(number), WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
    assert not {str(number) for number in deleted} & set(versions)
    # What was not acknowledged is there as a whole or not at all, and storage is counted accordingly.
    total = sum(it["CodeSize"] for it in versions.values())
    assert client.get_account_settings()["AccountUsage"]["TotalCodeSize"] == total
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName=name)
    client.delete_function_concurrency(FunctionName=name)
    for number in sorted(set(published) - set(deleted))[-3:]:
        assert result(client, name, Qualifier=str(number))[:2] == [number, str(number)]
    assert result(client, name, Qualifier="live")[:2] == [1, "1"]
    newest = max(int(version) for version in versions if version != "$LATEST")
    client.update_function_code(FunctionName=name, ZipFile=python_package(source(0)), Publish=True)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    again = client.publish_version(FunctionName=name)["Version"]
    assert int(again) > max([newest, *deleted]), "no number is given twice"
