"""A function is an ordinary user without privileges, and stays one."""

import pathlib

HARMLESS_DEVICES = {"null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr"}


def test_it_has_no_capability_and_no_group(cloud, function):
    status = cloud.result(function, "status")
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, (kind, status[kind])
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    assert status["uid"] == 993 and status["gid"] == 990
    # As an ordinary user one's own other groups cannot be dropped; they show as the overflow group, and grant no more
    # than gust's user has.
    assert set(status["groups"]) <= ({990} if cloud.mode == "root" else {990, 65534})


def test_each_environment_has_a_host_user_of_its_own(cloud, processes):
    source = "import time\ndef handler(event, context):\n    time.sleep(event['s'])\n"
    names = [cloud.deploy_source(source) for _ in range(2)]
    from harness.functions import invoke

    for name in names:
        invoke(cloud.client, name, {"s": 0})
    if cloud.mode != "root":
        return  # said in the table: every function is the same host user
    users = set()
    for pid in processes():
        try:
            users.add((pathlib.Path("/proc") / str(pid)).stat().st_uid)
        except OSError:
            pass
    functions = {uid for uid in users if uid >= 100_000}
    assert len(functions) >= 4, f"function and supervisor of two environments: {users}"


def test_it_cannot_become_anybody_else(cloud, function):
    outcomes = cloud.result(function, "become")
    assert set(outcomes.values()) == {1}, outcomes


def test_setuid_programs_have_no_effect(cloud, function):
    outcome = cloud.result(function, "setuid_programs")
    assert outcome["nosuid"]
    assert outcome["own"] == "993"
    assert "uid=0" not in outcome["su"] and not outcome["su"].rstrip().endswith("\n0"), outcome["su"]


def test_what_was_given_up_is_not_given_back(cloud, function):
    assert cloud.result(function, "no_new_privileges_off") == [-1, 1]


def test_there_are_no_devices_and_none_can_be_made(cloud, function):
    outcome = cloud.result(function, "devices")
    assert "done" not in outcome["made"].values(), outcome
    assert set(outcome["listed"]) <= HARMLESS_DEVICES, outcome
