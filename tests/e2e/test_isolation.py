"""What a function cannot see or touch."""

import json
import os
import pathlib
import socket
import threading

import pytest

from harness.functions import create_function, result


def run(client, body, **options):
    """Runs the body of a handler."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    name = create_function(client, "import os\ndef handler(event, context):\n" + lines, Timeout=30, **options)
    return result(client, name, {})


def test_the_processes_of_the_host_are_invisible(lambda_):
    seen = run(lambda_, "return [int(name) for name in os.listdir('/proc') if name.isdigit()]")
    assert len(seen) <= 5 and max(seen) < 100, seen


def test_signals_do_not_reach_the_host(lambda_):
    body = """
import signal
outcome = []
for pid in (%d, %d):
    try:
        os.kill(pid, 0)
        outcome.append('reached')
    except OSError as error:
        outcome.append(type(error).__name__)
return outcome
""" % (os.getpid(), os.getppid())
    assert "reached" not in run(lambda_, body)


def test_the_files_of_the_host_are_invisible(gust, lambda_, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the host's own")
    tmp_path.chmod(0o777)
    secret.chmod(0o666)
    at_home = pathlib.Path.home() / f".gust-test-{os.getpid()}"
    at_home.write_text("the host's own")
    hidden = [str(secret), str(at_home), "/home", "/etc/shadow", "/boot", "/var/lib", "/var/log/dpkg.log", "/sys/kernel"]
    body = f"return [path for path in {hidden!r} if os.path.exists(path) and (os.path.isfile(path) or os.listdir(path))]"
    try:
        assert run(lambda_, body) == []
    finally:
        at_home.unlink()


def test_only_tmp_can_be_written(lambda_):
    body = """
written = []
for folder in ('/', '/var/task', '/var/runtime', '/opt', '/usr', '/etc', '/bin', '/lib', '/dev', '/proc/sys', '/tmp'):
    try:
        with open(os.path.join(folder, 'probe'), 'w') as out:
            out.write('x')
        written.append(folder)
    except OSError:
        pass
return written
"""
    assert run(lambda_, body) == ["/tmp"]


def test_devices_are_few(lambda_):
    seen = set(run(lambda_, "return os.listdir('/dev')"))
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "shm", "pts", "ptmx"}
    assert seen <= harmless, seen - harmless


def test_the_function_is_an_ordinary_user_without_privileges(lambda_):
    body = """
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
return [os.getuid(), status['CapEff'], status['CapBnd'], status['NoNewPrivs'], status['Seccomp']]
"""
    uid, effective, bounding, no_new_privileges, seccomp = run(lambda_, body)
    assert uid != 0 and int(effective, 16) == 0 and int(bounding, 16) == 0
    assert no_new_privileges.strip() == "1" and seccomp.strip() == "2"


@pytest.mark.parametrize("call", ["os.unshare(0x10000000)", "os.setuid(0)", "os.chroot('/tmp')", "os.mknod('/tmp/d', 0o20666, os.makedev(1, 1))"])
def test_privileged_calls_are_refused(lambda_, call):
    if "unshare" in call:
        call = "__import__('ctypes').CDLL(None, use_errno=True).unshare(0x10000000) and (_ for _ in ()).throw(OSError())"
    body = f"try:\n    {call}\n    return 'done'\nexcept OSError:\n    return 'refused'"
    assert run(lambda_, body) == "refused"


def test_mounting_and_tracing_are_refused(lambda_):
    body = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
mounted = libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)
traced = libc.ptrace(16, 1, None, None)
return [mounted, traced]
"""
    assert run(lambda_, body) == [-1, -1]


def test_the_environment_of_the_host_is_invisible(start, lambda_):
    os.environ["HOST_SECRET_9214"] = "x"
    try:
        gust = start()
        seen = run(gust.client("lambda"), "return dict(os.environ)")
    finally:
        del os.environ["HOST_SECRET_9214"]
    assert "HOST_SECRET_9214" not in seen
    body = "return [open(f'/proc/{pid}/environ').read() for pid in os.listdir('/proc') if pid.isdigit() and os.access(f'/proc/{pid}/environ', os.R_OK)]"
    assert "HOST_SECRET_9214" not in json.dumps(run(gust.client("lambda"), body))


def test_the_loopback_of_the_host_cannot_be_reached(start):
    gust = start("--egress", "none")
    listener = socket.create_server(("0.0.0.0", 0))
    reached = []
    threading.Thread(target=lambda: reached.append(listener.accept()), daemon=True).start()
    port = listener.getsockname()[1]
    body = f"""
import socket
outcome = []
for host in ('127.0.0.1', '::1', 'localhost'):
    try:
        socket.create_connection((host, {port}), 2).close()
        outcome.append('reached')
    except OSError as error:
        outcome.append(type(error).__name__)
return outcome
"""
    assert "reached" not in run(gust.client("lambda"), body)
    listener.close()
    assert reached == []


def test_nothing_beyond_gust_can_be_reached_without_egress(start):
    gust = start("--egress", "none")
    body = """
import socket
try:
    socket.create_connection(('192.0.2.1', 80), 2)
    return 'reached'
except OSError as error:
    return error.errno
"""
    assert run(gust.client("lambda"), body) in (101, 100, 113)


def test_abstract_sockets_of_the_host_cannot_be_reached(start):
    gust = start("--egress", "none")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0gust-test-%d" % os.getpid())
    listener.listen()
    body = f"""
import socket
try:
    socket.socket(socket.AF_UNIX).connect('\\0gust-test-{os.getpid()}')
    return 'reached'
except OSError:
    return 'refused'
"""
    assert run(gust.client("lambda"), body) == "refused"
    listener.close()


def test_the_data_folder_is_invisible(start, tmp_path):
    data = tmp_path / "data"
    gust = start(data=data)
    assert data.exists()
    body = f"return [os.path.exists({str(data)!r}), 'store' in open('/proc/self/mountinfo').read() and os.access({str(data)!r}, os.R_OK)]"
    assert run(gust.client("lambda"), body) == [False, False]


def test_functions_do_not_see_each_other(lambda_):
    body = """
import glob
open('/tmp/mine-' + context.function_name, 'w').write('x')
return [glob.glob('/tmp/*'), sorted(os.listdir('/var/task')), len([n for n in os.listdir('/proc') if n.isdigit()])]
"""
    for _ in range(2):
        files, task, processes = run(lambda_, body)
        assert len(files) == 1 and [name for name in task if name != "__pycache__"] == ["app.py"] and processes <= 5


def test_inherited_file_descriptors_are_few(lambda_):
    body = """
links = {}
for fd in os.listdir('/proc/self/fd'):
    try:
        links[fd] = os.readlink('/proc/self/fd/' + fd)
    except OSError:
        pass
return links
"""
    links = run(lambda_, body)
    allowed = ("pipe:", "socket:", "/dev/", "/proc/", "/memfd:", "anon_inode:", "/var/task")
    assert not [target for target in links.values() if not target.startswith(allowed)], links
    assert len(links) <= 10, links


def test_cgroups_of_the_host_are_invisible(lambda_):
    assert run(lambda_, "return os.path.isdir('/sys/fs/cgroup') and os.listdir('/sys/fs/cgroup')") in (False, [])
