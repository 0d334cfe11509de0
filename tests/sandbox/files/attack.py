"""Looks for files that are not its own, and writes where it must not."""

import os

from probe import attempt, handler_of, read_from, write_to


def listing():
    return {path: sorted(os.listdir(path)) if os.path.isdir(path) else None for path in ("/", "/etc", "/var", "/var/task", "/opt", "/tmp", "/home", "/root")}


def exists(paths):
    """Those that can be read or listed."""
    seen = []
    for path in paths:
        if os.path.isdir(path):
            if attempt(lambda: os.listdir(path)) == "done" and os.listdir(path):
                seen.append(path)
        elif read_from(path) is not None:
            seen.append(path)
    return seen


def writes():
    folders = ("/", "/var/task", "/var/runtime", "/var/lang", "/var/lang/gust", "/opt", "/usr", "/usr/lib", "/etc", "/bin", "/lib",
               "/dev", "/dev/shm", "/proc", "/var", "/tmp")
    return [folder for folder in folders if write_to(os.path.join(folder, "probe")) == "done"]


def own_code():
    """Every way to change what others run from the same package."""
    task = "/var/task/app.py"
    descriptor = os.open(task, os.O_RDONLY)
    outcomes = {
        "write": write_to(task),
        "truncate": attempt(lambda: os.truncate(task, 0)),
        "unlink": attempt(lambda: os.unlink(task)),
        "rename": attempt(lambda: os.rename(task, "/tmp/app.py")),
        "replace": attempt(lambda: os.replace("/tmp/probe", task)),
        "chmod": attempt(lambda: os.chmod(task, 0o777)),
        "times": attempt(lambda: os.utime(task)),
        "attribute": attempt(lambda: os.setxattr(task, "user.x", b"1")),
        "by-descriptor": attempt(lambda: open(f"/proc/self/fd/{descriptor}", "w")),
        "hard-link": attempt(lambda: os.link(task, "/tmp/linked.py")),
        "hard-link-by-descriptor": attempt(lambda: os.link(f"/proc/self/fd/{descriptor}", "/tmp/linked.py", follow_symlinks=True)),
        "through-symlink": _through_symlink(task),
        "folder": attempt(lambda: os.mkdir("/var/task/new")),
    }
    os.close(descriptor)
    return outcomes


def _through_symlink(target):
    link = "/tmp/link.py"
    attempt(lambda: os.unlink(link))
    os.symlink(target, link)
    return write_to(link)


def climb():
    """Leaves the root by going up, or through descriptors that something left open."""
    seen = []
    os.chdir("/tmp")
    for path in ("../../../../../../../..", "/proc/self/root/..", "/proc/self/cwd/../.."):
        seen.append(sorted(os.listdir(path)))
    for name in os.listdir("/proc/self/fd"):
        for tail in ("", "/..", "/../../../.."):
            path = f"/proc/self/fd/{name}{tail}"
            if os.path.isdir(path):
                seen.append(sorted(os.listdir(path)))
    return seen


def descriptors():
    links = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            links[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return links


def mounts():
    return read_from("/proc/self/mountinfo")


handler = handler_of(globals())
