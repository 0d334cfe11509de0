"""gust dev: a folder is a function, and every save is live at once."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

import pytest

from harness.functions import RUNTIME, create_function, invoke, result, unique
from harness.server import BINARY, environment
from harness.waiting import wait_for

SOURCE = "import os\ndef handler(event, context):\n    print('said', event)\n    return {value}\n"


class Dev:
    """A running `gust dev`; `arguments` are further flags."""

    def __init__(self, folder, *arguments, url, name=None, runtime=RUNTIME, variables=None):
        self.name = name or unique("dev")
        flags = ["--runtime", runtime] if runtime else []
        command = [BINARY, "dev", folder, "--endpoint", url, "--name", self.name, *flags, *arguments]
        variables = environment() | (variables or {})
        self.process = subprocess.Popen(
            [str(part) for part in command], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(line.rstrip("\n") for line in self.process.stdout))
        self._reader.daemon = True
        self._reader.start()

    @property
    def output(self):
        return "\n".join(self.lines)

    def says(self, pattern, timeout_s=30):
        """Waits until its output matches; returns the match."""

        def found():
            match = re.search(pattern, self.output)
            assert match or self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.output}"
            return match

        return wait_for(found, f"{pattern!r} in the output of gust dev", timeout_s)

    def ready(self):
        self.says("Ctrl-C stops")
        return self

    def stop(self, kind=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(kind)
            self.process.wait(60)
        self._reader.join(5)
        return self.process.returncode


def save(path, text):
    """As editors do: a new file takes the place of the old one."""
    new = path.with_name(f"{path.name}.tmp~")
    new.write_text(text)
    new.replace(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "function"
    folder.mkdir()
    (folder / "app.py").write_text(SOURCE.format(value=1))
    return folder


@pytest.fixture
def dev(gust, folder):
    """`dev(*flags, url=...)`: a running one, ended at the end of the test."""
    running = []

    def run(*flags, at=folder, url=gust.url, **options):
        started = Dev(at, *flags, url=url, **options)
        running.append(started)
        return started

    yield run
    for started in running:
        started.stop(signal.SIGKILL)


def becomes(client, name, expected, event=None):
    """Invokes until the result is as expected."""

    def same():
        answer = invoke(client, name, event or {})
        return answer["Payload"] == expected

    wait_for(same, f"{name} to return {expected!r}", 15)


def test_a_save_is_live_at_the_next_invocation(dev, folder, lambda_):
    running = dev().ready()
    assert result(lambda_, running.name, {}) == 1
    for value in (2, 3):
        save(folder / "app.py", SOURCE.format(value=value))
        running.says(f"(?s)(app.py live in .*){{{value - 1}}}")
        assert result(lambda_, running.name, {}) == value
    assert f"({RUNTIME}, app.handler)" in running.output


def test_new_and_deleted_files_count(dev, folder, lambda_):
    running = dev().ready()
    (folder / "lib").mkdir()
    (folder / "lib/part.py").write_text("VALUE = 'from a new folder'\n")
    save(folder / "app.py", "from lib.part import VALUE\ndef handler(event, context):\n    return VALUE\n")
    becomes(lambda_, running.name, "from a new folder")
    (folder / "lib/part.py").unlink()
    running.says(r"lib/part.py \(deleted\) live in")
    assert "No module named" in json.dumps(invoke(lambda_, running.name, {})["Payload"])


def test_a_file_behind_a_link_and_one_that_only_its_owner_may_read(dev, folder, lambda_, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "common.py").write_text("VALUE = 1\n")
    (shared / "common.py").chmod(0o600)
    (folder / "common").symlink_to(shared)
    (folder / "app.py").write_text("from common.common import VALUE\ndef handler(event, context):\n    return VALUE\n")
    running = dev().ready()
    assert result(lambda_, running.name, {}) == 1
    (shared / "common.py").write_text("VALUE = 2\n")
    becomes(lambda_, running.name, 2)


def test_an_error_in_the_code_is_shown_when_it_is_invoked_and_goes_with_the_next_save(dev, folder, lambda_):
    running = dev("--invoke", '{"asked": true}').ready()
    running.says("=> 1 ")
    save(folder / "app.py", "def handler(event, context)\n    return 2\n")
    running.says("=> .*Runtime.UserCodeSyntaxError")
    save(folder / "app.py", SOURCE.format(value=3))
    running.says("=> 3 ")
    running.says("said {'asked': True}")


def test_the_event_of_each_invocation_is_read_again(dev, folder, tmp_path):
    event = tmp_path / "event.json"
    event.write_text('{"number": 1}')
    (folder / "app.py").write_text("def handler(event, context):\n    return event\n")
    running = dev("--invoke", event).ready()
    running.says('=> {"number": 1}')
    event.write_text('{"number": 2}')
    save(folder / "app.py", "def handler(event, context):\n    return event | {'again': True}\n")
    running.says('=> {"number": 2, "again": true}')


def test_at_the_end_the_function_keeps_the_last_code(dev, folder, lambda_):
    running = dev().ready()
    save(folder / "app.py", SOURCE.format(value=2))
    running.says("live in")
    assert running.stop() == 0
    assert "keeps the last code" in running.output
    assert result(lambda_, running.name, {}) == 2
    uploaded = lambda_.get_function(FunctionName=running.name)["Configuration"]["CodeSize"]
    assert uploaded > 0


def test_after_a_kill_what_was_deployed_runs_again_and_nothing_is_left(dev, folder, start, tmp_path):
    gust = start(data=tmp_path / "data")
    client = gust.client("lambda")
    running = dev(url=gust.url).ready()
    save(folder / "app.py", SOURCE.format(value=2))
    running.says("live in")
    assert result(client, running.name, {}) == 2
    running.stop(signal.SIGKILL)
    becomes(client, running.name, 1)
    left = lambda: not list((tmp_path / "data/code").glob(".unfinished-*"))
    wait_for(left, "the copies of the code to go", 30)


def test_a_function_that_is_there_keeps_its_configuration(dev, folder, lambda_):
    name = create_function(lambda_, SOURCE.format(value=9), Handler="app.handler", Timeout=17, MemorySize=200,
                           Environment={"Variables": {"KEPT": "1"}})
    dev("--env", "ADDED=2", "--memory", "256", name=name).ready()
    configuration = lambda_.get_function_configuration(FunctionName=name)
    assert (configuration["Timeout"], configuration["MemorySize"]) == (17, 256)
    assert configuration["Environment"]["Variables"] == {"KEPT": "1", "ADDED": "2"}
    assert result(lambda_, name, {}) == 1


def test_one_function_is_developed_once_at_a_time(dev, lambda_):
    running = dev().ready()
    second = dev(name=running.name)
    assert second.process.wait(30) == 1
    second.stop()
    assert "another `gust dev` develops" in second.output
    assert result(lambda_, running.name, {}) == 1


def test_what_is_too_large_is_refused_and_later_not_taken_over(dev, folder, lambda_):
    limit = 262_144_000
    with open(folder / "big", "wb") as big:
        big.truncate(limit)
    refused = dev()
    assert refused.process.wait(30) == 2
    refused.stop()
    assert "250 MB" in refused.output
    (folder / "big").unlink()
    running = dev().ready()
    with open(folder / "big", "wb") as big:
        big.truncate(limit)
    running.says("not taken over, the last code runs on: .*250 MB")
    assert result(lambda_, running.name, {}) == 1


def test_a_folder_that_goes_and_comes_back(dev, folder, lambda_):
    running = dev().ready()
    away = folder.with_name("away")
    folder.rename(away)
    running.says("is gone: the last code runs on")
    assert result(lambda_, running.name, {}) == 1
    (away / "app.py").write_text(SOURCE.format(value=2))
    away.rename(folder)
    becomes(lambda_, running.name, 2)


def test_it_brings_its_own_gust_which_ends_with_it(dev, folder):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    for kind in (signal.SIGINT, signal.SIGKILL):
        running = dev("--invoke", "{}", url=url)
        running.says("=> 1 ", 60)
        assert "of its own" in running.output
        running.stop(kind)

        def is_free():
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) != 0

        wait_for(is_free, "its gust to end", 30)


def test_without_a_door_every_save_is_uploaded(dev, folder, start):
    gust = start("--auth", "strict")
    key = dict(re.findall(r"export (AWS_[A-Z_]+)=(\S+)", gust.output))
    client = gust.client("lambda", key=key["AWS_ACCESS_KEY_ID"], secret=key["AWS_SECRET_ACCESS_KEY"])
    iam = gust.client("iam", key=key["AWS_ACCESS_KEY_ID"], secret=key["AWS_SECRET_ACCESS_KEY"])
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="dev", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    running = dev("--role", role, url=gust.url, variables=key).ready()
    assert "every save is uploaded" in running.output
    assert result(client, running.name, {}) == 1
    save(folder / "app.py", SOURCE.format(value=2))
    running.says("app.py live in")
    assert result(client, running.name, {}) == 2
    assert gust.health()["dev_socket"] is None
    refused = dev("--debug", url=gust.url, variables=key)
    assert refused.process.wait(30) == 1


@pytest.mark.parametrize(
    "files, flags, message",
    [
        ({"README.md": ""}, [], "name the --runtime"),
        ({"app.py": "x = 1\n"}, [], "name it with --handler"),
        ({"bootstrap": "#!/bin/sh\n"}, [], "chmod"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(gust, tmp_path, files, flags, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = [BINARY, "dev", str(tmp_path), "--endpoint", gust.url, "--name", unique("dev"), *flags]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and message in done.stderr, done.stderr


def test_a_custom_runtime_is_recognised_by_its_bootstrap(gust, tmp_path, lambda_, dev):
    bootstrap = """#!/usr/bin/env python3
