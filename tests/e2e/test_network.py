"""`gust up` as root gives functions a network: behind the machine's address, and gone with gust.

A namespace with a server in it stands for the internet. What environments can and cannot reach is tested closer to the
kernel, in crates/sandbox/tests/network.rs.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from harness.functions import create_function, result
from harness.server import BINARY, environment
from harness.waiting import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks")

# TEST-NET-2: nobody's.
HOST, OUTSIDE = "198.51.100.1", "198.51.100.2"

SERVER = """
import socket
server = socket.create_server(("0.0.0.0", 7000))
print("ready", flush=True)
while True:
    connection, peer = server.accept()
    connection.sendall(peer[0].encode())
    connection.close()
"""

SOURCE = """
import os, socket

def handler(event, context):
    if event == "name servers":
        return open("/etc/resolv.conf").read()
    try:
        with socket.create_connection(tuple(event), 5) as connection:
            return connection.recv(100).decode()
    except OSError as error:
        return type(error).__name__
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def outside():
    """A machine that can be reached; the name of the device that leads there."""
    name = f"gt{os.getpid()}"
    ip("netns", "add", name)
    ip("link", "add", name, "type", "veth", "peer", "name", "lan", "netns", name)
    ip("address", "add", f"{HOST}/30", "dev", name)
    ip("link", "set", name, "up")
    ip("-n", name, "address", "add", f"{OUTSIDE}/30", "dev", "lan")
    ip("-n", name, "link", "set", "lan", "up")
    command = ["nsenter", f"--net=/run/netns/{name}", "python3", "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        yield name
        server.kill()
    ip("link", "delete", name)
    ip("netns", "delete", name)


def gust_devices():
    return {path.name for path in pathlib.Path("/sys/class/net").iterdir() if path.name.startswith("gust-")}


def test_functions_reach_the_internet_by_default_and_nothing_is_left(start, outside):
    others = gust_devices()
    gust = start("--dns", "198.51.100.53")
    client = gust.client("lambda")
    name = create_function(client, SOURCE)
    assert result(client, name, [OUTSIDE, 7000]) == HOST
    assert result(client, name, "name servers").splitlines()[0] == "nameserver 198.51.100.53"
    port = int(gust.url.rsplit(":", 1)[1])
    assert result(client, name, [HOST, port]) == "ConnectionRefusedError"
    (device,) = gust_devices() - others
    gust.kill()
    wait_for(lambda: device not in gust_devices(), "gust's device to be gone")


def test_what_cannot_be_is_refused_at_the_start():
    def refusal(*flags):
        command = [BINARY, "up", "--ephemeral", "--port", "0", *flags]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    for flags, said in [
        (["--egress", "none", "--nat-range", "10.9.0.0/16"], "--nat-range: only with --egress nat"),
        (["--dns", "127.0.0.53"], "functions cannot reach this machine's loopback"),
        (["--nat-range", "8.8.0.0/16"], "not private"),
    ]:
        code, error = refusal(*flags)
        assert code == 2 and said in error, error
    device = f"gd{os.getpid()}"
    ip("link", "add", device, "type", "veth", "peer", "name", f"{device}p")
    try:
        ip("address", "add", "10.213.0.1/24", "dev", device)
        ip("link", "set", device, "up")
        code, error = refusal("--egress", "nat", "--nat-range", "10.213.0.0/16")
    finally:
        ip("link", "delete", device)
    assert code == 1 and "10.213.0.0/16 overlaps this machine's route to 10.213.0" in error, error


def test_an_ordinary_user_is_told_what_to_use_instead():
    with tempfile.TemporaryDirectory(prefix="gust-test-") as folder:
        os.chmod(folder, 0o755)
        command = [shutil.copy(BINARY, folder), "up", "--ephemeral", "--port", "0", "--egress", "nat"]
        nobody = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": folder}
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, **nobody)
    assert done.returncode == 2 and "only root" in done.stderr and "--egress host" in done.stderr, done.stderr
