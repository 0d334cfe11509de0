"""Without egress a function reaches gust and nothing else (`--egress none`)."""

import os
import socket
import threading

import pytest

UNREACHABLE = {"ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL", "EACCES", "EPERM", "ETIMEDOUT"}


@pytest.fixture
def listener():
    """Somebody listens on all of the host's addresses; says who came."""
    server = socket.create_server(("0.0.0.0", 0))
    came = []

    def accept():
        try:
            while True:
                came.append(server.accept()[1])
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1], came
    server.close()


def host_addresses():
    found = {"127.0.0.1", "127.0.0.2", "::1"}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it only asks which address would be used.
            probe.connect(("192.0.2.1", 9))
            found.add(probe.getsockname()[0])
        except OSError:
            pass
    return sorted(found)


def test_the_host_cannot_be_reached(cloud, function, listener):
    port, came = listener
    addresses = [(host, port) for host in host_addresses()] + [("127.0.0.1", int(cloud.gust.url.rsplit(":", 1)[1])), ("127.0.0.1", 22)]
    outcomes = cloud.result(function, "connect", addresses=addresses)
    assert set(outcomes.values()) <= UNREACHABLE, outcomes
    assert came == []


def test_nothing_beyond_the_host_can_be_reached(cloud, function):
    addresses = [("192.0.2.1", 80), ("169.254.169.254", 80), ("10.0.0.1", 80), ("2001:db8::1", 80)]
    outcomes = cloud.result(function, "connect", addresses=addresses)
    assert set(outcomes.values()) <= UNREACHABLE | {"EAFNOSUPPORT"}, outcomes
    assert cloud.result(function, "datagram", host="192.0.2.1", port=53) in UNREACHABLE


def test_sockets_without_a_file_are_not_shared(cloud, function):
    name = f"gust-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        outcome = cloud.result(function, "abstract", names=[name, "/tmp/.X11-unix/X0"])
    assert outcome.pop("seen") == []
    assert set(outcome.values()) == {"ECONNREFUSED"}


def test_there_is_one_interface_and_nobody_elses_listener(cloud, function):
    assert cloud.result(function, "interfaces") == ["lo"]
    assert set(cloud.result(function, "neighbours")) <= {9001, 4566}


def test_gusts_listeners_cannot_be_taken_over(cloud, function):
    # Nobody serves the Runtime API's port for a runtime that talks to gust over its own channel: it is the function's.
    assert cloud.result(function, "take_over")["4566"] == "EADDRINUSE"


def test_gusts_own_routes_are_closed_to_functions(cloud, function):
    outcomes = cloud.result(function, "admin", paths=[["POST", "/_gust/reset"], ["GET", "/_gust/stats"]])
    assert set(outcomes.values()) == {403}, outcomes
