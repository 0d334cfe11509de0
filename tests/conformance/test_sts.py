"""STS: sessions of roles, users and the account, and what they are given."""

import json

import boto3
import pytest

from harness.functions import unique

STS = "https://docs.aws.amazon.com/STS/latest/APIReference/"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}],
}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}


@pytest.fixture
def role(iam):
    name = unique("role")
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), MaxSessionDuration=7200)["Role"]


def acting(gust, credentials):
    """A client of STS with the credentials of a session."""
    return boto3.client(
        "sts",
        endpoint_url=gust.url,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


@pytest.mark.documented(STS + "API_AssumeRole.html")
def test_a_session_lasts_as_long_as_its_role_allows(gust, role, refused):
    sts = gust.client("sts", validate=False)
    assume = lambda seconds: sts.assume_role(RoleArn=role["Arn"], RoleSessionName="me", DurationSeconds=seconds)
    assume(7200)
    with refused("ValidationError", 400) as error:
        assume(7201)
    message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    assert error["Error"]["Message"] == message
    with refused("ValidationError", 400):
        assume(899)


@pytest.mark.documented(STS + "API_AssumeRole.html")
def test_a_chained_session_lasts_an_hour_and_inherits(gust, sts, role, refused):
    first = sts.assume_role(
        RoleArn=role["Arn"],
        RoleSessionName="one",
        Tags=[{"Key": "team", "Value": "x"}],
        TransitiveTagKeys=["team"],
        SourceIdentity="ann",
    )
    assert first["SourceIdentity"] == "ann" and first["PackedPolicySize"] > 0
    chained = acting(gust, first["Credentials"])
    with refused("ValidationError", 400) as error:
        chained.assume_role(RoleArn=role["Arn"], RoleSessionName="two", DurationSeconds=3601)
    assert "role chaining" in error["Error"]["Message"]
    with refused("ValidationError", 400) as error:
        chained.assume_role(RoleArn=role["Arn"], RoleSessionName="two", Tags=[{"Key": "Team", "Value": "y"}])
    assert "conflicts with a transitive tag key" in error["Error"]["Message"]
    second = chained.assume_role(RoleArn=role["Arn"], RoleSessionName="two")
    assert second["SourceIdentity"] == "ann"
    who = acting(gust, second["Credentials"]).get_caller_identity()
    assert who["UserId"] == f"{role['RoleId']}:two"


@pytest.mark.documented(STS + "API_AssumeRole.html")
def test_session_policies_are_checked(sts, role, refused):
    assume = lambda **given: sts.assume_role(RoleArn=role["Arn"], RoleSessionName="me", **given)
    assert assume(Policy=json.dumps(POLICY))["PackedPolicySize"] > 0
    with refused("MalformedPolicyDocument", 400):
        assume(Policy="{")
    with refused("PackedPolicyTooLarge", 400):
        assume(Policy=json.dumps(POLICY) + " " * 2048)
    with refused("ValidationError", 400):
        assume(Tags=[{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}])
    with refused("ValidationError", 400):
        assume(TransitiveTagKeys=["a"])


@pytest.mark.documented(STS + "API_GetSessionToken.html")
def test_tokens_of_the_account(gust, sts, refused):
    token = acting(gust, sts.get_session_token(DurationSeconds=900)["Credentials"])
    assert token.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    with refused("AccessDenied", 403) as error:
        token.get_session_token()
    assert error["Error"]["Message"] == "Cannot call GetSessionToken with session credentials"
    lent = sts.get_federation_token(Name="guest", Policy=json.dumps(POLICY))
    assert lent["FederatedUser"] == {
        "FederatedUserId": "000000000000:guest",
        "Arn": "arn:aws:sts::000000000000:federated-user/guest",
    }
    assert acting(gust, lent["Credentials"]).get_caller_identity()["Arn"] == lent["FederatedUser"]["Arn"]


@pytest.mark.documented(STS + "API_GetAccessKeyInfo.html")
def test_a_keys_account_is_told(iam, sts):
    name = unique("user")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    assert sts.get_access_key_info(AccessKeyId=key)["Account"] == "000000000000"
