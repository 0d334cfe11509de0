"""Interpreters of the machine, and custom runtimes."""

import json
import subprocess
import sys

import pytest

from harness.functions import create_function, invoke, log_lines, result
from harness.packages import folder_package, package
from harness.server import ROOT

VERSION = "import sys\ndef handler(event, context):\n    return list(sys.version_info[:2])\n"


@pytest.fixture(scope="module")
def found(gust):
    """runtime -> (fit, version) as `gust doctor` sees them."""
    report = json.loads(gust.command("doctor", "--json").stdout)
    return {row["runtime"]: (row["fit"], row["version"]) for row in report["runtimes"]}


@pytest.mark.parametrize("minor", range(9, 15))
def test_every_python_runtime_runs_on_what_the_machine_has(lambda_, logs, found, minor):
    runtime = f"python3.{minor}"
    fit, version = found[runtime]
    if fit == "missing":
        pytest.skip("this machine has no Python for it")
    name = create_function(lambda_, VERSION, Runtime=runtime)
    assert result(lambda_, name) == [int(part) for part in version.split(".")[:2]]
    if fit == "exact":
        assert version.startswith(f"3.{minor}.")
    else:
        warned = lambda lines: any(runtime in line and version in line for line in lines)
        log_lines(logs, name, warned)


@pytest.mark.parametrize("minor", range(9, 15))
def test_every_python_runtime_has_boto3_and_reaches_gust(lambda_, found, minor):
    runtime = f"python3.{minor}"
    if found[runtime][0] == "missing":
        pytest.skip("this machine has no Python for it")
    source = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n"
    name = create_function(lambda_, source, Runtime=runtime, MemorySize=1769, Timeout=30)
    assert result(lambda_, name).endswith(f"/{name}")


def test_strict_runtimes_refuse_a_nearest_interpreter(start, found):
    missing = [runtime for runtime, (fit, _) in found.items() if fit == "nearest"]
    if not missing:
        pytest.skip("this machine has every Python")
    gust = start("--strict-runtimes")
    client = gust.client("lambda")
    name = create_function(client, VERSION, Runtime=missing[0], wait=False)
    import botocore.exceptions

    with pytest.raises(botocore.exceptions.ClientError) as refused:
        invoke(client, name)
    assert missing[0] in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize("runtime", ["provided.al2", "provided.al2023"])
def test_a_rust_function_runs_as_a_custom_runtime(lambda_, runtime):
    binary = ROOT / "target/standalone/debug/rust-echo"
    assert binary.exists(), "cargo xtask test e2e builds it"
    code = package({"bootstrap": (binary.read_bytes(), 0o755)})
    name = create_function(lambda_, ZipFile=code, Runtime=runtime, Handler="unused", Timeout=20)
    event = {"name": "rust", "list": [1, 2]}
    answer = invoke(lambda_, name, event, LogType="Tail")
    assert "FunctionError" not in answer, answer
    assert answer["Payload"]["event"] == event
    assert answer["Payload"]["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert answer["Payload"]["function"] == name
    assert "hello from rust" in answer["Log"] and "REPORT RequestId" in answer["Log"]
    failed = invoke(lambda_, name, {"fail": "on purpose"})
    assert failed["FunctionError"] == "Unhandled" and failed["Payload"]["errorMessage"] == "on purpose"
    assert result(lambda_, name, 1)["event"] == 1


def test_a_rust_function_streams_its_response(lambda_):
    binary = ROOT / "target/standalone/debug/rust-echo"
    code = package({"bootstrap": (binary.read_bytes(), 0o755)})
    name = create_function(lambda_, ZipFile=code, Runtime="provided.al2023", Handler="stream", Timeout=20)

    def streamed(event):
        answer = lambda_.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event).encode())
        events = list(answer["EventStream"])
        text = b"".join(event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event)
        return body(text), events[-1]["InvokeComplete"]

    def body(streamed):
        """The official client puts the metadata of an HTTP response before everything that it streams."""
        metadata, body = streamed.split(bytes(8))
        assert json.loads(metadata)["statusCode"] == 200
        return body.decode()

    assert streamed({"words": ["one", "two"]}) == ("one two ", {})
    # Its version 1.5 announces trailers for an error in mid-stream and then writes them into the body, where
    # nobody can tell them from data. (Real trailers are tested in crates/runtime-api/tests/transports.rs.)
    text, complete = streamed({"words": ["one"], "fail": "now"})
    assert text.startswith("one Lambda-Runtime-Function-Error-Type:") and complete == {}, (text, complete)
    assert streamed({"words": ["again"]}) == ("again ", {}), "the environment lives on"
    collected = lambda_.invoke(FunctionName=name, Payload=b'{"words": ["a", "b"]}')
    assert body(collected["Payload"].read()) == "a b "


def test_a_package_without_bootstrap_fails_by_name(lambda_):
    name = create_function(lambda_, ZipFile=package({"readme": "no bootstrap"}), Runtime="provided.al2023", Handler="x")
    payload = invoke(lambda_, name, {})["Payload"]
    assert payload["errorType"] == "Runtime.InvalidEntrypoint"


SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def ric(tmp_path_factory):
    """awslambdaric from PyPI with a handler, packed as a custom runtime on the system's own Python."""
    probe = subprocess.run([SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True)
    version = probe.stdout.strip()
    if probe.returncode or tuple(map(int, version.split("."))) < (3, 10):
        pytest.skip(f"this machine has no {SYSTEM_PYTHON} 3.10 or newer")
    folder = tmp_path_factory.mktemp("ric")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
    wheels = ["--only-binary=:all:", "--platform=manylinux2014_x86_64", f"--python-version={version}"]
    packages = ["awslambdaric==4.2.2", "simplejson==4.3.0", "snapshot-restore-py==1.0.0"]
    subprocess.run([*pip, *wheels, "--target", folder, *packages], check=True)
    (folder / "app.py").write_text("def handler(event, context):\n    print('from ric')\n    return [event, context.aws_request_id]\n")
    (folder / "bootstrap").write_text(
        f'#!/bin/sh\nexport PYTHONPATH=/var/task\nexec {SYSTEM_PYTHON} -m awslambdaric "$_HANDLER"\n'
    )
    return folder_package(folder, executables={"bootstrap"})


def test_the_official_python_client_runs_as_a_custom_runtime(lambda_, ric):
    name = create_function(lambda_, ZipFile=ric, Runtime="provided.al2023", Timeout=20, MemorySize=256)
    answer = invoke(lambda_, name, {"a": 1}, LogType="Tail")
    assert answer["Payload"] == [{"a": 1}, answer["ResponseMetadata"]["RequestId"]], answer
    assert "from ric" in answer["Log"]


def test_a_variable_that_acts_at_exec_is_honoured(lambda_):
    source = "import sys, os\ndef handler(event, context):\n    return [sys.flags.optimize, os.environ['PYTHONOPTIMIZE']]\n"
    name = create_function(lambda_, source, Environment={"Variables": {"PYTHONOPTIMIZE": "2"}})
    assert result(lambda_, name) == [2, "2"]
