"""Lambda: the policies that functions carry."""

import json

import pytest

from harness.functions import create_function, unique

API = "https://docs.aws.amazon.com/lambda/latest/api/"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html"
ECHO = "def handler(event, context):\n    return event\n"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


@pytest.fixture
def function(lambda_):
    return create_function(lambda_, ECHO)


def add(lambda_, function, sid, **options):
    arguments = dict(Action="lambda:InvokeFunction", Principal="s3.amazonaws.com") | options
    return lambda_.add_permission(FunctionName=function, StatementId=sid, **arguments)


@pytest.mark.documented(GUIDE)
@pytest.mark.parametrize(
    ("options", "principal", "condition"),
    [
        ({}, {"Service": "s3.amazonaws.com"}, None),
        ({"Principal": "111111111111"}, {"AWS": "arn:aws:iam::111111111111:root"}, None),
        ({"Principal": "arn:aws:iam::111111111111:role/r"}, {"AWS": "arn:aws:iam::111111111111:role/r"}, None),
        ({"Principal": "*"}, "*", None),
        (
            {"SourceArn": "arn:aws:s3:::bucket", "SourceAccount": "111111111111"},
            {"Service": "s3.amazonaws.com"},
            {"StringEquals": {"AWS:SourceAccount": "111111111111"}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}},
        ),
        (
            {"Principal": "*", "PrincipalOrgID": "o-a1b2c3d4e5f"},
            "*",
            {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5f"}},
        ),
        (
            {"Principal": "alexa-appkit.amazon.com", "EventSourceToken": "amzn1.ask.skill.1"},
            {"Service": "alexa-appkit.amazon.com"},
            {"StringEquals": {"lambda:EventSourceToken": "amzn1.ask.skill.1"}},
        ),
        (
            {"Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
            "*",
            {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
        ),
        ({"Principal": "*", "InvokedViaFunctionUrl": True}, "*", {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
    ],
)
def test_a_statement_is_printed_as_aws_prints_it(lambda_, function, options, principal, condition):
    added = add(lambda_, function, "sid", **options)
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    expected = {
        "Sid": "sid", "Effect": "Allow", "Principal": principal,
        "Action": options.get("Action", "lambda:InvokeFunction"), "Resource": ARN + function,
    }  # fmt: skip
    if condition:
        expected["Condition"] = condition
    assert json.loads(added["Statement"]) == expected
    assert list(json.loads(added["Statement"])) == list(expected), "and in AWS's order"
    policy = lambda_.get_policy(FunctionName=function)
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [expected]}
    assert policy["RevisionId"] == lambda_.get_function_configuration(FunctionName=function)["RevisionId"]


@pytest.mark.documented(API + "API_RemovePermission.html")
def test_a_policy_goes_with_its_last_statement(lambda_, function, refused):
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.remove_permission(FunctionName=function, StatementId="a")
    assert error["Error"]["Message"] == "No policy is associated with the given resource."
    add(lambda_, function, "a")
    before = lambda_.get_policy(FunctionName=function)["RevisionId"]
    add(lambda_, function, "b", RevisionId=before)
    with refused("PreconditionFailedException", 412):
        add(lambda_, function, "c", RevisionId=before)
    with refused("PreconditionFailedException", 412):
        lambda_.remove_permission(FunctionName=function, StatementId="a", RevisionId=before)
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.remove_permission(FunctionName=function, StatementId="z")
    assert error["Error"]["Message"] == "Statement z is not found in resource policy."
    lambda_.remove_permission(FunctionName=function, StatementId="a")
    assert [it["Sid"] for it in json.loads(lambda_.get_policy(FunctionName=function)["Policy"])["Statement"]] == ["b"]
    lambda_.remove_permission(FunctionName=function, StatementId="b")
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.get_policy(FunctionName=function)
    assert error["Error"]["Message"] == "The resource you requested does not exist."


@pytest.mark.inferred
def test_what_cannot_be_added_is_refused(lambda_, function, refused):
    add(lambda_, function, "s3")
    missing = unique("missing")
    for code, status, message, name, options in [
        ("ResourceConflictException", 409, "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.", function, {"sid": "s3"}),
        ("ResourceNotFoundException", 404, f"Function not found: {ARN}{missing}", missing, {}),
        ("ResourceNotFoundException", 404, f"Function not found: {ARN}{function}:42", function, {"Qualifier": "42"}),
        ("ResourceNotFoundException", 404, f"Cannot find alias arn: {ARN}{function}:NONE", function, {"Qualifier": "NONE"}),
        ("InvalidParameterValueException", 400, "We currently do not support adding policies for $LATEST.", function, {"Qualifier": "$LATEST"}),
        ("InvalidParameterValueException", 400, "The provided principal was invalid. Please check the principal and try again.", function, {"Principal": "invalid.nonaws.com"}),
        ("InvalidParameterValueException", 400, "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action", function, {"FunctionUrlAuthType": "NONE"}),
        ("ValidationException", 400, None, function, {"sid": "example.com"}),
        ("ValidationException", 400, None, function, {"Action": "s3:GetObject"}),
    ]:  # fmt: skip
        options = dict(options)
        with refused(code, status) as error:
            add(lambda_, name, options.pop("sid", "new"), **options)
        assert message in (None, error["Error"]["Message"]), error


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
def test_a_policy_has_20_kb(lambda_, function, refused):
    for n in range(2):
        add(lambda_, function, f"s{n}", SourceArn="arn:aws:s3:::" + "b" * 9_900)
    with refused("PolicyLengthExceededException", 400) as error:
        add(lambda_, function, "s2", SourceArn="arn:aws:s3:::" + "b" * 9_900)
    assert error["Error"]["Message"].startswith("The final policy size (")
    assert error["Error"]["Message"].endswith(") is bigger than the limit (20480).")


@pytest.mark.inferred
def test_a_policy_goes_with_its_function(lambda_, function, refused):
    add(lambda_, function, "a")
    lambda_.delete_function(FunctionName=function)
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.remove_permission(FunctionName=function, StatementId="a")
    assert error["Error"]["Message"] == f"No policy found for: {ARN}{function}"
    create_function(lambda_, ECHO, name=function)
    with refused("ResourceNotFoundException", 404):
        lambda_.get_policy(FunctionName=function)


@pytest.mark.documented(API + "API_AddPermission.html")
def test_versions_and_aliases_have_policies_of_their_own(lambda_, function, refused):
    lambda_.publish_version(FunctionName=function)
    lambda_.create_alias(FunctionName=function, Name="PROD", FunctionVersion="1")
    revision = lambda_.get_alias(FunctionName=function, Name="PROD")["RevisionId"]
    add(lambda_, function, "same")
    add(lambda_, f"{function}:1", "same")
    added = add(lambda_, function, "same", Qualifier="PROD", RevisionId=revision)
    assert json.loads(added["Statement"])["Resource"] == f"{ARN}{function}:PROD"
    changed = lambda_.get_alias(FunctionName=function, Name="PROD")["RevisionId"]
    assert changed != revision
    shown = lambda_.get_policy(FunctionName=function, Qualifier="PROD")
    assert (shown["RevisionId"], len(json.loads(shown["Policy"])["Statement"])) == (changed, 1)
    assert json.loads(lambda_.get_policy(FunctionName=function, Qualifier="1")["Policy"])["Statement"][0]["Resource"].endswith(":1")
    with refused("ResourceConflictException", 409):
        add(lambda_, function, "same", Qualifier="PROD")
    lambda_.remove_permission(FunctionName=function, StatementId="same", Qualifier="PROD")
    with refused("ResourceNotFoundException", 404):
        lambda_.get_policy(FunctionName=function, Qualifier="PROD")
    assert lambda_.get_policy(FunctionName=function)["Policy"]
    add(lambda_, function, "again", Qualifier="PROD")
    lambda_.delete_alias(FunctionName=function, Name="PROD")
    lambda_.create_alias(FunctionName=function, Name="PROD", FunctionVersion="1")
    with refused("ResourceNotFoundException", 404):
        lambda_.get_policy(FunctionName=function, Qualifier="PROD")
