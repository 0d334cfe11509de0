"""Function URLs with plain HTTP: what a function gets, what a client gets, and when."""

import base64
import http.client
import json
import os
import socket
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from harness.functions import create_function, log_lines
from harness.packages import package
from harness.streaming import create_streaming_function

ECHO = "def handler(event, context):\n    return event\n"
SCRIPTED = """
import base64, json, os, time

def handler(event, context):
    wanted = json.loads(event["body"])
    if "raise" in wanted:
        raise ValueError(wanted["raise"])
    if "sleep" in wanted:
        time.sleep(wanted["sleep"])
    if "exit" in wanted:
        os._exit(wanted["exit"])
    if "bytes" in wanted:
        return {"statusCode": 200, "body": "x" * wanted["bytes"]}
    return wanted["return"]
"""


def create_url(client, name, auth="NONE", **options):
    """Creates a URL that everybody may call; returns its host, port and id."""
    url = client.create_function_url_config(FunctionName=name, AuthType=auth, **options)["FunctionUrl"]
    principal = dict(Principal="*")
    client.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType=auth, **principal
    )
    client.add_permission(
        FunctionName=name, StatementId="invoke", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True, **principal
    )
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)


def connect(url):
    host, port = url
    # The name is below localhost; not every resolver knows that.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.own_host = f"{host}:{port}"
    return connection


def ask(url, method="GET", path="/", body=None, headers=None):
    connection = connect(url)
    try:
        connection.request(method, path, body, {"Host": connection.own_host} | (headers or {}))
        return Answer(connection.getresponse())
    finally:
        connection.close()


