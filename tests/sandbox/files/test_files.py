"""A function sees its package, layers, SDK and the system's libraries, and writes to /tmp only."""

import os
import pathlib
import tempfile

import pytest

SYSTEM = {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr"}
OWN = {"dev", "etc", "opt", "proc", "tmp", "var"}
SECRET = "the host's own"


def test_the_root_holds_what_is_listed_and_nothing_else(cloud, function):
    seen = cloud.result(function, "listing")
    # The prefix of an interpreter outside of /usr is shown at its own path, and nothing beside it.
    extra = set(seen["/"]) - SYSTEM - OWN
    assert extra <= {"root", "home", "opt"}, seen["/"]
    for folder in ("/root", "/home"):
        assert len(seen[folder] or []) <= 1 and not set(seen[folder] or []) - {".pyenv", ".local", ".nvm"}, seen[folder]
    assert set(seen["/var/task"]) - {"__pycache__"} == {"app.py", "probe.py"}


@pytest.fixture
def secrets():
    """Files of the host that everybody could read, if they were there."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / "secret", pathlib.Path("/var/tmp") / f"gust-secret-{os.getpid()}"]
        pathlib.Path(folder).chmod(0o755)
        for path in paths:
            path.write_text(SECRET)
            path.chmod(0o644)
        yield [str(path) for path in paths]
        paths[1].unlink()


def test_files_of_the_host_are_not_there(cloud, function, secrets):
    paths = ["/etc/shadow", "/etc/hostname", "/etc/ssh", "/boot", "/run", "/sys", "/var/lib", "/var/log", "/var/run", "/srv", "/mnt"]
    paths += ["/root/.bashrc", "/root/.ssh", "/home", "/dev/shm", "/dev/mem", "/dev/kvm", "/work", str(pathlib.Path(__file__))]
    assert cloud.result(function, "exists", paths=paths + secrets) == []


def test_the_data_of_gust_and_of_other_functions_is_not_there(cloud, function):
    """Ephemeral data lies in the temporary folder, under a name that is known here."""
    folders = [str(path) for path in pathlib.Path(tempfile.gettempdir()).glob("gust-ephemeral-*")]
    assert folders
    inside = [f"{folder}/{name}" for folder in folders for name in ("", "store", "code", "blobs", "run", "lock", "gust.sock")]
    assert cloud.result(function, "exists", paths=inside) == []


def test_only_tmp_can_be_written(cloud, function):
    assert cloud.result(function, "writes") == ["/tmp"]


def test_a_package_cannot_be_changed_by_what_runs_from_it(cloud, function):
    outcomes = cloud.result(function, "own_code")
    assert set(outcomes.values()) <= {"EROFS", "EPERM", "EACCES", "EXDEV", "EOPNOTSUPP"}, outcomes


def test_there_is_no_way_up(cloud, function):
    for names in cloud.result(function, "climb"):
        assert "work" not in names and "boot" not in names and "store" not in names, names


def test_no_descriptor_is_inherited_but_those_that_are_needed(cloud, function):
    links = cloud.result(function, "descriptors")
    allowed = ("pipe:", "socket:", "/dev/null", "/proc/", "anon_inode:[event")
    unexpected = {number: target for number, target in links.items() if not target.startswith(allowed)}
    assert not unexpected, links
    # Standard streams, channel, log pipe, and the listing itself.
    assert len(links) <= 8, links


def test_the_mounts_are_read_only_and_without_privileges(cloud, function):
    for line in cloud.result(function, "mounts").splitlines():
        words = line.split()
        target, options = words[4], words[5].split(",")
        assert "nosuid" in options, line
        assert "ro" in options or target in ("/tmp",) or target.startswith(("/dev/", "/proc/")), line
        assert "nodev" in options or target.startswith(("/dev", "/proc/")), line
