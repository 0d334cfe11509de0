"""Starting, refusing to start, stopping."""

import os
import pathlib
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness.functions import create_function, result
from harness.server import Gust, run_gust
from harness.waiting import wait_for

TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},'
    '"Action":"sts:AssumeRole"}]}'
)
ECHO = "def handler(event, context):\n    return event\n"


def test_a_second_gust_on_one_folder_is_refused(start, tmp_path):
    first = start(data=tmp_path / "data")
    second = run_gust("up", "--port", "0", "--data", tmp_path / "data")
    assert second.returncode == 1
    assert f"is in use by gust with process id {first.process.pid}" in second.stderr


def test_a_port_in_use_is_a_clear_message(gust):
    port = gust.url.rsplit(":", 1)[1]
    second = run_gust("up", "--ephemeral", "--port", port)
    assert second.returncode == 1
    assert f"port {port}" in second.stderr and "in use" in second.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_beyond_loopback_is_refused(host):
    refused = run_gust("up", "--ephemeral", "--port", "0", "--host", host)
    assert refused.returncode == 2 and "--let-the-whole-network-run-code-on-this-machine" in refused.stderr
    assert "--auth strict" in refused.stderr


@pytest.mark.parametrize(
    "flags, word",
    [
        (["--account", "12"], "--account"),
        (["--region", "US East"], "--region"),
        (["--sdk", "/nonexistent"], "--sdk"),
        (["--data", "x"], "--ephemeral"),
        (["--concurrency", "0"], "--concurrency"),
    ],
)
def test_wrong_flags_are_refused_by_name(flags, word):
    refused = run_gust("up", "--ephemeral", "--port", "0", *flags)
    assert refused.returncode == 2 and word in refused.stderr


def test_functions_logs_and_roles_survive_a_restart(start, tmp_path):
    first = start(data=tmp_path / "data")
    client, logs, iam = (first.client(service) for service in ("lambda", "logs", "iam"))
    name = create_function(client, "def handler(event, context):\n    print('first life')\n    return 1\n")
    assert result(client, name) == 1
    iam.create_role(RoleName="kept", AssumeRolePolicyDocument=TRUST)
    logs.create_log_group(logGroupName="/kept")
    before = client.get_function_configuration(FunctionName=name)
    first.stop()
    second = start(data=tmp_path / "data")
    client, logs, iam = (second.client(service) for service in ("lambda", "logs", "iam"))
    after = client.get_function_configuration(FunctionName=name)
    for answer in (before, after):
        answer.pop("ResponseMetadata")
    assert after == before
    assert result(client, name) == 1
    assert iam.get_role(RoleName="kept")["Role"]["Arn"].endswith("role/kept")
    assert logs.describe_log_groups(logGroupNamePrefix="/kept")["logGroups"]
    events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    assert any(event["message"].startswith("first life") for event in events)


def test_reset_empties_an_ephemeral_gust_only(start, tmp_path):
    import urllib.error
    import urllib.request

    ephemeral = start()
    client = ephemeral.client("lambda")
    create_function(client, ECHO, wait=False)
    urllib.request.urlopen(urllib.request.Request(ephemeral.url + "/_gust/reset", method="POST"), timeout=30).read()
    assert client.list_functions()["Functions"] == []
    name = create_function(client, ECHO)
    assert result(client, name, 7) == 7
    kept = start(data=tmp_path / "data")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(kept.url + "/_gust/reset", method="POST"), timeout=30)
    assert refused.value.code == 409


def test_draining_lets_running_functions_finish(start):
    gust = start()
    client = gust.client("lambda")
    name = create_function(client, "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'done'\n", Timeout=20)
    result(client, name, 0)
    answers = []
    running = threading.Thread(target=lambda: answers.append(result(client, name, 2)))
    running.start()
    wait_for(lambda: gust.health()["invocations"]["running"] == 1, "the invocation to run")
    gust.process.send_signal(signal.SIGTERM)
    running.join(30)
    assert answers == ["done"]
    assert gust.process.wait(30) == 0
    assert "waiting for" in gust.output


