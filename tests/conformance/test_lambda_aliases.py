"""Lambda: aliases and the split of invocations between two versions."""

import concurrent.futures

import pytest

from harness.functions import create_function, invoke, log_lines, unique
from harness.packages import python_package

API = "https://docs.aws.amazon.com/lambda/latest/api/"
ROUTING = "https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html"
WAIT = {"Delay": 1, "MaxAttempts": 30}


def source(number):
    return f"def handler(event, context):\n    print('ran', {number}, context.function_version)\n    return {number}\n"


@pytest.fixture(scope="module")
def two(lambda_):
    """A function with versions 1 and 2."""
    name = create_function(lambda_, source(1), name=unique("aliased"))
    lambda_.publish_version(FunctionName=name)
    lambda_.update_function_code(FunctionName=name, ZipFile=python_package(source(2)), Publish=True)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
    return name


def ran(client, name, alias, times):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: invoke(client, name, {}, Qualifier=alias), range(times)))
    for answer in answers:
        assert answer["ExecutedVersion"] == str(answer["Payload"])
    return [answer["Payload"] for answer in answers]


@pytest.mark.documented(API + "API_CreateAlias.html")
def test_the_life_of_an_alias(lambda_, two, refused):
    made = lambda_.create_alias(FunctionName=two, Name="prod", FunctionVersion="1", Description="live")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    arn = lambda_.get_function(FunctionName=two)["Configuration"]["FunctionArn"]
    assert (made["AliasArn"], made["Name"], made["FunctionVersion"]) == (f"{arn}:prod", "prod", "1")
    assert "RoutingConfig" not in made
    got = lambda_.get_alias(FunctionName=two, Name="prod")
    assert {**got, "ResponseMetadata": None} == {**made, "ResponseMetadata": None}
    shown = lambda_.get_function(FunctionName=two, Qualifier="prod")["Configuration"]
    assert (shown["FunctionArn"], shown["Version"], shown["State"]) == (f"{arn}:prod", "1", "Active")
    assert ran(lambda_, two, "prod", 1) == [1]

    moved = lambda_.update_alias(FunctionName=two, Name="prod", FunctionVersion="2", RevisionId=made["RevisionId"])
    assert moved["RevisionId"] != made["RevisionId"] and moved["Description"] == "live"
    assert ran(lambda_, two, "prod", 3) == [2, 2, 2], "it holds from the next invocation on"
    with refused("PreconditionFailedException", 412):
        lambda_.update_alias(FunctionName=two, Name="prod", RevisionId=made["RevisionId"])
    with refused("ResourceConflictException", 409) as error:
        lambda_.create_alias(FunctionName=two, Name="prod", FunctionVersion="1")
    assert error["Error"]["Message"] == f"Alias already exists: {arn}:prod"
    with refused("ResourceConflictException", 409) as error:
        lambda_.delete_function(FunctionName=two, Qualifier="2")
    assert error["Error"]["Message"] == "Unable to delete version because the following aliases reference it: [prod]"
    with refused("InvalidParameterValueException", 400):
        lambda_.delete_function(FunctionName=two, Qualifier="prod")

    assert lambda_.delete_alias(FunctionName=two, Name="prod")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.get_alias(FunctionName=two, Name="prod")
    assert error["Error"]["Message"] == f"Cannot find alias arn: {arn}:prod"
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.invoke(FunctionName=two, Qualifier="prod")
    assert error["Error"]["Message"] == f"Function not found: {arn}:prod"
    lambda_.delete_alias(FunctionName=two, Name="prod")


