"""Refuses to end."""

import os
import signal
import sys
import threading
import time

from probe import handler_of


def ignore_everything():
    """Every signal that can be ignored is."""
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass


def restart_itself():
    """Every end begins it again, in a session of its own."""
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                pid = os.fork()
                if pid == 0:
                    time.sleep(0.1)
                    os._exit(0)
                os.waitpid(pid, 0)
    return "started"


def stop_itself():
    """A stopped process does not die of SIGTERM, either."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return "went on"


def exit_now(code):
    os._exit(code)


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def threads_that_never_end():
    for _ in range(20):
        threading.Thread(target=lambda: [time.sleep(3600) for _ in iter(int, 1)]).start()
    return "started"


def at_exit_never_ends():
    import atexit

    atexit.register(lambda: time.sleep(3600))
    sys.exit(3)


def uninterruptible():
    """A child of vfork that never executes holds its parent."""
    import ctypes

    libc = ctypes.CDLL(None)
    if libc.vfork() == 0:
        while True:
            libc.pause()
    return "went on"


handler = handler_of(globals())
