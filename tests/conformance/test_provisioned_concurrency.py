"""Lambda: provisioned concurrency."""

import re

import pytest

from harness.functions import create_function, invoke, log_lines, result, unique
from harness.packages import python_package
from harness.waiting import wait_for

API = "https://docs.aws.amazon.com/lambda/latest/api/"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html"
SOURCE = (
    "import os, uuid\n"
    "me = str(uuid.uuid4())\n"
    "def handler(event, context):\n"
    "    return [os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'], me, context.function_version]\n"
)


@pytest.fixture
def function(lambda_):
    """A function with versions 1 and 2, whose alias `live` leads to version 1."""
    name = create_function(lambda_, SOURCE, Timeout=30)
    assert lambda_.publish_version(FunctionName=name)["Version"] == "1"
    lambda_.update_function_code(FunctionName=name, ZipFile=python_package(SOURCE + "# two\n"))
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert lambda_.publish_version(FunctionName=name)["Version"] == "2"
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    yield name
    lambda_.delete_function(FunctionName=name)


def put(client, name, qualifier, executions):
    return client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=executions
    )


def get(client, name, qualifier):
    return client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)


def settled(client, name, qualifier):
    """What is shown once the allocation has ended, however it did."""
    shown = lambda: get(client, name, qualifier)
    wait_for(lambda: shown()["Status"] != "IN_PROGRESS", f"{name}:{qualifier} to be allocated", 60, 0.05)
    return shown()


def numbers(shown):
    kinds = ("Requested", "Allocated", "Available")
    return [shown[f"{kind}ProvisionedConcurrentExecutions"] for kind in kinds]


@pytest.mark.documented(GUIDE)
def test_environments_are_started_ahead_of_requests(lambda_, logs, function):
    answer = put(lambda_, function, "1", 2)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert numbers(answer) == [2, 0, 0] and answer["Status"] == "IN_PROGRESS" and "StatusReason" not in answer
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000", answer["LastModified"])
    shown = settled(lambda_, function, "1")
    assert shown["Status"] == "READY" and numbers(shown) == [2, 2, 2]
    assert shown["LastModified"] == answer["LastModified"]
    begun = lambda lines: sum(line.startswith("INIT_START ") for line in lines) == 2
    log_lines(logs, function, begun)
    kind, first, version = result(lambda_, function, Qualifier="1")
    assert (kind, version) == ("provisioned-concurrency", "1")
    assert result(lambda_, function, Qualifier="live")[0] == "provisioned-concurrency", "it leads to that version"
    assert result(lambda_, function, Qualifier="2")[0] == "on-demand"
    assert result(lambda_, function)[0] == "on-demand"


@pytest.mark.inferred
def test_the_first_report_tells_the_initialisation_and_does_not_bill_it(lambda_, function):
    put(lambda_, function, "1", 1)
    settled(lambda_, function, "1")
    reports = [invoke(lambda_, function, Qualifier="1", LogType="Tail")["Log"].splitlines()[-1] for _ in range(2)]
    found = re.search(r"Duration: ([\d.]+) ms\tBilled Duration: (\d+) ms.*\tInit Duration: ([\d.]+) ms", reports[0])
    duration, billed, _init = map(float, found.groups())
    assert billed - duration < 1
    assert "Init Duration" not in reports[1]


