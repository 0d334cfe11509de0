"""gust export and gust import: everything in one file, and back."""

import json
import os
import re
import signal
import subprocess

import pytest

from harness.functions import create_function, invoke, log_lines, result
from harness.server import BINARY, environment, run_gust
from harness.waiting import wait_for

SOURCE = "def handler(event, context):\n    print('said', event)\n    return ['answer', event]\n"
TRUST = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
)

POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})


def answers(gust):
    """What the API says about everything that was made, without what changes with each call."""
    client, logs, iam = gust.client("lambda"), gust.client("logs"), gust.client("iam")
    functions = client.list_functions()["Functions"]
    groups = logs.describe_log_groups()["logGroups"]
    events = {
        group["logGroupName"]: [
            (event["timestamp"], event["message"], event["logStreamName"])
            for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        ]
        for group in groups
    }
    roles = iam.list_roles()["Roles"]
    policies = {role["RoleName"]: iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"] for role in roles}
    tags = {function["FunctionName"]: client.list_tags(Resource=function["FunctionArn"])["Tags"] for function in functions}
    return json.loads(json.dumps([functions, groups, events, roles, policies, tags], default=str, sort_keys=True))


def fill(gust):
    """Functions that ran, roles, log groups; returns the names of the functions."""
    client, logs, iam = gust.client("lambda"), gust.client("logs"), gust.client("iam")
    role = iam.create_role(RoleName="kept", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.put_role_policy(RoleName="kept", PolicyName="inline", PolicyDocument=POLICY)
    variables = {"Variables": {"SECRET": "value"}}
    names = [create_function(client, SOURCE, Role=role, Environment=variables, Tags={"number": str(number)}) for number in range(3)]
    for name in names:
        result(client, name, {"to": name})
    logs.create_log_group(logGroupName="/own")
    logs.create_log_stream(logGroupName="/own", logStreamName="stream")
    logs.put_log_events(logGroupName="/own", logStreamName="stream", logEvents=[{"timestamp": 1_700_000_000_000, "message": "old"}])
    for name in names:
        log_lines(logs, name, lambda lines: any("REPORT" in line for line in lines))
    return names


def export(data, file, check=True):
    done = run_gust("export", file, "--data", data, timeout_s=120)
    assert not check or done.returncode == 0, done.stderr
    return done


def import_(file, data, check=True):
    done = run_gust("import", file, "--data", data, timeout_s=120)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture
def exported(start, tmp_path):
    """A filled gust and its file; returns the gust, its functions' names, and the file."""
    gust = start(data=tmp_path / "data")
    names = fill(gust)
    file = tmp_path / "backup.gust"
    export(tmp_path / "data", file)
    return gust, names, file


def test_what_was_exported_from_a_running_gust_is_the_same_after_import(exported, start, tmp_path):
    gust, names, file = exported
    before = answers(gust)
    done = import_(file, tmp_path / "other")
    assert "gust up --data" in done.stdout
    other = start(data=tmp_path / "other")
    assert answers(other) == before
    for name in names:
        assert result(other.client("lambda"), name, {"x": 1}) == ["answer", {"x": 1}]
    assert result(gust.client("lambda"), names[0], {}) == ["answer", {}], "the first one goes on"


def test_a_stopped_gust_is_exported_alike(exported, start, tmp_path):
    gust, names, _ = exported
    before = answers(gust)
    gust.stop()
    file = tmp_path / "stopped.gust"
    export(tmp_path / "data", file)
    import_(file, tmp_path / "other")
    assert answers(start(data=tmp_path / "other")) == before
    assert not list((tmp_path / "data").glob(".scratch-*"))


def test_a_strict_gust_keeps_its_keys(start, tmp_path):
    gust = start("--auth", "strict", data=tmp_path / "data")
    key = dict(re.findall(r"export (AWS_[A-Z_]+)=(\S+)", gust.output))
    export(tmp_path / "data", tmp_path / "file")
    import_(tmp_path / "file", tmp_path / "other")
    other = start("--auth", "strict", data=tmp_path / "other")
    sts = other.client("sts", key=key["AWS_ACCESS_KEY_ID"], secret=key["AWS_SECRET_ACCESS_KEY"])
    assert sts.get_caller_identity()["Arn"].endswith(":root")
    assert "AWS_SECRET_ACCESS_KEY" not in other.output


def test_accepted_events_run_after_the_import(start, tmp_path):
    gust = start("--concurrency", "1", data=tmp_path / "data")
    client = gust.client("lambda")
    source = "import time\ndef handler(event, context):\n    time.sleep(event.get('s', 0))\n    print('ran', event)\n"
    name = create_function(client, source, Timeout=60)
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"s": 20}')
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"late": true}')
    export(tmp_path / "data", tmp_path / "file")
    gust.process.send_signal(signal.SIGKILL)
    gust.process.wait(30)
    import_(tmp_path / "file", tmp_path / "other")
    other = start(data=tmp_path / "other")
    log_lines(other.client("logs"), name, lambda lines: any("'late': True" in line for line in lines), timeout_s=60)


