"""`--auth strict`: signatures are verified against the keys that gust keeps."""

import json
import re
import socket
import urllib.error
import urllib.request

import boto3
import botocore.exceptions
import pytest

from harness.functions import create_function, result
from harness.waiting import wait_for

TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},'
    '"Action":"sts:AssumeRole"}]}'
)


def root_key(gust):
    """The key that a first start shows."""
    pattern = r"AWS_ACCESS_KEY_ID=(\S+)[\s\S]*AWS_SECRET_ACCESS_KEY=(\S+)"
    return wait_for(lambda: re.search(pattern, gust.output), "the root key").groups()


@pytest.fixture
def strict(start, tmp_path):
    gust = start("--auth", "strict", data=tmp_path / "data")
    return gust, *root_key(gust)


def refusal(call):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        call()
    return refused.value.response["Error"]["Code"]


def test_the_root_key_is_the_account_and_is_shown_once(strict, start, tmp_path):
    gust, key, secret = strict
    who = gust.client("sts", key=key, secret=secret).get_caller_identity()
    assert who["Arn"] == "arn:aws:iam::000000000000:root"
    gust.stop()
    again = start("--auth", "strict", data=tmp_path / "data")
    assert again.client("sts", key=key, secret=secret).get_caller_identity()["Arn"] == who["Arn"]
    assert "AWS_SECRET_ACCESS_KEY" not in again.output


def test_a_wrong_secret_is_refused_in_every_protocol(strict):
    gust, key, _ = strict
    wrong = lambda service: gust.client(service, key=key, secret="wrong")
    assert refusal(wrong("sts").get_caller_identity) == "SignatureDoesNotMatch"
    assert refusal(wrong("lambda").list_functions) == "InvalidSignatureException"
    assert refusal(wrong("logs").describe_log_groups) == "InvalidSignatureException"


def test_an_unknown_key_is_refused(strict):
    gust, _, _ = strict
    unknown = lambda service: gust.client(service, key="AKIAIOSFODNN7EXAMPLE", secret="x")
    assert refusal(unknown("sts").get_caller_identity) == "InvalidClientTokenId"
    assert refusal(unknown("lambda").list_functions) == "UnrecognizedClientException"


def test_a_function_acts_with_verified_credentials_of_its_role(strict):
    gust, key, secret = strict
    iam = gust.client("iam", key=key, secret=secret)
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    client = gust.client("lambda", key=key, secret=secret)
    source = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n"
    name = create_function(client, source, Role=role, Timeout=30, MemorySize=512)
    assert result(client, name) == f"arn:aws:sts::000000000000:assumed-role/worker/{name}"


def outward_address():
    """An address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # Sends nothing: it only asks for the route.
        except OSError:
            pytest.skip("this machine has no network")
        return probe.getsockname()[0]


def test_strict_callers_may_come_from_elsewhere_and_see_little(start):
    gust = start("--auth", "strict", "--host", "0.0.0.0")
    key, secret = root_key(gust)
    port = gust.url.rsplit(":", 1)[1]
    outside = f"http://{outward_address()}:{port}"
    with urllib.request.urlopen(outside + "/_gust/health", timeout=10) as answer:
        assert json.load(answer) == {"status": "ok"}
    assert gust.health()["auth"] == "strict" and "pid" in gust.health()
    for path in ("/_gust/reset", "/_gust/stats"):
        for headers in ({}, {"Host": "localhost"}):
            request = urllib.request.Request(outside + path, headers=headers, method="POST" if "reset" in path else "GET")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=10)
            assert refused.value.code == 403, path
    client = lambda **keys: boto3.client("sts", endpoint_url=outside, region_name="us-east-1", **keys)
    signed = client(aws_access_key_id=key, aws_secret_access_key=secret)
    assert signed.get_caller_identity()["Account"] == "000000000000"
    assert refusal(client(aws_access_key_id="000000000000", aws_secret_access_key="x").get_caller_identity) == (
        "InvalidClientTokenId"
    )
    assert "plain HTTP" in gust.output


def test_a_role_that_is_gone_takes_its_sessions_rights_along(strict):
    gust, key, secret = strict
    iam = gust.client("iam", key=key, secret=secret)
    trust = TRUST.replace('{"Service":"lambda.amazonaws.com"}', '{"AWS":"000000000000"}')
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    allow = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=allow)
    sts = gust.client("sts", key=key, secret=secret)
    made = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    session = boto3.Session(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], region_name="us-east-1")
    client = session.client("lambda", endpoint_url=gust.url)
    assert client.list_functions()["Functions"] == []
    wrong = boto3.Session(made["AccessKeyId"], made["SecretAccessKey"], "x", region_name="us-east-1")
    assert refusal(wrong.client("sts", endpoint_url=gust.url).get_caller_identity) == "InvalidClientTokenId"
    iam.delete_role_policy(RoleName="worker", PolicyName="p")
    iam.delete_role(RoleName="worker")
    assert refusal(client.list_functions) == "AccessDeniedException"


def test_a_functions_policy_lets_another_account_in(strict, start, tmp_path):
    gust, key, secret = strict
    role = gust.client("iam", key=key, secret=secret).create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)
    source = "def handler(event, context):\n    return event\n"
    owner = gust.client("lambda", key=key, secret=secret)
    name = create_function(owner, source, Role=role["Role"]["Arn"])
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    grant = dict(StatementId="other", Action="lambda:InvokeFunction", Principal="111111111111")
    owner.add_permission(FunctionName=name, **grant)
    gust.stop()
    # The same data with another account at its side: each has a root of its own.
    gust = start("--auth", "strict", "--account", "111111111111", data=tmp_path / "data")
    other_key, other_secret = root_key(gust)
    other = gust.client("lambda", key=other_key, secret=other_secret)
    assert result(other, arn, 7) == 7
    assert other.list_functions()["Functions"] == []
    assert refusal(lambda: other.invoke(FunctionName=name)) == "ResourceNotFoundException"
    assert refusal(lambda: other.get_function(FunctionName=arn)) == "AccessDeniedException"
    assert refusal(lambda: other.invoke(FunctionName=arn, Qualifier="$LATEST")) == "AccessDeniedException"
    owner = gust.client("lambda", key=key, secret=secret)
    owner.remove_permission(FunctionName=name, StatementId="other")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        other.invoke(FunctionName=arn)
    assert refused.value.response["Error"]["Message"].endswith(
        "because no resource-based policy allows the lambda:InvokeFunction action"
    )