def test_a_second_signal_stops_at_once(start):
    gust = start()
    client = gust.client("lambda")
    name = create_function(client, "import time\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=90)
    threading.Thread(target=lambda: swallow(lambda: result(client, name)), daemon=True).start()
    wait_for(lambda: gust.health()["invocations"]["running"] == 1, "the invocation to run")
    gust.process.send_signal(signal.SIGINT)
    wait_for(lambda: "waiting for" in gust.output, "the drain to begin")
    gust.process.send_signal(signal.SIGINT)
    assert gust.process.wait(5) == 130
    gust.process.returncode = 0


def swallow(call):
    """The far end goes away in mid-call, as it should."""
    try:
        call()
    except Exception:
        pass


def test_an_ephemeral_gust_leaves_no_folder(start):
    import tempfile

    gust = start()
    folders = lambda: set(pathlib.Path(tempfile.gettempdir()).glob(f"gust-ephemeral-{gust.process.pid}-*"))
    assert folders()
    gust.stop()
    assert not folders()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_gives_errors_and_no_corruption(start, tmp_path):
    import botocore.exceptions

    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=448m", "tmpfs", str(folder)], check=True)
    try:
        gust = start(data=folder / "data")
        logs = gust.client("logs")
        logs.create_log_group(logGroupName="/full")
        logs.create_log_stream(logGroupName="/full", logStreamName="s")
        import time

        accepted, refusal = 0, None
        filler = folder / "filler"
        for round_number in range(400):
            with filler.open("ab") as out:
                swallow_full(lambda: out.write(bytes(1024 * 1024)))
            events = [{"timestamp": int(time.time() * 1000), "message": f"{round_number:06}" + "x" * 20_000}] * 10
            try:
                logs.put_log_events(logGroupName="/full", logStreamName="s", logEvents=events)
                accepted += 10
            except botocore.exceptions.ClientError as error:
                refusal = error.response
                break
        assert refusal, "the disk never filled"
        assert refusal["ResponseMetadata"]["HTTPStatusCode"] in (500, 503), refusal
        assert logs.describe_log_groups(logGroupNamePrefix="/full")["logGroups"], "reads go on"
        assert count_events(logs) == accepted
        filler.unlink()
        wait_for(lambda: can_write(logs), "writes to go on once there is room", 30, 0.5)
        gust.kill()
        again = start(data=folder / "data")
        assert count_events(again.client("logs")) >= accepted
        again.stop()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def swallow_full(call):
    """The filler itself may meet the end of the disk."""
    try:
        call()
    except OSError:
        pass


def can_write(logs):
    import botocore.exceptions

    try:
        logs.create_log_group(logGroupName="/room")
        return True
    except botocore.exceptions.ClientError:
        return False


def count_events(logs):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName="/full")
    return sum(len(page["events"]) for page in pages)


def test_a_shell_with_a_low_soft_limit_does_not_bound_what_is_open(start, tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    low = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    gust = start(data=tmp_path / "data", popen={"preexec_fn": low})
    line = next(
        line
        for line in pathlib.Path(f"/proc/{gust.process.pid}/limits").read_text().splitlines()
        if line.startswith("Max open files")
    )
    assert line.split()[3] == line.split()[4] == str(hard)


def test_the_experiment_with_slow_syncs_slows_writes_down(start, tmp_path):
    gust = start("--sync-delay-ms", "200", data=tmp_path / "data")
    begun = time.monotonic()
    gust.client("logs").create_log_group(logGroupName="slow")
    assert time.monotonic() - begun >= 0.2


def test_slow_syncs_without_a_disk_are_refused():
    refused = run_gust("up", "--ephemeral", "--port", "0", "--sync-delay-ms", "5")
    assert refused.returncode == 2 and "--sync-delay-ms" in refused.stderr