@pytest.mark.documented(ROUTING)
def test_invocations_are_split_by_weight(lambda_, two):
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    made = lambda_.create_alias(FunctionName=two, Name="split", FunctionVersion="1", RoutingConfig=routing)
    assert made["RoutingConfig"] == routing
    answers = ran(lambda_, two, "split", 80)
    # Half of 80; six standard deviations to either side.
    assert 13 <= answers.count(2) <= 67, answers
    for weight, expected in ((0.0, {1}), (1.0, {2})):
        lambda_.update_alias(FunctionName=two, Name="split", RoutingConfig={"AdditionalVersionWeights": {"2": weight}})
        assert set(ran(lambda_, two, "split", 10)) == expected
    cleared = lambda_.update_alias(FunctionName=two, Name="split", RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in cleared
    assert set(ran(lambda_, two, "split", 10)) == {1}


@pytest.mark.documented(ROUTING)
def test_events_are_split_too(lambda_, logs):
    name = create_function(lambda_, source(1))
    lambda_.publish_version(FunctionName=name)
    lambda_.update_function_code(FunctionName=name, ZipFile=python_package(source(2)), Publish=True)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    lambda_.create_alias(FunctionName=name, Name="split", FunctionVersion="1", RoutingConfig=routing)
    for _ in range(40):
        lambda_.invoke(FunctionName=name, Qualifier="split", InvocationType="Event", Payload=b"{}")
    of = lambda lines, number: [line for line in lines if line == f"ran {number} {number}"]
    lines = log_lines(logs, name, lambda lines: len(of(lines, 1)) + len(of(lines, 2)) == 40, 60)
    assert of(lines, 1) and of(lines, 2)


@pytest.mark.documented(API + "API_ListAliases.html")
def test_aliases_are_listed_by_name_and_version(lambda_, two):
    made = {"l-b": "1", "l-a": "2", "l-c": "$LATEST"}
    for name, version in made.items():
        lambda_.create_alias(FunctionName=two, Name=name, FunctionVersion=version)
    pages = lambda_.get_paginator("list_aliases").paginate(FunctionName=two, PaginationConfig={"PageSize": 1})
    names = [alias["Name"] for page in pages for alias in page["Aliases"] if alias["Name"] in made]
    assert names == ["l-a", "l-b", "l-c"]
    selected = lambda_.list_aliases(FunctionName=two, FunctionVersion="2")["Aliases"]
    assert [alias["Name"] for alias in selected if alias["Name"] in made] == ["l-a"]
    for name in made:
        lambda_.delete_alias(FunctionName=two, Name=name)


@pytest.mark.documented(API + "API_CreateAlias.html")
@pytest.mark.parametrize(
    ("name", "version", "weights", "code", "status", "message"),
    [
        ("123", "1", {}, "ValidationException", 400, "at 'name' failed to satisfy constraint"),
        ("a.b", "1", {}, "ValidationException", 400, "at 'name' failed to satisfy constraint"),
        ("n" * 129, "1", {}, "ValidationException", 400, "less than or equal to 128"),
        ("x", "two", {}, "ValidationException", 400, "at 'functionVersion' failed to satisfy constraint"),
        ("x", "9", {}, "ResourceNotFoundException", 404, "Function not found: "),
        ("x", "1", {"9": 0.5}, "ResourceNotFoundException", 404, "Function not found: "),
        ("x", "1", {"2": 1.5}, "ValidationException", 400, "Value '{2=1.5}' at 'routingConfig.additionalVersionWeights'"),
        ("x", "1", {"2": -0.1}, "ValidationException", 400, "Value '{2=-0.1}' at 'routingConfig.additionalVersionWeights'"),
        ("x", "1", {"$LATEST": 0.5}, "ValidationException", 400, "Map keys must satisfy constraint: "),
        ("x", "1", {"1": 0.1, "2": 0.1}, "InvalidParameterValueException", 400,
         "Number of items in AdditionalVersionWeights cannot be greater than 1"),
        ("x", "1", {"1": 0.5}, "InvalidParameterValueException", 400,
         "Invalid function version 1. Function version 1 is already included in routing configuration."),
        ("x", "$LATEST", {"1": 0.5}, "InvalidParameterValueException", 400,
         "$LATEST is not supported for an alias pointing to more than 1 version"),
    ],
)  # fmt: skip
def test_what_create_alias_refuses(gust, two, refused, name, version, weights, code, status, message):
    unchecked = gust.client("lambda", validate=False)
    with refused(code, status) as error:
        unchecked.create_alias(
            FunctionName=two, Name=name, FunctionVersion=version, RoutingConfig={"AdditionalVersionWeights": weights}
        )
    assert message in error["Error"]["Message"]


@pytest.mark.documented(API + "API_CreateAlias.html")
def test_the_longest_name_works(lambda_, two):
    name = "n" * 128
    lambda_.create_alias(FunctionName=two, Name=name, FunctionVersion="1")
    assert ran(lambda_, two, name, 1) == [1]
    lambda_.delete_alias(FunctionName=two, Name=name)


@pytest.mark.inferred
def test_what_update_and_list_refuse(lambda_, two, refused):
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.update_alias(FunctionName=two, Name="missing", FunctionVersion="1")
    assert error["Error"]["Message"].startswith("Alias not found: arn:aws:lambda:")
    missing = unique("missing")
    for call in (
        lambda: lambda_.list_aliases(FunctionName=missing),
        lambda: lambda_.delete_alias(FunctionName=missing, Name="x"),
        lambda: lambda_.list_versions_by_function(FunctionName=missing),
    ):
        with refused("ResourceNotFoundException", 404) as error:
            call()
        assert error["Error"]["Message"].endswith(f":function:{missing}")
