"""No byte of one function's memory, files or environment reaches another's environment."""

import pathlib

from harness.functions import unique
from harness.waiting import wait_for

FOLDER = pathlib.Path(__file__).parent


def mark():
    return unique("mark") + "-q7w3e9"


def look_for(cloud, name, left):
    return cloud.result(name, "look", codes=list(left.encode()))


def test_nothing_reaches_another_function_while_both_live(cloud):
    first, second, left = cloud.deploy(FOLDER), cloud.deploy(FOLDER), mark()
    cloud.result(first, "leave", mark=left)
    assert look_for(cloud, second, left) == []


def test_nothing_stays_when_an_environment_has_gone(cloud, processes):
    before, left = set(processes()), mark()
    first = cloud.deploy(FOLDER)
    cloud.result(first, "leave", mark=left)
    cloud.client.delete_function(FunctionName=first)
    wait_for(lambda: not set(processes()) - before, "its environment to go", 20, 0.1)
    # Its host users, cgroups and memory are free to be used again.
    for _ in range(5):
        assert look_for(cloud, cloud.deploy(FOLDER), left) == []


def test_new_code_and_configuration_begin_with_nothing(cloud):
    name, left = cloud.deploy(FOLDER), mark()
    cloud.result(name, "leave", mark=left)
    cloud.client.update_function_configuration(FunctionName=name, Timeout=20)
    cloud.client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    assert look_for(cloud, name, left) == []


def test_the_same_function_keeps_what_it_left(cloud):
    """As on Lambda: the environment is its own until it goes."""
    name, left = cloud.deploy(FOLDER), mark()
    cloud.result(name, "leave", mark=left)
    found = look_for(cloud, name, left)
    assert "variable" in found and any(place.startswith("/tmp") for place in found), found


def test_new_memory_is_empty(cloud):
    name = cloud.deploy(FOLDER, MemorySize=512)
    assert cloud.result(name, "fresh_memory", mb=200) is True


def test_variables_and_names_are_each_functions_own(cloud):
    first = cloud.deploy(FOLDER, Environment={"Variables": {"SECRET_OF_ONE": "1"}})
    second = cloud.deploy(FOLDER, Environment={"Variables": {"SECRET_OF_TWO": "2"}})
    one, two = cloud.result(first, "identity"), cloud.result(second, "identity")
    assert "SECRET_OF_TWO" not in one["variables"] and "SECRET_OF_ONE" not in two["variables"]
    assert one["log"] != two["log"] and (one["function"], two["function"]) == (first, second)
    unexpected = [name for name in one["variables"] if name.startswith(("GUST", "_GUST")) or name in ("HOME", "USER", "SHELL", "SSH_AUTH_SOCK")]
    assert unexpected == []