import json, os, urllib.request
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{api}/next") as event:
        request = event.headers["Lambda-Runtime-Aws-Request-Id"]
    urllib.request.urlopen(f"{api}/{request}/response", data=b'"VALUE"').read()
"""
    path = tmp_path / "custom"
    path.mkdir()
    (path / "bootstrap").write_text(bootstrap.replace("VALUE", "one"))
    (path / "bootstrap").chmod(0o755)
    name = unique("dev")
    running = dev("--memory", "256", at=path, name=name, runtime=None).ready()
    assert "(provided.al2023, bootstrap)" in running.output
    assert result(lambda_, name, {}) == "one"
    new = path / "bootstrap.new~"
    new.write_text(bootstrap.replace("VALUE", "two"))
    new.chmod(0o755)
    new.replace(path / "bootstrap")
    becomes(lambda_, name, "two")


def test_the_door_is_for_the_same_user_only(start, tmp_path):
    gust = start(data=tmp_path / "data")
    door = pathlib.Path(gust.health()["dev_socket"])
    assert door.stat().st_mode & 0o777 == 0o600
    assert door.parent.stat().st_mode & 0o077 == 0
    if os.geteuid() != 0:
        return
    # Even if the folder and the socket were opened to everybody.
    for path in (tmp_path.parents[1], tmp_path.parents[0], tmp_path, door.parent):
        path.chmod(0o755)
    door.chmod(0o666)
    attempt = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.exit(0 if s.recv(10) == b'' else 1)"
    turned_away = subprocess.run(["/usr/bin/python3", "-c", attempt, str(door)], user=65534, group=65534, timeout=20)
    assert turned_away.returncode == 0


def test_the_door_takes_no_foreign_folder_and_no_nonsense(start, tmp_path):
    gust = start(data=tmp_path / "data")
    name = create_function(gust.client("lambda"), SOURCE.format(value=1))
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"

    def talk(*orders):
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(20)
            door.connect(gust.health()["dev_socket"])
            stream = door.makefile("rwb", buffering=0)
            stream.write(b'"develop"\n')
            own = json.loads(stream.readline())["folder"]
            answers = []
            for order in orders:
                try:
                    stream.write(json.dumps(order(own)).encode() + b"\n")
                    answers.append(json.loads(stream.readline() or b"null"))
                except (BrokenPipeError, ConnectionResetError):
                    # It hung up on what it had not read to its end.
                    answers.append(None)
            return answers

    order = lambda folder: lambda own: {"arn": arn, "folder": folder(own), "debug": None}
    foreign = [order(lambda own: "/etc"), order(lambda own: own), order(lambda own: own + "/.."), order(lambda own: own + "/none")]
    for answer in talk(*foreign):
        assert "no folder of this session" in answer["refused"]["reason"], answer
    missing = lambda own: {"arn": arn + "-missing", "folder": own, "debug": None}
    assert "refused" in talk(missing)[0]
    assert talk(lambda own: {"nonsense": "x" * 100_000})[0] is None
    assert result(gust.client("lambda"), name, {}) == 1
