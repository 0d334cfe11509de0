"""IAM managed policies, instance profiles, OpenID Connect providers, service-linked roles and the account."""

import json
import re

import pytest

from harness.functions import unique

IAM = "https://docs.aws.amazon.com/IAM/latest/APIReference/"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
QUICKLY = {"Delay": 1, "MaxAttempts": 3}


@pytest.fixture
def role(iam):
    name = unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    return name


@pytest.fixture
def policy(iam):
    return iam.create_policy(PolicyName=unique("policy"), PolicyDocument=json.dumps(POLICY))["Policy"]["Arn"]


@pytest.mark.documented(IAM + "API_CreatePolicy.html")
def test_a_policy_is_made_attached_and_removed(iam, role, refused):
    name = unique("policy")
    made = iam.create_policy(PolicyName=name, Path="/team/", PolicyDocument=json.dumps(POLICY), Description="d")["Policy"]
    arn = made["Arn"]
    assert arn == f"arn:aws:iam::000000000000:policy/team/{name}"
    assert re.fullmatch(r"ANPA[A-Z0-9]{17}", made["PolicyId"]) and made["DefaultVersionId"] == "v1"
    iam.get_waiter("policy_exists").wait(PolicyArn=arn, WaiterConfig=QUICKLY)
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"][0]["RoleName"] == role
    with refused("DeleteConflict", 409) as error:
        iam.delete_policy(PolicyArn=arn)
    assert error["Error"]["Message"] == "Cannot delete a policy attached to entities."
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    with refused("NoSuchEntity", 404) as error:
        iam.get_policy(PolicyArn=arn)
    assert error["Error"]["Message"] == f"Policy {arn} was not found."
    with refused("NoSuchEntity", 404):
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)


@pytest.mark.documented(IAM + "API_CreatePolicyVersion.html")
def test_a_policy_has_five_versions_at_most(iam, policy, refused):
    changed = json.loads(json.dumps(POLICY).replace("logs:", "sqs:"))
    for number in range(2, 6):
        version = iam.create_policy_version(PolicyArn=policy, PolicyDocument=json.dumps(changed))["PolicyVersion"]
        assert version["VersionId"] == f"v{number}" and not version["IsDefaultVersion"]
    with refused("LimitExceeded", 409):
        iam.create_policy_version(PolicyArn=policy, PolicyDocument=json.dumps(changed))
    iam.set_default_policy_version(PolicyArn=policy, VersionId="v5")
    assert iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"] == "v5"
    assert iam.get_policy_version(PolicyArn=policy, VersionId="v5")["PolicyVersion"]["Document"] == changed
    with refused("DeleteConflict", 409):
        iam.delete_policy_version(PolicyArn=policy, VersionId="v5")
    with refused("DeleteConflict", 409):
        iam.delete_policy(PolicyArn=policy)
    for number in range(1, 5):
        iam.delete_policy_version(PolicyArn=policy, VersionId=f"v{number}")
    assert [found["VersionId"] for found in iam.list_policy_versions(PolicyArn=policy)["Versions"]] == ["v5"]
    iam.delete_policy(PolicyArn=policy)


@pytest.mark.documented(IAM + "API_ListPolicies.html")
def test_policies_are_listed_by_scope(gust):
    iam = gust.client("iam", key="777777777777")
    arn = iam.create_policy(PolicyName="mine", PolicyDocument=json.dumps(POLICY))["Policy"]["Arn"]
    assert [found["Arn"] for found in iam.list_policies(Scope="Local")["Policies"]] == [arn]
    pages = iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 500})
    names = [found["PolicyName"] for page in pages for found in page["Policies"]]
    assert len(names) > 1000 and "AWSLambdaBasicExecutionRole" in names and "mine" not in names
    assert iam.list_policies(OnlyAttached=True)["Policies"] == []


