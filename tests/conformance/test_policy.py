"""Policies in `--auth strict`: users, roles, groups, limits, conditions, functions, other accounts."""

import json
import re

import boto3
import botocore.config
import botocore.exceptions
import pytest

from harness.functions import create_function, invoke, result, unique
from harness.server import Gust
from harness.waiting import wait_for

LOGIC = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"
DENIED = "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"
BOUNDARY = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"
SESSION = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session"
PASS = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"
TRUSTING = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-trust-policy.html"
LAMBDA = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html"
LOGS = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html"
ACCOUNT = "000000000000"
SOURCE = "def handler(event, context):\n    return event\n"


def statement(effect, action, resource="*", **more):
    return dict(Effect=effect, Action=action, Resource=resource, **more)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal, **more):
    return document(dict(Effect="Allow", Principal=principal, Action="sts:AssumeRole", **more))


class Strict:
    """A strict gust and its root."""

    def __init__(self, gust):
        self.gust = gust
        pattern = r"AWS_ACCESS_KEY_ID=(\S+)[\s\S]*AWS_SECRET_ACCESS_KEY=(\S+)"
        self.key, self.secret = wait_for(lambda: re.search(pattern, gust.output), "the root key").groups()
        self.iam, self.lambda_, self.logs = map(self.root, ("iam", "lambda", "logs"))

    def root(self, service):
        return self.gust.client(service, key=self.key, secret=self.secret)

    def user(self, *statements, name=None, **options):
        """A user with these statements; returns `client(service)` of a key of its own."""
        name = name or unique("user")
        self.iam.create_user(UserName=name, **options)
        if statements:
            self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
        return self.client_of(name)

    def client_of(self, name):
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return lambda service: self.gust.client(service, key=key["AccessKeyId"], secret=key["SecretAccessKey"])

    def caller(self, *statements, **options):
        """A session of a role with these statements; returns `client(service)`."""
        return self.session(self.root, self.role({"AWS": ACCOUNT}, *statements, **options))

    def role(self, principal, *statements, **options):
        name = unique("role")
        conditions = options.pop("trust", {})
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(principal, **conditions), **options)
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        return made["Role"]["Arn"]

    def session(self, client, role, **options):
        """`client(service)` of a session of `role` that `client` makes."""
        made = client("sts").assume_role(RoleArn=role, RoleSessionName="session", **options)["Credentials"]
        config = botocore.config.Config(retries={"total_max_attempts": 1})
        return lambda service: boto3.client(
            service,
            endpoint_url=self.gust.url,
            region_name="us-east-1",
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
            aws_session_token=made["SessionToken"],
            config=config,
        )


@pytest.fixture(scope="module")
def strict(gust):
    # The shared gust has installed the SDK; this one finds it in the cache.
    with Gust("--auth", "strict") as running:
        yield Strict(running.with_sdk())


@pytest.fixture(scope="module")
def function(strict):
    role = strict.role({"Service": "lambda.amazonaws.com"})
    return create_function(strict.lambda_, SOURCE, Role=role)


def arn(name):
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"


def message_of(call, code="AccessDeniedException", status=403):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        call()
    answer = refused.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), answer
    return answer["Error"]["Message"]


@pytest.mark.documented(DENIED)
def test_a_caller_without_policies_may_do_nothing(strict, function):
    client = strict.caller()
    me = client("sts").get_caller_identity()["Arn"]
    who = f"User: {me} is not authorized to perform: "
    for service, call, action, resource, code, status in [
        ("lambda", lambda c: c.invoke(FunctionName=function), "lambda:InvokeFunction", arn(function), "AccessDeniedException", 403),
        ("lambda", lambda c: c.list_functions(), "lambda:ListFunctions", "*", "AccessDeniedException", 403),
        ("iam", lambda c: c.list_roles(), "iam:ListRoles", f"arn:aws:iam::{ACCOUNT}:role/", "AccessDenied", 403),
        (
            "logs",
            lambda c: c.create_log_group(logGroupName="g"),
            "logs:CreateLogGroup",
            f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:g:log-stream:",
            "AccessDeniedException",
            400,
        ),
    ]:
        message = message_of(lambda: call(client(service)), code, status)
        assert message == f"{who}{action} on resource: {resource} because no identity-based policy allows the {action} action"


