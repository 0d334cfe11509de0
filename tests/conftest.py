"""Fixtures of all tests that run against the real binary."""

import os

import pytest

from harness.ordinary import can_be_tried, ordinary_gust, ordinary_home
from harness.server import Gust

# `cargo xtask test ordinary-user` sets it: the same tests against a gust that an ordinary user runs.
AS_ORDINARY_USER = os.environ.get("GUST_TEST_AS_ORDINARY_USER") == "1"


@pytest.fixture(scope="session")
def gust():
    """One ephemeral gust for all tests that only use what they create."""
    if AS_ORDINARY_USER:
        if not can_be_tried():
            pytest.skip("needs root to become nobody, user namespaces and a system Python")
        with ordinary_home() as home, ordinary_gust(home) as running:
            yield running.with_sdk()
    else:
        with Gust() as running:
            yield running.with_sdk()


@pytest.fixture(scope="session")
def lambda_(gust):
    return gust.client("lambda")


@pytest.fixture(scope="session")
def logs(gust):
    return gust.client("logs")


@pytest.fixture(scope="session")
def iam(gust):
    return gust.client("iam")


@pytest.fixture(scope="session")
def sts(gust):
    return gust.client("sts")
