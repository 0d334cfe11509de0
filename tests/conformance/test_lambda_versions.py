"""Lambda: published versions, and qualifiers wherever they are taken."""

import pytest

from harness.functions import ROLE, create_function, invoke, log_lines, result, unique
from harness.packages import python_package

API = "https://docs.aws.amazon.com/lambda/latest/api/"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html"
WAIT = {"Delay": 1, "MaxAttempts": 30}
SEEN = (
    "import os\n"
    "def handler(event, context):\n"
    "    env = os.environ\n"
    "    return [{number}, context.function_version, env['AWS_LAMBDA_FUNCTION_VERSION'], context.invoked_function_arn,\n"
    "            context.log_stream_name]\n"
)


def source(number):
    return SEEN.replace("{number}", str(number))


def update(client, name, number):
    client.update_function_code(FunctionName=name, ZipFile=python_package(source(number)))
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)


@pytest.fixture(scope="module")
def two(lambda_):
    """A function whose $LATEST is 3 and whose versions 1 and 2 are what they are called."""
    name = create_function(lambda_, source(1), name=unique("two"))
    for number in (1, 2):
        assert lambda_.publish_version(FunctionName=name)["Version"] == str(number)
        update(lambda_, name, number + 1)
    return name


@pytest.mark.documented(GUIDE)
def test_a_version_stays_what_it_was_and_runs_apart(lambda_, two):
    arn = lambda_.get_function(FunctionName=two)["Configuration"]["FunctionArn"]
    for qualifier, number, version in ((None, 3, "$LATEST"), ("$LATEST", 3, "$LATEST"), ("1", 1, "1"), ("2", 2, "2")):
        options = {"Qualifier": qualifier} if qualifier else {}
        answer = invoke(lambda_, two, {}, LogType="Tail", **options)
        assert answer["ExecutedVersion"] == version
        assert f" Version: {version}\n" in answer["Log"]
        seen_number, seen, variable, invoked, stream = answer["Payload"]
        assert (seen_number, seen, variable) == (number, version, version)
        assert invoked == (f"{arn}:{qualifier}" if qualifier else arn)
        assert f"/[{version}]" in stream
        named = result(lambda_, f"{arn}:{qualifier}" if qualifier else arn)
        assert named[:2] == [number, version]


@pytest.mark.documented(API + "API_PublishVersion.html")
def test_publishing_again_without_a_change_gives_the_same_version(lambda_):
    name = create_function(lambda_, source(1))
    first = lambda_.publish_version(FunctionName=name, Description="first")
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (first["Version"], first["Description"]) == ("1", "first")
    assert (first["State"], first["LastUpdateStatus"]) == ("Active", "Successful")
    assert first["FunctionArn"].endswith(f":{name}:1")
    again = lambda_.publish_version(FunctionName=name, Description="another")
    assert {**again, "ResponseMetadata": None} == {**first, "ResponseMetadata": None}
    lambda_.update_function_configuration(FunctionName=name, MemorySize=256)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
    second = lambda_.publish_version(FunctionName=name)
    assert (second["Version"], second["MemorySize"], second["Description"]) == ("2", 256, "")
    shown = lambda_.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (shown["MemorySize"], shown["Description"], shown["RevisionId"]) == (128, "first", first["RevisionId"])


@pytest.mark.documented(API + "API_CreateFunction.html")
def test_create_and_update_publish_and_the_waiters_see_it(lambda_):
    name = unique("published")
    code = {"ZipFile": python_package(source(1))}
    made = lambda_.create_function(
        FunctionName=name, Runtime="python3.11", Role=ROLE, Handler="app.handler", Code=code, Publish=True
    )
    assert made["Version"] == "1" and made["State"] == "Pending"
    lambda_.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig=WAIT)
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=WAIT)
    assert result(lambda_, name, Qualifier="1")[:2] == [1, "1"]
    changed = lambda_.update_function_code(FunctionName=name, ZipFile=python_package(source(2)), Publish=True)
    assert changed["Version"] == "2" and changed["FunctionArn"].endswith(":2")
    lambda_.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2", WaiterConfig=WAIT)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
    assert result(lambda_, name, Qualifier="2")[:2] == [2, "2"]
    assert result(lambda_, name, Qualifier="1")[:2] == [1, "1"]


@pytest.mark.documented(API + "API_ListVersionsByFunction.html")
def test_versions_are_listed_in_pages(lambda_, two):
    paginator = lambda_.get_paginator("list_versions_by_function")
    pages = list(paginator.paginate(FunctionName=two, PaginationConfig={"PageSize": 2}))
    versions = [version for page in pages for version in page["Versions"]]
    assert [version["Version"] for version in versions] == ["$LATEST", "1", "2"]
    assert [len(page["Versions"]) for page in pages] == [2, 1]
    assert all(version["FunctionArn"].endswith(":" + version["Version"]) for version in versions)
    # Recorded from AWS: lists show no state.
    assert not any("State" in version for version in versions)
    everything = lambda_.get_paginator("list_functions").paginate(FunctionVersion="ALL")
    mine = [it["FunctionArn"] for page in everything for it in page["Functions"] if it["FunctionName"] == two]
    assert [arn.rsplit(":", 1)[1] for arn in mine] == ["$LATEST", "1", "2"]


