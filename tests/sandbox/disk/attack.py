"""Fills what can be written."""

import errno
import os

from probe import handler_of

MB = 1 << 20


def fill():
    """Bytes until /tmp is full, and the error that says so."""
    written = 0
    try:
        with open("/tmp/flood", "wb", buffering=0) as out:
            while written < 4096 * MB:
                written += out.write(b"x" * MB)
    except OSError as error:
        return {"mb": written // MB, "error": errno.errorcode[error.errno]}
    return {"mb": written // MB, "error": None}


def inodes():
    """Files until there can be no more."""
    count = 0
    os.makedirs("/tmp/many", exist_ok=True)
    try:
        while count < 2_000_000:
            os.close(os.open(f"/tmp/many/{count}", os.O_CREAT | os.O_WRONLY))
            count += 1
    except OSError as error:
        return {"count": count, "error": errno.errorcode[error.errno]}
    return {"count": count, "error": None}


def sparse():
    """A file that claims to be huge."""
    with open("/tmp/sparse", "wb") as out:
        out.truncate(1 << 50)
    return os.stat("/tmp/sparse").st_blocks


def used():
    return {name: os.path.getsize(f"/tmp/{name}") for name in os.listdir("/tmp") if os.path.isfile(f"/tmp/{name}")}


handler = handler_of(globals())
