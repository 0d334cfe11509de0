"""IAM roles and STS."""

import json
import re

import pytest

from harness.functions import unique

IAM = "https://docs.aws.amazon.com/IAM/latest/APIReference/"
STS = "https://docs.aws.amazon.com/STS/latest/APIReference/"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture
def role(iam):
    name = unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    return name


@pytest.mark.documented(IAM + "API_CreateRole.html")
def test_a_role_is_made_and_read_back(iam):
    name = unique("role")
    made = iam.create_role(
        RoleName=name,
        Path="/team/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="for tests",
        MaxSessionDuration=7200,
        Tags=[{"Key": "a", "Value": "b"}],
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::000000000000:role/team/{name}" and made["Path"] == "/team/"
    assert re.fullmatch(r"AROA[A-Z0-9]{12,}", made["RoleId"])
    found = iam.get_role(RoleName=name)["Role"]
    assert found["AssumeRolePolicyDocument"] == TRUST and found["MaxSessionDuration"] == 7200
    assert found["Description"] == "for tests" and found["Tags"] == [{"Key": "a", "Value": "b"}]
    assert found["CreateDate"] == made["CreateDate"] and found["RoleId"] == made["RoleId"]
    iam.get_waiter("role_exists").wait(RoleName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 3})


@pytest.mark.documented(IAM + "API_CreateRole.html")
def test_role_names_are_taken_once(iam, role, refused):
    with refused("EntityAlreadyExists", 409) as error:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
    assert error["Error"]["Message"] == f"Role with name {role} already exists."


@pytest.mark.documented(IAM + "API_CreateRole.html")
def test_a_broken_trust_policy_is_refused(iam, refused):
    with refused("MalformedPolicyDocument", 400):
        iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument="{oops")


@pytest.mark.documented(IAM + "API_GetRole.html")
def test_an_unknown_role_is_not_found(iam, refused):
    with refused("NoSuchEntity", 404) as error:
        iam.get_role(RoleName="nobody")
    assert error["Error"]["Message"] == "The role with name nobody cannot be found."


@pytest.mark.documented(IAM + "API_CreateRole.html")
def test_bad_role_names_are_refused(gust, refused):
    with refused("ValidationError", 400):
        gust.client("iam", validate=False).create_role(RoleName="a b", AssumeRolePolicyDocument=json.dumps(TRUST))


@pytest.mark.documented(IAM + "API_PutRolePolicy.html")
def test_inline_policies_come_and_go(iam, role, refused):
    iam.put_role_policy(RoleName=role, PolicyName="write", PolicyDocument=json.dumps(POLICY))
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == ["write"]
    assert iam.get_role_policy(RoleName=role, PolicyName="write")["PolicyDocument"] == POLICY
    with refused("DeleteConflict", 409):
        iam.delete_role(RoleName=role)
    iam.delete_role_policy(RoleName=role, PolicyName="write")
    with refused("NoSuchEntity", 404):
        iam.get_role_policy(RoleName=role, PolicyName="write")
    with refused("MalformedPolicyDocument", 400):
        iam.put_role_policy(RoleName=role, PolicyName="bad", PolicyDocument="[]")


@pytest.mark.documented(IAM + "API_AttachRolePolicy.html")
def test_managed_policies_come_and_go(iam, role, refused):
    iam.attach_role_policy(RoleName=role, PolicyArn=BASIC)
    iam.attach_role_policy(RoleName=role, PolicyArn=BASIC)
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert attached == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}]
    with refused("DeleteConflict", 409):
        iam.delete_role(RoleName=role)
    iam.detach_role_policy(RoleName=role, PolicyArn=BASIC)
    with refused("NoSuchEntity", 404):
        iam.detach_role_policy(RoleName=role, PolicyArn=BASIC)
    iam.delete_role(RoleName=role)
    with refused("NoSuchEntity", 404):
        iam.delete_role(RoleName=role)


@pytest.mark.documented(IAM + "API_ListRoles.html")
def test_roles_are_listed_in_pages(gust):
    iam = gust.client("iam", key="555555555555")
    names = [f"role-{number}" for number in range(5)]
    for name in names:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    page = iam.list_roles(MaxItems=2)
    assert page["IsTruncated"] and page["Marker"] and len(page["Roles"]) == 2
    pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2})
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == names


@pytest.mark.documented(IAM + "API_UpdateAssumeRolePolicy.html")
def test_the_trust_policy_can_be_changed(iam, role):
    changed = json.loads(json.dumps(TRUST).replace("lambda.amazonaws.com", "events.amazonaws.com"))
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(changed))
    assert iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == changed


@pytest.mark.documented(STS + "API_GetCallerIdentity.html")
def test_the_caller_is_the_account_of_its_key(gust):
    for key, account in (("123456789012", "123456789012"), ("AKIAIOSFODNN7EXAMPLE", "000000000000")):
        who = gust.client("sts", key=key).get_caller_identity()
        assert who["Account"] == account and who["Arn"] == f"arn:aws:iam::{account}:root"
        assert who["UserId"] == account


@pytest.mark.documented(STS + "API_AssumeRole.html")
def test_an_assumed_role_acts_as_itself(gust, sts, role):
    arn = f"arn:aws:iam::000000000000:role/{role}"
    session = sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=900)
    keys = session["Credentials"]
    assert keys["AccessKeyId"].startswith("ASIA") and keys["SessionToken"]
    assert session["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::000000000000:assumed-role/{role}/me"
    import boto3

    acting = boto3.client(
        "sts",
        endpoint_url=gust.url,
        region_name="us-east-1",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    who = acting.get_caller_identity()
    assert who["Arn"] == session["AssumedRoleUser"]["Arn"]
    assert who["UserId"] == session["AssumedRoleUser"]["AssumedRoleId"]


@pytest.mark.inferred
def test_operations_that_are_not_there_say_so_by_name(iam, sts, refused):
    with refused("NotImplemented", 501) as error:
        iam.create_saml_provider(SAMLMetadataDocument="x" * 1000, Name="x")
    assert "CreateSAMLProvider" in error["Error"]["Message"]
    with refused("NotImplemented", 501) as error:
        sts.decode_authorization_message(EncodedMessage="x")
    assert "DecodeAuthorizationMessage" in error["Error"]["Message"]
