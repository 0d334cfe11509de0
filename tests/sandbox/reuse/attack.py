"""Leaves something behind wherever that is possible, and looks for what others have left."""

import ctypes
import mmap
import os
import re

from probe import attempt, handler_of, libc, read_from


def leave(mark):
    """In memory, files, variables, shared memory, queues, the terminal's environment."""
    os.environ["LEFT"] = mark
    with open("/tmp/left", "w") as out:
        out.write(mark)
    kept = globals().setdefault("_kept", [])
    kept.append(bytearray(mark.encode() * 100_000))
    outcome = {
        "shared-memory": _leave_segment(mark),
        "semaphore": "done" if libc.semget(4711, 1, 0o1666) >= 0 else "refused",
        "queue": "done" if libc.msgget(4711, 0o1666) >= 0 else "refused",
        "posix-shared-memory": attempt(lambda: open("/dev/shm/left", "w").write(mark)),
        "posix-queue": "done" if libc.mq_open(b"/left", os.O_CREAT | os.O_RDWR, 0o666, None) >= 0 else "refused",
        "abstract-socket": _leave_socket(),
    }
    return outcome


def _leave_segment(mark):
    segment = libc.shmget(4711, 65536, 0o1666)
    if segment < 0:
        return "refused"
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(segment, None, 0)
    ctypes.memmove(address, mark.encode(), len(mark))
    return "done"


def _leave_socket():
    import socket

    server = socket.socket(socket.AF_UNIX)
    server.bind("\0left")
    server.listen()
    globals().setdefault("_kept", []).append(server)
    return "done"


def look(codes):
    """Every place where the mark of somebody else might be; the names of those where it is.

    The mark comes as numbers and is searched for letter by letter, so that looking for it does not put it into memory.
    """
    mark = re.compile(b"".join(b"[%c]" % code for code in codes))
    found = []
    if "LEFT" in os.environ:
        found.append("variable")
    if os.listdir("/tmp"):
        found.append(f"/tmp: {os.listdir('/tmp')}")
    for kind, get in (("shared memory", lambda: libc.shmget(4711, 0, 0)), ("semaphore", lambda: libc.semget(4711, 0, 0)), ("queue", lambda: libc.msgget(4711, 0))):
        if get() >= 0:
            found.append(kind)
    for path in ("/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg"):
        if len((read_from(path) or "").splitlines()) > 1:
            found.append(path)
    if libc.mq_open(b"/left", os.O_RDONLY) >= 0:
        found.append("posix queue")
    if "@left" in (read_from("/proc/net/unix") or ""):
        found.append("abstract socket")
    if os.path.exists("/dev/shm/left"):
        found.append("posix shared memory")
    for line in (read_from("/proc/self/maps") or "").splitlines():
        head, permissions, *_ = line.split()
        if "r" in permissions and "[v" not in line and _holds(head, mark):
            found.append(f"memory: {line}")
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        if mark.search((read_from(f"/proc/{pid}/environ") or "").encode()):
            found.append(f"environment of {pid}")
    return found


def _holds(extent, mark):
    """Whether the mark is in this part of memory."""
    start, end = (int(part, 16) for part in extent.split("-"))
    try:
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(start)
            content = memory.read(end - start)
    except (OSError, ValueError, OverflowError):
        return False
    return mark.search(content) is not None


def fresh_memory(mb):
    """New memory is zero, whoever had it before."""
    area = mmap.mmap(-1, mb << 20)
    return area.read().count(0) == mb << 20


def identity():
    """What tells one environment from another."""
    return {"variables": sorted(os.environ), "log": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], "function": os.environ["AWS_LAMBDA_FUNCTION_NAME"]}


handler = handler_of(globals())