@pytest.mark.documented(IAM + "API_GetPolicyVersion.html")
def test_policies_of_aws_have_documents(iam, refused):
    version = iam.get_policy(PolicyArn=BASIC)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=BASIC, VersionId=version)["PolicyVersion"]["Document"]
    assert "logs:PutLogEvents" in document["Statement"][0]["Action"]
    with refused("NoSuchEntity", 404):
        iam.get_policy(PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")
    with refused("AccessDenied", 403) as error:
        iam.delete_policy(PolicyArn=BASIC)
    assert error["Error"]["Message"] == "Policy is outside your own account."


@pytest.mark.documented(IAM + "API_TagPolicy.html")
def test_everything_that_has_tags_is_tagged(iam, role, policy):
    profile = unique("profile")
    iam.create_instance_profile(InstanceProfileName=profile)
    url = f"https://{unique('oidc')}.example"
    provider = iam.create_open_id_connect_provider(Url=url, ClientIDList=["a"])["OpenIDConnectProviderArn"]
    for kind, key, name in (
        ("role", "RoleName", role),
        ("policy", "PolicyArn", policy),
        ("instance_profile", "InstanceProfileName", profile),
        ("open_id_connect_provider", "OpenIDConnectProviderArn", provider),
    ):
        getattr(iam, f"tag_{kind}")(**{key: name}, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
        getattr(iam, f"untag_{kind}")(**{key: name}, TagKeys=["a"])
        assert getattr(iam, f"list_{kind}_tags")(**{key: name})["Tags"] == [{"Key": "b", "Value": "2"}], kind


@pytest.mark.documented(IAM + "API_UpdateRole.html")
def test_roles_are_changed(iam, role, policy):
    iam.update_role(RoleName=role, Description="d", MaxSessionDuration=7200)
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=policy)
    shown = iam.get_role(RoleName=role)["Role"]
    assert (shown["Description"], shown["MaxSessionDuration"]) == ("d", 7200)
    assert shown["PermissionsBoundary"]["PermissionsBoundaryArn"] == policy
    assert iam.get_policy(PolicyArn=policy)["Policy"]["PermissionsBoundaryUsageCount"] == 1
    iam.delete_role_permissions_boundary(RoleName=role)
    assert iam.update_role_description(RoleName=role, Description="e")["Role"]["Description"] == "e"


@pytest.mark.documented(IAM + "API_AddRoleToInstanceProfile.html")
def test_an_instance_profile_holds_one_role(iam, role, refused):
    profile = unique("profile")
    iam.create_instance_profile(InstanceProfileName=profile)
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=profile, WaiterConfig=QUICKLY)
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    with refused("LimitExceeded", 409):
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    shown = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]
    assert shown["Roles"][0]["AssumeRolePolicyDocument"] == TRUST
    found = iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"]
    assert [one["InstanceProfileName"] for one in found] == [profile]
    with refused("DeleteConflict", 409) as error:
        iam.delete_role(RoleName=role)
    assert error["Error"]["Message"] == "Cannot delete entity, must remove roles from instance profile first."
    iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role)
    iam.delete_instance_profile(InstanceProfileName=profile)
    iam.delete_role(RoleName=role)


@pytest.mark.documented(IAM + "API_CreateServiceLinkedRole.html")
def test_a_services_role_is_made_and_removed(iam, refused):
    role = iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")["Role"]
    assert role["Path"] == "/aws-service-role/ecs.amazonaws.com/" and role["RoleName"] == "AWSServiceRoleForECS"
    with refused("UnmodifiableEntity", 400):
        iam.delete_role(RoleName=role["RoleName"])
    task = iam.delete_service_linked_role(RoleName=role["RoleName"])["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    with refused("NoSuchEntity", 404):
        iam.get_role(RoleName=role["RoleName"])


@pytest.mark.documented(IAM + "API_GetAccountSummary.html")
def test_an_account_is_summed_up(gust, refused):
    iam = gust.client("iam", key="888888888888")
    iam.create_user(UserName="ann")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName="worker", PolicyArn=BASIC)
    counts = iam.get_account_summary()["SummaryMap"]
    assert (counts["Users"], counts["Roles"], counts["RolesQuota"]) == (1, 1, 1000)
    details = iam.get_account_authorization_details()
    assert details["RoleDetailList"][0]["AssumeRolePolicyDocument"] == TRUST
    assert details["UserDetailList"][0]["UserName"] == "ann" and details["Policies"][0]["Arn"] == BASIC
    iam.create_account_alias(AccountAlias="eights")
    assert iam.list_account_aliases()["AccountAliases"] == ["eights"]
    with refused("EntityAlreadyExists", 409):
        gust.client("iam", key="999999999999").create_account_alias(AccountAlias="eights")
    iam.delete_account_alias(AccountAlias="eights")
    assert iam.list_account_aliases()["AccountAliases"] == []
