"""Lambda: making, reading, changing and removing functions."""

import base64
import hashlib
import re
import urllib.request

import pytest

from harness.functions import ROLE, create_function, result, unique
from harness.packages import package, python_package

API = "https://docs.aws.amazon.com/lambda/latest/api/"
ECHO = "def handler(event, context):\n    return event\n"
ONE = "def handler(event, context):\n    return 1\n"
TWO = "def handler(event, context):\n    return 2\n"
COMPLETE = {
    "FunctionName", "FunctionArn", "Runtime", "Role", "Handler", "CodeSize", "Description", "Timeout", "MemorySize",
    "LastModified", "CodeSha256", "Version", "TracingConfig", "RevisionId", "State", "LastUpdateStatus", "PackageType",
    "Architectures", "EphemeralStorage", "SnapStart", "RuntimeVersionConfig", "LoggingConfig",
}  # fmt: skip


@pytest.mark.documented(API + "API_CreateFunction.html")
def test_create_answers_the_complete_configuration(lambda_):
    code = python_package(ECHO)
    name = unique("complete")
    made = lambda_.create_function(
        FunctionName=name, Runtime="python3.11", Role=ROLE, Handler="app.handler", Code={"ZipFile": code}
    )
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["FunctionArn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert made["CodeSize"] == len(code)
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    assert (made["Timeout"], made["MemorySize"], made["Version"]) == (3, 128, "$LATEST")
    assert made["Description"] == "" and made["PackageType"] == "Zip" and made["Architectures"] == ["x86_64"]
    assert made["EphemeralStorage"] == {"Size": 512} and made["TracingConfig"] == {"Mode": "PassThrough"}
    assert made["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
    assert made["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}
    assert made["RuntimeVersionConfig"]["RuntimeVersionArn"].startswith("arn:aws:lambda:us-east-1::runtime:")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", made["LastModified"])
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["RevisionId"])
    assert made["State"] in ("Pending", "Active")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html")
def test_a_function_becomes_active_and_the_waiters_see_it(lambda_):
    name = create_function(lambda_, ECHO, wait=False)
    for waiter in ("function_exists", "function_active", "function_active_v2", "function_updated", "function_updated_v2"):
        lambda_.get_waiter(waiter).wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    configuration = lambda_.get_function_configuration(FunctionName=name)
    assert configuration["State"] == "Active" and configuration["LastUpdateStatus"] == "Successful"
    assert COMPLETE <= set(configuration), COMPLETE - set(configuration)
    assert "StateReason" not in configuration


@pytest.mark.documented(API + "API_GetFunction.html")
def test_the_code_location_really_downloads(lambda_):
    code = python_package(ECHO)
    name = create_function(lambda_, ZipFile=code, Tags={"team": "blue"})
    found = lambda_.get_function(FunctionName=name)
    assert found["Code"]["RepositoryType"] == "S3"
    assert urllib.request.urlopen(found["Code"]["Location"], timeout=10).read() == code
    assert found["Tags"] == {"team": "blue"}
    assert found["Configuration"]["FunctionName"] == name


@pytest.mark.documented(API + "API_GetFunction.html")
@pytest.mark.parametrize("form", ["{name}", "000000000000:function:{name}", "000000000000:{name}", "{arn}", "{arn}:$LATEST"])
def test_a_function_is_found_by_every_form_of_its_name(lambda_, form):
    name = create_function(lambda_, ECHO)
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    found = lambda_.get_function_configuration(FunctionName=form.format(name=name, arn=arn))
    assert found["FunctionName"] == name


@pytest.mark.documented(API + "API_GetFunction.html")
@pytest.mark.parametrize(
    "operation",
    ["get_function", "get_function_configuration", "delete_function", "invoke", "update_function_configuration"],
)
def test_an_unknown_function_is_not_found_by_name(lambda_, refused, operation):
    with refused("ResourceNotFoundException", 404) as error:
        getattr(lambda_, operation)(FunctionName="no-such-function")
    message = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:no-such-function"
    assert error["Error"]["Message"] == message
    assert error["Type"] == "User"


@pytest.mark.documented(API + "API_CreateFunction.html")
def test_a_name_is_taken_once(lambda_, refused):
    name = create_function(lambda_, ECHO)
    with refused("ResourceConflictException", 409) as error:
        create_function(lambda_, ECHO, name=name)
    assert error["Error"]["Message"] == f"Function already exist: {name}"


@pytest.mark.inferred
def test_what_is_no_zip_is_refused(lambda_, refused):
    with refused("InvalidParameterValueException", 400) as error:
        create_function(lambda_, ZipFile=b"this is no zip")
    assert error["Error"]["Message"].startswith("Could not unzip uploaded file.")


@pytest.mark.inferred
def test_an_empty_zip_is_refused(lambda_, refused):
    with refused("InvalidParameterValueException", 400):
        create_function(lambda_, ZipFile=package({}))


@pytest.mark.inferred
def test_an_unknown_runtime_is_refused(lambda_, refused):
    with refused("InvalidParameterValueException", 400) as error:
        create_function(lambda_, ECHO, Runtime="cobol85")
    assert "Value cobol85 at 'runtime' failed to satisfy constraint" in error["Error"]["Message"]


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
@pytest.mark.parametrize(
    "option, good, bad",
    [
        ("MemorySize", 128, 127),
        ("MemorySize", 10240, 10241),
        ("Timeout", 1, 0),
        ("Timeout", 900, 901),
        ("EphemeralStorage", {"Size": 512}, {"Size": 511}),
        ("EphemeralStorage", {"Size": 10240}, {"Size": 10241}),
        ("Description", "x" * 256, "x" * 257),
    ],
)
def test_limits_are_exact(gust, refused, option, good, bad):
    client = gust.client("lambda", validate=False)
    create_function(client, ECHO, wait=False, **{option: good})
    with refused("ValidationException", 400) as error:
        create_function(client, ECHO, wait=False, **{option: bad})
    assert "failed to satisfy constraint: Member must have" in error["Error"]["Message"]


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html")
def test_the_environment_is_limited_to_4_kb(lambda_, refused):
    create_function(lambda_, ECHO, wait=False, Environment={"Variables": {"BIG": "x" * 4000}})
    with refused("InvalidParameterValueException", 400):
        create_function(lambda_, ECHO, wait=False, Environment={"Variables": {"BIG": "x" * 5000}})


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html")
def test_reserved_environment_variables_are_refused(lambda_, refused):
    with refused("InvalidParameterValueException", 400) as error:
        create_function(lambda_, ECHO, Environment={"Variables": {"AWS_REGION": "x"}})
    assert "AWS_REGION" in error["Error"]["Message"]


@pytest.mark.inferred
def test_a_role_must_be_an_arn(gust, refused):
    with refused("ValidationException", 400) as error:
        create_function(gust.client("lambda", validate=False), ECHO, Role="admin")
    assert "'role' failed to satisfy constraint" in error["Error"]["Message"]


@pytest.mark.documented(API + "API_ListFunctions.html")
def test_functions_are_listed_in_pages(gust):
    client = gust.client("lambda", key="111111111111")
    role = "arn:aws:iam::111111111111:role/test"
    names = sorted(create_function(client, ECHO, wait=False, Role=role) for _ in range(5))
    page = client.list_functions(MaxItems=2)
    assert len(page["Functions"]) == 2 and page["NextMarker"]
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    assert sorted(function["FunctionName"] for page in pages for function in page["Functions"]) == names


@pytest.mark.inferred
def test_accounts_and_regions_are_separate(gust, refused):
    name = create_function(gust.client("lambda"), ECHO)
    for other in (gust.client("lambda", key="222222222222"), gust.client("lambda", region="eu-west-1")):
        with refused("ResourceNotFoundException", 404):
            other.get_function(FunctionName=name)


@pytest.mark.documented(API + "API_DeleteFunction.html")
def test_a_deleted_function_is_gone(lambda_, refused):
    name = create_function(lambda_, ECHO)
    assert lambda_.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] in (200, 204)
    with refused("ResourceNotFoundException", 404):
        lambda_.get_function(FunctionName=name)
    create_function(lambda_, ECHO, name=name)


@pytest.mark.documented(API + "API_UpdateFunctionCode.html")
def test_new_code_runs_and_has_a_new_revision(lambda_):
    name = create_function(lambda_, ONE)
    before = lambda_.get_function_configuration(FunctionName=name)
    assert result(lambda_, name) == 1
    changed = lambda_.update_function_code(FunctionName=name, ZipFile=python_package(TWO))
    assert changed["CodeSha256"] != before["CodeSha256"] and changed["RevisionId"] != before["RevisionId"]
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    assert result(lambda_, name) == 2


@pytest.mark.documented(API + "API_UpdateFunctionCode.html")
def test_a_dry_run_changes_nothing(lambda_):
    name = create_function(lambda_, ONE)
    before = lambda_.get_function_configuration(FunctionName=name)
    dry = lambda_.update_function_code(FunctionName=name, ZipFile=python_package(TWO), DryRun=True)
    assert dry["CodeSha256"] != before["CodeSha256"]
    assert lambda_.get_function_configuration(FunctionName=name)["CodeSha256"] == before["CodeSha256"]
    assert result(lambda_, name) == 1


@pytest.mark.documented(API + "API_UpdateFunctionConfiguration.html")
def test_a_revision_guards_against_lost_updates(lambda_, refused):
    name = create_function(lambda_, ECHO)
    revision = lambda_.get_function_configuration(FunctionName=name)["RevisionId"]
    lambda_.update_function_configuration(FunctionName=name, Description="a", RevisionId=revision)
    for change in (
        lambda: lambda_.update_function_configuration(FunctionName=name, Description="b", RevisionId=revision),
        lambda: lambda_.update_function_code(FunctionName=name, ZipFile=python_package(ECHO), RevisionId=revision),
    ):
        with refused("PreconditionFailedException", 412) as error:
            change()
        assert "provided does not match the latest Revision" in error["Error"]["Message"]
    assert lambda_.get_function_configuration(FunctionName=name)["Description"] == "a"


@pytest.mark.documented(API + "API_UpdateFunctionConfiguration.html")
def test_configuration_changes_are_kept_and_seen_by_the_function(lambda_):
    source = "import os\ndef handler(event, context):\n    return [os.environ.get('COLOUR'), context.memory_limit_in_mb]\n"
    name = create_function(lambda_, source)
    assert result(lambda_, name) == [None, "128"]
    lambda_.update_function_configuration(
        FunctionName=name, MemorySize=256, Timeout=7, Environment={"Variables": {"COLOUR": "red"}}, Description="new"
    )
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    found = lambda_.get_function_configuration(FunctionName=name)
    assert (found["MemorySize"], found["Timeout"], found["Description"]) == (256, 7, "new")
    assert found["Environment"] == {"Variables": {"COLOUR": "red"}}
    assert result(lambda_, name) == ["red", "256"]


@pytest.mark.documented(API + "API_TagResource.html")
def test_tags_come_and_go(lambda_, refused):
    arn = lambda_.get_function_configuration(FunctionName=create_function(lambda_, ECHO))["FunctionArn"]
    lambda_.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    lambda_.tag_resource(Resource=arn, Tags={"b": "3"})
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "3"}
    lambda_.untag_resource(Resource=arn, TagKeys=["a", "never-there"])
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"b": "3"}
    with refused("ResourceNotFoundException", 404):
        lambda_.list_tags(Resource=arn + "-nope")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html")