@pytest.mark.documented(GUIDE)
def test_a_config_moves_with_its_alias_and_shares_while_it_routes(lambda_, function, refused):
    put(lambda_, function, "live", 4)
    assert settled(lambda_, function, "live")["Status"] == "READY"
    assert result(lambda_, function, Qualifier="1")[0] == "provisioned-concurrency"
    with refused("ProvisionedConcurrencyConfigNotFoundException", 404):
        get(lambda_, function, "1")
    lambda_.update_alias(FunctionName=function, Name="live", FunctionVersion="2")
    shown = settled(lambda_, function, "live")
    assert shown["Status"] == "READY" and numbers(shown) == [4, 4, 4]
    assert result(lambda_, function, Qualifier="live")[::2] == ["provisioned-concurrency", "2"]
    wait_for(lambda: result(lambda_, function, Qualifier="1")[0] == "on-demand", "version 1 to lose what it had")
    lambda_.update_alias(
        FunctionName=function, Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 0.25}}
    )
    assert numbers(settled(lambda_, function, "live")) == [4, 4, 4]
    with refused("InvalidParameterValueException", 400) as error:
        put(lambda_, function, "live", 5)
    assert error["Error"]["Message"] == "Invalid alias configuration for Provisioned Concurrency"


@pytest.mark.documented(API + "API_ListProvisionedConcurrencyConfigs.html")
def test_configs_are_listed_in_pages(lambda_, function):
    pages = lambda **options: lambda_.list_provisioned_concurrency_configs(FunctionName=function, **options)
    assert pages()["ProvisionedConcurrencyConfigs"] == []
    put(lambda_, function, "live", 1)
    put(lambda_, function, "2", 2)
    first = pages(MaxItems=1)
    second = pages(MaxItems=1, Marker=first["NextMarker"])
    assert "NextMarker" not in second
    items = first["ProvisionedConcurrencyConfigs"] + second["ProvisionedConcurrencyConfigs"]
    assert [item["FunctionArn"].split(":", 6)[-1] for item in items] == [f"{function}:2", f"{function}:live"]
    assert [item["RequestedProvisionedConcurrentExecutions"] for item in items] == [2, 1]
    assert all(item["Status"] in ("IN_PROGRESS", "READY") and item["LastModified"] for item in items)
    paginator = lambda_.get_paginator("list_provisioned_concurrency_configs").paginate(FunctionName=function)
    assert len(list(paginator.search("ProvisionedConcurrencyConfigs"))) == 2