@pytest.mark.documented(API + "API_PublishVersion.html")
def test_what_publish_version_refuses(lambda_, refused):
    name = create_function(lambda_, source(1))
    current = lambda_.get_function_configuration(FunctionName=name)
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.publish_version(FunctionName=name, CodeSha256="other")
    assert error["Error"]["Message"] == (
        f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({current['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    with refused("PreconditionFailedException", 412):
        lambda_.publish_version(FunctionName=name, RevisionId="00000000-0000-0000-0000-000000000000")
    with refused("ResourceNotFoundException", 404):
        lambda_.publish_version(FunctionName=unique("missing"))
    made = lambda_.publish_version(
        FunctionName=name, CodeSha256=current["CodeSha256"], RevisionId=current["RevisionId"], Description="d" * 256
    )
    assert made["Version"] == "1"


@pytest.mark.documented(API + "API_DeleteFunction.html")
def test_a_version_is_deleted_alone_and_its_number_is_never_given_again(lambda_, refused):
    name = create_function(lambda_, source(1))
    lambda_.publish_version(FunctionName=name)
    assert result(lambda_, name, Qualifier="1")[0] == 1
    lambda_.delete_function(FunctionName=name, Qualifier="1")
    for call in (lambda_.get_function, lambda_.get_function_configuration, lambda_.invoke):
        with refused("ResourceNotFoundException", 404) as error:
            call(FunctionName=name, Qualifier="1")
        assert error["Error"]["Message"].endswith(f":function:{name}:1")
    assert result(lambda_, name)[0] == 1
    assert lambda_.publish_version(FunctionName=name)["Version"] == "2"
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.delete_function(FunctionName=name, Qualifier="$LATEST")
    assert error["Error"]["Message"] == "$LATEST version cannot be deleted without deleting the function."
    lambda_.delete_function(FunctionName=name)
    for qualifier in ("$LATEST", "2"):
        with refused("ResourceNotFoundException", 404):
            lambda_.get_function(FunctionName=name, Qualifier=qualifier)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
def test_each_version_counts_for_code_storage(lambda_):
    name = create_function(lambda_, source(1))
    used = lambda: lambda_.get_account_settings()["AccountUsage"]["TotalCodeSize"]
    size = lambda_.get_function_configuration(FunctionName=name)["CodeSize"]
    before = used()
    lambda_.publish_version(FunctionName=name)
    assert used() == before + size
    lambda_.delete_function(FunctionName=name, Qualifier="1")
    assert used() == before


@pytest.mark.inferred
def test_latest_published_does_not_exist_without_capacity_providers(lambda_, two, refused):
    for call in (lambda_.get_function, lambda_.get_function_configuration, lambda_.invoke):
        with refused("ResourceNotFoundException", 404) as error:
            call(FunctionName=two, Qualifier="$LATEST.PUBLISHED")
        assert error["Error"]["Message"].endswith(":$LATEST.PUBLISHED")
    with refused("NotImplemented", 501):
        lambda_.publish_version(FunctionName=two, PublishTo="LATEST_PUBLISHED")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html")
def test_tags_are_the_functions_only(lambda_, two, refused):
    arn = lambda_.get_function(FunctionName=two)["Configuration"]["FunctionArn"]
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.tag_resource(Resource=f"{arn}:1", Tags={"a": "b"})
    expected = "Tags on function aliases and versions are not supported. Please specify a function ARN."
    assert error["Error"]["Message"] == expected


@pytest.mark.documented(API + "API_UpdateFunctionCode.html")
def test_only_latest_can_be_changed(lambda_, two, refused):
    for change in (
        lambda: lambda_.update_function_code(FunctionName=f"{two}:1", ZipFile=python_package(source(9))),
        lambda: lambda_.update_function_configuration(FunctionName=f"{two}:1", MemorySize=256),
        lambda: lambda_.put_function_concurrency(FunctionName=f"{two}:1", ReservedConcurrentExecutions=1),
    ):
        with refused("InvalidParameterValueException", 400) as error:
            change()
        assert error["Error"]["Message"].startswith("This operation is permitted on Lambda functions only.")


@pytest.mark.documented(API + "API_InvokeAsync.html")
def test_invoke_async_takes_a_quarter_of_a_mebibyte(lambda_, logs, refused):
    name = create_function(lambda_, "def handler(event, context):\n    print('got', len(event))\n")
    lambda_.publish_version(FunctionName=name)
    largest = b'"' + b"x" * (262_144 - 2) + b'"'
    assert lambda_.invoke_async(FunctionName=f"{name}:1", InvokeArgs=largest)["Status"] == 202
    log_lines(logs, name, lambda lines: "got 262142" in lines)
    with refused("RequestEntityTooLargeException", 413):
        lambda_.invoke_async(FunctionName=name, InvokeArgs=largest[:-1] + b'x"')


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation-invoke.html")
def test_an_environment_serves_one_tenant(lambda_, refused):
    counting = "calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    return [context.tenant_id, calls]\n"
    name = create_function(lambda_, counting, TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    shown = lambda_.get_function_configuration(FunctionName=name)
    assert shown["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}
    assert result(lambda_, name, TenantId="blue") == ["blue", 1]
    assert result(lambda_, name, TenantId="green") == ["green", 1]
    assert result(lambda_, name, TenantId="blue") == ["blue", 2]
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.invoke(FunctionName=name)
    assert error["Error"]["Message"] == (
        "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
    )
    plain = create_function(lambda_, counting)
    with refused("InvalidParameterValueException", 400):
        lambda_.invoke(FunctionName=plain, TenantId="blue")
    assert result(lambda_, plain) == [None, 1]
    with refused("ValidationException", 400):
        lambda_.invoke(FunctionName=name, TenantId="no#hash")
