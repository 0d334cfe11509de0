"""Access keys of users sign requests where signatures are verified (`--auth strict`)."""

import json
import re

import botocore.exceptions
import pytest

from harness.packages import python_package
from harness.server import Gust
from harness.waiting import wait_for

IAM = "https://docs.aws.amazon.com/IAM/latest/APIReference/"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/api/"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture(scope="module")
def strict():
    """A gust that verifies signatures, and its root key."""
    with Gust("--auth", "strict") as running:
        pattern = r"AWS_ACCESS_KEY_ID=(\S+)[\s\S]*AWS_SECRET_ACCESS_KEY=(\S+)"
        yield running, *wait_for(lambda: re.search(pattern, running.output), "the root key").groups()


@pytest.fixture
def iam(strict):
    gust, key, secret = strict
    return gust.client("iam", key=key, secret=secret)


def user(iam, name):
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=ADMINISTRATOR)
    return iam.create_access_key(UserName=name)["AccessKey"]


def works(call):
    try:
        call()
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidClientTokenId", error
        return False
    return True


@pytest.mark.documented(IAM + "API_UpdateAccessKey.html")
def test_a_key_works_while_it_is_active(strict, iam):
    gust, _, _ = strict
    key = user(iam, "ann")
    sts = gust.client("sts", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    who = sts.get_caller_identity()
    assert who["Arn"] == "arn:aws:iam::000000000000:user/ann" and who["UserId"].startswith("AIDA")
    iam.update_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert not works(sts.get_caller_identity)
    iam.update_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Active")
    assert works(sts.get_caller_identity)
    iam.delete_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"])
    assert not works(sts.get_caller_identity)


@pytest.mark.documented(IAM + "API_GetUser.html")
def test_without_a_name_users_are_themselves(strict, iam):
    gust, _, _ = strict
    key = user(iam, "eve")
    own = gust.client("iam", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    assert own.get_user()["User"]["UserName"] == "eve"
    second = own.create_access_key()["AccessKey"]
    assert second["UserName"] == "eve" and len(own.list_access_keys()["AccessKeyMetadata"]) == 2
    iam.update_user(UserName="eve", NewUserName="eva")
    assert own.get_user()["User"]["UserName"] == "eva"
    token = gust.client("sts", key=key["AccessKeyId"], secret=key["SecretAccessKey"]).get_session_token()
    assert token["Credentials"]["AccessKeyId"].startswith("ASIA")


@pytest.mark.documented(LAMBDA + "API_CreateFunction.html")
def test_a_functions_role_must_trust_lambda(strict, iam, refused):
    gust, key, secret = strict
    client = gust.client("lambda", key=key, secret=secret)
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    create = lambda arn: client.create_function(
        FunctionName="f",
        Runtime="python3.12",
        Handler="app.handler",
        Role=arn,
        Code={"ZipFile": python_package("def handler(event, context): pass")},
    )
    for arn in (role, "arn:aws:iam::000000000000:role/none"):
        with refused("InvalidParameterValueException", 400) as error:
            create(arn)
        assert error["Error"]["Message"] == "The role defined for the function cannot be assumed by Lambda."
    statement["Principal"] = {"Service": "lambda.amazonaws.com"}
    iam.update_assume_role_policy(RoleName="worker", PolicyDocument=json.dumps(trust))
    create(role)
