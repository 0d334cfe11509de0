"""Functions that attack, against the real binary, in each mode that this machine and user allow.

Every folder is a guarantee: `attack.py` is the function, deployed as it stands together with `probe.py`, and the test says
what must come of it. After each test a function of somebody else's must still answer at once.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

from harness.functions import create_function, invoke
from harness.packages import package
from harness.server import BINARY, Gust
from harness.waiting import wait_for

HERE = pathlib.Path(__file__).parent
NOBODY = 65534
SYSTEM_PYTHON = pathlib.Path("/usr/bin/python3")
# A neighbour answers within this, whatever goes on: far more than it needs, far less than a hang.
NEIGHBOUR_S = 10
IS_ROOT = os.geteuid() == 0


def namespaces_are_allowed():
    limit = pathlib.Path("/proc/sys/user/max_user_namespaces")
    return not limit.exists() or limit.read_text().strip() != "0"


def modes():
    """The modes that can be tried here: as root both, because root can become an ordinary user."""
    if not IS_ROOT:
        return ["user"]
    can_become_nobody = SYSTEM_PYTHON.exists() and namespaces_are_allowed()
    return ["root", "user"] if can_become_nobody else ["root"]


class Cloud:
    """A gust in one mode, and the functions in it."""

    def __init__(self, gust, mode, runtime):
        self.gust, self.mode, self.runtime = gust, mode, runtime
        self.client = gust.client("lambda")
        self.logs = gust.client("logs")
        self.neighbour = self.deploy_source("def handler(event, context):\n    return 'here'\n")

    def deploy_source(self, source, **options):
        return self.create({"app.py": source}, **options)

    def deploy(self, folder, **options):
        """Deploys a folder's attack; returns the function's name."""
        files = {"app.py": (folder / "attack.py").read_text(), "probe.py": (HERE / "probe.py").read_text()}
        return self.create(files, **options)

    def create(self, files, **options):
        options = {"Runtime": self.runtime, "MemorySize": 256, "Timeout": 30} | options
        return create_function(self.client, ZipFile=package(files), **options)

    def run(self, name, attack, **arguments):
        """Runs one attack; returns the whole answer. Its payload may be anything: what is no JSON stays bytes."""
        event = json.dumps({"attack": attack, "with": arguments})
        answer = self.client.invoke(FunctionName=name, Payload=event)
        body = answer["Payload"].read()
        try:
            answer["Payload"] = json.loads(body)
        except ValueError:
            answer["Payload"] = body
        return answer

    def result(self, name, attack, **arguments):
        """Runs one attack that has to come to its end; returns what it found."""
        answer = self.run(name, attack, **arguments)
        assert "FunctionError" not in answer, answer["Payload"]
        return answer["Payload"]

    def assert_responsive(self):
        began = time.monotonic()
        answer = invoke(self.client, self.neighbour, {})
        assert answer["Payload"] == "here", answer
        assert self.gust.health()["status"] == "ok"
        took = time.monotonic() - began
        assert took < NEIGHBOUR_S, f"a neighbour took {took:.1f} s"


def ordinary_user_gust(home):
    """Arguments that run a copy of the binary as nobody, with its home in `home`."""
    binary = shutil.copy(BINARY, home / "gust")
    os.chown(home, NOBODY, NOBODY)
    variables = {"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(home / "cache")}
    popen = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": home}
    return {"binary": binary, "variables": variables, "popen": popen}


def system_runtime():
    version = "import sys; print('python%d.%d' % sys.version_info[:2])"
    return subprocess.run([SYSTEM_PYTHON, "-c", version], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session", params=modes())
def cloud(request):
    mode = request.param
    home = pathlib.Path(tempfile.mkdtemp(prefix="gust-test-sandbox-"))
    home.chmod(0o755)
    # A stand-in for the SDK: these functions need none, and nothing has to be fetched.
    (home / "sdk/boto3").mkdir(parents=True)
    (home / "sdk/boto3/__init__.py").touch()
    options = ordinary_user_gust(home) if IS_ROOT and mode == "user" else {}
    runtime = system_runtime() if options else "python3.11"
    try:
        with Gust("--sdk", home / "sdk", "--egress", "none", **options) as gust:
            yield Cloud(gust, mode, runtime)
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def function(cloud, request):
    """The folder's attack, deployed once."""
    return cloud.deploy(request.path.parent)


@pytest.fixture(autouse=True)
def neighbours_stay_responsive(cloud):
    yield
    cloud.assert_responsive()


@pytest.fixture
def log_of(cloud):
    """`log_of(name, until)`: the messages of a function's log once `until(messages)` holds."""

    def read(name, until, timeout_s=20):
        def messages():
            try:
                pages = cloud.logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
                found = [event["message"] for page in pages for event in page["events"]]
            except cloud.logs.exceptions.ResourceNotFoundException:
                return None
            return found if until(found) else None

        return wait_for(messages, f"the log of {name}", timeout_s, 0.1)

    return read


def has_no_function(pid):
    """Whether it sees no function's code: gust's own, and those of sandboxes that were made ahead."""
    try:
        mounts = pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return False
    return bool(mounts) and " /var/task " not in mounts


def sandbox_processes(gust):
    """The processes of functions below gust's spawner, as the host sees them: pid -> command line."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        children.setdefault(int(stat[1]), []).append((int(entry.name), command))
    found, todo = {}, [gust.process.pid]
    while todo:
        for pid, command in children.get(todo.pop(), []):
            if not has_no_function(pid):
                found[pid] = command
            todo.append(pid)
    return found


@pytest.fixture
def processes(cloud):
    return lambda: sandbox_processes(cloud.gust)
