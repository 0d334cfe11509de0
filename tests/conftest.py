"""Fixtures of all tests that run against the real binary."""

import pytest

from harness.server import Gust


@pytest.fixture(scope="session")
def gust():
    """One ephemeral gust for all tests that only use what they create."""
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
