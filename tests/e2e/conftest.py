"""Fixtures of the end-to-end tests."""

import pytest

from harness.server import CACHE, Gust


@pytest.fixture(scope="session")
def sdk(gust):
    """The folder with boto3 that an earlier start has made."""
    folders = sorted((CACHE / "gust/sdk").glob("python-*"))
    assert folders, "the shared gust installs the SDK"
    return folders[-1]


@pytest.fixture
def start(sdk):
    """`start(*flags, data=folder)`: a gust of the test's own."""
    running = []

    def run(*flags, **options):
        nodes = sorted((CACHE / "gust/sdk").glob("node-*"))
        node_flags = ["--sdk-node", nodes[-1]] if nodes else []
        gust = Gust("--sdk", sdk, *node_flags, *flags, **options).ready()
        running.append(gust)
        return gust

    yield run
    for gust in running:
        gust.stop()
