"""A pre-started Python interpreter from which functions are forked.

The spawner starts it as root in a skeleton root without network, function code or secrets, and sends one order per
function over a SEQPACKET socket (descriptor 3). The child of an order enters a prepared sandbox, gives up everything
that makes it more than an ordinary program, and only then runs the runtime's bootstrap, which imports user code.

It stays single-threaded and small: a fork costs in proportion to the memory it holds. Hence the C modules `_socket`,
`_signal`, `select` and `_ctypes`' thin front, and no `socket`, `signal` or `subprocess`. Nor does it hold a descriptor
for each child: every child would have to close all of them.
"""

import fcntl
import gc
import os
import select
import sys

import _signal
import _socket
import ctypes

import bootstrap

SOCKET_FD = 3
SIGNAL_FD = 4
MESSAGE_BYTES_MAX = 64 * 1024
FDS_MAX = 16
FD_BYTES = 4
# Room for some of `struct signalfd_siginfo`; which they are does not matter.
SIGNALS_BYTES = 16 * 128
SIGSET_BYTES = 128
SFD_CLOEXEC = os.O_CLOEXEC
SFD_NONBLOCK = os.O_NONBLOCK

# Where the child's descriptors end up.
CHANNEL_FD = 3
LOG_FD = 4
ABOVE_ALL_TARGETS = 32

# linux/sched.h
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# linux/prctl.h
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

SYS_CLOSE_RANGE = 436
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}[os.uname().machine]
CAPABILITY_VERSION_3 = 0x20080522
EINVAL = 22

SETUP_FAILED_STATUS = 126
SDK_LOAD_NICENESS = 10

# Resource limits as on Lambda: resource number (asm-generic), value.
RLIMIT_NPROC = 6
RLIMITS = (
    (4, 0),  # RLIMIT_CORE
    (7, 1024),  # RLIMIT_NOFILE
    (8, 64 * 1024),  # RLIMIT_MEMLOCK
    (12, 0),  # RLIMIT_MSGQUEUE
)

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
libc.setns.argtypes = [ctypes.c_int, ctypes.c_int]


class SockFprog(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class Rlimit(ctypes.Structure):
    """struct rlimit"""

    _fields_ = [("soft", ctypes.c_ulong), ("hard", ctypes.c_ulong)]


def check(result, step):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, "%s: %s" % (step, os.strerror(error)))


def prctl(option, value, step):
    check(libc.prctl(option, value, 0, 0, 0), step)


def set_limits(pids_max):
    for resource, value in RLIMITS + ((RLIMIT_NPROC, pids_max),):
        limit = Rlimit()
        check(libc.getrlimit(resource, ctypes.byref(limit)), "getrlimit")
        limit.soft = limit.hard = min(value, limit.hard)
        check(libc.setrlimit(resource, ctypes.byref(limit)), "setrlimit")


def drop_bounding_set():
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            if ctypes.get_errno() == EINVAL:
                return
            check(-1, "drop a capability")


