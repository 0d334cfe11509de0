"""The kernel's doors are shut: system calls, namespaces, sockets, settings."""

REFUSED = {"EPERM", "ENOSYS", "EACCES"}


def test_every_privileged_system_call_is_refused(cloud, function):
    outcomes = cloud.result(function, "system_calls")
    assert len(outcomes) > 35
    assert not {name: outcome for name, outcome in outcomes.items() if outcome not in REFUSED}


def test_no_namespace_can_be_made(cloud, function):
    outcomes = cloud.result(function, "namespaces")
    made = [(way, kind) for way, kinds in outcomes.items() for kind, code in kinds.items() if code != 1]
    assert made == []


def test_clone3_is_not_there(cloud, function):
    assert cloud.result(function, "clone3") == "ENOSYS"


def test_other_abis_are_no_way_around(cloud, function):
    for abi, code in cloud.result(function, "other_abis").items():
        # Refused, or ended by a signal.
        assert code == 1 or code < 0, (abi, code)


def test_only_ordinary_sockets_can_be_made(cloud, function):
    outcomes = cloud.result(function, "sockets")
    assert outcomes.pop("netlink-route") == "done"
    assert set(outcomes.values()) <= REFUSED | {"EAFNOSUPPORT", "EPROTONOSUPPORT"}, outcomes


def test_settings_of_the_kernel_cannot_be_written(cloud, function):
    before = cloud.result(function, "unchanged")
    outcomes = cloud.result(function, "settings")
    # The masked one swallows what is written.
    outcomes.pop("/proc/sysrq-trigger")
    assert "done" not in outcomes.values(), outcomes
    assert cloud.result(function, "unchanged") == before


def test_the_kernels_memory_cannot_be_read(cloud, function):
    assert not any(cloud.result(function, "secrets").values())


def test_nothing_can_be_typed_into_a_terminal(cloud, function):
    assert cloud.result(function, "terminal") in REFUSED | {"no terminal", "EIO", "ENOTTY"}


def test_protections_of_programs_stay_on(cloud, function):
    outcomes = cloud.result(function, "personality")
    assert outcomes.pop("read") == "done"
    assert set(outcomes.values()) == {"EPERM"}, outcomes
