"""`--auth strict`: signatures are verified against the keys that gust keeps."""

import re

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
