"""Lambda: event invoke configs, runtime management, recursion and code signing."""

import pytest

from harness.functions import ROLE, create_function, unique
from harness.packages import python_package

API = "https://docs.aws.amazon.com/lambda/latest/api/"
ECHO = "def handler(event, context):\n    return event\n"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


@pytest.fixture
def function(lambda_):
    return create_function(lambda_, ECHO)


@pytest.mark.documented(API + "API_PutFunctionEventInvokeConfig.html")
def test_an_event_invoke_config_lives(lambda_, function, refused):
    none = f"The function {ARN}{function}:$LATEST doesn't have an EventInvokeConfig"
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.update_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=1)
    assert error["Error"]["Message"] == none
    put = lambda_.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60)
    assert put["FunctionArn"] == f"{ARN}{function}:$LATEST" and put["LastModified"].year >= 2024
    assert (put["MaximumRetryAttempts"], put["MaximumEventAgeInSeconds"]) == (0, 60)
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    target = ARN + create_function(lambda_, ECHO)
    to_function = {"OnFailure": {"Destination": target}}
    updated = lambda_.update_function_event_invoke_config(FunctionName=function, DestinationConfig=to_function)
    assert updated["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": target}}
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (0, 60)
    listed = lambda_.list_function_event_invoke_configs(FunctionName=function)["FunctionEventInvokeConfigs"]
    shown = lambda_.get_function_event_invoke_config(FunctionName=function, Qualifier="$LATEST")
    del shown["ResponseMetadata"]
    assert listed == [shown] and shown["DestinationConfig"] == updated["DestinationConfig"]
    overwritten = lambda_.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=2)
    assert "MaximumEventAgeInSeconds" not in overwritten
    lambda_.delete_function_event_invoke_config(FunctionName=function)
    for operation in (lambda_.get_function_event_invoke_config, lambda_.delete_function_event_invoke_config):
        with refused("ResourceNotFoundException", 404) as error:
            operation(FunctionName=function)
        assert error["Error"]["Message"] == none


@pytest.mark.inferred
def test_event_invoke_configs_that_cannot_be(gust, lambda_, function, refused):
    put = lambda_.put_function_event_invoke_config
    with refused("InvalidParameterValueException", 400) as error:
        put(FunctionName=function)
    assert error["Error"]["Message"] == "You must specify at least one of error handling or destination setting."
    unchecked = gust.client("lambda", validate=False)
    for member, wrong in [("MaximumRetryAttempts", (-1, 3)), ("MaximumEventAgeInSeconds", (59, 21_601))]:
        for value in wrong:
            with refused("ValidationException", 400):
                unchecked.put_function_event_invoke_config(FunctionName=function, **{member: value})
    with refused("ResourceNotFoundException", 404) as error:
        put(FunctionName=unique("missing"), MaximumRetryAttempts=1)
    assert error["Error"]["Message"] == "The function doesn't exist."
    with refused("ResourceNotFoundException", 404):
        put(FunctionName=function, Qualifier="NONE", MaximumRetryAttempts=1)
    for arn, message in [
        (ARN + "doesnotexist", f"The destination ARN {ARN}doesnotexist is invalid."),
        (ARN + function, "You can't specify the function as a destination for itself."),
        ("arn:aws:iam::000000000000:role/r", "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:iam::000000000000:role/r), onFailure=null) is invalid."),
    ]:  # fmt: skip
        with refused("InvalidParameterValueException", 400) as error:
            put(FunctionName=function, DestinationConfig={"OnSuccess": {"Destination": arn}})
        assert error["Error"]["Message"] == message
    with refused("ValidationException", 400):
        put(FunctionName=function, DestinationConfig={"OnFailure": {"Destination": "arn:aws:_-/!lambda:x"}})


