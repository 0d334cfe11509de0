"""Waiting on conditions with a deadline; tests never just sleep."""

import time


def wait_for(condition, what, timeout_s=30, pause_s=0.02):
    """Returns the first true value of `condition()`; fails naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(pause_s)
