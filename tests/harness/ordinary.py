"""A gust that an ordinary user runs: the account `nobody`, a home folder of its own, nothing of root's."""

import contextlib
import os
import pathlib
import shutil
import tempfile

from .server import BINARY, Gust

NOBODY = 65534
SYSTEM_PYTHON = pathlib.Path("/usr/bin/python3")


def can_be_tried():
    """Whether this machine lets us become an ordinary user who may make user namespaces."""
    limit = pathlib.Path("/proc/sys/user/max_user_namespaces")
    return os.geteuid() == 0 and SYSTEM_PYTHON.exists() and limit.exists() and limit.read_text().strip() != "0"


@contextlib.contextmanager
def ordinary_home():
    """A home folder of `nobody` with a copy of the binary in it."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="gust-test-user-"))
    try:
        home.chmod(0o755)
        shutil.copy(BINARY, home / "gust")
        os.chown(home, NOBODY, NOBODY)
        yield home
    finally:
        shutil.rmtree(home)


def ordinary_gust(home, *arguments, **options):
    """A gust that `nobody` starts from `home`."""
    variables = {"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(home / "cache")}
    variables.update(options.pop("variables", {}))
    popen = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": home}
    return Gust(*arguments, binary=home / "gust", variables=variables, popen=popen, **options)