@pytest.mark.documented(LOGIC)
def test_what_is_allowed_works_and_nothing_else(strict, function):
    client = strict.caller(statement("Allow", "lambda:Invoke*", arn(function)))("lambda")
    assert result(client, function, 7) == 7
    message_of(lambda: client.get_function(FunctionName=function))
    message_of(lambda: client.invoke(FunctionName=function + "2"))
    message_of(lambda: client.invoke(FunctionName=function, Qualifier="$LATEST"))


@pytest.mark.documented(DENIED)
def test_an_explicit_deny_outweighs_everything(strict, function):
    client = strict.caller(statement("Allow", "*"), statement("Deny", "lambda:invokefunction", arn(function)))("lambda")
    assert client.get_function(FunctionName=function)
    message = message_of(lambda: client.invoke(FunctionName=function))
    assert message.endswith(f"on resource: {arn(function)} with an explicit deny in an identity-based policy")


@pytest.mark.documented(LOGIC)
def test_changes_of_policies_count_at_once(strict, function):
    name = unique("user")
    client = strict.user(name=name)("lambda")
    message_of(lambda: client.invoke(FunctionName=function))
    allowed = document(statement("Allow", "lambda:InvokeFunction"))
    strict.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allowed)
    assert result(client, function, 1) == 1
    strict.iam.delete_user_policy(UserName=name, PolicyName="p")
    message_of(lambda: client.invoke(FunctionName=function))
    group = unique("group")
    strict.iam.create_group(GroupName=group)
    strict.iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=allowed)
    strict.iam.add_user_to_group(GroupName=group, UserName=name)
    assert result(client, function, 2) == 2
    strict.iam.remove_user_from_group(GroupName=group, UserName=name)
    policy = strict.iam.create_policy(PolicyName=unique("policy"), PolicyDocument=allowed)["Policy"]["Arn"]
    message_of(lambda: client.invoke(FunctionName=function))
    strict.iam.attach_user_policy(UserName=name, PolicyArn=policy)
    assert result(client, function, 3) == 3
    denied = document(statement("Deny", "lambda:*"))
    strict.iam.create_policy_version(PolicyArn=policy, PolicyDocument=denied, SetAsDefault=True)
    message_of(lambda: client.invoke(FunctionName=function))


@pytest.mark.documented(LOGIC)
def test_changes_of_a_roles_policies_count_for_its_sessions_at_once(strict, function):
    role = strict.role({"AWS": ACCOUNT})
    client, name = strict.session(strict.root, role)("lambda"), role.rsplit("/")[-1]
    message_of(lambda: client.invoke(FunctionName=function))
    allowed = document(statement("Allow", "lambda:InvokeFunction"))
    strict.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allowed)
    assert result(client, function, 1) == 1
    strict.iam.delete_role_policy(RoleName=name, PolicyName="p")
    message_of(lambda: client.invoke(FunctionName=function))
    strict.iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    assert result(client, function, 2) == 2
    strict.iam.detach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    strict.iam.delete_role(RoleName=name)
    message_of(lambda: client.invoke(FunctionName=function))
    # A role made anew under the name is another one.
    strict.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))
    strict.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allowed)
    message_of(lambda: client.invoke(FunctionName=function))


@pytest.mark.documented(BOUNDARY)
def test_a_boundary_limits(strict, function):
    bound = document(statement("Allow", ["lambda:Get*", "sts:*"]))
    boundary = strict.iam.create_policy(PolicyName=unique("boundary"), PolicyDocument=bound)["Policy"]["Arn"]
    client = strict.caller(statement("Allow", "*"), PermissionsBoundary=boundary)("lambda")
    assert client.get_function(FunctionName=function)
    message = message_of(lambda: client.invoke(FunctionName=function))
    assert message.endswith("because no permissions boundary allows the lambda:InvokeFunction action")


@pytest.mark.documented(LOGIC)
@pytest.mark.parametrize(
    "condition, is_allowed",
    [
        ({"StringEquals": {"aws:RequestedRegion": "us-east-1"}}, True),
        ({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, False),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"StringLike": {"aws:UserAgent": "Boto3/*"}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, False),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*"}}, True),
        ({"StringEquals": {"aws:ResourceTag/team": "blue"}}, False),
        ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, True),
    ],
)
def test_conditions_hold_or_not(strict, function, condition, is_allowed):
    client = strict.caller(statement("Allow", "lambda:GetFunction", Condition=condition))("lambda")
    if is_allowed:
        assert client.get_function(FunctionName=function)
    else:
        message_of(lambda: client.get_function(FunctionName=function))


