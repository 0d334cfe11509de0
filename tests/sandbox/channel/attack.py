"""Writes what it should not into everything that gust reads: its channel, its log pipe, its output, the Runtime API."""

import os
import random
import socket
import stat
import struct
import threading
import time

from probe import handler_of

MB = 1 << 20


def _descriptor(environment, kind):
    """The runtime's own descriptor, by the variable that names it or else by looking."""
    for number in range(3, 64):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        if kind == "channel" and stat.S_ISSOCK(mode) and _is_unix(number):
            return number
        if kind == "log" and stat.S_ISFIFO(mode):
            return number
    return None


def _is_unix(number):
    with socket.socket(fileno=os.dup(number)) as found:
        return found.family == socket.AF_UNIX


def channel(how):
    """Garbage on the channel instead of an answer."""
    number = _descriptor("_GUST_CHANNEL_FD", "channel")
    if number is None:
        return "no channel"
    frames = {
        "unknown-kind": struct.pack("<I", 2) + b"Zx",
        "zero-length": struct.pack("<I", 0) * 1000,
        "too-long": struct.pack("<I", 0xFFFFFFFF) + b"O",
        "half": struct.pack("<I", 100) + b"Ohalf",
        "ready-again": (struct.pack("<I", 1) + b"R") * 1000,
        "not-json": struct.pack("<I", 5) + b"O{{{{",
        "error-not-json": struct.pack("<I", 5) + b"E{{{{",
        "noise": random.Random(1).randbytes(MB),
        "many": (struct.pack("<I", 3) + b"O{}") * 100_000,
    }
    if how == "close":
        os.close(number)
    elif how == "shut":
        socket.socket(fileno=os.dup(number)).shutdown(socket.SHUT_RDWR)
    else:
        os.set_blocking(number, True)
        threading.Thread(target=_write, args=(number, frames[how]), daemon=True).start()
    time.sleep(1)
    return "answered"


def _write(number, content):
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(number, view):]
    except OSError:
        pass


def channel_flood(seconds):
    """Answers without end, whether somebody asks or not."""
    number = _descriptor("_GUST_CHANNEL_FD", "channel")
    if number is None:
        return "no channel"
    answer = struct.pack("<I", 1 + MB) + b"O" + b"1" * MB
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _write(number, answer)
    return "flooded"


def log_pipe(how):
    """Garbage as log events."""
    number = _descriptor("_GUST_LOG_FD", "log")
    if number is None:
        return "no log pipe"
    frames = {
        "short": struct.pack("<I", 1) + b"x",
        "huge": struct.pack("<I", 0xFFFFFFF0) + b"x" * MB,
        "level": struct.pack("<IBQ", 12, 255, 0) + b"abc",
        "future": struct.pack("<IBQ", 12, 3, 1 << 63) + b"abc",
        "not-utf8": struct.pack("<IBQ", 13, 3, 0) + b"\xff\xfe\xc3\x28",
        "noise": random.Random(2).randbytes(MB),
    }
    os.set_blocking(number, True)
    _write(number, frames[how])
    print("after the garbage")
    return "answered"


def output(mb):
    """Lines without end."""
    line = b"x" * 1023 + b"\n"
    for _ in range(mb):
        _write(1, line * 1024)
    return "answered"


def output_for_ever():
    """From a child that goes on when the invocation has ended."""
    if os.fork() == 0:
        while True:
            _write(1, b"flood" * 2000 + b"\n")
    return "answered"


def one_line(mb):
    """A line that never ends, and one of NULs and terminal sequences."""
    _write(1, b"y" * (mb * MB) + b"\n")
    _write(1, b"\x00\x1b[2J\x1b]0;owned\x07\xff\xfe\r\n" * 100)
    return "answered"


def response(mb):
    """A response of this many MB, in characters."""
    return "r" * (mb * MB - 2)


def deep(depth):
    """A response that is nested beyond reason."""
    nested = []
    for _ in range(depth):
        nested = [nested]
    return nested


handler = handler_of(globals())
