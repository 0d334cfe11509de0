"""gust dev --debug: a debugger on this machine attaches to a function in its sandbox, and others are not disturbed."""

import itertools
import json
import socket
import threading
import time
import urllib.request

import pytest

from harness.functions import create_function, invoke, result
from harness.waiting import wait_for
from test_dev import Dev, dev, folder, save  # noqa: F401: fixtures

SOURCE = """import os
def handler(event, context):
    secret = event["number"] * 2
    return [secret, context.get_remaining_time_in_millis() > 1_000_000]
"""
BREAK_LINE = 4


class Debugger:
    """As much of the Debug Adapter Protocol as it takes: https://microsoft.github.io/debug-adapter-protocol/"""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.settimeout(30)
        self.stream = self.socket.makefile("rb")
        self.numbers = itertools.count(1)
        self.events = []
        self.responses = {}

    def send(self, command, **arguments):
        number = next(self.numbers)
        body = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return number

    def read(self):
        length = 0
        while line := self.stream.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return json.loads(self.stream.read(length))

    def answer(self, number):
        while number not in self.responses:
            self.take()
        message = self.responses.pop(number)
        assert message["success"], message
        return message.get("body")

    def take(self):
        """Reads a message; answers come in any order."""
        message = self.read()
        if message["type"] == "event":
            self.events.append(message)
        elif message["type"] == "response":
            self.responses[message["request_seq"]] = message

    def ask(self, command, **arguments):
        return self.answer(self.send(command, **arguments))

    def event(self, name):
        while True:
            for message in self.events:
                if message["event"] == name:
                    self.events.remove(message)
                    return message.get("body")
            self.take()

    def attach(self, line):
        self.ask("initialize", clientID="test", adapterID="debugpy", pathFormat="path", linesStartAt1=True)
        attached = self.send("attach", justMyCode=False)
        self.event("initialized")
        self.ask("setBreakpoints", source={"path": "/var/task/app.py"}, breakpoints=[{"line": line}])
        self.ask("configurationDone")
        self.answer(attached)

    def close(self):
        self.socket.close()


@pytest.fixture
def debugged(dev, folder):  # noqa: F811
    (folder / "app.py").write_text(SOURCE)

    def run(*flags):
        running = dev("--debug=0", "--memory", "512", *flags)
        return running, int(running.says(r"attach debugpy to 127\.0\.0\.1:(\d+)", 180).group(1))

    return run


def in_background(client, name, event):
    outcome = {}
    thread = threading.Thread(target=lambda: outcome.update(invoke(client, name, event)), daemon=True)
    thread.start()
    return thread, outcome


def test_a_breakpoint_stops_one_function_and_no_other(debugged, lambda_):
    running, port = debugged("--timeout", "1")
    neighbour = create_function(lambda_, "def handler(event, context):\n    return 'here'\n")
    debugger = Debugger(port)
    debugger.attach(BREAK_LINE)
    thread, outcome = in_background(lambda_, running.name, {"number": 21})
    thread_id = debugger.event("stopped")["threadId"]
    # Longer than the function's time limit, which does not count meanwhile.
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert result(lambda_, neighbour, {}) == "here"
    frame = debugger.ask("stackTrace", threadId=thread_id, levels=1)["stackFrames"][0]
    assert frame["source"]["path"] == "/var/task/app.py" and frame["line"] == BREAK_LINE
    assert debugger.ask("evaluate", expression="secret", frameId=frame["id"])["result"] == "42"
    debugger.ask("continue", threadId=thread_id)
    thread.join(30)
    assert outcome["Payload"] == [42, True], outcome
    debugger.close()


def test_it_runs_without_a_debugger_and_the_environment_is_kept(debugged, lambda_):
    running, _ = debugged()
    assert result(lambda_, running.name, {"number": 1}) == [2, True]
    streams = {invoke(lambda_, running.name, {"number": 1}, LogType="Tail")["Log"].count("Init Duration") for _ in range(3)}
    assert streams == {0}


def test_it_waits_for_a_debugger_if_asked_to(debugged, lambda_):
    running, port = debugged("--wait")
    thread, outcome = in_background(lambda_, running.name, {"number": 3})
    thread.join(1.5)
    assert thread.is_alive(), outcome
    debugger = Debugger(port)
    debugger.attach(BREAK_LINE)
    debugger.ask("continue", threadId=debugger.event("stopped")["threadId"])
    thread.join(30)
    assert outcome["Payload"][0] == 6
    debugger.close()


def test_after_a_save_the_debugger_attaches_to_the_new_code(debugged, folder, lambda_):  # noqa: F811
    running, port = debugged()
    save(folder / "app.py", SOURCE.replace("* 2", "* 3"))
    running.says("app.py live in")
    assert result(lambda_, running.name, {"number": 2})[0] == 6
    debugger = Debugger(port)
    debugger.attach(BREAK_LINE)
    thread, outcome = in_background(lambda_, running.name, {"number": 5})
    debugger.ask("continue", threadId=debugger.event("stopped")["threadId"])
    thread.join(30)
    assert outcome["Payload"][0] == 15
    debugger.close()


def test_the_port_is_closed_with_it(debugged):
    running, port = debugged()
    running.stop()

    def is_closed():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) != 0

    wait_for(is_closed, "the port to be closed", 20)


def test_a_port_that_is_taken_is_said(dev, folder):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = dev(f"--debug={taken.getsockname()[1]}")
        assert running.process.wait(180) == 1
        running.stop()
    assert "cannot listen on port" in running.output


def test_the_inspector_of_node_is_reached(gust, tmp_path, lambda_):
    if "nodejs22.x" not in (gust.health()["runtimes"] or {}):
        pytest.skip("this gust has no Node")
    fits = gust.health()["runtimes"]
    runtime = next((name for name, fit in fits.items() if name.startswith("nodejs") and fit == "exact"), "nodejs22.x")
    path = tmp_path / "node"
    path.mkdir()
    (path / "index.mjs").write_text("export const handler = async (event) => event.number * 2;\n")
    running = Dev(path, "--debug=0", "--memory", "512", runtime=runtime, url=gust.url)
    try:
        port = running.says(r"attach to Node at 127\.0\.0\.1:(\d+)", 60).group(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
            targets = json.load(answer)
        assert targets and targets[0]["type"] == "node", targets
        assert result(lambda_, running.name, {"number": 4}) == 8
    finally:
        running.stop()
