"""Asks the kernel for what a function has no business with."""

import ctypes
import fcntl
import os
import pty
import signal

from probe import NUMBERS, attempt, call, handler_of, in_child, libc, read_from, write_to

NEW_NAMESPACES = {
    "user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "network": 0x40000000, "ipc": 0x8000000, "uts": 0x4000000,
    "cgroup": 0x2000000, "time": 0x80,
}


def system_calls():
    """Everything that changes or looks into the machine, with arguments that would be good for root."""
    buffer = ctypes.create_string_buffer(4096)
    arguments = {
        "add_key": (b"user", b"gust", b"x", 1, -4),
        "bpf": (5, buffer, 128),
        "chroot": (b"/tmp",),
        "clock_settime": (0, buffer),
        "finit_module": (0, b"", 0),
        "fsopen": (b"tmpfs", 0),
        "init_module": (buffer, 4096, b""),
        "io_uring_setup": (8, buffer),
        "keyctl": (0, -3, 1),
        "mount": (b"none", b"/tmp", b"tmpfs", 0, 0),
        "name_to_handle_at": (-100, b"/tmp", buffer, buffer, 0),
        "open_tree": (-100, b"/", 1),
        "open_tree_attr": (-100, b"/", 1, 0, 0),
        "perf_event_open": (buffer, 0, -1, -1, 0),
        "ptrace": (16, 1, 0, 0),
        "sethostname": (b"x", 1),
        "setns": (os.open("/proc/self/ns/uts", os.O_RDONLY), 0),
        "umount2": (b"/tmp", 2),
        "unshare": (0x10000000,),
        "userfaultfd": (1,),
    }
    # These are no attack where they succeed: own processes are one's own.
    skipped = ("clone3", "personality", "pidfd_open", "pidfd_getfd")
    return {name: call(name, *arguments.get(name, (0, 0, 0, 0, 0))) for name in NUMBERS if name not in skipped}


def namespaces():
    """Every kind, by unshare and by clone."""
    by_unshare = {kind: in_child(lambda: 0 if call("unshare", flag) == "done" else 1) for kind, flag in NEW_NAMESPACES.items()}
    clone = 56 if os.uname().machine == "x86_64" else 220
    by_clone = {}
    for kind, flag in NEW_NAMESPACES.items():
        if kind == "time":
            continue
        pid = libc.syscall(clone, flag | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        if pid > 0:
            os.waitpid(pid, 0)
        by_clone[kind] = 0 if pid > 0 else 1
    return {"unshare": by_unshare, "clone": by_clone}


def clone3():
    """Its flags are in memory, where no filter can look: it must not be there at all."""
    flags = (ctypes.c_uint64 * 11)(0x10000000, *[0] * 10)
    return call("clone3", flags, ctypes.sizeof(flags))


def other_abis():
    """The same calls under their 32-bit and x32 numbers; exit codes of children that tried."""
    if os.uname().machine != "x86_64":
        return {}
    x32 = lambda: 0 if libc.syscall(0x40000000 | 272, 0x10000000) == 0 else 1

    def compatibility():
        import mmap

        # mov eax, 310 (unshare); mov ebx, CLONE_NEWUSER; int 0x80; ret
        code = b"\xb8\x36\x01\x00\x00\xbb\x00\x00\x00\x10\xcd\x80\xc3"
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        return 0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == 0 else 1

    return {"x32": in_child(x32), "int80": in_child(compatibility)}


def sockets():
    """Families and protocols that reach drivers and the kernel's own machinery."""
    import socket

    def make(family, kind, protocol=0):
        return attempt(lambda: socket.socket(family, kind, protocol).close())

    return {
        "packet": make(17, socket.SOCK_RAW, 0x300),
        "raw": make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "alg": make(38, socket.SOCK_SEQPACKET),
        "vsock": make(40, socket.SOCK_STREAM),
        "bluetooth": make(31, socket.SOCK_RAW, 1),
        "key": make(15, socket.SOCK_RAW, 2),
        "netlink-netfilter": make(16, socket.SOCK_RAW, 12),
        "netlink-audit": make(16, socket.SOCK_RAW, 9),
        "netlink-uevent": make(16, socket.SOCK_RAW, 15),
        "netlink-generic": make(16, socket.SOCK_RAW, 16),
        # getaddrinfo and getifaddrs need this one.
        "netlink-route": make(16, socket.SOCK_RAW, 0),
    }


def settings():
    """Writes where the kernel is configured."""
    paths = [
        "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches",
        "/proc/sys/kernel/modprobe", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/fs/binfmt_misc/register",
        "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/release_agent",
        "/sys/power/state", "/proc/1/oom_score_adj", "/proc/self/oom_score_adj", "/proc/self/uid_map",
    ]
    return {path: write_to(path, "|/tmp/x") for path in paths}


def unchanged():
    """What the settings say: the same before and after."""
    return [read_from(path) for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/self/oom_score_adj")]


def secrets():
    """What of the kernel's memory can be read."""
    return {path: bool((read_from(path) or "").strip()) for path in ("/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list")} | {
        "kallsyms": any(int(line.split()[0], 16) for line in (read_from("/proc/kallsyms") or "").splitlines()[:50])
    }


def terminal():
    """Pushes input into a terminal, as if its owner had typed it."""
    try:
        leader, follower = pty.openpty()
    except OSError:
        return "no terminal"
    return attempt(lambda: fcntl.ioctl(follower, 0x5412, b"x"))


def personality():
    """Turns off what protects programs from each other's bugs."""
    return {name: call("personality", value) for name, value in {"read": 0xFFFFFFFF, "no-randomisation": 0x40000, "read-implies-exec": 0x400000}.items()}


handler = handler_of(globals())
