"""Opens everything that can be opened."""

import errno
import os
import resource
import socket

from probe import attempt, handler_of


def files():
    kept = []
    try:
        while len(kept) < 100_000:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        for descriptor in kept:
            os.close(descriptor)
        return {"count": len(kept), "error": errno.errorcode[error.errno]}


def raise_limit():
    return attempt(lambda: _raise(resource.RLIMIT_NOFILE)), attempt(lambda: _raise(resource.RLIMIT_NPROC))


def _raise(limit):
    try:
        resource.setrlimit(limit, (1 << 20, 1 << 20))
    except ValueError as error:
        raise OSError(errno.EPERM, str(error)) from None


def connections(port, seconds):
    """As many connections to gust as there can be, left open."""
    import time

    kept = []
    try:
        while True:
            kept.append(socket.create_connection(("127.0.0.1", port), 2))
    except OSError:
        pass
    time.sleep(seconds)
    return len(kept)


handler = handler_of(globals())
