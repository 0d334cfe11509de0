"""Would large payloads be cheaper as a sealed memory file than through the socket?

Two processes, a unix socket between them as between gust and a runtime. One hands over a payload, the other reads it
whole and says so. Ways: `socket` writes it into the socket, `buffer` does so with a send buffer of 8 MiB (root), `file` puts
it into a sealed memfd, sends the descriptor, and the other side reads it, `mapped` maps it there instead.

Prints for each size and way the time of one turn (minimum and median) and the CPU time of both processes, in microseconds.
"""

import array
import fcntl
import mmap
import os
import socket
import time

SIZES = [16 << 10, 64 << 10, 256 << 10, 1 << 20, 6 << 20]
WAYS = ["socket", "buffer", "file", "mapped"]
ROUNDS = 5
# Of linux/fcntl.h and asm-generic/socket.h.
F_ADD_SEALS, F_GET_SEALS, ALL_SEALS = 1033, 1034, 0xF
SO_SNDBUFFORCE = 32


def hand_over(here, way, payload):
    head = len(payload).to_bytes(4, "little")
    if way in ("socket", "buffer"):
        here.sendall(head)
        here.sendall(payload)
        return
    fd = os.memfd_create("payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    written = 0
    while written < len(payload):
        written += os.write(fd, memoryview(payload)[written:])
    fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
    socket.send_fds(here, [head], [fd])
    os.close(fd)


def take_over(there, way):
    """Reads one payload; None at the end."""
    head, ancillary, _, _ = there.recvmsg(4, socket.CMSG_SPACE(4))
    if not head:
        return None
    size = int.from_bytes(head, "little")
    if way == "mapped":
        fd = descriptor(ancillary)
        with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as view:
            whole = bytes(view)
        os.close(fd)
        return whole
    whole = bytearray(size)
    view, filled = memoryview(whole), 0
    fd = descriptor(ancillary) if way == "file" else None
    while filled < size:
        filled += os.preadv(fd, [view[filled:]], filled) if fd is not None else there.recv_into(view[filled:])
    if fd is not None:
        os.close(fd)
    return whole


def descriptor(ancillary):
    (fd,) = array.array("i", ancillary[0][2])
    assert fcntl.fcntl(fd, F_GET_SEALS) == ALL_SEALS
    return fd


def measure(way, size):
    here, there = socket.socketpair()
    if way == "buffer":
        here.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
    child = os.fork()
    if child == 0:
        here.close()
        while take_over(there, way) is not None:
            there.send(b"k")
        os._exit(0)
    there.close()
    payload = os.urandom(size)
    times, turns = [], max(20, min(1000, (100 << 20) // size))
    before = os.times()
    for _ in range(turns):
        began = time.perf_counter()
        hand_over(here, way, payload)
        here.recv(1)
        times.append(time.perf_counter() - began)
    here.close()
    os.waitpid(child, 0)
    cpu = sum(os.times()[:4]) - sum(before[:4])
    return times, cpu / turns


def main():
    samples = {}
    for _ in range(ROUNDS):
        for size in SIZES:
            for way in WAYS:
                times, cpu = measure(way, size)
                all_times, all_cpu = samples.setdefault((size, way), ([], []))
                all_times.extend(times)
                all_cpu.append(cpu)
    print("    KiB  way      minimum   median      CPU")
    for (size, way), (times, cpu) in sorted(samples.items(), key=lambda item: (item[0][0], WAYS.index(item[0][1]))):
        times.sort()
        shown = [times[0], times[len(times) // 2], sorted(cpu)[len(cpu) // 2]]
        print(f"{size >> 10:7}  {way:7}" + "".join(f"{value * 1e6:9.0f}" for value in shown))


if __name__ == "__main__":
    main()