@pytest.mark.documented(API + "API_DeleteProvisionedConcurrencyConfig.html")
def test_deleting_ends_what_was_kept_ready(lambda_, function, refused):
    put(lambda_, function, "1", 1)
    settled(lambda_, function, "1")
    for _ in range(2):
        done = lambda_.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="1")
        assert done["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("ProvisionedConcurrencyConfigNotFoundException", 404) as error:
        get(lambda_, function, "1")
    assert error["Error"]["Message"] == "No Provisioned Concurrency Config found for this function"
    wait_for(lambda: result(lambda_, function, Qualifier="1")[0] == "on-demand", "an environment on demand")


@pytest.mark.documented(GUIDE)
def test_a_config_goes_with_its_alias_and_its_version(lambda_, function, refused):
    put(lambda_, function, "live", 1)
    put(lambda_, function, "2", 1)
    lambda_.delete_alias(FunctionName=function, Name="live")
    with refused("ResourceNotFoundException", 404):
        get(lambda_, function, "live")
    lambda_.delete_function(FunctionName=function, Qualifier="2")
    listed = lambda_.list_provisioned_concurrency_configs(FunctionName=function)
    assert listed["ProvisionedConcurrencyConfigs"] == []
    lambda_.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    with refused("ProvisionedConcurrencyConfigNotFoundException", 404):
        get(lambda_, function, "live")


@pytest.mark.documented(GUIDE)
def test_a_version_has_one_config(lambda_, function, refused):
    put(lambda_, function, "1", 1)
    with refused("ResourceConflictException", 409) as error:
        put(lambda_, function, "live", 1)
    assert error["Error"]["Message"] == (
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
    )
    lambda_.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="1")
    put(lambda_, function, "live", 1)
    with refused("ResourceConflictException", 409) as error:
        put(lambda_, function, "1", 1)
    assert error["Error"]["Message"] == "Version is pointed by a Provisioned Concurrency alias"


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html")
def test_it_counts_against_the_account_or_within_the_reservation(lambda_, function, refused):
    unreserved = lambda: lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    before = unreserved()
    with refused("InvalidParameterValueException", 400) as error:
        put(lambda_, function, "1", before - 99)
    assert error["Error"]["Message"] == (
        "Specified ConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100]."
    )
    with refused("InvalidParameterValueException", 400) as error:
        put(lambda_, function, "1", 100_000)
    assert re.fullmatch(
        r"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency \[\d+\]\.",
        error["Error"]["Message"],
    )
    put(lambda_, function, "1", 2)
    assert unreserved() == before - 2
    lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=3)
    assert unreserved() == before - 3
    put(lambda_, function, "2", 1)
    with refused("InvalidParameterValueException", 400) as error:
        put(lambda_, function, "2", 2)
    assert error["Error"]["Message"] == (
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    )
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=2)
    assert "should not be lower than function's total provisioned concurrency [3]" in error["Error"]["Message"]
    # All of the reservation is provisioned: nothing is left for $LATEST.
    with pytest.raises(lambda_.exceptions.TooManyRequestsException) as throttled:
        invoke(lambda_, function)
    assert throttled.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    settled(lambda_, function, "1")
    assert result(lambda_, function, Qualifier="1")[0] == "provisioned-concurrency"
    lambda_.delete_function_concurrency(FunctionName=function)
    assert unreserved() == before - 3
    assert result(lambda_, function)[0] == "on-demand"


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html")
def test_a_function_that_cannot_be_initialised_fails(lambda_):
    name = create_function(lambda_, "import nothing_of_that_name\n")
    lambda_.publish_version(FunctionName=name)
    put(lambda_, name, "1", 1)
    shown = settled(lambda_, name, "1")
    assert (shown["Status"], shown["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    assert numbers(shown) == [1, 0, 0]
    lambda_.delete_function(FunctionName=name)


@pytest.mark.documented(API + "API_PutProvisionedConcurrencyConfig.html")
def test_what_is_refused(gust, lambda_, function, refused):
    unpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    neither = "The function resource provided must be an alias or a published version."
    with refused("InvalidParameterValueException", 400) as error:
        put(lambda_, function, "$LATEST", 1)
    assert error["Error"]["Message"] == unpublished
    for operation in (get, lambda *of: lambda_.delete_provisioned_concurrency_config(FunctionName=of[1], Qualifier=of[2])):
        with refused("InvalidParameterValueException", 400) as error:
            operation(lambda_, function, "$LATEST")
        assert error["Error"]["Message"] == neither
        for qualifier, message in (("none", "Cannot find alias arn: "), ("77", "Function not found: ")):
            with refused("ResourceNotFoundException", 404) as error:
                operation(lambda_, function, qualifier)
            assert error["Error"]["Message"].startswith(message)
    lambda_.create_alias(FunctionName=function, Name="latest", FunctionVersion="$LATEST")
    with refused("InvalidParameterValueException", 400) as error:
        put(lambda_, function, "latest", 1)
    assert error["Error"]["Message"] == unpublished
    for qualifier in ("none", "77"):
        with refused("ResourceNotFoundException", 404):
            put(lambda_, unique("missing"), qualifier, 1)
    careless = gust.client("lambda", validate=False)
    for executions in (0, -1):
        with refused("ValidationException", 400):
            put(careless, function, "1", executions)
    with refused("ResourceNotFoundException", 404):
        lambda_.list_provisioned_concurrency_configs(FunctionName=unique("missing"))


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation.html")
def test_functions_that_are_isolated_by_tenant_have_none(lambda_, refused):
    name = create_function(lambda_, SOURCE, TenancyConfig={"TenantIsolationMode": "PER_TENANT"}, Publish=True)
    with refused("InvalidParameterValueException", 400):
        put(lambda_, name, "1", 1)
    lambda_.delete_function(FunctionName=name)
