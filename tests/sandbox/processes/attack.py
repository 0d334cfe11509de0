"""Goes for other processes: the supervisor, the host's, everybody's."""

import ctypes
import os
import signal
import time

from probe import attempt, call, handler_of, libc, read_from, write_to


def visible():
    """Every process in /proc, and what it is."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return {str(pid): (read_from(f"/proc/{pid}/cmdline") or "").replace("\0", " ") for pid in pids}


def signals(pids):
    """Signals to processes of which only the number is known; SIGKILL to those that must survive it."""
    return {str(pid): attempt(lambda: os.kill(pid, signal.SIGKILL)) for pid in pids}


def kill_all():
    """SIGKILL to all that can be reached, from a child, which survives it as the kernel says: the runtime ends."""
    if os.fork() == 0:
        os.kill(-1, signal.SIGKILL)
        os._exit(0)
    time.sleep(5)
    return "survived"


def trace():
    """Attaches to PID 1, reads and writes its memory, takes its descriptors."""
    buffer = ctypes.create_string_buffer(64)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
    remote = (ctypes.c_void_p * 2)(0x400000, 64)
    pidfd = os.pidfd_open(1) if hasattr(os, "pidfd_open") else -1
    return {
        "attach": call("ptrace", 16, 1, 0, 0),
        "seize": call("ptrace", 0x4206, 1, 0, 0),
        "read": call("process_vm_readv", 1, local, 1, remote, 1, 0),
        "write": call("process_vm_writev", 1, local, 1, remote, 1, 0),
        "descriptor": call("pidfd_getfd", pidfd, 0, 0),
        "advice": call("process_madvise", pidfd, remote, 1, 4, 0),
        "memory": attempt(lambda: open("/proc/1/mem", "rb").close()),
        "maps": "done" if read_from("/proc/1/maps") else "refused",
        "environment": "done" if read_from("/proc/1/environ") else "refused",
        "descriptors": attempt(lambda: os.listdir("/proc/1/fd")),
        "root": attempt(lambda: os.listdir("/proc/1/root/")),
        "directory": attempt(lambda: os.readlink("/proc/1/cwd")),
        "executable": attempt(lambda: os.readlink("/proc/1/exe")),
    }


def scheduling():
    """Takes more than its share, or slows others."""
    parameter = ctypes.c_int(50)
    return {
        "real-time": "done" if libc.sched_setscheduler(0, 2, ctypes.byref(parameter)) == 0 else "refused",
        "nice": attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -10)),
        "renice-supervisor": attempt(lambda: os.setpriority(os.PRIO_PROCESS, 1, 19)),
        "limits-of-supervisor": attempt(lambda: __import__("resource").prlimit(1, 7, (1, 1))),
        "survive-memory-pressure": write_to("/proc/self/oom_score_adj", "-1000"),
    }


handler = handler_of(globals())
