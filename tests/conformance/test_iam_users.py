"""IAM users, groups and access keys."""

import json
import re

import pytest

from harness.functions import unique

IAM = "https://docs.aws.amazon.com/IAM/latest/APIReference/"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
QUICKLY = {"Delay": 1, "MaxAttempts": 3}


@pytest.fixture
def user(iam):
    name = unique("user")
    iam.create_user(UserName=name)
    return name


@pytest.fixture
def group(iam):
    name = unique("group")
    iam.create_group(GroupName=name)
    return name


@pytest.mark.documented(IAM + "API_CreateUser.html")
def test_a_user_is_made_and_read_back(iam, refused):
    name = unique("user")
    made = iam.create_user(UserName=name, Path="/team/", Tags=[{"Key": "a", "Value": "b"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::000000000000:user/team/{name}"
    assert re.fullmatch(r"AIDA[A-Z0-9]{17}", made["UserId"])
    assert iam.get_user(UserName=name)["User"] == made
    iam.get_waiter("user_exists").wait(UserName=name, WaiterConfig=QUICKLY)
    with refused("EntityAlreadyExists", 409) as error:
        iam.create_user(UserName=name)
    assert error["Error"]["Message"] == f"User with name {name} already exists."
    iam.update_user(UserName=name, NewUserName=name + "2")
    with refused("NoSuchEntity", 404) as error:
        iam.get_user(UserName=name)
    assert error["Error"]["Message"] == f"The user with name {name} cannot be found."
    assert iam.get_user(UserName=name + "2")["User"]["UserId"] == made["UserId"]
    iam.delete_user(UserName=name + "2")


@pytest.mark.documented(IAM + "API_ListUsers.html")
def test_users_and_groups_are_listed_in_pages(gust):
    iam = gust.client("iam", key="666666666666")
    names = [f"u{number}" for number in range(5)]
    for name in names:
        iam.create_user(UserName=name, Path="/odd/" if name in ("u1", "u3") else "/")
        iam.create_group(GroupName=name)
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2})
    assert [user["UserName"] for page in pages for user in page["Users"]] == names
    assert [user["UserName"] for user in iam.list_users(PathPrefix="/odd/")["Users"]] == ["u1", "u3"]
    pages = iam.get_paginator("list_groups").paginate(PaginationConfig={"PageSize": 3})
    assert [group["GroupName"] for page in pages for group in page["Groups"]] == names


@pytest.mark.documented(IAM + "API_AddUserToGroup.html")
def test_users_belong_to_groups(iam, user, group, refused):
    iam.add_user_to_group(GroupName=group, UserName=user)
    assert [member["UserName"] for member in iam.get_group(GroupName=group)["Users"]] == [user]
    assert [found["GroupName"] for found in iam.list_groups_for_user(UserName=user)["Groups"]] == [group]
    with refused("DeleteConflict", 409) as error:
        iam.delete_group(GroupName=group)
    assert error["Error"]["Message"] == "Cannot delete entity, must remove users from group first."
    with refused("DeleteConflict", 409):
        iam.delete_user(UserName=user)
    iam.remove_user_from_group(GroupName=group, UserName=user)
    assert iam.get_group(GroupName=group)["Users"] == []
    iam.delete_group(GroupName=group)
    iam.delete_user(UserName=user)


@pytest.mark.documented(IAM + "API_PutUserPolicy.html")
def test_users_and_groups_have_policies(iam, user, group, refused):
    iam.put_user_policy(UserName=user, PolicyName="inline", PolicyDocument=json.dumps(POLICY))
    assert iam.get_user_policy(UserName=user, PolicyName="inline")["PolicyDocument"] == POLICY
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == ["inline"]
    iam.attach_user_policy(UserName=user, PolicyArn=READ_ONLY)
    attached = [{"PolicyName": "ReadOnlyAccess", "PolicyArn": READ_ONLY}]
    assert iam.list_attached_user_policies(UserName=user)["AttachedPolicies"] == attached
    iam.put_group_policy(GroupName=group, PolicyName="inline", PolicyDocument=json.dumps(POLICY))
    assert iam.list_group_policies(GroupName=group)["PolicyNames"] == ["inline"]
    assert iam.get_group_policy(GroupName=group, PolicyName="inline")["PolicyDocument"] == POLICY
    iam.attach_group_policy(GroupName=group, PolicyArn=READ_ONLY)
    assert iam.list_attached_group_policies(GroupName=group)["AttachedPolicies"] == attached
    with refused("DeleteConflict", 409) as error:
        iam.delete_user(UserName=user)
    assert error["Error"]["Message"] == "Cannot delete entity, must detach all policies first."
    iam.detach_user_policy(UserName=user, PolicyArn=READ_ONLY)
    with refused("DeleteConflict", 409) as error:
        iam.delete_user(UserName=user)
    assert error["Error"]["Message"] == "Cannot delete entity, must delete policies first."
    iam.delete_user_policy(UserName=user, PolicyName="inline")
    iam.delete_user(UserName=user)
    iam.detach_group_policy(GroupName=group, PolicyArn=READ_ONLY)
    iam.delete_group_policy(GroupName=group, PolicyName="inline")
    iam.delete_group(GroupName=group)


@pytest.mark.documented(IAM + "API_PutUserPermissionsBoundary.html")
def test_boundaries_and_tags(iam, user):
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=READ_ONLY)
    boundary = iam.get_user(UserName=user)["User"]["PermissionsBoundary"]
    assert boundary == {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": READ_ONLY}
    iam.delete_user_permissions_boundary(UserName=user)
    iam.tag_user(UserName=user, Tags=[{"Key": "b", "Value": "1"}, {"Key": "a", "Value": ""}])
    iam.untag_user(UserName=user, TagKeys=["b"])
    assert iam.list_user_tags(UserName=user)["Tags"] == [{"Key": "a", "Value": ""}]
    shown = iam.get_user(UserName=user)["User"]
    assert "PermissionsBoundary" not in shown and shown["Tags"] == [{"Key": "a", "Value": ""}]


@pytest.mark.documented(IAM + "API_CreateAccessKey.html")
def test_a_user_has_two_access_keys_at_most(iam, user, refused):
    first = iam.create_access_key(UserName=user)["AccessKey"]
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", first["AccessKeyId"]) and len(first["SecretAccessKey"]) == 40
    assert first["Status"] == "Active" and first["UserName"] == user
    iam.create_access_key(UserName=user)
    with refused("LimitExceeded", 409) as error:
        iam.create_access_key(UserName=user)
    assert error["Error"]["Message"] == "Cannot exceed quota for AccessKeysPerUser: 2"
    iam.update_access_key(UserName=user, AccessKeyId=first["AccessKeyId"], Status="Inactive")
    listed = {key["AccessKeyId"]: key for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]}
    assert listed[first["AccessKeyId"]]["Status"] == "Inactive" and len(listed) == 2
    assert "SecretAccessKey" not in listed[first["AccessKeyId"]]
    assert iam.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])["UserName"] == user
    iam.delete_access_key(UserName=user, AccessKeyId=first["AccessKeyId"])
    with refused("NoSuchEntity", 404) as error:
        iam.delete_access_key(UserName=user, AccessKeyId=first["AccessKeyId"])
    assert error["Error"]["Message"] == f"The Access Key with id {first['AccessKeyId']} cannot be found."


@pytest.mark.inferred
def test_what_is_not_there_is_refused_by_name(iam, user, refused):
    for call in (
        lambda: iam.create_login_profile(UserName=user, Password="secret"),
        lambda: iam.generate_credential_report(),
        lambda: iam.list_mfa_devices(UserName=user),
    ):
        with refused("NotImplemented", 501):
            call()