@pytest.mark.documented(API + "API_PutRuntimeManagementConfig.html")
def test_runtime_management_is_kept(lambda_, function, refused):
    shown = lambda_.get_runtime_management_config(FunctionName=function)
    assert (shown["UpdateRuntimeOn"], shown["FunctionArn"]) == ("Auto", f"{ARN}{function}:$LATEST")
    assert "RuntimeVersionArn" not in shown
    arn = lambda_.get_function_configuration(FunctionName=function)["RuntimeVersionConfig"]["RuntimeVersionArn"]
    put = lambda_.put_runtime_management_config(FunctionName=function, UpdateRuntimeOn="Manual", RuntimeVersionArn=arn)
    assert (put["UpdateRuntimeOn"], put["RuntimeVersionArn"]) == ("Manual", arn)
    assert lambda_.get_runtime_management_config(FunctionName=function)["RuntimeVersionArn"] == arn
    lambda_.put_runtime_management_config(FunctionName=function, UpdateRuntimeOn="FunctionUpdate")
    assert lambda_.get_runtime_management_config(FunctionName=function)["UpdateRuntimeOn"] == "FunctionUpdate"
    for options in ({"UpdateRuntimeOn": "Manual"}, {"UpdateRuntimeOn": "Auto", "RuntimeVersionArn": arn}):
        with refused("InvalidParameterValueException", 400):
            lambda_.put_runtime_management_config(FunctionName=function, **options)
    with refused("ResourceNotFoundException", 404):
        lambda_.get_runtime_management_config(FunctionName=unique("missing"))


@pytest.mark.documented(API + "API_PutFunctionRecursionConfig.html")
def test_loops_are_terminated_unless_they_are_allowed(lambda_, function, refused):
    assert lambda_.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Terminate"
    assert lambda_.put_function_recursion_config(FunctionName=function, RecursiveLoop="Allow")["RecursiveLoop"] == "Allow"
    assert lambda_.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Allow"
    with refused("ValidationException", 400):
        lambda_.put_function_recursion_config(FunctionName=function, RecursiveLoop="Maybe")
    with refused("ResourceNotFoundException", 404):
        lambda_.put_function_recursion_config(FunctionName=unique("missing"), RecursiveLoop="Allow")


@pytest.mark.inferred
def test_code_signing_is_refused_by_name(lambda_, function, refused):
    shown = lambda_.get_function_code_signing_config(FunctionName=function)
    assert set(shown) == {"ResponseMetadata"}, "AWS answers an empty structure too"
    with refused("ResourceNotFoundException", 404):
        lambda_.get_function_code_signing_config(FunctionName=unique("missing"))
    config = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0"
    with refused("NotImplemented", 501) as error:
        lambda_.create_function(
            FunctionName=unique("signed"), Runtime="python3.11", Role=ROLE, Handler="app.handler",
            Code={"ZipFile": python_package(ECHO)}, CodeSigningConfigArn=config,
        )  # fmt: skip
    assert "CodeSigningConfigArn" in error["Error"]["Message"]
    for call in (
        lambda: lambda_.put_function_code_signing_config(FunctionName=function, CodeSigningConfigArn=config),
        lambda: lambda_.delete_function_code_signing_config(FunctionName=function),
        lambda: lambda_.list_code_signing_configs(),
        lambda: lambda_.get_code_signing_config(CodeSigningConfigArn=config),
    ):
        with refused("NotImplemented", 501) as error:
            call()
        assert "CodeSigningConfig" in error["Error"]["Message"]


@pytest.mark.documented(API + "API_PutFunctionEventInvokeConfig.html")
def test_versions_and_aliases_have_settings_of_their_own(lambda_, function, refused):
    lambda_.publish_version(FunctionName=function)
    lambda_.create_alias(FunctionName=function, Name="PROD", FunctionVersion="1")
    for retries, qualifier in enumerate(("$LATEST", "1", "PROD")):
        lambda_.put_function_event_invoke_config(FunctionName=function, Qualifier=qualifier, MaximumRetryAttempts=retries)
    pages = lambda_.get_paginator("list_function_event_invoke_configs").paginate(
        FunctionName=function, PaginationConfig={"PageSize": 1}
    )
    listed = {it["FunctionArn"].rsplit(":", 1)[1]: it["MaximumRetryAttempts"] for page in pages for it in page["FunctionEventInvokeConfigs"]}
    assert listed == {"$LATEST": 0, "1": 1, "PROD": 2}
    lambda_.put_runtime_management_config(FunctionName=function, Qualifier="1", UpdateRuntimeOn="FunctionUpdate")
    shown = lambda_.get_runtime_management_config(FunctionName=function, Qualifier="1")
    assert (shown["UpdateRuntimeOn"], shown["FunctionArn"]) == ("FunctionUpdate", f"{ARN}{function}:1")
    assert lambda_.get_runtime_management_config(FunctionName=function)["UpdateRuntimeOn"] == "Auto"
    with refused("InvalidParameterValueException", 400):
        lambda_.put_runtime_management_config(FunctionName=function, Qualifier="PROD", UpdateRuntimeOn="Auto")