def script(url, **wanted):
    return ask(url, "POST", "/", json.dumps(wanted), {"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def echo(lambda_):
    return create_url(lambda_, create_function(lambda_, ECHO))


@pytest.fixture(scope="module")
def scripted(lambda_):
    return create_url(lambda_, create_function(lambda_, SCRIPTED, Timeout=2))


def test_the_event_is_payload_format_2(echo):
    headers = {"Cookie": "a=1; b=2", "X-Own": "v", "User-Agent": "tests", "Content-Type": "text/plain"}
    answer = ask(echo, "PATCH", "/some/p%20th?x=1&x=2&y=%C3%BC", "hällo".encode(), headers)
    event = answer.json
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    assert (event["version"], event["routeKey"], event["isBase64Encoded"]) == ("2.0", "$default", False)
    assert event["rawPath"] == "/some/p%20th" and event["rawQueryString"] == "x=1&x=2&y=%C3%BC"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "ü"}
    assert event["cookies"] == ["a=1", "b=2"] and event["headers"]["x-own"] == "v"
    assert event["body"] == "hällo"
    context = event["requestContext"]
    assert context["accountId"] == "anonymous" and context["stage"] == "$default"
    assert context["domainName"] == echo[0] and context["domainPrefix"] == context["apiId"] == echo[0].split(".")[0]
    assert context["http"] == {
        "method": "PATCH",
        "path": "/some/p%20th",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "tests",
    }
    assert context["requestId"] == answer.headers["x-amzn-RequestId"]
    assert abs(context["timeEpoch"] / 1000 - time.time()) < 60


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_every_method_reaches_the_function(echo, method):
    answer = ask(echo, method, "/")
    assert answer.status == 200
    if method == "HEAD":
        assert answer.body == b"" and int(answer.headers["Content-Length"]) > 100
    else:
        assert answer.json["requestContext"]["http"]["method"] == method
        assert "body" not in answer.json


def test_binary_goes_in_and_comes_out(echo, scripted):
    event = ask(echo, "POST", "/", bytes(range(256)), {"Content-Type": "application/octet-stream"}).json
    assert event["isBase64Encoded"] and base64.b64decode(event["body"]) == bytes(range(256))
    answer = script(scripted, **{"return": {"statusCode": 200, "body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}})
    assert answer.body == b"\x00\xff"


def test_a_result_becomes_a_response(scripted):
    wanted = {"statusCode": 418, "headers": {"X-A": "1", "Content-Type": "text/html"}, "cookies": ["a=1", "b=2"], "body": "hi"}
    answer = script(scripted, **{"return": wanted})
    assert (answer.status, answer.body, answer.headers["x-a"]) == (418, b"hi", "1")
    assert answer.headers["Content-Type"] == "text/html" and answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    for result, body in [("text", b"text"), ({"a": 1}, b'{"a": 1}'), ([1], b"[1]"), (None, b"null")]:
        answer = script(scripted, **{"return": result})
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, body, "application/json")


def test_failures_are_bad_gateways(scripted):
    for wanted in [{"raise": "secret"}, {"exit": 1}, {"sleep": 5}, {"return": {"statusCode": "x"}}, {"bytes": 7_000_000}]:
        answer = script(scripted, **wanted)
        assert (answer.status, answer.body) == (502, b"Internal Server Error"), wanted
    assert script(scripted, **{"return": "fine"}).body == b"fine"


def test_a_request_has_6_mb(echo):
    assert ask(echo, "POST", "/", b"x" * 6_291_457, {"Content-Type": "text/plain"}).status == 413


def test_an_unknown_url_is_forbidden(gust, echo):
    host, port = echo
    answer = ask(("0" * 32 + host[32:], port))
    assert (answer.status, answer.json) == (403, {"Message": None})


def test_the_path_names_a_url_as_well(gust, echo):
    host, port = echo
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/_gust/url/{host.split('.')[0]}/below?a=1")
    event = Answer(connection.getresponse()).json
    connection.close()
    assert (event["rawPath"], event["rawQueryString"]) == ("/below", "a=1")


def test_pages_may_call_as_the_configuration_says(lambda_):
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["PUT"], "AllowHeaders": ["x-a"], "MaxAge": 60}
    cors |= {"AllowCredentials": True, "ExposeHeaders": ["x-b"]}
    url = create_url(lambda_, create_function(lambda_, ECHO), Cors=cors)
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"}
    answer = ask(url, "OPTIONS", "/", headers=asks)
    allowed = {name.lower().removeprefix("access-control-"): value for name, value in answer.headers.items()}
    assert answer.status == 200 and answer.body == b""
    assert allowed["allow-origin"] == "https://a.example" and allowed["allow-methods"] == "PUT"
    assert allowed["allow-headers"] == "x-a" and allowed["max-age"] == "60" and allowed["allow-credentials"] == "true"
    answer = ask(url, headers={"Origin": "https://a.example", "Sec-Fetch-Site": "cross-site"})
    assert answer.status == 200 and answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Expose-Headers"] == "x-b" and answer.headers["Vary"] == "Origin"
    answer = ask(url, headers={"Origin": "https://evil.example"})
    assert answer.status == 200 and "Access-Control-Allow-Origin" not in answer.headers


def test_an_iam_url_wants_a_signature(lambda_):
    url = create_url(lambda_, create_function(lambda_, ECHO), auth="AWS_IAM")
    answer = ask(url)
    assert answer.status == 403 and answer.json["Message"].startswith("Forbidden")
    credentials = botocore.credentials.Credentials("111122223333", "secret")
    request = botocore.awsrequest.AWSRequest("GET", f"http://{url[0]}:{url[1]}/p?a=1")
    botocore.auth.SigV4Auth(credentials, "lambda", "us-east-1").add_auth(request)
    event = ask(url, "GET", "/p?a=1", headers=dict(request.headers)).json
    iam = event["requestContext"]["authorizer"]["iam"]
    assert event["requestContext"]["accountId"] == iam["accountId"] == "111122223333"
    assert iam["userArn"] == "arn:aws:iam::111122223333:root" and iam["accessKey"] == "111122223333"


STREAMING = """
import json, time

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"


def handler(event, write):
    wanted = event["rawPath"]
    prelude = {"statusCode": 201, "headers": {"Content-Type": "text/event-stream"}, "cookies": ["a=1"]}
    if wanted != "/broken":
        write(json.dumps(prelude).encode() + bytes(8))
    write(b"first")
    if wanted == "/slow":
        time.sleep(1.5)
    if wanted == "/fail":
        raise ValueError("in mid-stream")
    if wanted == "/flood":
        for _ in range(100):
            write(b"x" * (1 << 20))
        print("wrote all")
    write(b"last")
"""

needs_system_python = pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="the streaming runtime needs /usr/bin/python3")


@pytest.fixture(scope="module")
def streaming(lambda_):
    return create_url(lambda_, create_streaming_function(lambda_, STREAMING), InvokeMode="RESPONSE_STREAM")


@needs_system_python
def test_parts_arrive_before_the_function_ends(streaming):
    ask(streaming)
    connection = connect(streaming)
    connection.request("GET", "/slow", headers={"Host": connection.own_host})
    began = time.monotonic()
    response = connection.getresponse()
    assert (response.status, response.headers["Content-Type"], response.headers["Set-Cookie"]) == (201, "text/event-stream", "a=1")
    assert response.read1() == b"first" and time.monotonic() - began < 1.4
    assert response.read() == b"last" and time.monotonic() - began >= 1.5
    connection.close()


@needs_system_python
def test_an_error_in_mid_stream_cuts_the_connection(streaming):
    connection = connect(streaming)
    connection.request("GET", "/fail", headers={"Host": connection.own_host})
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()
    answer = ask(streaming, path="/broken")
    assert (answer.status, answer.body) == (502, b"Internal Server Error"), "no prelude, no response"
    assert ask(streaming).body == b"firstlast"


@needs_system_python
def test_a_client_that_does_not_read_holds_the_function_up(lambda_, logs):
    name = create_streaming_function(lambda_, STREAMING)
    url = create_url(lambda_, name, InvokeMode="RESPONSE_STREAM")
    connection = connect(url)
    connection.request("GET", "/flood", headers={"Host": connection.own_host})
    response = connection.getresponse()
    assert response.read(5) == b"first"
    began = log_lines(logs, name, lambda lines: any(line.startswith("START") for line in lines))
    assert "wrote all" not in began
    assert len(response.read()) == (100 << 20) + 4
    log_lines(logs, name, lambda lines: "wrote all" in lines)
    connection.close()


@needs_system_python
def test_a_buffered_url_collects_what_a_function_streams(lambda_):
    url = create_url(lambda_, create_streaming_function(lambda_, STREAMING))
    answer = ask(url)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (201, b"firstlast", "text/event-stream")
    assert ask(url, path="/fail").status == 502


def test_a_function_reaches_a_url_from_inside(lambda_, echo):
    source = (
        "import http.client, os, urllib.parse\n"
        "def handler(event, context):\n"
        "    endpoint = urllib.parse.urlsplit(os.environ['AWS_ENDPOINT_URL'])\n"
        "    connection = http.client.HTTPConnection(endpoint.hostname, endpoint.port)\n"
        "    connection.request('GET', event['path'])\n"
        "    return connection.getresponse().read().decode()\n"
    )
    name = create_function(lambda_, source, Timeout=20)
    path = f"/_gust/url/{echo[0].split('.')[0]}/from/inside"
    payload = json.load(lambda_.invoke(FunctionName=name, Payload=json.dumps({"path": path}))["Payload"])
    assert json.loads(payload)["rawPath"] == "/from/inside"


def test_half_a_request_does_no_harm(echo):
    with socket.create_connection(("127.0.0.1", echo[1]), timeout=10) as half:
        half.sendall(f"POST / HTTP/1.1\r\nHost: {echo[0]}\r\nContent-Length: 100\r\n\r\nhalf".encode())
    assert ask(echo).status == 200


NODE = """
const { setTimeout: sleep } = require('timers/promises');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const metadata = { statusCode: 203, headers: { 'Content-Type': 'text/event-stream', 'X-A': 'b' }, cookies: ['a=1', 'b=2'] };
  stream = awslambda.HttpResponseStream.from(stream, metadata);
  stream.write('first');
  await sleep(1500);
  if (event.rawPath === '/fail') throw new Error('in mid-stream');
  stream.write('last');
  stream.end();
});
"""


def test_a_node_function_streams_through_its_url(gust, lambda_):
    report = json.loads(gust.command("doctor", "--json").stdout)
    if all(row["fit"] == "missing" for row in report["runtimes"] if row["runtime"] == "nodejs20.x"):
        pytest.skip("this machine has no Node.js")
    name = create_function(
        lambda_, ZipFile=package({"index.js": NODE}), Runtime="nodejs20.x", Handler="index.handler", Timeout=20, MemorySize=512
    )
    url = create_url(lambda_, name, InvokeMode="RESPONSE_STREAM")
    connection = connect(url)
    connection.request("GET", "/", headers={"Host": connection.own_host})
    response = connection.getresponse()
    began = time.monotonic()
    assert (response.status, response.headers["X-A"]) == (203, "b")
    assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert response.read1() == b"first" and time.monotonic() - began < 1.4
    assert response.read() == b"last" and time.monotonic() - began >= 1.2
    connection.close()
    connection = connect(url)
    connection.request("GET", "/fail", headers={"Host": connection.own_host})
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()
