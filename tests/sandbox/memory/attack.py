"""Takes more memory than it was given, in every way there is."""

import mmap
import os
import time

from probe import handler_of, libc

MB = 1 << 20


def allocate(mb):
    kept = bytearray(mb * MB)
    kept[::4096] = b"x" * len(kept[::4096])
    time.sleep(20)
    return "kept"


def children(mb, count):
    """Each child is within the limit, all together are not."""
    for _ in range(count):
        if os.fork() == 0:
            kept = bytearray(mb * MB)
            kept[::4096] = b"x" * len(kept[::4096])
            time.sleep(60)
            os._exit(0)
    time.sleep(20)
    return "kept"


def shared(mb):
    """Memory that belongs to no process: anonymous files."""
    kept = []
    for _ in range(mb // 16):
        descriptor = os.memfd_create("flood")
        os.write(descriptor, b"x" * (16 * MB))
        kept.append(descriptor)
    time.sleep(20)
    return "kept"


def locked(mb):
    """Memory that the kernel must not swap: bounded by a limit of its own."""
    area = mmap.mmap(-1, mb * MB)
    import ctypes

    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(mb * MB))


def fine():
    return "fine"


def pipes():
    """Memory of the kernel: full pipes."""
    kept = 0
    ends = []
    try:
        while True:
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            ends.append((reader, writer))
            try:
                while True:
                    kept += os.write(writer, b"x" * 65536)
            except BlockingIOError:
                pass
    except OSError:
        return kept


handler = handler_of(globals())
