"""Lambda: the configuration of function URLs (who serves them is tested elsewhere)."""

import re
from urllib.parse import urlsplit

import pytest

from harness.functions import create_function, unique

API = "https://docs.aws.amazon.com/lambda/latest/api/"
ECHO = "def handler(event, context):\n    return event\n"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
NO_FUNCTION = "Function does not exist"
NO_RESOURCE = "The resource you requested does not exist."


@pytest.fixture
def function(lambda_):
    return create_function(lambda_, ECHO)


@pytest.mark.documented(API + "API_CreateFunctionUrlConfig.html")
def test_a_url_lives(lambda_, gust, function, refused):
    cors = {
        "AllowCredentials": True, "AllowHeaders": ["x-a"], "AllowMethods": ["GET", "POST"],
        "AllowOrigins": ["https://a.example"], "ExposeHeaders": ["x-b"], "MaxAge": 86400,
    }  # fmt: skip
    made = lambda_.create_function_url_config(FunctionName=function, AuthType="NONE", Cors=cors)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    port = urlsplit(gust.url).port
    assert re.fullmatch(rf"http://[a-z0-9]{{32}}\.lambda-url\.us-east-1\.localhost:{port}/", made["FunctionUrl"]), made
    assert (made["FunctionArn"], made["AuthType"], made["Cors"]) == (ARN + function, "NONE", cors)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", made["CreationTime"])
    shown = lambda_.get_function_url_config(FunctionName=function)
    assert (shown["FunctionUrl"], shown["InvokeMode"], shown["Cors"]) == (made["FunctionUrl"], "BUFFERED", cors)
    with refused("ResourceConflictException", 409) as error:
        lambda_.create_function_url_config(FunctionName=function, AuthType="NONE")
    assert error["Error"]["Message"] == (
        f"Failed to create function url config for [functionArn = {ARN}{function}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function"
    )
    updated = lambda_.update_function_url_config(FunctionName=function, AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM")
    assert (updated["FunctionUrl"], updated["AuthType"], updated["Cors"]) == (made["FunctionUrl"], "AWS_IAM", cors)
    assert updated["CreationTime"] == made["CreationTime"] <= updated["LastModifiedTime"]
    listed = lambda_.list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"]
    assert [(it["FunctionUrl"], it["InvokeMode"]) for it in listed] == [(made["FunctionUrl"], "RESPONSE_STREAM")]
    lambda_.delete_function_url_config(FunctionName=function)
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.get_function_url_config(FunctionName=function)
    assert error["Error"]["Message"] == NO_RESOURCE
    again = lambda_.create_function_url_config(FunctionName=function, AuthType="NONE")
    assert again["FunctionUrl"] != made["FunctionUrl"]


@pytest.mark.documented(API + "API_CreateFunctionUrlConfig.html")
def test_urls_go_with_their_function(lambda_, function, refused):
    lambda_.create_function_url_config(FunctionName=function, AuthType="NONE")
    lambda_.delete_function(FunctionName=function)
    create_function(lambda_, ECHO, name=function)
    assert lambda_.list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"] == []


@pytest.mark.inferred
def test_what_does_not_exist_has_no_url(lambda_, function, refused):
    missing = unique("missing")
    for operation, options, without_function, without_url in [
        ("create_function_url_config", {"AuthType": "NONE"}, NO_FUNCTION, None),
        ("update_function_url_config", {}, NO_FUNCTION, NO_RESOURCE),
        ("get_function_url_config", {}, NO_RESOURCE, NO_RESOURCE),
        ("delete_function_url_config", {}, NO_RESOURCE, NO_RESOURCE),
        ("list_function_url_configs", {}, NO_FUNCTION, None),
    ]:
        call = getattr(lambda_, operation)
        with refused("ResourceNotFoundException", 404) as error:
            call(FunctionName=missing, **options)
        assert error["Error"]["Message"] == without_function, operation
        if without_url:
            with refused("ResourceNotFoundException", 404) as error:
                call(FunctionName=function, **options)
            assert error["Error"]["Message"] == without_url, operation
        if operation != "list_function_url_configs":
            with refused("ResourceNotFoundException", 404):
                call(FunctionName=function, Qualifier="NONE", **options)
            for qualifier in ("1", "$LATEST"):
                with refused("ValidationException", 400) as error:
                    call(FunctionName=function, Qualifier=qualifier, **options)
                assert f"Value '{qualifier}' at 'qualifier' failed to satisfy constraint" in error["Error"]["Message"]
            with refused("InvalidParameterValueException", 400):
                call(FunctionName=f"{function}:PROD", Qualifier="TEST", **options)


@pytest.mark.documented(API + "API_Cors.html")
@pytest.mark.parametrize(
    ("cors", "fits"),
    [
        ({"MaxAge": 86400}, True), ({"MaxAge": 86401}, False),
        ({"AllowMethods": ["DELETE"]}, True), ({"AllowMethods": ["OPTIONS"]}, False), ({"AllowMethods": ["GET"] * 7}, False),
        ({"AllowOrigins": ["o"] * 100}, True), ({"AllowOrigins": ["o"] * 101}, False), ({"AllowOrigins": ["o" * 254]}, False),
        ({"AllowHeaders": ["h" * 1024]}, True), ({"AllowHeaders": ["h" * 1025]}, False), ({"ExposeHeaders": ["h"] * 101}, False),
    ],
)  # fmt: skip
def test_cors_has_limits(lambda_, function, refused, cors, fits):
    if fits:
        assert lambda_.create_function_url_config(FunctionName=function, AuthType="NONE", Cors=cors)["Cors"] == cors
    else:
        with refused("ValidationException", 400):
            lambda_.create_function_url_config(FunctionName=function, AuthType="NONE", Cors=cors)


@pytest.mark.documented(API + "API_CreateFunctionUrlConfig.html")
def test_aliases_have_urls_of_their_own(lambda_, function, refused):
    lambda_.publish_version(FunctionName=function)
    for alias in ("A", "B"):
        lambda_.create_alias(FunctionName=function, Name=alias, FunctionVersion="1")
    urls = [lambda_.create_function_url_config(FunctionName=function, AuthType="NONE")]
    urls += [lambda_.create_function_url_config(FunctionName=function, Qualifier=it, AuthType="AWS_IAM") for it in "AB"]
    assert [it["FunctionArn"] for it in urls] == [ARN + function, f"{ARN}{function}:A", f"{ARN}{function}:B"]
    assert len({it["FunctionUrl"] for it in urls}) == 3
    pages = lambda_.get_paginator("list_function_url_configs").paginate(FunctionName=function, PaginationConfig={"PageSize": 1})
    assert [it["FunctionUrl"] for page in pages for it in page["FunctionUrlConfigs"]] == [it["FunctionUrl"] for it in urls]
    assert lambda_.get_function_url_config(FunctionName=f"{function}:A")["AuthType"] == "AWS_IAM"
    lambda_.delete_alias(FunctionName=function, Name="A")
    left = lambda_.list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"]
    assert [it["FunctionArn"] for it in left] == [ARN + function, f"{ARN}{function}:B"]
