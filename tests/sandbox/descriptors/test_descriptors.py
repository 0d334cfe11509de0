"""Open files are bounded as on Lambda (1,024), and one function's connections leave room for those of others.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""


def test_open_files_are_bounded(cloud, function):
    outcome = cloud.result(function, "files")
    assert outcome["error"] == "EMFILE" and outcome["count"] <= 1024, outcome


def test_the_limits_cannot_be_raised(cloud, function):
    assert set(cloud.result(function, "raise_limit")) == {"EPERM"}


def test_a_flood_of_connections_to_gust_hurts_nobody_else(cloud, function):
    assert cloud.result(function, "connections", port=4566, seconds=2) > 0
    cloud.assert_responsive()
