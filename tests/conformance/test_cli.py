"""The AWS CLI (v1) and gust's own commands, unmodified, against the real binary."""

import base64
import json
import subprocess
import sys
import pathlib

import pytest

from harness.functions import ROLE, create_function, unique
from harness.packages import python_package
from harness.server import environment
from harness.waiting import wait_for

SOURCE = "def handler(event, context):\n    print('line of', event.get('who'))\n    return {'hello': event.get('who')}\n"


@pytest.fixture
def aws(gust, tmp_path):
    variables = environment() | {
        "AWS_ENDPOINT_URL": gust.url,
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "gust",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "HOME": str(tmp_path),
    }
    program = pathlib.Path(sys.executable).parent / "aws"

    def run(*words, status=0):
        done = subprocess.run(
            [str(program), *map(str, words)], env=variables, capture_output=True, text=True, timeout=60, cwd=tmp_path
        )
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        if status:
            return done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


@pytest.mark.inferred
def test_the_life_of_a_function(aws, tmp_path):
    name = unique("cli")
    (tmp_path / "code.zip").write_bytes(python_package(SOURCE))
    made = aws("lambda", "create-function", "--function-name", name, "--runtime", "python3.11", "--role", ROLE,
               "--handler", "app.handler", "--zip-file", "fileb://code.zip", "--tags", "a=b")  # fmt: skip
    aws("lambda", "wait", "function-active-v2", "--function-name", name)
    answer = aws("lambda", "invoke", "--function-name", name, "--payload", '{"who": "cli"}', "--log-type", "Tail", "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {"hello": "cli"}
    assert answer["StatusCode"] == 200 and b"line of cli" in base64.b64decode(answer["LogResult"])
    assert aws("lambda", "get-function", "--function-name", name)["Tags"] == {"a": "b"}
    assert aws("lambda", "list-tags", "--resource", made["FunctionArn"])["Tags"] == {"a": "b"}
    aws("lambda", "update-function-configuration", "--function-name", name, "--timeout", "9")
    aws("lambda", "wait", "function-updated-v2", "--function-name", name)
    aws("lambda", "update-function-code", "--function-name", name, "--zip-file", "fileb://code.zip")
    listed = aws("lambda", "list-functions", "--page-size", "1")["Functions"]
    assert name in [function["FunctionName"] for function in listed]
    assert aws("lambda", "get-account-settings")["AccountUsage"]["FunctionCount"] >= 1
    aws("lambda", "delete-function", "--function-name", name)
    assert "ResourceNotFoundException" in aws("lambda", "get-function", "--function-name", name, status=255)


@pytest.mark.inferred
def test_logs(aws):
    group = unique("/cli/group")
    aws("logs", "create-log-group", "--log-group-name", group)
    aws("logs", "create-log-stream", "--log-group-name", group, "--log-stream-name", "s")
    import time

    events = json.dumps([{"timestamp": int(time.time() * 1000), "message": "from the CLI"}])
    aws("logs", "put-log-events", "--log-group-name", group, "--log-stream-name", "s", "--log-events", events)
    got = aws("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", "s")
    assert [event["message"] for event in got["events"]] == ["from the CLI"]
    got = aws("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "CLI")
    assert len(got["events"]) == 1
    assert aws("logs", "describe-log-groups", "--log-group-name-prefix", group)["logGroups"]
    assert aws("logs", "describe-log-streams", "--log-group-name", group)["logStreams"]
    aws("logs", "delete-log-group", "--log-group-name", group)


@pytest.mark.inferred
def test_roles_and_identity(aws):
    name = unique("cli-role")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})  # fmt: skip
    aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document", trust)
    aws("iam", "attach-role-policy", "--role-name", name, "--policy-arn",
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")  # fmt: skip
    aws("iam", "put-role-policy", "--role-name", name, "--policy-name", "p", "--policy-document",
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}')  # fmt: skip
    assert aws("iam", "get-role", "--role-name", name)["Role"]["RoleName"] == name
    assert "DeleteConflict" in aws("iam", "delete-role", "--role-name", name, status=255)
    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"


@pytest.mark.inferred
def test_gust_invoke(gust, lambda_, tmp_path):
    name = create_function(lambda_, SOURCE)
    event = tmp_path / "event.json"
    event.write_text('{"who": "file"}')
    assert json.loads(gust.command("invoke", name, "-e", event).stdout) == {"hello": "file"}
    assert json.loads(gust.command("invoke", name, "-e", '{"who": "inline"}').stdout) == {"hello": "inline"}
    assert json.loads(gust.command("invoke", name, "-e", "-", input='{"who": "pipe"}').stdout) == {"hello": "pipe"}
    assert "line of log" in gust.command("invoke", name, "-e", '{"who": "log"}', "--log").stderr
    whole = json.loads(gust.command("invoke", name, "-e", '{"who": "x"}', "--json").stdout)
    assert whole["StatusCode"] == 200 and whole["Payload"] == {"hello": "x"} and "REPORT" in whole["LogResult"]
    assert "queued" in gust.command("invoke", name, "--async").stdout


@pytest.mark.inferred
def test_gust_invoke_fails_with_the_function(gust, lambda_):
    name = create_function(lambda_, "def handler(event, context):\n    raise ValueError('no')\n")
    done = gust.command("invoke", name, check=False)
    assert done.returncode == 3 and json.loads(done.stdout)["errorType"] == "ValueError"
    done = gust.command("invoke", "no-such-function", check=False)
    assert done.returncode == 1 and "ResourceNotFoundException" in done.stderr


@pytest.mark.inferred
def test_gust_logs_ls_and_env(gust, lambda_):
    name = create_function(lambda_, SOURCE)
    gust.command("invoke", name, "-e", '{"who": "reader"}')
    wait_for(lambda: "line of reader" in gust.command("logs", name, check=False).stdout, "the line in `gust logs`")
    filtered = gust.command("logs", name, "--filter", "reader", "--json").stdout.splitlines()
    assert [json.loads(line)["message"].strip() for line in filtered] == ["line of reader"]
    assert name in gust.command("ls").stdout
    assert name in [function["FunctionName"] for function in json.loads(gust.command("ls", "--json").stdout)]
    assert f"/aws/lambda/{name}" in gust.command("ls", "groups").stdout
    exports = gust.command("env").stdout
    assert f"export AWS_ENDPOINT_URL={gust.url}\n" in exports and "export AWS_ACCESS_KEY_ID=000000000000\n" in exports


@pytest.mark.inferred
def test_gust_logs_follows(gust, lambda_):
    import subprocess as processes

    from harness.server import BINARY

    name = create_function(lambda_, SOURCE)
    follower = processes.Popen(
        [BINARY, "logs", name, "--follow"],
        env=environment() | {"AWS_ENDPOINT_URL": gust.url},
        stdout=processes.PIPE,
        text=True,
    )
    try:
        gust.command("invoke", name, "-e", '{"who": "follower"}')
        for line in follower.stdout:
            if "line of follower" in line:
                break
        else:
            raise AssertionError("the line never came")
    finally:
        follower.kill()
        follower.communicate()


@pytest.mark.inferred
def test_gust_doctor_reports(gust):
    report = json.loads(gust.command("doctor", "--json").stdout)
    verdicts = {check["check"]: check["verdict"] for check in report["checks"]}
    assert verdicts["sandbox"] in ("good", "note") and verdicts["endpoint"] == "good"
    runtimes = [f"python3.{minor}" for minor in range(9, 15)] + [f"nodejs{major}.x" for major in (18, 20, 22, 24)]
    assert [row["runtime"] for row in report["runtimes"]] == runtimes
    assert report["guarantees"]


@pytest.mark.inferred
def test_versions_aliases_and_concurrency(aws, tmp_path):
    name = unique("cli")
    (tmp_path / "code.zip").write_bytes(python_package(SOURCE))
    aws("lambda", "create-function", "--function-name", name, "--runtime", "python3.11", "--role", ROLE,
        "--handler", "app.handler", "--zip-file", "fileb://code.zip", "--publish")  # fmt: skip
    aws("lambda", "wait", "published-version-active", "--function-name", name, "--qualifier", "1")
    aws("lambda", "wait", "function-updated-v2", "--function-name", name)
    aws("lambda", "update-function-configuration", "--function-name", name, "--memory-size", "256")
    aws("lambda", "wait", "function-updated-v2", "--function-name", name)
    assert aws("lambda", "publish-version", "--function-name", name)["Version"] == "2"
    versions = aws("lambda", "list-versions-by-function", "--function-name", name)["Versions"]
    assert [(it["Version"], it["MemorySize"]) for it in versions] == [("$LATEST", 256), ("1", 128), ("2", 256)]
    alias = aws("lambda", "create-alias", "--function-name", name, "--name", "live", "--function-version", "1",
                "--routing-config", "AdditionalVersionWeights={2=1.0}")  # fmt: skip
    assert alias["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 1.0}}
    answer = aws("lambda", "invoke", "--function-name", f"{name}:live", "--payload", '{"who": "cli"}', "out.json")
    assert answer["ExecutedVersion"] == "2"
    alias = aws("lambda", "update-alias", "--function-name", name, "--name", "live", "--function-version", "2",
                "--routing-config", "AdditionalVersionWeights={}")  # fmt: skip
    assert alias["FunctionVersion"] == "2" and "RoutingConfig" not in alias
    assert "[live]" in aws("lambda", "delete-function", "--function-name", name, "--qualifier", "2", status=255)
    aws("lambda", "delete-function", "--function-name", name, "--qualifier", "1")
    aws("lambda", "put-function-concurrency", "--function-name", name, "--reserved-concurrent-executions", "0")
    stopped = aws("lambda", "invoke", "--function-name", name, "out.json", status=255)
    assert "TooManyRequestsException" in stopped
    aws("lambda", "delete-function-concurrency", "--function-name", name)
    aws("lambda", "invoke", "--function-name", name, "--qualifier", "live", "--payload", "{}", "out.json")


@pytest.mark.inferred
def test_iam_with_its_waiters(aws):
    name = unique("cli")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
    aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document", trust)
    arn = aws("iam", "create-policy", "--policy-name", name, "--policy-document", policy)["Policy"]["Arn"]
    aws("iam", "create-user", "--user-name", name)
    aws("iam", "create-instance-profile", "--instance-profile-name", name)
    for waiter, flag, value in (
        ("role-exists", "--role-name", name),
        ("policy-exists", "--policy-arn", arn),
        ("user-exists", "--user-name", name),
        ("instance-profile-exists", "--instance-profile-name", name),
    ):
        aws("iam", "wait", waiter, flag, value)
    aws("iam", "attach-role-policy", "--role-name", name, "--policy-arn", arn)
    shown = aws("iam", "get-policy-version", "--policy-arn", arn, "--version-id", "v1")["PolicyVersion"]
    assert shown["Document"] == json.loads(policy)
    assert aws("iam", "list-attached-role-policies", "--role-name", name)["AttachedPolicies"][0]["PolicyArn"] == arn
    assert "DeleteConflict" in aws("iam", "delete-policy", "--policy-arn", arn, status=255)
