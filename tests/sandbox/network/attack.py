"""Reaches for everything on the network."""

import errno
import os
import socket

from probe import attempt, handler_of, read_from


def connect(addresses):
    def one(host, port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as client:
            client.settimeout(2)
            client.connect((host, port))

    return {f"{host} {port}": attempt(lambda: one(host, port)) for host, port in addresses}


def datagram(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        return attempt(lambda: client.sendto(b"x", (host, port)))


def abstract(names):
    """Unix sockets without a file: they belong to the network namespace."""

    def one(name):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("\0" + name)

    seen = [line.split()[-1] for line in (read_from("/proc/net/unix") or "").splitlines() if "@" in line]
    return {name: attempt(lambda: one(name)) for name in names} | {"seen": seen}


def interfaces():
    return [name for _, name in socket.if_nameindex()]


def neighbours():
    """What others listen at: only this environment's own two listeners are there."""
    rows = (read_from("/proc/net/tcp") or "").splitlines()[1:]
    return sorted(int(row.split()[1].split(":")[1], 16) for row in rows if row.split()[3] == "0A")


def privileged_port():
    with socket.socket() as server:
        return attempt(lambda: server.bind(("127.0.0.1", 80)))


def take_over():
    """Listens where gust does, so that what is meant for gust reaches the function."""
    outcome = {}
    for port in (9001, 4566):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            outcome[str(port)] = attempt(lambda: (server.bind(("127.0.0.1", port)), server.listen()))
    return outcome


def admin(paths):
    """gust's own routes, which are not for functions."""
    import http.client

    outcome = {}
    for method, path in paths:
        connection = http.client.HTTPConnection("127.0.0.1", 4566, timeout=5)
        connection.request(method, path, headers={"Host": "127.0.0.1:4566"})
        outcome[f"{method} {path}"] = connection.getresponse().status
        connection.close()
    return outcome


handler = handler_of(globals())
