"""What lies below single operations: who may call, request ids, health, browsers."""

import http.client
import json
import urllib.parse

import pytest

SIGNATURE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html"


def request(gust, method, path, headers=None, body=b""):
    """One raw request; the answer's status, headers and body."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(gust.url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.documented(SIGNATURE)
def test_an_operation_without_a_signature_is_refused_in_its_own_protocol(gust):
    status, headers, body = request(gust, "GET", "/2015-03-31/functions/")
    assert status == 403 and headers["x-amzn-errortype"].startswith("MissingAuthenticationToken")
    target = {"x-amz-target": "Logs_20140328.DescribeLogGroups", "content-type": "application/x-amz-json-1.1"}
    status, headers, body = request(gust, "POST", "/", target, b"{}")
    assert status in (400, 403) and "MissingAuthenticationToken" in json.loads(body)["__type"]
    form = {"content-type": "application/x-www-form-urlencoded"}
    status, headers, body = request(gust, "POST", "/", form, b"Action=GetCallerIdentity&Version=2011-06-15")
    assert status == 403 and b"<Code>MissingAuthenticationToken</Code>" in body


@pytest.mark.inferred
def test_a_foreign_host_name_is_refused(gust):
    status, _, body = request(gust, "GET", "/2015-03-31/functions/", {"host": "evil.example.com"})
    assert status in (400, 403, 421), body


@pytest.mark.inferred
def test_web_pages_get_no_cors_headers(gust):
    _, headers, _ = request(gust, "OPTIONS", "/2015-03-31/functions/", {"origin": "http://evil.example.com"})
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.documented("https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-request-authentication.html")
def test_every_answer_carries_a_request_id(gust, lambda_, sts):
    assert len(lambda_.get_account_settings()["ResponseMetadata"]["RequestId"]) == 36
    assert len(sts.get_caller_identity()["ResponseMetadata"]["RequestId"]) == 36


@pytest.mark.inferred
def test_health_tells_what_runs(gust):
    health = gust.health()
    assert health["status"] == "ok" and health["version"]
    assert {"lambda", "logs", "iam", "sts"} <= set(health["services"])


@pytest.mark.inferred
def test_a_path_that_nobody_serves_is_not_found(gust):
    status, _, _ = request(gust, "GET", "/_gust/nothing")
    assert status == 404


@pytest.mark.inferred
def test_a_body_that_is_no_json_is_refused(gust):
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials

    raw = botocore.awsrequest.AWSRequest(
        "POST",
        gust.url + "/",
        data=b"{oops",
        headers={"X-Amz-Target": "Logs_20140328.DescribeLogGroups", "Content-Type": "application/x-amz-json-1.1"},
    )
    keys = botocore.credentials.Credentials("000000000000", "gust")
    botocore.auth.SigV4Auth(keys, "logs", "us-east-1").add_auth(raw)
    status, _, body = request(gust, "POST", "/", dict(raw.headers), b"{oops")
    assert status == 400 and "SerializationException" in json.loads(body)["__type"]
