"""Burns all the processor there is."""

import os
import threading
import time

from probe import handler_of


def burn(seconds, processes):
    """Returns the processor time used by it and its children, in seconds."""
    for _ in range(processes - 1):
        if os.fork() == 0:
            _spin(seconds)
            os._exit(0)
    _spin(seconds)
    for _ in range(processes - 1):
        os.wait()
    return sum(os.times()[:4])


def _spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def for_ever():
    for _ in range(8):
        threading.Thread(target=_spin, args=(3600,), daemon=True).start()
        if os.fork() == 0:
            _spin(3600)
    _spin(3600)


handler = handler_of(globals())