class Zygote:
    """Receives orders, forks, reports."""

    def __init__(self):
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, SOCKET_FD)
        self.poll = select.poll()
        self.poll.register(SOCKET_FD, select.POLLIN)
        # Keys by process id.
        self.children = {}
        self.watch_children()
        self.descriptors_placed = False
        self.own_pidfd = os.pidfd_open(os.getpid())
        message, _ = self.receive()
        # Kept as a buffer: the filter is installed by every child.
        code = bytes.fromhex(message["seccomp"])
        self.filter_code = ctypes.create_string_buffer(code, len(code))
        self.filter = SockFprog(len(code) // 8, ctypes.addressof(self.filter_code))
        self.capset_header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        self.capset_sets = (ctypes.c_uint32 * 6)()
        self.library_path = os.environ.get("LD_LIBRARY_PATH", "")

    def watch_children(self):
        """Has their ends told on a descriptor."""
        mask = (ctypes.c_uint64 * (SIGSET_BYTES // 8))(1 << (_signal.SIGCHLD - 1))
        _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGCHLD,))
        fd = libc.signalfd(-1, mask, SFD_CLOEXEC | SFD_NONBLOCK)
        check(fd, "watch children")
        if fd != SIGNAL_FD:
            os.dup2(fd, SIGNAL_FD, inheritable=False)
            os.close(fd)
        self.poll.register(SIGNAL_FD, select.POLLIN)

    def receive(self):
        """The next message and its descriptors; the end of the stream ends this process."""
        space = _socket.CMSG_SPACE(FDS_MAX * FD_BYTES)
        try:
            data, control, _, _ = self.socket.recvmsg(MESSAGE_BYTES_MAX, space, _socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            data = b""
        if not data:
            os._exit(0)
        fds = []
        for _, _, payload in control:
            for start in range(0, len(payload) - FD_BYTES + 1, FD_BYTES):
                fds.append(int.from_bytes(payload[start : start + FD_BYTES], sys.byteorder))
        return bootstrap.json.loads(data), fds

    def send(self, message):
        try:
            self.socket.send(bootstrap.json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)

    def run(self):
        """Serves orders; returns only in a child, as the function to run there."""
        self.send({"type": "ready"})
        while True:
            for fd, _ in self.poll.poll():
                if fd == SIGNAL_FD:
                    self.reap_children()
                    continue
                order, fds = self.receive()
                function = self.fork(order, fds)
                if function is not None:
                    return function

    def reap_children(self):
        try:
            os.read(SIGNAL_FD, SIGNALS_BYTES)
        except BlockingIOError:
            pass
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self.send({"type": "ended", "key": self.children.pop(pid), "status": status})

    def fork(self, order, fds):
        """Carries out one order. In the parent: None."""
        pid = -1
        try:
            check(libc.setns(fds[0], CLONE_NEWPID), "enter pid namespace")
            try:
                pid = os.fork()
            finally:
                if pid != 0:
                    check(libc.setns(self.own_pidfd, CLONE_NEWPID), "return to own pid namespace")
        except OSError as error:
            self.send({"type": "failed", "key": order["key"], "message": str(error)})
            return None
        finally:
            if pid != 0:
                for fd in fds:
                    os.close(fd)
        if pid == 0:
            return self.become_function(order, fds)
        self.children[pid] = order["key"]
        self.send({"type": "forked", "key": order["key"]})
        return None

    def become_function(self, order, fds):
        try:
            return self.enter_sandbox(order, fds)
        except BaseException as error:
            # Nothing of the function ran yet. Its log is where the reason belongs.
            try:
                output = 1 if self.descriptors_placed else fds[3]
                os.write(output, ("gust: sandbox set-up failed: %s\n" % error).encode())
            finally:
                os._exit(SETUP_FAILED_STATUS)

    def enter_sandbox(self, order, fds):
        pidfd, environment, channel, output, log = fds[:5]
        for join in fds[5 : 5 + order["cgroups"]]:
            os.write(join, b"0")
        # A vacant sandbox has neither environment nor /var/task yet.
        variables = {} if order["vacant"] else read_environment(environment)
        self.place_descriptors(channel, output, log, pidfd)
        pidfd = ABOVE_ALL_TARGETS
        os.setsid()
        check(libc.setns(pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS), "enter sandbox")
        check(libc.setns(pidfd, CLONE_NEWUSER), "enter user namespace")
        os.close(pidfd)
        if not order["vacant"]:
            os.chdir("/var/task")
        drop_bounding_set()
        os.setresgid(order["gid"], order["gid"], order["gid"])
        os.setresuid(order["uid"], order["uid"], order["uid"])
        # No uid 0 is mapped, so changing the uid did not clear these.
        check(libc.syscall(SYS_CAPSET, self.capset_header, self.capset_sets), "drop capabilities")
        set_limits(order["pids_max"])
        # Changing the uid took /proc/self away from the process itself.
        prctl(PR_SET_DUMPABLE, 1, "set dumpable")
        prctl(PR_SET_NO_NEW_PRIVS, 1, "set no_new_privs")
        filter_address = ctypes.addressof(self.filter)
        check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_address, 0, 0), "install seccomp filter")
        variables.setdefault("AWS_LAMBDA_RUNTIME_API", order["runtime_api"])
        variables.setdefault("AWS_ENDPOINT_URL", order["endpoint"])
        # Part of Lambda's environment; the dynamic linker of this process has read it at the zygote's start.
        variables.setdefault("LD_LIBRARY_PATH", self.library_path)
        os.environ.update(variables)
        return bootstrap.run_vacant if order["vacant"] else bootstrap.run_forked

    def place_descriptors(self, channel, output, log, pidfd):
        """Closes all that is the zygote's; the function keeps its own at fixed numbers."""
        self.socket.detach()
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGCHLD,))
        # Copies beyond every target first: any of them may sit on another's number.
        pidfd, channel, output, log = [
            fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, ABOVE_ALL_TARGETS + 1) for fd in (pidfd, channel, output, log)
        ]
        os.dup2(output, 1)
        self.descriptors_placed = True
        os.dup2(output, 2)
        os.dup2(channel, CHANNEL_FD, inheritable=False)
        os.dup2(log, LOG_FD, inheritable=False)
        os.dup2(pidfd, ABOVE_ALL_TARGETS, inheritable=False)
        check(libc.syscall(SYS_CLOSE_RANGE, LOG_FD + 1, ABOVE_ALL_TARGETS - 1, 0), "close descriptors")
        check(libc.syscall(SYS_CLOSE_RANGE, ABOVE_ALL_TARGETS + 1, 0xFFFFFFFF, 0), "close descriptors")


def read_environment(fd):
    block = os.pread(fd, os.fstat(fd).st_size, 0)
    variables = {}
    for entry in block.split(b"\0"):
        if entry:
            name, _, value = entry.partition(b"=")
            variables[os.fsdecode(name)] = os.fsdecode(value)
    return variables


def main():
    zygote = Zygote()
    bootstrap.add_builtins()
    bootstrap.rehearse()
    if "sdk" in sys.argv[1:]:
        import sdk

        # Whoever starts now goes first: nobody waits for this.
        os.nice(SDK_LOAD_NICENESS)
        bootstrap.aside = sdk.load()
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - SDK_LOAD_NICENESS)
    # What is the same for every function is done once; each page that a child writes to is a page to copy.
    bootstrap.set_up_interpreter()
    os.environ.clear()
    # Collect once, then keep the collector away from what all children share.
    gc.collect()
    gc.disable()
    gc.freeze()
    function = zygote.run()
    # Only a child comes here.
    del zygote
    gc.enable()
    sys.exit(function(CHANNEL_FD, LOG_FD))


main()