def test_while_it_is_exported_everything_goes_on(exported, start, tmp_path):
    """Functions come and go meanwhile; the file is one moment's."""
    gust, names, _ = exported
    client = gust.client("lambda")
    for number in range(5):
        changing = create_function(client, SOURCE)
        process = subprocess.Popen([BINARY, "export", str(tmp_path / f"file-{number}"), "--data", str(tmp_path / "data")], env=environment(), stdout=subprocess.DEVNULL)
        client.delete_function(FunctionName=changing)
        invoke(client, names[0], {})
        assert process.wait(60) == 0
    import_(tmp_path / "file-4", tmp_path / "other")
    other = start(data=tmp_path / "other")
    for function in other.client("lambda").list_functions()["Functions"]:
        assert result(other.client("lambda"), function["FunctionName"], 1) == ["answer", 1]


def test_the_file_is_its_owners_and_says_what_it_holds(exported, tmp_path):
    _, _, file = exported
    assert file.stat().st_mode & 0o777 == 0o600
    again = export(tmp_path / "data", file, check=False)
    assert again.returncode == 2 and "exists already" in again.stderr
    second = export(tmp_path / "data", tmp_path / "second")
    assert "keys and the variables" in second.stderr
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("damage", ["cut", "bent", "nonsense", "empty", "missing"])
def test_what_is_damaged_is_refused_before_anything_is_written(exported, tmp_path, damage):
    _, _, file = exported
    content = bytearray(file.read_bytes())
    bad = tmp_path / "bad"
    if damage == "cut":
        bad.write_bytes(content[: len(content) // 2])
    elif damage == "bent":
        content[len(content) // 2] ^= 1
        bad.write_bytes(content)
    elif damage == "nonsense":
        bad.write_bytes(os.urandom(1000))
    elif damage == "empty":
        bad.write_bytes(b"")
    done = import_(bad, tmp_path / "other", check=False)
    assert done.returncode == 1 and str(bad) in done.stderr, done.stderr
    assert not (tmp_path / "other").exists() and not list(tmp_path.glob(".gust-import-*"))


def test_a_folder_with_something_in_it_is_left_alone(exported, tmp_path):
    _, _, file = exported
    done = import_(file, tmp_path / "data", check=False)
    assert done.returncode == 2 and "not empty" in done.stderr
    (tmp_path / "empty").mkdir()
    import_(file, tmp_path / "empty")


def test_what_is_no_data_folder_is_not_exported(tmp_path):
    done = export(tmp_path, tmp_path / "file", check=False)
    assert done.returncode == 2 and "no data folder" in done.stderr
    assert not (tmp_path / "file").exists()


def test_a_killed_import_leaves_no_half_folder(exported, start, tmp_path):
    _, _, file = exported
    target = tmp_path / "deep" / "other"
    for _ in range(5):
        process = subprocess.Popen([BINARY, "import", str(file), "--data", str(target)], env=environment(), stdout=subprocess.DEVNULL)
        # In the middle, as soon as it writes, unless it was faster.
        begun = lambda: process.poll() is not None or list(tmp_path.glob("deep/.gust-import-*"))
        wait_for(begun, "the import to write", 30, 0.0005)
        process.kill()
        process.wait()
        if target.exists():
            assert (target / "store").exists() and (target / "blobs").exists() and (target / "id").exists()
            break
    if not target.exists():
        import_(file, target)
    assert not list(tmp_path.glob("deep/.gust-import-*"))
    assert len(start(data=target).client("lambda").list_functions()["Functions"]) == 3


def test_a_full_disk_is_said(exported, tmp_path):
    _, _, file = exported
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        done = import_(file, small / "data", check=False)
        assert done.returncode == 1 and "too full" in done.stderr, done.stderr
        filler = small / "filler"
        filler.write_bytes(b"x" * (1 << 20))
        done = export(tmp_path / "data", small / "file", check=False)
        assert done.returncode == 1 and "No space left" in done.stderr, done.stderr
        assert [path.name for path in small.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", str(small)], check=True)
