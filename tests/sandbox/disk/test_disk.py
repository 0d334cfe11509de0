"""/tmp has the size that was asked for, in bytes and in files; the host's disk is not touched."""

import pathlib
import shutil
import tempfile

FOLDER = pathlib.Path(__file__).parent


def test_tmp_is_full_at_its_size(cloud):
    name = cloud.deploy(FOLDER, MemorySize=512, EphemeralStorage={"Size": 512})
    free = shutil.disk_usage(tempfile.gettempdir()).free
    outcome = cloud.result(name, "fill")
    assert outcome["error"] == "ENOSPC" and 500 <= outcome["mb"] <= 512, outcome
    assert free - shutil.disk_usage(tempfile.gettempdir()).free < 300 << 20, "it went to the host's disk"
    assert cloud.result(name, "used")["flood"] >= 500 << 20, "it stays for the next invocation"


def test_files_are_bounded(cloud):
    outcome = cloud.result(cloud.deploy(FOLDER, MemorySize=512, Timeout=120), "inodes")
    # One inode for 16 KiB, as a file system of that size has it.
    assert outcome["error"] == "ENOSPC" and outcome["count"] <= 512 * 64, outcome


def test_a_sparse_file_takes_no_room(cloud):
    answer = cloud.run(cloud.deploy(FOLDER), "sparse")
    assert answer.get("FunctionError") or answer["Payload"] == 0, answer