def test_a_function_has_at_most_fifty_tags(lambda_, refused):
    arn = lambda_.get_function_configuration(FunctionName=create_function(lambda_, ECHO))["FunctionArn"]
    lambda_.tag_resource(Resource=arn, Tags={f"key{number}": "" for number in range(50)})
    with refused("InvalidParameterValueException", 400):
        lambda_.tag_resource(Resource=arn, Tags={"one-more": ""})


@pytest.mark.documented(API + "API_GetAccountSettings.html")
def test_account_settings_count_functions(gust):
    client = gust.client("lambda", key="333333333333")
    code = python_package(ECHO)
    create_function(client, ZipFile=code, wait=False, Role="arn:aws:iam::333333333333:role/test")
    settings = client.get_account_settings()
    assert settings["AccountLimit"] == {
        "TotalCodeSize": 80530636800,
        "CodeSizeUnzipped": 262144000,
        "CodeSizeZipped": 52428800,
        "ConcurrentExecutions": 1000,
        "UnreservedConcurrentExecutions": 1000,
    }
    assert settings["AccountUsage"] == {"TotalCodeSize": len(code), "FunctionCount": 1}


@pytest.mark.inferred
def test_an_operation_that_is_not_there_says_so_by_name(lambda_, refused):
    with refused("NotImplemented", 501) as error:
        lambda_.list_event_source_mappings()
    assert "ListEventSourceMappings" in error["Error"]["Message"]