@pytest.mark.documented(LAMBDA)
def test_tags_of_request_and_resource_are_conditions(strict, function):
    blue = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    client = strict.caller(
        statement("Allow", "lambda:InvokeFunction", Condition=blue),
        statement("Allow", "lambda:TagResource", Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}),
        Tags=[{"Key": "team", "Value": "blue"}],
    )("lambda")
    message_of(lambda: client.invoke(FunctionName=function))
    message_of(lambda: client.tag_resource(Resource=arn(function), Tags={"team": "blue", "more": "x"}))
    client.tag_resource(Resource=arn(function), Tags={"team": "blue"})
    assert result(client, function, 5) == 5
    strict.lambda_.untag_resource(Resource=arn(function), TagKeys=["team"])
    message_of(lambda: client.invoke(FunctionName=function))


@pytest.mark.documented("https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html")
def test_variables_give_each_user_its_own(strict):
    own = f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"
    name = unique("user")
    client = strict.user(statement("Allow", ["iam:GetUser", "iam:ListAccessKeys"], own), name=name)("iam")
    assert client.get_user()["User"]["UserName"] == name
    assert client.list_access_keys(UserName=name)["AccessKeyMetadata"]
    strict.user(name=name + "2")
    message_of(lambda: client.get_user(UserName=name + "2"), "AccessDenied")


@pytest.mark.documented(PASS)
def test_a_role_is_given_to_a_function_only_by_who_may_pass_it(strict):
    role = strict.role({"Service": "lambda.amazonaws.com"})
    create = statement("Allow", ["lambda:CreateFunction", "lambda:GetFunction*"])
    client = strict.caller(create)("lambda")
    message = message_of(lambda: create_function(client, SOURCE, Role=role))
    assert f"is not authorized to perform: iam:PassRole on resource: {role} because no identity-based policy" in message
    to_lambda = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    client = strict.caller(create, statement("Allow", "iam:PassRole", role, Condition=to_lambda))("lambda")
    assert create_function(client, SOURCE, Role=role)
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    client = strict.caller(create, statement("Allow", "iam:PassRole", role, Condition=to_ec2))("lambda")
    message_of(lambda: create_function(client, SOURCE, Role=role))


@pytest.mark.documented(LOGS)
def test_log_groups_are_covered_by_their_starred_arn(strict):
    name = unique("group")
    starred = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{name}:*"
    client = strict.caller(statement("Allow", "logs:*", starred))("logs")
    client.create_log_group(logGroupName=name)
    client.create_log_stream(logGroupName=name, logStreamName="a")
    client.put_log_events(logGroupName=name, logStreamName="a", logEvents=[{"timestamp": 1, "message": "x"}])
    assert client.describe_log_streams(logGroupName=name)["logStreams"]
    message_of(lambda: client.create_log_group(logGroupName=name + "2"), status=400)
    message_of(lambda: client.describe_log_groups(), status=400)
    message_of(lambda: client.tag_resource(resourceArn=starred.removesuffix(":*"), tags={"a": "b"}), status=400)


@pytest.mark.documented(TRUSTING)
def test_a_role_is_assumed_by_whom_it_trusts(strict, function):
    ann, bob = unique("ann"), unique("bob")
    assume = statement("Allow", "sts:AssumeRole")
    trusted, known = strict.user(name=ann), strict.user(assume, name=bob)
    may = statement("Allow", "lambda:InvokeFunction")
    role = strict.role({"AWS": f"arn:aws:iam::{ACCOUNT}:user/{ann}"}, may)
    assert result(strict.session(trusted, role)("lambda"), function, 1) == 1
    message = message_of(lambda: strict.session(known, role), "AccessDenied")
    assert message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/{bob} is not authorized to perform: sts:AssumeRole on resource: {role}"
    )
    delegated = strict.role({"AWS": ACCOUNT}, may)
    assert result(strict.session(known, delegated)("lambda"), function, 2) == 2
    message = message_of(lambda: strict.session(trusted, delegated), "AccessDenied")
    assert message.endswith("because no identity-based policy allows the sts:AssumeRole action")
    missing = f"arn:aws:iam::{ACCOUNT}:role/none"
    message_of(lambda: strict.session(known, missing), "AccessDenied")


