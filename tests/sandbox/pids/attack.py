"""Fills the process table."""

import os
import threading
import time

from probe import handler_of


def bomb():
    """Every process starts others, for ever."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def processes():
    """How many children there can be at a time."""
    count = 0
    try:
        while count < 5000:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            count += 1
    except OSError:
        pass
    return count


def threads():
    """How many threads there can be at a time."""
    release, count = threading.Event(), 0
    threading.stack_size(64 * 1024)
    try:
        while count < 5000:
            threading.Thread(target=release.wait, daemon=True).start()
            count += 1
    except RuntimeError:
        pass
    release.set()
    return count


def daemons(count):
    """Children that detach themselves from everything, and say that they live."""
    for number in range(count):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True:
                    with open(f"/tmp/daemon-{number}", "w") as out:
                        out.write(str(time.time()))
                    time.sleep(0.05)
            os._exit(0)
    for _ in range(count):
        os.wait()
    return "started"


def daemons_seen():
    return sorted(name for name in os.listdir("/tmp") if name.startswith("daemon-"))


handler = handler_of(globals())
