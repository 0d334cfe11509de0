"""gust run by an ordinary user: weaker guarantees, said plainly, and functions that run."""

import subprocess

import pytest

from harness.functions import create_function, invoke, result
from harness.ordinary import SYSTEM_PYTHON, can_be_tried, ordinary_gust, ordinary_home

pytestmark = pytest.mark.skipif(not can_be_tried(), reason="needs root to become nobody, user namespaces and a system Python")


@pytest.fixture(scope="module")
def ordinary():
    with ordinary_home() as home:
        sdk = home / "sdk"
        (sdk / "boto3").mkdir(parents=True)
        (sdk / "boto3/__init__.py").touch()
        with ordinary_gust(home, "--sdk", sdk) as gust:
            yield gust


@pytest.fixture(scope="module")
def runtime():
    version = subprocess.run([SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True)
    return f"python{version.stdout.strip()}"


def test_the_weaker_guarantees_are_said(ordinary):
    health = ordinary.health()
    assert health["mode"] in ("User", "UserDelegatedV2")
    assert any(row["kept"] != "kernel" for row in health["guarantees"])
    assert "ordinary user" in ordinary.output


def test_functions_run_and_are_confined(ordinary, runtime):
    source = (
        "import os\n"
        "def handler(event, context):\n"
        "    pids = [name for name in os.listdir('/proc') if name.isdigit()]\n"
        "    return [event, os.getuid(), len(pids), os.path.exists('/home'), os.path.exists('/root')]\n"
    )
    name = create_function(ordinary.client("lambda"), source, Runtime=runtime)
    event, uid, processes, *host = result(ordinary.client("lambda"), name, {"a": 1})
    assert event == {"a": 1} and uid != 0 and processes <= 5 and host == [False, False]


def test_time_out_and_memory_limit_hold(ordinary, runtime):
    client = ordinary.client("lambda")
    name = create_function(client, "import time\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=1, Runtime=runtime)
    assert invoke(client, name, {})["Payload"]["errorType"] == "Sandbox.Timedout"
    greedy = "import time\ndef handler(event, context):\n    kept = bytearray(600 * 1024 * 1024)\n    time.sleep(20)\n"
    name = create_function(client, greedy, Timeout=25, Runtime=runtime)
    payload = invoke(client, name, {})["Payload"]
    assert payload["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError"), payload
