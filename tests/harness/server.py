"""A gust of our own: the real binary on a free port, ended and checked at the end of the test."""

import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import urllib.request

import boto3
import botocore.config

from .waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GUST_BINARY", str(ROOT / "target/debug/gust"))
CACHE = ROOT / "target/test-cache"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 60


def environment():
    """The test's environment without anything that points AWS tools elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GUST_"))}
    kept.update(XDG_CACHE_HOME=str(CACHE), NO_COLOR="1", AWS_EC2_METADATA_DISABLED="true")
    return kept


class Gust:
    """A running gust. `arguments` are further flags of `gust up`, `popen` further arguments of subprocess.Popen."""

    def __init__(self, *arguments, port=0, data=None, log="info", binary=BINARY, variables=None, popen=None):
        where = ["--data", str(data)] if data else ["--ephemeral"]
        command = [str(binary), "up", "--port", str(port), *where, *map(str, arguments)]
        self.lines = []
        self.url = None
        self.process = subprocess.Popen(
            command,
            env=environment() | {"GUST_LOG": log} | (variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            **(popen or {}),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            found = re.search(r"serves? (?:at )?(http://[^\s]+)", line)
            if found and not self.url:
                self.url = found.group(1)

    @property
    def output(self):
        return "\n".join(self.lines)

    def ready(self):
        """Waits until it serves; returns itself."""
        wait_for(
            lambda: self.url or self.process.poll() is not None, f"gust to serve:\n{self.output}", START_TIMEOUT_S
        )
        if not self.url:
            self._reader.join(5)
            raise AssertionError(f"gust ended with {self.process.returncode}:\n{self.output}")
        wait_for(lambda: self.process.poll() is not None or self.health_or_none(), "health", START_TIMEOUT_S)
        return self

    def with_sdk(self, language="python"):
        """Waits until functions have boto3; returns itself."""
        settled = lambda: self.health()["sdk"][language]["state"] != "installing"
        wait_for(settled, f"the SDK for {language}", 300, 0.2)
        assert self.health()["sdk"][language]["state"] == "ready", self.output
        return self

    def with_node_sdk(self):
        """Waits until functions have the AWS SDK for JavaScript; returns itself."""
        return self.with_sdk("node")

    def health(self):
        with urllib.request.urlopen(self.url + "/_gust/health", timeout=10) as answer:
            return json.load(answer)

    def health_or_none(self):
        try:
            return self.health()
        except OSError:
            return None

    def move_clock(self, seconds):
        """Moves the clock of an ephemeral gust forward; returns what it shows, in milliseconds since the epoch."""
        body = json.dumps({"advance_ms": int(seconds * 1000)}).encode()
        request = urllib.request.Request(self.url + "/_gust/clock", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["now_ms"]

    def client(self, service, region="us-east-1", key="000000000000", secret="gust", validate=True, **options):
        config = botocore.config.Config(
            retries={"total_max_attempts": 1},
            parameter_validation=validate,
            read_timeout=120,
            max_pool_connections=100,
            **options,
        )
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=config,
        )

    def command(self, *arguments, check=True, variables=None, **options):
        """Runs `gust <arguments>` against this gust."""
        variables = environment() | {"AWS_ENDPOINT_URL": self.url} | (variables or {})
        done = subprocess.run(
            [BINARY, *map(str, arguments)], env=variables, capture_output=True, text=True, timeout=60, **options
        )
        if check:
            assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def kill(self):
        """kill -9 of the daemon; its spawner cleans up by itself."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_S)
        self._reader.join(STOP_TIMEOUT_S)

    def stop(self):
        """Ends it gracefully; fails if it does not end well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError(f"gust did not stop within {STOP_TIMEOUT_S} s:\n{self.output}") from None
        self._reader.join(5)
        assert self.process.returncode in (0, -signal.SIGKILL), f"{self.process.returncode}:\n{self.output}"
        panics = [line for line in self.lines if "panicked at" in line]
        assert not panics, f"gust panicked:\n{self.output}"

    def __enter__(self):
        return self.ready()

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"--- output of gust ---\n{self.output}")
        self.stop()


def run_gust(*arguments, timeout_s=30):
    """Runs the binary to its end."""
    return subprocess.run(
        [BINARY, *map(str, arguments)], env=environment(), capture_output=True, text=True, timeout=timeout_s
    )