@pytest.mark.documented(TRUSTING)
def test_an_external_id_must_be_the_right_one(strict):
    user = strict.caller(statement("Allow", "sts:AssumeRole"))
    role = strict.role({"AWS": ACCOUNT}, trust={"Condition": {"StringEquals": {"sts:ExternalId": "42"}}})
    for options in ({}, {"ExternalId": "43"}):
        message_of(lambda: strict.session(user, role, **options), "AccessDenied")
    assert strict.session(user, role, ExternalId="42")("sts").get_caller_identity()["Arn"].endswith("/session")
    guarded = strict.role({"AWS": ACCOUNT}, trust={"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}})
    message_of(lambda: strict.session(user, guarded), "AccessDenied")


@pytest.mark.documented(SESSION)
def test_session_policies_narrow_a_session(strict, function):
    user = strict.caller(statement("Allow", "sts:AssumeRole"))
    role = strict.role({"AWS": ACCOUNT}, statement("Allow", "lambda:*"))
    narrowed = strict.session(user, role, Policy=document(statement("Allow", ["lambda:GetFunction", "iam:*"])))
    assert narrowed("lambda").get_function(FunctionName=function)
    message = message_of(lambda: narrowed("lambda").invoke(FunctionName=function))
    assert message.endswith("because no session policy allows the lambda:InvokeFunction action")
    message = message_of(lambda: narrowed("iam").list_roles(), "AccessDenied")
    assert message.endswith("because no identity-based policy allows the iam:ListRoles action")


CALLS = """
import boto3, botocore.exceptions

def handler(event, context):
    client = boto3.client(event["service"])
    try:
        getattr(client, event["call"])(**event["with"])
        return "done"
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Message"]
"""


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html")
def test_a_function_can_do_no_more_than_its_role_says(strict, function):
    role = strict.role({"Service": "lambda.amazonaws.com"}, statement("Allow", "lambda:InvokeFunction", arn(function)))
    name = create_function(strict.lambda_, CALLS, Role=role, Timeout=30, MemorySize=512)

    def call(service, call, **arguments):
        return result(strict.lambda_, name, {"service": service, "call": call, "with": arguments})

    assert call("lambda", "invoke", FunctionName=function) == "done"
    who = f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{role.rsplit('/')[-1]}/{name} is not authorized to perform: "
    assert call("lambda", "list_functions").startswith(who + "lambda:ListFunctions on resource: *")
    assert call("iam", "list_roles").startswith(who + "iam:ListRoles")
    assert call("sts", "get_caller_identity") == "done"
    strict.iam.put_role_policy(
        RoleName=role.rsplit("/")[-1],
        PolicyName="more",
        PolicyDocument=document(statement("Allow", "lambda:ListFunctions")),
    )
    assert call("lambda", "list_functions") == "done"


@pytest.mark.documented("https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html")
def test_keys_end_with_their_user_or_their_activity(strict):
    name = unique("user")
    strict.iam.create_user(UserName=name)
    key = strict.iam.create_access_key(UserName=name)["AccessKey"]
    client = lambda service: strict.gust.client(service, key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    assert client("sts").get_caller_identity()["Arn"].endswith(f"user/{name}")
    change = lambda status: strict.iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status=status)
    change("Inactive")
    message_of(lambda: client("sts").get_caller_identity(), "InvalidClientTokenId")
    message_of(lambda: client("lambda").list_functions(), "UnrecognizedClientException")
    change("Active")
    assert client("sts").get_caller_identity()
    strict.iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    strict.iam.delete_user(UserName=name)
    message_of(lambda: client("sts").get_caller_identity(), "InvalidClientTokenId")


@pytest.mark.documented(LOGIC)
def test_root_may_do_everything_in_its_account(strict, function):
    assert strict.lambda_.list_functions()["Functions"]
    assert strict.iam.list_roles()["Roles"]
    other = "arn:aws:lambda:us-east-1:111111111111:function:f"
    message = message_of(lambda: strict.lambda_.invoke(FunctionName=other))
    assert message.endswith("because no resource-based policy allows the lambda:InvokeFunction action")


@pytest.mark.inferred
@pytest.mark.parametrize("statements, code", [([], 1), ([statement("Allow", "lambda:ListFunctions")], 0)])
def test_statistics_are_for_those_who_may_list_functions(strict, statements, code):
    name = unique("user")
    strict.user(*statements, name=name)
    key = strict.iam.create_access_key(UserName=name)["AccessKey"]
    variables = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    done = strict.gust.command("stats", check=False, variables=variables)
    assert done.returncode == code, done.stderr
