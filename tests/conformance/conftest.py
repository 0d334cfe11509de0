"""Every expectation about AWS says where it comes from."""

import contextlib
import pathlib

import botocore.exceptions
import pytest

HERE = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE not in item.path.parents:
            continue
        documented = item.get_closest_marker("documented")
        if documented is None and item.get_closest_marker("inferred") is None:
            raise pytest.UsageError(f"{item.nodeid} is marked neither documented(link) nor inferred")
        if documented is not None and not str(documented.args[0]).startswith("https://"):
            raise pytest.UsageError(f"{item.nodeid}: documented() wants a link")


@pytest.fixture
def refused():
    """`with refused("Code", 404) as error:`: the call inside must fail with exactly this."""

    @contextlib.contextmanager
    def expect(code, status):
        holder = {}
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            yield holder
        response = raised.value.response
        holder.update(response)
        assert response["Error"]["Code"] == code, response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status, response
        assert response["ResponseMetadata"]["RequestId"], response

    return expect
