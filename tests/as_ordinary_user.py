"""Runs a client's own tests against a gust that an ordinary user runs: `python tests/as_ordinary_user.py COMMAND...`.

The command finds in GUST_BINARY a program that becomes `nobody` and then gust.
"""

import os
import shlex
import subprocess
import sys

from harness.ordinary import NOBODY, can_be_tried, ordinary_home


def main():
    if not can_be_tried():
        print("skipped: needs root to become nobody, user namespaces and a system Python")
        return 0
    with ordinary_home() as home:
        variables = ["PATH=/usr/bin:/bin", f"HOME={home}", f"XDG_CACHE_HOME={home}/cache"]
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env", *variables]
        wrapper = home / "gust-as-nobody"
        wrapper.write_text(f'#!/bin/sh\ncd {shlex.quote(str(home))}\nexec {shlex.join(become)} {shlex.quote(str(home / "gust"))} "$@"\n')
        wrapper.chmod(0o755)
        return subprocess.run(sys.argv[1:], env=os.environ | {"GUST_BINARY": str(wrapper)}).returncode


if __name__ == "__main__":
    sys.exit(main())
